//! When to look at other sizes and at fewer lanes, and what follows from it.

use super::climb::View;
use super::scout::Scout;
use super::{Adaptive, Setting, in_percent};
use crate::strategy::optimum::CPU_SHORT;
use crate::strategy::{Interval, Phase, Signals, batches_in_flight, lanes_in_words};

/// Batches after a change of the work in which no other is looked for: costs that keep rising are one change.
const CHANGED: u64 = 64;
/// CPU in use from which on lanes may be in each other's way. A reading spans moments of waiting, too.
const CROWDED: f64 = CPU_SHORT - 0.05;
/// Batches that a trial of fewer lanes may wait for, as a multiple of what feeds them.
const TRIAL_WINDOW: usize = 4;
/// Batches that it takes beside those that were under way before.
const TRIAL_BATCHES: usize = 4;
/// Time that a trial may cost, in microseconds, whatever becomes of the run; a longer one waits until it is a small part
/// of what the run has taken so far.
const TRIAL_US: f64 = 1_000_000.0;
const TRIAL_SHARE: f64 = 10.0;
/// Parts of the present size that such batches may have, the first that is good: as the batches that are sent ahead have, whose
/// costs are known.
const TRIAL_PARTS: [usize; 3] = [8, 4, 1];
/// Guest time that a batch of a trial has at the least, in microseconds: shorter ones tell little. Nor do those that take less
/// than a COMMIT: lanes that wait for one are not in each other's way.
const TRIAL_BATCH_US: f64 = 5_000.0;
/// Measurements of a kept setting after which fewer lanes may be tried: not right after something else has changed.
const CALM: u32 = 2;

impl Adaptive {
    /// The work has become another, or has not been looked at for long: sends batches of other sizes ahead, or just
    /// searches anew. Or the CPUs are saturated, and fewer lanes may do.
    pub(super) fn look_around(&mut self, sizes: Interval, signals: &Signals) -> Option<String> {
        let Some(settled) = self.climb.settled() else {
            // How many lanes are good is asked as soon as it can be: what they cost is known before the throughput is.
            let setting = self.climb.at_rest().filter(|_| self.crowd.untried())?;
            return self.look_for_crowd(setting, signals);
        };
        let changed = match self.climb.drifted() {
            Some(why) => Some(why),
            None if self.batches >= self.changed && self.fit.surprised() => {
                Some("items cost something else than before".to_owned())
            }
            None => None,
        };
        let due = self.climb.survey_due();
        if changed.is_some() {
            self.changed = self.batches.saturating_add(CHANGED);
            self.fit.forget();
        } else if !due {
            let long = self.climb.settled_for() >= CALM;
            return if long { self.look_for_crowd(settled, signals) } else { None };
        }
        self.scout = Scout::around(settled.size, sizes, signals.sequence);
        if self.scout.is_none() && changed.is_some() {
            self.climb.resize(settled.size);
            return None;
        }
        changed
    }

    /// Goes on from where the batches sent ahead were best, once it is known how many lanes to go on with.
    pub(super) fn come_back(&mut self, signals: &Signals) -> Option<String> {
        self.scout.take_if(|scout| scout.back(self.seen))?;
        let setting = self.climb.setting()?;
        // Lanes are tried with the smaller batches: less is lost by it.
        let better = self.fit.better(setting.size, setting.lanes, self.room(signals, None));
        if better.is_some_and(|better| better.size < setting.size) {
            return self.choose_size(signals);
        }
        self.look_for_crowd(setting, signals).or_else(|| self.choose_size(signals))
    }

    fn choose_size(&mut self, signals: &Signals) -> Option<String> {
        let setting = self.climb.setting()?;
        let slowest = self.fit.bottleneck(setting.size, setting.lanes);
        let sizes = self.room(signals, slowest);
        self.climb.surveyed(View { signals, sizes, fit: &self.fit, slowest })
    }

    /// Tries fewer lanes for a while where they are what is slow, and the CPUs are saturated.
    fn look_for_crowd(&mut self, setting: Setting, signals: &Signals) -> Option<String> {
        let cpu = signals.cpu().filter(|cpu| *cpu >= CROWDED)?;
        if self.fit.bottleneck(setting.size, setting.lanes) != Some(Phase::Guest) {
            return None;
        }
        // Not where it would take long, because the writer needs many batches under way.
        let fed = batches_in_flight(setting.lanes, setting.size, false);
        let group = self.fit.group_of_lanes(setting.size, setting.lanes)?;
        if self.fill_groups && 2.0 * group > (TRIAL_WINDOW * fed * setting.size) as f64 {
            return None;
        }
        let (size, item_times) = self.trial_size(setting, signals)?;
        // Each batch of it takes about twice as long as it would: too much for a run that may be a short one.
        let batch_us = self.fit.guest_us(size as f64)? / setting.lanes as f64;
        let lag = batches_in_flight(setting.lanes.div_ceil(2), setting.size, false);
        let costs_us = batch_us * (TRIAL_BATCHES + lag) as f64;
        if costs_us > TRIAL_US && costs_us * TRIAL_SHARE > self.elapsed_us as f64 {
            return None;
        }
        let begun = self.crowd.begin(signals.bounds.lanes, (size, item_times), self.fit.scatter(), self.batches);
        let trial = self.crowd.setting().filter(|_| begun)?;
        Some(format!(
            "CPU is {:.0} % in use, computing takes longest: trying {} for a few batches",
            cpu * 100.0,
            lanes_in_words(trial.lanes)
        ))
    }

    /// Size of the batches that fewer lanes are tried with, and what an item takes in them, of what it takes now.
    fn trial_size(&self, setting: Setting, signals: &Signals) -> Option<(usize, f64)> {
        let of_item = |size: usize| Some(self.fit.guest_us(size as f64)? / size as f64);
        let sizes = TRIAL_PARTS.map(|part| signals.bounds.batch_size.clamp(setting.size / part));
        let least_us = self.fit.commit_us().max(TRIAL_BATCH_US);
        let known = |size: &usize| self.fit.guest_us(*size as f64).is_some_and(|us| us >= least_us);
        let size = sizes.into_iter().find(known).unwrap_or(setting.size);
        let item_times = of_item(size)? / of_item(setting.size)?;
        item_times.is_finite().then_some((size, item_times))
    }

    /// Ends the trial of fewer lanes, if enough is known.
    pub(super) fn thin_out(&mut self, signals: &Signals) -> Option<String> {
        let before = self.crowd.setting()?;
        let Some(verdict) = self.crowd.step(signals.bounds.lanes, self.batches) else {
            let now = self.crowd.setting().filter(|now| now.lanes != before.lanes)?;
            return Some(format!("trying {} for a few batches", lanes_in_words(now.lanes)));
        };
        let setting = self.climb.setting()?;
        let lanes = lanes_in_words(verdict.lanes);
        let why = if verdict.lanes == setting.lanes {
            format!("fewer lanes bring less: {lanes} again")
        } else {
            self.climb.thin_out(verdict.lanes);
            self.fit.moved_to(verdict.lanes, verdict.guest_times);
            format!("{lanes} bring {}", in_percent(verdict.gain))
        };
        Some([Some(why), self.choose_size(signals)].into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}
