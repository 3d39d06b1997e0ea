//! Several operations in a row: what one puts out is what the next is given.
//!
//! An item is on its way as *pieces*: at first itself, after an `emit` one for each put into the run's own collection.
//! Other changes wait between them, so that all come out in the order in which they were asked for. All or nothing: an item
//! of which a piece is refused is refused as a whole, by the stage that refused it. Where the answers of a stage come to their
//! bound, the items that it was not asked about begin anew in a further chunk.

use super::chunk::{ChunkWork, ItemResult, refusal};
use crate::error::Code;
use crate::limits;
use crate::model::{Change, Decision, Fate, Item, Name, Phase, Problem};
use crate::plugin::Slot;

/// A part of what an item has become.
enum Part {
    /// Given to the next stage. The item's own id and body stand where there is none.
    Piece { id: Option<String>, body: Option<String> },
    /// A change that no stage sees: a delete, or a put into another collection.
    Change(Change),
}

/// One source item between two stages.
enum Way {
    Open(Vec<Part>),
    /// Refused, or to be tried again from the first stage on.
    Settled(ItemResult),
    /// There was no room for it.
    Left,
}

/// All operations of the chain over these source items. One result per item, same order.
pub(super) fn operate(work: &mut ChunkWork<'_>, items: &[Item<'_>]) -> Vec<ItemResult> {
    let mut ways: Vec<Way> = items.iter().map(|_| Way::Open(vec![Part::Piece { id: None, body: None }])).collect();
    let chunk = work.chunk;
    for (number, slot) in chunk.chain.operations.iter().enumerate() {
        stage(work, number, slot, items, &mut ways);
    }
    ways.into_iter().map(settled).collect()
}

/// One operation over all pieces, in as few calls as the bounds of a chunk allow.
fn stage(work: &mut ChunkWork<'_>, number: usize, slot: &Slot, items: &[Item<'_>], ways: &mut [Way]) {
    let mut results = Vec::new();
    work.answer_bytes = 0;
    {
        let pieces: Vec<Item<'_>> = items.iter().zip(ways.iter()).flat_map(|(item, way)| pieces(*item, way)).collect();
        for call in calls(&pieces) {
            let outcomes = work.apply(number, call);
            results.extend(call.iter().zip(outcomes).map(|(piece, outcome)| work.settle(slot, *piece, outcome)));
        }
        let place = work.chunk.chain.validators.len() + number;
        work.beside(place, &pieces[..results.len()], || results.clone());
    }
    let mut results = results.into_iter();
    let (target, attempt) = (&work.chunk.run.target, work.chunk.attempt);
    let refuse = |why: String| {
        let problem = vec![Problem::of_host(Code::GuestOutput, why)];
        refusal(Fate::DeadLettered, Phase::Operate, problem, attempt, Some(slot.name()))
    };
    for way in ways {
        let Way::Open(parts) = way else { continue };
        *way = next(std::mem::take(parts), &mut results, target, refuse);
    }
}

fn pieces<'a>(item: Item<'a>, way: &'a Way) -> impl Iterator<Item = Item<'a>> {
    let parts = if let Way::Open(parts) = way { parts.as_slice() } else { &[] };
    parts.iter().filter_map(move |part| match part {
        Part::Piece { id, body } => Some(Item {
            ordinal: item.ordinal,
            id: id.as_deref().unwrap_or(item.id),
            body: body.as_deref().unwrap_or(item.body),
        }),
        Part::Change(_) => None,
    })
}

/// The pieces in parts that a guest call may have.
fn calls<'a, 'b>(mut pieces: &'b [Item<'a>]) -> impl Iterator<Item = &'b [Item<'a>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |piece: &&Item<'_>| {
            bytes += piece.body.len();
            bytes <= limits::CHUNK_BYTES_MAX
        };
        let most = &pieces[..pieces.len().min(limits::CHUNK_ITEMS_MAX)];
        // A single larger piece goes alone.
        let count = most.iter().take_while(fits).count().max(1).min(pieces.len());
        let (call, rest) = pieces.split_at(count);
        pieces = rest;
        (!call.is_empty()).then_some(call)
    })
}

/// What an item has become after a stage, whose results are taken for each piece in order. What refuses a piece settles the
/// whole item and outweighs what wants another attempt; of equals the first counts. Too much of one item is refused as soon as
/// it is too much for any chunk, so that of the items that a chunk begins with one at the least is not left.
fn next(
    parts: Vec<Part>,
    results: &mut impl Iterator<Item = ItemResult>,
    target: &Name,
    refuse: impl Fn(String) -> ItemResult,
) -> Way {
    let mut after = Vec::with_capacity(parts.len());
    let mut stop: Option<ItemResult> = None;
    let (mut answered, mut left) = (0, false);
    for part in parts {
        let Part::Piece { id, body } = part else {
            after.push(part);
            continue;
        };
        let Some(result) = results.next() else {
            left = true;
            break;
        };
        answered += answer_bytes(&result);
        let refused = matches!(stop, Some(ItemResult::Decided(_)));
        match result {
            ItemResult::Accepted | ItemResult::Decided(Decision::Keep) => after.push(Part::Piece { id, body }),
            ItemResult::Decided(Decision::Replace(new)) => after.push(Part::Piece { id, body: Some(new) }),
            ItemResult::Decided(Decision::Drop) => {}
            ItemResult::Decided(Decision::Emit(changes)) => {
                after.extend(changes.into_iter().map(|change| emitted(change, target)));
            }
            ItemResult::Decided(Decision::Refuse(_)) if refused => {}
            no @ ItemResult::Decided(Decision::Refuse(_)) => stop = Some(no),
            again @ ItemResult::Retry { .. } => {
                stop.get_or_insert(again);
            }
        }
        if answered > limits::ANSWER_BYTES_MAX && !matches!(stop, Some(ItemResult::Decided(_))) {
            let (much, most) = (limits::ANSWER_BYTES_MAX, limits::OUTPUT_CALL_BYTES_MAX);
            stop = Some(refuse(format!("made more than {much} bytes of one item, the bound is {most}")));
        }
    }
    match stop {
        Some(refused @ ItemResult::Decided(_)) => Way::Settled(refused),
        _ if left => Way::Left,
        Some(again) => Way::Settled(again),
        None => match within_bounds(&after) {
            Ok(()) => Way::Open(after),
            Err(why) => Way::Settled(refuse(why)),
        },
    }
}

/// As the bound of a chunk counts them.
fn answer_bytes(result: &ItemResult) -> usize {
    match result {
        ItemResult::Accepted => 0,
        ItemResult::Decided(decision) => decision.held_bytes(),
        ItemResult::Retry { problem, .. } => problem.held_bytes(),
    }
}

fn emitted(change: Change, target: &Name) -> Part {
    match change {
        Change::Put { collection, id, body } if collection.as_ref().is_none_or(|name| name == target) => {
            Part::Piece { id: Some(id), body: Some(body) }
        }
        other => Part::Change(other),
    }
}

/// Errors: what one item has become is more than one `emit` may be, or more than one call may return.
fn within_bounds(parts: &[Part]) -> Result<(), String> {
    if parts.len() > limits::CHANGES_PER_ITEM_MAX {
        let most = limits::CHANGES_PER_ITEM_MAX;
        return Err(format!("made {} changes of one item, the bound is {most}", parts.len()));
    }
    let bytes: usize = parts.iter().map(bytes).sum();
    if bytes > limits::OUTPUT_CALL_BYTES_MAX {
        let most = limits::OUTPUT_CALL_BYTES_MAX;
        return Err(format!("made {bytes} bytes of one item, the bound is {most}"));
    }
    Ok(())
}

fn bytes(part: &Part) -> usize {
    match part {
        Part::Piece { body, .. } => body.as_ref().map_or(0, String::len),
        Part::Change(Change::Put { body, .. }) => body.len(),
        Part::Change(Change::Delete { .. }) => 0,
    }
}

/// What the item has become after the last stage.
fn settled(way: Way) -> ItemResult {
    let mut parts = match way {
        Way::Settled(result) => return result,
        Way::Left => return ItemResult::Accepted,
        Way::Open(parts) => parts,
    };
    if let [Part::Piece { id: None, body }] = parts.as_mut_slice() {
        return ItemResult::Decided(body.take().map_or(Decision::Keep, Decision::Replace));
    }
    if parts.is_empty() {
        return ItemResult::Decided(Decision::Drop);
    }
    let changes = parts.into_iter().map(|part| match part {
        Part::Piece { id, body } => Change::Put {
            collection: None,
            id: id.expect("BUG: the item itself stands among its pieces"),
            body: body.expect("BUG: an emitted piece has a body"),
        },
        Part::Change(change) => change,
    });
    ItemResult::Decided(Decision::Emit(changes.collect()))
}
