//! The component: what the contract asks for.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "operation-plugin" });

use crate::ticket;
use atlas::batch::types::Problem;
use exports::atlas::batch::operation::{Guest, Item, Outcome};

struct Plugin;

impl Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        items
            .iter()
            .map(|item| match ticket::tidy(&item.body) {
                Ok(body) => Outcome::Replace(body),
                Err(error) => Outcome::Reject(Problem {
                    code: "TICKET_SHAPE".to_owned(),
                    message: format!("not a ticket: {error}"),
                    pointer: String::new(),
                    details: Vec::new(),
                }),
            })
            .collect()
    }
}

export!(Plugin);
