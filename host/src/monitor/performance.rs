//! Metrics of a run, from its events.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Fold;
use crate::event::{BatchCommitted, Envelope, Event};
use crate::model::{BatchMetrics, Counts, PluginMetrics};

/// Batches that may still be replaced by a later report of the same number. Older ones are folded into the totals.
const OPEN_BATCHES: usize = 256;
/// Longest time that the histograms tell apart: an hour, in nanoseconds.
const TIME_NS_MAX: u64 = 3_600_000_000_000;

/// Throughput, percentiles and time per phase, in memory that does not grow with the run.
///
/// Invariant: a batch counts once, however often it is reported; the last report wins while the batch is among the
/// newest 256, later ones are left out.
#[derive(Debug, Default)]
pub struct Performance {
    open: BTreeMap<u64, Entry>,
    /// All batches before this number are in `closed`.
    closed_before: u64,
    closed: Totals,
    lanes_peak: u64,
    transactions: u64,
    rolled_back: u64,
    transaction_us: u64,
    /// Newest time seen, since the run began.
    now_us: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    group: u64,
    counts: Counts,
    metrics: BatchMetrics,
    plugins: Vec<PluginMetrics>,
}

#[derive(Debug, Clone)]
struct Totals {
    batches: u64,
    counts: Counts,
    bytes_in: u64,
    bytes_out: u64,
    guest_calls: u64,
    phases: PhaseTimes,
    last_group: Option<u64>,
    item_ns: Histogram<u64>,
    /// In the order in which they were first told.
    plugins: Vec<PluginMetrics>,
}

/// Time per phase in microseconds, summed over batches. Validate and operate are summed over lanes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PhaseTimes {
    pub read_us: u64,
    pub validate_us: u64,
    pub operate_us: u64,
    /// From cut to the last decision.
    pub compute_us: u64,
    /// Waiting for the writer.
    pub wait_us: u64,
    pub write_us: u64,
    /// Each transaction once.
    pub commit_us: u64,
}

/// Metrics of a run. Percentiles are of the guest time per item (validate and operate), in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PerformanceReport {
    /// Committed batches.
    pub batches: u64,
    pub items: u64,
    pub failed: u64,
    /// Items per second from the beginning of the run to the newest event.
    pub items_per_s: f64,
    pub batch_size_mean: f64,
    pub lanes_peak: u64,
    pub retries: u64,
    /// Retries per item.
    pub retry_rate: f64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub guest_calls: u64,
    pub transactions: u64,
    pub transactions_rolled_back: u64,
    /// Committed transactions among those that were committed or rolled back; 1 before the first.
    pub commit_success_share: f64,
    /// Mean time of a transaction, BEGIN to COMMIT.
    pub transaction_mean_us: u64,
    pub phases: PhaseTimes,
    /// Mean of validate, operate and write per item.
    pub item_mean_ns: u64,
    pub item_p50_ns: u64,
    pub item_p95_ns: u64,
    pub item_p99_ns: u64,
    pub item_max_ns: u64,
    /// What each plugin did.
    pub plugins: Vec<PluginMetrics>,
    /// Items by guest time: upper bound of a bucket in nanoseconds, and how many are in it. Adding those of several runs
    /// gives percentiles over all of them.
    pub item_ns_buckets: Vec<(u64, u64)>,
}

impl Fold for Performance {
    const NAME: &'static str = "performance";

    fn observe(&mut self, envelope: &Envelope) {
        self.now_us = self.now_us.max(envelope.elapsed_us);
        match &envelope.event {
            Event::LanesInUse { lanes } => self.lanes_peak = self.lanes_peak.max(*lanes),
            Event::TransactionCommitted { duration_us, .. } => {
                self.transactions += 1;
                self.transaction_us = self.transaction_us.saturating_add(*duration_us);
            }
            // One duration for all who tell a rate.
            Event::RunEnded(ended) => self.now_us = ended.duration_ms.max(1) * 1000,
            Event::TransactionRolledBack { .. } => self.rolled_back += 1,
            Event::BatchCommitted(batch) | Event::BatchApplied(batch) => self.add(batch),
            _ => {}
        }
    }
}

impl Performance {
    fn add(&mut self, batch: &BatchCommitted) {
        if batch.batch < self.closed_before {
            return;
        }
        let entry =
            Entry { group: batch.group, counts: batch.counts, metrics: batch.metrics, plugins: batch.plugins.clone() };
        self.open.insert(batch.batch, entry);
        if self.open.len() > OPEN_BATCHES
            && let Some((number, oldest)) = self.open.pop_first()
        {
            self.closed.add(&oldest);
            self.closed_before = number + 1;
        }
    }

    /// Counts over the committed batches.
    pub fn counts(&self) -> Counts {
        let mut counts = self.closed.counts;
        self.open.values().for_each(|entry| counts.add(&entry.counts));
        counts
    }

    /// 1 where nothing was rolled back, there also where nothing was tried.
    fn commit_success_share(&self) -> f64 {
        match self.rolled_back {
            0 => 1.0,
            rolled_back => ratio(self.transactions as f64, (self.transactions + rolled_back) as f64),
        }
    }

    /// The metrics of now.
    pub fn report(&self) -> PerformanceReport {
        let mut totals = self.closed.clone();
        self.open.values().for_each(|entry| totals.add(entry));
        let items = totals.counts.read;
        let worked_us = totals.phases.validate_us + totals.phases.operate_us + totals.phases.write_us;
        let quantile = |q| if totals.item_ns.is_empty() { 0 } else { totals.item_ns.value_at_quantile(q) };
        PerformanceReport {
            batches: totals.batches,
            items,
            failed: totals.counts.failed(),
            items_per_s: ratio(items as f64 * 1e6, self.now_us as f64),
            batch_size_mean: ratio(items as f64, totals.batches as f64),
            lanes_peak: self.lanes_peak,
            retries: totals.counts.retries,
            retry_rate: ratio(totals.counts.retries as f64, items as f64),
            bytes_in: totals.bytes_in,
            bytes_out: totals.bytes_out,
            guest_calls: totals.guest_calls,
            transactions: self.transactions,
            transactions_rolled_back: self.rolled_back,
            commit_success_share: self.commit_success_share(),
            transaction_mean_us: self.transaction_us.checked_div(self.transactions).unwrap_or(0),
            phases: totals.phases,
            item_mean_ns: ratio(worked_us as f64 * 1e3, items as f64) as u64,
            item_p50_ns: quantile(0.50),
            item_p95_ns: quantile(0.95),
            item_p99_ns: quantile(0.99),
            item_max_ns: if totals.item_ns.is_empty() { 0 } else { totals.item_ns.max() },
            item_ns_buckets: totals
                .item_ns
                .iter_recorded()
                .map(|b| (b.value_iterated_to(), b.count_at_value()))
                .collect(),
            plugins: totals.plugins,
        }
    }
}

impl Default for Totals {
    fn default() -> Self {
        // Two significant digits: errors below 1 %, and about 70 KB.
        let item_ns = Histogram::new_with_bounds(1, TIME_NS_MAX, 2).expect("the bounds are constants that fit");
        Self {
            batches: 0,
            counts: Counts::default(),
            bytes_in: 0,
            bytes_out: 0,
            guest_calls: 0,
            phases: PhaseTimes::default(),
            last_group: None,
            item_ns,
            plugins: Vec::new(),
        }
    }
}

impl Totals {
    /// Batches come in the order of their numbers, so those of one group stand side by side.
    fn add(&mut self, entry: &Entry) {
        let m = &entry.metrics;
        self.batches += 1;
        self.counts.add(&entry.counts);
        self.bytes_in = self.bytes_in.saturating_add(m.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(m.bytes_out);
        self.guest_calls = self.guest_calls.saturating_add(m.guest_calls);
        let new_group = self.last_group != Some(entry.group);
        self.last_group = Some(entry.group);
        self.phases.add(m, new_group);
        self.add_items(entry.counts.read, m);
        for did in &entry.plugins {
            match self.plugins.iter_mut().find(|known| known.slot == did.slot) {
                Some(known) => known.add(did),
                None => self.plugins.push(did.clone()),
            }
        }
    }

    /// A batch tells four points of its distribution. Its items are counted at the point next above them, so that the
    /// percentiles of the run are upper bounds; they are exact where batches resemble each other.
    fn add_items(&mut self, items: u64, m: &BatchMetrics) {
        let up_to = |percent: u64| (items * percent).div_ceil(100);
        let steps = [
            (m.item_p50_ns, up_to(50)),
            (m.item_p95_ns, up_to(95)),
            (m.item_p99_ns, up_to(99)),
            (m.item_max_ns, items),
        ];
        let mut counted = 0;
        for (value, up_to) in steps {
            // A batch whose items never met a guest has no times.
            if value > 0 {
                self.item_ns.saturating_record_n(value, up_to - counted);
            }
            counted = up_to;
        }
    }
}

impl PhaseTimes {
    fn add(&mut self, m: &BatchMetrics, new_group: bool) {
        let pairs = [
            (&mut self.read_us, m.read_us),
            (&mut self.validate_us, m.validate_us),
            (&mut self.operate_us, m.operate_us),
            (&mut self.compute_us, m.compute_us),
            (&mut self.wait_us, m.wait_us),
            (&mut self.write_us, m.write_us),
            (&mut self.commit_us, if new_group { m.commit_us } else { 0 }),
        ];
        for (sum, part) in pairs {
            *sum = sum.saturating_add(part);
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
