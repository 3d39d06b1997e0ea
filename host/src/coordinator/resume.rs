//! Is this the command of an earlier run, and is it the same? Then it continues, or is complete already.

use super::chain::Chain;
use super::control::Control;
use super::job::{Input, Job, SlotSpec};
use super::start::named;
use super::writer::WriterService;
use crate::error::{Code, Error, Result};
use crate::model::{Digest, Name};
use crate::plugin::{Role, Slot};
use crate::processor::Processor;
use crate::source::{CsvOptions, Cutter, InputPath, MissingId, Standing, fingerprint};
use crate::store::{Reader, RunRow};

/// What makes two commands the same job, and two executions of it alike.
pub(super) struct Identity {
    /// Under which the run is found again.
    pub job: JobKey,
    /// False where the input cannot be read a second time.
    pub resumable: bool,
    /// Settings that decide results, by name.
    pub settings: Vec<(String, String)>,
    /// Inputs with size and time, to see whether a finished job has new input.
    pub inputs_json: String,
}

impl Identity {
    /// Errors: an input cannot be looked at.
    pub fn of(job: &Job, chain: &Chain, names: &[String]) -> Result<Self> {
        let (inputs, resumable) = inputs(job, names)?;
        let inputs_json = serde_json::to_string(&inputs).unwrap_or_default();
        let key = if resumable { JobKey::of(job, &inputs) } else { JobKey::of_one_run(job) };
        Ok(Self { job: key, resumable, settings: settings(job, chain), inputs_json })
    }

    /// The key alone, which asks for no plugin; none where the input cannot be read a second time.
    ///
    /// Errors: an input cannot be looked at.
    pub fn key(job: &Job) -> Result<Option<JobKey>> {
        let (inputs, resumable) = inputs(job, &[])?;
        Ok(resumable.then(|| JobKey::of(job, &inputs)))
    }
}

/// A digest of the collection and the inputs; a name of its own where these cannot be read again.
#[derive(Debug, Clone)]
pub(super) struct JobKey {
    /// Of the places at which files lie, whatever links lead there.
    pub now: String,
    /// Of paths as they were given, by which a store of an earlier version knows the job; none where that is the same.
    before: Option<String>,
    collection: Name,
    /// As they were given; none where they cannot be read again.
    paths: Vec<String>,
}

/// By what a run is looked for.
pub(super) enum Sought<'a> {
    Job(&'a str),
    /// One that has not come to its end, whose inputs were given by these paths: what lies there may have moved since, and links
    /// with it. That it is the same, its digest tells.
    Unfinished(&'a Name, &'a [String]),
}

impl Sought<'_> {
    pub fn by(self, processor: &mut dyn Processor) -> Result<Option<RunRow>> {
        match self {
            Self::Job(job) => processor.last_run_of_job(job),
            Self::Unfinished(collection, paths) => processor.unfinished_run_over(collection, paths),
        }
    }

    pub fn read_by(self, reader: &Reader) -> Result<Option<RunRow>> {
        match self {
            Self::Job(job) => reader.last_run_of_job(job),
            Self::Unfinished(collection, paths) => reader.unfinished_run_over(collection, paths),
        }
    }
}

impl JobKey {
    fn of(job: &Job, inputs: &[InputIdentity]) -> Self {
        let key =
            |paths: Vec<&str>| Digest::of(format!("{}\0{}", job.collection, paths.join("\0")).as_bytes()).to_string();
        let now = key(inputs.iter().map(|input| input.lies_at.as_deref().unwrap_or(&input.path)).collect());
        let given = key(inputs.iter().map(|input| input.path.as_str()).collect());
        let paths = inputs.iter().map(|input| input.path.clone()).collect();
        Self { before: (given != now).then_some(given), now, collection: job.collection.clone(), paths }
    }

    fn of_one_run(job: &Job) -> Self {
        let now = uuid::Uuid::now_v7().to_string();
        Self { now, before: None, collection: job.collection.clone(), paths: Vec::new() }
    }

    /// The newest run of the job.
    pub fn last_run(&self, mut find: impl FnMut(Sought<'_>) -> Result<Option<RunRow>>) -> Result<Option<RunRow>> {
        let mut runs = Vec::new();
        for key in [Some(&self.now), self.before.as_ref()].into_iter().flatten() {
            runs.extend(find(Sought::Job(key))?);
        }
        if runs.is_empty() && !self.paths.is_empty() {
            runs.extend(find(Sought::Unfinished(&self.collection, &self.paths))?);
        }
        Ok(runs.into_iter().max_by_key(|row| row.run))
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct InputIdentity {
    /// As it was given, absolute.
    path: String,
    size_bytes: Option<u64>,
    modified_ms: Option<i64>,
    /// Where the run stands in it, as its source says it; kept with each batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// Whatever links lead there.
    #[serde(skip)]
    lies_at: Option<String>,
}

fn inputs(job: &Job, names: &[String]) -> Result<(Vec<InputIdentity>, bool)> {
    let unread = |path: String| InputIdentity { path, size_bytes: None, modified_ms: None, place: None, lies_at: None };
    match &job.input {
        Input::Source { resumable: Some(name), .. } => Ok((vec![unread(name.clone())], true)),
        Input::Source { resumable: None, .. } => Ok((names.iter().cloned().map(unread).collect(), false)),
        Input::Files(files) => {
            let mut resumable = true;
            let mut identities = Vec::with_capacity(files.len());
            for (number, file) in files.iter().enumerate() {
                let InputPath::File(path) = file else {
                    resumable = false;
                    identities.push(unread("-".to_owned()));
                    continue;
                };
                let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let mut identity = unread(whole.display().to_string());
                identity.lies_at = path.canonicalize().ok().map(|place| place.display().to_string());
                match fingerprint(path)? {
                    // It grows while it is followed; the digest of what was read tells whether it is the same.
                    Some(_) if job.read.follow && number + 1 == files.len() => {}
                    Some(print) => {
                        identity.size_bytes = Some(print.size_bytes);
                        identity.modified_ms = Some(print.modified_ms);
                    }
                    None => resumable = false,
                }
                identities.push(identity);
            }
            Ok((identities, resumable))
        }
    }
}

fn settings(job: &Job, chain: &Chain) -> Vec<(String, String)> {
    let mut settings = vec![
        ("id".to_owned(), job.id.as_ref().map_or_else(|| "ordinal".to_owned(), ToString::to_string)),
        ("missing-id".to_owned(), if job.missing_id == MissingId::Reject { "reject" } else { "ordinal" }.to_owned()),
        ("format".to_owned(), job.read.format.map_or("by name", |format| format.name()).to_owned()),
        ("max-line-bytes".to_owned(), job.read.line_bytes_max.to_string()),
        ("csv".to_owned(), csv(job.read.csv)),
        ("limit".to_owned(), job.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())),
        ("on-existing".to_owned(), job.on_existing.as_str().to_owned()),
        ("atomic".to_owned(), job.atomic.as_str().to_owned()),
    ];
    if !job.collections.is_empty() {
        settings.push(("collections".to_owned(), collections(job)));
    }
    if chain.operations.len() > 1 {
        let names: Vec<&str> = chain.operations.iter().map(|slot| slot.name().as_str()).collect();
        settings.push(("order of operations".to_owned(), names.join(", ")));
    }
    for (slot, spec) in chain.slots().zip(job.validators.iter().chain(&job.operations)) {
        settings.push(of_slot(slot));
        let grants = slot.grants().describe().join(", ");
        settings.push((format!("grants of {}", slot.name()), grants));
        settings.push(of_config(spec));
    }
    settings
}

/// The further collections that changes may name, in one line and one order.
fn collections(job: &Job) -> String {
    let mut names: Vec<&str> = job.collections.iter().map(Name::as_str).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// The settings of a plugin, as a run keeps them: values may be secret, and a digest tells whether they are the same.
pub(crate) fn of_config(spec: &SlotSpec) -> (String, String) {
    let config: Vec<String> = spec.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (format!("config of {}", spec.name), Digest::of(config.join("\0").as_bytes()).to_string())
}

/// The settings, with what fills the slots of this chain.
pub(super) fn with_chain(settings: &[(String, String)], chain: &Chain) -> Vec<(String, String)> {
    let mut settings = settings.to_vec();
    for slot in chain.slots() {
        let (name, value) = of_slot(slot);
        if let Some(setting) = settings.iter_mut().find(|(known, _)| *known == name) {
            setting.1 = value;
        }
    }
    settings
}

/// What stands in the place of files: the name of what is read and has no size that could be known before. None for files,
/// which may be others each time.
pub(super) fn unsized_input(inputs_json: &str) -> Option<String> {
    let inputs: Vec<InputIdentity> = serde_json::from_str(inputs_json).unwrap_or_default();
    inputs.into_iter().next_back().filter(|input| input.size_bytes.is_none()).map(|input| input.path)
}

/// What fills a slot, as a setting.
pub(super) fn of_slot(slot: &Slot) -> (String, String) {
    let digest = slot.digest().map_or_else(|| "native".to_owned(), |digest| digest.to_string());
    (setting(slot.role(), slot.name()), digest)
}

/// How the setting of a slot is called.
pub(super) fn setting(role: Role, slot: &Name) -> String {
    format!("{} {slot}", role.as_str())
}

/// True for the name of such a setting.
pub(super) fn is_slot(setting: &str) -> bool {
    let role = setting.split(' ').next();
    [Role::Validator, Role::Operation].into_iter().any(|known| role == Some(known.as_str()))
}

fn csv(options: CsvOptions) -> String {
    let delimiter = options.delimiter.map_or_else(|| "by format".to_owned(), |byte| format!("{:?}", char::from(byte)));
    format!("delimiter {delimiter}, {}", if options.header { "with a header" } else { "without a header" })
}

/// What an earlier run of this job means for this one.
pub(super) enum Found {
    New,
    Continue(Box<RunRow>),
    Complete(Box<RunRow>),
}

/// The run that this job goes on with, if it is to: the one it names, or the newest of its kind.
///
/// Errors: CONFIG_3001 where the one it names is not there, or writes to another collection.
pub(super) fn last_run(job: &Job, writer: &WriterService, identity: &Identity) -> Result<Option<RunRow>> {
    match (job.resume, &job.store) {
        _ if job.dry_run => Ok(None),
        (Some(run), Some(store)) => {
            let row = Reader::open(store)?.run(run)?.ok_or_else(|| {
                Error::new(Code::ConfigInvalid, format!("there is no {} in store {}", named(run), store.display()))
            })?;
            if row.collection != job.collection {
                let message =
                    format!("{} writes to collection `{}`, not to `{}`", named(run), row.collection, job.collection);
                return Err(Error::new(Code::ConfigInvalid, message).hint("leave --into out"));
            }
            Ok(Some(row))
        }
        _ if identity.resumable => {
            let key = identity.job.clone();
            writer.ask(move |processor| key.last_run(|sought| sought.by(processor)))
        }
        _ => Ok(None),
    }
}

/// Errors: CONFIG_3001 where the run cannot be continued as it is, naming each difference.
pub(super) fn judge(last: Option<RunRow>, identity: &Identity, job: &Job) -> Result<Found> {
    let Some(row) = last else { return Ok(Found::New) };
    if job.again || row.status == crate::model::RunStatus::RolledBack {
        return Ok(Found::New);
    }
    let changed = differences(&row.identity, &identity.settings);
    if row.status.finished() {
        let same = (changed.is_empty() || job.once) && !job.read.follow && unchanged(&row, identity);
        return Ok(if same || job.resume.is_some() { Found::Complete(Box::new(row)) } else { Found::New });
    }
    if changed.is_empty() || job.accept_change {
        return Ok(Found::Continue(Box::new(row)));
    }
    let run = named(row.run);
    Err(Error::new(Code::ConfigInvalid, format!("{run} began with other settings: {}", changed.join("; "))).hint(
        format!("use the settings of {run}, or --accept-change to go on with these, or `run --again` to begin anew"),
    ))
}

/// True if the inputs are as they were when that run began with them. That they are the same files, the key of the job says.
fn unchanged(row: &RunRow, identity: &Identity) -> bool {
    let states = |text: &str| -> Option<Vec<_>> {
        let inputs: Vec<InputIdentity> = serde_json::from_str(text).ok()?;
        Some(inputs.into_iter().map(|input| (input.size_bytes, input.modified_ms)).collect())
    };
    states(&row.inputs_json).is_some_and(|then| Some(then) == states(&identity.inputs_json))
}

/// How far the run has read, where its source goes on behind that by itself.
fn place(row: &RunRow) -> Option<String> {
    let inputs: Vec<InputIdentity> = serde_json::from_str(&row.inputs_json).ok()?;
    inputs.into_iter().next()?.place
}

/// The inputs, for the record of a run that is continued: what is known of the place that it has reached stays.
pub(super) fn inputs_json(identity: &Identity, row: &RunRow) -> String {
    if place(row).is_some() { row.inputs_json.clone() } else { identity.inputs_json.clone() }
}

fn differences(then: &[(String, String)], now: &[(String, String)]) -> Vec<String> {
    let find = |list: &[(String, String)], name: &str| {
        list.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let mut names: Vec<&String> = then.iter().chain(now).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| match (find(then, name), find(now, name)) {
            (Some(then), Some(now)) if then != now => Some(format!("{name} was {then}, is {now}")),
            (Some(then), None) => Some(format!("{name} was {then}, is not given")),
            (None, Some(now)) => Some(format!("{name} was not given, is {now}")),
            _ => None,
        })
        .collect()
}

/// Brings the input behind what the run has accounted for. Where it is read over, it has to be the same still.
///
/// Errors: CONFIG_3001 if the input has changed before the checkpoint, RECOVERY_9004 if it is shorter; both are of the input.
pub(super) fn go_on(cutter: &mut Cutter, row: &RunRow, control: &Control) -> Result<()> {
    let place = place(row);
    let standing = place.as_deref().map(|place| Standing { run: row.run, next: row.next, place });
    if cutter.begin(standing)? || row.next == 0 {
        return Ok(());
    }
    let Some(skipped) = cutter.skip_to(row.next, &control.flag())? else { return Ok(()) };
    let same = row.input_digest.is_none_or(|digest| digest == skipped.digest);
    if same {
        return Ok(());
    }
    let names = cutter.source().names().join(", ");
    let message =
        format!("the first {} records of {names} are not those that {} has processed", row.next, named(row.run));
    Err(Error::new(Code::ConfigInvalid, message)
        .hint("restore the input to continue, or use `run --again` to begin anew with the changed one")
        .of_input())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let then = [pair("id", "/id"), pair("operation a", "blake3:1"), pair("limit", "5")];
        let now = [pair("id", "/id"), pair("operation a", "blake3:2"), pair("validator v", "blake3:3")];
        assert_eq!(
            differences(&then, &now),
            [
                "limit was 5, is not given",
                "operation a was blake3:1, is blake3:2",
                "validator v was not given, is blake3:3"
            ]
        );
    }
}
