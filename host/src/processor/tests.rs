//! What every processor of a run promises, tried on each of them: a new one is given to `each` and must pass.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::*;
use crate::model::{
    Batch, BatchMetrics, Change, Counts, Decision, Digest, Fate, OnExisting, Phase, Pointer, Position, Problem, Record,
    RecordKind, Refusal, RunStatus,
};
use crate::store::{Durability, StoreOptions, Writer};

/// A processor with nothing in it yet, and what it lives in.
struct Fresh {
    processor: Box<dyn Processor>,
    _folder: TempDir,
}

/// Every processor that takes batches.
fn each() -> [Fresh; 2] {
    let fresh = |make: fn(&TempDir) -> Box<dyn Processor>| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Fresh { processor: make(&folder), _folder: folder }
    };
    [
        fresh(|folder| {
            let options =
                StoreOptions { path: folder.path().join("out.db"), durability: Durability::Normal, create: true };
            Box::new(StorageProcessor::new(Writer::open(&options).expect("a store")))
        }),
        fresh(|_| Box::new(MemoryProcessor::new(Box::new(|_, _, _| Ok(()))))),
    ]
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a legal name")
}

fn policy(on_existing: OnExisting) -> WritePolicy {
    WritePolicy {
        target: name("items"),
        collections: [name("items"), name("side")].into(),
        on_existing,
        sort: true,
        remove_rejected: false,
        over_newer: false,
    }
}

/// Declares `items` and `side` and begins a run.
fn begun(processor: &mut dyn Processor) -> RunHandle {
    let status = IndexSpec {
        collection: None,
        name: name("status"),
        pointer: Pointer::parse("status").expect("a pointer"),
        unique: false,
    };
    processor.declare(&name("items"), &[name("side")], &[status]).expect("declared");
    let start = RunStart {
        job: "job".to_owned(),
        uuid: "0198-a-run".to_owned(),
        collection: name("items"),
        started_ms: 1_700_000_000_000,
        seed: 7,
        clock_ms: 1_234,
        settings_json: "{}".to_owned(),
        identity: Vec::new(),
        plugins: Vec::new(),
        inputs_json: "[]".to_owned(),
        atomic: "batch".to_owned(),
        lo: 0,
        hi: None,
    };
    assert!(processor.last_run_of_job("job").expect("a history").is_none(), "there was no run");
    let run = processor.begin_run(&start, None).expect("a run");
    assert_eq!((run.next, run.next_batch, run.counts), (0, BatchNumber(0), Counts::default()));
    assert_eq!((run.seed, run.clock_ms, run.uuid.as_str()), (7, 1_234, "0198-a-run"));
    run
}

/// A batch with these ids, whose bodies tell where they stood; none is a record that is no item.
fn batch(number: u64, first: u64, records: Vec<(Option<&str>, Decision)>) -> BatchWrite {
    let mut batch = Batch { first_ordinal: first, ..Batch::default() };
    let mut decisions = Vec::new();
    for (at, (id, decision)) in (first..).zip(records) {
        let kind = match id {
            Some(id) => {
                let from = batch.text.len() as u32;
                batch.text.push_str(id);
                let middle = batch.text.len() as u32;
                batch.text.push_str(&format!(r#"{{"at":{at}}}"#));
                RecordKind::Item { id: from..middle, body: middle..batch.text.len() as u32 }
            }
            None => RecordKind::Broken(Box::new(crate::model::Broken {
                problem: Problem::of_host(Code::Undecodable, "not JSON"),
                kept: b"{".to_vec(),
                total_bytes: 1,
                digest: Digest::of(b"{"),
            })),
        };
        batch.records.push(Record { position: Position { input: 0, line: at + 1, offset: at * 10 }, kind });
        decisions.push(decision);
    }
    BatchWrite {
        number: BatchNumber(number),
        batch: Arc::new(batch),
        decisions,
        metrics: BatchMetrics::default(),
        computed_at: std::time::Instant::now(),
        chunks: Vec::new(),
        plan: None,
        chain: None,
        plugins: Vec::new(),
        retries: 1,
        attempts: HashMap::new(),
        blank_lines: 0,
        input_names: vec!["in.ndjson".to_owned()].into(),
        input_digest: Digest::of(&first.to_le_bytes()),
        digests: Arc::from([]),
        retried: Vec::new(),
    }
}

fn refuse(fate: Fate, phase: Phase) -> Decision {
    let problems = vec![Problem::of_host(Code::ValidationRefused, "no")];
    Decision::Refuse(Box::new(Refusal { fate, phase, problems, attempts: 1, slot: None }))
}

fn put(collection: Option<&str>, id: &str) -> Change {
    Change::Put { collection: collection.map(name), id: id.to_owned(), body: format!(r#"{{"of":"{id}"}}"#) }
}

fn delete(id: &str) -> Change {
    Change::Delete { collection: None, id: id.to_owned() }
}

/// One item of each decision, and of each way in which changes are refused where no key may come twice.
fn one_of_each() -> BatchWrite {
    let records = vec![
        (Some("a"), Decision::Keep),
        (Some("b"), Decision::Replace("[1]".to_owned())),
        (Some("c"), Decision::Drop),
        (Some("d"), refuse(Fate::Rejected, Phase::Validate)),
        (None, refuse(Fate::DeadLettered, Phase::Decode)),
        (Some("f"), Decision::Emit(vec![put(None, "f"), put(Some("side"), "f"), delete("a")])),
        (Some("g"), Decision::Emit(vec![])),
        (Some("b"), Decision::Keep),
        (Some("h"), Decision::Emit(vec![put(Some("side"), "h"), put(None, "b")])),
        (Some("i"), Decision::Emit(vec![put(None, "i"), put(None, "i")])),
        (Some("j"), Decision::Emit(vec![put(None, "j"), put(Some("nowhere"), "j")])),
        (Some("k"), Decision::Emit(vec![delete("b"), put(None, "b")])),
    ];
    batch(0, 0, records)
}

/// A record that a processor refused, by its place in the batch, and the code of the reason.
type Refused = (usize, Fate, Phase, String);

/// What a receipt says that every processor can know: fates, attempts, and which records were refused for which reason.
fn told(receipt: &Receipt) -> ([u64; 6], Vec<Refused>) {
    let counts = receipt.counts;
    let refused = receipt.refused.iter().map(|(at, refusal)| {
        (*at, refusal.fate, refusal.phase, refusal.problems.first().expect("a problem").code.clone())
    });
    let books = [counts.read, counts.stored, counts.rejected, counts.dead_lettered, counts.dropped, counts.retries];
    (books, refused.collect())
}

#[test]
fn every_processor_is_in_the_list_under_its_name() {
    let names: Vec<&str> = each().iter().map(|fresh| fresh.processor.name()).collect();
    for name in &names {
        assert!(processor(name).is_ok(), "{name}");
    }
    let takes_batches = PROCESSORS.iter().filter(|row| row.kind != ProcessorKind::Index).map(|row| row.name);
    assert!(takes_batches.eq(names), "a processor is not tried here");
}

#[test]
fn a_group_has_one_receipt_per_batch_in_the_same_order_whose_books_balance() {
    for mut fresh in each() {
        let processor = fresh.processor.as_mut();
        let run = begun(processor);
        let more = batch(1, 12, vec![(Some("x"), Decision::Keep), (Some("y"), Decision::Drop)]);
        let group = [one_of_each(), more, batch(2, 14, vec![(Some("z"), Decision::Keep)])];
        processor.begin().expect("a transaction");
        let receipts = processor.apply(&run, &group, &policy(OnExisting::Reject)).expect("applied");
        processor.commit().expect("committed");
        processor.note_commit_time(&run, BatchNumber(0), BatchNumber(2), 5);
        let reads: Vec<u64> = receipts.iter().map(|receipt| receipt.counts.read).collect();
        assert_eq!(reads, [12, 2, 1], "{}", processor.name());
        assert!(receipts.iter().all(|receipt| receipt.counts.balance()), "{}", processor.name());
        let ending = RunEnd {
            blank_lines: 0,
            status: RunStatus::Partial,
            ended_ms: 1,
            duration_ms: 1,
            error_json: None,
            performance_json: None,
            alerts_json: None,
            tuning: None,
        };
        processor.finish_run(&run, &ending).expect("the end is noted");
    }
}

#[test]
fn each_decision_has_its_fate_and_refused_records_come_in_input_order() {
    let refused = |at, code: Code| (at, Fate::DeadLettered, Phase::Store, code.as_str().to_owned());
    let (taken, unknown) = (Code::IndexConstraint, Code::PluginImport);
    for (on_existing, books, wanted) in [
        (OnExisting::Replace, [12, 8, 1, 2, 1, 1], vec![refused(10, unknown)]),
        (OnExisting::Ignore, [12, 8, 1, 2, 1, 1], vec![refused(10, unknown)]),
        (
            OnExisting::Reject,
            [12, 5, 1, 5, 1, 1],
            vec![refused(7, taken), refused(8, taken), refused(9, taken), refused(10, unknown)],
        ),
    ] {
        for mut fresh in each() {
            let processor = fresh.processor.as_mut();
            let run = begun(processor);
            processor.begin().expect("a transaction");
            let receipts = processor.apply(&run, &[one_of_each()], &policy(on_existing)).expect("applied");
            processor.commit().expect("committed");
            assert_eq!(told(&receipts[0]), (books, wanted.clone()), "{} {on_existing:?}", processor.name());
        }
    }
}

#[test]
fn a_refused_record_has_had_as_many_attempts_as_its_item() {
    for mut fresh in each() {
        let processor = fresh.processor.as_mut();
        let run = begun(processor);
        let keep = || (Some("a"), Decision::Keep);
        let elsewhere = (Some("b"), Decision::Emit(vec![put(Some("nowhere"), "b")]));
        let mut write = batch(0, 0, vec![keep(), keep(), keep(), elsewhere]);
        write.attempts = HashMap::from([(2, 3), (3, 2)]);
        processor.begin().expect("a transaction");
        let receipts = processor.apply(&run, &[write], &policy(OnExisting::Reject)).expect("applied");
        processor.commit().expect("committed");
        let found: Vec<(usize, u32)> =
            receipts[0].refused.iter().map(|(at, refusal)| (*at, refusal.attempts)).collect();
        assert_eq!(found, [(1, 1), (2, 3), (3, 2)], "{}", processor.name());
    }
}

#[test]
fn a_group_that_was_rolled_back_and_comes_again_has_the_same_receipts() {
    for on_existing in [OnExisting::Replace, OnExisting::Ignore, OnExisting::Reject] {
        for mut fresh in each() {
            let processor = fresh.processor.as_mut();
            let run = begun(processor);
            let mut receipts = Vec::new();
            // Alone, and in a transaction around it as `--atomic run` has one.
            for outer in [false, true] {
                if outer {
                    processor.begin().expect("a transaction");
                }
                processor.begin().expect("a transaction");
                receipts.extend(processor.apply(&run, &[one_of_each()], &policy(on_existing)).expect("applied"));
                match outer {
                    false => processor.rollback().expect("rolled back"),
                    true => {
                        processor.commit().expect("committed");
                        processor.rollback().expect("rolled back");
                    }
                }
            }
            processor.begin().expect("a transaction");
            receipts.extend(processor.apply(&run, &[one_of_each()], &policy(on_existing)).expect("applied"));
            processor.commit().expect("committed");
            let same = receipts.windows(2).all(|pair| {
                (pair[0].counts, &pair[0].refused, pair[0].bytes_out)
                    == (pair[1].counts, &pair[1].refused, pair[1].bytes_out)
            });
            assert!(same, "{} {on_existing:?}: {receipts:?}", processor.name());
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % end
    }
}

/// A batch of few keys, so that many of them meet.
fn random_batch(random: &mut Random, number: u64, first: u64) -> BatchWrite {
    const IDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut records = Vec::new();
    for _ in 0..1 + random.below(8) {
        let mut id = || IDS[random.below(8) as usize];
        let own = id();
        let mut change = || {
            let other = id();
            match other {
                "a" | "b" => delete(id()),
                "c" => put(Some("side"), id()),
                "d" => put(Some("nowhere"), id()),
                other => put(None, other),
            }
        };
        let changes = [change(), change(), change()];
        let decision = match random.below(9) {
            0 => Decision::Drop,
            1 => refuse(Fate::Rejected, Phase::Operate),
            2 => refuse(Fate::DeadLettered, Phase::Validate),
            3 => Decision::Replace("[2]".to_owned()),
            4..7 => Decision::Emit(changes[..random.below(4) as usize].to_vec()),
            _ => Decision::Keep,
        };
        records.push((Some(own), decision));
    }
    batch(number, first, records)
}

#[test]
fn all_processors_give_random_groups_the_same_fates_whatever_is_rolled_back_between() {
    for on_existing in [OnExisting::Replace, OnExisting::Ignore, OnExisting::Reject] {
        for seed in 0..8 {
            let mut all = Vec::new();
            for mut fresh in each() {
                let processor = fresh.processor.as_mut();
                let run = begun(processor);
                let mut random = Random(seed);
                let (mut number, mut first, mut receipts) = (0, 0, Vec::new());
                for _ in 0..25 {
                    let mut group = Vec::new();
                    let (mut next_number, mut next_first) = (number, first);
                    for _ in 0..1 + random.below(3) {
                        group.push(random_batch(&mut random, next_number, next_first));
                        next_number += 1;
                        next_first += group[group.len() - 1].batch.len() as u64;
                    }
                    processor.begin().expect("a transaction");
                    receipts.extend(processor.apply(&run, &group, &policy(on_existing)).expect("applied"));
                    if random.below(4) == 0 {
                        processor.rollback().expect("rolled back");
                    } else {
                        processor.commit().expect("committed");
                        (number, first) = (next_number, next_first);
                    }
                }
                all.push((processor.name(), receipts));
            }
            let (wanted_of, wanted) = &all[0];
            for (name, receipts) in &all[1..] {
                for (at, (one, other)) in wanted.iter().zip(receipts).enumerate() {
                    let place = format!("{wanted_of} and {name}, seed {seed}, {on_existing:?}, receipt {at}");
                    assert_eq!(told(one), told(other), "{place}");
                    if on_existing != OnExisting::Replace {
                        assert_eq!((one.counts, one.bytes_out), (other.counts, other.bytes_out), "{place}: rows");
                    }
                }
                assert_eq!(wanted.len(), receipts.len());
            }
        }
    }
}

#[test]
fn memory_passes_on_what_is_committed_in_input_order_and_nothing_else() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let mut processor = MemoryProcessor::new(Box::new(move |collection, id, _| {
        notes.lock().expect("no panic").push(format!("{collection} {id}"));
        Ok(())
    }));
    let run = begun(&mut processor);
    let policy = policy(OnExisting::Reject);
    let keep = |number, ids: &[&'static str]| {
        batch(number, number * 10, ids.iter().map(|id| (Some(*id), Decision::Keep)).collect())
    };
    processor.begin().expect("a transaction");
    processor.apply(&run, &[keep(0, &["z"])], &policy).expect("applied");
    processor.rollback().expect("rolled back");
    processor.begin().expect("a transaction");
    processor.apply(&run, &[keep(0, &["b", "a"]), one_of_each()], &policy).expect("applied");
    assert!(seen.lock().expect("no panic").is_empty(), "nothing goes out before the commit");
    processor.commit().expect("committed");
    let wanted = ["items b", "items a", "items f", "side f", "items b"];
    assert_eq!(*seen.lock().expect("no panic"), wanted, "refused items leave nothing");
}

#[test]
fn memory_whose_output_fails_fails_the_commit_and_can_be_rolled_back() {
    let mut left = 1;
    let mut processor = MemoryProcessor::new(Box::new(move |_, _, _| {
        left -= 1;
        if left < 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }));
    let run = begun(&mut processor);
    let write = batch(0, 0, vec![(Some("a"), Decision::Keep), (Some("b"), Decision::Keep)]);
    processor.begin().expect("a transaction");
    processor.apply(&run, std::slice::from_ref(&write), &policy(OnExisting::Reject)).expect("applied");
    assert_eq!(processor.commit().expect_err("the output is full").code(), Code::StorageWrite);
    processor.rollback().expect("rolled back");
    processor.begin().expect("a transaction");
    let receipts = processor.apply(&run, &[write], &policy(OnExisting::Reject)).expect("applied");
    assert_eq!(receipts[0].counts.stored, 2, "its keys are free again");
}

#[test]
fn memory_flushes_what_gathers_its_results_with_each_commit_and_fails_where_that_fails() {
    /// Full from the second time on.
    struct Gathered(Arc<Mutex<Vec<&'static str>>>);

    impl Gathering for Gathered {
        fn take(&mut self, _: &Name, _: &str, _: &str) -> std::io::Result<()> {
            self.0.lock().expect("no panic").push("take");
            Ok(())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            let mut calls = self.0.lock().expect("no panic");
            calls.push("flush");
            if calls.len() > 3 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    let calls: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let mut processor = MemoryProcessor::gathered(Box::new(Gathered(Arc::clone(&calls))));
    let run = begun(&mut processor);
    let mut commit = |number, ids: &[&'static str]| {
        let write = batch(number, number * 10, ids.iter().map(|id| (Some(*id), Decision::Keep)).collect());
        processor.begin().expect("a transaction");
        processor.apply(&run, &[write], &policy(OnExisting::Replace)).expect("applied");
        processor.commit()
    };
    commit(0, &["a", "b"]).expect("committed");
    assert_eq!(commit(1, &["c"]).expect_err("the output is full").code(), Code::StorageWrite);
    assert_eq!(*calls.lock().expect("no panic"), ["take", "take", "flush", "take", "flush"]);
}

#[test]
fn only_storage_keeps_rows_and_reads_them() {
    let mut kept = BTreeMap::new();
    for mut fresh in each() {
        let processor = fresh.processor.as_mut();
        kept.insert(processor.name(), (processor.transactional().is_some(), processor.lookup().is_some()));
    }
    assert_eq!(kept, BTreeMap::from([("memory", (false, false)), ("storage", (true, true))]));
}
