//! The component: what the contract asks for, and the host's store.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "operation-plugin" });

use crate::board::Store;
use crate::workflow::{self, Changes};
use atlas::batch::types::{Change, Problem, PutChange};
use atlas::batch::{config, log, store};
use exports::atlas::batch::operation::{Guest, Item, Outcome};
use task_model::{Code, Row};

/// Ids that the host takes in one read.
const IDS_MAX: usize = 1000;
/// Rows of a page.
const PAGE_ROWS: u32 = 100;
/// The index over `/parentPath`.
const PARENT_INDEX: &str = "parent";
/// The index of the edges over `/to`.
const TO_INDEX: &str = "to";

struct Plugin;

impl Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        let edges = config::get("edges").unwrap_or_else(|| "edges".to_owned());
        let mut host = HostStore { edges: &edges };
        let changes = items.iter().map(|item| workflow::changes(Row::parse(&item.body)?, &mut host));
        changes.map(|changes| outcome(changes, &edges)).collect()
    }
}

fn outcome(changes: Result<Changes, task_model::Problem>, edges: &str) -> Outcome {
    match changes {
        Ok(changes) => {
            let tasks = changes.tasks.into_iter().map(|row| put(None, row));
            let edges = changes.edges.into_iter().map(|row| put(Some(edges.to_owned()), row));
            // An empty list drops the item.
            Outcome::Emit(tasks.chain(edges).collect())
        }
        Err(problem) => {
            let (code, message, pointer, details) = problem.into_parts();
            Outcome::Reject(Problem { code, message, pointer, details })
        }
    }
}

fn put(collection: Option<String>, (id, body): (String, String)) -> Change {
    Change::Put(PutChange { collection, id, body })
}

struct HostStore<'c> {
    /// The collection of edges.
    edges: &'c str,
}

impl Store for HostStore<'_> {
    fn get_many(&mut self, ids: &[String]) -> Vec<Option<String>> {
        let mut bodies = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_MAX) {
            get_halving(ids, &mut bodies);
        }
        bodies
    }

    fn children(&mut self, path: &str) -> Result<Vec<(String, String)>, task_model::Problem> {
        let rows = found(None, PARENT_INDEX, path).ok_or_else(|| {
            let message = "children cannot be found; hint: declare an index named parent over /parentPath";
            task_model::Problem::new(Code::Parent, "/status", message)
        })?;
        Ok(rows.into_iter().map(|row| (row.id, row.body)).collect())
    }

    fn dependents(&mut self, path: &str) -> Result<Vec<String>, task_model::Problem> {
        let rows = found(Some(self.edges), TO_INDEX, path).ok_or_else(|| {
            let edges = self.edges;
            let message = format!(
                "dependent tasks cannot be found; hint: declare the collection {edges} with an index named to over \
                 /to, and grant it: --collection {edges} --index {edges}:to --grant-collection {edges}"
            );
            task_model::Problem::new(Code::Dependency, "/status", message)
        })?;
        let edges = rows.iter().filter_map(|row| Row::parse(&row.body).ok());
        Ok(edges.filter_map(|edge| edge.text("from").map(str::to_owned)).collect())
    }
}

/// Read `ids`, in halves where one answer would be too large.
fn get_halving(ids: &[String], bodies: &mut Vec<Option<String>>) {
    match store::get_many(None, ids) {
        Ok(found) => bodies.extend(found),
        Err(store::Error::OverLimit) if ids.len() > 1 => {
            let (first, second) = ids.split_at(ids.len() / 2);
            get_halving(first, bodies);
            get_halving(second, bodies);
        }
        Err(error) => give_up(&format!("{} tasks", ids.len()), &error),
    }
}

/// All rows under a key of an index; none where the run offers no such index.
fn found(collection: Option<&str>, index: &str, key: &str) -> Option<Vec<store::Row>> {
    let mut rows: Vec<store::Row> = Vec::new();
    let mut limit = PAGE_ROWS;
    loop {
        let after = rows.last().map(|row| row.id.clone());
        match store::find(collection, index, &store::Key::Text(key.to_owned()), after.as_deref(), limit) {
            Ok(page) => {
                let last = page.len() < limit as usize;
                rows.extend(page);
                if last {
                    return Some(rows);
                }
            }
            Err(store::Error::OverLimit) if limit > 1 => limit /= 2,
            Err(store::Error::NotGranted | store::Error::NoSuchCollection | store::Error::NoSuchIndex) => return None,
            Err(error) => give_up(&format!("the index {index} for {key}"), &error),
        }
    }
}

/// A read that fails says nothing about the item, so the call ends in a trap.
fn give_up(what: &str, error: &store::Error) -> ! {
    log::write(log::Level::Error, &format!("cannot read {what}: {error:?}."));
    panic!("cannot read {what}: {error:?}");
}

export!(Plugin);
