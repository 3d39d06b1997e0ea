//! A pull: from a reference over manifests to the component, each verified before it counts, all kept once the last is.

use std::path::Path;

use super::Image;
use super::client::{Answer, Bounds, Client, Wanted};
use super::kept::{Kept, Kind};
use super::manifest::{self, Leads, Part};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::plugin::load::too_large;
use crate::plugin::reference::{Reference, Sha256};
use crate::plugin::world;

/// See [`super::Registry::pull`].
pub fn pull(cache: Option<&Path>, reference: &Reference, bounds: Bounds) -> Result<Image> {
    let mut pull =
        Pull { reference, kept: Kept::within(cache), client: Client::new(reference, bounds)?, fresh: Vec::new() };
    let (manifest, bytes) = pull.named()?;
    let layer = match pull.leads(&bytes)? {
        Leads::Layer(layer) => layer,
        Leads::Image(image) => {
            let bytes = pull.manifest(image)?;
            match pull.leads(&bytes)? {
                Leads::Layer(layer) => layer,
                Leads::Image(_) => return Err(pull.no_plugin("an index within an index")),
            }
        }
    };
    let (bytes, pulled) = pull.layer(layer)?;
    world::screen(&bytes, &reference.pinned(manifest).to_string())?;
    // What leads to the component comes after it: without it a manifest is of no use.
    if pulled {
        pull.kept.keep(&layer.digest, Kind::Layer, &bytes);
    }
    for (digest, bytes) in &pull.fresh {
        pull.kept.keep(digest, Kind::Manifest, bytes);
    }
    Ok(Image { manifest, layer: layer.digest, bytes: bytes.into() })
}

struct Pull<'a> {
    reference: &'a Reference,
    kept: Kept,
    client: Client<'a>,
    /// Manifests that came from the registry and are verified.
    fresh: Vec<(Sha256, Vec<u8>)>,
}

impl Pull<'_> {
    /// What the reference names: by its digest, else by its tag.
    fn named(&mut self) -> Result<(Sha256, Vec<u8>)> {
        if let Some(digest) = self.reference.digest() {
            return Ok((digest, self.by_digest(digest, limits::REGISTRY_MANIFEST_BYTES_MAX)?));
        }
        let tag = self.reference.tag().expect("BUG: a reference with neither tag nor digest");
        let Answer { bytes, digest: told } =
            self.ask(&format!("manifests/{tag}"), limits::REGISTRY_MANIFEST_BYTES_MAX)?;
        let digest = Sha256::of(&bytes);
        // A registry need not tell it, and may do so by another algorithm.
        if let Some(told) = told.as_deref().and_then(Sha256::parse).filter(|told| *told != digest) {
            return Err(self.differs("manifest", digest, told));
        }
        self.fresh.push((digest, bytes.clone()));
        Ok((digest, bytes))
    }

    /// The manifest that an index leads to.
    fn manifest(&mut self, part: Part) -> Result<Vec<u8>> {
        if part.size > limits::REGISTRY_MANIFEST_BYTES_MAX {
            let bound = limits::REGISTRY_MANIFEST_BYTES_MAX;
            return Err(self.client.cannot(format!("its manifest has {} bytes, the bound is {bound}", part.size)));
        }
        let bytes = self.by_digest(part.digest, part.size)?;
        self.whole("manifest", part, &bytes)?;
        Ok(bytes)
    }

    fn by_digest(&mut self, digest: Sha256, bytes_max: u64) -> Result<Vec<u8>> {
        if let Some(bytes) = self.kept.load(&digest, Kind::Manifest, bytes_max) {
            return Ok(bytes);
        }
        let bytes = self.ask(&format!("manifests/{digest}"), bytes_max)?.bytes;
        let found = Sha256::of(&bytes);
        if found != digest {
            return Err(self.differs("manifest", found, digest));
        }
        self.fresh.push((digest, bytes.clone()));
        Ok(bytes)
    }

    fn ask(&mut self, path: &str, bytes_max: u64) -> Result<Answer> {
        self.client.get(Wanted { path, accept: manifest::ACCEPTED, bytes_max, what: "manifest" })
    }

    fn leads(&self, bytes: &[u8]) -> Result<Leads> {
        manifest::read(bytes).map_err(|found| self.no_plugin(&found))
    }

    /// The component, and whether it came from the registry.
    fn layer(&mut self, part: Part) -> Result<(Vec<u8>, bool)> {
        if part.size > limits::PLUGIN_BYTES_MAX {
            return Err(too_large(&self.reference.to_string(), part.size));
        }
        if let Some(bytes) = self.kept.load(&part.digest, Kind::Layer, part.size) {
            return Ok((bytes, false));
        }
        let path = format!("blobs/{}", part.digest);
        let wanted = Wanted { path: &path, accept: "*/*", bytes_max: part.size, what: "layer" };
        let bytes = self.client.get(wanted)?.bytes;
        self.whole("layer", part, &bytes)?;
        let found = Sha256::of(&bytes);
        if found != part.digest {
            return Err(self.differs("layer", found, part.digest));
        }
        Ok((bytes, true))
    }

    fn whole(&self, what: &str, part: Part, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 == part.size {
            return Ok(());
        }
        let why = format!("the {what} that came has {} bytes, wanted are {}", bytes.len(), part.size);
        Err(self.client.cannot(why).hint("try again"))
    }

    fn differs(&self, what: &str, found: Sha256, wanted: Sha256) -> Error {
        self.client
            .cannot(format!("the {what} that came has the digest {found}, wanted {wanted}"))
            .hint("somebody changed it on its way, or the registry is broken: do not use it")
    }

    fn no_plugin(&self, found: &str) -> Error {
        let message = format!("{}: found {found}, wanted {}", self.reference, manifest::WANTED);
        Error::new(Code::PluginWorld, message)
            .hint("push a component as such: `wkg oci push HOST/REPOSITORY:TAG plugin.wasm`")
    }
}
