//! Indexes whose entries are made after the rows.

use super::*;
use crate::error::Code;

fn indexes() -> [IndexSpec; 3] {
    [index("a", false), index("b", false), index("u", true)]
}

/// Rows in no order of their values.
fn items(from: u64, count: u64) -> Vec<(String, String)> {
    let value = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let body = |n: u64| format!(r#"{{"a":{},"b":"{}","u":{n}}}"#, value(n) % 50, value(n) % 7);
    (from..from + count).map(|n| (format!("{:06}", value(n)), body(n))).collect()
}

fn write(writer: &mut Writer, run: &RunHandle, number: u64, items: &[(String, String)]) -> Vec<Receipt> {
    let items: Vec<(&str, &str)> = items.iter().map(|(id, body)| (id.as_str(), body.as_str())).collect();
    commit(writer, run, &[kept(number, number * 500, &items)], &replacing())
}

fn built(reader: &Reader) -> Vec<(String, bool, u64)> {
    let rows = reader.indexes(None).unwrap();
    rows.into_iter().map(|row| (row.name.to_string(), row.built, row.entries)).collect()
}

fn state(built: bool, entries: u64) -> Vec<(String, bool, u64)> {
    let row = |name: &str, built, entries| (name.to_owned(), built, if built { entries } else { 0 });
    vec![row("a", built, entries), row("b", built, entries), row("u", true, entries)]
}

#[test]
fn rows_are_found_the_same_before_and_after_their_indexes_are_built() {
    let place = place();
    let (mut writer, run) = begun(&place, &indexes());
    // It knows the indexes from before they are put off.
    let early = place.reader();
    assert_eq!(built(&early), state(true, 0));
    assert_eq!(writer.put_off_indexes(&name("items")).unwrap(), 2);
    let count = items(0, 500).iter().map(|(id, _)| id).collect::<std::collections::BTreeSet<_>>().len() as u64;
    write(&mut writer, &run, 0, &items(0, 500));
    let found = |store: &dyn Lookup| {
        let (items, a) = (name("items"), name("a"));
        let ids = |key: &IndexKey| -> Vec<String> {
            store.find(&items, &a, key, None, 1000).unwrap().into_iter().map(|row| row.id).collect()
        };
        let some: Vec<Vec<String>> = (0..50).map(|n| ids(&IndexKey::Integer(n))).collect();
        assert_eq!(some.iter().map(Vec::len).sum::<usize>() as u64, count);
        let page = store.find(&items, &a, &IndexKey::Integer(7), Some(&some[7][0]), 1).unwrap();
        assert_eq!(page.len(), 1.min(some[7].len() - 1));
        assert_eq!(store.count_equal(&items, &a, &IndexKey::Integer(7), 1000).unwrap(), some[7].len());
        some
    };
    let before = found(&early);
    assert_eq!((found(&writer), found(&place.reader())), (before.clone(), before.clone()));
    assert_eq!(built(&early), state(false, count));
    assert!(early.verify(Level::Full).unwrap().is_empty(), "nothing is wrong with the store");
    let names: Vec<String> =
        writer.build_indexes(&name("items")).unwrap().into_iter().map(|built| built.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(built(&early), state(true, count));
    assert_eq!((found(&writer), found(&early), found(&place.reader())), (before.clone(), before.clone(), before));
    assert!(early.verify(Level::Full).unwrap().is_empty());
    assert_eq!(writer.build_indexes(&name("items")).unwrap(), [], "nothing is left");
}

#[test]
fn a_unique_index_judges_each_row_meanwhile() {
    let place = place();
    let (mut writer, run) = begun(&place, &indexes());
    writer.put_off_indexes(&name("items")).unwrap();
    let same = [("x".to_owned(), r#"{"u":1}"#.to_owned()), ("y".to_owned(), r#"{"u":1}"#.to_owned())];
    let receipts = write(&mut writer, &run, 0, &same);
    assert_eq!((receipts[0].counts.stored, receipts[0].refused.len()), (1, 1));
}

#[test]
fn nothing_is_put_off_where_there_are_rows() {
    let place = place();
    let (mut writer, run) = begun(&place, &indexes());
    write(&mut writer, &run, 0, &items(0, 1));
    assert_eq!(writer.put_off_indexes(&name("items")).unwrap(), 0);
    assert_eq!(built(&place.reader()), state(true, 1));
}

#[test]
fn what_a_killed_process_put_off_is_built_by_the_next_run_or_by_hand() {
    for by_hand in [false, true] {
        let place = place();
        let (mut writer, run) = begun(&place, &indexes());
        writer.put_off_indexes(&name("items")).unwrap();
        write(&mut writer, &run, 0, &items(0, 20));
        drop(writer);
        let mut writer = place.writer();
        let findings = writer.index_verify(&name("items"), &name("a")).unwrap();
        assert_eq!(findings.iter().map(|found| found.code).collect::<Vec<_>>(), [Code::IndexOutOfStep]);
        assert!(findings[0].message.contains("is not built"), "{}", findings[0].message);
        if by_hand {
            writer.index_rebuild(&name("items"), &name("a")).unwrap();
            assert!(writer.index_add(&name("items"), &index("b", false)).unwrap(), "it was missing");
        } else {
            writer.declare(&[], &[], &name("items")).unwrap();
        }
        assert_eq!(built(&place.reader()), state(true, 20));
        assert_eq!(writer.index_verify(&name("items"), &name("b")).unwrap(), []);
    }
}

#[test]
fn what_is_undone_is_put_off_again() {
    let place = place();
    let (mut writer, run) = begun(&place, &indexes());
    writer.begin().unwrap();
    writer.put_off_indexes(&name("items")).unwrap();
    writer.rollback().unwrap();
    assert_eq!(built(&place.reader()), state(true, 0));
    writer.put_off_indexes(&name("items")).unwrap();
    write(&mut writer, &run, 0, &items(0, 20));
    writer.begin().unwrap();
    writer.build_indexes(&name("items")).unwrap();
    writer.rollback().unwrap();
    assert_eq!(built(&place.reader()), state(false, 20));
    assert_eq!(writer.build_indexes(&name("items")).unwrap().len(), 2);
    writer.index_drop(&name("items"), &name("a")).unwrap();
    assert_eq!(built(&place.reader()).len(), 2);
}

/// `order` and `item_status` make the same name in SQL as `order_item` and `status`.
#[test]
fn an_index_that_is_put_off_keeps_its_name() {
    let place = place();
    let mut writer = place.writer();
    let (order, order_item) = (name("order"), name("order_item"));
    writer.declare(&[], &[index("item_status", false)], &order).unwrap();
    assert_eq!(writer.put_off_indexes(&order).unwrap(), 1);
    let error = writer.declare(&[], &[index("status", true)], &order_item).unwrap_err();
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert!(error.to_string().contains("is kept for index `item_status` of collection `order`"), "{error}");
    writer.build_indexes(&order).unwrap();
    assert!(place.reader().verify(Level::Full).unwrap().is_empty());
}

/// Somebody else's index, made with any SQLite tool, holds what it should whatever the host puts off.
#[test]
fn what_a_user_has_added_to_a_collection_is_kept_with_every_row() {
    for (declared, addition) in [
        (&[][..], "CREATE INDEX mine ON items (body ->> '$.a')"),
        (&[][..], "CREATE INDEX mine ON items (id) WHERE body ->> '$.a' IS NOT NULL"),
        (&indexes()[..2], "CREATE INDEX mine ON items (a, b)"),
        (&indexes()[..2], "ALTER TABLE items ADD COLUMN mine ANY AS (body ->> '$.a') CHECK (mine IS NOT NULL)"),
    ] {
        let place = place();
        let (mut writer, run) = begun(&place, declared);
        writer.put_off_indexes(&name("items")).unwrap();
        // By another connection, in the middle of the run.
        place.raw().execute_batch(addition).unwrap();
        let receipts = write(&mut writer, &run, 0, &items(0, 50));
        assert_eq!(receipts[0].counts.stored, 50, "{addition}");
        writer.build_indexes(&name("items")).unwrap();
        assert_eq!(place.reader().verify(Level::Full).unwrap(), [], "{addition}");
    }
}
