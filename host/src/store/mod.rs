//! The store: one SQLite file that any SQLite tool can read. The only place that names rusqlite.
//!
//! A collection is a table of its name (`id`, `body` as JSON, `batch`), an index a virtual generated column with a real index on it;
//! `atlas_*` tables hold runs, batches, dead letters, plugins and checkpoints. The schema is in `schema/`.
//!
//! Invariants: one `Writer` per file; a batch's rows, index entries, dead letters, history and checkpoint are in one transaction;
//! no SQLite type or error leaves this folder.

mod catalog;
mod connection;
mod dead_letter;
mod ended;
mod extract;
mod face;
mod failure;
mod history;
mod hurry;
mod index;
mod items;
mod kept;
mod level;
mod newer;
mod plugins;
mod read;
mod schema;
mod sql;
mod swaps;
mod tuning;
mod verify;
mod write;
mod writer;

pub use connection::{Durability, StoreOptions, flaw_of_file_system, library_version};
pub use dead_letter::{DeadLetter, LetterFilter, LetterState, RETRIED};
pub use ended::EndedRun;
pub(crate) use face::Store;
pub use face::{
    BatchWrite, ChainWrite, IndexKey, Lookup, PlanRow, PluginRow, Receipt, Row, RunEnd, RunHandle, RunStart, SwapRow,
    TuningRow, WritePolicy,
};
pub use history::{BatchRow, InputLine, RunRow};
pub use index::{BuiltIndex, IndexRow};
pub use plugins::{KeptPlugin, RunPlugin, SlotPlugin};
pub use read::{Origin, Provenance, Reader};
pub use sql::{SqlDone, SqlValue};
pub(crate) use swaps::ACCEPTED;
pub use swaps::SwapEntry;
pub use verify::{Finding, Level};
pub(crate) use writer::Writer;

#[cfg(test)]
mod tests;
