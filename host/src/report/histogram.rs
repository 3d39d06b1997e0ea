//! Times counted in buckets whose width grows with the time.

use std::collections::BTreeMap;

/// Buckets per doubling: percentiles are at most 1/32 above the truth.
const PER_DOUBLING: u64 = 32;
/// log2 of it.
const BITS: u32 = PER_DOUBLING.ilog2();

/// Counts of times. Its memory depends on how far apart they are, not on how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: BTreeMap<u64, u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Counts `value` `times` times.
    pub fn add(&mut self, value: u64, times: u64) {
        if times > 0 {
            *self.buckets.entry(index(value)).or_default() += times;
            self.total += times;
            self.max = self.max.max(value);
        }
    }

    /// Adds another one's counts.
    pub fn merge(&mut self, other: &Self) {
        other.buckets.iter().for_each(|(at, times)| *self.buckets.entry(*at).or_default() += times);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that this share of all (0..1) does not exceed; 0 where nothing was counted.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, times) in &self.buckets {
            seen += times;
            if seen >= wanted {
                return upper(*at).min(self.max);
            }
        }
        self.max
    }

    /// Counts by coarser buckets, `per_doubling` (1, 2, 4 … 32) of them where the time doubles.
    pub fn coarse(&self, per_doubling: u64) -> BTreeMap<u64, u64> {
        let mut coarse = BTreeMap::new();
        for (at, times) in &self.buckets {
            *coarse.entry(at / (PER_DOUBLING / per_doubling)).or_default() += times;
        }
        coarse
    }
}

/// The smallest value of a coarse bucket.
pub fn coarse_lower(at: u64, per_doubling: u64) -> u64 {
    let fine = at * (PER_DOUBLING / per_doubling);
    fine.checked_sub(1).map_or(0, |before| upper(before).saturating_add(1))
}

fn index(value: u64) -> u64 {
    if value < PER_DOUBLING {
        return value;
    }
    let exponent = value.ilog2();
    let part = (value >> (exponent - BITS)) & (PER_DOUBLING - 1);
    u64::from(exponent - BITS + 1) * PER_DOUBLING + part
}

/// The largest value of a bucket.
fn upper(at: u64) -> u64 {
    if at < PER_DOUBLING {
        return at;
    }
    let shift = (at / PER_DOUBLING - 1) as u32;
    let next = u128::from(PER_DOUBLING + at % PER_DOUBLING + 1) << shift;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_follow_each_other() {
        for value in (0..5000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX]) {
            let at = index(value);
            assert!(upper(at) >= value && (at == 0 || upper(at - 1) < value), "{value}");
        }
    }

    #[test]
    fn percentiles_are_near_above_the_truth() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|value| histogram.add(value, 1));
        for (share, truth) in [(0.5, 5000), (0.95, 9500), (0.99, 9900), (1.0, 10_000)] {
            let found = histogram.quantile(share);
            assert!((truth..=truth + truth / 31).contains(&found), "{share}: {found}");
        }
        assert_eq!((histogram.total(), histogram.max(), Histogram::default().quantile(0.5)), (10_000, 10_000, 0));
    }

    #[test]
    fn merging_and_coarsening_keep_every_count() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        a.add(100, 3);
        b.add(1 << 30, 2);
        a.merge(&b);
        for per_doubling in [1, 4, 32] {
            let coarse = a.coarse(per_doubling);
            assert_eq!(coarse.values().sum::<u64>(), 5);
            let lower = coarse_lower(*coarse.keys().next().expect("a bucket"), per_doubling);
            assert!(lower <= 100 && lower > 50, "{lower}");
        }
    }
}
