//! The component: what the contract asks for.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "dual-plugin" });

use crate::{entry, problem};
use atlas::batch::types::{Item, Problem};
use exports::atlas::batch::operation::{self, Outcome};
use exports::atlas::batch::validator::{self, Verdict};

struct Plugin;

impl operation::Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        items
            .iter()
            .map(|item| match entry::normalise(&item.body) {
                Ok(body) => Outcome::Replace(body),
                Err(problem) => Outcome::Reject(in_contract(problem)),
            })
            .collect()
    }
}

impl validator::Guest for Plugin {
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        items
            .iter()
            .map(|item| {
                let problems = entry::judge(&item.body);
                if problems.is_empty() {
                    Verdict::Accept
                } else {
                    Verdict::Reject(problems.into_iter().map(in_contract).collect())
                }
            })
            .collect()
    }
}

fn in_contract(problem: problem::Problem) -> Problem {
    let pair = |(name, value): (&str, String)| (name.to_owned(), value);
    Problem {
        code: problem.code.to_owned(),
        message: problem.message,
        pointer: problem.pointer,
        details: problem.details.into_iter().map(pair).collect(),
    }
}

export!(Plugin);
