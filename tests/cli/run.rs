//! `run`: summary, report, books, dry runs, whole runs, keys that are there already.

use serde_json::Value;

use super::{MIXED, Redact, golden, mixed_arguments, numbered, plain_run, sql, words};
use crate::harness::{Folder, Ran, guest_arg};

const COUNTS: [&str; 5] = ["read", "stored", "rejected", "dead_lettered", "dropped"];

/// Counts of a report, in the order of [`COUNTS`].
fn counts(report: &Value) -> [u64; 5] {
    COUNTS.map(|name| report[name].as_u64().unwrap_or_else(|| panic!("{name} is missing: {report}")))
}

/// Lines of a summary that say the same every time.
fn steady(text: &str) -> String {
    let moving = ["  Time ", "  Per item "];
    text.lines().filter(|line| !moving.iter().any(|m| line.starts_with(m))).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_summary_tells_what_became_of_the_items() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let ran = folder.atlas(mixed_arguments()).run().exits(3);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("\n  Time "), "{}", ran.stderr);
    golden("run-mixed.txt", &Redact::new(folder.path()).text(&steady(&ran.stderr)));
    folder.write("in.ndjson", numbered(10));
    let ran = plain_run(&folder, "--store plain.db --strategy sequential --lanes 1").run().exits(0);
    golden("run-plain.txt", &Redact::new(folder.path()).text(&steady(&ran.stderr)));
    folder.write("in.ndjson", "");
    let ran = plain_run(&folder, "--store empty.db").run().exits(0);
    golden("run-empty.txt", &Redact::new(folder.path()).text(&steady(&ran.stderr)));
}

#[test]
fn off_a_terminal_progress_is_whole_lines_without_escapes() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(2000));
    let ran = plain_run(&folder, "").run().exits(0);
    assert!(!ran.stderr.contains(['\r', '\u{1b}']), "{:?}", ran.stderr);
    let first = ran.stderr.lines().next().expect("a line");
    assert!(first.starts_with("100 %, 2,000 items, ") && first.ends_with(" items/s"), "{first}");
}

#[test]
fn the_report_as_json_is_one_document_whose_books_balance() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let mut arguments = mixed_arguments();
    arguments.extend(["--output".to_owned(), "json".to_owned()]);
    let ran = folder.atlas(&arguments).run().exits(3);
    let report = ran.json();
    golden("run-mixed.json", &Redact::new(folder.path()).json(&report));
    let [read, rest @ ..] = counts(&report);
    assert_eq!(read, rest.iter().sum::<u64>());
    assert_eq!(counts(&report), [8, 3, 2, 2, 1]);
    let stored = sql(&folder, "SELECT read, stored, rejected, dead_lettered, dropped FROM atlas_runs");
    assert_eq!(stored, ["8,3,2,2,1"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["3"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters"), ["4"]);
}

#[test]
fn several_inputs_are_read_one_after_another() {
    let folder = Folder::new();
    folder.write("a.ndjson", "{\"id\":\"x\",\"v\":1}\n{\"id\":\"y\",\"v\":1}\n");
    folder.write("b.csv", "id,v\nx,2\nz,2\n");
    let report = words(&folder, "run --input a.ndjson --input b.csv --id id --output json").exits(0).json();
    assert_eq!(counts(&report)[..2], [4, 4]);
    assert_eq!(sql(&folder, "SELECT id || body FROM items ORDER BY id").len(), 3);
    let x = words(&folder, "get x").exits(0).stdout;
    assert_eq!(x, "{\"id\":\"x\",\"v\":\"2\"}\n");
}

#[test]
fn records_come_from_a_pipe_with_and_without_being_asked() {
    let folder = Folder::new();
    for (store, line) in [
        ("a.db", "run --input - --id id --store a.db --output json"),
        ("b.db", "run --id id --store b.db --output json"),
    ] {
        let ran = folder.atlas(line.split(' ')).stdin(numbered(50)).run().exits(0);
        assert_eq!(counts(&ran.json())[1], 50, "{store}");
    }
}

#[test]
fn without_an_id_pointer_the_position_is_the_id() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"n\":1}\n{\"n\":2}\n");
    words(&folder, "run --input in.ndjson").exits(0);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["2"]);
    let first = sql(&folder, "SELECT id FROM items ORDER BY id LIMIT 1");
    words(&folder, &format!("get {}", first[0])).exits(0);
}

#[test]
fn a_dry_run_forecasts_the_run_and_leaves_no_trace() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let run = |dry: bool, folder: &Folder| -> Ran {
        let mut arguments = mixed_arguments();
        arguments.extend(["--output".to_owned(), "json".to_owned()]);
        arguments.extend(dry.then(|| "--dry-run".to_owned()));
        folder.atlas(arguments).run()
    };
    let forecast =
        run(true, &folder).exits(3).says("Dry run: 4 of 8 items could not be stored.").says("nothing was written");
    assert!(!folder.at("atlas.db").exists() && !folder.at("atlas.db.lock").exists(), "a dry run made a store");
    let real = run(false, &folder).exits(3);
    for name in COUNTS.iter().chain(&["inserted", "replaced", "unchanged", "ignored", "deleted", "fates"]) {
        assert_eq!(forecast.json()[name], real.json()[name], "{name}");
    }
    assert_eq!((&forecast.json()["dry_run"], &real.json()["dry_run"]), (&true.into(), &false.into()));
    let before = std::fs::read(folder.at("atlas.db")).expect("a store");
    folder.write("mixed.ndjson", MIXED.replace("\"g\"", "\"new\""));
    let second = run(true, &folder).exits(3).json();
    assert_eq!(std::fs::read(folder.at("atlas.db")).expect("a store"), before, "a dry run changed the store");
    assert_eq!(second["dead_lettered"], run(false, &folder).exits(3).json()["dead_lettered"]);
}

#[test]
fn a_whole_run_with_one_refused_item_leaves_nothing() {
    let folder = Folder::new();
    let faulty = guest_arg("faulty");
    let text = format!("{}{}\n", numbered(300), r#"{"id":"last","fault":"reject"}"#);
    folder.write("in.ndjson", text);
    let strict = format!("--atomic run --max-rejects 0 --batch-size 50 --plugin {faulty}");
    let ran = plain_run(&folder, &strict).run().exits(3).says("stopped by --max-rejects");
    ran.says("nothing of it is kept").says("all of it undone");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["0"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_batches"), ["0"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters"), ["0"]);
    assert_eq!(sql(&folder, "SELECT status FROM atlas_runs"), ["rolled-back"]);
    words(&folder, "verify").exits(0);
    // Without the refused item it is all there.
    folder.write("in.ndjson", numbered(300));
    plain_run(&folder, &strict).run().exits(0);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["300"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn what_happens_to_a_key_that_is_there_is_chosen() {
    let text = "{\"id\":\"x\",\"v\":1}\n{\"id\":\"y\",\"v\":1}\n{\"id\":\"x\",\"v\":2}\n{\"id\":\"y\",\"v\":1}\n";
    for (policy, code, x, figures) in [
        ("replace", 0, 2, [("inserted", 2), ("replaced", 1), ("unchanged", 1), ("ignored", 0), ("dead_lettered", 0)]),
        ("ignore", 0, 1, [("inserted", 2), ("replaced", 0), ("unchanged", 0), ("ignored", 2), ("dead_lettered", 0)]),
        ("reject", 3, 1, [("inserted", 2), ("replaced", 0), ("unchanged", 0), ("ignored", 0), ("dead_lettered", 2)]),
    ] {
        let folder = Folder::new();
        folder.write("in.ndjson", text);
        let report = plain_run(&folder, &format!("--on-existing {policy} --output json")).run().exits(code).json();
        for (name, wanted) in figures {
            assert_eq!(report[name], wanted, "{policy}: {name}");
        }
        assert_eq!(words(&folder, "get x").exits(0).stdout, format!("{{\"id\":\"x\",\"v\":{x}}}\n"), "{policy}");
        if policy == "reject" {
            let codes = sql(&folder, "SELECT DISTINCT code || phase FROM atlas_dead_letters");
            assert_eq!(codes, ["INDEX_7005store"]);
        }
    }
}

#[test]
fn changes_may_go_to_declared_collections_only() {
    let folder = Folder::new();
    folder.write(
        "in.ndjson",
        r#"{"path":"a","name":"A","dependencies":[]}
{"path":"b","name":"B","dependencies":["a"]}
"#,
    );
    let enrich = guest_arg("task-enrich");
    let base = [
        "run",
        "--input",
        "in.ndjson",
        "--id",
        "/path",
        "--into",
        "tasks",
        "--plugin",
        &enrich,
        "--plugin-config",
        "edges=edges",
    ];
    let ran = folder.atlas(base.iter().chain(&["--store", "without.db"])).run();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    folder.atlas(base.iter().chain(&["--collection", "edges"])).run().exits(0);
    assert_eq!(sql(&folder, "SELECT id FROM edges"), ["edge:b>a"]);
}

#[test]
fn a_collection_that_another_run_declared_is_closed_to_this_one() {
    let folder = Folder::new();
    folder.write(
        "one.ndjson",
        r#"{"path":"a","name":"A","dependencies":[]}
{"path":"b","name":"B","dependencies":["a"]}
"#,
    );
    folder.write("two.ndjson", "{\"path\":\"c\",\"name\":\"C\",\"dependencies\":[\"a\"]}\n");
    let enrich = guest_arg("task-enrich");
    let run = |input: &str, further: &str| {
        let flags = format!("--id /path --into tasks --plugin {enrich} --plugin-config edges=edges");
        words(&folder, &format!("run --input {input} {flags} {further}"))
    };
    run("one.ndjson", "--collection edges").exits(0);
    run("two.ndjson", "").exits(3);
    let edges = "SELECT id FROM edges ORDER BY id";
    assert_eq!(sql(&folder, edges), ["edge:b>a"]);
    assert_eq!(sql(&folder, "SELECT code FROM atlas_dead_letters"), ["GUEST_10012"]);
    assert_eq!(sql(&folder, "SELECT message LIKE '%--collection%' FROM atlas_dead_letters"), ["1"]);

    let retry = "dead-letters retry --plugin-config edges=edges";
    words(&folder, retry).exits(3);
    words(&folder, &format!("{retry} --collection edges")).exits(0);
    assert_eq!(sql(&folder, edges), ["edge:b>a", "edge:c>a"]);
}
