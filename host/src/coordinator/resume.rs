//! Is this the command of an earlier run, and is it the same? Then it continues, or is complete already.

use super::chain::Chain;
use super::control::Control;
use super::job::{Input, Job, SlotSpec};
use super::start::named;
use crate::error::{Code, Error, Result};
use crate::model::{Digest, Name};
use crate::plugin::{Role, Slot};
use crate::source::{CsvOptions, Cutter, InputPath, MissingId, fingerprint};
use crate::store::RunRow;

/// What makes two commands the same job, and two executions of it alike.
pub(super) struct Identity {
    /// Key of the job: collection and inputs.
    pub job: String,
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
        let job_key = if resumable { key(job, &inputs) } else { uuid::Uuid::now_v7().to_string() };
        Ok(Self { job: job_key, resumable, settings: settings(job, chain), inputs_json })
    }

    /// The key alone, which asks for no plugin; none where the input cannot be read a second time.
    ///
    /// Errors: an input cannot be looked at.
    pub fn key(job: &Job) -> Result<Option<String>> {
        let (inputs, resumable) = inputs(job, &[])?;
        Ok(resumable.then(|| key(job, &inputs)))
    }
}

fn key(job: &Job, inputs: &[InputIdentity]) -> String {
    let paths: Vec<&str> = inputs.iter().map(|input| input.path.as_str()).collect();
    Digest::of(format!("{}\0{}", job.collection, paths.join("\0")).as_bytes()).to_string()
}

#[derive(serde::Serialize, serde::Deserialize, PartialEq)]
struct InputIdentity {
    path: String,
    size_bytes: Option<u64>,
    modified_ms: Option<i64>,
}

fn inputs(job: &Job, names: &[String]) -> Result<(Vec<InputIdentity>, bool)> {
    let unread = |path: String| InputIdentity { path, size_bytes: None, modified_ms: None };
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
                let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string();
                match fingerprint(path)? {
                    // It grows while it is followed; the digest of what was read tells whether it is the same.
                    Some(_) if job.read.follow && number + 1 == files.len() => identities.push(unread(whole)),
                    Some(print) => identities.push(InputIdentity {
                        path: whole,
                        size_bytes: Some(print.size_bytes),
                        modified_ms: Some(print.modified_ms),
                    }),
                    None => {
                        resumable = false;
                        identities.push(unread(whole));
                    }
                }
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

/// What fills a slot, as a setting.
pub(super) fn of_slot(slot: &Slot) -> (String, String) {
    let digest = slot.digest().map_or_else(|| "native".to_owned(), |digest| digest.to_string());
    (setting(slot.role(), slot.name()), digest)
}

/// How the setting of a slot is called.
pub(super) fn setting(role: Role, slot: &Name) -> String {
    format!("{} {slot}", role.as_str())
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

/// Errors: CONFIG_3001 where the run cannot be continued as it is, naming each difference.
pub(super) fn judge(last: Option<RunRow>, identity: &Identity, job: &Job) -> Result<Found> {
    let Some(row) = last else { return Ok(Found::New) };
    if job.again || row.status == crate::model::RunStatus::RolledBack {
        return Ok(Found::New);
    }
    let changed = differences(&row.identity, &identity.settings);
    if row.status.finished() {
        let same = (changed.is_empty() || job.once) && !job.read.follow && row.inputs_json == identity.inputs_json;
        return Ok(if same { Found::Complete(Box::new(row)) } else { Found::New });
    }
    if changed.is_empty() || job.accept_change {
        return Ok(Found::Continue(Box::new(row)));
    }
    let run = named(row.run);
    Err(Error::new(Code::ConfigInvalid, format!("{run} began with other settings: {}", changed.join("; ")))
        .hint(format!("use the settings of {run}, or --accept-change to go on with these, or --again to begin anew")))
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

/// Reads past what the run has accounted for, and makes sure that it is still the same.
///
/// Errors: CONFIG_3001 if the input has changed before the checkpoint, RECOVERY_9004 if it is shorter; both are of the input.
pub(super) fn skip(cutter: &mut Cutter, row: &RunRow, control: &Control) -> Result<()> {
    let Some(skipped) = cutter.skip_to(row.next, &control.flag())? else { return Ok(()) };
    let same = row.input_digest.is_none_or(|digest| digest == skipped.digest);
    if same {
        return Ok(());
    }
    let names = cutter.source().names().join(", ");
    let message =
        format!("the first {} records of {names} are not those that {} has processed", row.next, named(row.run));
    Err(Error::new(Code::ConfigInvalid, message)
        .hint("restore the input to continue, or use --again to begin anew with the changed one")
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
