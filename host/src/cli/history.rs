//! What `recommend` and the report look back on: earlier runs of the same plugins and collection.

use crate::error::Result;
use crate::limits::{RECOMMEND_BATCHES_MAX, RECOMMEND_LOOKED_AT_MAX, RECOMMEND_RUNS_MAX};
use crate::model::{BatchNumber, Digest, Name, RunNumber};
use crate::monitor::{PastRun, attempts_of};
use crate::store::{Reader, RunPlugin, RunRow, SqlValue};

/// The plugins that work one after another, as a text; equal where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(String);

impl Chain {
    /// Of roles and digests, in the order of their work; what has no digest goes by its name.
    pub fn of<'a>(plugins: impl IntoIterator<Item = (&'a str, Option<Digest>, &'a str)>) -> Self {
        let parts = plugins.into_iter().map(|(role, digest, name)| match digest {
            Some(digest) => format!("{role}:{digest}"),
            None => format!("{role}:{name}"),
        });
        Self(parts.collect::<Vec<_>>().join(" "))
    }

    /// Of a run, as it ended.
    ///
    /// Errors: the store cannot be read.
    pub fn of_run(reader: &Reader, run: RunNumber) -> Result<Self> {
        Ok(Self::of_plugins(&reader.last_chain(run)?))
    }

    fn of_plugins(plugins: &[RunPlugin]) -> Self {
        Self::of(plugins.iter().map(|used| (used.role.as_str(), used.digest, used.name.as_str())))
    }
}

/// Earlier runs of this chain into this collection, newest first, as far as recommendations look back.
///
/// Errors: the store cannot be read.
pub fn past_runs(reader: &mut Reader, collection: &Name, chain: &Chain) -> Result<Vec<PastRun>> {
    let mut found = Vec::new();
    for run in reader.runs(RECOMMEND_LOOKED_AT_MAX)? {
        if found.len() == RECOMMEND_RUNS_MAX {
            break;
        }
        if run.collection != *collection {
            continue;
        }
        // A plugin may have been replaced between two executions of a run: the last chain is the one that counts.
        let plugins = reader.last_chain(run.run)?;
        if Chain::of_plugins(&plugins) == *chain {
            let since = plugins.first().map_or(0, |used| used.from_batch.0);
            found.push(past(reader, run, since)?);
        }
    }
    Ok(found)
}

/// What batches before `since` cost, other plugins are to blame for.
fn past(reader: &mut Reader, run: RunRow, since: u64) -> Result<PastRun> {
    let from = BatchNumber(run.batches.saturating_sub(RECOMMEND_BATCHES_MAX).max(since));
    let batches = reader.batches(run.run, from, RECOMMEND_BATCHES_MAX as usize)?;
    let plans = reader.plans(run.run)?;
    let exhausted = exhausted(reader, &run)?;
    Ok(PastRun { run, batches, plans, exhausted })
}

/// Items that asked for a retry until they had no attempt left. One that was refused by a later attempt was settled by it.
fn exhausted(reader: &mut Reader, run: &RunRow) -> Result<u64> {
    let (run, given) = (run.run, attempts_of(run).max(2));
    // A letter of a retry counts the attempts of the letters before too.
    let sql = format!(
        "SELECT count(*) FROM atlas_dead_letters AS l WHERE run = {run} AND fate = 'dead-lettered' AND phase = 'operate'
         AND attempts - coalesce((SELECT b.attempts FROM atlas_dead_letters AS b WHERE b.id = l.retry_of), 0) >= {given}"
    );
    let mut count = 0;
    reader.sql(&sql, Some(1), |_, row| -> Result<()> {
        if let [SqlValue::Integer(number)] = row {
            count = u64::try_from(*number).unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(count)
}
