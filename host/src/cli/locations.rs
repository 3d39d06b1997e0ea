//! The one way from where a plugin is said to be to its bytes: from a file, or from a registry by `atlas.lock` and the cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::{self, LockFile, Locked};
use super::{Talk, print};
use crate::coordinator::{Host, cache_folder};
use crate::error::{Code, Error, Result};
use crate::plugin::{Image, Location, Plugin, Reference, Registry, read};

/// What is done about a tag that `atlas.lock` lacks.
#[derive(Debug, Clone, Copy)]
pub enum Tags {
    /// It is locked at what it names now, and that is told.
    Lock(Talk),
    /// It is taken as what it names now, for commands that only look.
    Look,
}

/// Where a command takes its plugins from.
pub struct Locations {
    lock: PathBuf,
    tags: Tags,
    registry: Registry,
}

/// A plugin's bytes.
pub struct Taken {
    /// The component, or what claims to be one.
    pub bytes: Arc<[u8]>,
    /// The path, or the reference with the digest that was taken.
    pub name: String,
}

impl Locations {
    /// `config` is the configuration in use, if there is one: the lock file lies beside it.
    pub fn new(config: Option<&Path>, tags: Tags) -> Self {
        Self { lock: lock::place(config), tags, registry: Registry { cache: cache_folder() } }
    }

    /// The bytes of a plugin. They are compared with their digests, and not looked into otherwise.
    ///
    /// Errors: GUEST_10011 if they cannot be had, GUEST_10013 if they are too many; CONFIG_3001 for a lock file with a mistake,
    /// and for an image where this build has no way to a registry; STORAGE_2002 if a tag cannot be locked.
    pub fn take(&self, location: &Location) -> Result<Taken> {
        match location {
            Location::File(path) => Ok(Taken { bytes: read(path)?, name: path.display().to_string() }),
            Location::Image(reference) => {
                let image = self.image(reference)?;
                Ok(Taken { name: reference.pinned(image.manifest).to_string(), bytes: image.bytes })
            }
        }
    }

    /// As [`Locations::take`], compiled.
    ///
    /// Errors: those, and what is wrong with the component.
    pub fn load(&self, location: &Location, host: &Host) -> Result<Plugin> {
        let Taken { bytes, name } = self.take(location)?;
        host.load_plugin_bytes(bytes, &name)
    }

    fn image(&self, reference: &Reference) -> Result<Image> {
        if reference.digest().is_some() {
            return self.registry.pull(reference);
        }
        if let Some(locked) = LockFile::read(&self.lock)?.get(reference) {
            return self.locked(reference, locked);
        }
        let image = self.registry.pull(reference)?;
        if let Tags::Lock(talk) = self.tags {
            let locked = lock::keep(&self.lock, reference, Locked::of(&image), false)?;
            if locked.manifest != image.manifest {
                // Another process was first, and its choice holds for both.
                return self.locked(reference, &locked);
            }
            if !talk.quiet {
                let (file, manifest) = (self.lock.display(), image.manifest);
                print::talk(&format!("{reference} is locked at {manifest}, in {file}."));
            }
        }
        Ok(image)
    }

    /// The image that a tag stays at.
    fn locked(&self, reference: &Reference, locked: &Locked) -> Result<Image> {
        let image = self.registry.pull(&reference.pinned(locked.manifest))?;
        let found = Locked { line: locked.line, ..Locked::of(&image) };
        if found == *locked {
            return Ok(image);
        }
        let message = format!(
            "{}:{}: {reference} stands there with a component of {} bytes and {}, and its manifest has one of {} bytes and {}",
            self.lock.display(),
            locked.line,
            locked.size,
            locked.layer,
            found.size,
            found.layer
        );
        Err(Error::new(Code::ConfigInvalid, message)
            .hint(format!("if the manifest is the right one: `atlas-host plugins lock {reference} --update`")))
    }
}
