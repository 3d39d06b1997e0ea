//! Ending a run: what is kept, what the store notes, what the caller gets.

use std::sync::Arc;
use std::time::Instant;

use super::job::Job;
use super::outcome::{REPORT_SCHEMA, RunFailure, RunReport};
use super::run::{Ended, Finished};
use super::shared::RunShared;
use super::start::plugins_used;
use super::writer::WriterService;
use crate::error::{Code, Error, Result};
use crate::event::{ErrorReport, Event, RunEnded};
use crate::model::{Counts, RunStatus};
use crate::store::{RunEnd, RunHandle, RunRow};

/// What the ending needs to know of the beginning.
pub(super) struct Context {
    pub key: u64,
    pub begun: Instant,
    pub resumed_at: u64,
    /// The run holds one transaction open (`--atomic run`).
    pub holds: bool,
}

/// Commits or undoes what the run holds, notes its end and tells it.
///
/// Errors: what stopped the run, with its report.
pub(super) fn end(
    job: &Job,
    writer: &WriterService,
    handle: &Arc<RunHandle>,
    shared: &RunShared,
    context: Context,
    finished: Finished,
) -> Result<RunReport, RunFailure> {
    let Finished { ended, mut teller, peak_lanes, trailing_blank_lines } = finished;
    teller.blank_lines += trailing_blank_lines;
    let mut counts = handle.counts;
    counts.add(&teller.counts);
    let (mut status, mut error) = match ended {
        Ended::Complete if counts.failed() == 0 => (RunStatus::Succeeded, None),
        Ended::Complete => (RunStatus::Partial, None),
        Ended::Stopped => (RunStatus::Interrupted, None),
        Ended::Crossed => (RunStatus::Interrupted, Some(crossed(&counts))),
        Ended::Failed(error) => (RunStatus::Failed, Some(error)),
    };
    let failed = status == RunStatus::Failed;
    if context.holds {
        let keep = status.finished();
        let settled = writer.release(context.key, move |processor| match keep {
            true => processor.commit().inspect_err(|_| {
                if let Err(second) = processor.rollback() {
                    tracing::error!(code = second.code().as_str(), "The rollback failed too: {second}.");
                }
            }),
            false => processor.rollback(),
        });
        match settled {
            Err(second) if keep => (status, error) = (RunStatus::RolledBack, Some(second)),
            Err(second) => tracing::error!(code = second.code().as_str(), "The rollback failed too: {second}."),
            Ok(()) => {}
        }
        if !status.finished() {
            status = RunStatus::RolledBack;
            // Nothing of this execution is kept, so it counts nothing.
            counts = handle.counts;
        }
        let undone = (status == RunStatus::RolledBack)
            .then(|| error.as_ref().map_or_else(|| "the run was stopped".to_owned(), |e| format!("{}: {e}", e.code())));
        teller.closed(undone);
    }
    writer.forget(context.key);
    let duration_ms = context.begun.elapsed().as_millis() as u64;
    let error_report = error.as_ref().map(ErrorReport::from);
    let run_end = RunEnd {
        status,
        ended_ms: crate::model::now_ms(),
        duration_ms,
        error_json: error_report.as_ref().and_then(|report| serde_json::to_string(report).ok()),
    };
    let noted = {
        let handle = Arc::clone(handle);
        writer.ask(move |processor| processor.finish_run(&handle, &run_end))
    };
    if let Err(second) = noted {
        if error.is_none() {
            (status, error) = (RunStatus::Failed, Some(second));
        } else {
            tracing::error!(code = second.code().as_str(), "The end of the run cannot be noted: {second}.");
        }
    }
    assert!(counts.balance(), "BUG: the books of the run do not balance: {counts:?}");
    let read = teller.counts.read;
    let report = RunReport {
        schema: REPORT_SCHEMA,
        run: handle.run.0,
        uuid: handle.uuid.clone(),
        status,
        success: status == RunStatus::Succeeded,
        dry_run: job.dry_run,
        already_complete: false,
        store: job.store.as_ref().map(|path| path.display().to_string()),
        collection: job.collection.to_string(),
        resumed_at: context.resumed_at,
        counts,
        blank_lines: handle.blank_lines + teller.blank_lines,
        batches: handle.next_batch.0 + teller.batches,
        duration_ms,
        items_per_s: read as f64 / context.begun.elapsed().as_secs_f64().max(1e-9),
        peak_lanes: peak_lanes as u64,
        plugins: plugins_used(shared),
        fates: teller.fates.clone(),
        error: error.as_ref().map(ErrorReport::from),
    };
    teller.finish(Event::RunEnded(Box::new(RunEnded {
        status,
        success: report.success,
        counts,
        blank_lines: report.blank_lines,
        batches: report.batches,
        duration_ms,
        error: report.error.clone(),
    })));
    match error {
        Some(error) if failed || error.code() != Code::BatchPartial => {
            Err(RunFailure { report: Some(Box::new(report)), error })
        }
        _ => Ok(report),
    }
}

fn crossed(counts: &Counts) -> Error {
    let message = format!(
        "stopped by --max-rejects: {} of {} items were rejected or dead-lettered",
        counts.failed(),
        counts.read
    );
    Error::new(Code::BatchPartial, message)
        .hint("see `atlas-host dead-letters list`; the same command with a higher --max-rejects continues")
}

/// The report of a run that an earlier execution of the same command has finished.
pub(super) fn complete(job: &Job, row: &RunRow) -> RunReport {
    RunReport {
        schema: REPORT_SCHEMA,
        run: row.run.0,
        uuid: row.uuid.clone(),
        status: row.status,
        success: row.status == RunStatus::Succeeded,
        dry_run: false,
        already_complete: true,
        store: job.store.as_ref().map(|path| path.display().to_string()),
        collection: row.collection.to_string(),
        resumed_at: row.next,
        counts: row.counts,
        blank_lines: row.blank_lines,
        batches: row.batches,
        duration_ms: 0,
        items_per_s: 0.0,
        peak_lanes: 0,
        plugins: Vec::new(),
        fates: None,
        error: None,
    }
}
