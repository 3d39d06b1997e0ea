//! Conditions that a person should know of: raised once when they begin, cleared once when they end.

use std::time::Duration;

use super::health::{Condition as Cause, Sample, Thresholds, reasons};
use super::recent::Recent;
use crate::event::{BatchCommitted, Event, HealthStatus};
use crate::limits::{ALERTS_KEPT_MAX, SLOW_ITEM};

/// The mean time per item of a batch (validate, operate, write) is above the threshold.
pub const SLOW_BATCH_PROCESSING: &str = "SLOW_BATCH_PROCESSING";
/// The share of rejected and dead-lettered items over recent batches is above the threshold.
pub const HIGH_ERROR_RATE: &str = "HIGH_ERROR_RATE";

/// Memory in use is above the threshold.
pub const HIGH_MEMORY: &str = "HIGH_MEMORY";
/// Computing a batch takes longer than the threshold, on average over recent batches.
pub const SLOW_RESPONSE: &str = "SLOW_RESPONSE";
/// The write-ahead log of the store is larger than the threshold.
pub const LARGE_WAL: &str = "LARGE_WAL";
/// Less space than the threshold is left where the store lies.
pub const LOW_DISK_SPACE: &str = "LOW_DISK_SPACE";

/// Alerts about health, and what each is about. Errors have [`HIGH_ERROR_RATE`], judged at each batch.
const OF_HEALTH: [(&str, Cause); 4] = [
    (HIGH_MEMORY, Cause::Memory),
    (SLOW_RESPONSE, Cause::Response),
    (LARGE_WAL, Cause::Wal),
    (LOW_DISK_SPACE, Cause::Disk),
];

/// Calm batches in a row (of health: samples; of roll-backs: committed transactions) after which a condition counts as ended.
const CALM_BATCHES: u32 = 3;
/// A value is calm up to this part of its threshold, so that one that hovers at it causes no storm.
const CALM: f64 = 0.9;
/// Disk space is calm from this many times its threshold on.
const CALM_DISK: f64 = 1.1;

/// Write transactions are rolled back: once for all of them until some in a row were committed.
pub const TRANSACTION_ROLLED_BACK: &str = "TRANSACTION_ROLLED_BACK";

/// An alert that was raised or cleared, as the history of a run keeps it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AlertRecord {
    pub alert: String,
    /// False where it was cleared.
    pub raised: bool,
    pub batch: u64,
    /// Time since the execution of the run began.
    pub elapsed_us: u64,
    pub value: f64,
    pub threshold: f64,
    /// Empty where it was cleared.
    pub message: String,
}

impl AlertRecord {
    /// None for other events.
    pub fn of(event: &Event, elapsed_us: u64) -> Option<Self> {
        match event.clone() {
            Event::AlertRaised { alert, batch, value, threshold, message } => {
                Some(Self { alert, raised: true, batch, elapsed_us, value, threshold, message })
            }
            Event::AlertCleared { alert, batch, value, threshold } => {
                Some(Self { alert, raised: false, batch, elapsed_us, value, threshold, message: String::new() })
            }
            _ => None,
        }
    }

    /// Adds it to the records of a run, if there is room: [`ALERTS_KEPT_MAX`] at the most, and an alert takes the place of its
    /// all-clear with its own, so that none stands there for ever as if it lasted.
    pub fn keep(self, kept: &mut Vec<Self>) {
        let lasts = |(at, record): (usize, &Self)| {
            record.raised && !kept[at + 1..].iter().any(|later| later.alert == record.alert)
        };
        let mut lasting = kept.iter().enumerate().filter(|known| lasts(*known)).map(|(_, record)| &record.alert);
        let room = match self.raised {
            true => kept.len() + lasting.count() + 2 <= ALERTS_KEPT_MAX,
            false => lasting.any(|alert| *alert == self.alert),
        };
        if room {
            kept.push(self);
        }
    }
}

/// Watches committed batches and samples of health. A pure fold: the same events give the same alerts.
#[derive(Debug)]
pub struct Alerts {
    slow_item: Duration,
    thresholds: Thresholds,
    /// In the order of [`OF_HEALTH`].
    health: [Condition; OF_HEALTH.len()],
    /// The newest batch.
    batch: u64,
    slow: Condition,
    failing: Condition,
    rolled_back: Condition,
    /// Where the newest transaction began, if it tells: the batch that an alert about it is about.
    first_of_group: Option<u64>,
    /// Transactions rolled back since the last all-clear.
    roll_backs: u64,
    recent: Recent,
}

impl Default for Alerts {
    fn default() -> Self {
        Self::new(SLOW_ITEM, Thresholds::default())
    }
}

impl Alerts {
    /// `slow_item`: mean time per item above which a batch is slow.
    pub fn new(slow_item: Duration, thresholds: Thresholds) -> Self {
        Self {
            slow_item,
            thresholds,
            health: OF_HEALTH.map(|(name, _)| Condition::new(name)),
            batch: 0,
            slow: Condition::new(SLOW_BATCH_PROCESSING),
            failing: Condition::new(HIGH_ERROR_RATE),
            rolled_back: Condition::new(TRANSACTION_ROLLED_BACK),
            first_of_group: None,
            roll_backs: 0,
            recent: Recent::default(),
        }
    }

    /// Another threshold from the next batch on; gives the old one.
    pub fn set_slow_item(&mut self, slow_item: Duration) -> Duration {
        std::mem::replace(&mut self.slow_item, slow_item)
    }

    /// Other thresholds from the next batch and sample on; gives the old ones.
    pub fn set(&mut self, thresholds: Thresholds) -> Thresholds {
        std::mem::replace(&mut self.thresholds, thresholds)
    }

    /// The alerts that this event, which came at this time since the run began, raises or clears, in a fixed order; none for
    /// most events. To be emitted after it.
    pub fn observe(&mut self, event: &Event, elapsed_us: u64) -> Vec<Event> {
        self.recent.pass(elapsed_us);
        match event {
            Event::BatchCommitted(batch) | Event::BatchApplied(batch) => {
                self.batch = batch.batch;
                self.recent.add(batch, elapsed_us);
                self.slow(batch).into_iter().chain(self.failing()).collect()
            }
            Event::HealthSampled { memory_share, response_us, wal_bytes, disk_free_bytes, .. } => {
                let (memory_share, wal_bytes, disk_free_bytes) = (*memory_share, *wal_bytes, *disk_free_bytes);
                let sample = Sample { memory_share, wal_bytes, disk_free_bytes, ..Sample::default() };
                let mut events = self.unhealthy(sample, response_us.map(Duration::from_micros));
                // While the input pauses no batch ends what the batches of late no longer say.
                if self.recent.items().is_none() {
                    events.extend(self.failing());
                }
                events
            }
            Event::TransactionBegan { first_batch, .. } => {
                self.first_of_group = *first_batch;
                Vec::new()
            }
            Event::TransactionRolledBack { group, reason } => self.transaction(Some((*group, reason))),
            Event::TransactionCommitted { .. } => self.transaction(None),
            _ => Vec::new(),
        }
    }

    /// A transaction ended: undone, for this reason, or committed.
    fn transaction(&mut self, undone: Option<(u64, &str)>) -> Vec<Event> {
        // That of a whole run has no first batch; it is about all of them, the newest is where it ended.
        let batch = self.first_of_group.take().unwrap_or(self.batch);
        self.roll_backs = self.roll_backs.saturating_add(u64::from(undone.is_some()));
        let message = || {
            let (group, reason) = undone.unwrap_or_default();
            format!("transaction {group} was rolled back: {reason}")
        };
        let level = Level::of(undone.is_some(), undone.is_none());
        let event = self.rolled_back.update(level, batch, self.roll_backs as f64, 0.0, message);
        if !self.rolled_back.raised {
            self.roll_backs = 0;
        }
        event.into_iter().collect()
    }

    fn unhealthy(&mut self, sample: Sample, response: Option<Duration>) -> Vec<Event> {
        let t = &self.thresholds;
        let bad = reasons(sample, 0.0, response, t);
        let mut events = Vec::new();
        for ((_, cause), condition) in OF_HEALTH.into_iter().zip(&mut self.health) {
            let of_it = bad.iter().find(|reason| reason.condition == cause && reason.status == HealthStatus::Unhealthy);
            // What is measured where nothing is wrong: only an all-clear tells it.
            let (value, threshold) = match cause {
                Cause::Memory => (sample.memory_share.unwrap_or(0.0), t.memory_share),
                Cause::Response => (response.unwrap_or_default().as_secs_f64() * 1e3, t.response.as_secs_f64() * 1e3),
                Cause::Wal => (sample.wal_bytes.unwrap_or(0) as f64, t.wal_bytes as f64),
                _ => (sample.disk_free_bytes.unwrap_or(0) as f64, t.disk_free_bytes as f64),
            };
            let calm = match cause {
                // Of little space it is the other way round; that it is unknown says nothing.
                Cause::Disk => sample.disk_free_bytes.is_none_or(|free| free as f64 >= threshold * CALM_DISK),
                _ => value <= threshold * CALM,
            };
            let message = || of_it.map_or_else(String::new, |reason| reason.message.clone());
            let level = Level::of(of_it.is_some(), calm);
            events.extend(condition.update(level, self.batch, value, threshold, message));
        }
        events
    }

    fn slow(&mut self, batch: &BatchCommitted) -> Option<Event> {
        let items = batch.counts.read;
        if items == 0 {
            return None;
        }
        let m = &batch.metrics;
        let time_us = m.validate_us.saturating_add(m.operate_us).saturating_add(m.write_us);
        // In whole numbers, since equal must raise nothing.
        let above = u128::from(time_us) * 1000 > self.slow_item.as_nanos() * u128::from(items);
        let value_ms = time_us as f64 / items as f64 / 1e3;
        let threshold_ms = self.slow_item.as_secs_f64() * 1e3;
        let level = Level::of(above, value_ms <= threshold_ms * CALM);
        self.slow.update(level, batch.batch, value_ms, threshold_ms, || {
            format!(
                "batch {} took {value_ms:.1} ms per item ({items} items), more than the {threshold_ms:.1} ms set",
                batch.batch
            )
        })
    }

    fn failing(&mut self) -> Option<Event> {
        let threshold = self.thresholds.error_share;
        // Few items say nothing: what was raised before ends.
        let (items, failed) = self.recent.items().unwrap_or_default();
        let share = if items == 0 { 0.0 } else { failed as f64 / items as f64 };
        let level = Level::of(share > threshold, share <= threshold * CALM);
        self.failing.update(level, self.batch, share, threshold, || {
            format!(
                "{failed} of the last {items} items were rejected or failed ({:.1} %), more than the {:.1} % set",
                share * 100.0,
                threshold * 100.0
            )
        })
    }
}

/// Where a value lies, seen from its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The condition is there.
    Beyond,
    /// It is not, and it may be any moment: what was raised stays.
    Near,
    Calm,
}

impl Level {
    fn of(beyond: bool, calm: bool) -> Self {
        match (beyond, calm) {
            (true, _) => Level::Beyond,
            (false, true) => Level::Calm,
            (false, false) => Level::Near,
        }
    }
}

/// One condition: on or off.
#[derive(Debug)]
struct Condition {
    name: &'static str,
    raised: bool,
    calm: u32,
}

impl Condition {
    fn new(name: &'static str) -> Self {
        Self { name, raised: false, calm: 0 }
    }

    fn update(
        &mut self,
        level: Level,
        batch: u64,
        value: f64,
        threshold: f64,
        message: impl FnOnce() -> String,
    ) -> Option<Event> {
        let alert = self.name.to_owned();
        self.calm = if level == Level::Calm { self.calm.saturating_add(1) } else { 0 };
        if level == Level::Beyond && !self.raised {
            self.raised = true;
            return Some(Event::AlertRaised { alert, batch, value, threshold, message: message() });
        }
        if self.raised && self.calm >= CALM_BATCHES {
            self.raised = false;
            return Some(Event::AlertCleared { alert, batch, value, threshold });
        }
        None
    }
}

#[cfg(test)]
mod tests {
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
}
