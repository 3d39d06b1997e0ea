//! Does this component fit? What it exports and imports, compared with the contract; refusals name what was found and wanted.
//!
//! The check is ours and not wasmtime's, since toolchains add exports of their own and import WASI beyond the world.

use std::fmt::{self, Write};

use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};

use super::imports::{OFFERED, STORE};
use super::slot::Role;
use super::{OPERATION, VALIDATOR};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{printable, shortened};

const PROBLEM: &str = "record{code: string, message: string, pointer: string, details: list<tuple<string, string>>}";

fn item_list() -> String {
    "list<record{ordinal: u64, id: string, body: string}>".to_owned()
}

fn wanted(role: Role) -> (&'static str, &'static str, String) {
    match role {
        Role::Validator => (
            "validator",
            "validate",
            format!("func({}) -> list<variant{{accept, reject(list<{PROBLEM}>)}}>", item_list()),
        ),
        Role::Operation => (
            "operation",
            "apply",
            format!(
                "func({}) -> list<variant{{keep, replace(string), emit(list<variant{{put(record{{collection: option<string>, \
                 id: string, body: string}}), delete(record{{collection: option<string>, id: string}})}}>), drop, \
                 reject({PROBLEM}), retry(record{{problem: {PROBLEM}, delay-ms: option<u32>}})}}>",
                item_list()
            ),
        ),
    }
}

/// What a component is, as `inspect` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Names of its exports.
    pub exports: Vec<String>,
    /// Names of its imports, each with what the host does about it.
    pub imports: Vec<Import>,
    /// True if it can stand as an operation.
    pub operation: bool,
    /// True if it can stand as a validator.
    pub validator: bool,
    /// Why not, for each role it lacks or gets wrong.
    pub notes: Vec<String>,
}

/// One import.
#[derive(Debug, Clone, Serialize)]
pub struct Import {
    /// As it stands in the component.
    pub name: String,
    /// `offered`; `fixed` (a clock that stands still at the time of the run), `seeded` (randomness from the run's seed),
    /// `logged` (output that becomes lines of the log); `granted`, where grants are known that open it; `denied` (linked
    /// with nothing behind it); or `not offered`.
    pub status: &'static str,
    /// What it opens to the plugin by grants, where these are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
}

/// Refuses bytes that are no component before anything looks deeper.
pub fn screen(bytes: &[u8], file: &str) -> Result<()> {
    let found = if bytes.is_empty() {
        "an empty file"
    } else if Engine::detect_precompiled(bytes).is_some() || bytes.starts_with(b"\x7fELF") {
        "compiled code (.cwasm)"
    } else if bytes.starts_with(b"\0asm\x0d\0\x01\0") {
        return Ok(());
    } else if bytes.starts_with(b"\0asm\x01\0\0\0") {
        return Err(Error::new(Code::PluginWorld, format!("{file}: found a core module, wanted a component"))
            .hint("encode it with `wasm-tools component new`, after embedding the contract's WIT"));
    } else if bytes.starts_with(b"\0asm") {
        "a WebAssembly binary of another version"
    } else if bytes.starts_with(b"PK\x03\x04") {
        "a zip archive"
    } else if bytes.trim_ascii_start().starts_with(b"(") || bytes.trim_ascii_start().starts_with(b";;") {
        "WebAssembly text"
    } else {
        "no WebAssembly at all"
    };
    Err(Error::new(Code::PluginWorld, format!("{file}: found {found}, wanted a WebAssembly component"))
        .hint("build a component (binary format); `guests/` has working examples"))
}

/// Looks at exports and imports.
pub fn inspect(engine: &Engine, component: &Component) -> Inspection {
    let ty = component.component_type();
    let exports = ty.exports(engine).map(|(name, _)| printable(name).into_owned()).collect();
    let imports = ty
        .imports(engine)
        .map(|(name, _)| Import {
            name: printable(name).into_owned(),
            status: import_status(name),
            granted: Vec::new(),
        })
        .collect();
    let mut notes = Vec::new();
    let beyond = beyond(engine, component);
    if let Some(names) = &beyond {
        notes.push(format!("imports what is not offered: {names}"));
    }
    let mut fits = |role| match role_problem(engine, component, role) {
        None => beyond.is_none(),
        Some(why) => {
            notes.push(why);
            false
        }
    };
    let (operation, validator) = (fits(Role::Operation), fits(Role::Validator));
    Inspection { exports, imports, operation, validator, notes }
}

/// Refuses a component that cannot fill `role`.
///
/// Errors: GUEST_10011 (export missing or of another type), GUEST_10012 (imports beyond the world, by their names).
pub fn check(engine: &Engine, component: &Component, role: Role, file: &str) -> Result<()> {
    if let Some(names) = beyond(engine, component) {
        return Err(Error::new(Code::PluginImport, format!("{file}: imports what is not offered: {names}"))
            .hint(format!("build it without them; offered are {} and WASI 0.2", OFFERED[1..].join(", "))));
    }
    match role_problem(engine, component, role) {
        None => Ok(()),
        Some(why) => {
            let other = match role {
                Role::Operation => (Role::Validator, "--validator"),
                Role::Validator => (Role::Operation, "--plugin"),
            };
            let error = Error::new(Code::PluginWorld, format!("{file}: {why}"));
            Err(match role_problem(engine, component, other.0) {
                None => error.hint(format!("it fits as {}: use {}", other.0.with_article(), other.1)),
                Some(_) => error,
            })
        }
    }
}

/// True if the component imports the `store` interface.
pub fn imports_store(engine: &Engine, component: &Component) -> bool {
    component.component_type().imports(engine).any(|(name, _)| same_track(name, STORE))
}

/// Imports that the host does not offer, if there are any.
fn beyond(engine: &Engine, component: &Component) -> Option<String> {
    let ty = component.component_type();
    let names = named(ty.imports(engine).map(|(name, _)| name).filter(|name| import_status(name) == "not offered"));
    (!names.is_empty()).then_some(names)
}

/// The first of these names, each short, and how many more there are.
fn named<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let first = names.by_ref().take(limits::NAMES_TOLD_MAX);
    let first: Vec<String> = first.map(|name| shortened(name, limits::NAME_TOLD_BYTES_MAX)).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn import_status(name: &str) -> &'static str {
    // The first that fits.
    const WASI: [(&str, &str); 8] = [
        ("wasi:io/", "offered"),
        ("wasi:clocks/", "fixed"),
        ("wasi:random/", "seeded"),
        ("wasi:cli/stdout@", "logged"),
        ("wasi:cli/stderr@", "logged"),
        ("wasi:cli/", "denied"),
        ("wasi:filesystem/", "denied"),
        ("wasi:sockets/", "denied"),
    ];
    if OFFERED.iter().any(|offered| same_track(name, offered)) {
        return "offered";
    }
    let of_wasi = WASI.iter().find(|(prefix, _)| name.starts_with(prefix) && name.contains("@0.2."));
    of_wasi.map_or("not offered", |(_, status)| status)
}

/// Same interface, and a version on the same compatible track (0.1.x).
fn same_track(name: &str, wanted: &str) -> bool {
    match (name.rsplit_once('@'), wanted.rsplit_once('@')) {
        (Some((name, version)), Some((wanted, track))) => {
            let track = track.rsplit_once('.').map_or(track, |(track, _)| track);
            // A version before the first of a track is on none.
            let is_release = !version.contains('-');
            name == wanted && is_release && version.strip_prefix(track).is_some_and(|rest| rest.starts_with('.'))
        }
        _ => false,
    }
}

fn role_problem(engine: &Engine, component: &Component, role: Role) -> Option<String> {
    let (interface, function, signature) = wanted(role);
    let full = match role {
        Role::Operation => OPERATION,
        Role::Validator => VALIDATOR,
    };
    // Found as a call will find it: of several versions the one that is looked at is the one that is called.
    let Some((ComponentItem::ComponentInstance(instance), _)) = component.get_export(None, full) else {
        let ty = component.component_type();
        let found = named(ty.exports(engine).map(|(name, _)| name));
        let found = if found.is_empty() { "nothing" } else { &found };
        return Some(format!("does not export {full}, wanted for {}; exports {found}", role.with_article()));
    };
    match instance.get_export(engine, function).map(|item| item.ty) {
        Some(ComponentItem::ComponentFunc(found)) => {
            let found = describe_function(&found);
            (found != signature)
                .then(|| format!("{interface}.{function} has another type: found {found}, wanted {signature}"))
        }
        _ => Some(format!("export {full} lacks the function {function}")),
    }
}

/// Text that ends at a bound. A type that is named a thousand times stands once in a component, but a thousand times in words.
struct Words(String);

impl Write for Words {
    /// Errors: the text is full; what fits of it was taken.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = limits::TYPE_TEXT_BYTES_MAX - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

/// What is longer than its bound is cut, and is no signature of the contract.
fn describe_function(function: &ComponentFunc) -> String {
    let mut words = Words(String::new());
    match write_function(&mut words, function) {
        Ok(()) => words.0,
        Err(_) => words.0 + " and so on",
    }
}

fn write_function(words: &mut Words, function: &ComponentFunc) -> fmt::Result {
    words.write_str(if function.async_() { "async func(" } else { "func(" })?;
    listed(words, function.params(), |words, (_, ty)| describe(words, &ty))?;
    words.write_str(") -> ")?;
    listed(words, function.results(), |words, ty| describe(words, &ty))
}

/// The parts in their order, with commas between them.
fn listed<T>(
    words: &mut Words,
    parts: impl Iterator<Item = T>,
    write: impl Fn(&mut Words, T) -> fmt::Result,
) -> fmt::Result {
    for (place, part) in parts.enumerate() {
        if place > 0 {
            words.write_str(", ")?;
        }
        write(words, part)?;
    }
    Ok(())
}

/// A type in the words of WIT, structurally.
fn describe(words: &mut Words, ty: &Type) -> fmt::Result {
    let optional = |words: &mut Words, ty: Option<Type>| match ty {
        Some(ty) => describe(words, &ty),
        None => words.write_str("_"),
    };
    let rest = match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::List(list) => {
            words.write_str("list<")?;
            describe(words, &list.ty())?;
            ">"
        }
        Type::Option(option) => {
            words.write_str("option<")?;
            describe(words, &option.ty())?;
            ">"
        }
        Type::Result(result) => {
            words.write_str("result<")?;
            optional(words, result.ok())?;
            words.write_str(", ")?;
            optional(words, result.err())?;
            ">"
        }
        Type::Tuple(tuple) => {
            words.write_str("tuple<")?;
            listed(words, tuple.types(), |words, ty| describe(words, &ty))?;
            ">"
        }
        Type::Record(record) => {
            words.write_str("record{")?;
            listed(words, record.fields(), |words, field| {
                write!(words, "{}: ", field.name)?;
                describe(words, &field.ty)
            })?;
            "}"
        }
        Type::Variant(variant) => {
            words.write_str("variant{")?;
            listed(words, variant.cases(), |words, case| {
                words.write_str(case.name)?;
                let Some(ty) = &case.ty else { return Ok(()) };
                words.write_str("(")?;
                describe(words, ty)?;
                words.write_str(")")
            })?;
            "}"
        }
        Type::Enum(cases) => {
            words.write_str("enum{")?;
            listed(words, cases.names(), |words, name| words.write_str(name))?;
            "}"
        }
        Type::Flags(flags) => {
            words.write_str("flags{")?;
            listed(words, flags.names(), |words, name| words.write_str(name))?;
            "}"
        }
        Type::Own(_) => "own resource",
        Type::Borrow(_) => "borrowed resource",
        _ => "a type that the contract does not use",
    };
    words.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_on_their_compatible_track() {
        assert!(same_track("atlas:batch/store@0.1.3", STORE));
        assert!(!same_track("atlas:batch/store@0.2.0", STORE));
        assert!(!same_track("atlas:batch/store@0.10.0", STORE));
        assert!(!same_track("atlas:batch/store@0.1.0-rc.1", STORE), "as the linker has it");
        assert!(!same_track("atlas:batch/store", STORE));
    }

    #[test]
    fn what_is_no_component_is_refused_by_name() {
        for (bytes, found) in [
            (&b"\0asm\x01\0\0\0rest"[..], "core module"),
            (b"(component)", "WebAssembly text"),
            (b"PK\x03\x04", "zip archive"),
            (b"", "empty file"),
            (b"hello", "no WebAssembly"),
        ] {
            let error = screen(bytes, "x.wasm").expect_err("refused");
            assert!(error.to_string().contains(found) && error.to_string().contains("x.wasm"), "{error}");
            assert_eq!(error.code(), Code::PluginWorld);
        }
        assert!(screen(b"\0asm\x0d\0\x01\0", "x.wasm").is_ok());
    }

    #[test]
    fn of_many_names_the_first_are_told_and_of_a_long_one_its_beginning() {
        assert_eq!(named(["a", "b\n"].into_iter()), "a, b\\n");
        assert_eq!(named(["a"; 5].into_iter()), "a, a, a, a, a");
        assert_eq!(named(["a"; 105].into_iter()), "a, a, a, a, a and 100 more");
        let long = "é".repeat(1000);
        assert_eq!(named([long.as_str()].into_iter()), format!("{}…", "é".repeat(50)));
    }

    #[test]
    fn words_end_at_their_bound_between_two_characters() {
        let mut words = Words(String::new());
        assert!(words.write_str(&"x".repeat(limits::TYPE_TEXT_BYTES_MAX - 1)).is_ok());
        assert!(words.write_str("é").is_err() && words.0.ends_with('x'));
        assert!(words.write_str("y").is_ok() && words.write_str("").is_ok());
        assert!(words.write_str("z").is_err() && words.0.len() == limits::TYPE_TEXT_BYTES_MAX);
    }

    #[test]
    fn every_signature_of_the_contract_is_far_below_the_bound_of_its_words() {
        for role in [Role::Operation, Role::Validator] {
            assert!(wanted(role).2.len() * 4 < limits::TYPE_TEXT_BYTES_MAX, "{}", role.as_str());
        }
    }
}
