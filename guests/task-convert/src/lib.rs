//! Converts Atlas tasks of the old export format to the present one.

#[cfg(target_family = "wasm")]
mod plugin;

pub mod convert;
pub mod time;

#[cfg(test)]
mod real_rows;
