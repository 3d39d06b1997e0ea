//! An alert reaches the embedding program while the run is under way.

use std::time::Duration;

use atlas_host::coordinator::Job;
use atlas_host::event::Event;
use atlas_host::monitor::{Recording, Watched, subscription};

use super::{events_of, host, items, planned};
use crate::harness::Folder;

/// The alerts of a run over 100 items in 10 batches: name, batch and threshold, as a subscription gets them.
fn alerts(slow_item: Duration) -> Vec<(String, u64, f64)> {
    let folder = Folder::new();
    let job = Job::of_items(items(0, 100), folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    let (monitor, events) = subscription(10_000);
    let recording = Watched::from(Recording::default());
    let mut job = planned(job, "concurrent", 10, 2).monitor(monitor).monitor(recording.clone());
    job.slow_item = slow_item;
    host(2).run(job).expect("a run");
    let told: Vec<_> = events.iter().collect();
    assert_eq!(told.len(), events_of(&recording).len(), "every subscriber sees every event");
    for pair in told.windows(2) {
        if let Event::AlertRaised { batch, .. } = pair[1].event {
            assert!(
                matches!(&pair[0].event, Event::BatchCommitted(done) if done.batch == batch),
                "the alert follows its batch: {:?}",
                pair[0].event
            );
        }
    }
    told.into_iter()
        .filter_map(|envelope| match envelope.event {
            Event::AlertRaised { alert, batch, threshold, .. } => Some((alert, batch, threshold)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_lasting_alert_reaches_a_subscription_once() {
    // Every batch takes longer than no time at all, and none takes an hour.
    assert_eq!(alerts(Duration::ZERO), [("SLOW_BATCH_PROCESSING".to_owned(), 0, 0.0)]);
    assert_eq!(alerts(Duration::from_secs(3600)), []);
}
