//! atlas-host: a batch host that runs sandboxed WebAssembly plugins over records and stores the results in SQLite.
//!
//! See `ARCHITECTURE.md` beside this crate for the map. A module imports only modules above it in this list.
#![deny(unsafe_code)]

pub mod error;
pub mod limits;
pub mod model;
pub mod event;
pub mod source;
pub mod strategy;
pub mod plugin;
pub mod transaction;
pub mod store;
pub mod processor;
pub mod monitor;
pub mod report;
pub mod coordinator;
pub mod author;
pub mod cli;
