//! Strategies: pure planners from [`Signals`] to a [`Plan`].
//!
//! A strategy decides how large the next batch is, how many lanes compute, and how many batches may be under way;
//! the coordinator executes the plan. To add one: a file with a type, and a row in [`STRATEGIES`].
//!
//! Invariant: a plan depends on the signals given so far and on nothing else (no clock, no randomness), so feeding
//! recorded signals back gives the same plans. Invariant: no plan leaves the bounds in the signals it was made from;
//! only where fewer items are left than the smallest batch, the batch is that small.

mod adaptive;
mod concurrent;
mod cost;
mod optimum;
#[cfg(test)]
mod plant;
mod replay;
mod sequential;
mod signals;
#[cfg(test)]
mod simulator;
mod tolerance;

pub use adaptive::Adaptive;
pub use concurrent::Concurrent;
pub use cost::{Line, Phase, PhaseCosts};
pub use optimum::{Pressure, batches_in_flight, optimal_batch_size, optimal_lanes, window};
pub use replay::{Replay, Replayed, told_share};
pub use sequential::Sequential;
pub use signals::{
    Aim, BatchSample, Bounds, Interval, LATENCY_US, PhasesPerItem, SAMPLES_MAX, Signals, Start, WAL_BYTES_MAX,
};
pub use tolerance::{EARLY_MEMORY, Tolerance};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::model::Plan;

/// A planner. Called exactly once before each batch is cut, in the order of the batches.
pub trait Strategy: Send {
    /// Its name in [`STRATEGIES`].
    fn name(&self) -> &'static str;

    /// The plan for the next batch.
    fn plan(&mut self, signals: &Signals) -> Planned;

    /// True if the lanes of the newest plan are on trial: batches cut before are still computed on as many as they were planned
    /// with. Else fewer lanes take effect at once, since something may be short.
    fn on_trial(&self) -> bool {
        false
    }

    /// What it found out so far, for the [`Start`] of a later run; none where it finds out nothing, or not yet.
    fn learned(&self) -> Option<Learned> {
        None
    }
}

/// What a run found to be good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Items per batch.
    pub batch_size: usize,
    /// Lanes.
    pub lanes: usize,
    /// Items per second with these.
    pub items_per_s: f64,
    /// Batches that it rests on.
    pub batches: u64,
    /// What a batch costs.
    pub costs: PhaseCosts,
    /// The sizes and lanes that it was chosen from.
    #[serde(default)]
    pub within: Option<(Interval, Interval)>,
}

impl Learned {
    /// Was it chosen from all that may be chosen from here?
    pub fn covers(&self, sizes: Interval, lanes: Interval) -> bool {
        self.within.is_none_or(|within| within.0.holds(sizes) && within.1.holds(lanes))
    }

    /// Could it have been chosen from these?
    pub fn lies_in(&self, (sizes, lanes): (Interval, Interval)) -> bool {
        sizes.clamp(self.batch_size) == self.batch_size && lanes.clamp(self.lanes) == self.lanes
    }
}

/// A plan, and why it is another one than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What the next batch is cut by.
    pub plan: Plan,
    /// In words, with figures; present when the plan differs from the last one (the first plan always does).
    pub reason: Option<String>,
}

/// A strategy that can be chosen by name.
pub struct StrategyRow {
    /// What the user writes.
    pub name: &'static str,
    /// One line for help texts.
    pub description: &'static str,
    /// A fresh one, for one run.
    pub make: fn() -> Box<dyn Strategy>,
}

/// Every strategy of the host. The last is the default.
pub const STRATEGIES: &[StrategyRow] = &[
    StrategyRow {
        name: "sequential",
        description: "one batch at a time on one lane, always of the largest size",
        make: || Box::new(Sequential::default()),
    },
    StrategyRow {
        name: "concurrent",
        description: "the largest size on all lanes, several batches under way",
        make: || Box::new(Concurrent::default()),
    },
    StrategyRow {
        name: "adaptive",
        description: "batch size and lanes follow throughput, errors, CPU and memory",
        make: || Box::new(Adaptive::default()),
    },
];

/// Makes the strategy of that name.
///
/// # Errors
/// `CONFIG_3001` for an unknown name; its message lists the names, its hint the nearest one.
pub fn strategy(name: &str) -> Result<Box<dyn Strategy>> {
    if let Some(row) = STRATEGIES.iter().find(|row| row.name == name) {
        return Ok((row.make)());
    }
    let names: Vec<_> = STRATEGIES.iter().map(|row| row.name).collect();
    let nearest =
        names.iter().min_by_key(|known| crate::model::edit_distance(name, known)).expect("the table has rows");
    let found: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    Err(Error::new(Code::ConfigInvalid, format!("no strategy is named \"{found}\"; there are {}", names.join(", ")))
        .hint(format!("did you mean `--strategy {nearest}`?")))
}

/// Remembers the last plan, so that a reason is given exactly when the plan differs from it.
#[derive(Debug, Default)]
struct Last(Option<Plan>);

impl Last {
    fn planned(&mut self, plan: Plan, reason: impl FnOnce() -> String) -> Planned {
        let reason = (self.0 != Some(plan)).then(reason);
        self.0 = Some(plan);
        Planned { plan, reason }
    }

    /// Why a strategy that does not look at measurements gives this plan.
    fn fixed(&mut self, plan: Plan, wanted_size: usize, first: &str) -> Planned {
        let begun = self.0.is_some();
        self.planned(plan, || {
            if plan.batch_size < wanted_size {
                format!("{} items are left", plan.batch_size)
            } else {
                let why = if begun { "bounds changed" } else { first };
                format!("{why}: batches of {}, {}", plan.batch_size, lanes_in_words(plan.lanes))
            }
        })
    }
}

fn lanes_in_words(lanes: usize) -> String {
    if lanes == 1 { "1 lane".to_owned() } else { format!("{lanes} lanes") }
}

#[cfg(test)]
mod tests;
