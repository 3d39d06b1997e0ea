//! Plugins that are none, or of another world, and grants that fit nothing.

use super::{GOOD, refused, words};
use crate::harness::{Folder, guest, guest_arg};

/// A module whose only export is a function: no component.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

#[test]
fn what_is_no_component_is_refused_as_what_it_is() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(200, 0);
    for (name, bytes, found) in [
        ("core.wasm", CORE_MODULE, "a core module"),
        ("text.wat", b"(component)", "WebAssembly text"),
        ("packed.zip", b"PK\x03\x04rest", "a zip archive"),
        ("empty.wasm", b"", "an empty file"),
        ("native.cwasm", &elf, "compiled code (.cwasm)"),
        ("notes.txt", b"hello", "no WebAssembly"),
        ("future.wasm", b"\0asm\x63\0\x07\0", "a WebAssembly binary of another version"),
    ] {
        folder.write(name, bytes);
        for flag in ["--plugin", "--validator"] {
            let line = format!("run --input in.ndjson --id id {flag} {name}");
            let ran = refused(&folder, &line, 4, "GUEST_10011", name);
            assert!(
                ran.stderr.contains(&format!("found {found}")) && ran.stderr.contains("wanted a"),
                "{}",
                ran.stderr
            );
        }
        refused(&folder, &format!("inspect {name}"), 4, "GUEST_10011", name);
        refused(&folder, &format!("validate --input in.ndjson --plugin {name}"), 4, "GUEST_10011", name);
    }
    refused(&folder, "run --input in.ndjson --plugin none.wasm", 4, "GUEST_10011", "none.wasm").says("check the path");
    refused(&folder, "run --input in.ndjson --plugin .", 4, "GUEST_10011", "plugin .");
    refused(&folder, "inspect none.wasm", 4, "GUEST_10011", "none.wasm");
}

#[test]
fn a_component_of_another_world_is_refused_with_what_was_found_and_wanted() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let (rules, identity) = (guest_arg("ticket-rules"), guest_arg("identity"));
    let ran =
        refused(&folder, &format!("run --input in.ndjson --plugin {rules}"), 4, "GUEST_10011", "ticket-rules.wasm");
    ran.says("atlas:batch/operation@0.1.0")
        .says("exports atlas:batch/validator@0.1.0")
        .says("hint: it fits as a validator: use --validator");
    let ran =
        refused(&folder, &format!("run --input in.ndjson --validator {identity}"), 4, "GUEST_10011", "identity.wasm");
    ran.says("atlas:batch/validator@0.1.0").says("hint: it fits as an operation: use --plugin");
    // A component that exports nothing, and one that wants what nobody offers.
    let component = |text: &str| wat::parse_str(text).expect("the text is a component");
    folder.write("nothing.wasm", component("(component)"));
    refused(&folder, "run --input in.ndjson --plugin nothing.wasm", 4, "GUEST_10011", "nothing.wasm")
        .says("exports nothing");
    let ran = words(&folder, "inspect nothing.wasm").exits(4);
    assert!(ran.stdout.contains("fits as   nothing") && ran.stdout.contains("why"), "{}", ran.stdout);
    folder.write("greedy.wasm", component("(component (import \"acme:secrets/vault@1.0.0\" (instance)))"));
    refused(&folder, "run --input in.ndjson --plugin greedy.wasm", 4, "GUEST_10012", "greedy.wasm")
        .says("acme:secrets/vault@1.0.0");
    refused(
        &folder,
        &format!("run --input in.ndjson --plugin {identity} --memory 64KiB"),
        4,
        "GUEST_10013",
        "identity.wasm",
    )
    .says("hint: raise --memory");
    let bytes = std::fs::read(guest("identity")).expect("a guest");
    folder.write("cut.wasm", &bytes[..bytes.len() / 2]);
    let ran = words(&folder, "run --input in.ndjson --plugin cut.wasm").exits(4);
    assert!(ran.stderr.starts_with("error[GUEST_100") && ran.stderr.contains("cut.wasm"), "{}", ran.stderr);
    assert!(!folder.at("atlas.db").exists());
}

#[cfg(not(feature = "oci"))]
#[test]
fn an_image_is_refused_by_a_build_that_has_no_way_to_registries() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let reference = "oci://127.0.0.1:1/tidy:1";
    for line in [
        format!("run --input in.ndjson --plugin {reference}"),
        format!("validate --input in.ndjson --validator rules={reference}"),
        format!("inspect {reference}"),
        format!("plugins lock {reference}"),
    ] {
        refused(&folder, &line, 2, "CONFIG_3001", reference).says("cargo build --release --features oci");
    }
    refused(&folder, "inspect oci://127.0.0.1:1/Tidy", 2, "CONFIG_3001", "oci://127.0.0.1:1/Tidy").says("write oci://");
}

#[test]
fn plugins_and_grants_that_do_not_fit_together_are_refused() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let identity = guest_arg("identity");
    let run = format!("run --input in.ndjson --plugin {identity}");
    refused(&folder, &format!("{run} --grant-dir none"), 2, "CONFIG_3001", "--grant-dir none");
    refused(&folder, &format!("{run} --grant-env ATLAS_TEST_NOT_SET"), 2, "CONFIG_3001", "ATLAS_TEST_NOT_SET");
    refused(&folder, &format!("{run} --grant-host localhost"), 2, "CONFIG_3001", "--grant-host localhost")
        .says("HOST:PORT");
    refused(&folder, &format!("{run} --grant-collection a-b"), 2, "CONFIG_3001", "--grant-collection");
    let rules = guest_arg("ticket-rules");
    let twice = format!("run --input in.ndjson --validator a={rules} --validator a={rules}");
    refused(&folder, &twice, 2, "CONFIG_3001", "two slots are called a");
}
