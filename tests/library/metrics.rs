//! Metrics of a run, read while it is under way and after its end.

use std::sync::mpsc::channel;
use std::time::Duration;

use atlas_host::coordinator::Job;
use atlas_host::event::Event;
use atlas_host::model::{Item, Outcome};
use atlas_host::monitor::{Performance, Summary, Watched, subscription};
use atlas_host::plugin::Call;

use super::{demand, events, events_of, host, items, planned, recorded};
use crate::harness::Folder;

#[test]
fn performance_is_read_after_each_batch_of_a_run_under_way() {
    let folder = Folder::new();
    let (feed, fed) = channel();
    let job = Job::of_items(fed, folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    let mut job = planned(job, "sequential", 10, 1).operation(|_: &Call, _: Item<'_>| Outcome::Keep);
    // No batch is closed early, however slow the test is.
    job.batch_wait = Duration::from_secs(600);
    // Monitors see an event one after another: once the subscription has it, the metrics have it too.
    let performance = Watched::from(Performance::default());
    let (subscribed, told) = subscription(10_000);
    let job = job.monitor(performance.clone()).monitor(subscribed);
    let host = host(1);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| host.run(job));
        assert_eq!(performance.read(Performance::report).batches, 0);
        for batch in 0..3 {
            for body in items(batch * 10, 10) {
                feed.send(body).expect("the run reads");
            }
            let committed = |event: &Event| matches!(event, Event::BatchCommitted(done) if done.batch == batch);
            assert!(told.iter().any(|envelope| committed(&envelope.event)), "it comes before the end");
            let now = performance.read(Performance::report);
            assert_eq!((now.batches, now.items, now.failed), (batch + 1, (batch + 1) * 10, 0));
            assert_eq!((now.transactions, now.batch_size_mean), (batch + 1, 10.0));
            assert!(now.items_per_s > 0.0 && now.guest_calls > batch, "{now:?}");
            assert!(now.item_p50_ns > 0, "{now:?}");
            assert!([now.item_p50_ns, now.item_p95_ns, now.item_p99_ns, now.item_max_ns].is_sorted(), "{now:?}");
        }
        drop(feed);
        let report = run.join().expect("no panic").expect("a run");
        let end = performance.read(Performance::report);
        assert_eq!((end.batches, end.items, end.lanes_peak), (3, report.counts.read, report.peak_lanes));
    });
}

#[test]
fn performance_after_a_run_is_what_its_events_and_its_report_say() {
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let folder = Folder::new();
        let bodies = (0..500).map(|n| {
            let fault = ["none", "reject", "retry(1)", "drop", "replace"][n % 5];
            format!(r#"{{"id":"{n:03}","fault":"{fault}"}}"#)
        });
        let job = Job::of_items(bodies, folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
        let (performance, summary) = (Watched::from(Performance::default()), Watched::from(Summary::default()));
        let job = planned(job, strategy, 30, 2).operation(demand::operate);
        let (job, recording) = recorded(job.monitor(performance.clone()).monitor(summary.clone()));
        let report = host(2).run(job).expect("a run");
        let events = events_of(&recording);
        events::check(&events, 2);
        let metrics = performance.read(Performance::report);

        assert_eq!((metrics.batches, metrics.items), (report.batches, report.counts.read), "{strategy}");
        assert_eq!((metrics.failed, metrics.retries), (100, 100), "{strategy}");
        assert_eq!(metrics.retry_rate, 0.2, "{strategy}");
        assert_eq!(metrics.lanes_peak, report.peak_lanes, "{strategy}");
        assert_eq!(metrics, summary.read(Summary::summary).performance, "{strategy}: the summary tells the same");
        let mut sums = [0; 4];
        let mut transactions = 0;
        for envelope in &events {
            match &envelope.event {
                Event::BatchCommitted(done) => {
                    let m = done.metrics;
                    let more = [m.guest_calls, m.bytes_out, m.operate_us, m.write_us];
                    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
                }
                Event::TransactionCommitted { .. } => transactions += 1,
                _ => {}
            }
        }
        let told = [metrics.guest_calls, metrics.bytes_out, metrics.phases.operate_us, metrics.phases.write_us];
        assert_eq!((told, metrics.transactions), (sums, transactions), "{strategy}");
    }
}
