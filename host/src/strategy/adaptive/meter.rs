//! Items per second of one setting, from the commits of its batches.

use super::Setting;
use crate::strategy::BatchSample;

/// Intervals between commits that a measurement may consist of.
const INTERVALS_MAX: usize = 64;

/// Measures the setting it aims at.
///
/// Invariant: only items committed after the first commit of that setting count. So a group that mixes old and new
/// batches, and work that older plans left under way, distort nothing.
#[derive(Debug, Default)]
pub(super) struct Meter {
    aim: Option<Setting>,
    since_us: Option<u64>,
    until_us: u64,
    batches: u64,
    items: f64,
    planned: f64,
    guest_us: f64,
    /// Items per microsecond in each interval between two commits, the last one open.
    intervals: Vec<Interval>,
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    from_us: u64,
    to_us: u64,
    items: f64,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// Items per second.
    pub rate: f64,
    /// Standard error of `rate`, relative to it.
    pub noise: f64,
    /// Batches it rests on.
    pub batches: u64,
    /// How long they took, in microseconds.
    pub time_us: u64,
    /// Mean number of lanes at work, of all lanes (0..1).
    pub busy: f64,
    /// Items per batch, relative to the size planned.
    pub filled: f64,
    /// Guest time per item, in microseconds, summed over lanes.
    pub guest_us_per_item: f64,
}

impl Meter {
    /// Measures this setting from now on; starts over if it is another than before.
    pub fn aim(&mut self, setting: Setting) {
        if self.aim != Some(setting) {
            *self = Self { aim: Some(setting), ..Self::default() };
        }
    }

    /// Starts the next measurement of the same setting where the last one ended.
    pub fn next(&mut self) {
        *self = Self {
            aim: self.aim,
            since_us: self.since_us.map(|_| self.until_us),
            until_us: self.until_us,
            ..Self::default()
        };
    }

    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        let Some(aim) = self.aim else { return };
        let mine = sample.plan_size == aim.size as u64 && sample.plan_lanes == aim.lanes as u64;
        if !mine {
            // Batches of another plan came between, or come first: what counts begins after them.
            *self = Self { aim: Some(aim), ..Self::default() };
            return;
        }
        let Some(since) = self.since_us else {
            self.since_us = Some(sample.committed_us);
            self.until_us = sample.committed_us;
            return;
        };
        if sample.committed_us <= since {
            return;
        }
        let items = sample.items as f64;
        let room = self.intervals.len() < INTERVALS_MAX;
        match self.intervals.last_mut() {
            // A group: one commit for several batches.
            Some(open) if sample.committed_us <= open.to_us => open.items += items,
            _ if room => {
                let from_us = self.until_us;
                self.intervals.push(Interval { from_us, to_us: sample.committed_us, items });
            }
            _ => {}
        }
        self.until_us = self.until_us.max(sample.committed_us);
        self.batches += 1;
        self.items += items;
        self.planned += sample.plan_size as f64;
        self.guest_us += sample.validate_us as f64 + sample.operate_us as f64;
    }

    /// What was measured so far; none before the second commit.
    pub fn measured(&self) -> Option<Measured> {
        let time_us = self.until_us.saturating_sub(self.since_us?);
        if time_us == 0 || self.items == 0.0 {
            return None;
        }
        let time = time_us as f64;
        let lanes = self.aim.map_or(1, |aim| aim.lanes.max(1)) as f64;
        Some(Measured {
            rate: self.items * 1e6 / time,
            noise: self.noise(),
            batches: self.batches,
            time_us,
            busy: (self.guest_us / (time * lanes)).min(1.0),
            filled: if self.planned > 0.0 { self.items / self.planned } else { 1.0 },
            guest_us_per_item: self.guest_us / self.items,
        })
    }

    /// Standard error of the mean time per item over the intervals, relative to that mean.
    fn noise(&self) -> f64 {
        let costs: Vec<f64> = self
            .intervals
            .iter()
            .filter(|i| i.items > 0.0)
            .map(|i| i.to_us.saturating_sub(i.from_us) as f64 / i.items)
            .collect();
        let count = costs.len() as f64;
        let mean = costs.iter().sum::<f64>() / count;
        if costs.len() < 2 || mean <= 0.0 {
            return 0.0;
        }
        let variance = costs.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (variance / count).sqrt() / mean
    }
}
