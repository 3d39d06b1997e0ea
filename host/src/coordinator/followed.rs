//! An interrupted run whose plugins are followed by their files goes on with the plugins that it had last: what its files hold
//! by now comes as any other candidate does, through a trial. So does what is no good, which is refused then.

use std::collections::HashMap;
use std::sync::Arc;

use super::chain::Chain;
use super::host::Host;
use super::job::Job;
use super::resume::{self, Identity};
use super::start::{filling, named};
use super::swap::SwapSource;
use super::writer::WriterService;
use crate::error::{Code, Error, Result};
use crate::model::{Digest, Name, RunNumber, RunStatus};
use crate::plugin::{Plugin, Role, Slot};
use crate::processor::ProcessorKind;
use crate::store::{ACCEPTED, Reader, RunRow, SwapRow};

/// What fills the slots in place of what the files hold.
pub(super) struct Followed {
    pub chain: Chain,
    /// Slots whose files hold what has been refused, put back or replaced in this run: it is no candidate again.
    pub judged: HashMap<Name, Digest>,
}

/// None where the files hold what the run had, or there is no run to go on with.
pub(super) fn plugins(
    host: &Host,
    job: &Job,
    writer: &WriterService,
    identity: &Identity,
    chain: &Chain,
) -> Result<Option<Followed>> {
    let (Some(store), false) = (&job.store, job.watch.is_empty()) else { return Ok(None) };
    if !identity.resumable || !may_go_on(job) {
        return Ok(None);
    }
    let key = identity.job.clone();
    let last = writer.ask(move |processor| key.last_run(|sought| sought.by(processor)))?;
    let Some(run) = last.filter(is_open) else { return Ok(None) };
    let reader = Reader::open(store)?;
    let (mut next, mut judged) = (None, HashMap::new());
    for spec in job.validators.iter().chain(&job.operations) {
        let followed = job.watch.iter().any(|file| file.slot == spec.name) && spec.pinned.is_none();
        let Some((_, slot)) = chain.find(&spec.name).filter(|_| followed) else { continue };
        let (Some(had), Some(holds)) = (had(&run, slot.role(), slot.name()), slot.digest()) else { continue };
        if had == holds {
            continue;
        }
        // Where its bytes are gone the run is refused for the difference.
        let Some(bytes) = reader.plugin_bytes(&had)? else { continue };
        let plugin = host.loader()?.load_bytes(bytes.into(), slot.file())?;
        let before = Slot::of_component(spec.name.clone(), slot.role(), &plugin, filling(job, spec))?;
        tracing::info!("Slot {} goes on with the plugin that {} had last.", spec.name, named(run.run));
        next = Some(next.as_ref().unwrap_or(chain).with(&Arc::new(before)));
        let steps = reader.swaps(Some(run.run), Some(&spec.name))?;
        let steps: Vec<SwapRow> = steps.into_iter().map(|entry| entry.step).collect();
        if is_judged(&steps, holds) {
            judged.insert(spec.name.clone(), holds);
        }
    }
    Ok(next.map(|chain| Followed { chain, judged }))
}

/// What an interrupted run had last in a slot, in place of a followed file that is no good: of these bytes, if they could be
/// read at all, and for this reason. The file is a candidate like any other then.
///
/// Errors: the reason, where there is no such run. What hinders the search says less than what is wrong with the file.
pub(crate) fn in_place_of(
    host: &Host,
    job: &Job,
    (slot, role): (&Name, Role),
    bad: Option<Digest>,
    reason: Error,
) -> Result<Plugin> {
    let Ok(Some((run, plugin))) = before(host, job, (slot, role), bad) else { return Err(reason) };
    tracing::warn!(
        code = reason.code().as_str(),
        hint = reason.hint_text(),
        "Slot {slot} goes on with the plugin that {} had last: {reason}.",
        named(run)
    );
    Ok(plugin)
}

fn before(
    host: &Host,
    job: &Job,
    (slot, role): (&Name, Role),
    bad: Option<Digest>,
) -> Result<Option<(RunNumber, Plugin)>> {
    let Some(file) = job.watch.iter().find(|file| file.slot == *slot) else { return Ok(None) };
    let Some(store) = job.store.as_ref().filter(|store| may_go_on(job) && store.exists()) else { return Ok(None) };
    let reader = Reader::open(store)?;
    let last = match (&job.carried, Identity::key(job)?) {
        // Plugins are handed on from input to input, so that those of the newest run count.
        (Some(_), _) => reader.runs(1)?.pop().filter(|run| run.collection == job.collection),
        (None, Some(key)) => key.last_run(|sought| sought.read_by(&reader))?,
        (None, None) => None,
    };
    let Some(run) = last.filter(is_open) else { return Ok(None) };
    let Some(had) = had(&run, role, slot).filter(|had| Some(*had) != bad) else { return Ok(None) };
    let Some(bytes) = reader.plugin_bytes(&had)? else { return Ok(None) };
    let plugin = host.loader()?.load_bytes(bytes.into(), &file.path.display().to_string())?;
    Ok(Some((run.run, plugin)))
}

/// True for a job that would go on with an interrupted run, and with the plugins of that.
fn may_go_on(job: &Job) -> bool {
    !job.dry_run && !job.again && !job.accept_change && job.processor == ProcessorKind::Storage
}

fn is_open(run: &RunRow) -> bool {
    !run.status.finished() && run.status != RunStatus::RolledBack
}

/// The plugin that the run had last in this slot.
fn had(run: &RunRow, role: Role, slot: &Name) -> Option<Digest> {
    let setting = resume::setting(role, slot);
    run.identity.iter().find(|(name, _)| *name == setting).and_then(|(_, digest)| Digest::parse(digest))
}

/// True if the file holds what it held when the run last looked, and that was refused, put back or replaced. `steps` are those
/// of its slot, oldest first.
fn is_judged(steps: &[SwapRow], holds: Digest) -> bool {
    let by_file = |step: &SwapRow| [SwapSource::Watch.as_str(), ACCEPTED].contains(&step.source.as_str());
    let asked = steps.iter().rposition(|step| by_file(step) && (step.step == "requested" || step.source == ACCEPTED));
    // What was asked for in an earlier run of a process that stays up has other steps in this one.
    let (held, since) = match asked.or_else(|| steps.iter().position(by_file)) {
        Some(at) => (Some(steps[at].new_digest), &steps[at..]),
        // The file never changed: it holds what the run began with.
        None => (steps.first().and_then(|step| step.old_digest), steps),
    };
    // What hindered the host says nothing of the plugin.
    let of_the_host = |step: &SwapRow| step.code.as_deref() == Some(Code::Internal.as_str());
    let against = |step: &SwapRow| match step.step.as_str() {
        "refused" if of_the_host(step) => false,
        "refused" | "put-back" => step.new_digest == holds,
        "took-effect" => step.old_digest == Some(holds),
        _ => false,
    };
    held == Some(holds) && since.iter().any(against)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn row(source: &str, step: &str, old: &str, new: &str) -> SwapRow {
        SwapRow {
            slot: "work".to_owned(),
            step: step.to_owned(),
            source: source.to_owned(),
            name: "work.wasm".to_owned(),
            old_digest: Some(digest(old)),
            new_digest: digest(new),
            batch: None,
            at_ms: 0,
            ok: true,
            code: None,
            reason: String::new(),
            figures_json: None,
        }
    }

    fn judged(steps: &[(&str, &str, &str, &str)], holds: &str) -> bool {
        let steps: Vec<_> = steps.iter().map(|(source, step, old, new)| row(source, step, old, new)).collect();
        is_judged(&steps, digest(holds))
    }

    #[test]
    fn what_the_file_held_and_was_refused_put_back_or_replaced_is_judged() {
        assert!(!judged(&[], "v1"), "it came while there was no run");
        let refused = [("watch", "requested", "v1", "v2"), ("watch", "refused", "v1", "v2")];
        assert!(judged(&refused, "v2"));
        assert!(!judged(&refused, "v3"));
        assert!(!judged(&refused[..1], "v2"), "the run was killed during its trial");
        let back = [refused[0], ("watch", "took-effect", "v1", "v2"), ("watch", "put-back", "v1", "v2")];
        assert!(judged(&back, "v2"));
        assert!(judged(&back[1..], "v2"), "asked for in the run before");
        let hindered = SwapRow { code: Some("OPERATION_5003".to_owned()), ..row("watch", "refused", "v1", "v2") };
        assert!(
            !is_judged(&[row("watch", "requested", "v1", "v2"), hindered], digest("v2")),
            "nobody has looked at it"
        );
        let by_command = [("command", "requested", "v1", "v2"), ("command", "took-effect", "v1", "v2")];
        assert!(judged(&by_command, "v1"), "the file stayed as it is");
    }

    #[test]
    fn what_is_put_back_into_the_file_while_there_is_no_run_is_a_candidate() {
        let replaced = [("watch", "requested", "v1", "v2"), ("watch", "took-effect", "v1", "v2")];
        assert!(!judged(&replaced, "v1"));
        let then_by_command = [("command", "requested", "v2", "v3"), ("command", "took-effect", "v2", "v3")];
        let both = [replaced, then_by_command].concat();
        assert!(judged(&both, "v2"), "a command has replaced what the file still holds");
        assert!(!judged(&both, "v1"));
        let accepted = [(ACCEPTED, "took-effect", "v1", "v2")];
        assert!(!judged(&accepted, "v1"), "the file held v2 when that was accepted");
        let then_accepted = [(ACCEPTED, "took-effect", "v2", "v3"), ("command", "took-effect", "v3", "v4")];
        let all = [replaced, then_accepted].concat();
        assert!(judged(&all, "v3"), "a command has replaced what was accepted from the file");
    }
}
