//! Results to the caller, in input order; no file is touched.
//!
//! Fates are those of the storage processor, but for what only a store can know: rows that were there before, and unique
//! indexes. `--on-existing` ignore and reject look at the keys of this run alone.

use std::collections::HashSet;

use super::Processor;
use crate::error::{Code, Error, Result};
use crate::model::{
    BatchNumber, Change, Counts, Decision, Fate, IndexSpec, Name, OnExisting, Phase, Problem, Refusal, RunNumber,
};
use crate::store::{BatchWrite, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, WritePolicy};
use crate::transaction::Transactional;

/// Takes the bodies of stored items, in input order. The arguments are collection, id and body.
pub type Output = Box<dyn FnMut(&Name, &str, &str) -> std::io::Result<()> + Send>;

/// Passes results on and keeps nothing but, where the policy needs them, the keys seen.
pub struct MemoryProcessor {
    output: Output,
    seen: HashSet<(Name, String)>,
}

impl MemoryProcessor {
    /// With the place where results go.
    pub fn new(output: Output) -> Self {
        Self { output, seen: HashSet::new() }
    }

    fn batch(&mut self, write: &BatchWrite, policy: &WritePolicy) -> Result<Receipt> {
        let mut counts = Counts { read: write.batch.len() as u64, retries: write.retries, ..Counts::default() };
        let mut refused = Vec::new();
        let mut bytes_out = 0;
        for (index, decision) in write.decisions.iter().enumerate() {
            match decision {
                Decision::Drop => counts.count(Fate::Dropped),
                Decision::Refuse(refusal) => counts.count(refusal.fate),
                Decision::Keep | Decision::Replace(_) => {
                    let item = write.batch.item(index).expect("BUG: a broken record was kept");
                    let body = if let Decision::Replace(body) = decision { body } else { item.body };
                    match self.put(&policy.target, item.id, body, policy, &mut counts, &mut bytes_out)? {
                        Some(problem) => refused.push((index, problem)),
                        None => counts.count(Fate::Stored),
                    }
                }
                Decision::Emit(changes) => match self.emit(changes, policy, &mut counts, &mut bytes_out)? {
                    Some(problem) => refused.push((index, problem)),
                    None => counts.count(Fate::Stored),
                },
            }
        }
        for (_, refusal) in &refused {
            counts.count(refusal.fate);
        }
        Ok(Receipt { counts, refused, bytes_out, write_us: 0 })
    }

    /// All or none: a refused key is found before anything is passed on.
    fn emit(
        &mut self,
        changes: &[Change],
        policy: &WritePolicy,
        counts: &mut Counts,
        bytes_out: &mut u64,
    ) -> Result<Option<Refusal>> {
        let place = |collection: &Option<Name>| collection.clone().unwrap_or_else(|| policy.target.clone());
        if policy.on_existing == OnExisting::Reject {
            let taken = changes.iter().find_map(|change| match change {
                Change::Put { collection, id, .. } if self.seen.contains(&(place(collection), id.clone())) => Some(id),
                _ => None,
            });
            if let Some(id) = taken {
                return Ok(Some(taken_key(id)));
            }
        }
        for change in changes {
            match change {
                Change::Put { collection, id, body } => {
                    self.put(&place(collection), id, body, policy, counts, bytes_out)?;
                }
                Change::Delete { collection, id } => {
                    if self.seen.remove(&(place(collection), id.clone())) {
                        counts.deleted += 1;
                    }
                }
            }
        }
        Ok(None)
    }

    fn put(
        &mut self,
        collection: &Name,
        id: &str,
        body: &str,
        policy: &WritePolicy,
        counts: &mut Counts,
        bytes_out: &mut u64,
    ) -> Result<Option<Refusal>> {
        if policy.on_existing != OnExisting::Replace && !self.seen.insert((collection.clone(), id.to_owned())) {
            if policy.on_existing == OnExisting::Reject {
                return Ok(Some(taken_key(id)));
            }
            counts.ignored += 1;
            return Ok(None);
        }
        (self.output)(collection, id, body)
            .map_err(|error| Error::new(Code::StorageWrite, format!("a result cannot be written: {error}")))?;
        counts.inserted += 1;
        *bytes_out += body.len() as u64;
        Ok(None)
    }
}

fn taken_key(id: &str) -> Refusal {
    let problem = Problem::of_host(Code::IndexConstraint, format!("an item with the id {id:?} exists already"));
    Refusal { fate: Fate::DeadLettered, phase: Phase::Store, problems: vec![problem], attempts: 1, slot: None }
}

impl Processor for MemoryProcessor {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn declare(&mut self, _: &Name, _: &[Name], indexes: &[IndexSpec]) -> Result<()> {
        match indexes.iter().find(|index| index.unique) {
            Some(index) => Err(Error::new(
                Code::ConfigInvalid,
                format!("unique index {} cannot be kept by the memory processor", index.name),
            )
            .hint("use --processor storage, or leave out --unique")),
            None => Ok(()),
        }
    }

    fn last_run_of_job(&mut self, _: &str) -> Result<Option<RunRow>> {
        Ok(None)
    }

    fn begin_run(&mut self, start: &RunStart, _: Option<RunNumber>) -> Result<RunHandle> {
        Ok(RunHandle {
            run: RunNumber(0),
            epoch: 1,
            next: start.lo,
            next_batch: BatchNumber(0),
            counts: Counts::default(),
            blank_lines: 0,
            input_digest: None,
            seed: start.seed,
            clock_ms: start.clock_ms,
            uuid: start.uuid.clone(),
        })
    }

    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, _: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        group.iter().map(|write| self.batch(write, policy)).collect()
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        Ok(())
    }

    fn note_commit_time(&mut self, _: &RunHandle, _: BatchNumber, _: BatchNumber, _: u64) {}

    fn finish_run(&mut self, _: &RunHandle, _: &RunEnd) -> Result<()> {
        Ok(())
    }

    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        None
    }

    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        None
    }
}
