//! Tidies benchmark tickets: slug, sorted lower-case tags, score.

#[cfg(target_family = "wasm")]
mod plugin;
pub mod ticket;
