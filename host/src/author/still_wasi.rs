//! WASI 0.1 with nothing behind it, as a module that is linked into the component.
//!
//! Go's runtime reads clocks whenever it allocates, also while the host copies arguments into the plugin. A component may
//! call none of its imports at that time, so these functions must not be imports: here they are a part of the component. Clocks
//! stand still, waiting ends at once, random bytes are the same in every sandbox, output is dropped, everything else fails
//! with "bad file descriptor". What plugins need of the host is in the contract.

use std::collections::BTreeMap;

use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    InstructionSink, MemArg, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, Parser, Payload, TypeRef};

/// What modules call it.
pub(super) const NAME: &str = "wasi_snapshot_preview1";

/// Nanoseconds that every clock shows. Runtimes take zero for a clock that is broken.
const NOW_NS: i64 = 1;
/// Where random bytes begin; any number but zero.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
/// WASI's error number for a file descriptor that is none.
const BAD_DESCRIPTOR: i32 = 8;
/// Sizes of WASI's records.
const IOVEC_BYTES: i32 = 8;
const SUBSCRIPTION_BYTES: i32 = 48;
const EVENT_BYTES: i32 = 32;

/// Parameters and results of a function.
type Signature = (Vec<ValType>, Vec<ValType>);

/// A module with exactly the functions of WASI 0.1 that `module` imports.
///
/// Errors: `module` cannot be read.
pub(super) fn adapter(module: &[u8]) -> wasmparser::Result<Vec<u8>> {
    let (mut types, mut functions, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    for (index, (name, (params, results))) in (0..).zip(imported(module)?) {
        types.ty().function(params.iter().copied(), results.iter().copied());
        functions.function(index);
        exports.export(&name, ExportKind::Func, index);
        code.function(&function(&name, params.len() as u32, &results));
    }
    let mut imports = ImportSection::new();
    let memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    imports.import("env", "memory", EntityType::Memory(memory));
    let mut adapter = Module::new();
    adapter.section(&types).section(&imports).section(&functions).section(&exports).section(&code);
    Ok(adapter.finish())
}

/// The functions of WASI 0.1 that a module imports, by name.
fn imported(module: &[u8]) -> wasmparser::Result<BTreeMap<String, Signature>> {
    let (mut types, mut imported): (Vec<Option<Signature>>, _) = (Vec::new(), BTreeMap::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    for kind in group?.into_types() {
                        types.push(match kind.composite_type.inner {
                            CompositeInnerType::Func(function) => Some((
                                function.params().iter().filter_map(number).collect(),
                                function.results().iter().filter_map(number).collect(),
                            )),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(index) = import.ty
                        && import.module == NAME
                        && let Some(Some(signature)) = types.get(index as usize)
                    {
                        imported.insert(import.name.to_owned(), signature.clone());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(imported)
}

/// WASI 0.1 has numbers only.
fn number(kind: &wasmparser::ValType) -> Option<ValType> {
    match kind {
        wasmparser::ValType::I32 => Some(ValType::I32),
        wasmparser::ValType::I64 => Some(ValType::I64),
        wasmparser::ValType::F32 => Some(ValType::F32),
        wasmparser::ValType::F64 => Some(ValType::F64),
        _ => None,
    }
}

/// The function of that name. `first_local` is the number of its parameters.
fn function(name: &str, first_local: u32, results: &[ValType]) -> Function {
    let locals: &[(u32, ValType)] = match name {
        "fd_write" => &[(1, ValType::I32)],
        "random_get" => &[(1, ValType::I64)],
        _ => &[],
    };
    let mut function = Function::new(locals.iter().copied());
    let code = &mut function.instructions();
    match (name, results) {
        // Ends the call in a trap, whatever the exit code.
        ("proc_exit", _) | (_, []) => code.unreachable(),
        ("sched_yield" | "args_get" | "environ_get", _) => code.i32_const(0),
        ("args_sizes_get" | "environ_sizes_get", _) => {
            code.local_get(0).i32_const(0).i32_store(place(0, 2));
            code.local_get(1).i32_const(0).i32_store(place(0, 2)).i32_const(0)
        }
        // (clock, precision, answer)
        ("clock_time_get", _) => code.local_get(2).i64_const(NOW_NS).i64_store(place(0, 3)).i32_const(0),
        ("random_get", _) => random(code, first_local),
        ("fd_write", _) => write(code, first_local),
        ("poll_oneoff", _) => poll(code),
        (_, [ValType::I32]) => code.i32_const(BAD_DESCRIPTOR),
        (_, _) => code.unreachable(),
    };
    code.end();
    function
}

fn place(offset: u64, align: u32) -> MemArg {
    MemArg { offset, align, memory_index: 0 }
}

/// Repeats `body` until the parameter `count` has been counted down to zero; then the answer is success.
fn repeated<'a, 'b>(
    code: &'a mut InstructionSink<'b>,
    count: u32,
    body: impl FnOnce(&mut InstructionSink<'b>),
) -> &'a mut InstructionSink<'b> {
    code.block(BlockType::Empty).loop_(BlockType::Empty).local_get(count).i32_eqz().br_if(1);
    body(code);
    code.local_get(count).i32_const(1).i32_sub().local_set(count).br(0).end().end().i32_const(0)
}

fn advance(code: &mut InstructionSink<'_>, local: u32, bytes: i32) {
    code.local_get(local).i32_const(bytes).i32_add().local_set(local);
}

/// (buffer, length): bytes of a xorshift generator (Marsaglia, 2003).
fn random<'a, 'b>(code: &'a mut InstructionSink<'b>, state: u32) -> &'a mut InstructionSink<'b> {
    code.i64_const(SEED as i64).local_set(state);
    repeated(code, 1, |code| {
        code.local_get(state).local_get(state).i64_const(13).i64_shl().i64_xor().local_set(state);
        code.local_get(state).local_get(state).i64_const(7).i64_shr_u().i64_xor().local_set(state);
        code.local_get(state).local_get(state).i64_const(17).i64_shl().i64_xor().local_set(state);
        code.local_get(0).local_get(state).i64_store8(place(0, 0));
        advance(code, 0, 1);
    })
}

/// (descriptor, buffers, count, answer): all of it is written, to nowhere.
fn write<'a, 'b>(code: &'a mut InstructionSink<'b>, total: u32) -> &'a mut InstructionSink<'b> {
    code.local_get(3).i32_const(0).i32_store(place(0, 2));
    repeated(code, 2, |code| {
        code.local_get(total).local_get(1).i32_load(place(4, 2)).i32_add().local_set(total);
        code.local_get(3).local_get(total).i32_store(place(0, 2));
        advance(code, 1, IOVEC_BYTES);
    })
}

/// (subscriptions, events, count, answer): each has happened, without an error.
fn poll<'a, 'b>(code: &'a mut InstructionSink<'b>) -> &'a mut InstructionSink<'b> {
    code.local_get(3).local_get(2).i32_store(place(0, 2));
    repeated(code, 2, |code| {
        // The caller's own number, no error, and the kind of the subscription.
        code.local_get(1).local_get(0).i64_load(place(0, 3)).i64_store(place(0, 3));
        code.local_get(1).local_get(0).i32_load8_u(place(8, 0)).i32_const(16).i32_shl().i32_store(place(8, 2));
        advance(code, 0, SUBSCRIPTION_BYTES);
        advance(code, 1, EVENT_BYTES);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_imports_is_there_with_the_same_type() {
        let module = wat::parse_str(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "poll_oneoff" (func (param i32 i32 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
                (import "wasi_snapshot_preview1" "environ_sizes_get" (func (param i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "path_open"
                    (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
                (import "elsewhere" "other" (func)))"#,
        )
        .unwrap();
        let adapter = adapter(&module).unwrap();
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(&adapter) {
            if let Payload::ExportSection(section) = payload.unwrap() {
                names.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
        }
        let wanted = "clock_time_get environ_sizes_get fd_write path_open poll_oneoff proc_exit random_get";
        assert_eq!(names.join(" "), wanted);
        assert_eq!(imported(&module).unwrap().len(), 7);
    }
}
