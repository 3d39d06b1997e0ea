//! What is not asked for is not done, and what is left out changes nothing else.

use serde_json::Value;

use super::{plain_run, sql, words};
use crate::harness::{Folder, guest_arg, tickets};

/// Sound tickets, of which one has no title (a rule) and one the path of another (a constraint).
fn input(folder: &Folder) {
    let text = String::from_utf8(tickets(40, 0)).expect("tickets are text");
    let mut rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    rows[7]["title"] = "".into();
    rows[30]["path"] = rows[20]["path"].clone();
    folder.write("in.ndjson", rows.iter().map(|row| format!("{row}\n")).collect::<String>());
}

/// Ordinal, fate and code of each dead letter.
fn letters(folder: &Folder, store: &str) -> Vec<String> {
    let select = "SELECT ordinal, fate, code, hex(original) FROM atlas_dead_letters ORDER BY ordinal";
    let ran = folder.atlas(["query", "--store", store, "--sql", select, "--limit", "0", "--output", "csv"]);
    ran.run().exits(0).stdout.lines().skip(1).map(str::to_owned).collect()
}

/// What is stored and what is refused.
fn left(folder: &Folder, store: &str) -> (String, Vec<String>) {
    (words(folder, &format!("export --with-id --store {store}")).exits(0).stdout, letters(folder, store))
}

#[test]
fn validation_that_is_switched_off_is_off_and_constraints_stay() {
    let folder = Folder::new();
    input(&folder);
    let rules = format!("--validator {}", guest_arg("ticket-rules"));
    for (store, further, rejected) in [("with.db", rules.as_str(), 1), ("without.db", "", 0)] {
        let line = format!("{further} --unique path --store {store} --output json");
        let report = plain_run(&folder, &line).run().exits(3).json();
        assert_eq!((&report["rejected"], &report["dead_lettered"]), (&rejected.into(), &1.into()), "{store}");
        let found = letters(&folder, store);
        let constraint = found.iter().filter(|letter| letter.starts_with("30,dead-lettered,INDEX_7005,")).count();
        assert_eq!((found.len(), constraint), (1 + rejected, 1), "{store}: {found:?}");
    }
    // And without the constraint too, every item is stored.
    plain_run(&folder, "--store neither.db").run().exits(0);
    assert_eq!(letters(&folder, "neither.db"), [] as [String; 0]);
}

#[test]
fn watching_that_is_switched_off_leaves_the_same_rows_and_dead_letters() {
    let folder = Folder::new();
    input(&folder);
    let chain = format!("--validator {} --plugin {}", guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    let fixed = "--unique path --batch-size 7 --seed 7";
    let silent = plain_run(&folder, &format!("{chain} {fixed} -qq --store silent.db")).run().exits(3);
    assert_eq!(silent.stdout, "");
    let watched = "-vvv --events events.ndjson --log-format json --slow-item 0ms --output json --store watched.db";
    let watched = plain_run(&folder, &format!("{chain} {fixed} {watched}")).run().exits(3);
    assert!(watched.stderr.lines().count() > silent.stderr.lines().count() + 5, "{}", watched.stderr);
    assert!(folder.read("events.ndjson").lines().count() > 20);
    let (silent, watched) = (left(&folder, "silent.db"), left(&folder, "watched.db"));
    assert_eq!(silent.0.lines().count(), 38);
    assert!(silent == watched, "{:?}\n{:?}", silent.1, watched.1);
}

#[test]
fn indexes_that_are_not_declared_are_not_there() {
    let folder = Folder::new();
    input(&folder);
    plain_run(&folder, "").run().exits(0);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_indexes"), ["0"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["40"]);
}
