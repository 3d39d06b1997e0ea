//! The formulas behind plans, alone and pure.

use super::{Interval, Tolerance};
use crate::limits::{BATCHES_IN_FLIGHT_MAX, GROUP_ITEMS_MAX, ITEMS_IN_FLIGHT_MAX};
use crate::model::Plan;

/// From here on the CPUs are saturated.
pub(super) const CPU_SHORT: f64 = 0.95;

/// What weighs on the host. Shares, 1 is all; none where nothing is known, which weighs nothing, as NaN does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// Memory in use.
    pub memory: Option<f64>,
    /// CPU in use.
    pub cpu: Option<f64>,
    /// Items rejected or dead-lettered.
    pub errors: Option<f64>,
    /// Write-ahead log, of the size that is tolerated.
    pub wal: Option<f64>,
    /// Time of one batch (95th percentile), of the time that it should stay below.
    pub time: Option<f64>,
    /// From where on memory and errors weigh.
    pub tolerance: Tolerance,
}

/// Size of the next batch under pressure.
///
/// `size = within(round(current × m × c × e × w × t))`, where `within` clamps to the bounds and
/// - `m` falls in a straight line from 1 where memory is short (8/9 of the share tolerated: 80 %) to ½ half-way between
///   the share tolerated and all of it (95 %),
/// - `c` falls from 1 at 95 % of CPU to 0.8 at 100 %,
/// - `e` falls from 1 at the share of errors tolerated (10 %) to ½ at 4/9 of the way from there to all (50 %),
/// - `w` falls from 1 where the write-ahead log reaches what is tolerated to ½ at twice of it,
/// - `t` is `0.9 / time` above the bound on the time of a batch, but not below ¼: most of that time grows with the size.
///
/// Deterministic, and falling or level in each of the five. The adaptive strategy uses `m`, `e`, `w` and `t`; CPU it answers with
/// lanes, as [`optimal_lanes`] does: to use all CPUs is what a batch job is for, and smaller batches would not use them less. Applied once per measurement it is the multiplicative
/// decrease of AIMD (Chiu and Jain, 1989, "Analysis of the increase and decrease algorithms for congestion avoidance").
pub fn optimal_batch_size(current: usize, bounds: Interval, pressure: Pressure) -> usize {
    let tolerance = &pressure.tolerance;
    let factor = relief(pressure.memory, tolerance.memory_short(), tolerance.memory_out(), 0.5)
        * relief(pressure.cpu, CPU_SHORT, 1.0, 0.8)
        * relief(pressure.errors, tolerance.error_share, tolerance.errors_full(), 0.5)
        * relief(pressure.wal, 1.0, 2.0, 0.5)
        * pressure.time.filter(|time| *time > 1.0).map_or(1.0, |time| (0.9 / time).max(0.25));
    bounds.clamp((current as f64 * factor).round() as usize)
}

/// Lanes that the work can use, under pressure.
///
/// `used = lanes × busy` is the mean number of lanes at work: the utilisation law (Denning and Buzen, 1978, "The operational
/// analysis of queueing network models"). With `busy` at least 0.75 the limit was really reached and
/// all lanes stay; else `ceil(used × 4/3)` lanes carry the same work at 75 % each: a quarter is left for work that comes in
/// bursts, since waiting grows with `1 / (1 - busy)`. Unknown `busy` keeps the lanes.
/// Memory takes away up to half of them (80 % to 95 %), CPU up to a fifth (95 % to 100 %). Errors do not matter here:
/// lanes neither cause nor cure them. At least one lane remains, and the bounds hold.
///
/// Deterministic, falling or level in memory and CPU, rising or level in `busy`.
pub fn optimal_lanes(current: usize, bounds: Interval, busy: Option<f64>, pressure: Pressure) -> usize {
    let current = bounds.clamp(current) as f64;
    let needed = match super::signals::share(busy) {
        Some(busy) if busy < 0.75 => (current * busy * 4.0 / 3.0).ceil(),
        _ => current,
    };
    let tolerance = &pressure.tolerance;
    let factor = relief(pressure.memory, tolerance.memory_short(), tolerance.memory_out(), 0.5)
        * relief(pressure.cpu, CPU_SHORT, 1.0, 0.8);
    // Rounded down: with few lanes, rounding to the nearest would never give one back.
    let given = if factor < 1.0 { (needed * factor).floor() } else { needed };
    bounds.clamp(given as usize)
}

/// Batches that may be under way at the same time.
///
/// Little's law (1961, "A proof for the queuing formula L = λW"): what is under way is what goes through times how long it takes.
/// `2 × lanes + 2` keep every lane fed and one batch each with the reader and the writer. A writer that is the
/// bottleneck gains by large groups (one COMMIT for many batches), so `fill_groups` asks for two groups' worth of
/// items besides: one being written, one being collected. More would only delay what a new plan can change.
pub fn batches_in_flight(lanes: usize, batch_size: usize, fill_groups: bool) -> usize {
    let fed = lanes.saturating_mul(2).saturating_add(2);
    let size = batch_size.max(1);
    let wanted = if fill_groups { fed.max((2 * GROUP_ITEMS_MAX).div_ceil(size)) } else { fed };
    let roof = (ITEMS_IN_FLIGHT_MAX / size).clamp(2, BATCHES_IN_FLIGHT_MAX);
    wanted.clamp(2, roof)
}

/// Batches that may be under way now, where `starved` says that a lane is free, nothing waits for it, and the oldest
/// batch is what blocks: it is still being computed.
///
/// Batches are written in the order of the input, so behind one slow chunk the plan's window fills with batches that are
/// done, and the other lanes would idle. Then it opens, as far as the bounds on memory allow. A window of one stays: it
/// is a promise.
pub fn window(plan: Plan, starved: bool) -> usize {
    if starved && plan.batches_in_flight > 1 { BATCHES_IN_FLIGHT_MAX } else { plan.batches_in_flight }
}

/// 1 up to `soft`, `least` from `hard` on, a straight line between; 1 where nothing is known.
fn relief(value: Option<f64>, soft: f64, hard: f64, least: f64) -> f64 {
    match value {
        Some(value) if value > soft => {
            let part = if hard > soft { ((value - soft) / (hard - soft)).min(1.0) } else { 1.0 };
            1.0 - part * (1.0 - least)
        }
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_opens_while_the_oldest_batch_blocks_and_a_lane_is_free() {
        let plan = Plan { batch_size: 10, lanes: 2, batches_in_flight: batches_in_flight(2, 10, false) };
        assert_eq!((window(plan, false), window(plan, true)), (6, BATCHES_IN_FLIGHT_MAX));
        let alone = Plan { batches_in_flight: 1, ..plan };
        assert_eq!((window(alone, false), window(alone, true)), (1, 1), "one at a time stays one at a time");
    }
}
