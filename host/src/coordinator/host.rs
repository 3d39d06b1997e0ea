//! The public entry: a host with its lanes and stores, and the one way to run a job.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::job::Job;
use super::lanes::Lanes;
use super::outcome::{RunFailure, RunReport};
use super::serial::guard;
use super::start;
use super::writer::WriterService;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::Name;
use crate::plugin::{Cache, Compiler, Plugin, PluginEngine, PluginLoader};
use crate::processor::StorageProcessor;
use crate::store::{Durability, StoreOptions, Writer};
use crate::transaction::{Transaction, Transactional, atomic};

/// What a host is made from.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Chunks that all runs of this host compute at the same time, at the most.
    pub lanes: usize,
    /// Memory of one sandbox, in bytes, at the most: a slot may have less.
    pub memory_bytes: usize,
    /// Where compiled plugins are kept.
    pub cache: Cache,
    /// Where plugins are compiled.
    pub compiler: Compiler,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            lanes: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: limits::MEMORY_BYTES_MAX,
            cache: default_cache(),
            compiler: Compiler::InProcess,
        }
    }
}

/// `ATLAS_CACHE_DIR`, else `atlas-host/` in the user's cache directory; none where there is neither.
pub fn cache_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    if let Some(folder) = std::env::var_os("ATLAS_CACHE_DIR").filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(folder));
    }
    etcetera::choose_base_strategy().ok().map(|strategy| strategy.cache_dir().join("atlas-host"))
}

/// A cache of compiled plugins in [`cache_folder`].
pub fn default_cache() -> Cache {
    cache_folder().map_or_else(Cache::none, Cache::at)
}

/// The writers of the stores that runs of this host write to.
type Writers = Mutex<HashMap<PathBuf, (Durability, Weak<WriterService>)>>;

/// A run's hold on the writer of its store. The last one to be dropped closes the store; whoever opens it anew meanwhile waits.
pub(super) struct WriterLease {
    service: Option<Arc<WriterService>>,
    writers: Option<Arc<Writers>>,
}

impl WriterLease {
    /// A writer that no other run shares.
    pub fn own(service: WriterService) -> Self {
        Self { service: Some(Arc::new(service)), writers: None }
    }

    pub fn service(&self) -> Arc<WriterService> {
        Arc::clone(self.service.as_ref().expect("BUG: a lease without its writer"))
    }
}

impl Drop for WriterLease {
    fn drop(&mut self) {
        let _until_closed = self.writers.as_ref().map(|writers| guard(writers));
        self.service = None;
    }
}

/// Runs jobs. Runs of one host share its lanes, its compiled plugins and, per store, one writer.
pub struct Host {
    options: HostOptions,
    lanes: OnceLock<Lanes>,
    loader: OnceLock<PluginLoader>,
    /// Held while one of the cells above is being filled.
    setup: Mutex<()>,
    writers: Arc<Writers>,
    next_key: AtomicU64,
}

impl Host {
    /// A host. Threads and engine are made when they are first needed.
    ///
    /// Errors: CONFIG_3001 for lanes of 0 or beyond [`limits::LANES_LIMIT`].
    pub fn new(options: HostOptions) -> Result<Self> {
        if options.lanes == 0 || options.lanes > limits::LANES_LIMIT {
            let message = format!("{} lanes asked for, 1 to {} are possible", options.lanes, limits::LANES_LIMIT);
            return Err(Error::new(Code::ConfigInvalid, message));
        }
        Ok(Self {
            options,
            lanes: OnceLock::new(),
            loader: OnceLock::new(),
            setup: Mutex::new(()),
            writers: Arc::default(),
            next_key: AtomicU64::new(0),
        })
    }

    /// Loads a plugin file: read once, hashed, checked, compiled or taken from the cache.
    ///
    /// Errors: GUEST_10011, GUEST_10013, each naming the file.
    pub fn load_plugin(&self, path: impl AsRef<Path>) -> Result<Plugin> {
        self.loader()?.load(path.as_ref())
    }

    /// Loads a plugin from bytes; `name` names it in messages.
    ///
    /// Errors: as [`Host::load_plugin`].
    pub fn load_plugin_bytes(&self, bytes: Arc<[u8]>, name: &str) -> Result<Plugin> {
        self.loader()?.load_bytes(bytes, name)
    }

    /// Runs a job to its end and tells how it ended. Blocks; runs may go on side by side on several threads.
    ///
    /// Errors: what stopped the run, with its report if it had begun. Rejected items are no error: see the report's status.
    pub fn run(&self, job: Job) -> Result<RunReport, RunFailure> {
        start::run(self, job)
    }

    /// What is wrong with the plugins of a job, each of which is started once. [`Host::run`] stops at the first fault.
    pub fn faults(&self, job: &Job) -> Vec<Error> {
        start::faults(self, job)
    }

    /// Runs `work` in one transaction of a store, which nests: committed if it returns `Ok`, undone if not.
    ///
    /// Errors: the store's, or what `work` returned.
    pub fn transaction<T: Send + 'static>(
        &self,
        store: impl AsRef<Path>,
        collection: &Name,
        work: impl FnOnce(&mut Transaction<'_, dyn Transactional + '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let lease = self.writer(store.as_ref(), Durability::Full)?;
        let collection = collection.clone();
        lease.service().ask(move |processor| {
            processor.declare(&collection, &[], &[])?;
            let store = processor
                .transactional()
                .ok_or_else(|| Error::new(Code::StoragePrerequisite, "this processor stores nothing"))?;
            Ok(atomic(store, work)?)
        })
    }

    /// The most lanes that were ever at work at the same time.
    pub fn peak_lanes(&self) -> usize {
        self.lanes.get().map_or(0, Lanes::peak)
    }

    /// Sandboxes that there are now: those at work, and the warm ones of runs under way. None outlives its run.
    pub fn sandboxes(&self) -> usize {
        self.loader.get().map_or(0, |loader| loader.engine().sandboxes())
    }

    /// Memory that a sandbox can have.
    pub(super) fn memory_bytes(&self) -> usize {
        self.options.memory_bytes
    }

    pub(super) fn lanes(&self) -> Result<&Lanes> {
        let _one_at_a_time = guard(&self.setup);
        if let Some(lanes) = self.lanes.get() {
            return Ok(lanes);
        }
        let lanes = Lanes::start(self.options.lanes)?;
        Ok(self.lanes.get_or_init(|| lanes))
    }

    pub(super) fn loader(&self) -> Result<&PluginLoader> {
        let _one_at_a_time = guard(&self.setup);
        if let Some(loader) = self.loader.get() {
            return Ok(loader);
        }
        let engine = PluginEngine::new(self.options.memory_bytes)?;
        let loader = PluginLoader::new(engine, self.options.cache.clone(), self.options.compiler.clone());
        Ok(self.loader.get_or_init(|| loader))
    }

    /// Tells runs of this process apart.
    pub(super) fn next_key(&self) -> u64 {
        self.next_key.fetch_add(1, Ordering::Relaxed)
    }

    /// The writer of a store, shared by all runs that write to it.
    pub(super) fn writer(&self, path: &Path, durability: Durability) -> Result<WriterLease> {
        let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut writers = guard(&self.writers);
        let lease = |service| WriterLease { service: Some(service), writers: Some(Arc::clone(&self.writers)) };
        if let Some((held, service)) = writers.get(&place).and_then(|(held, weak)| Some((*held, weak.upgrade()?))) {
            if held == Durability::Normal && durability == Durability::Full {
                let message =
                    format!("store {} is being written with durability normal by another run", path.display());
                return Err(Error::new(Code::StorageLocked, message).hint("wait until that run has ended"));
            }
            return Ok(lease(service));
        }
        let options = StoreOptions { path: path.to_owned(), durability, create: true };
        let service =
            Arc::new(WriterService::start(move || Ok(Box::new(StorageProcessor::new(Writer::open(&options)?))))?);
        writers.retain(|_, (_, writer)| writer.strong_count() > 0);
        writers.insert(place, (durability, Arc::downgrade(&service)));
        Ok(lease(service))
    }
}
