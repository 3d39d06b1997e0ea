//! The report of a run: one HTML page without scripts and without requests, made from the history of a store and, where
//! they were recorded, from the events.
//!
//! `fold` and `events` go over batches and events in memory that does not grow with the run, `data` puts together what is
//! shown, `charts` draws it, `page` arranges it. All of them are pure: rows in, text out.

mod charts;
mod data;
mod events;
mod fold;
mod histogram;
mod history;
mod page;
mod swaps;
#[cfg(test)]
mod testing;
mod thin;
mod timeline;

pub use data::{Facts, Problem, Report, SCHEMA, Sample, Sources};
pub use events::Recorded;
pub use fold::BatchFold;
pub use history::EarlierRun;
pub use page::page;
