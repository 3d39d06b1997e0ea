//! `run --watch`: files that are followed by their content, however they change.

use std::path::Path;

use serde_json::Value;

use super::{noted, stamp};
use crate::cli::sharing::Running;
use crate::harness::Folder;
use crate::library::{rows, sound};

/// A run that follows its plugin, with its items so far committed.
struct Watched {
    running: Running,
    sent: u64,
}

impl Watched {
    fn start(folder: &Folder, plugin: &str, further: &str) -> Self {
        let line = format!("--plugin work={plugin} --watch --strategy sequential --batch-size 10 {further}");
        let mut watched = Self { running: Running::fed(folder, "", &line), sent: 0 };
        watched.batches(2);
        watched
    }

    fn batches(&mut self, count: u64) {
        let items: String =
            (self.sent..self.sent + 10 * count).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect();
        self.sent += 10 * count;
        self.running.feed(&items);
        self.running.committed(10 * count);
    }

    /// Waits for this step; the samples of health are its clock.
    #[track_caller]
    fn until(&mut self, step: &str) -> Value {
        let name = format!("swap-{step}");
        self.running.until(120, |event| event["event"] == name.as_str())
    }

    /// The plugin that the next batch works with.
    #[track_caller]
    fn takes_effect(&mut self) -> String {
        self.until("tried");
        let items: String = (self.sent..self.sent + 10).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect();
        self.sent += 10;
        self.running.feed(&items);
        let step = self.until("took-effect");
        self.running.committed(10);
        step["new_digest"].as_str().expect("a digest").to_owned()
    }
}

fn digest(bytes: &[u8]) -> String {
    atlas_host::model::Digest::of(bytes).to_string()
}

/// Writes beside and renames over, as a careful tool does.
fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).expect("a file");
    std::fs::rename(beside, path).expect("the same folder");
}

#[test]
fn a_file_that_changes_in_any_way_is_followed_by_its_content() {
    let folder = Folder::new();
    let real = folder.write("v1.wasm", stamp("v1"));
    folder.write("v3.wasm", stamp("v3"));
    std::os::unix::fs::symlink(&real, folder.at("work.wasm")).expect("a link");
    let mut watched = Watched::start(&folder, "work.wasm", "");
    // Renamed over.
    replace(&real, &stamp("v2"));
    assert_eq!(watched.takes_effect(), digest(&stamp("v2")));
    // The link flips.
    std::fs::remove_file(folder.at("work.wasm")).expect("a link");
    std::os::unix::fs::symlink(folder.at("v3.wasm"), folder.at("work.wasm")).expect("a link");
    assert_eq!(watched.takes_effect(), digest(&stamp("v3")));
    // Written over in place with the same size, and its time set back.
    let before = std::fs::metadata(folder.at("v3.wasm")).expect("a file").modified().expect("a time");
    std::fs::write(folder.at("v3.wasm"), stamp("v4")).expect("a file");
    let file = std::fs::OpenOptions::new().write(true).open(folder.at("v3.wasm")).expect("a file");
    file.set_modified(before).expect("a time");
    assert_eq!(watched.takes_effect(), digest(&stamp("v4")));
    // Gone, and there again with other content.
    std::fs::remove_file(folder.at("v3.wasm")).expect("a file");
    watched.running.sampled(2);
    watched.batches(1);
    std::fs::write(folder.at("v3.wasm"), stamp("v5")).expect("a file");
    assert_eq!(watched.takes_effect(), digest(&stamp("v5")));
    // The same content under a new time is no change: what comes next is the version after it.
    replace(&folder.at("v3.wasm"), &stamp("v5"));
    watched.running.sampled(2);
    replace(&folder.at("v3.wasm"), &stamp("v6"));
    assert_eq!(watched.takes_effect(), digest(&stamp("v6")));
    let sent = watched.sent;
    let (events, ran) = watched.running.close();
    let ran = ran.exits(0);
    assert_eq!(ran.stderr.matches("work.wasm is gone; slot work keeps").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("Slot work is filled by work.wasm from batch"), "{}", ran.stderr);
    assert!(events.iter().all(|event| event["event"] != "swap-refused"));
    sound(&folder.at("atlas.db"));
    assert_eq!(rows(&folder.at("atlas.db"), "items").len() as u64, sent);
}

#[test]
fn a_half_written_file_is_refused_at_most_and_the_whole_one_taken() {
    let folder = Folder::new();
    let file = folder.write("work.wasm", stamp("v1"));
    let mut watched = Watched::start(&folder, "work.wasm", "");
    let whole = stamp("v2");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("a file");
    let refused = watched.until("refused");
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("work.wasm")), "{refused}");
    // It is not tried again as it is.
    watched.running.sampled(2);
    watched.batches(1);
    std::fs::write(&file, &whole).expect("a file");
    assert_eq!(watched.takes_effect(), digest(&whole));
    let (events, ran) = watched.running.close();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("swap-refused"), count("swap-requested")), (0, 0), "all were told before");
    ran.exits(0).says("A new plugin is refused; the old one goes on.");
}

#[test]
fn a_pinned_plugin_is_not_exchanged_and_difference_and_shadow_are_settings() {
    let folder = Folder::new();
    let file = folder.write("work.wasm", stamp("v1"));
    let toml = format!(
        "swap-difference = 0\nshadow = 2\n[plugins.work]\nsource = \"work.wasm\"\nrole = \"operation\"\ndigest = \"{}\"\n",
        digest(&stamp("v1"))
    );
    folder.write("atlas.toml", toml);
    let mut running = Running::fed(&folder, "{\"id\":\"a\",\"n\":1}\n", "--watch");
    running.committed(1);
    std::fs::write(&file, stamp("v2")).expect("a file");
    let refused = running.until(120, |event| event["event"] == "swap-refused");
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("slot work is pinned to")), "{refused}");
    running.close().1.exits(0);
    let shown = folder.atlas(["config", "show"]).run().exits(0).stdout;
    assert!(shown.contains("swap-difference") && shown.contains("shadow"), "{shown}");
    // Without the pin, two live batches are compared; a twin passes with no difference at all.
    folder.write("atlas.toml", "swap-difference = 0\nshadow = 2\n");
    std::fs::write(&file, stamp("v1")).expect("a file");
    let mut watched = Watched::start(&folder, "work.wasm", "--again");
    std::fs::write(&file, noted(stamp("v1"), "twin")).expect("a file");
    watched.until("tried");
    watched.batches(1);
    let items: String = (100..110).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect();
    watched.running.feed(&items);
    let shadowed = watched.until("shadowed");
    assert_eq!(shadowed["figures"]["bodies_differing"], 0);
    watched.running.close().1.exits(0);
}
