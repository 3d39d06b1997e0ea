//! Whoever runs into a bound is told the bound: each refusal names the number, beside what was found.

use super::component::{Module, when_poisoned};
use super::{ITEMS, code_of, folder, items, run, text};
use crate::harness::{Folder, guest_arg};

/// Where the culprit stands among the items.
const AT: usize = 13;

/// What the only dead letter says of an input with this culprit: its code, and all messages of its problems and faults.
#[track_caller]
fn refused(folder: &Folder, flags: &[&str]) -> (String, String) {
    let left = run(folder, "atlas.db", flags);
    assert_eq!((left.letters.len(), left.stored.len()), (1, ITEMS - 1), "{:?}", left.letters);
    let letter = &left.letters[0];
    let problems = letter["problems"].as_array().expect("problems");
    let messages: Vec<String> = problems.iter().map(|problem| text(problem, "message")).collect();
    (code_of(letter), messages.join("; "))
}

fn with_culprit(body: String) -> Folder {
    let folder = Folder::new();
    folder.write("items.ndjson", items(ITEMS, &[(AT, body)]));
    folder
}

#[test]
fn a_bound_that_a_plugin_runs_into_is_named() {
    let plugin = guest_arg("faulty");
    for (fault, code, bound) in [
        ("spin", "GUEST_10002", "within 300 ms"),
        ("alloc", "GUEST_10003", "the bound is 8388608"),
        ("recurse", "GUEST_10004", "the bound is 524288 bytes"),
        ("huge-output", "GUEST_10005", "the bound is 1048576"),
        ("emit(1001)", "GUEST_10005", "the bound is 1000"),
        ("wrong-id", "GUEST_10005", "1 to 512 bytes"),
        ("deep-json", "GUEST_10008", "128 levels"),
        ("short", "GUEST_10007", "returned 0 entries for 1 item"),
        ("long", "GUEST_10007", "returned 2 entries for 1 item"),
    ] {
        let folder = with_culprit(format!(r#"{{"id":"i-013","fault":"{fault}"}}"#));
        let flags = ["--plugin", &plugin, "--deadline", "300ms", "--memory", "8MiB"];
        let (found, message) = refused(&folder, &flags);
        assert_eq!(found, code, "{fault}: {message}");
        assert!(message.contains(bound), "{fault}: {bound:?} is not in {message:?}");
    }
}

#[test]
fn a_bound_that_an_item_runs_into_is_named() {
    for (what, body, bound) in [
        ("a long id", format!(r#"{{"id":"{}"}}"#, "x".repeat(513)), "the bound is 512 bytes"),
        ("a deep item", format!(r#"{{"id":"i-013","a":{}1{}}}"#, "[".repeat(130), "]".repeat(130)), "128 levels"),
        (
            "a long line",
            format!(r#"{{"id":"i-013","a":"{}"}}"#, "x".repeat(3000)),
            "the bound is 2048 bytes (--max-line-bytes)",
        ),
    ] {
        let (code, message) = refused(&with_culprit(body), &["--max-line-bytes", "2KiB"]);
        assert_eq!(code, "VALIDATION_4005", "{what}: {message}");
        assert!(message.contains(bound), "{what}: {bound:?} is not in {message:?}");
    }
}

#[test]
fn a_bound_of_what_a_call_may_ask_of_the_host_is_named() {
    const ATTEMPT: &str = r#"(import "atlas:batch/context@0.1.0" "attempt" (func $attempt (result i32)))"#;
    const LOG: &str = r#"(import "atlas:batch/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    for (what, imports, each, code, bound) in [
        ("calls", ATTEMPT, "(loop $more (drop (call $attempt)) (br $more))", "GUEST_10009", "1000000"),
        (
            "bytes",
            LOG,
            "(call $log (i32.const 2) (i32.const 65536) (i32.const 17000000))",
            "GUEST_10005",
            "more than 16777216 bytes",
        ),
    ] {
        let plugin = Module { imports, each: &when_poisoned(each), pages: 300, ..Module::default() }.component();
        let folder = folder(&plugin, &items(ITEMS, &[]));
        let (found, message) = refused(&folder, &["--plugin", "plugin.wasm", "--deadline", "30s"]);
        assert_eq!(found, code, "{what}: {message}");
        assert!(message.contains(bound), "{what}: {bound:?} is not in {message:?}");
    }
}
