//! Exchanging a plugin while a run goes on.
//!
//! A *candidate* comes from a watched file, from another process or from the embedding program. Off the lanes it is loaded,
//! checked, compiled, started and tried (`prepare`, `trial`); if asked for, it runs beside the old plugin on live batches
//! (`shadow`). Only then is the chain exchanged, between two cuts, and the new plugin is on probation (`probation`): if it
//! does worse than the old one, that comes back. Whatever fails before touches no batch, and the run goes on.
//!
//! The run's side of it is `run/swapping`: it alone knows which chain is in force.

mod ask;
mod differ;
mod inputs;
pub(super) mod prepare;
pub(super) mod probation;
pub(super) mod shadow;
mod trial;
pub(super) mod watch;

use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Digest, Name};

/// A plugin that is to take the place of the one in a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct SwapRequest {
    pub slot: Name,
    /// Names it in messages: its file.
    pub name: String,
    /// The component.
    pub bytes: Arc<[u8]>,
    pub source: SwapSource,
}

/// A request with the digest of its bytes, taken where it came in: the loop of a run hashes nothing.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub request: SwapRequest,
    pub digest: Digest,
}

impl From<SwapRequest> for Wish {
    fn from(request: SwapRequest) -> Self {
        Self { digest: Digest::of(&request.bytes), request }
    }
}

/// Who wants a plugin exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapSource {
    /// Its file has changed (`--watch`).
    Watch,
    /// Another process (`plugins swap`).
    Command,
    /// Another process, which wants an earlier version back (`plugins rollback`).
    Rollback,
    /// The embedding program.
    Library,
}

impl SwapSource {
    /// The source of this stable name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Watch, Self::Command, Self::Rollback, Self::Library].into_iter().find(|source| source.as_str() == name)
    }

    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            SwapSource::Watch => "watch",
            SwapSource::Command => "command",
            SwapSource::Rollback => "rollback",
            SwapSource::Library => "library",
        }
    }
}

/// How candidates are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapSettings {
    /// Items of a hundred whose fate a candidate may change.
    pub difference_percent: u64,
    /// Live batches that a candidate runs beside the old plugin, without storing.
    pub shadow_batches: u64,
    /// Times the old plugin's time for the same items that a candidate may take.
    pub slowdown_max: u64,
}

impl Default for SwapSettings {
    fn default() -> Self {
        Self {
            difference_percent: limits::SWAP_DIFFERENCE_PERCENT,
            shadow_batches: 0,
            slowdown_max: limits::SWAP_SLOWDOWN,
        }
    }
}

impl SwapSettings {
    /// Errors: CONFIG_3001 for values beyond their bounds.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(Code::ConfigInvalid, message));
        if self.difference_percent > 100 {
            return refuse(format!("swap difference is {} percent, 0 to 100 are possible", self.difference_percent));
        }
        if self.slowdown_max == 0 || self.slowdown_max > limits::SWAP_SLOWDOWN_MAX {
            let (found, most) = (self.slowdown_max, limits::SWAP_SLOWDOWN_MAX);
            return refuse(format!("swap slowdown is {found} times, 1 to {most} are possible"));
        }
        if self.shadow_batches > limits::SWAP_SHADOW_BATCHES_MAX {
            let most = limits::SWAP_SHADOW_BATCHES_MAX;
            return refuse(format!("shadow is {} batches, 0 to {most} are possible", self.shadow_batches));
        }
        Ok(())
    }
}

/// Why a candidate does not pass.
#[derive(Debug)]
pub(super) struct Refused {
    pub code: Code,
    pub reason: String,
}

impl Refused {
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { code: error.code(), reason: format!("{error} (hint: {})", error.hint_text()) }
    }
}
