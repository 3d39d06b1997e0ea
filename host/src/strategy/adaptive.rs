//! Follows the measurements: looks for the batch size and the lanes that give most items per second, and gives way
//! when the host runs short.
//!
//! Six parts, each pure. The *meter* turns commits into items per second of one setting, leaving out what older plans
//! still had under way. The *fit* (`cost.rs`) turns them into what a batch costs in each phase, which tells the slowest
//! stage and, for a later run, where to start. The *scout* sends a few batches of other sizes ahead, once the lanes are
//! full and whenever the work has become another; by what they cost the search goes on from a better size. The *climb*
//! tries a neighbour of the setting, keeps it if it is better by more than 5 % and by more than the noise, else goes
//! back; when no neighbour is better it tries the top of a parabola through the last three once, settles, and looks
//! again ever more rarely, or at once if the throughput drifts. The *pace* keeps the time of a batch below its bound.
//! The *brake* makes plans smaller while memory is short, errors rise, the write-ahead log is long or the host is
//! unhealthy; it steps down at once, waits, and lets them recover step by step. What is under way when a plan becomes
//! smaller goes on as it was planned.
//!
//! The size doubles or halves, and goes to four times or a quarter where the last step paid; it grows only if batches are
//! really filled. The rule for lanes: more (twice as many) where at least 90 % of their time is work, the writer has
//! time left, and neither CPU nor memory is short; kept for 5 % more throughput. Fewer (`busy × lanes × 4/3`) where
//! they work less than 75 % of the time, or a fifth fewer where the CPUs are saturated; kept if nothing is lost by it.
//!
//! It starts with three quarters of the way (on a logarithmic scale) from the smallest to the largest size: 316 of
//! 10..1000. A fixed cost per batch matters little up there, while the first measurements still come soon. Lanes start
//! at their upper bound: an idle lane costs one sandbox, a missing one costs throughput. What an earlier run learned
//! comes before that; if it rests on many batches, and items cost what they did then, nothing is searched at first.

mod brake;
mod climb;
mod meter;
mod pace;
mod scout;

use brake::Brake;
use climb::{Climb, View};
use meter::Meter;
use pace::Pace;
use scout::Scout;

use super::cost::Fit;
use super::{
    Aim, Bounds, Interval, Last, Learned, Phase, PhaseCosts, Planned, Signals, Strategy, batches_in_flight,
    lanes_in_words,
};
use crate::limits::BATCHES_IN_FLIGHT_MAX;
use crate::model::Plan;

/// The time that the guest part of one batch should take at the most, in microseconds: a batch is the unit of
/// feedback, of progress and of lost work, and a chunk of it must stay well below the deadline of a call.
const BATCH_TIME_US: f64 = 2e6;

/// Weight of one reading of how busy the writer is: a reading spans few groups, and plans are not to follow each.
const WRITER_WEIGHT: f64 = 0.1;

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
    /// Batches taken into account.
    batches: u64,
    fit: Fit,
    meter: Meter,
    climb: Climb,
    brake: Brake,
    pace: Pace,
    scout: Option<Scout>,
    /// The writer is the bottleneck, so that large groups pay.
    fill_groups: bool,
    /// Part of the time that the writer is at work, on average of late.
    writer_busy: Option<f64>,
}

impl Strategy for Adaptive {
    fn name(&self) -> &'static str {
        "adaptive"
    }

    fn plan(&mut self, signals: &Signals) -> Planned {
        let mut reasons = Vec::new();
        let setting = self.setting(signals, &mut reasons);
        reasons.extend(self.follow_bounds(signals, setting));
        self.fit.on(self.climb.kept().map_or(setting.lanes, |(kept, _)| kept.lanes));
        self.learn(signals);
        let paced = self.keep_pace(signals);
        let held = paced.is_some();
        reasons.extend(paced);
        let sizes = self.pace.room(signals.bounds.batch_size);
        let slowest = self.fit.bottleneck(setting.size, setting.lanes);
        let view = View { signals, sizes, fit: &self.fit, slowest };
        let short = self.climb.shorten(view);
        if short.is_some() {
            self.scout = None;
        }
        let held = held || short.is_some();
        reasons.extend(short);
        match self.brake.update(signals) {
            Some(why) => {
                // What a probe measured so far no longer compares with what it set out from.
                self.climb.cancel();
                self.scout = None;
                reasons.push(why);
            }
            None if self.scout.is_some() => reasons.extend(self.come_back(signals)),
            None if self.brake.released() && !held => {
                reasons.extend(self.climb.step(&mut self.meter, view));
                reasons.extend(self.look_around(sizes, signals.sequence));
            }
            None => {}
        }
        reasons.extend(self.watch_writer(signals));

        let setting = self.climb.setting().expect("BUG: a climb has a setting once it was started");
        let lanes = signals.bounds.lanes.clamp(self.brake.lanes(setting.lanes));
        let ahead = self.scout.as_mut().and_then(|scout| scout.next(signals.sequence));
        reasons.extend(ahead.map(|size| format!("one batch of {size}, to see what it costs")));
        let size = ahead.unwrap_or(setting.size);
        let wanted = signals.bounds.batch_size.clamp(self.brake.size(size));
        let size = signals.fit(wanted);
        self.meter.aim(Setting { size: wanted, lanes });
        self.pace.aim(wanted);
        let under_way = match signals.aim {
            Aim::Throughput => batches_in_flight(lanes, wanted, self.fill_groups),
            // A batch that waits for a lane takes longer and brings nothing; one may wait for each writer or reader.
            Aim::Latency => lanes + 1,
        };
        let plan = Plan { batch_size: size, lanes, batches_in_flight: under_way.min(BATCHES_IN_FLIGHT_MAX) };
        if size < wanted {
            reasons.push(format!("{size} items are left"));
        }
        self.last.planned(plan, || match reasons.is_empty() {
            true => format!("batches of {size}, {} again", lanes_in_words(lanes)),
            false => reasons.join("; "),
        })
    }

    fn learned(&self) -> Option<Learned> {
        let (setting, measured) = self.climb.kept()?;
        let (items_per_s, costs) = (measured.rate, self.fit.costs());
        Some(Learned { batch_size: setting.size, lanes: setting.lanes, items_per_s, batches: self.batches, costs })
    }
}

impl Adaptive {
    /// What is tried or kept; begins if this is the first plan.
    fn setting(&mut self, signals: &Signals, reasons: &mut Vec<String>) -> Setting {
        if let Some(setting) = self.climb.setting() {
            return setting;
        }
        let (setting, why) = start(&signals.bounds);
        self.climb.restart(setting);
        let start = signals.bounds.start.as_ref();
        let known = start.filter(|start| (start.batch_size, start.lanes) == (setting.size, setting.lanes));
        if let Some(costs) = known.and_then(|start| start.costs).filter(PhaseCosts::good) {
            self.climb.trust(costs.guest.us(setting.size as f64) / setting.size as f64);
        }
        if start.is_none() {
            // Once all lanes are at work: the first batches have them for themselves.
            let from = signals.sequence.saturating_add(setting.lanes as u64);
            self.scout = Scout::around(setting.size / 2, signals.bounds.batch_size, from);
        }
        reasons.push(why);
        setting
    }

    /// The work has become another: sends batches of other sizes ahead, or just searches anew.
    fn look_around(&mut self, sizes: Interval, sequence: u64) -> Option<String> {
        let settled = self.climb.settled()?;
        let why = match self.climb.drifted() {
            Some(why) => why,
            None if self.fit.surprised() => "items cost something else than before".to_owned(),
            None => return None,
        };
        self.fit.forget();
        self.scout = Scout::around(settled.size, sizes, sequence);
        if self.scout.is_none() {
            self.climb.resize(settled.size);
            return None;
        }
        Some(why)
    }

    /// Goes on from where the batches sent ahead were best.
    fn come_back(&mut self, signals: &Signals) -> Option<String> {
        let scout = self.scout.take_if(|scout| scout.back(self.seen))?;
        let setting = self.climb.setting()?;
        let size = scout.verdict(setting, self.pace.room(signals.bounds.batch_size), &self.fit);
        let slowest = self.fit.bottleneck(size, setting.lanes).map_or("nothing", Phase::words);
        let known = self.climb.settled().is_some();
        if size == setting.size {
            if known {
                self.climb.settle();
            }
            return None;
        }
        self.climb.resize(size);
        Some(format!("by what the batches cost so far, most of it {slowest}: batches of {size}"))
    }

    /// Keeps the time of a batch below its bound.
    fn keep_pace(&mut self, signals: &Signals) -> Option<String> {
        let ceiling = self.pace.update(signals.batch_time_us(), signals.bounds.batch_size, signals.sequence)?;
        let setting = self.climb.setting()?;
        let room = self.pace.room(signals.bounds.batch_size);
        // Larger again only where the ceiling was what kept it small.
        let size = if ceiling.grows { room.max() } else { room.clamp(setting.size) };
        self.climb.resize(size);
        self.scout = None;
        Some(ceiling.why)
    }

    /// Takes in the batches committed since the last plan.
    fn learn(&mut self, signals: &Signals) {
        for sample in &signals.batches {
            if self.seen.is_none_or(|seen| sample.batch > seen) {
                self.seen = Some(sample.batch);
                self.batches += 1;
                self.fit.add(sample);
                self.meter.add(sample);
                self.brake.add(sample);
                self.pace.add(sample);
            }
        }
    }

    fn follow_bounds(&mut self, signals: &Signals, setting: Setting) -> Option<String> {
        let bounds = &signals.bounds;
        let same = |old: &Bounds| (old.batch_size, old.lanes) == (bounds.batch_size, bounds.lanes);
        let changed = self.bounds.as_ref().is_some_and(|old| !same(old));
        if self.bounds.is_none() || changed {
            self.bounds = Some(bounds.clone());
        }
        if !changed {
            return None;
        }
        let size = bounds.batch_size.clamp(setting.size);
        let lanes = bounds.lanes.clamp(setting.lanes);
        self.climb.restart(Setting { size, lanes });
        self.scout = None;
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
        let now = super::signals::share(signals.writer_busy)?;
        let mean = self.writer_busy.map_or(now, |mean| mean + WRITER_WEIGHT * (now - mean));
        self.writer_busy = Some(mean);
        let busy = mean;
        let fill = busy >= if self.fill_groups { 0.5 } else { 0.7 };
        if fill == self.fill_groups {
            return None;
        }
        self.fill_groups = fill;
        let then =
            if fill { "more batches under way, so that groups fill" } else { "fewer batches need to be under way" };
        let setting = self.climb.setting()?;
        let slowest = self.fit.bottleneck(setting.size, setting.lanes);
        let slowest = slowest.map_or(String::new(), |phase| format!(", {} takes longest", phase.words()));
        Some(format!("the writer is busy {:.0} % of the time{slowest}: {then}", busy * 100.0))
    }
}

/// Where a run begins, and why there.
fn start(bounds: &Bounds) -> (Setting, String) {
    let (sizes, lanes) = (bounds.batch_size, bounds.lanes);
    if let Some(start) = &bounds.start {
        let lanes = lanes.clamp(start.lanes);
        // What was good lies outside of the bounds: then the nearest size that by the costs is about as good as any.
        let size = match &start.costs {
            Some(costs) if sizes.clamp(start.batch_size) != start.batch_size => {
                costs.sufficient_size(sizes, lanes, 0.0)
            }
            _ => sizes.clamp(start.batch_size),
        };
        let setting = Setting { size, lanes };
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
