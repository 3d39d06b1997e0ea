//! `run --watch-input`: what one file's run knows of plugins, the next one's knows too.

use rustix::process::Signal;
use serde_json::Value;

use super::stamp;
use crate::cli::sharing::Running;
use crate::cli::words;
use crate::harness::Folder;
use crate::library::{rows, sound};

const WATCH: &str = "run --watch-input in --id id --plugin work=work.wasm --strategy sequential --batch-size 10";

/// A process that waits for files.
struct Waiting<'a> {
    folder: &'a Folder,
    running: Running,
    files: u64,
}

impl<'a> Waiting<'a> {
    fn start(folder: &'a Folder, plugin: &str, further: &str) -> Self {
        std::fs::create_dir(folder.at("in")).expect("a folder");
        folder.write("work.wasm", stamp(plugin));
        Self { folder, running: Running::start(folder, &format!("{WATCH} {further}")), files: 0 }
    }

    /// Moves a file of so many items in; they are numbered on from file to file by thousands.
    fn put(&mut self, items: u64) {
        let from = self.files * 1000;
        let text: String = (from..from + items).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect();
        let part = self.folder.write(&format!("in/f{}.ndjson.part", self.files), text);
        std::fs::rename(part, self.folder.at(&format!("in/f{}.ndjson", self.files))).expect("it is there");
        self.files += 1;
    }

    /// Reads a file to its end. Gives the steps of candidates meanwhile.
    #[track_caller]
    fn file(&mut self, items: u64) -> Vec<Value> {
        self.put(items);
        self.ended()
    }

    #[track_caller]
    fn ended(&mut self) -> Vec<Value> {
        let mut steps = Vec::new();
        self.running.until(240, |event| {
            let name = event["event"].as_str().unwrap_or("");
            if name.starts_with("swap-") {
                steps.push(event.clone());
            }
            name == "run-ended"
        });
        steps
    }

    fn end(self) -> crate::harness::Ran {
        self.running.signal(Signal::INT);
        let ran = self.running.end().1.exits(130);
        words(self.folder, "verify").exits(0);
        sound(&self.folder.at("atlas.db"));
        ran
    }

    /// Which version has made the items of a file, in order, each once.
    fn versions(&self, file: u64) -> Vec<String> {
        let mut versions: Vec<String> = Vec::new();
        for (id, body) in rows(&self.folder.at("atlas.db"), "items") {
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let by = body["by"].as_str().unwrap_or("nobody").to_owned();
            if id.parse::<u64>().expect("a number") / 1000 == file && versions.last() != Some(&by) {
                versions.push(by);
            }
        }
        versions
    }
}

fn names(steps: &[Value]) -> Vec<&str> {
    steps.iter().map(|step| step["event"].as_str().unwrap_or("").trim_start_matches("swap-")).collect()
}

/// Waits until a command lies in the inbox of a process.
fn until_asked(folder: &Folder) {
    let has_command = |entry: &std::fs::DirEntry| {
        std::fs::read_dir(entry.path())
            .is_ok_and(|files| files.flatten().any(|file| file.path().extension().is_some_and(|end| end == "command")))
    };
    while std::fs::read_dir(folder.at("atlas.db.inbox")).is_ok_and(|all| !all.flatten().any(|one| has_command(&one))) {
        std::thread::yield_now();
    }
}

const WELL: [&str; 5] = ["requested", "compiled", "probed", "tried", "took-effect"];

#[test]
fn a_file_that_changes_between_two_inputs_is_tried_like_any_other_candidate() {
    let folder = Folder::new();
    let mut waiting = Waiting::start(&folder, "v1", "");
    assert_eq!(names(&waiting.file(50)), [""; 0]);
    // It fails on what was read before: the next run refuses it, and those after that do not even try it.
    folder.write("work.wasm", stamp("v2 trap"));
    let steps = waiting.file(30);
    assert_eq!(names(&steps), ["requested", "compiled", "probed", "refused"]);
    assert_eq!(steps[3]["code"], "GUEST_10014");
    assert_eq!(names(&waiting.file(30)), [""; 0], "it is not tried again");
    // A sound one works from the first batch of the next run on, and its probation goes on over short ones.
    folder.write("work.wasm", stamp("v3"));
    let steps = waiting.file(30);
    assert_eq!(names(&steps), WELL);
    assert_eq!(steps[4]["batch"], 0);
    assert_eq!(names(&waiting.file(30)), [""; 0]);
    assert_eq!(names(&waiting.file(30)), ["settled"], "after 8 batches of three runs");
    let versions: Vec<Vec<String>> = (0..6).map(|file| waiting.versions(file)).collect();
    assert_eq!(versions, [["v1"], ["v1"], ["v1"], ["v3"], ["v3"], ["v3"]]);
    waiting.end();
    assert_eq!(rows(&folder.at("atlas.db"), "items").len(), 50 + 5 * 30);
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    let kept: Vec<(u64, &str)> =
        history.iter().map(|row| (row["run"].as_u64().unwrap_or(0), row["step"].as_str().unwrap_or(""))).collect();
    for wanted in [(2, "refused"), (4, "tried"), (4, "took-effect"), (6, "settled")] {
        assert!(kept.contains(&wanted), "{wanted:?} is not in {kept:?}");
    }
}

#[test]
fn a_plugin_that_fails_on_a_later_input_is_put_back_and_stays_away() {
    let folder = Folder::new();
    let mut waiting = Waiting::start(&folder, "v1", "");
    waiting.file(50);
    folder.write("work.wasm", stamp("v2 trap@2000"));
    assert_eq!(names(&waiting.file(20)), WELL);
    assert_eq!(names(&waiting.file(30)), ["put-back"], "it fails on the numbers of the third file");
    assert_eq!(names(&waiting.file(30)), [""; 0]);
    let versions: Vec<Vec<String>> = (0..4).map(|file| waiting.versions(file)).collect();
    assert_eq!(versions, [["v1"], ["v2"], ["v1"], ["v1"]]);
    waiting.end();
    assert_eq!(rows(&folder.at("atlas.db"), "items").len(), 130);
    assert!(words(&folder, "dead-letters list --output json").exits(0).stdout.is_empty());
}

#[test]
fn a_process_that_was_killed_goes_on_though_the_file_of_its_plugin_is_no_good_by_now() {
    let folder = Folder::new();
    // Slow on the second file, so that it is killed in the midst of it.
    let mut waiting = Waiting::start(&folder, "v1 slow(20)@1000", "");
    waiting.file(20);
    waiting.put(300);
    waiting.running.until(240, |event| event["event"] == "batch-committed");
    waiting.running.signal(Signal::KILL);
    drop(waiting.running.end());
    folder.write("work.wasm", &stamp("v2")[..20_000]);
    let mut waiting = Waiting { folder: &folder, running: Running::start(&folder, WATCH), files: 2 };
    waiting.ended();
    waiting.file(30);
    let versions: Vec<Vec<String>> = (0..3).map(|file| waiting.versions(file)).collect();
    assert_eq!(versions, [["v1"], ["v1"], ["v1"]]);
    waiting.end().says("Slot work goes on with the plugin that run 2 had last: ");
    assert_eq!(rows(&folder.at("atlas.db"), "items").len(), 20 + 300 + 30);
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    assert!(history.iter().any(|row| row["step"] == "refused"), "{history:?}");
}

#[test]
fn a_plugin_that_came_by_command_stays_over_the_files_and_may_come_between_two() {
    let folder = Folder::new();
    folder.write("v2.wasm", stamp("v2"));
    let mut waiting = Waiting::start(&folder, "v1", "");
    waiting.file(50);
    // Nobody is at work just now: the next run obeys.
    let ran = std::thread::scope(|scope| {
        let command = scope.spawn(|| words(&folder, "plugins swap work v2.wasm --wait 5m"));
        until_asked(&folder);
        let steps = waiting.file(90);
        assert_eq!(names(&steps), [&WELL[..], &["settled"]].concat());
        command.join().expect("no panic")
    });
    assert!(ran.exits(0).stdout.contains("slot work: the plugin is in effect: after 8 batches"));
    assert_eq!(names(&waiting.file(30)), [""; 0]);
    assert_eq!(names(&waiting.file(30)), [""; 0]);
    let versions: Vec<Vec<String>> = (0..4).map(|file| waiting.versions(file)).collect();
    assert_eq!(versions, [["v1"], ["v2"], ["v2"], ["v2"]], "the file still holds v1, and nobody has touched it");
    waiting.end();
    words(&folder, "plugins swap work v2.wasm").exits(2).says("no run of this store is at work");
}

#[test]
fn a_file_that_goes_on_with_the_plugin_that_it_had_takes_it_back_for_no_other_file() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("in")).expect("a folder");
    folder.write("work.wasm", stamp("v1 reject@5000000"));
    let rejected: String = (0..40).map(|n| format!("{{\"id\":\"r{n}\",\"n\":{}}}\n", 5_000_000 + n)).collect();
    folder.write("in/old.ndjson", rejected);
    let first = WATCH.replace("--watch-input in", "--input in/old.ndjson --max-rejects 15");
    words(&folder, &first).exits(3);
    let (inside, outside) = (folder.at("in/old.ndjson"), folder.at("old.ndjson"));
    std::fs::rename(&inside, &outside).expect("it is there");
    let mut waiting = Waiting { folder: &folder, running: Running::start(&folder, WATCH), files: 0 };
    waiting.file(50);
    folder.write("work.wasm", stamp("v2"));
    assert_eq!(names(&waiting.file(30)), WELL);
    // The file that was interrupted goes on with what it had.
    std::fs::rename(&outside, &inside).expect("it is there");
    assert_eq!(names(&waiting.ended()), [""; 0]);
    assert_eq!(names(&waiting.file(60)), ["settled"], "after 8 batches of two runs");
    let versions: Vec<Vec<String>> = (0..3).map(|file| waiting.versions(file)).collect();
    assert_eq!(versions, [["v1"], ["v2"], ["v2"]]);
    waiting.end();
    let letters = words(&folder, "dead-letters list --run 1 --output json --limit 0").exits(0).json_lines();
    assert_eq!(letters.len(), 40);
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    assert!(history.iter().all(|row| row["run"] != 1), "nothing was exchanged in it: {history:?}");
}

#[test]
fn whoever_asks_while_a_file_is_at_work_hears_what_becomes_of_it_in_later_ones() {
    let folder = Folder::new();
    folder.write("v2.wasm", stamp("v2"));
    // Slow on the second file, which has too few batches for a probation.
    let mut waiting = Waiting::start(&folder, "v1 slow(100)@1000", "");
    waiting.file(50);
    waiting.put(60);
    waiting.running.until(240, |event| event["event"] == "batch-committed");
    let ran = std::thread::scope(|scope| {
        let command = scope.spawn(|| words(&folder, "plugins swap work v2.wasm --wait 5m"));
        let asked = |event: &Value| event["event"] == "swap-requested" || event["event"] == "run-ended";
        if waiting.running.until(240, asked)["event"] == "swap-requested" {
            waiting.ended();
        }
        waiting.file(90);
        command.join().expect("no panic")
    });
    let ran = ran.exits(0);
    assert!(ran.stdout.contains("slot work: the plugin is in effect: after "), "{}", ran.stdout);
    assert_eq!(waiting.versions(2), ["v2"]);
    waiting.end();
}

#[test]
fn a_rollback_between_two_files_looks_past_a_retry_of_dead_letters() {
    let folder = Folder::new();
    folder.write("v3.wasm", stamp("v3"));
    let mut waiting = Waiting::start(&folder, "v1 reject@5000000", "");
    let numbers = (1..11).chain([5_000_000]);
    let items: String = numbers.map(|n| format!("{{\"id\":\"{n}\",\"n\":{n}}}\n")).collect();
    let part = folder.write("in/first.ndjson.part", items);
    std::fs::rename(part, folder.at("in/first.ndjson")).expect("it is there");
    waiting.ended();
    folder.write("work.wasm", stamp("v2"));
    assert_eq!(names(&waiting.file(90)), [&WELL[..], &["settled"]].concat());
    // The store is let go a moment after the end of a run is told.
    let retry = || words(&folder, "dead-letters retry -q --plugin work=v3.wasm");
    std::iter::repeat_with(retry).find(|ran| ran.code != Some(6)).expect("there is no end").exits(0);
    let ran = std::thread::scope(|scope| {
        let command = scope.spawn(|| words(&folder, "plugins rollback work --wait 5m"));
        until_asked(&folder);
        waiting.file(90);
        command.join().expect("no panic")
    });
    let ran = ran.exits(0);
    assert!(ran.stdout.contains("slot work: the plugin is in effect: after 8 batches"), "{}", ran.stdout);
    assert_eq!(waiting.versions(1), ["v1"]);
    waiting.end();
}
