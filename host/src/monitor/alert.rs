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
mod tests;
