//! Keeps every item, byte for byte.

#[cfg(target_family = "wasm")]
mod plugin;
