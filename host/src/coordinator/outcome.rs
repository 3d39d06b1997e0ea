//! How a run ended, as data.

use serde::Serialize;

use crate::error::{Code, Error};
use crate::event::{ErrorReport, PluginUsed};
use crate::limits;
use crate::model::{Counts, Fate, RunStatus};
use crate::monitor::{PerformanceReport, ProblemCount};

/// Version of the report's JSON.
pub const REPORT_SCHEMA: u32 = 1;

/// A finished, stopped or repeated run.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// [`REPORT_SCHEMA`].
    pub schema: u32,
    /// Number within the store; 0 where nothing is stored.
    pub run: u64,
    pub uuid: String,
    pub status: RunStatus,
    /// True if nothing failed and nothing was rejected.
    pub success: bool,
    /// What is whole or not there: `batch` or `run`.
    pub atomic: String,
    /// Everything was done and undone; the counts tell what would have changed.
    pub dry_run: bool,
    /// The same command had been finished before; nothing was done now.
    pub already_complete: bool,
    pub store: Option<String>,
    pub collection: String,
    /// Ordinal at which this execution went on.
    pub resumed_at: u64,
    /// Of the whole run, earlier executions included.
    #[serde(flatten)]
    pub counts: Counts,
    pub blank_lines: u64,
    pub batches: u64,
    /// Of this execution.
    pub duration_ms: u64,
    /// Items read by this execution per second of `duration_ms`; 0 where it was rolled back.
    pub items_per_s: f64,
    /// Most chunks that were computed at the same time.
    pub peak_lanes: u64,
    pub plugins: Vec<PluginUsed>,
    /// Fate of every record of this execution as runs of ordinals: fate, first, last. None if there were too many runs.
    pub fates: Option<Vec<(Fate, u64, u64)>>,
    /// Times, sizes and percentiles of this execution; none where nothing was done.
    pub performance: Option<PerformanceReport>,
    /// What items failed with in this execution: most frequent first, with the first item that had it.
    pub problems: Vec<ProblemCount>,
    /// Why it stopped before the end of its input, if it did.
    pub error: Option<ErrorReport>,
}

impl RunReport {
    /// Exit code of the run: 0 all stored or dropped, 3 with rejected or dead-lettered items, 130 where it was stopped.
    pub fn exit(&self) -> u8 {
        match (&self.status, &self.error) {
            (_, Some(error)) => Code::ALL.iter().find(|code| code.as_str() == error.code).map_or(1, |code| code.exit()),
            (RunStatus::Succeeded, None) => 0,
            (RunStatus::Interrupted, None) => 130,
            _ => 3,
        }
    }
}

/// A run that an error stopped: the error, and what is known of the run if it had begun.
#[derive(Debug)]
pub struct RunFailure {
    /// What was done until then; none if the run did not begin.
    pub report: Option<Box<RunReport>>,
    /// The original error with its causes.
    pub error: Error,
}

impl From<Error> for RunFailure {
    fn from(error: Error) -> Self {
        Self { report: None, error }
    }
}

impl std::fmt::Display for RunFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for RunFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // It displays as the error itself does.
        self.error.source()
    }
}

/// Fates in input order as runs of ordinals.
pub(super) fn fate_runs(first_ordinal: u64, fates: impl IntoIterator<Item = Fate>) -> Vec<(Fate, u64, u64)> {
    let mut runs: Vec<(Fate, u64, u64)> = Vec::new();
    for (ordinal, fate) in (first_ordinal..).zip(fates) {
        match runs.last_mut() {
            Some((last, _, end)) if *last == fate => *end = ordinal,
            _ => runs.push((fate, ordinal, ordinal)),
        }
    }
    runs
}

/// Appends runs, joining at the border; false (and empty) when there are too many to keep.
pub(super) fn join_runs(all: &mut Vec<(Fate, u64, u64)>, more: &[(Fate, u64, u64)]) -> bool {
    for run in more {
        match all.last_mut() {
            Some((fate, _, end)) if *fate == run.0 && *end + 1 == run.1 => *end = run.2,
            _ => all.push(*run),
        }
    }
    let fits = all.len() <= limits::REPORT_FATES_MAX;
    if !fits {
        all.clear();
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::*;

    #[test]
    fn fates_are_kept_as_runs_of_ordinals() {
        let runs = fate_runs(5, [Stored, Stored, Rejected, Stored]);
        assert_eq!(runs, [(Stored, 5, 6), (Rejected, 7, 7), (Stored, 8, 8)]);
        let mut all = fate_runs(0, [Stored; 5]);
        assert!(join_runs(&mut all, &runs));
        assert_eq!(all, [(Stored, 0, 6), (Rejected, 7, 7), (Stored, 8, 8)]);
    }
}
