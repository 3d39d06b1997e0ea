//! The inbox of a run: how another process changes its bounds while it is under way.
//!
//! A folder of the run's UUID in `<store>.inbox/`, there while the run takes commands. A command is one JSON file, written
//! under another name and then renamed, so that it is whole when it is seen; a thread of the run looks for it (`listener`),
//! the run obeys, removes the file and puts its answer beside it in the same way. Only the owner can look into the folder.
//!
//! The run holds a lock on a file in the folder: the system frees it however the process ends, so that what is left of a
//! killed run is known to be that, by `tune` and by the next run, which removes it.

mod client;
mod files;
mod listener;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use client::{swap, tune, waiting};
pub(super) use files::Request;
use files::{alive, folder_of, put};
pub(super) use listener::Listener;

use super::control::Command;
use super::serial::guard;
use super::swap::{SwapRequest, SwapSource, Wish};
use crate::error::{Code, Error, Result};
use crate::event::{ErrorReport, SwapStep};
use crate::model::{Digest, Name};
use crate::strategy::{Aim, Interval};

/// What the name of the folder of a process begins with that stays up between runs.
const STANDING: &str = "standing-";

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
    /// What the adaptive strategy aims at.
    #[serde(default)]
    pub aim: Option<Aim>,
    /// Time that 95 of 100 batches should stay below, in microseconds.
    #[serde(default)]
    pub batch_time_max_us: Option<u64>,
    /// Memory that the process of the run should stay below, in bytes.
    #[serde(default)]
    pub memory_budget: Option<u64>,
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
    /// Another plugin for a slot; its bytes lie beside the command.
    #[serde(default)]
    swap: Option<SwapLetter>,
}

/// See [`Letter::swap`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SwapLetter {
    slot: String,
    /// File that it came from.
    name: String,
    /// `blake3:…` of its bytes.
    digest: String,
    /// An earlier version is wanted back.
    rollback: bool,
}

/// How far a candidate has come, as the run tells who waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapAnswer {
    /// [`TUNE_SCHEMA`].
    pub schema: u32,
    /// As events say it, without `swap-`.
    pub step: String,
    /// True if nothing more comes.
    pub ended: bool,
    /// What to do, where something went wrong.
    pub hint: Option<String>,
    #[serde(flatten)]
    pub told: SwapStep,
}

impl SwapAnswer {
    pub(super) fn of(step: &str, ended: bool, code: Option<Code>, told: &SwapStep) -> Self {
        Self {
            schema: TUNE_SCHEMA,
            step: step.to_owned(),
            ended,
            hint: code.map(|code| code.suggestion().to_owned()),
            told: told.clone(),
        }
    }
}

/// Who waits for the outcome of a swap.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    answer: String,
    inbox: Arc<Inbox>,
}

impl Ticket {
    /// Tells how far the candidate has come.
    pub fn tell(&self, answer: &SwapAnswer) {
        let folder = &self.inbox.folder;
        if let Err(error) = put(folder, &self.answer, answer) {
            tracing::warn!(folder = %folder.display(), %error, "The answer to `plugins swap` cannot be written.");
        }
    }

    /// True if it came by this inbox.
    pub fn is_of(&self, inbox: &Arc<Inbox>) -> bool {
        Arc::ptr_eq(&self.inbox, inbox)
    }
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
        match files::make(&all, uuid) {
            Ok((folder, lock)) => Some(Self { folder, uuid: uuid.to_owned(), lock: Some(lock) }),
            Err(error) => {
                let folder = all.display();
                tracing::warn!(%folder, %error, "The run takes no commands of `runs tune`: its folder cannot be made.");
                None
            }
        }
    }

    /// The inbox of a process that stays up and has no run at work just now.
    pub fn standing(store: &Path) -> Option<Self> {
        Self::open(store, &format!("{STANDING}{}", uuid::Uuid::now_v7()))
    }

    /// What has come and is not among these, oldest first, at most [`crate::limits::TUNE_COMMANDS_MAX`] at a time. Those
    /// that are gone are struck off, the new ones added.
    pub fn requests(&self, known: &mut HashSet<PathBuf>) -> Vec<Request> {
        files::requests(&self.folder, &self.uuid, known)
    }

    /// Takes a wish for a swap out of the folder. One that cannot be read is answered at once.
    pub fn take(self: &Arc<Self>, request: Request, wanted: &Result<Wish>) -> Option<Ticket> {
        request.remove_component();
        if let Err(error) = wanted {
            self.answer(request, Err(Error::new(error.code(), error.to_string()).hint(error.hint_text())));
            return None;
        }
        if let Err(error) = std::fs::remove_file(&request.path) {
            tracing::warn!(file = %request.path.display(), %error, "A command cannot be removed.");
            return None;
        }
        Some(Ticket { answer: request.answer_name(), inbox: Arc::clone(self) })
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
    /// Errors: CONFIG_3001 if it is not for this run.
    fn check(&self, uuid: &str) -> Result<()> {
        let refuse = |message: String| Err(Error::new(Code::ConfigInvalid, message));
        if self.schema != TUNE_SCHEMA {
            return refuse(format!("the command has schema {}, this run knows {TUNE_SCHEMA}", self.schema));
        }
        if self.run != uuid {
            return refuse(format!("the command is for run {:?}, this is run {uuid}", self.run));
        }
        Ok(())
    }

    /// The plugin that it wants in a slot, whose bytes lie in `component`; none if it is about something else.
    fn swap_wish(&self, uuid: &str, component: &Path) -> Option<Result<Wish>> {
        let swap = self.swap.as_ref()?;
        let read = || {
            self.check(uuid)?;
            let refuse = |message: String| Error::new(Code::ConfigInvalid, message);
            let slot = Name::parse(&swap.slot).ok_or_else(|| refuse(format!("{:?} is no slot name", swap.slot)))?;
            let bytes = files::component(component)?;
            let digest = Digest::of(&bytes);
            if Digest::parse(&swap.digest) != Some(digest) {
                return Err(refuse("the bytes of the plugin are not those that were announced".to_owned()));
            }
            let source = if swap.rollback { SwapSource::Rollback } else { SwapSource::Command };
            let request = SwapRequest { slot, name: swap.name.clone(), bytes: bytes.into(), source };
            Ok(Wish { request, digest })
        };
        Some(read())
    }

    /// Errors: CONFIG_3001 if it is not for this run, or changes nothing.
    fn commands(&self, uuid: &str) -> Result<Vec<Command>> {
        self.check(uuid)?;
        let refuse = |message: String| Err(Error::new(Code::ConfigInvalid, message));
        let commands: Vec<Command> = [
            self.tuning.batch_size.map(Command::BatchSize),
            self.tuning.lanes.map(Command::Lanes),
            self.tuning.aim.map(Command::Aim),
            self.tuning.batch_time_max_us.map(|us| Command::BatchTimeMax(Some(Duration::from_micros(us)))),
            self.tuning.memory_budget.map(|bytes| Command::MemoryBudget(Some(bytes))),
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
