//! The real tasks of the original project, where they are at hand: the file
//! `atlas-tasks.ndjson` in the folder that `ATLAS_REAL_DATA` names.

use crate::convert::convert;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use task_model::links::{self, Store};
use task_model::{Row, fields, path};

/// The converted rows by path; none where the data is not at hand.
fn rows() -> Option<BTreeMap<String, String>> {
    let folder = std::env::var_os("ATLAS_REAL_DATA")?;
    let text = std::fs::read_to_string(Path::new(&folder).join("atlas-tasks.ndjson")).unwrap();
    let rows = text.lines().map(|line| {
        let body = convert(line).unwrap();
        let row: Value = serde_json::from_str(&body).unwrap();
        (row["path"].as_str().unwrap().to_owned(), body)
    });
    Some(rows.collect())
}

struct Memory(BTreeMap<String, String>);

impl Store for Memory {
    fn get_many(&mut self, ids: &[&str]) -> Vec<Option<String>> {
        ids.iter().map(|id| self.0.get(*id).cloned()).collect()
    }

    fn count_children(&mut self, parent: &str, _: usize) -> Option<usize> {
        Some(self.0.keys().filter(|id| path::parent(id) == Some(parent)).count())
    }
}

/// Parents and dependencies before what hangs from them.
fn in_dependency_order(rows: &BTreeMap<String, String>) -> Vec<&str> {
    fn visit<'a>(
        path: &str,
        rows: &'a BTreeMap<String, String>,
        seen: &mut HashSet<&'a str>,
        order: &mut Vec<&'a str>,
    ) {
        let Some((path, body)) = rows.get_key_value(path) else {
            return;
        };
        if !seen.insert(path) {
            return;
        }
        let row = Row::parse(body).unwrap();
        for before in path::parent(path).into_iter().chain(row.texts("dependencies")) {
            visit(before, rows, seen, order);
        }
        order.push(path);
    }
    let (mut seen, mut order) = (HashSet::new(), Vec::new());
    for path in rows.keys() {
        visit(path, rows, &mut seen, &mut order);
    }
    order
}

#[test]
fn all_119_keep_the_rules_on_fields() {
    let Some(rows) = rows() else { return };
    assert_eq!(rows.len(), 119);
    for (path, body) in &rows {
        assert_eq!(fields::check(body), [], "{path}");
    }
}

#[test]
fn of_119_in_dependency_order_100_are_stored_5_refused_and_14_follow() {
    let Some(rows) = rows() else { return };
    let mut store = Memory(BTreeMap::new());
    let (mut refused, mut followers) = (0, 0);
    for path in in_dependency_order(&rows) {
        let problems = links::judge(&[&rows[path]], &mut store).problems.remove(0);
        if problems.is_empty() {
            store.0.insert(path.to_owned(), rows[path].clone());
            continue;
        }
        // A follower hangs from rows that are there but were refused.
        let missing = problems.iter().flat_map(|problem| &problem.details);
        let mut missing = missing.filter(|(name, _)| matches!(*name, "parent" | "dependency"));
        if missing.all(|(_, target)| rows.contains_key(target)) {
            followers += 1;
        } else {
            refused += 1;
        }
    }
    assert_eq!((store.0.len(), refused, followers), (100, 5, 14));
}
