//! An interrupted run whose plugins are followed by their files goes on with the plugins that it had last: what its files hold
//! by now comes as any other candidate does, through a trial.

use std::collections::HashMap;
use std::sync::Arc;

use super::chain::Chain;
use super::host::Host;
use super::job::Job;
use super::resume::{Identity, of_slot};
use super::start::{filling, named};
use super::writer::WriterService;
use crate::error::Result;
use crate::model::{Digest, Name, RunNumber, RunStatus};
use crate::plugin::Slot;
use crate::processor::ProcessorKind;
use crate::store::Reader;

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
    let goes_on = identity.resumable && !job.dry_run && !job.again && !job.accept_change;
    if !goes_on || job.processor != ProcessorKind::Storage {
        return Ok(None);
    }
    let key = identity.job.clone();
    let Some(run) = writer.ask(move |processor| processor.last_run_of_job(&key))? else { return Ok(None) };
    if run.status.finished() || run.status == RunStatus::RolledBack {
        return Ok(None);
    }
    let reader = Reader::open(store)?;
    let (mut next, mut judged) = (None, HashMap::new());
    for spec in job.validators.iter().chain(&job.operations) {
        let followed = job.watch.iter().any(|file| file.slot == spec.name) && spec.pinned.is_none();
        let Some((_, slot)) = chain.find(&spec.name).filter(|_| followed) else { continue };
        let (setting, _) = of_slot(slot);
        let had = run.identity.iter().find(|(name, _)| *name == setting).and_then(|(_, digest)| Digest::parse(digest));
        let (Some(had), Some(holds)) = (had, slot.digest()) else { continue };
        if had == holds {
            continue;
        }
        // Where its bytes are gone the run is refused for the difference.
        let Some(bytes) = reader.plugin_bytes(&had)? else { continue };
        let plugin = host.loader()?.load_bytes(bytes.into(), slot.file())?;
        let before = Slot::of_component(spec.name.clone(), slot.role(), &plugin, filling(job, spec))?;
        tracing::info!("Slot {} goes on with the plugin that {} had last.", spec.name, named(run.run));
        next = Some(next.as_ref().unwrap_or(chain).with(&Arc::new(before)));
        if is_judged(&reader, run.run, &spec.name, holds)? {
            judged.insert(spec.name.clone(), holds);
        }
    }
    Ok(next.map(|chain| Followed { chain, judged }))
}

fn is_judged(reader: &Reader, run: RunNumber, slot: &Name, digest: Digest) -> Result<bool> {
    let steps = reader.swaps(Some(run), Some(slot))?;
    Ok(steps.iter().any(|entry| match entry.step.step.as_str() {
        "refused" | "put-back" => entry.step.new_digest == digest,
        "took-effect" => entry.step.old_digest == Some(digest),
        _ => false,
    }))
}
