//! `run --watch-input`: a process that stays up and reads each file that comes into a folder, in a run of its own.
//!
//! A run per file, so that each has its own row in the history and its own checkpoint, a broken file costs no other, and
//! files that were read may be moved away. Plugins are handed on from run to run, with all that is known of them: a file that
//! changes is a candidate as it is with `--watch`, and what was exchanged, refused or put back stays so.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use super::job_args::{FurtherInputs, JobArgs};
use super::locations::Tags;
use super::print::{self, Printer};
use super::reload::Reload;
use super::run::{self as run_verb, Around, RunArgs};
use super::signals::Watch;
use super::{Layers, Talk, plan};
use crate::coordinator::{Carried, Control, Host, Job, SlotSpec};
use crate::error::{Code, Error, Result};
use crate::limits::{INPUT_FILES_MAX, INPUT_LOOK, INPUT_SETTLED};
use crate::source::Format;

/// Reads files until a signal comes; its exit code is the signal's.
///
/// Errors: those that are not about one file: settings, plugins at the start, the store.
pub fn run(folder: &Path, mut args: RunArgs, told: (&Layers, Talk), printer: &mut Printer) -> Result<u8> {
    if args.dry_run {
        return Err(beside("--dry-run"));
    }
    check(folder, &args.job, &args.further)?;
    if args.watch {
        plan::warn_of_unwatched(&args.job, told.0)?;
    }
    // Whoever stays up is expected to take what is new.
    args.watch = !plan::watched(&args.job, told.0)?.is_empty();
    let host = plan::host(&args.job, told.0)?;
    // A signal ends the process at once meanwhile: nothing has begun.
    let runs = Runs::load(args, told, &host)?;
    let control = Control::default();
    let watch = Watch::start(control.clone());
    let args = &runs.args;
    if !told.1.quiet {
        print::talk(&format!("Waiting for files in {}. A signal ends this.", folder.display()));
    }
    let reload = Reload::of(told.0, plan::default_lanes());
    let mut inbox = Folder::new(folder.to_owned(), args.job.format.is_some());
    let mut count = 0;
    while !control.stopped() {
        let Some(file) = inbox.next()? else {
            thread::sleep(INPUT_LOOK);
            // So that the next run begins with what has changed.
            reload.iter().for_each(Reload::look);
            continue;
        };
        let name = file.display().to_string();
        let mut job = runs.job(&file, told.0)?;
        job.control = control.clone();
        let around = Around { watch: &watch, named: Some(&name), appends: count > 0, reload: reload.as_ref() };
        count += 1;
        match run_verb::perform(&host, job, &args.job, told, &around, printer) {
            Ok(_) => printer.flush()?,
            Err(error) if error.is_of_input() => print::error(&error),
            Err(error) => return Err(error),
        }
    }
    Ok(watch.exit().unwrap_or(0))
}

/// Errors: CONFIG_3001 where other inputs are given as well, or there is no such folder.
pub fn check(folder: &Path, job: &JobArgs, further: &FurtherInputs) -> Result<()> {
    let besides = [
        (!job.input.is_empty(), "--input"),
        (further.follow.is_some(), "--follow"),
        (further.from.is_some(), "--from"),
        (job.limit.is_some(), "--limit"),
    ];
    if let Some((_, flag)) = besides.iter().find(|(given, _)| *given) {
        return Err(beside(flag));
    }
    if !folder.is_dir() {
        return Err(Error::new(Code::ConfigInvalid, format!("--watch-input {}: no such folder", folder.display()))
            .hint("create the folder first"));
    }
    Ok(())
}

fn beside(flag: &str) -> Error {
    Error::new(Code::ConfigInvalid, format!("--watch-input cannot be given together with {flag}"))
        .hint("read a folder and other inputs in two commands")
}

/// The files that are there now and would be read, the oldest first, whether or not they have settled. `any`: whatever their
/// names.
///
/// Errors: VALIDATION_4006 as [`run`].
pub fn there(folder: &Path, any: bool) -> Result<Vec<PathBuf>> {
    let mut folder = Folder::new(folder.to_owned(), any);
    folder.look(Instant::now())?;
    let mut files: Vec<_> = folder.seen.into_iter().map(|(path, seen)| (seen.stamp.modified_ns, path)).collect();
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// What the runs of this process have in common.
struct Runs {
    args: RunArgs,
    /// Slots as they were filled when the process began. What fills them later is handed on from run to run.
    validators: Vec<SlotSpec>,
    operations: Vec<SlotSpec>,
    carried: Carried,
}

impl Runs {
    fn load(args: RunArgs, (layers, talk): (&Layers, Talk), host: &Host) -> Result<Self> {
        let mut without_file = args.job.clone();
        without_file.input = vec!["-".to_owned()];
        let carried = Carried::default();
        let mut job = plan::without_plugins(&without_file, layers)?;
        job.carried = Some(carried.clone());
        job.again = args.again;
        job.accept_change = args.accept_change;
        if args.watch {
            job.watch = plan::watched(&args.job, layers)?;
        }
        plan::fill(&without_file, layers, host, Tags::Lock(talk), &mut job, Err)?;
        if let Some(store) = job.store.as_ref().filter(|_| args.watch) {
            carried.listen(store);
        }
        Ok(Self { args, validators: job.validators, operations: job.operations, carried })
    }

    fn job(&self, file: &Path, layers: &Layers) -> Result<Job> {
        let args = &self.args;
        let mut of_file = args.job.clone();
        of_file.input = vec![file.display().to_string()];
        let mut job = plan::without_plugins(&of_file, layers)?;
        job.validators.clone_from(&self.validators);
        job.operations.clone_from(&self.operations);
        job.carried = Some(self.carried.clone());
        job.again = args.again;
        job.once = true;
        job.accept_change = args.accept_change;
        run_verb::swapping(&mut job, args, layers)?;
        Ok(job)
    }
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { inode: metadata.ino(), size_bytes: metadata.size(), modified_ns }
    }
}

/// A file that was seen.
struct Seen {
    stamp: Stamp,
    since: Instant,
    /// This state of it was given out.
    given: bool,
}

/// A folder whose files are given out, each state of a file once.
struct Folder {
    path: PathBuf,
    /// Files of any name are inputs.
    any: bool,
    seen: BTreeMap<PathBuf, Seen>,
}

impl Folder {
    fn new(path: PathBuf, any: bool) -> Self {
        Self { path, any, seen: BTreeMap::new() }
    }

    /// The oldest file that has settled and was not given out; none if there is none now.
    ///
    /// Errors: VALIDATION_4006 if the folder cannot be read or holds too many files.
    fn next(&mut self) -> Result<Option<PathBuf>> {
        let now = Instant::now();
        self.look(now)?;
        let settled = |seen: &Seen| !seen.given && now.duration_since(seen.since) >= INPUT_SETTLED;
        let oldest =
            self.seen.iter_mut().filter(|(_, seen)| settled(seen)).min_by_key(|(_, seen)| seen.stamp.modified_ns);
        Ok(oldest.map(|(path, seen)| {
            seen.given = true;
            path.clone()
        }))
    }

    /// Sees what is there now.
    ///
    /// Errors: as [`Folder::next`].
    fn look(&mut self, now: Instant) -> Result<()> {
        let mut there = BTreeMap::new();
        let unreadable = |error: std::io::Error| {
            Error::new(Code::InputCutShort, format!("folder {} cannot be read", self.path.display())).because(error)
        };
        for entry in std::fs::read_dir(&self.path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            // A file that is gone again, or cannot be looked at, may be there with the next look.
            let Some(metadata) = std::fs::metadata(&path).ok().filter(|_| is_input(&path, self.any)) else { continue };
            if !metadata.is_file() || metadata.size() == 0 {
                continue;
            }
            let stamp = Stamp::of(&metadata);
            let seen = match self.seen.remove(&path) {
                Some(seen) if seen.stamp == stamp => seen,
                _ => Seen { stamp, since: now, given: false },
            };
            there.insert(path, seen);
            if there.len() > INPUT_FILES_MAX {
                let message = format!("folder {} holds more than {INPUT_FILES_MAX} files", self.path.display());
                return Err(Error::new(Code::InputCutShort, message).hint("move away the files that were read"));
            }
        }
        self.seen = there;
        Ok(())
    }
}

/// True for a file that is read: not hidden, not unfinished, and of a known format if no format was named.
fn is_input(path: &Path, any: bool) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let unfinished = name.starts_with('.') || [".part", ".tmp", "~"].iter().any(|end| name.ends_with(end));
    !unfinished && (any || Format::of_path(path).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    /// Lets all that was seen settle.
    fn settle(folder: &mut Folder) {
        for seen in folder.seen.values_mut() {
            seen.since -= INPUT_SETTLED + Duration::from_millis(1);
        }
    }

    #[test]
    fn each_state_of_a_file_is_given_out_once_when_it_has_settled_the_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut folder = Folder::new(dir.path().to_owned(), false);
        assert_eq!(folder.next().unwrap(), None);
        for (name, age_s) in [("b.ndjson", 20), ("a.csv.gz", 10), (".c.ndjson", 5), ("d.ndjson.part", 5), ("e.txt", 5)]
        {
            fs::write(path(name), "{}\n").unwrap();
            let when = std::time::SystemTime::now() - Duration::from_secs(age_s);
            fs::File::options().append(true).open(path(name)).unwrap().set_modified(when).unwrap();
        }
        fs::write(path("empty.ndjson"), "").unwrap();
        assert_eq!(folder.next().unwrap(), None, "they may still be written");
        settle(&mut folder);
        assert_eq!(folder.next().unwrap(), Some(path("b.ndjson")));
        assert_eq!(folder.next().unwrap(), Some(path("a.csv.gz")));
        assert_eq!(folder.next().unwrap(), None);
        fs::write(path("b.ndjson"), "{}\n{}\n").unwrap();
        assert_eq!(folder.next().unwrap(), None);
        settle(&mut folder);
        assert_eq!(folder.next().unwrap(), Some(path("b.ndjson")), "it is another file now");
        fs::remove_file(path("b.ndjson")).unwrap();
        assert_eq!(folder.next().unwrap(), None);
        assert!(!folder.seen.contains_key(&path("b.ndjson")));
    }

    #[test]
    fn where_a_format_is_named_every_finished_file_is_an_input() {
        for (name, by_name, any) in
            [("a.txt", false, true), ("a.ndjson", true, true), (".a", false, false), ("a~", false, false)]
        {
            assert_eq!((is_input(Path::new(name), false), is_input(Path::new(name), true)), (by_name, any), "{name}");
        }
    }
}
