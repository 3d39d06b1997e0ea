//! Components from WebAssembly text: a core module that keeps the contract but for one thing, wrapped for a world of ours.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::harness::root;

/// Which half of the contract a module implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Operation,
    Validator,
}

/// A core module in parts. Each is WebAssembly text, empty for nothing.
///
/// Between calls the module keeps no memory. Without a `fault` it accepts every item, or keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Module<'a> {
    pub half: Half,
    /// WIT that is added to the world, such as further imports.
    pub world: &'a str,
    /// Further WIT packages.
    pub packages: &'a [&'a str],
    /// Imports of functions; they come first.
    pub imports: &'a str,
    /// Further definitions.
    pub fields: &'a str,
    /// Run for each item. Locals: `$item` (address of the item), `$one` (of its outcome or verdict), `$out` and `$count`
    /// (the list that is returned), `$a`, `$b`.
    pub each: &'a str,
    /// Run once before the list is returned.
    pub end: &'a str,
    /// Run when the host has read the answer.
    pub post: &'a str,
    /// Run at the beginning of every allocation; `$bytes` is its size.
    pub realloc: &'a str,
    /// Pages of memory at the start.
    pub pages: u32,
    pub encoding: StringEncoding,
}

impl Default for Module<'_> {
    fn default() -> Self {
        Self {
            half: Half::Operation,
            world: "",
            packages: &[],
            imports: "",
            fields: "",
            each: "",
            end: "",
            post: "",
            realloc: "",
            pages: 4,
            encoding: StringEncoding::UTF8,
        }
    }
}

/// The ordinal that `when_poisoned` looks for.
pub const POISON: u64 = 13;

/// `what` for the item with the ordinal [`POISON`] alone.
pub fn when_poisoned(what: &str) -> String {
    format!("(if (i64.eq (i64.load (local.get $item)) (i64.const {POISON})) (then {what}))")
}

/// The outcome `replace` with the string at `pointer` (WebAssembly text of two i32 expressions).
pub fn replace(pointer: &str, length: &str) -> String {
    format!(
        "(i32.store8 (local.get $one) (i32.const 1)) \
         (i32.store offset=4 (local.get $one) {pointer}) (i32.store offset=8 (local.get $one) {length})"
    )
}

/// The outcome `reject` with the code at `pointer`, without a message.
pub fn reject(pointer: &str, length: &str) -> String {
    format!(
        "(i32.store8 (local.get $one) (i32.const 4)) \
         (i32.store offset=4 (local.get $one) {pointer}) (i32.store offset=8 (local.get $one) {length})"
    )
}

impl Module<'_> {
    /// The module as text.
    pub fn text(&self) -> String {
        // Sizes of `types.outcome` and `types.verdict` in memory.
        let (interface, function, bytes) = match self.half {
            Half::Operation => ("operation", "apply", 44),
            Half::Validator => ("validator", "validate", 12),
        };
        let Self { imports, fields, each, end, post, realloc, pages, .. } = self;
        format!(
            r#"(module
  {imports}
  (memory (export "memory") {pages})
  (global $top (mut i32) (i32.const 8192))
  (func $alloc (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32) (result i32)
    (local $at i32)
    {realloc}
    (if (i32.and (i32.ne (local.get $old) (i32.const 0)) (i32.ge_u (local.get $old_bytes) (local.get $bytes)))
      (then (return (local.get $old))))
    (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
                            (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $bytes)))
    (block $there (loop $more
      (br_if $there (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
      (br $more)))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_bytes))
    (local.get $at))
  (export "cabi_realloc" (func $alloc))
  {fields}
  (func (export "atlas:batch/{interface}@0.1.0#{function}") (param $items i32) (param $count i32) (result i32)
    (local $out i32) (local $i i32) (local $one i32) (local $item i32) (local $a i32) (local $b i32)
    (local.set $out (call $alloc (i32.const 0) (i32.const 0) (i32.const 4)
                                 (i32.mul (local.get $count) (i32.const {bytes}))))
    (memory.fill (local.get $out) (i32.const 0) (i32.mul (local.get $count) (i32.const {bytes})))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
      (local.set $item (i32.add (local.get $items) (i32.mul (local.get $i) (i32.const 24))))
      (local.set $one (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const {bytes}))))
      {each}
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    {end}
    (i32.store (i32.const 16) (local.get $out))
    (i32.store (i32.const 20) (local.get $count))
    (i32.const 16))
  (func (export "cabi_post_atlas:batch/{interface}@0.1.0#{function}") (param i32)
    {post}
    (global.set $top (i32.const 8192))))"#
        )
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let world = match self.half {
            Half::Operation => "operation-plugin",
            Half::Validator => "validator-plugin",
        };
        let mut resolve = Resolve::default();
        for (number, package) in self.packages.iter().enumerate() {
            resolve.push_str(format!("package-{number}.wit"), package).expect("the WIT is well-formed");
        }
        resolve.push_dir(root().join("wit")).expect("the contract parses");
        let text =
            format!("package hostile:test;\nworld plugin {{ include atlas:batch/{world}@0.1.0; {} }}", self.world);
        let package = resolve.push_str("hostile.wit", &text).expect("the world is well-formed");
        wrapped(&resolve, package, &self.text(), self.encoding)
    }
}

/// A module's text as a component of the only world of `package`.
pub fn wrapped(resolve: &Resolve, package: wit_parser::PackageId, text: &str, encoding: StringEncoding) -> Vec<u8> {
    let world = resolve.select_world(&[package], None).expect("one world");
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    embed_component_metadata(&mut module, resolve, world, encoding).expect("metadata fits");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}
