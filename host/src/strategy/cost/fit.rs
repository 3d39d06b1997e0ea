//! Fits costs to committed batches, notices when they change, and tells which size would be cheaper.

use super::change::Change;
use super::classes::Classes;
use super::curve::Curve;
use super::{Line, Phase, PhaseCosts};
use crate::limits::{BATCHES_IN_FLIGHT_MAX, GROUP_ITEMS_MAX};
use crate::strategy::{BatchSample, Interval};

/// Fewer batches of a class than this tell only large differences.
const FEW: f64 = 4.0;
/// A size is enough where the cheapest one costs this part less per item: larger batches than needed are later feedback.
const ENOUGH: f64 = 0.01;
/// Weight of one batch in how far batches are filled. Where they close before they are full (bytes, or a slow pipe), a
/// larger size would change nothing.
const FILLED_WEIGHT: f64 = 0.2;
const FILLED_MIN: f64 = 0.9;
/// Writing, without COMMIT, takes less than this part of the time that computing does: the writer keeps up with the lanes.
const WRITER_KEEPS_UP: f64 = 0.8;
/// Larger groups are worth it where COMMIT takes more than this part of the writer's time.
const COMMIT_WORTH: f64 = 0.05;
/// Costs are believed up to so many times the largest size seen.
const BEYOND: f64 = 4.0;

/// Fits [`PhaseCosts`] to committed batches.
#[derive(Debug, Default)]
pub(in crate::strategy) struct Fit {
    read: Classes,
    guest: Classes,
    write: Classes,
    commit: Classes,
    /// The group whose batches are still coming in: when it was committed, its items, and how long COMMIT took.
    group: Option<(u64, f64, f64)>,
    /// Items per COMMIT, on average of late.
    group_items: f64,
    change: Change,
    /// Items per batch, of what was planned, on average of late.
    filled: Option<f64>,
    /// Groups may fill: as many batches may be under way as that takes.
    groups_fill: bool,
    /// Lanes that these costs are for: side by side, guests hinder each other.
    lanes: usize,
}

/// A size that would cost less.
#[derive(Debug, Clone, Copy)]
pub(in crate::strategy) struct Better {
    pub size: usize,
    /// Part of the present time per item that it saves, and the standard error of that.
    pub gain: f64,
    pub doubt: f64,
    /// It lies at the edge of what was seen, or beyond: there may be better ones further on.
    pub edge: bool,
}

impl Fit {
    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        if sample.items == 0 || sample.plan_lanes != self.lanes as u64 {
            return;
        }
        let items = sample.items as f64;
        let (guest_us, write_us) = (sample.validate_us as f64 + sample.operate_us as f64, sample.write_us as f64);
        if let (Some(guest), Some(write)) = (self.guest.at(items), self.write.at(items)) {
            self.change.add((guest_us + write_us) / (guest + write), self.guest.scatter().max(self.write.scatter()));
        }
        let filled = (items / sample.plan_size.max(1) as f64).min(1.0);
        self.filled = Some(self.filled.map_or(filled, |mean| mean + FILLED_WEIGHT * (filled - mean)));
        self.read.add(items, sample.read_us as f64);
        self.guest.add(items, guest_us);
        self.write.add(items, write_us);
        match &mut self.group {
            // One COMMIT for several batches counts once.
            Some((at, of, _)) if *at == sample.committed_us => *of += items,
            group => {
                if let Some((_, of, us)) = group.replace((sample.committed_us, items, sample.commit_us as f64)) {
                    self.commit.add(of, us);
                    let weight = if self.group_items > 0.0 { 0.1 } else { 1.0 };
                    self.group_items += weight * (of - self.group_items);
                }
            }
        }
    }

    /// Batches of this size that share a COMMIT, on average of late.
    pub fn batches_per_group(&self, size: usize) -> f64 {
        self.group_items / size.max(1) as f64
    }

    /// Whether groups may fill: not where few batches may be under way.
    pub fn groups_fill(&mut self, may: bool) {
        self.groups_fill = may;
    }

    /// Items that share a COMMIT once the writer is the bottleneck. Before that a group is what happens to be ready, however
    /// few that are, so that the writer seems busy, and its groups small, where it could do far more.
    fn group_at_most(&self, items: f64) -> f64 {
        let full = if self.groups_fill {
            (items * (BATCHES_IN_FLIGHT_MAX / 2) as f64).min(GROUP_ITEMS_MAX as f64)
        } else {
            0.0
        };
        full.max(self.group_items).max(items)
    }

    /// Items that become ready while the writer is busy with as many, where guests set the pace: `g = r·(C + w·g)`, with `r`
    /// items per second from the lanes, a COMMIT of `C`, and `w` for writing an item. None where the writer is about as
    /// slow as the lanes: then no group is too large.
    pub fn group_of_lanes(&self, size: usize, lanes: usize) -> Option<f64> {
        let items = size as f64;
        let [guest, write] = [&self.guest, &self.write].map(|classes| classes.line().us(items) / items);
        let guest_us = guest / lanes.max(1) as f64;
        let load = if guest_us > 0.0 { write / guest_us } else { f64::INFINITY };
        // A disk that stalls shows in the last COMMIT first.
        let last = self.group.map_or(0.0, |(_, _, us)| us);
        let commit = self.commit_line().us(self.group_items.max(items)).max(last) / guest_us;
        (load < WRITER_KEEPS_UP && commit.is_finite()).then_some(commit / (1.0 - load))
    }

    /// Does COMMIT take a part of the writer's time worth saving, even where groups fill?
    pub fn groups_matter(&self, size: usize) -> bool {
        let group = self.group_at_most(size as f64);
        let commit = self.commit_line().us(group) / group;
        let write = self.write.at(size as f64).unwrap_or(0.0) / size.max(1) as f64;
        commit > COMMIT_WORTH * (commit + write)
    }

    /// Guest time of a batch of about this size, in microseconds.
    pub fn guest_us(&self, items: f64) -> Option<f64> {
        self.guest.at(items)
    }

    /// What a COMMIT takes at present, in microseconds.
    pub fn commit_us(&self) -> f64 {
        self.commit_line().us(self.group_items)
    }

    /// Relative scatter of the guest time of a batch.
    pub fn scatter(&self) -> f64 {
        self.guest.scatter()
    }

    /// The last batches cost something else than they used to.
    pub fn surprised(&self) -> bool {
        self.change.found()
    }

    /// Batches of clearly different sizes were seen.
    pub fn knows_sizes(&self) -> bool {
        self.guest.seen().is_some_and(|(least, most)| most >= 1.5 * least)
    }

    /// Costs are what they were a while ago, so that sizes seen at different times compare.
    pub fn calm(&self) -> bool {
        self.change.calm()
    }

    /// Time of the slowest stage per item at about this size, from batches of such sizes alone.
    pub fn pace(&self, size: usize, lanes: usize) -> Option<f64> {
        let items = size as f64;
        let group = self.group_at_most(items);
        let guest = self.guest.at(items)? / items / lanes.max(1) as f64;
        let writer = self.write.at(items)? / items + self.commit_line().us(group) / group;
        Some(guest.max(writer).max(self.read.at(items)? / items))
    }

    /// Time per item at one size, of that at another, if batches of both were seen; larger than 1 is worse. From few
    /// batches only what is clear is told.
    pub fn compared(&self, size: usize, with: usize, lanes: usize) -> Option<f64> {
        let ratio = self.pace(size, lanes)? / self.pace(with, lanes)?;
        let few = self.guest.weight(size as f64).min(self.guest.weight(with as f64)) < FEW;
        let clear = if few { !(0.7..1.4).contains(&ratio) } else { true };
        (ratio.is_finite() && clear).then_some(ratio)
    }

    /// The smallest size that costs about as little per item as any, by the curves through what was seen: between the
    /// smallest size seen and four times the largest.
    pub fn better(&self, size: usize, lanes: usize, sizes: Interval) -> Option<Better> {
        let curves = self.curves(lanes);
        let pace = |size: usize| curves.pace(size as f64);
        let (least, most) = self.guest.seen()?;
        let from = sizes.clamp(least.min(size as f64).round() as usize);
        let open = self.filled.is_none_or(|filled| filled >= FILLED_MIN);
        let to = if open { sizes.clamp((most.max(size as f64) * BEYOND) as usize) } else { size }.max(from);
        let mut ladder = vec![from];
        while let Some(last) = ladder.last().copied().filter(|last| *last < to) {
            ladder.push(((last as f64 * 1.1).ceil() as usize).min(to));
        }
        let lowest = ladder.iter().copied().map(pace).fold(f64::INFINITY, f64::min);
        let better = ladder.into_iter().find(|size| pace(*size) * (1.0 - ENOUGH) <= lowest)?;
        let here = pace(size);
        if !(here > 0.0 && here.is_finite()) {
            return None;
        }
        let (now, then) = (size as f64, better as f64);
        let doubt_us = curves.doubt_us(now, then);
        let edge = better > sizes.min() && then <= least * 1.1 || better < sizes.max() && then >= most * 1.5;
        Some(Better { size: better, gain: 1.0 - pace(better) / here, doubt: doubt_us / here, edge })
    }

    /// By the curves through what was seen, an item costs no more at this size than at the other. What lies far beyond is not
    /// known.
    pub fn no_dearer(&self, size: usize, than: usize, lanes: usize) -> bool {
        let curves = self.curves(lanes);
        let seen = self.guest.seen().is_some_and(|(_, most)| size as f64 <= 1.5 * most);
        seen && self.knows_sizes() && curves.pace(size as f64) <= curves.pace(than as f64)
    }

    fn curves(&self, lanes: usize) -> Curves<'_> {
        let [read, guest, write] = [&self.read, &self.guest, &self.write].map(Classes::curve);
        Curves { read, guest, write, commit: self.commit_line(), lanes: lanes.max(1) as f64, fit: self }
    }

    /// Items per second by the curves.
    pub fn rate(&self, size: usize, lanes: usize) -> Option<f64> {
        let us = self.curves(lanes).pace(size as f64);
        (us > 0.0 && us.is_finite()).then(|| 1e6 / us)
    }

    /// Forgets everything: the work has become another.
    pub fn forget(&mut self) {
        *self = Self { lanes: self.lanes, groups_fill: self.groups_fill, ..Self::default() };
    }

    /// Costs are those of this many lanes from now on. How they depend on the size stays much the same, how large they are
    /// is soon seen.
    pub fn on(&mut self, lanes: usize) {
        if self.lanes != lanes {
            self.moved_to(lanes, 1.0);
        }
    }

    /// The same on other lanes, where guests take so many times as long.
    pub fn moved_to(&mut self, lanes: usize, guest_times: f64) {
        self.lanes = lanes;
        self.guest.scale(guest_times);
        self.change = Change::default();
    }

    pub fn costs(&self) -> PhaseCosts {
        PhaseCosts {
            read: self.read.line(),
            guest: self.guest.line(),
            write: self.write.line(),
            commit: self.commit_line(),
        }
    }

    /// The first group is not over yet, but its COMMIT is known. Where all groups were about as large, the cost is taken for
    /// that of the COMMIT, not of the items: it is what writes to the disk, once.
    fn commit_line(&self) -> Line {
        match (self.group, self.commit.alike()) {
            (Some((_, _, us)), None) if self.commit.samples == 0 => Line { fixed_us: us, ..Line::default() },
            (_, Some(us)) => Line { fixed_us: us, item_us: 0.0, samples: self.commit.samples },
            _ => self.commit.line(),
        }
    }

    /// The slowest stage of this setting, by what was fitted. Of the two parts of writing the larger is named, as groups
    /// are at present.
    pub fn bottleneck(&self, size: usize, lanes: usize) -> Option<Phase> {
        let costs = self.costs();
        match costs.bottleneck(size, lanes, self.group_at_most(size as f64))? {
            Phase::Write | Phase::Commit => Some(costs.writer(size, self.group_items)),
            other => Some(other),
        }
    }
}

/// What each stage takes, by size.
struct Curves<'a> {
    read: Curve,
    guest: Curve,
    write: Curve,
    commit: Line,
    lanes: f64,
    fit: &'a Fit,
}

impl Curves<'_> {
    /// Time per item of reading, computing and writing, which are done at the same time.
    fn stages(&self, items: f64) -> [f64; 3] {
        let group = self.fit.group_at_most(items);
        let writer = self.write.us(items) / items + self.commit.us(group) / group;
        [self.read.us(items) / items, self.guest.us(items) / items / self.lanes, writer]
    }

    /// That of the slowest.
    fn pace(&self, items: f64) -> f64 {
        self.stages(items).into_iter().fold(0.0, f64::max)
    }

    /// Standard error of what another size saves per item, by the stage that is the slowest now.
    fn doubt_us(&self, now: f64, then: f64) -> f64 {
        let [read, guest, write] = self.stages(now);
        match () {
            () if guest >= read.max(write) => self.guest.doubt_us_per_item(then, now) / self.lanes,
            () if read >= write => self.read.doubt_us_per_item(then, now),
            () => self.write.doubt_us_per_item(then, now),
        }
    }
}
