//! The writer over a processor that does what a script says and notes every call.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use super::*;
use crate::model::{
    Batch, BatchMetrics, Counts, Decision, Digest, IndexSpec, Name, OnExisting, Position, Record, RecordKind, RunNumber,
};
use crate::store::{Lookup, RunEnd, RunRow, RunStart};
use crate::transaction::Transactional;

/// What a call that the script names does.
#[derive(Debug, Clone, Copy)]
enum Act {
    Fail(Code),
    Panic,
}

/// Notes its calls, such as `begin` and `apply 0 1`; those that the script names fail, each time they come.
struct Scripted {
    calls: Calls,
    script: BTreeMap<&'static str, Act>,
    /// Failed items of every batch.
    failed: u64,
}

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("no panic while the list is held")
    }

    fn note(&self, call: impl Into<String>) {
        self.lock().push(call.into());
    }

    /// The calls so far, and none from here on.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }
}

impl Scripted {
    fn call(&self, call: &str) -> Result<()> {
        self.calls.note(call);
        match self.script.get(call) {
            None => Ok(()),
            Some(Act::Fail(code)) => Err(Error::new(*code, format!("no {call}"))),
            Some(Act::Panic) => std::panic::resume_unwind(Box::new(format!("asked to panic at {call}"))),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.calls.note("closed");
    }
}

impl Processor for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn declare(&mut self, _: &Name, _: &[Name], _: &[IndexSpec]) -> Result<()> {
        self.call("declare")
    }
    fn last_run_of_job(&mut self, _: &str) -> Result<Option<RunRow>> {
        Ok(None)
    }
    fn begin_run(&mut self, _: &RunStart, _: Option<RunNumber>) -> Result<RunHandle> {
        Ok(handle())
    }
    fn begin(&mut self) -> Result<()> {
        self.call("begin")
    }
    fn apply(&mut self, _: &RunHandle, group: &[BatchWrite], _: &WritePolicy) -> Result<Vec<Receipt>> {
        let numbers: Vec<String> = group.iter().map(|write| write.number.to_string()).collect();
        self.call(&format!("apply {}", numbers.join(" ")))?;
        let receipt = |write: &BatchWrite| {
            let read = write.batch.len() as u64;
            let counts = Counts { read, stored: read - self.failed, rejected: self.failed, ..Counts::default() };
            Receipt { counts, refused: Vec::new(), bytes_out: 0, write_us: 0 }
        };
        Ok(group.iter().map(receipt).collect())
    }
    fn commit(&mut self) -> Result<()> {
        self.call("commit")
    }
    fn rollback(&mut self) -> Result<()> {
        self.call("rollback")
    }
    fn note_commit_time(&mut self, _: &RunHandle, first: BatchNumber, last: BatchNumber, _: u64) {
        self.calls.note(format!("took {first} {last}"));
    }
    fn finish_run(&mut self, _: &RunHandle, _: &RunEnd) -> Result<()> {
        self.call("finish")
    }
    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        None
    }
    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        None
    }
}

fn handle() -> RunHandle {
    RunHandle {
        run: RunNumber(1),
        epoch: 1,
        next: 0,
        next_batch: BatchNumber(0),
        counts: Counts::default(),
        blank_lines: 0,
        input_digest: None,
        seed: 0,
        clock_ms: 0,
        uuid: String::new(),
    }
}

/// What a run is begun with.
pub fn start() -> RunStart {
    RunStart {
        job: "job".to_owned(),
        uuid: "0198-a-run".to_owned(),
        collection: Name::parse("items").expect("a legal name"),
        started_ms: 0,
        seed: 0,
        clock_ms: 0,
        settings_json: "{}".to_owned(),
        identity: Vec::new(),
        plugins: Vec::new(),
        inputs_json: "[]".to_owned(),
        atomic: "batch".to_owned(),
        lo: 0,
        hi: None,
    }
}

/// A batch of so many empty items.
pub fn batch(number: u64, items: usize) -> BatchWrite {
    let record = Record { position: Position::default(), kind: RecordKind::Item { id: 0..0, body: 0..0 } };
    BatchWrite {
        number: BatchNumber(number),
        batch: Arc::new(Batch { records: vec![record; items], ..Batch::default() }),
        decisions: vec![Decision::Drop; items],
        metrics: BatchMetrics::default(),
        computed_at: std::time::Instant::now(),
        chunks: Vec::new(),
        plan: None,
        chain: None,
        plugins: Vec::new(),
        retries: 0,
        attempts: HashMap::new(),
        blank_lines: 0,
        input_names: Arc::from([]),
        input_digest: Digest::of(b""),
        digests: Arc::from([]),
        retried: Vec::new(),
    }
}

/// A writer over a scripted processor.
struct Bench {
    service: WriterService,
    calls: Calls,
}

/// What a run has been told so far.
struct Told(Receiver<Written>);

impl Bench {
    fn new(script: &[(&'static str, Act)]) -> Self {
        Self::with_failures(script, 0)
    }

    fn with_failures(script: &[(&'static str, Act)], failed: u64) -> Self {
        let calls = Calls::default();
        let processor = Scripted { calls: calls.clone(), script: script.iter().copied().collect(), failed };
        let service = WriterService::start(move || Ok(Box::new(processor))).expect("a writer");
        Self { service, calls }
    }

    /// Hands over batches of a run; the answers come in what is returned.
    fn write(&self, key: u64, batches: impl IntoIterator<Item = BatchWrite>, budget: Option<&Arc<Budget>>) -> Told {
        let (reply, told) = bounded(100);
        for write in batches {
            let (handle, reply) = (Arc::new(handle()), reply.clone());
            let name = Name::parse("items").expect("a legal name");
            let policy = Arc::new(WritePolicy {
                target: name.clone(),
                collections: [name].into(),
                on_existing: OnExisting::Replace,
                sort: true,
                remove_rejected: false,
                over_newer: false,
            });
            let budget = budget.cloned();
            self.service.write(WriteRequest { key, handle, policy, write, budget, reply }).expect("a writer");
        }
        Told(told)
    }

    /// Lets the writer stand still while `queue` hands things over, so that they are ready together.
    fn together<T>(&self, queue: impl FnOnce() -> T) -> T {
        let (at_work, started) = bounded(1);
        let (leave, go_on) = bounded::<()>(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                self.service.ask(move |_| {
                    at_work.send(()).expect("the test waits");
                    go_on.recv().expect("the test gives leave");
                    Ok(())
                })
            });
            started.recv().expect("the writer is at work");
            let queued = queue();
            leave.send(()).expect("the writer waits");
            queued
        })
    }

    /// Waits until the writer has done what it was told before.
    fn settle(&self) {
        self.service.ask(|_| Ok(())).expect("a writer");
    }
}

impl Told {
    /// The numbers of the next group that was committed, and whether it crossed the limit.
    #[track_caller]
    fn committed(&self) -> (Vec<u64>, bool) {
        match self.0.recv().expect("an answer") {
            Written::Committed(group) => {
                (group.batches.iter().map(|(write, _)| write.number.0).collect(), group.crossed)
            }
            Written::RolledBack { error, .. } | Written::Failed(error) => panic!("the group failed: {error}"),
            Written::InDoubt => panic!("the group is in doubt"),
            Written::IndexesBuilt(_) => panic!("no index was asked for"),
        }
    }

    /// The first and last batch of the next group, which was rolled back if it was begun, and why it failed.
    #[track_caller]
    fn failed(&self) -> (Option<(u64, u64)>, Error) {
        let mut undone = None;
        loop {
            match self.0.recv().expect("an answer") {
                Written::Committed(_) => panic!("the group was committed"),
                Written::InDoubt | Written::IndexesBuilt(_) => {}
                Written::RolledBack { first, last, .. } => undone = Some((first.0, last.0)),
                Written::Failed(error) => return (undone, error),
            }
        }
    }
}

const DISK: Code = Code::StorageFull;

#[test]
fn batches_that_are_ready_together_share_one_transaction_and_are_acknowledged_after_its_commit() {
    let bench = Bench::new(&[]);
    let told = bench.together(|| bench.write(1, (0..3).map(|n| batch(n, 10)), None));
    assert_eq!(told.committed(), (vec![0, 1, 2], false));
    let calls = bench.calls.take();
    assert_eq!(calls, ["begin", "apply 0 1 2", "commit", "took 0 2"], "all of it before the acknowledgement");
    let told = bench.write(1, [batch(3, 10)], None);
    assert_eq!(told.committed(), (vec![3], false));
    assert_eq!(bench.calls.take(), ["begin", "apply 3", "commit", "took 3 3"]);
}

#[test]
fn a_group_ends_with_the_batch_that_reaches_its_bound() {
    let bench = Bench::new(&[]);
    let half = limits::GROUP_ITEMS_MAX / 2;
    let told = bench.together(|| bench.write(1, (0..5).map(|n| batch(n, half)), None));
    assert_eq!([told.committed().0, told.committed().0, told.committed().0], [vec![0, 1], vec![2, 3], vec![4]]);
}

#[test]
fn a_group_has_the_batches_of_one_run_and_those_of_another_keep_their_order() {
    let bench = Bench::new(&[]);
    let (one, other) = bench.together(|| {
        let one = bench.write(1, [batch(0, 1)], None);
        let other = bench.write(2, [batch(0, 1), batch(1, 1)], None);
        let more = bench.write(1, [batch(1, 1)], None);
        ([one, more], other)
    });
    assert_eq!(one[0].committed().0, [0, 1]);
    assert_eq!(other.committed().0, [0, 1]);
    bench.settle();
    assert!(one[1].0.try_recv().is_err(), "a group is acknowledged once");
}

#[test]
fn a_group_that_fails_is_rolled_back_and_no_later_batch_of_its_run_is_written() {
    for (script, calls) in [
        (("apply 0 1", Act::Fail(DISK)), &["begin", "apply 0 1", "rollback"][..]),
        (("commit", Act::Fail(DISK)), &["begin", "apply 0 1", "commit", "rollback"][..]),
        (("begin", Act::Fail(DISK)), &["begin"][..]),
    ] {
        let bench = Bench::new(&[script]);
        let told = bench.together(|| bench.write(1, [batch(0, 1), batch(1, 1)], None));
        let (undone, error) = told.failed();
        assert_eq!((undone, error.code()), (Some((0, 1)), DISK), "{script:?}");
        assert_eq!(bench.calls.take(), calls, "{script:?}");
        let (undone, error) = bench.write(1, [batch(2, 1)], None).failed();
        assert_eq!((undone, error.code()), (None, Code::TransactionState), "{script:?}");
        assert_eq!(bench.calls.take(), [""; 0], "{script:?}: nothing was tried");
    }
}

#[test]
fn a_run_that_failed_costs_no_other_run_and_its_key_is_free_once_it_is_forgotten() {
    let bench = Bench::new(&[("apply 7", Act::Fail(DISK))]);
    bench.write(1, [batch(7, 1)], None).failed();
    assert_eq!(bench.write(2, [batch(8, 1)], None).committed().0, [8]);
    bench.service.forget(1);
    assert_eq!(bench.write(1, [batch(8, 1)], None).committed().0, [8]);
}

#[test]
fn a_rollback_that_fails_too_does_not_hide_the_first_error() {
    let script = [("apply 0", Act::Fail(DISK)), ("rollback", Act::Fail(Code::TransactionRollback))];
    let (_, error) = Bench::new(&script).write(1, [batch(0, 1)], None).failed();
    let wanted = "no apply 0; its rollback failed too: no rollback";
    assert_eq!((error.code(), error.to_string().as_str()), (DISK, wanted));
}

#[test]
fn a_processor_that_panics_fails_its_group_and_the_writer_lives_on() {
    for call in ["begin", "apply 0", "commit"] {
        let bench = Bench::new(&[(call, Act::Panic)]);
        let (_, error) = bench.write(1, [batch(0, 1)], None).failed();
        assert_eq!((error.code(), error.to_string()), (Code::Internal, format!("asked to panic at {call}")));
        assert_eq!(bench.calls.take().last().map(String::as_str), Some("rollback"), "{call}");
        assert_eq!(bench.service.ask(|_| Ok(7)).expect("an answer"), 7);
    }
}

#[test]
fn a_task_that_panics_fails_its_asker_alone() {
    let bench = Bench::new(&[]);
    let asked: Result<()> = bench.service.ask(|_| std::panic::resume_unwind(Box::new("asked to panic")));
    assert_eq!(asked.expect_err("it panicked").code(), Code::Internal);
    assert_eq!(bench.write(1, [batch(0, 1)], None).committed().0, [0]);
}

#[test]
fn the_batch_that_crosses_the_limit_of_failed_items_is_the_last_that_is_written() {
    let bench = Bench::with_failures(&[], 2);
    // Two were failed before; with two more in each batch the second crosses.
    let budget = Arc::new(Budget::new(RejectLimit::Count(5), 2, 10, Vec::new()));
    let told = bench.together(|| bench.write(1, (0..4).map(|n| batch(n, 10)), Some(&budget)));
    assert_eq!(told.committed(), (vec![0, 1], true));
    assert_eq!(bench.calls.take(), ["begin", "apply 0", "apply 1", "commit", "took 0 1"]);
    let (undone, error) = bench.write(1, [batch(4, 10)], Some(&budget)).failed();
    assert_eq!((undone, error.code()), (None, Code::TransactionState));
}

#[test]
fn failed_items_of_earlier_groups_count_towards_the_limit() {
    let bench = Bench::with_failures(&[], 2);
    let budget = Arc::new(Budget::new(RejectLimit::Percent(15.0), 0, 20, Vec::new()));
    // 2 of 30, then 4 of 40, then 6 of 50, then 8 of 52.
    for (number, items) in [(0, 10), (1, 10), (2, 10)] {
        let told = bench.write(1, [batch(number, items)], Some(&budget));
        assert_eq!(told.committed(), (vec![number], false));
    }
    assert_eq!(bench.write(1, [batch(3, 2)], Some(&budget)).committed(), (vec![3], true));
}

#[test]
fn while_a_run_holds_the_writer_nobody_else_is_served_and_afterwards_all_are() {
    let bench = Bench::new(&[]);
    bench.service.hold(1, |processor| processor.begin()).expect("held");
    let other = bench.write(2, [batch(0, 1)], None);
    let own = bench.write(1, [batch(0, 1)], None);
    assert_eq!(own.committed().0, [0]);
    assert!(other.0.try_recv().is_err(), "the other run came first, and waits");
    bench.service.ask_for(1, |processor| processor.declare(&Name::parse("a").expect("a name"), &[], &[])).expect("own");
    assert_eq!(bench.calls.take(), ["begin", "begin", "apply 0", "commit", "took 0 0", "declare"]);
    std::thread::scope(|scope| {
        let stranger = scope.spawn(|| bench.service.ask(|processor| processor.rollback()));
        let holder = scope.spawn(|| bench.service.hold(3, |processor| processor.begin()));
        bench.service.release(1, |processor| processor.commit()).expect("released");
        holder.join().expect("no panic").expect("held in turn");
        bench.service.release(3, |processor| processor.commit()).expect("released");
        stranger.join().expect("no panic").expect("served");
    });
    assert_eq!(other.committed().0, [0]);
    assert_eq!(bench.calls.take()[0], "commit", "the holder's end comes before everyone's beginning");
}

#[test]
fn a_run_that_could_not_begin_its_hold_holds_nobody_up() {
    let bench = Bench::new(&[("begin", Act::Fail(Code::TransactionStart))]);
    let held = bench.service.hold(1, |processor| processor.begin());
    assert_eq!(held.expect_err("it cannot begin").code(), Code::TransactionStart);
    bench.settle();
    assert_eq!(bench.write(2, [batch(0, 1)], None).failed().1.code(), Code::TransactionStart, "another run is served");
}

#[test]
fn a_writer_that_cannot_open_says_why() {
    let refused = WriterService::start(|| Err(Error::new(Code::StorageLocked, "in use")));
    assert_eq!(refused.err().expect("an error").code(), Code::StorageLocked);
    let panicked = WriterService::start(|| std::panic::resume_unwind(Box::new("asked to panic")));
    let error = panicked.err().expect("an error");
    assert_eq!((error.code(), error.to_string().as_str()), (Code::Internal, "the writer panicked: asked to panic"));
}

#[test]
fn dropping_the_service_writes_what_was_handed_over_and_closes_the_processor() {
    let bench = Bench::new(&[]);
    let told = bench.together(|| bench.write(1, [batch(0, 1)], None));
    let Bench { service, calls } = bench;
    drop(service);
    assert_eq!(told.committed().0, [0]);
    assert_eq!(calls.take(), ["begin", "apply 0", "commit", "took 0 0", "closed"]);
}
