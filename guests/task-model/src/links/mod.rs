//! The rules on relations between tasks, judged against what is stored. A
//! task of the same input counts once it is stored; that reads are serial in
//! effect is the host's promise.

mod asked;
mod chain;
mod rules;
mod tasks;

pub use rules::{Judged, judge};
pub use tasks::Store;
