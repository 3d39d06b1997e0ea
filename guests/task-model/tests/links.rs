//! The rules on relations, over a store that lives in memory.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use task_model::links::{self, Store};

#[derive(Default)]
struct Memory {
    rows: BTreeMap<String, Value>,
    no_index: bool,
    reads: usize,
    ids_read: usize,
}

impl Store for Memory {
    fn get_many(&mut self, ids: &[&str]) -> Vec<Option<String>> {
        self.reads += 1;
        self.ids_read += ids.len();
        ids.iter().map(|id| self.rows.get(*id).map(Value::to_string)).collect()
    }

    fn count_children(&mut self, parent: &str, at_most: usize) -> Option<usize> {
        let children = self.rows.values().filter(|row| row["parentPath"] == parent);
        (!self.no_index).then(|| children.take(at_most).count())
    }
}

impl Memory {
    fn of(rows: &[Value]) -> Memory {
        let mut memory = Memory::default();
        for row in rows {
            memory.put(row.clone());
        }
        memory
    }

    fn put(&mut self, mut row: Value) {
        let path = row["path"].as_str().unwrap().to_owned();
        if let Some((parent, _)) = path.rsplit_once('/') {
            row["parentPath"] = parent.into();
        }
        self.rows.insert(path, row);
    }

    /// `CODE pointer` of each broken rule of one row.
    fn judge(&mut self, row: &Value) -> Vec<String> {
        let mut judged = links::judge(&[&row.to_string()], self);
        judged.problems.remove(0).into_iter().map(|p| format!("{} {}", p.code.as_str(), p.pointer)).collect()
    }

    /// One item at a time, what is accepted is stored; the number refused.
    fn load(&mut self, rows: &[Value]) -> usize {
        rows.iter()
            .filter(|row| {
                let refused = !self.judge(row).is_empty();
                if !refused {
                    self.put((*row).clone());
                }
                refused
            })
            .count()
    }
}

fn task(path: &str, dependencies: &[&str]) -> Value {
    json!({"path": path, "name": "n", "dependencies": dependencies})
}

fn with(mut row: Value, field: &str, value: &str) -> Value {
    row[field] = value.into();
    row
}

fn milestone(path: &str) -> Value {
    with(task(path, &[]), "type", "MILESTONE")
}

#[test]
fn every_path_but_a_root_has_a_milestone_as_parent() {
    let mut store = Memory::of(&[milestone("a"), task("a/leaf", &[])]);
    assert_eq!(store.judge(&task("b", &[])), [""; 0]);
    assert_eq!(store.judge(&task("a/b", &[])), [""; 0]);
    assert_eq!(store.judge(&task("a/x/b", &[])), ["TASK_1008 /path"]);
    assert_eq!(store.judge(&task("a/leaf/b", &[])), ["TASK_1008 /path"]);
    let named = with(task("a/x/b", &[]), "parentPath", "a/x");
    assert_eq!(store.judge(&named), ["TASK_1008 /parentPath"]);
}

#[test]
fn a_follower_learns_the_first_broken_link() {
    let mut store = Memory::of(&[milestone("a")]);
    let body = task("a/gone/b/c", &["a/gone/x"]).to_string();
    let problems = links::judge(&[&body], &mut store).problems.remove(0);
    let links: Vec<_> =
        problems.iter().map(|p| p.details.iter().find(|d| d.0 == "brokenLink").unwrap().1.as_str()).collect();
    assert_eq!(links, ["a/gone", "a/gone"]);
}

#[test]
fn a_milestone_has_at_most_100_children() {
    let mut store = Memory::of(&[milestone("a")]);
    let children: Vec<Value> = (0..101).map(|i| task(&format!("a/c{i}"), &[])).collect();
    assert_eq!(store.load(&children), 1);
    assert_eq!(store.judge(&children[100]), ["TASK_1008 /path"]);
    // A repeated child is a duplicate and nothing else.
    assert_eq!(store.judge(&children[0]), ["TASK_1005 /path"]);
    store.no_index = true;
    assert_eq!(store.judge(&children[100]), [""; 0]);
}

#[test]
fn dependencies_exist_and_are_not_cancelled() {
    let mut store = Memory::of(&[task("a", &[]), with(task("c", &[]), "status", "CANCELLED")]);
    assert_eq!(
        store.judge(&task("b", &["x", "a", "c", "1llegal", "b"])),
        ["TASK_1003 /dependencies/0", "TASK_1003 /dependencies/2"]
    );
    // An ancestor is as good as any other.
    let mut store = Memory::of(&[milestone("m")]);
    assert_eq!(store.judge(&task("m/t", &["m"])), [""; 0]);
}

#[test]
fn completed_needs_all_dependencies_completed() {
    let done = |path| with(task(path, &[]), "status", "COMPLETED");
    let mut store = Memory::of(&[done("done"), task("open", &[])]);
    let row = |dependencies: &[&str]| with(task("t", dependencies), "status", "COMPLETED");
    assert_eq!(store.judge(&row(&["done"])), [""; 0]);
    assert_eq!(store.judge(&row(&["done", "open"])), ["TASK_1003 /dependencies/1"]);

    store.put(with(task("t", &["open"]), "status", "IN_PROGRESS"));
    let complete = json!({"op": "status", "path": "t", "status": "COMPLETED"});
    assert_eq!(store.judge(&complete), ["TASK_1003 /status"]);
    store.put(done("open"));
    assert_eq!(store.judge(&complete), [""; 0]);
    // Completed tasks may not gain open dependencies either.
    store.put(task("late", &[]));
    let gain = json!({"op": "update", "path": "done", "set": {"dependencies": ["late"]}});
    assert_eq!(store.judge(&gain), ["TASK_1003 /set/dependencies/0"]);
}

#[test]
fn a_chain_of_1000_stores_11() {
    let rows: Vec<Value> = (0..1000)
        .map(|i| match i {
            0 => task("t0", &[]),
            _ => task(&format!("t{i}"), &[&format!("t{}", i - 1)]),
        })
        .collect();
    let mut store = Memory::default();
    assert_eq!(store.load(&rows), 989);
    assert_eq!(store.rows.len(), 11);
    assert_eq!(store.judge(&rows[11]), ["TASK_1003 /dependencies"]);
    assert_eq!(store.judge(&rows[12]), ["TASK_1003 /dependencies/0"]);
}

#[test]
fn a_ladder_of_diamonds_is_walked_in_linear_time() {
    // Two tasks per rung, each depending on both of the rung before: the
    // number of chains doubles with every rung.
    let rung = |i: usize| -> Vec<Value> {
        ["l", "r"]
            .map(|side| match i {
                0 => task(&format!("{side}0"), &[]),
                _ => task(&format!("{side}{i}"), &[&format!("l{}", i - 1), &format!("r{}", i - 1)]),
            })
            .into()
    };
    // Stored without judging, far beyond the longest legal chain.
    let mut store = Memory::of(&(0..1000).flat_map(rung).collect::<Vec<_>>());
    let bodies: Vec<String> = (0..5000).map(|i| task(&format!("n{i}"), &["l999", "r999"]).to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let judged = links::judge(&bodies, &mut store);
    assert!(judged.problems.iter().all(|problems| problems.len() == 1));
    assert!(store.reads <= 12, "{} reads", store.reads);
    assert!(store.ids_read <= 5000 + 22, "{} ids", store.ids_read);
}

#[test]
fn dependencies_in_a_circle_are_found_by_path() {
    let mut store = Memory::of(&[task("a", &[]), task("b", &["a"]), task("c", &["b"])]);
    let close = json!({"op": "update", "path": "a", "set": {"dependencies": ["c"]}});
    let problems = links::judge(&[&close.to_string()], &mut store).problems.remove(0);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code.as_str(), "TASK_1010");
    assert_eq!(problems[0].pointer, "/set/dependencies");
    assert_eq!(problems[0].details, [("cycle", "a > c > b > a".to_owned())]);
    let open = json!({"op": "update", "path": "c", "set": {"dependencies": ["a"]}});
    assert_eq!(store.judge(&open), [""; 0]);
    // A circle among others does not hang the walk.
    store.put(task("x", &["y"]));
    store.put(task("y", &["x"]));
    assert_eq!(store.judge(&task("z", &["x"])), ["TASK_1003 /dependencies"]);
}

#[test]
fn a_task_that_comes_back_can_close_a_circle() {
    let mut store = Memory::of(&[task("b", &["a"])]);
    assert_eq!(store.judge(&task("a", &["b"])), ["TASK_1010 /dependencies"]);
}

#[test]
fn only_legal_transitions() {
    let mut store = Memory::of(&[task("t", &[])]);
    let to = |status: &str| json!({"op": "status", "path": "t", "status": status});
    assert_eq!(store.judge(&to("IN_PROGRESS")), [""; 0]);
    assert_eq!(store.judge(&to("PENDING")), [""; 0]);
    assert_eq!(store.judge(&to("COMPLETED")), ["TASK_1004 /status"]);
    let update = json!({"op": "update", "path": "t", "set": {"status": "COMPLETED"}});
    assert_eq!(store.judge(&update), ["TASK_1004 /set/status"]);
}

#[test]
fn what_is_changed_has_to_be_there_and_what_is_created_not() {
    let mut store = Memory::of(&[task("t", &[])]);
    for row in [
        json!({"op": "update", "path": "x", "set": {"name": "m"}}),
        json!({"op": "status", "path": "x", "status": "BLOCKED"}),
        json!({"op": "delete", "path": "x"}),
    ] {
        assert_eq!(store.judge(&row), ["TASK_1001 /path"]);
        assert_eq!(store.judge(&with(row, "path", "t")), [""; 0]);
    }
    assert_eq!(store.judge(&task("t", &[])), ["TASK_1005 /path"]);
}

#[test]
fn children_hold_their_parent() {
    let mut store = Memory::of(&[milestone("m"), task("m/t", &[])]);
    let delete = json!({"op": "delete", "path": "m"});
    assert_eq!(store.judge(&delete), ["TASK_1008 /path"]);
    assert_eq!(store.judge(&with(delete, "mode", "cascade")), [""; 0]);
    let demote = json!({"op": "update", "path": "m", "set": {"type": "TASK"}});
    assert_eq!(store.judge(&demote), ["TASK_1008 /set/type"]);
}

#[test]
fn an_update_of_other_fields_judges_no_dependencies() {
    let mut store = Memory::of(&[task("t", &["gone"])]);
    let update = json!({"op": "update", "path": "t", "set": {"name": "m"}});
    assert_eq!(store.judge(&update), [""; 0]);
}

#[test]
fn a_used_idempotency_key_makes_any_row_harmless() {
    let mut store = Memory::of(&[task("t", &[])]);
    let again = with(task("t", &["gone"]), "key", "k");
    assert_eq!(store.judge(&again).len(), 2);
    store.rows.insert("key:k".to_owned(), json!({"path": "t"}));
    assert_eq!(store.judge(&again), [""; 0]);
}

#[test]
fn rows_too_broken_to_look_up_are_refused() {
    let mut store = Memory::default();
    for body in ["[]", "{}", r#"{"path":1}"#, r#"{"path":"a//b"}"#] {
        let problems = links::judge(&[body], &mut store).problems.remove(0);
        assert_eq!(problems[0].code.as_str(), "TASK_1002", "{body}");
    }
}

#[test]
fn long_chains_and_many_dependencies_are_worth_a_warning() {
    let mut store = Memory::default();
    store.load(&[task("t0", &[])]);
    for i in 1..7 {
        let row = task(&format!("t{i}"), &[&format!("t{}", i - 1)]);
        let judged = links::judge(&[&row.to_string()], &mut store);
        assert_eq!(judged.warnings.len(), usize::from(i > 5), "{i}");
        store.put(row);
    }
}
