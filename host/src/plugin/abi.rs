//! The contract's types as wasmtime lowers and lifts them, and their way to and from `model`.
//!
//! Written by hand rather than generated so that items are lowered from borrowed text, without a copy on the host.
//! A test compares them with the WIT in `wit/`.

use wasmtime::component::{ComponentType, Lift, Lower};

use super::lookup::LookupKey;
use crate::limits::{GUEST_TEXT_BYTES_MAX, PROBLEMS_PER_ITEM_MAX};
use crate::model::{Change, Item, Name, Outcome, Problem, Verdict};

/// `types.item`, borrowed.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub struct ItemAbi<'a> {
    ordinal: u64,
    id: &'a str,
    body: &'a str,
}

impl<'a> From<Item<'a>> for ItemAbi<'a> {
    fn from(item: Item<'a>) -> Self {
        Self { ordinal: item.ordinal.0, id: item.id, body: item.body }
    }
}

/// `types.problem`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub struct ProblemAbi {
    code: String,
    message: String,
    pointer: String,
    details: Vec<(String, String)>,
}

/// `types.verdict`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub enum VerdictAbi {
    #[component(name = "accept")]
    Accept,
    #[component(name = "reject")]
    Reject(Vec<ProblemAbi>),
}

/// `types.put-change`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub struct PutAbi {
    collection: Option<String>,
    id: String,
    body: String,
}

/// `types.delete-change`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub struct DeleteAbi {
    collection: Option<String>,
    id: String,
}

/// `types.change`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub enum ChangeAbi {
    #[component(name = "put")]
    Put(PutAbi),
    #[component(name = "delete")]
    Delete(DeleteAbi),
}

/// `types.retry-request`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub struct RetryAbi {
    problem: ProblemAbi,
    #[component(name = "delay-ms")]
    delay_ms: Option<u32>,
}

/// `types.outcome`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub enum OutcomeAbi {
    #[component(name = "keep")]
    Keep,
    #[component(name = "replace")]
    Replace(String),
    #[component(name = "emit")]
    Emit(Vec<ChangeAbi>),
    #[component(name = "drop")]
    Drop,
    #[component(name = "reject")]
    Reject(ProblemAbi),
    #[component(name = "retry")]
    Retry(RetryAbi),
}

/// `log.level`.
#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifted from guests, never made here")]
pub enum LevelAbi {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// `store.row`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub struct RowAbi {
    pub id: String,
    pub body: String,
}

/// `store.key`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub enum KeyAbi {
    #[component(name = "null")]
    Null,
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "real")]
    Real(f64),
    #[component(name = "text")]
    Text(String),
}

impl KeyAbi {
    /// The key.
    pub fn into_model(self) -> LookupKey {
        match self {
            KeyAbi::Null => LookupKey::Null,
            KeyAbi::Integer(n) => LookupKey::Integer(n),
            KeyAbi::Real(n) => LookupKey::Real(n),
            KeyAbi::Text(text) => LookupKey::Text(text),
        }
    }
}

/// `store.error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
pub enum StoreErrorAbi {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "no-such-collection")]
    NoSuchCollection,
    #[component(name = "no-such-index")]
    NoSuchIndex,
    #[component(name = "over-limit")]
    OverLimit,
    #[component(name = "other")]
    Other(String),
}

/// Cuts a guest's text to its bound at a character border, noting the full length.
pub fn bounded(text: String) -> String {
    if text.len() <= GUEST_TEXT_BYTES_MAX {
        return text;
    }
    let cut = text.floor_char_boundary(GUEST_TEXT_BYTES_MAX);
    format!("{}… ({} bytes in all)", &text[..cut], text.len())
}

impl ProblemAbi {
    /// The problem, its texts within their bounds.
    pub fn into_model(self) -> Problem {
        Problem {
            code: bounded(self.code),
            message: bounded(self.message),
            pointer: bounded(self.pointer),
            details: self
                .details
                .into_iter()
                .take(PROBLEMS_PER_ITEM_MAX)
                .map(|(k, v)| (bounded(k), bounded(v)))
                .collect(),
        }
    }
}

impl VerdictAbi {
    /// The verdict, with at most [`PROBLEMS_PER_ITEM_MAX`] problems.
    pub fn into_model(self) -> Verdict {
        match self {
            VerdictAbi::Accept => Verdict::Accept,
            VerdictAbi::Reject(problems) => {
                Verdict::Reject(problems.into_iter().take(PROBLEMS_PER_ITEM_MAX).map(ProblemAbi::into_model).collect())
            }
        }
    }
}

impl OutcomeAbi {
    /// The outcome; a collection whose name is not legal becomes a message for the item's problem.
    pub fn into_model(self) -> Result<Outcome, String> {
        Ok(match self {
            OutcomeAbi::Keep => Outcome::Keep,
            OutcomeAbi::Replace(body) => Outcome::Replace(body),
            OutcomeAbi::Emit(changes) => {
                Outcome::Emit(changes.into_iter().map(ChangeAbi::into_model).collect::<Result<_, _>>()?)
            }
            OutcomeAbi::Drop => Outcome::Drop,
            OutcomeAbi::Reject(problem) => Outcome::Reject(problem.into_model()),
            OutcomeAbi::Retry(retry) => Outcome::Retry(retry.problem.into_model(), retry.delay_ms),
        })
    }
}

impl ChangeAbi {
    fn into_model(self) -> Result<Change, String> {
        let name = |text: Option<String>| match text {
            None => Ok(None),
            Some(text) => Name::parse(&text)
                .map(Some)
                .ok_or_else(|| format!("{:?} is not the name of a collection", bounded(text))),
        };
        Ok(match self {
            ChangeAbi::Put(put) => Change::Put { collection: name(put.collection)?, id: put.id, body: put.body },
            ChangeAbi::Delete(delete) => Change::Delete { collection: name(delete.collection)?, id: delete.id },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_guest_text_is_cut_at_a_character_border_and_says_so() {
        let text = "ä".repeat(GUEST_TEXT_BYTES_MAX);
        let cut = bounded(text.clone());
        assert!(cut.starts_with('ä') && cut.ends_with(&format!("({} bytes in all)", text.len())));
        assert!(cut.len() < GUEST_TEXT_BYTES_MAX + 64);
        assert_eq!(bounded("short".into()), "short");
    }
}
