//! Many callers of one host at the same time.

use atlas_host::coordinator::{Host, Job, RunReport};
use atlas_host::model::{Counts, RunStatus};
use atlas_host::store::Reader;

use super::{demand, host, named, planned, rows, sound};
use crate::harness::Folder;

const CALLERS: u64 = 100;
const ITEMS: u64 = 20;

/// A run of a few items into a collection of its own; one of them is refused.
fn run_of(host: &Host, store: &std::path::Path, number: u64) -> RunReport {
    let bodies = (0..ITEMS).map(move |n| {
        let fault = if n == number % ITEMS { "reject" } else { "none" };
        format!(r#"{{"id":"{number}-{n}","fault":"{fault}"}}"#)
    });
    let collection = format!("of_{number}");
    let job = Job::of_items(bodies, store, &collection).and_then(|job| job.id("id")).expect("a job");
    let strategy = ["adaptive", "concurrent", "sequential"][number as usize % 3];
    host.run(planned(job, strategy, 10, 2).operation(demand::operate)).expect("a run")
}

/// Adds one to a sum in a transaction.
fn add_one(host: &Host, store: &std::path::Path) {
    let sums = named("sums");
    let added = host.transaction(store, &sums.clone(), move |outer| {
        let sum: u64 = outer.get(&sums, "sum")?.map_or(0, |body| body.parse().expect("a number"));
        outer.put(&sums, "sum", &(sum + 1).to_string())
    });
    added.expect("a transaction");
}

#[test]
fn of_a_hundred_runs_and_transactions_side_by_side_every_book_balances() {
    let folder = Folder::new();
    let store = folder.at("crowd.db");
    let host = host(2);
    let reports: Vec<RunReport> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let (host, store) = (&host, &store);
                scope.spawn(move || match number.is_multiple_of(2) {
                    true => Some(run_of(host, store, number)),
                    false => {
                        add_one(host, store);
                        None
                    }
                })
            })
            .collect();
        callers.into_iter().filter_map(|caller| caller.join().expect("no panic")).collect()
    });

    let mut told = Counts::default();
    for report in &reports {
        assert_eq!(report.status, RunStatus::Partial, "run {}", report.run);
        assert!(report.counts.balance(), "run {}: {:?}", report.run, report.counts);
        assert_eq!((report.counts.read, report.counts.stored, report.counts.rejected), (ITEMS, ITEMS - 1, 1));
        told.add(&report.counts);
    }
    let reader = Reader::open(&store).expect("a store");
    let runs = reader.runs(1000).expect("a history");
    let mut kept = Counts::default();
    for row in &runs {
        let report = reports.iter().find(|report| report.run == row.run.0).expect("the report of the run");
        assert_eq!((row.counts, row.batches, row.status), (report.counts, report.batches, report.status));
        kept.add(&row.counts);
    }
    assert_eq!((runs.len() as u64, kept), (CALLERS / 2, told), "the history is what the callers were told");
    for number in (0..CALLERS).step_by(2) {
        assert_eq!(rows(&store, &format!("of_{number}")).len() as u64, ITEMS - 1, "run {number}");
    }
    assert_eq!(rows(&store, "sums"), [("sum".to_owned(), (CALLERS / 2).to_string())]);
    sound(&store);
}
