//! What the metrics say, from events.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hdrhistogram::Histogram;

use super::text::{Kind, Text};
use crate::event::{BatchCommitted, Envelope, Event, HealthStatus, PluginUsed, RunStarted};
use crate::limits::METRIC_CODES_MAX;
use crate::model::RunStatus;
use crate::monitor::{Fold, Performance, PerformanceReport, Progress};

/// Bounds of the buckets for the time of an item in guests, in nanoseconds.
const ITEM_NS: [u64; 20] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
];
/// Bounds of the buckets for the time of batches and transactions, in microseconds.
const BATCH_US: [u64; 16] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    120_000_000,
];
/// Longest time that the histograms tell apart, in microseconds.
const HOUR_US: u64 = 3_600_000_000;
/// Code of the failed items whose own code found no more room.
const OTHER: &str = "other";

/// The metrics of one execution of a run. The same events give the same text; memory does not grow with the run.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Where the path of the store begins, if it does not say so itself.
    folder: PathBuf,
    started: RunStarted,
    /// The plugins in force.
    plugins: Vec<PluginUsed>,
    /// What was in force in a slot before its newest exchange.
    replaced: Vec<PluginUsed>,
    run: u64,
    started_ms: i64,
    /// When the newest event happened.
    newest_ms: i64,
    /// None before the beginning.
    status: Option<RunStatus>,
    elapsed_us: u64,
    performance: Performance,
    progress: Progress,
    abandoned: u64,
    /// Batches are written and not committed, each by itself: the run is a dry one, or one transaction.
    applied: bool,
    plans: u64,
    lanes_in_use: u64,
    batch: Times,
    transaction: Times,
    codes: BTreeMap<String, u64>,
    /// How often each was raised, and whether it lasts.
    alerts: BTreeMap<String, (u64, bool)>,
    health: Option<HealthStatus>,
    cpu_share: Option<f64>,
    memory_share: Option<f64>,
    process_bytes: Option<u64>,
    wal_bytes: Option<u64>,
    disk_free_bytes: Option<u64>,
    error_share: f64,
}

impl Fold for Metrics {
    const NAME: &'static str = "metrics";

    fn observe(&mut self, envelope: &Envelope) {
        self.performance.observe(envelope);
        self.progress.observe(envelope);
        self.elapsed_us = self.elapsed_us.max(envelope.elapsed_us);
        self.newest_ms = self.newest_ms.max(envelope.time_ms);
        self.run = envelope.run;
        self.applied |= matches!(envelope.event, Event::BatchApplied(_));
        match &envelope.event {
            Event::RunStarted(started) => {
                self.started = (**started).clone();
                self.plugins.clone_from(&started.plugins);
                self.started_ms = envelope.time_ms;
                self.status = Some(RunStatus::Running);
            }
            Event::SwapTookEffect(step) => self.exchanged(&step.slot, &step.new_digest, Some(&step.name)),
            Event::SwapPutBack(step) => self.exchanged(&step.slot, &step.old_digest, None),
            Event::PlanChosen { .. } => self.plans += 1,
            Event::LanesInUse { lanes } => self.lanes_in_use = *lanes,
            Event::BatchCommitted(batch) | Event::BatchApplied(batch) => self.batch.add(duration_us(batch)),
            Event::BatchAbandoned { .. } => self.abandoned += 1,
            Event::TransactionCommitted { duration_us, .. } => self.transaction.add(*duration_us),
            Event::ItemFailed { code, .. } => self.failed(code),
            Event::AlertRaised { alert, .. } => {
                let known = self.alerts.entry(alert.clone()).or_default();
                *known = (known.0 + 1, true);
            }
            Event::AlertCleared { alert, .. } => {
                if let Some(known) = self.alerts.get_mut(alert) {
                    known.1 = false;
                }
            }
            Event::HealthSampled {
                status,
                cpu_share,
                memory_share,
                process_bytes,
                error_share,
                wal_bytes,
                disk_free_bytes,
                ..
            } => {
                self.health = Some(*status);
                (self.cpu_share, self.memory_share) = (*cpu_share, *memory_share);
                (self.process_bytes, self.error_share) = (*process_bytes, *error_share);
                (self.wal_bytes, self.disk_free_bytes) = (*wal_bytes, *disk_free_bytes);
            }
            Event::RunEnded(ended) => {
                self.status = Some(ended.status);
                self.elapsed_us = ended.duration_ms.saturating_mul(1000);
                self.lanes_in_use = 0;
                // The text stays after the run, and what it was when last seen is nothing to be woken for.
                self.health = None;
                self.alerts.values_mut().for_each(|known| known.1 = false);
            }
            _ => {}
        }
    }
}

impl Metrics {
    /// Another plugin fills the slot; one that comes back has the name that it had.
    fn exchanged(&mut self, slot: &str, digest: &str, name: Option<&str>) {
        let seen = self.started.plugins.iter().chain(&self.replaced).find(|p| p.slot == slot && p.digest == digest);
        let mut next = seen.cloned().unwrap_or_default();
        let Some(plugin) = self.plugins.iter_mut().find(|plugin| plugin.slot == slot) else { return };
        next.slot = slot.to_owned();
        next.role.clone_from(&plugin.role);
        next.digest = digest.to_owned();
        next.name = name.map_or(next.name, str::to_owned);
        let before = std::mem::replace(plugin, next);
        self.replaced.retain(|plugin| plugin.slot != slot);
        self.replaced.push(before);
    }

    /// A guest chooses its codes, so that their number is bounded.
    fn failed(&mut self, code: &str) {
        let room = self.codes.len() < METRIC_CODES_MAX;
        match self.codes.get_mut(code) {
            Some(items) => *items += 1,
            None => *self.codes.entry(if room { code } else { OTHER }.to_owned()).or_default() += 1,
        }
    }

    /// Nothing yet, of a run in this process: its store is called by its whole path, so that stores of the same name in
    /// other folders are told apart.
    pub fn here() -> Self {
        Self { folder: std::env::current_dir().unwrap_or_default(), ..Self::default() }
    }

    /// The metrics of now. Every sample carries the store and the collection: the texts of runs that go on at the same time
    /// can lie side by side, since a store is written by one run at a time.
    pub fn text(&self) -> String {
        let mut store = self.started.store.clone();
        if !store.is_empty() {
            store = self.folder.join(store).display().to_string();
        }
        let mut text = Text::new(&[("store", &store), ("collection", &self.started.collection)]);
        let report = self.performance.report();
        self.about(&mut text);
        self.items(&mut text, &report);
        self.batches(&mut text, &report);
        self.times(&mut text, &report);
        self.plugins(&mut text, &report);
        self.host(&mut text);
        let peak = match report.process_bytes_peak {
            0 => f64::NAN,
            bytes => bytes as f64,
        };
        let help = "Largest memory that the process was seen to have; NaN where unknown.";
        text.one("atlas_process_memory_peak_bytes", Kind::Gauge, help, peak);
        text.into_string()
    }

    fn about(&self, text: &mut Text) {
        let s = &self.started;
        let number = self.run.to_string();
        let labels = [
            ("run", number.as_str()),
            ("uuid", &s.uuid),
            ("strategy", &s.strategy),
            ("processor", &s.processor),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        text.family("atlas_run_info", Kind::Gauge, "What run this is.").sample(&labels, 1.0);
        let mut status = text.family("atlas_run_status", Kind::Gauge, "1 for the status that the run has.");
        use RunStatus::{Failed, Interrupted, Partial, RolledBack, Running, Succeeded};
        for each in [Running, Succeeded, Partial, Failed, RolledBack, Interrupted] {
            status.sample(&[("status", each.as_str())], truth(self.status == Some(each)));
        }
        let mut gauge = |name, help, value| text.one(name, Kind::Gauge, help, value);
        gauge(
            "atlas_run_start_time_seconds",
            "When this execution of the run began, since the Unix epoch.",
            self.started_ms as f64 / 1e3,
        );
        gauge(
            "atlas_run_updated_time_seconds",
            "When the newest event happened, since the Unix epoch.",
            self.newest_ms as f64 / 1e3,
        );
        gauge(
            "atlas_run_duration_seconds",
            "How long it has taken, or took, up to the newest event.",
            seconds(self.elapsed_us),
        );
        let state = self.progress.state();
        gauge(
            "atlas_run_progress_ratio",
            "Part of the input that has its fate; NaN where the total is unknown.",
            state.share.unwrap_or(f64::NAN),
        );
        gauge(
            "atlas_run_remaining_seconds",
            "Time left at the speed of late; NaN where it cannot be told.",
            state.remaining_ms.map_or(f64::NAN, |ms| ms as f64 / 1e3),
        );
    }

    fn items(&self, text: &mut Text, report: &PerformanceReport) {
        let counts = self.performance.counts();
        let help = "Items by fate, those of earlier executions of the run left out. Of an atomic run and a dry run also \
                    what is not committed.";
        let mut family = text.family("atlas_items_total", Kind::Counter, help);
        for (fate, items) in [
            ("stored", counts.stored),
            ("rejected", counts.rejected),
            ("dead-lettered", counts.dead_lettered),
            ("dropped", counts.dropped),
        ] {
            family.sample(&[("fate", fate)], items as f64);
        }
        let help = "Rejected and dead-lettered items by code; `other` are those whose code found no room.";
        let mut family = text.family("atlas_items_failed_total", Kind::Counter, help);
        self.codes.iter().for_each(|(code, items)| family.sample(&[("code", code)], *items as f64));
        let mut family = text.family("atlas_rows_total", Kind::Counter, "Rows by what was done to them.");
        for (effect, rows) in [
            ("inserted", counts.inserted),
            ("replaced", counts.replaced),
            ("unchanged", counts.unchanged),
            ("ignored", counts.ignored),
            ("deleted", counts.deleted),
        ] {
            family.sample(&[("effect", effect)], rows as f64);
        }
        let mut counter = |name, help, value: u64| text.one(name, Kind::Counter, help, value as f64);
        counter("atlas_item_retries_total", "Attempts beyond each item's first.", report.retries);
        counter("atlas_input_bytes_total", "Bytes of the records read, decompressed.", report.bytes_in);
        counter("atlas_output_bytes_total", "Bytes of the bodies written.", report.bytes_out);
    }

    fn batches(&self, text: &mut Text, report: &PerformanceReport) {
        let help = "Batches by how they ended; `applied` are those of an atomic run and a dry run, which none but the end of \
                    the run commits or takes back.";
        let mut family = text.family("atlas_batches_total", Kind::Counter, help);
        let (committed, applied) = if self.applied { (0, report.batches) } else { (report.batches, 0) };
        family.sample(&[("outcome", "committed")], committed as f64);
        family.sample(&[("outcome", "applied")], applied as f64);
        family.sample(&[("outcome", "abandoned")], self.abandoned as f64);
        let mut family = text.family("atlas_transactions_total", Kind::Counter, "Transactions by how they ended.");
        family.sample(&[("outcome", "committed")], report.transactions as f64);
        family.sample(&[("outcome", "rolled-back")], report.transactions_rolled_back as f64);
        text.one("atlas_plans_total", Kind::Counter, "Plans that differed from the one before.", self.plans as f64);
        let plan = self.progress.state();
        let mut gauge = |name, help, value: u64| text.one(name, Kind::Gauge, help, value as f64);
        gauge("atlas_batch_size", "Items per batch at the most, by the plan in force.", plan.batch_size);
        gauge("atlas_lanes", "Chunks computed at the same time at the most, by the plan in force.", plan.lanes);
        gauge("atlas_lanes_in_use", "Chunks that are being computed.", self.lanes_in_use);
    }

    fn times(&self, text: &mut Text, report: &PerformanceReport) {
        let phases = &report.phases;
        let help = "Time by phase, summed over batches; validate and operate also over lanes.";
        let mut family = text.family("atlas_phase_seconds_total", Kind::Counter, help);
        for (phase, us) in [
            ("read", phases.read_us),
            ("validate", phases.validate_us),
            ("operate", phases.operate_us),
            ("wait", phases.wait_us),
            ("write", phases.write_us),
            ("commit", phases.commit_us),
        ] {
            family.sample(&[("phase", phase)], seconds(us));
        }
        let help = "Time in which a part of the host had nothing to do; of lanes summed over those that the plan had.";
        let mut family = text.family("atlas_idle_seconds_total", Kind::Counter, help);
        for (part, us) in
            [("reader", report.idle.reader_us), ("lanes", report.idle.lanes_us), ("writer", report.idle.writer_us)]
        {
            family.sample(&[("part", part)], seconds(us));
        }
        let busy = seconds(report.idle.lanes_busy_us);
        text.one("atlas_lanes_busy_seconds_total", Kind::Counter, "Time of lanes at work, summed over them.", busy);
        let help = "Indexes that were put off and built.";
        text.one("atlas_index_builds_total", Kind::Counter, help, report.indexes_built as f64);
        let help = "Time of building them.";
        text.one("atlas_index_build_seconds_total", Kind::Counter, help, seconds(report.index_build_us));
        let up_to =
            |bound: u64| report.item_ns_buckets.iter().filter(|b| b.0 <= bound + bound / 100).map(|b| b.1).sum();
        let cumulative: Vec<(f64, u64)> = ITEM_NS.iter().map(|bound| (*bound as f64 / 1e9, up_to(*bound))).collect();
        let help = "Time of an item in plugins; those that met no plugin are left out.";
        text.family("atlas_item_duration_seconds", Kind::Histogram, help).histogram(
            &cumulative,
            report.item_ns_buckets.iter().map(|bucket| bucket.1).sum(),
            seconds(phases.validate_us.saturating_add(phases.operate_us)),
        );
        let help = "Time of a batch from its cut to the end of its commit.";
        self.batch.tell(text, "atlas_batch_duration_seconds", help);
        let help = "Time of a transaction that was committed, from BEGIN on.";
        self.transaction.tell(text, "atlas_transaction_duration_seconds", help);
    }

    fn plugins(&self, text: &mut Text, report: &PerformanceReport) {
        let mut family = text.family("atlas_plugin_info", Kind::Gauge, "The plugins in force.");
        for p in &self.plugins {
            let labels = [("slot", p.slot.as_str()), ("role", &p.role), ("name", &p.name), ("digest", &p.digest)];
            family.sample(&labels, 1.0);
        }
        let mut counter = |name, help, value: fn(&crate::model::PluginMetrics) -> f64| {
            let mut family = text.family(name, Kind::Counter, help);
            report.plugins.iter().for_each(|plugin| family.sample(&[("slot", &plugin.slot)], value(plugin)));
        };
        counter("atlas_plugin_calls_total", "Calls of a plugin.", |p| p.calls as f64);
        counter("atlas_plugin_items_total", "Items given to a plugin, those of repeated calls again.", |p| {
            p.items as f64
        });
        counter("atlas_plugin_faults_total", "Calls of a plugin that ended in a fault.", |p| p.faults as f64);
        counter("atlas_plugin_seconds_total", "Time in a plugin, summed over lanes.", |p| seconds(p.time_us));
        let help = "CPU time in a plugin, summed over lanes; less than the time where it waits.";
        counter("atlas_plugin_cpu_seconds_total", help, |p| seconds(p.cpu_us));
        let help =
            "Part of the time in a plugin that its calls of the host took: reads of the store, lines for the log.";
        counter("atlas_plugin_host_seconds_total", help, |p| seconds(p.host_us));
        let help = "Largest linear memory of a sandbox of a plugin; 0 for native code.";
        let mut family = text.family("atlas_plugin_memory_peak_bytes", Kind::Gauge, help);
        report.plugins.iter().for_each(|p| family.sample(&[("slot", &p.slot)], p.memory_peak_bytes as f64));
        let help =
            "Time that it took to make a plugin ready before the run: checked and compiled, or taken from the cache.";
        let mut family = text.family("atlas_plugin_prepare_seconds", Kind::Gauge, help);
        for p in self.plugins.iter().filter(|plugin| self.started.plugins.contains(plugin)) {
            let cache = if p.from_cache { "hit" } else { "miss" };
            family.sample(&[("slot", &p.slot), ("cache", cache)], seconds(p.prepare_us));
        }
    }

    fn host(&self, text: &mut Text) {
        let mut family = text.family("atlas_alerts_total", Kind::Counter, "Alerts raised, by name.");
        self.alerts.iter().for_each(|(alert, (raised, _))| family.sample(&[("alert", alert)], *raised as f64));
        let help = "1 for an alert that was raised and not cleared, while the run goes on.";
        let mut family = text.family("atlas_alert_active", Kind::Gauge, help);
        self.alerts.iter().for_each(|(alert, (_, lasts))| family.sample(&[("alert", alert)], truth(*lasts)));
        let help = "1 for what the host's health is judged to be, while the run goes on.";
        let mut family = text.family("atlas_health_status", Kind::Gauge, help);
        for (status, name) in [
            (HealthStatus::Healthy, "healthy"),
            (HealthStatus::Degraded, "degraded"),
            (HealthStatus::Unhealthy, "unhealthy"),
        ] {
            family.sample(&[("status", name)], truth(self.health == Some(status)));
        }
        let mut gauge = |name, help, value: Option<f64>| text.one(name, Kind::Gauge, help, value.unwrap_or(f64::NAN));
        gauge("atlas_cpu_ratio", "CPU of the machine in use, 0 to 1; NaN where unknown.", self.cpu_share);
        gauge("atlas_memory_ratio", "Memory of the machine in use, 0 to 1; NaN where unknown.", self.memory_share);
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        gauge("atlas_process_memory_bytes", "Memory of the process; NaN where unknown.", bytes(self.process_bytes));
        gauge("atlas_wal_bytes", "Size of the store's write-ahead log; NaN where unknown.", bytes(self.wal_bytes));
        let help = "Space left where the store lies; NaN where unknown.";
        gauge("atlas_disk_free_bytes", help, bytes(self.disk_free_bytes));
        gauge("atlas_error_ratio", "Part of the items of late that were rejected or failed.", Some(self.error_share));
    }
}

/// Durations, in buckets of 1 % width.
#[derive(Debug)]
struct Times {
    us: Histogram<u64>,
    sum_us: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { us: Histogram::new_with_bounds(1, HOUR_US, 2).expect("the bounds are constants that fit"), sum_us: 0 }
    }
}

impl Times {
    fn add(&mut self, us: u64) {
        self.us.saturating_record(us);
        self.sum_us = self.sum_us.saturating_add(us);
    }

    fn tell(&self, text: &mut Text, name: &'static str, help: &str) {
        let cumulative: Vec<(f64, u64)> =
            BATCH_US.iter().map(|bound| (seconds(*bound), self.us.count_between(0, *bound))).collect();
        text.family(name, Kind::Histogram, help).histogram(&cumulative, self.us.len(), seconds(self.sum_us));
    }
}

fn duration_us(batch: &BatchCommitted) -> u64 {
    let m = &batch.metrics;
    [m.wait_us, m.write_us, m.commit_us].iter().fold(m.compute_us, |sum, part| sum.saturating_add(*part))
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}
