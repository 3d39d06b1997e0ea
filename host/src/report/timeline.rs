//! Which batches the timeline shows, and in which row.

use std::collections::VecDeque;

use serde::Serialize;

use crate::limits::REPORT_BATCHES_MAX;
use crate::model::ChunkSpan;

/// Batches of each of the three parts that a longer run is shown in.
const PART: usize = REPORT_BATCHES_MAX / 3;

/// A batch with its way through the host. Times in microseconds since the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Its number.
    pub batch: u64,
    pub items: u64,
    pub failed: u64,
    pub retries: u64,
    /// Reading began.
    pub from_us: u64,
    /// It was cut, and computing began.
    pub cut_us: u64,
    /// Every item had its decision.
    pub computed_us: u64,
    /// Its statements began, and ended.
    pub write_us: (u64, u64),
    /// The COMMIT of its group.
    pub commit_us: (u64, u64),
    /// Which lane computed which part of it when; empty where the history does not say.
    pub chunks: Vec<ChunkSpan>,
}

impl Placed {
    /// The end of its COMMIT, or of its statements where that is not known.
    pub fn end_us(&self) -> u64 {
        self.commit_us.1.max(self.write_us.1)
    }

    /// From the cut to the end of the COMMIT.
    pub fn lasted_us(&self) -> u64 {
        self.commit_us.1.saturating_sub(self.cut_us)
    }
}

/// A batch that was begun and not committed, from the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Abandoned {
    pub batch: u64,
    pub items: u64,
    pub from_us: u64,
    pub to_us: u64,
    /// In words.
    pub reason: String,
}

/// Neighbouring batches that are drawn together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Which they are, in words.
    pub title: String,
    pub batches: Vec<Placed>,
}

/// Chooses while batches go by.
#[derive(Debug, Default)]
pub struct Timeline {
    head: Vec<Placed>,
    tail: VecDeque<Placed>,
    slowest: Option<Placed>,
    around: Vec<Placed>,
    /// How many of those after the slowest are still wanted.
    after: usize,
    seen: usize,
}

impl Timeline {
    /// Takes the next batch.
    pub fn push(&mut self, placed: Placed) {
        self.seen += 1;
        if self.head.len() < REPORT_BATCHES_MAX {
            self.head.push(placed.clone());
        }
        if self.tail.len() == PART {
            self.tail.pop_front();
        }
        self.tail.push_back(placed.clone());
        if self.slowest.as_ref().is_none_or(|slowest| placed.lasted_us() > slowest.lasted_us()) {
            let before = self.tail.len().saturating_sub(PART / 2);
            self.around = self.tail.iter().skip(before).cloned().collect();
            self.after = PART / 2;
            self.slowest = Some(placed);
        } else if self.after > 0 {
            self.after -= 1;
            self.around.push(placed);
        }
    }

    /// The parts to be drawn, and how many batches are in none.
    pub fn parts(mut self) -> (Vec<Part>, usize) {
        if self.seen <= REPORT_BATCHES_MAX {
            let all = Part { title: "All batches".to_owned(), batches: self.head };
            return (if all.batches.is_empty() { Vec::new() } else { vec![all] }, 0);
        }
        self.head.truncate(PART);
        let mut parts = vec![Part { title: format!("The first {PART} batches"), batches: self.head }];
        let (first, last) = (parts[0].batches.last().map(|b| b.batch), self.tail.front().map(|b| b.batch));
        let slowest = self.slowest.map(|slowest| slowest.batch);
        // What the other parts show is not shown twice.
        self.around.retain(|b| Some(b.batch) > first && last.is_none_or(|last| b.batch < last));
        if let Some(number) = slowest.filter(|number| self.around.iter().any(|b| b.batch == *number)) {
            let title = format!("Around the slowest, batch {number}");
            parts.push(Part { title, batches: self.around });
        }
        parts.push(Part { title: format!("The last {PART} batches"), batches: self.tail.into() });
        let drawn: usize = parts.iter().map(|part| part.batches.len()).sum();
        (parts, self.seen - drawn)
    }
}

/// Batches of a range that is drawn one by one.
const RANGE: usize = 24;

impl Part {
    /// True if its batches are few enough to be drawn one by one.
    pub fn is_short(&self) -> bool {
        self.batches.len() <= RANGE
    }

    /// The same batches in ranges that are short.
    pub fn ranges(&self) -> impl Iterator<Item = Part> {
        self.batches.chunks(RANGE).map(|batches| {
            let (first, last) = (batches.first().map_or(0, |b| b.batch), batches.last().map_or(0, |b| b.batch));
            let title = if first == last { format!("Batch {first}") } else { format!("Batches {first} to {last}") };
            Part { title, batches: batches.to_vec() }
        })
    }
}

/// A row for each span, so that no two in a row overlap: each goes to the first row that is free. Gives the rows, and how
/// many there are. Spans come in the order of their beginnings.
pub fn rows(spans: impl IntoIterator<Item = (u64, u64)>) -> (Vec<usize>, usize) {
    let mut ends: Vec<u64> = Vec::new();
    let mut rows = Vec::new();
    for (from, to) in spans {
        let row = ends.iter().position(|end| *end <= from).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(to);
        } else {
            ends[row] = to;
        }
        rows.push(row);
    }
    (rows, ends.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(batch: u64, lasts: u64) -> Placed {
        let from_us = batch * 10;
        let end = from_us + lasts;
        Placed {
            batch,
            items: 1,
            failed: 0,
            retries: 0,
            from_us,
            cut_us: from_us,
            computed_us: end,
            write_us: (end, end),
            commit_us: (end, end),
            chunks: Vec::new(),
        }
    }

    fn shown(total: u64, slowest: u64) -> (Vec<(u64, u64)>, usize) {
        let mut timeline = Timeline::default();
        (0..total).for_each(|n| timeline.push(placed(n, if n == slowest { 90 } else { 9 })));
        let (parts, left_out) = timeline.parts();
        let ends = parts.iter().map(|p| (p.batches[0].batch, p.batches[p.batches.len() - 1].batch)).collect();
        (ends, left_out)
    }

    #[test]
    fn a_short_run_is_shown_whole_and_of_a_long_one_beginning_slowest_and_end() {
        assert_eq!(shown(0, 0), (vec![], 0));
        assert_eq!(shown(240, 7), (vec![(0, 239)], 0));
        assert_eq!(shown(10_000, 5000), (vec![(0, 79), (4961, 5040), (9920, 9999)], 9760));
        assert_eq!(shown(10_000, 3), (vec![(0, 79), (9920, 9999)], 9840));
        assert_eq!(shown(10_000, 90), (vec![(0, 79), (80, 130), (9920, 9999)], 9789));
        assert_eq!(shown(10_000, 9990), (vec![(0, 79), (9920, 9999)], 9840));
    }

    #[test]
    fn spans_that_overlap_get_rows_of_their_own() {
        assert_eq!(rows([(0, 10), (5, 15), (10, 20), (12, 13), (30, 31)]), (vec![0, 1, 0, 2, 0], 3));
        assert_eq!(rows([]), (vec![], 0));
    }
}
