//! What a batch costs: `a + b·n` microseconds for `n` items, in each phase, fitted to the batches so far.
//!
//! Least squares over the mean cost of each class of sizes (a class is a power of two). Single batches would not do: a run
//! spends most of them at one size, which tells `a` from `b` no better than none, and what the others told would fade.

use serde::{Deserialize, Serialize};

use super::{BatchSample, Interval};

/// A class forgets: each batch weighs at least one part in so many.
const MEMORY: f64 = 32.0;
/// Sizes must differ by this part for `a` and `b` to be told apart.
const SPREAD_MIN: f64 = 0.05;
/// The start may lose this part of what is possible by the costs: larger batches than needed are later feedback.
const LOSS_AT_START: f64 = 0.03;
/// A batch that costs more than so many times what is usual at its size, or less than that part of it, is a surprise.
const SURPRISE: f64 = 1.4;
/// Fewer batches of a class than this tell only large differences.
const FEW: f64 = 4.0;
/// So many in a row mean that the work is another.
const SURPRISES: i32 = 4;
/// Costs that rest on so many batches are a good sample.
const SAMPLES_GOOD: u64 = 32;

/// `fixed_us + item_us · n`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds whatever the size.
    pub fixed_us: f64,
    /// Microseconds per item.
    pub item_us: f64,
    /// Batches that it rests on.
    pub samples: u64,
}

impl Line {
    /// Microseconds for this many items.
    pub fn us(&self, items: f64) -> f64 {
        let usable = |us: f64| if us.is_finite() { us.max(0.0) } else { 0.0 };
        usable(self.fixed_us) + usable(self.item_us) * items
    }
}

/// A phase in the way of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading and decoding.
    Read,
    /// Validators and the operation.
    Guest,
    /// SQL statements.
    Write,
    /// COMMIT.
    Commit,
}

impl Phase {
    /// As a reason names it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Read => "reading",
            Self::Guest => "computing",
            Self::Write => "writing",
            Self::Commit => "committing",
        }
    }
}

/// What a batch costs in each phase.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseCosts {
    /// Reading and decoding.
    pub read: Line,
    /// Validators and the operation, summed over lanes.
    pub guest: Line,
    /// SQL statements.
    pub write: Line,
    /// COMMIT, by the items of its group.
    pub commit: Line,
}

impl PhaseCosts {
    /// True if they rest on enough batches to begin with.
    pub(super) fn good(&self) -> bool {
        self.guest.samples.max(self.write.samples) >= SAMPLES_GOOD
    }

    /// The stage that takes longest per item, where `size` items make a batch, `group` items share a COMMIT, and lanes
    /// work side by side. Reading, computing and writing are done at the same time, so the slowest sets the pace; of
    /// the two parts of writing the larger is named. None where nothing takes time.
    pub fn bottleneck(&self, size: usize, lanes: usize, group: f64) -> Option<Phase> {
        let [read, guest, write, commit] = self.us_per_item(size, lanes, group);
        let writer = if commit > write { Phase::Commit } else { Phase::Write };
        let stages = [(Phase::Read, read), (Phase::Guest, guest), (writer, write + commit)];
        let slowest = stages.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        slowest.filter(|(_, us)| *us > 0.0).map(|(phase, _)| phase)
    }

    /// The smallest size within the bounds that by these costs is at most 3 % slower than the best size: where
    /// `a / (a + b·n)` of the slowest stage has become small.
    pub fn sufficient_size(&self, sizes: Interval, lanes: usize, group: f64) -> usize {
        let pace = |size| self.pace(size, lanes, group);
        // With lines larger is never slower.
        let best = pace(sizes.max());
        let mut size = sizes.min();
        while size < sizes.max() && pace(size) * (1.0 - LOSS_AT_START) > best {
            size = sizes.clamp((size as f64 * 1.1).ceil() as usize);
        }
        size
    }

    /// Time of the slowest stage per item, in microseconds.
    fn pace(&self, size: usize, lanes: usize, group: f64) -> f64 {
        let [read, guest, write, commit] = self.us_per_item(size, lanes, group);
        read.max(guest).max(write + commit)
    }

    fn us_per_item(&self, size: usize, lanes: usize, group: f64) -> [f64; 4] {
        let items = size.max(1) as f64;
        let group = group.max(items);
        [
            self.read.us(items) / items,
            self.guest.us(items) / items / lanes.max(1) as f64,
            self.write.us(items) / items,
            self.commit.us(group) / group,
        ]
    }
}

/// Fits [`PhaseCosts`] to committed batches.
#[derive(Debug, Default)]
pub(super) struct Fit {
    read: Classes,
    guest: Classes,
    write: Classes,
    commit: Classes,
    /// The group whose batches are still coming in: when it was committed, its items, and how long COMMIT took.
    group: Option<(u64, f64, f64)>,
    /// Items per COMMIT, on average of late.
    group_items: f64,
    /// Batches in a row that cost clearly more, or clearly less, than the costs say.
    surprises: i32,
    /// Lanes that these costs are for: side by side, guests hinder each other.
    lanes: usize,
}

impl Fit {
    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        if sample.items == 0 || sample.plan_lanes != self.lanes as u64 {
            return;
        }
        let items = sample.items as f64;
        self.be_surprised(sample);
        self.read.add(items, sample.read_us as f64);
        self.guest.add(items, sample.validate_us as f64 + sample.operate_us as f64);
        self.write.add(items, sample.write_us as f64);
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

    /// Guest time of a batch of about this size, in microseconds.
    pub fn guest_us(&self, items: f64) -> Option<f64> {
        self.guest.at(items)
    }

    /// The last batches cost something else than they used to.
    pub fn surprised(&self) -> bool {
        self.surprises.abs() >= SURPRISES
    }

    fn be_surprised(&mut self, sample: &BatchSample) {
        let items = sample.items as f64;
        let us = sample.validate_us as f64 + sample.operate_us as f64 + sample.write_us as f64;
        let (Some(guest), Some(write)) = (self.guest.at(items), self.write.at(items)) else { return };
        let usual = guest + write;
        self.surprises = match () {
            () if us > SURPRISE * usual => self.surprises.max(0).saturating_add(1),
            () if us * SURPRISE < usual => self.surprises.min(0).saturating_sub(1),
            () => 0,
        };
    }

    /// Time of the slowest stage per item at about this size, from batches of such sizes alone.
    pub fn pace(&self, size: usize, lanes: usize) -> Option<f64> {
        let items = size as f64;
        let group = self.group_items.max(items);
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

    /// A larger size that is enough, and the part of the present time per item that it would take.
    pub fn larger(&self, size: usize, lanes: usize, sizes: Interval) -> (usize, f64) {
        let costs = self.costs();
        let pace = |size| costs.pace(size, lanes, self.group_items);
        let enough = costs.sufficient_size(sizes, lanes, self.group_items).max(size);
        let (now, then) = (pace(size), pace(enough));
        (enough, if now > 0.0 { then / now } else { 1.0 })
    }

    /// Forgets everything: the work has become another.
    pub fn forget(&mut self) {
        *self = Self { lanes: self.lanes, ..Self::default() };
    }

    /// Costs are those of this many lanes from now on.
    pub fn on(&mut self, lanes: usize) {
        if self.lanes != lanes {
            *self = Self { lanes, ..Self::default() };
        }
    }

    pub fn costs(&self) -> PhaseCosts {
        PhaseCosts {
            read: self.read.line(),
            guest: self.guest.line(),
            write: self.write.line(),
            commit: self.commit_line(),
        }
    }

    /// The first group is not over yet, but its COMMIT is known.
    fn commit_line(&self) -> Line {
        match self.group {
            Some((_, _, us)) if self.commit.samples == 0 => Line { fixed_us: us, ..Line::default() },
            _ => self.commit.line(),
        }
    }

    /// The slowest stage of this setting, by what was fitted.
    pub fn bottleneck(&self, size: usize, lanes: usize) -> Option<Phase> {
        self.costs().bottleneck(size, lanes, self.group_items)
    }
}

/// The largest batches have fewer than two to the power of 20 items.
const CLASSES: usize = 20;

fn class(items: f64) -> usize {
    (items.log2() as usize).min(CLASSES - 1)
}

/// Mean cost of each class of sizes.
#[derive(Debug, Default)]
struct Classes {
    means: [Mean; CLASSES],
    samples: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    weight: f64,
    items: f64,
    us: f64,
}

impl Classes {
    fn add(&mut self, items: f64, us: f64) {
        let mean = &mut self.means[class(items)];
        mean.weight = (mean.weight + 1.0).min(MEMORY);
        mean.items += (items - mean.items) / mean.weight;
        mean.us += (us - mean.us) / mean.weight;
        self.samples = self.samples.saturating_add(1);
    }

    fn weight(&self, items: f64) -> f64 {
        self.means[class(items)].weight
    }

    /// Mean cost of the class of this size, for this size.
    fn at(&self, items: f64) -> Option<f64> {
        let mean = self.means[class(items)];
        (mean.weight > 0.0).then(|| mean.us * items / mean.items)
    }

    /// Neither part is negative. Where all sizes are about the same, all of the cost is taken for the items'.
    fn line(&self) -> Line {
        let sum = |part: fn(&Mean) -> f64| self.means.iter().map(|mean| mean.weight * part(mean)).sum::<f64>();
        let weight = sum(|_| 1.0);
        if weight == 0.0 {
            return Line::default();
        }
        let (items, us) = (sum(|mean| mean.items) / weight, sum(|mean| mean.us) / weight);
        let moment = |part: &dyn Fn(&Mean) -> f64| {
            self.means.iter().map(|mean| mean.weight * (mean.items - items) * part(mean)).sum::<f64>() / weight
        };
        let variance = moment(&|mean| mean.items - items);
        let (mut fixed_us, mut item_us) = (0.0, us / items);
        if variance > (SPREAD_MIN * items).powi(2) {
            let slope = (moment(&|mean| mean.us - us) / variance).max(0.0);
            let rest = us - slope * items;
            if rest > 0.0 {
                (fixed_us, item_us) = (rest, slope);
            }
        }
        Line { fixed_us, item_us, samples: self.samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::plant::Dice;

    fn sample(batch: u64, items: u64, committed_us: u64) -> BatchSample {
        BatchSample {
            batch,
            items,
            plan_lanes: 2,
            committed_us,
            read_us: 2 * items,
            operate_us: 500 + 40 * items,
            write_us: 80 + 5 * items,
            commit_us: 3000,
            ..BatchSample::default()
        }
    }

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= 0.01 * wanted.abs() + 1e-6
    }

    #[test]
    fn a_line_is_found_again_and_not_forgotten_at_one_size() {
        let mut fit = Fit::default();
        fit.on(2);
        for (batch, items) in [(0, 100), (1, 200), (2, 400)].into_iter().chain((3..500).map(|batch| (batch, 800))) {
            fit.add(&sample(batch, items, batch));
        }
        let costs = fit.costs();
        for (line, fixed, item) in
            [(costs.read, 0.0, 2.0), (costs.guest, 500.0, 40.0), (costs.write, 80.0, 5.0), (costs.commit, 3000.0, 0.0)]
        {
            assert!(near(line.fixed_us, fixed) && near(line.item_us, item), "{line:?}, {fixed} + {item} n");
        }
        assert_eq!((costs.guest.samples, costs.commit.samples), (500, 499));
        assert!(costs.good());
    }

    #[test]
    fn a_line_under_noise_is_near_and_never_negative() {
        for seed in 0..50 {
            let mut dice = Dice(seed);
            let mut classes = Classes::default();
            for _ in 0..400 {
                let items = 10.0 + dice.unit() * 990.0;
                classes.add(items, (5000.0 + 30.0 * items) * (1.0 + 0.2 * dice.bell()).max(0.05));
            }
            let line = classes.line();
            assert!(line.fixed_us >= 0.0 && (line.item_us - 30.0).abs() < 6.0, "seed {seed}: {line:?}");
            assert!((line.us(500.0) / 20_000.0 - 1.0).abs() < 0.1, "seed {seed}: {line:?}");
        }
    }

    #[test]
    fn one_size_alone_gives_the_cost_of_that_size() {
        let mut fit = Fit::default();
        fit.on(2);
        assert_eq!(fit.costs(), PhaseCosts::default());
        fit.add(&sample(0, 100, 5));
        let guest = fit.costs().guest;
        assert_eq!((guest.fixed_us, guest.item_us), (0.0, 45.0));
        fit.add(&BatchSample { operate_us: u64::MAX, items: u64::MAX, ..sample(1, 1, 6) });
        assert!(fit.costs().guest.us(10.0).is_finite());
    }

    #[test]
    fn the_bottleneck_is_the_slowest_stage_and_a_shared_commit_counts_once() {
        let mut fit = Fit::default();
        fit.on(2);
        for batch in 0..20 {
            // Groups of 1, 3, 5, 7 batches, and one that is not over.
            fit.add(&sample(batch, 100 + 50 * (batch % 2), (batch as f64).sqrt() as u64));
        }
        let costs = fit.costs();
        assert_eq!(costs.bottleneck(100, 1, 500.0), Some(Phase::Guest));
        assert_eq!(costs.bottleneck(100, 100, 500.0), Some(Phase::Commit), "lanes enough: {costs:?}");
        assert_eq!(costs.bottleneck(100, 100, 5000.0), Some(Phase::Write), "one COMMIT for many");
        assert_eq!(fit.bottleneck(100, 1), Some(Phase::Guest));
        assert_eq!(costs.commit.samples, 4);
        assert_eq!(PhaseCosts::default().bottleneck(10, 1, 0.0), None);
    }

    #[test]
    fn a_sufficient_size_has_little_left_to_gain() {
        let sizes = Interval::new(10, 1000).unwrap();
        let line = |fixed_us, item_us| Line { fixed_us, item_us, samples: 100 };
        let costs = |fixed, item| PhaseCosts { guest: line(fixed, item), ..PhaseCosts::default() };
        assert_eq!(costs(0.0, 50.0).sufficient_size(sizes, 1, 0.0), 10);
        let middle = costs(100.0, 20.0).sufficient_size(sizes, 1, 0.0);
        assert!((100..200).contains(&middle), "{middle}");
        assert!(costs(1e6, 1.0).sufficient_size(sizes, 1, 0.0) > 900);
        assert_eq!(costs(f64::NAN, f64::NEG_INFINITY).sufficient_size(sizes, 0, 0.0), 10);
    }
}
