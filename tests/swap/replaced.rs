//! Plugins that are replaced before they have proved themselves, or before any batch was cut with them.

use atlas_host::model::{Digest, RunNumber};
use atlas_host::store::Reader;

use super::{Live, kept, nothing_is_mixed, stamp, told};
use crate::harness::Folder;
use crate::library::host;

fn digest(orders: &str) -> String {
    Digest::of(&stamp(orders)).to_string()
}

#[test]
fn a_plugin_that_no_batch_was_cut_with_was_never_in_force() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2"));
        live.until(&["tried"]);
        live.swap(stamp("v3 trap@100"));
        let (_, skipped) = live.until(&["skipped"]);
        assert_eq!((skipped.new_digest, skipped.reason.as_str()), (digest("v2"), "a newer candidate came"));
        let (_, took) = live.feed_until(&["took-effect"]);
        assert_eq!((took.old_digest, took.new_digest), (digest("v1"), digest("v3 trap@100")));
        assert_eq!(took.figures.expect("what the old one did").items_old, 50);
        let (_, back) = live.feed_until(&["put-back"]);
        assert_eq!(back.old_digest, digest("v1"));
        live.batches(1);
    });
    assert_eq!(
        nothing_is_mixed(&store, &live.recording, live.sent, &["v1", "v2", "v3 trap@100"]),
        ["v1", "v3", "v1"],
        "no batch is another's"
    );
}

#[test]
fn a_plugin_that_was_in_force_all_the_time_is_not_exchanged_for_itself() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2"));
        live.until(&["tried"]);
        live.swap(stamp("v1"));
        let skipped = [live.until(&["skipped"]).1, live.until(&["skipped"]).1];
        let skipped = skipped.each_ref().map(|step| (step.new_digest.as_str(), step.reason.as_str()));
        let (v1, v2) = (digest("v1"), digest("v2"));
        assert_eq!(
            skipped,
            [(v2.as_str(), "a newer candidate came"), (v1.as_str(), "the same plugin is in force already")]
        );
        live.batches(9);
    });
    assert_eq!(nothing_is_mixed(&store, &live.recording, live.sent, &["v1", "v2"]), ["v1"]);
    assert!(!told(&live.recording).contains(&"took-effect".to_owned()));
    let plugins = Reader::open(&store).and_then(|reader| reader.plugins(RunNumber(1))).expect("a history");
    assert_eq!(plugins.len(), 1, "the chain was the same all the time: {plugins:?}");
}

#[test]
fn a_plugin_that_comes_back_while_the_newer_one_is_on_probation_has_nothing_to_prove() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2"));
        live.feed_until(&["took-effect"]);
        live.swap(stamp("v1"));
        let (_, replaced) = live.until(&["skipped"]);
        assert_eq!(replaced.reason, "candidate.wasm took its place before its probation was over");
        assert_eq!(replaced.new_digest, digest("v2"));
        let (_, took) = live.feed_until(&["took-effect"]);
        assert_eq!((took.old_digest, took.new_digest), (digest("v2"), digest("v1")));
        let (_, settled) = live.feed_until(&["settled"]);
        assert_eq!((settled.batch, settled.new_digest), (took.batch, digest("v1")));
        // It was never on probation, so that nothing is told of it any more.
        live.batches(9);
    });
    assert_eq!(nothing_is_mixed(&store, &live.recording, live.sent, &["v1", "v2"]), ["v1", "v2", "v1"]);
    let steps = told(&live.recording);
    let last: Vec<&str> = steps.iter().rev().take(4).rev().map(String::as_str).collect();
    assert_eq!(last, ["tried", "skipped", "took-effect", "settled"]);
    assert_eq!(kept(&store).last(), Some(&("settled".to_owned(), true)));
}

#[test]
fn a_report_names_the_plugins_that_have_worked() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    let report = live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2"));
        live.until(&["tried"]);
    });
    assert_eq!(report.plugins[0].digest, digest("v1"), "no batch was cut with the other one");
}
