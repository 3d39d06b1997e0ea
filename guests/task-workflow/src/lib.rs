//! Applies create and status rows to Atlas tasks, and carries out what follows
//! for other tasks. The fields of tasks are the business of `task-enrich`.

#[cfg(target_family = "wasm")]
mod plugin;

pub mod board;
pub mod workflow;
