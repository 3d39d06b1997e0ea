//! Records that are asked for by their place in the input, and runs that left nothing behind of some of theirs.

use super::*;
use crate::model::{Change, Fate, Phase, Refusal, RunNumber};

fn refused() -> Decision {
    let problems = vec![Problem::of_host(crate::error::Code::ValidationRefused, "asked to refuse")];
    Decision::Refuse(Box::new(Refusal {
        fate: Fate::Rejected,
        phase: Phase::Operate,
        problems,
        attempts: 1,
        slot: None,
    }))
}

/// Number of the batch, whether the record was dropped, and the ordinal of the letter that it became.
type Found = Option<(u64, Option<bool>, Option<u64>)>;

fn found(reader: &Reader, run: RunNumber, ordinal: u64) -> Found {
    let (origin, letter) = reader.record(run, ordinal).unwrap()?;
    Some((origin.batch.number.0, origin.batch.was_dropped(ordinal), letter.map(|letter| letter.ordinal)))
}

#[test]
fn a_record_is_found_by_its_place_with_the_letter_that_it_became() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    let batches = [
        decided(0, 0, &[("a", "1"), ("b", "1"), ("c", "1")], vec![Decision::Keep, Decision::Drop, refused()]),
        decided(1, 3, &[("d", "1"), ("e", "1")], vec![Decision::Drop, Decision::Drop]),
        kept(2, 5, &[("f", "1")]),
    ];
    commit(&mut writer, &run, &batches, &replacing());
    let reader = place.reader();
    let all = |reader: &Reader| (0..7).map(|ordinal| found(reader, run.run, ordinal)).collect::<Vec<_>>();
    let (no, yes) = (Some(false), Some(true));
    let last = [Some((2, no, None)), None];
    let first = [(0, no, None), (0, yes, None), (0, no, Some(2)), (1, yes, None), (1, yes, None)].map(Some);
    assert_eq!(all(&reader), [&first[..], &last].concat());
    assert_eq!(found(&reader, RunNumber(9), 0), None);
    // Counts stay when places are let go: where nothing was dropped, that is known.
    crate::store::history::prune(&writer.conn, 0).unwrap();
    let first = [(0, None, None), (0, None, None), (0, None, Some(2)), (1, None, None), (1, None, None)].map(Some);
    assert_eq!(all(&reader), [&first[..], &last].concat());
}

#[test]
fn runs_that_dropped_items_or_deleted_rows_are_found_by_the_collections_that_they_may_have_taken_them_from() {
    let place = place();
    let mut writer = place.writer();
    writer.declare(&[name("edges")], &[], &name("items")).unwrap();
    let delete = || Decision::Emit(vec![Change::Delete { collection: Some(name("items")), id: "a".to_owned() }]);
    for (collection, further, decision) in [
        ("items", None, Decision::Keep),
        ("items", None, Decision::Drop),
        ("items", None, delete()),
        ("items", None, Decision::Keep),
        ("edges", Some("items, others"), delete()),
        ("edges", Some("items, others"), Decision::Drop),
    ] {
        let identity = further.map(|names: &str| ("collections".to_owned(), names.to_owned())).into_iter().collect();
        let start = RunStart { collection: name(collection), identity, ..start("job") };
        let run = writer.begin_run(&start).unwrap();
        commit(&mut writer, &run, &[decided(0, 0, &[("a", "1")], vec![decision])], &replacing());
        writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    }
    let of = |collection: &str, limit| -> Vec<u64> {
        let runs = place.reader().runs_without_trace(&name(collection), limit).unwrap();
        runs.iter().map(|row| row.run.0).collect()
    };
    assert_eq!((of("items", 10), of("items", 2)), (vec![5, 3, 2], vec![5, 3]));
    assert_eq!((of("edges", 10), of("others", 10), of("other", 10)), (vec![6, 5], vec![5], vec![]));
}
