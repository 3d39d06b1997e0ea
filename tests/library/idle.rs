//! CPU time beside time, and who had nothing to do.

use std::time::Duration;

use atlas_host::coordinator::Job;
use atlas_host::model::{Item, Outcome};
use atlas_host::monitor::{Performance, Watched};
use atlas_host::plugin::Call;

use super::{events_of, host, items, planned, recorded};
use crate::harness::Folder;
use atlas_host::event::Event;

#[test]
fn an_operation_that_waits_takes_time_and_little_cpu_and_holds_up_the_reader() {
    let folder = Folder::new();
    let performance = Watched::from(Performance::default());
    let job = Job::of_items(items(0, 4000), folder.at("out.db"), "items").expect("a job");
    let job = planned(job, "concurrent", 20, 2).monitor(performance.clone());
    let (job, recording) = recorded(job.operation(|_: &Call, _: Item<'_>| {
        std::thread::park_timeout(Duration::from_millis(1));
        Outcome::Keep
    }));
    let report = host(2).run(job).expect("a run");
    let performance = performance.read(Performance::report);
    let did = &performance.plugins[0];
    assert!(did.time_us >= 400_000, "{did:?}");
    assert!(did.cpu_us < did.time_us / 2, "{did:?}");
    // Lanes at work, so that the reader waits for room and the writer for batches.
    let idle = performance.idle;
    assert!(idle.lanes_busy_us >= 400_000 && idle.reader_us > 0, "{idle:?}");
    assert!(idle.writer_us > 0 && idle.writer_us <= report.duration_ms * 1000, "{idle:?}");
    // Each chunk was on one of two lanes, within the time of the run, and lanes never had two at once.
    let mut spans: Vec<(u64, u64, u64)> = Vec::new();
    for envelope in events_of(&recording) {
        if let Event::BatchCommitted(batch) = &envelope.event {
            assert!(!batch.chunks.is_empty() && batch.committed_us > 0);
            for chunk in &batch.chunks {
                assert!(chunk.lane < 2 && chunk.attempt == 1 && chunk.items == 20, "{chunk:?}");
                assert!(chunk.operate_us >= 20_000 && chunk.to_us <= batch.committed_us, "{chunk:?}");
                spans.push((chunk.lane, chunk.from_us, chunk.to_us));
            }
        }
    }
    spans.sort_unstable();
    assert_eq!(spans.len(), 200);
    for pair in spans.windows(2) {
        // Two clocks are read for the beginning: that of the batch and that of the lane.
        assert!(pair[0].0 != pair[1].0 || pair[0].2 <= pair[1].1 + 1000, "{pair:?}");
    }
}
