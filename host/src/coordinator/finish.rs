//! Ending a run: what is kept, what the store notes, what the caller gets.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::job::{Atomicity, Job};
use super::outcome::{REPORT_SCHEMA, RunFailure, RunReport};
use super::run::{Ended, Finished};
use super::tell::Teller;
use super::tuning;
use super::usual::Kind;
use super::writer::{RejectLimit, WriterService, recovery};
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
    /// The same command goes on with it.
    pub resumable: bool,
    /// Which runs it is compared with when it has come to its end; none where it is compared with none.
    pub kind: Option<Kind>,
}

/// Commits or undoes what the run holds, notes its end and tells it.
///
/// Errors: what stopped the run, with its report.
pub(super) fn end(
    job: &Job,
    writer: &WriterService,
    handle: &Arc<RunHandle>,
    context: Context,
    finished: Finished,
) -> Result<RunReport, RunFailure> {
    let Finished { ended, mut teller, peak_lanes, trailing_blank_lines, learned, chain } = finished;
    teller.blank_lines += trailing_blank_lines;
    let mut counts = handle.counts;
    counts.add(&teller.counts);
    let (mut status, mut error) = match ended {
        Ended::Complete if counts.failed() == 0 => (RunStatus::Succeeded, None),
        Ended::Complete => (RunStatus::Partial, None),
        Ended::Stopped => (RunStatus::Interrupted, None),
        Ended::Crossed => (RunStatus::Interrupted, Some(crossed(&counts, job, context.resumable))),
        Ended::Failed(error) => (RunStatus::Failed, Some(error)),
    };
    let failed = status == RunStatus::Failed;
    if context.holds {
        let keep = status.finished();
        let (run, failed) = (Arc::clone(handle), error.as_ref().map(Error::code));
        let settled = writer.release(context.key, move |processor| {
            Ok(match keep {
                true => recovery::commit_whole(processor, &run),
                false => recovery::undo_whole(processor, failed),
            })
        });
        let whole = settled.unwrap_or_else(|error| recovery::Whole { kept: false, error: Some(error) });
        if let Some(second) = whole.error {
            status = RunStatus::Failed;
            error = Some(match error {
                Some(first) => first.followed_by("its rollback failed too", &second),
                None => second,
            });
        }
        if !whole.kept {
            status = RunStatus::RolledBack;
            // Nothing of this execution is kept, so it counts nothing.
            counts = handle.counts;
        }
        let undone = (status == RunStatus::RolledBack)
            .then(|| error.as_ref().map_or_else(|| "the run was stopped".to_owned(), |e| format!("{}: {e}", e.code())));
        teller.closed(undone);
    }
    if let Err(second) = build_indexes(job, writer, context.key, &mut teller) {
        match &error {
            // It may be why they cannot be built; the next run does it.
            Some(_) => tracing::warn!(code = second.code().as_str(), "Indexes cannot be built: {second}."),
            None => {
                status = RunStatus::Failed;
                error = Some(second);
            }
        }
    }
    if status.finished()
        && let Some(kind) = context.kind
    {
        kind.compare(writer, handle, &counts, &mut teller);
    }
    writer.forget(context.key);
    // Whole milliseconds, from which every rate of the run is computed.
    let duration_ms = (context.begun.elapsed().as_millis() as u64).max(1);
    let error_report = error.as_ref().map(ErrorReport::from);
    let run_end = RunEnd {
        blank_lines: trailing_blank_lines,
        status,
        ended_ms: crate::model::now_ms(),
        duration_ms,
        error_json: error_report.as_ref().and_then(|report| serde_json::to_string(report).ok()),
        performance_json: serde_json::to_string(&teller.summary().performance).ok(),
        alerts_json: serde_json::to_string(teller.alerts()).ok(),
        tuning: tuning::Key::of_run(job, &chain).and_then(|key| key.row(handle.run, learned, writer)),
    };
    let noted = {
        let handle = Arc::clone(handle);
        writer.ask(move |processor| processor.finish_run(&handle, &run_end))
    };
    if let Err(second) = noted {
        error = Some(match error {
            Some(first) if second.code() == Code::TransactionState => {
                // The store could not be opened anew, which the first error tells.
                tracing::error!(code = second.code().as_str(), "The end of the run cannot be noted: {second}.");
                first
            }
            Some(first) => first.followed_by("the end of the run cannot be noted", &second),
            None => {
                status = RunStatus::Failed;
                second
            }
        });
    }
    assert!(counts.balance(), "BUG: the books of the run do not balance: {counts:?}");
    let undone = status == RunStatus::RolledBack;
    let batches = handle.next_batch.0 + if undone { 0 } else { teller.batches };
    let read = if undone { 0 } else { teller.counts.read };
    let fates = teller.fates.take().filter(|_| !undone);
    let blank_lines = handle.blank_lines + teller.blank_lines;
    let success = status == RunStatus::Succeeded;
    let summary = teller.finish(Event::RunEnded(Box::new(RunEnded {
        status,
        success,
        counts,
        blank_lines,
        batches,
        duration_ms,
        error: error_report_of(&error),
    })));
    let report = RunReport {
        schema: REPORT_SCHEMA,
        run: handle.run.0,
        uuid: handle.uuid.clone(),
        status,
        success,
        atomic: job.atomic.as_str().to_owned(),
        dry_run: job.dry_run,
        already_complete: false,
        store: job.store.as_ref().map(|path| path.display().to_string()),
        collection: job.collection.to_string(),
        resumed_at: context.resumed_at,
        counts,
        blank_lines,
        batches,
        duration_ms,
        items_per_s: read as f64 * 1e3 / duration_ms as f64,
        peak_lanes: peak_lanes as u64,
        plugins: chain.plugins_used(),
        fates,
        performance: Some(summary.performance),
        problems: summary.problems,
        error: error_report_of(&error),
    };
    match error {
        Some(error) if failed || error.code() != Code::BatchPartial => {
            Err(RunFailure { report: Some(Box::new(report)), error })
        }
        _ => Ok(report),
    }
}

/// Those that were put off while the run filled its collection.
fn build_indexes(job: &Job, writer: &WriterService, key: u64, teller: &mut Teller) -> Result<()> {
    if job.dry_run {
        return Ok(());
    }
    let collection = job.collection.clone();
    for built in writer.ask_for(key, move |processor| processor.build_indexes(&collection))? {
        teller.index_built(&job.collection, &built);
    }
    Ok(())
}

fn error_report_of(error: &Option<Error>) -> Option<ErrorReport> {
    error.as_ref().map(ErrorReport::from)
}

fn crossed(counts: &Counts, job: &Job, resumable: bool) -> Error {
    let (failed, read) = (counts.failed(), counts.read);
    let message = match job.max_rejects {
        Some(RejectLimit::Window { failed: k, items }) => format!(
            "stopped by --max-rejects {k}/{items}: more than {k} of {items} items in a row were rejected or dead-lettered, {failed} of {read} in all"
        ),
        _ => format!("stopped by --max-rejects: {failed} of {read} items were rejected or dead-lettered"),
    };
    Error::new(Code::BatchPartial, message).hint(match job.atomic {
        Atomicity::Batch if resumable => {
            "see `atlas-host dead-letters list`; the same command with a higher --max-rejects continues"
        }
        Atomicity::Batch => {
            "see `atlas-host dead-letters list`; the input cannot be read again; if it was a pipe, `atlas-host runs resume` goes on with its items in a file"
        }
        Atomicity::Run => {
            "nothing is kept; --dry-run lists every refused item, and a higher --max-rejects lets them pass"
        }
    })
}

/// The report of a run that an earlier execution of the same command has finished.
pub(crate) fn complete(store: Option<&Path>, row: &RunRow) -> RunReport {
    RunReport {
        schema: REPORT_SCHEMA,
        run: row.run.0,
        uuid: row.uuid.clone(),
        status: row.status,
        success: row.status == RunStatus::Succeeded,
        dry_run: false,
        atomic: row.atomic.clone(),
        already_complete: true,
        store: store.map(|path| path.display().to_string()),
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
        performance: None,
        problems: Vec::new(),
        error: None,
    }
}
