//! The commands that change a store beside `run`: `index add`, `drop`, `verify`, `rebuild`, `dead-letters retry`, `discard`.

use std::path::Path;

use super::{sql, with_store, words};
use crate::harness::{Folder, guest_arg};

#[test]
fn an_index_is_added_used_and_dropped() {
    let folder = with_store();
    let ran = words(&folder, "index add text").exits(0).says("added index `text` over /text of `items`: 3 items");
    assert_eq!(ran.stdout, "");
    words(&folder, "index add text").exits(0).says("is there already");
    let found = folder.atlas(["query", "--index", "text", "--equals", "ärger 😀", "--output", "ndjson"]).run().exits(0);
    assert_eq!(found.json_lines().len(), 1);
    words(&folder, "index drop text").exits(0).says("dropped index `text` of `items`");
    words(&folder, "index drop text").exits(2).says("error[INDEX_7001]");
    words(&folder, "query --index text --equals x").exits(2).says("error[INDEX_7001]");
    words(&folder, "verify").exits(0);
}

#[test]
fn a_unique_index_that_the_items_break_is_not_added() {
    let folder = with_store();
    words(&folder, "index add --unique again=status")
        .exits(5)
        .says("error[INDEX_7004]")
        .says("`again`")
        .says("hint: two rows share a value");
    let names = sql(&folder, "SELECT name FROM atlas_indexes ORDER BY name");
    assert_eq!(names, ["number", "status"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn indexes_are_verified_and_rebuilt() {
    let folder = with_store();
    let ran = words(&folder, "index verify").exits(0);
    assert_eq!(ran.stdout, "items:number agrees with its rows\nitems:status agrees with its rows\n");
    let one = words(&folder, "index verify status --output json").exits(0).json();
    assert_eq!((&one["sound"], &one["name"]), (&true.into(), &"status".into()));
    words(&folder, "index rebuild status").exits(0).says("rebuilt index `status` of `items`");
    words(&folder, "index rebuild").exits(0).says("rebuilt index `number` of `items`");
    words(&folder, "verify").exits(0);
}

/// A store of 3000 items with an index whose leaves are damaged, and one that is sound.
fn with_damaged_index() -> Folder {
    let folder = Folder::new();
    let lines: String = (0..3000).map(|n| format!("{{\"id\":\"{n:04}\",\"n\":{n},\"status\":\"open\"}}\n")).collect();
    folder.write("in.ndjson", lines);
    words(&folder, "run -q --input in.ndjson --id id --index n --index status").exits(0);
    let store = folder.at("atlas.db");
    let pages = leaves(&store, "idx_items_n");
    let mut bytes = std::fs::read(&store).expect("a file");
    for page in &pages {
        bytes[(*page as usize - 1) * atlas_host::limits::STORE_PAGE_BYTES as usize..][..200].fill(0xFF);
    }
    assert!(pages.len() > 1, "the index has leaves of its own");
    std::fs::write(&store, bytes).expect("a file");
    folder
}

/// Numbers of the leaf pages of a tree.
fn leaves(store: &Path, tree: &str) -> Vec<u32> {
    let raw = rusqlite::Connection::open(store).expect("a store");
    let mut pages =
        raw.prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf'").expect("a table of pages");
    pages.query_map([tree], |row| row.get(0)).expect("pages").map(|page| page.expect("a number")).collect()
}

/// Asserts that everything holds and that all rows are found by both indexes.
#[track_caller]
fn is_mended(folder: &Folder) {
    words(folder, "verify").exits(0);
    let listed = words(folder, "index list --output json").exits(0).json_lines();
    let entries: Vec<u64> = listed.iter().map(|index| index["entries"].as_u64().expect("a number")).collect();
    assert_eq!(entries, [3000, 3000]);
    assert_eq!(sql(folder, "SELECT count(*) FROM items INDEXED BY idx_items_n WHERE n >= 0"), ["3000"]);
}

#[test]
fn the_hint_of_verify_mends_an_index_with_damaged_pages_word_for_word() {
    let folder = with_damaged_index();
    let told = words(&folder, "verify --output json").exits(5).json();
    let findings = told["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["code"] == "INDEX_7002").expect("the index is named");
    let hint = found["hint"].as_str().expect("a text");
    let command = hint.split('`').nth(1).and_then(|command| command.strip_prefix("atlas-host ")).expect("a command");
    words(&folder, "index verify").exits(5);
    words(&folder, command).exits(0).says("rebuilt index `n` of `items`").says("rebuilt index `status` of `items`");
    is_mended(&folder);
    words(&folder, "index verify").exits(0);
}

#[test]
fn findings_of_damaged_pages_have_a_line_each() {
    let folder = with_damaged_index();
    let told = words(&folder, "verify --quick").exits(5);
    assert!(!told.stdout.contains("\\n"), "{}", told.stdout);
    let trees = told.stdout.lines().filter(|line| line.contains("STORAGE_2004: Tree ")).count();
    assert!(trees > 1, "{}", told.stdout);
}

#[test]
fn an_index_with_damaged_pages_is_listed_as_unreadable_and_can_be_dropped() {
    let folder = with_damaged_index();
    let listed = words(&folder, "index list").exits(0).says("`atlas-host index rebuild`");
    assert!(listed.stdout.contains("cannot be read"), "{}", listed.stdout);
    let listed = words(&folder, "index list --output json").exits(0).json_lines();
    assert_eq!((&listed[0]["entries"], &listed[0]["bytes"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(listed[1]["entries"], 3000);
    words(&folder, "index drop n").exits(0);
    words(&folder, "verify").exits(0);
    words(&folder, "index add n").exits(0).says("3000 items");
    is_mended(&folder);
}

#[test]
fn the_index_processor_mends_an_index_with_damaged_pages() {
    let folder = with_damaged_index();
    words(&folder, "run --processor index --dry-run").exits(0).says("would be built anew");
    words(&folder, "index verify").exits(5);
    words(&folder, "run --processor index").exits(0);
    is_mended(&folder);
}

#[test]
fn a_run_that_meets_an_index_with_damaged_pages_mends_it_and_goes_on() {
    let folder = with_damaged_index();
    let more: String =
        (0..3000).map(|n| format!("{{\"id\":\"{n:04}\",\"n\":{},\"status\":\"open\"}}\n", 9000 - n)).collect();
    folder.write("more.ndjson", more);
    words(&folder, "run --input more.ndjson --id id --events events.ndjson")
        .exits(0)
        .says("index `n` of `items` cannot be read")
        .says("it is built anew");
    let events = folder.read("events.ndjson");
    assert_eq!(events.matches("\"event\":\"transaction-rolled-back\"").count(), 1, "{events}");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items WHERE n > 6000"), ["3000"]);
    is_mended(&folder);
}

#[test]
fn dead_letters_are_let_go_and_their_reasons_stay() {
    let folder = with_store();
    words(&folder, "dead-letters discard").exits(2).says("error[CONFIG_3002]").says("--all-open");
    let ran = words(&folder, "dead-letters discard --phase decode").exits(0);
    assert_eq!(ran.stdout, "discarded 1 dead letter\n");
    words(&folder, "dead-letters discard --phase decode").exits(0).says("nothing was discarded");
    let ran = words(&folder, "dead-letters discard --all-open --output json").exits(0);
    assert_eq!(ran.json()["discarded"], 3);
    words(&folder, "dead-letters list").exits(0).says("no open dead letter matches");
    let all = words(&folder, "dead-letters list --all --output json").exits(0).json_lines();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|letter| letter["state"] == "discarded" && letter["code"] != ""));
    words(&folder, "verify").exits(0);
}

#[test]
fn dead_letters_are_tried_again_through_a_mended_plugin() {
    let folder = with_store();
    // Through the same plugins the same comes out.
    words(&folder, "dead-letters retry --phase operate").exits(3);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters WHERE state = 'open'"), ["4"]);
    let identity = format!("work={}", guest_arg("identity"));
    let ran = folder.atlas(["dead-letters", "retry", "--phase", "operate", "--plugin", &identity]).run().exits(0);
    assert!(ran.stderr.contains("stored"), "{}", ran.stderr);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items WHERE id = 'c'"), ["1"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters WHERE state = 'open'"), ["3"]);
    words(&folder, "dead-letters retry --phase operate").exits(0).says("nothing was tried");
    words(&folder, "verify").exits(0);
}
