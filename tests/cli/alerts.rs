//! Alerts of a run: where they are told, how often, and which setting moves them.

use serde_json::Value;

use super::{plain_run, words};
use crate::harness::{Folder, guest_arg};

/// Raised alerts in a file of events.
fn raised(folder: &Folder, file: &str) -> Vec<Value> {
    let lines = folder.read(file);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.filter(|event| event["event"] == "alert-raised").collect()
}

#[test]
fn a_lasting_alert_is_told_once_in_events_log_and_summary_at_the_threshold_that_is_set() {
    let folder = Folder::new();
    let slow: String = (0..90).map(|n| format!("{{\"id\":\"i-{n:03}\",\"fault\":\"slow(1)\"}}\n")).collect();
    folder.write("in.ndjson", slow);
    let plan = format!("--plugin {} --batch-size 5 --lanes 1 --strategy sequential", guest_arg("faulty"));

    // Any batch takes longer than a microsecond for each item.
    let ran = plain_run(&folder, &format!("{plan} --store low.db --events low --slow-item 0.001ms")).run().exits(0);
    let alerts = raised(&folder, "low");
    assert_eq!(alerts.len(), 1, "18 slow batches are one condition: {alerts:?}");
    let alert = &alerts[0];
    assert_eq!(
        (&alert["alert"], &alert["batch"], &alert["threshold"]),
        (&"SLOW_BATCH_PROCESSING".into(), &0.into(), &0.001.into())
    );
    assert!(alert["value"].as_f64() > Some(0.001), "{alert}");
    assert_eq!(ran.stderr.matches("An alert is raised.").count(), 1, "{}", ran.stderr);
    let summary = ran.stderr.lines().filter(|line| line.starts_with("  Alerts ")).collect::<Vec<_>>();
    assert!(summary.len() == 1 && summary[0].contains("SLOW_BATCH_PROCESSING"), "{}", ran.stderr);

    // None takes an hour; and without the flag, none a tenth of a second.
    for (name, further) in [("high", "--slow-item 1h"), ("default", "")] {
        let ran = plain_run(&folder, &format!("{plan} --store {name}.db --events {name} {further}")).run().exits(0);
        assert_eq!(raised(&folder, name), [] as [Value; 0], "{name}");
        assert!(!ran.stderr.contains("lert"), "{name}: {}", ran.stderr);
    }
}

#[test]
fn the_threshold_of_a_configuration_file_is_in_force() {
    let folder = Folder::new();
    folder.write("in.ndjson", super::numbered(50));
    let alerts = |toml: &str, events: &str| {
        folder.write("atlas.toml", toml);
        words(&folder, &format!("run --input in.ndjson --id id --batch-size 10 --again --events {events}")).exits(0);
        raised(&folder, events).len()
    };
    assert_eq!(alerts("slow-item = \"0ms\"\n", "at-once"), 1);
    assert_eq!(alerts("slow-item = \"1h\"\n", "never"), 0);
}
