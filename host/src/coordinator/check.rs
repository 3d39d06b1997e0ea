//! What a run may be asked for. Every refusal is CONFIG_3001 and names the setting, what was given and what is possible.

use std::time::Duration;

use super::job::Job;
use super::writer::RejectLimit;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::Name;
use crate::processor::ProcessorKind;
use crate::strategy::Interval;

/// The settings of a job, before anything is opened. `memory_bytes` is what a sandbox can have.
pub(super) fn job(job: &Job, memory_bytes: usize) -> Result<()> {
    attempts(job.attempts)?;
    batch_size(job.bounds.batch_size)?;
    lanes(job.bounds.lanes)?;
    if job.validators.len() + job.operations.len() > limits::PLUGINS_MAX {
        return refuse(format!("more than {} plugins in one run", limits::PLUGINS_MAX));
    }
    if job.resume.is_some() && job.processor != ProcessorKind::Storage {
        return refuse("a run is gone on with in its store, by the storage processor alone".to_owned());
    }
    deadline("deadline", job.deadline)?;
    for slot in job.validators.iter().chain(&job.operations) {
        slot.deadline.map_or(Ok(()), |time| deadline(&format!("deadline of slot {}", slot.name), time))?;
        let memory = |bytes| within(&format!("memory of slot {} in bytes", slot.name), bytes, memory_bytes);
        slot.memory_bytes.map_or(Ok(()), memory)?;
    }
    batch_bytes(job.batch_bytes)?;
    batch_wait(job.batch_wait)?;
    job.swap.check()?;
    batch_time_max(job.batch_time_max)?;
    memory_budget(job.memory_budget)?;
    max_rejects(job.max_rejects)?;
    let mut names: Vec<&Name> = job.validators.iter().chain(&job.operations).map(|slot| &slot.name).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return refuse(format!("two slots are called {}", pair[0]));
    }
    match job.watch.iter().find(|file| !names.contains(&&file.slot)) {
        Some(file) => {
            refuse(format!("{} is to be watched for slot {}, which there is not", file.path.display(), file.slot))
        }
        None => Ok(()),
    }
}

fn deadline(setting: &str, time: Duration) -> Result<()> {
    match time.is_zero() || time > limits::DEADLINE_LIMIT {
        false => Ok(()),
        true => {
            let most = limits::DEADLINE_LIMIT.as_secs();
            refuse(format!("{setting} is {time:?}, more than 0 and up to {most} s are possible"))
        }
    }
}

/// Attempts per item.
pub(super) fn attempts(attempts: u32) -> Result<()> {
    within("attempts", attempts as usize, limits::ATTEMPTS_LIMIT as usize)
}

/// Items per batch.
pub(super) fn batch_size(size: Interval) -> Result<()> {
    within("batch size", size.max(), limits::BATCH_SIZE_LIMIT)
}

/// Chunks computed at the same time.
pub(super) fn lanes(lanes: Interval) -> Result<()> {
    within("lanes", lanes.max(), limits::LANES_LIMIT)
}

/// Time that batches should stay below.
pub(super) fn batch_time_max(time: Option<Duration>) -> Result<()> {
    match time {
        Some(Duration::ZERO) => refuse("max batch time is 0, more than 0 is possible".to_owned()),
        _ => Ok(()),
    }
}

/// Memory that the process should stay below, in bytes.
pub(super) fn memory_budget(bytes: Option<u64>) -> Result<()> {
    match bytes {
        Some(0) => refuse("memory budget is 0 bytes, more than 0 is possible".to_owned()),
        _ => Ok(()),
    }
}

/// Items that may be rejected or dead-lettered.
fn max_rejects(limit: Option<RejectLimit>) -> Result<()> {
    let most = limits::REJECT_WINDOW_MAX;
    match limit {
        Some(RejectLimit::Percent(percent)) if !(0.0..=100.0).contains(&percent) => {
            refuse(format!("max rejects is {percent} percent, 0 to 100 are possible"))
        }
        Some(RejectLimit::Window { failed, items }) if items > most || failed >= items => {
            refuse(format!("max rejects is {failed} of {items} items, fewer than all of up to {most} are possible"))
        }
        _ => Ok(()),
    }
}

/// Bytes at which a batch closes.
pub(super) fn batch_bytes(bytes: usize) -> Result<()> {
    match bytes {
        0 => refuse("batch bytes is 0, at least 1 is possible".to_owned()),
        _ => Ok(()),
    }
}

/// Time after which a batch of a slow pipe closes.
pub(super) fn batch_wait(time: Duration) -> Result<()> {
    let most = limits::BATCH_WAIT_LIMIT;
    match time <= most {
        true => Ok(()),
        false => refuse(format!("batch wait is {time:?}, up to {} s are possible", most.as_secs())),
    }
}

/// A candidate for a slot.
pub(super) fn plugin_bytes(name: &str, bytes: usize) -> Result<()> {
    match bytes as u64 {
        0..=limits::PLUGIN_BYTES_MAX => Ok(()),
        bytes => refuse(format!("plugin {name} has {bytes} bytes, the bound is {}", limits::PLUGIN_BYTES_MAX)),
    }
}

fn within(setting: &str, given: usize, most: usize) -> Result<()> {
    match (1..=most).contains(&given) {
        true => Ok(()),
        false => refuse(format!("{setting} is {given}, 1 to {most} are possible")),
    }
}

fn refuse(message: String) -> Result<()> {
    Err(Error::new(Code::ConfigInvalid, message))
}
