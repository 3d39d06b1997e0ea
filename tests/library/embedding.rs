//! What an embedding program brings itself: sources, strategies, processors, monitors, observers, settings.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use atlas_host::coordinator::{Host, HostOptions, Input, Job, SlotSpec};
use atlas_host::error::{Code, Error, Result};
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{
    BatchNumber, Decision, Fate, IndexSpec, Item, Name, Outcome, Plan, Position, RunNumber, RunStatus,
};
use atlas_host::monitor::{Monitor, Recording, Watched};
use atlas_host::plugin::Call;
use atlas_host::processor::{MemoryProcessor, Processor};
use atlas_host::source::{ListSource, Next, Raw, Source};
use atlas_host::store::{BatchWrite, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, WritePolicy};
use atlas_host::strategy::{Planned, Signals, Strategy};
use atlas_host::transaction::Transactional;

use super::{demand, host, items, letters, only, planned, rows};
use crate::harness::Folder;

/// Counts down, brings ids of its own, and has a blank line behind each third record.
struct Countdown {
    names: [String; 1],
    left: u64,
    blank: bool,
    text: String,
    id: String,
}

impl Countdown {
    fn from(left: u64) -> Self {
        Self { names: ["countdown".to_owned()], left, blank: false, text: String::new(), id: String::new() }
    }
}

impl Source for Countdown {
    fn next(&mut self, _: Option<Instant>) -> Result<Next<'_>> {
        if std::mem::take(&mut self.blank) {
            return Ok(Next::Blank(1));
        }
        if self.left == 0 {
            return Ok(Next::End);
        }
        self.left -= 1;
        self.blank = self.left.is_multiple_of(3);
        self.id = format!("own-{:03}", self.left);
        // The last but one is no JSON.
        self.text = if self.left == 1 { "{".to_owned() } else { format!(r#"{{"id":"other","left":{}}}"#, self.left) };
        let position = Position { input: 0, line: 1000 - self.left, offset: 7 * self.left };
        Ok(Next::Record(Raw { bytes: self.text.as_bytes(), id: Some(&self.id), position }))
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn bytes_read(&self) -> u64 {
        0
    }
}

#[test]
fn a_source_of_the_embedding_program_brings_items_ids_and_positions() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let input = Input::Source { source: Box::new(Countdown::from(30)), resumable: None };
    let job = Job::new(input, Some(store.clone())).id("id").expect("a job");
    let report = host(1).run(planned(job, "concurrent", 7, 1)).expect("a run");
    assert_eq!((report.counts.read, report.counts.stored, report.counts.dead_lettered), (30, 29, 1));
    assert_eq!(report.blank_lines, 10);
    let ids: Vec<String> = rows(&store, "items").into_iter().map(|(id, _)| id).collect();
    let wanted: Vec<String> = (0..30).filter(|n| *n != 1).map(|n| format!("own-{n:03}")).collect();
    assert_eq!(ids, wanted, "the source's ids win over the pointer");
    let letter = &letters(&store)[0];
    assert_eq!((letter.ordinal, letter.line, letter.offset, letter.input.as_str()), (28, 999, 7, "countdown"));
    assert_eq!((letter.code.as_str(), letter.original.as_deref()), ("VALIDATION_4004", Some(&b"{"[..])));
}

/// Keeps the names of events, and whether it was told of the end.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<(Vec<u64>, bool)>>);

impl Monitor for Diary {
    fn name(&self) -> &'static str {
        "diary"
    }

    fn observe(&mut self, event: &Envelope) {
        if let Event::BatchCommitted(done) = &event.event {
            self.0.lock().expect("no panic").0.push(done.batch);
        }
    }

    fn finish(&mut self) {
        self.0.lock().expect("no panic").1 = true;
    }
}

#[test]
fn a_monitor_of_the_embedding_program_has_seen_everything_when_the_run_returns() {
    let folder = Folder::new();
    let diary = Diary::default();
    let job = Job::of_items(items(0, 40), folder.at("out.db"), "items").expect("a job").monitor(diary.clone());
    host(1).run(planned(job, "concurrent", 10, 1)).expect("a run");
    assert_eq!(*diary.0.lock().expect("no panic"), (vec![0, 1, 2, 3], true));
}

#[test]
fn an_observer_sees_every_decision_of_every_batch_in_input_order() {
    let folder = Folder::new();
    let seen: Arc<Mutex<Vec<(u64, &str)>>> = Arc::default();
    let bodies =
        (0..10).map(|n| format!(r#"{{"fault":"{}"}}"#, ["none", "drop", "reject", "emit(1)", "replace"][n % 5]));
    let mut job = Job::of_items(bodies, folder.at("out.db"), "items").expect("a job").operation(demand::operate);
    let notes = Arc::clone(&seen);
    job.observer = Some(Box::new(move |first, decisions| {
        let names = decisions.iter().map(|decision| match decision {
            Decision::Keep => "keep",
            Decision::Replace(_) => "replace",
            Decision::Emit(_) => "emit",
            Decision::Drop => "drop",
            Decision::Refuse(_) => "refuse",
        });
        notes.lock().expect("no panic").extend((first..).zip(names));
    }));
    host(2).run(planned(job, "concurrent", 3, 2)).expect("a run");
    let wanted = ["keep", "drop", "refuse", "emit", "replace"];
    let wanted: Vec<(u64, &str)> = (0..10).map(|n| (n, wanted[n as usize % 5])).collect();
    assert_eq!(*seen.lock().expect("no panic"), wanted);
}

#[test]
fn results_in_memory_come_in_input_order_and_leave_no_file() {
    let folder = Folder::new();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut job =
        Job::of_items(items(0, 500), folder.at("never.db"), "items").and_then(|job| job.id("id")).expect("a job");
    job.processor = atlas_host::processor::ProcessorKind::Memory;
    job.store = None;
    let notes = Arc::clone(&seen);
    job.output = Some(Box::new(move |_, _, body| {
        notes.lock().expect("no panic").push(body.to_owned());
        Ok(())
    }));
    let report = host(2).run(planned(job, "concurrent", 20, 2)).expect("a run");
    assert_eq!((report.status, report.run, report.store), (RunStatus::Succeeded, 0, None));
    assert_eq!(*seen.lock().expect("no panic"), items(0, 500).collect::<Vec<_>>());
    assert!(!folder.at("never.db").exists());
}

#[test]
fn a_run_with_nothing_but_items_keeps_to_its_defaults_and_tells_every_fate() {
    let list = ListSource::new("items", items(0, 25).map(|body| (None, body)));
    let input = Input::Source { source: Box::new(list), resumable: None };
    let host = Host::new(HostOptions::default()).expect("a host");
    let report = host.run(Job::new(input, None)).expect("a run");
    assert_eq!((report.status, report.success, report.exit()), (RunStatus::Succeeded, true, 0));
    assert_eq!((report.run, report.store, report.collection.as_str()), (0, None, "items"));
    assert_eq!((report.counts.read, report.counts.stored), (25, 25));
    assert_eq!(report.fates, Some(vec![(Fate::Stored, 0, 24)]));
}

#[test]
fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let job =
        |first, count| Job::of_items(items(first, count), &store, "items").and_then(|job| job.id("id")).expect("a job");
    host.run(job(0, 10)).expect("a run");
    let mut dry = job(5, 10);
    dry.dry_run = true;
    let report = host.run(dry).expect("a run");
    assert!(report.dry_run);
    assert_eq!((report.counts.stored, report.counts.inserted, report.counts.unchanged), (10, 5, 5));
    assert_eq!(rows(&store, "items").len(), 10);
}

#[test]
fn settings_that_cannot_be_are_refused_by_name_before_anything_is_made() {
    let folder = Folder::new();
    let store = folder.at("never.db");
    let job = || Job::of_items(items(0, 1), &store, "items").expect("a job");
    let refused = |job: Job, word: &str| {
        let error = host(1).run(job).expect_err(word).error;
        assert_eq!(error.code(), Code::ConfigInvalid, "{word}");
        assert!(error.to_string().contains(word), "{word}: {error}");
    };
    let mut attempts = job();
    attempts.attempts = 0;
    refused(attempts, "attempts");
    let mut strategy = job();
    strategy.strategy = "sequentail".to_owned();
    refused(strategy, "sequentail");
    refused(planned(job(), "sequential", 2_000_000, 1), "batch size");
    refused(planned(job(), "sequential", 1, 100_000), "lanes");
    let mut deadline = job();
    deadline.deadline = std::time::Duration::ZERO;
    refused(deadline, "deadline");
    let slot = |change: fn(&mut SlotSpec)| {
        let mut job = job().operation(|_: &Call, _: Item<'_>| Outcome::Keep);
        change(&mut job.operations[0]);
        job
    };
    refused(slot(|spec| spec.deadline = Some(Duration::ZERO)), "deadline of slot operation");
    refused(slot(|spec| spec.memory_bytes = Some(usize::MAX)), "memory of slot operation");
    assert!(Job::of_items(items(0, 1), &store, "no such name").is_err());
    assert!(job().id("").is_err());
    assert!(!store.exists());
}

/// Two batch sizes in turn.
#[derive(Default)]
struct Pendulum(u64);

impl Strategy for Pendulum {
    fn name(&self) -> &'static str {
        "pendulum"
    }

    fn plan(&mut self, _: &Signals) -> Planned {
        self.0 += 1;
        let batch_size = if self.0 % 2 == 1 { 3 } else { 5 };
        let plan = Plan { batch_size, lanes: 1, batches_in_flight: 2 };
        Planned { plan, reason: Some(format!("swing {}", self.0)) }
    }
}

#[test]
fn a_strategy_of_the_embedding_program_plans_each_batch() {
    let folder = Folder::new();
    let seen = Watched::from(Recording::default());
    let mut job =
        Job::of_items(items(0, 16), folder.at("out.db"), "items").expect("a job").id("id").expect("a pointer");
    job.own_strategy = Some(Box::new(Pendulum::default()));
    let report = host(1).run(job.monitor(seen.clone())).expect("a run");
    assert_eq!(report.counts.stored, 16);
    let (mut strategy, mut sizes) = (String::new(), Vec::new());
    seen.read(|recording| {
        for envelope in &recording.0 {
            match &envelope.event {
                Event::RunStarted(started) => strategy = started.strategy.clone(),
                Event::BatchStarted { items, .. } => sizes.push(*items),
                _ => {}
            }
        }
    });
    assert_eq!((strategy.as_str(), sizes), ("pendulum", vec![3, 5, 3, 5]));
}

/// Two lanes for the first batches and one for all others, which may be a trial.
struct Narrowing {
    planned: u64,
    trial: bool,
}

impl Narrowing {
    const WIDE: u64 = 8;
    const BATCH: u64 = 2;
}

impl Strategy for Narrowing {
    fn name(&self) -> &'static str {
        "narrowing"
    }

    fn plan(&mut self, _: &Signals) -> Planned {
        self.planned += 1;
        let lanes = if self.planned <= Self::WIDE { 2 } else { 1 };
        Planned { plan: Plan { batch_size: Self::BATCH as usize, lanes, batches_in_flight: 32 }, reason: None }
    }

    fn on_trial(&self) -> bool {
        self.trial && self.planned > Self::WIDE
    }
}

/// All batches are planned while the first is at work.
#[test]
fn fewer_lanes_take_effect_at_once_unless_they_are_on_trial() {
    for trial in [true, false] {
        let folder = Folder::new();
        let wide = (Narrowing::WIDE * Narrowing::BATCH) as usize;
        let at_work = Arc::new(AtomicUsize::new(0));
        let beside: Arc<Mutex<Vec<usize>>> = Arc::new(Mutex::new(vec![0; wide + 8]));
        let (counter, seen) = (Arc::clone(&at_work), Arc::clone(&beside));
        let operation = move |_: &Call, item: Item<'_>| {
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(30));
            seen.lock().expect("no panic")[item.ordinal.0 as usize] = counter.fetch_sub(1, Ordering::SeqCst);
            Outcome::Keep
        };
        let job = Job::of_items(items(0, wide as u64 + 8), folder.at("out.db"), "items").expect("a job");
        let mut job = job.id("id").expect("a pointer").operation(operation);
        job.bounds.lanes = only(2);
        job.own_strategy = Some(Box::new(Narrowing { planned: 0, trial }));
        let report = host(2).run(job).expect("a run");
        assert_eq!(report.counts.stored, wide as u64 + 8);
        let beside = beside.lock().expect("no panic").clone();
        // The first batch had begun before; of two that end together the later one sees none beside it.
        let under_way = beside[4..wide].contains(&2);
        assert_eq!(under_way, trial, "{beside:?}");
        assert_eq!(beside[wide + 2..], [1; 6], "those planned with one lane");
    }
}

/// Takes what it is given, and refuses to commit the group of batch 2.
struct Ledger {
    inner: MemoryProcessor,
    open: Vec<u64>,
    kept: Arc<Mutex<Vec<u64>>>,
}

impl Processor for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }
    fn declare(&mut self, target: &Name, collections: &[Name], indexes: &[IndexSpec]) -> Result<()> {
        self.inner.declare(target, collections, indexes)
    }
    fn last_run_of_job(&mut self, job: &str) -> Result<Option<RunRow>> {
        self.inner.last_run_of_job(job)
    }
    fn begin_run(&mut self, start: &RunStart, resume: Option<RunNumber>) -> Result<RunHandle> {
        self.inner.begin_run(start, resume)
    }
    fn begin(&mut self) -> Result<()> {
        self.inner.begin()
    }
    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        self.open.extend(group.iter().map(|write| write.number.0));
        self.inner.apply(run, group, policy)
    }
    fn commit(&mut self) -> Result<()> {
        if self.open.contains(&2) {
            return Err(Error::new(Code::StorageFull, "the ledger is full"));
        }
        self.kept.lock().expect("no panic").append(&mut self.open);
        self.inner.commit()
    }
    fn rollback(&mut self) -> Result<()> {
        self.open.clear();
        self.inner.rollback()
    }
    fn note_commit_time(&mut self, _: &RunHandle, _: BatchNumber, _: BatchNumber, _: u64) {}
    fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<()> {
        assert_eq!(end.status, RunStatus::Failed);
        self.inner.finish_run(run, end)
    }
    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        None
    }
    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        None
    }
}

#[test]
fn a_processor_of_the_embedding_program_that_fails_ends_the_run_with_its_own_error() {
    let kept: Arc<Mutex<Vec<u64>>> = Arc::default();
    let inner = MemoryProcessor::new(Box::new(|_, _, _| Ok(())));
    let mut job = Job::of_items(items(0, 40), "unused.db", "items").expect("a job").id("id").expect("a pointer");
    job.own_processor = Some(Box::new(Ledger { inner, open: Vec::new(), kept: Arc::clone(&kept) }));
    let failure = host(1).run(planned(job, "sequential", 10, 1)).expect_err("the ledger fails");
    assert_eq!((failure.error.code(), failure.error.to_string().as_str()), (Code::StorageFull, "the ledger is full"));
    let report = failure.report.expect("the run had begun");
    assert_eq!((report.status, report.counts.read, report.counts.stored), (RunStatus::Failed, 20, 20));
    assert_eq!(*kept.lock().expect("no panic"), [0, 1], "what came after the failed group was not written");
}
