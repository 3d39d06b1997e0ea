//! What a plugin is allowed beyond the contract. Nothing by default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::Name;

/// A directory that a plugin may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirGrant {
    /// On the host.
    pub host: PathBuf,
    /// As the guest sees it.
    pub guest: String,
    /// False for reading only. A read-only grant still lets a guest see every change of its files.
    pub writable: bool,
}

/// Grants of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories.
    pub dirs: Vec<DirGrant>,
    /// Environment, resolved to values when the run begins.
    pub env: BTreeMap<String, String>,
    /// Hosts that may be connected to, as `ADDRESS:PORT`; names are resolved by the guest through the host.
    pub hosts: Vec<String>,
    /// Collections that may be read besides the run's own.
    pub collections: Vec<Name>,
}

impl Grants {
    /// The grants as `kind:what`, for provenance and for `inspect`.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for dir in &self.dirs {
            let mode = if dir.writable { "rw" } else { "ro" };
            lines.push(format!("dir:{}::{} ({mode})", dir.host.display(), dir.guest));
        }
        lines.extend(self.env.keys().map(|key| format!("env:{key}")));
        lines.extend(self.hosts.iter().map(|host| format!("host:{host}")));
        lines.extend(self.collections.iter().map(|name| format!("collection:{name}")));
        lines
    }
}
