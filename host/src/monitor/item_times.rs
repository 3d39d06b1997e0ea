//! Percentiles of the time per item over several runs, from the buckets that each run keeps.

use std::collections::BTreeMap;

use serde::Serialize;

/// Times of the items of several runs in plugins, in nanoseconds. Each is at most one bucket (1 %) above what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ItemTimes {
    /// Runs that had times.
    pub runs: u64,
    /// Their items.
    pub items: u64,
    pub p50_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

impl ItemTimes {
    /// Over these runs, each with its buckets as [`super::PerformanceReport::item_ns_buckets`] has them: upper bound and
    /// items. None where no item met a plugin.
    pub fn over<'a>(runs: impl IntoIterator<Item = &'a [(u64, u64)]>) -> Option<Self> {
        let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
        let mut counted = 0;
        for buckets in runs {
            counted += u64::from(!buckets.is_empty());
            for (upper, items) in buckets {
                let sum = merged.entry(*upper).or_default();
                *sum = sum.saturating_add(*items);
            }
        }
        merged.retain(|_, items| *items > 0);
        let items = merged.values().fold(0_u64, |sum, items| sum.saturating_add(*items));
        let max_ns = *merged.last_key_value()?.0;
        let quantile = |percent: u64| {
            let rank = (u128::from(items) * u128::from(percent)).div_ceil(100);
            let mut seen = 0_u128;
            let found = merged.iter().find(|(_, count)| {
                seen += u128::from(**count);
                seen >= rank
            });
            found.map_or(max_ns, |(upper, _)| *upper)
        };
        let (p50_ns, p95_ns, p99_ns) = (quantile(50), quantile(95), quantile(99));
        Some(Self { runs: counted, items, p50_ns, p95_ns, p99_ns, max_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{Fold, Performance, testing};

    #[test]
    fn percentiles_over_runs_are_those_of_all_their_items() {
        // 900 quick items in one run, 100 slow ones in another: neither run alone has these percentiles.
        let (quick, slow) = ([(1_000, 890), (2_000, 10)], [(50_000, 60), (90_000, 40)]);
        let times = ItemTimes::over([&quick[..], &slow[..], &[]]).expect("items");
        let wanted = ItemTimes { runs: 2, items: 1000, p50_ns: 1_000, p95_ns: 50_000, p99_ns: 90_000, max_ns: 90_000 };
        assert_eq!(times, wanted);
        assert_eq!(ItemTimes::over([]), None);
        assert_eq!(ItemTimes::over([&[(5, 0)][..]]), None);
    }

    #[test]
    fn the_buckets_of_one_run_give_its_own_percentiles() {
        let mut performance = Performance::default();
        testing::run(100, 50).iter().for_each(|event| performance.observe(event));
        let report = performance.report();
        let times = ItemTimes::over([report.item_ns_buckets.as_slice()]).expect("items");
        assert_eq!(times.items, report.item_ns_buckets.iter().map(|bucket| bucket.1).sum::<u64>());
        let near = |found: u64, wanted: u64| (found as f64 / wanted as f64 - 1.0).abs() < 0.02;
        assert!(near(times.p50_ns, report.item_p50_ns) && near(times.p99_ns, report.item_p99_ns), "{times:?}");
    }
}
