//! A few batches of other sizes in a row, whose costs tell where to search: at the start, and when the work has changed.
//!
//! A neighbour on trial is judged by commits, which come as late as batches are under way. What a batch costs in each
//! phase is known of every single one, so that a handful of sizes is looked at in the time that one trial takes.

use super::Setting;
use crate::strategy::Interval;
use crate::strategy::cost::Fit;

/// A smaller size must be this much cheaper per item: it is a guess from one batch.
const SMALLER_MAX: f64 = 0.85;
/// A larger one, by the line through all.
const LARGER_MAX: f64 = 0.97;
/// Furthest jump up.
const STEP_MAX: usize = 4;

/// Batches of other sizes under way.
#[derive(Debug)]
pub(super) struct Scout {
    left: Vec<usize>,
    /// The first batch that may be one of them.
    from: u64,
    sizes: Vec<usize>,
    /// The batch after the last of them, once all are planned.
    until: Option<u64>,
}

impl Scout {
    /// Sizes around this one, those within the bounds, from this batch on; none if there is no choice.
    pub fn around(size: usize, sizes: Interval, from: u64) -> Option<Self> {
        // The last first: smaller ones come first, as they are the sooner ones.
        let left: Vec<usize> = [size.saturating_mul(2), size / 2, size / 4]
            .into_iter()
            .filter(|size| sizes.clamp(*size) == *size)
            .collect();
        (left.len() > 1).then(|| Self { sizes: left.clone(), left, from, until: None })
    }

    /// The size of the next batch, while there are any left to send.
    pub fn next(&mut self, batch: u64) -> Option<usize> {
        let size = if batch < self.from { None } else { self.left.pop() }?;
        if self.left.is_empty() {
            self.until = Some(batch.saturating_add(1));
        }
        Some(size)
    }

    /// True once all of them, and a batch of the size between them, are committed.
    pub fn back(&self, seen: Option<u64>) -> bool {
        self.until.zip(seen).is_some_and(|(until, seen)| seen >= until)
    }

    /// The size to go on from.
    pub fn verdict(&self, from: Setting, sizes: Interval, fit: &Fit) -> usize {
        let Some(here) = fit.pace(from.size, from.lanes) else { return from.size };
        let smaller = self.sizes.iter().filter(|size| **size < from.size);
        let paces = smaller.filter_map(|size| Some((*size, fit.pace(*size, from.lanes)?)));
        let best = paces.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, pace)| *pace < SMALLER_MAX * here);
        if let Some((size, _)) = best {
            return size;
        }
        let (size, gain) = fit.larger(from.size, from.lanes, sizes);
        if gain < LARGER_MAX { size.min(from.size.saturating_mul(STEP_MAX)) } else { from.size }
    }
}
