//! What a report shows. Serialised, it is the report for programs. `gather` puts it together.

mod gather;

use serde::{Deserialize, Serialize};

use super::events::{Health, Recorded, RolledBack};
use super::fold::{BatchFold, Execution};
use super::history::{Departure, EarlierRun};
use super::swaps::Swap;
use super::timeline::{Abandoned, Part};
use crate::event::ErrorReport;
use crate::model::{Counts, PluginMetrics, RunStatus};
use crate::monitor::{IdleTimes, ItemTimes, Recommendations};
use crate::store::{PlanRow, RunRow, SwapRow};

/// Version of the report for programs; within a version it only grows.
pub const SCHEMA: u32 = 1;
/// What the caller knows of a run beside its row: it has the clock, the lock and the form of times.
#[derive(Debug, Clone)]
pub struct Facts {
    pub status: RunStatus,
    /// Of the last execution; until now for a run at work.
    pub duration_ms: Option<u64>,
    pub items_per_s: Option<f64>,
    pub started: String,
    pub ended: Option<String>,
    /// When the report is made.
    pub made: String,
    pub inputs: Vec<String>,
    pub store: String,
}

/// What a report is made from.
#[derive(Debug)]
pub struct Sources {
    pub run: RunRow,
    pub facts: Facts,
    /// All batches of the run have gone through it.
    pub fold: BatchFold,
    pub plans: Vec<PlanRow>,
    /// Steps of plugins that were exchanged or were to be, in their order.
    pub swaps: Vec<SwapRow>,
    /// Most frequent first.
    pub problems: Vec<Problem>,
    /// Failed items whose problem is not among them.
    pub other_problems: u64,
    pub recorded: Option<Recorded>,
    /// In the order of their numbers, this one among them.
    pub past: Vec<EarlierRun>,
    /// What these runs have in common, in words.
    pub past_basis: String,
    /// What items took in plugins over these runs.
    pub past_times: Option<ItemTimes>,
    pub recommendations: Option<Recommendations>,
}

/// A report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub schema: u32,
    /// Version of the program that made it.
    pub version: &'static str,
    pub made: String,
    pub run: Head,
    pub throughput: Throughput,
    pub controller: Controller,
    pub timeline: Batches,
    pub latency: Latency,
    /// Where the time went: sums over batches and lanes.
    pub time: Vec<Share>,
    /// Time in which a part of the host had nothing to do; none where that is not known of the whole run.
    pub idle: Option<IdleTimes>,
    /// Largest memory of the process, in bytes; none where no sensor told.
    pub process_bytes_peak: Option<u64>,
    pub indexes_built: u64,
    pub index_build_us: u64,
    pub problems: Vec<Problem>,
    pub other_problems: u64,
    pub plugins: Vec<Plugin>,
    pub history: History,
    pub recommendations: Option<Recommendations>,
    /// True if recorded events were at hand.
    pub events: bool,
    /// Lines of the recording that could not be read.
    pub unreadable_events: u64,
}

/// The run as a whole.
#[derive(Debug, Clone, Serialize)]
pub struct Head {
    pub run: u64,
    pub uuid: String,
    pub status: RunStatus,
    pub collection: String,
    pub store: String,
    pub inputs: Vec<String>,
    pub strategy: String,
    pub started: String,
    pub ended: Option<String>,
    pub duration_ms: Option<u64>,
    pub items_per_s: Option<f64>,
    #[serde(flatten)]
    pub counts: Counts,
    pub blank_lines: u64,
    pub batches: u64,
    pub executions: u64,
    /// Guest time per item.
    pub item_p50_ns: u64,
    pub item_p95_ns: u64,
    pub item_p99_ns: u64,
    pub error: Option<ErrorReport>,
    /// Batches of which the history keeps no times any more.
    pub batches_without_times: u64,
}

/// Section 2.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    /// Width of a step.
    pub step_us: u64,
    /// End of the time axis.
    pub end_us: u64,
    pub steps: Vec<Step>,
    pub alerts: Vec<Alert>,
    pub swaps: Vec<Swap>,
    pub rolled_back: Vec<RolledBack>,
    pub executions: Vec<Execution>,
}

/// What happened in a step of time.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub from_us: u64,
    pub items_per_s: f64,
    /// None where no item was committed.
    pub error_share: Option<f64>,
    pub retries: u64,
    /// 95 of 100 batches committed in it were faster, from cut to commit; none where none was committed.
    pub batch_p95_us: Option<u64>,
}

/// An alert with its beginning and end.
#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    pub alert: String,
    pub batch: u64,
    pub from_us: u64,
    /// None while it lasts.
    pub to_us: Option<u64>,
    pub value: f64,
    pub threshold: f64,
    pub message: String,
}

/// Section 3.
#[derive(Debug, Clone, Serialize)]
pub struct Controller {
    pub plans: Vec<PlanStep>,
    /// Changes that are not among them.
    pub plans_left_out: usize,
    /// Samples, from the events where there are any, else from the plans.
    pub health: Vec<Health>,
    /// Chunks at work, from the events.
    pub lanes_in_use: Vec<(u64, u64)>,
    /// The fixed setting that was best in the history, where one was measured.
    pub best_fixed: Option<BestFixed>,
    /// What 95 of 100 batches were to stay below, where that was wanted.
    pub batch_time_max_us: Option<u64>,
}

/// A setting that earlier runs kept long enough to be measured, and that was the best of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BestFixed {
    pub batch_size: u64,
    pub lanes: u64,
}

/// A change of plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlanStep {
    /// From 1.
    pub number: usize,
    /// First batch that was cut by it.
    pub batch: u64,
    /// None where that batch was not committed.
    pub at_us: Option<u64>,
    pub batch_size: u64,
    pub lanes: u64,
    /// At the most.
    pub batches_in_flight: u64,
    pub old_batch_size: Option<u64>,
    pub old_lanes: Option<u64>,
    pub old_batches_in_flight: Option<u64>,
    pub reason: String,
    #[serde(flatten)]
    pub seen: Seen,
}

/// What a plan rested on, as far as the report shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    pub cpu_share: Option<f64>,
    pub memory_share: Option<f64>,
    pub process_bytes: Option<u64>,
    pub lanes_busy: Option<f64>,
    pub writer_busy: Option<f64>,
    pub batch_time_max_us: Option<u64>,
}

/// Section 4.
#[derive(Debug, Clone, Serialize)]
pub struct Batches {
    pub parts: Vec<Part>,
    /// Batches in none of them.
    pub left_out: usize,
    /// Begun and not committed, from the events.
    pub abandoned: Vec<Abandoned>,
    /// Those of them that are left out.
    pub abandoned_left_out: u64,
}

/// Section 5.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub rows: Vec<LatencyRow>,
    /// From cut to commit, in microseconds.
    pub batches: Heat,
    /// Guest time per item, in nanoseconds.
    pub items: Heat,
}

/// Percentiles of one phase, in nanoseconds.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyRow {
    pub name: &'static str,
    /// What was counted: `batch`, `item` or `transaction`.
    pub per: &'static str,
    pub count: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

/// How often which time was needed when.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Heat {
    /// Width of a column.
    pub column_us: u64,
    pub columns: usize,
    /// Lower ends of the rows, and the upper end of the last one.
    pub bounds: Vec<u64>,
    /// Column, row, count; empty cells are left out.
    pub cells: Vec<(usize, usize, u64)>,
}

/// A part of the time.
#[derive(Debug, Clone, Serialize)]
pub struct Share {
    pub name: String,
    /// `read`, `guest`, `host`, `write`, `commit` or `idle`.
    pub kind: &'static str,
    pub us: u64,
}

/// A problem that items had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub code: String,
    pub phase: String,
    pub fate: String,
    pub slot: Option<String>,
    pub items: u64,
    pub sample: Option<Sample>,
}

/// An item that had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub dead_letter: i64,
    /// None where the bytes are no item.
    pub id: Option<String>,
    pub input: String,
    pub line: u64,
    pub message: String,
    /// The beginning of its bytes; none once discarded.
    pub original: Option<String>,
}

/// A plugin of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plugin {
    pub slot: String,
    pub role: String,
    pub name: String,
    pub digest: Option<String>,
    pub from_batch: u64,
    /// What it did, as far as batches are committed; none where that is not known.
    pub did: Option<PluginMetrics>,
    /// How long it took to make it ready; none where that is not known.
    pub prepare_us: Option<u64>,
    /// True where it was compiled before and the cache had it.
    pub from_cache: Option<bool>,
}

/// Section 9.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// What the runs have in common.
    pub basis: String,
    pub runs: Vec<EarlierRun>,
    pub departures: Vec<Departure>,
    /// What items took in plugins over all of these runs.
    pub item_times: Option<ItemTimes>,
}
