//! Images in OCI registries: a component by its reference, pulled once, verified, and kept by digest.
//!
//! Invariant: what is given has the digests that the reference and the manifest name. What speaks HTTP is behind the cargo
//! feature `oci`; a build without it refuses every image, here and nowhere else.

#[cfg(feature = "oci")]
mod client;
#[cfg(feature = "oci")]
mod kept;
#[cfg(feature = "oci")]
mod manifest;
#[cfg(feature = "oci")]
mod pull;

use std::path::PathBuf;
use std::sync::Arc;

use super::reference::{Reference, Sha256};
use crate::error::Result;

/// Gives components from registries. Anonymous: no credentials are read or sent.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// The host's own directory, in which what was pulled is kept; without one everything is pulled each time.
    pub cache: Option<PathBuf>,
}

/// A component from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of what the reference named: a manifest, or the index that leads to it.
    pub manifest: Sha256,
    /// Digest of the component's bytes.
    pub layer: Sha256,
    /// The component.
    pub bytes: Arc<[u8]>,
}

impl Registry {
    /// The component that a reference means: by its digest where it has one, from the cache if it is there, else by what its tag
    /// names at this moment. Blocks, for [`REGISTRY_TIME_MAX`](crate::limits::REGISTRY_TIME_MAX) at the most.
    ///
    /// Errors: GUEST_10011 if it cannot be had, is not what its digests say, or is no component; GUEST_10013 if it is too large.
    /// Nothing of it is kept then.
    #[cfg(feature = "oci")]
    pub fn pull(&self, reference: &Reference) -> Result<Image> {
        pull::pull(self.cache.as_deref(), reference, client::Bounds::default())
    }

    /// Refuses: this build has no way to a registry.
    ///
    /// Errors: CONFIG_3001.
    #[cfg(not(feature = "oci"))]
    pub fn pull(&self, reference: &Reference) -> Result<Image> {
        use crate::error::{Code, Error};
        let message = format!("{reference} is in a registry, and this atlas-host is built without the way to one");
        Err(Error::new(Code::ConfigInvalid, message)
            .hint("build it with `cargo build --release --features oci`, or give the component's file"))
    }
}
