//! What a strategy sees: bounds, recent batches, and the state of the host.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{PhaseCosts, Tolerance};
use crate::limits::{BATCH_SIZE_MAX, BATCH_SIZE_MIN, BATCHES_IN_FLIGHT_MAX, WAL_CHECKPOINT_BYTES};
use crate::model::{BatchMetrics, Counts};

/// Samples kept. As many batches may be committed between two plans as may be under way, and none may be missed.
pub const SAMPLES_MAX: usize = BATCHES_IN_FLIGHT_MAX;
/// Write-ahead log from which on plans give way if nothing else is set, in bytes: four times what a checkpoint is made after, so that the
/// checkpoints clearly no longer keep up. Pages have 4 KiB.
pub const WAL_BYTES_MAX: u64 = 4 * WAL_CHECKPOINT_BYTES;
/// A reading of how busy lanes or writer are spans less time than the samples do, but is hardly so much lower.
const PLAUSIBLE: f64 = 0.5;
/// The bound on the time of one batch where the aim is latency and none is given, in microseconds.
pub const LATENCY_US: u64 = 250_000;

/// Numbers from `min` to `max`, both included; 1 <= min <= max.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(usize, usize)", into = "(usize, usize)")]
pub struct Interval {
    min: usize,
    max: usize,
}

impl Interval {
    /// None if `min` is 0 or above `max`.
    pub fn new(min: usize, max: usize) -> Option<Self> {
        (1 <= min && min <= max).then_some(Self { min, max })
    }

    /// Only this number.
    pub fn fixed(number: NonZeroUsize) -> Self {
        Self { min: number.get(), max: number.get() }
    }

    /// Smallest number.
    pub fn min(self) -> usize {
        self.min
    }

    /// Largest number.
    pub fn max(self) -> usize {
        self.max
    }

    /// Every number of the other is one of these.
    pub fn holds(self, other: Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    /// The nearest number inside.
    pub fn clamp(self, number: usize) -> usize {
        number.clamp(self.min, self.max)
    }
}

impl TryFrom<(usize, usize)> for Interval {
    type Error = &'static str;

    fn try_from((min, max): (usize, usize)) -> Result<Self, Self::Error> {
        Self::new(min, max).ok_or("an interval is [min, max] with 1 <= min <= max")
    }
}

impl From<Interval> for (usize, usize) {
    fn from(interval: Interval) -> Self {
        (interval.min, interval.max)
    }
}

/// What is to be good about plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// Most items per second.
    #[default]
    Throughput,
    /// A short time from the cut of a batch to its commit, and most items per second within that.
    Latency,
}

impl Aim {
    /// As `--aim` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
        }
    }
}

/// What plans must stay within. They may change while a run is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Items per batch.
    pub batch_size: Interval,
    /// Chunks computed at the same time.
    pub lanes: Interval,
    /// What earlier runs found to be good, if anything.
    #[serde(default)]
    pub start: Option<Start>,
}

/// Where an adaptive run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Items per batch.
    pub batch_size: usize,
    /// Lanes.
    pub lanes: usize,
    /// Where this comes from, for the reason, such as `run 7`.
    pub source: String,
    /// What a batch cost there. Where it rests on many batches, the run begins with less searching.
    #[serde(default)]
    pub costs: Option<PhaseCosts>,
}

impl Bounds {
    /// The default batch sizes, and 1 to `cores` lanes.
    pub fn of_cores(cores: NonZeroUsize) -> Self {
        Self {
            batch_size: Interval { min: BATCH_SIZE_MIN, max: BATCH_SIZE_MAX },
            lanes: Interval { min: 1, max: cores.get() },
            start: None,
        }
    }
}

/// One committed batch, as far as planning goes. Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BatchSample {
    /// Its number.
    pub batch: u64,
    /// Size that its plan asked for.
    pub plan_size: u64,
    /// Lanes that its plan asked for.
    pub plan_lanes: u64,
    /// Items read.
    pub items: u64,
    /// Items rejected or dead-lettered.
    pub failed: u64,
    /// Attempts beyond each item's first.
    pub retries: u64,
    /// Monotonic time since the run began at which its COMMIT returned; equal within a group.
    pub committed_us: u64,
    /// Reading and decoding.
    pub read_us: u64,
    /// Validators, summed over lanes.
    pub validate_us: u64,
    /// Operation, summed over lanes.
    pub operate_us: u64,
    /// From cut to the last decision.
    pub compute_us: u64,
    /// Waiting for the writer.
    pub wait_us: u64,
    /// SQL statements.
    pub write_us: u64,
    /// COMMIT of its group.
    pub commit_us: u64,
}

impl BatchSample {
    /// Takes what planning needs from a committed batch.
    pub fn new(batch: u64, counts: &Counts, metrics: &BatchMetrics, committed_us: u64) -> Self {
        Self {
            batch,
            plan_size: metrics.plan_size,
            plan_lanes: metrics.plan_lanes,
            items: counts.read,
            failed: counts.failed(),
            retries: counts.retries,
            committed_us,
            read_us: metrics.read_us,
            validate_us: metrics.validate_us,
            operate_us: metrics.operate_us,
            compute_us: metrics.compute_us,
            wait_us: metrics.wait_us,
            write_us: metrics.write_us,
            commit_us: metrics.commit_us,
        }
    }

    /// From the cut to the end of the COMMIT.
    pub fn time_us(&self) -> u64 {
        [self.wait_us, self.write_us, self.commit_us]
            .iter()
            .fold(self.compute_us, |sum, part| sum.saturating_add(*part))
    }
}

/// Mean time per item in each phase that works on items, in microseconds; waiting is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PhasesPerItem {
    /// Reading and decoding.
    pub read_us: f64,
    /// Validators, summed over lanes.
    pub validate_us: f64,
    /// Operation, summed over lanes.
    pub operate_us: f64,
    /// SQL statements.
    pub write_us: f64,
    /// COMMIT, each transaction once.
    pub commit_us: f64,
}

impl PhasesPerItem {
    /// Time in guests.
    pub fn guest_us(&self) -> f64 {
        self.validate_us + self.operate_us
    }
}

/// Everything a plan may depend on. Serialises, so that a decision can be logged with its inputs and replayed.
///
/// Shares are 0..1 and may be absent, NaN or infinite: use the methods, which give only usable numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// Number of the batch that is about to be cut.
    pub sequence: u64,
    /// Bounds in force.
    pub bounds: Bounds,
    /// The last committed batches, oldest first, at most [`SAMPLES_MAX`].
    pub batches: VecDeque<BatchSample>,
    /// Items that no plan is made for yet, where the size of the input is known.
    pub items_left: Option<u64>,
    /// CPU of the machine in use.
    pub cpu_share: Option<f64>,
    /// Memory of the machine (or of its memory group) in use.
    pub memory_share: Option<f64>,
    /// Memory of this process.
    pub process_bytes: Option<u64>,
    /// Memory that this process should stay below.
    pub memory_budget_bytes: Option<u64>,
    /// Part of the lanes that was at work, on average since about the last plan.
    pub lanes_busy: Option<f64>,
    /// Part of the time that the writer was at work, since about the last plan.
    pub writer_busy: Option<f64>,
    /// Size of the store's write-ahead log.
    pub wal_bytes: Option<u64>,
    /// The host was judged unhealthy, for whatever reason that smaller plans may better.
    #[serde(default)]
    pub unhealthy: bool,
    /// From where on plans give way.
    #[serde(default)]
    pub tolerance: Tolerance,
    /// What is to be good about plans.
    #[serde(default)]
    pub aim: Aim,
    /// What 95 of 100 batches should stay below, from cut to commit, in microseconds.
    pub batch_time_max_us: Option<u64>,
}

impl Signals {
    /// Before the first batch: nothing is known but the bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            sequence: 0,
            bounds,
            batches: VecDeque::new(),
            items_left: None,
            cpu_share: None,
            memory_share: None,
            process_bytes: None,
            memory_budget_bytes: None,
            lanes_busy: None,
            writer_busy: None,
            wal_bytes: None,
            unhealthy: false,
            tolerance: Tolerance::default(),
            aim: Aim::default(),
            batch_time_max_us: None,
        }
    }

    /// Adds a committed batch; the oldest beyond [`SAMPLES_MAX`] is forgotten. A batch reported twice replaces.
    pub fn committed(&mut self, sample: BatchSample) {
        if let Some(old) = self.batches.iter_mut().find(|old| old.batch == sample.batch) {
            *old = sample;
            return;
        }
        if self.batches.len() == SAMPLES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back(sample);
    }

    /// Mean number of items over the samples.
    pub fn mean_batch_size(&self) -> Option<f64> {
        ratio(self.sum(|b| b.items), self.batches.len() as f64)
    }

    /// Items per second between the oldest and the newest commit among the samples.
    pub fn items_per_s(&self) -> Option<f64> {
        let first = self.batches.front()?.committed_us;
        let last = self.batches.back()?.committed_us;
        let items: f64 = self.batches.iter().filter(|b| b.committed_us > first).map(|b| b.items as f64).sum();
        ratio(items * 1e6, last.saturating_sub(first) as f64)
    }

    /// Part of the items that was rejected or dead-lettered, over the samples.
    pub fn error_share(&self) -> Option<f64> {
        share(ratio(self.sum(|b| b.failed), self.sum(|b| b.items)))
    }

    /// 95 of 100 batches took no longer, from cut to commit; none before the first.
    pub fn batch_p95_us(&self) -> Option<u64> {
        let mut times: Vec<u64> = self.batches.iter().map(BatchSample::time_us).collect();
        times.sort_unstable();
        times.get((times.len() * 95).div_ceil(100).checked_sub(1)?).copied()
    }

    /// Time per item by phase, over the samples.
    pub fn us_per_item(&self) -> Option<PhasesPerItem> {
        let items = self.sum(|b| b.items);
        let per_item = |time| ratio(time, items);
        Some(PhasesPerItem {
            read_us: per_item(self.sum(|b| b.read_us))?,
            validate_us: per_item(self.sum(|b| b.validate_us))?,
            operate_us: per_item(self.sum(|b| b.operate_us))?,
            write_us: per_item(self.sum(|b| b.write_us))?,
            commit_us: per_item(self.commit_us())?,
        })
    }

    /// Guest time per item in microseconds, over the samples.
    pub fn guest_us_per_item(&self) -> Option<f64> {
        self.us_per_item().map(|phases| phases.guest_us())
    }

    /// CPU in use, 0..1. A host that computes uses some: a sensor that says 0 sees nothing.
    pub fn cpu(&self) -> Option<f64> {
        share(self.cpu_share).filter(|share| *share > 0.0)
    }

    /// Part of the time that the writer was at work, 0..1: what is told, unless the times of the batches say far more.
    pub fn writer_at_work(&self) -> Option<f64> {
        plausible(self.writer_busy, self.part_of_time(self.sum(|b| b.write_us) + self.commit_us()))
    }

    /// Part of the lanes that was at work, 0..1: what is told, unless the time in guests alone, as part of it, was far more.
    pub fn lanes_at_work(&self) -> Option<f64> {
        let lanes = self.batches.iter().map(|b| b.plan_lanes.max(1) as f64).fold(1.0, f64::max);
        plausible(self.lanes_busy, self.part_of_time(self.sum(|b| b.validate_us.saturating_add(b.operate_us)) / lanes))
    }

    /// Of the time from the first to the last of the samples' commits, and as much more as one batch has on average, since
    /// what the first one took lies before its own.
    fn part_of_time(&self, us: f64) -> Option<f64> {
        let (first, last) = (self.batches.front()?.committed_us, self.batches.back()?.committed_us);
        let later = self.batches.iter().filter(|b| b.committed_us > first).count() as f64;
        let span = last.saturating_sub(first) as f64 * (self.batches.len() as f64 / later);
        share(ratio(us, span))
    }

    /// Part of its budget that this process holds, 0..1; none without a budget.
    pub fn budget(&self) -> Option<f64> {
        let (bytes, budget) = self.process_bytes.zip(self.memory_budget_bytes)?;
        share(ratio(bytes as f64, budget as f64))
    }

    /// Memory in use, 0..1: the worse of the machine's share and of this process' part of its budget.
    pub fn memory(&self) -> Option<f64> {
        match (share(self.memory_share), self.budget()) {
            (Some(machine), Some(own)) => Some(machine.max(own)),
            (machine, own) => machine.or(own),
        }
    }

    /// Write-ahead log, as a multiple of what is tolerated.
    pub fn wal(&self) -> Option<f64> {
        self.wal_bytes.map(|bytes| self.tolerance.wal(bytes))
    }

    /// The bound on the time of a batch that is in force, in microseconds; 0 is none.
    pub fn batch_time_us(&self) -> Option<f64> {
        let asked = self.batch_time_max_us.filter(|us| *us > 0);
        let wanted = match self.aim {
            Aim::Throughput => asked,
            Aim::Latency => asked.or(Some(LATENCY_US)),
        };
        wanted.map(|us| us as f64)
    }

    /// A batch size clamped to the bounds and to the items left.
    pub(super) fn fit(&self, size: usize) -> usize {
        let size = self.bounds.batch_size.clamp(size);
        match self.items_left.map(|left| usize::try_from(left).unwrap_or(usize::MAX)) {
            Some(left) if left > 0 => size.min(left),
            _ => size,
        }
    }

    /// Time of all commits. The batches of a group stand side by side, and each has the time of the whole.
    fn commit_us(&self) -> f64 {
        let mut group = None;
        let newest = |b: &&BatchSample| group.replace(b.committed_us) != Some(b.committed_us);
        self.batches.iter().filter(newest).map(|b| b.commit_us as f64).sum()
    }

    fn sum(&self, part: impl Fn(&BatchSample) -> u64) -> f64 {
        self.batches.iter().map(|b| part(b) as f64).sum()
    }
}

/// What a sensor tells, or what is known otherwise where it tells nothing or less than [`PLAUSIBLE`] of that.
pub(super) fn plausible(told: Option<f64>, known: Option<f64>) -> Option<f64> {
    share(told).filter(|told| known.is_none_or(|known| *told >= PLAUSIBLE * known)).or(known)
}

/// A usable share: finite, not negative, at most 1.
pub(super) fn share(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite() && *v >= 0.0).map(|v| v.min(1.0))
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole).filter(|r| r.is_finite())
}
