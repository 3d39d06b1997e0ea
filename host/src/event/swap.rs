//! What events tell of plugins that are exchanged.

use serde::{Deserialize, Serialize};

/// A step of a candidate on its way into a slot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapStep {
    /// The slot.
    pub slot: String,
    /// Who asked: `watch`, `command`, `rollback` or `library`.
    pub source: String,
    /// File that the candidate came from.
    pub name: String,
    /// Digest of the plugin that was in force when the candidate came; empty for native code.
    pub old_digest: String,
    /// Digest of the candidate.
    pub new_digest: String,
    /// First batch that the step is about, where it is about one.
    pub batch: Option<u64>,
    /// Time since the candidate came, in milliseconds.
    pub elapsed_ms: u64,
    /// Code of what went wrong, where something did.
    pub code: Option<String>,
    /// In words: why it was refused, put back or skipped, else what was found.
    pub reason: String,
    /// What was measured, where something was.
    pub figures: Option<SwapFigures>,
}

/// Old and new version of a plugin beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapFigures {
    /// Items that were compared; in a probation those that the new one was given.
    pub items: u64,
    /// In a probation: items that the old one was given before, with which they are compared. Else the same items.
    pub items_old: u64,
    /// Batches that were looked at, in a probation or beside live ones.
    pub batches: u64,
    /// Items whose fate differs.
    pub fates_differing: u64,
    /// Items of the same fate with another body.
    pub bodies_differing: u64,
    /// Items on which the old one failed: a trap, a bound, a broken contract.
    pub faults_old: u64,
    /// Items on which the new one failed.
    pub faults_new: u64,
    /// Items that the old one rejected.
    pub rejects_old: u64,
    /// Items that the new one rejected.
    pub rejects_new: u64,
    /// Items that the old one dropped.
    pub drops_old: u64,
    /// Items that the new one dropped.
    pub drops_new: u64,
    /// In a probation: items of the old one on which the operations after it failed.
    pub later_faults_old: Option<u64>,
    /// The same of the new one.
    pub later_faults_new: Option<u64>,
    /// In a probation: items of the old one that the operations after it rejected.
    pub later_rejects_old: Option<u64>,
    /// The same of the new one.
    pub later_rejects_new: Option<u64>,
    /// Time per item of the old one, in nanoseconds.
    pub item_ns_old: u64,
    /// Time per item of the new one, in nanoseconds.
    pub item_ns_new: u64,
    /// Open dead letters of the slot that the new one was given.
    pub letters: u64,
    /// How many of them it lets pass.
    pub letters_passing: u64,
    /// The first items that they answer differently.
    pub differing: Vec<SwapDiffering>,
}

/// An item that old and new version of a plugin answer differently.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SwapDiffering {
    /// Its id.
    pub id: String,
    /// What becomes of it with the old one: `passed`, `dropped`, `rejected`, `tried again` or `failed`.
    pub old: String,
    /// What becomes of it with the new one.
    pub new: String,
    /// JSON pointer to the first place at which the bodies differ, where both let it pass; empty for the whole of it.
    pub at: Option<String>,
}
