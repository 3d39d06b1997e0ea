//! Which neighbour of the setting is tried next.

use super::verdict::{LOSS_MAX, Trial, words};
use super::{PATIENCE_MAX, Probe, STEP_MIN, Search, Setting, State, View};
use crate::strategy::adaptive::BATCH_TIME_US;
use crate::strategy::adaptive::meter::Measured;
use crate::strategy::optimum::{Pressure, optimal_lanes};
use crate::strategy::{Interval, Phase, Signals, signals};

/// Batches that share a COMMIT from which on their size does not matter to it.
const GROUP_OF_MANY: f64 = 8.0;
/// A size whose batches so far cost less than this part of the present ones, per item, is tried before others.
const CHEAPER: f64 = 0.95;
/// One whose batches cost more than this is not tried.
const DEAR: f64 = 1.1;

impl State {
    /// Puts the next neighbour on trial; none if there is none, and then it settles.
    pub(super) fn propose(&mut self, now: Measured, view: View<'_>) -> Option<String> {
        if let Some(next) = self.propose_more_lanes(now, view.signals) {
            return Some(next);
        }
        if view.slowest == Some(Phase::Commit) && view.fit.batches_per_group(self.setting.size) >= GROUP_OF_MANY {
            // One COMMIT serves many batches, whatever their size.
            self.search = Search::ended();
        }
        while self.search.step >= STEP_MIN {
            let down = self.neighbour(false, now, view.sizes);
            let cheaper = self.compared(down, view).is_some_and(|ratio| ratio < CHEAPER);
            let tries = if self.search.up && !cheaper { [true, false] } else { [false, true] };
            for up in tries {
                if self.search.closed[usize::from(up)] {
                    continue;
                }
                let size = self.neighbour(up, now, view.sizes);
                // What is known to be dear is tried only once in a long while: it may have become cheap unseen.
                let dear = self.patience < PATIENCE_MAX && self.compared(size, view).is_some_and(|ratio| ratio > DEAR);
                if size != self.setting.size && !dear {
                    self.search.up = up;
                    return Some(self.try_out(Setting { size, ..self.setting }, now, Trial::Size { up }));
                }
                self.search.closed[usize::from(up)] = true;
            }
            // After a long step a short one ahead is still open; behind, where it came from, is known to be worse.
            let up = self.search.up;
            self.search = match self.search.step > STEP_MIN {
                true => Search { step: STEP_MIN, up, closed: [up, !up], last: true },
                false => Search::ended(),
            };
        }
        if let Some(size) = self.between() {
            return Some(self.try_out(Setting { size, ..self.setting }, now, Trial::Between));
        }
        self.rest = self.patience;
        None
    }

    /// Where the top of a parabola through this size and its neighbours on both sides lies, on a logarithmic scale; once
    /// per search. Between sizes that are a factor of two apart, up to 6 % of the throughput may be left.
    fn between(&mut self) -> Option<usize> {
        let sizes = std::mem::take(&mut self.sizes);
        let own = self.setting.size;
        let latest = |(size, _): (usize, f64)| sizes.iter().rev().find(|(other, _)| *other == size).copied();
        let below =
            sizes.iter().copied().filter(|(size, _)| *size < own).max_by_key(|(size, _)| *size).and_then(latest)?;
        let above =
            sizes.iter().copied().filter(|(size, _)| *size > own).min_by_key(|(size, _)| *size).and_then(latest)?;
        let (_, rate) = latest((own, 0.0))?;
        let at = |size: usize| (size as f64 / own as f64).ln();
        let (left, right) = (at(below.0), at(above.0));
        // Slopes on both sides; the top lies where the slope that changes evenly between their middles is 0.
        let (rise, fall) = ((rate - below.1) / -left, (above.1 - rate) / right);
        if rise <= fall || !(rise - fall).is_finite() {
            return None;
        }
        let top = left / 2.0 + rise * (right - left) / 2.0 / (rise - fall);
        let gain = (rise - fall) / (right - left) * top * top / rate;
        let size = (own as f64 * top.clamp(left, right).exp()).round() as usize;
        (gain > LOSS_MAX && size != own && size > below.0 && size < above.0).then_some(size)
    }

    /// Time per item at this size, of that at the present one.
    pub(super) fn compared(&self, size: usize, view: View<'_>) -> Option<f64> {
        view.fit.compared(size, self.setting.size, self.setting.lanes)
    }

    /// The size one step away, within the bounds and below what would take too long.
    pub(super) fn neighbour(&self, up: bool, now: Measured, sizes: Interval) -> usize {
        let current = self.setting.size;
        if up && now.filled < 0.9 {
            // Batches close before they are full (bytes, or a slow pipe): a larger size would change nothing.
            return current;
        }
        let factor = if up { self.search.step } else { 1.0 / self.search.step };
        let mut size = (current as f64 * factor).round() as usize;
        if up && now.guest_us_per_item > 0.0 {
            let roof = BATCH_TIME_US * self.setting.lanes as f64 / now.guest_us_per_item;
            size = size.min((roof as usize).max(current));
        }
        let size = sizes.clamp(size);
        // A step too small to be measured is none.
        if (size as f64 / current as f64).max(current as f64 / size as f64) < 1.1 { current } else { size }
    }

    /// More lanes where all are busy and neither CPU, memory nor the writer is the limit.
    pub(super) fn propose_more_lanes(&mut self, now: Measured, signals: &Signals) -> Option<String> {
        let (lanes, bounds) = (self.setting.lanes, signals.bounds.lanes);
        let busy = busy(now, signals);
        let writer = signals.writer_at_work().unwrap_or(0.0);
        if self.lanes_wait > 0 || lanes >= bounds.max() || busy < 0.9 || writer >= 0.9 {
            return None;
        }
        let (memory, cpu, tolerance) = (signals.memory(), signals.cpu(), signals.tolerance);
        let pressure = Pressure { memory, cpu, tolerance, ..Pressure::default() };
        if optimal_lanes(lanes, bounds, None, pressure) < lanes {
            return None;
        }
        let more = bounds.clamp(lanes * 2);
        let next = self.try_out(Setting { lanes: more, ..self.setting }, now, Trial::MoreLanes);
        Some(format!("lanes are busy {:.0} % of the time, {next}", busy * 100.0))
    }

    /// Fewer lanes where they stand idle. Comes after the search for the size, which may give them work.
    pub(super) fn propose_fewer_lanes(&mut self, now: Measured, signals: &Signals) -> Option<String> {
        let busy = busy(now, signals);
        let needed = optimal_lanes(self.setting.lanes, signals.bounds.lanes, Some(busy), Pressure::default());
        if self.lanes_wait > 0 || needed >= self.setting.lanes {
            return None;
        }
        let next = self.try_out(Setting { lanes: needed, ..self.setting }, now, Trial::FewerLanes);
        Some(format!("lanes are busy only {:.0} % of the time, {next}", busy * 100.0))
    }

    fn try_out(&mut self, setting: Setting, of: Measured, trial: Trial) -> String {
        let words = words(setting, self.setting);
        self.probe = Some(Probe { from: self.setting, of, trial });
        self.setting = setting;
        format!("trying {words}")
    }
}

/// Part of the lanes at work: what is told, unless the time in guests alone, which is part of it, was far more.
fn busy(now: Measured, signals: &Signals) -> f64 {
    signals::plausible(signals.lanes_busy, Some(now.busy)).unwrap_or(now.busy)
}
