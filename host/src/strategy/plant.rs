//! A machine made of a formula, for tests: what a batch of some size on some lanes costs, in virtual time.

use super::{BatchSample, Planned, Signals, Strategy};
use crate::model::Plan;

/// Small generator of pseudo-random numbers (SplitMix64); the same seed gives the same numbers everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 up to, but not including, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Mean 0, standard deviation 1, near enough: the sum of twelve uniform numbers.
    pub fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A batch of `n` items on `l` lanes takes `fixed + n · (item / min(l, cores) + write) + square · n²` microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub fixed: f64,
    pub item: f64,
    pub write: f64,
    pub square: f64,
    pub cores: f64,
}

impl Cost {
    pub fn us(&self, size: usize, lanes: usize) -> f64 {
        let n = size as f64;
        self.fixed + n * (self.item / (lanes as f64).min(self.cores) + self.write) + self.square * n * n
    }

    /// Items per second.
    pub fn rate(&self, plan: Plan) -> f64 {
        plan.batch_size as f64 * 1e6 / self.us(plan.batch_size, plan.lanes)
    }

    /// The best rate that any plan within the bounds has.
    pub fn best(&self, signals: &Signals) -> f64 {
        let (sizes, lanes) = (signals.bounds.batch_size, signals.bounds.lanes);
        let mut best = 0.0f64;
        for batch_size in sizes.min()..=sizes.max() {
            for lanes in lanes.min()..=lanes.max() {
                best = best.max(self.rate(Plan { batch_size, lanes, batches_in_flight: 1 }));
            }
        }
        best
    }
}

/// Runs batches by plans. Batches are served one after the other; `lag` of them are under way when a plan is made,
/// and `group` of them share each commit.
pub struct Plant {
    pub cost: Cost,
    /// Standard deviation of a batch's time, relative to it.
    pub noise: f64,
    pub lag: usize,
    pub group: usize,
    /// Failed items, 0..1.
    pub errors: f64,
    pub signals: Signals,
    pub plans: Vec<Planned>,
    clock_us: f64,
    done: u64,
    dice: Dice,
}

impl Plant {
    pub fn new(signals: Signals, cost: Cost, noise: f64, seed: u64) -> Self {
        Self {
            cost,
            noise,
            lag: 0,
            group: 1,
            errors: 0.0,
            signals,
            plans: Vec::new(),
            clock_us: 0.0,
            done: 0,
            dice: Dice(seed),
        }
    }

    /// Plans and runs this many more batches; the plans made, without their reasons.
    pub fn run(&mut self, strategy: &mut dyn Strategy, batches: usize) -> Vec<Plan> {
        let before = self.plans.len();
        for _ in 0..batches {
            let planned = strategy.plan(&self.signals);
            self.plans.push(planned);
            self.signals.sequence += 1;
            while self.plans.len() as u64 - self.done >= (self.lag + self.group) as u64 {
                self.commit();
            }
        }
        self.plans[before..].iter().map(|p| p.plan).collect()
    }

    fn commit(&mut self) {
        let mut samples = Vec::new();
        for _ in 0..self.group {
            let plan = self.plans[self.done as usize].plan;
            let items = plan.batch_size as u64;
            let us = self.cost.us(plan.batch_size, plan.lanes) * (1.0 + self.noise * self.dice.bell()).max(0.05);
            self.clock_us += us;
            samples.push(BatchSample {
                batch: self.done,
                plan_size: items,
                plan_lanes: plan.lanes as u64,
                items,
                failed: (items as f64 * self.errors) as u64,
                // Summed over lanes, which take turns where they are more than the cores.
                operate_us: (items as f64 * self.cost.item * (plan.lanes as f64 / self.cost.cores).max(1.0)) as u64,
                // Everything else, so that the sum is what it took.
                write_us: (us - items as f64 * self.cost.item / (plan.lanes as f64).min(self.cost.cores)).max(0.0)
                    as u64,
                compute_us: (items as f64 * self.cost.item / (plan.lanes as f64).min(self.cost.cores)) as u64,
                ..BatchSample::default()
            });
            self.done += 1;
        }
        for sample in samples {
            self.signals.committed(BatchSample { committed_us: self.clock_us as u64, ..sample });
        }
    }
}
