//! Items per second of one setting, from the commits of its batches.

use super::Setting;
use crate::strategy::BatchSample;

/// Rounds that a measurement may consist of; then it starts over.
const ROUNDS_MAX: usize = 64;
/// Batches that are left out at the most, after a larger one.
const BEHIND_MAX: usize = 16;

/// Measures the setting it aims at.
///
/// Invariant: only items committed after the first commit of that setting count. So a group that mixes old and new
/// batches, and work that older plans left under way, distort nothing. Nor do those count that were computed while a
/// larger batch before them still was, since they then come out all at once. Invariant: only whole rounds count, of as many
/// batches as there are lanes. Lanes that began together end together, so that commits come in bursts, and a
/// measurement that ends within a burst would be wrong by a multiple.
#[derive(Debug, Default)]
pub(super) struct Meter {
    aim: Option<Setting>,
    /// The commit that the first round began at.
    since_us: Option<u64>,
    /// Batches of the setting that are still to be left out.
    skip: usize,
    /// How many these are at first.
    behind: usize,
    rounds: Vec<Round>,
}

/// At least one batch for each lane, and whole groups.
#[derive(Debug, Clone, Copy)]
struct Round {
    from_us: u64,
    to_us: u64,
    batches: u64,
    items: f64,
    planned: f64,
    guest_us: f64,
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
    /// Rounds of all lanes that these make.
    pub rounds: usize,
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
            let ratio = self.aim.map_or(1, |before| before.size.div_ceil(setting.size.max(1)).clamp(1, BEHIND_MAX));
            self.behind = (setting.lanes.max(1) - 1).saturating_mul(ratio).min(BEHIND_MAX);
            self.aim = Some(setting);
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.skip = self.behind;
        self.since_us = None;
        self.rounds.clear();
    }

    /// Starts the next measurement of the same setting where the last whole round ended.
    pub fn next(&mut self) {
        let whole = self.whole();
        if let Some(last) = self.rounds[..whole].last() {
            self.since_us = Some(last.to_us);
        }
        self.rounds.drain(..whole);
    }

    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        let Some(aim) = self.aim else { return };
        let mine = sample.plan_size == aim.size as u64 && sample.plan_lanes == aim.lanes as u64;
        if !mine {
            // Batches of another plan came between, or come first: what counts begins after them.
            self.restart();
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let Some(since) = self.since_us else {
            self.since_us = Some(sample.committed_us);
            return;
        };
        if sample.committed_us <= since {
            return;
        }
        let open = self.rounds.last().filter(|round| !self.is_whole(round) || sample.committed_us <= round.to_us);
        if open.is_none() {
            if self.rounds.len() == ROUNDS_MAX {
                self.next();
            }
            let from_us = self.rounds.last().map_or(self.since_us.unwrap_or(since), |round| round.to_us);
            self.rounds.push(Round {
                from_us,
                to_us: sample.committed_us,
                batches: 0,
                items: 0.0,
                planned: 0.0,
                guest_us: 0.0,
            });
        }
        let round = self.rounds.last_mut().expect("BUG: a round was just begun");
        round.to_us = round.to_us.max(sample.committed_us);
        round.batches += 1;
        round.items += sample.items as f64;
        round.planned += sample.plan_size as f64;
        round.guest_us += sample.validate_us as f64 + sample.operate_us as f64;
    }

    /// What was measured so far; none before the first whole round.
    pub fn measured(&self) -> Option<Measured> {
        let rounds = &self.rounds[..self.whole()];
        let time_us = rounds.last()?.to_us.saturating_sub(self.since_us?);
        let sum = |part: fn(&Round) -> f64| rounds.iter().map(part).sum::<f64>();
        let items = sum(|round| round.items);
        if time_us == 0 || items == 0.0 {
            return None;
        }
        let (time, planned, guest_us) = (time_us as f64, sum(|round| round.planned), sum(|round| round.guest_us));
        Some(Measured {
            rate: items * 1e6 / time,
            noise: noise(rounds),
            batches: rounds.iter().map(|round| round.batches).sum(),
            rounds: rounds.len(),
            time_us,
            busy: (guest_us / (time * self.lanes() as f64)).min(1.0),
            filled: if planned > 0.0 { items / planned } else { 1.0 },
            guest_us_per_item: guest_us / items,
        })
    }

    fn lanes(&self) -> u64 {
        self.aim.map_or(1, |aim| aim.lanes.max(1) as u64)
    }

    fn is_whole(&self, round: &Round) -> bool {
        round.batches >= self.lanes()
    }

    /// Number of whole rounds: all, or all but the last.
    fn whole(&self) -> usize {
        self.rounds.len() - self.rounds.last().map_or(0, |round| usize::from(!self.is_whole(round)))
    }
}

/// Standard error of the mean time per item over the rounds, relative to that mean.
fn noise(rounds: &[Round]) -> f64 {
    let costs: Vec<f64> = rounds
        .iter()
        .filter(|round| round.items > 0.0)
        .map(|round| round.to_us.saturating_sub(round.from_us) as f64 / round.items)
        .collect();
    let count = costs.len() as f64;
    let mean = costs.iter().sum::<f64>() / count;
    if costs.len() < 2 || mean <= 0.0 {
        return 0.0;
    }
    let variance = costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (variance / count).sqrt() / mean
}
