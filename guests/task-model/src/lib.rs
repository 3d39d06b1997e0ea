//! The rules of the Atlas task domain, each of them once: what the guests
//! `task-fields`, `task-links`, `task-enrich`, `task-workflow` and `task-convert`
//! share.
//!
//! The domain itself is described in the README of the guests' folder. This
//! crate knows nothing of the contract with the host: it judges JSON text and
//! answers with [`Problem`]s.

pub mod edge;
pub mod fields;
pub mod limits;
pub mod links;
mod metadata;
pub mod path;
pub mod problem;
pub mod row;
pub mod status;

pub use problem::{Code, Problem};
pub use row::{Mode, Op, Row};
pub use status::Status;
