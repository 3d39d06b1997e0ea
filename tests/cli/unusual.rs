//! What is unusual about a run beside the earlier ones of its kind: an alert, and nothing else.

use serde_json::Value;

use super::alert_command::program;
use super::{numbered, plain_run, sql, words};
use crate::harness::{Folder, guest_arg};

/// So many items of which the first ones are refused by the guest `faulty`.
fn with_rejects(count: usize, rejects: usize) -> String {
    let fault = |n: usize| if n < rejects { ",\"fault\":\"reject\"" } else { "" };
    (0..count).map(|n| format!("{{\"id\":\"i-{n:06}\"{}}}\n", fault(n))).collect()
}

/// A folder with a store in which runs have read so many items each.
fn folder(runs: impl IntoIterator<Item = usize>) -> Folder {
    let folder = Folder::new();
    for items in runs {
        folder.write("in.ndjson", numbered(items));
        let ran = plain_run(&folder, "--again").run().exits(0);
        assert!(!ran.stderr.contains("alert"), "{}", ran.stderr);
    }
    folder
}

/// Raised alerts about what is unusual, in a file of events.
fn raised(folder: &Folder, file: &str) -> Vec<Value> {
    let lines = folder.read(file);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let unusual = |event: &Value| event["alert"].as_str().is_some_and(|name| name.starts_with("UNUSUAL_"));
    events.filter(|event| event["event"] == "alert-raised" && unusual(event)).collect()
}

#[test]
fn a_run_that_reads_far_fewer_items_than_those_before_it_is_told_of_in_every_way_and_ends_as_ever() {
    let folder = folder(100..105);
    folder.write("in.ndjson", numbered(20));
    let hook = program(&folder, "echo \"$ATLAS_ALERT_NAME $ATLAS_ALERT_VALUE $ATLAS_ALERT_THRESHOLD\" >> told");
    let line = format!("--again --batch-size 10 --events events --on-alert {hook}");
    let ran = plain_run(&folder, &line).env("PATH", "/usr/bin:/bin").run().exits(0);
    let alerts = raised(&folder, "events");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let message = "read 20 items; the 5 runs before it read 100 to 104 (median 102)";
    assert_eq!(alerts[0]["message"], message);
    assert_eq!((&alerts[0]["alert"], &alerts[0]["batch"]), (&"UNUSUAL_VOLUME".into(), &1.into()));
    assert_eq!((alerts[0]["value"].as_f64(), alerts[0]["threshold"].as_f64()), (Some(20.0), Some(82.0)));
    let events = folder.read("events");
    assert!(events.lines().last().is_some_and(|last| last.contains("\"run-ended\"")), "{events}");
    assert_eq!(ran.stderr.matches("An alert is raised.").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(message) && ran.stderr.contains("1 raised, lasting: UNUSUAL_VOLUME"), "{}", ran.stderr);
    assert_eq!(folder.read("told"), "UNUSUAL_VOLUME 20 82\n");
    let kept = sql(&folder, "SELECT alerts FROM atlas_runs ORDER BY id DESC LIMIT 1");
    assert!(kept[0].contains(message), "{kept:?}");
    words(&folder, "runs report 6 -o report.html").exits(0);
    assert!(folder.read("report.html").contains(message));
}

#[test]
fn a_share_of_failed_items_that_is_larger_than_in_the_runs_before_is_told() {
    let folder = Folder::new();
    let plugin = format!("--plugin {}", guest_arg("faulty"));
    for (rejects, unusual) in [(1, false), (2, false), (1, false), (3, false), (2, false), (6, false), (9, true)] {
        folder.write("in.ndjson", with_rejects(100, rejects));
        plain_run(&folder, &format!("--again --events events {plugin}")).run().exits(3);
        let alerts = raised(&folder, "events");
        assert_eq!(!alerts.is_empty(), unusual, "{alerts:?}");
    }
    let alert = &raised(&folder, "events")[0];
    assert_eq!(alert["alert"], "UNUSUAL_ERROR_RATE");
    assert_eq!(
        alert["message"],
        "9.0 % of 100 items were rejected or failed; of those of the 6 runs before it 1.0 % to 6.0 % (median 2.0 %)"
    );
}

#[test]
fn a_run_that_ends_long_after_the_one_before_it_is_told_where_they_have_a_schedule() {
    let folder = folder([100; 6]);
    // As if one had ended each hour, the last ten hours ago.
    let raw = rusqlite::Connection::open(folder.at("atlas.db")).expect("a store");
    raw.execute_batch("UPDATE atlas_runs SET ended_ms = ended_ms - (6 - id) * 3600000 - 36000000").expect("runs");
    drop(raw);
    plain_run(&folder, "--again --events events").run().exits(0);
    let alerts = raised(&folder, "events");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(
        (&alerts[0]["alert"], &alerts[0]["message"]),
        (
            &"UNUSUAL_AGE".into(),
            &"ended 10 h 00 min after the run before it; the 6 runs before it followed each other after 1 h 00 min"
                .into()
        )
    );
}

#[test]
fn runs_of_another_kind_are_not_compared() {
    let folder = folder([100; 5]);
    folder.write("in.ndjson", numbered(10));
    let identity = format!("--plugin {}", guest_arg("identity"));
    for further in ["--limit 5", "--dry-run", "--into others", &identity] {
        plain_run(&folder, &format!("--again --events events {further}")).run().exits(0);
        assert_eq!(raised(&folder, "events"), [] as [Value; 0], "{further}");
    }
    let piped = folder.atlas("run --input - --id id --events events".split(' '));
    piped.stdin(numbered(10)).run().exits(0);
    assert_eq!(raised(&folder, "events"), [] as [Value; 0]);
    // None of these has changed what is usual for the others.
    plain_run(&folder, "--again --events events").run().exits(0);
    assert_eq!(raised(&folder, "events").len(), 1);
}
