//! Judges benchmark tickets: title, status, priority and number of tags.

#[cfg(target_family = "wasm")]
mod plugin;
pub mod rules;
