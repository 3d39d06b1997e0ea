//! The one test binary. Areas are modules; `harness` is what they share.

#[path = "../examples/generate/generator/mod.rs"]
mod generator;
mod harness;

mod browser;
mod cli;
mod contract;
mod crash;
mod domain;
mod hostile;
mod input;
mod languages;
mod library;
#[cfg(feature = "oci")]
mod oci;
mod refusals;
mod swap;
mod tidy;
