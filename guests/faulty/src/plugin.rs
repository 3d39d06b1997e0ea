//! The component: what the contract asks for, and the demands it knows.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "dual-plugin" });

use crate::bodies;
use crate::demand::Demand;
use atlas::batch::types::{Change, Item, Problem, PutChange, RetryRequest};
use atlas::batch::{context, log};
use exports::atlas::batch::operation::{self, Outcome};
use exports::atlas::batch::validator::{self, Verdict};
use faults::Directive;

/// Twice what is kept of one batch's log.
const FLOOD_LINES: usize = 200;
/// Far more than what is kept of a text.
const BIG_MESSAGE_BYTES: usize = 1 << 17;

struct Plugin;

impl operation::Guest for Plugin {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        let demands: Vec<Demand> = items.iter().map(|item| Demand::find(&item.body)).collect();
        let mut outcomes: Vec<Outcome> = items
            .iter()
            .zip(&demands)
            .map(|(item, demand)| match demand.of_operation() {
                Some(directive) => outcome(item, directive),
                None => Outcome::Keep,
            })
            .collect();
        let directives = || demands.iter().filter_map(Demand::of_operation);
        resize(&mut outcomes, directives().map(|one| one.name), || Outcome::Keep);
        outcomes
    }
}

impl validator::Guest for Plugin {
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        let demands: Vec<Demand> = items.iter().map(|item| Demand::find(&item.body)).collect();
        let mut verdicts: Vec<Verdict> =
            demands.iter().map(|demand| demand.of_validator().map_or(Verdict::Accept, verdict)).collect();
        let directives = || demands.iter().filter_map(Demand::of_validator);
        resize(&mut verdicts, directives().map(|one| one.name), || Verdict::Accept);
        verdicts
    }
}

fn outcome(item: &Item, directive: Directive) -> Outcome {
    let number = directive.number;
    match directive.name {
        "short" | "long" => Outcome::Keep,
        "bad-json" => Outcome::Replace(bodies::bad_json()),
        "deep-json" => Outcome::Replace(bodies::deep_json()),
        "huge-output" => Outcome::Replace(bodies::huge()),
        "flood" => {
            flood();
            Outcome::Keep
        }
        "big-message" => Outcome::Reject(big_problem()),
        "reject" | "permanent" => Outcome::Reject(problem("FAULTY_REJECT", "asked to refuse")),
        // Without a number it fails on every attempt.
        "retry" | "transient" => {
            if number.is_none_or(|fails| u64::from(context::attempt()) <= fails) {
                Outcome::Retry(RetryRequest {
                    problem: problem("FAULTY_RETRY", "asked to fail for now"),
                    delay_ms: None,
                })
            } else {
                Outcome::Keep
            }
        }
        "drop" => Outcome::Drop,
        "emit" => Outcome::Emit((0..number.unwrap_or(1)).map(|n| copy(item, n)).collect()),
        "wrong-id" => Outcome::Emit(vec![put(String::new(), item.body.clone())]),
        _ if faults::act(directive) => Outcome::Keep,
        unknown => Outcome::Reject(problem(
            "FAULTY_UNKNOWN",
            &format!("no fault is named {unknown:?}; hint: the guests' README lists them"),
        )),
    }
}

fn verdict(directive: Directive) -> Verdict {
    match directive.name {
        "short" | "long" => Verdict::Accept,
        "flood" => {
            flood();
            Verdict::Accept
        }
        "big-message" => Verdict::Reject(vec![big_problem()]),
        "reject" => {
            let count = directive.number.unwrap_or(1);
            let problems = (0..count).map(|_| problem("FAULTY_REJECT", "asked to refuse"));
            Verdict::Reject(problems.collect())
        }
        _ if faults::act(directive) => Verdict::Accept,
        unknown => Verdict::Reject(vec![problem(
            "FAULTY_UNKNOWN",
            &format!("no fault is named {unknown:?}; hint: the guests' README lists them"),
        )]),
    }
}

/// Answer with a list of the wrong length if any item asked for that.
fn resize<'a, T>(answers: &mut Vec<T>, mut demands: impl Iterator<Item = &'a str>, more: impl Fn() -> T) {
    match demands.find(|name| matches!(*name, "short" | "long")) {
        Some("short") => {
            answers.pop();
        }
        Some(_) => answers.push(more()),
        None => {}
    }
}

fn flood() {
    for line in 0..FLOOD_LINES {
        log::write(log::Level::Info, &format!("line {line} of a flood"));
    }
}

fn copy(item: &Item, number: u64) -> Change {
    put(format!("{}#{number}", item.id), item.body.clone())
}

fn put(id: String, body: String) -> Change {
    Change::Put(PutChange { collection: None, id, body })
}

fn big_problem() -> Problem {
    problem("FAULTY_BIG", &"x".repeat(BIG_MESSAGE_BYTES))
}

fn problem(code: &str, message: &str) -> Problem {
    Problem { code: code.to_owned(), message: message.to_owned(), pointer: "/fault".to_owned(), details: Vec::new() }
}

export!(Plugin);
