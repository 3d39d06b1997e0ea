//! A store that another program keeps locked: the group waits, is tried some times more, and then the run gives up.

use std::sync::{Arc, Mutex};

use atlas_host::coordinator::Job;
use atlas_host::error::Code;
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{Item, Outcome, RunStatus};
use atlas_host::monitor::Monitor;
use atlas_host::plugin::Call;

use super::{events, events_of, host, items, planned, recorded, rows, sound};
use crate::harness::Folder;

/// Somebody else's transaction, while there is one.
type Other = Arc<Mutex<Option<rusqlite::Connection>>>;

/// Lets the other transaction go when a group of the run was rolled back.
struct Release(Other);

impl Monitor for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn observe(&mut self, told: &Envelope) {
        if matches!(told.event, Event::TransactionRolledBack { .. }) {
            self.0.lock().expect("no panic").take();
        }
    }
}

/// 40 items in batches of 10; another program, if there is one, writes from item 25 on.
fn job(folder: &Folder, other: Option<&Other>) -> Job {
    let input = folder.write("in.ndjson", items(0, 40).collect::<Vec<_>>().join("\n"));
    let store = folder.at("out.db");
    let job = Job::of_files([input], &store, "items").and_then(|job| job.id("id")).expect("a job");
    let other = other.cloned();
    planned(job, "sequential", 10, 1).operation(move |_: &Call, item: Item<'_>| {
        if let (25, Some(other)) = (item.ordinal.0, &other) {
            let stranger = rusqlite::Connection::open(&store).expect("a store");
            stranger.execute_batch("BEGIN IMMEDIATE").expect("nobody writes while plugins compute");
            *other.lock().expect("no panic") = Some(stranger);
        }
        Outcome::Keep
    })
}

#[test]
fn a_group_that_finds_the_store_busy_is_written_once_it_is_free() {
    let folder = Folder::new();
    let other = Other::default();
    let (job, recording) = recorded(job(&folder, Some(&other)).monitor(Release(Arc::clone(&other))));
    let report = host(1).run(job).expect("a run");
    assert_eq!((report.status, report.counts.stored), (RunStatus::Succeeded, 40));
    let told = events_of(&recording);
    assert_eq!(events::check(&told, 1).stored, 40);
    let undone = told.iter().filter(|told| matches!(told.event, Event::TransactionRolledBack { .. }));
    assert_eq!(undone.count(), 1);
    assert_eq!(rows(&folder.at("out.db"), "items").len(), 40);
    sound(&folder.at("out.db"));
}

#[test]
fn a_store_that_stays_busy_ends_the_run_and_the_same_job_completes_once_it_is_free() {
    let folder = Folder::new();
    let other = Other::default();
    let host = host(1);
    let (first, recording) = recorded(job(&folder, Some(&other)));
    let failure = host.run(first).expect_err("the store stays busy");
    assert_eq!(failure.error.code(), Code::StorageLocked);
    let undone =
        events_of(&recording).into_iter().filter(|told| matches!(told.event, Event::TransactionRolledBack { .. }));
    assert_eq!(undone.count(), 1 + atlas_host::limits::LOCKED_RETRIES_MAX as usize, "it is tried some times more");
    let report = failure.report.expect("the run had begun");
    assert_eq!((report.status, report.exit(), report.counts.stored), (RunStatus::Failed, 6, 20));
    other.lock().expect("no panic").take().expect("another transaction");

    let report = host.run(job(&folder, None)).expect("a run");
    assert_eq!((report.status, report.resumed_at, report.counts.stored), (RunStatus::Succeeded, 20, 40));
    assert_eq!(rows(&folder.at("out.db"), "items").len(), 40);
    sound(&folder.at("out.db"));
}
