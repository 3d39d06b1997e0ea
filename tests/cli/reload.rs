//! `atlas.toml` read again while a run is under way.

use serde_json::Value;

use super::numbered;
use super::sharing::Running;
use crate::harness::Folder;

/// Samples within which a change of the file acts, on any machine.
const SOON: usize = 100;

fn is_change(event: &Value, setting: &str, value: &str) -> bool {
    event["event"] == "bounds-changed" && event["setting"] == setting && event["value"] == value
}

#[test]
fn settings_changed_in_the_file_act_on_a_run_that_is_under_way() {
    let folder = Folder::new();
    folder.write("atlas.toml", "strategy = \"sequential\"\nbatch-size = 10\nattempts = 2\n");
    let mut running = Running::fed(&folder, &numbered(20), "");
    running.committed(20);
    folder.write(
        "atlas.toml",
        "strategy = \"sequential\"\nbatch-size = 20\nslow-item = \"5s\"\nmax-wal = \"2GiB\"\nbatch-wait = \"20ms\"\n",
    );
    for (setting, value) in
        [("batch-size", "20..20"), ("attempts", "3"), ("slow-item", "5s"), ("max-wal", "2147483648")]
    {
        running.until(SOON, |event| is_change(event, setting, value));
    }
    running.feed(&numbered(200));
    let (events, ran) = running.close();
    let last = events.iter().rfind(|event| event["event"] == "batch-started").expect("a batch");
    assert_eq!(last["batch_size"], 20);
    // The flag of this test says how long a batch waits.
    assert!(!events.iter().any(|event| event["setting"] == "batch-wait"));
    let ran = ran.exits(0).says("outweighs it").says("batch-wait");
    assert_eq!(ran.stderr.matches("WARN").count(), 1, "{}", ran.stderr);
}

#[test]
fn what_plans_aim_at_can_be_changed_in_the_file_and_taken_back() {
    let folder = Folder::new();
    folder.write("atlas.toml", "batch-size = \"10..40\"\n");
    let mut running = Running::fed(&folder, &numbered(20), "");
    running.committed(20);
    folder.write(
        "atlas.toml",
        "batch-size = \"10..40\"\naim = \"latency\"\nmax-batch-time = \"40ms\"\nmemory-budget = \"1GiB\"\n",
    );
    for (setting, value) in [("aim", "latency"), ("max-batch-time", "40ms"), ("memory-budget", "1073741824")] {
        running.until(SOON, |event| is_change(event, setting, value));
    }
    folder.write("atlas.toml", "batch-size = \"10..40\"\n");
    for (setting, value) in [("aim", "throughput"), ("max-batch-time", "none"), ("memory-budget", "none")] {
        running.until(SOON, |event| is_change(event, setting, value));
    }
    let ran = running.close().1.exits(0);
    assert_eq!(ran.stderr.matches("WARN").count(), 0, "{}", ran.stderr);
}

#[test]
fn a_broken_file_is_one_warning_with_its_line_and_the_old_values_stay() {
    let folder = Folder::new();
    folder.write("atlas.toml", "strategy = \"sequential\"\nbatch-size = 10\n");
    let mut running = Running::fed(&folder, &numbered(20), "");
    running.committed(20);
    folder.write("atlas.toml", "strategy = \"sequential\"\nbatch-size = \"many\"\n");
    running.sampled(6);
    std::fs::remove_file(folder.at("atlas.toml")).expect("it is there");
    running.sampled(4);
    folder.write("atlas.toml", "strategy = \"sequential\"\nbatch-size = 30\n");
    running.until(SOON, |event| {
        assert!(event["event"] != "bounds-changed" || event["value"] == "30..30", "{event}");
        is_change(event, "batch-size", "30..30")
    });
    let ran = running.close().1.exits(0);
    assert_eq!(ran.stderr.matches("atlas.toml:2: ").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("atlas.toml cannot be read").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("goes on with the settings that it has").count(), 2, "{}", ran.stderr);
}

#[test]
fn settings_that_need_a_new_run_are_told_once() {
    let folder = Folder::new();
    folder.write("atlas.toml", "into = \"items\"\nbatch-size = 10\n");
    let mut running = Running::fed(&folder, &numbered(20), "");
    running.committed(20);
    for (into, size) in [("others", 11), ("third", 12)] {
        folder.write(
            "atlas.toml",
            format!("into = \"{into}\"\nbatch-size = {size}\n[plugins.work]\ndigest = \"{into}\"\n"),
        );
        running.until(SOON, |event| is_change(event, "batch-size", &format!("{size}..{size}")));
    }
    let ran = running.close().1.exits(0).says("needs a new run").says("into, plugins").says("slow-item");
    assert_eq!(ran.stderr.matches("needs a new run").count(), 1, "{}", ran.stderr);
    assert_eq!(super::sql(&folder, "SELECT count(*) FROM items"), ["20"]);
}

#[test]
fn lanes_that_the_run_did_not_begin_with_are_refused_and_the_rest_of_the_file_acts() {
    let folder = Folder::new();
    folder.write("atlas.toml", "batch-size = 10\nlanes = 2\n");
    let mut running = Running::fed(&folder, &numbered(20), "");
    running.committed(20);
    folder.write("atlas.toml", "batch-size = 10\nlanes = 3\nattempts = 4\n");
    running.until(SOON, |event| is_change(event, "attempts", "4"));
    let (events, ran) = running.close();
    assert!(!events.iter().any(|event| event["setting"] == "lanes"));
    ran.exits(0).says("A changed setting does not act: lanes is 3..3, and this run began with 2");
}

#[test]
fn a_change_of_one_setting_does_not_undo_what_was_recommended_for_another() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(400));
    super::plain_run(&folder, "--strategy sequential --batch-size 10 --lanes 1").run().exits(0);
    folder.write("atlas.toml", "strategy = \"sequential\"\n");
    let mut running = Running::fed(&folder, &numbered(20), "--recommended");
    running.committed(20);
    folder.write("atlas.toml", "strategy = \"sequential\"\nattempts = 4\n");
    running.until(SOON, |event| is_change(event, "attempts", "4"));
    running.feed(&numbered(100));
    let (events, ran) = running.close();
    ran.exits(0);
    assert!(!events.iter().any(|event| event["event"] == "bounds-changed"));
    let last = events.iter().rfind(|event| event["event"] == "batch-started").expect("a batch");
    assert_eq!(last["batch_size"], 10);
}
