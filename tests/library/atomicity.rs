//! Whole or not at all: batches, runs and transactions; and stopping at a number of refused items.

use std::io::{Error as IoError, ErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};

use atlas_host::coordinator::{Atomicity, Host, Input, Job, RejectLimit};
use atlas_host::error::{Code, Error};
use atlas_host::event::Event;
use atlas_host::model::{Item, Outcome, RunStatus};
use atlas_host::plugin::Call;
use atlas_host::source::ListSource;
use atlas_host::store::Reader;

use super::{demand, events, events_of, host, items, letters, named, planned, recorded, rows, run_row, sound};
use crate::harness::Folder;

/// Items 0 to 249, and then the input breaks off.
fn breaking() -> impl Iterator<Item = Result<(Option<String>, String), Error>> + Send {
    let broken = Error::new(Code::InputCutShort, "the line went dead");
    items(0, 250).map(|body| Ok((None, body))).chain([Err(broken)])
}

fn whole() -> impl Iterator<Item = Result<(Option<String>, String), Error>> + Send {
    items(0, 1000).map(|body| Ok((None, body)))
}

fn job_over<I>(folder: &Folder, entries: I, atomic: Atomicity) -> Job
where
    I: Iterator<Item = Result<(Option<String>, String), Error>> + Send + 'static,
{
    let source = Box::new(ListSource::fallible("line", entries));
    let input = Input::Source { source, resumable: Some("the line".to_owned()) };
    let mut job = Job::new(input, Some(folder.at("out.db"))).id("id").and_then(|job| job.index("n")).expect("a job");
    job.atomic = atomic;
    planned(job, "concurrent", 100, 2)
}

fn stored(folder: &Folder) -> Vec<String> {
    rows(&folder.at("out.db"), "items").into_iter().map(|(_, body)| body).collect()
}

#[test]
fn a_fault_under_atomic_run_leaves_nothing_and_the_same_job_begins_anew() {
    let folder = Folder::new();
    let host = host(2);
    let (job, recording) = recorded(job_over(&folder, breaking(), Atomicity::Run));
    let failure = host.run(job).expect_err("the input breaks off");
    assert_eq!(failure.error.code(), Code::InputCutShort);
    let report = failure.report.expect("a run that had begun");
    assert_eq!((report.status, report.exit()), (RunStatus::RolledBack, 7));
    assert_eq!(stored(&folder), Vec::<String>::new());
    assert_eq!(letters(&folder.at("out.db")), []);
    let reader = Reader::open(&folder.at("out.db")).expect("a store");
    assert_eq!(reader.indexes(None).expect("indexes")[0].entries, 0);
    sound(&folder.at("out.db"));
    let events = events_of(&recording);
    let Some(Event::RunEnded(ended)) = events.last().map(|e| &e.event) else { panic!("no end") };
    assert_eq!(ended.status, RunStatus::RolledBack);

    let report = host.run(job_over(&folder, whole(), Atomicity::Run)).expect("a run");
    assert_eq!((report.status, report.resumed_at, report.counts.stored), (RunStatus::Succeeded, 0, 1000));
    assert_eq!(stored(&folder), items(0, 1000).collect::<Vec<_>>());
    sound(&folder.at("out.db"));
}

#[test]
fn a_fault_under_atomic_batch_leaves_exactly_the_committed_batches_and_the_same_job_continues() {
    let folder = Folder::new();
    let host = host(2);
    let (job, recording) = recorded(job_over(&folder, breaking(), Atomicity::Batch));
    let failure = host.run(job).expect_err("the input breaks off");
    let report = failure.report.expect("a run that had begun");
    assert_eq!((report.status, failure.error.code()), (RunStatus::Failed, Code::InputCutShort));
    let counts = events::check(&events_of(&recording), 2);
    assert!(counts.stored >= 200, "whole batches before the fault are kept: {}", counts.stored);
    assert_eq!(stored(&folder), items(0, counts.stored).collect::<Vec<_>>());
    assert_eq!(run_row(&folder.at("out.db"), report.run).counts.stored, counts.stored);
    sound(&folder.at("out.db"));

    let report = host.run(job_over(&folder, whole(), Atomicity::Batch)).expect("a run");
    assert_eq!((report.status, report.resumed_at), (RunStatus::Succeeded, counts.stored));
    assert_eq!((report.counts.read, report.counts.stored), (1000, 1000), "of the whole run");
    assert_eq!(stored(&folder), items(0, 1000).collect::<Vec<_>>());
    sound(&folder.at("out.db"));
}

#[test]
fn a_group_whose_results_cannot_be_written_is_told_as_rolled_back() {
    let source = Box::new(ListSource::new("items", items(0, 1000).map(|body| (None, body))));
    let mut job = Job::new(Input::Source { source, resumable: None }, None).id("id").expect("a job");
    let mut left = 250;
    job.output = Some(Box::new(move |_, _, _| {
        left -= 1;
        if left < 0 { Err(IoError::from(ErrorKind::StorageFull)) } else { Ok(()) }
    }));
    let (job, recording) = recorded(planned(job, "sequential", 100, 1));
    let failure = host(1).run(job).expect_err("the output is full");
    let report = failure.report.expect("a run that had begun");
    assert_eq!((report.status, report.counts.stored), (RunStatus::Failed, 200));
    let events = events_of(&recording);
    let rolled_back = events.iter().filter(|e| matches!(e.event, Event::TransactionRolledBack { .. })).count();
    assert_eq!((rolled_back, events::check(&events, 1).stored), (1, 200));
}

#[test]
fn an_inner_transaction_that_fails_undoes_its_own_work_and_the_outer_one_goes_on() {
    let folder = Folder::new();
    let (store, notes) = (folder.at("out.db"), named("notes"));
    let host = host(1);
    let collection = notes.clone();
    let inner = host.transaction(&store, &notes, move |outer| {
        outer.put(&collection, "a", "1")?;
        let undone = outer.atomic(|inner| {
            inner.put(&collection, "a", "2")?;
            inner.put(&collection, "b", "2")?;
            assert_eq!(inner.get(&collection, "a")?.as_deref(), Some("2"), "its own work is seen");
            let deepest = inner.atomic(|deepest| deepest.put(&collection, "c", "3").map(drop));
            assert!(deepest.is_ok());
            Err::<(), Error>(Error::new(Code::OperationFailed, "changed my mind"))
        });
        assert_eq!(outer.get(&collection, "a")?.as_deref(), Some("1"), "the inner work is undone");
        outer.atomic(|inner| inner.put(&collection, "d", "4").map(drop))?;
        outer.put(&collection, "e", "5")?;
        Ok(undone.map_err(Error::from).expect_err("it failed").to_string())
    });
    assert_eq!(inner.expect("the outer one is kept"), "changed my mind");
    let pair = |id: &str, body: &str| (id.to_owned(), body.to_owned());
    assert_eq!(rows(&store, "notes"), [pair("a", "1"), pair("d", "4"), pair("e", "5")]);

    let collection = notes.clone();
    let failed = host.transaction(&store, &notes, move |outer| {
        outer.atomic(|inner| inner.put(&collection, "f", "6").map(drop))?;
        outer.delete(&collection, "a")?;
        Err::<(), Error>(Error::new(Code::OperationFailed, "all of it"))
    });
    assert_eq!(failed.expect_err("it failed").code(), Code::OperationFailed);
    assert_eq!(rows(&store, "notes"), [pair("a", "1"), pair("d", "4"), pair("e", "5")], "an outer failure undoes all");
    sound(&store);
}

#[test]
fn a_transaction_that_panics_leaves_nothing_and_the_store_usable() {
    let folder = Folder::new();
    let (store, notes) = (folder.at("out.db"), named("notes"));
    let host = host(1);
    let collection = notes.clone();
    let outcome = host.transaction(&store, &notes, move |outer| -> Result<(), Error> {
        outer.put(&collection, "a", "1")?;
        std::panic::resume_unwind(Box::new("asked to panic"))
    });
    assert!(outcome.is_err());
    let collection = notes.clone();
    host.transaction(&store, &notes, move |outer| outer.put(&collection, "b", "2")).expect("a usable store");
    assert_eq!(rows(&store, "notes"), [("b".to_owned(), "2".to_owned())]);
}

#[test]
fn a_hundred_transactions_side_by_side_are_consistent() {
    let folder = Folder::new();
    let (store, notes) = (folder.at("out.db"), named("notes"));
    let host = host(2);
    std::thread::scope(|scope| {
        for number in 0..100u64 {
            let (host, store, notes) = (&host, &store, &notes);
            scope.spawn(move || add_one(host, store, notes, number).expect("a transaction"));
        }
    });
    let mut wanted: Vec<(String, String)> = (0..100).map(|n| (format!("by-{n:02}"), "1".to_owned())).collect();
    wanted.push(("sum".to_owned(), "100".to_owned()));
    assert_eq!(rows(&store, "notes"), wanted);
    sound(&store);
}

fn add_one(host: &Host, store: &std::path::Path, notes: &atlas_host::model::Name, number: u64) -> Result<(), Error> {
    let collection = notes.clone();
    host.transaction(store, notes, move |outer| {
        let sum: u64 = outer.get(&collection, "sum")?.map_or(0, |body| body.parse().expect("a number"));
        outer.put(&collection, "sum", &(sum + 1).to_string())?;
        // Half of them try something that comes to nothing.
        let _ = outer.atomic(|inner| {
            inner.put(&collection, "sum", "0")?;
            if number.is_multiple_of(2) {
                Err(Error::new(Code::OperationFailed, "no"))
            } else {
                inner.put(&collection, "sum", &(sum + 1).to_string())
            }
        });
        outer.put(&collection, &format!("by-{number:02}"), "1").map(drop)
    })
}

/// An operation that tells when it has item 0, and waits for leave to go on with item 1.
fn gated(at_work: Sender<()>, go_on: Receiver<()>) -> impl Fn(&Call, Item<'_>) -> Outcome + Send + Sync {
    let go_on = std::sync::Mutex::new(go_on);
    move |_, item| {
        if item.ordinal.0 == 1 {
            at_work.send(()).expect("the test waits");
            go_on.lock().expect("no panic").recv().expect("the test gives leave");
        }
        Outcome::Keep
    }
}

#[test]
fn what_another_transaction_was_told_is_kept_when_an_atomic_run_beside_it_is_rolled_back() {
    let folder = Folder::new();
    let (store, notes) = (folder.at("out.db"), named("notes"));
    let host = host(2);
    let (at_work, started) = channel();
    let (leave, go_on) = channel();
    std::thread::scope(|scope| {
        let job = planned(job_over(&folder, breaking(), Atomicity::Run), "sequential", 1, 1);
        let run = scope.spawn(|| host.run(job.operation(gated(at_work, go_on))));
        // Batch 0 is written, and the run holds its transaction open.
        started.recv().expect("the run is at work");
        let other = scope.spawn(|| {
            let collection = notes.clone();
            host.transaction(&store, &notes, move |outer| outer.put(&collection, "a", "1")).expect("a transaction");
        });
        leave.send(()).expect("the run waits");
        assert!(run.join().expect("no panic").is_err(), "the input breaks off");
        other.join().expect("no panic");
    });
    assert_eq!(rows(&store, "notes"), [("a".to_owned(), "1".to_owned())]);
    assert_eq!(stored(&folder), Vec::<String>::new());
    sound(&store);
}

/// 1000 items, of which every tenth is refused.
fn tenth_refused(folder: &Folder, limit: RejectLimit) -> Job {
    let bodies = (0..1000).map(|n| {
        let fault = if n % 10 == 9 { "reject" } else { "none" };
        format!(r#"{{"id":"{n:04}","fault":"{fault}"}}"#)
    });
    let input = folder.write("in.ndjson", bodies.collect::<Vec<_>>().join("\n"));
    let mut job = Job::of_files([input], folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    job.max_rejects = Some(limit);
    job.operation(demand::operate)
}

#[test]
fn a_run_stops_behind_the_batch_that_crosses_the_limit_of_refused_items() {
    // Batches of 50 have 5 refused items each.
    for (limit, batches) in [
        (RejectLimit::Count(12), 3),
        (RejectLimit::Count(15), 4),
        (RejectLimit::Count(0), 1),
        (RejectLimit::Percent(9.9), 1),
        (RejectLimit::Percent(0.0), 1),
        // The fifth within 50 items is item 49, the hundredth within 1000 the last of all.
        (RejectLimit::Window { failed: 4, items: 50 }, 1),
        (RejectLimit::Window { failed: 99, items: 1000 }, 20),
    ] {
        for (strategy, lanes) in [("sequential", 1), ("concurrent", 2)] {
            let folder = Folder::new();
            let (job, recording) = recorded(planned(tenth_refused(&folder, limit), strategy, 50, lanes));
            let report = match host(2).run(job) {
                Ok(report) => report,
                Err(failure) => *failure.report.expect("a run that had begun"),
            };
            let counts = events::check(&events_of(&recording), 2);
            assert_eq!((counts.read, counts.rejected), (batches * 50, batches * 5), "{limit:?} {strategy}");
            assert_eq!((report.status, report.exit()), (RunStatus::Interrupted, 3), "{limit:?} {strategy}");
            assert_eq!(rows(&folder.at("out.db"), "items").len() as u64, batches * 45, "{limit:?} {strategy}");
            sound(&folder.at("out.db"));
        }
    }
}

#[test]
fn a_run_within_its_limit_of_refused_items_ends_and_one_that_was_stopped_continues_with_a_higher_one() {
    for limit in [RejectLimit::Count(100), RejectLimit::Percent(10.0), RejectLimit::Window { failed: 6, items: 60 }] {
        let folder = Folder::new();
        let report = host(1).run(planned(tenth_refused(&folder, limit), "sequential", 50, 1)).expect("a run");
        assert_eq!((report.status, report.counts.rejected, report.counts.stored), (RunStatus::Partial, 100, 900));
    }
    let folder = Folder::new();
    let host = host(1);
    let _ = host.run(planned(tenth_refused(&folder, RejectLimit::Count(7)), "sequential", 50, 1));
    let report =
        host.run(planned(tenth_refused(&folder, RejectLimit::Count(1000)), "sequential", 50, 1)).expect("a run");
    assert_eq!((report.resumed_at, report.status, report.counts.read), (100, RunStatus::Partial, 1000));
    assert_eq!((report.counts.rejected, letters(&folder.at("out.db")).len()), (100, 100));
    sound(&folder.at("out.db"));
}
