//! Follows the measurements: looks for the batch size and the lanes that give most items per second, and gives way
//! when the host runs short.
//!
//! Parts, each pure. The *fit* (`cost.rs`) turns committed batches into what a batch costs in each phase, by its size. The
//! *scout* sends a few small batches ahead, and one of twice the size: at the start, when the costs have become others
//! (CUSUM), and ever more rarely otherwise. By the costs of these sizes the search goes to the one that is best; it goes on
//! to another later only if that saves 3 % and two standard errors. The *meter* turns commits into items per second of one
//! setting, leaving out what older plans still had under way. If these are what the costs say, nothing else is tried. If
//! not, something costs time that no phase shows, and the *climb* tries a neighbour of the setting, keeps it if it is better
//! by more than 5 % and by more than the noise, else goes back; when no neighbour is better it tries the top of a parabola
//! through the last three once, settles, and looks again ever more rarely. The *crowd* asks whether fewer lanes do as well
//! or better where the CPUs are saturated, by the guest time per item of a few small batches on half of them. The *pace*
//! keeps the time of a batch below its bound. The *brake* makes plans smaller while memory is short, errors rise, the write-ahead log is long or the
//! host is unhealthy; it steps down at once, waits, and doubles them step by step when that is over. What is under way when
//! a plan becomes smaller goes on as it was planned.
//!
//! A neighbour in size is twice as large or half, or four times or a quarter where the last step paid; it is larger only if
//! batches are really filled. The rule for lanes: more (twice as many) where at least 90 % of their time is work, the writer
//! has time left, and neither CPU nor memory is short; kept for 5 % more throughput. Fewer (`busy × lanes × 4/3`) where they
//! work less than 75 % of the time, kept if nothing is lost by it.
//!
//! It starts with three quarters of the way (on a logarithmic scale) from the smallest to the largest size: 316 of
//! 10..1000. A fixed cost per batch matters little up there, while the first measurements still come soon. Lanes start
//! at their upper bound: an idle lane costs one sandbox, a missing one costs throughput. What an earlier run learned
//! comes before that; if it rests on many batches, and items cost what they did then, nothing is searched at first.

mod brake;
mod climb;
mod crowd;
mod look;
mod meter;
mod pace;
mod scout;
mod start;

use brake::Brake;
use climb::{Climb, View};
use crowd::Crowd;
use meter::Meter;
use pace::Pace;
use scout::Scout;
use start::start;

use super::cost::Fit;
use super::{
    Aim, Bounds, Interval, Last, Learned, Phase, PhaseCosts, Planned, Signals, Strategy, batches_in_flight,
    lanes_in_words,
};
use crate::limits::{BATCHES_IN_FLIGHT_MAX, GROUP_ITEMS_MAX};
use crate::model::Plan;

/// The time that the guest part of one batch should take at the most, in microseconds: a batch is the unit of
/// feedback, of progress and of lost work, and a chunk of it must stay well below the deadline of a call.
const BATCH_TIME_US: f64 = 2e6;

/// Weight of one reading of how busy the writer is: a reading spans few groups, and plans are not to follow each.
const WRITER_WEIGHT: f64 = 0.1;

/// Batches of the first size that come before those of other sizes.
const USUAL: u64 = 2;

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
    /// When the newest of them was committed, in microseconds since the run began.
    elapsed_us: u64,
    /// Batches before this one do not tell what a batch costs.
    cold: u64,
    /// The number that batches had reached when the work was last found to have become another.
    changed: u64,
    fit: Fit,
    meter: Meter,
    climb: Climb,
    brake: Brake,
    pace: Pace,
    scout: Option<Scout>,
    crowd: Crowd,
    /// The writer is the bottleneck, so that large groups pay.
    fill_groups: bool,
    /// Batches under way at the most, while groups fill.
    window: Option<usize>,
    /// Part of the time that the writer is at work, and that the lanes are, on average of late.
    writer_busy: Option<f64>,
    lanes_busy: Option<f64>,
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
        if let Some(setting) = self.climb.at_rest() {
            self.crowd.follow(setting);
        }
        self.fit.groups_fill(signals.aim == Aim::Throughput);
        self.learn(signals);
        let paced = self.keep_pace(signals);
        let held = paced.is_some();
        reasons.extend(paced);
        let slowest = self.fit.bottleneck(setting.size, setting.lanes);
        let sizes = self.room(signals, slowest);
        if setting.size < sizes.min() && self.scout.is_none() {
            let words = slowest.map_or("nothing", Phase::words);
            reasons.push(format!(
                "{words} takes longest: batches of {} at least, so that those under way fill groups",
                sizes.min()
            ));
            self.climb.resize(sizes.min());
        }
        let view = View { signals, sizes, fit: &self.fit, slowest };
        let short = self.climb.shorten(view);
        if short.is_some() {
            self.scout = None;
            self.crowd.cancel();
        }
        let held = held || short.is_some();
        reasons.extend(short);
        match self.brake.update(signals) {
            Some(why) => {
                // What a probe measured so far no longer compares with what it set out from.
                self.climb.cancel();
                self.stop_looking();
                reasons.push(why);
            }
            None if self.crowd.setting().is_some() => reasons.extend(self.thin_out(signals)),
            None if self.scout.is_some() => reasons.extend(self.come_back(signals)),
            None if self.brake.released() && !held => {
                reasons.extend(self.climb.step(&mut self.meter, view));
                reasons.extend(self.look_around(sizes, signals));
            }
            None => {}
        }
        reasons.extend(self.watch_writer(signals));

        let setting = self.crowd.setting().or_else(|| self.climb.setting());
        let setting = setting.expect("BUG: a climb has a setting once it was started");
        let lanes = signals.bounds.lanes.clamp(self.brake.lanes(setting.lanes));
        let ahead = self.scout.as_mut().and_then(|scout| scout.next(signals.sequence));
        reasons.extend(ahead.map(|size| format!("one batch of {size}, to see what it costs")));
        let size = ahead.unwrap_or(setting.size);
        let wanted = signals.bounds.batch_size.clamp(self.brake.size(size));
        let size = signals.fit(wanted);
        self.meter.aim(Setting { size: wanted, lanes });
        self.pace.aim(wanted);
        let under_way = match signals.aim {
            Aim::Throughput => self.under_way(lanes, wanted, signals.batch_time_us()),
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

    fn on_trial(&self) -> bool {
        self.crowd.setting().is_some()
    }

    fn learned(&self) -> Option<Learned> {
        // Between two measurements, and right after a move, what the costs say is the best guess.
        let (setting, items_per_s) = match self.climb.kept() {
            Some((setting, measured)) => (setting, measured.rate),
            None => {
                let setting = self.climb.kept_setting()?;
                (setting, self.fit.rate(setting.size, setting.lanes)?)
            }
        };
        Some(Learned {
            batch_size: setting.size,
            lanes: setting.lanes,
            items_per_s,
            batches: self.batches,
            costs: self.fit.costs(),
            within: self.bounds.as_ref().map(|bounds| (bounds.batch_size, bounds.lanes)),
        })
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
        let costs = known.and_then(|start| start.costs).filter(PhaseCosts::good);
        if let Some(costs) = costs {
            self.climb.trust(costs.guest.us(setting.size as f64) / setting.size as f64);
            self.crowd.trust();
        }
        if costs.is_none() {
            // Once all lanes are at work: the first batches have them for themselves, and say nothing about the others.
            self.cold = signals.sequence.saturating_add(setting.lanes as u64);
            let from = self.cold.saturating_add(USUAL);
            self.scout = Scout::around(setting.size, signals.bounds.batch_size, from);
        }
        reasons.push(why);
        setting
    }

    /// Batches that may be under way. Full groups are for a writer that sets the pace; lanes that do only must not wait while
    /// a group is written and the next one collected (Little's law), and a new plan shows the sooner the fewer there are.
    fn under_way(&mut self, lanes: usize, size: usize, bound_us: Option<f64>) -> usize {
        let fed = batches_in_flight(lanes, size, false);
        if !self.fill_groups || !self.brake.memory_is_free() {
            self.window = None;
            return fed;
        }
        let setting = self.climb.setting().unwrap_or(Setting { size, lanes });
        // A batch takes as long as those before it need to be written.
        let within = bound_us.zip(self.fit.rate(setting.size, setting.lanes));
        let within = within.map_or(usize::MAX, |(us, rate)| (us / 2e6 * rate / size as f64) as usize);
        let full = batches_in_flight(lanes, size, true).min(within).max(fed);
        let group = self.fit.group_of_lanes(setting.size, setting.lanes);
        let needed = group.map_or(full, |group| (fed + (2.0 * group / size as f64).ceil() as usize).min(full));
        // Not a new window for every change of the costs.
        let kept = self.window.filter(|window| (needed..=2 * needed).contains(window));
        let window = kept.unwrap_or((needed + needed / 4).min(full));
        self.window = Some(window);
        window.min(full)
    }

    /// Sizes that may be tried. Where the writer is the bottleneck, two groups' worth of items fit into the batches that may be
    /// under way only from some size on.
    fn room(&self, signals: &Signals, slowest: Option<Phase>) -> Interval {
        let sizes = self.pace.room(signals.bounds.batch_size);
        let writing = matches!(slowest, Some(Phase::Write | Phase::Commit));
        let now = self.climb.setting().map_or(sizes.max(), |setting| setting.size);
        let full = sizes.clamp((2 * GROUP_ITEMS_MAX).div_ceil(BATCHES_IN_FLIGHT_MAX));
        let lanes = self.climb.setting().map_or(1, |setting| setting.lanes);
        let wanted = self.fill_groups && writing && self.fit.groups_matter(now);
        let least = if wanted && self.fit.no_dearer(full, now, lanes) { full } else { sizes.min() };
        Interval::new(least, sizes.max()).unwrap_or(sizes)
    }

    /// What a look at other sizes or lanes has shown so far no longer compares.
    fn stop_looking(&mut self) {
        self.scout = None;
        self.crowd.cancel();
    }

    /// Keeps the time of a batch below its bound.
    fn keep_pace(&mut self, signals: &Signals) -> Option<String> {
        let ceiling = self.pace.update(signals.batch_time_us(), signals.bounds.batch_size, signals.sequence)?;
        let setting = self.climb.setting()?;
        let room = self.pace.room(signals.bounds.batch_size);
        // Larger again only where the ceiling was what kept it small.
        let size = if ceiling.grows { room.max() } else { room.clamp(setting.size) };
        self.climb.resize(size);
        self.stop_looking();
        Some(ceiling.why)
    }

    /// Takes in the batches committed since the last plan.
    fn learn(&mut self, signals: &Signals) {
        for sample in &signals.batches {
            if self.seen.is_none_or(|seen| sample.batch > seen) {
                self.seen = Some(sample.batch);
                self.batches += 1;
                self.elapsed_us = self.elapsed_us.max(sample.committed_us);
                if sample.batch >= self.cold {
                    self.fit.add(sample);
                }
                self.meter.add(sample);
                self.brake.add(sample);
                self.crowd.add(sample);
                // On fewer lanes batches wait for them.
                if self.crowd.setting().is_none() {
                    self.pace.add(sample);
                }
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
        self.stop_looking();
        let (sizes, all_lanes) = (bounds.batch_size, bounds.lanes);
        Some(format!(
            "bounds changed to batches of {}..{} and {}..{} lanes",
            sizes.min(),
            sizes.max(),
            all_lanes.min(),
            all_lanes.max()
        ))
    }

    /// Two thresholds, so that a share near one of them does not flap. A writer takes what is ready, however little, and so
    /// seems busy long before it holds anything up: as long as the lanes are at work all the time, it does not.
    fn watch_writer(&mut self, signals: &Signals) -> Option<String> {
        let follow = |mean: Option<f64>, now: f64| mean.map_or(now, |mean| mean + WRITER_WEIGHT * (now - mean));
        let now = signals.writer_at_work()?;
        let busy = follow(self.writer_busy, now);
        self.writer_busy = Some(busy);
        if let Some(now) = signals.lanes_at_work() {
            self.lanes_busy = Some(follow(self.lanes_busy, now));
        }
        let fill = match self.fill_groups {
            true => busy >= 0.5,
            false => busy >= 0.7 && self.lanes_busy.is_none_or(|lanes| lanes < 0.9),
        };
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

/// A gain or a loss, as a reason says it.
fn in_percent(gain: f64) -> String {
    match gain * 100.0 {
        percent if percent >= 0.5 => format!("{percent:.0} % more"),
        percent if percent <= -0.5 => format!("{:.0} % less", -percent),
        _ => "no more".to_owned(),
    }
}
