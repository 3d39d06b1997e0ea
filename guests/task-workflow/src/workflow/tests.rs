//! Rows and what follows from them, over a store that lives in memory.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Default, PartialEq)]
struct Memory {
    rows: BTreeMap<String, String>,
    edges: BTreeMap<String, Value>,
    no_index: bool,
}

impl Store for Memory {
    fn get_many(&mut self, ids: &[String]) -> Vec<Option<String>> {
        ids.iter().map(|id| self.rows.get(id).cloned()).collect()
    }

    fn children(&mut self, path: &str) -> Result<Vec<(String, String)>, Problem> {
        let of_path = |body: &str| Row::parse(body).unwrap().text("parentPath") == Some(path);
        Ok(self.rows.iter().filter(|(_, body)| of_path(body)).map(|(id, body)| (id.clone(), body.clone())).collect())
    }

    fn dependents(&mut self, path: &str) -> Result<Vec<String>, Problem> {
        if self.no_index {
            return Err(Problem::new(Code::Dependency, "/status", "no index"));
        }
        let edges = self.edges.values().filter(|edge| edge["to"] == path);
        Ok(edges.map(|edge| edge["from"].as_str().unwrap().to_owned()).collect())
    }
}

impl Memory {
    /// With these tasks, as pairs of path and what it depends on. Paths that others begin with are milestones.
    fn of(tasks: &[(&str, &[&str])]) -> Memory {
        let mut memory = Memory::default();
        for (path, dependencies) in tasks {
            let mut task = json!({"path": path, "name": "n", "dependencies": dependencies});
            if tasks.iter().any(|(other, _)| path::parent(other) == Some(*path)) {
                task["type"] = "MILESTONE".into();
            }
            memory.apply(task).unwrap();
        }
        memory
    }

    /// Let a row have its effect; the ids that it changes, in order.
    fn apply(&mut self, row: Value) -> Result<Vec<String>, Problem> {
        let changes = changes(Row::parse(&row.to_string()).unwrap(), self)?;
        let ids = changes.tasks.iter().chain(&changes.edges).map(|(id, _)| id.clone()).collect();
        self.edges.extend(changes.edges.into_iter().map(|(id, body)| (id, serde_json::from_str(&body).unwrap())));
        self.rows.extend(changes.tasks);
        Ok(ids)
    }

    fn set(&mut self, path: &str, status: &str) -> Vec<String> {
        self.apply(json!({"op": "status", "path": path, "status": status})).unwrap()
    }

    fn status(&self, path: &str) -> Status {
        Row::parse(&self.rows[path]).unwrap().status().unwrap()
    }

    /// The tasks that stand there.
    fn that_are(&self, status: Status) -> Vec<&str> {
        self.rows.keys().map(String::as_str).filter(|path| self.status(path) == status).collect()
    }
}

#[test]
fn a_created_task_is_filled_in_and_has_its_edges() {
    let mut store = Memory::default();
    let row = json!({"op": "create", "path": "a/b", "name": "B", "dependencies": ["x"]});
    assert_eq!(store.apply(row.clone()).unwrap(), ["a/b", "edge:a/b>x"]);
    assert_eq!(
        store.rows["a/b"],
        r#"{"path":"a/b","name":"B","dependencies":["x"],"type":"TASK","status":"PENDING","parentPath":"a","projectPath":"a"}"#
    );
    assert_eq!(store.apply(row).unwrap_err().code, Code::Duplicate);
}

#[test]
fn a_task_with_open_dependencies_is_blocked_where_it_would_begin() {
    let mut store = Memory::of(&[("a", &[]), ("b", &["a"]), ("c", &["a"])]);
    assert_eq!(store.set("b", "IN_PROGRESS"), ["b"]);
    assert_eq!(store.status("b"), Status::Blocked);
    assert_eq!(store.set("b", "IN_PROGRESS"), [""; 0], "it is blocked already");
    store.apply(json!({"path": "d", "name": "d", "dependencies": ["a"], "status": "IN_PROGRESS"})).unwrap();
    assert_eq!(store.status("d"), Status::Blocked);
    store.set("a", "COMPLETED");
    store.set("c", "IN_PROGRESS");
    assert_eq!(store.status("c"), Status::InProgress);
}

#[test]
fn the_last_blocker_that_is_completed_frees_what_is_blocked() {
    let mut store = Memory::of(&[("a", &[]), ("b", &[]), ("c", &["a", "b"]), ("d", &["a", "b"])]);
    store.set("c", "BLOCKED");
    assert_eq!(store.set("a", "COMPLETED"), ["a"]);
    assert_eq!(store.set("b", "COMPLETED"), ["b", "c"], "d was not blocked");
    assert_eq!(store.that_are(Status::Pending), ["c", "d"]);
}

#[test]
fn a_parent_is_completed_with_the_last_of_its_children_and_so_on_upwards() {
    let mut store = Memory::of(&[("a", &[]), ("a/b", &[]), ("a/b/c", &[]), ("a/b/d", &[]), ("x", &["a"])]);
    store.set("x", "BLOCKED");
    assert_eq!(store.set("a/b/c", "COMPLETED"), ["a/b/c"]);
    assert_eq!(store.set("a/b/d", "COMPLETED"), ["a/b/d", "a/b", "a", "x"]);
    assert_eq!(store.that_are(Status::Pending), ["x"]);
}

#[test]
fn a_parent_that_depends_on_others_waits_for_them() {
    let mut store = Memory::of(&[("a", &["x"]), ("a/b", &[]), ("x", &[])]);
    store.set("a", "BLOCKED");
    assert_eq!(store.set("a/b", "COMPLETED"), ["a/b"]);
    assert_eq!(store.set("x", "COMPLETED"), ["x", "a"]);
    assert_eq!(store.status("a"), Status::Completed);
}

#[test]
fn whatever_depends_on_a_cancelled_task_is_cancelled_unless_it_is_done() {
    let mut store = Memory::of(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["c"]), ("e", &[])]);
    store.set("d", "CANCELLED");
    assert_eq!(store.set("a", "CANCELLED"), ["a", "b", "c"]);
    // What begins again, begins alone.
    assert_eq!(store.set("b", "PENDING"), ["b"]);
    assert_eq!(store.that_are(Status::Pending), ["b", "e"]);
}

#[test]
fn children_that_are_cancelled_are_done_but_complete_nothing_alone() {
    let mut store = Memory::of(&[("a", &[]), ("a/b", &[]), ("a/c", &["a/b"]), ("a/d", &[])]);
    assert_eq!(store.clone().set("a/d", "CANCELLED"), ["a/d"]);
    store.set("a/d", "COMPLETED");
    assert_eq!(store.set("a/b", "CANCELLED"), ["a/b", "a/c", "a"]);
    assert_eq!(store.status("a"), Status::Completed);
    let mut store = Memory::of(&[("a", &[]), ("a/b", &[])]);
    assert_eq!(store.set("a/b", "CANCELLED"), ["a/b"]);
    assert_eq!(store.status("a"), Status::Pending);
}

#[test]
fn circles_come_to_an_end() {
    // No validator lets them in.
    let circle: &[(&str, &[&str])] = &[("a", &["c"]), ("b", &["a"]), ("c", &["b"])];
    let mut store = Memory::of(circle);
    assert_eq!(store.set("a", "CANCELLED"), ["a", "b", "c"]);
    let mut store = Memory::of(circle);
    store.set("b", "BLOCKED");
    assert_eq!(store.set("a", "COMPLETED"), ["a", "b"]);
}

#[test]
fn the_same_status_again_changes_nothing() {
    let mut store = Memory::of(&[("a", &[]), ("b", &["a"])]);
    store.set("a", "CANCELLED");
    store.set("b", "PENDING");
    assert_eq!(store.set("a", "CANCELLED"), [""; 0]);
    assert_eq!(store.status("b"), Status::Pending);
}

#[test]
fn one_item_changes_no_more_tasks_than_the_bound() {
    let mut store = Memory::of(&[("a", &[])]);
    for i in 0..EFFECTS_MAX {
        store.apply(json!({"path": format!("b{i}"), "name": "n", "dependencies": ["a"]})).unwrap();
    }
    assert_eq!(store.clone().set("a", "CANCELLED").len(), EFFECTS_MAX + 1);
    store.apply(json!({"path": "c", "name": "n", "dependencies": ["a"]})).unwrap();
    let before = store.clone();
    let problem = store.apply(json!({"op": "status", "path": "a", "status": "CANCELLED"})).unwrap_err();
    assert_eq!((problem.code, problem.pointer.as_str()), (Code::Dependency, "/status"));
    assert!(problem.message.contains("more than 100 other tasks would change with \"a\""), "{}", problem.message);
    assert!(store == before);
}

#[test]
fn a_repeated_key_has_no_second_effect() {
    let mut store = Memory::of(&[("a", &[]), ("b", &["a"])]);
    let row = json!({"op": "status", "path": "a", "status": "CANCELLED", "key": "k"});
    assert_eq!(store.apply(row.clone()).unwrap(), ["a", "b", "key:k"]);
    assert_eq!(store.rows["key:k"], r#"{"key":"k","op":"status","task":"a"}"#);
    store.set("a", "PENDING");
    assert_eq!(store.apply(row).unwrap(), [""; 0]);
    let row = json!({"path": "c", "name": "n", "key": "l"});
    assert_eq!(store.apply(row).unwrap(), ["c", "key:l"]);
    assert!(!store.rows["c"].contains("key"));
}

#[test]
fn rows_that_cannot_be_carried_out_are_refused() {
    let mut store = Memory::of(&[("a", &[])]);
    store.no_index = true;
    for (row, code) in [
        (json!({"op": "update", "path": "a", "set": {}}), Code::Field),
        (json!({"op": "delete", "path": "a"}), Code::Field),
        (json!({"path": "a//b", "name": "n"}), Code::Field),
        (json!({"op": "status", "path": "b", "status": "BLOCKED"}), Code::NotFound),
        (json!({"op": "status", "path": "a", "status": "DONE"}), Code::Status),
        (json!({"op": "status", "path": "a", "status": "CANCELLED"}), Code::Dependency),
    ] {
        assert_eq!(store.apply(row.clone()).unwrap_err().code, code, "{row}");
    }
    assert_eq!(store.that_are(Status::Pending), ["a"]);
}

/// Whatever is done in whatever order: what has begun or is completed waits for nothing.
#[test]
fn nothing_goes_on_before_what_it_depends_on_is_completed() {
    for seed in 1..=20_u64 {
        let mut state = seed;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        let mut paths: Vec<String> = vec!["r".to_owned()];
        let mut store = Memory::of(&[("r", &[]), ("r/x", &[])]);
        for i in 0..20 {
            let parent = paths[below(paths.len())].clone();
            let own = if path::depth(&parent) < 4 { format!("{parent}/t{i}") } else { format!("t{i}") };
            let dependencies: Vec<&String> = (0..below(3)).map(|_| &paths[below(paths.len())]).collect();
            // Neither what stands above it: no parent would ever be completed.
            let dependencies: Vec<&String> =
                dependencies.into_iter().filter(|to| !own.starts_with(&format!("{to}/"))).collect();
            store.apply(json!({"path": own, "name": "n", "type": "MILESTONE", "dependencies": dependencies})).unwrap();
            paths.push(own);
        }
        for _ in 0..60 {
            let path = paths[below(paths.len())].clone();
            let from = store.status(&path);
            let next: Vec<Status> = from.next().iter().copied().filter(|next| *next != Status::Completed).collect();
            let to = match from {
                Status::InProgress => Status::Completed,
                _ if next.is_empty() => continue,
                _ => next[below(next.len())],
            };
            store.set(&path, to.as_str());
            for path in &paths {
                let dependencies = Row::parse(&store.rows[path]).map(|row| dependencies(&row)).unwrap();
                let open = dependencies.iter().any(|to| store.status(to) != Status::Completed);
                let goes_on = matches!(store.status(path), Status::InProgress | Status::Completed);
                assert!(!(open && goes_on), "seed {seed}: {path} after {to:?}");
            }
        }
    }
}
