//! Runs over a store that fails as told: what is kept, what is tried again, and what is said.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::coordinator::{Atomicity, Host, HostOptions, Job, RunFailure, RunReport};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::model::{BatchNumber, IndexSpec, Name, RunNumber, RunStatus};
use crate::monitor::{Recording, TRANSACTION_ROLLED_BACK, Watched};
use crate::plugin::Cache;
use crate::processor::{Processor, StorageProcessor};
use crate::store::{
    BatchWrite, Durability, Level, Lookup, Reader, Receipt, RunEnd, RunHandle, RunRow, RunStart, StoreOptions,
    WritePolicy, Writer,
};
use crate::strategy::Interval;
use crate::transaction::Transactional;

/// What goes wrong with the group of batch 2.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Its transaction cannot begin, since another process has the lock.
    Locked,
    /// Its statements fail.
    Apply(Code),
    /// Its commit fails, and nothing is kept.
    Commit(Code),
    /// Its commit says that it failed, and all is kept.
    Committed(Code),
    /// The commit of the whole run says that it failed, and all is kept.
    WholeCommitted(Code),
    /// Its statements panic.
    Panic,
    /// Its statements fail, and so does the rollback.
    Rollback(Code),
    /// Its statements fail, and the file is damaged meanwhile.
    Damage(Code),
}

/// The store, which fails as told as long as `left` is not used up.
struct Failing {
    inner: StorageProcessor,
    store: std::path::PathBuf,
    fault: Fault,
    left: u32,
    met: bool,
    level: u32,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Failing {
    fn note(&self, call: &'static str) {
        self.calls.lock().expect("no panic while it is held").push(call);
    }

    fn noted(&self, call: &str) -> usize {
        self.calls.lock().expect("no panic while it is held").iter().filter(|made| **made == call).count()
    }

    fn fails(&mut self) -> bool {
        let fails = self.met && self.left > 0;
        self.left -= u32::from(fails);
        fails
    }
}

/// Overwrites what the leaves of the rows begin with.
fn damage(store: &Path) {
    let raw = rusqlite::Connection::open(store).expect("a store");
    raw.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("the log is empty");
    let page: u32 = raw
        .query_row("SELECT min(pageno) FROM dbstat WHERE name = 'items' AND pagetype = 'leaf'", [], |row| row.get(0))
        .expect("a page");
    drop(raw);
    let mut bytes = std::fs::read(store).expect("a file");
    bytes[(page as usize - 1) * crate::limits::STORE_PAGE_BYTES as usize..][..200].fill(0xFF);
    std::fs::write(store, bytes).expect("a file");
}

impl Processor for Failing {
    fn name(&self) -> &'static str {
        "failing"
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
        // Two groups were written before that of batch 2.
        if self.fault == Fault::Locked && self.noted("apply") == 2 && self.left > 0 {
            self.left -= 1;
            return Err(Error::new(Code::StorageLocked, "another has it"));
        }
        self.level += 1;
        self.inner.begin()
    }
    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        self.note("apply");
        self.met = group.iter().any(|write| write.number == BatchNumber(2));
        let fault = self.fault;
        match fault {
            Fault::Apply(code) | Fault::Rollback(code) if self.fails() => Err(Error::new(code, "the disk is gone")),
            Fault::Damage(code) if self.fails() => {
                self.inner.rollback()?;
                damage(&self.store);
                Err(Error::new(code, "the disk is gone"))
            }
            Fault::Panic if self.fails() => std::panic::resume_unwind(Box::new("asked to panic")),
            _ => self.inner.apply(run, group, policy),
        }
    }
    fn commit(&mut self) -> Result<()> {
        self.level -= 1;
        let fault = self.fault;
        match fault {
            Fault::Commit(code) if self.fails() => Err(Error::new(code, "no commit")),
            Fault::Committed(code) if self.fails() => {
                self.inner.commit()?;
                Err(Error::new(code, "no commit"))
            }
            Fault::WholeCommitted(code) if self.level == 0 => {
                self.inner.commit()?;
                Err(Error::new(code, "no commit"))
            }
            _ => self.inner.commit(),
        }
    }
    fn rollback(&mut self) -> Result<()> {
        self.note("rollback");
        self.level = self.level.saturating_sub(1);
        self.inner.rollback()?;
        match self.fault {
            Fault::Rollback(_) => Err(Error::new(Code::TransactionRollback, "no rollback")),
            _ => Ok(()),
        }
    }
    fn note_commit_time(&mut self, run: &RunHandle, first: BatchNumber, last: BatchNumber, commit_us: u64) {
        self.inner.note_commit_time(run, first, last, commit_us);
    }
    fn in_order(&self) -> bool {
        self.inner.in_order()
    }
    fn reopen(&mut self, after: Code) -> Result<bool> {
        self.note("reopen");
        self.inner.reopen(after)
    }
    fn position(&mut self, run: &RunHandle) -> Result<u64> {
        self.inner.position(run)
    }
    fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<()> {
        self.note("finish");
        self.inner.finish_run(run, end)
    }
    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        self.inner.transactional()
    }
    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        self.inner.lookup()
    }
}

/// What a run did.
struct Ran {
    outcome: Result<RunReport, RunFailure>,
    recording: Watched<Recording>,
    calls: Vec<&'static str>,
}

/// A folder with an input of 40 items.
struct Bench {
    folder: TempDir,
    host: Host,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lines: String = (0..40).map(|n| format!("{{\"id\":\"{n:02}\",\"n\":{n}}}\n")).collect();
        std::fs::write(folder.path().join("in.ndjson"), lines).expect("a file");
        let options = HostOptions { lanes: 1, cache: Cache::none(), ..HostOptions::default() };
        Self { folder, host: Host::new(options).expect("a host") }
    }

    fn store(&self) -> std::path::PathBuf {
        self.folder.path().join("out.db")
    }

    /// Four batches, one after another.
    fn job(&self) -> Job {
        let input = self.folder.path().join("in.ndjson");
        let job = Job::of_files([input], self.store(), "items").and_then(|job| job.id("id"));
        let mut job = job.and_then(|job| job.index("n")).expect("a job");
        job.strategy = "sequential".to_owned();
        job.bounds.batch_size = Interval::new(10, 10).expect("an interval");
        job
    }

    fn run(&self, mut job: Job, fault: Fault, times: u32) -> Ran {
        let options = StoreOptions { path: self.store(), durability: Durability::Normal, create: true };
        let calls: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        job.own_processor = Some(Box::new(Failing {
            inner: StorageProcessor::new(Writer::open(&options).expect("a store")),
            store: self.store(),
            fault,
            left: times,
            met: false,
            level: 0,
            calls: Arc::clone(&calls),
        }));
        let recording = Watched::from(Recording::default());
        let outcome = self.host.run(job.monitor(recording.clone()));
        let calls = calls.lock().expect("no panic while it is held").clone();
        Ran { outcome, recording, calls }
    }

    fn ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let reader = Reader::open(&self.store()).expect("a store");
        let items = Name::parse("items").expect("a name");
        let exported = reader.export(&items, |id, _| -> Result<()> {
            ids.push(id.to_owned());
            Ok(())
        });
        exported.expect("rows");
        assert_eq!(reader.verify(Level::Full).expect("a readable store"), []);
        ids
    }

    /// The same job, undisturbed, goes on where the store stands and completes it.
    #[track_caller]
    fn same_job_completes(&self, from: u64) {
        let report = self.host.run(self.job()).expect("a run");
        assert_eq!((report.status, report.resumed_at, report.counts.stored), (RunStatus::Succeeded, from, 40));
        assert_eq!(self.ids(), ids(40));
    }
}

impl Ran {
    /// Reasons of rolled-back transactions.
    fn rolled_back(&self) -> Vec<String> {
        let events = self.recording.read(|recording| recording.0.clone());
        let reason = |event: Event| match event {
            Event::TransactionRolledBack { reason, .. } => Some(reason),
            _ => None,
        };
        let told: Vec<String> = events.iter().filter_map(|told| reason(told.event.clone())).collect();
        let alerts = events
            .iter()
            .filter(|told| matches!(&told.event, Event::AlertRaised { alert, .. } if alert == TRANSACTION_ROLLED_BACK));
        assert_eq!(alerts.count(), told.len().min(1), "there is one alert for all of them");
        told
    }

    /// How often each batch was told as committed, in their order.
    fn committed(&self) -> Vec<u64> {
        let of = |event: &Event| match event {
            Event::BatchCommitted(done) => Some(done.batch),
            _ => None,
        };
        self.recording.read(|recording| recording.0.iter().filter_map(|told| of(&told.event)).collect())
    }

    fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| **made == call).count()
    }

    #[track_caller]
    fn failure(self) -> RunFailure {
        self.outcome.expect_err("the run fails")
    }
}

fn ids(count: u64) -> Vec<String> {
    (0..count).map(|n| format!("{n:02}")).collect()
}

#[test]
fn a_group_that_the_store_failed_is_written_once_more_on_a_store_opened_anew() {
    use Code::*;
    for code in [StorageGeneral, TransactionConflict, TransactionState, IndexCorrupt, IndexOutOfStep] {
        for fault in [Fault::Apply(code), Fault::Commit(code)] {
            let bench = Bench::new();
            let ran = bench.run(bench.job(), fault, 1);
            assert_eq!((ran.rolled_back().len(), ran.count("reopen")), (1, 1), "{fault:?}");
            assert_eq!(ran.committed(), [0, 1, 2, 3], "{fault:?}");
            let report = ran.outcome.expect("a run");
            assert_eq!((report.status, report.counts.stored), (RunStatus::Succeeded, 40), "{fault:?}");
            assert_eq!(bench.ids(), ids(40), "{fault:?}");
        }
    }
}

#[test]
fn a_group_that_fails_again_ends_the_run_with_the_original_error_and_the_same_job_completes() {
    for fault in [Fault::Apply(Code::StorageGeneral), Fault::Apply(Code::TransactionConflict)] {
        let bench = Bench::new();
        let ran = bench.run(bench.job(), fault, 2);
        assert_eq!((ran.rolled_back().len(), ran.count("reopen"), ran.count("apply")), (2, 2, 4), "{fault:?}");
        assert_eq!(ran.committed(), [0, 1], "{fault:?}");
        let Fault::Apply(code) = fault else { panic!("of the list above") };
        let failure = ran.failure();
        assert_eq!((failure.error.code(), failure.error.to_string().as_str()), (code, "the disk is gone"));
        let report = failure.report.expect("the run had begun");
        assert_eq!((report.status, report.exit(), report.counts.stored), (RunStatus::Failed, 5, 20));
        assert_eq!(bench.ids(), ids(20));
        bench.same_job_completes(20);
    }
}

#[test]
fn a_group_whose_lock_is_anothers_waits_for_it_within_bounds_and_the_store_is_not_doubted() {
    let most = crate::limits::LOCKED_RETRIES_MAX;
    let bench = Bench::new();
    let ran = bench.run(bench.job(), Fault::Locked, most);
    assert_eq!((ran.rolled_back().len(), ran.count("reopen")), (most as usize, 0));
    assert_eq!(ran.committed(), [0, 1, 2, 3]);
    assert_eq!(ran.outcome.expect("a run").status, RunStatus::Succeeded);
    assert_eq!(bench.ids(), ids(40));

    let bench = Bench::new();
    let ran = bench.run(bench.job(), Fault::Locked, most + 1);
    assert_eq!((ran.rolled_back().len(), ran.count("reopen"), ran.count("apply")), (most as usize + 1, 0, 2));
    let failure = ran.failure();
    let report = failure.report.expect("the run had begun");
    assert_eq!((failure.error.code(), report.exit(), report.counts.stored), (Code::StorageLocked, 6, 20));
    bench.same_job_completes(20);
}

#[test]
fn after_an_error_of_the_disk_nothing_is_tried_again_and_the_end_is_noted_on_a_store_opened_anew() {
    use Code::*;
    for code in [StorageRead, StorageWrite, StorageFull, TransactionCommit, TransactionRollback] {
        for fault in [Fault::Apply(code), Fault::Commit(code)] {
            let bench = Bench::new();
            let ran = bench.run(bench.job(), fault, 1);
            assert_eq!(ran.calls[ran.calls.len() - 3..], ["rollback", "reopen", "finish"], "{fault:?}");
            assert_eq!((ran.rolled_back().len(), ran.count("apply")), (1, 3), "{fault:?}");
            let failure = ran.failure();
            let report = failure.report.expect("the run had begun");
            assert_eq!((failure.error.code(), report.exit(), report.counts.stored), (code, 5, 20), "{fault:?}");
            assert_eq!(bench.ids(), ids(20), "{fault:?}");
            bench.same_job_completes(20);
        }
    }
}

#[test]
fn what_is_no_failure_of_the_store_does_not_open_it_anew() {
    for code in [Code::TransactionTimeout, Code::TransactionFenced, Code::Internal] {
        let bench = Bench::new();
        let ran = bench.run(bench.job(), Fault::Apply(code), 1);
        assert_eq!((ran.rolled_back().len(), ran.count("reopen"), ran.count("apply")), (1, 0, 3), "{code}");
        assert_eq!(ran.failure().error.code(), code);
        bench.same_job_completes(20);
    }
}

#[test]
fn a_commit_that_was_kept_although_it_failed_is_acknowledged_once_and_not_told_as_rolled_back() {
    for code in [Code::StorageGeneral, Code::TransactionState] {
        let bench = Bench::new();
        let ran = bench.run(bench.job(), Fault::Committed(code), 1);
        assert_eq!((ran.rolled_back().len(), ran.count("reopen"), ran.count("apply")), (0, 1, 4), "{code}");
        assert_eq!(ran.committed(), [0, 1, 2, 3], "{code}");
        let report = ran.outcome.expect("a run");
        assert_eq!((report.status, report.counts.stored, report.counts.inserted), (RunStatus::Succeeded, 40, 40));
        assert_eq!(bench.ids(), ids(40), "{code}");
    }
}

#[test]
fn a_commit_that_was_kept_although_the_disk_failed_is_acknowledged_and_the_last_of_its_run() {
    for code in [Code::StorageWrite, Code::StorageFull, Code::TransactionCommit] {
        let bench = Bench::new();
        let ran = bench.run(bench.job(), Fault::Committed(code), 1);
        assert_eq!((ran.rolled_back().len(), ran.count("reopen"), ran.count("apply")), (0, 1, 3), "{code}");
        assert_eq!(ran.committed(), [0, 1, 2], "{code}");
        let failure = ran.failure();
        let report = failure.report.expect("the run had begun");
        assert_eq!((failure.error.code(), report.exit(), report.counts.stored), (code, 5, 30), "{code}");
        assert_eq!(bench.ids(), ids(30), "{code}");
        bench.same_job_completes(30);
    }
}

#[test]
fn both_faults_are_told_where_the_rollback_fails_too() {
    let bench = Bench::new();
    let ran = bench.run(bench.job(), Fault::Rollback(Code::StorageFull), 1);
    let wanted = "the disk is gone; its rollback failed too: no rollback";
    assert_eq!(ran.rolled_back(), [format!("STORAGE_2009: {wanted}")]);
    let failure = ran.failure();
    assert_eq!((failure.error.code(), failure.error.to_string().as_str()), (Code::StorageFull, wanted));
    let report = failure.report.expect("the run had begun");
    assert_eq!(report.error.expect("an error").message, wanted);
    bench.same_job_completes(20);
}

#[test]
fn a_store_that_is_damaged_meanwhile_ends_the_run_and_both_are_told() {
    let bench = Bench::new();
    let failure = bench.run(bench.job(), Fault::Damage(Code::StorageGeneral), 1).failure();
    assert_eq!(failure.error.code(), Code::StorageGeneral);
    let text = failure.error.to_string();
    assert!(text.starts_with("the disk is gone; the store cannot be opened anew: "), "{text}");
    assert_eq!(text.matches("is damaged: ").count(), 1, "{text}");
    assert!(failure.error.hint_text().starts_with("restore a copy"), "{}", failure.error.hint_text());
    assert_eq!(failure.report.expect("the run had begun").exit(), 5);
    let options = StoreOptions { path: bench.store(), durability: Durability::Full, create: false };
    assert_eq!(Writer::open(&options).map(|_| ()).expect_err("it is checked").code(), Code::StorageGeneral);
}

#[test]
fn a_panic_of_the_processor_ends_the_run_and_leaves_a_store_that_goes_on() {
    let bench = Bench::new();
    let ran = bench.run(bench.job(), Fault::Panic, 1);
    assert_eq!((ran.count("reopen"), ran.count("apply")), (1, 3));
    let failure = ran.failure();
    assert_eq!((failure.error.code(), failure.error.to_string().as_str()), (Code::Internal, "asked to panic"));
    bench.same_job_completes(20);
}

#[test]
fn a_whole_run_is_not_tried_again_and_leaves_nothing() {
    for fault in [Fault::Apply(Code::StorageGeneral), Fault::Apply(Code::StorageWrite)] {
        let bench = Bench::new();
        let mut job = bench.job();
        job.atomic = Atomicity::Run;
        let ran = bench.run(job, fault, 1);
        assert_eq!((ran.count("apply"), ran.count("reopen")), (3, 1), "{fault:?}: opened anew for the end alone");
        let report = ran.failure().report.expect("the run had begun");
        assert_eq!((report.status, report.counts.stored, report.exit()), (RunStatus::RolledBack, 0, 5), "{fault:?}");
        assert_eq!(bench.ids(), ids(0), "{fault:?}");
    }
}

#[test]
fn a_whole_run_whose_commit_was_kept_although_it_failed_counts_what_is_kept() {
    let bench = Bench::new();
    let whole = || {
        let mut job = bench.job();
        job.atomic = Atomicity::Run;
        job
    };
    let failure = bench.run(whole(), Fault::WholeCommitted(Code::StorageWrite), 0).failure();
    let report = failure.report.expect("the run had begun");
    assert_eq!((failure.error.code(), report.status, report.exit()), (Code::StorageWrite, RunStatus::Failed, 5));
    assert_eq!((report.counts.stored, bench.ids()), (40, ids(40)));
    let report = bench.host.run(whole()).expect("a run");
    assert_eq!((report.status, report.resumed_at, report.counts.stored), (RunStatus::Succeeded, 40, 40));

    let bench = Bench::new();
    let mut job = bench.job();
    job.atomic = Atomicity::Run;
    let report = bench.run(job, Fault::WholeCommitted(Code::StorageGeneral), 0).outcome.expect("a run");
    assert_eq!((report.status, report.counts.stored), (RunStatus::Succeeded, 40));
    assert_eq!(bench.ids(), ids(40));
}

#[test]
fn a_run_beside_one_that_the_store_failed_goes_on() {
    use crate::coordinator::writer::{WriteRequest, WriterService, Written};
    let bench = Bench::new();
    let options = StoreOptions { path: bench.store(), durability: Durability::Normal, create: true };
    let store = bench.store();
    let service = WriterService::start(move || {
        let inner = StorageProcessor::new(Writer::open(&options)?);
        let fault = Fault::Rollback(Code::StorageWrite);
        Ok(Box::new(Failing { inner, store, fault, left: 1, met: false, level: 0, calls: Arc::default() }))
    })
    .expect("a writer");
    let items = Name::parse("items").expect("a name");
    let (target, started) = (items.clone(), crate::coordinator::writer::tests::start());
    let [one, other] = service
        .ask(move |processor| {
            processor.declare(&target, &[], &[])?;
            let other = RunStart { uuid: "0198-another".to_owned(), ..started.clone() };
            Ok([processor.begin_run(&started, None)?, processor.begin_run(&other, None)?])
        })
        .expect("two runs");
    let (reply, told) = crossbeam_channel::unbounded();
    let write = |key, handle: &RunHandle, number| {
        let policy = WritePolicy {
            target: items.clone(),
            collections: [items.clone()].into(),
            on_existing: crate::model::OnExisting::Replace,
            sort: true,
            remove_rejected: false,
            over_newer: false,
        };
        let write = crate::coordinator::writer::tests::batch(number, 1);
        let (handle, policy, reply) = (Arc::new(handle.clone()), Arc::new(policy), reply.clone());
        service.write(WriteRequest { key, handle, policy, write, budget: None, reply }).expect("a writer");
    };
    write(1, &one, 2);
    assert!(matches!(told.recv(), Ok(Written::RolledBack { .. })));
    assert!(matches!(told.recv(), Ok(Written::Failed(_))));
    write(2, &other, 0);
    assert!(matches!(told.recv(), Ok(Written::Committed(_))), "the other run is written");
    let ended = service.ask(move |processor| processor.position(&one));
    assert_eq!(ended.expect("the store is in order"), 0);
}
