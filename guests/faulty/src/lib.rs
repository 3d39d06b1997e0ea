//! Misbehaves on demand, for tests of the host. The demand is the string
//! `fault` of an item, or `metadata.customFields.fault` where there is none;
//! an item without is kept, and accepted.

#[cfg(target_family = "wasm")]
mod plugin;

pub mod bodies;
pub mod demand;
