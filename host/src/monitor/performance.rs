//! Metrics of a run, from its events.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Fold;
use crate::event::{BatchCommitted, Envelope, Event, PluginUsed};
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
    lanes: LaneTimes,
    writer: WriterTimes,
    process_bytes_peak: u64,
    indexes_built: u64,
    index_build_us: u64,
    /// The plugins as the run began.
    prepared: Vec<PluginUsed>,
    /// Newest time seen, since the run began.
    now_us: u64,
}

/// Adds up what lanes were at work and what they might have been.
#[derive(Debug, Default)]
struct LaneTimes {
    planned: u64,
    in_use: u64,
    since_us: u64,
    busy_us: u64,
    idle_us: u64,
}

impl LaneTimes {
    /// Time has passed up to now.
    fn pass(&mut self, now_us: u64) {
        let passed = now_us.saturating_sub(self.since_us);
        self.since_us = self.since_us.max(now_us);
        self.busy_us = self.busy_us.saturating_add(passed.saturating_mul(self.in_use));
        let idle = self.planned.saturating_sub(self.in_use);
        self.idle_us = self.idle_us.saturating_add(passed.saturating_mul(idle));
    }
}

/// How long the writer had nothing to do, known whenever it had written all that is told: a group is told once it is
/// committed, and what is being written tells nothing yet. So the time only grows.
#[derive(Debug, Default)]
struct WriterTimes {
    /// The group told last, and when it was committed.
    group: Option<(u64, u64)>,
    /// When its newest batch was told.
    told_us: u64,
    idle_us: u64,
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
    reader_wait_us: u64,
    phases: PhaseTimes,
    last_group: Option<u64>,
    item_ns: Histogram<u64>,
    /// In the order in which they were first told.
    plugins: Vec<PluginMetrics>,
}

/// Time per phase in microseconds, summed over batches. Validate and operate are summed over lanes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
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

/// Time in which a part of the host had nothing to do, in microseconds: whichever is idle waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IdleTimes {
    /// The reader, since enough batches were under way: back-pressure.
    pub reader_us: u64,
    /// Lanes that the plan had and that had no chunk, summed over them.
    pub lanes_us: u64,
    /// Lanes at work, summed over them; for comparison.
    pub lanes_busy_us: u64,
    /// The writer.
    pub writer_us: u64,
}

/// Metrics of a run. Percentiles are of the guest time per item (validate and operate), in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// Who had nothing to do for how long.
    pub idle: IdleTimes,
    /// Largest memory that the process had when the host was sampled, in bytes; 0 where no sensor told.
    pub process_bytes_peak: u64,
    /// Indexes that were put off and built, and the time that it took.
    pub indexes_built: u64,
    pub index_build_us: u64,
    /// Mean of validate, operate and write per item.
    pub item_mean_ns: u64,
    pub item_p50_ns: u64,
    pub item_p95_ns: u64,
    pub item_p99_ns: u64,
    pub item_max_ns: u64,
    /// What each plugin did.
    pub plugins: Vec<PluginMetrics>,
    /// The plugins as the run began, with the time that it took to make them ready.
    pub prepared: Vec<PluginUsed>,
    /// Items by guest time: upper bound of a bucket in nanoseconds, and how many are in it. Adding those of several runs
    /// gives percentiles over all of them.
    pub item_ns_buckets: Vec<(u64, u64)>,
}

impl Fold for Performance {
    const NAME: &'static str = "performance";

    fn observe(&mut self, envelope: &Envelope) {
        self.now_us = self.now_us.max(envelope.elapsed_us);
        self.lanes.pass(envelope.elapsed_us);
        match &envelope.event {
            Event::RunStarted(started) => self.prepared.clone_from(&started.plugins),
            Event::PlanChosen { lanes, .. } => self.lanes.planned = *lanes,
            Event::LanesInUse { lanes } => {
                self.lanes_peak = self.lanes_peak.max(*lanes);
                self.lanes.in_use = *lanes;
            }
            Event::HealthSampled { process_bytes: Some(bytes), .. } => {
                self.process_bytes_peak = self.process_bytes_peak.max(*bytes);
            }
            Event::IndexBuilt { duration_us, .. } => {
                self.indexes_built += 1;
                self.index_build_us = self.index_build_us.saturating_add(*duration_us);
            }
            Event::TransactionCommitted { duration_us, .. } => {
                self.transactions += 1;
                self.transaction_us = self.transaction_us.saturating_add(*duration_us);
            }
            // One duration for all who tell a rate.
            Event::RunEnded(ended) => {
                self.now_us = ended.duration_ms.max(1) * 1000;
                self.writer_was_idle(self.now_us);
            }
            Event::TransactionRolledBack { .. } => self.rolled_back += 1,
            Event::BatchCommitted(batch) | Event::BatchApplied(batch) => {
                let group = Some((batch.group, batch.committed_us));
                if self.writer.group != group {
                    self.writer_was_idle(self.writer.told_us);
                    self.writer.group = group;
                }
                self.writer.told_us = envelope.elapsed_us;
                self.add(batch);
            }
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

    /// Up to this time the writer has written the batches that are told, and no more.
    fn writer_was_idle(&mut self, until_us: u64) {
        let (mut phases, mut last) = (self.closed.phases, self.closed.last_group);
        for entry in self.open.values() {
            phases.add(&entry.metrics, last != Some(entry.group));
            last = Some(entry.group);
        }
        let idle_us = until_us.saturating_sub(phases.write_us.saturating_add(phases.commit_us));
        self.writer.idle_us = self.writer.idle_us.max(idle_us);
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
            idle: IdleTimes {
                reader_us: totals.reader_wait_us,
                lanes_us: self.lanes.idle_us,
                lanes_busy_us: self.lanes.busy_us,
                writer_us: self.writer.idle_us,
            },
            process_bytes_peak: self.process_bytes_peak,
            indexes_built: self.indexes_built,
            index_build_us: self.index_build_us,
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
            prepared: self.prepared.clone(),
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
            reader_wait_us: 0,
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
        self.reader_wait_us = self.reader_wait_us.saturating_add(m.reader_wait_us);
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
