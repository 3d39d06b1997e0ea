//! `atlas.toml` read again while a run is under way: some of its settings act at once, the others wait for a new run.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::job_args::JobArgs;
use super::layers::{self, ConfigFile, PluginTable};
use super::{Layers, job_of};
use crate::coordinator::{Command, Live};
use crate::error::Result;
use crate::model::Digest;
use crate::strategy::Interval;

/// The keys that act while a run is under way. All others decide what is read, what becomes of it or where it goes, and
/// have one value per run.
pub const LIVE: [&str; 15] = [
    "batch-size",
    "lanes",
    "aim",
    "max-batch-time",
    "memory-budget",
    "attempts",
    "batch-bytes",
    "batch-wait",
    "slow-item",
    "max-memory-share",
    "max-error-share",
    "max-cpu-share",
    "max-response",
    "max-wal",
    "min-disk-free",
];

/// The configuration file that the settings of a process came from, for its runs one after another. Cheap to clone.
#[derive(Clone)]
pub struct Reload {
    watched: Arc<Mutex<Watched>>,
    /// As the flags and the file said when the process began.
    began: JobArgs,
    default_lanes: Interval,
}

/// A configuration file that is looked at now and then.
struct Watched {
    path: PathBuf,
    arguments: Vec<OsString>,
    /// Keys that a flag or the environment has given: these outweigh the file.
    outweighed: BTreeSet<String>,
    seen: Seen,
    values: BTreeMap<String, Vec<String>>,
    plugins: BTreeMap<String, PluginTable>,
    /// As the flags and the file say by now.
    args: JobArgs,
    told: BTreeSet<String>,
    gone: bool,
}

/// Contents by their digest. An editor may write a file in parts, so what is new has to be seen twice.
#[derive(Debug)]
struct Seen {
    acted_on: Digest,
    last: Digest,
}

impl Seen {
    /// True if this is new, and was the same the last time.
    fn settled(&mut self, found: Digest) -> bool {
        let stable = self.last == found;
        self.last = found;
        let new = stable && self.acted_on != found;
        if new {
            self.acted_on = found;
        }
        new
    }
}

impl Reload {
    /// None where there is no file. `default_lanes` are those without a setting.
    pub fn of(layers: &Layers, default_lanes: Interval) -> Option<Self> {
        let (path, digest) = (layers.file.path.clone()?, layers.file.digest?);
        // As the flags and the file alone say: what is compared with later are these, not what was recommended instead.
        let args = super::with_file(&layers.arguments, &layers.file).ok().and_then(job_of)?;
        let given = layers.origins.iter().filter(|origin| origin.is_given());
        let watched = Watched {
            path,
            arguments: layers.arguments.clone(),
            outweighed: given.map(|origin| origin.key.clone()).collect(),
            seen: Seen { acted_on: digest, last: digest },
            values: values(&layers.file),
            plugins: layers.file.plugins.clone(),
            args: args.clone(),
            told: BTreeSet::new(),
            gone: false,
        };
        Some(Self { watched: Arc::new(Mutex::new(watched)), began: args, default_lanes })
    }

    /// Looks at the file.
    pub fn look(&self) {
        self.watched().look();
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        // What it holds is whole at every moment.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a run is told: at first all that is no longer as it was when the process began, then what has changed since.
    pub fn live(&self) -> Live {
        let (reload, mut before) = (self.clone(), self.began.clone());
        Box::new(move || {
            reload.look();
            let now = reload.watched().args.clone();
            let commands = differences(&before, &now, reload.default_lanes);
            before = now;
            commands
        })
    }
}

fn values(file: &ConfigFile) -> BTreeMap<String, Vec<String>> {
    file.values.iter().map(|(key, (values, _))| (key.clone(), values.clone())).collect()
}

impl Watched {
    fn look(&mut self) {
        let text = match layers::text(&self.path) {
            Ok(text) => text,
            Err(error) => {
                if !std::mem::replace(&mut self.gone, true) {
                    tracing::warn!("{error}; the run goes on with the settings that it has.");
                }
                return;
            }
        };
        self.gone = false;
        if !self.seen.settled(Digest::of(text.as_bytes())) {
            return;
        }
        if let Err(error) = self.read(&text) {
            let (code, hint) = (error.code().as_str(), error.hint_text());
            tracing::warn!(code, hint, "{error}; the run goes on with the settings that it has.");
        }
    }

    fn read(&mut self, text: &str) -> Result<()> {
        let file = read(&self.path, text)?;
        let cli = super::with_file(&self.arguments, &file)?;
        let Some(args) = job_of(cli) else { return Ok(()) };
        self.tell(&file);
        (self.values, self.plugins, self.args) = (values(&file), file.plugins, args);
        Ok(())
    }

    /// Tells, once for each key, what was changed and does not act.
    fn tell(&mut self, file: &ConfigFile) {
        let new = values(file);
        let keys: BTreeSet<&String> = self.values.keys().chain(new.keys()).collect();
        let mut changed: Vec<String> =
            keys.into_iter().filter(|key| self.values.get(*key) != new.get(*key)).cloned().collect();
        changed.extend((self.plugins != file.plugins).then(|| "plugins".to_owned()));
        let (live, fixed): (Vec<String>, Vec<String>) =
            changed.into_iter().partition(|key| LIVE.contains(&key.as_str()));
        let mut first_time = |keys: Vec<String>| -> String {
            let keys: Vec<String> = keys.into_iter().filter(|key| self.told.insert(key.clone())).collect();
            keys.join(", ")
        };
        let fixed = first_time(fixed);
        if !fixed.is_empty() {
            tracing::warn!(
                need_a_new_run = fixed,
                act_at_once = LIVE.join(", "),
                "{} was changed: some of it needs a new run, since it decides what a run reads, what becomes of it or \
                 where it goes.",
                self.path.display()
            );
        }
        let outweighed = first_time(live.into_iter().filter(|key| self.outweighed.contains(key)).collect());
        if !outweighed.is_empty() {
            tracing::warn!(
                keys = outweighed,
                "{} was changed, and a flag or the environment outweighs it.",
                self.path.display()
            );
        }
    }
}

fn read(path: &Path, text: &str) -> Result<ConfigFile> {
    layers::parse(path, text, super::command_of_run(&super::command()))
}

/// The commands that make the one out of the other.
fn differences(old: &JobArgs, new: &JobArgs, default_lanes: Interval) -> Vec<Command> {
    let changed = |differs: bool, command: Command| differs.then_some(command);
    let thresholds = new.thresholds.thresholds();
    let budget = new.memory_budget.map(|bytes| bytes as u64);
    [
        changed(old.batch_size != new.batch_size, Command::BatchSize(new.batch_size)),
        changed(old.lanes != new.lanes, Command::Lanes(new.lanes.unwrap_or(default_lanes))),
        changed(old.aim != new.aim, Command::Aim(new.aim.into())),
        changed(old.max_batch_time != new.max_batch_time, Command::BatchTimeMax(new.max_batch_time)),
        changed(old.memory_budget != new.memory_budget, Command::MemoryBudget(budget)),
        changed(old.attempts != new.attempts, Command::Attempts(new.attempts)),
        changed(old.batch_bytes != new.batch_bytes, Command::BatchBytes(new.batch_bytes)),
        changed(old.batch_wait != new.batch_wait, Command::BatchWait(new.batch_wait)),
        changed(old.slow_item != new.slow_item, Command::SlowItem(new.slow_item)),
        changed(old.thresholds.thresholds() != thresholds, Command::Thresholds(thresholds)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_acts_once_it_was_seen_twice_the_same() {
        let of = |text: &str| Digest::of(text.as_bytes());
        let mut seen = Seen { acted_on: of("a"), last: of("a") };
        let acts: Vec<bool> = ["a", "b", "bc", "bcd", "bcd", "bcd", "a", "bcd", "a", "a", "a"]
            .into_iter()
            .map(|text| seen.settled(of(text)))
            .collect();
        let wanted = [false, false, false, false, true, false, false, false, false, true, false];
        assert_eq!(acts, wanted);
    }

    #[test]
    fn every_key_that_acts_at_once_is_a_setting_of_run() {
        let command = super::super::command();
        let run = super::super::command_of_run(&command);
        for key in LIVE {
            assert!(run.get_arguments().any(|arg| arg.get_long() == Some(key)), "{key}");
        }
    }
}
