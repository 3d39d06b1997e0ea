use super::*;
use crate::model::{BatchMetrics, Counts};

fn batch(number: u64, items: u64, failed: u64, time_us: u64) -> Event {
    Event::BatchCommitted(Box::new(BatchCommitted {
        batch: number,
        first_ordinal: 0,
        last_ordinal: 0,
        group: 0,
        counts: Counts { read: items, stored: items - failed, dead_lettered: failed, ..Counts::default() },
        fates: Vec::new(),
        digests: Vec::new(),
        checkpoint: 0,
        committed_us: 0,
        metrics: BatchMetrics {
            validate_us: time_us / 4,
            operate_us: time_us / 4,
            write_us: time_us - 2 * (time_us / 4),
            ..BatchMetrics::default()
        },
        chunks: Vec::new(),
        plugins: Vec::new(),
    }))
}

fn names(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .map(|e| match e {
            Event::AlertRaised { alert, .. } | Event::AlertCleared { alert, .. } => alert.as_str(),
            _ => "other",
        })
        .collect()
}

#[test]
fn roll_backs_raise_one_alert_with_a_reason_and_the_batch_and_commits_clear_it() {
    let began = |group| Event::TransactionBegan { group, first_batch: Some(10 * group), last_batch: Some(90) };
    let undone = |group| Event::TransactionRolledBack { group, reason: "STORAGE_2009: no space left".to_owned() };
    let committed = |group| Event::TransactionCommitted { group, duration_us: 5 };
    let mut alerts = Alerts::default();
    let mut seen = Vec::new();
    for group in 0..40 {
        seen.extend(alerts.observe(&began(group), 0));
        // From 4 to 20 more than two never succeed in a row, and then all do.
        let fails = (4..20).contains(&group) && group % 3 != 0;
        seen.extend(alerts.observe(&if fails { undone(group) } else { committed(group) }, 0));
    }
    assert_eq!(names(&seen), [TRANSACTION_ROLLED_BACK, TRANSACTION_ROLLED_BACK]);
    assert!(matches!(&seen[0], Event::AlertRaised { batch: 40, value: 1.0, message, .. }
        if message == "transaction 4 was rolled back: STORAGE_2009: no space left"));
    // 19 is the last that fails.
    assert!(matches!(&seen[1], Event::AlertCleared { batch: 220, value: 11.0, .. }), "{:?}", seen[1]);
}

#[test]
fn the_transaction_of_a_whole_run_is_told_with_the_newest_batch() {
    let mut alerts = Alerts::default();
    alerts.observe(&Event::TransactionBegan { group: 0, first_batch: None, last_batch: None }, 0);
    alerts.observe(&batch(7, 100, 0, 0), 0);
    let raised = alerts.observe(&Event::TransactionRolledBack { group: 0, reason: "stopped".to_owned() }, 0);
    assert!(matches!(&raised[..], [Event::AlertRaised { batch: 7, .. }]), "{raised:?}");
}

#[test]
fn slow_is_exactly_above_the_threshold() {
    for (time_us, raised) in [(999_999, 0), (1_000_000, 0), (1_000_001, 1)] {
        let mut alerts = Alerts::default();
        assert_eq!(alerts.observe(&batch(4, 10, 0, time_us), 0).len(), raised, "{time_us} µs");
    }
}

#[test]
fn an_alert_carries_batch_value_and_threshold_in_milliseconds() {
    let mut alerts = Alerts::default();
    let events = alerts.observe(&batch(4, 10, 0, 2_000_000), 0);
    let [Event::AlertRaised { alert, batch: 4, value, threshold, message }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((alert.as_str(), *value, *threshold), (SLOW_BATCH_PROCESSING, 200.0, 100.0));
    assert_eq!(message, "batch 4 took 200.0 ms per item (10 items), more than the 100.0 ms set");
}

#[test]
fn a_lasting_condition_raises_one_alert_and_one_all_clear() {
    let mut alerts = Alerts::default();
    let mut seen = Vec::new();
    for number in 0..100 {
        // Slow from 10 to 49, with a quick batch between now and then.
        let slow = (10..50).contains(&number) && number % 3 != 0;
        seen.extend(alerts.observe(&batch(number, 10, 0, if slow { 5_000_000 } else { 10 }), 0));
    }
    assert_eq!(names(&seen), [SLOW_BATCH_PROCESSING, SLOW_BATCH_PROCESSING]);
    assert!(matches!(seen[0], Event::AlertRaised { batch: 10, .. }));
    assert!(matches!(seen[1], Event::AlertCleared { batch: 52, .. }));
}

#[test]
fn many_errors_raise_an_alert_and_few_items_do_not() {
    let mut alerts = Alerts::default();
    assert!(alerts.observe(&batch(0, 10, 10, 0), 0).is_empty(), "ten items say nothing");
    assert_eq!(names(&alerts.observe(&batch(1, 10, 10, 0), 0)), [HIGH_ERROR_RATE]);
    let mut calm = Alerts::default();
    assert!(calm.observe(&batch(0, 100, 10, 0), 0).is_empty(), "equal raises nothing");
}

/// A sample of a host with so much memory in use and so many bytes of space.
fn sampled(memory_share: f64, disk_free_bytes: u64) -> Event {
    Event::HealthSampled {
        status: HealthStatus::Healthy,
        cpu_share: None,
        memory_share: Some(memory_share),
        process_bytes: None,
        error_share: 0.0,
        response_us: None,
        wal_bytes: None,
        disk_free_bytes: Some(disk_free_bytes),
    }
}

#[test]
fn each_unhealthy_condition_raises_one_alert_and_one_all_clear() {
    let mut alerts = Alerts::default();
    let mut seen = Vec::new();
    for number in 0..60 {
        // Short of memory from 10 to 29 but for single samples, of space from 20 to 39.
        let memory = if (10..30).contains(&number) && number % 3 != 0 { 0.95 } else { 0.4 };
        let space = if (20..40).contains(&number) { 1 << 20 } else { 1 << 40 };
        seen.extend(alerts.observe(&sampled(memory, space), 0));
    }
    assert_eq!(names(&seen), [HIGH_MEMORY, LOW_DISK_SPACE, HIGH_MEMORY, LOW_DISK_SPACE]);
    let raised = |event: &Event| matches!(event, Event::AlertRaised { .. });
    assert_eq!(seen.iter().map(raised).collect::<Vec<_>>(), [true, true, false, false]);
    assert!(
        matches!(&seen[1], Event::AlertRaised { value, threshold, message, .. }
        if *value == f64::from(1 << 20) && *threshold == f64::from(256 << 20)
            && message == "space left for the store is 1.0 MiB, less than the 256.0 MiB set"),
        "{:?}",
        seen[1]
    );
}

#[test]
fn thresholds_that_are_changed_count_from_then_on() {
    let mut alerts = Alerts::default();
    assert!(alerts.observe(&sampled(0.5, u64::MAX), 0).is_empty());
    alerts.set(Thresholds { memory_share: 0.4, ..Thresholds::default() });
    assert_eq!(names(&alerts.observe(&sampled(0.5, u64::MAX), 0)), [HIGH_MEMORY]);
    alerts.set_slow_item(Duration::ZERO);
    assert_eq!(names(&alerts.observe(&batch(0, 10, 0, 10), 0)), [SLOW_BATCH_PROCESSING]);
}

#[test]
fn empty_batches_and_other_events_raise_nothing() {
    let mut alerts = Alerts::default();
    assert!(alerts.observe(&batch(0, 0, 0, u64::MAX / 2), 0).is_empty());
    assert!(alerts.observe(&Event::LanesInUse { lanes: 3 }, 0).is_empty());
}

#[test]
fn values_that_hover_at_their_thresholds_raise_one_alert() {
    let mut alerts = Alerts::default();
    let mut seen = Vec::new();
    for number in 0..200 {
        // Five times beyond, and then five times not far from it.
        let beyond = number % 10 < 5;
        let (memory, space) = if beyond { (0.91, 250 << 20) } else { (0.89, 270 << 20) };
        seen.extend(alerts.observe(&sampled(memory, space), 0));
        let time_us = if beyond { 1_010_000 } else { 950_000 };
        seen.extend(alerts.observe(&batch(number, 10, 0, time_us), 0));
    }
    assert_eq!(names(&seen), [HIGH_MEMORY, LOW_DISK_SPACE, SLOW_BATCH_PROCESSING]);
    seen.clear();
    for number in 200..203 {
        seen.extend(alerts.observe(&sampled(0.8, 282 << 20), 0));
        seen.extend(alerts.observe(&batch(number, 10, 0, 900_000), 0));
    }
    assert_eq!(names(&seen), [HIGH_MEMORY, LOW_DISK_SPACE, SLOW_BATCH_PROCESSING]);
    assert!(seen.iter().all(|event| matches!(event, Event::AlertCleared { .. })), "{seen:?}");
}

#[test]
fn errors_that_hover_at_their_threshold_raise_one_alert() {
    let mut alerts = Alerts::default();
    // The share of the batches of late goes up and down between 9.5 and 11 %.
    let failed = |number: u64| if (number / 32).is_multiple_of(2) { 110 } else { 95 };
    let seen: Vec<Event> =
        (0..640).flat_map(|number| alerts.observe(&batch(number, 1000, failed(number), 0), 0)).collect();
    assert_eq!(names(&seen), [HIGH_ERROR_RATE]);
}

#[test]
fn errors_are_over_when_the_input_pauses() {
    let mut alerts = Alerts::default();
    assert_eq!(names(&alerts.observe(&batch(0, 100, 20, 0), 0)), [HIGH_ERROR_RATE]);
    let mut cleared = Vec::new();
    for second in 1..600 {
        let events = alerts.observe(&sampled(0.1, u64::MAX), second * 1_000_000);
        cleared.extend(events.iter().map(|event| (second, matches!(event, Event::AlertCleared { .. }))));
    }
    assert_eq!(cleared, [(63, true)], "after a minute and three samples");
}

#[test]
fn of_many_alerts_the_first_are_kept_each_with_its_all_clear() {
    let record = |alert: &str, raised| AlertRecord {
        alert: alert.to_owned(),
        raised,
        batch: 0,
        elapsed_us: 0,
        value: 0.0,
        threshold: 0.0,
        message: String::new(),
    };
    let mut kept = Vec::new();
    record(HIGH_MEMORY, true).keep(&mut kept);
    for _ in 0..200 {
        record(LARGE_WAL, true).keep(&mut kept);
        record(LARGE_WAL, false).keep(&mut kept);
    }
    assert_eq!(kept.len(), ALERTS_KEPT_MAX - 1, "a place is left");
    record(HIGH_MEMORY, false).keep(&mut kept);
    assert_eq!(kept.len(), ALERTS_KEPT_MAX);
    record(HIGH_MEMORY, true).keep(&mut kept);
    record(HIGH_MEMORY, false).keep(&mut kept);
    assert_eq!(kept.len(), ALERTS_KEPT_MAX);
    for alert in [HIGH_MEMORY, LARGE_WAL] {
        let states: Vec<bool> = kept.iter().filter(|r| r.alert == alert).map(|r| r.raised).collect();
        assert!(states.chunks(2).all(|pair| pair == [true, false]), "{alert}: {states:?}");
    }
}
