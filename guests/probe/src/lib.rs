//! Does what its items say, with all that the contract has, so that the bindings of every language can be held against
//! these. An item is a JSON string of words, such as `"get other a"`; what it learns it says in the problem it refuses with,
//! whose texts need no JSON. `-` stands for none. `tests/languages/probe.rs` lists the words.

#[cfg(target_family = "wasm")]
mod plugin;

#[cfg(target_family = "wasm")]
mod reads;
