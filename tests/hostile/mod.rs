//! Plugins that misbehave: the process lives, the item at fault has its code, every other item is stored.

mod answers;
mod bounds;
mod cache;
mod calls;
mod compiling;
mod component;
mod demands;
mod reads;
mod serial;
mod start;
mod state;
mod strings;
mod wasi;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::Folder;

const STRATEGIES: [&str; 3] = ["sequential", "concurrent", "adaptive"];
/// Items of a run: some batches before the poisoned one and some after it.
const ITEMS: usize = 60;

/// `{"id":…}` items, one per line; `special` gives some of them another body.
fn items(count: usize, special: &[(usize, String)]) -> String {
    let mut lines: Vec<String> = (0..count).map(|number| format!(r#"{{"id":"i-{number:03}"}}"#)).collect();
    for (number, body) in special {
        lines[*number] = body.clone();
    }
    lines.join("\n") + "\n"
}

/// A folder with a plugin and items.
fn folder(plugin: &[u8], items: &str) -> Folder {
    let folder = Folder::new();
    folder.write("plugin.wasm", plugin);
    folder.write("items.ndjson", items);
    folder
}

/// What a run left behind.
struct Left {
    code: Option<i32>,
    report: Value,
    stderr: String,
    /// Bodies by id.
    stored: BTreeMap<String, String>,
    /// Dead letters, as documents.
    letters: Vec<Value>,
}

/// Runs the folder's plugin over its items, and checks what must hold whatever the plugin does: the process ends by itself,
/// the books balance, the store keeps its promises.
#[track_caller]
fn run(folder: &Folder, store: &str, more: &[&str]) -> Left {
    let mut arguments =
        vec!["run", "-q", "--input", "items.ndjson", "--id", "id", "--store", store, "--output", "json"];
    // Something for `verify` to hold against the rows: every body has an id.
    arguments.extend(["--durability", "normal", "--index", "key=/id"]);
    for (flag, value) in [("--batch-size", "10"), ("--lanes", "2")] {
        if !more.contains(&flag) {
            arguments.extend([flag, value]);
        }
    }
    arguments.extend(more);
    let ran = folder.atlas(arguments).run();
    assert!(ran.code.is_some_and(|code| code == 0 || code == 3), "{more:?}: {ran:?}");
    let report = ran.json();
    let count = |name: &str| report[name].as_u64().expect("a count");
    let fates = count("stored") + count("rejected") + count("dead_lettered") + count("dropped");
    assert_eq!(count("read"), fates, "{more:?}: {report}");
    let list = ["dead-letters", "list", "--limit", "0", "--output", "json", "--store", store];
    let letters = folder.atlas(list).run().exits(0).json_lines();
    assert_eq!(letters.len() as u64, count("rejected") + count("dead_lettered"), "{more:?}: {report}");
    let export = folder.atlas(["export", "--with-id", "--store", store]).run().exits(0);
    let stored = export.json_lines().iter().map(|row| (text(row, "id"), row["body"].to_string())).collect();
    let indexes = folder.atlas(["index", "list", "--output", "json", "--store", store]).run().exits(0).json_lines();
    let entries = indexes.iter().find(|index| index["name"] == "key").map(|index| index["entries"].clone());
    assert_eq!(entries, Some(export.json_lines().len().into()), "{more:?}");
    folder.atlas(["verify", "--store", store]).run().exits(0);
    Left { code: ran.code, report, stderr: ran.stderr, stored, letters }
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap_or_else(|| panic!("no text {name} in {document}")).to_owned()
}

/// The code of a letter; for an item without a verdict the code of the validator's fault.
fn code_of(letter: &Value) -> String {
    let code = text(letter, "code");
    if code != "BATCH_8004" {
        return code;
    }
    let details = letter["problems"][0]["details"].as_array().expect("details");
    let fault = details.iter().find(|pair| pair[0] == "fault").expect("the fault is named");
    fault[1].as_str().expect("a code").to_owned()
}

/// Runs with each strategy: the items at `faults` are dead letters with these codes, every other one is stored.
#[track_caller]
fn faults_cost_only_their_items(what: &str, folder: &Folder, faults: &[(usize, &str)], more: &[&str]) {
    for strategy in STRATEGIES {
        let left = run(folder, &format!("{strategy}.db"), &[&["--strategy", strategy], more].concat());
        let found: Vec<(usize, String)> = left
            .letters
            .iter()
            .map(|letter| (letter["ordinal"].as_u64().expect("an ordinal") as usize, code_of(letter)))
            .collect();
        let wanted: Vec<(usize, String)> = faults.iter().map(|(at, code)| (*at, (*code).to_owned())).collect();
        assert_eq!(found, wanted, "{what} under {strategy}: {:?}", left.letters.first());
        let read = left.report["read"].as_u64().expect("a count") as usize;
        assert_eq!(left.stored.len(), read - faults.len(), "{what} under {strategy}");
        assert_eq!(left.code, Some(if faults.is_empty() { 0 } else { 3 }), "{what} under {strategy}");
    }
}
