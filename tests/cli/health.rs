//! `health`: what it judges, and how it exits.

use rustix::process::Signal;
use serde_json::Value;

use super::sharing::Running;
use super::{Redact, golden, numbered, plain_run, with_store, words};
use crate::harness::{Folder, guest_arg};

/// Thresholds that any machine on which tests run keeps.
const FIT: &str = "health --max-memory-share 100% --max-cpu-share 100% --min-disk-free 1B";

fn reasons(document: &Value) -> Vec<&str> {
    let reasons = document["reasons"].as_array().expect("a list");
    reasons.iter().map(|reason| reason["condition"].as_str().expect("a text")).collect()
}

#[test]
fn a_fit_machine_with_a_sound_store_is_healthy() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20));
    plain_run(&folder, "").run().exits(0);
    let ran = words(&folder, FIT).exits(0);
    assert!(ran.stdout.starts_with("health    healthy\nmemory    "), "{}", ran.stdout);
    assert!(ran.stdout.contains("last run  1, succeeded: 0 of 20 items failed (0 %)"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    let document = words(&folder, &format!("{FIT} --output json")).exits(0).json();
    assert_eq!((&document["status"], &document["held"]), (&"healthy".into(), &false.into()));
    for share in ["memory_share", "cpu_share"] {
        assert!(document[share].as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)), "{document}");
    }
    assert!(document["disk_free_bytes"].as_u64() > Some(0) && document["wal_bytes"].is_u64(), "{document}");
    let last = &document["last_run"];
    assert_eq!((&last["run"], &last["items"], &last["failed"]), (&1.into(), &20.into(), &0.into()));
}

/// A folder with a store that a run over so many items has filled, in batches of ten; those for which `fails` says so are
/// rejected.
fn with_rejects(items: usize, fails: impl Fn(usize) -> bool) -> Folder {
    let folder = Folder::new();
    let fault = |n: usize| if fails(n) { ",\"fault\":\"reject\"" } else { "" };
    let lines: String = (0..items).map(|n| format!("{{\"id\":\"i-{n:06}\"{}}}\n", fault(n))).collect();
    folder.write("in.ndjson", lines);
    let further = format!("--plugin work={} --batch-size 10 --strategy sequential -q", guest_arg("faulty"));
    plain_run(&folder, &further).run().exits(3);
    folder
}

#[test]
fn the_share_of_failed_items_is_judged_by_its_threshold() {
    let folder = with_rejects(40, |n| n % 2 == 0);
    for (most, code, status) in [("49%", 3, "unhealthy"), ("50%", 3, "degraded"), ("100%", 0, "healthy")] {
        let document = words(&folder, &format!("{FIT} --max-error-share {most} --output json")).exits(code).json();
        assert_eq!(document["status"], status, "{document}");
        assert_eq!(reasons(&document), if code == 0 { vec![] } else { vec!["errors"] });
    }
    let ran = words(&folder, &format!("{FIT} --max-error-share 49%")).exits(3);
    let told: String = ran.stdout.lines().take(2).map(|line| format!("{line}\n")).collect();
    golden("health-unhealthy.txt", &Redact::new(folder.path()).text(&told));
}

#[test]
fn the_newest_batches_are_judged_and_few_items_are_not() {
    // A fifth of all, and none of the newest 32 batches.
    let folder = with_rejects(400, |n| n < 80);
    let ran = words(&folder, FIT).exits(0);
    assert!(ran.stdout.contains("80 of 400 items failed (20 %)"), "{}", ran.stdout);
    let document = words(&folder, &format!("{FIT} --output json")).exits(0).json();
    let last = &document["last_run"];
    assert_eq!((&last["failed"], &last["error_share"]), (&80.into(), &0.0.into()));
    // Half of eight items say nothing.
    words(&with_store(), FIT).exits(0);
    // The other way round: a run that begins well and goes wrong.
    let folder = with_rejects(400, |n| n >= 360);
    let document = words(&folder, &format!("{FIT} --output json")).exits(3).json();
    assert_eq!((&document["status"], reasons(&document)), (&"unhealthy".into(), vec!["errors"]));
}

#[test]
fn memory_space_and_time_are_judged_by_their_thresholds() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20));
    plain_run(&folder, "").run().exits(0);
    for (flag, condition) in
        [("--max-memory-share 0%", "memory"), ("--min-disk-free 1000000GiB", "disk"), ("--max-response 0s", "response")]
    {
        let line = format!("{} --output json", FIT.replace("--min-disk-free 1B", ""));
        let line = line.replace("--max-memory-share 100%", "");
        let document = folder.atlas(format!("{line} {flag}").split_whitespace());
        // What the flag does not set is as wide as the variable says; the flag outweighs it.
        let document =
            document.env("ATLAS_MIN_DISK_FREE", "1B").env("ATLAS_MAX_MEMORY_SHARE", "1").run().exits(3).json();
        assert_eq!((&document["status"], reasons(&document)), (&"unhealthy".into(), vec![condition]), "{flag}");
    }
    words(&folder, "health --max-error-share 101%").exits(2).says("error[CONFIG_3001]").says("between 0% and 100%");
}

#[test]
fn thresholds_of_the_configuration_file_are_in_force() {
    let folder = with_rejects(40, |n| n % 2 == 0);
    folder.write("atlas.toml", "max-error-share = \"100%\"\nbatch-size = 5\n");
    words(&folder, FIT).exits(0);
    words(&folder, &format!("{FIT} --max-error-share 1%")).exits(3);
}

#[test]
fn a_run_at_work_is_no_fault_and_one_that_was_killed_is() {
    let folder = Folder::new();
    let mut running = Running::fed(&folder, &numbered(20), "--batch-size 10");
    running.committed(20);
    // Nor is the CPU that it uses.
    let line = format!("{FIT} --output json").replace("--max-cpu-share 100%", "--max-cpu-share 0%");
    let document = words(&folder, &line).exits(0).json();
    assert_eq!((&document["held"], &document["last_run"]["status"]), (&true.into(), &"running".into()));
    running.signal(Signal::KILL);
    running.close();
    let document = words(&folder, &format!("{FIT} --output json")).exits(3).json();
    assert_eq!((&document["status"], reasons(&document)), (&"degraded".into(), vec!["last-run"]));
    assert_eq!(
        document["reasons"][0]["message"],
        "the last run, 1, is interrupted; the same command continues it, or begins anew"
    );
}

#[test]
fn without_a_store_there_is_nothing_to_judge() {
    let folder = Folder::new();
    let ran = words(&folder, "health").exits(5).says("error[STORAGE_2005]");
    assert_eq!(ran.stdout, "");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
