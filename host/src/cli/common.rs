//! Flags that several commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The store a command works on.
#[derive(Args, Debug, Clone)]
pub struct StoreArg {
    /// Database file
    #[arg(long, value_name = "FILE", default_value = "atlas.db", env = "ATLAS_STORE")]
    pub store: PathBuf,
}

/// How results are printed.
#[derive(Args, Debug, Clone)]
pub struct OutputArg {
    /// Form of the results on stdout
    #[arg(long, value_name = "FORM", default_value = "text", env = "ATLAS_OUTPUT")]
    pub output: OutputFormat,
}

/// See [`OutputArg`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people; may change between versions
    Text,
    /// For programs; only grows within a version
    Json,
}

impl OutputArg {
    /// True for JSON.
    pub fn json(&self) -> bool {
        self.output == OutputFormat::Json
    }
}
