//! What is counted and measured of batches, plugins and lanes.

use super::Fate;

/// Counts of items by fate and of rows by effect.
///
/// Invariant: `read == stored + rejected + dead_lettered + dropped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Records read, broken ones included, blank lines not.
    pub read: u64,
    /// Items whose changes are in the store.
    pub stored: u64,
    /// Items a rule refused.
    pub rejected: u64,
    /// Items that failed.
    pub dead_lettered: u64,
    /// Items the operation left out.
    pub dropped: u64,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows whose body was replaced by another.
    pub replaced: u64,
    /// Rows that had this body already.
    pub unchanged: u64,
    /// Puts left out since the key was there (`--on-existing ignore`).
    pub ignored: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Attempts beyond each item's first.
    pub retries: u64,
}

impl Counts {
    /// True if every item read has exactly one fate.
    pub fn balance(&self) -> bool {
        self.read == self.stored + self.rejected + self.dead_lettered + self.dropped
    }

    /// Adds another batch's counts.
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.stored += other.stored;
        self.rejected += other.rejected;
        self.dead_lettered += other.dead_lettered;
        self.dropped += other.dropped;
        self.inserted += other.inserted;
        self.replaced += other.replaced;
        self.unchanged += other.unchanged;
        self.ignored += other.ignored;
        self.deleted += other.deleted;
        self.retries += other.retries;
    }

    /// Counts one item's fate.
    pub fn count(&mut self, fate: Fate) {
        match fate {
            Fate::Stored => self.stored += 1,
            Fate::Dropped => self.dropped += 1,
            Fate::Rejected => self.rejected += 1,
            Fate::DeadLettered => self.dead_lettered += 1,
        }
    }

    /// Items that were refused or failed.
    pub fn failed(&self) -> u64 {
        self.rejected + self.dead_lettered
    }
}

/// Timings and shape of one batch, for its history row. Durations in microseconds, per-item times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct BatchMetrics {
    /// Monotonic time from the beginning of this execution of the run to the moment at which it was cut.
    pub cut_us: u64,
    /// Size the plan asked for.
    pub plan_size: u64,
    /// Lanes the plan asked for.
    pub plan_lanes: u64,
    /// Bytes of the records read, decompressed and without line ends.
    pub bytes_in: u64,
    /// Bytes of the input, as it lies on disk, that were read by its end; inside of a compressed input an estimate.
    pub input_bytes: u64,
    /// Bytes of the bodies written.
    pub bytes_out: u64,
    /// Guest calls made, those of halving and retries included.
    pub guest_calls: u64,
    /// Reading and decoding.
    pub read_us: u64,
    /// The reader stood idle before, since so many batches were under way that no other was asked for: back-pressure.
    pub reader_wait_us: u64,
    /// Validators, summed over lanes.
    pub validate_us: u64,
    /// Operation, summed over lanes.
    pub operate_us: u64,
    /// From cut to the last decision: wall time of computing.
    pub compute_us: u64,
    /// From the last decision to its COMMIT, without its own statements: waiting for its turn, and for others of its group.
    pub wait_us: u64,
    /// SQL statements of this batch.
    pub write_us: u64,
    /// COMMIT of the group it was in (known after the fact; 0 until then).
    pub commit_us: u64,
    /// Mean time per item over the batch's guest calls (validate + operate).
    pub item_mean_ns: u64,
    /// Median of it.
    pub item_p50_ns: u64,
    /// 95th percentile.
    pub item_p95_ns: u64,
    /// 99th percentile.
    pub item_p99_ns: u64,
    /// Largest.
    pub item_max_ns: u64,
}

impl BatchMetrics {
    /// Of a batch that was committed at this moment of the execution. What no part of it accounts for was waiting.
    pub fn committed(self, bytes_out: u64, write_us: u64, commit_us: u64, committed_us: u64) -> Self {
        let own_us = self.compute_us.saturating_add(write_us).saturating_add(commit_us);
        let wait_us = committed_us.saturating_sub(self.cut_us).saturating_sub(own_us);
        Self { bytes_out, write_us, commit_us, wait_us, ..self }
    }
}

/// What one plugin did.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct PluginMetrics {
    /// Slot that it fills.
    pub slot: String,
    /// Calls, those of halving and retries included.
    pub calls: u64,
    /// Items given to these calls; an item of several calls counts several times.
    pub items: u64,
    /// Calls that ended in a fault.
    pub faults: u64,
    /// Time of the calls, summed over lanes.
    pub time_us: u64,
    /// CPU time of the lanes within these calls, as far as the system tells it; less than `time_us` where the plugin waits.
    pub cpu_us: u64,
    /// Part of the time that its calls spent in the host: reads of the store, lines for the log.
    pub host_us: u64,
    /// Largest linear memory that one of its sandboxes had so far, in bytes; 0 for native code.
    pub memory_peak_bytes: u64,
    /// Faults by their code.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub faults_by_code: std::collections::BTreeMap<String, u64>,
}

impl PluginMetrics {
    /// Adds what the same plugin did elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.items = self.items.saturating_add(other.items);
        self.faults = self.faults.saturating_add(other.faults);
        self.time_us = self.time_us.saturating_add(other.time_us);
        self.cpu_us = self.cpu_us.saturating_add(other.cpu_us);
        self.host_us = self.host_us.saturating_add(other.host_us);
        self.memory_peak_bytes = self.memory_peak_bytes.max(other.memory_peak_bytes);
        for (code, faults) in &other.faults_by_code {
            let known = self.faults_by_code.entry(code.clone()).or_default();
            *known = known.saturating_add(*faults);
        }
    }
}

/// A part of a batch, computed on one lane in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ChunkSpan {
    /// Number of the lane in this process, from 0.
    pub lane: u64,
    /// Attempt of its items, from 1.
    pub attempt: u64,
    /// How many items.
    pub items: u64,
    /// When the lane began it, in microseconds since this execution of the run began.
    pub from_us: u64,
    /// When it was done.
    pub to_us: u64,
    /// Time of the validators within it.
    pub validate_us: u64,
    /// Time of the operations within it.
    pub operate_us: u64,
}
