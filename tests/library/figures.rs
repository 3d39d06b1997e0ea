//! The figures of a run: those that monitors gather are those that follow from its events, its report and its store.

use atlas_host::coordinator::{Atomicity, Job, RejectLimit};
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{BatchNumber, RunNumber, RunStatus};
use atlas_host::monitor::{Summary, Watched};
use atlas_host::store::Reader;

use super::{demand, events_of, host, planned, recorded};
use crate::harness::Folder;

/// Items of which every tenth fails for now, once; and every fiftieth for good.
fn items_with_retries(count: u64) -> impl Iterator<Item = String> + Send + 'static {
    (0..count).map(|n| {
        let fault = match n {
            n if n % 50 == 3 => "reject",
            n if n % 10 == 7 => "retry(1)",
            _ => "none",
        };
        format!(r#"{{"id":"k{n}","fault":"{fault}"}}"#)
    })
}

/// How many events there are of this kind.
fn number_of(events: &[Envelope], kind: impl Fn(&Event) -> bool) -> u64 {
    events.iter().filter(|envelope| kind(&envelope.event)).count() as u64
}

#[test]
fn figures_of_a_run_with_retries_follow_from_its_events() {
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let job = Job::of_items(items_with_retries(1005), &store, "items").and_then(|job| job.id("id"));
        let summary = Watched::from(Summary::default());
        let job = planned(job.expect("a job"), strategy, 100, 3).operation(demand::operate);
        let (job, recording) = recorded(job.monitor(summary.clone()));
        let report = host(3).run(job).expect("a run");
        let (events, found) = (events_of(&recording), summary.read(Summary::summary).performance);

        let committed = number_of(&events, |event| matches!(event, Event::BatchCommitted(_)));
        let reader = Reader::open(&store).expect("a store");
        let history = reader.batches(RunNumber(report.run), BatchNumber(0), 1000).expect("a history").len() as u64;
        assert_eq!((committed, history), (11, 11), "{strategy}: the events, and the store");
        assert_eq!((found.batches, report.batches), (11, 11), "{strategy}: analysed once each, and reported");

        let read = report.counts.read;
        let retries = number_of(&events, |event| matches!(event, Event::ItemRetried { .. }));
        assert_eq!((read, retries), (1005, 100), "{strategy}: what the items ask for");
        assert_eq!((found.items, found.failed), (read, report.counts.failed()), "{strategy}");
        assert_eq!((found.retries, report.counts.retries), (retries, retries), "{strategy}");
        assert_eq!(found.retry_rate, retries as f64 / read as f64, "{strategy}");
        assert_eq!(found.batch_size_mean, read as f64 / committed as f64, "{strategy}");

        let lanes = events.iter().filter_map(|envelope| match envelope.event {
            Event::LanesInUse { lanes } => Some(lanes),
            _ => None,
        });
        let most = lanes.max().expect("lanes in use are told");
        assert_eq!((found.lanes_peak, report.peak_lanes), (most, most), "{strategy}");
        assert_eq!(most == 1, strategy == "sequential", "{strategy}: {most} lanes");
        let groups = number_of(&events, |event| matches!(event, Event::TransactionCommitted { .. }));
        assert_eq!((found.transactions, found.transactions_rolled_back), (groups, 0), "{strategy}");
    }
}

#[test]
fn a_run_that_is_undone_reports_no_batch_and_no_item() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let mut job = Job::of_items(items_with_retries(300), &store, "items").and_then(|job| job.id("id")).expect("a job");
    (job.atomic, job.max_rejects) = (Atomicity::Run, Some(RejectLimit::Count(0)));
    let (job, recording) = recorded(planned(job, "concurrent", 100, 2).operation(demand::operate));
    let host = host(2);
    let report = match host.run(job) {
        Ok(report) => report,
        Err(failure) => *failure.report.expect("a run that had begun"),
    };
    assert_eq!(report.status, RunStatus::RolledBack);
    assert_eq!((report.batches, report.counts.read, report.items_per_s), (0, 0, 0.0));
    assert_eq!(report.fates, None, "no item has a fate");
    let reader = Reader::open(&store).expect("a store");
    assert_eq!(reader.batches(RunNumber(report.run), BatchNumber(0), 1000).expect("a history"), []);
    let committed = number_of(&events_of(&recording), |event| matches!(event, Event::BatchCommitted(_)));
    assert_eq!(committed, 0);
}
