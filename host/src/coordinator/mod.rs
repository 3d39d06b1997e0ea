//! The coordinator: the one loop that executes plans, and the only public way to run items.
//!
//! `host` is the entry, `start` begins a run, `finish` ends it, `run` is the loop; lanes compute (`chunk`, `walk`), one writer writes
//! (`writer`), a reader reads (`intake`). Guests never run while the write lock is held, but for `--atomic run`.

mod chunk;
mod control;
mod finish;
mod flight;
mod host;
mod indexes;
mod intake;
mod job;
mod judge;
mod lanes;
mod outcome;
mod overlay;
mod resume;
mod retry;
mod run;
mod serial;
mod shared;
mod start;
mod tell;
mod walk;
mod work;
mod writer;

pub use control::{Command, Control};
pub use host::{Host, HostOptions, default_cache};
pub use job::{Atomicity, Filling, Input, Job, Observer, SlotSpec};
pub use outcome::{REPORT_SCHEMA, RunFailure, RunReport};
pub use writer::RejectLimit;
