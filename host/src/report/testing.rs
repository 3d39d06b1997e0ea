//! Reports made up for tests.

use super::fold::tests::row;
use super::{BatchFold, EarlierRun, Facts, Problem, Recorded, Report, Sample, Sources};
use crate::event::PluginUsed;
use crate::model::{BatchNumber, Counts, Digest, Name, PluginMetrics, RunNumber, RunStatus};
use crate::monitor::{Evidence, IdleTimes, ItemTimes, PerformanceReport, Recommendation, Recommendations};
use crate::store::{PlanRow, RunPlugin, RunRow, SwapRow};

/// A partial run of so many batches of 100 items, with three plans and an alert; `said` stands wherever a text of a
/// plugin, an input or an error may stand.
pub fn sources(batches: u64, said: &str) -> Sources {
    let plan = |batch: u64, batch_size: u64, cpu: f64| PlanRow {
        batch: BatchNumber(batch),
        batch_size,
        lanes: 1 + batch % 3,
        batches_in_flight: 4,
        old_batch_size: (batch > 0).then_some(100),
        old_lanes: (batch > 0).then_some(1),
        old_batches_in_flight: (batch > 0).then_some(4),
        reason: format!("trying {batch_size}, {said}"),
        signals_json: format!(
            r#"{{"sequence":0,"cpu_share":{cpu},"memory_share":0.4,"writer_busy":0.9,"batch_time_max_us":20000}}"#
        ),
    };
    let plans = vec![plan(0, 100, 0.2), plan(2, 200, 0.9), plan(5, 50, 0.5)];
    let plugin = RunPlugin {
        position: 0,
        slot: said.to_owned(),
        role: "operation".to_owned(),
        name: said.to_owned(),
        digest: Some(Digest::of(b"plugin")),
        from_batch: BatchNumber(0),
    };
    let mut fold = BatchFold::new(plans.iter().map(|plan| plan.batch.0), false).of_plugins(vec![plugin]);
    (0..batches).for_each(|n| fold.push(&row(n, 1, 500 + n / 3)));
    fold.end();
    let counts = Counts {
        read: batches * 100,
        stored: batches * 90,
        rejected: batches * 10,
        inserted: batches * 90,
        retries: batches,
        ..Counts::default()
    };
    let alert = serde_json::json!([
        {"alert": "HIGH_ERROR_RATE", "raised": true, "batch": 1, "elapsed_us": 12_000, "value": 0.1, "threshold": 0.05, "message": said},
        {"alert": "HIGH_ERROR_RATE", "raised": false, "batch": 4, "elapsed_us": 45_000, "value": 0.0, "threshold": 0.05, "message": ""},
    ]);
    let run = RunRow {
        run: RunNumber(5),
        uuid: "01a20a70".to_owned(),
        job: "job".to_owned(),
        status: RunStatus::Partial,
        collection: Name::parse("items").expect("a name"),
        started_ms: 0,
        ended_ms: Some(1000),
        duration_ms: Some(batches * 10 + 10),
        seed: 0,
        clock_ms: 0,
        settings_json: r#"{"strategy":["adaptive"]}"#.to_owned(),
        identity: Vec::new(),
        inputs_json: "[]".to_owned(),
        input_digest: None,
        atomic: "batch".to_owned(),
        counts,
        blank_lines: 0,
        batches,
        error_json: Some(
            serde_json::json!({"code": "CODE_1", "message": said, "causes": [said], "hint": said}).to_string(),
        ),
        performance_json: serde_json::to_string(&performance(batches)).ok(),
        alerts_json: Some(alert.to_string()),
        next: batches * 100,
        epoch: 1,
    };
    let past = |run: u64, rate: f64| EarlierRun {
        run,
        status: "partial",
        started: "then".to_owned(),
        items: 100,
        duration_ms: Some(1000),
        items_per_s: Some(rate),
        error_share: Some(0.1),
    };
    Sources {
        facts: Facts {
            status: RunStatus::Partial,
            duration_ms: Some(batches * 10 + 10),
            items_per_s: Some(9000.0),
            started: "then".to_owned(),
            ended: Some("later".to_owned()),
            made: "now".to_owned(),
            inputs: vec![said.to_owned()],
            store: said.to_owned(),
        },
        fold,
        plans,
        problems: vec![Problem {
            code: said.to_owned(),
            phase: "operate".to_owned(),
            fate: "rejected".to_owned(),
            slot: Some(said.to_owned()),
            items: batches * 10,
            sample: Some(Sample {
                dead_letter: 1,
                id: Some(said.to_owned()),
                input: said.to_owned(),
                line: 7,
                message: said.to_owned(),
                original: Some(said.to_owned()),
            }),
        }],
        other_problems: 0,
        swaps: vec![
            swap("took-effect", "tidy-2.wasm", Some(2), "on probation for 8 batches", None),
            swap("refused", "tidy-3.wasm", None, "3 of 200 items fail with it", Some("GUEST_10001")),
        ],
        recorded: None,
        past: vec![past(1, 9000.0), past(2, 9100.0), past(3, 9050.0), past(5, 3000.0)],
        past_basis: "of the same job".to_owned(),
        past_times: ItemTimes::over([&[(1000, 900)][..], &[(50_000, 100)][..]]),
        recommendations: Some(recommendations(said)),
        run,
    }
}

fn performance(batches: u64) -> PerformanceReport {
    PerformanceReport {
        batches,
        idle: IdleTimes { reader_us: 700, lanes_us: 9_000, lanes_busy_us: 12_000, writer_us: 40_000 },
        process_bytes_peak: 96 << 20,
        indexes_built: 2,
        index_build_us: 1500,
        plugins: vec![PluginMetrics {
            slot: "because".to_owned(),
            calls: batches,
            items: batches * 100,
            faults: 2,
            time_us: batches * 1000,
            cpu_us: batches * 800,
            host_us: batches * 50,
            memory_peak_bytes: 4 << 20,
            faults_by_code: [("GUEST_10001".to_owned(), 2)].into(),
        }],
        prepared: vec![PluginUsed {
            slot: "because".to_owned(),
            digest: Digest::of(b"plugin").to_string(),
            prepare_us: 12_000,
            from_cache: true,
            ..PluginUsed::default()
        }],
        ..PerformanceReport::default()
    }
}

fn swap(step: &str, name: &str, batch: Option<u64>, reason: &str, code: Option<&str>) -> SwapRow {
    SwapRow {
        slot: "tidy".to_owned(),
        step: step.to_owned(),
        source: "watch".to_owned(),
        name: name.to_owned(),
        old_digest: Some(Digest::of(b"old")),
        new_digest: Digest::of(name.as_bytes()),
        batch: batch.map(BatchNumber),
        at_ms: 40,
        ok: code.is_none(),
        code: code.map(str::to_owned),
        reason: reason.to_owned(),
        figures_json: None,
    }
}

fn recommendations(said: &str) -> Recommendations {
    let one = |setting, value, unit| Recommendation {
        setting,
        value,
        default: setting == "attempts",
        reason: said.to_owned(),
        evidence: vec![Evidence { what: said.to_owned(), value: 9000.0, unit }],
        samples: 12,
    };
    Recommendations {
        runs: vec![3, 2, 1],
        batch_size: one("batch-size", 300, "items/s"),
        lanes: one("lanes", 2, "items/s"),
        attempts: one("attempts", 3, ""),
        item_times: None,
    }
}

/// A recording of the run's events: three samples of health, lanes at work, a batch that was given up, a rollback.
pub fn recorded(said: &str) -> Recorded {
    let mut recorded = Recorded::of("01a20a70");
    let mut tell = |at_us: u64, event: serde_json::Value| {
        let mut line = serde_json::json!({"schema": 1, "seq": 0, "time_ms": 0, "elapsed_us": at_us, "run": 5});
        let members = event.as_object().expect("an object").clone();
        line.as_object_mut().expect("an object").extend(members);
        recorded.line(&line.to_string());
    };
    tell(0, serde_json::json!({"event": "run-started", "uuid": "01a20a70"}));
    for (at, lanes) in [(1000, 1), (20_000, 2), (50_000, 0)] {
        tell(at, serde_json::json!({"event": "lanes-in-use", "lanes": lanes}));
        tell(
            at,
            serde_json::json!({"event": "health-sampled", "status": "healthy", "cpu_share": 0.25, "memory_share": 0.5, "process_bytes": 1, "error_share": 0.0}),
        );
    }
    tell(
        30_000,
        serde_json::json!({"event": "batch-started", "batch": 99, "first_ordinal": 0, "last_ordinal": 4, "items": 5, "batch_size": 5, "lanes": 1, "slots": []}),
    );
    tell(45_000, serde_json::json!({"event": "batch-abandoned", "batch": 99, "reason": said}));
    tell(46_000, serde_json::json!({"event": "transaction-rolled-back", "group": 1, "reason": said}));
    recorded
}

/// The report of them.
pub fn report(batches: u64, said: &str) -> Report {
    Report::of(Sources { recorded: Some(recorded(said)), ..sources(batches, said) })
}
