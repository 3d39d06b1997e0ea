//! One call of a plugin: what it is told, and how it can fail.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lookup::Lookup;
use super::wasi::splitmix64;
use crate::error::Code;
use crate::limits;

/// Where and when a call runs. The same for every item of the call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The run's UUID.
    pub run: Arc<str>,
    /// Number of the batch, for log lines only.
    pub batch: u64,
    /// Attempt, from 1.
    pub attempt: u32,
    /// Time the call may take.
    pub deadline: Duration,
    /// The run's fixed clock, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The run's seed.
    pub seed: u64,
    /// What the slot may still log in this batch.
    pub log: Arc<LogBudget>,
}

impl Call {
    /// A call outside of any batch: probing a plugin.
    pub(super) fn idle() -> Self {
        Self {
            run: Arc::from(""),
            batch: 0,
            attempt: 1,
            deadline: limits::DEADLINE,
            now_ms: 0,
            seed: 0,
            log: Arc::default(),
        }
    }

    /// The number that seeds randomness for one item: from the run's seed and the ordinal alone.
    pub fn item_seed(&self, ordinal: u64) -> u64 {
        splitmix64(self.seed ^ splitmix64(ordinal).1).1
    }
}

/// Log lines of one slot in one batch.
#[derive(Debug, Default)]
pub struct LogBudget {
    pub(super) lines: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl LogBudget {
    /// Lines dropped since the budget was used up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What a guest call gives: one entry per item, or the fault; and the lookup back, whatever happened.
pub type Answer<T> = (Result<Vec<T>, Fault>, Option<Box<dyn Lookup>>);

/// A trap, or a bound that a guest ran into. It ends as the fate of items, never as an error of the run, but where there is no
/// room to run the guest at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// One of the GUEST codes.
    pub code: Code,
    /// What happened.
    pub message: String,
    /// The machine has no room for a sandbox, which is nobody's fault here: it ends the run, and is no item's fate.
    pub(crate) no_room: bool,
}

impl Fault {
    /// A fault of this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), no_room: false }
    }

    /// The pool is full, and why.
    pub(crate) fn no_room(why: &str) -> Self {
        let message = format!("there is no room for one more sandbox: {why}");
        Self { no_room: true, ..Self::new(Code::GuestStart, message) }
    }

    /// An answer that has not one entry per item.
    pub(super) fn length(entries: usize, items: usize) -> Self {
        let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
        let items = if items == 1 { "1 item".to_owned() } else { format!("{items} items") };
        Self::new(Code::GuestContract, format!("returned {entries} for {items}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.message(), self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_length_is_told_in_words() {
        let said = |entries, items| Fault::length(entries, items).message;
        assert_eq!(said(0, 1), "returned 0 entries for 1 item");
        assert_eq!(said(1, 2), "returned 1 entry for 2 items");
    }

    #[test]
    fn an_items_seed_depends_on_run_seed_and_ordinal_alone() {
        let one = Call { seed: 7, batch: 1, attempt: 1, ..Call::idle() };
        let two = Call { seed: 7, batch: 9, attempt: 3, ..Call::idle() };
        assert_eq!(one.item_seed(5), two.item_seed(5));
        assert_ne!(one.item_seed(5), one.item_seed(6));
        assert_ne!(one.item_seed(5), Call { seed: 8, ..one.clone() }.item_seed(5));
    }
}
