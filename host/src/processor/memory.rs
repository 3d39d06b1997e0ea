//! Results to the caller, in input order; no file is touched.
//!
//! Fates are those of the storage processor, but for what only a store can know: rows that were there before, and unique
//! indexes. `--on-existing` ignore and reject look at the keys of this run alone, and replace at none: each put is an insert.
//!
//! A group's results are held until its commit, so that a group that is rolled back passes nothing on, and are where they are
//! wanted before it is told as committed. What an outer transaction undoes (`--atomic run`) has been passed on: to hold a whole
//! run would take memory without bound.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::Processor;
use crate::error::{Code, Error, Result};
use crate::model::{
    Batch, BatchNumber, Change, Counts, Decision, Fate, IndexSpec, Name, OnExisting, Phase, Problem, Refusal, RunNumber,
};
use crate::store::{BatchWrite, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, WritePolicy};
use crate::transaction::Transactional;

/// Takes the bodies of stored items, in input order. The arguments are collection, id and body.
pub type Output = Box<dyn FnMut(&Name, &str, &str) -> std::io::Result<()> + Send>;

/// An output that gathers what it takes, to pass on more of it at once.
pub trait Gathering: Send {
    /// Takes the body of one stored item.
    fn take(&mut self, collection: &Name, id: &str, body: &str) -> std::io::Result<()>;

    /// Passes on all that was taken. Called for each group: then it is told as committed.
    fn flush(&mut self) -> std::io::Result<()>;
}

impl Gathering for Output {
    fn take(&mut self, collection: &Name, id: &str, body: &str) -> std::io::Result<()> {
        self(collection, id, body)
    }

    /// It has passed on each of them.
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A result did not get where it is wanted.
fn unwritten(error: &std::io::Error) -> Error {
    Error::new(Code::StorageWrite, format!("a result cannot be written: {error}"))
}

/// Passes results on and keeps nothing but, where the policy needs them, the keys seen.
pub struct MemoryProcessor {
    output: Box<dyn Gathering>,
    /// Collections that changes may name.
    declared: BTreeSet<Name>,
    seen: HashSet<Key>,
    /// Results not yet passed on, in input order: collection, id and body.
    held: Vec<Held>,
    /// Ids and bodies of what was made, one behind the other: no allocation per item.
    text: String,
    /// Batches with items that are passed on as they were read: these are not copied.
    batches: Vec<Arc<Batch>>,
    /// Collections by the number that `held` gives them.
    names: Vec<Name>,
    /// What was done to `seen` since the outermost open transaction began, oldest first.
    done: Vec<Done>,
    /// Where each open transaction began, the innermost last.
    open: Vec<Mark>,
}

/// Collection and id.
type Key = (Name, String);

/// A change to the keys seen.
enum Done {
    Added(Key),
    Removed(Key),
}

/// A result: its collection, and its id and body.
struct Held {
    collection: usize,
    place: Place,
}

/// Where id and body stand.
enum Place {
    /// In the text that was made.
    Made { start: usize, middle: usize, end: usize },
    /// In a batch: an item as it was read.
    Read { batch: usize, record: usize },
}

/// Lengths to go back to.
#[derive(Clone, Copy)]
struct Mark {
    held: usize,
    text: usize,
    batches: usize,
    done: usize,
}

/// Effects of one item, kept apart until all its changes are in.
#[derive(Default)]
struct Effects {
    counts: Counts,
    bytes_out: u64,
}

impl MemoryProcessor {
    /// With the place where results go.
    pub fn new(output: Output) -> Self {
        Self::gathered(Box::new(output))
    }

    /// As [`MemoryProcessor::new`], to an output that gathers them.
    pub fn gathered(output: Box<dyn Gathering>) -> Self {
        Self {
            output,
            declared: BTreeSet::new(),
            seen: HashSet::new(),
            held: Vec::new(),
            text: String::new(),
            batches: Vec::new(),
            names: Vec::new(),
            done: Vec::new(),
            open: Vec::new(),
        }
    }

    fn batch(&mut self, write: &BatchWrite, policy: &WritePolicy) -> Receipt {
        let mut counts = Counts { read: write.batch.len() as u64, retries: write.retries, ..Counts::default() };
        let mut refused = Vec::new();
        let mut bytes_out = 0;
        self.batches.push(Arc::clone(&write.batch));
        for (index, decision) in write.decisions.iter().enumerate() {
            let mark = self.mark();
            let mut effects = Effects::default();
            let refusal = match decision {
                Decision::Drop => {
                    counts.count(Fate::Dropped);
                    continue;
                }
                Decision::Refuse(refusal) => {
                    counts.count(refusal.fate);
                    continue;
                }
                Decision::Keep => {
                    let item = write.batch.item(index).expect("BUG: a broken record was kept");
                    let place = Place::Read { batch: self.batches.len() - 1, record: index };
                    self.put(&policy.target, item.id, item.body, Some(place), policy, &mut effects)
                }
                Decision::Replace(body) => {
                    let item = write.batch.item(index).expect("BUG: a broken record was replaced");
                    self.put(&policy.target, item.id, body, None, policy, &mut effects)
                }
                Decision::Emit(changes) => self.emit(changes, policy, &mut effects),
            };
            match refusal {
                Some(refusal) => {
                    self.back_to(mark);
                    counts.count(refusal.fate);
                    refused.push((index, Refusal { attempts: write.attempts_of(index), ..refusal }));
                }
                None => {
                    counts.add(&effects.counts);
                    counts.count(Fate::Stored);
                    bytes_out += effects.bytes_out;
                }
            }
        }
        Receipt { counts, refused, bytes_out, write_us: 0 }
    }

    fn emit(&mut self, changes: &[Change], policy: &WritePolicy, effects: &mut Effects) -> Option<Refusal> {
        let foreign = |name: &&Name| **name != policy.target && !self.declared.contains(*name);
        if let Some(name) = changes.iter().filter_map(|change| change.key().0).find(foreign) {
            let declared: Vec<String> = self.declared.iter().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "a change names the collection `{name}`; declared are {}, and --collection declares others",
                declared.join(", ")
            );
            return Some(refusal(Code::PluginImport, message));
        }
        changes.iter().find_map(|change| match change {
            Change::Put { collection, id, body } => {
                self.put(collection.as_ref().unwrap_or(&policy.target), id, body, None, policy, effects)
            }
            Change::Delete { collection, id } => {
                let key = (collection.as_ref().unwrap_or(&policy.target).clone(), id.clone());
                if self.seen.remove(&key) {
                    self.done.push(Done::Removed(key));
                    effects.counts.deleted += 1;
                }
                None
            }
        })
    }

    /// Takes one result; it is copied unless `place` says where it stays.
    fn put(
        &mut self,
        collection: &Name,
        id: &str,
        body: &str,
        place: Option<Place>,
        policy: &WritePolicy,
        effects: &mut Effects,
    ) -> Option<Refusal> {
        if policy.on_existing != OnExisting::Replace {
            let key = (collection.clone(), id.to_owned());
            if self.seen.insert(key.clone()) {
                self.done.push(Done::Added(key));
            } else if policy.on_existing == OnExisting::Reject {
                let message = format!("an item with the id {id:?} exists already");
                return Some(refusal(Code::IndexConstraint, message));
            } else {
                effects.counts.ignored += 1;
                return None;
            }
        }
        let place = place.unwrap_or_else(|| self.copied(id, body));
        self.hold(collection, place);
        effects.counts.inserted += 1;
        effects.bytes_out += body.len() as u64;
        None
    }

    fn copied(&mut self, id: &str, body: &str) -> Place {
        let start = self.text.len();
        self.text.push_str(id);
        let middle = self.text.len();
        self.text.push_str(body);
        Place::Made { start, middle, end: self.text.len() }
    }

    fn hold(&mut self, name: &Name, place: Place) {
        let known = self.names.iter().position(|known| known == name);
        let collection = known.unwrap_or_else(|| {
            self.names.push(name.clone());
            self.names.len() - 1
        });
        self.held.push(Held { collection, place });
    }

    fn mark(&self) -> Mark {
        Mark { held: self.held.len(), text: self.text.len(), batches: self.batches.len(), done: self.done.len() }
    }

    fn forget_held(&mut self, mark: Mark) {
        self.held.truncate(mark.held);
        self.text.truncate(mark.text);
        self.batches.truncate(mark.batches);
    }

    /// Takes back what was done since the mark, the newest first.
    fn back_to(&mut self, mark: Mark) {
        self.forget_held(mark);
        for done in self.done.drain(mark.done..).rev() {
            match done {
                Done::Added(key) => self.seen.remove(&key),
                Done::Removed(key) => self.seen.insert(key),
            };
        }
    }
}

fn refusal(code: Code, message: String) -> Refusal {
    let problem = Problem::of_host(code, message);
    Refusal { fate: Fate::DeadLettered, phase: Phase::Store, problems: vec![problem], attempts: 1, slot: None }
}

impl Processor for MemoryProcessor {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn declare(&mut self, target: &Name, collections: &[Name], indexes: &[IndexSpec]) -> Result<()> {
        if let Some(index) = indexes.iter().find(|index| index.unique) {
            return Err(Error::new(
                Code::ConfigInvalid,
                format!("unique index {} cannot be kept by the memory processor", index.name),
            )
            .hint("use --processor storage, or leave out --unique"));
        }
        self.declared.extend(collections.iter().chain([target]).cloned());
        Ok(())
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
        self.open.push(self.mark());
        Ok(())
    }

    fn apply(&mut self, _: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        Ok(group.iter().map(|write| self.batch(write, policy)).collect())
    }

    fn commit(&mut self) -> Result<()> {
        let Some(mark) = self.open.last().copied() else { return Ok(()) };
        let passed = self.held[mark.held..].iter().try_for_each(|row| {
            let (id, body) = match row.place {
                Place::Made { start, middle, end } => (&self.text[start..middle], &self.text[middle..end]),
                Place::Read { batch, record } => {
                    let item = self.batches[batch].item(record).expect("BUG: a broken record was kept");
                    (item.id, item.body)
                }
            };
            self.output.take(&self.names[row.collection], id, body)
        });
        let passed = passed.and_then(|()| self.output.flush());
        self.forget_held(mark);
        passed.map_err(|error| unwritten(&error))?;
        self.open.pop();
        if self.open.is_empty() {
            self.done.clear();
        }
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        if let Some(mark) = self.open.pop() {
            self.back_to(mark);
        }
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
