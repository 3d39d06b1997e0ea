//! What rows do to a store that lives in memory.

use super::*;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Default)]
struct Memory {
    rows: BTreeMap<String, String>,
    no_index: bool,
}

impl Store for Memory {
    fn get(&mut self, id: &str) -> Option<String> {
        self.rows.get(id).cloned()
    }

    fn children(&mut self, path: &str) -> Option<Vec<Child>> {
        let of_path = |body: &str| {
            let row = Row::parse(body).unwrap();
            row.text("parentPath") == Some(path)
        };
        let children = self.rows.iter().filter(|(_, body)| of_path(body));
        let children = children.map(|(id, body)| Child { path: id.clone(), body: body.clone() });
        (!self.no_index).then(|| children.collect())
    }
}

impl Memory {
    /// Let a row, keyed by its path, have its effect; the ids it changed.
    fn apply(&mut self, row: Value, edges: Option<&str>) -> Result<Vec<String>, Problem> {
        let id = row["path"].as_str().unwrap().to_owned();
        let row = Row::parse(&row.to_string()).unwrap();
        let changes = match effect(&id, row, edges, self)? {
            Effect::Replace(body) => vec![Change::put(id, body)],
            Effect::Changes(changes) => changes,
            Effect::Drop => Vec::new(),
        };
        Ok(changes.into_iter().map(|change| self.make(change)).collect())
    }

    fn make(&mut self, change: Change) -> String {
        match change {
            Change::Put { id, body, .. } => {
                self.rows.insert(id.clone(), body);
                id
            }
            Change::Delete { id, .. } => {
                self.rows.remove(&id);
                format!("-{id}")
            }
        }
    }

    fn task(&self, path: &str) -> Value {
        serde_json::from_str(&self.rows[path]).unwrap()
    }
}

fn task(path: &str, dependencies: &[&str]) -> Value {
    json!({"path": path, "name": "A name", "dependencies": dependencies})
}

#[test]
fn a_created_task_replaces_its_item() {
    let row = Row::parse(r#"{"op":"create","path":"a","name":"A"}"#).unwrap();
    let Ok(Effect::Replace(body)) = effect("a", row, None, &mut Memory::default()) else {
        panic!("wanted a new body for the item");
    };
    assert!(body.starts_with(r#"{"path":"a","name":"A","type":"TASK""#), "{body}");
}

#[test]
fn an_item_under_another_id_is_stored_under_its_path() {
    let row = Row::parse(r#"{"path":"a","name":"A"}"#).unwrap();
    let effect = effect("row-7", row, None, &mut Memory::default()).unwrap();
    assert!(
        matches!(effect, Effect::Changes(changes) if matches!(&changes[..], [Change::Put { id, .. }] if id == "a"))
    );
}

#[test]
fn an_update_changes_what_it_names_and_what_follows_from_it() {
    let mut store = Memory::default();
    let mut row = task("a/b", &[]);
    row["metadata"] = json!({"tags": ["x"], "own": 1});
    row["created"] = json!(5);
    store.apply(row, None).unwrap();
    let mut wanted = store.task("a/b");
    let set = json!({"name": "New name", "metadata": {"tags": ["B", "a"]}, "created": null});
    store.apply(json!({"op": "update", "path": "a/b", "set": set}), None).unwrap();
    wanted["name"] = json!("New name");
    wanted["metadata"]["tags"] = json!(["a", "b"]);
    wanted["slug"] = json!("new-name");
    wanted["nameLength"] = json!(8);
    wanted["searchText"] = json!("new name a b");
    wanted.as_object_mut().unwrap().remove("created");
    assert_eq!(store.task("a/b"), wanted);
}

#[test]
fn what_changes_nothing_leaves_every_byte() {
    let mut store = Memory::default();
    let odd = r#"{ "path":"a", "name":"n" , "type":"TASK","status":"BLOCKED" }"#;
    store.rows.insert("a".to_owned(), odd.to_owned());
    store.apply(json!({"op": "status", "path": "a", "status": "BLOCKED"}), None).unwrap();
    store.apply(json!({"op": "update", "path": "a", "set": {"name": "n"}}), None).unwrap();
    assert_eq!(store.rows["a"], odd);
}

#[test]
fn a_status_row_changes_the_status_alone() {
    let mut store = Memory::default();
    store.apply(task("a", &[]), None).unwrap();
    let mut wanted = store.task("a");
    wanted["status"] = json!("BLOCKED");
    store.apply(json!({"op": "status", "path": "a", "status": "BLOCKED"}), None).unwrap();
    assert_eq!(store.task("a"), wanted);
}

#[test]
fn a_patch_that_breaks_a_rule_only_once_merged_is_refused() {
    let mut store = Memory::default();
    let mut row = task("a", &[]);
    row["metadata"] = json!({"one": vec!["x".repeat(1000); 20]});
    store.apply(row, None).unwrap();
    let set = json!({"metadata": {"two": vec!["x".repeat(1000); 20]}});
    let problem = store.apply(json!({"op": "update", "path": "a", "set": set}), None).unwrap_err();
    assert_eq!((problem.code, problem.pointer.as_str()), (Code::Field, "/metadata"));
}

#[test]
fn what_is_changed_has_to_be_there() {
    for row in [
        json!({"op": "update", "path": "a", "set": {}}),
        json!({"op": "status", "path": "a", "status": "BLOCKED"}),
        json!({"op": "delete", "path": "a"}),
    ] {
        let problem = Memory::default().apply(row, None).unwrap_err();
        assert_eq!(problem.code, Code::NotFound);
    }
}

#[test]
fn edges_come_and_go_with_dependencies() {
    let mut store = Memory::default();
    let edges = Some("edges");
    assert_eq!(store.apply(task("a", &["b", "c"]), edges).unwrap(), ["a", "edge:a>b", "edge:a>c"]);
    let set = json!({"dependencies": ["c"]});
    let changed = store.apply(json!({"op": "update", "path": "a", "set": set}), edges).unwrap();
    assert_eq!(changed, ["a", "-edge:a>b", "edge:a>c"]);
    assert_eq!(store.task("a")["dependencyCount"], 1);
    let changed = store.apply(json!({"op": "delete", "path": "a"}), edges).unwrap();
    assert_eq!(changed, ["-edge:a>c", "-a"]);
}

#[test]
fn a_repeated_key_has_no_second_effect() {
    let mut store = Memory::default();
    let mut row = task("a", &[]);
    row["key"] = json!("k1");
    assert_eq!(store.apply(row.clone(), None).unwrap(), ["a", "key:k1"]);
    assert_eq!(store.task("key:k1"), json!({"key": "k1", "op": "create", "task": "a"}));
    assert_eq!(store.task("a").get("key"), None);
    store.rows.remove("a");
    assert_eq!(store.apply(row, None).unwrap(), [""; 0]);
    assert!(!store.rows.contains_key("a"));
}

#[test]
fn a_cascade_takes_all_descendants() {
    let mut store = Memory::default();
    for path in ["a", "a/b", "a/b/c", "a/d", "ab"] {
        store.apply(task(path, &[]), None).unwrap();
    }
    let delete = |mode: &str| json!({"op": "delete", "path": "a", "mode": mode});
    store.no_index = true;
    assert!(store.apply(delete("cascade"), None).is_err());
    store.no_index = false;
    let changed = store.apply(delete("cascade"), None).unwrap();
    assert_eq!(changed, ["-a", "-a/b", "-a/d", "-a/b/c"]);
    assert_eq!(store.rows.keys().collect::<Vec<_>>(), ["ab"]);
}

#[test]
fn a_cascade_beyond_the_bound_is_refused_whole() {
    let mut store = Memory::default();
    store.apply(task("a", &[]), None).unwrap();
    for i in 0..CHANGES_MAX {
        store.apply(task(&format!("a/c{i}"), &[]), None).unwrap();
    }
    let row = json!({"op": "delete", "path": "a", "mode": "cascade"});
    assert_eq!(store.apply(row, None).unwrap_err().code, Code::Parent);
    assert_eq!(store.rows.len(), CHANGES_MAX + 1);
}

#[test]
fn rows_that_ask_for_nothing_known_are_refused() {
    for row in [json!({"path": "a", "op": "upsert"}), json!({"path": "a//b", "name": "n"})] {
        assert_eq!(Memory::default().apply(row, None).unwrap_err().code, Code::Field);
    }
}
