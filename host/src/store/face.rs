//! What the store and the rest of the host exchange. No SQLite type appears here: a second store may stand behind the same face.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::model::{
    Batch, BatchMetrics, BatchNumber, ChunkSpan, Counts, Decision, Digest, Fate, Name, OnExisting, PluginMetrics,
    Refusal, RunNumber, RunStatus,
};
use crate::transaction::Transactional;

/// What the coordinator's writer needs of a store, so that a test can put a fake in its place.
pub trait Store: Lookup + Transactional {
    /// Applies batches in order inside the open transaction. One receipt per batch, same order.
    /// Errors: STORAGE_2009, 2002, 2004 and their like from the disk, TRANSACTION_6004 over the time bound, TRANSACTION_6007 if
    /// another worker has the range. Then nothing of the group may be kept: call [`Transactional::rollback`].
    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>>;
    /// Tells how long the last COMMIT took that batches `first..=last` were in; stored with the next transaction.
    fn note_commit_time(&mut self, run: &RunHandle, first: BatchNumber, last: BatchNumber, commit_us: u64);
}

/// Reading rows by key and by index. Unknown collections are CONFIG_3001, unknown indexes INDEX_7001, both with the nearest name as hint.
pub trait Lookup {
    /// The row under `id`.
    fn get(&self, collection: &Name, id: &str) -> Result<Option<Row>> {
        Ok(self.get_many(collection, &[id])?.pop().flatten())
    }
    /// One entry per id, same length and order. Any number of ids.
    fn get_many(&self, collection: &Name, ids: &[&str]) -> Result<Vec<Option<Row>>>;
    /// Rows whose value in the index equals `key`, sorted by id (byte order), after `after`, at most `limit`.
    fn find(
        &self,
        collection: &Name,
        index: &Name,
        key: &IndexKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>>;
    /// As [`Lookup::find`], for callers that nobody trusts. Errors: GUEST_10005 where the rows have more than so many bytes, or
    /// take longer than [`limits::STORE_READ_TIME_MAX`] to find.
    fn find_within(
        &self,
        (collection, index): (&Name, &Name),
        key: &IndexKey,
        after: Option<&str>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>> {
        let _ = bytes_max;
        self.find(collection, index, key, after, limit)
    }
    /// How many rows [`Lookup::find`] would give, counted up to `limit`, from the index alone. In time as
    /// [`Lookup::find_within`].
    fn count_equal(&self, collection: &Name, index: &Name, key: &IndexKey, limit: usize) -> Result<usize>;
    /// The value that this index sees in this body (strict JSON), by the same rules as for stored rows.
    fn index_key(&self, collection: &Name, index: &Name, body: &str) -> Result<IndexKey>;
}

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Key.
    pub id: String,
    /// JSON text.
    pub body: String,
    /// Row of the history that wrote it; none if it was written outside a run.
    pub batch: Option<i64>,
    /// Of the record of the input that made it; none as for the batch.
    pub ordinal: Option<u64>,
}

/// A value as an index sees it. `true` and `false` are the integers 1 and 0; an object or array is its minified text;
/// a text never equals a number; a missing member and `null` are both null. Of two equal keys SQLite sees the first.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexKey {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl std::fmt::Display for IndexKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IndexKey::Null => f.write_str("null"),
            IndexKey::Integer(n) => n.fmt(f),
            IndexKey::Real(n) => n.fmt(f),
            IndexKey::Text(t) => write!(f, "{t:?}"),
        }
    }
}

/// What a run is begun with.
#[derive(Debug, Clone)]
pub struct RunStart {
    /// Key under which the same command finds its run again.
    pub job: String,
    pub uuid: String,
    /// Collection that the run writes to.
    pub collection: Name,
    pub started_ms: i64,
    pub seed: u64,
    /// The clock that plugins see, fixed for the run.
    pub clock_ms: i64,
    /// The resolved configuration, for the record.
    pub settings_json: String,
    /// Settings that decide results, by name; a continuation compares them.
    pub identity: Vec<(String, String)>,
    /// In the order of the chain.
    pub plugins: Vec<PluginRow>,
    /// Inputs, for the record.
    pub inputs_json: String,
    /// `batch` or `run`.
    pub atomic: String,
    /// First ordinal of the range.
    pub lo: u64,
    /// First ordinal beyond the range; none for an open end.
    pub hi: Option<u64>,
}

/// A plugin of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRow {
    pub slot: String,
    /// `operation` or `validator`.
    pub role: String,
    /// File name, or `native` for a closure.
    pub name: String,
    /// None for a closure.
    pub digest: Option<Digest>,
    /// Kept under the digest, once per store.
    pub bytes: Option<Arc<[u8]>>,
}

/// A step of a plugin on its way into a slot. Kept with the batch it is about, or by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapRow {
    pub slot: String,
    /// As events say it, without `swap-`.
    pub step: String,
    /// `watch`, `command`, `rollback` or `library`; `accept-change` where a run was continued with another plugin.
    pub source: String,
    /// File that the candidate came from.
    pub name: String,
    /// None for native code.
    pub old_digest: Option<Digest>,
    pub new_digest: Digest,
    /// Number of the first batch that the step is about.
    pub batch: Option<BatchNumber>,
    pub at_ms: i64,
    /// False where the candidate failed.
    pub ok: bool,
    pub code: Option<String>,
    pub reason: String,
    /// What was measured, as JSON.
    pub figures_json: Option<String>,
}

/// A chain of plugins that differs from that of the batch before, kept with the first batch that it worked on.
#[derive(Debug, Clone, Default)]
pub struct ChainWrite {
    /// All of the chain; empty where it is the same as before, since what was exchanged was put back before any batch was
    /// written.
    pub plugins: Vec<PluginRow>,
    /// What a continuation is compared with from now on.
    pub identity: Vec<(String, String)>,
    /// Steps that belong to this batch.
    pub swaps: Vec<SwapRow>,
}

/// A run under way, as the checkpoint knew it when the run was begun or resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHandle {
    pub run: RunNumber,
    /// The fence: a later owner of the run has a higher one.
    pub epoch: u64,
    /// First ordinal that is not yet accounted for.
    pub next: u64,
    /// Number of the next batch, which is that of batches so far.
    pub next_batch: BatchNumber,
    /// Counts so far.
    pub counts: Counts,
    /// Blank lines so far.
    pub blank_lines: u64,
    /// Rolling digest of the input up to `next`; none at the beginning.
    pub input_digest: Option<Digest>,
    pub seed: u64,
    pub clock_ms: i64,
    pub uuid: String,
}

/// How a run ended. Its counts are in the store already, batch by batch.
#[derive(Debug, Clone)]
pub struct RunEnd {
    pub status: RunStatus,
    pub ended_ms: i64,
    /// Monotonic time of this execution.
    pub duration_ms: u64,
    /// Blank lines behind the last batch, which belong to none until now.
    pub blank_lines: u64,
    /// The error that stopped it, as JSON.
    pub error_json: Option<String>,
    /// Times, sizes and percentiles of this execution, as JSON.
    pub performance_json: Option<String>,
    /// Alerts of this execution, as JSON.
    pub alerts_json: Option<String>,
    /// What tuning has found, for the next run to begin with.
    pub tuning: Option<TuningRow>,
}

/// A plan that differs from the one before it, and what led to it. Kept with the first batch that was cut by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// Number of that batch.
    pub batch: BatchNumber,
    pub batch_size: u64,
    pub lanes: u64,
    pub batches_in_flight: u64,
    /// None for the first plan of an execution.
    pub old_batch_size: Option<u64>,
    pub old_lanes: Option<u64>,
    pub old_batches_in_flight: Option<u64>,
    /// In words.
    pub reason: String,
    /// All that the strategy saw, as JSON.
    pub signals_json: String,
}

/// What tuning has found for a chain of plugins, a collection and a shape of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TuningRow {
    /// Digests of the plugins, in the order of their work.
    pub chain: String,
    pub collection: Name,
    /// Cores and memory.
    pub host: String,
    /// As JSON.
    pub learned_json: String,
    /// Run that found it.
    pub run: RunNumber,
    pub updated_ms: i64,
}

/// A computed batch: everything a store needs to write it.
#[derive(Debug, Clone)]
pub struct BatchWrite {
    pub number: BatchNumber,
    pub batch: Arc<Batch>,
    /// One per record, same order.
    pub decisions: Vec<Decision>,
    /// `bytes_out`, `write_us` and `wait_us` are filled in by the store.
    pub metrics: BatchMetrics,
    /// When its last decision was made.
    pub computed_at: Instant,
    /// Which lane computed which part of it when, at most [`limits::CHUNKS_KEPT_MAX`].
    pub chunks: Vec<ChunkSpan>,
    /// The plan it was cut by, where that is another than that of the batch before.
    pub plan: Option<Box<PlanRow>>,
    /// The chain of plugins, where it is another than that of the batch before.
    pub chain: Option<Box<ChainWrite>>,
    /// What each plugin did, in the order of the slots. Kept with the metrics.
    pub plugins: Vec<PluginMetrics>,
    /// Attempts beyond each item's first.
    pub retries: u64,
    /// The number of the last attempt of each record that had more than one, by index.
    pub attempts: HashMap<usize, u32>,
    /// Blank lines between this batch's records.
    pub blank_lines: u64,
    /// Inputs by the number that positions carry.
    pub input_names: Arc<[String]>,
    /// Rolling digest of the input up to the end of this batch.
    pub input_digest: Digest,
    /// Digest of the plugin in each slot, for dead letters.
    pub digests: Arc<[(Name, Digest)]>,
    /// Dead letters whose items this batch tries again, one per record, same order; empty where its records are none. They
    /// count as retried from its commit on.
    pub retried: Vec<i64>,
}

impl BatchWrite {
    /// Attempts that the item at this index took.
    pub fn attempts_of(&self, record: usize) -> u32 {
        self.attempts.get(&record).copied().unwrap_or(1)
    }

    /// Checks what needs no store, so that it can be asked before the write lock is taken.
    /// Errors: OPERATION_5003 where decisions do not fit the records: a defect of the host.
    pub fn check(&self) -> Result<()> {
        let bug = |what: String| Err(Error::new(Code::Internal, format!("BUG: batch {}: {what}", self.number)));
        if self.decisions.len() != self.batch.len() {
            return bug(format!("{} decisions for {} records", self.decisions.len(), self.batch.len()));
        }
        for (record, decision) in self.decisions.iter().enumerate() {
            match decision {
                Decision::Keep | Decision::Replace(_) if self.batch.item(record).is_none() => {
                    return bug(format!(
                        "record {} is no item and was decided to be stored",
                        self.batch.ordinal(record)
                    ));
                }
                Decision::Refuse(refusal)
                    if refusal.problems.is_empty() || !matches!(refusal.fate, Fate::Rejected | Fate::DeadLettered) =>
                {
                    let (fate, problems) = (refusal.fate.as_str(), refusal.problems.len());
                    return bug(format!("a refusal with fate {fate} and {problems} problems"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// How puts meet what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritePolicy {
    /// Collection of changes that name none.
    pub target: Name,
    /// Collections that changes may name, the target among them: those that the run declares.
    pub collections: Arc<[Name]>,
    pub on_existing: OnExisting,
    /// True if rows may be written in the order of their keys where that cannot show.
    pub sort: bool,
    /// True if an item that a rule rejects loses the row that it has, in the transaction of its dead letter: for stored
    /// items that are judged once more.
    pub remove_rejected: bool,
    /// True if an item that was a dead letter may take the place of a row that was written after it.
    pub over_newer: bool,
}

/// What became of one batch, once its transaction commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Complete and balanced.
    pub counts: Counts,
    /// Records (by index) that a constraint refused, in input order. They have become dead letters.
    pub refused: Vec<(usize, Refusal)>,
    /// Bytes of the bodies inserted and replaced.
    pub bytes_out: u64,
    /// Time of this batch's statements; in a sorted group its share by rows.
    pub write_us: u64,
}
