//! What a run tells whose batches are not committed one by one: `--atomic run` and dry runs, kept and undone.

use atlas_host::coordinator::{Atomicity, Job, RejectLimit, RunReport};
use atlas_host::event::{Envelope, Event, RunEnded};
use atlas_host::model::{Counts, RunStatus};
use atlas_host::monitor::{Performance, PerformanceReport, Watched};

use super::events::{books_of, check};
use super::{demand, events_of, host, letters, planned, recorded, rows, run_row, sound};
use crate::harness::Folder;

const STRATEGIES: [&str; 3] = ["sequential", "concurrent", "adaptive"];

/// 200 items in batches of 25, of which every tenth item is refused and every twentieth dropped.
fn job(folder: &Folder, strategy: &str) -> Job {
    let bodies = (0..200).map(|n| {
        let fault = match n % 20 {
            5 | 15 => "reject",
            7 => "drop",
            _ => "none",
        };
        format!(r#"{{"id":"{n:03}","fault":"{fault}"}}"#)
    });
    let job = Job::of_items(bodies, folder.at("out.db"), "items").and_then(|job| job.id("id")?.index("fault"));
    planned(job.expect("a job"), strategy, 25, 2).operation(demand::operate)
}

/// What the three of them say of one run.
struct Told {
    report: RunReport,
    events: Vec<Envelope>,
    performance: PerformanceReport,
}

/// Runs the job to its end, whatever that is; checks its stream, and that the end counts what the batches told.
#[track_caller]
fn told(job: Job) -> (Told, [u64; 5]) {
    let performance = Watched::from(Performance::default());
    let (job, recording) = recorded(job.monitor(performance.clone()));
    let report = host(2).run(job).unwrap_or_else(|failure| *failure.report.expect("a run that had begun"));
    let events = events_of(&recording);
    let counts = books_of(check(&events, 2));
    let ended = ended(&events);
    assert_eq!((ended.status, ended.success, ended.counts), (report.status, report.success, report.counts));
    assert_eq!((ended.batches, ended.blank_lines), (report.batches, report.blank_lines));
    assert_eq!(books_of(ended.counts), counts, "the end counts what the batches told");
    (Told { report, events, performance: performance.read(Performance::report) }, counts)
}

fn ended(events: &[Envelope]) -> &RunEnded {
    match events.last().map(|envelope| &envelope.event) {
        Some(Event::RunEnded(ended)) => ended,
        other => panic!("no end, but {other:?}"),
    }
}

/// How many transactions began, committed and were rolled back, and how many batches were committed and applied.
fn tally(events: &[Envelope]) -> [u64; 5] {
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(&e.event)).count() as u64;
    [
        count(|e| matches!(e, Event::TransactionBegan { .. })),
        count(|e| matches!(e, Event::TransactionCommitted { .. })),
        count(|e| matches!(e, Event::TransactionRolledBack { .. })),
        count(|e| matches!(e, Event::BatchCommitted(_))),
        count(|e| matches!(e, Event::BatchApplied(_))),
    ]
}

#[test]
fn a_whole_run_that_is_kept_is_one_transaction_around_all_its_batches() {
    for strategy in STRATEGIES {
        let folder = Folder::new();
        let mut job = job(&folder, strategy);
        job.atomic = Atomicity::Run;
        let (told, counts) = told(job);
        assert_eq!(counts, [200, 170, 20, 0, 10], "{strategy}");
        assert_eq!((told.report.status, told.report.batches), (RunStatus::Partial, 8), "{strategy}");
        assert_eq!(tally(&told.events), [1, 1, 0, 0, 8], "{strategy}");
        let last = |wanted: fn(&Event) -> bool| told.events.iter().rposition(|e| wanted(&e.event));
        let committed = last(|e| matches!(e, Event::TransactionCommitted { .. }));
        assert!(last(|e| matches!(e, Event::BatchApplied(_))) < committed, "{strategy}: nothing is applied behind it");
        assert_eq!((told.performance.transactions, told.performance.transactions_rolled_back), (1, 0), "{strategy}");
        let store = folder.at("out.db");
        assert_eq!((rows(&store, "items").len(), letters(&store).len()), (170, 20), "{strategy}");
        assert_eq!(run_row(&store, told.report.run).counts, told.report.counts, "{strategy}");
        sound(&store);
    }
}

#[test]
fn a_whole_run_that_is_undone_says_so_and_counts_nothing() {
    for strategy in STRATEGIES {
        let folder = Folder::new();
        let mut job = job(&folder, strategy);
        job.atomic = Atomicity::Run;
        job.max_rejects = Some(RejectLimit::Count(7));
        let (told, counts) = told(job);
        assert_eq!((counts, told.report.counts, told.report.batches), ([0; 5], Counts::default(), 0), "{strategy}");
        assert_eq!((told.report.status, told.report.exit()), (RunStatus::RolledBack, 3), "{strategy}");
        let [began, committed, rolled_back, batches, applied] = tally(&told.events);
        assert_eq!([began, committed, rolled_back, batches], [1, 0, 1, 0], "{strategy}");
        // Two or three of a batch's items are refused.
        assert!(applied >= 3, "{strategy}: {applied} batches were applied before the limit was crossed");
        assert_eq!((told.performance.transactions, told.performance.transactions_rolled_back), (0, 1), "{strategy}");
        let store = folder.at("out.db");
        assert_eq!((rows(&store, "items").len(), letters(&store).len()), (0, 0), "{strategy}");
        let row = run_row(&store, told.report.run);
        assert_eq!((row.status, row.counts, row.batches), (RunStatus::RolledBack, Counts::default(), 0), "{strategy}");
        sound(&store);
    }
}

#[test]
fn a_dry_run_tells_what_would_become_of_each_item_and_of_no_transaction() {
    for atomic in [Atomicity::Batch, Atomicity::Run] {
        let folder = Folder::new();
        let mut job = job(&folder, "concurrent");
        (job.atomic, job.dry_run) = (atomic, true);
        let (told, counts) = told(job);
        assert_eq!(counts, [200, 170, 20, 0, 10], "{atomic:?}");
        assert_eq!(tally(&told.events), [0, 0, 0, 0, 8], "{atomic:?}");
        assert_eq!((told.performance.transactions, told.performance.batches), (0, 8), "{atomic:?}");
        assert!(told.report.dry_run && !folder.at("out.db").exists(), "{atomic:?}");
    }
}

#[test]
fn each_group_of_an_ordinary_run_is_one_transaction() {
    for strategy in STRATEGIES {
        let folder = Folder::new();
        let (told, counts) = told(job(&folder, strategy));
        assert_eq!(counts, [200, 170, 20, 0, 10], "{strategy}");
        let [began, committed, rolled_back, batches, applied] = tally(&told.events);
        assert_eq!([began, rolled_back, batches, applied], [committed, 0, 8, 0], "{strategy}");
        assert!((1..=8).contains(&committed), "{strategy}: {committed} groups");
        assert_eq!(told.performance.transactions, committed, "{strategy}");
    }
}
