//! The summary of a run says what its events say.

use atlas_host::event::{Envelope, Event};
use atlas_host::model::Counts;
use atlas_host::monitor::{Fold, RunSummary, Summary};

use super::plain_run;
use crate::harness::{Folder, Ran, guest_arg};

/// So many items, of which in each fifty one is refused, one dropped, one traps, and two are tried again.
fn troubled(count: u64) -> String {
    let fault = |n: u64| match n % 50 {
        7 => "drop",
        11 => "reject",
        23 => "trap",
        31 | 32 => "retry(1)",
        _ => "none",
    };
    let item = |n: u64| match fault(n) {
        "none" => format!("{{\"id\":\"{n}\"}}\n"),
        fault => format!("{{\"id\":\"{n}\",\"fault\":\"{fault}\"}}\n"),
    };
    (0..count).map(item).collect()
}

/// What follows from the events alone.
#[derive(Default)]
struct Told {
    counts: Counts,
    batches: u64,
    retried: u64,
    failed: u64,
    lanes_peak: u64,
    resumed_at: u64,
    ended: Counts,
}

fn told(events: &[Envelope]) -> Told {
    let mut told = Told::default();
    for envelope in events {
        match &envelope.event {
            Event::RunStarted(started) => told.resumed_at = started.resumed_at,
            Event::BatchCommitted(batch) => {
                told.counts.add(&batch.counts);
                told.batches += 1;
            }
            Event::ItemRetried { .. } => told.retried += 1,
            Event::ItemFailed { .. } => told.failed += 1,
            Event::LanesInUse { lanes } => told.lanes_peak = told.lanes_peak.max(*lanes),
            Event::RunEnded(ended) => told.ended = ended.counts,
            _ => {}
        }
    }
    told
}

/// The events of a run, its report, its summary in words, and the summary that a fold makes of the events.
struct Seen {
    told: Told,
    report: serde_json::Value,
    text: Ran,
    summary: RunSummary,
}

fn seen(folder: &Folder, further: &str) -> Seen {
    let text = plain_run(folder, &format!("{further} --events events.ndjson --output json")).run().exits(3);
    let read = folder.read("events.ndjson");
    let events: Vec<Envelope> =
        read.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let mut summary = Summary::default();
    events.iter().for_each(|event| summary.observe(event));
    Seen { told: told(&events), report: text.json(), text, summary: summary.summary() }
}

impl Seen {
    /// Asserts that the summary has this line.
    #[track_caller]
    fn says(&self, name: &str, value: &str) {
        let line = format!("  {name:<12}{value}");
        assert!(self.text.stderr.lines().any(|other| other == line), "{line:?} is not in:\n{}", self.text.stderr);
    }

    /// Lines of the summary of this name.
    fn lines(&self, name: &str) -> Vec<&str> {
        let start = format!("  {name:<12}");
        self.text.stderr.lines().filter_map(|line| line.strip_prefix(start.as_str())).collect()
    }

    /// Asserts that batches, lanes and retries are those of the events.
    #[track_caller]
    fn agrees_with_its_events(&self) {
        let Told { counts, batches, retried, failed, lanes_peak, .. } = self.told;
        assert_eq!((retried, failed), (counts.retries, counts.rejected + counts.dead_lettered));
        let mean = counts.read as f64 / batches as f64;
        let rate = counts.retries as f64 / counts.read as f64;
        let p = &self.summary.performance;
        assert_eq!((p.batches, p.items, p.retries, p.lanes_peak), (batches, counts.read, retried, lanes_peak));
        assert_eq!((p.batch_size_mean, p.retry_rate), (mean, rate));
        assert_eq!(self.report["peak_lanes"], lanes_peak);
        let lanes = if lanes_peak == 1 { "1 lane" } else { &format!("{lanes_peak} lanes") };
        self.says("Batches", &format!("{batches} batches of {mean:.0} items on average, up to {lanes} at work"));
        self.says("Retries", &format!("{retried}, {:.1} % of the items read", rate * 100.0));
    }
}

#[test]
fn the_numbers_of_the_summary_follow_from_the_events_under_every_strategy() {
    let plugin = guest_arg("faulty");
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let folder = Folder::new();
        folder.write("in.ndjson", troubled(600));
        let seen = seen(&folder, &format!("--plugin {plugin} --strategy {strategy} --batch-size 40 --lanes 3"));
        let counts = seen.told.counts;
        let fates = [counts.read, counts.stored, counts.rejected, counts.dead_lettered, counts.dropped, counts.retries];
        assert_eq!(fates, [600, 564, 12, 12, 12, 24], "{strategy}");
        assert_eq!(seen.told.ended, counts, "{strategy}");
        assert_eq!(seen.summary.counts, counts, "{strategy}");
        seen.says("Items", "564 stored, 12 rejected, 12 dead-lettered, 12 dropped");
        seen.says("Rows", "564 inserted, into items of atlas.db");
        seen.agrees_with_its_events();
        assert_eq!(seen.lines("Continued"), Vec::<&str>::new());
    }
}

#[test]
fn the_summary_of_a_continued_run_counts_the_whole_and_rates_this_execution() {
    let plugin = guest_arg("faulty");
    let folder = Folder::new();
    folder.write("in.ndjson", troubled(600));
    let further = format!("--plugin {plugin} --strategy sequential --batch-size 40 --store s.db --max-rejects");
    let stopped = seen(&folder, &format!("{further} 3"));
    stopped.agrees_with_its_events();
    let before = stopped.told.counts.read;
    assert!(before < 600);
    let continued = seen(&folder, &format!("{further} 100"));
    assert_eq!((continued.told.resumed_at, continued.told.counts.read), (before, 600 - before));
    continued.agrees_with_its_events();
    assert_eq!((continued.told.ended.read, continued.summary.counts.read), (600, 600));
    continued.says("Items", "564 stored, 12 rejected, 12 dead-lettered, 12 dropped");
    continued.says(
        "Continued",
        &format!("after {before} items; what follows is about the {} items read since", 600 - before),
    );
}

#[test]
fn after_too_many_rejects_one_line_says_where_to_look_and_what_to_do() {
    let plugin = guest_arg("faulty");
    let folder = Folder::new();
    folder.write("in.ndjson", troubled(600));
    let further = format!("--plugin {plugin} --batch-size 40 --max-rejects 3");
    let stopped = seen(&folder, &format!("{further} --store s.db"));
    assert_eq!(
        stopped.lines("Next"),
        [
            "see `atlas-host dead-letters list --run 1 --store s.db`; the same command with a higher --max-rejects continues"
        ]
    );
    let undone = seen(&folder, &format!("{further} --atomic run --into whole"));
    let next = undone.lines("Next");
    assert!(next.len() == 1 && !next[0].contains("dead-letters"), "{next:?}");
}
