//! Every bound of the host, in one place: unit, default, and why.
//!
//! Crossing a bound is an outcome with a code, never a crash.

use std::time::Duration;

/// Longest line of an input, in bytes. A longer one becomes a dead letter (VALIDATION_4005). `--max-line-bytes`.
pub const LINE_BYTES_MAX: usize = 8 << 20;
/// Deepest nesting of an item or of a plugin's body. The limit that serde_json enforces by default.
pub const JSON_DEPTH_MAX: usize = 128;
/// Longest item id, in bytes.
pub const ID_BYTES_MAX: usize = 512;
/// What a dead letter keeps of an over-long line, in bytes.
pub const DEAD_LETTER_HEAD_BYTES: usize = 4 << 10;

/// Default and widest bounds of the batch size, in items. `--batch-size`.
pub const BATCH_SIZE_MIN: usize = 10;
/// See [`BATCH_SIZE_MIN`].
pub const BATCH_SIZE_MAX: usize = 1000;
/// Largest batch size that can be asked for, in items.
pub const BATCH_SIZE_LIMIT: usize = 1_000_000;
/// A batch closes when its items reach this many bytes. `--batch-bytes`.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// A batch of a slow pipe closes after this time. `--batch-wait`.
pub const BATCH_WAIT: Duration = Duration::from_millis(1000);
/// Items per guest call at the most; a larger batch is cut into chunks.
pub const CHUNK_ITEMS_MAX: usize = 1000;
/// Bytes of items per guest call at the most (a single larger item goes alone).
pub const CHUNK_BYTES_MAX: usize = 2 << 20;
/// Lanes of one process at the most. `--lanes`.
pub const LANES_LIMIT: usize = 256;
/// Batches read but not yet committed, at the most.
pub const BATCHES_IN_FLIGHT_MAX: usize = 128;
/// Items read but not yet committed, at the most (at least two batches are allowed).
pub const ITEMS_IN_FLIGHT_MAX: usize = 50_000;
/// Bytes of input read but not yet committed, at the most (at least one batch is allowed).
pub const BYTES_IN_FLIGHT_MAX: usize = 40 << 20;
/// Items that share one SQLite transaction, at the most (group commit). In a large store with random keys each group writes
/// most pages of its indexes anew, so larger groups write fewer pages per item; half of what may be in flight is computed
/// while the other half is written.
pub const GROUP_ITEMS_MAX: usize = 24_000;
/// Bytes of written bodies that share one SQLite transaction, at the most.
pub const GROUP_BYTES_MAX: usize = 32 << 20;
/// Alerts of an execution that its run's row keeps, at the most; raised and cleared count as two.
pub const ALERTS_KEPT_MAX: usize = 100;
/// How often CPU and memory in use are read.
pub const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// Times that a group of batches is tried again after the store failed and was opened anew.
pub const GROUP_RETRIES_MAX: u32 = 1;
/// Longest time one write transaction may take before it is rolled back.
pub const TRANSACTION_TIME_MAX: Duration = Duration::from_secs(120);

/// Attempts per item. `--attempts`.
pub const ATTEMPTS: u32 = 3;
/// Largest number of attempts that can be asked for.
pub const ATTEMPTS_LIMIT: u32 = 100;
/// First delay of the exponential back-off.
pub const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
/// Cap of the exponential back-off, and of a delay that a plugin asks for.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// Memory of one sandbox, summed over its memories, in bytes. `--memory`.
pub const MEMORY_BYTES_MAX: usize = 64 << 20;
/// Time of one guest call. `--deadline`.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Longest deadline that can be asked for: a guest that needs longer for one call is better called with fewer items.
pub const DEADLINE_LIMIT: Duration = Duration::from_secs(3600);
/// While halving, a part of a chunk gets a share of the deadline, but never less than this.
pub const DEADLINE_SHARE_MIN: Duration = Duration::from_millis(500);
/// The epoch advances this often: the resolution of every deadline.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);
/// Table elements of one sandbox, in sum. A table costs the host 8 bytes per element.
pub const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core instances of one sandbox. A Python guest needs 38 modules.
pub const INSTANCES_MAX: usize = 128;
/// Tables of one sandbox.
pub const TABLES_MAX: usize = 64;
/// Memories of one sandbox.
pub const MEMORIES_MAX: usize = 16;
/// Stack of a guest, in bytes.
pub const GUEST_STACK_BYTES: usize = 512 << 10;
/// Body of one item or of one change that a plugin returns, in bytes.
pub const OUTPUT_ITEM_BYTES_MAX: usize = 1 << 20;
/// Everything that one guest call may return or pass to the host, in bytes.
pub const OUTPUT_CALL_BYTES_MAX: usize = 16 << 20;
/// Changes of one `emit`.
pub const CHANGES_PER_ITEM_MAX: usize = 1000;
/// Text of a problem or a log line that is kept, in bytes; cut at a character border.
pub const GUEST_TEXT_BYTES_MAX: usize = 4 << 10;
/// Problems kept per item, and details kept per problem.
pub const PROBLEMS_PER_ITEM_MAX: usize = 100;
/// Log lines kept per batch and slot.
pub const LOG_LINES_MAX: usize = 100;
/// Bytes of log lines kept per batch and slot.
pub const LOG_BYTES_MAX: usize = 64 << 10;
/// Calls of host functions within one guest call.
pub const HOST_CALLS_MAX: u64 = 1_000_000;
/// Reads through the `store` interface within one guest call.
pub const STORE_READS_MAX: u64 = 100_000;
/// Rows that one read through the `store` interface returns.
pub const STORE_READ_ROWS_MAX: usize = 1000;
/// Bytes that one read through the `store` interface returns.
pub const STORE_READ_BYTES_MAX: usize = 1 << 20;
/// Component handles and resource-table entries of one sandbox.
pub const HANDLES_MAX: usize = 1000;
/// Randomness that one WASI call may ask for, in bytes.
pub const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// A sandbox is recycled after this many calls.
pub const SANDBOX_CALLS_MAX: u32 = 10_000;
/// Largest plugin file, in bytes.
pub const PLUGIN_BYTES_MAX: u64 = 64 << 20;
/// Time that compiling one plugin may take.
pub const COMPILE_TIME_MAX: Duration = Duration::from_secs(120);
/// Address space of the process that compiles a plugin, in bytes.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 2 << 30;
/// Plugins of one run (operation and validators together).
pub const PLUGINS_MAX: usize = 16;

/// Inputs of one run.
pub const INPUTS_MAX: usize = 10_000;
/// Declared indexes of one collection.
pub const INDEXES_MAX: usize = 64;
/// Events that wait for a slow monitor before the run waits for it.
pub const EVENT_QUEUE_MAX: usize = 4096;
/// Dead letters shown or events kept in a summary.
pub const SUMMARY_PROBLEMS_MAX: usize = 10;
/// Runs of equal fates that a report keeps; a longer list is left out, and the events have it.
pub const REPORT_FATES_MAX: usize = 10_000;
/// A batch whose mean time per item is above this raises SLOW_BATCH_PROCESSING. `--slow-item`.
pub const SLOW_ITEM: Duration = Duration::from_millis(100);
/// Space that should be left where the store lies: what the write-ahead log takes until it is checkpointed. `--min-disk-free`.
pub const DISK_FREE_BYTES_MIN: u64 = 256 << 20;
/// Alerts that wait for the program of `--on-alert` at the most; further ones are not handed to it.
pub const ALERT_COMMANDS_MAX: usize = 16;
/// Longest time the program of `--on-alert` may take for one alert, and what the end of a run waits for it; then it is killed.
pub const ALERT_COMMAND_TIME_MAX: Duration = Duration::from_secs(10);
/// Changes that `runs tune` may have waiting for a run, at the most.
pub const TUNE_COMMANDS_MAX: usize = 16;
/// Largest file with such a change, in bytes.
pub const TUNE_BYTES_MAX: u64 = 4 << 10;
/// Largest `atlas.toml`, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Earlier runs of the same plugins and collection that recommendations rest on, at the most.
pub const RECOMMEND_RUNS_MAX: usize = 20;
/// The newest batches of such a run that are looked at.
pub const RECOMMEND_BATCHES_MAX: u64 = 1000;
/// Runs of a store among which they are looked for, the newest first.
pub const RECOMMEND_LOOKED_AT_MAX: usize = 500;
/// Longest line of an event file that is read, in bytes: a batch of a million items whose fates alternate has less.
pub const EVENT_LINE_BYTES_MAX: usize = 64 << 20;
/// Codes of failed items that metrics tell apart; further ones are counted together.
pub const METRIC_CODES_MAX: usize = 50;
/// Time of the run between two texts of metrics. `--metrics-file`.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(5);
/// Connections that are served at the same time; one more is closed. `--metrics-listen`.
pub const METRICS_CONNECTIONS_MAX: usize = 8;
/// Longest request, in bytes. `--metrics-listen`.
pub const METRICS_REQUEST_BYTES_MAX: usize = 8 << 10;
/// Time for a request and its answer together. `--metrics-listen`.
pub const METRICS_REQUEST_TIME: Duration = Duration::from_secs(5);
/// Steps of a report's time axis, at the most; they grow with the run.
pub const REPORT_STEPS_MAX: usize = 160;
/// Batches that a report draws one by one; of a longer run it shows the beginning, the slowest and the end.
pub const REPORT_BATCHES_MAX: usize = 240;
/// Changes of plan that a report lists; of more it has the first and the last.
pub const REPORT_PLANS_MAX: usize = 240;
/// Samples of the host, and changes of the lanes at work, that a report draws; of more it takes every second, fourth and so on.
pub const REPORT_SAMPLES_MAX: usize = 400;
/// Executions of a run that a report tells apart; what comes later counts to the last of them.
pub const REPORT_EXECUTIONS_MAX: usize = 20;
/// Batches of one transaction that a report places together; a larger transaction is placed in parts.
pub const REPORT_GROUP_BATCHES_MAX: usize = 10_000;
/// Batches begun and not ended that a report remembers while it reads events; more than a run has under way.
pub const REPORT_OPEN_BATCHES_MAX: usize = 4096;
/// Abandoned batches and rolled-back transactions that a report shows, of each.
pub const REPORT_MISHAPS_MAX: usize = 60;
/// Problems that a report lists; the rest are counted together.
pub const REPORT_PROBLEMS_MAX: u64 = 12;
/// What a report shows of an item that had such a problem, in bytes.
pub const REPORT_ITEM_BYTES_MAX: usize = 400;
/// Texts of errors, reasons and alerts in a report, in characters.
pub const REPORT_TEXT_MAX: usize = 1000;
/// Runs that a report puts side by side.
pub const REPORT_RUNS_MAX: usize = 24;
/// How long a stop waits for work in flight before it is abandoned.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// SQLite waits this long for a lock.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// WAL pages between automatic checkpoints (262 MB of 4 KiB pages): a page that several groups write goes into the database
/// file once.
pub const WAL_CHECKPOINT_PAGES: u32 = 64_000;
/// Page cache of the writing connection, in KiB.
pub const WRITER_CACHE_KIB: u32 = 24 << 10;
/// Batches per store whose metrics are kept; rows of the history and of items are never touched.
pub const HISTORY_BATCHES_MAX: u64 = 1_000_000;

const _: () = assert!(BATCH_SIZE_MIN <= BATCH_SIZE_MAX && BATCH_SIZE_MAX <= BATCH_SIZE_LIMIT);
const _: () = assert!(OUTPUT_ITEM_BYTES_MAX <= OUTPUT_CALL_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES_MAX <= OUTPUT_CALL_BYTES_MAX);
