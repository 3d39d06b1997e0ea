//! Whether fewer lanes would do, or do better: where the CPUs are saturated, lanes beyond the cores only take turns, and
//! hinder each other.
//!
//! A while on half of the lanes tells: `lanes / guest time per item` is what the lanes bring per second. It is known
//! batch by batch, so that a handful of small batches is enough, where it is known what an item costs in such batches on
//! the present lanes. Half again, or the middle, follows only where it can pay.

use super::Setting;
use crate::strategy::{BatchSample, Interval, batches_in_flight};

/// Fewer lanes are kept where they bring at least this part of what more of them do.
const NO_LOSS: f64 = 0.98;
/// The middle between two numbers of lanes must be able to bring so many times the best so far, to be worth a look.
const GAIN_MIN: f64 = 1.05;
/// Batches on each number of lanes: that many where costs hardly scatter, up to so many where they do.
const BATCHES: (f64, f64) = (3.0, 10.0);
/// Standard error that these batches should have.
const DOUBT: f64 = 0.04;
/// Numbers of lanes tried at the most, beside the present one.
const TRIALS_MAX: usize = 5;
/// Batches that the present lanes are judged by, at the most.
const RECENT: usize = 16;
/// Batches until the next look, and after a clear answer: that stays true for long.
const REST: u64 = 512;
const REST_CLEAR: u64 = 4096;

/// Looks at fewer lanes, once in a while.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    trial: Option<Trial>,
    /// No look before so many batches.
    not_before: u64,
    /// What the present setting brings, outside of a trial.
    usual: Option<(Setting, Tally)>,
}

/// Guest time of the batches of one setting.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Batches still to be left out: they meet what was under way before, or have the lanes for themselves because the
    /// writer waits for a large one.
    skip: usize,
    batches: usize,
    items: f64,
    guest_us: f64,
}

impl Tally {
    fn add(&mut self, sample: &BatchSample) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        if self.batches == RECENT {
            let kept = 1.0 - 1.0 / RECENT as f64;
            (self.items, self.guest_us) = (self.items * kept, self.guest_us * kept);
        }
        self.batches = (self.batches + 1).min(RECENT);
        self.items += sample.items as f64;
        self.guest_us += sample.validate_us as f64 + sample.operate_us as f64;
    }

    /// What so many lanes bring, in items per microsecond.
    fn brings(&self, lanes: usize) -> f64 {
        if self.guest_us > 0.0 { self.items / self.guest_us * lanes as f64 } else { 0.0 }
    }
}

#[derive(Debug)]
struct Trial {
    /// Lanes, and what they brought: relative to each other, no matter the unit.
    known: Vec<(usize, f64)>,
    lanes: usize,
    size: usize,
    /// Guest time of an item in batches of this size on the present lanes, of what it is in the present batches.
    item_times: f64,
    /// Batches that each number of lanes is judged by.
    wanted: usize,
    tally: Tally,
}

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    pub lanes: usize,
    /// Guest time per item there, of what it was.
    pub guest_times: f64,
    /// What the lanes bring per second, of what they brought.
    pub gain: f64,
}

impl Crowd {
    /// This is the setting outside of a trial.
    pub fn follow(&mut self, setting: Setting) {
        if self.usual.is_none_or(|(usual, _)| usual != setting) {
            // At first nothing was under way, and the lanes fill; later on there is a whole window.
            let before = if self.usual.is_some() { batches_in_flight(setting.lanes, setting.size, false) } else { 0 };
            let skip = before.max(setting.lanes);
            self.usual = Some((setting, Tally { skip, ..Tally::default() }));
        }
    }

    /// Tries half of the lanes, if it is time, and enough is known of the present ones; batches scatter so much. `size` is that
    /// of the batches to try with, in which an item takes so many times the guest time that it does in the present ones.
    pub fn begin(&mut self, lanes: Interval, (size, item_times): (usize, f64), scatter: f64, batches: u64) -> bool {
        let Some((usual, tally)) = self.usual else { return false };
        let brought = tally.brings(usual.lanes);
        let early = batches < self.not_before || tally.batches < BATCHES.0 as usize;
        if self.trial.is_some() || early || usual.lanes <= lanes.min() || brought <= 0.0 {
            return false;
        }
        let wanted = (scatter / DOUBT).powi(2).clamp(BATCHES.0, BATCHES.1).round() as usize;
        let known = vec![(usual.lanes, brought)];
        let mut trial = Trial { known, lanes: usual.lanes, size, item_times, wanted, tally: Tally::default() };
        let Some(next) = trial.next(lanes) else { return false };
        trial.go(next);
        self.trial = Some(trial);
        true
    }

    /// What is on trial.
    pub fn setting(&self) -> Option<Setting> {
        self.trial.as_ref().map(|trial| Setting { size: trial.size, lanes: trial.lanes })
    }

    /// No look for a while: an earlier run has had one.
    pub fn trust(&mut self) {
        self.not_before = REST;
    }

    /// True before the first verdict.
    pub fn untried(&self) -> bool {
        self.not_before == 0
    }

    /// Ends a trial without a verdict.
    pub fn cancel(&mut self) {
        self.trial = None;
    }

    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        let is = |lanes: usize, size: usize| (sample.plan_lanes, sample.plan_size) == (lanes as u64, size as u64);
        match (&mut self.trial, &mut self.usual) {
            (Some(trial), _) if is(trial.lanes, trial.size) => trial.tally.add(sample),
            (None, Some((usual, tally))) if is(usual.lanes, usual.size) => tally.add(sample),
            _ => {}
        }
    }

    /// Goes on to the next number of lanes, or ends with a verdict.
    pub fn step(&mut self, lanes: Interval, batches: u64) -> Option<Verdict> {
        let trial = self.trial.as_mut()?;
        if trial.tally.batches < trial.wanted {
            return None;
        }
        trial.known.push((trial.lanes, trial.tally.brings(trial.lanes) * trial.item_times));
        if let Some(next) = trial.next(lanes) {
            trial.go(next);
            return None;
        }
        let best = trial.best();
        let (usual, was) = trial.known[0];
        let verdict = Verdict {
            lanes: best.0,
            guest_times: (best.0 as f64 / best.1) / (usual as f64 / was),
            gain: best.1 / was - 1.0,
        };
        let clear = trial.known[1..].iter().all(|(_, brought)| *brought < 0.7 * was);
        self.not_before = batches.saturating_add(if clear { REST_CLEAR } else { REST });
        self.trial = None;
        Some(verdict)
    }
}

impl Trial {
    fn go(&mut self, lanes: usize) {
        // The first still meets what more lanes have under way.
        (self.lanes, self.tally) = (lanes, Tally { skip: 1, ..Tally::default() });
    }

    /// The best so far; fewer lanes where they lose next to nothing.
    fn best(&self) -> (usize, f64) {
        let most = self.known.iter().map(|(_, brought)| *brought).fold(0.0, f64::max);
        let good = self.known.iter().filter(|(_, brought)| *brought >= NO_LOSS * most);
        good.min_by_key(|(lanes, _)| *lanes).copied().unwrap_or(self.known[0])
    }

    /// Lanes to try next: half of the best, else the middle between the best and its neighbours. What lanes bring rises ever
    /// less with their number (a concave curve through 0), so that `m` lanes bring at most `m/l` times what `l < m` do.
    fn next(&self, bounds: Interval) -> Option<usize> {
        if self.known.len() > TRIALS_MAX {
            return None;
        }
        let (best, brought) = self.best();
        let unknown = |lanes: &usize| self.known.iter().all(|(known, _)| known != lanes);
        if self.known.iter().all(|(lanes, _)| *lanes >= best) {
            return Some(bounds.clamp(best.div_ceil(2))).filter(unknown);
        }
        let below = self.known.iter().filter(|(lanes, _)| *lanes < best).max_by_key(|(lanes, _)| *lanes);
        let above = self.known.iter().filter(|(lanes, _)| *lanes > best).min_by_key(|(lanes, _)| *lanes);
        let middle = |low: (usize, f64), high: usize| {
            let middle = (low.0 + high) / 2;
            let most = low.1 * middle as f64 / low.0 as f64;
            (most > GAIN_MIN * brought).then_some(middle)
        };
        // Downwards first: fewer lanes have less under way, and answer sooner.
        let down = below.and_then(|low| middle(*low, best)).filter(unknown);
        down.or_else(|| above.and_then(|(high, _)| middle((best, brought), *high)).filter(unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at lanes that bring as much as this says; the lanes found, and those tried.
    fn look(lanes: usize, brings: impl Fn(usize) -> f64) -> (usize, Vec<usize>) {
        let bounds = Interval::new(1, lanes).unwrap();
        let mut crowd = Crowd::default();
        let usual = Setting { size: 100, lanes };
        crowd.follow(usual);
        let feed = |crowd: &mut Crowd, lanes: usize| {
            let operate_us = (100.0 * lanes as f64 / brings(lanes)) as u64;
            let (plan_size, plan_lanes) = (100, lanes as u64);
            crowd.add(&BatchSample { plan_size, plan_lanes, items: 100, operate_us, ..BatchSample::default() });
        };
        (0..2 * lanes + 8).for_each(|_| feed(&mut crowd, lanes));
        if !crowd.begin(bounds, (100, 1.0), 0.02, 10) {
            return (lanes, Vec::new());
        }
        let mut tried = Vec::new();
        loop {
            let now = crowd.setting().unwrap().lanes;
            if tried.last() != Some(&now) {
                tried.push(now);
            }
            feed(&mut crowd, now);
            if let Some(verdict) = crowd.step(bounds, 10) {
                assert!(!crowd.begin(bounds, (100, 1.0), 0.02, 11), "it rests");
                return (verdict.lanes, tried);
            }
        }
    }

    #[test]
    fn lanes_that_all_work_are_kept_after_one_look_and_crowded_ones_are_given_back() {
        assert_eq!(look(8, |lanes| lanes as f64), (8, vec![4]));
        assert_eq!(look(1, |lanes| lanes as f64), (1, vec![]));
        let crowded = |cores: f64, hinder: f64| {
            move |lanes: usize| (lanes as f64).min(cores) / (1.0 + hinder * (lanes as f64 - 1.0))
        };
        assert_eq!(look(4, crowded(2.0, 0.15)).0, 2);
        assert_eq!(look(8, crowded(1.0, 0.05)).0, 1);
        for cores in 1..=16u8 {
            for lanes in 1..=16 {
                let brings = crowded(f64::from(cores), 0.02);
                let best = (1..=lanes).map(&brings).fold(0.0, f64::max);
                let (found, tried) = look(lanes, brings);
                assert!(tried.len() <= TRIALS_MAX, "{tried:?}");
                assert!(brings(found) >= 0.85 * best, "{lanes} lanes on {cores} cores: {found} after {tried:?}");
            }
        }
    }
}
