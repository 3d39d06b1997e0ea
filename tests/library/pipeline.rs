//! Several batches under way at the same time: how far they overlap, and that this shows in nothing that is stored.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use atlas_host::coordinator::Job;
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{Item, Outcome, Plan};
use atlas_host::monitor::Monitor;
use atlas_host::plugin::Call;
use atlas_host::processor::ProcessorKind;
use atlas_host::strategy::{Planned, Signals, Strategy};

use super::{events, events_of, host, items, planned, recorded, rows, sound};
use crate::harness::Folder;

/// Long enough for any machine; it passes only where the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most batches that were started and not yet committed.
fn most_under_way(events: &[Envelope]) -> u64 {
    let (mut under_way, mut most) = (0u64, 0);
    for envelope in events {
        match &envelope.event {
            Event::BatchStarted { .. } => under_way += 1,
            Event::BatchCommitted(_) => under_way -= 1,
            _ => {}
        }
        most = most.max(under_way);
    }
    most
}

/// Numbers of the batches in the order of their commits.
fn committed(events: &[Envelope]) -> Vec<u64> {
    let committed = events.iter().filter_map(|e| match &e.event {
        Event::BatchCommitted(done) => Some(done.batch),
        _ => None,
    });
    committed.collect()
}

#[test]
fn a_later_batch_is_computed_while_an_earlier_one_is_and_commits_behind_it() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    // Batch 0 is held back until batch 1 is computed: together or never.
    let (seen, wait) = channel();
    let wait = Mutex::new(wait);
    let meeting = move |_: &Call, item: Item<'_>| {
        match item.ordinal.0 {
            0 => wait.lock().expect("no panic").recv_timeout(PATIENCE).expect("batch 1 is computed meanwhile"),
            1 => seen.send(()).expect("batch 0 waits"),
            _ => {}
        }
        Outcome::Keep
    };
    let job = Job::of_items(items(0, 12), &store, "items").and_then(|job| job.id("id")).expect("a job");
    let (job, recording) = recorded(planned(job, "concurrent", 1, 2).operation(meeting));
    let report = host(2).run(job).expect("a run");
    assert_eq!((report.counts.stored, report.counts.dead_lettered, report.peak_lanes), (12, 0, 2));
    let events = events_of(&recording);
    events::check(&events, 2);
    assert_eq!(committed(&events), (0..12).collect::<Vec<_>>(), "in the order of the input");
    assert!(most_under_way(&events) >= 2, "{} batches under way", most_under_way(&events));
    assert_eq!(
        rows(&store, "items").into_iter().map(|(_, body)| body).collect::<Vec<_>>(),
        items(0, 12).collect::<Vec<_>>()
    );
    sound(&store);
}

/// Batches of one item on one lane, so many of them under way.
struct Deep(usize);

impl Strategy for Deep {
    fn name(&self) -> &'static str {
        "deep"
    }

    fn plan(&mut self, _: &Signals) -> Planned {
        let plan = Plan { batch_size: 1, lanes: 1, batches_in_flight: self.0 };
        Planned { plan, reason: None }
    }
}

/// Says when this batch is started.
struct Started(u64, Sender<()>);

impl Monitor for Started {
    fn name(&self) -> &'static str {
        "started"
    }

    fn observe(&mut self, event: &Envelope) {
        if matches!(event.event, Event::BatchStarted { batch, .. } if batch == self.0) {
            // Where the operation has given up waiting, the test has failed already.
            let _ = self.1.send(());
        }
    }
}

/// Holds the first item back until it is told to go on.
fn held(go_on: Receiver<()>) -> impl Fn(&Call, Item<'_>) -> Outcome + Send + Sync {
    let go_on = Mutex::new(go_on);
    move |_, item| {
        if item.ordinal.0 == 0 {
            go_on.lock().expect("no panic").recv_timeout(PATIENCE).expect("further batches are started");
        }
        Outcome::Keep
    }
}

#[test]
fn as_many_batches_are_under_way_as_the_plan_says_and_no_more() {
    for depth in [2, 5, 9] {
        let folder = Folder::new();
        let (told, wait) = channel();
        let job = Job::of_items(items(0, 40), folder.at("out.db"), "items").and_then(|job| job.id("id"));
        let mut job = planned(job.expect("a job"), "concurrent", 1, 1).operation(held(wait));
        job.own_strategy = Some(Box::new(Deep(depth)));
        let (job, recording) = recorded(job.monitor(Started(depth as u64 - 1, told)));
        let report = host(1).run(job).expect("a run");
        assert_eq!((report.counts.stored, report.counts.dead_lettered), (40, 0), "depth {depth}");
        let events = events_of(&recording);
        events::check(&events, 1);
        assert_eq!(most_under_way(&events), depth as u64);
        assert_eq!(committed(&events), (0..40).collect::<Vec<_>>(), "depth {depth}");
    }
}

/// A million bytes for each item, of which a batch is to have 33 at the most.
#[test]
fn a_batch_is_cut_smaller_where_the_one_before_was_answered_with_much() {
    let text = "x".repeat(1_000_000);
    let long = move |_: &Call, item: Item<'_>| Outcome::Replace(format!(r#"{{"id":"{}","text":"{text}"}}"#, item.id));
    let job = Job::of_items(items(0, 130), "unused.db", "items").and_then(|job| job.id("id")).expect("a job");
    let (mut job, recording) = recorded(planned(job.operation(long), "sequential", 64, 1));
    job.processor = ProcessorKind::Memory;
    assert_eq!(host(1).run(job).expect("a run").counts.stored, 130);
    let events = events_of(&recording);
    events::check(&events, 1);
    let started = events.iter().filter_map(|e| match &e.event {
        Event::BatchStarted { items, .. } => Some(*items),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), [64, 33, 33]);
}
