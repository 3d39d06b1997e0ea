//! Where results go: `--processor memory` to stdout, `--processor index` to the indexes.

use std::io::BufRead;

use rustix::process::{Pid, Signal, kill_process};

use super::{MIXED, mixed_arguments, numbered, plain_run, sql, with_store, words};
use crate::harness::{Folder, Ran, guest_arg, tickets};

#[test]
fn memory_prints_results_in_input_order_and_stores_nothing() {
    let folder = Folder::new();
    folder.write("in.ndjson", tickets(500, 10));
    let tidy = guest_arg("ticket-tidy");
    let rules = guest_arg("ticket-rules");
    let plugins = format!("--plugin {tidy} --validator {rules}");
    let ran = plain_run(&folder, &format!("{plugins} --processor memory --batch-size 7 --lanes 2")).run().exits(3);
    let made: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(made, ["in.ndjson"]);
    // The same run into a store, in the order of the input.
    plain_run(&folder, &plugins).run().exits(3);
    let export = words(&folder, "export").exits(0).stdout;
    let mut printed: Vec<&str> = ran.stdout.lines().collect();
    let stored: Vec<&str> = export.lines().collect();
    let ids: Vec<String> = ran.json_lines().iter().map(|body| body["id"].to_string()).collect();
    let text = String::from_utf8(tickets(500, 10)).expect("tickets are text");
    let inputs =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["id"].to_string());
    assert!(inputs.filter(|id| ids.contains(id)).eq(ids.iter().cloned()), "not in the order of the input");
    printed.sort_unstable();
    let mut sorted = stored.clone();
    sorted.sort_unstable();
    assert_eq!(printed, sorted);
}

#[test]
fn memory_cannot_keep_a_unique_index() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let mut arguments = mixed_arguments();
    arguments.extend(["--processor".to_owned(), "memory".to_owned()]);
    folder
        .atlas(arguments)
        .run()
        .exits(2)
        .says("error[CONFIG_3001]: unique index number")
        .says("hint: use --processor storage");
}

#[test]
fn index_reads_no_items_and_finds_the_indexes_right() {
    let folder = with_store();
    let before = sql(&folder, "SELECT id, body FROM items ORDER BY id");
    words(&folder, "run --processor index")
        .exits(0)
        .says("Every index of atlas.db agrees with its rows: 2 verified, none built anew.");
    assert_eq!(sql(&folder, "SELECT id, body FROM items ORDER BY id"), before);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_indexes WHERE verified_ms IS NULL"), ["0"]);
    words(&folder, "run --processor index --store no.db").exits(5).says("error[STORAGE_2005]").says("no.db");
    assert!(!folder.at("no.db").exists());
}

/// Twenty items in a store without an index.
fn twenty() -> Folder {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20));
    plain_run(&folder, "-q").run().exits(0);
    folder
}

/// Collection, name and number of entries of every index.
fn indexes(folder: &Folder) -> Vec<(String, String, u64)> {
    let listed = words(folder, "index list --output json").exits(0).json_lines();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().expect("a text").to_owned();
    listed
        .iter()
        .map(|row| (text(row, "collection"), text(row, "name"), row["entries"].as_u64().expect("a number")))
        .collect()
}

/// Changes a row behind the back of the index over `n`: SQLite is told meanwhile that the index is not there.
fn behind_the_index(folder: &Folder, change: &str) {
    let change_schema = |statement: &str| {
        let connection = rusqlite::Connection::open(folder.at("atlas.db")).expect("a store");
        let batch = format!("PRAGMA writable_schema = ON; {statement}; PRAGMA writable_schema = RESET;");
        connection.execute_batch(&batch).expect("a schema that can be written");
    };
    let connection = rusqlite::Connection::open(folder.at("atlas.db")).expect("a store");
    let select = "SELECT rootpage, sql FROM sqlite_schema WHERE name = 'idx_items_n'";
    let (root, text): (i64, String) =
        connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("an index");
    drop(connection);
    change_schema("DELETE FROM sqlite_schema WHERE name = 'idx_items_n'");
    let connection = rusqlite::Connection::open(folder.at("atlas.db")).expect("a store");
    connection.execute_batch(change).expect("a row that can be changed");
    drop(connection);
    let text = text.replace('\'', "''");
    change_schema(&format!("INSERT INTO sqlite_schema VALUES ('index', 'idx_items_n', 'items', {root}, '{text}')"));
}

#[test]
fn index_builds_what_is_declared_and_mends_what_is_out_of_step() {
    let folder = twenty();
    words(&folder, "run --processor index --index n")
        .exits(0)
        .says("Every index of atlas.db agrees with its rows: 0 verified, 1 added (items:n), none built anew.");
    assert_eq!(indexes(&folder), [("items".to_owned(), "n".to_owned(), 20)]);
    let third = "query --index n --equals 3 --output ndjson";
    assert_eq!(words(&folder, third).exits(0).json()["id"], "i-000003");

    behind_the_index(&folder, r#"UPDATE items SET body = '{"id":"i-000003","n":99}' WHERE id = 'i-000003'"#);
    words(&folder, "verify").exits(5);
    let rows = sql(&folder, "SELECT id, body FROM items ORDER BY id");
    let report: Ran = words(&folder, "run --processor index --output json")
        .exits(0)
        .says("INDEX_7003")
        .says("Index n of items was built anew.")
        .says("agrees with its rows: 0 verified, 1 built anew (items:n).");
    assert_eq!(report.json()["indexes"], serde_json::json!([{"collection": "items", "name": "n", "state": "rebuilt"}]));
    words(&folder, "verify").exits(0);
    assert_eq!(sql(&folder, "SELECT id, body FROM items ORDER BY id"), rows);
    assert_eq!(words(&folder, "query --index n --equals 99 --output ndjson").exits(0).json()["id"], "i-000003");
    words(&folder, "run --processor index").exits(0).says("1 verified, none built anew");
}

#[test]
fn a_dry_run_of_index_says_what_it_would_do_and_changes_nothing() {
    let folder = twenty();
    words(&folder, "run --processor index --index n -q").exits(0);
    behind_the_index(&folder, "DELETE FROM items WHERE id = 'i-000003'");
    let before = std::fs::read(folder.at("atlas.db")).expect("a store");
    let ran = words(&folder, "run --processor index --dry-run --index same=/id --output json").exits(0);
    assert_eq!(std::fs::read(folder.at("atlas.db")).expect("a store"), before, "a dry run changed the store");
    assert_eq!(ran.json()["dry_run"], true);
    let states: Vec<String> = ran.json()["indexes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|index| format!("{} {}", index["name"], index["state"]))
        .collect();
    assert_eq!(states, [r#""n" "rebuilt""#, r#""same" "added""#]);
    ran.says("Index n of items would be built anew.").says(
        "Dry run, nothing was changed: every index of atlas.db would agree with its rows: 0 verified, 1 added \
         (items:same), 1 built anew (items:n).",
    );
    words(&folder, "verify").exits(5);
    words(&folder, "run --processor index --dry-run --store no.db").exits(5).says("error[STORAGE_2005]");
    assert!(!folder.at("no.db").exists() && !folder.at("no.db.lock").exists());
}

#[test]
fn index_makes_no_collection() {
    let folder = twenty();
    let before = std::fs::read(folder.at("atlas.db")).expect("a store");
    for further in
        ["--into itms", "--into itms --index n", "--index itms:n", "--index n --index itms:n", "--dry-run --into itms"]
    {
        words(&folder, &format!("run --processor index {further}"))
            .exits(2)
            .says("error[CONFIG_3001]: there is no collection `itms` in this store")
            .says("hint: did you mean `items`?");
        assert_eq!(std::fs::read(folder.at("atlas.db")).expect("a store"), before, "{further}");
    }
    // A store without the collection that runs take by themselves.
    plain_run(&folder, "--store other.db --into orders --index n -q").run().exits(0);
    words(&folder, "run --processor index --store other.db").exits(0).says("1 verified");
    let collections = "query --store other.db --sql SELECT(name)FROM(atlas_collections) --output csv";
    assert_eq!(words(&folder, collections).exits(0).stdout.lines().skip(1).collect::<Vec<_>>(), ["orders"]);
}

#[test]
fn flags_that_do_nothing_beside_index_are_told_and_do_nothing() {
    let folder = twenty();
    folder.write("events.ndjson", "kept\n");
    let line = "run --processor index --input none.ndjson --plugin none.wasm --events events.ndjson --collection more";
    let ran = words(&folder, line).exits(0).says("CONFIG_3004");
    for flag in ["--input", "--plugin", "--events", "--collection"] {
        assert_eq!(ran.stderr.matches(flag).count(), 1, "{}", ran.stderr);
    }
    assert_eq!(folder.read("events.ndjson"), "kept\n");
    assert_eq!(sql(&folder, "SELECT name FROM atlas_collections"), ["items"]);
    let quiet = "run --processor index --store atlas.db --into items --index n --durability normal --output json -q";
    assert_eq!(words(&folder, quiet).exits(0).stderr, "");
    // Settings of the environment are about runs of all kinds.
    let ran = folder.atlas(["run", "--processor", "index", "-q"]).env("ATLAS_INPUT", "in.ndjson").run().exits(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn dead_letters_are_not_tried_again_by_the_index_processor() {
    let folder = with_store();
    words(&folder, "dead-letters retry --processor index").exits(2).says("error[CONFIG_3001]: --processor index");
}

#[test]
fn an_unknown_processor_or_strategy_is_refused_with_those_there_are() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(1));
    plain_run(&folder, "--processor disk")
        .run()
        .exits(2)
        .says("error[CONFIG_3001]: no processor is called \"disk\"")
        .says("storage, memory, index");
    plain_run(&folder, "--strategy fast")
        .run()
        .exits(2)
        .says("error[CONFIG_3001]")
        .says("fast")
        .says("sequential, concurrent, adaptive");
    assert!(!folder.at("atlas.db").exists());
}

#[test]
fn standard_output_is_for_one_thing_only() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(1));
    for both in ["--processor memory --events -", "--events - --output json", "--processor memory --output json"] {
        plain_run(&folder, both)
            .run()
            .exits(2)
            .says("error[CONFIG_3001]: standard output is asked for twice")
            .says("hint: write events to a file");
        assert!(!folder.at("atlas.db").exists());
    }
}

#[test]
fn results_are_with_whoever_reads_them_once_their_group_is_committed() {
    let folder = Folder::new();
    folder.write("log.ndjson", numbered(3));
    let line = "run --follow log.ndjson --id id --processor memory --quiet --batch-wait 10ms";
    let mut child = folder.atlas(line.split(' ')).start();
    let results = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (told, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || results.take(3).flatten().for_each(|line| told.send(line + "\n").unwrap_or_default()));
    // The run goes on, and would keep them for long.
    let in_time = |_| lines.recv_timeout(std::time::Duration::from_secs(120)).ok();
    let first: String = (0..3).map_while(in_time).collect();
    kill_process(Pid::from_child(&child), Signal::INT).expect("the run can be told");
    Ran::from(child.wait_with_output().expect("the run ends")).exits(130);
    assert_eq!(first, numbered(3));
}

/// However few they are.
#[test]
fn results_that_cannot_be_written_fail_the_run() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a device that is full");
    let output = std::process::Command::new(crate::harness::binary())
        .args(["run", "--input", "in.ndjson", "--processor", "memory"])
        .current_dir(folder.path())
        .stdout(full)
        .output()
        .expect("a command");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("error[STORAGE_2002]: a result cannot be written") && !told.contains("succeeded"), "{told}");
}
