//! A run as its events tell it. A pure fold.

use std::collections::BTreeMap;

use super::picture::{Failure, Step};
use super::series::Series;
use crate::event::{Envelope, Event, HealthStatus, RunEnded, RunStarted};
use crate::limits::{ALERTS_KEPT_MAX, METRIC_CODES_MAX};
use crate::model::PluginMetrics;
use crate::monitor::{AlertRecord, Fold, Progress, ProgressState};

/// Plans kept, the newest.
pub const STEPS_KEPT: usize = 50;

/// See the module.
#[derive(Debug)]
pub struct Told {
    pub started: RunStarted,
    /// Number of the run; 0 where nothing is stored.
    pub run: u64,
    pub started_ms: i64,
    /// When the newest event happened.
    pub newest_ms: i64,
    pub series: Series,
    progress: Progress,
    /// Newest batch counted.
    newest: Option<u64>,
    pub batches: u64,
    pub lanes_in_use: u64,
    pub plugins: Vec<PluginMetrics>,
    /// Oldest first.
    pub steps: Vec<Step>,
    /// Oldest first.
    pub alerts: Vec<AlertRecord>,
    pub health: Option<Health>,
    failures: BTreeMap<String, Failure>,
    pub ended: Option<RunEnded>,
}

/// The newest sample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Health {
    /// None where only a plan tells of it.
    pub status: Option<HealthStatus>,
    pub cpu_share: Option<f64>,
    pub memory_share: Option<f64>,
    pub process_bytes: Option<u64>,
}

impl Told {
    /// The stream begins with this event; none if it is not the first of a run.
    pub fn begin(envelope: &Envelope) -> Option<Self> {
        let Event::RunStarted(started) = &envelope.event else { return None };
        let mut told = Self {
            started: (**started).clone(),
            run: envelope.run,
            started_ms: envelope.time_ms,
            newest_ms: envelope.time_ms,
            series: Series::new(envelope.time_ms),
            progress: Progress::default(),
            newest: None,
            batches: 0,
            lanes_in_use: 0,
            plugins: Vec::new(),
            steps: Vec::new(),
            alerts: Vec::new(),
            health: None,
            failures: BTreeMap::new(),
            ended: None,
        };
        told.progress.observe(envelope);
        Some(told)
    }

    /// Takes in the next event of the run.
    pub fn observe(&mut self, envelope: &Envelope) {
        self.progress.observe(envelope);
        self.newest_ms = self.newest_ms.max(envelope.time_ms);
        match &envelope.event {
            Event::PlanChosen { batch, batch_size, lanes, old_batch_size, old_lanes, reason, .. } => {
                if self.steps.len() == STEPS_KEPT {
                    self.steps.remove(0);
                }
                self.steps.push(Step {
                    batch: *batch,
                    batch_size: *batch_size,
                    lanes: *lanes,
                    old_batch_size: *old_batch_size,
                    old_lanes: *old_lanes,
                    reason: reason.clone(),
                });
            }
            Event::LanesInUse { lanes } => self.lanes_in_use = *lanes,
            Event::BatchCommitted(batch) | Event::BatchApplied(batch)
                if self.newest.is_none_or(|newest| batch.batch > newest) =>
            {
                self.newest = Some(batch.batch);
                self.batches += 1;
                self.series.add(envelope.time_ms, batch.counts.read, batch.counts.failed());
                for did in &batch.plugins {
                    match self.plugins.iter_mut().find(|known| known.slot == did.slot) {
                        Some(known) => known.add(did),
                        None => self.plugins.push(did.clone()),
                    }
                }
            }
            Event::ItemFailed { id, code, message, slot, .. } => {
                let room = self.failures.len() < METRIC_CODES_MAX;
                if room || self.failures.contains_key(code) {
                    let known = self.failures.entry(code.clone()).or_default();
                    *known = Failure {
                        code: code.clone(),
                        slot: slot.clone().unwrap_or_default(),
                        items: known.items + 1,
                        id: id.clone(),
                        message: message.clone(),
                    };
                }
            }
            Event::HealthSampled { status, cpu_share, memory_share, process_bytes, .. } => {
                self.health = Some(Health {
                    status: Some(*status),
                    cpu_share: *cpu_share,
                    memory_share: *memory_share,
                    process_bytes: *process_bytes,
                });
            }
            Event::RunEnded(ended) => {
                self.ended = Some((**ended).clone());
                self.lanes_in_use = 0;
            }
            event => {
                if let Some(alert) = AlertRecord::of(event, envelope.elapsed_us) {
                    if self.alerts.len() == ALERTS_KEPT_MAX {
                        self.alerts.remove(0);
                    }
                    self.alerts.push(alert);
                }
            }
        }
    }

    /// How far the run is.
    pub fn progress(&self) -> &ProgressState {
        self.progress.state()
    }

    /// By code, most frequent first.
    pub fn failures(&self) -> Vec<Failure> {
        let mut failures: Vec<Failure> = self.failures.values().cloned().collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.items));
        failures
    }
}
