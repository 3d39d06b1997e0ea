//! A run as metrics in the text format of Prometheus: a fold over events, a file for the textfile collector, and a small
//! server for whoever wants to fetch them.
//!
//! Names and units follow the conventions of Prometheus: base units (seconds, bytes, ratios), `_total` for counters.

mod file;
mod fold;
mod serve;
#[cfg(test)]
mod tests;
mod text;

pub use file::MetricsFile;
pub use fold::Metrics;
pub use serve::{MetricsServer, loopback};
