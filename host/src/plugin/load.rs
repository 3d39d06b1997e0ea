//! A plugin file on its way in: read once, hashed, screened, compiled. What runs is what was hashed.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, InstancePre};

use super::cache::Cache;
use super::compile::{self, Compiler};
use super::engine::PluginEngine;
use super::sandbox::GuestState;
use super::slot::Role;
use super::world::{self, Inspection};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Digest, shortened};

/// Loads plugins: one engine, one cache, one way of compiling.
#[derive(Clone)]
pub struct PluginLoader {
    engine: PluginEngine,
    cache: Cache,
    compiler: Compiler,
}

/// A compiled component.
pub struct Plugin {
    engine: PluginEngine,
    component: Component,
    file: String,
    digest: Digest,
    bytes: Arc<[u8]>,
    from_cache: bool,
    prepared: Duration,
}

impl PluginLoader {
    /// A loader.
    pub fn new(engine: PluginEngine, cache: Cache, compiler: Compiler) -> Self {
        Self { engine, cache, compiler }
    }

    /// The engine.
    pub fn engine(&self) -> &PluginEngine {
        &self.engine
    }

    /// Reads and compiles a file.
    ///
    /// Errors: GUEST_10011 (unreadable, or no component), GUEST_10013 (too large, or does not compile), OPERATION_5003 (the
    /// process that compiles cannot be started, or somebody has ended it).
    pub fn load(&self, path: &Path) -> Result<Plugin> {
        self.load_bytes(read(path)?, &path.display().to_string())
    }

    /// Compiles bytes that are in memory; `file` names them in messages.
    ///
    /// Errors: as [`PluginLoader::load`].
    pub fn load_bytes(&self, bytes: Arc<[u8]>, file: &str) -> Result<Plugin> {
        self.load_as(bytes, file, None)
    }

    /// As [`PluginLoader::load_bytes`], beside a run that goes on: compiling gives way to it, and ends when `stop` is set.
    pub fn load_beside(&self, bytes: Arc<[u8]>, file: &str, stop: &AtomicBool) -> Result<Plugin> {
        self.load_as(bytes, file, Some(stop))
    }

    fn load_as(&self, bytes: Arc<[u8]>, file: &str, stop: Option<&AtomicBool>) -> Result<Plugin> {
        if bytes.len() as u64 > limits::PLUGIN_BYTES_MAX {
            return Err(too_large(file, bytes.len() as u64));
        }
        let begin = Instant::now();
        world::screen(&bytes, file)?;
        let digest = Digest::of(&bytes);
        let (component, from_cache) =
            compile::component(&self.engine, &self.compiler, &self.cache, &bytes, &digest, file, stop)?;
        let (engine, file, prepared) = (self.engine.clone(), file.to_owned(), begin.elapsed());
        Ok(Plugin { engine, component, file, digest, bytes, from_cache, prepared })
    }
}

/// Reads the file of a plugin, which is not looked into.
///
/// Errors: GUEST_10011 if it cannot be read, GUEST_10013 if it is too large.
pub fn read(path: &Path) -> Result<Arc<[u8]>> {
    let file = path.display();
    let unreadable = |error: std::io::Error| {
        Error::new(Code::PluginWorld, format!("plugin {file} cannot be read: {error}"))
            .hint("check the path given to --plugin or --validator")
    };
    let opened = File::open(path).map_err(unreadable)?;
    let size = opened.metadata().map_err(unreadable)?.len();
    if size > limits::PLUGIN_BYTES_MAX {
        return Err(too_large(&file.to_string(), size));
    }
    // What is no plain file, or grows, has more than it says.
    let mut bytes = Vec::new();
    opened.take(limits::PLUGIN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limits::PLUGIN_BYTES_MAX {
        let message = format!("plugin {file} has more bytes than the bound of {}", limits::PLUGIN_BYTES_MAX);
        return Err(Error::new(Code::PluginCompile, message));
    }
    Ok(bytes.into())
}

pub(super) fn too_large(file: &str, size: u64) -> Error {
    Error::new(
        Code::PluginCompile,
        format!("plugin {file} has {size} bytes, the bound is {}", limits::PLUGIN_BYTES_MAX),
    )
}

impl Plugin {
    /// File it came from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its bytes.
    pub fn bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// True if the compiled artefact came from the cache.
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }

    /// How long it took to check it and to compile it, or to take it from the cache.
    pub fn prepared(&self) -> Duration {
        self.prepared
    }

    /// What it exports and imports, and what it can stand as.
    pub fn inspect(&self) -> Inspection {
        let mut inspection = world::inspect(self.engine.engine(), &self.component);
        // An import may be offered by its name, and not with all that is wanted of it.
        if (inspection.operation || inspection.validator)
            && let Err(why) = self.linked()
        {
            (inspection.operation, inspection.validator) = (false, false);
            inspection.notes.push(why);
        }
        inspection
    }

    pub(super) fn engine(&self) -> &PluginEngine {
        &self.engine
    }

    /// Refuses it if it cannot fill `role`.
    ///
    /// Errors: GUEST_10011 and GUEST_10012, naming what was found and wanted.
    pub fn check(&self, role: Role) -> Result<()> {
        world::check(self.engine.engine(), &self.component, role, &self.file)?;
        self.prepare().map(drop)
    }

    /// True if it can read the store.
    pub(crate) fn imports_store(&self) -> bool {
        world::imports_store(self.engine.engine(), &self.component)
    }

    pub(super) fn prepare(&self) -> Result<InstancePre<GuestState>> {
        self.linked().map_err(|why| {
            Error::new(Code::PluginImport, format!("{}: {why}", self.file))
                .hint("build it against the contract in `wit/`")
        })
    }

    /// Errors: which import is the first that does not fit, and why.
    fn linked(&self) -> Result<InstancePre<GuestState>, String> {
        self.engine.linker().instantiate_pre(&self.component).map_err(|error| {
            let why = shortened(&format!("{error:#}"), limits::GUEST_TEXT_BYTES_MAX);
            format!("an import does not fit: {why}")
        })
    }
}
