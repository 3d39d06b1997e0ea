//! `run --watch-input`: a process that stays up and reads what comes into a folder.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};

use super::sharing::Running;
use super::{numbered, sql, words};
use crate::harness::{Folder, guest, guest_arg};

/// Moves a file in whole, as a careful writer does.
fn put(folder: &Folder, name: &str, content: &str) {
    let part = folder.write(&format!("in/{name}.part"), content);
    std::fs::rename(part, folder.at(&format!("in/{name}"))).expect("it is there");
}

fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("in")).expect("a folder");
    folder
}

const WATCH: &str = "run --watch-input in --id id --index n";

#[test]
fn each_file_that_comes_in_is_read_in_a_run_of_its_own_and_none_twice() {
    let folder = folder();
    put(&folder, "a.ndjson", &numbered(30));
    let mut running = Running::start(&folder, WATCH);
    running.committed(30);
    put(&folder, "b.csv", "id,n\nx,1\ny,2\n");
    put(&folder, "notes.txt", "no items");
    running.committed(2);
    running.signal(Signal::INT);
    let ran = running.end().1.exits(130);
    assert!(ran.stderr.contains("in/a.ndjson: run 1 succeeded, 30 read, 30 stored"), "{}", ran.stderr);
    assert!(ran.stderr.contains("in/b.csv: run 2 succeeded, 2 read, 2 stored"), "{}", ran.stderr);
    put(&folder, "c.ndjson", "{\"id\":\"z\",\"n\":3}\n");
    let mut running = Running::start(&folder, WATCH);
    running.committed(1);
    running.signal(Signal::TERM);
    running.end().1.exits(143);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["33"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_runs"), ["3"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn a_file_that_cannot_be_read_costs_itself_and_a_broken_plugin_leaves_the_one_before() {
    let folder = folder();
    std::fs::copy(guest("identity"), folder.at("op.wasm")).expect("a copy");
    let mut running = Running::start(&folder, &format!("{WATCH} --plugin op.wasm"));
    put(&folder, "a.ndjson.gz", "this is not compressed");
    put(&folder, "b.ndjson", &numbered(10));
    running.committed(10);
    folder.write("op.wasm", "no component");
    put(&folder, "c.ndjson", "{\"id\":\"z\",\"n\":3}\n");
    running.committed(1);
    running.signal(Signal::INT);
    let ran = running.end().1.exits(130).says("its content is plain").says("GUEST_10011").says("op.wasm");
    assert!(ran.stderr.contains("A new plugin is refused; the old one goes on."), "{}", ran.stderr);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["11"]);
}

#[test]
fn a_file_that_was_replaced_in_the_middle_of_its_run_costs_itself() {
    let folder = folder();
    let further = format!("--id id --plugin work={} --batch-size 10 --strategy sequential", guest_arg("faulty"));
    let rejected: String = (0..40).map(|n| format!("{{\"id\":\"r-{n}\",\"n\":{n},\"fault\":\"reject\"}}\n")).collect();
    for name in ["a", "b"] {
        put(&folder, &format!("{name}.ndjson"), &rejected);
        words(&folder, &format!("run --input in/{name}.ndjson {further} --max-rejects 15")).exits(3);
    }
    put(&folder, "a.ndjson", &numbered(5));
    put(&folder, "b.ndjson", &numbered(40));
    put(&folder, "c.ndjson", &numbered(10));
    let mut running = Running::start(&folder, &format!("run --watch-input in {further}"));
    running.committed(10);
    running.signal(Signal::INT);
    let ran = running.end().1.exits(130);
    ran.says("error[RECOVERY_9004]: the run had read 20 records of in/a.ndjson, which holds 5")
        .says("error[CONFIG_3001]: the first 20 records of in/b.ndjson are not those that run 2 has processed")
        .says("in/c.ndjson: run 3 succeeded, 10 read, 10 stored");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["10"]);
}

#[test]
fn a_signal_ends_the_process_at_once_while_its_plugins_are_loaded() {
    let folder = folder();
    let plugin = folder.at("op.wasm");
    mkfifoat(CWD, &plugin, Mode::RUSR | Mode::WUSR).expect("a pipe");
    let mut child = folder.atlas(format!("{WATCH} --plugin op.wasm").split(' ')).start();
    // It opens once it is read from.
    let writer = File::options().write(true).open(&plugin).expect("the plugin is being read");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("the process can be told");
    drop(writer);
    let status = child.wait().expect("it ends");
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{status}");
}

#[test]
fn a_file_that_holds_far_less_than_those_before_it_is_told_of_at_the_end_of_its_run() {
    let folder = folder();
    for n in 0..6 {
        put(&folder, &format!("{n}.ndjson"), &numbered(50));
    }
    let mut running = Running::start(&folder, WATCH);
    running.committed(300);
    put(&folder, "few.ndjson", &numbered(5));
    let alert = running.until(100, |event| event["alert"] == "UNUSUAL_VOLUME");
    assert_eq!((&alert["run"], &alert["message"]), (&7.into(), &"read 5 items; the 6 runs before it read 50".into()));
    running.signal(Signal::INT);
    running.end().1.exits(130);
}

#[test]
fn a_setting_that_is_changed_between_two_files_acts_from_the_first_batch_of_the_next_one() {
    let folder = folder();
    let settings = |size| folder.write("atlas.toml", format!("strategy = \"sequential\"\nbatch-size = {size}\n"));
    settings(10);
    put(&folder, "a.ndjson", &numbered(40));
    let mut running = Running::start(&folder, WATCH);
    for (name, size) in [("b.ndjson", 20), ("c.ndjson", 40)] {
        running.until(100, |event| event["event"] == "run-ended");
        settings(size);
        put(&folder, name, &numbered(40));
        let mut read = Vec::new();
        running.until(100, |event| {
            if event["event"] == "batch-committed" {
                read.push(event["read"].as_u64().expect("a count"));
            }
            read.iter().sum::<u64>() == 40
        });
        assert_eq!(read, vec![size; 40 / size as usize], "{name}");
    }
    running.signal(Signal::INT);
    running.end().1.exits(130);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let folder = folder();
    folder.write("in.ndjson", "{}\n");
    words(&folder, "run --watch-input nowhere").exits(2).says("--watch-input nowhere: no such folder");
    words(&folder, "run --watch-input in --input in.ndjson").exits(2).says("together with --input");
    words(&folder, "run --watch-input in --follow in.ndjson").exits(2).says("together with --follow");
    let faulty = guest_arg("faulty");
    words(&folder, &format!("run --watch-input in --plugin {faulty}.wasm")).exits(4).says("cannot be read");
    assert!(!folder.at("atlas.db").exists());
}
