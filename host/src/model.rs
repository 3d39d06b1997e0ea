//! The words everything else uses: items, batches, outcomes, fates, write sets.
//!
//! Plain data. Knows no runtime, no SQLite, no wasmtime, no terminal.

mod batch;
mod figures;
mod text;

pub use batch::{Batch, Broken, Item, Position, Record, RecordKind};
pub use figures::{BatchMetrics, ChunkSpan, Counts, PluginMetrics};
pub use text::{edit_distance, nearest, printable, shortened};

use std::fmt;
use std::sync::Arc;

/// Position of an item in the input, from 0 over all input files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal(pub u64);

/// Number of a batch within its run, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(pub u64);

/// Number of a run within its store, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNumber(pub u64);

macro_rules! number_display {
    ($($t:ty),*) => {$(impl fmt::Display for $t {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
    })*};
}
number_display!(Ordinal, BatchNumber, RunNumber);

/// BLAKE3 digest of some bytes; its text form is `blake3:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Reads the text form back; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("blake3:")?;
        blake3::Hash::from_hex(hex).ok().map(|h| Self(*h.as_bytes()))
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Name of a collection, an index or a slot: `[A-Za-z_][A-Za-z0-9_]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// None if the text is not a legal name.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = text.bytes();
        let first = bytes.next()?;
        let legal = (first.is_ascii_alphabetic() || first == b'_')
            && text.len() <= 63
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        legal.then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON pointer (RFC 6901), parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads `/a/b`; a text without a leading slash is taken as one member name (`id` is `/id`).
    /// None for the empty text and for a bad escape.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let text = if text.starts_with('/') {
            text.to_owned()
        } else {
            format!("/{}", text.replace('~', "~0").replace('/', "~1"))
        };
        let mut tokens = Vec::new();
        for raw in text[1..].split('/') {
            let mut chars = raw.chars();
            let mut token = String::with_capacity(raw.len());
            while let Some(c) = chars.next() {
                token.push(match (c, c == '~') {
                    (_, true) => match chars.next()? {
                        '0' => '~',
                        '1' => '/',
                        _ => return None,
                    },
                    (c, false) => c,
                });
            }
            tokens.push(token);
        }
        Some(Self { text, tokens })
    }

    /// The pointer's text form, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its unescaped tokens, at least one.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why an item was refused or failed. `code` is a plugin's own or one of the host's table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Stable code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// JSON pointer into the body; empty for the whole item.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    /// Further facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

impl Problem {
    /// A problem of the host's own, about the whole item.
    pub fn of_host(code: crate::error::Code, message: impl Into<String>) -> Self {
        Self { code: code.as_str().to_owned(), message: message.into(), pointer: String::new(), details: Vec::new() }
    }

    /// Bytes of all that it says.
    pub fn held_bytes(&self) -> usize {
        let details = self.details.iter().map(|(name, text)| size_of::<(String, String)>() + name.len() + text.len());
        size_of::<Self>() + self.code.len() + self.message.len() + self.pointer.len() + details.sum::<usize>()
    }
}

/// What a validator says of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No rule is broken.
    Accept,
    /// Permanent refusal.
    Reject(Vec<Problem>),
}

impl Verdict {
    /// Bytes of its problems.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Accept => 0,
            Self::Reject(problems) => problems.iter().map(Problem::held_bytes).sum(),
        }
    }
}

/// One change to the store. `collection` none means the run's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Insert or update one row; `body` is strict JSON.
    Put { collection: Option<Name>, id: String, body: String },
    /// Delete one row, if it is there.
    Delete { collection: Option<Name>, id: String },
}

impl Change {
    /// Collection and key that this change is about.
    pub fn key(&self) -> (Option<&Name>, &str) {
        match self {
            Change::Put { collection, id, .. } | Change::Delete { collection, id } => (collection.as_ref(), id),
        }
    }

    /// Many small changes hold more than their texts.
    fn held_bytes(&self) -> usize {
        let texts = match self {
            Change::Put { id, body, .. } => id.len() + body.len(),
            Change::Delete { id, .. } => id.len(),
        };
        size_of::<Self>() + texts
    }
}

/// What an operation wants done with one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Store the body unchanged.
    Keep,
    /// Store this body under the item's id.
    Replace(String),
    /// Apply these changes, all or none.
    Emit(Vec<Change>),
    /// Store nothing.
    Drop,
    /// Permanent refusal.
    Reject(Problem),
    /// Transient: try again, after this many milliseconds at least.
    Retry(Problem, Option<u32>),
}

impl Outcome {
    /// Bytes of what it answers; as of the [`Decision`] that becomes of it.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Replace(body) => body.len(),
            Self::Emit(changes) => changes.iter().map(Change::held_bytes).sum(),
            Self::Reject(problem) | Self::Retry(problem, _) => problem.held_bytes(),
            Self::Keep | Self::Drop => 0,
        }
    }
}

/// How far an item came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Bytes to an item.
    Decode,
    /// Validators.
    Validate,
    /// The operation.
    Operate,
    /// Constraints of the store.
    Store,
}

impl Phase {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Decode => "decode",
            Phase::Validate => "validate",
            Phase::Operate => "operate",
            Phase::Store => "store",
        }
    }

    /// Reads the stable name back.
    pub fn parse(text: &str) -> Option<Self> {
        [Phase::Decode, Phase::Validate, Phase::Operate, Phase::Store].into_iter().find(|p| p.as_str() == text)
    }
}

/// What became of one item. Every item read has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Its changes are in the store.
    Stored,
    /// The operation wanted it left out.
    Dropped,
    /// A rule said no: a validator's verdict or an operation's reject. Has a dead letter.
    Rejected,
    /// It failed: undecodable, a fault, a refusing constraint, attempts used up. Has a dead letter.
    DeadLettered,
}

impl Fate {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Fate::Stored => "stored",
            Fate::Dropped => "dropped",
            Fate::Rejected => "rejected",
            Fate::DeadLettered => "dead-lettered",
        }
    }
}

/// What the write set says of one record: everything a store needs to apply it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Put the body as read under the item's id.
    Keep,
    /// Put this body under the item's id.
    Replace(String),
    /// These changes, all or none.
    Emit(Vec<Change>),
    /// Nothing.
    Drop,
    /// A dead letter.
    Refuse(Box<Refusal>),
}

impl Decision {
    /// Bytes of what is to be written, dead letters included, beside the input.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Replace(body) => body.len(),
            Self::Emit(changes) => changes.iter().map(Change::held_bytes).sum(),
            Self::Refuse(refusal) => refusal.held_bytes(),
            Self::Keep | Self::Drop => 0,
        }
    }
}

/// Why an item ends among the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `Rejected` or `DeadLettered`.
    pub fate: Fate,
    /// How far it came.
    pub phase: Phase,
    /// At least one; the first names the reason.
    pub problems: Vec<Problem>,
    /// Attempts made, at least 1 (0 where no attempt was possible).
    pub attempts: u32,
    /// Slot whose plugin refused or failed it, if one did.
    pub slot: Option<Name>,
}

impl Refusal {
    fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.problems.iter().map(Problem::held_bytes).sum::<usize>()
    }
}

/// How a run ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Begun and not ended: at work, or killed.
    Running,
    /// Every item stored or dropped.
    Succeeded,
    /// Ended, with rejected or dead-lettered items.
    Partial,
    /// Stopped by an error; what was committed stays.
    Failed,
    /// Ended, and nothing of it is kept.
    RolledBack,
    /// Stopped by a signal, a bound, or the end of the process; the same command continues.
    Interrupted,
}

impl RunStatus {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Running => "running",
            RunStatus::Succeeded => "succeeded",
            RunStatus::Partial => "partial",
            RunStatus::Failed => "failed",
            RunStatus::RolledBack => "rolled-back",
            RunStatus::Interrupted => "interrupted",
        }
    }

    /// Reads the stable name back.
    pub fn parse(text: &str) -> Option<Self> {
        use RunStatus::*;
        [Running, Succeeded, Partial, Failed, RolledBack, Interrupted].into_iter().find(|s| s.as_str() == text)
    }

    /// True if the run came to the end of its input and was kept.
    pub fn finished(self) -> bool {
        matches!(self, RunStatus::Succeeded | RunStatus::Partial)
    }
}

/// What a put does when its key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnExisting {
    /// The last write in input order wins.
    #[default]
    Replace,
    /// The row stays as it is; the item counts as stored, its put as ignored.
    Ignore,
    /// The item becomes a dead letter (INDEX_7005); the row stays as it is.
    Reject,
}

impl OnExisting {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Ignore => "ignore",
            Self::Reject => "reject",
        }
    }

    /// Reads the stable name back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Replace, Self::Ignore, Self::Reject].into_iter().find(|known| known.as_str() == text)
    }
}

/// Size of a batch and number of lanes, as a strategy wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Items of the next batch at the most.
    pub batch_size: usize,
    /// Chunks that may be computed at the same time.
    pub lanes: usize,
    /// Batches that may be under way (read, computed or waiting for their commit) at the same time.
    pub batches_in_flight: usize,
}

/// An index that is, or is to be, declared on a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// Collection; none means the run's own.
    pub collection: Option<Name>,
    /// Name, unique within the collection.
    pub name: Name,
    /// What it indexes.
    pub pointer: Pointer,
    /// True if no two rows may share a value.
    pub unique: bool,
}

/// Wall clock, milliseconds since the Unix epoch (UTC).
pub fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_holds_all_its_problems_say() {
        let text = |bytes: usize| "x".repeat(bytes);
        let problem =
            Problem { code: text(1), message: text(20), pointer: text(300), details: vec![(text(4000), text(50_000))] };
        let refusal =
            |problems| Refusal { fate: Fate::Rejected, phase: Phase::Validate, problems, attempts: 1, slot: None };
        let held = |problems| Decision::Refuse(Box::new(refusal(problems))).held_bytes();
        let empty = held(Vec::new());
        assert_eq!(empty, size_of::<Refusal>());
        let fixed = size_of::<Problem>() + size_of::<(String, String)>();
        assert_eq!(held(vec![problem.clone(), problem]), empty + 2 * (fixed + 54_321));
    }

    #[test]
    fn a_change_holds_more_than_its_texts() {
        let delete = Change::Delete { collection: None, id: "id".to_owned() };
        let put = Change::Put { collection: None, id: "id".to_owned(), body: "{}".to_owned() };
        assert_eq!(Decision::Emit(vec![delete, put]).held_bytes(), 2 * size_of::<Change>() + 6);
    }
}
