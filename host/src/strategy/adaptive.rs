//! Follows the measurements: looks for the batch size and the lanes that give most items per second, and gives way
//! when the host runs short.
//!
//! Three parts, each pure. The *meter* turns commits into items per second of one setting, leaving out what older
//! plans still had under way. The *climb* tries a neighbour of the setting (half or double the size, more or fewer
//! lanes), keeps it if it is better by more than 5 % and by more than the noise, else goes back; when no neighbour is
//! better it settles and looks again ever more rarely, or at once if the throughput drifts. The *brake* makes plans
//! smaller while memory is short or errors rise, and lets them recover step by step.
//!
//! It starts with three quarters of the way (on a logarithmic scale) from the smallest to the largest size: 316 of
//! 10..1000. A fixed cost per batch matters little up there, while the first measurements still come soon. Lanes start
//! at their upper bound: an idle lane costs one sandbox, a missing one costs throughput.

mod brake;
mod climb;
mod meter;

use brake::Brake;
use climb::Climb;
use meter::Meter;

use super::{Bounds, Last, Planned, Signals, Strategy, batches_in_flight, lanes_in_words};
use crate::model::Plan;

/// The time that the guest part of one batch should take at the most, in microseconds: a batch is the unit of
/// feedback, of progress and of lost work, and a chunk of it must stay well below the deadline of a call.
const BATCH_TIME_US: f64 = 2e6;

/// What is being tried or kept: items per batch, and lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    size: usize,
    lanes: usize,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Adaptive {
    last: Last,
    /// Newest batch already taken into account.
    seen: Option<u64>,
    /// Bounds of the last plan.
    bounds: Option<Bounds>,
    meter: Meter,
    climb: Climb,
    brake: Brake,
    /// The writer is the bottleneck, so that large groups pay.
    fill_groups: bool,
}

impl Strategy for Adaptive {
    fn name(&self) -> &'static str {
        "adaptive"
    }

    fn plan(&mut self, signals: &Signals) -> Planned {
        let mut reasons = Vec::new();
        let setting = match self.climb.setting() {
            Some(setting) => setting,
            None => {
                let (setting, why) = start(&signals.bounds);
                self.climb.restart(setting);
                reasons.push(why);
                setting
            }
        };
        reasons.extend(self.follow_bounds(signals, setting));
        self.learn(signals);
        match self.brake.update(signals) {
            Some(why) => {
                // What a probe measured so far no longer compares with what it set out from.
                self.climb.cancel();
                reasons.push(why);
            }
            None if self.brake.released() => reasons.extend(self.climb.step(&mut self.meter, signals)),
            None => {}
        }
        reasons.extend(self.watch_writer(signals));

        let setting = self.climb.setting().expect("BUG: a climb has a setting once it was started");
        let lanes = signals.bounds.lanes.clamp(self.brake.lanes(setting.lanes));
        let wanted = signals.bounds.batch_size.clamp(self.brake.size(setting.size));
        let size = signals.fit(wanted);
        self.meter.aim(Setting { size: wanted, lanes });
        let plan =
            Plan { batch_size: size, lanes, batches_in_flight: batches_in_flight(lanes, wanted, self.fill_groups) };
        if size < wanted {
            reasons.push(format!("{size} items are left"));
        }
        self.last.planned(plan, || match reasons.is_empty() {
            true => format!("batches of {size}, {} again", lanes_in_words(lanes)),
            false => reasons.join("; "),
        })
    }
}

impl Adaptive {
    /// Takes in the batches committed since the last plan.
    fn learn(&mut self, signals: &Signals) {
        for sample in &signals.batches {
            if self.seen.is_none_or(|seen| sample.batch > seen) {
                self.seen = Some(sample.batch);
                self.meter.add(sample);
                self.brake.add(sample);
            }
        }
    }

    fn follow_bounds(&mut self, signals: &Signals, setting: Setting) -> Option<String> {
        let bounds = &signals.bounds;
        let changed = self.bounds.as_ref().is_some_and(|old| old != bounds);
        if self.bounds.is_none() || changed {
            self.bounds = Some(bounds.clone());
        }
        if !changed {
            return None;
        }
        let size = bounds.batch_size.clamp(setting.size);
        let lanes = bounds.lanes.clamp(setting.lanes);
        self.climb.restart(Setting { size, lanes });
        let (sizes, all_lanes) = (bounds.batch_size, bounds.lanes);
        Some(format!(
            "bounds changed to batches of {}..{} and {}..{} lanes",
            sizes.min(),
            sizes.max(),
            all_lanes.min(),
            all_lanes.max()
        ))
    }

    /// Two thresholds, so that a share near one of them does not flap.
    fn watch_writer(&mut self, signals: &Signals) -> Option<String> {
        let busy = super::signals::share(signals.writer_busy)?;
        let fill = busy >= if self.fill_groups { 0.5 } else { 0.7 };
        if fill == self.fill_groups {
            return None;
        }
        self.fill_groups = fill;
        let then =
            if fill { "more batches under way, so that groups fill" } else { "fewer batches need to be under way" };
        Some(format!("the writer is busy {:.0} % of the time: {then}", busy * 100.0))
    }
}

/// Where a run begins, and why there.
fn start(bounds: &Bounds) -> (Setting, String) {
    let (sizes, lanes) = (bounds.batch_size, bounds.lanes);
    if let Some(start) = &bounds.start {
        let setting = Setting { size: sizes.clamp(start.batch_size), lanes: lanes.clamp(start.lanes) };
        let why =
            format!("starts at batches of {}, {}: from {}", setting.size, lanes_in_words(setting.lanes), start.source);
        return (setting, why);
    }
    let size = (sizes.min() as f64).powf(0.25) * (sizes.max() as f64).powf(0.75);
    let setting = Setting { size: sizes.clamp(size.round() as usize), lanes: lanes.max() };
    let why = format!(
        "starts at batches of {}, in the upper part of {}..{}, {}",
        setting.size,
        sizes.min(),
        sizes.max(),
        lanes_in_words(setting.lanes)
    );
    (setting, why)
}
