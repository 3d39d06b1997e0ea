//! What the batches of late came to. A pure fold: time is that of the events.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::BatchCommitted;
use crate::limits::SHARE_ITEMS_MIN;

/// Batches of late, at the most.
pub(super) const RECENT_BATCHES: usize = 32;
/// Where none was done for longer than this, the input pauses, and those before it say nothing any more.
const PAUSE_US: u64 = 60_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Done>);

#[derive(Debug)]
struct Done {
    at_us: u64,
    items: u64,
    failed: u64,
    response_us: u64,
}

impl Recent {
    /// A batch was done at this time.
    pub fn add(&mut self, batch: &BatchCommitted, at_us: u64) {
        if self.0.len() == RECENT_BATCHES {
            self.0.pop_front();
        }
        let (items, failed) = (batch.counts.read, batch.counts.failed());
        self.0.push_back(Done { at_us, items, failed, response_us: batch.metrics.compute_us });
    }

    /// Time has passed up to now. Batches that take long, or come at long intervals, are remembered for longer, or they would be
    /// forgotten before the next one can be done.
    pub fn pass(&mut self, now_us: u64) {
        let Some(newest) = self.0.back() else { return };
        let before = self.0.len().checked_sub(2).map(|at| &self.0[at]);
        let interval_us = before.map_or(0, |before| newest.at_us.saturating_sub(before.at_us));
        let pause_us = PAUSE_US.saturating_add(newest.response_us).max(interval_us.saturating_mul(2));
        if now_us.saturating_sub(newest.at_us) > pause_us {
            self.0.clear();
        }
    }

    /// Items, and those of them that failed; none while there are too few to say anything ([`SHARE_ITEMS_MIN`]).
    pub fn items(&self) -> Option<(u64, u64)> {
        let items: u64 = self.0.iter().map(|done| done.items).sum();
        let failed: u64 = self.0.iter().map(|done| done.failed).sum();
        (items >= SHARE_ITEMS_MIN).then_some((items, failed))
    }

    /// Mean time of a batch from its cut to its last decision.
    pub fn response(&self) -> Option<Duration> {
        let sum = self.0.iter().map(|done| done.response_us).fold(0, u64::saturating_add);
        sum.checked_div(self.0.len() as u64).map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::monitor::testing;

    fn batch(compute_us: u64) -> BatchCommitted {
        let Event::BatchCommitted(mut batch) = testing::batch(0, 100, 30) else { panic!("a batch") };
        batch.metrics.compute_us = compute_us;
        *batch
    }

    #[test]
    fn batches_are_forgotten_in_a_pause_of_a_minute_and_slow_ones_later() {
        for (compute_us, forgotten_us) in [(0, 70_000_000), (200_000_000, 270_000_000)] {
            let mut recent = Recent::default();
            recent.add(&batch(compute_us), 10_000_000);
            recent.pass(forgotten_us);
            assert_eq!(recent.items(), Some((100, 30)));
            recent.pass(forgotten_us + 1);
            assert_eq!((recent.items(), recent.response()), (None, None));
        }
    }

    #[test]
    fn an_input_that_trickles_is_no_pause() {
        let mut recent = Recent::default();
        for number in 0..100 {
            recent.pass(number * 50_000_000);
            recent.add(&batch(1000), number * 50_000_000);
        }
        assert_eq!(recent.items(), Some((RECENT_BATCHES as u64 * 100, RECENT_BATCHES as u64 * 30)));
    }
}
