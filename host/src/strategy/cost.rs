//! What a batch costs: microseconds for `n` items in each phase, fitted to the batches so far.
//!
//! Fitted to the mean cost of each class of sizes (a class is a power of two). Single batches would not do: a run
//! spends most of them at one size, which tells `a` from `b` no better than none, and what the others told would fade.
//! What is remembered for a later run is the line `a + b·n`; the search itself also knows costs that grow with the square
//! of the size ([`curve`]).

mod change;
mod classes;
mod curve;
mod fit;
#[cfg(test)]
mod tests;

pub(super) use fit::Fit;

use serde::{Deserialize, Serialize};

use super::Interval;

/// The start may lose this part of what is possible by the costs: larger batches than needed are later feedback.
const LOSS_AT_START: f64 = 0.03;
/// Costs that rest on so many batches are a good sample.
const SAMPLES_GOOD: u64 = 16;

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
        let writer = self.writer(size, group);
        let stages = [(Phase::Read, read), (Phase::Guest, guest), (writer, write + commit)];
        let slowest = stages.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        slowest.filter(|(_, us)| *us > 0.0).map(|(phase, _)| phase)
    }

    /// The larger part of writing.
    fn writer(&self, size: usize, group: f64) -> Phase {
        let [_, _, write, commit] = self.us_per_item(size, 1, group);
        if commit > write { Phase::Commit } else { Phase::Write }
    }

    /// The smallest size within the bounds that by these costs is at most 3 % slower than the largest: where
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
