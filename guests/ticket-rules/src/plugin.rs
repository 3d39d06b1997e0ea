//! The component: what the contract asks for.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "validator-plugin" });

use crate::rules::{self, Broken};
use atlas::batch::types::Problem;
use exports::atlas::batch::validator::{Guest, Item, Verdict};

struct Plugin;

impl Guest for Plugin {
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        items
            .iter()
            .map(|item| {
                let broken = rules::judge(&item.body);
                if broken.is_empty() {
                    Verdict::Accept
                } else {
                    Verdict::Reject(broken.into_iter().map(problem).collect())
                }
            })
            .collect()
    }
}

fn problem(broken: Broken) -> Problem {
    Problem {
        code: broken.code.to_owned(),
        message: broken.message,
        pointer: broken.pointer.to_owned(),
        details: Vec::new(),
    }
}

export!(Plugin);
