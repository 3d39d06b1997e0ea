//! The interfaces that the host offers: what is not granted, and how often they may be called.

use super::component::{Half, Module, POISON, reject, replace, when_poisoned};
use super::{ITEMS, faults_cost_only_their_items, folder, items, run, text};

const GET: &str = r#"(import "atlas:batch/store@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32 i32)))"#;
const GET_MANY: &str = r#"(import "atlas:batch/store@0.1.0" "get-many" (func $many (param i32 i32 i32 i32 i32 i32)))"#;
const ATTEMPT: &str = r#"(import "atlas:batch/context@0.1.0" "attempt" (func $attempt (result i32)))"#;

/// Rejects the item with a code `E` and the number of the store's error, or replaces its body by what was found.
fn answer() -> String {
    format!(
        "(if (i32.load8_u (i32.const 1024))
           (then (i32.store8 (i32.const 4111) (i32.add (i32.const 48) (i32.load8_u (i32.const 1028)))) {})
           (else (if (i32.load8_u (i32.const 1028)) (then {}))))",
        reject("(i32.const 4110)", "(i32.const 2)"),
        replace("(i32.load (i32.const 1032))", "(i32.load (i32.const 1036))"),
    )
}

/// A plugin that reads the row `k` of the collection `vault`.
fn reading_vault() -> Vec<u8> {
    let each = format!(
        "(call $get (i32.const 1) (i32.const 4096) (i32.const 5) (i32.const 4105) (i32.const 1) (i32.const 1024)) {}",
        answer()
    );
    let fields = r#"(data (i32.const 4096) "vault") (data (i32.const 4105) "k") (data (i32.const 4110) "E?")"#;
    Module { imports: GET, fields, each: &each, ..Module::default() }.component()
}

#[test]
fn a_collection_that_is_not_granted_cannot_be_read() {
    let folder = folder(&reading_vault(), &items(3, &[]));
    folder.write("vault.ndjson", "{\"id\":\"k\",\"secret\":1}\n");
    folder.atlas(["run", "-q", "--input", "vault.ndjson", "--id", "id", "--into", "vault"]).run().exits(0);
    let left = run(&folder, "atlas.db", &["--plugin", "plugin.wasm"]);
    let codes: Vec<String> = left.letters.iter().map(|letter| text(letter, "code")).collect();
    // The first case of `store.error`.
    assert_eq!(codes, ["E0", "E0", "E0"]);
}

#[test]
fn a_collection_that_is_granted_can_be_read() {
    let folder = folder(&reading_vault(), &items(3, &[]));
    folder.write("vault.ndjson", "{\"secret\":1}\n");
    folder.write("names.csv", "id,n\nk,1\n");
    folder.atlas(["run", "-q", "--input", "names.csv", "--id", "id", "--into", "vault"]).run().exits(0);
    // What is found in the vault carries another id, which is a contract fault: proof that it was read.
    let left = run(&folder, "atlas.db", &["--plugin", "plugin.wasm", "--grant-collection", "vault"]);
    let codes: Vec<String> = left.letters.iter().map(|letter| text(letter, "code")).collect();
    assert_eq!(codes, ["GUEST_10007", "GUEST_10007", "GUEST_10007"], "{:?}", left.stored);
}

#[test]
fn a_granted_collection_that_does_not_exist_is_said_not_to_exist() {
    let folder = folder(&reading_vault(), &items(3, &[]));
    let left = run(&folder, "atlas.db", &["--plugin", "plugin.wasm", "--grant-collection", "vault"]);
    let codes: Vec<String> = left.letters.iter().map(|letter| text(letter, "code")).collect();
    assert_eq!(codes, ["E1", "E1", "E1"], "{:?}", left.stored);
}

#[test]
fn more_ids_than_one_read_may_have_are_over_the_limit() {
    // 1,001 empty ids at address 16384.
    let each = when_poisoned(&format!(
        "(call $many (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16384) (i32.const 1001) (i32.const 1024)) {}",
        answer()
    ));
    let fields = r#"(data (i32.const 4110) "E?")"#;
    let plugin = Module { imports: GET_MANY, fields, each: &each, ..Module::default() }.component();
    let folder = folder(&plugin, &items(ITEMS, &[]));
    faults_cost_only_their_items("1,001 ids", &folder, &[(POISON as usize, "E3")], &["--plugin", "plugin.wasm"]);
}

#[test]
fn reads_beyond_the_quota_of_a_call_are_over_the_limit() {
    let each = when_poisoned(&format!(
        "(local.set $a (i32.const 0))
         (loop $more
           (call $get (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4105) (i32.const 1) (i32.const 1024))
           (local.set $a (i32.add (local.get $a) (i32.const 1)))
           (br_if $more (i32.and (i32.le_u (local.get $a) (i32.const 100000)) (i32.eqz (i32.load8_u (i32.const 1024))))))
         {}",
        answer()
    ));
    let fields = r#"(data (i32.const 4105) "k") (data (i32.const 4110) "E?")"#;
    let plugin = Module { imports: GET, fields, each: &each, ..Module::default() }.component();
    let folder = folder(&plugin, &items(ITEMS, &[]));
    let left = run(&folder, "atlas.db", &["--plugin", "plugin.wasm", "--deadline", "30s"]);
    let codes: Vec<String> = left.letters.iter().map(|letter| text(letter, "code")).collect();
    assert_eq!(codes, ["E3"]);
    assert_eq!(left.stored.len(), ITEMS - 1);
}

#[test]
fn host_calls_without_end_cost_one_item() {
    for (half, flag) in [(Half::Operation, "--plugin"), (Half::Validator, "--validator")] {
        let each = when_poisoned("(loop $more (drop (call $attempt)) (br $more))");
        let plugin = Module { half, imports: ATTEMPT, each: &each, ..Module::default() }.component();
        let folder = folder(&plugin, &items(ITEMS, &[]));
        let flags = [flag, "plugin.wasm", "--deadline", "30s"];
        faults_cost_only_their_items("a million calls", &folder, &[(POISON as usize, "GUEST_10009")], &flags);
    }
}

#[test]
fn an_argument_over_the_bound_of_a_call_costs_one_item() {
    // A log line of 17 MB; one of 1 MB is only cut.
    for (bytes, faults) in [(17_000_000, &[(POISON as usize, "GUEST_10005")][..]), (1_000_000, &[])] {
        let each = when_poisoned(&format!("(call $log (i32.const 2) (i32.const 65536) (i32.const {bytes}))"));
        let imports = r#"(import "atlas:batch/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
        let plugin = Module { imports, each: &each, pages: 300, ..Module::default() }.component();
        let folder = folder(&plugin, &items(ITEMS, &[]));
        faults_cost_only_their_items(&format!("{bytes} bytes"), &folder, faults, &["--plugin", "plugin.wasm"]);
    }
}

#[test]
fn a_level_that_does_not_exist_costs_one_item() {
    let each = when_poisoned("(call $log (i32.const 17) (i32.const 0) (i32.const 0))");
    let imports = r#"(import "atlas:batch/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let folder = folder(&Module { imports, each: &each, ..Module::default() }.component(), &items(ITEMS, &[]));
    faults_cost_only_their_items(
        "level 17",
        &folder,
        &[(POISON as usize, "GUEST_10006")],
        &["--plugin", "plugin.wasm"],
    );
}

#[test]
fn a_row_larger_than_one_answer_may_be_is_over_the_limit() {
    let folder = folder(&reading_vault(), &items(3, &[]));
    folder.write("vault.csv", format!("id,text\nk,{}\n", "x".repeat((1 << 20) + 1)));
    folder.atlas(["run", "-q", "--input", "vault.csv", "--id", "id", "--into", "vault"]).run().exits(0);
    let left = run(&folder, "atlas.db", &["--plugin", "plugin.wasm", "--grant-collection", "vault"]);
    let codes: Vec<String> = left.letters.iter().map(|letter| text(letter, "code")).collect();
    assert_eq!(codes, ["E3", "E3", "E3"], "{:?}", left.stored);
}
