//! Plugins from a registry on loopback: pulled by digest, locked by tag, verified, kept, and refused where anything is amiss.

mod locking;
mod pulling;
mod refusals;
mod registry;
mod swapping;

use std::collections::BTreeSet;

use crate::harness::{Folder, Ran};
use registry::Registry;

const ITEMS: &str = "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n";

/// A folder with items and with a cache of its own, and a registry.
struct Scene {
    folder: Folder,
    registry: Registry,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("in.ndjson", ITEMS);
        Self { folder, registry: Registry::start() }
    }

    /// The command with these words.
    fn words(&self, line: &str) -> Ran {
        words(&self.folder, line)
    }

    /// Items through this plugin, whatever ran before.
    fn run(&self, plugin: &str) -> Ran {
        self.words(&format!("run -q --again --input in.ndjson --id id --plugin {plugin}"))
    }

    /// The registry goes; what is left is the folder.
    fn offline(self) -> Folder {
        self.folder
    }
}

fn words(folder: &Folder, line: &str) -> Ran {
    folder.atlas(line.split_whitespace()).env("ATLAS_CACHE_DIR", folder.at("cache")).run()
}

/// The versions of `stamp` that the stored items went through.
fn stamped(folder: &Folder) -> String {
    let select = "SELECT group_concat(DISTINCT body ->> '$.by') FROM items";
    let ran = folder.atlas(["query", "--sql", select, "--output", "csv"]).run().exits(0);
    ran.stdout.lines().nth(1).unwrap_or_default().trim_matches('"').to_owned()
}

/// What is kept of images, by name.
fn kept(folder: &Folder) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder.at("cache/oci")) else { return BTreeSet::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
