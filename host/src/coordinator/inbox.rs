//! The inbox of a run: how another process changes its bounds while it is under way.
//!
//! A folder of the run's UUID in `<store>.inbox/`, there while the run takes commands. A command is one JSON file, written
//! under another name and then renamed, so that it is whole when it is seen; the run looks with every sample, obeys,
//! removes the file and puts its answer beside it in the same way. Only the owner can look into the folder.
//!
//! The run holds a lock on a file in the folder: the system frees it however the process ends, so that what is left of a
//! killed run is known to be that, by `tune` and by the next run, which removes it.

mod client;
mod files;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

pub use client::tune;
use files::{Request, alive, folder_of, put, remove_dead};

use super::control::Command;
use super::serial::guard;
use crate::error::{Code, Error, Result};
use crate::event::ErrorReport;
use crate::strategy::Interval;

/// Version of the files.
pub const TUNE_SCHEMA: u32 = 1;

/// What is to be changed; what is none stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tuning {
    /// Items per batch.
    #[serde(default)]
    pub batch_size: Option<Interval>,
    /// Lanes.
    #[serde(default)]
    pub lanes: Option<Interval>,
    /// Attempts per item.
    #[serde(default)]
    pub attempts: Option<u32>,
}

/// A command as it lies in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Letter {
    schema: u32,
    /// UUID of the run it is for.
    run: String,
    #[serde(flatten)]
    tuning: Tuning,
}

/// A bound that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// As its flag is called.
    pub setting: String,
    pub was: String,
    /// In force from the next plan on.
    pub value: String,
}

impl Applied {
    pub(super) fn new(setting: &str, was: String, value: String) -> Self {
        Self { setting: setting.to_owned(), was, value }
    }
}

/// What a run answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuned {
    /// [`TUNE_SCHEMA`].
    pub schema: u32,
    pub applied: Vec<Applied>,
    /// Why nothing was changed, if nothing was.
    pub error: Option<ErrorReport>,
}

/// The run's end of it. Dropping it removes the folder.
#[derive(Debug)]
pub(super) struct Inbox {
    folder: PathBuf,
    uuid: String,
    /// Closing it frees the lock.
    lock: Option<File>,
}

impl Inbox {
    /// Makes the folder, and removes those of runs that were killed. Without it a run does as well: what hinders it is a warning.
    pub fn open(store: &Path, uuid: &str) -> Option<Self> {
        // Between the making of a folder and its lock it looks dead to other runs of this process.
        static OPENING: Mutex<()> = Mutex::new(());
        let _alone = guard(&OPENING);
        let all = folder_of(store);
        remove_dead(&all);
        match files::make(&all, uuid) {
            Ok((folder, lock)) => Some(Self { folder, uuid: uuid.to_owned(), lock: Some(lock) }),
            Err(error) => {
                let folder = all.display();
                tracing::warn!(%folder, %error, "The run takes no commands of `runs tune`: its folder cannot be made.");
                None
            }
        }
    }

    /// What has come, oldest first, at most [`crate::limits::TUNE_COMMANDS_MAX`] at a time.
    pub fn requests(&self) -> Vec<Request> {
        files::requests(&self.folder, &self.uuid)
    }

    /// Removes the command and puts the answer in its place.
    pub fn answer(&self, request: Request, answer: Result<Vec<Applied>>) {
        let tuned = match answer {
            Ok(applied) => Tuned { schema: TUNE_SCHEMA, applied, error: None },
            Err(error) => Tuned { schema: TUNE_SCHEMA, applied: Vec::new(), error: Some(ErrorReport::from(&error)) },
        };
        // Removed first: whoever gives up waiting sees by that whether it was obeyed.
        let done = std::fs::remove_file(&request.path).and_then(|()| put(&self.folder, &request.answer_name(), &tuned));
        if let Err(error) = done {
            tracing::warn!(file = %request.path.display(), %error, "The answer to `runs tune` cannot be written.");
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "The folder of `runs tune` cannot be removed.");
        }
        self.lock = None;
        if let Some(all) = self.folder.parent() {
            // Another run of the store may have its folder there.
            let _ = std::fs::remove_dir(all);
        }
    }
}

impl Letter {
    /// Errors: CONFIG_3001 if it is not for this run, or changes nothing.
    fn commands(&self, uuid: &str) -> Result<Vec<Command>> {
        let refuse = |message: String| Err(Error::new(Code::ConfigInvalid, message));
        if self.schema != TUNE_SCHEMA {
            return refuse(format!("the command has schema {}, this run knows {TUNE_SCHEMA}", self.schema));
        }
        if self.run != uuid {
            return refuse(format!("the command is for run {:?}, this is run {uuid}", self.run));
        }
        let commands: Vec<Command> = [
            self.tuning.batch_size.map(Command::BatchSize),
            self.tuning.lanes.map(Command::Lanes),
            self.tuning.attempts.map(Command::Attempts),
        ]
        .into_iter()
        .flatten()
        .collect();
        if commands.is_empty() {
            return refuse("the command changes nothing".to_owned());
        }
        Ok(commands)
    }
}

#[cfg(test)]
mod tests;
