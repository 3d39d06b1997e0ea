//! Plugins in Rust that do what an item's member `fault` asks for: the sample guest `faulty` as closures, and a little more.

use std::panic::resume_unwind;

use atlas_host::model::{Change, Item, Outcome, Problem, Verdict};
use atlas_host::plugin::Call;

use super::named;

/// The second collection that `spread` puts a row into.
pub const SIDE: &str = "side";

/// As the operation half of `faulty`; besides, `replace` marks the body and `spread` changes several rows.
pub fn operate(call: &Call, item: Item<'_>) -> Outcome {
    let demand = demand(item.body);
    let (name, number) = parse(&demand);
    match name {
        // Nothing is printed, as the panic hook is not asked.
        "trap" => resume_unwind(Box::new("asked to panic")),
        "reject" => Outcome::Reject(refused()),
        "retry" if number.is_none_or(|fails| u64::from(call.attempt) <= fails) => {
            Outcome::Retry(problem("FAULTY_RETRY", "asked to fail for now"), None)
        }
        "drop" => Outcome::Drop,
        "emit" => {
            Outcome::Emit((0..number.unwrap_or(1)).map(|n| put(&format!("{}#{n}", item.id), item.body)).collect())
        }
        "bad-json" => Outcome::Replace(r#"{"id":"#.to_owned()),
        "replace" => Outcome::Replace(item.body.replacen("\"fault\"", "\"seen\":true,\"fault\"", 1)),
        "spread" => Outcome::Emit(spread(item)),
        _ => Outcome::Keep,
    }
}

/// As the validator half of `faulty`.
pub fn validate(_: &Call, item: Item<'_>) -> Verdict {
    match demand(item.body).as_str() {
        "validator-trap" => resume_unwind(Box::new("asked to panic")),
        "validator-reject" => Verdict::Reject(vec![refused()]),
        _ => Verdict::Accept,
    }
}

/// A row of its own, one of the other collection that several items share, and the end of an earlier item's row.
fn spread(item: Item<'_>) -> Vec<Change> {
    let earlier = item.ordinal.0 / 2;
    let shared = Change::Put {
        collection: Some(named(SIDE)),
        id: format!("{}", item.ordinal.0 % 5),
        body: format!(r#"{{"last":{}}}"#, item.ordinal),
    };
    vec![put(item.id, item.body), shared, Change::Delete { collection: None, id: format!("k{earlier}") }]
}

fn put(id: &str, body: &str) -> Change {
    Change::Put { collection: None, id: id.to_owned(), body: body.to_owned() }
}

fn refused() -> Problem {
    problem("FAULTY_REJECT", "asked to refuse")
}

fn problem(code: &str, message: &str) -> Problem {
    Problem { code: code.into(), message: message.into(), pointer: "/fault".into(), details: Vec::new() }
}

fn demand(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    body["fault"].as_str().unwrap_or_default().to_owned()
}

/// `emit(2)` as name and number.
fn parse(demand: &str) -> (&str, Option<u64>) {
    match demand.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((name, number)) => (name, number.parse().ok()),
        None => (demand, None),
    }
}
