//! Events as entries of the program's log.

use super::Monitor;
use crate::event::{Envelope, Event, HealthStatus};

/// Tells `tracing` about a run: its beginning and end, plans, failed items, rollbacks, alerts and health.
/// Every entry carries the run, by the UUID that the log lines of its plugins carry too, and the batch where there is
/// one. Batches and transactions are left to the event stream: they would drown the rest.
///
/// No field is called `message`: as JSON the text of an entry has that name, beside the fields. Foreign text is a plain
/// field; the form of the log escapes it.
#[derive(Debug, Default)]
pub struct Log {
    run: String,
    health: Option<HealthStatus>,
}

impl Monitor for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn observe(&mut self, envelope: &Envelope) {
        if let Event::RunStarted(s) = &envelope.event {
            self.run.clone_from(&s.uuid);
        }
        let run = self.run.as_str();
        match &envelope.event {
            Event::RunStarted(s) => {
                tracing::info!(
                    run,
                    number = envelope.run,
                    store = s.store,
                    collection = s.collection,
                    strategy = s.strategy,
                    resumed_at = s.resumed_at,
                    "The run begins."
                );
            }
            Event::PlanChosen { batch, batch_size, lanes, reason, .. } => {
                tracing::info!(run, batch, batch_size, lanes, reason, "Another plan is chosen.");
            }
            Event::BoundsChanged { setting, value } => tracing::info!(run, setting, value, "A bound is changed."),
            Event::ItemFailed { batch, ordinal, id, fate, phase, code, message, input, line, .. } => {
                let (fate, phase) = (fate.as_str(), phase.as_str());
                let problem = message;
                tracing::debug!(run, batch, ordinal, id, fate, phase, code, problem, input, line, "An item failed.");
            }
            Event::ItemRetried { batch, ordinal, attempt, delay_ms, code, .. } => {
                tracing::debug!(run, batch, ordinal, attempt, delay_ms, code, "An item is tried again.");
            }
            Event::TransactionRolledBack { group, reason } => {
                tracing::warn!(run, group, reason, "A transaction is rolled back.");
            }
            // Nothing is lost by it: why the run ended is told in its own words.
            Event::BatchAbandoned { batch, reason } => tracing::info!(run, batch, reason, "A batch is given up."),
            Event::LogDropped { batch, slot, lines } => {
                tracing::warn!(run, batch, slot, lines, "Log lines of a plugin are dropped.");
            }
            Event::SwapRefused(step) | Event::SwapPutBack(step) => {
                let (slot, name, code, reason) = (&step.slot, &step.name, &step.code, &step.reason);
                let what = match &envelope.event {
                    Event::SwapPutBack(_) => "A plugin is put back.",
                    _ => "A new plugin is refused; the old one goes on.",
                };
                tracing::warn!(run, slot, name, batch = step.batch, code, reason, "{what}");
            }
            Event::SwapTookEffect(step) | Event::SwapSettled(step) | Event::SwapSkipped(step) => {
                let (slot, name, reason) = (&step.slot, &step.name, &step.reason);
                let what = match &envelope.event {
                    Event::SwapTookEffect(_) => "A new plugin took effect.",
                    Event::SwapSettled(_) => "A new plugin stays.",
                    _ => "A new plugin is passed over.",
                };
                tracing::info!(run, slot, name, batch = step.batch, reason, "{what}");
            }
            Event::IndexBuilt { collection, index, duration_us } => {
                tracing::info!(run, collection, index, duration_us, "An index is built.");
            }
            Event::AlertRaised { alert, batch, value, threshold, message } => {
                tracing::warn!(run, batch, alert, value, threshold, reason = message, "An alert is raised.");
            }
            Event::AlertCleared { alert, batch, value, threshold } => {
                tracing::info!(run, batch, alert, value, threshold, "An alert is cleared.");
            }
            Event::HealthSampled { status, cpu_share, memory_share, error_share, .. } => {
                // Only changes: a line per sample says nothing new.
                let before = self.health.replace(*status).unwrap_or(HealthStatus::Healthy);
                if before != *status {
                    let status = match status {
                        HealthStatus::Healthy => "healthy",
                        HealthStatus::Degraded => "degraded",
                        HealthStatus::Unhealthy => "unhealthy",
                    };
                    tracing::info!(run, status, cpu_share, memory_share, error_share, "The host's health changed.");
                }
            }
            Event::RunEnded(e) => {
                let status = e.status.as_str();
                tracing::info!(
                    run,
                    number = envelope.run,
                    status,
                    read = e.counts.read,
                    failed = e.counts.failed(),
                    duration_ms = e.duration_ms,
                    "The run is over."
                );
            }
            _ => {}
        }
    }
}
