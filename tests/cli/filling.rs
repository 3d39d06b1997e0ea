//! A run that fills an empty collection from files makes the entries of its indexes when it ends.

use super::words;
use crate::harness::Folder;

fn with_items(files: usize) -> Folder {
    let folder = Folder::new();
    for file in 0..files {
        let line =
            |n: usize| format!("{{\"id\":\"{file}-{n:03}\",\"status\":\"s{}\",\"n\":{}}}\n", n % 3, file * 1000 + n);
        folder.write(&format!("{file}.ndjson"), (0..300).map(line).collect::<String>());
    }
    folder
}

/// The indexes that events tell of, in order. They come after the last batch.
fn built(folder: &Folder, events: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.at(events)).expect("events");
    let told: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let at = |kind: &str| told.iter().rposition(|event| event["event"] == kind);
    let first = told.iter().position(|event| event["event"] == "index-built");
    assert!(first.is_none_or(|first| Some(first) > at("batch-committed") && Some(first) < at("run-ended")));
    let built = told.iter().filter(|event| event["event"] == "index-built");
    built
        .map(|event| format!("{}:{}", event["collection"].as_str().unwrap(), event["index"].as_str().unwrap()))
        .collect()
}

#[test]
fn the_indexes_of_a_collection_that_was_empty_are_built_at_the_end_and_once() {
    let folder = with_items(2);
    let indexed = "--index status --unique n --events e.ndjson --batch-size 50";
    words(&folder, &format!("run -q --input 0.ndjson --id id {indexed}")).exits(0);
    assert_eq!(built(&folder, "e.ndjson"), ["items:status"], "a unique index judges each row, and does not wait");
    words(&folder, "index verify").exits(0);
    let listed = words(&folder, "index list --output json").exits(0).json_lines();
    let entries: Vec<_> = listed.iter().map(|row| (row["built"].as_bool(), row["entries"].as_u64())).collect();
    assert_eq!(entries, [(Some(true), Some(300)), (Some(true), Some(300))]);
    let found = words(&folder, "query --index status --equals s1 --limit 1000 --output ndjson").exits(0);
    assert_eq!(found.json_lines().len(), 100);
    // Now there are rows: each that comes is put into the index with its batch.
    words(&folder, &format!("run -q --input 1.ndjson --id id {indexed}")).exits(0);
    assert_eq!(built(&folder, "e.ndjson"), [""; 0]);
    let found = words(&folder, "query --index status --equals s1 --limit 1000 --output ndjson").exits(0);
    assert_eq!(found.json_lines().len(), 200);
    words(&folder, "verify").exits(0);
}

#[test]
fn indexes_do_not_wait_where_a_run_may_have_no_end_or_no_one_sees_them_before_it() {
    let folder = with_items(1);
    for (number, flags) in
        ["--input - < 0.ndjson", "--input 0.ndjson --atomic run", "--input 0.ndjson --dry-run"].iter().enumerate()
    {
        let (flags, stdin) = match flags.split_once(" < ") {
            Some((flags, file)) => (flags, std::fs::read(folder.at(file)).expect("a file")),
            None => (*flags, Vec::new()),
        };
        let store = format!("{number}.db");
        let words = format!("run -q --id id --index status --events e.ndjson --store {store} {flags}");
        folder.atlas(words.split(' ')).stdin(stdin).run().exits(0);
        assert_eq!(built(&folder, "e.ndjson"), [""; 0], "{flags}");
    }
}

#[test]
fn a_run_that_is_stopped_by_its_limit_leaves_its_indexes_built() {
    let folder = with_items(1);
    let mut text = std::fs::read_to_string(folder.at("0.ndjson")).expect("a file");
    text.push_str("no item\n");
    text.push_str(&std::fs::read_to_string(folder.at("0.ndjson")).expect("a file").replace("0-", "1-"));
    folder.write("bad.ndjson", text);
    words(&folder, "run -q --input bad.ndjson --id id --index status --max-rejects 0 --batch-size 50").exits(3);
    words(&folder, "index verify").exits(0);
    words(&folder, "run -q --input bad.ndjson --id id --index status --max-rejects 9 --batch-size 50").exits(3);
    words(&folder, "index verify").exits(0);
    words(&folder, "verify").exits(0);
}
