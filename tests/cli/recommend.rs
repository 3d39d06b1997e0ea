//! `recommend`, and `run --recommended`.

use serde_json::Value;

use super::{golden, numbered, plain_run, words};
use crate::harness::{Folder, guest_arg};

/// A store with a run of 40 batches of 10 on one lane.
fn with_history() -> Folder {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(400));
    plain_run(&folder, "--strategy sequential --batch-size 10 --lanes 1").run().exits(0);
    folder
}

/// Setting, value, and whether it is the default, of each recommendation.
fn told(document: &Value) -> Vec<(&str, u64, bool)> {
    let one = |name: &str| {
        let one = &document[name];
        Some((one["setting"].as_str()?, one["value"].as_u64()?, one["default"].as_bool()?))
    };
    ["batch_size", "lanes", "attempts"].into_iter().map(|name| one(name).expect("a recommendation")).collect()
}

/// The plans of a run, from its events.
fn plans(folder: &Folder) -> Vec<Value> {
    let events = folder.read("events");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.filter(|event| event["event"] == "plan-chosen").collect()
}

fn origin(folder: &Folder, line: &str, key: &str) -> (String, String) {
    let all = words(folder, &format!("config show --output json {line}")).exits(0).json();
    let found = all.as_array().expect("a list").iter().find(|one| one["key"] == key).expect("the setting").clone();
    (found["value"][0].as_str().expect("a text").to_owned(), found["origin"].as_str().expect("a text").to_owned())
}

#[test]
fn without_history_the_defaults_are_recommended_and_say_so() {
    let folder = with_history();
    let ran = words(&folder, "recommend --into others").exits(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    golden("recommend-empty.txt", &ran.stdout.replace(&format!("--lanes {cores}"), "--lanes <cores>"));
    let document = words(&folder, "recommend --into others --output json").exits(0).json();
    assert_eq!(document["runs"], Value::Array(vec![]));
    let told = told(&document);
    assert_eq!((told[0], told[2]), (("batch-size", 1000, true), ("attempts", 3, true)));
    assert_eq!((told[1].0, told[1].2), ("lanes", true));
    words(&folder, "recommend --store none.db").exits(5).says("error[STORAGE_2005]");
}

#[test]
fn what_earlier_runs_measured_is_recommended_with_its_figures() {
    let folder = with_history();
    let document = words(&folder, "recommend --output json").exits(0).json();
    assert_eq!(told(&document), [("batch-size", 10, false), ("lanes", 1, false), ("attempts", 3, true)]);
    assert_eq!((&document["runs"], &document["collection"]), (&serde_json::json!([1]), &"items".into()));
    let size = &document["batch_size"];
    assert_eq!(size["samples"], 40);
    let figure = &size["evidence"][0];
    assert_eq!((&figure["what"], &figure["unit"]), (&"batches of 10, 1 lane (40 batches)".into(), &"items/s".into()));
    assert!(figure["value"].as_f64() > Some(0.0), "{document}");
    let text = words(&folder, "recommend").exits(0).stdout;
    assert!(
        text.starts_with(
            "From 1 run into items with no plugin: run 1.\n\n--batch-size 10\n  10 items a batch with 1 lane gave "
        ),
        "{text}"
    );
    assert!(text.contains("\n--attempts 3 (the default)\n  none of 400 items asked for a retry"), "{text}");
}

#[test]
fn a_run_begins_with_what_is_recommended_and_says_so() {
    for (strategy, size, reason) in [
        ("sequential", 10, "recommended from 1 run: batch-size 10, lanes 1"),
        (
            "adaptive",
            10,
            "starts at batches of 10, 1 lane: from what is recommended; recommended from 1 run: batch-size 10, lanes 1",
        ),
    ] {
        let folder = with_history();
        folder.write("in.ndjson", numbered(600));
        plain_run(&folder, &format!("--again --strategy {strategy} --recommended --events events")).run().exits(0);
        let first = &plans(&folder)[0];
        assert_eq!(first["batch_size"], size, "{first}");
        assert!(first["reason"].as_str().is_some_and(|text| text.ends_with(reason)), "{first}");
    }
}

#[test]
fn where_a_recommended_value_comes_from_is_shown() {
    let folder = with_history();
    let recommended = |value: &str| (value.to_owned(), "recommended from 1 run".to_owned());
    assert_eq!(origin(&folder, "--recommended --strategy sequential", "batch-size"), recommended("10"));
    assert_eq!(origin(&folder, "--recommended", "batch-size"), recommended("10..1000, from 10 on"));
    assert_eq!(origin(&folder, "--recommended", "lanes"), recommended("from 1 on"));
    assert_eq!(origin(&folder, "--recommended", "attempts").1, "default");
    assert_eq!(origin(&folder, "", "batch-size").1, "default");
}

#[test]
fn what_was_given_outweighs_what_is_recommended() {
    let folder = with_history();
    folder.write("in.ndjson", numbered(600));
    folder.write("atlas.toml", "lanes = 2\n");
    let flags = "--strategy sequential --recommended --batch-size 50";
    assert_eq!(origin(&folder, flags, "batch-size"), ("50".to_owned(), "flag".to_owned()));
    assert_eq!(origin(&folder, flags, "lanes"), ("2".to_owned(), "atlas.toml:1".to_owned()));
    plain_run(&folder, &format!("{flags} --again --events events")).run().exits(0);
    let first = &plans(&folder)[0];
    assert_eq!(first["batch_size"], 50);
    assert!(
        first["reason"].as_str().is_some_and(|text| text.ends_with("recommended from 1 run: what is set already")),
        "{first}"
    );
}

#[test]
fn runs_of_other_plugins_do_not_count() {
    let folder = with_history();
    let plugin = guest_arg("identity");
    plain_run(&folder, &format!("--again --plugin {plugin} --recommended --events events")).run().exits(0);
    let first = &plans(&folder)[0];
    assert!(first["reason"].as_str().is_some_and(|text| text.contains("nothing is recommended")), "{first}");
    // The newest run is now one with the plugin.
    let document = words(&folder, "recommend --output json").exits(0).json();
    assert_eq!(
        (&document["runs"], &document["plugins"]),
        (&serde_json::json!([2]), &serde_json::json!(["identity.wasm"]))
    );
}

#[test]
fn a_first_run_may_ask_for_recommendations_too() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20));
    plain_run(&folder, "--recommended --events events").run().exits(0);
    let first = &plans(&folder)[0];
    assert!(
        first["reason"]
            .as_str()
            .is_some_and(|text| text.ends_with("no earlier run of these plugins and this collection")),
        "{first}"
    );
}
