//! Asking one version of a plugin about some items, and comparing what two versions say.

use std::sync::Arc;

use serde_json::json;

use super::differ;
use crate::coordinator::chunk::{ItemResult, Judged, merge, settle};
use crate::coordinator::shared::RunShared;
use crate::event::{SwapDiffering, SwapFigures};
use crate::limits;
use crate::model::{Change, Decision, Fate, Item};
use crate::plugin::{Call, CallRuntime, Fault, Lookup, Role, Slot};

/// What a version said of each item, or the fault of the call; and the lookup back.
pub type Said = (Result<Vec<ItemResult>, Fault>, Option<Box<dyn Lookup>>);

/// One call.
pub fn ask(
    slot: &Arc<Slot>,
    run: &RunShared,
    runtime: &CallRuntime,
    call: &Call,
    items: &[Item<'_>],
    lookup: Option<Box<dyn Lookup>>,
) -> Said {
    match slot.role() {
        Role::Validator => {
            let (answer, lookup) = slot.validate(runtime, call, items, lookup, false);
            let judged = |verdicts: Vec<_>| -> Vec<Judged> { verdicts.into_iter().map(Ok).collect() };
            let results = answer
                .map(|verdicts| merge(std::slice::from_ref(slot), vec![judged(verdicts)], items.len(), call.attempt));
            (results, lookup)
        }
        Role::Operation => {
            let (answer, lookup) = slot.apply(runtime, call, items, lookup, false);
            let settled = answer.map(|outcomes| {
                let pairs = items.iter().zip(outcomes);
                pairs.map(|(item, outcome)| settle(slot, *item, Ok(outcome), call.attempt, &run.body_decoder)).collect()
            });
            (settled, lookup)
        }
    }
}

/// What becomes of an item, as far as versions are compared by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Passes,
    Dropped,
    Rejected,
    Again,
    /// It failed: a trap, a bound, a broken contract.
    Failed,
}

impl Kind {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Passes => "passed",
            Kind::Dropped => "dropped",
            Kind::Rejected => "rejected",
            Kind::Again => "tried again",
            Kind::Failed => "failed",
        }
    }
}

/// The kind of a result.
pub fn kind(result: &ItemResult) -> Kind {
    match result {
        ItemResult::Accepted => Kind::Passes,
        ItemResult::Retry { .. } => Kind::Again,
        ItemResult::Decided(Decision::Keep | Decision::Replace(_) | Decision::Emit(_)) => Kind::Passes,
        ItemResult::Decided(Decision::Drop) => Kind::Dropped,
        ItemResult::Decided(Decision::Refuse(refusal)) => match refusal.fate {
            Fate::Rejected => Kind::Rejected,
            _ => Kind::Failed,
        },
    }
}

/// Why an item failed, in words.
pub fn why(result: &ItemResult) -> String {
    match result {
        ItemResult::Decided(Decision::Refuse(refusal)) => refusal
            .problems
            .first()
            .map_or_else(String::new, |problem| format!("{}: {}", problem.code, problem.message)),
        _ => String::new(),
    }
}

/// Adds one item that both have answered.
pub fn compare(figures: &mut SwapFigures, item: Item<'_>, old: &ItemResult, new: &ItemResult) {
    let (was, is) = (kind(old), kind(new));
    figures.items += 1;
    figures.items_old += 1;
    figures.faults_old += u64::from(was == Kind::Failed);
    figures.faults_new += u64::from(is == Kind::Failed);
    figures.rejects_old += u64::from(was == Kind::Rejected);
    figures.rejects_new += u64::from(is == Kind::Rejected);
    figures.drops_old += u64::from(was == Kind::Dropped);
    figures.drops_new += u64::from(is == Kind::Dropped);
    let at = match was == is {
        false => {
            figures.fates_differing += 1;
            None
        }
        true if was == Kind::Passes && !same_body(item, old, new) => {
            figures.bodies_differing += 1;
            Some(differ::first(&outputs(item, old), &outputs(item, new)))
        }
        true => return,
    };
    let shown = &mut figures.differing;
    // Another fate says more than another body.
    if shown.len() == limits::SWAP_DIFFERING_SHOWN
        && at.is_none()
        && let Some(place) = shown.iter().rposition(|one| one.at.is_some())
    {
        shown.remove(place);
    }
    if shown.len() < limits::SWAP_DIFFERING_SHOWN {
        let (id, old, new) = (item.id.to_owned(), was.as_str().to_owned(), is.as_str().to_owned());
        shown.push(SwapDiffering { id, old, new, at });
    }
}

/// What an item that passes becomes, as one document: the body, or the list of changes.
fn outputs(item: Item<'_>, result: &ItemResult) -> String {
    match result {
        ItemResult::Decided(Decision::Replace(body)) => body.clone(),
        ItemResult::Decided(Decision::Emit(changes)) => {
            let parts = changes.iter().map(|change| match change {
                Change::Put { collection, id, body } => {
                    let collection = collection.as_ref().map(|name| name.as_str());
                    format!("{{\"collection\":{},\"id\":{},\"body\":{body}}}", json!(collection), json!(id))
                }
                Change::Delete { collection, id } => {
                    let collection = collection.as_ref().map(|name| name.as_str());
                    json!({ "collection": collection, "delete": id }).to_string()
                }
            });
            format!("[{}]", parts.collect::<Vec<_>>().join(","))
        }
        _ => item.body.to_owned(),
    }
}

/// Keeping an item is replacing it by itself.
fn same_body(item: Item<'_>, old: &ItemResult, new: &ItemResult) -> bool {
    let body = |result: &ItemResult| match result {
        ItemResult::Decided(Decision::Replace(body)) => Some(body.clone()),
        ItemResult::Decided(Decision::Keep) | ItemResult::Accepted => Some(item.body.to_owned()),
        _ => None,
    };
    match (body(old), body(new)) {
        (Some(old), Some(new)) => old == new,
        _ => old == new,
    }
}
