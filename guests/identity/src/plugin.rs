//! The component: what the contract asks for.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "operation-plugin" });

use exports::atlas::batch::operation::{Guest, Item, Outcome};

struct Plugin;

impl Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        items.iter().map(|_| Outcome::Keep).collect()
    }
}

export!(Plugin);
