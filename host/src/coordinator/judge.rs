//! What a plugin returned for one item, held against the bounds. Pure.

use std::collections::HashSet;

use crate::error::Code;
use crate::limits;
use crate::model::{Change, Decision, Item, Name, Outcome, Position, Problem};
use crate::source::{Decoder, Raw};

/// Turns an outcome into a decision.
///
/// Errors: the problem that makes the item a dead letter (GUEST_10005, 10007, 10008).
pub(crate) fn decide(outcome: Outcome, item: Item<'_>, decoder: &Decoder) -> Result<Decision, Problem> {
    match outcome {
        Outcome::Keep => Ok(Decision::Keep),
        Outcome::Drop => Ok(Decision::Drop),
        Outcome::Replace(body) => {
            let found = judge_body(&body, decoder)?;
            match found {
                // An emitted piece has an id of its own beside the one that its body carries.
                Some(id) if id != item.id && carried(item.body, decoder).as_deref() != Some(&id) => {
                    let message = format!(
                        "the body returned for item {:?} carries the id {:?}; outcomes must be in the order of the items",
                        item.id, id
                    );
                    Err(Problem::of_host(Code::GuestContract, message))
                }
                _ => Ok(Decision::Replace(body)),
            }
        }
        Outcome::Emit(changes) => emit(changes),
        // Both are settled before a decision is asked for.
        Outcome::Reject(problem) | Outcome::Retry(problem, _) => Err(problem),
    }
}

fn emit(changes: Vec<Change>) -> Result<Decision, Problem> {
    if changes.is_empty() {
        return Ok(Decision::Drop);
    }
    if changes.len() > limits::CHANGES_PER_ITEM_MAX {
        let message =
            format!("emitted {} changes for one item, the bound is {}", changes.len(), limits::CHANGES_PER_ITEM_MAX);
        return Err(Problem::of_host(Code::GuestOutput, message));
    }
    let any = Decoder::new(None, crate::source::MissingId::Ordinal);
    for change in &changes {
        let (_, id) = change.key();
        if id.is_empty() || id.len() > limits::ID_BYTES_MAX || id.contains('\0') {
            let message = format!(
                "emitted a change with an id of {} bytes; ids have 1 to {} bytes and no NUL",
                id.len(),
                limits::ID_BYTES_MAX
            );
            return Err(Problem::of_host(Code::GuestOutput, message));
        }
        if let Change::Put { body, .. } = change {
            judge_body(body, &any)?;
        }
    }
    Ok(Decision::Emit(changes))
}

/// Of two puts of one item under one key the last one wins, also where a row that is there would stay or refuse it: the first
/// is left out, unless a delete stands between them.
pub(super) fn last_puts(changes: &mut Vec<Change>, target: &Name) {
    let stays: Vec<bool> = {
        let mut put_later = HashSet::new();
        let stays = changes.iter().rev().map(|change| {
            let (collection, id) = change.key();
            let key = (collection.unwrap_or(target), id);
            match change {
                Change::Put { .. } => put_later.insert(key),
                Change::Delete { .. } => {
                    put_later.remove(&key);
                    true
                }
            }
        });
        stays.collect()
    };
    let mut stays = stays.into_iter().rev();
    changes.retain(|_| stays.next().unwrap_or(true));
}

/// The id that an item's own body carries, if any.
fn carried<'a>(body: &'a str, decoder: &Decoder) -> Option<std::borrow::Cow<'a, str>> {
    judge_body(body, decoder).ok().flatten()
}

/// The id that the body carries, if any.
fn judge_body<'a>(body: &'a str, decoder: &Decoder) -> Result<Option<std::borrow::Cow<'a, str>>, Problem> {
    if body.len() > limits::OUTPUT_ITEM_BYTES_MAX {
        let message =
            format!("returned a body of {} bytes, the bound is {}", body.len(), limits::OUTPUT_ITEM_BYTES_MAX);
        return Err(Problem::of_host(Code::GuestOutput, message));
    }
    let raw = Raw { bytes: body.as_bytes(), id: None, position: Position::default() };
    decoder.judge(&raw).map(|decoded| decoded.id).map_err(|problem| {
        let code = if problem.code == Code::ValidationInput.as_str() { Code::GuestContract } else { Code::GuestBody };
        Problem::of_host(code, format!("the body returned cannot be stored: {}", problem.message))
    })
}

/// A plugin's own problem; a code that could pass for one of the host's is marked as the plugin's.
pub(super) fn foreign(mut problem: Problem) -> Problem {
    let host = Code::ALL.iter().any(|code| code.as_str() == problem.code);
    if host && !problem.code.starts_with("TASK_") {
        problem.code.insert_str(0, "plugin:");
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ordinal, Pointer};
    use crate::source::MissingId;

    fn decoder() -> Decoder {
        Decoder::new(Pointer::parse("/id"), MissingId::Ordinal)
    }

    fn item() -> Item<'static> {
        Item { ordinal: Ordinal(0), id: "a", body: r#"{"id":"a"}"# }
    }

    #[test]
    fn a_body_with_another_items_id_is_a_contract_fault() {
        let problem = decide(Outcome::Replace(r#"{"id":"b"}"#.into()), item(), &decoder()).expect_err("refused");
        assert_eq!(problem.code, "GUEST_10007");
        assert!(decide(Outcome::Replace(r#"{"id":"a","x":1}"#.into()), item(), &decoder()).is_ok());
        assert!(decide(Outcome::Replace(r#"{"x":1}"#.into()), item(), &decoder()).is_ok());
    }

    #[test]
    fn a_piece_may_keep_the_id_that_its_body_carries() {
        let piece = Item { ordinal: Ordinal(0), id: "a#1", body: r#"{"id":"a"}"# };
        assert!(decide(Outcome::Replace(r#"{"id":"a","x":1}"#.into()), piece, &decoder()).is_ok());
        assert!(decide(Outcome::Replace(r#"{"id":"a#1"}"#.into()), piece, &decoder()).is_ok());
        assert!(decide(Outcome::Replace(r#"{"id":"b"}"#.into()), piece, &decoder()).is_err());
    }

    #[test]
    fn a_body_that_is_no_strict_json_is_refused() {
        for body in ["", "{k:'x'}", "{\"a\":1,}", "nul", "{}{}", &"[".repeat(200)] {
            let problem = decide(Outcome::Replace(body.into()), item(), &decoder()).expect_err("refused");
            assert_eq!(problem.code, "GUEST_10008", "{body}");
        }
    }

    #[test]
    fn outputs_over_their_bounds_are_refused() {
        let body = format!("\"{}\"", "x".repeat(limits::OUTPUT_ITEM_BYTES_MAX));
        assert_eq!(decide(Outcome::Replace(body), item(), &decoder()).expect_err("refused").code, "GUEST_10005");
        let put = |id: &str| Change::Put { collection: None, id: id.into(), body: "1".into() };
        let many = (0..=limits::CHANGES_PER_ITEM_MAX).map(|n| put(&n.to_string())).collect();
        assert_eq!(decide(Outcome::Emit(many), item(), &decoder()).expect_err("refused").code, "GUEST_10005");
        assert_eq!(decide(Outcome::Emit(vec![put("")]), item(), &decoder()).expect_err("refused").code, "GUEST_10005");
        assert_eq!(decide(Outcome::Emit(vec![]), item(), &decoder()), Ok(Decision::Drop));
    }

    #[test]
    fn of_puts_under_one_key_the_last_one_stays_unless_a_delete_stands_between() {
        let put = |collection: Option<&str>, id: &str, body: &str| Change::Put {
            collection: collection.map(|name| Name::parse(name).unwrap()),
            id: id.into(),
            body: body.into(),
        };
        let delete = |id: &str| Change::Delete { collection: None, id: id.into() };
        let mut changes = vec![
            put(None, "a", "1"),
            put(Some("items"), "a", "2"),
            put(Some("others"), "a", "3"),
            delete("a"),
            put(None, "b", "4"),
            delete("b"),
            put(None, "a", "5"),
            put(None, "a", "6"),
            delete("c"),
        ];
        last_puts(&mut changes, &Name::parse("items").unwrap());
        let wanted = [
            put(Some("items"), "a", "2"),
            put(Some("others"), "a", "3"),
            delete("a"),
            put(None, "b", "4"),
            delete("b"),
            put(None, "a", "6"),
            delete("c"),
        ];
        assert_eq!(changes, wanted);
    }

    #[test]
    fn a_plugins_code_never_passes_for_the_hosts() {
        let problem = |code: &str| {
            foreign(Problem { code: code.into(), message: String::new(), pointer: String::new(), details: vec![] })
        };
        assert_eq!(problem("STORAGE_2005").code, "plugin:STORAGE_2005");
        assert_eq!(problem("TASK_1003").code, "TASK_1003");
        assert_eq!(problem("MINE_1").code, "MINE_1");
    }
}
