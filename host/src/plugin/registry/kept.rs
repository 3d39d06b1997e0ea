//! What was pulled, on disk in the host's own directory, by digest.
//!
//! A file is taken only if the directory and the file belong to this user, nobody else may write them, and its bytes have the
//! digest that it is asked for by. Any doubt means pulling again; a full or read-only disk only costs the next pull.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::private;
use crate::limits;
use crate::plugin::reference::Sha256;

/// The folder within the host's directory.
const FOLDER: &str = "oci";

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A manifest or an index.
    Manifest,
    /// A component.
    Layer,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Kind::Manifest => "json",
            Kind::Layer => "wasm",
        }
    }
}

/// A directory of manifests and components; none where no directory can be had.
pub struct Kept {
    folder: Option<PathBuf>,
}

impl Kept {
    /// Uses a folder in the host's directory, made (0700) when something is kept.
    pub fn within(cache: Option<&Path>) -> Self {
        Self { folder: cache.map(|cache| cache.join(FOLDER)) }
    }

    fn path(&self, digest: &Sha256, kind: Kind) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("sha256-{}.{}", digest.hex(), kind.extension())))
    }

    /// The bytes with this digest, if they are here and beyond doubt.
    pub fn load(&self, digest: &Sha256, kind: Kind, bytes_max: u64) -> Option<Vec<u8>> {
        let path = self.path(digest, kind)?;
        if !path.exists() {
            return None;
        }
        let bytes = private::check(self.folder.as_ref()?).and_then(|()| private::check(&path)).and_then(|()| {
            let mut bytes = Vec::new();
            let file = File::open(&path).map_err(|error| error.to_string())?;
            file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            Ok(bytes)
        });
        let why = match bytes {
            Ok(bytes) if Sha256::of(&bytes) == *digest => return Some(bytes),
            Ok(_) => "it is damaged".to_owned(),
            Err(why) => why,
        };
        tracing::warn!("{} is not used: {why}; the image is pulled again.", path.display());
        None
    }

    /// Keeps bytes whose digest is this one: written to a temporary name, synced, renamed. Old ones make way. A failure is a
    /// warning.
    pub fn keep(&self, digest: &Sha256, kind: Kind, bytes: &[u8]) {
        let (Some(folder), Some(path)) = (&self.folder, self.path(digest, kind)) else { return };
        let done = private::make_folder(folder)
            .map_err(|error| error.to_string())
            .and_then(|()| private::check(folder))
            .and_then(|()| private::write(&path, &[bytes]).map_err(|error| error.to_string()));
        if let Err(why) = done {
            tracing::warn!("The image cannot be kept at {}: {why}.", path.display());
            return;
        }
        private::keep_within(folder, &[Kind::Manifest, Kind::Layer].map(Kind::extension), limits::CACHE_BYTES_MAX);
    }
}
