//! A bound on the time of one batch, from cut to commit: keeps its 95th percentile below.

use std::collections::VecDeque;

use crate::strategy::optimum::{Pressure, optimal_batch_size};
use crate::strategy::{BatchSample, Interval};

/// Batches that the percentile is taken of.
const TIMES_MAX: usize = 32;
/// Batches that a step down rests on, if none took twice the bound.
const TIMES_MIN: usize = 4;
/// Batches that a step up rests on.
const QUIET: usize = 16;
/// There is room for larger batches below this part of the bound.
const ROOM: f64 = 0.7;
/// One step up.
const STEP_UP: f64 = 1.25;

/// The largest size that keeps the bound, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Pace {
    ceiling: Option<usize>,
    /// Times of batches of the present size, in microseconds.
    times: VecDeque<u64>,
    size: usize,
    /// Batches from this number on count: those before waited behind larger ones.
    from: u64,
}

/// The ceiling was moved.
pub(super) struct Moved {
    pub grows: bool,
    pub why: String,
}

impl Pace {
    /// The sizes that are left.
    pub fn room(&self, sizes: Interval) -> Interval {
        let most = sizes.clamp(self.ceiling.unwrap_or(usize::MAX));
        Interval::new(sizes.min(), most).unwrap_or(sizes)
    }

    /// Sizes from here on are planned as this.
    pub fn aim(&mut self, size: usize) {
        if self.size != size {
            self.size = size;
            self.times.clear();
        }
    }

    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        if sample.plan_size != self.size as u64 || sample.batch < self.from {
            return;
        }
        if self.times.len() == TIMES_MAX {
            self.times.pop_front();
        }
        self.times.push_back(sample.time_us());
    }

    /// A step down where the bound is broken, a step up after a while well below it; `next` is the batch planned now.
    pub fn update(&mut self, bound_us: Option<f64>, sizes: Interval, next: u64) -> Option<Moved> {
        let Some(bound) = bound_us else {
            self.ceiling.take()?;
            return Some(Moved { grows: false, why: "the time of a batch is no longer bounded".to_owned() });
        };
        let p95 = self.p95()?;
        let tell = |grows: bool, size: usize| {
            let step = if grows { "larger" } else { "smaller" };
            let (p95, bound) = (p95 / 1e3, bound / 1e3);
            let why = format!("95 of 100 batches take up to {p95:.0} ms, {bound:.0} ms wanted: {step}, at most {size}");
            Some(Moved { grows, why })
        };
        if p95 > bound {
            let clear = self.times.len() >= TIMES_MIN || p95 > 2.0 * bound;
            let pressure = Pressure { time: Some(p95 / bound), ..Pressure::default() };
            let size = optimal_batch_size(self.size, sizes, pressure);
            if !clear || size >= self.size {
                return None;
            }
            self.ceiling = Some(size);
            self.from = next;
            self.times.clear();
            return tell(false, size);
        }
        let ceiling = self.ceiling?;
        let used = self.size as f64 >= 0.9 * sizes.clamp(ceiling) as f64;
        if p95 < ROOM * bound && self.times.len() >= QUIET && used {
            let size = (ceiling as f64 * STEP_UP).ceil() as usize;
            self.ceiling = (size < sizes.max()).then_some(size);
            self.from = next;
            self.times.clear();
            return tell(true, sizes.clamp(size));
        }
        None
    }

    fn p95(&self) -> Option<f64> {
        let mut times: Vec<u64> = self.times.iter().copied().collect();
        times.sort_unstable();
        let rank = (times.len() * 95).div_ceil(100);
        times.get(rank.checked_sub(1)?).map(|us| *us as f64)
    }
}
