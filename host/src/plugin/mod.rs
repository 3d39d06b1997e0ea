//! Plugins: loading, checking, sandboxing and calling them. The only module that names wasmtime.
//!
//! Invariant: what runs is what was hashed. Invariant: a sandbox that saw a fault is never called again.
//! Knows nothing of batches, stores or terminals; what a guest reads of the store comes through [`Lookup`].

mod abi;
mod cache;
mod call;
mod compile;
mod cpu;
mod engine;
mod grants;
mod host_time;
mod hosts;
mod imports;
mod load;
mod lookup;
mod private;
mod reference;
mod registry;
mod room;
mod sandbox;
mod slot;
mod wasi;
mod world;

pub use cache::Cache;
pub use call::{Answer, Call, Fault, LogBudget};
pub use compile::{COMPILE_VERB, Compiler, compile_from_stdin};
pub(crate) use engine::PluginEngine;
pub use grants::{DirGrant, Grants};
pub(crate) use host_time::taken as host_time_taken;
pub(crate) use load::PluginLoader;
pub use load::{Plugin, read};
pub use lookup::{Lookup, LookupError, LookupKey};
pub use reference::{Location, Reference, Sha256};
pub use registry::{Image, Registry};
pub(crate) use sandbox::CallRuntime;
pub use slot::{Operation, Role, Validator};
pub(crate) use slot::{Slot, SlotSettings};
pub use world::{Import, Inspection};

/// The export that makes a component an operation.
const OPERATION: &str = "atlas:batch/operation@0.1.0";
/// The export that makes a component a validator.
const VALIDATOR: &str = "atlas:batch/validator@0.1.0";
