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
/// Longest such time that can be asked for: what came in is to be stored the same day.
pub const BATCH_WAIT_LIMIT: Duration = Duration::from_secs(86_400);
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
pub const INPUT_BYTES_IN_FLIGHT_MAX: usize = 40 << 20;
/// The same with what plugins answered. Beyond it what lanes are at is finished, and the next batch
/// is computed when the writer has done its part.
pub const BYTES_IN_FLIGHT_MAX: usize = 96 << 20;
/// Bytes of answers of one plugin at which a chunk ends: items that have no answer by then come with a further one. Answers of a
/// whole batch are to stay below it as well: it is cut smaller than planned, by what the items of the newest one came to.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Bytes of bodies at which a page of stored rows or of dead letters ends that a command reads as its input.
pub const PAGE_BYTES_MAX: usize = 16 << 20;
/// Items that share one SQLite transaction, at the most (group commit). In a large store with random keys each group writes
/// most pages of its indexes anew, so larger groups write fewer pages per item; half of what may be in flight is computed
/// while the other half is written.
pub const GROUP_ITEMS_MAX: usize = 24_000;
/// Bytes of written bodies that share one SQLite transaction, at the most.
pub const GROUP_BYTES_MAX: usize = 32 << 20;
/// Rows after which a run that fills an empty collection no longer puts its indexes off, but builds them and keeps them with
/// every row: it bounds what is sorted and written at once.
pub const INDEXES_PUT_OFF_ROWS_MAX: u64 = 5_000_000;
/// Alerts of an execution that its run's row keeps, at the most; raised and cleared count as two.
pub const ALERTS_KEPT_MAX: usize = 100;
/// How often CPU and memory in use are read.
pub const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// Times that a group of batches is tried again after the store failed and was opened anew.
pub const GROUP_RETRIES_MAX: u32 = 1;
/// Times that a group is tried again whose transaction cannot begin, since another process has the lock of the store. Each of
/// them waits up to [`BUSY_TIMEOUT`], with the back-off that SQLite has for locks.
pub const LOCKED_RETRIES_MAX: u32 = 3;
/// Longest time one write transaction may take before it is rolled back.
pub const TRANSACTION_TIME_MAX: Duration = Duration::from_secs(120);

/// Attempts per item. `--attempts`.
pub const ATTEMPTS: u32 = 3;
/// Largest number of attempts that can be asked for.
pub const ATTEMPTS_LIMIT: u32 = 100;
/// Items in a row that a limit on failed ones may look back on; each of those takes 8 bytes. `--max-rejects`
pub const REJECT_WINDOW_MAX: u64 = 1_000_000;
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
/// Addresses of granted hosts are asked for again, where sandboxes start, after this time.
pub const HOST_ADDRESSES_FRESH: Duration = Duration::from_secs(60);
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
/// Bytes of committed rows that one search through an index reads at the most, before those that this run has changed take
/// their place and the bound on what a plugin gets is looked at.
pub const STORE_FIND_BYTES_MAX: usize = 64 << 20;
/// Time that one search through an index, or one count, may take for a plugin, whose own deadline does not act meanwhile. What
/// an index finds is sorted by id before the first row is given, so that very many equal values take long.
pub const STORE_READ_TIME_MAX: Duration = Duration::from_secs(5);
/// Rows that one look-up by ids reads at a time: it ends where their bytes reach the bound.
pub const STORE_READ_PIECE: usize = 8;
/// Bytes of ids that an item has looked up and that are noted one by one; more of them count as a search through their
/// collection. They are kept for every item of a batch until it is settled, and so come to 64 MiB for a thousand items.
pub const LOOKUPS_NOTED_BYTES_MAX: usize = 64 << 10;
/// Component handles and resource-table entries of one sandbox.
pub const HANDLES_MAX: usize = 1000;
/// Randomness that one WASI call may ask for, in bytes.
pub const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// How often a call that found the pool of sandboxes full looks for a warm one that can make way.
pub const ROOM_LOOK: Duration = Duration::from_millis(2);
/// It tries to start its sandbox again after this time, even if none made way.
pub const ROOM_RETRY: Duration = Duration::from_millis(50);
/// A sandbox is recycled after this many calls.
pub const SANDBOX_CALLS_MAX: u32 = 10_000;
/// Largest plugin file, in bytes.
pub const PLUGIN_BYTES_MAX: u64 = 64 << 20;
/// What is told of the type of a function that a plugin exports, in bytes; the rest is left out. The contract's own take less
/// than a fourth of it.
pub const TYPE_TEXT_BYTES_MAX: usize = 4 << 10;
/// Time that compiling one plugin may take.
pub const COMPILE_TIME_MAX: Duration = Duration::from_secs(120);
/// Address space of the process that compiles a plugin, in bytes.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 2 << 30;
/// Threads of that process: the stack of each takes address space.
pub const COMPILE_THREADS_MAX: usize = 8;
/// Bytes of compiled plugins that the host's own directory keeps, and as many of images from registries; the oldest go first.
pub const CACHE_BYTES_MAX: u64 = 4 << 30;
/// A file there that was begun, and has not grown for so long, is not written any more: it goes, too.
pub const CACHE_UNFINISHED_MAX: Duration = Duration::from_secs(3600);
/// Names that a refusal tells of those that a plugin or an image gives, at the most.
pub const NAMES_TOLD_MAX: usize = 5;
/// Bytes that it tells of one of them, or of another text of theirs.
pub const NAME_TOLD_BYTES_MAX: usize = 100;
/// Plugins of one run (operations and validators together).
pub const PLUGINS_MAX: usize = 16;

/// Host and repository of a reference to an image, in bytes with the slash between them: what registries take at the most.
pub const REGISTRY_NAME_BYTES_MAX: usize = 255;
/// Largest manifest or index of an image, in bytes: what registries take at the least, and most of them at the most.
pub const REGISTRY_MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Largest answer with the token for a registry, in bytes.
pub const REGISTRY_TOKEN_BYTES_MAX: u64 = 64 << 10;
/// Longest time that pulling one image may take, with all requests that belong to it.
pub const REGISTRY_TIME_MAX: Duration = Duration::from_secs(300);
/// Longest time for a connection to a registry, TLS included.
pub const REGISTRY_CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// A registry that sends nothing for this long is given up.
pub const REGISTRY_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Redirects of one request to a registry, which usually has its blobs elsewhere.
pub const REGISTRY_REDIRECTS_MAX: usize = 5;
/// Largest `atlas.lock`, in bytes.
pub const LOCK_BYTES_MAX: u64 = 1 << 20;

/// Items of late that a candidate for a slot is tried with.
pub const SWAP_TRIAL_ITEMS: usize = 256;
/// Their bytes.
pub const SWAP_TRIAL_BYTES: usize = 1 << 20;
/// Items per call of a trial: small, so that the times of many calls can be compared.
pub const SWAP_TRIAL_CALL_ITEMS: usize = 16;
/// Open dead letters of its slot that a candidate is tried with.
pub const SWAP_TRIAL_LETTERS: usize = 50;
/// A trial takes no longer than this and the call at work then; what it has found by then counts.
pub const SWAP_TRIAL_TIME_MAX: Duration = Duration::from_secs(20);
/// Rounds of a trial whose times are compared, while the candidate seems to be too slow: of each call the best counts, since a
/// busy machine makes any single one slow.
pub const SWAP_TRIAL_ROUNDS: usize = 20;
/// Fewest of these rounds: a pause of the machine makes the old plugin look slow just as well.
pub const SWAP_TRIAL_ROUNDS_MIN: usize = 3;
/// Time after which the fewest rounds are enough to refuse, and one to let pass.
pub const SWAP_TRIAL_ROUNDS_TIME: Duration = Duration::from_secs(1);
/// Times the old plugin's time for the same items that a new one may take. `--swap-slowdown`.
pub const SWAP_SLOWDOWN: u64 = 5;
/// The most that can be allowed: as good as any time.
pub const SWAP_SLOWDOWN_MAX: u64 = 1_000_000;
/// Items of a trial that take a candidate no longer than this together never make it too slow: that much is noise.
pub const SWAP_TRIAL_NOISE: Duration = Duration::from_micros(200);
/// The same for the items of a probation, of whose batches the best cannot be taken.
pub const SWAP_PROBATION_NOISE: Duration = Duration::from_millis(2);
/// Items that old and new plugin answer differently, of those shown with the figures.
pub const SWAP_DIFFERING_SHOWN: usize = 3;
/// Items of a hundred whose fate a new plugin may change. `--swap-difference`.
pub const SWAP_DIFFERENCE_PERCENT: u64 = 25;
/// Live batches that a candidate may be run beside at the most. `--shadow`.
pub const SWAP_SHADOW_BATCHES_MAX: u64 = 1000;
/// Batches for which a new plugin is on probation, at the least. Only those count in which it was given items.
pub const SWAP_PROBATION_BATCHES: u64 = 8;
/// Items that it must have been given by then, else its probation goes on: of so many, `SWAP_REJECTS_MIN` are little more than
/// the share that may differ. Each batch that counts has one at the least, so that it never goes on for more batches than this.
pub const SWAP_PROBATION_ITEMS: u64 = 32;
/// Batches of the old plugin with which they are compared, at the most.
pub const SWAP_BASE_BATCHES: usize = 32;
/// Items of a hundred on which a plugin on probation may fail beyond the old one's share.
pub const SWAP_FAULTS_PERCENT: u64 = 1;
/// Items on which a plugin on probation must fail before it is put back: one bad record is no bad plugin.
pub const SWAP_FAULTS_MIN: u64 = 3;
/// Items that a plugin on probation must reject before its share of rejects counts.
pub const SWAP_REJECTS_MIN: u64 = 10;
/// Batches of a plugin on probation from which on its time per item counts.
pub const SWAP_TIME_BATCHES_MIN: usize = 4;
/// A run that was told to end waits so long for candidates whose call does not return; these end with their deadline.
pub const SWAP_END_WAIT: Duration = Duration::from_secs(5);
/// Steps of swaps that wait for a store which another process holds. Of more the oldest go.
pub const SWAP_STEPS_UNKEPT_MAX: usize = 1000;
/// A run that follows another one in a process that stays up waits so long for candidates that came between them.
pub const SWAP_HANDOVER_WAIT: Duration = Duration::from_secs(10);
/// How often the files of plugins are looked at. `--watch`.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// A file must stay as it is for this long before it is read. `--watch`.
pub const WATCH_SETTLE: Duration = Duration::from_millis(200);

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
/// Earlier runs of its kind that a run is compared with when it ends, at the most.
pub const USUAL_RUNS_MAX: usize = 20;
/// With fewer of them nothing is unusual; for the times between them it takes so many of these.
pub const USUAL_RUNS_MIN: usize = 5;
/// Runs of a store among which they are looked for, the newest first.
pub const USUAL_LOOKED_AT_MAX: u64 = 500;
/// Times their deviation that a run may lie from their median. The deviation is 1.4826 times the median of their distances from it.
pub const USUAL_DEVIATIONS: u64 = 3;
/// Percent of the median that a run may lie above it in any case, and as far below.
pub const USUAL_PERCENT: u64 = 25;
/// Items, read or failed, that it may lie from the median in any case.
pub const USUAL_ITEMS: u64 = 5;
/// Items of a hundred that may fail beyond the median in any case.
pub const USUAL_ERRORS_PERCENT: u64 = 1;
/// Runs that usually follow each other sooner than this come in bursts, and none of them is late.
pub const USUAL_AGE_MIN: Duration = Duration::from_secs(60);
/// Where times between runs may differ from their median by more than this factor, they have no schedule, and none is late.
pub const USUAL_SCHEDULE_FACTOR: u64 = 2;
/// Alerts that wait for the program of `--on-alert` at the most; further ones are not handed to it.
pub const ALERT_COMMANDS_MAX: usize = 16;
/// Longest time the program of `--on-alert` may take for one alert, and what the end of a run waits for it; then it is killed.
pub const ALERT_COMMAND_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a run looks for commands of other processes: `runs tune`, `plugins swap`.
pub const INBOX_LOOK: Duration = Duration::from_millis(25);
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
/// Events that wait for a command which prints them, before the run waits too.
pub const EVENTS_WAITING_MAX: usize = 1024;
/// How often a folder of inputs is looked at. `--watch-input`.
pub const INPUT_LOOK: Duration = Duration::from_millis(100);
/// A file in a folder of inputs is read when it has not changed for so long. `--watch-input`.
pub const INPUT_SETTLED: Duration = Duration::from_millis(500);
/// Most files in a folder of inputs. `--watch-input`.
pub const INPUT_FILES_MAX: usize = 100_000;
/// How long a stop waits for work in flight before it is abandoned.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// SQLite waits this long for a lock.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page of a new store. With random keys a group touches most pages of an index anyway, and large ones are found in fewer
/// steps and written in fewer calls: a fifth of the CPU time of a million items against pages of 4 KiB.
pub const STORE_PAGE_BYTES: u32 = 16 << 10;
/// Fewer items than this say nothing about a share of failed ones: not to health, not to alerts, not to plans.
pub const SHARE_ITEMS_MIN: u64 = 20;
/// Bytes of the WAL between automatic checkpoints: a page that several groups write goes into the database file once.
pub const WAL_CHECKPOINT_BYTES: u64 = 256 << 20;
/// Page cache of the writing connection, in KiB.
pub const WRITER_CACHE_KIB: u32 = 24 << 10;
/// The same while an index that was put off is sorted, and memory of the sort; what is more goes into temporary files.
pub const INDEX_SORT_KIB: u32 = 8 << 10;
/// Chunks per batch of which is kept which lane computed them when; a batch has about one per lane.
pub const CHUNKS_KEPT_MAX: usize = 64;
/// Stretches of dropped and of other items per batch of which is kept where they lie; in a thousand items they are more only
/// where about every other one is dropped.
pub const DROPPED_STRETCHES_KEPT_MAX: usize = 512;
/// Batches per store whose metrics are kept; rows of the history and of items are never touched.
pub const HISTORY_BATCHES_MAX: u64 = 1_000_000;
/// Languages, and tools, that `inspect` shows of a component.
pub const PRODUCERS_MAX: usize = 100;
/// Batches of which it is remembered whether their rows are read, where stored items are the input; of more the store is asked.
pub const BATCHES_KNOWN_MAX: usize = 100_000;
/// Largest file of fixtures that `test` reads.
pub const FIXTURE_BYTES_MAX: u64 = 16 << 20;
/// Files of a project that `test` looks at to see whether its component is up to date; a larger one is built each time.
pub const PROJECT_FILES_MAX: usize = 10_000;
/// Largest file of a project that is searched for the names of files beside it, in bytes; sources are smaller.
pub const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Longest time that one tool of a plugin's language may take in `build`.
pub const TOOL_TIME_MAX: Duration = Duration::from_secs(900);
/// What is kept of the output of such a tool: as much of its beginning as of its end.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How long the output of such a tool is waited for once the tool has ended.
pub const TOOL_PIPE_GRACE: Duration = Duration::from_secs(2);

const _: () = assert!(BATCH_SIZE_MIN <= BATCH_SIZE_MAX && BATCH_SIZE_MAX <= BATCH_SIZE_LIMIT);
const _: () = assert!(OUTPUT_ITEM_BYTES_MAX <= OUTPUT_CALL_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES_MAX <= OUTPUT_CALL_BYTES_MAX);
const _: () = assert!(OUTPUT_CALL_BYTES_MAX <= ANSWER_BYTES_MAX / 2);
