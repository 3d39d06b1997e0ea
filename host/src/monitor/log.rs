//! Events as entries of the program's log.

use super::Monitor;
use crate::event::{Envelope, Event, HealthStatus};

/// Tells `tracing` about a run: its beginning and end, plans, failed items, rollbacks, alerts and health.
/// Every entry carries the number of the run, and the batch where there is one. Batches and transactions are left to
/// the event stream: they would drown the rest.
#[derive(Debug, Default)]
pub struct Log {
    health: Option<HealthStatus>,
}

impl Monitor for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn observe(&mut self, envelope: &Envelope) {
        let run = envelope.run;
        match &envelope.event {
            Event::RunStarted(s) => {
                tracing::info!(
                    run,
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
                tracing::debug!(run, batch, ordinal, ?id, fate, phase, code, ?message, input, line, "An item failed.");
            }
            Event::ItemRetried { batch, ordinal, attempt, delay_ms, code, .. } => {
                tracing::debug!(run, batch, ordinal, attempt, delay_ms, code, "An item is tried again.");
            }
            Event::TransactionRolledBack { group, reason } => {
                tracing::warn!(run, group, reason, "A transaction is rolled back.");
            }
            Event::BatchAbandoned { batch, reason } => tracing::warn!(run, batch, reason, "A batch is given up."),
            Event::LogDropped { batch, slot, lines } => {
                tracing::warn!(run, batch, slot, lines, "Log lines of a plugin are dropped.");
            }
            Event::AlertRaised { alert, batch, value, threshold, message } => {
                tracing::warn!(run, batch, alert, value, threshold, message, "An alert is raised.");
            }
            Event::AlertCleared { alert, batch, value, threshold } => {
                tracing::info!(run, batch, alert, value, threshold, "An alert is cleared.");
            }
            Event::HealthSampled { status, cpu_share, memory_share, error_share, .. } => {
                // Only changes: a line per sample says nothing new.
                let before = self.health.replace(*status).unwrap_or(HealthStatus::Healthy);
                if before != *status {
                    tracing::info!(run, ?status, ?cpu_share, ?memory_share, error_share, "The host's health changed.");
                }
            }
            Event::RunEnded(e) => {
                let status = e.status.as_str();
                tracing::info!(
                    run,
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
