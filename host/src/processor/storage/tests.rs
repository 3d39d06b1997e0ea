//! A group through the processor: all that belongs to it is there after its commit, and none of it after its rollback.

use std::collections::HashMap;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::error::Code;
use crate::model::{
    Batch, BatchMetrics, Counts, Decision, Digest, Fate, OnExisting, Phase, Pointer, Position, Problem, Record,
    RecordKind, Refusal, RunStatus,
};
use crate::store::{Durability, IndexKey, LetterFilter, Level, Reader, StoreOptions};
use crate::transaction::{Aborted, atomic};

fn name(text: &str) -> Name {
    Name::parse(text).expect("a legal name")
}

/// A processor over a new store, with a run begun, and a reader that sees what is committed.
struct Begun {
    processor: StorageProcessor,
    run: RunHandle,
    reader: Reader,
    _folder: TempDir,
}

fn begun() -> Begun {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("atlas.db");
    let options = StoreOptions { path: path.clone(), durability: Durability::Full, create: true };
    let mut processor = StorageProcessor::new(Writer::open(&options).expect("a store"));
    let status = IndexSpec {
        collection: None,
        name: name("status"),
        pointer: Pointer::parse("status").expect("a pointer"),
        unique: false,
    };
    processor.declare(&name("items"), &[], &[status]).expect("a collection");
    let start = RunStart {
        job: "job".to_owned(),
        uuid: "0198".to_owned(),
        collection: name("items"),
        started_ms: 1_700_000_000_000,
        seed: 7,
        clock_ms: 1_700_000_000_000,
        settings_json: "{}".to_owned(),
        identity: Vec::new(),
        plugins: Vec::new(),
        inputs_json: "[]".to_owned(),
        atomic: "batch".to_owned(),
        lo: 0,
        hi: None,
    };
    let run = processor.begin_run(&start, None).expect("a run");
    let reader = Reader::open(&path).expect("a store");
    Begun { processor, run, reader, _folder: folder }
}

/// A batch of three items: one is kept, one dropped, one refused.
fn one_of_each(number: u64, first: u64) -> BatchWrite {
    let mut batch = Batch { first_ordinal: first, ..Batch::default() };
    for (place, id) in ["kept", "dropped", "refused"].iter().enumerate() {
        let at = batch.text.len() as u32;
        batch.text.push_str(&format!("{id}-{number}"));
        let middle = batch.text.len() as u32;
        batch.text.push_str(r#"{"status":"new"}"#);
        let kind = RecordKind::Item { id: at..middle, body: middle..batch.text.len() as u32 };
        let position = Position { input: 0, line: first + place as u64 + 1, offset: 0 };
        batch.records.push(Record { position, kind });
    }
    let refusal = Refusal {
        fate: Fate::Rejected,
        phase: Phase::Operate,
        problems: vec![Problem::of_host(Code::ValidationRefused, "asked to refuse")],
        attempts: 1,
        slot: Some(name("work")),
    };
    BatchWrite {
        number: BatchNumber(number),
        batch: Arc::new(batch),
        decisions: vec![Decision::Keep, Decision::Drop, Decision::Refuse(Box::new(refusal))],
        metrics: BatchMetrics::default(),
        computed_at: std::time::Instant::now(),
        chunks: Vec::new(),
        plan: None,
        chain: None,
        plugins: Vec::new(),
        retries: 0,
        attempts: HashMap::new(),
        blank_lines: 0,
        input_names: vec!["in.ndjson".to_owned()].into(),
        input_digest: Digest::of(&first.to_le_bytes()),
        digests: vec![(name("work"), Digest::of(b"work"))].into(),
        retried: Vec::new(),
    }
}

fn policy() -> WritePolicy {
    WritePolicy {
        target: name("items"),
        collections: [name("items")].into(),
        on_existing: OnExisting::Replace,
        sort: true,
        remove_rejected: false,
        over_newer: false,
    }
}

/// What a reader sees: rows, index entries, letters by item, batches of the history, and where the run would go on.
fn seen(begun: &Begun) -> (Vec<String>, usize, Vec<String>, Vec<u64>, u64) {
    let reader = &begun.reader;
    let mut rows = Vec::new();
    let exported = reader.export(&name("items"), |id, _| {
        rows.push(id.to_owned());
        Ok::<(), crate::error::Error>(())
    });
    exported.expect("a collection");
    let new = IndexKey::Text("new".to_owned());
    let entries = reader.find(&name("items"), &name("status"), &new, None, 100).expect("an index").len();
    let letters = reader.dead_letters(&LetterFilter::default(), 0, 100).expect("dead letters");
    let batches = reader.batches(begun.run.run, BatchNumber(0), 100).expect("a history");
    let next = reader.run(begun.run.run).expect("a history").expect("the run").next;
    let letters = letters.into_iter().filter_map(|letter| letter.item_id).collect();
    (rows, entries, letters, batches.iter().map(|batch| batch.number.0).collect(), next)
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_committed_group_is_there_with_rows_index_letters_history_and_checkpoint() {
    let mut begun = begun();
    let nothing = (Vec::new(), 0, Vec::new(), Vec::new(), 0);
    begun.processor.begin().expect("a transaction");
    let group = [one_of_each(0, 0), one_of_each(1, 3)];
    let receipts = begun.processor.apply(&begun.run, &group, &policy()).expect("a group");
    assert_eq!(seen(&begun), nothing, "nothing shows before the commit");
    begun.processor.commit().expect("a commit");
    for receipt in &receipts {
        let counts = Counts { read: 3, stored: 1, dropped: 1, rejected: 1, inserted: 1, ..Counts::default() };
        assert_eq!((receipt.counts, &receipt.refused), (counts, &Vec::new()));
    }
    assert_eq!(receipts.len(), 2, "one receipt for each batch");
    let wanted = (texts(&["kept-0", "kept-1"]), 2, texts(&["refused-0", "refused-1"]), vec![0, 1], 6);
    assert_eq!(seen(&begun), wanted);
    assert_eq!(begun.reader.verify(Level::Full).expect("a readable store"), []);
}

#[test]
fn a_group_that_is_rolled_back_leaves_neither_rows_nor_index_entries_nor_letters_nor_history() {
    let mut begun = begun();
    begun.processor.begin().expect("a transaction");
    begun.processor.apply(&begun.run, &[one_of_each(0, 0)], &policy()).expect("a group");
    begun.processor.commit().expect("a commit");
    let before = seen(&begun);
    begun.processor.begin().expect("a transaction");
    begun.processor.apply(&begun.run, &[one_of_each(1, 3), one_of_each(2, 6)], &policy()).expect("a group");
    begun.processor.rollback().expect("a rollback");
    assert_eq!(seen(&begun), before);
    assert_eq!(begun.reader.verify(Level::Full).expect("a readable store"), []);

    // The same group once more goes on where the checkpoint stayed.
    begun.processor.begin().expect("a transaction");
    begun.processor.apply(&begun.run, &[one_of_each(1, 3), one_of_each(2, 6)], &policy()).expect("a group");
    begun.processor.commit().expect("a commit");
    assert_eq!(seen(&begun).4, 9);
}

#[test]
fn a_group_that_does_not_begin_at_the_checkpoint_is_refused_whole() {
    let mut begun = begun();
    begun.processor.begin().expect("a transaction");
    let error =
        begun.processor.apply(&begun.run, &[one_of_each(1, 3)], &policy()).expect_err("items 0 to 2 are missing");
    assert_eq!(error.code(), Code::TransactionFenced, "{error}");
    begun.processor.rollback().expect("a rollback");
    assert_eq!(seen(&begun), (Vec::new(), 0, Vec::new(), Vec::new(), 0));
}

#[test]
fn reads_and_rows_beside_runs_see_what_is_not_yet_committed() {
    let mut begun = begun();
    let items = name("items");
    begun.processor.begin().expect("a transaction");
    begun.processor.apply(&begun.run, &[one_of_each(0, 0)], &policy()).expect("a group");
    let lookup = begun.processor.lookup().expect("a store can be read");
    assert_eq!(
        lookup.get(&items, "kept-0").expect("a read").map(|row| row.body).as_deref(),
        Some(r#"{"status":"new"}"#)
    );
    assert_eq!(lookup.get(&items, "dropped-0").expect("a read"), None);
    let store = begun.processor.transactional().expect("a store has transactions");
    let undone: std::result::Result<(), Aborted<&str>> = atomic(store, |inner| {
        inner.put(&items, "beside", "1").expect("a row");
        Err("changed my mind")
    });
    assert!(matches!(undone, Err(Aborted::Work("changed my mind"))));
    begun.processor.commit().expect("a commit");
    assert_eq!(seen(&begun).0, ["kept-0"], "the inner transaction undid its own work only");
}

#[test]
fn the_end_of_a_run_and_the_times_of_its_commits_are_noted() {
    let mut begun = begun();
    begun.processor.begin().expect("a transaction");
    begun.processor.apply(&begun.run, &[one_of_each(0, 0)], &policy()).expect("a group");
    begun.processor.commit().expect("a commit");
    begun.processor.note_commit_time(&begun.run, BatchNumber(0), BatchNumber(0), 77);
    let end = RunEnd {
        blank_lines: 0,
        status: RunStatus::Partial,
        ended_ms: 1_700_000_000_500,
        duration_ms: 500,
        error_json: None,
        performance_json: None,
        alerts_json: None,
        tuning: None,
    };
    begun.processor.finish_run(&begun.run, &end).expect("an end");
    let row = begun.processor.last_run_of_job("job").expect("a history").expect("the run");
    assert_eq!((row.run, row.status, row.next, row.counts.read), (begun.run.run, RunStatus::Partial, 3, 3));
    let batches = begun.reader.batches(begun.run.run, BatchNumber(0), 10).expect("a history");
    assert_eq!(batches[0].metrics.map(|metrics| metrics.commit_us), Some(77));
}
