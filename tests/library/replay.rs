//! Real runs, recorded and played back: decisions, alerts, health and metrics come out as they were.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atlas_host::coordinator::Job;
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{Outcome, Plan};
use atlas_host::monitor::{
    Alerts, EventsFile, Fold, Health, Metrics, Performance, PerformanceReport, Sample, Sensor, Summary, Thresholds,
    Watched,
};
use atlas_host::strategy::{Interval, Line, PhaseCosts, Replay, Start, strategy};

use super::{host, items};
use crate::harness::Folder;

/// A machine that gets short of memory, and of space, and has both again.
struct Weather(Arc<AtomicU64>);

impl Sensor for Weather {
    fn sample(&mut self) -> Sample {
        let now = self.0.fetch_add(1, Ordering::SeqCst);
        let short = |from: u64, to: u64| (from..to).contains(&(now % 400));
        Sample {
            cpu_share: Some(0.123_456_789 + (now % 7) as f64 / 10.0),
            memory_share: Some(if short(100, 160) { 0.953_211 } else { 0.31 + now as f64 / 1e6 }),
            process_bytes: Some(1_000_000 + now * 1000),
            wal_bytes: Some(now * 4096),
            disk_free_bytes: Some(if short(220, 260) { 1 } else { 1 << 40 }),
        }
    }
}

/// A run of all kinds of batches, with what its live monitors had at the end. `again` continues what an earlier one learned.
struct Recorded {
    events: Vec<Envelope>,
    metrics: String,
    performance: PerformanceReport,
    summary: String,
}

fn record(folder: &Folder, name: &str, thresholds: Thresholds) -> Recorded {
    let file = folder.at(&format!("{name}.events"));
    let job = Job::of_items(items(0, 40_000), folder.at("out.db"), "items").expect("a job");
    let metrics = Watched::from(Metrics::default());
    let performance = Watched::from(Performance::default());
    let summary = Watched::from(Summary::default());
    let mut job = job
        .operation(|_: &_, item: atlas_host::model::Item<'_>| match item.body.len() % 2 {
            0 => Outcome::Keep,
            _ => Outcome::Drop,
        })
        .monitor(EventsFile::create(&file).expect("a file"))
        .monitor(metrics.clone())
        .monitor(performance.clone())
        .monitor(summary.clone());
    job.again = true;
    job.strategy = "adaptive".to_owned();
    job.bounds.batch_size = Interval::new(10, 400).expect("an interval");
    job.sensor = Some(Box::new(Weather(Arc::default())));
    job.sample_interval = Duration::ZERO;
    job.thresholds = thresholds;
    if name == "warm" {
        // Numbers with more digits than a text of them keeps, as a fit has them.
        let line = |part: f64| Line { fixed_us: 1000.0 * part, item_us: part, samples: 40 };
        let (third, seventh) = (line(1.0 / 3.0), line(1.0 / 7.0));
        let costs = PhaseCosts { read: seventh, guest: third, write: third, commit: seventh };
        job.bounds.start = Some(Start { batch_size: 120, lanes: 2, source: "run 7".to_owned(), costs: Some(costs) });
    }
    host(2).run(job).expect("a run");
    Recorded {
        events: read(&file),
        metrics: metrics.read(Metrics::text),
        performance: performance.read(Performance::report),
        summary: summary.read(|summary| format!("{:?}", summary.summary())),
    }
}

/// What stands in the file, as whoever has nothing but it.
fn read(file: &Path) -> Vec<Envelope> {
    let text = std::fs::read_to_string(file).expect("a recording");
    text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[test]
fn the_log_of_a_run_played_back_gives_the_same_plans() {
    let folder = Folder::new();
    for name in ["cold", "warm"] {
        let recorded = record(&folder, name, Thresholds::default());
        let mut replay = Replay::new(strategy("adaptive").expect("it is one"));
        let decisions: Vec<_> = recorded.events.iter().filter_map(|event| replay.observe(event)).collect();
        let started = recorded.events.iter().filter(|e| matches!(e.event, Event::BatchStarted { .. })).count();
        assert!(decisions.len() >= started, "{name}: one for each batch, {} for {started}", decisions.len());
        let changes = decisions.iter().filter(|decision| decision.reason.is_some()).count();
        assert!(changes > 5, "{name}: {changes} changes");
        for decision in &decisions {
            assert_eq!(decision.again.plan, decision.told, "{name}: {decision:?}");
            assert_eq!(decision.again.reason, decision.reason, "{name}: {decision:?}");
        }
        // The recording tells the old plan with the new one, and what it rests on.
        let mut last: Option<Plan> = None;
        for event in &recorded.events {
            let Event::PlanChosen {
                batch_size,
                lanes,
                batches_in_flight,
                old_batch_size,
                old_lanes,
                old_batches_in_flight,
                inputs,
                ..
            } = &event.event
            else {
                continue;
            };
            let old = last.map(|p| (p.batch_size as u64, p.lanes as u64, p.batches_in_flight as u64));
            let told = old_batch_size.zip(*old_lanes).zip(*old_batches_in_flight);
            assert_eq!(told.map(|((size, lanes), under_way)| (size, lanes, under_way)), old, "{name}");
            assert_eq!((inputs.batch_size_min, inputs.batch_size_max), (10, 400));
            assert_eq!(inputs.start.is_some(), name == "warm" && last.is_none(), "{name}: {inputs:?}");
            last = Some(Plan {
                batch_size: *batch_size as usize,
                lanes: *lanes as usize,
                batches_in_flight: *batches_in_flight as usize,
            });
        }
    }
}

#[test]
fn a_strategy_that_sees_something_else_makes_other_plans() {
    let folder = Folder::new();
    let recorded = record(&folder, "cold", Thresholds::default());
    let mut replay = Replay::new(strategy("adaptive").expect("it is one"));
    let mut differing = 0;
    for mut event in recorded.events {
        // The machine was never short of memory, and what it was does not matter.
        if let Event::PlanChosen { inputs, .. } | Event::PlanKept { inputs, .. } = &mut event.event {
            (inputs.memory_share, inputs.unhealthy) = (None, false);
        }
        let decision = replay.observe(&event);
        differing += usize::from(decision.is_some_and(|decision| decision.again.plan != decision.told));
    }
    assert!(differing > 0, "the recorded inputs are what the plans were made from");
}

#[test]
fn health_and_alerts_of_a_recording_are_those_of_the_run() {
    let folder = Folder::new();
    let thresholds = Thresholds { memory_share: 0.9, ..Thresholds::default() };
    let recorded = record(&folder, "live", thresholds);
    let (mut alerts, mut health) = (Alerts::new(atlas_host::limits::SLOW_ITEM, thresholds), Health::new(thresholds));
    let (mut told, mut again, mut samples) = (Vec::new(), Vec::new(), 0);
    for envelope in &recorded.events {
        let event = &envelope.event;
        if matches!(event, Event::AlertRaised { .. } | Event::AlertCleared { .. }) {
            told.push(event.clone());
            continue;
        }
        if let Event::HealthSampled { cpu_share, memory_share, process_bytes, wal_bytes, disk_free_bytes, .. } = event {
            let sample = Sample {
                cpu_share: *cpu_share,
                memory_share: *memory_share,
                process_bytes: *process_bytes,
                wal_bytes: *wal_bytes,
                disk_free_bytes: *disk_free_bytes,
            };
            assert_eq!(&health.sampled(sample), event);
            samples += 1;
        }
        again.extend(alerts.observe(event, envelope.elapsed_us));
        health.observe(event, envelope.elapsed_us);
    }
    assert!(samples > 300, "{samples} samples");
    assert_eq!(again, told);
    let names: Vec<&str> = told
        .iter()
        .filter_map(|event| match event {
            Event::AlertRaised { alert, .. } => Some(alert.as_str()),
            _ => None,
        })
        .collect();
    assert!(names.contains(&"HIGH_MEMORY") && names.contains(&"LOW_DISK_SPACE"), "{names:?}");
}

#[test]
fn metrics_and_summary_of_a_recording_are_those_of_the_run() {
    let folder = Folder::new();
    let recorded = record(&folder, "live", Thresholds::default());
    let (mut metrics, mut performance, mut summary) = (Metrics::default(), Performance::default(), Summary::default());
    for event in &recorded.events {
        metrics.observe(event);
        performance.observe(event);
        summary.observe(event);
    }
    assert_eq!(metrics.text(), recorded.metrics);
    assert_eq!(performance.report(), recorded.performance);
    assert_eq!(format!("{:?}", summary.summary()), recorded.summary);
    let high = |line: &str| line.starts_with("atlas_alerts_total{") && line.contains("alert=\"HIGH_MEMORY\"");
    assert!(recorded.metrics.lines().any(high), "{}", recorded.metrics);
}
