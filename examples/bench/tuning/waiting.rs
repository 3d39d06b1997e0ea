//! A plugin that waits, as one does that asks a service on another machine: it takes time and hardly any CPU.
//!
//! The guest `faulty` has no demand of this kind: the sample guests import nothing but the contract, and to wait takes a
//! clock of WASI. So this one is a small module in WebAssembly text. Every item is kept.

use std::path::Path;

use anyhow::{Context, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a call takes however many items it has.
pub const CALL_US: u64 = 5000;
/// What each of its items takes.
pub const ITEM_US: u64 = 200;

const IO: &str = "package wasi:io@0.2.0;
interface poll { resource pollable { block: func(); } }";
const CLOCKS: &str = "package wasi:clocks@0.2.0;
interface monotonic-clock {
    use wasi:io/poll@0.2.0.{pollable};
    subscribe-duration: func(when: u64) -> pollable;
}";
const WORLD: &str = "package bench:waiting;
world plugin {
    include atlas:batch/operation-plugin@0.1.0;
    import wasi:clocks/monotonic-clock@0.2.0;
    import wasi:io/poll@0.2.0;
}";

/// The core module. An `outcome` has 44 bytes, and all of them zero are `keep`. Between calls it keeps no memory.
fn module() -> String {
    let (call_ns, item_ns) = (CALL_US * 1000, ITEM_US * 1000);
    format!(
        r#"(module
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop (param i32)))
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 64))
  (func $alloc (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get $bytes)))
    (block $there (loop $more
      (br_if $there (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
      (br $more)))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_bytes))
    (local.get $at))
  (export "cabi_realloc" (func $alloc))
  (func (export "atlas:batch/operation@0.1.0#apply") (param $items i32) (param $count i32) (result i32)
    (local $wait i32) (local $out i32) (local $bytes i32)
    (local.set $wait (call $after
      (i64.add (i64.const {call_ns}) (i64.mul (i64.extend_i32_u (local.get $count)) (i64.const {item_ns})))))
    (call $block (local.get $wait))
    (call $drop (local.get $wait))
    (local.set $bytes (i32.mul (local.get $count) (i32.const 44)))
    (local.set $out (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $bytes)))
    (memory.fill (local.get $out) (i32.const 0) (local.get $bytes))
    (i32.store (i32.const 16) (local.get $out))
    (i32.store (i32.const 20) (local.get $count))
    (i32.const 16))
  (func (export "cabi_post_atlas:batch/operation@0.1.0#apply") (param i32)
    (global.set $top (i32.const 64))))"#
    )
}

/// Makes the component.
///
/// Errors: the contract cannot be read, or the component cannot be written.
pub fn write(component: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    resolve.push_str("io.wit", IO)?;
    resolve.push_str("clocks.wit", CLOCKS)?;
    resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit")).context("the contract")?;
    let package = resolve.push_str("waiting.wit", WORLD)?;
    let world = resolve.select_world(&[package], None)?;
    let mut module = wat::parse_str(module())?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let bytes = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    std::fs::write(component, bytes).with_context(|| component.display().to_string())
}
