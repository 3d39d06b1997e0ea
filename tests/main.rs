//! The one test binary. Areas are modules; `harness` is what they share.

#[path = "../examples/generate/generator/mod.rs"]
mod generator;
mod harness;

mod cli;
mod contract;
mod crash;
mod domain;
mod hostile;
mod input;
mod library;
mod refusals;
mod tidy;
