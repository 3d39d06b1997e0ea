//! `--on-alert`: a program that is given each alert.

use std::process::Command;

use serde_json::Value;

use super::sharing::Running;
use super::{numbered, plain_run};
use crate::harness::Folder;

/// A program. Written by a process of its own: a file that this one still has open for writing could not be started.
pub fn program(folder: &Folder, script: &str) -> String {
    let path = folder.at("hook");
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 700 \"$0\"";
    let written = Command::new("/bin/sh").args(["-c", write]).arg(&path).arg(script).status().expect("a shell");
    assert!(written.success());
    path.display().to_string()
}

#[test]
fn each_alert_is_handed_over_once_as_json_and_in_variables() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(200));
    let hook =
        program(&folder, "cat >> told.json; echo >> told.json; echo \"$ATLAS_ALERT_NAME $ATLAS_ALERT_STATE\" >> told");
    let line = format!("--batch-size 10 --slow-item 0ms --store s.db --on-alert {hook} --events events");
    let ran = plain_run(&folder, &line).env("PATH", "/usr/bin:/bin").run().exits(0);
    assert_eq!(folder.read("told"), "SLOW_BATCH_PROCESSING raised\n");
    let alert: Value = serde_json::from_str(&folder.read("told.json")).expect("JSON");
    let events = folder.read("events");
    let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let event = events.find(|event| event["event"] == "alert-raised").expect("an alert");
    for member in ["alert", "batch", "value", "threshold", "message", "run", "time_ms"] {
        assert_eq!(alert[member], event[member], "{member}");
    }
    assert_eq!((&alert["state"], &alert["store"]), (&"raised".into(), &"s.db".into()));
    assert!(alert["uuid"].as_str().is_some_and(|uuid| uuid.len() == 36), "{alert}");
    assert!(!ran.stderr.contains("--on-alert"), "{}", ran.stderr);
}

#[test]
fn unhealthy_conditions_are_alerts_each_told_once() {
    let folder = Folder::new();
    let line = "--max-memory-share 0% --min-disk-free 1000000GiB --max-error-share 100%";
    let mut running = Running::fed(&folder, &numbered(20), line);
    running.until(100, |event| event["alert"] == "LOW_DISK_SPACE");
    running.sampled(3);
    let ran = running.close().1.exits(0);
    assert_eq!(ran.stderr.matches("An alert is raised.").count(), 2, "{}", ran.stderr);
    for text in ["HIGH_MEMORY", "LOW_DISK_SPACE", "space left for the store is"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
}

#[test]
fn a_program_that_fails_is_one_warning_and_the_run_succeeds() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(200));
    for hook in [program(&folder, "exit 9"), "./nothing".to_owned()] {
        let ran =
            plain_run(&folder, &format!("--batch-size 10 --slow-item 0ms --again --on-alert {hook}")).run().exits(0);
        assert_eq!(ran.stderr.matches("The program of --on-alert").count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn what_the_program_prints_is_not_among_the_data() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(50));
    let hook = program(&folder, "echo noise; echo noise >&2");
    let line = format!("--batch-size 10 --slow-item 0ms --output json --on-alert {hook}");
    let ran = plain_run(&folder, &line).env("PATH", "/usr/bin:/bin").run().exits(0);
    assert_eq!(ran.json()["stored"], 50);
    assert!(!ran.stdout.contains("noise") && !ran.stderr.contains("noise"));
}
