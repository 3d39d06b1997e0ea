//! Compiled artefacts on disk, in the host's own directory, keyed by content digest and engine.
//!
//! A file is loaded only if the directory and the file belong to this user, nobody else may write them, and the digest in
//! its head matches the rest. Any doubt means compiling again; a full or read-only disk only costs the cache.

use std::fs;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::private;
use crate::limits;
use crate::model::Digest;

const EXTENSION: &str = "cwasm";
const MAGIC: &[u8; 8] = b"ATLSCWA1";
const HEAD_BYTES: usize = MAGIC.len() + 32;

/// A directory of compiled artefacts; none where no directory can be had.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// Uses `folder`, making it (0700) if needed.
    pub fn at(folder: PathBuf) -> Self {
        if let Err(error) = private::make_folder(&folder) {
            tracing::warn!("No cache of compiled plugins at {}: {error}.", folder.display());
            return Self::none();
        }
        match private::check(&folder) {
            Ok(()) => Self { folder: Some(folder) },
            Err(why) => {
                tracing::warn!("The cache of compiled plugins at {} is not used: {why}.", folder.display());
                Self::none()
            }
        }
    }

    /// Caches nothing.
    pub fn none() -> Self {
        Self { folder: None }
    }

    fn path(&self, digest: &Digest, engine: &Engine) -> Option<PathBuf> {
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let hex = digest.to_string();
        let hex = hex.strip_prefix("blake3:").unwrap_or(&hex);
        Some(self.folder.as_ref()?.join(format!("{hex}-{:016x}.{EXTENSION}", hasher.finish())))
    }

    /// The compiled component, if it is here and beyond doubt.
    pub(super) fn load(&self, digest: &Digest, engine: &Engine) -> Option<Component> {
        let path = self.path(digest, engine)?;
        private::check(&path).ok()?;
        let bytes = fs::read(&path).ok()?;
        let Some(artefact) = unpack(&bytes) else {
            tracing::warn!("The cached artefact {} is damaged; the plugin is compiled again.", path.display());
            return None;
        };
        // One that is whole and yet not taken is compiled again, and its error told then.
        load_artefact(engine, artefact).ok()
    }

    /// Keeps an artefact: written to a temporary name, synced, renamed. Old ones make way. A failure is a warning.
    pub(super) fn keep(&self, digest: &Digest, engine: &Engine, artefact: &[u8]) {
        let (Some(folder), Some(path)) = (&self.folder, self.path(digest, engine)) else { return };
        if let Err(error) = private::write(&path, &[MAGIC, &Digest::of(artefact).0, artefact]) {
            tracing::warn!("The compiled plugin cannot be cached at {}: {error}.", path.display());
        }
        private::keep_within(folder, &[EXTENSION], limits::CACHE_BYTES_MAX);
    }
}

fn unpack(bytes: &[u8]) -> Option<&[u8]> {
    let (head, artefact) = bytes.split_at_checked(HEAD_BYTES)?;
    let intact = head.starts_with(MAGIC) && head[MAGIC.len()..] == Digest::of(artefact).0;
    intact.then_some(artefact)
}

/// Turns an artefact into a component. Errors: wasmtime does not take it (another version or engine, or its memory is over
/// the bound).
#[expect(unsafe_code, reason = "wasmtime trusts the bytes of compiled code; there is no safe call for it")]
pub(super) fn load_artefact(engine: &Engine, artefact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes come either straight from `precompile_component` in this process or in our own compiling
    // process, or from a file that `private::check` found to be ours alone in a directory that is ours alone, and whose digest
    // `unpack` has compared. A user's own `.cwasm` is refused by `world::screen` and never comes here.
    unsafe { Component::deserialize(engine, artefact) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_artefact_is_no_artefact() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(Digest::of(b"code").0);
        bytes.extend(b"code");
        assert_eq!(unpack(&bytes), Some(&b"code"[..]));
        for cut in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..cut]), None, "cut at {cut}");
        }
        *bytes.last_mut().expect("bytes") ^= 1;
        assert_eq!(unpack(&bytes), None);
    }
}
