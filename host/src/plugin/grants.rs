//! What a plugin is allowed beyond the contract. Nothing by default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
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
    /// Adds what users write under `key`: `grant-dir`, `grant-env`, `grant-host` or `grant-collection`. A directory without a
    /// root is looked for in `folder`; a variable without a value is taken from this process.
    ///
    /// Errors: CONFIG_3001.
    pub fn add(&mut self, key: &str, text: &str, folder: &Path) -> Result<()> {
        let invalid = |why: String| Error::new(Code::ConfigInvalid, format!("--{key} {why}"));
        match key {
            "grant-dir" => self.dirs.push(dir(text, folder).map_err(invalid)?),
            "grant-env" => {
                let (name, value) = env(text).map_err(invalid)?;
                self.env.insert(name, value);
            }
            "grant-host" => {
                let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                if port.is_none() {
                    return Err(invalid(format!("{text} lacks its port, as in HOST:PORT")).hint("write HOST:PORT"));
                }
                self.hosts.push(text.to_owned());
            }
            "grant-collection" => {
                self.collections.push(Name::parse(text).ok_or_else(|| invalid(format!("{text:?} is no legal name")))?);
            }
            _ => return Err(invalid("is no grant".to_owned())),
        }
        Ok(())
    }

    /// As [`Grants::add`], for what a fixture in `folder` grants. It may come from a stranger together with its plugin, so that
    /// nothing of the user's is in it.
    ///
    /// Errors: CONFIG_3001, with what a fixture may grant.
    pub fn add_of_fixture(&mut self, key: &str, text: &str, folder: &Path) -> Result<()> {
        let may = match key {
            // What is written there could be a link, by which the next sandbox leaves the folder.
            "grant-dir" if dir(text, folder).is_ok_and(|dir| dir.writable || !is_within(&dir.host, folder)) => {
                "a directory of its own folder, for reading"
            }
            "grant-env" if !text.contains('=') => "a variable together with its value, as KEY=VALUE",
            "grant-host" if !is_loopback(text) => "an address of this machine itself, as 127.0.0.1:PORT or [::1]:PORT",
            _ => return self.add(key, text, folder),
        };
        Err(Error::new(Code::ConfigInvalid, format!("--{key} {text} is not for a fixture to grant"))
            .hint(format!("a fixture may grant {may}")))
    }

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

/// Reads `HOST[::GUEST][:rw]`.
fn dir(text: &str, folder: &Path) -> Result<DirGrant, String> {
    let (text, writable) = match text.strip_suffix(":rw") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(":ro").unwrap_or(text), false),
    };
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    let place = folder.join(host);
    if !place.is_dir() {
        return Err(format!("{host}: no such directory"));
    }
    Ok(DirGrant { host: place, guest: guest.to_owned(), writable })
}

/// True for the folder itself and for what lies in it, wherever links lead.
fn is_within(place: &Path, folder: &Path) -> bool {
    // A file that is named alone has an empty path as its folder, which is the present one.
    let folder = std::fs::canonicalize(folder.join("."));
    let place = std::fs::canonicalize(place);
    place.ok().zip(folder.ok()).is_some_and(|(place, folder)| place.starts_with(folder))
}

/// A name is none: to look it up could tell somebody a secret.
fn is_loopback(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

/// Reads `KEY[=VALUE]`.
fn env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(_) => Err(format!("{text}: the variable is not set, or is no UTF-8")),
        },
    }
}
