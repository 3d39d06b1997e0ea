//! `runs tune` from a second process, and `runs show --tuning`.

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use super::sharing::Running;
use super::{numbered, plain_run, words};
use crate::harness::{Folder, guest_arg};

/// Settings and values of the events that tell of changed bounds.
fn changed(events: &[Value]) -> Vec<(&str, &str)> {
    let events = events.iter().filter(|event| event["event"] == "bounds-changed");
    events.filter_map(|event| Some((event["setting"].as_str()?, event["value"].as_str()?))).collect()
}

/// Sizes of the plans that batches were cut by.
fn sizes(events: &[Value]) -> Vec<u64> {
    let events = events.iter().filter(|event| event["event"] == "batch-started");
    events.filter_map(|event| event["batch_size"].as_u64()).collect()
}

#[test]
fn another_process_changes_the_bounds_of_a_run_that_is_at_work() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(20), "--batch-size 10 --strategy sequential --lanes 1..2");
    running.committed(20);
    let told = words(&folder, "runs tune 1 --batch-size 25..40 --lanes 1 --attempts 5 --wait 5m").exits(0);
    let lines: Vec<Vec<&str>> = told.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            ["SETTING", "WAS", "IS", "NOW"].as_slice(),
            &["batch-size", "10..10", "25..40"],
            &["lanes", "1..2", "1..1"],
            &["attempts", "3", "5"]
        ]
    );
    let told = words(&folder, "runs tune 1 --attempts 4 --wait 5m --output json").exits(0).json();
    assert_eq!(
        told,
        serde_json::json!({
            "schema": 1,
            "applied": [{ "setting": "attempts", "was": "5", "value": "4" }],
            "error": null
        })
    );
    running.feed(&numbered(300));
    let (events, ran) = running.close();
    ran.exits(0);
    assert_eq!(changed(&events), [("batch-size", "25..40"), ("lanes", "1..1"), ("attempts", "5"), ("attempts", "4")]);
    let sizes = sizes(&events);
    assert_eq!(sizes.last(), Some(&40), "{sizes:?}");
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert!(!folder.at("atlas.db.inbox").exists(), "the folder goes with the run");
    let shown = words(&folder, "runs show 1 --tuning").exits(0).stdout;
    assert!(shown.contains("10 -> 40"), "{shown}");
    let shown = words(&folder, "runs show 1").exits(0).stdout;
    assert!(
        shown.contains("attempts = 4 (began with 3)") && shown.contains("lanes = 1..1 (began with 1..2)"),
        "{shown}"
    );
}

#[test]
fn what_no_run_could_have_is_refused_and_nothing_of_it_changes() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(20), "--batch-size 10 --strategy sequential --lanes 2");
    running.committed(20);
    words(&folder, "runs tune 1 --batch-size 5 --lanes 3 --wait 5m")
        .exits(2)
        .says("error[CONFIG_3001]: run 1 refused: lanes is 3..3, and this run began with 2")
        .says("hint: up to 2 can be had now");
    words(&folder, "runs tune 1 --batch-size 2000000 --wait 5m").exits(2).says("1 to 1000000 are possible");
    words(&folder, "runs tune 1 --attempts 0").exits(2).says("error[CONFIG_3001]");
    words(&folder, "runs tune 1").exits(2).says("error[CONFIG_3002]: nothing is to be changed").says("--batch-size");
    words(&folder, "runs tune 7 --lanes 1").exits(2).says("there is no run 7");
    let (events, ran) = running.close();
    ran.exits(0);
    assert_eq!(changed(&events), []);
}

#[test]
fn a_run_that_is_not_at_work_cannot_be_tuned() {
    let folder = Folder::new();
    words(&folder, "runs tune 1 --lanes 1").exits(5).says("error[STORAGE_2005]");
    folder.write("in.ndjson", numbered(20));
    plain_run(&folder, "").run().exits(0);
    words(&folder, "runs tune 1 --lanes 1")
        .exits(2)
        .says("error[CONFIG_3001]: run 1 is not at work: it is succeeded")
        .says("hint: ");
}

#[test]
fn what_a_killed_run_has_left_is_ignored_and_the_next_run_removes_it() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(20), "--batch-size 10");
    running.committed(20);
    running.signal(Signal::KILL);
    running.close();
    let inbox = folder.at("atlas.db.inbox");
    let left = std::fs::read_dir(&inbox).expect("a folder").flatten().next().expect("that of the run").path();
    std::fs::write(left.join("0.command"), "{}").expect("a file");
    words(&folder, "runs tune 1 --lanes 1").exits(2).says("run 1 is not at work: it is interrupted");
    let mut running = Running::fed(&folder, &numbered(20), "--batch-size 10");
    running.committed(20);
    assert!(!left.exists());
    running.close().1.exits(0);
    assert!(!inbox.exists());
}

#[test]
fn a_run_that_cannot_answer_is_told_in_time_and_stays_as_it_is() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(20), "--batch-size 10 --strategy sequential");
    running.committed(20);
    running.signal(Signal::STOP);
    words(&folder, "runs tune 1 --batch-size 7 --wait 50ms")
        .exits(6)
        .says("error[STORAGE_2007]: the run did not take the command in time")
        .says("nothing was changed");
    running.signal(Signal::CONT);
    running.feed(&numbered(50));
    let (events, ran) = running.close();
    ran.exits(0);
    assert_eq!(changed(&events), []);
    assert!(sizes(&events).iter().all(|size| *size == 10));
}

#[test]
fn a_dry_run_has_no_inbox() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(20), "--batch-size 10 --dry-run");
    running.committed(20);
    assert!(!folder.at("atlas.db.inbox").exists());
    running.close().1.exits(0);
}

#[test]
fn the_decisions_of_a_run_are_shown_with_their_reasons_and_what_led_to_them() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(30_000));
    plain_run(&folder, &format!("--plugin {}", guest_arg("identity"))).run().exits(0);
    let shown = words(&folder, "runs show --tuning").exits(0).stdout;
    let table: Vec<&str> = shown.lines().skip_while(|line| !line.contains("FROM BATCH")).collect();
    for header in ["BATCH SIZE", "LANES", "CPU", "MEMORY", "LANES BUSY", "WRITER BUSY", "REASON"] {
        assert!(table[0].contains(header), "{shown}");
    }
    assert!(table[1].trim_start().starts_with("0 ") && table[1].contains("starts at batches of"), "{shown}");

    let document = words(&folder, "runs show --tuning --output json").exits(0).json();
    let decisions = document["tuning"].as_array().expect("a list");
    assert_eq!(decisions.len(), table.len() - 1);
    let first = &decisions[0];
    assert_eq!(
        (&first["batch"], &first["old_batch_size"], &first["old_lanes"]),
        (&0.into(), &Value::Null, &Value::Null)
    );
    for decision in decisions {
        assert!(decision["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{decision}");
        for member in ["batch_size", "lanes", "cpu_share", "memory_share", "lanes_busy", "writer_busy"] {
            assert!(decision.get(member).is_some(), "{member}: {decision}");
        }
    }
    let plain = words(&folder, "runs show --output json").exits(0).json();
    assert_eq!(plain.get("tuning"), None, "only where it is asked for");
}

/// A column of the first plan of a run, as the store keeps it.
fn first_plan(folder: &Folder, run: i64, column: &str) -> String {
    let store = Connection::open(folder.at("atlas.db")).expect("a store");
    let select = format!("SELECT {column} FROM atlas_plans WHERE run = ?1 AND batch = 0");
    store.query_row(&select, [run], |row| row.get(0)).unwrap_or_else(|error| panic!("{select}: {error}"))
}

/// An adaptive run over many batches.
fn adaptive_run(folder: &Folder, further: &str) {
    plain_run(folder, &format!("--batch-size 10..200 -q --again {further}")).run().exits(0);
}

/// Adaptive runs until one has found something to keep, which a short one on a busy machine may not: the number of the last
/// run, and of the one whose find is kept.
fn learned(folder: &Folder, further: &str) -> (i64, i64) {
    for run in 1..=20 {
        adaptive_run(folder, further);
        if let [kept] = super::sql(folder, "SELECT run FROM atlas_tuning").as_slice() {
            return (run, kept.parse().expect("a number"));
        }
        assert!(!first_plan(folder, run, "reason").contains(": from "), "nothing is known yet");
    }
    panic!("no run of 20 has found anything to keep");
}

#[test]
fn a_run_begins_where_the_last_one_of_the_same_plugins_and_collection_ended() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20_000));
    let identity = format!("--plugin {}", guest_arg("identity"));
    let (mut last, kept) = learned(&folder, &identity);
    assert_eq!(last, kept, "the run that found it");
    // Neither another collection nor other plugins have anything to do with it.
    for other in [format!("{identity} --into others"), String::new()] {
        adaptive_run(&folder, &other);
        last += 1;
        let reason = first_plan(&folder, last, "reason");
        assert!(!reason.contains(": from "), "{other}: {reason}");
    }
    adaptive_run(&folder, &identity);
    let reason = first_plan(&folder, last + 1, "reason");
    assert!(reason.contains(&format!(": from run {kept}, ")) && reason.contains(" items/s over "), "{reason}");
}

#[test]
fn a_run_that_could_not_choose_or_wanted_something_else_takes_no_example_away() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20_000));
    let (last, kept) = learned(&folder, "");
    plain_run(&folder, "--batch-size 5..9 --lanes 1 -q --again").run().exits(0);
    assert_eq!(super::sql(&folder, "SELECT run FROM atlas_tuning"), [kept.to_string()]);
    adaptive_run(&folder, "--aim latency");
    let reason = first_plan(&folder, last + 2, "reason");
    assert!(!reason.contains(": from "), "{reason}");
    adaptive_run(&folder, "");
    let reason = first_plan(&folder, last + 3, "reason");
    assert!(reason.contains(&format!(": from run {kept}, ")), "{reason}");
}

#[test]
fn a_run_of_too_few_batches_is_no_example() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(70));
    plain_run(&folder, "--batch-size 10 --lanes 1").run().exits(0);
    assert_eq!(super::sql(&folder, "SELECT batches FROM atlas_runs"), ["7"]);
    assert_eq!(super::sql(&folder, "SELECT count(*) FROM atlas_tuning"), ["0"]);
}

#[test]
fn a_run_as_recommended_knows_what_batches_cost_as_well_as_one_that_is_not() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20_000));
    let (last, _) = learned(&folder, "");
    adaptive_run(&folder, "--recommended");
    let reason = first_plan(&folder, last + 1, "reason");
    assert!(reason.contains("from what is recommended"), "{reason}");
    let signals: Value = serde_json::from_str(&first_plan(&folder, last + 1, "signals")).expect("JSON");
    let start = &signals["bounds"]["start"];
    assert_eq!(start["source"], "what is recommended");
    assert!(start["costs"]["guest"].is_object() && start["costs"]["write"].is_object(), "{start}");
}

#[test]
fn what_a_plan_aims_at_comes_from_the_flags_and_can_be_changed_by_another_process() {
    let folder = Folder::new();
    let bounds = "--aim latency --max-batch-time 30ms --memory-budget 3GiB --max-memory-share 70%";
    let mut running = Running::fed(&folder, &numbered(20), &format!("--batch-size 10..40 --max-wal 5MiB {bounds}"));
    running.committed(20);
    let told = words(
        &folder,
        "runs tune 1 --aim throughput --max-batch-time 1500ms --memory-budget 64MiB --wait 5m --output json",
    );
    let told = told.exits(0).json();
    let one =
        |setting: &str, was: &str, value: &str| serde_json::json!({ "setting": setting, "was": was, "value": value });
    assert_eq!(
        told["applied"],
        serde_json::json!([
            one("aim", "latency", "throughput"),
            one("max-batch-time", "30ms", "1500ms"),
            one("memory-budget", "3221225472", "67108864"),
        ])
    );
    running.feed(&numbered(300));
    let (events, ran) = running.close();
    ran.exits(0);
    assert_eq!(changed(&events), [("aim", "throughput"), ("max-batch-time", "1500ms"), ("memory-budget", "67108864")]);
    let signals: Value = serde_json::from_str(&first_plan(&folder, 1, "signals")).expect("JSON");
    assert_eq!((&signals["aim"], &signals["batch_time_max_us"]), (&"latency".into(), &30_000.into()));
    assert_eq!(signals["memory_budget_bytes"], 3_u64 << 30);
    let tolerance = &signals["tolerance"];
    assert_eq!((&tolerance["memory_share"], &tolerance["wal_bytes"]), (&0.7.into(), &(5 << 20).into()), "{tolerance}");
    words(&folder, "runs tune 1 --memory-budget 0").exits(2).says("it must be more than 0");
    plain_run(&folder, "--max-batch-time 0s").run().exits(2).says("max batch time is 0");
}
