//! The flags that describe a run, and the job they make. `run` and `validate` share them; each is a key of `atlas.toml` too.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use super::common::{OutputArg, StoreArg};
use super::thresholds::ThresholdArgs;
use super::units;
use super::{spec, stored};
use crate::coordinator::RejectLimit;
use crate::error::Result;
use crate::limits;
use crate::model::{IndexSpec, Name, OnExisting, Pointer};
use crate::source::Format;
use crate::store::Durability;
use crate::strategy::{Aim, Interval};

/// See the module.
#[derive(Args, Debug, Clone)]
pub struct JobArgs {
    /// Transform items by this component, a file or oci://…; several work one after another, each on what the one before put out
    #[arg(long, value_name = "[SLOT=]FILE", env = "ATLAS_PLUGIN", value_delimiter = ',', help_heading = "Plugins")]
    pub plugin: Vec<String>,
    /// Judge items by this component, a file or oci://…; several validators stand side by side
    #[arg(long, value_name = "[SLOT=]FILE", env = "ATLAS_VALIDATOR", value_delimiter = ',', help_heading = "Plugins")]
    pub validator: Vec<String>,
    /// Give a plugin a setting
    #[arg(long, value_name = "[SLOT.]KEY=VALUE", help_heading = "Plugins")]
    pub plugin_config: Vec<String>,
    /// Let a plugin see a directory, read-only unless :rw follows
    #[arg(long, value_name = "[SLOT=]HOST[::GUEST][:rw]", help_heading = "Plugins")]
    pub grant_dir: Vec<String>,
    /// Let a plugin see an environment variable; without a value the present one
    #[arg(long, value_name = "[SLOT=]KEY[=VALUE]", help_heading = "Plugins")]
    pub grant_env: Vec<String>,
    /// Let a plugin connect to a host
    #[arg(long, value_name = "[SLOT=]HOST:PORT", help_heading = "Plugins")]
    pub grant_host: Vec<String>,
    /// Let a plugin read a further collection through the store interface
    #[arg(long, value_name = "[SLOT=]NAME", help_heading = "Plugins")]
    pub grant_collection: Vec<String>,
    /// Bound the memory of one sandbox
    #[arg(long, value_name = "SIZE", default_value = "64MiB", env = "ATLAS_MEMORY", value_parser = units::bytes, help_heading = "Plugins")]
    pub memory: usize,
    /// Bound the time of one plugin call
    #[arg(long, value_name = "TIME", default_value = "5s", env = "ATLAS_DEADLINE", value_parser = units::duration, help_heading = "Plugins")]
    pub deadline: Duration,
    /// Keep sandboxes warm for the run, or take a fresh one for each call of a batch
    #[arg(long, value_name = "KIND", default_value = "run", env = "ATLAS_ISOLATION", help_heading = "Plugins")]
    pub isolation: Isolation,

    /// Read items from this file, or from standard input (-); several are read one after another
    #[arg(long, short, value_name = "FILE", env = "ATLAS_INPUT", help_heading = "Input")]
    pub input: Vec<String>,
    /// Say the format instead of inferring it from the name: ndjson, json, csv, tsv
    #[arg(long, value_name = "FORMAT", env = "ATLAS_FORMAT", value_parser = format, help_heading = "Input")]
    pub format: Option<Format>,
    /// Separate CSV fields by this character
    #[arg(long, value_name = "CHAR", env = "ATLAS_DELIMITER", help_heading = "Input")]
    pub delimiter: Option<char>,
    /// Take the first CSV row as data; columns are called c1, c2 and so on
    #[arg(long, env = "ATLAS_NO_HEADER", value_parser = BoolishValueParser::new(), help_heading = "Input")]
    pub no_header: bool,
    /// Take the id from this member (id) or JSON pointer (/meta/id); without it the position in the input is the id
    #[arg(long, value_name = "POINTER", env = "ATLAS_ID", value_parser = pointer, help_heading = "Input")]
    pub id: Option<Pointer>,
    /// Say what happens to an item without an id: it goes to the dead letters, or gets its position
    #[arg(long, value_name = "POLICY", default_value = "reject", env = "ATLAS_MISSING_ID", help_heading = "Input")]
    pub missing_id: MissingIdArg,
    /// Read this many items at the most
    #[arg(long, value_name = "N", env = "ATLAS_LIMIT", help_heading = "Input")]
    pub limit: Option<u64>,
    /// Bound the length of a line; a longer one goes to the dead letters
    #[arg(long, value_name = "SIZE", default_value = "8MiB", env = "ATLAS_MAX_LINE_BYTES", value_parser = units::bytes, help_heading = "Input")]
    pub max_line_bytes: usize,

    #[command(flatten, next_help_heading = "Store")]
    pub store: StoreArg,
    /// Store items in this collection
    #[arg(long, value_name = "COLLECTION", default_value = "items", env = "ATLAS_INTO", value_parser = name, help_heading = "Store")]
    pub into: Name,
    /// Declare a further collection that changes may name
    #[arg(long, value_name = "NAME", env = "ATLAS_COLLECTION", value_delimiter = ',', value_parser = name, help_heading = "Store")]
    pub collection: Vec<Name>,
    /// Index what this JSON pointer leads to
    #[arg(long, value_name = "[COLLECTION:][NAME=]POINTER", env = "ATLAS_INDEX", value_delimiter = ',', value_parser = index, help_heading = "Store")]
    pub index: Vec<IndexSpec>,
    /// Index, and refuse a second item with the same value
    #[arg(long, value_name = "[COLLECTION:][NAME=]POINTER", env = "ATLAS_UNIQUE", value_delimiter = ',', value_parser = unique, help_heading = "Store")]
    pub unique: Vec<IndexSpec>,
    /// Say what a put does when its id is there already
    #[arg(long, value_name = "POLICY", default_value = "replace", env = "ATLAS_ON_EXISTING", help_heading = "Store")]
    pub on_existing: OnExistingArg,
    /// Keep each batch whole, or the whole run
    #[arg(long, value_name = "UNIT", default_value = "batch", env = "ATLAS_ATOMIC", help_heading = "Store")]
    pub atomic: AtomicArg,
    /// Choose what a power cut may take: nothing (full), or the last batches (normal)
    #[arg(long, value_name = "KIND", default_value = "full", env = "ATLAS_DURABILITY", help_heading = "Store")]
    pub durability: DurabilityArg,
    /// Say where results go: storage, memory (to stdout, nothing stored), index (no items; indexes verified and rebuilt)
    #[arg(long, value_name = "NAME", default_value = "storage", env = "ATLAS_PROCESSOR", help_heading = "Store")]
    pub processor: String,

    /// Choose how batches are planned: sequential, concurrent, adaptive
    #[arg(long, value_name = "NAME", default_value = "adaptive", env = "ATLAS_STRATEGY", help_heading = "Batches")]
    pub strategy: String,
    /// Choose what the adaptive strategy aims at: most items per second (throughput), or short batches (latency)
    #[arg(long, value_name = "AIM", default_value = "throughput", env = "ATLAS_AIM", help_heading = "Batches")]
    pub aim: AimArg,
    /// Keep 95 of 100 batches below this time from cut to commit, as far as the adaptive strategy can
    #[arg(long, value_name = "TIME", env = "ATLAS_MAX_BATCH_TIME", value_parser = units::duration, help_heading = "Batches")]
    pub max_batch_time: Option<Duration>,
    /// Keep the memory of this process below this, as far as the adaptive strategy can
    #[arg(long, value_name = "SIZE", env = "ATLAS_MEMORY_BUDGET", value_parser = units::bytes, help_heading = "Batches")]
    pub memory_budget: Option<usize>,
    /// Fix the batch size, or bound it
    #[arg(long, value_name = "N|MIN..MAX", default_value = "10..1000", env = "ATLAS_BATCH_SIZE", value_parser = units::interval, help_heading = "Batches")]
    pub batch_size: Interval,
    /// Close a batch when its items reach this size
    #[arg(long, value_name = "SIZE", default_value = "8MiB", env = "ATLAS_BATCH_BYTES", value_parser = units::bytes, help_heading = "Batches")]
    pub batch_bytes: usize,
    /// Close a batch of a slow pipe after this time
    #[arg(long, value_name = "TIME", default_value = "1s", env = "ATLAS_BATCH_WAIT", value_parser = units::duration, help_heading = "Batches")]
    pub batch_wait: Duration,
    /// Fix the number of lanes (chunks computed at the same time), or bound it; default: 1 to the number of cores
    #[arg(long, value_name = "N|MIN..MAX", env = "ATLAS_LANES", value_parser = units::interval, help_heading = "Batches")]
    pub lanes: Option<Interval>,
    /// Try an item with a transient failure this many times
    #[arg(long, value_name = "N", default_value = "3", env = "ATLAS_ATTEMPTS", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::ATTEMPTS_LIMIT)), help_heading = "Batches")]
    pub attempts: u32,
    /// Stop after the batch in which more items than this have been rejected or dead-lettered
    ///
    /// N counts over the whole run, PERCENT% is a share of all that was read up to the end of the batch. K/N is for runs that
    /// go on and on: more than K of any N items that follow each other in the input, such as 50/1000. A run that is continued
    /// goes on counting, in each of these ways.
    #[arg(long, value_name = "N|PERCENT%|K/N", env = "ATLAS_MAX_REJECTS", value_parser = units::reject_limit, help_heading = "Batches")]
    pub max_rejects: Option<RejectLimit>,
    /// Seed the plugins' randomness
    #[arg(long, value_name = "N", env = "ATLAS_SEED", help_heading = "Batches")]
    pub seed: Option<u64>,

    /// Warn of batches whose mean time per item is above this
    #[arg(long, value_name = "TIME", default_value = "100ms", env = "ATLAS_SLOW_ITEM", value_parser = units::duration, help_heading = "Watching")]
    pub slow_item: Duration,
    #[command(flatten, next_help_heading = "Watching")]
    pub thresholds: ThresholdArgs,
    /// Start this program for each alert that is raised or cleared, with the alert as JSON on its standard input
    #[arg(long, value_name = "PROGRAM", env = "ATLAS_ON_ALERT", help_heading = "Watching")]
    pub on_alert: Option<PathBuf>,
    /// Write events as JSON lines to this file, or to stdout (-)
    #[arg(long, value_name = "FILE", env = "ATLAS_EVENTS", help_heading = "Watching")]
    pub events: Option<PathBuf>,
    /// Keep metrics for Prometheus in this file, for its textfile collector
    #[arg(long, value_name = "FILE", env = "ATLAS_METRICS_FILE", help_heading = "Watching")]
    pub metrics_file: Option<PathBuf>,
    /// Serve metrics for Prometheus at this loopback address, under /metrics; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "ATLAS_METRICS_LISTEN", value_parser = crate::monitor::loopback, help_heading = "Watching")]
    pub metrics_listen: Option<SocketAddr>,
    #[command(flatten, next_help_heading = "Watching")]
    pub output: OutputArg,
}

/// Inputs that are no plain files or pipes; `run` and `validate` share them.
#[derive(Args, Debug, Clone)]
pub struct FurtherInputs {
    /// Read the items of this collection of the store, as they are when the run begins
    ///
    /// In the order of their ids. What the run itself writes there is no input. Where it was interrupted, the same command goes
    /// on behind the last id that was read, and leaves out what the run has written; other rows it reads as they are then. After
    /// success it says so, until another run has changed the collection; --again reads it anew.
    #[arg(long, value_name = "COLLECTION", env = "ATLAS_FROM", value_parser = name, help_heading = "Input")]
    pub from: Option<Name>,
    /// Stay up and read each file that comes into this folder, in a run of its own
    ///
    /// Files whose extension names a format (with --format: all) are read once they have not changed for half a second, the
    /// oldest first; best moved in whole. Hidden files and those that end in .part, .tmp or ~ are left alone, files in
    /// folders inside too. A file that cannot be read, or was replaced in the middle of its run, is told, and the others go
    /// on. The files of the plugins are followed as with --watch. It ends with a signal; the same command then goes on where
    /// it was, and reads no file a second time unless it has changed.
    #[arg(long, value_name = "DIR", env = "ATLAS_WATCH_INPUT", help_heading = "Input")]
    pub watch_input: Option<PathBuf>,
    /// Read this file last, and go on reading as it grows
    ///
    /// For NDJSON, CSV and TSV, not compressed. A line counts once its line end is there. The run goes on until a signal
    /// stops it (the same command then continues), or until the file is replaced or removed: what it held is processed
    /// first, and the next command reads the new one. One that was replaced while no run was up, by one that holds less than
    /// was read of it, is refused; --again reads the new one.
    #[arg(long, value_name = "FILE", env = "ATLAS_FOLLOW", help_heading = "Input")]
    pub follow: Option<String>,
}

impl FurtherInputs {
    /// Adds them to the inputs of a job, but for a folder, each file of which is a job of its own. Stored items are asked for
    /// when the slots are filled.
    ///
    /// Errors: as [`stored::check_alone`].
    pub fn add_to(&self, job: &mut JobArgs) -> Result<()> {
        job.input.extend(self.follow.clone());
        if self.from.is_some() {
            stored::check_alone(&job.input)?;
            job.input = vec!["-".to_owned()];
        }
        Ok(())
    }
}

impl JobArgs {
    /// What is granted to all plugins, or to those in the slots named, by the names of the flags.
    pub fn grants(&self) -> [(&'static str, &[String]); 4] {
        [
            ("grant-dir", &self.grant_dir),
            ("grant-env", &self.grant_env),
            ("grant-host", &self.grant_host),
            ("grant-collection", &self.grant_collection),
        ]
    }
}

/// How long a sandbox lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    /// Warm sandboxes, recycled after many calls
    Run,
    /// A fresh sandbox for each call
    Batch,
}

/// See [`crate::source::MissingId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MissingIdArg {
    /// To the dead letters
    Reject,
    /// Its position in the input
    Ordinal,
}

/// See [`Aim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AimArg {
    /// Most items per second
    Throughput,
    /// A short time from the cut of a batch to its commit
    Latency,
}

impl From<AimArg> for Aim {
    fn from(arg: AimArg) -> Self {
        match arg {
            AimArg::Throughput => Aim::Throughput,
            AimArg::Latency => Aim::Latency,
        }
    }
}

/// See [`OnExisting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnExistingArg {
    /// The last write in input order wins
    Replace,
    /// The row stays, the item counts as stored
    Ignore,
    /// The item goes to the dead letters
    Reject,
}

impl From<OnExistingArg> for OnExisting {
    fn from(arg: OnExistingArg) -> Self {
        match arg {
            OnExistingArg::Replace => OnExisting::Replace,
            OnExistingArg::Ignore => OnExisting::Ignore,
            OnExistingArg::Reject => OnExisting::Reject,
        }
    }
}

/// See [`crate::coordinator::Atomicity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AtomicArg {
    /// Each batch is whole or not there; the run can be continued
    Batch,
    /// The run is whole or not there; readers go on, other writers wait for it
    Run,
}

/// See [`Durability`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// Survives kill -9 and power loss
    Full,
    /// Survives kill -9; power loss may take the last batches
    Normal,
}

impl From<DurabilityArg> for Durability {
    fn from(arg: DurabilityArg) -> Self {
        match arg {
            DurabilityArg::Full => Durability::Full,
            DurabilityArg::Normal => Durability::Normal,
        }
    }
}

/// A legal name.
pub fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).ok_or_else(|| {
        "names begin with a letter or _, go on with letters, digits or _, and have at most 63 characters".to_owned()
    })
}

fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::parse(text).ok_or_else(|| "write a member name such as id, or a JSON pointer such as /meta/id".to_owned())
}

fn index(text: &str) -> Result<IndexSpec, String> {
    spec::index_spec(text, false)
}

fn unique(text: &str) -> Result<IndexSpec, String> {
    spec::index_spec(text, true)
}

fn format(text: &str) -> Result<Format, String> {
    Format::parse(text).ok_or_else(|| {
        let names: Vec<&str> = Format::all().map(Format::name).collect();
        format!("the formats are {}", names.join(", "))
    })
}
