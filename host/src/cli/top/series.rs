//! Items over time, in memory that does not grow with the run.

/// Buckets kept; where there would be more, two become one.
const BUCKETS_KEPT: usize = 512;
/// Width of a bucket at the beginning.
const WIDTH_MS: i64 = 250;

/// Items and failed items by the time of their commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    begin_ms: i64,
    width_ms: i64,
    /// Items, and those of them that failed.
    buckets: Vec<(u64, u64)>,
}

/// What one column of a chart shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Items per second.
    pub rate: f64,
    /// Failed items among them, 0..1.
    pub failed: f64,
}

impl Series {
    /// Begins at this time.
    pub fn new(begin_ms: i64) -> Self {
        Self { begin_ms, width_ms: WIDTH_MS, buckets: Vec::new() }
    }

    /// So many items were committed at this time.
    pub fn add(&mut self, at_ms: i64, items: u64, failed: u64) {
        while self.place(at_ms) >= BUCKETS_KEPT {
            self.buckets = self
                .buckets
                .chunks(2)
                .map(|pair| pair.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
                .collect();
            self.width_ms *= 2;
        }
        let place = self.place(at_ms);
        if self.buckets.len() <= place {
            self.buckets.resize(place + 1, (0, 0));
        }
        self.buckets[place].0 += items;
        self.buckets[place].1 += failed;
    }

    fn place(&self, at_ms: i64) -> usize {
        usize::try_from((at_ms - self.begin_ms).max(0) / self.width_ms).unwrap_or(usize::MAX)
    }

    /// Columns from the beginning to `until_ms`, at most `most`. A last one that is not full yet is left out, unless the
    /// run is `over`.
    pub fn columns(&self, until_ms: i64, most: usize, over: bool) -> Vec<Column> {
        if most == 0 || until_ms <= self.begin_ms {
            return Vec::new();
        }
        let full = usize::try_from((until_ms - self.begin_ms) / self.width_ms).unwrap_or(0);
        let each = (full + 1).div_ceil(most).max(1);
        let column_ms = self.width_ms * each as i64;
        let mut columns = Vec::new();
        let mut from_ms = self.begin_ms;
        while from_ms < until_ms && columns.len() < most {
            let ms = column_ms.min(until_ms - from_ms);
            if ms == column_ms || over {
                let first = columns.len() * each;
                let part = self.buckets.iter().skip(first).take(each);
                columns.push(column(part, ms));
            }
            from_ms += column_ms;
        }
        columns
    }

    /// Items per second over the last `ms` before `until_ms`.
    pub fn rate(&self, until_ms: i64, ms: i64) -> f64 {
        let first = self.place(until_ms - ms);
        let from_ms = self.begin_ms + first as i64 * self.width_ms;
        column(self.buckets.iter().skip(first), (until_ms - from_ms).max(1)).rate
    }
}

fn column<'a>(buckets: impl Iterator<Item = &'a (u64, u64)>, ms: i64) -> Column {
    let (items, failed) = buckets.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Column { rate: items as f64 * 1e3 / ms as f64, failed: if items == 0 { 0.0 } else { failed as f64 / items as f64 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_show_rates_and_the_part_that_failed() {
        let mut series = Series::new(1_000);
        for second in 0..4 {
            series.add(1_000 + second * 1_000, 100, 10 * second as u64);
        }
        let columns = series.columns(5_000, 4, false);
        // Sixteen buckets and the one under way: five to a column, and the last column is not full.
        assert_eq!(columns.len(), 3);
        assert_eq!(columns[0], Column { rate: 160.0, failed: 0.05 });
        assert_eq!(series.columns(5_000, 4, true).len(), 4);
        assert_eq!(series.columns(1_000, 4, true), []);
        assert_eq!(series.columns(5_000, 0, true), []);
    }

    #[test]
    fn the_rate_of_late_forgets_what_was_before() {
        let mut series = Series::new(0);
        series.add(0, 1_000_000, 0);
        series.add(8_000, 300, 0);
        assert_eq!(series.rate(10_000, 5_000), 60.0);
        assert_eq!(series.rate(20_000, 5_000), 0.0);
    }

    #[test]
    fn a_long_run_keeps_every_item_in_bounded_memory() {
        let mut series = Series::new(0);
        for n in 0..100_000 {
            series.add(n * 977, 3, 1);
        }
        assert!(series.buckets.len() <= BUCKETS_KEPT);
        assert_eq!(series.buckets.iter().map(|b| b.0).sum::<u64>(), 300_000);
        // Before the beginning counts as the beginning: clocks of a machine may be set back.
        series.add(-5, 1, 0);
        for most in [1, 7, 80, 1000] {
            let columns = series.columns(100_000 * 977, most, true);
            assert!(!columns.is_empty() && columns.len() <= most, "{most}: {}", columns.len());
        }
    }
}
