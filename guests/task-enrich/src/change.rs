//! From a row to its effect on the store.

use crate::derive::{COMPUTED, derive};
use crate::effect::{Change, Effect, edge_changes};
use serde_json::Value;
use task_model::row::{marker_body, marker_id};
use task_model::{Code, Mode, Op, Problem, Row, fields, path};

/// Most changes that one item may make.
const CHANGES_MAX: usize = 1000;

/// The reads that changing tasks needs. In the component this is the host's store.
pub trait Store {
    /// The stored body under `id`.
    fn get(&mut self, id: &str) -> Option<String>;

    /// The tasks whose parent is `path`; none if the store has no index to tell.
    fn children(&mut self, path: &str) -> Option<Vec<Child>>;
}

/// A task found by its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its path.
    pub path: String,
    /// Its body.
    pub body: String,
}

/// The ids that [`effect`] will ask for, so that they can be read together.
pub fn ids_needed(row: &Row, edges: Option<&str>) -> Vec<String> {
    let changes_stored = row.op() != Some(Op::Create) || edges.is_some();
    let path = row.text("path").filter(|path| changes_stored && path::is_legal(path));
    let marker = row.text("key").map(marker_id);
    path.map(str::to_owned).into_iter().chain(marker).collect()
}

/// What `row`, which came under the id `item_id`, does to the store. With
/// `edges`, the name of a collection, each dependency has an edge there. A row
/// with an idempotency key leaves a marker, and has no effect where there is
/// one already.
///
/// # Errors
/// The row asks for nothing known; the task it changes is not stored; the
/// changed task would break a rule; a cascade is too large or finds no index.
pub fn effect(item_id: &str, row: Row, edges: Option<&str>, store: &mut impl Store) -> Result<Effect, Problem> {
    let key = row.text("key").map(str::to_owned);
    if let Some(key) = &key
        && store.get(&marker_id(key)).is_some()
    {
        return Ok(Effect::Drop);
    }
    let path = row.path()?.to_owned();
    let op = row.op().ok_or_else(|| Problem::new(Code::Field, "/op", "op: wanted create, update, status or delete"))?;
    let mut changes = match op {
        Op::Create => create(row, &path, edges, store),
        Op::Update | Op::Status => change(&row, op, &path, edges, store)?,
        Op::Delete => delete(&row, &path, edges, store)?,
    };
    if let Some(key) = &key {
        changes.push(Change::put(marker_id(key), marker_body(key, op, &path)));
    }
    match changes.as_mut_slice() {
        // One row under the item's own id is what an operation does by default.
        [Change::Put { collection: None, id, body }] if id == item_id => Ok(Effect::Replace(std::mem::take(body))),
        changes if changes.len() > CHANGES_MAX => {
            let message = format!(
                "{} changes in one item, wanted at most {CHANGES_MAX}; hint: delete the children first",
                changes.len()
            );
            Err(Problem::new(Code::Parent, "/mode", message).with("limit", CHANGES_MAX))
        }
        _ => Ok(Effect::Changes(changes)),
    }
}

fn create(mut task: Row, path: &str, edges: Option<&str>, store: &mut impl Store) -> Vec<Change> {
    task.0.shift_remove("op");
    task.0.shift_remove("key");
    derive(&mut task, path);
    // A row that is replaced may have had other edges.
    let before = edges.and_then(|_| stored(path, store));
    let body = task.to_text();
    with_edges(path, before.as_ref(), &task, body, edges)
}

fn change(row: &Row, op: Op, path: &str, edges: Option<&str>, store: &mut impl Store) -> Result<Vec<Change>, Problem> {
    let stored = store.get(path);
    let before = stored.as_deref().and_then(|body| Row::parse(body).ok());
    let (Some(body), Some(before)) = (stored, before) else {
        return Err(Problem::not_found(path));
    };
    let mut task = before.clone();
    if op == Op::Status {
        let status = row.0.get("status").cloned().unwrap_or_default();
        task.0.insert("status".to_owned(), status);
    } else {
        let Some(Value::Object(set)) = row.0.get("set") else {
            return Err(Problem::new(Code::Field, "/set", "set: wanted an object"));
        };
        task.merge(set);
    }
    // What changes nothing leaves the stored text as it is, byte for byte.
    if task == before {
        return Ok(vec![Change::put(path, body)]);
    }
    derive(&mut task, path);
    if let Some(problem) = fields::check_task(&task, &COMPUTED).into_iter().next() {
        return Err(problem.with("task", "after the change"));
    }
    let body = task.to_text();
    Ok(with_edges(path, Some(&before), &task, body, edges))
}

fn delete(row: &Row, path: &str, edges: Option<&str>, store: &mut impl Store) -> Result<Vec<Change>, Problem> {
    let Some(body) = store.get(path) else {
        return Err(Problem::not_found(path));
    };
    let mut doomed = vec![Child { path: path.to_owned(), body }];
    if row.mode() == Some(Mode::Cascade) {
        let mut next = 0;
        while next < doomed.len() && doomed.len() <= CHANGES_MAX {
            let children = store.children(&doomed[next].path).ok_or_else(no_index)?;
            doomed.extend(children);
            next += 1;
        }
    }
    let mut changes = Vec::new();
    for task in doomed {
        if let (Some(collection), Ok(row)) = (edges, Row::parse(&task.body)) {
            let before = row.texts("dependencies");
            changes.extend(edge_changes(collection, &task.path, &before, &[]));
        }
        changes.push(Change::delete(task.path));
    }
    Ok(changes)
}

fn with_edges(path: &str, before: Option<&Row>, after: &Row, body: String, edges: Option<&str>) -> Vec<Change> {
    let mut changes = vec![Change::put(path, body)];
    if let Some(collection) = edges {
        let before = before.map(|row| row.texts("dependencies")).unwrap_or_default();
        let after = after.texts("dependencies");
        changes.extend(edge_changes(collection, path, &before, &after));
    }
    changes
}

fn stored(path: &str, store: &mut impl Store) -> Option<Row> {
    Row::parse(&store.get(path)?).ok()
}

fn no_index() -> Problem {
    let message = "children cannot be found; hint: declare an index named parent over /parentPath";
    Problem::new(Code::Parent, "/mode", message)
}

#[cfg(test)]
mod tests;
