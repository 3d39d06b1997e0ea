//! Makes inputs from a seed: tickets, tasks with a manifest, standing cases.
//!
//! A library without a terminal: it writes to what it is given, and knows no
//! arguments. Invariant: the same options give the same bytes everywhere.

pub mod cases;
pub mod digest;
mod json;
mod limits;
pub mod manifest;
pub mod rng;
pub mod tasks;
pub mod tickets;
mod words;

#[cfg(test)]
mod tests;
