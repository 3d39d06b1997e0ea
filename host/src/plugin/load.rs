//! A plugin file on its way in: read once, hashed, screened, compiled. What runs is what was hashed.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};

use super::cache::Cache;
use super::compile::{self, Compiler};
use super::engine::PluginEngine;
use super::sandbox::GuestState;
use super::slot::Role;
use super::world::{self, Inspection};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::Digest;

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
    /// Errors: GUEST_10011 (unreadable, or no component), GUEST_10013 (too large, or does not compile).
    pub fn load(&self, path: &Path) -> Result<Plugin> {
        let file = path.display().to_string();
        let unreadable = |error: std::io::Error| {
            Error::new(Code::PluginWorld, format!("plugin {file} cannot be read: {error}"))
                .hint("check the path given to --plugin or --validator")
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > limits::PLUGIN_BYTES_MAX {
            return Err(too_large(&file, size));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        self.load_bytes(bytes.into(), &file)
    }

    /// Compiles bytes that are in memory; `file` names them in messages.
    ///
    /// Errors: as [`PluginLoader::load`].
    pub fn load_bytes(&self, bytes: Arc<[u8]>, file: &str) -> Result<Plugin> {
        if bytes.len() as u64 > limits::PLUGIN_BYTES_MAX {
            return Err(too_large(file, bytes.len() as u64));
        }
        world::screen(&bytes, file)?;
        let digest = Digest::of(&bytes);
        let (component, from_cache) =
            compile::component(&self.engine, &self.compiler, &self.cache, &bytes, &digest, file)?;
        Ok(Plugin { engine: self.engine.clone(), component, file: file.to_owned(), digest, bytes, from_cache })
    }
}

fn too_large(file: &str, size: u64) -> Error {
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

    /// What it exports and imports.
    pub fn inspect(&self) -> Inspection {
        world::inspect(self.engine.engine(), &self.component)
    }

    pub(super) fn engine(&self) -> &PluginEngine {
        &self.engine
    }

    pub(super) fn check(&self, role: Role) -> Result<()> {
        world::check(self.engine.engine(), &self.component, role, &self.file)
    }

    pub(super) fn imports_store(&self) -> bool {
        world::imports_store(self.engine.engine(), &self.component)
    }

    pub(super) fn prepare(&self) -> Result<InstancePre<GuestState>> {
        self.engine.linker().instantiate_pre(&self.component).map_err(|error| {
            Error::new(Code::PluginImport, format!("{}: an import does not fit: {error:#}", self.file))
                .hint("build it against the contract in `wit/`")
        })
    }
}
