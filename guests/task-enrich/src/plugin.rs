//! The component: what the contract asks for, the host's store, and the fault
//! directives that tests put into tasks.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "operation-plugin" });

use crate::change::{self, Child};
use crate::effect::{self, Effect};
use atlas::batch::types::{Change, DeleteChange, Problem, PutChange, RetryRequest};
use atlas::batch::{config, context, log, store};
use exports::atlas::batch::operation::{Guest, Item, Outcome};
use faults::Directive;
use serde_json::Value;
use std::collections::HashMap;
use task_model::Row;

/// Ids that the host takes in one read.
const IDS_MAX: usize = 1000;
/// Rows of a page of children.
const PAGE_ROWS: u32 = 100;
/// The index over `/parentPath`.
const PARENT_INDEX: &str = "parent";
/// More than a body may have.
const FLOOD_BYTES: usize = 1 << 20;

struct Plugin;

impl Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        let edges = config::get("edges");
        let rows: Vec<_> = items.iter().map(|item| Row::parse(&item.body)).collect();
        let mut host = HostStore::default();
        let ids = rows.iter().flatten();
        host.read(ids.flat_map(|row| change::ids_needed(row, edges.as_deref())).collect());

        let mut outcomes = Vec::with_capacity(items.len());
        let mut short = false;
        for (item, row) in items.iter().zip(rows) {
            outcomes.push(match row {
                Err(problem) => Outcome::Reject(in_contract(problem)),
                Ok(row) => {
                    let directive = directive(&row);
                    short |= directive == Some("short");
                    match directive.and_then(fault) {
                        Some(outcome) => outcome,
                        None => outcome(change::effect(&item.id, row, edges.as_deref(), &mut host)),
                    }
                }
            });
        }
        if short {
            outcomes.pop();
        }
        outcomes
    }
}

/// The fault directive of a task.
fn directive(row: &Row) -> Option<&str> {
    let fields = row.0.get("metadata")?.get("customFields")?;
    fields.get("fault").and_then(Value::as_str)
}

/// The outcome that a directive asks for; none if the item goes on as usual.
fn fault(text: &str) -> Option<Outcome> {
    let directive = Directive::parse(text);
    match directive.name {
        "permanent" => Some(Outcome::Reject(asked("FAULT_PERMANENT", text))),
        "transient" => {
            let fails = directive.number.unwrap_or(u64::MAX);
            (u64::from(context::attempt()) <= fails)
                .then(|| Outcome::Retry(RetryRequest { problem: asked("FAULT_TRANSIENT", text), delay_ms: None }))
        }
        "flood" => Some(Outcome::Replace(format!("\"{}\"", "x".repeat(FLOOD_BYTES)))),
        _ => {
            faults::act(directive);
            None
        }
    }
}

fn asked(code: &str, directive: &str) -> Problem {
    Problem {
        code: code.to_owned(),
        message: format!("the task asks for the fault {directive:?}"),
        pointer: "/metadata/customFields/fault".to_owned(),
        details: Vec::new(),
    }
}

fn outcome(effect: Result<Effect, task_model::Problem>) -> Outcome {
    match effect {
        Ok(Effect::Replace(body)) => Outcome::Replace(body),
        Ok(Effect::Changes(changes)) => Outcome::Emit(changes.into_iter().map(change_in_contract).collect()),
        Ok(Effect::Drop) => Outcome::Drop,
        Err(problem) => Outcome::Reject(in_contract(problem)),
    }
}

fn change_in_contract(change: effect::Change) -> Change {
    match change {
        effect::Change::Put { collection, id, body } => Change::Put(PutChange { collection, id, body }),
        effect::Change::Delete { collection, id } => Change::Delete(DeleteChange { collection, id }),
    }
}

fn in_contract(problem: task_model::Problem) -> Problem {
    let (code, message, pointer, details) = problem.into_parts();
    Problem { code, message, pointer, details }
}

/// What this call has read.
#[derive(Default)]
struct HostStore {
    bodies: HashMap<String, Option<String>>,
}

impl HostStore {
    fn read(&mut self, mut ids: Vec<String>) {
        ids.sort_unstable();
        ids.dedup();
        for ids in ids.chunks(IDS_MAX) {
            self.read_halving(ids);
        }
    }

    /// Read `ids`, in halves where one answer would be too large.
    fn read_halving(&mut self, ids: &[String]) {
        match store::get_many(None, ids) {
            Ok(found) => self.bodies.extend(ids.iter().cloned().zip(found)),
            Err(store::Error::OverLimit) if ids.len() > 1 => {
                let (first, second) = ids.split_at(ids.len() / 2);
                self.read_halving(first);
                self.read_halving(second);
            }
            Err(error) => give_up(&format!("{} tasks", ids.len()), &error),
        }
    }
}

impl change::Store for HostStore {
    fn get(&mut self, id: &str) -> Option<String> {
        if !self.bodies.contains_key(id) {
            self.read(vec![id.to_owned()]);
        }
        self.bodies.get(id)?.clone()
    }

    fn children(&mut self, path: &str) -> Option<Vec<Child>> {
        let mut children: Vec<Child> = Vec::new();
        let mut limit = PAGE_ROWS;
        loop {
            let key = store::Key::Text(path.to_owned());
            let after = children.last().map(|child| child.path.clone());
            match store::find(None, PARENT_INDEX, &key, after.as_deref(), limit) {
                Ok(rows) => {
                    let last = rows.len() < limit as usize;
                    children.extend(rows.into_iter().map(|row| Child { path: row.id, body: row.body }));
                    if last {
                        return Some(children);
                    }
                }
                Err(store::Error::OverLimit) if limit > 1 => limit /= 2,
                Err(store::Error::NoSuchIndex) => return None,
                Err(error) => give_up(&format!("children of {path}"), &error),
            }
        }
    }
}

/// A read that fails says nothing about the items, so the call ends in a
/// trap, and the host tries again with fewer of them.
fn give_up(what: &str, error: &store::Error) -> ! {
    log::write(log::Level::Error, &format!("cannot read {what}: {error:?}."));
    panic!("cannot read {what}: {error:?}");
}

export!(Plugin);
