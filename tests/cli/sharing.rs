//! A store with several processes at it, and runs that are told to stop.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{numbered, plain_run, sql, words};
use crate::harness::{Atlas, Folder, Ran, guest_arg};

/// A run that is under way, with its events on stdout.
pub struct Running {
    pub child: Child,
    events: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub fn start(folder: &Folder, line: &str) -> Self {
        Self::of(folder.atlas(line.split_whitespace().chain(["--events", "-"])))
    }

    /// One that this command starts.
    pub fn of(command: Atlas) -> Self {
        let mut child = command.start();
        let events = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, events }
    }

    /// One that reads from a pipe which stays open.
    pub fn fed(folder: &Folder, items: &str, further: &str) -> Self {
        let mut running = Self::start(folder, &format!("run --input - --id id --batch-wait 10ms {further}"));
        running.feed(items);
        running
    }

    pub fn feed(&mut self, items: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(items.as_bytes()).and_then(|()| stdin.flush()).expect("the run reads");
    }

    /// Waits until so many items are committed, or applied in a transaction that stays open.
    pub fn committed(&mut self, items: u64) {
        let mut read = 0;
        while read < items {
            let line = self.events.next().expect("the run goes on").expect("a line");
            let event: Value = serde_json::from_str(&line).expect("an event");
            if event["event"] == "batch-committed" || event["event"] == "batch-applied" {
                read += event["read"].as_u64().expect("a count");
            }
        }
    }

    /// Waits for an event of this kind, over so many samples of health at the most: one comes every half second.
    #[track_caller]
    pub fn until(&mut self, samples: usize, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut sampled = 0;
        loop {
            let line = self.events.next().expect("the run goes on").expect("a line");
            let event: Value = serde_json::from_str(&line).expect("an event");
            if wanted(&event) {
                return event;
            }
            sampled += usize::from(event["event"] == "health-sampled");
            assert!(sampled < samples, "it did not come within {samples} samples");
        }
    }

    /// Waits until so many samples were taken.
    pub fn sampled(&mut self, mut samples: usize) {
        self.until(samples + 1, |event| {
            samples -= usize::from(event["event"] == "health-sampled");
            samples == 0
        });
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the run can be told");
    }

    /// Takes the rest of the events, and how it ended. Standard input is closed at last.
    pub fn end(self) -> (Vec<Value>, Ran) {
        let events = self.events.map(|line| serde_json::from_str(&line.expect("a line")).expect("an event")).collect();
        let output = self.child.wait_with_output().expect("the run ends");
        (events, Ran::from(output))
    }

    pub fn close(mut self) -> (Vec<Value>, Ran) {
        drop(self.child.stdin.take());
        self.end()
    }
}

#[test]
fn readers_go_on_while_a_run_writes_and_see_whole_batches_only() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(100), "--batch-size 10 --strategy sequential --index n");
    running.committed(100);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    for _ in 0..4 {
                        let count: usize =
                            words(&folder, "query --count").exits(0).stdout.trim().parse().expect("a count");
                        assert!(count >= last && count >= 100 && count.is_multiple_of(10), "{count} after {last}");
                        last = count;
                        words(&folder, "verify").exits(0);
                        assert!(words(&folder, "export").exits(0).stdout.lines().count() >= count);
                    }
                })
            })
            .collect();
        while !readers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let more: String =
                numbered(10).replace("i-", &format!("m{}-", std::process::id())).replace("\"n\":", "\"n\":1");
            running.feed(&more);
            running.committed(10);
        }
    });
    assert_eq!(words(&folder, "runs list --output json").exits(0).json_lines()[0]["status"], "running");
    let (_, ran) = running.close();
    assert_eq!(ran.exits(0).stdout, "");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["110"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_store() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    let mut running = Running::fed(&folder, &numbered(20), "");
    running.committed(20);
    let process = format!("process {}", running.child.id());
    for line in [
        "run --input in.ndjson --id id --into other",
        "index add n",
        "index rebuild",
        "dead-letters discard --all-open",
    ] {
        let ran = words(&folder, line)
            .exits(6)
            .says("error[STORAGE_2007]: store ")
            .says(&process)
            .says("atlas.db")
            .says("hint: ");
        assert_eq!(ran.stdout, "", "{line}");
    }
    let (_, ran) = running.close();
    ran.exits(0);
    words(&folder, "run --input in.ndjson --id id --into other").exits(0);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["20"]);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_its_pipe_and_what_was_committed_stays() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 143)] {
        let folder = Folder::new();
        let mut running = Running::fed(&folder, &numbered(50), "");
        running.committed(50);
        running.signal(signal);
        let (events, ran) = running.end();
        assert!(ran.stderr.contains("Stopping: "), "{}", ran.stderr);
        // A pipe gives nothing twice: no promise that the same command continues.
        ran.exits(code).says("goes on with its items in a file");
        let last = events.last().expect("an event");
        assert_eq!((&last["event"], &last["status"]), (&"run-ended".into(), &"interrupted".into()));
        assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["50"]);
        assert_eq!(sql(&folder, "SELECT status FROM atlas_runs"), ["interrupted"]);
        words(&folder, "verify").exits(0);
    }
}

#[test]
fn a_run_over_a_file_that_a_signal_stopped_continues_by_the_same_command() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let folder = Folder::new();
        // Slow enough that the signal comes while there is much left to do: 300 items of 20 ms.
        let slow: String = (0..300).map(|n| format!("{{\"id\":\"i-{n:06}\",\"fault\":\"slow(20)\"}}\n")).collect();
        folder.write("in.ndjson", slow);
        let line = format!(
            "run --input in.ndjson --id id --plugin {} --batch-size 5 --lanes 1 --strategy sequential",
            guest_arg("faulty")
        );
        let mut running = Running::start(&folder, &line);
        running.committed(5);
        running.signal(signal);
        let (_, ran) = running.end();
        ran.exits(code).says("run the same command again: it continues");
        let there: u64 = sql(&folder, "SELECT count(*) FROM items")[0].parse().expect("a count");
        assert!((5..300).contains(&there), "{there}");
        assert_eq!(sql(&folder, "SELECT next FROM atlas_checkpoints"), [there.to_string()]);
        words(&folder, "verify").exits(0);
        let report = folder.atlas(line.split(' ').chain(["--output", "json"])).run().exits(0).json();
        assert_eq!((report["resumed_at"].as_u64(), report["stored"].as_u64()), (Some(there), Some(300)));
        assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["300"]);
        assert_eq!(sql(&folder, "SELECT count(*), max(epoch) FROM atlas_checkpoints"), ["1,2"]);
        words(&folder, "verify").exits(0);
    }
}

#[test]
fn a_whole_run_that_a_signal_stops_leaves_nothing() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(50), "--atomic run");
    running.committed(50);
    running.signal(Signal::TERM);
    let (_, ran) = running.end();
    ran.exits(143);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["0"]);
    assert_eq!(sql(&folder, "SELECT status FROM atlas_runs"), ["rolled-back"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn a_slow_pipe_still_commits() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(1), "--batch-size 1000");
    running.committed(1);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["1"]);
    let (_, ran) = running.close();
    ran.exits(0);
}

#[test]
fn two_runs_of_two_collections_take_turns() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    plain_run(&folder, "--into one").run().exits(0);
    plain_run(&folder, "--into two").run().exits(0);
    assert_eq!(sql(&folder, "SELECT collection FROM atlas_runs ORDER BY id"), ["one", "two"]);
}

#[test]
fn a_second_signal_leaves_at_once_and_the_store_is_sound() {
    let folder = Folder::new();
    // One call of minutes; only the second signal ends it before its deadline.
    folder.write("in.ndjson", format!("{}{}\n", numbered(10), "{\"id\":\"slow\",\"fault\":\"slow(300000)\"}"));
    let line = format!(
        "run --input in.ndjson --id id --plugin {} --deadline 10m --batch-size 10 --lanes 1 --strategy sequential",
        guest_arg("faulty")
    );
    let mut running = Running::start(&folder, &line);
    running.committed(10);
    running.signal(Signal::TERM);
    let mut stderr = BufReader::new(running.child.stderr.take().expect("a pipe"));
    let mut told = String::new();
    stderr.read_line(&mut told).expect("stderr can be read");
    assert!(told.starts_with("Stopping: "), "{told}");
    running.signal(Signal::TERM);
    let (_, ran) = running.end();
    assert_eq!(ran.code, Some(143), "{ran:?}");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["10"]);
    assert_eq!(words(&folder, "runs list --output json").exits(0).json_lines()[0]["status"], "interrupted");
    words(&folder, "verify").exits(0);
}
