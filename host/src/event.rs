//! What the coordinator tells the world. Monitors, `--events`, reports and tests only consume these.
//!
//! As JSON each event is one line with the members of [`Envelope`] and those of its event, flattened.
//! The schema only grows within a version: readers ignore members they do not know.

use serde::{Deserialize, Serialize};

use crate::model::{BatchMetrics, Counts, Fate, Phase, RunStatus};

/// Version of the event schema.
pub const EVENT_SCHEMA: u32 = 1;

/// An event with its place in the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`EVENT_SCHEMA`].
    pub schema: u32,
    /// Position in the stream of this run, from 0, without gaps.
    pub seq: u64,
    /// Wall clock, milliseconds since the Unix epoch (UTC).
    pub time_ms: i64,
    /// Monotonic time since the run began, in microseconds.
    pub elapsed_us: u64,
    /// Number of the run within its store; 0 where nothing is stored.
    pub run: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. `run-started` is the first event of a run and `run-ended` the last; each comes exactly once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run begins or goes on.
    RunStarted(Box<RunStarted>),
    /// The strategy gave another plan than before, or its first. `batch` is the first one cut by it.
    PlanChosen {
        batch: u64,
        batch_size: u64,
        lanes: u64,
        #[serde(default)]
        old_batch_size: Option<u64>,
        #[serde(default)]
        old_lanes: Option<u64>,
        /// In words, with the figures that led to it.
        reason: String,
    },
    /// Bounds were changed while the run was under way; in force from the next plan.
    BoundsChanged { setting: String, value: String },
    /// A batch was cut and goes to the lanes.
    BatchStarted {
        batch: u64,
        first_ordinal: u64,
        last_ordinal: u64,
        items: u64,
        /// Plan it was cut by.
        batch_size: u64,
        lanes: u64,
        /// Slots of the plugins that work on it, operations last.
        slots: Vec<String>,
    },
    /// A transient failure; the item is tried again.
    ItemRetried { batch: u64, ordinal: u64, id: String, attempt: u32, delay_ms: u64, code: String },
    /// Chunks at work changed: how many lanes this run uses now.
    LanesInUse { lanes: u64 },
    /// A write transaction began, for these batches (a group).
    TransactionBegan { group: u64, first_batch: u64, last_batch: u64 },
    /// It committed.
    TransactionCommitted { group: u64, duration_us: u64 },
    /// It was rolled back; nothing of it is kept.
    TransactionRolledBack { group: u64, reason: String },
    /// COMMIT returned: the batch survives kill -9, and power loss under `--durability full`.
    BatchCommitted(Box<BatchCommitted>),
    /// The batch was given up before its commit; its items are read again by the next run.
    BatchAbandoned { batch: u64, reason: String },
    /// One item that was rejected or dead-lettered; follows its batch's `batch-committed`.
    ItemFailed {
        batch: u64,
        ordinal: u64,
        /// Empty where the bytes are no item.
        id: String,
        fate: Fate,
        phase: Phase,
        code: String,
        message: String,
        attempts: u32,
        #[serde(default)]
        slot: Option<String>,
        /// Input file, line and byte offset it came from.
        input: String,
        line: u64,
        offset: u64,
    },
    /// Log lines of a plugin beyond their bound were dropped.
    LogDropped { batch: u64, slot: String, lines: u64 },
    /// A condition began. Raised once until it is cleared.
    AlertRaised {
        /// Such as `SLOW_BATCH_PROCESSING`.
        alert: String,
        batch: u64,
        /// What was measured and what it was compared with, in milliseconds where the alert is about time, else 0..1.
        value: f64,
        threshold: f64,
        message: String,
    },
    /// The condition ended.
    AlertCleared { alert: String, batch: u64, value: f64, threshold: f64 },
    /// The host's health, when it was sampled. Shares are 0..1; absent where a sensor gave nothing.
    HealthSampled {
        status: HealthStatus,
        #[serde(default)]
        cpu_share: Option<f64>,
        #[serde(default)]
        memory_share: Option<f64>,
        #[serde(default)]
        process_bytes: Option<u64>,
        error_share: f64,
    },
    /// How far the run is. Never goes backwards.
    Progressed {
        items: u64,
        bytes: u64,
        #[serde(default)]
        total_items: Option<u64>,
        #[serde(default)]
        total_bytes: Option<u64>,
        /// 0..1 where a total is known; 1 exactly at the end of a finished run.
        #[serde(default)]
        share: Option<f64>,
        items_per_s: f64,
        #[serde(default)]
        remaining_ms: Option<u64>,
    },
    /// The run is over. Comes after the last commit.
    RunEnded(Box<RunEnded>),
}

/// See [`Event::RunStarted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct RunStarted {
    pub uuid: String,
    /// Path of the store; empty where nothing is stored.
    pub store: String,
    pub collection: String,
    pub inputs: Vec<String>,
    pub strategy: String,
    pub processor: String,
    /// `batch` or `run`.
    pub atomic: String,
    pub dry_run: bool,
    /// Ordinal at which it goes on; 0 for a new run.
    pub resumed_at: u64,
    pub total_items: Option<u64>,
    pub total_bytes: Option<u64>,
    pub batch_size_min: u64,
    pub batch_size_max: u64,
    pub lanes_min: u64,
    pub lanes_max: u64,
    pub attempts: u32,
    pub plugins: Vec<PluginUsed>,
}

/// A plugin of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginUsed {
    pub slot: String,
    /// `operation` or `validator`.
    pub role: String,
    /// File name, or `native` for a closure.
    pub name: String,
    /// `blake3:…`; empty for a closure.
    pub digest: String,
}

/// See [`Event::BatchCommitted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchCommitted {
    pub batch: u64,
    pub first_ordinal: u64,
    pub last_ordinal: u64,
    /// Group (transaction) it was in.
    pub group: u64,
    #[serde(flatten)]
    pub counts: Counts,
    /// Fate of every record as runs of ordinals: fate, first, last.
    pub fates: Vec<(Fate, u64, u64)>,
    /// Digest per slot.
    pub digests: Vec<(String, String)>,
    /// Ordinal at which a continued run goes on.
    pub checkpoint: u64,
    pub metrics: BatchMetrics,
}

/// See [`Event::RunEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnded {
    pub status: RunStatus,
    pub success: bool,
    #[serde(flatten)]
    pub counts: Counts,
    /// Blank lines, which are no records.
    pub blank_lines: u64,
    pub batches: u64,
    pub duration_ms: u64,
    #[serde(default)]
    pub error: Option<ErrorReport>,
}

/// An error as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    pub code: String,
    pub message: String,
    /// The causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    pub hint: String,
}

impl From<&crate::error::Error> for ErrorReport {
    fn from(error: &crate::error::Error) -> Self {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        Self {
            code: error.code().as_str().to_owned(),
            message: error.to_string(),
            causes,
            hint: error.hint_text().to_owned(),
        }
    }
}

/// Judgement over the samples of the health monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    Healthy,
    Degraded,
    Unhealthy,
}
