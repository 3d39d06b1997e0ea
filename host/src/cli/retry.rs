//! `dead-letters retry`: the items among the dead letters once more, through the same plugins or mended ones.
//!
//! Each dead letter is marked as retried in the transaction that stores its item or its new dead letter, so that it is never
//! in both places nor in neither.

use std::collections::VecDeque;
use std::path::Path;

use clap::Args;

use super::dead_letters::{digits, phase, plugin};
use super::job_args::JobArgs;
use super::print::{self, Printer};
use super::rebuilt::{asked, fill, given, setting};
use super::run::Around;
use super::signals::Watch;
use super::{Layers, Talk, plan, run as run_verb};
use crate::coordinator::resume::of_config;
use crate::coordinator::{Control, Input, Job, SlotSpec};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Name, OnExisting, Phase, Pointer, RunNumber};
use crate::source::{Format, ListSource, MissingId, id_at};
use crate::store::{DeadLetter, LetterFilter, LetterState, RETRIED, Reader, RunRow};

/// Letters fetched at a time.
const PAGE: usize = 500;

/// Try dead letters again, through the run's own plugins or through those given
///
/// Without --plugin or --validator the plugins that the run had are taken from the store; of the file their grants and settings
/// hold, and not its plugins. One given takes the place of the run's plugin of the same slot, and the others stay; one of
/// another name takes the place of the only one of its role. Where the run had several, or none and neither --run nor LETTER
/// says that it is meant, it is refused. The run's id pointer, collections and --on-existing are kept, unless a flag says
/// otherwise; with --into only letters of runs into that collection are tried.
/// What fails again is a dead letter of the new run: it names the letter before, counts its attempts on, and keeps the place
/// in the input that the first one had.
#[derive(Args, Debug)]
pub struct RetryArgs {
    /// Only those of this run
    #[arg(long, value_name = "RUN")]
    run: Option<u64>,
    /// Only those with this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only those of this phase: decode, validate, operate, store
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    phase: Option<Phase>,
    /// Only those that the plugin in this slot refused or failed
    #[arg(long, value_name = "SLOT")]
    slot: Option<String>,
    /// Only those of the plugin with this digest; its first digits do
    #[arg(long, value_name = "DIGEST", value_parser = digits)]
    digest: Option<String>,
    /// Let a letter take the place of a row that was written after it
    ///
    /// Without it such a letter stays among the dead letters, with the run that wrote the row.
    #[arg(long)]
    over_newer: bool,
    /// Only these letters
    #[arg(value_name = "LETTER")]
    letters: Vec<i64>,
    #[command(flatten)]
    pub job: Box<JobArgs>,
}

/// Retries run by run; the exit code is the highest of the runs'.
pub fn run(args: RetryArgs, layers: &Layers, talk: Talk, printer: &mut Printer) -> Result<u8> {
    // ATLAS_INPUT and the file are about runs, so that only a flag is a mistake.
    if layers.has_flag("input") {
        return Err(Error::new(Code::ConfigInvalid, "dead letters are the input; --input cannot be given"));
    }
    let store = args.job.store.store.clone();
    let mut reader = Reader::open(&store)?;
    let filter = LetterFilter {
        ids: args.letters.clone(),
        run: args.run.map(RunNumber),
        code: args.code.clone(),
        phase: args.phase,
        slot: args.slot.clone(),
        plugin: args.digest.as_deref().map(|digits| plugin(&mut reader, digits)).transpose()?,
        state: Some(LetterState::Open),
        // The default is no choice, and the file is about runs.
        collection: asked(layers, "into").then(|| args.job.into.clone()),
        ..LetterFilter::default()
    };
    let groups = by_run(&reader, &filter)?;
    if groups.is_empty() {
        print::talk("No open dead letter matches; nothing was tried.");
        return Ok(0);
    }
    let host = plan::host(&args.job, layers)?;
    let given = given(&args.job, (layers, talk), &host)?;
    let is_meant = args.run.is_some() || !args.letters.is_empty();
    // Before the first run begins, so that all are tried or none.
    for (row, _) in &groups {
        given.fits(row, &reader.last_chain(row.run)?, is_meant)?;
    }
    let control = Control::default();
    let watch = Watch::start(control.clone());
    let mut code = 0;
    for (number, (row, ids)) in groups.into_iter().enumerate() {
        let reader = Reader::open(&store)?;
        let mut job = retry_job(&args, layers, &row, ids, &store)?;
        fill(&mut job, &given, (&args.job, layers), &host, &reader, &row)?;
        warn_of_settings(&job, &row);
        job.control = control.clone();
        let around = Around { appends: number > 0, ..Around::alone(&watch) };
        code = code.max(run_verb::perform(&host, job, &args.job, (layers, talk), &around, printer)?);
        if control.stopped() {
            break;
        }
    }
    Ok(code)
}

/// Runs that have matching letters, with the letters' ids in input order.
fn by_run(reader: &Reader, filter: &LetterFilter) -> Result<Vec<(RunRow, Vec<i64>)>> {
    let mut groups: Vec<(RunRow, Vec<i64>)> = Vec::new();
    let mut after = 0;
    let (mut cut, mut rows) = (0, 0);
    loop {
        let page = reader.dead_letter_heads(filter, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for letter in page {
            if letter.kept_bytes.is_none_or(|kept| kept < letter.total_bytes) {
                cut += 1;
                continue;
            }
            let at = match groups.iter().position(|(row, _)| row.run == letter.run) {
                Some(at) => at,
                None => {
                    let row = reader.run(letter.run)?.ok_or_else(|| {
                        Error::new(Code::StorageRead, format!("dead letter {} belongs to no run", letter.id))
                    })?;
                    groups.push((row, Vec::new()));
                    groups.len() - 1
                }
            };
            let (row, ids) = &mut groups[at];
            match is_of_table(row, &letter) {
                true => rows += 1,
                false => ids.push(letter.id),
            }
        }
    }
    groups.retain(|(_, ids)| !ids.is_empty());
    if rows > 0 {
        print::talk(&format!(
            "{rows} dead letters are rows of a table that could not be read; mend them in the input and run it again."
        ));
    }
    if cut > 0 {
        print::talk(&format!(
            "{cut} dead letters keep only the head of an over-long record and cannot be tried again."
        ));
    }
    Ok(groups)
}

/// True if that run tried dead letters again.
pub fn is_retry(row: &RunRow) -> bool {
    run_tried_again(&row.inputs_json).is_some()
}

/// The run whose dead letters a run with these inputs tried again, if it did.
pub fn run_tried_again(inputs_json: &str) -> Option<RunNumber> {
    let inputs: Vec<serde_json::Value> = serde_json::from_str(inputs_json).unwrap_or_default();
    let run = |input: &serde_json::Value| input["path"].as_str()?.strip_prefix(RETRIED)?.parse().ok().map(RunNumber);
    inputs.iter().find_map(run)
}

/// The format in which the run read an input of this name; none where nothing says so.
pub fn format_of(row: &RunRow, input: &str) -> Option<Format> {
    setting(row, "format").and_then(Format::parse).or_else(|| Format::of_path(Path::new(input)))
}

/// True where the letter's bytes are a row of CSV or TSV, which is no item without its header.
fn is_of_table(row: &RunRow, letter: &DeadLetter) -> bool {
    let format = format_of(row, &letter.input);
    letter.phase == Phase::Decode && letter.item_id.is_none() && matches!(format, Some(Format::Csv | Format::Tsv))
}

fn retry_job(args: &RetryArgs, layers: &Layers, row: &RunRow, ids: Vec<i64>, store: &Path) -> Result<Job> {
    let args_of_job = JobArgs { input: vec!["-".to_owned()], ..(*args.job).clone() };
    let mut job = plan::without_plugins(&args_of_job, layers)?;
    job.collection = row.collection.clone();
    job.over_newer = args.over_newer;
    if !asked(layers, "on-existing")
        && let Some(on_existing) = setting(row, "on-existing").and_then(OnExisting::parse)
    {
        job.on_existing = on_existing;
    }
    if !asked(layers, "collection")
        && let Some(names) = setting(row, "collections")
    {
        job.collections = names.split(", ").filter_map(Name::parse).collect();
    }
    // Also where the run had none.
    if !asked(layers, "id") {
        job.id = setting(row, "id").filter(|text| text.starts_with('/')).and_then(Pointer::parse);
    }
    if !layers.has_flag("limit") {
        job.limit = None;
    }
    let letters = Letters {
        reader: Reader::open(store)?,
        id: job.id.clone(),
        missing_id: job.missing_id,
        ids: ids.iter().copied().collect(),
        page: Vec::new().into_iter(),
    };
    let source = ListSource::raw(format!("{RETRIED}{}", row.run), letters);
    job.input = Input::Source { source: Box::new(source), resumable: None };
    job.dead_letters = Some(ids.into());
    Ok(job)
}

fn warn_of_settings(job: &Job, row: &RunRow) {
    for spec in job.validators.iter().chain(&job.operations) {
        let (name, now) = of_config(spec);
        if setting(row, &name).is_some_and(|then| then != now) {
            tracing::warn!(
                "Slot {} has other settings than in run {}, which keeps no values: give them by --plugin-config or the file.",
                spec.name,
                row.run
            );
        }
        let missing = missing_grants(spec, row);
        if !missing.is_empty() {
            tracing::warn!(
                "Slot {} lacks what it was granted in run {}: {}. Grant it by flags or the file.",
                spec.name,
                row.run,
                missing.join(", ")
            );
        }
    }
}

/// What the slot of this name was granted in the run, and is not now.
fn missing_grants<'a>(spec: &SlotSpec, row: &'a RunRow) -> Vec<&'a str> {
    let then = setting(row, &format!("grants of {}", spec.name)).unwrap_or_default();
    let mut grants = spec.grants.clone();
    grants.collections.push(row.collection.clone());
    // In one text and apart again, as those of the run are.
    let now = grants.describe().join(", ");
    then.split(", ").filter(|grant| !grant.is_empty() && !now.split(", ").any(|now| now == *grant)).collect()
}

/// Letters by id, a page at a time, as (id, body).
struct Letters {
    reader: Reader,
    /// Where items have their ids; those without one get their position, or stay without.
    id: Option<Pointer>,
    missing_id: MissingId,
    /// By number, as the store gives them.
    ids: VecDeque<i64>,
    page: std::vec::IntoIter<(Option<String>, Vec<u8>)>,
}

impl Letters {
    fn fill(&mut self) -> Result<()> {
        let ids: Vec<i64> = self.ids.iter().take(PAGE).copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let filter = LetterFilter { ids, ..LetterFilter::default() };
        let letters = self.reader.dead_letters_within(&filter, 0, PAGE, limits::PAGE_BYTES_MAX)?;
        if letters.is_empty() || letters.iter().any(|letter| self.ids.pop_front() != Some(letter.id)) {
            self.ids.clear();
            return Err(Error::new(Code::ConcurrentModification, "dead letters have vanished while they were read"));
        }
        let items: Result<Vec<_>> = letters.into_iter().map(|letter| self.item(letter)).collect();
        self.page = items?.into_iter();
        Ok(())
    }

    /// A position that serves as an id is the one in the input of the run that first made the letter: the same number among
    /// the letters would be that of another item.
    fn item(&self, letter: DeadLetter) -> Result<(Option<String>, Vec<u8>)> {
        let body = letter.original.unwrap_or_default();
        if let Some(id) = letter.item_id.filter(|id| !id.is_empty()) {
            return Ok((Some(id), body));
        }
        let by_position = match &self.id {
            None => true,
            Some(pointer) => {
                let has_one = std::str::from_utf8(&body).is_ok_and(|text| id_at(text, pointer).is_some());
                self.missing_id == MissingId::Ordinal && !has_one
            }
        };
        let id = if by_position { Some(self.reader.first_ordinal(letter.id)?.to_string()) } else { None };
        Ok((id, body))
    }
}

impl Iterator for Letters {
    type Item = Result<(Option<String>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && let Err(error) = self.fill()
        {
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, StoreOptions, Writer};

    #[test]
    fn letters_that_have_vanished_since_they_were_chosen_are_told_and_not_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("atlas.db");
        drop(Writer::open(&StoreOptions { path: path.clone(), durability: Durability::Full, create: true }).unwrap());
        let reader = Reader::open(&path).unwrap();
        let mut letters = Letters {
            reader,
            id: None,
            missing_id: MissingId::Reject,
            ids: VecDeque::from([1]),
            page: Vec::new().into_iter(),
        };
        let error = letters.next().unwrap().unwrap_err();
        assert_eq!(error.code(), Code::ConcurrentModification);
        assert!(letters.next().is_none(), "and it is told once");
    }
}
