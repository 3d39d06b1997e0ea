//! What the coordinator tells the world. Monitors, `--events`, reports and tests only consume these.
//!
//! As JSON each event is one line with the members of [`Envelope`] and those of its event, flattened.
//! The schema only grows within a version: readers ignore members they do not know.

mod swap;

pub use swap::{SwapDiffering, SwapFigures, SwapStep};

use serde::{Deserialize, Serialize};

use crate::model::{BatchMetrics, ChunkSpan, Counts, Fate, Phase, PluginMetrics, RunStatus};

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
        /// Items at the most.
        batch_size: u64,
        /// Chunks computed at the same time, at the most.
        lanes: u64,
        /// Batches under way at the most.
        #[serde(default)]
        batches_in_flight: u64,
        /// What the plan before said; absent for the first.
        #[serde(default)]
        old_batch_size: Option<u64>,
        #[serde(default)]
        old_lanes: Option<u64>,
        /// What the plan before said; absent for the first.
        #[serde(default)]
        old_batches_in_flight: Option<u64>,
        /// In words, with the figures that led to it.
        reason: String,
        /// What it rests on, beside the batches committed so far.
        #[serde(default)]
        inputs: Box<PlanInputs>,
    },
    /// The strategy was asked for a plan and gave the one before again. With these, `plan-chosen` and the committed batches a
    /// recording holds all that a strategy has seen: given the same again, it makes the same plans.
    PlanKept {
        batch: u64,
        /// What it rests on, beside the batches committed so far.
        inputs: Box<PlanInputs>,
    },
    /// Bounds were changed while the run was under way; in force from the next plan.
    BoundsChanged {
        /// Which one, as its flag is called.
        setting: String,
        /// What it is now.
        value: String,
    },
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
    TransactionBegan {
        group: u64,
        /// Absent where the transaction is that of the whole run.
        #[serde(default)]
        first_batch: Option<u64>,
        #[serde(default)]
        last_batch: Option<u64>,
    },
    /// It committed.
    TransactionCommitted { group: u64, duration_us: u64 },
    /// It was rolled back; nothing of it is kept.
    TransactionRolledBack {
        group: u64,
        /// In words.
        reason: String,
    },
    /// COMMIT returned: the batch survives kill -9, and power loss under `--durability full`.
    BatchCommitted(Box<BatchCommitted>),
    /// The batch is written in a transaction that is still open: that of `--atomic run`, which the end of the run commits or
    /// rolls back, or that of a dry run. Takes the place of `batch-committed` there.
    BatchApplied(Box<BatchCommitted>),
    /// An index whose entries were put off while the run filled its collection is built.
    IndexBuilt {
        collection: String,
        index: String,
        /// How long it took.
        duration_us: u64,
    },
    /// The batch was given up before its commit; its items are read again by the next run.
    BatchAbandoned {
        batch: u64,
        /// In words.
        reason: String,
    },
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
        /// Input it came from.
        input: String,
        /// Its line there, from 1; for CSV, TSV and JSON arrays its number.
        line: u64,
        /// Its first byte there, after decompression, from 0.
        offset: u64,
    },
    /// Log lines of a plugin beyond their bound were dropped.
    LogDropped {
        batch: u64,
        slot: String,
        /// How many.
        lines: u64,
    },
    /// A condition began. Raised once until it is cleared.
    AlertRaised {
        /// Such as `SLOW_BATCH_PROCESSING`.
        alert: String,
        batch: u64,
        /// What was measured: milliseconds where the alert is about time, bytes where it is about sizes, items where it is about how many were read, transactions where they are rolled back, else 0..1.
        value: f64,
        /// What it was compared with.
        threshold: f64,
        message: String,
    },
    /// The condition ended.
    AlertCleared {
        /// The alert that was raised.
        alert: String,
        batch: u64,
        /// What was measured now.
        value: f64,
        /// What it was compared with.
        threshold: f64,
    },
    /// The host's health, when it was sampled. Shares are 0..1; absent where a sensor gave nothing.
    HealthSampled {
        /// The judgement over all of them.
        status: HealthStatus,
        /// Of all cores of the machine.
        #[serde(default)]
        cpu_share: Option<f64>,
        /// Of the machine's memory in use, by whomever.
        #[serde(default)]
        memory_share: Option<f64>,
        /// Memory of this process.
        #[serde(default)]
        process_bytes: Option<u64>,
        /// Rejected and dead-lettered items among those of late.
        error_share: f64,
        /// Mean time of the batches of late, from the cut to the last decision.
        #[serde(default)]
        response_us: Option<u64>,
        /// Size of the store's write-ahead log.
        #[serde(default)]
        wal_bytes: Option<u64>,
        /// Space that is left where the store lies.
        #[serde(default)]
        disk_free_bytes: Option<u64>,
    },
    /// A candidate for a slot has come: another plugin, to take the place of the one in force.
    SwapRequested(Box<SwapStep>),
    /// The candidate fits the contract and the slot, and is compiled.
    SwapCompiled(Box<SwapStep>),
    /// It was started in a fresh sandbox.
    SwapProbed(Box<SwapStep>),
    /// Old and new were given the items of late beside each other, and the new one the open dead letters of the slot.
    SwapTried(Box<SwapStep>),
    /// The candidate was run beside the old one on live batches, without storing (`--shadow`).
    SwapShadowed(Box<SwapStep>),
    /// The candidate works on this batch and those after it. It is on probation, unless it was in force before.
    SwapTookEffect(Box<SwapStep>),
    /// Its probation is over: it stays.
    SwapSettled(Box<SwapStep>),
    /// The candidate failed a step before any batch saw it; the old one goes on.
    SwapRefused(Box<SwapStep>),
    /// It failed its probation: the old one works on this batch and those after it.
    SwapPutBack(Box<SwapStep>),
    /// It is not in effect: a newer one came before its probation was over, or the run ended before it took effect; or the same
    /// plugin is in force already.
    SwapSkipped(Box<SwapStep>),
    /// How far the run is. Never goes backwards.
    Progressed {
        /// Items that have their fate, those of earlier executions of the run included.
        items: u64,
        /// Of this execution: those that are in the store.
        stored: u64,
        /// Those that a rule refused.
        rejected: u64,
        /// Those that failed.
        dead_lettered: u64,
        /// Those that the operation left out.
        dropped: u64,
        /// Bytes of the input read for them, as it lies on disk.
        bytes: u64,
        /// Items of the input, where that is known, else the limit that is set.
        #[serde(default)]
        total_items: Option<u64>,
        /// Bytes of the input as it lies on disk; absent for pipes.
        #[serde(default)]
        total_bytes: Option<u64>,
        /// 0..1 where a total is known; 1 exactly at the end of a finished run.
        #[serde(default)]
        share: Option<f64>,
        /// Of late.
        items_per_s: f64,
        /// Until the end at this speed, where a total is known.
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
    /// Name of the run, sorted by time; unlike its number the same in no other store.
    pub uuid: String,
    /// Path of the store; empty where nothing is stored.
    pub store: String,
    /// Collection that items go to.
    pub collection: String,
    /// Inputs in the order in which they are read.
    pub inputs: Vec<String>,
    /// Its name, as `--strategy` takes it.
    pub strategy: String,
    /// Its name, as `--processor` takes it.
    pub processor: String,
    /// `batch` or `run`.
    pub atomic: String,
    /// True if everything will be undone at the end.
    pub dry_run: bool,
    /// Ordinal at which it goes on; 0 for a new run.
    pub resumed_at: u64,
    /// False where the input cannot be read a second time, so that the same command does not continue this run.
    pub resumable: bool,
    /// Items of the input, where that is known, else the limit that is set (`--limit`): there may be fewer.
    pub total_items: Option<u64>,
    /// Bytes of the input as it lies on disk; none for pipes.
    pub total_bytes: Option<u64>,
    /// Bounds of every plan, in items.
    pub batch_size_min: u64,
    /// The other bound.
    pub batch_size_max: u64,
    /// Bounds of every plan, in lanes.
    pub lanes_min: u64,
    /// The other bound.
    pub lanes_max: u64,
    /// Attempts per item at the most.
    pub attempts: u32,
    /// Validators first, then the operations.
    pub plugins: Vec<PluginUsed>,
}

/// What a plan rests on. Shares are 0..1; what no sensor gave is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanInputs {
    /// Bounds in force, in items.
    pub batch_size_min: u64,
    /// The other bound.
    pub batch_size_max: u64,
    /// Bounds in force, in lanes.
    pub lanes_min: u64,
    /// The other bound.
    pub lanes_max: u64,
    /// Where an earlier run said to begin, as JSON; with the first plan only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// `throughput` or `latency`.
    pub aim: String,
    /// What 95 of 100 batches should stay below, from cut to commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_time_max_us: Option<u64>,
    /// Items not accounted for yet, where the size of the input is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_left: Option<u64>,
    /// Items per second over the batches of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_per_s: Option<f64>,
    /// Rejected and dead-lettered items among those of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_share: Option<f64>,
    /// 95 of 100 batches of late were faster, from cut to commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_p95_us: Option<u64>,
    /// Of all cores of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_share: Option<f64>,
    /// Of the memory of the machine, or of the memory group, by whomever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_share: Option<f64>,
    /// Memory of this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_bytes: Option<u64>,
    /// What it should stay below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_budget_bytes: Option<u64>,
    /// Part of the lanes that was at work, since about the last plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes_busy: Option<f64>,
    /// Part of the time that the writer was at work, since about the last plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer_busy: Option<f64>,
    /// Size of the store's write-ahead log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wal_bytes: Option<u64>,
    /// True if the host was judged unhealthy.
    pub unhealthy: bool,
    /// From here on memory in use makes plans give way.
    pub memory_share_max: f64,
    /// From here on failed items do.
    pub error_share_max: f64,
    /// From here on the write-ahead log does.
    pub wal_bytes_max: u64,
}

/// A plugin of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PluginUsed {
    pub slot: String,
    /// `operation` or `validator`.
    pub role: String,
    /// File name, or `native` for a closure.
    pub name: String,
    /// `blake3:…`; empty for a closure.
    pub digest: String,
    /// How long it took to read, check and compile it, or to take it from the cache; 0 for a closure.
    #[serde(default)]
    pub prepare_us: u64,
    /// True if it was compiled before and the cache had it.
    #[serde(default)]
    pub from_cache: bool,
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
    /// When the COMMIT of its group returned (of an open transaction: its last statement), in microseconds since the run began.
    #[serde(default)]
    pub committed_us: u64,
    /// Times and sizes.
    pub metrics: BatchMetrics,
    /// Which lane computed which part of it when; the first of them where there are very many.
    #[serde(default)]
    pub chunks: Vec<ChunkSpan>,
    /// What each plugin did, in the order of the slots.
    #[serde(default)]
    pub plugins: Vec<PluginMetrics>,
}

/// See [`Event::RunEnded`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnded {
    /// The word for it.
    pub status: RunStatus,
    /// True if nothing failed and nothing was rejected.
    pub success: bool,
    #[serde(flatten)]
    pub counts: Counts,
    /// Blank lines, which are no records.
    pub blank_lines: u64,
    pub batches: u64,
    pub duration_ms: u64,
    /// What stopped it, if something did.
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
    /// What to do next.
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
