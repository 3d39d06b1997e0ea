//! Answers, and the interfaces `config`, `context` and `log`.
#![expect(unsafe_code, reason = "generated bindings cross the border of the sandbox")]

wit_bindgen::generate!({ path: "../../wit", world: "dual-plugin" });

use crate::reads;
use atlas::batch::types::{Change, DeleteChange, Item, Problem, PutChange, RetryRequest};
use atlas::batch::{config, context, log};
use exports::atlas::batch::operation::{self, Outcome};
use exports::atlas::batch::validator::{self, Verdict};

/// The collection beside the run's own.
const OTHER: &str = "other";

/// The largest whole number that all languages can tell.
const OTHER_ORDINAL: u64 = (1 << 53) - 1;

struct Probe;

impl validator::Guest for Probe {
    fn validate(items: Vec<Item>) -> Vec<Verdict> {
        items.iter().map(verdict).collect()
    }
}

impl operation::Guest for Probe {
    fn apply(items: Vec<Item>) -> Vec<Outcome> {
        items.iter().map(outcome).collect()
    }
}

fn words(item: &Item) -> Vec<&str> {
    item.body.trim_matches('"').split(' ').collect()
}

/// `refuse N` breaks N rules.
fn verdict(item: &Item) -> Verdict {
    match words(item)[..] {
        ["refuse", count] => {
            let rule = |n: u32| problem("PROBE_RULE", &n.to_string(), "/", pairs(&[("rule", &n.to_string())]));
            Verdict::Reject((0..count.parse().unwrap_or(0)).map(rule).collect())
        }
        _ => Verdict::Accept,
    }
}

fn outcome(item: &Item) -> Outcome {
    let words = words(item);
    match words[..] {
        ["keep"] => Outcome::Keep,
        ["drop"] => Outcome::Drop,
        ["replace"] => Outcome::Replace("[\"replaced\"]".to_owned()),
        ["emit"] => Outcome::Emit(vec![
            put(Some(OTHER), &format!("{}-other", item.id), &item.body),
            put(None, &format!("{}-own", item.id), "{\"emitted\":true}"),
            delete(Some(OTHER), "gone"),
            delete(None, "gone"),
        ]),
        ["nothing"] => Outcome::Emit(Vec::new()),
        ["retry", delay] if context::attempt() == 1 => retry(delay.parse().ok()),
        ["retry", _] => Outcome::Replace(format!("{{\"attempt\":{}}}", context::attempt())),
        ["never"] => retry(None),
        ["reject"] => {
            Outcome::Reject(problem("PROBE_REJECT", "asked to refuse", "/a~1b/0", pairs(&[("k", ""), ("", "v")])))
        }
        ["bare"] => Outcome::Reject(problem("", "", "", Vec::new())),
        ["log", level, ..] => {
            log::write(level_of(level), &words[2..].join(" "));
            Outcome::Keep
        }
        ["config", key] => match config::get(key) {
            Some(value) => learned("some", pairs(&[(key, &value)])),
            None => learned("none", Vec::new()),
        },
        ["configs"] => learned("all", config::get_all()),
        ["context"] => {
            let same = context::now_ms() == context::now_ms() && context::now_ms() > 1_700_000_000_000;
            learned(
                "context",
                pairs(&[
                    ("run", &context::run().len().to_string()),
                    ("batch", &context::batch().to_string()),
                    ("attempt", &context::attempt().to_string()),
                    ("deadline", &context::deadline_ms().to_string()),
                    ("now", if same { "fixed" } else { "moves" }),
                    ("seed", &context::seed(item.ordinal).to_string()),
                    ("other-seed", &context::seed(OTHER_ORDINAL).to_string()),
                ]),
            )
        }
        _ => reads::read(&words).unwrap_or_else(|| learned("no such word", Vec::new())),
    }
}

fn level_of(text: &str) -> log::Level {
    match text {
        "trace" => log::Level::Trace,
        "debug" => log::Level::Debug,
        "info" => log::Level::Info,
        "warn" => log::Level::Warn,
        _ => log::Level::Error,
    }
}

fn retry(delay_ms: Option<u32>) -> Outcome {
    let problem = problem("PROBE_RETRY", "asked to fail for now", "/retry", pairs(&[("why", "asked")]));
    Outcome::Retry(RetryRequest { problem, delay_ms })
}

/// What was learned, as a refusal.
pub fn learned(message: &str, details: Vec<(String, String)>) -> Outcome {
    Outcome::Reject(problem("PROBE", message, "", details))
}

fn put(collection: Option<&str>, id: &str, body: &str) -> Change {
    let (id, body) = (id.to_owned(), body.to_owned());
    Change::Put(PutChange { collection: collection.map(str::to_owned), id, body })
}

fn delete(collection: Option<&str>, id: &str) -> Change {
    Change::Delete(DeleteChange { collection: collection.map(str::to_owned), id: id.to_owned() })
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn problem(code: &str, message: &str, pointer: &str, details: Vec<(String, String)>) -> Problem {
    Problem { code: code.to_owned(), message: message.to_owned(), pointer: pointer.to_owned(), details }
}

export!(Probe);
