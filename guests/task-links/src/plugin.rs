//! The component: what the contract asks for, and the host's store behind
//! the face that the rules read through.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "validator-plugin" });

use atlas::batch::types::Problem;
use atlas::batch::{log, store};
use exports::atlas::batch::validator::{Guest, Item, Verdict};
use task_model::links::{self, Store};

/// Ids that the host takes in one read.
const IDS_MAX: usize = 1000;
/// The index over `/parentPath`.
const PARENT_INDEX: &str = "parent";

struct Plugin;

impl Guest for Plugin {
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        let bodies: Vec<&str> = items.iter().map(|item| item.body.as_str()).collect();
        let judged = links::judge(&bodies, &mut HostStore::default());
        for warning in &judged.warnings {
            log::write(log::Level::Warn, warning);
        }
        judged.problems.into_iter().map(verdict).collect()
    }
}

fn verdict(problems: Vec<task_model::Problem>) -> Verdict {
    if problems.is_empty() { Verdict::Accept } else { Verdict::Reject(problems.into_iter().map(in_contract).collect()) }
}

fn in_contract(problem: task_model::Problem) -> Problem {
    let (code, message, pointer, details) = problem.into_parts();
    Problem { code, message, pointer, details }
}

#[derive(Default)]
struct HostStore {
    no_index: bool,
}

impl Store for HostStore {
    fn get_many(&mut self, ids: &[&str]) -> Vec<Option<String>> {
        let mut bodies = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_MAX) {
            get_halving(ids, &mut bodies);
        }
        bodies
    }

    fn count_children(&mut self, parent: &str, at_most: usize) -> Option<usize> {
        if self.no_index {
            return None;
        }
        let key = store::Key::Text(parent.to_owned());
        match store::count(None, PARENT_INDEX, &key, u32::try_from(at_most).unwrap_or(u32::MAX)) {
            Ok(count) => Some(count as usize),
            Err(store::Error::NoSuchIndex) => {
                self.no_index = true;
                let line = "no index named parent over /parentPath: children are not counted.";
                log::write(log::Level::Warn, line);
                None
            }
            Err(error) => give_up(&format!("children of {parent}"), &error),
        }
    }
}

/// Read `ids`, in halves where one answer would be too large.
fn get_halving(ids: &[&str], bodies: &mut Vec<Option<String>>) {
    let owned: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    match store::get_many(None, &owned) {
        Ok(found) => bodies.extend(found),
        Err(store::Error::OverLimit) if ids.len() > 1 => {
            let (first, second) = ids.split_at(ids.len() / 2);
            get_halving(first, bodies);
            get_halving(second, bodies);
        }
        Err(error) => give_up(&format!("{} tasks", ids.len()), &error),
    }
}

/// A read that fails says nothing about the items, so none is judged: the
/// call ends in a trap, and the host tries again with fewer of them.
fn give_up(what: &str, error: &store::Error) -> ! {
    log::write(log::Level::Error, &format!("cannot read {what}: {error:?}."));
    panic!("cannot read {what}: {error:?}");
}

export!(Plugin);
