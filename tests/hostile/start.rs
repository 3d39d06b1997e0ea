//! What is refused at the start: exit 4, the file and the reason are named, and no store is made.

use std::process::Child;

use serde_json::Value;
use wit_parser::Resolve;

use super::component::{Half, Module, wrapped};
use super::{folder, items};
use crate::harness::{Folder, Ran, guest};

/// Runs a plugin that has to be refused.
#[track_caller]
fn refused(plugin: &[u8], code: &str, says: &[&str], more: &[&str]) -> Ran {
    let folder = folder(plugin, &items(3, &[]));
    let run = ["run", "-q", "--input", "items.ndjson", "--plugin", "plugin.wasm"];
    let ran = folder.atlas([&run[..], more].concat()).run().exits(4).says(code).says("plugin.wasm");
    for text in says {
        assert!(ran.stderr.contains(text), "{text:?} is not in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(!folder.at("atlas.db").exists(), "a store was made for a plugin that was refused");
    ran
}

#[test]
fn a_start_function_that_traps_or_never_ends_is_refused() {
    for (body, says) in [("unreachable", "unreachable"), ("(loop $again (br $again))", "300 ms")] {
        let fields = format!("(func $start {body}) (start $start)");
        let plugin = Module { fields: &fields, ..Module::default() }.component();
        refused(&plugin, "GUEST_10010", &["cannot be started", says], &["--deadline", "300ms"]);
    }
}

#[test]
fn a_plugin_that_does_not_fit_into_its_memory_is_refused() {
    // What was found is named: 2,000 pages of 64 KiB; 30,000 elements, and their bound.
    let plugin = Module { pages: 2000, ..Module::default() }.component();
    refused(&plugin, "GUEST_10013", &["131072000", "--memory"], &["--memory", "64MiB"]);
    let plugin = Module { fields: "(table 30000 funcref)", ..Module::default() }.component();
    refused(&plugin, "GUEST_10013", &["30000", "20000"], &[]);
}

#[test]
fn each_import_beyond_the_world_is_named() {
    let package =
        "package evil:machine@1.0.0; interface shell { run: func(command: string); } interface gpu { burn: func(); }";
    let plugin = Module {
        world: "import evil:machine/shell@1.0.0; import evil:machine/gpu@1.0.0;",
        packages: &[package],
        imports: r#"(import "evil:machine/shell@1.0.0" "run" (func $run (param i32 i32)))
            (import "evil:machine/gpu@1.0.0" "burn" (func $burn))"#,
        each: "(call $run (i32.const 0) (i32.const 0)) (call $burn)",
        ..Module::default()
    };
    let names = ["evil:machine/shell@1.0.0", "evil:machine/gpu@1.0.0"];
    let ran = refused(&plugin.component(), "GUEST_10012", &names, &[]);
    assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
    let folder = folder(&plugin.component(), "");
    let inspected = folder.atlas(["inspect", "plugin.wasm", "--output", "json"]).run().exits(4).json();
    assert_eq!((&inspected["operation"], &inspected["validator"]), (&false.into(), &false.into()), "{inspected}");
    let notes = inspected["notes"].to_string();
    assert!(names.iter().all(|name| notes.contains(name)), "{notes}");

    let package = "package wasi:http@0.2.0; interface outgoing-handler { handle: func(); }";
    let plugin = Module {
        world: "import wasi:http/outgoing-handler@0.2.0;",
        packages: &[package],
        imports: r#"(import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle))"#,
        each: "(call $handle)",
        ..Module::default()
    };
    refused(&plugin.component(), "GUEST_10012", &["wasi:http/outgoing-handler@0.2.0"], &[]);
}

#[test]
fn an_import_that_the_interface_does_not_have_is_refused() {
    let package = "package wasi:random@0.2.0; interface random { get-lucky: func() -> u64; }";
    let plugin = Module {
        world: "import wasi:random/random@0.2.0;",
        packages: &[package],
        imports: r#"(import "wasi:random/random@0.2.0" "get-lucky" (func $lucky (result i64)))"#,
        each: "(drop (call $lucky))",
        ..Module::default()
    };
    refused(&plugin.component(), "GUEST_10012", &["get-lucky"], &[]);
    // Nor does it fit for whoever only looks.
    let folder = folder(&plugin.component(), "");
    let inspected = folder.atlas(["inspect", "plugin.wasm", "--output", "json"]).run().exits(4).json();
    assert_eq!((&inspected["operation"], &inspected["validator"]), (&false.into(), &false.into()), "{inspected}");
    let notes = inspected["notes"].as_array().expect("notes");
    assert!(notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains("get-lucky"))), "{notes:?}");
}

#[test]
fn of_many_names_a_refusal_tells_the_first_and_of_a_long_one_its_beginning() {
    let long = "x".repeat(5000);
    let names = |kind: &str, what: &str| -> String {
        (0..60).map(|n| format!("({kind} \"strange:pack{n}/{long}@1.0.0\" {what})")).collect()
    };
    let imports = format!("(component {})", names("import", "(instance)"));
    let exports = format!("(component (instance $i) {})", names("export", "(instance $i)"));
    for (text, code, says) in [
        (imports, "GUEST_10012", "imports what is not offered: strange:pack0/xxx"),
        (exports, "GUEST_10011", "exports strange:pack0/xxx"),
    ] {
        let plugin = wat::parse_str(text).expect("the text is a component");
        let ran = refused(&plugin, code, &[says, "strange:pack4/", "… and 55 more"], &[]);
        assert!(!ran.stderr.contains("strange:pack5/") && ran.stderr.len() < 4 << 10, "{}", ran.stderr);
    }
}

#[test]
fn what_is_no_component_is_refused_by_its_kind() {
    let module = wat::parse_str(Module::default().text()).expect("the text is well-formed");
    refused(&module, "GUEST_10011", &["a core module", "hint:"], &[]);
    refused(Module::default().text().as_bytes(), "GUEST_10011", &["WebAssembly text"], &[]);
    refused(b"", "GUEST_10011", &["an empty file"], &[]);
    refused(b"PK\x03\x04 and so on", "GUEST_10011", &["a zip archive"], &[]);
    refused(b"#!/bin/sh\necho hello\n", "GUEST_10011", &["no WebAssembly"], &[]);
    refused(b"\0asm\x02\0\0\0", "GUEST_10011", &["another version"], &[]);
    refused(b"\x7fELF\x02\x01\x01 and so on", "GUEST_10011", &["compiled code"], &[]);
}

#[test]
fn compiled_code_is_refused_even_if_this_host_compiled_it() {
    let folder = folder(&Module::default().component(), &items(3, &[]));
    let cache = folder.at("cache");
    folder.atlas(["inspect", "plugin.wasm"]).env("ATLAS_CACHE_DIR", &cache).run().exits(0);
    let artefact = super::cache::artefact(&cache);
    let bytes = std::fs::read(&artefact).expect("an artefact");
    for (what, bytes) in [("with its head", &bytes[..]), ("without its head", &bytes[40..])] {
        let ran = refused(bytes, "GUEST_10011", &[], &[]);
        assert!(ran.stderr.contains("wanted a WebAssembly component"), "{what}: {}", ran.stderr);
    }
}

#[test]
fn damaged_components_are_refused_without_a_crash() {
    let whole = std::fs::read(guest("identity")).expect("a guest");
    for cut in [9, 100, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..cut], "GUEST_1001", &[], &[]);
    }
    let mut refusals = 0;
    for at in (8..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let folder = folder(&bytes, &items(3, &[]));
        let ran = folder.atlas(["inspect", "plugin.wasm"]).run();
        // A changed name or number may still be a good component.
        assert!(matches!(ran.code, Some(0 | 4)), "byte {at}: {ran:?}");
        refusals += u32::from(ran.code == Some(4));
    }
    assert!(refusals > 0, "no damage was found");
}

/// A component that exports `interface`, as this WIT has it, from the package of the contract or another version of it.
fn of_another_contract(version: &str, function: &str) -> Vec<u8> {
    let wit = format!(
        "package atlas:batch@{version};
         interface operation {{ {function} }}
         world plugin {{ export operation; }}"
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_str("other.wit", &wit).expect("the WIT is well-formed");
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "atlas:batch/operation@{version}#apply") (param i32 i32) (result i32) (i32.const 0)))"#
    );
    wrapped(&resolve, package, &text, wit_component::StringEncoding::UTF8)
}

#[test]
fn another_contract_is_refused_with_what_was_found_and_wanted() {
    let wanted = "list<record{ordinal: u64, id: string, body: string}>";
    let strings = of_another_contract("0.1.0", "apply: func(items: list<string>) -> list<u8>;");
    refused(&strings, "GUEST_10011", &["found func(list<string>) -> list<u8>", wanted], &[]);
    let newer = of_another_contract("0.2.0", "apply: func(items: list<string>) -> list<u8>;");
    refused(&newer, "GUEST_10011", &["atlas:batch/operation@0.2.0", "atlas:batch/operation@0.1.0"], &[]);
    let patched = of_another_contract("0.1.7", "apply: func(items: list<string>) -> list<u8>;");
    refused(&patched, "GUEST_10011", &["found func(list<string>) -> list<u8>"], &[]);
    // What came before the first version keeps no promise of it.
    let draft = of_another_contract("0.1.0-rc.1", "apply: func(items: list<string>) -> list<u8>;");
    let says = ["does not export atlas:batch/operation@0.1.0,", "exports atlas:batch/operation@0.1.0-rc.1"];
    refused(&draft, "GUEST_10011", &says, &[]);
}

#[test]
fn of_two_versions_the_one_that_would_be_called_is_looked_at() {
    let mut resolve = Resolve::default();
    for (version, items) in [("0.1.7", "string"), ("0.1.0", "u8")] {
        let wit = format!(
            "package atlas:batch@{version}; interface operation {{ apply: func(items: list<{items}>) -> list<u8>; }}"
        );
        resolve.push_str(format!("{version}.wit"), &wit).expect("the WIT is well-formed");
    }
    let world =
        "package test:both; world plugin { export atlas:batch/operation@0.1.7; export atlas:batch/operation@0.1.0; }";
    let package = resolve.push_str("both.wit", world).expect("the world is well-formed");
    let text = r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
        (func (export "atlas:batch/operation@0.1.7#apply") (param i32 i32) (result i32) (i32.const 0))
        (func (export "atlas:batch/operation@0.1.0#apply") (param i32 i32) (result i32) (i32.const 0)))"#;
    let plugin = wrapped(&resolve, package, text, wit_component::StringEncoding::UTF8);
    refused(&plugin, "GUEST_10011", &["found func(list<u8>) -> list<u8>"], &[]);
}

#[test]
fn a_type_that_is_endless_in_words_is_told_in_few() {
    // Some 200 KB in the component, and a thousand times as much where each mention is spelt out.
    let cases: Vec<String> = (0..5000).map(|n| format!("a-case-with-a-name-of-some-length-n{n}")).collect();
    let mentions = vec!["big"; 1000].join(", ");
    let function =
        format!("enum big {{ {} }} apply: func(items: list<tuple<{mentions}>>) -> list<u8>;", cases.join(", "));
    let plugin = of_another_contract("0.1.0", &function);
    let says = ["found func(list<tuple<enum{a-case-with-a-name-of-some-length-n0, ", " and so on, wanted func("];
    let ran = refused(&plugin, "GUEST_10011", &says, &[]);
    assert!(ran.stderr.len() < 16 << 10, "{} bytes are said", ran.stderr.len());
    let folder = folder(&plugin, "");
    let inspected = folder.atlas(["inspect", "plugin.wasm", "--output", "json"]).run().exits(4);
    assert!(inspected.stdout.len() < 16 << 10, "{} bytes are shown", inspected.stdout.len());
}

#[test]
fn a_plugin_in_the_wrong_place_is_told_its_right_one() {
    let validator = Module { half: Half::Validator, ..Module::default() }.component();
    refused(&validator, "GUEST_10011", &["does not export atlas:batch/operation@0.1.0", "use --validator"], &[]);
    let folder = folder(&Module::default().component(), &items(3, &[]));
    let run = ["run", "-q", "--input", "items.ndjson", "--validator", "plugin.wasm"];
    folder.atlas(run).run().exits(4).says("GUEST_10011").says("use --plugin");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    folder.write("items.ndjson", items(3, &[]));
    std::fs::create_dir(folder.at("folder.wasm")).expect("a folder");
    for file in ["absent.wasm", "folder.wasm"] {
        let ran = folder.atlas(["run", "-q", "--input", "items.ndjson", "--plugin", file]).run().exits(4);
        assert!(ran.stderr.contains(file) && ran.stderr.contains("hint:"), "{}", ran.stderr);
    }
}

#[test]
fn a_file_over_the_bound_is_refused_before_it_is_read() {
    let folder = folder(b"", &items(3, &[]));
    let file = std::fs::File::create(folder.at("plugin.wasm")).expect("a file");
    file.set_len((64 << 20) + 1).expect("a file with a hole");
    let ran = folder.atlas(["run", "-q", "--input", "items.ndjson", "--plugin", "plugin.wasm"]).run().exits(4);
    assert!(ran.stderr.contains("GUEST_10013") && ran.stderr.contains("67108865"), "{}", ran.stderr);
}

#[test]
fn a_file_without_an_end_is_read_to_the_bound_alone() {
    let folder = Folder::new();
    folder.write("items.ndjson", items(3, &[]));
    for line in ["inspect /dev/zero", "run -q --input items.ndjson --plugin /dev/zero"] {
        let ran = folder.atlas(line.split(' ')).run().exits(4).says("error[GUEST_10013]");
        ran.says("plugin /dev/zero has more bytes than the bound of 67108864");
    }
}

#[test]
fn a_large_plugin_compiles_and_a_monstrous_one_does_no_harm() {
    let functions: String = (0..5000)
        .map(|number| {
            format!(
                "(func (param i32) (result i32) (i32.mul (i32.add (local.get 0) (i32.const {number})) (i32.const 7)))"
            )
        })
        .collect();
    let large = Module { fields: &functions, ..Module::default() }.component();
    let folder = folder(&large, &items(3, &[]));
    folder.atlas(["run", "-q", "--input", "items.ndjson", "--plugin", "plugin.wasm"]).run().exits(0);

    let deep = format!("(func {} {})", "(block ".repeat(5000), ")".repeat(5000));
    let locals = format!("(func {} (local.set 0 (i32.const 1)))", "(local i32)".repeat(49_000));
    for monstrous in [deep, locals] {
        let folder = super::folder(&Module { fields: &monstrous, ..Module::default() }.component(), &items(3, &[]));
        let ran = folder.atlas(["run", "-q", "--input", "items.ndjson", "--plugin", "plugin.wasm"]).run();
        assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
    }
}

/// Peak resident memory of a running process, in bytes.
fn peak_bytes(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib << 10
}

#[test]
fn memory_stays_within_its_budget_whatever_plugins_ask_for() {
    const LANES: u64 = 2;
    const MEMORY_BYTES: u64 = 64 << 20;
    let touch = "(local.set $a (memory.grow (i32.const 16)))
        (if (i32.ne (local.get $a) (i32.const -1)) (then
          (memory.fill (i32.mul (local.get $a) (i32.const 65536)) (i32.const 7) (i32.const 1048576)) (br $more)))";
    for (what, fields, each) in [
        ("memory", "", format!("(loop $more {touch}) unreachable")),
        ("a table", "(table $t 1 funcref)", "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable".to_owned()),
        (
            "changes",
            "",
            "(i32.store8 (local.get $one) (i32.const 2)) (i32.store offset=4 (local.get $one) (i32.const 262144)) \
             (i32.store offset=8 (local.get $one) (i32.const 100000))"
                .to_owned(),
        ),
        ("a body", "", super::component::replace("(i32.const 0)", "(i32.const 16000000)")),
    ] {
        let plugin = Module { fields, each: &each, pages: 300, ..Module::default() }.component();
        let folder = folder(&plugin, "");
        let run = ["run", "-q", "--input", "-", "--id", "id", "--plugin", "plugin.wasm", "--lanes", "2", "--events", "-"];
        let bounds = ["--memory", "64MiB", "--batch-size", "10", "--batch-wait", "20ms", "--durability", "normal"];
        let mut child = folder.atlas([&run[..], &bounds].concat()).start();
        // The input stays open, so the process is there to be looked at when all its items have their fate.
        let mut stdin = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut stdin, items(40, &[]).as_bytes()).expect("the process reads");
        let events = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
        let mut done = 0;
        for line in events {
            let event: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            if event["event"] == "batch-committed" {
                done += event["dead_lettered"].as_u64().expect("a count");
            }
            if done == 40 {
                break;
            }
        }
        let peak = peak_bytes(&child);
        drop(stdin);
        let status = child.wait_with_output().expect("the process ends").status;
        assert_eq!((done, status.code()), (40, Some(3)), "{what}");
        let budget = LANES * MEMORY_BYTES + (256 << 20);
        assert!(peak < budget, "{what}: {} MiB at the peak, wanted below {}", peak >> 20, budget >> 20);
    }
}
