//! After whatever a plugin, a monitor or a transaction did wrong: every index agrees with its rows, and the books balance.

use atlas_host::coordinator::{Atomicity, Host, Job, RejectLimit};
use atlas_host::error::{Code, Error};
use atlas_host::event::Envelope;
use atlas_host::model::{Item, OnExisting, Outcome};
use atlas_host::monitor::Monitor;
use atlas_host::plugin::{Call, Operation};
use atlas_host::store::Reader;

use super::random::{Random, seed};
use super::{demand, host, letters, named, planned, rows, run_row, sound};
use crate::harness::{Folder, guest};

/// Demands of closures; `validator-…` reach the validator.
const FAULTS: [&str; 8] =
    ["trap", "reject", "retry(9)", "drop", "bad-json", "replace", "validator-trap", "validator-reject"];

/// Items of which some ask for trouble and some have an id that came before. What the indexes see changes with them.
fn bodies(random: &mut Random, faults: &[&str], count: u64) -> Vec<String> {
    let bodies = (0..count).map(|n| {
        let id = if random.below(8) == 0 { random.below(n + 1) } else { n };
        let fault = if random.below(3) == 0 { format!("{:?}", random.pick(faults)) } else { "null".to_owned() };
        format!(r#"{{"id":"{id:04}","fault":{fault},"n":{},"tags":["t{}"]}}"#, random.below(40), random.below(5))
    });
    bodies.collect()
}

/// Items that ask for nothing.
fn plain(seed: u64) -> Vec<String> {
    bodies(&mut Random::new(seed, 0), &["replace"], 100)
}

/// The job over these items, with an index over each member.
fn indexed(folder: &Folder, bodies: Vec<String>) -> Job {
    let job = Job::of_items(bodies, folder.at("out.db"), "items");
    let mut job = job.and_then(|job| job.id("id")?.index("fault")?.index("n")).expect("a job");
    let mut first_tag = job.indexes[0].clone();
    (first_tag.name, first_tag.pointer) =
        (named("tag"), atlas_host::model::Pointer::parse("/tags/0").expect("a pointer"));
    job.indexes.push(first_tag);
    job.attempts = 2;
    job
}

/// Runs it, and holds the store against what was told: rows, letters, index entries, and `verify`.
#[track_caller]
fn ends_soundly(host: &Host, folder: &Folder, job: Job, context: &str) {
    let report = host.run(job).unwrap_or_else(|failure| *failure.report.expect("a run that had begun"));
    let store = folder.at("out.db");
    assert_eq!(run_row(&store, report.run).counts, report.counts, "{context}");
    assert_eq!(letters(&store).len() as u64, report.counts.failed(), "{context}");
    let stored = rows(&store, "items").len() as u64;
    assert_eq!(stored, report.counts.inserted - report.counts.deleted, "{context}");
    let indexes = Reader::open(&store).expect("a store").indexes(None).expect("indexes");
    assert_eq!(indexes.len(), 3, "{context}");
    for index in indexes {
        assert_eq!(index.entries, stored, "{context}: index {}", index.name);
    }
    sound(&store);
}

#[test]
fn faults_of_closures_leave_every_index_in_step_with_its_rows() {
    let seed = seed(16);
    let host = host(2);
    for (case, strategy) in ["sequential", "concurrent", "adaptive"].into_iter().enumerate() {
        for on_existing in [OnExisting::Replace, OnExisting::Ignore, OnExisting::Reject] {
            let folder = Folder::new();
            let random = &mut Random::new(seed, case as u64);
            let mut job = planned(indexed(&folder, bodies(random, &FAULTS, 300)), strategy, 50, 2);
            job.on_existing = on_existing;
            let job = job.validator(demand::validate).operation(demand::operate);
            ends_soundly(&host, &folder, job, &format!("{strategy} {on_existing:?}"));
        }
    }
}

#[test]
fn faults_of_components_leave_every_index_in_step_with_its_rows() {
    let seed = seed(17);
    let host = host(2);
    let faulty = || host.load_plugin(guest("faulty")).expect("a plugin");
    let faults = ["trap", "recurse", "short", "long", "reject", "drop", "bad-json", "deep-json", "wrong-id"];
    for atomic in [Atomicity::Batch, Atomicity::Run] {
        let folder = Folder::new();
        let mut job = planned(indexed(&folder, bodies(&mut Random::new(seed, 0), &faults, 400)), "concurrent", 50, 2);
        job.atomic = atomic;
        let job = job.validator_plugin(faulty()).operation_plugin(faulty());
        ends_soundly(&host, &folder, job, &format!("{atomic:?}"));
    }
}

/// Gives a job what is to go wrong with it.
type Shape = fn(Job) -> Job;

/// Answers for one item too few.
struct Short;

impl Operation for Short {
    fn apply(&self, _: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        vec![Outcome::Keep; items.len() - 1]
    }
}

/// Panics at every event.
struct Panicking;

impl Monitor for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn observe(&mut self, _: &Envelope) {
        std::panic::resume_unwind(Box::new("asked to panic"));
    }
}

#[test]
fn broken_contracts_panicking_monitors_and_runs_cut_short_leave_every_index_in_step() {
    let seed = seed(18);
    let host = host(2);
    let jobs: [(&str, Shape); 5] = [
        ("a list too short", |job| job.operation(Short)),
        ("a monitor that panics", |job| job.operation(demand::operate).monitor(Panicking)),
        ("a limit of rejects", |mut job| {
            job.max_rejects = Some(RejectLimit::Count(20));
            job.operation(demand::operate)
        }),
        ("a whole run undone", |mut job| {
            (job.max_rejects, job.atomic) = (Some(RejectLimit::Count(20)), Atomicity::Run);
            job.operation(demand::operate)
        }),
        ("a limit of records", |mut job| {
            job.limit = Some(77);
            job.operation(demand::operate)
        }),
    ];
    for (what, shaped) in jobs {
        let folder = Folder::new();
        // Rows of an earlier run, which the later one changes.
        let before = indexed(&folder, plain(seed));
        host.run(before.operation(demand::operate)).expect("a run");
        let before = rows(&folder.at("out.db"), "items").len() as u64;
        let job = planned(indexed(&folder, bodies(&mut Random::new(seed, 1), &FAULTS, 600)), "concurrent", 50, 2);
        let report = host.run(shaped(job)).unwrap_or_else(|failure| *failure.report.expect("a run that had begun"));
        let store = folder.at("out.db");
        assert_eq!(rows(&store, "items").len() as u64, before + report.counts.inserted, "{what}");
        sound(&store);
    }
}

#[test]
fn a_transaction_that_panics_or_fails_leaves_every_index_in_step() {
    let folder = Folder::new();
    let (store, items) = (folder.at("out.db"), named("items"));
    let host = host(1);
    host.run(indexed(&folder, plain(19))).expect("a run");
    let before = rows(&store, "items");
    let (first, collection) = (before[0].0.clone(), items.clone());
    let panicked = host.transaction(&store, &items, move |outer| -> Result<(), Error> {
        outer.put(&collection, &first, r#"{"n":1000}"#)?;
        outer.put(&collection, "new", r#"{"n":1001,"tags":["x"]}"#)?;
        std::panic::resume_unwind(Box::new("asked to panic"))
    });
    assert!(panicked.is_err());
    let (first, collection) = (before[0].0.clone(), items.clone());
    let failed = host.transaction(&store, &items, move |outer| -> Result<(), Error> {
        outer.delete(&collection, &first)?;
        Err(Error::new(Code::OperationFailed, "changed my mind"))
    });
    assert!(failed.is_err());
    assert_eq!(rows(&store, "items"), before);
    sound(&store);
    let collection = items.clone();
    host.transaction(&store, &items, move |outer| outer.put(&collection, "new", r#"{"n":7}"#)).expect("a transaction");
    assert_eq!(rows(&store, "items").len(), before.len() + 1);
    sound(&store);
}
