//! Writes its version into items, for tests of exchanging plugins. Version and behaviour are orders that stand in the
//! component itself: a test that writes others over them has another plugin, with another digest.

#[cfg(target_family = "wasm")]
mod plugin;

pub mod orders;
