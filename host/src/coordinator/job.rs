//! What a run is to do: every option, with its default.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::control::{Command, Control};
use super::run::Carried;
use super::swap::SwapSettings;
use super::swap::watch::WatchedFile;
use super::writer::RejectLimit;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Decision, Digest, IndexSpec, Name, OnExisting, Pointer, RunNumber};
use crate::monitor::{Monitor, Sensor, Thresholds};
use crate::plugin::{Grants, Operation, Plugin, Validator};
use crate::processor::{Gathering, MemoryProcessor, Output, Processor, ProcessorKind};
use crate::source::{InputPath, ListSource, MissingId, ReadOptions, Source};
use crate::store::Durability;
use crate::strategy::{Aim, Bounds, Strategy};

/// Where items come from.
pub enum Input {
    /// Files and standard input, one after another.
    Files(Vec<InputPath>),
    /// Anything else. `resumable` is a name under which the same command finds its run again; none for a one-off.
    Source { source: Box<dyn Source>, resumable: Option<String> },
}

/// What fills a slot.
#[derive(Clone)]
pub enum Filling {
    /// A component, as this role's plugin.
    Component(Arc<Plugin>),
    /// An operation in Rust.
    Operation(Arc<dyn Operation>),
    /// A validator in Rust.
    Validator(Arc<dyn Validator>),
}

/// A slot of a job.
#[derive(Clone)]
pub struct SlotSpec {
    pub name: Name,
    pub filling: Filling,
    pub grants: Grants,
    /// The plugin's own settings.
    pub config: BTreeMap<String, String>,
    /// Memory of one of its sandboxes, in bytes, up to what the host was made for; none takes all of that.
    pub memory_bytes: Option<usize>,
    /// Time of one of its calls; none takes the job's.
    pub deadline: Option<Duration>,
    /// Nothing but a component of this digest may fill it while the run goes on.
    pub pinned: Option<Digest>,
}

/// How much is kept when something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Atomicity {
    /// Each batch is whole or not there; the run can be continued.
    #[default]
    Batch,
    /// The run is whole or not there.
    Run,
}

impl Atomicity {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Atomicity::Batch => "batch",
            Atomicity::Run => "run",
        }
    }
}

/// A run to be. Fields are public: any value is fine, or is refused by name when the run begins.
pub struct Job {
    pub input: Input,
    /// Path of the store; none with the memory processor.
    pub store: Option<PathBuf>,
    pub durability: Durability,
    pub processor: ProcessorKind,
    /// With the memory processor: where results go.
    pub output: Option<Output>,
    /// Collection that items go to.
    pub collection: Name,
    /// Further collections that changes may name.
    pub collections: Vec<Name>,
    pub indexes: Vec<IndexSpec>,
    /// In a row: each works on the outputs of the one before.
    pub operations: Vec<SlotSpec>,
    pub validators: Vec<SlotSpec>,
    /// Where an item's id stands in it; none makes the ordinal the id.
    pub id: Option<Pointer>,
    pub missing_id: MissingId,
    pub read: ReadOptions,
    /// Records to read at the most.
    pub limit: Option<u64>,
    /// Name of the strategy.
    pub strategy: String,
    /// A strategy of the embedding program's own, in place of the named one.
    pub own_strategy: Option<Box<dyn Strategy>>,
    /// A processor of the embedding program's own, in place of the named one.
    pub own_processor: Option<Box<dyn Processor>>,
    pub bounds: Bounds,
    /// What the adaptive strategy aims at.
    pub aim: Aim,
    /// Time from cut to commit that 95 of 100 batches should stay below, where the adaptive strategy plans.
    pub batch_time_max: Option<Duration>,
    /// Memory that this process should stay below, in bytes: the adaptive strategy plans smaller batches before.
    pub memory_budget: Option<u64>,
    pub batch_bytes: usize,
    pub batch_wait: Duration,
    /// Attempts per item, from 1.
    pub attempts: u32,
    /// Time of one guest call, where its slot has none of its own.
    pub deadline: Duration,
    pub on_existing: OnExisting,
    pub atomic: Atomicity,
    /// Do everything, then undo it.
    pub dry_run: bool,
    /// The run to go on with, wherever its input lies by now; none: the newest of the same collection and inputs, if it was
    /// interrupted.
    pub resume: Option<RunNumber>,
    /// Process anew what is complete already, or begin anew what was interrupted.
    pub again: bool,
    /// What is complete stays as it is, though plugins or settings are others than it was processed with.
    pub once: bool,
    /// Go on although plugins or settings are others than the run began with.
    pub accept_change: bool,
    pub max_rejects: Option<RejectLimit>,
    /// Seed of the plugins' randomness; none draws one.
    pub seed: Option<u64>,
    /// The plugins' clock, milliseconds since the Unix epoch; none takes the time at which the run begins.
    pub clock_ms: Option<i64>,
    /// A fresh sandbox for each call instead of warm ones.
    pub fresh_sandboxes: bool,
    /// Mean time per item above which a batch raises SLOW_BATCH_PROCESSING.
    pub slow_item: Duration,
    pub monitors: Vec<Box<dyn Monitor>>,
    /// Where CPU and memory in use are read; none reads the machine's.
    pub sensor: Option<Box<dyn Sensor>>,
    /// How often it is read.
    pub sample_interval: Duration,
    /// Above these values the host is unhealthy; the share of errors also raises HIGH_ERROR_RATE.
    pub thresholds: Thresholds,
    pub control: Control,
    /// Other processes may change the run's bounds through a folder beside its store: see [`super::tune`].
    pub inbox: bool,
    /// How plugins are judged that are to take the place of others while the run goes on.
    pub swap: SwapSettings,
    /// Files of plugins that are followed: what is new in them takes the place of what fills their slots.
    pub watch: Vec<WatchedFile>,
    /// Plugins and candidates come from the run before and go to the one after: for a process that stays up.
    pub carried: Option<Carried>,
    /// Asked at the beginning and with every sample for changes of the run; for configuration that is read again.
    pub live: Option<Live>,
    /// Said with the first plan, after its reason.
    pub plan_note: Option<String>,
    /// The resolved configuration, for the record.
    pub settings_json: String,
    /// Ids of dead letters by ordinal, where the items are dead letters to be tried again.
    pub dead_letters: Option<Arc<[i64]>>,
    /// An item that a rule rejects loses the row that it has: for stored items that are judged once more.
    pub remove_rejected: bool,
    /// Dead letters that are tried again may take the place of rows that were written after them.
    pub over_newer: bool,
    /// Called with every decision of a batch once it is committed; for tools that look at outcomes.
    pub observer: Option<Observer>,
}

/// Sees the ordinal of the first record and the decisions of each committed batch, in input order.
pub type Observer = Box<dyn FnMut(u64, &[Decision]) + Send>;

/// Gives what has changed since it was last asked. See [`Job::live`].
pub type Live = Box<dyn FnMut() -> Vec<Command> + Send>;

impl Job {
    /// A job with defaults: these inputs, stored in this file, into the collection `items`.
    pub fn new(input: Input, store: Option<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            input,
            processor: if store.is_some() { ProcessorKind::Storage } else { ProcessorKind::Memory },
            store,
            durability: Durability::Full,
            output: None,
            collection: Name::parse("items").expect("a legal name"),
            collections: Vec::new(),
            indexes: Vec::new(),
            operations: Vec::new(),
            validators: Vec::new(),
            id: None,
            missing_id: MissingId::Reject,
            read: ReadOptions::default(),
            limit: None,
            strategy: "adaptive".to_owned(),
            own_strategy: None,
            own_processor: None,
            bounds: Bounds::of_cores(cores),
            aim: Aim::default(),
            batch_time_max: None,
            memory_budget: None,
            batch_bytes: limits::BATCH_BYTES_MAX,
            batch_wait: limits::BATCH_WAIT,
            attempts: limits::ATTEMPTS,
            deadline: limits::DEADLINE,
            on_existing: OnExisting::default(),
            atomic: Atomicity::default(),
            dry_run: false,
            resume: None,
            again: false,
            once: false,
            accept_change: false,
            max_rejects: None,
            seed: None,
            clock_ms: None,
            fresh_sandboxes: false,
            slow_item: limits::SLOW_ITEM,
            monitors: Vec::new(),
            sensor: None,
            sample_interval: limits::SAMPLE_INTERVAL,
            thresholds: Thresholds::default(),
            control: Control::default(),
            inbox: false,
            swap: SwapSettings::default(),
            watch: Vec::new(),
            carried: None,
            live: None,
            plan_note: None,
            settings_json: "{}".to_owned(),
            dead_letters: None,
            remove_rejected: false,
            over_newer: false,
            observer: None,
        }
    }

    /// Items in memory, as JSON texts, into a collection of a store.
    ///
    /// Errors: CONFIG_3001 for a collection name that is not legal.
    pub fn of_items<I>(items: I, store: impl Into<PathBuf>, collection: &str) -> Result<Self>
    where
        I: IntoIterator<Item = String>,
        I::IntoIter: Send + 'static,
    {
        let source = ListSource::new("items", items.into_iter().map(|body| (None, body)));
        let mut job = Self::new(Input::Source { source: Box::new(source), resumable: None }, Some(store.into()));
        job.collection = name(collection)?;
        Ok(job)
    }

    /// Files into a collection of a store.
    ///
    /// Errors: CONFIG_3001 for a collection name that is not legal.
    pub fn of_files<P: Into<PathBuf>>(
        files: impl IntoIterator<Item = P>,
        store: impl Into<PathBuf>,
        collection: &str,
    ) -> Result<Self> {
        let files = files.into_iter().map(|path| InputPath::File(path.into())).collect();
        let mut job = Self::new(Input::Files(files), Some(store.into()));
        job.collection = name(collection)?;
        Ok(job)
    }

    /// Takes the id from this member (`id`) or JSON pointer (`/meta/id`).
    ///
    /// Errors: CONFIG_3001 for a pointer that is none.
    pub fn id(mut self, pointer: &str) -> Result<Self> {
        self.id = Some(parse_pointer(pointer)?);
        Ok(self)
    }

    /// Declares an index over this member or JSON pointer, named after its last token.
    ///
    /// Errors: CONFIG_3001 for a pointer that is none, or whose last token is no legal name.
    pub fn index(mut self, pointer: &str) -> Result<Self> {
        let pointer = parse_pointer(pointer)?;
        let last = pointer.tokens().last().expect("a pointer has a token");
        let name = name(last)?;
        self.indexes.push(IndexSpec { collection: None, name, pointer, unique: false });
        Ok(self)
    }

    /// Transforms items by Rust code, after the operations there are.
    #[must_use]
    pub fn operation(self, operation: impl Operation + 'static) -> Self {
        self.one_more(Filling::Operation(Arc::new(operation)))
    }

    /// Judges items by Rust code, beside the validators there are.
    #[must_use]
    pub fn validator(mut self, validator: impl Validator + 'static) -> Self {
        let name = format!("validator{}", self.validators.len() + 1);
        self.validators.push(SlotSpec::new(&name, Filling::Validator(Arc::new(validator))));
        self
    }

    /// Transforms items by a component, after the operations there are.
    #[must_use]
    pub fn operation_plugin(self, plugin: Plugin) -> Self {
        self.one_more(Filling::Component(Arc::new(plugin)))
    }

    fn one_more(mut self, filling: Filling) -> Self {
        let name = match self.operations.len() {
            0 => "operation".to_owned(),
            others => format!("operation{}", others + 1),
        };
        self.operations.push(SlotSpec::new(&name, filling));
        self
    }

    /// Judges items by a component, beside the validators there are.
    #[must_use]
    pub fn validator_plugin(mut self, plugin: Plugin) -> Self {
        let name = format!("validator{}", self.validators.len() + 1);
        self.validators.push(SlotSpec::new(&name, Filling::Component(Arc::new(plugin))));
        self
    }

    /// Passes results to an output that gathers them, and stores nothing.
    #[must_use]
    pub fn gathered_by(mut self, output: impl Gathering + 'static) -> Self {
        self.processor = ProcessorKind::Memory;
        self.own_processor = Some(Box::new(MemoryProcessor::gathered(Box::new(output))));
        self
    }

    /// Watches the run.
    #[must_use]
    pub fn monitor(mut self, monitor: impl Monitor + 'static) -> Self {
        self.monitors.push(Box::new(monitor));
        self
    }
}

impl SlotSpec {
    /// A slot without grants and settings.
    ///
    /// # Panics
    /// If the name is not legal; callers pass names they have checked or made.
    pub fn new(name: &str, filling: Filling) -> Self {
        Self {
            name: Name::parse(name).expect("a legal slot name"),
            filling,
            grants: Grants::default(),
            config: BTreeMap::new(),
            memory_bytes: None,
            deadline: None,
            pinned: None,
        }
    }
}

fn name(text: &str) -> Result<Name> {
    Name::parse(text).ok_or_else(|| {
        Error::new(Code::ConfigInvalid, format!("{text:?} is not a legal name"))
            .hint("names begin with a letter or _, go on with letters, digits or _, and have at most 63 characters")
    })
}

fn parse_pointer(text: &str) -> Result<Pointer> {
    Pointer::parse(text).ok_or_else(|| {
        Error::new(Code::ConfigInvalid, format!("{text:?} is neither a member name nor a JSON pointer"))
            .hint("write a member name such as id, or a pointer such as /meta/id")
    })
}
