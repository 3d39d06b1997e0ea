//! The coordinator: the one loop that executes plans, and the only public way to run items.
//!
//! `host` is the entry, `start` begins a run, `finish` ends it, `run` is the loop; lanes compute (`chunk`, `walk`), one writer writes
//! (`writer`), a reader reads (`intake`). Guests never run while the write lock is held, but for `--atomic run`.

mod chain;
mod check;
mod chunk;
mod control;
mod finish;
mod flight;
mod followed;
mod host;
mod inbox;
mod indexes;
mod intake;
mod job;
mod judge;
mod lanes;
mod outcome;
mod overlay;
mod pipeline;
pub(crate) mod resume;
mod retry;
mod run;
mod serial;
mod shared;
mod start;
mod swap;
mod tell;
mod tuning;
mod usual;
mod walk;
mod work;
mod writer;

pub use control::{Command, Control};
pub(crate) use finish::complete;
pub(crate) use followed::in_place_of;
pub use host::{Host, HostOptions, cache_folder, default_cache};
pub use inbox::{Applied, SwapAnswer, TUNE_SCHEMA, Tuned, Tuning, swap, tune, waiting};
pub use indexes::{IndexDone, IndexReport, IndexState, keep_indexes};
pub use job::{Atomicity, Filling, Input, Job, Live, Observer, SlotSpec};
pub(crate) use judge::decide;
pub use outcome::{REPORT_SCHEMA, RunFailure, RunReport};
pub use run::Carried;
pub use swap::watch::WatchedFile;
pub use swap::{SwapRequest, SwapSettings, SwapSource};
pub use writer::RejectLimit;

#[cfg(doctest)]
mod closed_doors;
