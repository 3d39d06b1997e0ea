//! A few batches of other sizes in a row, whose costs tell where to go: at the start, when the work has changed, and once
//! in a long while.
//!
//! A neighbour on trial is judged by commits, which come as late as batches are under way. What a batch costs in each
//! phase is known of every single one, so that a handful of sizes is looked at in the time that one trial takes.

use crate::strategy::Interval;

/// Batches of each size: one alone may have met a hiccup.
const EACH: usize = 2;

/// Batches of other sizes under way.
#[derive(Debug)]
pub(super) struct Scout {
    left: Vec<usize>,
    /// The first batch that may be one of them.
    from: u64,
    /// The batch after the last of them, once all are planned.
    until: Option<u64>,
}

impl Scout {
    /// Sizes around this one, those within the bounds, from this batch on; none if there is no choice. A quarter and an
    /// eighth cost next to nothing and tell what a batch costs whatever its size; twice the size is a single batch.
    pub fn around(size: usize, sizes: Interval, from: u64) -> Option<Self> {
        // The last first: smaller ones come first, as they are the sooner ones.
        let mut left = vec![size.saturating_mul(2)];
        left.extend([size / 4; EACH]);
        left.extend([size / 8; EACH]);
        left.retain(|size| sizes.clamp(*size) == *size);
        (!left.is_empty()).then_some(Self { left, from, until: None })
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
}
