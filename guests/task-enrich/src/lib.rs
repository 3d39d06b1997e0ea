//! Derives the computed fields of Atlas tasks, and applies update, status and
//! delete rows to what is stored.

#[cfg(target_family = "wasm")]
mod plugin;

pub mod change;
pub mod derive;
pub mod effect;
