//! The component: what the contract asks for.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "validator-plugin" });

use atlas::batch::types::Problem;
use exports::atlas::batch::validator::{Guest, Item, Verdict};

struct Plugin;

impl Guest for Plugin {
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        items
            .iter()
            .map(|item| {
                let problems = task_model::fields::check(&item.body);
                if problems.is_empty() {
                    Verdict::Accept
                } else {
                    Verdict::Reject(problems.into_iter().map(in_contract).collect())
                }
            })
            .collect()
    }
}

fn in_contract(problem: task_model::Problem) -> Problem {
    let (code, message, pointer, details) = problem.into_parts();
    Problem { code, message, pointer, details }
}

export!(Plugin);
