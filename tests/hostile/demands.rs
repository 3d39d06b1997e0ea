//! The guest `faulty`, asked for each of its faults.

use std::time::{Duration, Instant};

use super::component::Module;
use super::{ITEMS, faults_cost_only_their_items, items, run, text};
use crate::harness::{Folder, guest_arg};

const AT: usize = 13;

fn asked(fault: &str) -> Folder {
    let folder = Folder::new();
    let body = format!(r#"{{"id":"i-013","fault":"{fault}"}}"#);
    folder.write("items.ndjson", items(ITEMS, &[(AT, body)]));
    folder
}

#[test]
fn each_fault_of_an_operation_has_its_code_and_costs_one_item() {
    let plugin = guest_arg("faulty");
    for (fault, code) in [
        ("trap", "GUEST_10001"),
        ("spin", "GUEST_10002"),
        ("alloc", "GUEST_10003"),
        ("recurse", "GUEST_10004"),
        ("huge-output", "GUEST_10005"),
        ("wrong-id", "GUEST_10005"),
        ("emit(1001)", "GUEST_10005"),
        ("short", "GUEST_10007"),
        ("long", "GUEST_10007"),
        ("bad-json", "GUEST_10008"),
        ("deep-json", "GUEST_10008"),
        ("reject", "FAULTY_REJECT"),
        ("retry", "FAULTY_RETRY"),
        ("transient(3)", "FAULTY_RETRY"),
        ("big-message", "FAULTY_BIG"),
        ("nonsense", "FAULTY_UNKNOWN"),
    ] {
        let flags = ["--plugin", &plugin, "--deadline", "300ms"];
        faults_cost_only_their_items(fault, &asked(fault), &[(AT, code)], &flags);
    }
}

#[test]
fn each_fault_of_a_validator_has_its_code_and_costs_one_item() {
    let plugin = guest_arg("faulty");
    for (fault, code) in [
        ("trap", "GUEST_10001"),
        ("spin", "GUEST_10002"),
        ("alloc", "GUEST_10003"),
        ("recurse", "GUEST_10004"),
        ("short", "GUEST_10007"),
        ("long", "GUEST_10007"),
        ("reject", "FAULTY_REJECT"),
        ("reject(1000)", "FAULTY_REJECT"),
        ("big-message", "FAULTY_BIG"),
        ("nonsense", "FAULTY_UNKNOWN"),
    ] {
        let folder = asked(&format!("validator-{fault}"));
        let flags = ["--validator", &plugin, "--plugin", &guest_arg("identity"), "--deadline", "300ms"];
        faults_cost_only_their_items(fault, &folder, &[(AT, code)], &flags);
    }
}

#[test]
fn a_validator_that_refuses_with_nothing_still_refuses() {
    let folder = asked("validator-reject(0)");
    let flags = ["--validator", &guest_arg("faulty")];
    faults_cost_only_their_items("no problems", &folder, &[(AT, "VALIDATION_4001")], &flags);
}

#[test]
fn what_is_no_fault_is_stored() {
    let plugin = guest_arg("faulty");
    for fault in ["slow(5)", "flood", "transient(2)", "retry(1)"] {
        let flags = ["--plugin", &plugin, "--deadline", "5s"];
        faults_cost_only_their_items(fault, &asked(fault), &[], &flags);
    }
}

#[test]
fn drops_and_copies_are_counted_as_what_they_are() {
    let plugin = guest_arg("faulty");
    let left = run(&asked("drop"), "atlas.db", &["--plugin", &plugin]);
    assert_eq!((left.code, left.report["dropped"].as_u64(), left.stored.len()), (Some(0), Some(1), ITEMS - 1));
    let left = run(&asked("emit(1000)"), "atlas.db", &["--plugin", &plugin]);
    assert_eq!((left.code, left.report["stored"].as_u64()), (Some(0), Some(ITEMS as u64)));
    assert_eq!(left.stored.len(), ITEMS - 1 + 1000);
    let left = run(&asked("emit(0)"), "atlas.db", &["--plugin", &plugin]);
    assert_eq!((left.code, left.report["dropped"].as_u64(), left.stored.len()), (Some(0), Some(1), ITEMS - 1));
}

#[test]
fn a_message_too_long_is_cut_and_its_length_is_kept() {
    let left = run(&asked("big-message"), "atlas.db", &["--plugin", &guest_arg("faulty")]);
    let message = text(&left.letters[0]["problems"][0], "message");
    assert!(message.starts_with("xxxx") && message.ends_with("(131072 bytes in all)"), "{}", message.len());
    assert!(message.len() < 4200, "{} bytes are kept", message.len());
}

#[test]
fn problems_beyond_their_bound_are_left_out() {
    let left = run(&asked("validator-reject(1000)"), "atlas.db", &["--validator", &guest_arg("faulty")]);
    assert_eq!(left.letters[0]["problems"].as_array().expect("a list").len(), 100);
}

#[test]
fn a_flood_of_log_lines_is_cut_and_counted() {
    let folder = asked("flood");
    let plugin = guest_arg("faulty");
    let run = ["run", "-v", "--input", "items.ndjson", "--id", "id", "--plugin", &plugin, "--events", "events.ndjson"];
    let ran = folder.atlas([&run[..], &["--batch-size", "10", "--lanes", "1"]].concat()).run().exits(0);
    assert_eq!(ran.stderr.matches("of a flood").count(), 100, "{}", ran.stderr);
    let dropped: Vec<serde_json::Value> = folder
        .read("events.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|event: &serde_json::Value| event["event"] == "log-dropped")
        .collect();
    assert_eq!(dropped.len(), 1, "{dropped:?}");
    assert_eq!((&dropped[0]["lines"], &dropped[0]["slot"]), (&100.into(), &"faulty".into()));
}

/// A sandbox that saw a fault is never used again, so that an item which traps costs some starts.
#[test]
fn lines_of_sandboxes_that_start_over_and_over_count_in_their_batch() {
    let fields = r#"(data (i32.const 4096) "at the start")
        (func (export "_initialize") (local $n i32)
          (loop $more
            (call $log (i32.const 4) (i32.const 4096) (i32.const 12))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $n) (i32.const 150)))))"#;
    let imports = r#"(import "atlas:batch/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let plugin = Module { imports, fields, each: "unreachable", ..Module::default() }.component();
    let folder = super::folder(&plugin, &items(20, &[]));
    let run = "run --input items.ndjson --id id --plugin plugin.wasm --events events.ndjson --batch-size 20 --lanes 1 \
               --strategy sequential";
    let ran = folder.atlas(run.split_whitespace()).run().exits(3);
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("at the start")).collect();
    let of_batch = lines.iter().filter(|line| line.contains("batch=0")).count();
    assert_eq!((lines.len(), of_batch), (200, 100), "the probe has a budget, and the batch: {}", ran.stderr);
    let events = folder.read("events.ndjson");
    let dropped: Vec<serde_json::Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|event: &serde_json::Value| event["event"] == "log-dropped")
        .collect();
    let lines = dropped.iter().map(|event| event["lines"].as_u64().expect("a count")).collect::<Vec<_>>();
    assert!(matches!(lines[..], [lines] if lines > 150 && lines % 150 == 50), "{dropped:?}");
}

#[test]
fn a_run_that_has_ended_waits_for_no_item_that_hangs() {
    let folder = Folder::new();
    let item = |n: usize| {
        let fault = if n == 0 { "reject" } else { "spin" };
        // The first batch is quick, those after it take minutes.
        if n == 0 || n >= 100 {
            format!("{{\"id\":\"{n}\",\"fault\":\"{fault}\"}}\n")
        } else {
            format!("{{\"id\":\"{n}\"}}\n")
        }
    };
    folder.write("items.ndjson", (0..300).map(item).collect::<String>());
    let plugin = guest_arg("faulty");
    let line = format!(
        "run --input items.ndjson --id id --plugin {plugin} --max-rejects 0 --batch-size 100 --lanes 2 --deadline 2s"
    );
    let begun = Instant::now();
    folder.atlas(line.split(' ')).run().exits(3);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}, where all calls would take minutes");
}
