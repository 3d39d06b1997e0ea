//! A run as its store tells it. A pure fold over what [`super::feed`] reads.

use super::picture::{Failure, Step};
use super::series::Series;
use super::told::Health;
use crate::model::RunStatus;
use crate::monitor::{AlertRecord, PerformanceReport};
use crate::store::{BatchRow, RunPlugin, RunRow};

/// One look at the store.
#[derive(Debug)]
pub struct Snapshot {
    pub run: RunRow,
    /// Its process is gone, though it is called running.
    pub gone: bool,
    pub plugins: Vec<RunPlugin>,
    /// Those that came since the last look.
    pub batches: Vec<BatchRow>,
    /// The newest, oldest first.
    pub steps: Vec<Step>,
    /// What the newest plan knew of the machine.
    pub health: Option<Health>,
    /// Of the newest failed items, most frequent first; none if they were not asked for.
    pub failures: Option<Vec<Failure>>,
}

/// See the module.
#[derive(Debug)]
pub struct Rows {
    pub run: RunRow,
    pub gone: bool,
    pub plugins: Vec<RunPlugin>,
    pub steps: Vec<Step>,
    pub health: Option<Health>,
    pub failures: Vec<Failure>,
    /// Of this execution, as far as it was read.
    pub series: Option<Series>,
    /// Bytes of the input read, as it lies on disk.
    input_bytes: u64,
    /// Time since this execution began, at the end of its newest batch.
    batch_us: u64,
    /// When that was.
    pub written_ms: Option<i64>,
}

impl Rows {
    /// The first look at a run.
    pub fn begin(snapshot: Snapshot) -> Self {
        let run = snapshot.run.clone();
        let mut rows = Self {
            run,
            gone: false,
            plugins: Vec::new(),
            steps: Vec::new(),
            health: None,
            failures: Vec::new(),
            series: None,
            input_bytes: 0,
            batch_us: 0,
            written_ms: None,
        };
        rows.take(snapshot);
        rows
    }

    /// True if a snapshot is of this execution of this run, and not the next one.
    pub fn is_of(&self, snapshot: &Snapshot) -> bool {
        (self.run.run, self.run.epoch) == (snapshot.run.run, snapshot.run.epoch)
    }

    /// Takes in the next look at the same run.
    pub fn take(&mut self, snapshot: Snapshot) {
        for batch in snapshot.batches.iter().filter(|batch| batch.epoch == snapshot.run.epoch) {
            let m = batch.metrics.unwrap_or_default();
            let took_us =
                [m.wait_us, m.write_us, m.commit_us].iter().fold(m.compute_us, |sum, us| sum.saturating_add(*us));
            let begin_ms = batch.written_ms.saturating_sub(i64::try_from(took_us / 1000).unwrap_or(0));
            let series = self.series.get_or_insert_with(|| Series::new(begin_ms));
            series.add(batch.written_ms, batch.counts.read, batch.counts.failed());
            self.input_bytes = self.input_bytes.max(m.input_bytes);
            self.batch_us = self.batch_us.max(m.cut_us.saturating_add(took_us));
            self.written_ms = Some(batch.written_ms);
        }
        self.run = snapshot.run;
        self.gone = snapshot.gone;
        self.plugins = snapshot.plugins;
        self.steps = snapshot.steps;
        self.health = snapshot.health;
        self.failures = snapshot.failures.unwrap_or_default();
    }

    /// The status of its row, or that nobody works on it any more.
    pub fn status(&self) -> RunStatus {
        if self.gone && self.run.status == RunStatus::Running { RunStatus::Interrupted } else { self.run.status }
    }

    /// How long this execution has taken, or took.
    pub fn elapsed_ms(&self, now_ms: i64) -> Option<u64> {
        match self.status() {
            RunStatus::Running if self.run.epoch == 1 => u64::try_from(now_ms - self.run.started_ms).ok(),
            // A continued run does not say when; its batches do.
            RunStatus::Running => {
                let since = now_ms - self.written_ms?;
                Some(self.batch_us / 1000 + u64::try_from(since).unwrap_or(0))
            }
            RunStatus::Interrupted if self.run.duration_ms.is_none() => Some(self.batch_us / 1000),
            _ => self.run.duration_ms,
        }
    }

    /// Part of the input that has its fate, by bytes or by the limit on items, whichever is nearer to its end; none where
    /// neither is known.
    pub fn share(&self) -> Option<f64> {
        if self.status().finished() {
            return Some(1.0);
        }
        let limit = self.run.identity.iter().find(|(setting, _)| setting == "limit");
        let limit = limit.and_then(|(_, limit)| limit.parse::<u64>().ok()).filter(|limit| *limit > 0);
        let of_limit = limit.map(|limit| self.run.next as f64 / limit as f64);
        [self.share_of_bytes(), of_limit].into_iter().flatten().reduce(f64::max).map(|share| share.min(0.999))
    }

    fn share_of_bytes(&self) -> Option<f64> {
        let inputs: Vec<serde_json::Value> = serde_json::from_str(&self.run.inputs_json).ok()?;
        let sizes: Option<Vec<u64>> = inputs.iter().map(|input| input["size_bytes"].as_u64()).collect();
        let total: u64 = sizes?.iter().sum();
        (total > 0).then(|| self.input_bytes as f64 / total as f64)
    }

    /// Metrics of the whole execution, which are there once it has ended.
    pub fn report(&self) -> Option<PerformanceReport> {
        serde_json::from_str(self.run.performance_json.as_deref()?).ok()
    }

    /// Its alerts, which are there once it has ended.
    pub fn alerts(&self) -> Vec<AlertRecord> {
        self.run.alerts_json.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}
