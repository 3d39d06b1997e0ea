//! Where results go: `--processor memory` to stdout, `--processor index` to the indexes.

use super::{MIXED, mixed_arguments, numbered, plain_run, sql, with_store, words};
use crate::harness::{Folder, guest_arg, tickets};

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
    words(&folder, "run --processor index").exits(0).says("Every index of atlas.db agrees with its rows");
    assert_eq!(sql(&folder, "SELECT id, body FROM items ORDER BY id"), before);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_indexes WHERE verified_ms IS NULL"), ["0"]);
    words(&folder, "run --processor index --store no.db").exits(5).says("error[STORAGE_2005]").says("no.db");
    assert!(!folder.at("no.db").exists());
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
