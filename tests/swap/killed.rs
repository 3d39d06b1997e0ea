//! Runs that are killed around a swap, and what the next one knows of it.

use rustix::process::Signal;
use serde_json::Value;

use super::stamp;
use crate::cli::sharing::Running;
use crate::cli::words;
use crate::harness::{Folder, guest};
use crate::library::{rows, sound};

const FOLLOW: &str = "run --follow in.ndjson --id id --plugin work=work.wasm --watch --strategy sequential --batch-size 10 \
                      --batch-wait 10ms";

/// A file that grows, and a run that follows it and its plugin.
struct Following<'a> {
    folder: &'a Folder,
    running: Running,
    sent: u64,
}

impl<'a> Following<'a> {
    fn start(folder: &'a Folder, sent: u64) -> Self {
        Self { folder, running: Running::start(folder, FOLLOW), sent }
    }

    fn grow(&mut self, items: u64) {
        use std::io::Write;
        let text: String =
            (self.sent..self.sent + items).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect();
        let file = std::fs::File::options().append(true).create(true).open(self.folder.at("in.ndjson"));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
        self.sent += items;
    }

    /// More items, and their batches committed. Gives the steps of candidates that were told meanwhile.
    #[track_caller]
    fn batches(&mut self, count: u64) -> Vec<Value> {
        let mut steps = Vec::new();
        for _ in 0..count {
            self.grow(10);
            steps.extend(self.reaches_the_end());
        }
        steps
    }

    /// Waits until all that was written is committed.
    #[track_caller]
    fn reaches_the_end(&mut self) -> Vec<Value> {
        let last = self.sent - 1;
        let mut steps = Vec::new();
        self.running.until(240, |event| {
            if event["event"].as_str().is_some_and(|name| name.starts_with("swap-")) {
                steps.push(event.clone());
            }
            event["event"] == "batch-committed" && event["last_ordinal"] == last
        });
        steps
    }

    fn end(self) -> u64 {
        self.running.signal(Signal::INT);
        self.running.end().1.exits(130);
        self.sent
    }

    #[track_caller]
    fn end_saying(self, text: &str) -> u64 {
        self.running.signal(Signal::INT);
        self.running.end().1.exits(130).says(text);
        self.sent
    }

    #[track_caller]
    fn until(&mut self, step: &str) -> Value {
        let name = format!("swap-{step}");
        self.running.until(240, |event| event["event"] == name.as_str())
    }

    fn kill(self) -> u64 {
        self.running.signal(Signal::KILL);
        drop(self.running.end());
        self.sent
    }
}

/// What made the items, in order, each once.
fn versions(folder: &Folder, items: u64) -> Vec<String> {
    let stored = rows(&folder.at("atlas.db"), "items");
    assert_eq!(stored.len() as u64, items, "nothing is lost and nothing is doubled");
    let mut versions: Vec<String> = Vec::new();
    for (_, body) in stored {
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let by = body["by"].as_str().unwrap_or("nobody").to_owned();
        if versions.last() != Some(&by) {
            versions.push(by);
        }
    }
    versions
}

#[test]
fn a_probation_goes_on_after_a_kill_and_the_plugin_before_comes_back() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.batches(5);
    folder.write("work.wasm", stamp("v2 trap@100"));
    following.until("tried");
    following.batches(3);
    let sent = following.kill();
    assert_eq!(versions(&folder, sent), ["v1", "v2"]);
    let mut following = Following::start(&folder, sent);
    following.grow(30);
    let back = following.until("put-back");
    assert!(back["reason"].as_str().is_some_and(|why| why.contains("it fails on ")), "{back}");
    following.reaches_the_end();
    following.batches(1);
    let sent = following.end();
    let found = versions(&folder, sent);
    assert_eq!((found.first(), found.last()), (Some(&"v1".to_owned()), Some(&"v1".to_owned())), "{found:?}");
    assert!(words(&folder, "dead-letters list --output json").exits(0).stdout.is_empty(), "no item is lost to it");
    sound(&folder.at("atlas.db"));
    words(&folder, "verify").exits(0);
}

#[test]
fn a_plugin_that_proves_itself_after_a_kill_is_settled() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.batches(5);
    folder.write("work.wasm", stamp("v2"));
    following.until("tried");
    following.batches(2);
    let sent = following.kill();
    let mut following = Following::start(&folder, sent);
    let steps = following.batches(8);
    assert!(steps.iter().any(|step| step["event"] == "swap-settled"), "{steps:?}");
    let sent = following.kill();
    assert_eq!(versions(&folder, sent), ["v1", "v2"]);
    // Now it is: what fails later is a matter of its own.
    let mut following = Following::start(&folder, sent);
    let steps = following.batches(9);
    assert_eq!(steps, [Value::Null; 0]);
    let sent = following.end();
    assert_eq!(versions(&folder, sent), ["v1", "v2"]);
}

#[test]
fn a_plugin_that_no_batch_was_cut_with_is_nothing_to_go_back_to_after_a_kill() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2"));
    folder.write("v3.wasm", stamp("v3 trap@100"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.batches(5);
    let sent = std::thread::scope(|scope| {
        let second = scope.spawn(|| words(&folder, "plugins swap work v2.wasm --wait 5m"));
        following.until("tried");
        let third = scope.spawn(|| words(&folder, "plugins swap work v3.wasm --wait 5m"));
        following.until("tried");
        let replaced = second.join().expect("no panic").exits(4);
        assert!(replaced.stdout.contains("the plugin is not in effect: a newer candidate came"), "{}", replaced.stdout);
        following.batches(1);
        let sent = following.kill();
        // It is in the store, so that the same command goes on with it.
        third.join().expect("no panic").exits(0);
        sent
    });
    assert_eq!(versions(&folder, sent), ["v1", "v3"]);
    let mut following = Following::start(&folder, sent);
    following.grow(70);
    following.until("put-back");
    following.reaches_the_end();
    let steps = following.batches(1);
    assert_eq!(steps, [Value::Null; 0]);
    let sent = following.end();
    assert_eq!(versions(&folder, sent), ["v1", "v3", "v1"]);
    assert!(words(&folder, "dead-letters list --output json").exits(0).stdout.is_empty(), "no item is lost to it");
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    assert!(history.iter().all(|row| row["source"] == "command"), "the file is as it was: {history:?}");
}

#[test]
fn a_plugin_that_a_continued_run_accepts_is_in_the_history_and_has_nothing_to_prove() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.batches(3);
    let sent = following.kill();
    folder.write("work.wasm", stamp("v2"));
    let running = Running::start(&folder, &format!("{FOLLOW} --accept-change"));
    let mut following = Following { folder: &folder, running, sent };
    following.batches(1);
    let sent = following.end();
    let mut following = Following::start(&folder, sent);
    let steps = following.batches(9);
    assert_eq!(steps, [Value::Null; 0]);
    let sent = following.end();
    assert_eq!(versions(&folder, sent), ["v1", "v2"]);
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    let digest = |version: &str| atlas_host::model::Digest::of(&stamp(version)).to_string();
    let members = ["step", "source", "old_digest", "new_digest", "reason"];
    let rows: Vec<[&str; 5]> =
        history.iter().map(|row| members.map(|member| row[member].as_str().unwrap_or(""))).collect();
    let (v1, v2) = (digest("v1"), digest("v2"));
    assert_eq!(rows, [["took-effect", "accept-change", v1.as_str(), v2.as_str(), "accepted with --accept-change"]]);
}

#[test]
fn a_candidate_that_comes_before_the_first_items_is_tried_with_them() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.running.until(240, |event| event["event"] == "run-started");
    is_tried_with_the_first_items(following);
}

#[track_caller]
fn is_tried_with_the_first_items(mut following: Following<'_>) {
    let folder = following.folder;
    folder.write("work.wasm", stamp("v2 trap"));
    let requested = following.until("requested");
    assert!(requested["reason"].as_str().is_some_and(|why| why.contains("tried with the first items")), "{requested}");
    following.grow(10);
    let refused = following.until("refused");
    assert_eq!(refused["code"], "GUEST_10014");
    following.end();
    assert_eq!(versions(folder, 10), ["v1"]);
}

#[test]
fn what_was_refused_and_still_stands_in_the_file_does_not_keep_the_run_from_going_on() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.batches(3);
    folder.write("work.wasm", stamp("v2 trap"));
    following.until("refused");
    let sent = following.kill();
    // With the plugin that it had last; what was judged is no candidate again.
    let mut following = Following::start(&folder, sent);
    let steps = following.batches(3);
    assert_eq!(steps, [Value::Null; 0]);
    let sent = following.kill();
    assert_eq!(versions(&folder, sent), ["v1"]);
    // What came meanwhile is a candidate like any other.
    folder.write("work.wasm", stamp("v3"));
    let mut following = Following::start(&folder, sent);
    following.batches(1);
    following.until("tried");
    following.batches(2);
    let sent = following.end();
    let found = versions(&folder, sent);
    assert_eq!(found, ["v1", "v3"]);
    sound(&folder.at("atlas.db"));
    words(&folder, "verify").exits(0);
}

#[test]
fn a_file_that_is_no_good_or_gone_does_not_keep_the_run_from_going_on() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.batches(3);
    let mut sent = following.kill();
    let rules = std::fs::read(guest("ticket-rules")).expect("a guest");
    // One that cannot be loaded, and one that is a plugin of another kind.
    for bad in [stamp("v2")[..20_000].to_vec(), rules] {
        folder.write("work.wasm", bad);
        let mut following = Following::start(&folder, sent);
        following.batches(1);
        let refused = following.until("refused");
        assert!(refused["reason"].as_str().is_some_and(|why| why.contains("work.wasm")), "{refused}");
        sent = following.end_saying("Slot work goes on with the plugin that run 1 had last: ");
    }
    std::fs::remove_file(folder.at("work.wasm")).expect("it is there");
    let mut following = Following::start(&folder, sent);
    following.batches(1);
    // What comes there again is a candidate like any other.
    folder.write("work.wasm", stamp("v3"));
    following.until("tried");
    following.batches(2);
    let sent = following.end_saying("Slot work goes on with the plugin that run 1 had last: ");
    assert_eq!(versions(&folder, sent), ["v1", "v3"]);
    sound(&folder.at("atlas.db"));
    words(&folder, "verify").exits(0);
    // Nothing tells what else to work with where a new run is wanted, or there was none.
    folder.write("work.wasm", "no component");
    words(&folder, &format!("{FOLLOW} --again")).exits(4).says("work.wasm");
    words(&folder, &format!("{FOLLOW} --store other.db")).exits(4).says("work.wasm");
}

#[test]
fn a_file_that_is_put_back_while_there_is_no_run_is_a_candidate() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "");
    let mut following = Following::start(&folder, 0);
    following.batches(3);
    folder.write("work.wasm", stamp("v2"));
    following.until("tried");
    following.batches(2);
    let sent = following.end();
    folder.write("work.wasm", stamp("v1"));
    let mut following = Following::start(&folder, sent);
    following.batches(1);
    following.until("tried");
    following.batches(2);
    let sent = following.end();
    assert_eq!(versions(&folder, sent), ["v1", "v2", "v1"]);
}

#[test]
fn lines_that_are_no_items_are_nothing_to_try_a_candidate_with() {
    let folder = Folder::new();
    folder.write("work.wasm", stamp("v1"));
    folder.write("in.ndjson", "this is no JSON\n");
    let mut following = Following::start(&folder, 0);
    following.running.until(240, |event| event["event"] == "batch-committed");
    is_tried_with_the_first_items(following);
}
