//! A group has the effect of its items one at a time: random ones, compared with a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::{Change, Counts};

/// One item of a random run: key, body, whether it is deleted, dropped, or a pair of puts.
#[derive(Debug, Clone)]
enum Wish {
    Put(u8, u8),
    Delete(u8),
    Drop,
    Two((u8, u8), (u8, u8)),
}

fn wish(pairs: bool) -> impl Strategy<Value = Wish> {
    let put = (0u8..12, 0u8..3).prop_map(|(k, v)| Wish::Put(k, v));
    let two = ((0u8..12, 0u8..3), (0u8..12, 0u8..3)).prop_map(|(a, b)| Wish::Two(a, b));
    prop_oneof![5 => put, 2 => (0u8..12).prop_map(Wish::Delete), 1 => Just(Wish::Drop), if pairs { 2 } else { 0 } => two]
}

/// The model: a map, one item at a time, in input order.
fn model(map: &mut BTreeMap<String, String>, batch: &[Wish], unique: bool) -> Counts {
    let mut c = Counts { read: batch.len() as u64, ..Counts::default() };
    for wish in batch {
        let before = (map.clone(), c);
        let mut put = |c: &mut Counts, k: u8, v: u8| -> bool {
            let (id, body) = (format!("k{k:02}"), format!("{{\"v\":{v}}}"));
            if unique && map.iter().any(|(i, b)| *i != id && *b == body) {
                return false;
            }
            match map.insert(id, body.clone()) {
                None => c.inserted += 1,
                Some(old) if old == body => c.unchanged += 1,
                Some(_) => c.replaced += 1,
            }
            true
        };
        let fine = match wish {
            Wish::Put(k, v) => put(&mut c, *k, *v),
            Wish::Two(a, b) => put(&mut c, a.0, a.1) && put(&mut c, b.0, b.1),
            Wish::Delete(k) => {
                c.deleted += u64::from(map.remove(&format!("k{k:02}")).is_some());
                true
            }
            Wish::Drop => {
                c.dropped += 1;
                continue;
            }
        };
        if fine {
            c.stored += 1;
        } else {
            (*map, c) = before;
            c.dead_lettered += 1;
        }
    }
    c
}

fn as_write(number: usize, first: usize, batch: &[Wish]) -> BatchWrite {
    let put =
        |(k, v): (u8, u8)| Change::Put { collection: None, id: format!("k{k:02}"), body: format!("{{\"v\":{v}}}") };
    let decisions = batch
        .iter()
        .map(|w| match w {
            Wish::Put(k, v) => Decision::Emit(vec![put((*k, *v))]),
            Wish::Two(a, b) => Decision::Emit(vec![put(*a), put(*b)]),
            Wish::Delete(k) => Decision::Emit(vec![Change::Delete { collection: None, id: format!("k{k:02}") }]),
            Wish::Drop => Decision::Drop,
        })
        .collect();
    let items: Vec<(&str, &str)> = batch.iter().map(|_| ("id", "{}")).collect();
    decided(number as u64, first as u64, &items, decisions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the group, the order of writing and the savepoints: state and counts are those of one item at a time.
    #[test]
    fn a_group_does_what_one_item_at_a_time_would(
        batches in prop::collection::vec(prop::collection::vec(wish(true), 0..12), 1..6),
        unique: bool,
        sort: bool,
        group_size in 1usize..5,
    ) {
        same_as_model(&batches, unique, sort, group_size);
    }

    /// The same where rows really are sorted: one change per item, no unique index.
    #[test]
    fn a_sorted_group_does_the_same(
        batches in prop::collection::vec(prop::collection::vec(wish(false), 0..12), 1..6),
        group_size in 1usize..5,
    ) {
        same_as_model(&batches, false, true, group_size);
    }
}

fn same_as_model(batches: &[Vec<Wish>], unique: bool, sort: bool, group_size: usize) {
    let place = place();
    let options = StoreOptions { durability: Durability::Normal, ..place.options() };
    let mut writer = Writer::open(&options).unwrap();
    writer.declare(&[], &[index("v", unique)], &name("items")).unwrap();
    let run = writer.begin_run(&start("job")).unwrap();
    let mut map = BTreeMap::new();
    let expected: Vec<Counts> = batches.iter().map(|b| model(&mut map, b, unique)).collect();
    let mut first = 0;
    let writes: Vec<BatchWrite> = batches
        .iter()
        .enumerate()
        .map(|(i, b)| {
            let write = as_write(i, first, b);
            first += b.len();
            write
        })
        .collect();
    let found: Vec<Counts> = writes
        .chunks(group_size)
        .flat_map(|g| commit(&mut writer, &run, g, &policy(OnExisting::Replace, sort)))
        .map(|r| r.counts)
        .collect();
    assert_eq!(found, expected);
    let reader = place.reader();
    assert_eq!(rows(&reader), map.into_iter().collect::<Vec<_>>());
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
}
