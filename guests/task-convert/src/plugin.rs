//! The component: what the contract asks for.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "operation-plugin" });

use crate::convert::convert;
use atlas::batch::types::Problem;
use exports::atlas::batch::operation::{Guest, Item, Outcome};

struct Plugin;

impl Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        items
            .iter()
            .map(|item| match convert(&item.body) {
                Ok(body) => Outcome::Replace(body),
                Err(problem) => Outcome::Reject(in_contract(problem)),
            })
            .collect()
    }
}

fn in_contract(problem: task_model::Problem) -> Problem {
    let (code, message, pointer, details) = problem.into_parts();
    Problem { code, message, pointer, details }
}

export!(Plugin);
