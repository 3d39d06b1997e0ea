//! Batches that are computed in another order than that of the input: how they are told, and that no lane waits for them.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use atlas_host::coordinator::Job;
use atlas_host::event::Event;
use atlas_host::model::{Item, Outcome, Problem, RunStatus};
use atlas_host::plugin::Call;

use super::{events, events_of, host, items, planned, recorded, rows};
use crate::harness::Folder;

/// A run in which the sign never comes is a failure; it is not waited for without end.
const PATIENCE: Duration = Duration::from_secs(60);

/// An operation that holds the first item until another lane has come to the item `sign`.
fn first_waits_for(sign: u64) -> impl Fn(&Call, Item<'_>) -> Outcome + Send + Sync + 'static {
    let seen = Arc::new((Mutex::new(false), Condvar::new()));
    move |_, item| {
        let (come, told) = &*seen;
        if item.ordinal.0 == sign {
            *come.lock().expect("no panic") = true;
            told.notify_all();
        }
        if item.ordinal.0 == 0 {
            let held = come.lock().expect("no panic");
            let (come, _) = told.wait_timeout_while(held, PATIENCE, |come| !*come).expect("no panic");
            if !*come {
                return Outcome::Reject(Problem {
                    code: "ALONE".into(),
                    message: format!("no lane came to item {sign}"),
                    pointer: String::new(),
                    details: vec![],
                });
            }
        }
        Outcome::Keep
    }
}

#[test]
fn batches_computed_out_of_order_are_told_in_order_and_once_each() {
    for strategy in ["concurrent", "adaptive"] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let job = Job::of_items(items(0, 60), &store, "items").and_then(|job| job.id("id")).expect("a job");
        let (job, recording) = recorded(planned(job, strategy, 10, 2).operation(first_waits_for(59)));
        let report = host(2).run(job).expect("a run");
        assert_eq!((report.status, report.batches), (RunStatus::Succeeded, 6), "{strategy}: {:?}", report.problems);

        let told = events_of(&recording);
        events::check(&told, 2);
        let place = |wanted: &dyn Fn(&Event) -> bool| told.iter().position(|envelope| wanted(&envelope.event));
        let last_begun = place(&|event| matches!(event, Event::BatchStarted { batch: 5, .. }));
        let first_done = place(&|event| matches!(event, Event::BatchCommitted(done) if done.batch == 0));
        assert!(last_begun.is_some() && last_begun < first_done, "{strategy}: the last batch overtakes the first one");
        let committed: Vec<u64> = told
            .iter()
            .filter_map(|envelope| match &envelope.event {
                Event::BatchCommitted(done) => Some(done.batch),
                _ => None,
            })
            .collect();
        assert_eq!(committed, [0, 1, 2, 3, 4, 5], "{strategy}");
        assert_eq!(report.fates.expect("fates").len(), 1, "{strategy}: all are stored");
        assert_eq!(rows(&store, "items").len(), 60, "{strategy}");
    }
}

/// The first item ends when the last one was seen: the other lane has done all the work meanwhile.
#[track_caller]
fn all_work_is_done_beside_a_slow_chunk(strategy: &str) {
    // 40 batches: more than are under way for the lanes' sake, and fewer than memory allows.
    const ITEMS: u64 = 400;
    let folder = Folder::new();
    let store = folder.at("out.db");
    let job = Job::of_items(items(0, ITEMS), &store, "items").and_then(|job| job.id("id")).expect("a job");
    let job = planned(job, strategy, 10, 2).operation(first_waits_for(ITEMS - 1));
    let report = host(2).run(job).expect("a run");
    assert_eq!((report.status, report.counts.stored), (RunStatus::Succeeded, ITEMS), "{strategy}");
    assert_eq!((report.batches, report.peak_lanes), (40, 2), "{strategy}");
}

#[test]
fn one_slow_chunk_does_not_idle_the_other_lanes() {
    for strategy in ["concurrent", "adaptive"] {
        all_work_is_done_beside_a_slow_chunk(strategy);
    }
}
