//! Judges and normalises the entries of a Debian package index.
//!
//! An item is a JSON object with one string per control field, names and
//! values as in the index, folded lines with their newlines. Validator and
//! operation share one reading of it: what cannot be read is refused by the
//! one, and what can is written out in a fixed shape by the other.

#[cfg(target_family = "wasm")]
mod plugin;

pub mod control;
pub mod entry;
pub mod problem;
pub mod relation;
pub mod text;
pub mod version;
