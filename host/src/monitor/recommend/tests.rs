use super::*;
use crate::model::{BatchMetrics, BatchNumber, Counts, Digest, Name, RunNumber, RunStatus};
use crate::strategy::{Bounds, Interval, Signals};

fn run(number: u64, attempts: &str, retries: u64) -> RunRow {
    RunRow {
        run: RunNumber(number),
        uuid: String::new(),
        job: String::new(),
        status: RunStatus::Succeeded,
        collection: Name::parse("items").unwrap(),
        started_ms: 0,
        ended_ms: Some(1),
        duration_ms: Some(1),
        seed: 0,
        clock_ms: 0,
        settings_json: format!(r#"{{"attempts":["{attempts}"]}}"#),
        identity: Vec::new(),
        inputs_json: "[]".to_owned(),
        input_digest: None,
        atomic: "batch".to_owned(),
        counts: Counts { read: 1000, stored: 1000, retries, ..Counts::default() },
        blank_lines: 0,
        batches: 0,
        error_json: None,
        performance_json: None,
        alerts_json: None,
        next: 1000,
        epoch: 1,
    }
}

fn past(number: u64, batches: Vec<BatchRow>) -> PastRun {
    PastRun { run: run(number, "3", 0), batches, plans: Vec::new(), exhausted: 0 }
}

/// So many batches of a setting, one every `us` microseconds, after those that are there.
fn add(batches: &mut Vec<BatchRow>, many: u64, size: u64, lanes: u64, us: u64) {
    for _ in 0..many {
        let cut_us = batches.last().and_then(|last| last.metrics).map_or(0, |m| m.cut_us + m.compute_us);
        batches.push(BatchRow {
            id: batches.len() as i64,
            run: RunNumber(1),
            number: BatchNumber(batches.len() as u64),
            first_ordinal: 0,
            first: Default::default(),
            last: Default::default(),
            epoch: 1,
            counts: Counts { read: size, stored: size, ..Counts::default() },
            blank_lines: 0,
            input_digest: Digest::of(b""),
            written_ms: 0,
            dropped: Vec::new(),
            chunks: Vec::new(),
            metrics: Some(BatchMetrics {
                cut_us,
                plan_size: size,
                plan_lanes: lanes,
                compute_us: us,
                ..BatchMetrics::default()
            }),
            plugins: Vec::new(),
        });
    }
}

#[test]
fn without_history_all_are_the_defaults_and_say_so() {
    let found = recommend(&[], 6);
    assert_eq!(found.runs, [] as [u64; 0]);
    assert_eq!(
        found.all().map(|one| (one.setting, one.value, one.default, one.samples)),
        [("batch-size", 1000, true, 0), ("lanes", 6, true, 0), ("attempts", 3, true, 0)]
    );
    for one in found.all() {
        assert!(one.reason.contains("no earlier run") && one.reason.contains("default"), "{}", one.reason);
        assert_eq!(one.evidence, []);
    }
}

#[test]
fn the_fastest_setting_is_recommended_with_its_figures() {
    let mut batches = Vec::new();
    add(&mut batches, 20, 100, 2, 10_000); // 10,000 items/s
    add(&mut batches, 20, 400, 2, 20_000); // 20,000 items/s
    add(&mut batches, 20, 1000, 2, 80_000); // 12,500 items/s
    add(&mut batches, 3, 500, 2, 1); // too few to count
    let found = recommend(&[past(4, batches.clone()), past(3, batches)], 2);
    assert_eq!((found.batch_size.value, found.lanes.value, found.batch_size.default), (400, 2, false));
    assert_eq!((found.runs.as_slice(), found.batch_size.samples), ([4, 3].as_slice(), 40));
    assert_eq!(
        found.batch_size.reason,
        "400 items a batch with 2 lanes gave 20,000 items/s over 40 batches in 2 runs: the fastest of what was tried; \
         3 settings compared"
    );
    let figures: Vec<(&str, f64)> = found.batch_size.evidence.iter().map(|e| (e.what.as_str(), e.value)).collect();
    assert_eq!(
        figures,
        [
            ("batches of 400, 2 lanes (40 batches)", 20_000.0),
            ("batches of 1,000, 2 lanes (40 batches)", 12_500.0),
            ("batches of 100, 2 lanes (40 batches)", 10_000.0),
        ]
    );
}

#[test]
fn of_settings_about_as_fast_the_one_with_fewer_lanes_and_smaller_batches_is_taken() {
    let mut batches = Vec::new();
    add(&mut batches, 10, 1000, 4, 10_000); // 100,000
    add(&mut batches, 10, 800, 2, 8_200); // 97,561
    add(&mut batches, 10, 500, 2, 5_200); // 96,154
    add(&mut batches, 10, 500, 1, 9_000); // 55,556
    let found = recommend(&[past(1, batches)], 8);
    assert_eq!((found.batch_size.value, found.lanes.value), (500, 2));
    assert!(found.batch_size.reason.contains("within 5 % of the fastest (1,000 items a batch, 4 lanes: 100,000"));
}

#[test]
fn runs_whose_batches_tell_nothing_lead_to_the_defaults() {
    let mut pruned = Vec::new();
    add(&mut pruned, 30, 100, 2, 10);
    pruned.iter_mut().for_each(|batch| batch.metrics = None);
    let mut without_times = Vec::new();
    add(&mut without_times, 30, 100, 2, 0);
    let mut changing = Vec::new();
    (0..30).for_each(|n| add(&mut changing, 1, 100 + n, 2, 10));
    for batches in [Vec::new(), pruned, without_times, changing] {
        let found = recommend(&[past(1, batches)], 2);
        assert!(found.batch_size.default && found.lanes.default, "{found:?}");
        assert!(found.batch_size.reason.starts_with("no setting of 1 earlier run was kept for 8 batches"));
    }
}

#[test]
fn a_stretch_is_not_charged_for_the_time_that_its_batches_were_under_way_beside_others() {
    // Four batches are always under way: one is written every 10 ms, 40 ms after it was cut.
    let mut batches = Vec::new();
    add(&mut batches, 8, 100, 2, 10_000);
    add(&mut batches, 8, 400, 2, 10_000);
    for batch in &mut batches {
        let metrics = batch.metrics.as_mut().expect("they have metrics");
        (metrics.compute_us, metrics.cut_us) = (40_000, metrics.cut_us + 100);
    }
    let found = recommend(&[past(1, batches)], 2);
    assert_eq!((found.batch_size.value, found.batch_size.evidence[0].value), (400, 40_000.0));
}

#[test]
fn batches_that_come_in_one_burst_do_not_seem_infinitely_fast() {
    let mut batches = Vec::new();
    add(&mut batches, 8, 100, 2, 10_000);
    add(&mut batches, 8, 400, 2, 20_000);
    // All of the second stretch are written at the same time as the last of the first.
    let end = batches[7].metrics.map_or(0, |m| m.cut_us + m.compute_us);
    for batch in &mut batches[8..] {
        let metrics = batch.metrics.as_mut().expect("they have metrics");
        metrics.compute_us = end.saturating_sub(metrics.cut_us);
    }
    let found = recommend(&[past(1, batches)], 2);
    assert_eq!(found.batch_size.evidence[0].value, (8.0 * 400.0 / 0.14_f64 * 10.0).round() / 10.0);
}

#[test]
fn only_the_newest_runs_count() {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    add(&mut old, 20, 50, 2, 10);
    add(&mut new, 20, 900, 2, 1_000_000);
    let mut history: Vec<PastRun> = (0..20).map(|n| past(100 - n, new.clone())).collect();
    history.push(past(1, old));
    let found = recommend(&history, 2);
    assert_eq!((found.batch_size.value, found.runs.len()), (900, 20));
}

#[test]
fn lanes_tell_how_busy_they_were() {
    let mut past = past(1, Vec::new());
    add(&mut past.batches, 20, 400, 2, 20_000);
    let bounds = Bounds { lanes: Interval::new(1, 2).unwrap(), ..Bounds::of_cores(std::num::NonZeroUsize::MIN) };
    for (batch, busy) in [(0, None), (9, Some(0.5)), (12, Some(0.7))] {
        let signals = Signals { lanes_busy: busy, ..Signals::new(bounds.clone()) };
        past.plans.push(PlanRow {
            batch: BatchNumber(batch),
            batch_size: 400,
            lanes: 2,
            batches_in_flight: 3,
            old_batch_size: None,
            old_lanes: None,
            old_batches_in_flight: None,
            reason: String::new(),
            signals_json: serde_json::to_string(&signals).unwrap(),
        });
    }
    let evidence = recommend(&[past], 2).lanes.evidence;
    let busy = evidence.iter().find(|e| e.what.starts_with("lanes busy")).expect("it is told");
    assert_eq!((busy.value, busy.unit), (60.0, "%"));
}

#[test]
fn attempts_follow_what_retries_brought() {
    let of = |given: &str, retries: u64, exhausted: u64| {
        let past = PastRun { run: run(1, given, retries), batches: Vec::new(), plans: Vec::new(), exhausted };
        let found = recommend(&[past], 2).attempts;
        (found.value, found.default)
    };
    assert_eq!(of("3", 0, 0), (3, true), "nothing was ever retried");
    assert_eq!(of("3", 5, 0), (3, true), "too few to say anything");
    assert_eq!(of("5", 50, 0), (5, false), "all were settled within five");
    assert_eq!(of("3", 50, 4), (5, false), "some were settled, some needed more");
    assert_eq!(of("3", 20, 10), (2, false), "not one was settled by them");
    assert_eq!(of("9", 500, 4), (10, false), "never above the advised most");
    assert_eq!(of("50", 5000, 4), (50, false), "nor below what was given");
    assert_eq!(of("junk", 50, 0), (3, true), "settings that cannot be read count as the default");
}

#[test]
fn a_recommendation_is_json() {
    let text = serde_json::to_value(recommend(&[], 2)).unwrap();
    assert_eq!((&text["lanes"]["setting"], &text["lanes"]["value"]), (&"lanes".into(), &2.into()));
}
