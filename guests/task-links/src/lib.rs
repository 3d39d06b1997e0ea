//! Judges the relations of Atlas tasks: parents, dependencies, transitions.
//! The rules themselves are those of `task-model`.

#[cfg(target_family = "wasm")]
mod plugin;
