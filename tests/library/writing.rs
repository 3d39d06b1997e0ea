//! Computing and writing side by side: who holds the write lock when, and groups that take too long.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atlas_host::coordinator::{Atomicity, Job};
use atlas_host::error::{Code, Error, Result};
use atlas_host::event::Event;
use atlas_host::model::{BatchNumber, IndexSpec, Item, Name, Outcome, RunNumber, RunStatus, Verdict};
use atlas_host::monitor::{Performance, TRANSACTION_ROLLED_BACK, Watched};
use atlas_host::plugin::Call;
use atlas_host::processor::{MemoryProcessor, Processor};
use atlas_host::store::{BatchWrite, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, WritePolicy};
use atlas_host::transaction::Transactional;

use super::{events, events_of, host, items, planned, recorded, rows, sound};
use crate::harness::Folder;

/// Whether a stranger could write to a store, asked from inside of plugins.
#[derive(Clone)]
struct Asked {
    store: PathBuf,
    answers: Arc<Mutex<Vec<bool>>>,
}

impl Asked {
    fn about(store: &Path) -> Self {
        Self { store: store.to_owned(), answers: Arc::default() }
    }

    fn ask(&self) {
        let free = rusqlite::Connection::open(&self.store)
            .and_then(|stranger| {
                stranger.busy_timeout(Duration::ZERO)?;
                stranger.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
            })
            .is_ok();
        self.answers.lock().expect("no panic").push(free);
    }

    /// The job, in small batches one after another, whose validator and operation both ask for every item.
    fn in_plugins_of(&self, atomic: Atomicity) -> Job {
        let job = Job::of_items(items(0, 40), &self.store, "items").and_then(|job| job.id("id")).expect("a job");
        let mut job = planned(job, "sequential", 5, 1);
        job.atomic = atomic;
        let (validating, operating) = (self.clone(), self.clone());
        job.validator(move |_: &Call, _: Item<'_>| {
            validating.ask();
            Verdict::Accept
        })
        .operation(move |_: &Call, _: Item<'_>| {
            operating.ask();
            Outcome::Keep
        })
    }
}

#[test]
fn the_write_lock_is_free_while_plugins_compute_but_under_atomic_run() {
    for (atomic, free) in [(Atomicity::Batch, true), (Atomicity::Run, false)] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let asked = Asked::about(&store);
        let report = host(1).run(asked.in_plugins_of(atomic)).expect("a run");
        assert_eq!((report.status, report.batches), (RunStatus::Succeeded, 8), "{atomic:?}");
        assert_eq!(*asked.answers.lock().expect("no panic"), [free; 80], "{atomic:?}");
        assert_eq!(rows(&store, "items").len(), 40, "{atomic:?}");
        sound(&store);
    }
}

/// Takes what it is given, and has no time left for batch 2.
struct Late {
    inner: MemoryProcessor,
    open: Vec<u64>,
    kept: Arc<Mutex<Vec<u64>>>,
}

impl Processor for Late {
    fn name(&self) -> &'static str {
        "late"
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
        if self.open.contains(&2) {
            return Err(Error::new(Code::TransactionTimeout, "the group took too long"));
        }
        self.inner.apply(run, group, policy)
    }
    fn commit(&mut self) -> Result<()> {
        self.kept.lock().expect("no panic").append(&mut self.open);
        Ok(())
    }
    fn rollback(&mut self) -> Result<()> {
        self.open.clear();
        Ok(())
    }
    fn note_commit_time(&mut self, _: &RunHandle, _: BatchNumber, _: BatchNumber, _: u64) {}
    fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<()> {
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
fn a_group_that_takes_too_long_is_abandoned_alerted_and_counted_and_ends_the_run() {
    let kept: Arc<Mutex<Vec<u64>>> = Arc::default();
    let performance = Watched::from(Performance::default());
    let inner = MemoryProcessor::new(Box::new(|_, _, _| Ok(())));
    let mut job = Job::of_items(items(0, 40), "unused.db", "items").and_then(|job| job.id("id")).expect("a job");
    job.own_processor = Some(Box::new(Late { inner, open: Vec::new(), kept: Arc::clone(&kept) }));
    let (job, recording) = recorded(planned(job, "sequential", 10, 1).monitor(performance.clone()));
    let failure = host(1).run(job).expect_err("a group takes too long");
    assert_eq!(failure.error.code(), Code::TransactionTimeout);
    let report = failure.report.expect("the run had begun");
    assert_eq!((report.status, report.exit(), report.counts.stored), (RunStatus::Failed, 5, 20));
    assert_eq!(*kept.lock().expect("no panic"), [0, 1], "what was committed before stays, and nothing follows");

    let events = events_of(&recording);
    events::check(&events, 1);
    let place = events.iter().position(|told| matches!(told.event, Event::TransactionRolledBack { .. }));
    let place = place.expect("the group is told as rolled back");
    let Event::TransactionRolledBack { group, reason } = &events[place].event else { panic!("found above") };
    assert!(*group == 2 && reason.contains("took too long"), "group {group}: {reason}");
    let alerts: Vec<(usize, &str, &str)> = events
        .iter()
        .enumerate()
        .filter_map(|(at, told)| match &told.event {
            Event::AlertRaised { alert, message, .. } if alert == TRANSACTION_ROLLED_BACK => {
                Some((at, alert.as_str(), message.as_str()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(alerts[0].0 == place + 1 && alerts[0].2.contains("took too long"), "{alerts:?}");

    let told = performance.read(Performance::report);
    assert_eq!((told.transactions, told.transactions_rolled_back), (2, 1));
    assert!((told.commit_success_share - 2.0 / 3.0).abs() < 1e-9, "{told:?}");
}
