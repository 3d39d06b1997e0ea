//! Folders and files of an inbox.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{DirBuilder, DirEntry, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Command, Letter, STANDING, Wish};
use crate::error::{Code, Error, Result};
use crate::limits::{PLUGIN_BYTES_MAX, TUNE_BYTES_MAX, TUNE_COMMANDS_MAX};

/// Whoever holds it is the run.
const LOCK: &str = "lock";
/// What commands, answers, and files that are not whole yet end in.
pub(super) const COMMAND: &str = "command";
const ANSWER: &str = "answer";
const UNFINISHED: &str = "unfinished";
/// What the bytes of a plugin beside a command end in.
pub(super) const COMPONENT: &str = "wasm";

/// `<store>.inbox`, beside the file itself where the path leads through links.
pub(super) fn folder_of(store: &Path) -> PathBuf {
    let mut path = std::fs::canonicalize(store).unwrap_or_else(|_| store.to_owned()).into_os_string();
    path.push(".inbox");
    PathBuf::from(path)
}

/// Makes the folder of a run, and its lock, and removes those of runs that are no more.
pub(super) fn make(all: &Path, uuid: &str) -> io::Result<(PathBuf, File)> {
    let private = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    match private(all) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = std::fs::symlink_metadata(all)?;
            let own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
            if !own || found.mode() & 0o077 != 0 {
                return Err(io::Error::other("it is no folder that this user alone can look into"));
            }
        }
        made => made?,
    }
    // Not before it is known that the folder is this user's own, and no link to another one.
    remove_dead(all);
    let folder = all.join(uuid);
    private(&folder)?;
    let lock = new_file(&folder.join(LOCK))?;
    // Whoever asks whether the run is alive holds it for an instant.
    lock.lock()?;
    Ok((folder, lock))
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// True while the run whose folder this is takes commands.
pub(super) fn alive(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Removes the folders of runs that are no more. Whatever else lies there is somebody's own.
fn remove_dead(all: &Path) {
    let Ok(entries) = std::fs::read_dir(all) else { return };
    for entry in entries.flatten().filter(is_of_a_run) {
        let path = entry.path();
        let locked = std::fs::symlink_metadata(path.join(LOCK)).is_ok_and(|lock| lock.is_file());
        // What cannot be removed is in nobody's way. Without a lock it is a run's that was killed at once, if it is empty.
        let _ = match locked {
            true if alive(&path) => Ok(()),
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_dir(&path),
        };
    }
}

/// True for a folder that may be the host's: named after a run or a process that stays up.
fn is_of_a_run(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let uuid = name.to_str().map(|name| name.strip_prefix(STANDING).unwrap_or(name));
    uuid.is_some_and(|uuid| uuid::Uuid::parse_str(uuid).is_ok()) && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// Writes a file that is whole as soon as it has its name.
pub(super) fn put(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    put_bytes(folder, name, &serde_json::to_vec(value).map_err(io::Error::other)?)
}

/// As [`put`], for bytes.
pub(super) fn put_bytes(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.{UNFINISHED}"));
    new_file(&unfinished)?.write_all(bytes)?;
    std::fs::rename(&unfinished, folder.join(name))
}

/// A command that has come.
#[derive(Debug)]
pub(in crate::coordinator) struct Request {
    pub(super) path: PathBuf,
    id: String,
    letter: Result<Vec<Command>>,
    swap: Option<Result<Wish>>,
}

impl Request {
    /// What it asks for. Errors: CONFIG_3001 if it cannot be read, or is not for this run.
    pub fn commands(&self) -> Result<Vec<Command>> {
        match &self.letter {
            Ok(commands) => Ok(commands.clone()),
            Err(error) => Err(Error::new(error.code(), error.to_string()).hint(error.hint_text())),
        }
    }

    /// The plugin that it wants in a slot, if it is about that.
    pub fn swap(&self) -> Option<Result<Wish>> {
        self.swap.as_ref().map(|swap| match swap {
            Ok(wish) => Ok(wish.clone()),
            Err(error) => Err(Error::new(error.code(), error.to_string()).hint(error.hint_text())),
        })
    }

    /// What lies beside the command goes with it.
    pub(super) fn remove_component(&self) {
        let _ = std::fs::remove_file(self.path.with_extension(COMPONENT));
    }

    pub(super) fn answer_name(&self) -> String {
        answer_name(&self.id)
    }
}

pub(super) fn answer_name(id: &str) -> String {
    format!("{id}.{ANSWER}")
}

/// Commands in the folder of a run that are not known yet, by name, which is by time; they are known from now on.
pub(super) fn requests(folder: &Path, uuid: &str, known: &mut HashSet<PathBuf>) -> Vec<Request> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension() == Some(OsStr::new(COMMAND))).collect();
    known.retain(|path| paths.contains(path));
    paths.retain(|path| !known.contains(path));
    paths.sort();
    paths.truncate(TUNE_COMMANDS_MAX);
    known.extend(paths.iter().cloned());
    let requests = paths.into_iter().filter_map(|path| {
        let id = path.file_stem()?.to_str()?.to_owned();
        let letter = letter(&path);
        let swap = letter.as_ref().ok().and_then(|letter| letter.swap_wish(uuid, &path.with_extension(COMPONENT)));
        let letter = letter.and_then(|letter| letter.commands(uuid));
        Some(Request { path, id, letter, swap })
    });
    requests.collect()
}

/// The bytes beside a command.
pub(super) fn component(path: &Path) -> Result<Vec<u8>> {
    let refuse = |why: String| Error::new(Code::ConfigInvalid, format!("the plugin cannot be read: {why}"));
    let found = std::fs::symlink_metadata(path).map_err(|error| refuse(error.to_string()))?;
    if !found.is_file() || found.len() > PLUGIN_BYTES_MAX {
        return Err(refuse(format!("it is no file of at most {PLUGIN_BYTES_MAX} bytes")));
    }
    std::fs::read(path).map_err(|error| refuse(error.to_string()))
}

fn letter(path: &Path) -> Result<Letter> {
    let refuse = |why: String| Error::new(Code::ConfigInvalid, format!("the command cannot be read: {why}"));
    let found = std::fs::symlink_metadata(path).map_err(|error| refuse(error.to_string()))?;
    if !found.is_file() || found.len() > TUNE_BYTES_MAX {
        return Err(refuse(format!("it is no file of at most {TUNE_BYTES_MAX} bytes")));
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    file.take(TUNE_BYTES_MAX).read_to_end(&mut text).map_err(|error| refuse(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
}
