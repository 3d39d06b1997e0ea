//! What a row asks of the relations, as far as the row alone tells.

use super::tasks::{Store, Tasks};
use crate::row::marker_id;
use crate::{Mode, Op, Row, Status, path};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// A row reduced to what the rules look at.
#[derive(Debug)]
pub struct Asked<'r> {
    /// What it asks for.
    pub op: Op,
    /// The task it is about: a legal path.
    pub path: &'r str,
    /// Pointer to the object that holds the changed fields.
    pub at: &'static str,
    /// The task's dependencies after the row, with their places in the list:
    /// legal paths, no repeats, not the task itself.
    pub dependencies: Vec<(usize, String)>,
    /// Whether the row sets the dependencies, to others than are stored.
    pub sets_dependencies: bool,
    /// The status the row sets, if it sets a legal one.
    pub status: Option<Status>,
    /// Whether the row makes the task one that may not have children.
    pub no_milestone: bool,
    /// For a delete row, what it does about children.
    pub mode: Option<Mode>,
    /// Whether the row has a `parentPath` of its own to point to.
    pub names_parent: bool,
}

impl<'r> Asked<'r> {
    /// What `row` asks for. None if there is nothing to judge: the row's own
    /// fields are too broken to tell, which another validator reports, or its
    /// idempotency key is used up, so that it will have no effect.
    pub fn of<S: Store>(row: &'r Row, tasks: &Tasks<S>) -> Option<Asked<'r>> {
        let path = row.text("path")?;
        let op = row.op()?;
        if row.text("key").is_some_and(|key| tasks.get(&marker_id(key)).is_some()) {
            return None;
        }
        let stored = tasks.get(path);
        let fields = changed_fields(row, op)?;
        let status = match (fields.get("status"), op) {
            (None, Op::Create) => Some(Status::Pending),
            // A patch that deletes the status leaves the default.
            (Some(Value::Null), Op::Update) => Some(Status::Pending),
            (status, _) => status.and_then(Value::as_str).and_then(Status::parse),
        };
        let given = fields.get("dependencies");
        let wanted = match (op, given) {
            (Op::Create | Op::Update, Some(list)) => distinct(strings(list), path),
            _ => distinct(stored.map_or(Vec::new(), |task| texts(&task.dependencies)), path),
        };
        let kept = stored.is_some_and(|task| {
            let targets = wanted.iter().map(|(_, target)| target);
            op == Op::Update && targets.eq(&task.dependencies)
        });
        Some(Asked {
            op,
            path,
            at: if op == Op::Update { "/set" } else { "" },
            dependencies: wanted,
            sets_dependencies: matches!(op, Op::Create | Op::Update) && given.is_some() && !kept,
            status,
            no_milestone: op == Op::Update && fields.get("type").is_some_and(|kind| kind != "MILESTONE"),
            mode: row.mode().filter(|_| op == Op::Delete),
            names_parent: row.text("parentPath").is_some(),
        })
    }

    /// The paths of the dependencies.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().map(|(_, target)| target.as_str())
    }
}

/// The ids that judging `row` begins with: the task itself, its parent, its
/// dependencies, the marker of its idempotency key.
pub fn nearest(row: &Row) -> Vec<String> {
    let mut ids = Vec::new();
    let Some(path) = row.text("path").filter(|path| path::is_legal(path)) else {
        return ids;
    };
    ids.push(path.to_owned());
    ids.extend(row.text("key").map(marker_id));
    let op = row.op();
    if op == Some(Op::Create) {
        ids.extend(path::parent(path).map(str::to_owned));
    }
    let given = op.and_then(|op| changed_fields(row, op)).and_then(|fields| fields.get("dependencies"));
    if let Some(list) = given {
        let targets = distinct(strings(list), path);
        ids.extend(targets.into_iter().map(|(_, target)| target));
    }
    ids
}

/// The object whose members are new values of the task's fields.
fn changed_fields(row: &Row, op: Op) -> Option<&Map<String, Value>> {
    match op {
        Op::Update => row.0.get("set")?.as_object(),
        Op::Create | Op::Status | Op::Delete => Some(&row.0),
    }
}

fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().map(|path| path.as_str().unwrap_or_default()).collect()
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn distinct(paths: Vec<&str>, own: &str) -> Vec<(usize, String)> {
    let mut seen = HashSet::new();
    paths
        .into_iter()
        .enumerate()
        .filter(|(_, path)| *path != own && path::is_legal(path) && seen.insert(*path))
        .map(|(place, path)| (place, path.to_owned()))
        .collect()
}
