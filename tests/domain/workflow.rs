//! The operation that carries out what follows from a status: a change of other tasks, in the item that caused it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::{Input, strings, validated};
use crate::harness::{Folder, guest_arg, root};
use crate::library::random::{Random, seed};

/// Flags of a run of create and status rows, as in `examples/workflow`.
fn flags() -> Vec<String> {
    // Rows of one task come one after another: each takes the place of the one before.
    let mut flags: Vec<String> =
        validated().into_iter().map(|flag| if flag == "reject" { "replace".to_owned() } else { flag }).collect();
    flags.extend(["--plugin".to_owned(), guest_arg("task-workflow")]);
    flags.extend(["--collection", "edges", "--index", "edges:to", "--grant-collection", "edges"].map(str::to_owned));
    flags
}

fn input(name: &str, rows: &str) -> Input {
    let folder = Folder::new();
    folder.write("rows.ndjson", rows);
    Input { folder, name: name.to_owned(), manifest: Value::Null }
}

/// Where each task stands.
fn statuses(input: &Input, store: &str) -> BTreeMap<String, String> {
    let rows = input.rows(store, "items").into_iter();
    rows.map(|(path, body)| (path, body["status"].as_str().expect("a status").to_owned())).collect()
}

/// Tasks in a tree that depend on earlier ones, and statuses in no sensible order, many of them illegal.
fn random_rows() -> String {
    let mut random = Random::new(seed(7), 0);
    let mut rows = String::new();
    let mut paths = vec!["r".to_owned()];
    writeln!(rows, r#"{{"path":"r","name":"n","type":"MILESTONE"}}"#).expect("text");
    for number in 0..30 {
        let parent = paths[random.below(paths.len() as u64) as usize].clone();
        let parent = if parent.matches('/').count() < 3 { parent } else { "r".to_owned() };
        let dependency = &paths[random.below(paths.len() as u64) as usize];
        let dependencies = if random.coin() { format!(r#""{dependency}""#) } else { String::new() };
        let path = format!("{parent}/t{number}");
        writeln!(rows, r#"{{"path":"{path}","name":"n","type":"MILESTONE","dependencies":[{dependencies}]}}"#)
            .expect("text");
        paths.push(path);
    }
    for _ in 0..150 {
        let path = &paths[random.below(paths.len() as u64) as usize];
        let status = random.pick(&["PENDING", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED", "COMPLETED", "CANCELLED"]);
        writeln!(rows, r#"{{"op":"status","path":"{path}","status":"{status}"}}"#).expect("text");
    }
    rows
}

#[test]
fn batch_size_and_lanes_decide_nothing_of_what_follows_from_a_status() {
    let story = std::fs::read_to_string(root().join("examples/workflow/rows.ndjson")).expect("the rows");
    let flags = flags();
    for (name, rows) in [("the example", story), ("random rows", random_rows())] {
        let input = input(name, &rows);
        let mut first = None;
        for (size, lanes) in [("1", "1"), ("1", "2"), ("3", "1"), ("3", "2"), ("1000", "1"), ("1000", "2")] {
            let store = format!("{size}-{lanes}.db");
            let plan = ["--batch-size", size, "--lanes", lanes];
            let (report, _) = input.run(&store, &[&strings(&flags)[..], &plan].concat());
            let found = (report["fates"].clone(), input.picture(&store, &["items", "edges"]));
            assert!(found == *first.get_or_insert_with(|| found.clone()), "{name}: {plan:?} ends in another store");
            input.verify(&store);
        }
    }
}

#[test]
fn an_item_with_more_effects_than_the_bound_has_none() {
    let mut rows = r#"{"path":"hub","name":"n"}"#.to_owned() + "\n";
    for number in 0..101 {
        writeln!(rows, r#"{{"path":"t{number}","name":"n","dependencies":["hub"]}}"#).expect("text");
    }
    let cancel = |path: &str| format!("{{\"op\":\"status\",\"path\":\"{path}\",\"status\":\"CANCELLED\"}}\n");
    let input = input("a hub", &(rows + &cancel("hub") + &cancel("t7") + &cancel("hub")));
    let (report, code) = input.run("rows.db", &strings(&flags()));
    assert_eq!((report["stored"].as_u64(), report["rejected"].as_u64(), code), (Some(104), Some(1), Some(3)));
    let letters = input.letters("rows.db");
    assert_eq!((letters[0].ordinal, letters[0].slot.as_deref()), (102, Some("task_workflow")));
    assert!(letters[0].fate.codes.contains("TASK_1003"), "{letters:?}");
    let statuses = statuses(&input, "rows.db");
    // The second time there are a hundred of them left.
    assert!(statuses.len() == 102 && statuses.values().all(|status| status == "CANCELLED"), "{statuses:?}");
    input.verify("rows.db");
}

#[test]
fn a_status_whose_effects_cannot_be_found_is_refused_and_the_message_says_what_is_missing() {
    let rows = "{\"path\":\"a\",\"name\":\"n\"}\n{\"op\":\"status\",\"path\":\"a\",\"status\":\"CANCELLED\"}\n";
    let input = input("no edges", rows);
    let without = flags().into_iter().take_while(|flag| flag != "--collection").collect::<Vec<_>>();
    let (report, code) = input.run("rows.db", &strings(&without));
    assert_eq!((report["stored"].as_u64(), report["rejected"].as_u64(), code), (Some(1), Some(1), Some(3)));
    let list = ["dead-letters", "list", "--store", "rows.db", "--output", "json"];
    let letter = &input.folder.atlas(list).run().exits(0).json_lines()[0];
    let message = letter["message"].as_str().expect("a message");
    assert!(message.contains("--collection edges --index edges:to --grant-collection edges"), "{message}");
    assert_eq!(statuses(&input, "rows.db")["a"], "PENDING");
}
