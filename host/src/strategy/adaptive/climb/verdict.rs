//! What becomes of a neighbour on trial.

use super::{GAIN_MIN, PATIENCE, Probe, STEP_MAX, Search, Setting, State, View, enough};
use crate::strategy::adaptive::in_percent;
use crate::strategy::adaptive::meter::Measured;
use crate::strategy::lanes_in_words;

/// Largest loss that counts as none, where giving something back is the aim.
pub(super) const LOSS_MAX: f64 = 0.02;
/// A larger size on trial whose batches cost less than this part is kept if it loses no throughput.
const CHEAPER_CLEAR: f64 = 0.97;

/// What a probe has to show to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trial {
    /// More throughput, with larger or smaller batches.
    Size { up: bool },
    /// More throughput, between sizes that were measured.
    Between,
    /// More throughput.
    MoreLanes,
    /// No less throughput: the lanes stood idle.
    FewerLanes,
}

impl State {
    /// Keeps what is on trial or goes back, as soon as the difference is clear.
    pub(super) fn judge(&mut self, probe: Probe, now: Measured, view: View<'_>) -> Option<String> {
        let gain = if probe.of.rate > 0.0 { now.rate / probe.of.rate - 1.0 } else { 0.0 };
        let (batches, rounds) = match gain.abs() {
            // Nothing presses where lanes stand idle, and a small loss is not to be missed.
            _ if probe.trial == Trial::FewerLanes => (24, 6),
            g if g > 0.30 => (2, 1),
            g if g > 0.15 => (3, 2),
            _ => (6, 3),
        };
        if !enough(&now, batches) || now.rounds < rounds {
            return None;
        }
        let noise = probe.of.noise.hypot(now.noise);
        let margin = GAIN_MIN.max(1.5 * noise);
        let keep = match probe.trial {
            // What batches cost scatters less than when they are committed.
            Trial::Size { up: true }
                if self.compared(probe.from.size, view).is_some_and(|r| r * CHEAPER_CLEAR > 1.0) =>
            {
                gain > -LOSS_MAX
            }
            Trial::Size { .. } | Trial::MoreLanes => gain > margin,
            // Where the others say that the best is; a small gain is all there can be.
            Trial::Between => gain > 0.0,
            Trial::FewerLanes => gain > -LOSS_MAX.max(noise.min(GAIN_MIN)),
        };
        if self.setting.lanes == probe.from.lanes {
            self.sizes.push((self.setting.size, now.rate));
        } else if keep {
            // Other lanes, other rates.
            self.sizes = vec![(self.setting.size, now.rate)];
        }
        self.probe = None;
        let tried = self.setting;
        if keep {
            self.kept = Some(now);
        } else {
            self.setting = probe.from;
        }
        self.learn(probe.trial, keep);
        let verdict = format!(
            "{} gave {:.0} items/s, {} than {:.0} with {}",
            words(tried, probe.from),
            now.rate,
            in_percent(gain),
            probe.of.rate,
            words(probe.from, tried)
        );
        let next = self.propose(self.kept?, view);
        Some(match (next, keep) {
            (Some(next), _) => format!("{verdict}: {next}"),
            (None, true) => format!("{verdict}: kept"),
            (None, false) => format!("{verdict}: back"),
        })
    }

    /// What a verdict means for later probes.
    fn learn(&mut self, trial: Trial, kept: bool) {
        match trial {
            Trial::Size { .. } if kept && self.search.last => self.search = Search::ended(),
            Trial::Size { up } if kept => {
                // Where it came from is worse; ahead it may stride out.
                self.search = Search { step: STEP_MAX, up, closed: [up, !up], last: false };
                self.patience = PATIENCE;
            }
            Trial::Size { up } => self.search.closed[usize::from(up)] = true,
            Trial::Between => {}
            Trial::MoreLanes | Trial::FewerLanes => self.lanes_wait = if kept { 2 } else { self.patience },
        }
    }
}

/// The part of a setting that differs from another.
pub(super) fn words(setting: Setting, from: Setting) -> String {
    let lanes = lanes_in_words(setting.lanes);
    match (setting.size == from.size, setting.lanes == from.lanes) {
        (true, false) => lanes,
        (false, true) => format!("batches of {}", setting.size),
        _ => format!("batches of {}, {lanes}", setting.size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Interval;
    use crate::strategy::adaptive::climb::Climb;

    #[test]
    fn a_step_in_size_that_paid_is_followed_by_one_of_four_times_and_never_a_longer_one() {
        let mut climb = Climb::default();
        climb.restart(Setting { size: 100, lanes: 1 });
        let state = climb.state.as_mut().unwrap();
        let sizes = Interval::new(1, 10_000_000).unwrap();
        let now = Measured {
            rate: 1000.0,
            noise: 0.0,
            batches: 10,
            rounds: 10,
            time_us: 1_000_000,
            busy: 1.0,
            filled: 1.0,
            guest_us_per_item: 0.0,
        };
        let mut steps = Vec::new();
        for up in [true, true, true, true, false, false] {
            let next = state.neighbour(up, now, sizes);
            steps.push((state.setting.size, next));
            state.setting.size = next;
            state.learn(Trial::Size { up }, true);
        }
        assert_eq!(
            steps,
            [(100, 200), (200, 800), (800, 3200), (3200, 12_800), (12_800, 3200), (3200, 800)],
            "twice at first, then {STEP_MAX} times"
        );
        let half = Measured { filled: 0.89, ..now };
        assert_eq!(state.neighbour(true, half, sizes), 800, "batches that are not filled are not made larger");
        assert!(state.neighbour(false, half, sizes) < 800);
    }
}
