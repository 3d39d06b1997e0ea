//! `plugins swap` and `plugins rollback`: another plugin for a slot of a run that is at work in another process.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::{slot, which};
use crate::cli::Talk;
use crate::cli::common::{OutputArg, StoreArg};
use crate::cli::dead_letters::digits;
use crate::cli::locations::{Locations, Tags};
use crate::cli::print::Printer;
use crate::cli::retry::is_retry;
use crate::cli::runs::{held, status};
use crate::cli::units;
use crate::coordinator::{Atomicity, SwapAnswer, SwapRequest, SwapSource, swap, waiting};
use crate::error::{Code, Error, Result};
use crate::event::SwapStep;
use crate::limits;
use crate::model::{Digest, Name, RunNumber, RunStatus, now_ms, printable};
use crate::plugin::Location;
use crate::store::{ACCEPTED, RETRIED, Reader, RunRow, SlotPlugin, SwapEntry, SwapRow};

/// How often the store is asked for an outcome that the run tells nobody.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub struct SwapArgs {
    /// Slot to be filled anew
    #[arg(value_name = "SLOT", value_parser = slot)]
    slot: Name,
    /// The component, a file or oci://…
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// Slot to be filled as it was before
    #[arg(value_name = "SLOT", value_parser = slot)]
    slot: Name,
    /// Put this one back: its digest, of which the first digits do
    #[arg(long, value_name = "DIGEST", value_parser = digits)]
    to: Option<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Args, Debug)]
struct Which {
    /// Number of the run; the one at work if left out
    #[arg(long, value_name = "RUN")]
    run: Option<u64>,
    /// Wait this long for the outcome
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    wait: Duration,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Exit code 0 if the plugin is in effect, 4 if it is not.
pub fn run(args: &SwapArgs, config: Option<&Path>, talk: Talk, printer: &mut Printer) -> Result<u8> {
    let location = Location::parse(&args.file)?;
    let to = at_work(&args.which)?;
    let taken = Locations::new(config, Tags::Lock(talk)).take(&location)?;
    let request =
        SwapRequest { slot: args.slot.clone(), name: taken.name, bytes: taken.bytes, source: SwapSource::Command };
    ask(&to, &request, &args.which, printer)
}

/// As [`run`], with the version before from the store.
pub fn rollback(args: &RollbackArgs, printer: &mut Printer) -> Result<u8> {
    let to = at_work(&args.which)?;
    let (digest, name) = match &args.to {
        Some(digits) => {
            let plugin = which::kept(&to.reader, digits)?;
            (plugin.digest, plugin.name)
        }
        None => before(&to.reader, &to.row, &args.slot)?,
    };
    let bytes =
        which::bytes(&to.reader, &digest, format!("use the file: `atlas-host plugins swap {} FILE`", args.slot))?;
    let request = SwapRequest { slot: args.slot.clone(), name, bytes: bytes.into(), source: SwapSource::Rollback };
    ask(&to, &request, &args.which, printer)
}

/// Who is asked.
struct To {
    reader: Reader,
    /// The run at work, or the last one of a process that waits for its next input.
    row: RunRow,
    /// In place of the run's UUID, where it is over and the process stays up.
    standing: Option<String>,
    /// Further runs may go on with what this one began.
    stays_up: bool,
}

impl To {
    fn uuid(&self) -> &str {
        self.standing.as_deref().unwrap_or(&self.row.uuid)
    }

    /// The runs whose steps may be about the request: all after the one that is over, where none was at work.
    fn has(&self, run: RunNumber) -> bool {
        match self.stays_up {
            true => run > self.row.run || (run == self.row.run && self.standing.is_none()),
            false => run == self.row.run,
        }
    }

    /// True while more may come of the request: the run is at work, or another one may go on with what was `taken`.
    fn goes_on(&self, taken: bool) -> Result<bool> {
        let row = self.reader.run(self.row.run)?;
        let at_work = row.is_some_and(|row| row.status == RunStatus::Running) && held(self.reader.path());
        Ok(at_work || (taken && self.stays_up && waiting(self.reader.path()).is_some()))
    }
}

/// The run that is meant, which must be at work, or whose process must be waiting for more.
fn at_work(which: &Which) -> Result<To> {
    let reader = Reader::open(&which.store.store)?;
    let held = held(reader.path());
    let not_at_work = |what: String| {
        Error::new(Code::ConfigInvalid, what).hint(
            "a new run takes the plugin itself, with --plugin or --validator; `atlas-host runs list` shows the runs",
        )
    };
    let row = match which.run {
        Some(number) => reader
            .run(RunNumber(number))?
            .ok_or_else(|| Error::new(Code::ConfigInvalid, format!("there is no run {number}")))?,
        None => {
            let runs = reader.runs(limits::RECOMMEND_LOOKED_AT_MAX)?;
            // A retry of dead letters is no run of the process that waits.
            let last = runs.iter().find(|run| !is_retry(run)).cloned();
            let running = runs.into_iter().find(|run| run.status == RunStatus::Running && held);
            match (running, last) {
                (Some(running), _) => running,
                (None, Some(row)) if let Some(standing) = waiting(reader.path()) => {
                    return Ok(To { reader, row, standing: Some(standing), stays_up: true });
                }
                (None, _) => return Err(not_at_work("no run of this store is at work".to_owned())),
            }
        }
    };
    if row.status != RunStatus::Running || !held {
        return Err(not_at_work(format!("run {} is not at work: it is {}", row.run, status(&row, held))));
    }
    let stays_up = waiting(reader.path()).is_some();
    Ok(To { reader, row, standing: None, stays_up })
}

/// The plugin that filled the slot before the present one: in this run, else in an earlier one into the same collection. What
/// was put back is nothing to go back to, nor is what dead letters alone were tried with.
fn before(reader: &Reader, row: &RunRow, slot: &Name) -> Result<(Digest, String)> {
    if row.status == RunStatus::Running && row.atomic == Atomicity::Run.as_str() {
        let message = format!(
            "run {} commits nothing before its end (--atomic run), so that nobody knows which plugin slot {slot} had before",
            row.run
        );
        return Err(Error::new(Code::ConfigInvalid, message)
            .hint("name it with --to DIGEST; `atlas-host plugins list` shows what is kept"));
    }
    let mut used = reader.plugins_of_slot(slot, &row.collection, row.run, RETRIED)?.into_iter();
    if used.next().is_none_or(|present| present.run != row.run) {
        return Err(Error::new(Code::ConfigInvalid, format!("run {} has no slot {slot} with a component", row.run))
            .hint(format!("`atlas-host runs show {}` lists its slots", row.run)));
    }
    let put_back = put_back(&steps(reader, row, slot)?);
    let is_good = |plugin: &SlotPlugin| put_back.get(&plugin.digest).is_none_or(|last| plugin.run > *last);
    match used.find(is_good) {
        Some(plugin) => Ok((plugin.digest, plugin.name)),
        None => Err(Error::new(Code::ConfigInvalid, format!("slot {slot} has had no other plugin"))
            .hint("`atlas-host plugins list` shows what is kept")),
    }
}

/// Steps of the slot in this run, and in those before it that count as in [`before`].
fn steps(reader: &Reader, row: &RunRow, slot: &Name) -> Result<Vec<SwapEntry>> {
    let mut steps = reader.swaps(None, Some(slot))?;
    let mut count = HashSet::from([row.run]);
    for run in steps.iter().map(|entry| entry.run).filter(|run| *run < row.run).collect::<HashSet<_>>() {
        let other = reader.run(run)?;
        if other.is_some_and(|other| other.collection == row.collection && !is_retry(&other)) {
            count.insert(run);
        }
    }
    steps.retain(|entry| count.contains(&entry.run));
    Ok(steps)
}

/// Plugins that went as they had come, each with the last run that put it back. One that stayed later is not among them.
fn put_back(steps: &[SwapEntry]) -> HashMap<Digest, RunNumber> {
    let mut all = HashMap::new();
    for SwapEntry { run, step } in steps {
        match step.step.as_str() {
            "put-back" => all.insert(step.new_digest, *run),
            "settled" => all.remove(&step.new_digest),
            // Whoever accepts it has judged it.
            "took-effect" if step.source == ACCEPTED => all.remove(&step.new_digest),
            _ => None,
        };
    }
    all
}

fn ask(to: &To, request: &SwapRequest, which: &Which, printer: &mut Printer) -> Result<u8> {
    let since = Since { ms: now_ms(), until: Instant::now() + which.wait };
    let answer = match swap(to.reader.path(), to.uuid(), request, which.wait) {
        Ok(answer) if answer.ended => answer,
        // The run tells nothing more: its time is over, or ours.
        Ok(answer) => outcome(to, request, since, Some(&answer))?.unwrap_or(answer),
        Err(error) if error.code() == Code::StoragePrerequisite => outcome(to, request, since, None)?.ok_or(error)?,
        Err(error) => return Err(error),
    };
    if which.output.json() {
        printer.json(&answer)?;
    } else {
        printer.line(&printable(&in_words(to, &answer)))?;
    }
    match answer.step.as_str() {
        "settled" | "took-effect" => Ok(0),
        "refused" | "put-back" => Ok(Code::PluginWorld.exit()),
        "skipped" if answer.told.old_digest == answer.told.new_digest => Ok(0),
        "skipped" => Ok(Code::PluginWorld.exit()),
        _ => Err(Error::new(
            Code::StorageLocked,
            format!("after --wait the candidate had come no further than {:?}", answer.step),
        )
        .hint("it goes on; see `atlas-host plugins history`")),
    }
}

/// When a candidate was asked for, and how long its outcome is waited for.
#[derive(Clone, Copy)]
struct Since {
    ms: i64,
    until: Instant,
}

/// What becomes of a candidate of which the run itself tells no more than `told`, as the store has it: in this run or, in a
/// process that stays up, in a later one. None where that says no more than what was told.
///
/// Errors: STORAGE_2006 where the run is gone, and the candidate with it.
fn outcome(to: &To, request: &SwapRequest, since: Since, told: Option<&SwapAnswer>) -> Result<Option<SwapAnswer>> {
    loop {
        // Asked first: what a run tells by its end is in the store when it is over.
        let goes_on = to.goes_on(told.is_some())?;
        let noted = noted(to, request, since.ms)?;
        if let Some((_, noted)) = noted.as_ref().filter(|(_, noted)| noted.ended) {
            return Ok(Some(noted.clone()));
        }
        if goes_on && Instant::now() < since.until {
            thread::sleep(LOOK);
            continue;
        }
        let of_later = noted.as_ref().filter(|(run, _)| *run > to.row.run);
        let last = noted.as_ref().map(|(_, noted)| noted);
        return match (goes_on, last.or(told)) {
            (true, _) => Ok(of_later.map(|(_, noted)| noted.clone())),
            // A run that is continued goes on with what is in the store.
            (false, Some(last)) if last.step == "took-effect" && noted.is_some() => Ok(Some(last.clone())),
            (false, Some(last)) => Err(Error::new(
                Code::StoragePrerequisite,
                format!("the run was killed, or ended, when the candidate had come no further than {:?}", last.step),
            )
            .hint("a run that is continued knows nothing of it: ask again then")),
            (false, None) => Ok(None),
        };
    }
}

/// The last step of this candidate that the store knows, with its run. What was taken before it was asked for is about an
/// earlier request for the same plugin.
fn noted(to: &To, request: &SwapRequest, since_ms: i64) -> Result<Option<(RunNumber, SwapAnswer)>> {
    let digest = Digest::of(&request.bytes);
    let mut entries = to.reader.swaps(None, Some(&request.slot))?;
    entries.retain(|entry| to.has(entry.run));
    Ok(last(entries, digest, since_ms).map(|SwapEntry { run, step }| (run, answer(step))))
}

fn last(steps: Vec<SwapEntry>, digest: Digest, since_ms: i64) -> Option<SwapEntry> {
    let last = steps.into_iter().rfind(|entry| entry.step.new_digest == digest)?;
    (last.step.at_ms >= since_ms).then_some(last)
}

/// A step of the store, as the run would tell it.
fn answer(step: SwapRow) -> SwapAnswer {
    SwapAnswer {
        schema: crate::coordinator::TUNE_SCHEMA,
        ended: matches!(step.step.as_str(), "settled" | "refused" | "put-back" | "skipped"),
        hint: None,
        told: SwapStep {
            slot: step.slot,
            source: step.source,
            name: step.name,
            old_digest: step.old_digest.map_or_else(String::new, |digest| digest.to_string()),
            new_digest: step.new_digest.to_string(),
            batch: step.batch.map(|batch| batch.0),
            elapsed_ms: 0,
            code: step.code,
            reason: step.reason,
            figures: step.figures_json.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        },
        step: step.step,
    }
}

fn in_words(to: &To, answer: &SwapAnswer) -> String {
    let SwapStep { slot, reason, code, old_digest, new_digest, .. } = &answer.told;
    let what = match answer.step.as_str() {
        "settled" => "the plugin is in effect".to_owned(),
        "took-effect" => "the plugin is in effect, on probation".to_owned(),
        "refused" => "the plugin was refused".to_owned(),
        "put-back" => "the old plugin was put back".to_owned(),
        "skipped" if old_digest == new_digest => "nothing was changed".to_owned(),
        "skipped" => "the plugin is not in effect".to_owned(),
        step => format!("the plugin has come as far as {step:?}"),
    };
    let code = code.as_deref().map_or_else(String::new, |code| format!("{code}: "));
    match to.stays_up {
        true => format!("slot {slot}: {what}: {code}{reason}"),
        false => format!("run {}, slot {slot}: {what}: {code}{reason}", to.row.run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(run: u64, step: &str, plugin: &str, at_ms: i64) -> SwapEntry {
        let step = SwapRow {
            slot: "work".to_owned(),
            step: step.to_owned(),
            source: "command".to_owned(),
            name: format!("{plugin}.wasm"),
            old_digest: None,
            new_digest: Digest::of(plugin.as_bytes()),
            batch: None,
            at_ms,
            ok: true,
            code: None,
            reason: String::new(),
            figures_json: None,
        };
        SwapEntry { run: RunNumber(run), step }
    }

    #[test]
    fn the_outcome_of_an_earlier_request_is_none_of_this_one() {
        let steps = || vec![step(1, "tried", "v2", 10), step(1, "settled", "v2", 20), step(1, "refused", "v3", 40)];
        let last = |since_ms| super::last(steps(), Digest::of(b"v2"), since_ms).map(|entry| answer(entry.step));
        assert!(last(20).is_some_and(|answer| answer.step == "settled" && answer.ended));
        assert_eq!(last(21), None);
        let tried = vec![step(1, "settled", "v2", 20), step(1, "tried", "v2", 30)];
        let tried = super::last(tried, Digest::of(b"v2"), 25).map(|entry| answer(entry.step));
        assert!(tried.is_some_and(|answer| !answer.ended), "it is on its way");
    }

    #[test]
    fn a_plugin_that_was_put_back_counts_again_once_it_stayed() {
        let v2 = Digest::of(b"v2");
        let mut steps = vec![step(1, "took-effect", "v2", 1), step(1, "put-back", "v2", 2), step(2, "tried", "v2", 3)];
        assert_eq!(put_back(&steps).get(&v2), Some(&RunNumber(1)));
        let mut accepted = step(2, "took-effect", "v2", 4);
        accepted.step.source = ACCEPTED.to_owned();
        assert!(put_back(&[&steps[..], &[accepted]].concat()).is_empty(), "its user has judged it");
        steps.push(step(2, "settled", "v2", 4));
        assert!(put_back(&steps).is_empty());
    }
}
