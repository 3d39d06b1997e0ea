//! Conditions that a person should know of: raised once when they begin, cleared once when they end.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{BatchCommitted, Event};
use crate::limits::SLOW_ITEM;

/// The mean time per item of a batch (validate, operate, write) is above the threshold.
pub const SLOW_BATCH_PROCESSING: &str = "SLOW_BATCH_PROCESSING";
/// The share of rejected and dead-lettered items over recent batches is above the threshold.
pub const HIGH_ERROR_RATE: &str = "HIGH_ERROR_RATE";

/// Batches without the condition after which it counts as ended, so that a value near its threshold causes no storm.
const CALM_BATCHES: u32 = 3;
/// Batches over which errors are counted.
const RECENT_BATCHES: usize = 32;
/// Fewer items than this say nothing about a share.
const ITEMS_ENOUGH: u64 = 20;

/// A write transaction was rolled back.
pub const TRANSACTION_ROLLED_BACK: &str = "TRANSACTION_ROLLED_BACK";

/// Watches committed batches. A pure fold: the same events give the same alerts.
#[derive(Debug)]
pub struct Alerts {
    slow_item: Duration,
    error_share: f64,
    slow: Condition,
    failing: Condition,
    /// Items and failed items of recent batches.
    recent: VecDeque<(u64, u64)>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self::new(SLOW_ITEM, 0.10)
    }
}

impl Alerts {
    /// `slow_item`: mean time per item above which a batch is slow. `error_share`: 0..1.
    pub fn new(slow_item: Duration, error_share: f64) -> Self {
        Self {
            slow_item,
            error_share,
            slow: Condition::new(SLOW_BATCH_PROCESSING),
            failing: Condition::new(HIGH_ERROR_RATE),
            recent: VecDeque::new(),
        }
    }

    /// The alerts that this event raises or clears, in a fixed order; none for most events. To be emitted after it.
    pub fn observe(&mut self, event: &Event) -> Vec<Event> {
        match event {
            Event::BatchCommitted(batch) | Event::BatchApplied(batch) => {
                self.slow(batch).into_iter().chain(self.failing(batch)).collect()
            }
            Event::TransactionRolledBack { group, reason } => vec![Event::AlertRaised {
                alert: TRANSACTION_ROLLED_BACK.to_owned(),
                batch: *group,
                value: 1.0,
                threshold: 0.0,
                message: format!("transaction {group} was rolled back: {reason}"),
            }],
            _ => Vec::new(),
        }
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
        self.slow.update(above, batch.batch, value_ms, threshold_ms, || {
            format!(
                "batch {} took {value_ms:.1} ms per item ({items} items), more than the {threshold_ms:.1} ms set",
                batch.batch
            )
        })
    }

    fn failing(&mut self, batch: &BatchCommitted) -> Option<Event> {
        if self.recent.len() == RECENT_BATCHES {
            self.recent.pop_front();
        }
        self.recent.push_back((batch.counts.read, batch.counts.failed()));
        let items: u64 = self.recent.iter().map(|r| r.0).sum();
        let failed: u64 = self.recent.iter().map(|r| r.1).sum();
        if items < ITEMS_ENOUGH {
            return None;
        }
        let share = failed as f64 / items as f64;
        let threshold = self.error_share;
        self.failing.update(share > threshold, batch.batch, share, threshold, || {
            format!(
                "{failed} of the last {items} items were rejected or failed ({:.1} %), more than the {:.1} % set",
                share * 100.0,
                threshold * 100.0
            )
        })
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
        above: bool,
        batch: u64,
        value: f64,
        threshold: f64,
        message: impl FnOnce() -> String,
    ) -> Option<Event> {
        let alert = self.name.to_owned();
        self.calm = if above { 0 } else { self.calm.saturating_add(1) };
        if above && !self.raised {
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
            metrics: BatchMetrics {
                validate_us: time_us / 4,
                operate_us: time_us / 4,
                write_us: time_us - 2 * (time_us / 4),
                ..BatchMetrics::default()
            },
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
    fn a_rollback_raises_an_alert_with_its_reason() {
        let event = Event::TransactionRolledBack { group: 4, reason: "STORAGE_2009: no space left".to_owned() };
        let raised = Alerts::default().observe(&event);
        assert!(matches!(&raised[..], [Event::AlertRaised { alert, batch: 4, message, .. }]
            if alert == TRANSACTION_ROLLED_BACK && message.contains("no space left")));
    }

    #[test]
    fn slow_is_exactly_above_the_threshold() {
        for (time_us, raised) in [(999_999, 0), (1_000_000, 0), (1_000_001, 1)] {
            let mut alerts = Alerts::new(Duration::from_millis(100), 1.0);
            assert_eq!(alerts.observe(&batch(4, 10, 0, time_us)).len(), raised, "{time_us} µs");
        }
    }

    #[test]
    fn an_alert_carries_batch_value_and_threshold_in_milliseconds() {
        let mut alerts = Alerts::default();
        let events = alerts.observe(&batch(4, 10, 0, 2_000_000));
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
            seen.extend(alerts.observe(&batch(number, 10, 0, if slow { 5_000_000 } else { 10 })));
        }
        assert_eq!(names(&seen), [SLOW_BATCH_PROCESSING, SLOW_BATCH_PROCESSING]);
        assert!(matches!(seen[0], Event::AlertRaised { batch: 10, .. }));
        assert!(matches!(seen[1], Event::AlertCleared { batch: 52, .. }));
    }

    #[test]
    fn many_errors_raise_an_alert_and_few_items_do_not() {
        let mut alerts = Alerts::default();
        assert!(alerts.observe(&batch(0, 10, 10, 0)).is_empty(), "ten items say nothing");
        assert_eq!(names(&alerts.observe(&batch(1, 10, 10, 0))), [HIGH_ERROR_RATE]);
        let mut calm = Alerts::default();
        assert!(calm.observe(&batch(0, 100, 10, 0)).is_empty(), "equal raises nothing");
    }

    #[test]
    fn empty_batches_and_other_events_raise_nothing() {
        let mut alerts = Alerts::default();
        assert!(alerts.observe(&batch(0, 0, 0, u64::MAX / 2)).is_empty());
        assert!(alerts.observe(&Event::LanesInUse { lanes: 3 }).is_empty());
    }
}
