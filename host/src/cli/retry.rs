//! `dead-letters retry`: the items among the dead letters once more, through the same plugins or mended ones.
//!
//! Each dead letter is marked as retried in the transaction that stores its item or its new dead letter, so that it is never
//! in both places nor in neither.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::dead_letters::{digits, phase, plugin};
use super::history::last_chain;
use super::job_args::JobArgs;
use super::layers::{ConfigFile, Origin};
use super::locations::Tags;
use super::print::{self, Printer};
use super::run::Around;
use super::signals::Watch;
use super::{Layers, Talk, plan, run as run_verb};
use crate::coordinator::resume::of_config;
use crate::coordinator::{Control, Filling, Host, Input, Job, SlotSpec};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Name, OnExisting, Phase, Pointer, RunNumber};
use crate::plugin::Role;
use crate::source::{Format, ListSource, MissingId, id_at};
use crate::store::{DeadLetter, LetterFilter, LetterState, RETRIED, Reader, RunPlugin, RunRow};

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
    if layers.origins.iter().any(|origin| origin.key == "input" && origin.origin == "flag") {
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
    let given = given(&args, (layers, talk), &host)?;
    // Before the first run begins, so that all are tried or none.
    for (row, _) in &groups {
        given.fits(&args, row, &last_chain(reader.plugins(row.run)?))?;
    }
    let control = Control::default();
    let watch = Watch::start(control.clone());
    let mut code = 0;
    for (number, (row, ids)) in groups.into_iter().enumerate() {
        let reader = Reader::open(&store)?;
        let mut job = retry_job(&args, layers, &row, ids, &store)?;
        fill(&mut job, &given, &args, layers, &host, &reader, &row)?;
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
    let inputs: Vec<serde_json::Value> = serde_json::from_str(&row.inputs_json).unwrap_or_default();
    inputs.iter().any(|input| input["path"].as_str().is_some_and(|path| path.starts_with(RETRIED)))
}

/// A setting that the run had.
fn setting<'a>(row: &'a RunRow, wanted: &str) -> Option<&'a str> {
    row.identity.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// True where the letter's bytes are a row of CSV or TSV, which is no item without its header.
fn is_of_table(row: &RunRow, letter: &DeadLetter) -> bool {
    let format = setting(row, "format").and_then(Format::parse).or_else(|| Format::of_path(Path::new(&letter.input)));
    letter.phase == Phase::Decode && letter.item_id.is_none() && matches!(format, Some(Format::Csv | Format::Tsv))
}

/// True if a flag or the environment says so.
fn asked(layers: &Layers, key: &str) -> bool {
    let said = |origin: &Origin| origin.origin == "flag" || origin.origin.starts_with("environment ");
    layers.origins.iter().any(|origin| origin.key == key && said(origin))
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
    if job.id.is_none() {
        job.id = setting(row, "id").filter(|text| text.starts_with('/')).and_then(Pointer::parse);
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

/// Plugins that are to take the place of those that the runs had.
struct Given {
    validators: Vec<SlotSpec>,
    operations: Vec<SlotSpec>,
}

/// What flags and the environment give. The grants of flags come when all slots of a run are known.
fn given(args: &RetryArgs, (layers, talk): (&Layers, Talk), host: &Host) -> Result<Given> {
    let of = |key, texts: &Vec<String>| if asked(layers, key) { texts.clone() } else { Vec::new() };
    let args_of_job = JobArgs {
        input: vec!["-".to_owned()],
        plugin: of("plugin", &args.job.plugin),
        validator: of("validator", &args.job.validator),
        plugin_config: Vec::new(),
        grant_dir: Vec::new(),
        grant_env: Vec::new(),
        grant_host: Vec::new(),
        grant_collection: Vec::new(),
        ..(*args.job).clone()
    };
    // Without their order the plugins of the file fill no slots, and still say what is granted.
    let (path, plugins) = (layers.file.path.clone(), layers.file.plugins.clone());
    let layers = Layers {
        file: ConfigFile { path, plugins, ..ConfigFile::default() },
        origins: layers.origins.clone(),
        ..Layers::default()
    };
    let job = plan::job(&args_of_job, &layers, host, Tags::Lock(talk))?;
    Ok(Given { validators: job.validators, operations: job.operations })
}

impl Given {
    fn of(&self, role: Role) -> &[SlotSpec] {
        match role {
            Role::Validator => &self.validators,
            Role::Operation => &self.operations,
        }
    }

    /// Errors: CONFIG_3001 if it is not clear which plugins of this run they are to replace.
    fn fits(&self, args: &RetryArgs, row: &RunRow, chain: &[RunPlugin]) -> Result<()> {
        let is_meant = args.run.is_some() || !args.letters.is_empty();
        for role in [Role::Validator, Role::Operation] {
            let slots = slots(chain, role);
            let Some(spec) = self.of(role).iter().find(|spec| !slots.contains(&spec.name.as_str())) else { continue };
            let (name, role, run) = (&spec.name, role.as_str(), row.run);
            match slots[..] {
                [] if !is_meant => {
                    let message = format!("run {run} had no {role}, so slot {name} would be added to it");
                    return Err(Error::new(Code::ConfigInvalid, message)
                        .hint("say which letters are meant: --run RUN, or their ids"));
                }
                [] | [_] => {}
                _ => {
                    let message = format!(
                        "run {run} had several of role {role}: {}, and none of them is {name}",
                        slots.join(", ")
                    );
                    return Err(Error::new(Code::ConfigInvalid, message)
                        .hint("say which one is to be replaced: SLOT=FILE; the others stay"));
                }
            }
        }
        Ok(())
    }
}

/// Names of the slots of one role, in the order of their work.
fn slots(chain: &[RunPlugin], role: Role) -> Vec<&str> {
    chain.iter().filter(|used| used.role == role.as_str()).map(|used| used.slot.as_str()).collect()
}

/// The run's plugins, with those given in their places.
fn fill(
    job: &mut Job,
    given: &Given,
    args: &RetryArgs,
    layers: &Layers,
    host: &Host,
    reader: &Reader,
    row: &RunRow,
) -> Result<()> {
    let chain = last_chain(reader.plugins(row.run)?);
    for (role, specs) in [(Role::Validator, &mut job.validators), (Role::Operation, &mut job.operations)] {
        let (given, slots) = (given.of(role), slots(&chain, role));
        if given.iter().any(|spec| !slots.contains(&spec.name.as_str())) {
            specs.extend_from_slice(given);
            continue;
        }
        for used in chain.iter().filter(|used| used.role == role.as_str()) {
            specs.push(match given.iter().find(|spec| spec.name.as_str() == used.slot) {
                Some(spec) => spec.clone(),
                None => kept(used, layers, host, reader, row)?,
            });
        }
    }
    let names: Vec<Name> = job.validators.iter().chain(&job.operations).map(|slot| slot.name.clone()).collect();
    for spec in job.validators.iter_mut().chain(&mut job.operations) {
        plan::grants_from_flags(&args.job, &names, spec)?;
        let (name, now) = of_config(spec);
        if setting(row, &name).is_some_and(|then| then != now) {
            tracing::warn!(
                "Slot {} has other settings than in run {}, which keeps no values: give them by --plugin-config or the file.",
                spec.name,
                row.run
            );
        }
    }
    Ok(())
}

/// A plugin that the run had, from the store.
fn kept(used: &RunPlugin, layers: &Layers, host: &Host, reader: &Reader, row: &RunRow) -> Result<SlotSpec> {
    let digest = used.digest.ok_or_else(|| {
        Error::new(Code::ConfigMissing, format!("slot {} of run {} was native code", used.slot, row.run))
            .hint("give a component for it: --plugin or --validator")
    })?;
    let bytes = reader.plugin_bytes(&digest)?.ok_or_else(|| {
        Error::new(Code::StoragePrerequisite, format!("the store does not have plugin {digest}"))
            .hint("give the component's file: --plugin or --validator")
    })?;
    let plugin = Arc::new(host.load_plugin_bytes(bytes.into(), &used.name)?);
    // Somebody may have edited the store.
    let name = Name::parse(&used.slot).ok_or_else(|| {
        Error::new(Code::StorageRead, format!("run {} has a slot {:?}, which is no legal name", row.run, used.slot))
    })?;
    let mut spec = SlotSpec::new(name.as_str(), Filling::Component(Arc::clone(&plugin)));
    if let Some(table) = layers.file.plugins.get(&used.slot) {
        plan::apply_table(&mut spec, table, &plugin)?;
    }
    Ok(spec)
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
