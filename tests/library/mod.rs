//! The library from outside: jobs through `Host::run`, what they leave in the store, and what they tell.

mod alerts;
mod atomicity;
mod attempts;
mod calls;
mod control;
mod crowd;
mod demand;
mod embedding;
pub mod events;
mod fates;
mod faults;
mod figures;
mod metrics;
mod idle;
mod ordering;
mod pipeline;
pub mod random;
mod recovery;
mod repeats;
mod replay;
mod resources;
mod sandboxes;
mod soundness;
mod stories;
mod streams;
mod validation;
mod watching;
mod writing;

use std::path::Path;

use atlas_host::coordinator::{Host, HostOptions, Job};
use atlas_host::error::Error;
use atlas_host::event::Envelope;
use atlas_host::model::{Name, RunNumber};
use atlas_host::monitor::{Recording, Watched};
use atlas_host::plugin::Cache;
use atlas_host::store::{DeadLetter, LetterFilter, Level, Reader, RunRow};
use atlas_host::strategy::Interval;

use crate::harness::cache;

/// A host with so many lanes. Compiled guests are shared by all tests.
pub fn host(lanes: usize) -> Host {
    let options = HostOptions { lanes, cache: Cache::at(cache()), ..HostOptions::default() };
    Host::new(options).expect("a legal number of lanes")
}

/// The job with this strategy, and a fixed batch size and number of lanes.
pub fn planned(mut job: Job, strategy: &str, batch_size: usize, lanes: usize) -> Job {
    job.strategy = strategy.to_owned();
    job.bounds.batch_size = only(batch_size);
    job.bounds.lanes = only(lanes);
    job
}

pub fn only(number: usize) -> Interval {
    Interval::new(number, number).expect("a number from 1")
}

pub fn named(text: &str) -> Name {
    Name::parse(text).expect("a legal name")
}

/// Has the job's events recorded.
pub fn recorded(job: Job) -> (Job, Watched<Recording>) {
    let recording = Watched::from(Recording::default());
    (job.monitor(recording.clone()), recording)
}

pub fn events_of(recording: &Watched<Recording>) -> Vec<Envelope> {
    recording.read(|recording| recording.0.clone())
}

/// Id and body of every row, sorted by id.
pub fn rows(store: &Path, collection: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let reader = Reader::open(store).expect("a store");
    let exported = reader.export(&named(collection), |id, body| {
        rows.push((id.to_owned(), body.to_owned()));
        Ok::<(), Error>(())
    });
    exported.expect("a collection");
    rows
}

/// Every dead letter, oldest first.
pub fn letters(store: &Path) -> Vec<DeadLetter> {
    let reader = Reader::open(store).expect("a store");
    reader.dead_letters(&LetterFilter::default(), 0, 1_000_000).expect("dead letters")
}

/// The run as the store knows it.
pub fn run_row(store: &Path, run: u64) -> RunRow {
    Reader::open(store).expect("a store").run(RunNumber(run)).expect("a history").expect("the run")
}

/// Asserts that every invariant of the store holds.
#[track_caller]
pub fn sound(store: &Path) {
    let findings = Reader::open(store).expect("a store").verify(Level::Full).expect("a readable store");
    assert!(findings.is_empty(), "{findings:?}");
}

/// Plain items with the ids from `first` on, eight digits each, so that their order as text is that as numbers.
pub fn items(first: u64, count: u64) -> impl Iterator<Item = String> + Send + 'static {
    (first..first + count).map(|n| format!(r#"{{"id":"{n:08}","n":{n},"status":"PENDING"}}"#))
}
