//! `--max-rejects`: what a run may lose.
//!
//! Counted by the writer as it applies batches, and so in input order, whatever the lanes. The batch that crosses the limit is
//! committed with its group, and is the last of the run.

use std::collections::VecDeque;

use crate::model::Decision;
use crate::store::{BatchWrite, Receipt};

/// How many items may be rejected or dead-lettered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RejectLimit {
    /// So many.
    Count(u64),
    /// So many of a hundred read, judged at each batch border.
    Percent(f64),
    /// So many of `items` that follow each other, fewer than all of them. Judged at each item that fails, so that the input
    /// alone decides whether it is crossed, and the size of batches only how much is still committed then.
    Window { failed: u64, items: u64 },
}

/// A limit, with what a run has used of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    limit: RejectLimit,
    /// Items failed so far, earlier executions of the run included.
    failed: u64,
    /// Items read so far.
    read: u64,
    /// For a window: ordinals of the items that failed last, ascending, at most one more than may fail.
    newest: VecDeque<u64>,
}

impl Budget {
    /// `newest`: ordinals of the items that failed last, ascending, where the limit is a window.
    pub fn new(limit: RejectLimit, failed: u64, read: u64, newest: Vec<u64>) -> Self {
        Self { limit, failed, read, newest: newest.into() }
    }

    /// Counts a batch that was applied, the next one in input order. True if it crosses the limit.
    pub fn spend(&mut self, write: &BatchWrite, receipt: &Receipt) -> bool {
        self.failed += receipt.counts.failed();
        self.read += receipt.counts.read;
        match self.limit {
            RejectLimit::Count(limit) => self.failed > limit,
            RejectLimit::Percent(percent) => self.failed as f64 * 100.0 > percent * self.read as f64,
            RejectLimit::Window { failed, items } => {
                failures(write, receipt).into_iter().fold(false, |crossed, ordinal| {
                    // One more than may fail, if they lie within so many items, is one too many.
                    self.newest.push_back(ordinal);
                    if self.newest.len() as u64 > failed + 1 {
                        self.newest.pop_front();
                    }
                    let first = self.newest.front().filter(|_| self.newest.len() as u64 > failed);
                    crossed || first.is_some_and(|first| ordinal - first < items)
                })
            }
        }
    }
}

/// Ordinals of the items of a batch that were rejected or dead-lettered, ascending.
fn failures(write: &BatchWrite, receipt: &Receipt) -> Vec<u64> {
    if receipt.counts.failed() == 0 {
        return Vec::new();
    }
    let decided = write.decisions.iter().enumerate();
    let decided = decided.filter_map(|(index, decision)| matches!(decision, Decision::Refuse(_)).then_some(index));
    let by_store = receipt.refused.iter().map(|(index, _)| *index);
    let mut ordinals: Vec<u64> = decided.chain(by_store).map(|index| write.batch.ordinal(index).0).collect();
    ordinals.sort_unstable();
    ordinals
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::coordinator::writer::tests::batch;
    use crate::error::Code;
    use crate::model::{Batch, Counts, Fate, Phase, Problem, Refusal};

    fn refusal() -> Refusal {
        let problems = vec![Problem::of_host(Code::ValidationRefused, "asked to refuse")];
        Refusal { fate: Fate::Rejected, phase: Phase::Operate, problems, attempts: 1, slot: None }
    }

    /// The batch of the items from `first` to before `end`: of those in `failed` the even ones are refused by a plugin, the
    /// odd ones by the store.
    fn applied(first: u64, end: u64, failed: &[u64]) -> (BatchWrite, Receipt) {
        let mut write = batch(0, (end - first) as usize);
        write.batch = Arc::new(Batch { first_ordinal: first, ..(*write.batch).clone() });
        let mut refused = Vec::new();
        let here = || failed.iter().filter(|ordinal| (first..end).contains(ordinal));
        for index in here().map(|ordinal| (ordinal - first) as usize) {
            match (first + index as u64).is_multiple_of(2) {
                true => write.decisions[index] = Decision::Refuse(Box::new(refusal())),
                false => refused.push((index, refusal())),
            }
        }
        let (read, rejected) = (end - first, here().count() as u64);
        let counts = Counts { read, rejected, dropped: read - rejected, ..Counts::default() };
        (write, Receipt { counts, refused, bytes_out: 0, write_us: 0 })
    }

    /// The end of the batch that crosses `3/10` where 200 items, with these failed, come in batches of this size.
    fn crossed(size: u64, failed: &[u64]) -> Option<u64> {
        let mut budget = Budget::new(RejectLimit::Window { failed: 3, items: 10 }, 0, 0, Vec::new());
        let mut ends = (1..).map(|n| n * size).take_while(|end| *end < 200 + size).map(|end| end.min(200));
        let mut first = 0;
        ends.find(|end| {
            let (write, receipt) = applied(first, *end, failed);
            first = *end;
            budget.spend(&write, &receipt)
        })
    }

    #[test]
    fn more_than_so_many_of_so_many_items_in_a_row_cross_a_window_however_they_are_cut_into_batches() {
        let far_apart: Vec<u64> = (0..200).filter(|n| n % 10 < 3).collect();
        for (failed, by) in [
            // Four of ten: the first and the last of them are nine apart.
            (vec![40, 41, 48, 49], Some(49)),
            (vec![40, 43, 46, 49], Some(49)),
            (vec![40, 43, 46, 50], None),
            // Three of any ten, for as long as it goes on.
            (far_apart, None),
            // It is over before the batch ends, and counts all the same.
            (vec![100, 101, 102, 103], Some(103)),
            ((0..200).collect(), Some(3)),
            (Vec::new(), None),
        ] {
            for size in [1, 3, 10, 64, 200] {
                let end = by.map(|by| ((by / size + 1) * size).min(200));
                assert_eq!(crossed(size, &failed), end, "{failed:?} in batches of {size}");
            }
        }
    }

    #[test]
    fn a_window_that_allows_none_is_crossed_by_the_first() {
        let limit = RejectLimit::Window { failed: 0, items: 1000 };
        let mut budget = Budget::new(limit, 0, 0, Vec::new());
        let mut spend = |first, failed: &[u64]| {
            let (write, receipt) = applied(first, first + 10, failed);
            budget.spend(&write, &receipt)
        };
        assert_eq!([spend(0, &[]), spend(10, &[17]), spend(20, &[])], [false, true, false]);
    }

    #[test]
    fn what_failed_in_earlier_executions_is_in_the_window_and_no_more_is_kept_than_it_takes() {
        let limit = RejectLimit::Window { failed: 3, items: 10 };
        let spend = |newest: Vec<u64>| {
            let (write, receipt) = applied(40, 50, &[41]);
            Budget::new(limit, 9, 40, newest).spend(&write, &receipt)
        };
        assert!(spend(vec![32, 35, 36]), "41 is the fourth of the ten from 32 on");
        assert!(!spend(vec![31, 35, 36]) && !spend(vec![35, 36]));
        let mut budget = Budget::new(limit, 0, 0, Vec::new());
        for first in (0..1000).step_by(10) {
            let (write, receipt) = applied(first, first + 10, &[first, first + 1]);
            budget.spend(&write, &receipt);
        }
        assert_eq!(budget.newest, [980, 981, 990, 991]);
    }
}
