//! Calls to the system that fail, by the fault injection of strace(1): the run ends, what was committed stays, the next start
//! looks at the pages, and the same command completes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{Job, found};
use crate::harness::{Folder, Ran, binary, cache};

/// A fault of the disk: which call fails with which error, once or from there on.
struct Fault {
    call: &'static str,
    error: &'static str,
    lasting: bool,
    code: &'static str,
}

/// Runs the command under strace with these further arguments; gives what it traced, too.
fn traced(job: &Job, folder: &Folder, store: &Path, call: &str, further: &[String]) -> (Ran, String) {
    let trace = folder.at("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .args(["-e", &format!("trace={call}")])
        .args(further)
        .arg(binary())
        .args(job.arguments(store))
        .current_dir(folder.path())
        .env_clear()
        .env("ATLAS_CACHE_DIR", cache())
        .output()
        .expect("strace starts");
    (Ran::from(output), std::fs::read_to_string(&trace).expect("a trace"))
}

/// How often the thread that writes makes this call in an undisturbed run.
fn calls(job: &Job, call: &str) -> usize {
    let folder = Folder::new();
    let (ran, trace) = traced(job, &folder, &folder.at("atlas.db"), call, &[]);
    assert!(matches!(ran.code, Some(0 | 3)), "{call}: {}", ran.stderr);
    let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
    for line in trace.lines() {
        *threads.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    threads.into_values().max().expect("somebody writes")
}

#[test]
fn an_error_of_the_disk_ends_the_run_with_5_and_the_same_command_looks_at_the_store_and_completes() {
    if !found("strace") {
        return;
    }
    let job = Job::new(2000, "sequential", 100);
    let fault = |call, error, lasting, code| Fault { call, error, lasting, code };
    for fault in [
        fault("fsync", "EIO", false, "STORAGE_2002"),
        fault("fsync", "EIO", true, "STORAGE_2002"),
        fault("pwrite64", "EIO", false, "STORAGE_2002"),
        fault("pwrite64", "ENOSPC", false, "STORAGE_2009"),
        fault("pwrite64", "ENOSPC", true, "STORAGE_2009"),
    ] {
        // strace counts for each thread; in the middle of the calls of the one that writes it is amid the batches.
        let middle = calls(&job, fault.call) / 2;
        let (call, error) = (fault.call, fault.error);
        let told = format!("{call} {error} at {middle}, lasting: {}", fault.lasting);
        let folder = Folder::new();
        let store = folder.at("atlas.db");
        let inject = format!("inject={call}:error={error}:when={middle}{}", if fault.lasting { "+" } else { "" });
        let (ran, trace) = traced(&job, &folder, &store, call, &["-e".to_owned(), inject]);
        assert!(trace.contains("(INJECTED)"), "{told}: it was not met");
        assert_eq!(ran.code, Some(5), "{told}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error[{}]", fault.code)), "{told}: {}", ran.stderr);
        job.is_sound(&folder, &store);
        let rows = crate::library::rows(&store, "items").len();
        assert!(rows > 0 && rows < job.wanted.export.lines().count(), "{told}: {rows} rows");

        // The same command, with what it says of its beginning.
        let mut arguments = job.arguments(&store);
        arguments.retain(|argument| argument != "--quiet");
        arguments.push("-v".to_owned());
        let next = folder.atlas(arguments).run();
        assert!(matches!(next.code, Some(0 | 3)), "{told}: {}", next.stderr);
        assert!(next.stderr.contains("the store is checked"), "{told}: {}", next.stderr);
        job.comes_out_the_same(&folder, &store);
    }
}
