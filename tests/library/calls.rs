//! Calls of plugins: what they are told, in which order they come, and which of them come at the same time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atlas_host::coordinator::Job;
use atlas_host::error::Result;
use atlas_host::model::{BatchNumber, IndexSpec, Item, Name, Outcome, Problem, RunNumber, Verdict};
use atlas_host::plugin::{Call, Operation, Validator};
use atlas_host::processor::{MemoryProcessor, Processor};
use atlas_host::store::{BatchWrite, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, WritePolicy};
use atlas_host::transaction::Transactional;

use super::{host, items, planned};
use crate::harness::Folder;

/// Long enough for any machine; it passes only where the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a plugin was told, and the ordinals of the items that came with it.
type Heard = Vec<(Call, Vec<u64>)>;

/// Notes what it is told with which items, and asks for another attempt at item 13 once.
#[derive(Clone, Default)]
struct Listening(Arc<Mutex<Heard>>);

impl Listening {
    fn note(&self, call: &Call, items: &[Item<'_>]) {
        let ordinals = items.iter().map(|item| item.ordinal.0).collect();
        self.0.lock().expect("no panic").push((call.clone(), ordinals));
    }

    fn heard(&self) -> Heard {
        self.0.lock().expect("no panic").clone()
    }
}

impl Validator for Listening {
    fn validate(&self, call: &Call, items: &[Item<'_>]) -> Vec<Verdict> {
        self.note(call, items);
        vec![Verdict::Accept; items.len()]
    }
}

impl Operation for Listening {
    fn apply(&self, call: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        self.note(call, items);
        let later =
            Problem { code: "LATER".into(), message: "not yet".into(), pointer: String::new(), details: vec![] };
        let outcome = |item: &Item<'_>| match (call.attempt, item.ordinal.0) {
            (1, 13) => Outcome::Retry(later.clone(), None),
            _ => Outcome::Keep,
        };
        items.iter().map(outcome).collect()
    }
}

/// Twenty items in two batches, and what validator and operation of that run heard.
fn listened(folder: &Folder, set: impl FnOnce(&mut Job)) -> (String, [Heard; 2]) {
    let (validator, operation) = (Listening::default(), Listening::default());
    let job = Job::of_items(items(0, 20), folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    let mut job = planned(job, "sequential", 10, 1).validator(validator.clone()).operation(operation.clone());
    set(&mut job);
    let report = host(1).run(job).expect("a run");
    assert_eq!((report.counts.stored, report.counts.retries), (20, 1));
    (report.uuid, [validator.heard(), operation.heard()])
}

#[test]
fn each_call_is_told_its_run_batch_attempt_and_deadline_and_a_clock_and_a_seed_that_stand_still() {
    let folder = Folder::new();
    let (run, heard) = listened(&folder, |job| {
        (job.clock_ms, job.seed, job.deadline) = (Some(1234), Some(7), Duration::from_secs(9));
    });
    for calls in heard {
        let places: Vec<(u64, u32, Vec<u64>)> =
            calls.iter().map(|(call, ordinals)| (call.batch, call.attempt, ordinals.clone())).collect();
        assert_eq!(places, [(0, 1, (0..10).collect()), (1, 1, (10..20).collect()), (1, 2, vec![13])]);
        for (call, _) in &calls {
            assert_eq!((&*call.run, call.now_ms, call.seed), (run.as_str(), 1234, 7));
            assert_eq!(call.deadline, Duration::from_secs(9), "each is a whole chunk");
        }
    }
}

#[test]
fn a_run_without_clock_and_seed_of_its_own_has_one_of_each_and_another_run_other_ones() {
    let folder = Folder::new();
    let of_run = || {
        let (run, heard) = listened(&folder, |_| {});
        let mut told: Vec<(u64, u64)> = heard.iter().flatten().map(|(call, _)| (call.now_ms, call.seed)).collect();
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
        (run, told[0])
    };
    let ((one, (now, seed)), (other, (later, other_seed))) = (of_run(), of_run());
    assert_ne!(one, other);
    assert_ne!(seed, other_seed);
    assert!(now > 1_600_000_000_000 && later > 1_600_000_000_000, "milliseconds since the Unix epoch");
}

/// Who did something, in which batch, and with which item first.
type Step = (&'static str, u64, u64);

#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<Step>>>);

impl Steps {
    fn note(&self, step: Step) {
        self.0.lock().expect("no panic").push(step);
    }
}

/// Notes each call: a verdict when it is found, an operation when it begins.
struct Noting(&'static str, Steps);

impl Validator for Noting {
    fn validate(&self, call: &Call, items: &[Item<'_>]) -> Vec<Verdict> {
        let verdicts = vec![Verdict::Accept; items.len()];
        self.1.note((self.0, call.batch, items[0].ordinal.0));
        verdicts
    }
}

impl Operation for Noting {
    fn apply(&self, call: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        self.1.note((self.0, call.batch, items[0].ordinal.0));
        vec![Outcome::Keep; items.len()]
    }
}

/// Notes when a transaction begins and which batches it has.
struct NotingProcessor(MemoryProcessor, Steps);

impl Processor for NotingProcessor {
    fn name(&self) -> &'static str {
        "noting"
    }
    fn declare(&mut self, target: &Name, collections: &[Name], indexes: &[IndexSpec]) -> Result<()> {
        self.0.declare(target, collections, indexes)
    }
    fn last_run_of_job(&mut self, job: &str) -> Result<Option<RunRow>> {
        self.0.last_run_of_job(job)
    }
    fn begin_run(&mut self, start: &RunStart, resume: Option<RunNumber>) -> Result<RunHandle> {
        self.0.begin_run(start, resume)
    }
    fn begin(&mut self) -> Result<()> {
        self.1.note(("begin", 0, 0));
        self.0.begin()
    }
    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        group.iter().for_each(|write| self.1.note(("apply", write.number.0, write.batch.first_ordinal)));
        self.0.apply(run, group, policy)
    }
    fn commit(&mut self) -> Result<()> {
        self.0.commit()
    }
    fn rollback(&mut self) -> Result<()> {
        self.0.rollback()
    }
    fn note_commit_time(&mut self, _: &RunHandle, _: BatchNumber, _: BatchNumber, _: u64) {}
    fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<()> {
        self.0.finish_run(run, end)
    }
    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        None
    }
    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        None
    }
}

#[test]
fn all_verdicts_of_a_chunk_come_before_its_operation_and_all_of_a_batch_before_its_transaction() {
    for (strategy, lanes) in [("sequential", 1), ("concurrent", 3), ("adaptive", 2)] {
        let steps = Steps::default();
        let job = Job::of_items(items(0, 1000), "unused.db", "items").and_then(|job| job.id("id")).expect("a job");
        let mut job = planned(job, strategy, 200, lanes)
            .validator(Noting("first verdict", steps.clone()))
            .validator(Noting("second verdict", steps.clone()))
            .operation(Noting("operation", steps.clone()));
        let output = MemoryProcessor::new(Box::new(|_, _, _| Ok(())));
        job.own_processor = Some(Box::new(NotingProcessor(output, steps.clone())));
        let report = host(3).run(job).expect("a run");
        assert_eq!((report.counts.stored, report.batches), (1000, 5), "{strategy}");

        let steps = steps.0.lock().expect("no panic").clone();
        let mut verdicts: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        let (mut transaction, mut operations) = (0, 0);
        // Where the last plugin of each batch was called.
        let mut last_call: BTreeMap<u64, usize> = BTreeMap::new();
        for (place, (what, batch, first)) in steps.iter().enumerate() {
            match *what {
                "begin" => transaction = place,
                "apply" => assert!(last_call[batch] < transaction, "{strategy}, batch {batch}: {steps:?}"),
                "operation" => {
                    operations += 1;
                    assert_eq!(verdicts.get(&(*batch, *first)), Some(&2), "{strategy}, item {first}: {steps:?}");
                    last_call.insert(*batch, place);
                }
                _ => {
                    *verdicts.entry((*batch, *first)).or_default() += 1;
                    last_call.insert(*batch, place);
                }
            }
        }
        assert_eq!((operations, last_call.len()), (verdicts.len(), 5), "{strategy}");
    }
}

/// A validator that, at its first call, waits until the other one is at work as well.
fn meeting(here: Sender<()>, there: Receiver<()>) -> impl Fn(&Call, Item<'_>) -> Verdict + Send + Sync {
    let (there, met) = (Mutex::new(there), AtomicBool::new(false));
    move |_, _| {
        if !met.swap(true, Ordering::SeqCst) {
            here.send(()).expect("the other one lives");
            there.lock().expect("no panic").recv_timeout(PATIENCE).expect("the other one works at the same time");
        }
        Verdict::Accept
    }
}

#[test]
fn two_validators_of_one_chunk_are_at_work_at_the_same_time() {
    for strategy in ["concurrent", "adaptive"] {
        let folder = Folder::new();
        let ((to_second, from_first), (to_first, from_second)) = (channel(), channel());
        let job =
            Job::of_items(items(0, 10), folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
        let job = planned(job, strategy, 10, 2)
            .validator(meeting(to_second, from_second))
            .validator(meeting(to_first, from_first));
        let report = host(2).run(job).expect("a run");
        assert_eq!((report.counts.stored, report.peak_lanes), (10, 2), "{strategy}");
    }
}
