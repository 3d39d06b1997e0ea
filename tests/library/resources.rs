//! A process that runs many jobs is left with what it had: threads, descriptors, memory.

use std::path::Path;
use std::process::Command;

use atlas_host::coordinator::{Host, Job};
use atlas_host::model::{Item, Outcome};
use atlas_host::plugin::Call;

use super::{host, items, planned};
use crate::harness::{Folder, guest};

/// Set in the process of its own in which the test measures.
const ALONE: &str = "ATLAS_TEST_ALONE";

/// Runs a test of this module in a process of its own, where no other test has threads and memory. True in that process.
fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let name = format!("{}::{test}", module_path!().split_once("::").expect("a module of a crate").1);
    let program = std::env::current_exe().expect("the test binary");
    let output = Command::new(program)
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .expect("the test binary starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    false
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).expect("a folder of /proc").count()
}

/// Threads of this process.
fn threads() -> usize {
    entries("/proc/self/task")
}

/// Open descriptors of this process, the one that counts them included.
fn descriptors() -> usize {
    entries("/proc/self/fd")
}

/// Memory of this process by that name, in KiB.
fn memory_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a file of /proc");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line about memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Two thousand items through a component, some of which fault, into a store of their own.
fn run_once(host: &Host) {
    let folder = Folder::new();
    let faulty = || host.load_plugin(guest("faulty")).expect("a plugin");
    let bodies = items(0, 2000).enumerate().map(|(n, body)| match n % 500 {
        17 => body.replace("PENDING", "x\",\"fault\":\"trap"),
        _ => body,
    });
    let store = folder.at("out.db");
    let job = Job::of_items(bodies, &store, "items").and_then(|job| job.id("id")).and_then(|job| job.index("status"));
    let job = planned(job.expect("a job"), "concurrent", 100, 2);
    let report = host.run(job.validator_plugin(faulty()).operation_plugin(faulty())).expect("a run");
    assert_eq!((report.counts.stored, report.counts.dead_lettered), (1996, 4));
    assert!(Path::new(&store).exists());
}

#[test]
fn threads_and_descriptors_come_back_to_where_they_were() {
    if !alone("threads_and_descriptors_come_back_to_where_they_were") {
        return;
    }
    // What the process makes once and keeps, such as threads that compile.
    run_once(&host(2));
    let before = (threads(), descriptors());
    run_once(&host(2));
    assert_eq!((threads(), descriptors()), before, "after one host");
    {
        let shared = host(2);
        for _ in 0..5 {
            run_once(&shared);
        }
        let within = (threads(), descriptors());
        for _ in 0..5 {
            run_once(&shared);
        }
        assert_eq!((threads(), descriptors()), within, "between the runs of one host");
    }
    assert_eq!((threads(), descriptors()), before, "after a host with many runs");
}

#[test]
fn memory_is_flat_over_many_runs_of_one_host() {
    if !alone("memory_is_flat_over_many_runs_of_one_host") {
        return;
    }
    let host = host(2);
    // Caches of the allocator and of SQLite fill first.
    for _ in 0..40 {
        run_once(&host);
    }
    let before = memory_kib("VmRSS:");
    for _ in 0..20 {
        run_once(&host);
    }
    let after = memory_kib("VmRSS:");
    assert!(after * 100 <= before * 105, "{before} KiB resident before 20 runs, {after} KiB after");
}

#[test]
fn what_answers_hold_is_bounded_where_they_are_many_times_their_items() {
    if !alone("what_answers_hold_is_bounded_where_they_are_many_times_their_items") {
        return;
    }
    const ITEMS: u64 = 20_000;
    let text = "x".repeat(20_000);
    let long = move |_: &Call, item: Item<'_>| Outcome::Replace(format!(r#"{{"id":"{}","text":"{text}"}}"#, item.id));
    let folder = Folder::new();
    let job = Job::of_items(items(0, ITEMS), folder.at("out.db"), "items").and_then(|job| job.id("id"));
    let report = host(2).run(planned(job.expect("a job").operation(long), "concurrent", 1000, 2)).expect("a run");
    assert_eq!(report.counts.stored, ITEMS);
    // All answers are 400 MB, and as many batches as are under way of small items would hold them all: 480 MB with the rest.
    let peak_kib = memory_kib("VmHWM:");
    assert!(peak_kib < 340 << 10, "{peak_kib} KiB");
}
