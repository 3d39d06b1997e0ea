//! Judges Atlas tasks by the rules that need the item alone. It imports
//! nothing: the rules themselves are those of `task-model`.

#[cfg(target_family = "wasm")]
mod plugin;
