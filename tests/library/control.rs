//! The control handle: bounds change while a run is under way, and a run stops when it is told to.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use atlas_host::coordinator::{Command, Control, Job};
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{Item, Outcome, Problem, RunStatus, Verdict};
use atlas_host::monitor::{Monitor, subscription};
use atlas_host::plugin::Call;
use atlas_host::strategy::Interval;

use super::{events, events_of, host, items, only, planned, recorded, rows, sound};
use crate::harness::Folder;

/// A run over items that the test sends one by one.
struct Fed {
    items: Sender<String>,
    events: Receiver<Envelope>,
    control: Control,
    sent: u64,
}

impl Fed {
    fn job(folder: &Folder, strategy: &str, batch_size: usize, lanes: usize) -> (Self, Job) {
        let (items, fed) = channel();
        let job = Job::of_items(fed, folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
        let (monitor, events) = subscription(100_000);
        let mut job = planned(job, strategy, batch_size, lanes).monitor(monitor);
        // No batch is closed early, however slow the test is.
        job.batch_wait = Duration::from_secs(600);
        (Self { items, events, control: job.control.clone(), sent: 0 }, job)
    }

    fn feed(&mut self, count: u64) {
        for body in items(self.sent, count) {
            self.items.send(body).expect("the run reads");
        }
        self.sent += count;
    }

    /// Waits for an event of this kind.
    fn until<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        self.events.iter().find_map(|envelope| wanted(&envelope.event)).expect("it comes before the end")
    }

    /// Tells the run, and waits until it says that it has heard.
    fn tell(&self, command: Command) -> (String, String) {
        self.control.tell(command).expect("room in the queue");
        self.until(|event| match event {
            Event::BoundsChanged { setting, value } => Some((setting.clone(), value.clone())),
            _ => None,
        })
    }

    fn until_committed(&self, wanted: u64) {
        self.until(|event| matches!(event, Event::BatchCommitted(done) if done.batch == wanted).then_some(()));
    }
}

#[test]
fn a_batch_size_changed_while_the_run_is_under_way_is_obeyed_by_later_batches() {
    let folder = Folder::new();
    let (mut fed, job) = Fed::job(&folder, "sequential", 10, 1);
    let job = job.operation(|_: &Call, _: Item<'_>| Outcome::Keep).validator(|_: &Call, _: Item<'_>| Verdict::Accept);
    let (job, recording) = recorded(job);
    let host = host(1);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| host.run(job));
        fed.feed(10);
        fed.until_committed(0);
        let told = fed.tell(Command::BatchSize(only(25)));
        assert_eq!(told, ("batch-size".to_owned(), "25..25".to_owned()));
        // Batch 1 was asked for before the change.
        fed.feed(10 + 3 * 25 + 5);
        drop(fed.items);
        let report = run.join().expect("no panic").expect("a run");
        assert_eq!((report.status, report.counts.stored), (RunStatus::Succeeded, 100));
    });
    let events = events_of(&recording);
    events::check(&events, 1);
    let sizes: Vec<(u64, u64)> = events
        .iter()
        .filter_map(|e| match e.event {
            Event::BatchStarted { items, batch_size, .. } => Some((items, batch_size)),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [(10, 10), (10, 10), (25, 25), (25, 25), (25, 25), (5, 25)]);
    for envelope in &events {
        if let Event::BatchStarted { batch, slots, .. } = &envelope.event {
            assert_eq!(*slots, ["validator1", "operation"], "batch {batch}: before the change and after it");
        }
    }
    let plans = events.iter().filter(|e| matches!(e.event, Event::PlanChosen { batch: 2, batch_size: 25, .. })).count();
    assert_eq!(plans, 1, "the new plan is told");
}

#[test]
fn lanes_changed_while_the_run_is_under_way_are_obeyed_by_later_batches() {
    let folder = Folder::new();
    let (mut fed, job) = Fed::job(&folder, "concurrent", 10, 1);
    let (job, recording) = recorded(job);
    let host = host(3);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| host.run(job));
        fed.feed(10);
        fed.until_committed(0);
        let told = fed.tell(Command::Lanes(Interval::new(2, 3).expect("in order")));
        assert_eq!(told, ("lanes".to_owned(), "2..3".to_owned()));
        fed.feed(2990);
        drop(fed.items);
        assert_eq!(run.join().expect("no panic").expect("a run").counts.stored, 3000);
    });
    let events = events_of(&recording);
    events::check(&events, 3);
    let lanes: Vec<u64> = events
        .iter()
        .filter_map(|e| match e.event {
            Event::BatchStarted { lanes, .. } => Some(lanes),
            _ => None,
        })
        .collect();
    assert_eq!((lanes[0], lanes[lanes.len() - 1]), (1, 3), "{lanes:?}");
    assert!(lanes.is_sorted(), "{lanes:?}");
}

#[test]
fn attempts_changed_while_the_run_is_under_way_count_for_later_items() {
    let folder = Folder::new();
    let (mut fed, mut job) = Fed::job(&folder, "sequential", 1, 1);
    job.attempts = 1;
    let second_time = |call: &Call, _: Item<'_>| match call.attempt {
        1 => Outcome::Retry(
            Problem { code: "LATER".into(), message: "not yet".into(), pointer: String::new(), details: vec![] },
            None,
        ),
        _ => Outcome::Keep,
    };
    let job = job.operation(second_time);
    let host = host(1);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| host.run(job));
        fed.feed(1);
        fed.until_committed(0);
        assert_eq!(fed.tell(Command::Attempts(2)), ("attempts".to_owned(), "2".to_owned()));
        fed.feed(1);
        drop(fed.items);
        let report = run.join().expect("no panic").expect("a run");
        assert_eq!((report.counts.dead_lettered, report.counts.stored, report.counts.retries), (1, 1, 1));
    });
}

/// Stops the run when this batch is committed.
struct StopAt(u64, Control);

impl Monitor for StopAt {
    fn name(&self) -> &'static str {
        "stop-at"
    }

    fn observe(&mut self, event: &Envelope) {
        if matches!(&event.event, Event::BatchCommitted(done) if done.batch == self.0) {
            self.1.stop();
        }
    }
}

#[test]
fn a_run_that_is_told_to_stop_commits_what_is_under_way_and_the_same_job_continues() {
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let input = folder.write("in.ndjson", items(0, 20_000).collect::<Vec<_>>().join("\n"));
        let job = || {
            let job = Job::of_files([&input], &store, "items").and_then(|job| job.id("id")).expect("a job");
            planned(job, strategy, 20, 2)
        };
        let first = job();
        let stopper = StopAt(3, first.control.clone());
        let (first, recording) = recorded(first.monitor(stopper));
        let report = host(2).run(first).expect("a stop is no error");
        let counts = events::check(&events_of(&recording), 2);
        assert_eq!((report.status, report.exit()), (RunStatus::Interrupted, 130), "{strategy}");
        assert!((80..20_000).contains(&counts.stored), "{strategy}: {} stored", counts.stored);
        assert_eq!(rows(&store, "items").len() as u64, counts.stored);
        sound(&store);

        let report = host(2).run(job()).expect("a run");
        assert_eq!((report.resumed_at, report.status), (counts.stored, RunStatus::Succeeded), "{strategy}");
        assert_eq!((report.counts.read, report.counts.stored, report.counts.inserted), (20_000, 20_000, 20_000));
        let bodies: Vec<String> = rows(&store, "items").into_iter().map(|(_, body)| body).collect();
        assert!(bodies.into_iter().eq(items(0, 20_000)), "{strategy}");
        sound(&store);
    }
}

#[test]
fn a_run_that_is_stopped_before_it_begins_reads_nothing() {
    let folder = Folder::new();
    let job = Job::of_items(items(0, 100), folder.at("out.db"), "items").expect("a job");
    job.control.stop();
    let report = host(1).run(job).expect("a stop is no error");
    assert_eq!((report.status, report.counts.stored), (RunStatus::Interrupted, 0));
}
