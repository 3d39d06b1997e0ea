//! The component: what the contract asks for.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "dual-plugin" });

use std::hint::black_box;

use crate::orders::Orders;
use atlas::batch::types::{Item, Problem};
use exports::atlas::batch::operation::{self, Outcome};
use exports::atlas::batch::validator::{self, Verdict};
use faults::Directive;

/// Written over by tests.
static ORDERS: [u8; 64] = *b"STAMP-ORDERS:v0                                                 ";

struct Plugin;

fn orders() -> Orders<'static> {
    // The compiler must not take what stands here now for what will stand here.
    Orders::read(std::str::from_utf8(black_box(&ORDERS)).unwrap_or_default())
}

impl operation::Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        let orders = orders();
        items.iter().map(|item| outcome(&orders, &item.body)).collect()
    }
}

impl validator::Guest for Plugin {
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        let orders = orders();
        let verdict = |item: &Item| match orders.of(&item.body) {
            Some("refuse") => Verdict::Reject(vec![problem()]),
            _ => Verdict::Accept,
        };
        items.iter().map(verdict).collect()
    }
}

fn outcome(orders: &Orders, body: &str) -> Outcome {
    match orders.of(body) {
        Some("keep") => return Outcome::Keep,
        Some("drop") => return Outcome::Drop,
        Some("reject") => return Outcome::Reject(problem()),
        Some("bad-json") => return Outcome::Replace("{".to_owned()),
        // Its own work so many times over.
        Some(again) if again.starts_with("again(") => {
            let times = Directive::parse(again).number.unwrap_or(1);
            for _ in 1..times {
                black_box(orders.stamped(black_box(body)));
            }
        }
        Some(other) => {
            faults::act(Directive::parse(other));
        }
        None => {}
    }
    Outcome::Replace(orders.stamped(body))
}

fn problem() -> Problem {
    Problem {
        code: "STAMP_NO".to_owned(),
        message: "asked to refuse".to_owned(),
        pointer: String::new(),
        details: Vec::new(),
    }
}

export!(Plugin);
