//! What a candidate is tried with: the items of late and open dead letters, as its slot sees them.

use std::sync::Arc;

use super::prepare::Letters;
use crate::coordinator::chain::Chain;
use crate::coordinator::chunk::{Chunk, ChunkWork, ItemResult};
use crate::coordinator::serial::{Lookups, ViewLookup};
use crate::coordinator::shared::RunShared;
use crate::error::Result;
use crate::limits;
use crate::model::{Batch, Change, Decision, Fate, Item, Ordinal, Position, Record, RecordKind};
use crate::plugin::{CallRuntime, Lookup, Role};
use crate::store::{LetterFilter, LetterState, Reader};

/// An item as one slot is given it.
pub struct Input {
    /// Which of the source items it comes from.
    pub source: usize,
    pub ordinal: Ordinal,
    pub id: String,
    pub body: String,
}

impl Input {
    pub fn item(&self) -> Item<'_> {
        Item { ordinal: self.ordinal, id: &self.id, body: &self.body }
    }
}

/// The newest items of these batches (oldest first) within the bounds of a trial, in input order.
pub fn newest(batches: &[Arc<Batch>]) -> Vec<Input> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for batch in batches.iter().rev() {
        for index in (0..batch.len()).rev() {
            let Some(item) = batch.item(index) else { continue };
            bytes += item.body.len();
            if found.len() == limits::SWAP_TRIAL_ITEMS || bytes > limits::SWAP_TRIAL_BYTES {
                found.reverse();
                return found;
            }
            found.push(input(item.ordinal, item.id, item.body));
        }
    }
    found.reverse();
    found
}

fn input(ordinal: Ordinal, id: &str, body: &str) -> Input {
    Input { source: 0, ordinal, id: id.to_owned(), body: body.to_owned() }
}

/// The newest open dead letters of the slot among those of the collection, oldest first, with their fates: whole items only,
/// and those left out that are too long for the bounds of a trial.
///
/// Errors: the store cannot be read.
pub fn letters(from: &Letters, slot: &str) -> Result<Vec<(Input, Fate)>> {
    let reader = Reader::open(&from.store)?;
    let filter = LetterFilter {
        slot: Some(slot.to_owned()),
        state: Some(LetterState::Open),
        collection: Some(from.collection.clone()),
        ..LetterFilter::default()
    };
    let (mut found, mut bytes) = (Vec::new(), 0);
    let newest = reader.newest_dead_letters(&filter, limits::SWAP_TRIAL_LETTERS, limits::SWAP_TRIAL_BYTES as u64)?;
    for letter in newest.into_iter().rev() {
        let text = letter.original.and_then(|bytes| String::from_utf8(bytes).ok());
        let (Some(id), Some(body)) = (letter.item_id, text) else { continue };
        if bytes + body.len() > limits::SWAP_TRIAL_BYTES {
            continue;
        }
        bytes += body.len();
        found.push((input(Ordinal(letter.ordinal), &id, &body), letter.fate));
    }
    found.reverse();
    Ok(found)
}

/// What the slot at `place` is given of these items: those that the validators accept, as the operations before it leave
/// them. A validator is given all.
pub fn through(
    run: &Arc<RunShared>,
    chain: &Chain,
    place: usize,
    items: Vec<Input>,
    runtime: &CallRuntime,
) -> Vec<Input> {
    let stage = match place.checked_sub(chain.validators.len()) {
        Some(stage) => stage,
        None => {
            return items.into_iter().enumerate().map(|(source, input)| Input { source, ..input }).collect();
        }
    };
    if items.is_empty() || (stage == 0 && chain.validators.is_empty()) {
        return items.into_iter().enumerate().map(|(source, input)| Input { source, ..input }).collect();
    }
    let before = Chain::new(chain.validators.clone(), chain.operations[..stage].to_vec());
    debug_assert!(before.slots().all(|slot| slot.role() == Role::Validator || stage > 0));
    let mut all = Vec::new();
    for (part, offset) in items.chunks(limits::CHUNK_ITEMS_MAX).zip((0..).step_by(limits::CHUNK_ITEMS_MAX)) {
        let chunk = Chunk {
            run: Arc::clone(run),
            logs: before.slots().map(|_| Arc::default()).collect(),
            chain: Arc::new(Chain::new(before.validators.clone(), before.operations.clone())),
            number: 0,
            batch: Arc::new(batch(part)),
            indices: (0..part.len() as u32).collect(),
            attempt: 1,
            shadows: Arc::from([]),
            over: Arc::default(),
        };
        let results = ChunkWork::new(&chunk, runtime, lookup(run)).compute();
        for ((at, item), result) in part.iter().enumerate().zip(results) {
            let source = offset + at;
            let one = |id: &str, body: String| Input { source, ordinal: item.ordinal, id: id.to_owned(), body };
            match result {
                ItemResult::Decided(Decision::Keep) => all.push(one(&item.id, item.body.clone())),
                ItemResult::Decided(Decision::Replace(body)) => all.push(one(&item.id, body)),
                ItemResult::Decided(Decision::Emit(changes)) => {
                    for change in changes {
                        if let Change::Put { collection, id, body } = change
                            && collection.is_none_or(|name| name == run.target)
                        {
                            all.push(one(&id, body));
                        }
                    }
                }
                // One without an answer found no room in the chunk.
                ItemResult::Accepted | ItemResult::Decided(_) | ItemResult::Retry { .. } => {}
            }
        }
    }
    all
}

/// What a plugin sees of the store in a trial: what is committed.
pub fn lookup(run: &RunShared) -> Option<Box<dyn Lookup>> {
    let view = run.view.clone()?;
    let lookups = Arc::new(std::sync::Mutex::new(Lookups::default()));
    Some(Box::new(ViewLookup { view, overlay: None, lookups }))
}

/// Items as a batch of their own.
fn batch(items: &[Input]) -> Batch {
    let mut batch = Batch { first_ordinal: items.first().map_or(0, |item| item.ordinal.0), ..Batch::default() };
    for item in items {
        let from = batch.text.len() as u32;
        batch.text.push_str(&item.id);
        let middle = batch.text.len() as u32;
        batch.text.push_str(&item.body);
        let kind = RecordKind::Item { id: from..middle, body: middle..batch.text.len() as u32 };
        batch.records.push(Record { position: Position::default(), kind });
    }
    batch
}
