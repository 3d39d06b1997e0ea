//! Rows in another order than that of their relations: dead letters are tried again until nothing more passes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Fate, Input, options, real_tasks, strings, validated};
use crate::generator::tasks::{Options, Order, Profile};
use crate::harness::{Folder, guest_arg};

/// Far more rounds than the longest way from a root: 7 levels, and chains of 10 dependencies at each.
const ROUNDS_MAX: usize = 100;

/// Tries the open letters again until a round stores nothing.
fn retried_until_nothing_passes(input: &Input, store: &str) {
    let retry = ["dead-letters", "retry", "-q", "--store", store, "--output", "json", "--durability", "normal"];
    for _ in 0..ROUNDS_MAX {
        let ran = input.folder.atlas(retry).run();
        if ran.stdout.is_empty() {
            ran.exits(0);
            return;
        }
        if input.reported(&ran, &retry)["stored"] == 0 {
            return;
        }
    }
    panic!("{}: after {ROUNDS_MAX} rounds dead letters still pass", input.name);
}

/// Refusals by path: the order of the rows is no part of them.
fn by_path(letters: impl Iterator<Item = (String, Fate)>) -> BTreeMap<String, Vec<Fate>> {
    let mut paths: BTreeMap<String, Vec<Fate>> = BTreeMap::new();
    for (path, fate) in letters {
        paths.entry(path).or_default().push(fate);
    }
    paths.values_mut().for_each(|fates| fates.sort());
    paths
}

fn every_order_ends_in_the_same_store(seed: u64, profile: Profile) {
    let sorted = Input::tasks(options(seed, 2000, profile));
    let flags = validated();
    sorted.run("rows.db", &strings(&flags));
    let wanted = sorted.picture("rows.db", &["items"]).0;
    let wanted_letters = by_path(sorted.letters("rows.db").into_iter().map(|letter| (letter.path, letter.fate)));
    for order in [Order::Shuffled, Order::Reverse] {
        let input = Input::tasks(Options { order, ..options(seed, 2000, profile) });
        let (report, _) = input.run("rows.db", &strings(&flags));
        let foreseen = input.count("/expected/task_links/stored");
        assert!(report["stored"].as_u64() < Some(foreseen), "{}: nothing was out of order", input.name);
        retried_until_nothing_passes(&input, "rows.db");
        input.compare_stored("rows.db", "stored");
        assert_eq!(input.picture("rows.db", &["items"]).0, wanted, "{}", input.name);
        let letters = by_path(input.letters("rows.db").into_iter().map(|letter| (letter.path, letter.fate)));
        for (path, fates) in &wanted_letters {
            assert_eq!(letters.get(path), Some(fates), "{}: {path}", input.name);
        }
        assert_eq!(letters.len(), wanted_letters.len(), "{}", input.name);
        input.verify("rows.db");
    }
}

#[test]
fn clean_tasks_in_any_order_are_all_stored_in_the_end() {
    every_order_ends_in_the_same_store(21, Profile::Clean);
}

#[test]
fn realistic_tasks_in_any_order_end_as_in_topological_order() {
    every_order_ends_in_the_same_store(22, Profile::Realistic);
}

#[test]
fn hostile_tasks_in_any_order_end_as_in_topological_order() {
    every_order_ends_in_the_same_store(23, Profile::Hostile);
}

/// The real tasks, where they are at hand: converted into a staging collection, exported, and loaded from there.
#[test]
fn of_119_real_tasks_100_are_stored_5_refused_and_14_follow() {
    let Some(file) = real_tasks() else { return };
    let folder = Folder::new();
    std::fs::copy(&file, folder.at("old.ndjson")).expect("the real tasks can be copied");
    let convert = guest_arg("task-convert");
    let staging = ["run", "-q", "--input", "old.ndjson", "--id", "/path", "--plugin", &convert, "--into", "staging"];
    folder.atlas([&staging[..], &["--store", "staging.db"]].concat()).run().exits(0);
    let export = ["export", "--into", "staging", "--store", "staging.db", "--to", "rows.ndjson"];
    folder.atlas(export).run().exits(0);
    let paths: BTreeSet<String> = folder
        .read("rows.ndjson")
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            row["path"].as_str().expect("a path").to_owned()
        })
        .collect();
    assert_eq!(paths.len(), 119);

    let input = Input { folder, name: "real tasks".to_owned(), manifest: Value::Null };
    let (report, _) = input.run("rows.db", &strings(&validated()));
    assert_eq!(report["read"], 119);
    retried_until_nothing_passes(&input, "rows.db");
    let letters = input.letters("rows.db");
    // A follower hangs from rows that are there but were refused.
    let missing_altogether =
        letters.iter().filter(|letter| letter.fate.link.as_ref().is_none_or(|link| !paths.contains(link)));
    assert_eq!(input.rows("rows.db", "items").len(), 100);
    assert_eq!((letters.len(), missing_altogether.count()), (19, 5));
    input.verify("rows.db");
}
