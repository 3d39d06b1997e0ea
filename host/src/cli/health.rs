//! `health`: is the machine fit, and the store? For scripts: the exit code says it.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::common::{OutputArg, StoreArg};
use super::print::Printer;
use super::runs::{SCHEMA, held, status};
use super::spec::{duration, fields};
use super::thresholds::ThresholdArgs;
use crate::error::Result;
use crate::event::{ErrorReport, HealthStatus};
use crate::limits::SHARE_ITEMS_MIN;
use crate::model::{BatchNumber, RunStatus};
use crate::monitor::{Condition, Reason, Sample, Sensor, SystemSensor, reasons, words, worst};
use crate::store::{BatchRow, Reader, RunRow};

/// CPU use is a difference: between two readings that lie this far apart.
const BETWEEN_READINGS: Duration = Duration::from_millis(300);
/// The newest batches of the last run, which are judged: as many as a run itself looks at.
const RECENT_BATCHES: u64 = 32;
/// Exit code of a host that is degraded or unhealthy.
const NOT_HEALTHY: u8 = 3;

/// Judge machine and store: healthy (exit code 0), or degraded or unhealthy (exit code 3)
///
/// Judged are memory and CPU of the machine, the store's write-ahead log, the space left for it, and the last run: how it
/// ended, and of its newest 32 batches the share of items rejected or dead-lettered, unless they are fewer than 20, and the
/// time that a batch took. A run at work is no fault, nor is the CPU that it uses. A store that cannot be read is exit code 5.
#[derive(Args, Debug)]
pub struct HealthArgs {
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten, next_help_heading = "Thresholds")]
    thresholds: ThresholdArgs,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Serialize)]
struct Document {
    schema: u32,
    status: HealthStatus,
    reasons: Vec<Reason>,
    cpu_share: Option<f64>,
    memory_share: Option<f64>,
    wal_bytes: Option<u64>,
    disk_free_bytes: Option<u64>,
    /// A process holds the right to write.
    held: bool,
    last_run: Option<LastRun>,
}

#[derive(Serialize)]
struct LastRun {
    run: u64,
    status: &'static str,
    /// Of the whole run.
    items: u64,
    failed: u64,
    /// Of the newest batches; 0 where they have too few items to say.
    error_share: f64,
    /// Mean time of the newest batches from cut to last decision.
    response_ms: Option<f64>,
}

/// Exit code 0 or 3.
pub fn run(args: HealthArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    let held = held(reader.path());
    let row = reader.runs(1)?.pop();
    let newest = row.as_ref().map(|row| newest(&reader, row)).transpose()?.unwrap_or_default();
    let response = response(&newest);
    let last = row.as_ref().map(|row| LastRun::of(row, held, error_share(&newest), response));
    let sample = sample(SystemSensor::of_store(reader.path()));
    let error_share = last.as_ref().map_or(0.0, |last| last.error_share);
    let mut reasons = reasons(sample, error_share, response, &args.thresholds.thresholds());
    // To use all CPUs is what a run is for.
    reasons.retain(|reason| !(held && reason.condition == Condition::Cpu));
    reasons.extend(row.as_ref().and_then(|row| ended_badly(row, held)));
    let document = Document {
        schema: SCHEMA,
        status: worst(&reasons),
        reasons,
        cpu_share: sample.cpu_share,
        memory_share: sample.memory_share,
        wal_bytes: sample.wal_bytes,
        disk_free_bytes: sample.disk_free_bytes,
        held,
        last_run: last,
    };
    if args.output.json() {
        printer.json(&document)?;
    } else {
        printer.line(&text(&document))?;
    }
    Ok(if document.status == HealthStatus::Healthy { 0 } else { NOT_HEALTHY })
}

fn sample(mut sensor: SystemSensor) -> Sample {
    sensor.sample();
    std::thread::sleep(BETWEEN_READINGS);
    sensor.sample().usable()
}

fn newest(reader: &Reader, row: &RunRow) -> Result<Vec<BatchRow>> {
    let from = BatchNumber(row.batches.saturating_sub(RECENT_BATCHES));
    reader.batches(row.run, from, RECENT_BATCHES as usize)
}

fn response(batches: &[BatchRow]) -> Option<Duration> {
    let times: Vec<u64> = batches.iter().filter_map(|batch| Some(batch.metrics?.compute_us)).collect();
    let sum = times.iter().copied().fold(0, u64::saturating_add);
    sum.checked_div(times.len() as u64).map(Duration::from_micros)
}

fn error_share(batches: &[BatchRow]) -> f64 {
    let items: u64 = batches.iter().map(|batch| batch.counts.read).sum();
    let failed: u64 = batches.iter().map(|batch| batch.counts.failed()).sum();
    if items < SHARE_ITEMS_MIN { 0.0 } else { failed as f64 / items as f64 }
}

impl LastRun {
    fn of(row: &RunRow, held: bool, error_share: f64, response: Option<Duration>) -> Self {
        Self {
            run: row.run.0,
            status: status(row, held),
            items: row.counts.read,
            failed: row.counts.failed(),
            error_share,
            response_ms: response.map(|time| time.as_secs_f64() * 1e3),
        }
    }
}

/// A run that is at work, or came to its end, says nothing by that; items that failed are judged by their share.
fn ended_badly(row: &RunRow, held: bool) -> Option<Reason> {
    let (run, words) = (row.run, status(row, held));
    let (status, what) = match row.status {
        RunStatus::Succeeded | RunStatus::Partial => return None,
        RunStatus::Running if held => return None,
        RunStatus::Failed if row.is_resumable() => (HealthStatus::Unhealthy, "run it again: it continues"),
        RunStatus::Failed => (
            HealthStatus::Unhealthy,
            "its input cannot be read again; a pipe's items go on from a file by `runs resume`",
        ),
        _ => (HealthStatus::Degraded, "the same command continues it, or begins anew"),
    };
    let error: Option<ErrorReport> = row.error_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let why = error.map_or(String::new(), |error| format!(" ({}: {})", error.code, error.message));
    let message = format!("the last run, {run}, is {words}{why}; {what}");
    Some(Reason { condition: Condition::LastRun, status, value: 1.0, threshold: 0.0, message })
}

fn text(document: &Document) -> String {
    let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{} in use", words::percent(share)));
    let because: Vec<&str> = document.reasons.iter().map(|reason| reason.message.as_str()).collect();
    let status = match document.status {
        HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Unhealthy => "unhealthy",
    };
    let last = document.last_run.as_ref().map_or("no run yet".to_owned(), |last| {
        let time = last.response_ms.map_or(String::new(), |ms| format!(", {} a batch", duration(ms.round() as u64)));
        let failed = words::percent(last.failed as f64 / last.items.max(1) as f64);
        format!("{}, {}: {} of {} items failed ({failed}){time}", last.run, last.status, last.failed, last.items)
    });
    fields(&[
        ("health", status.to_owned()),
        ("because", because.join("\n")),
        ("memory", share(document.memory_share)),
        ("CPU", share(document.cpu_share)),
        ("log", document.wal_bytes.map_or(String::new(), words::bytes)),
        ("space", document.disk_free_bytes.map_or(String::new(), |free| format!("{} left", words::bytes(free)))),
        ("held", if document.held { "by a process at work" } else { "by nobody" }.to_owned()),
        ("last run", last),
    ])
}
