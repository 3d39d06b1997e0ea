//! `revalidate`, and stored items as input.

use std::process::Child;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::alert_command::program;
use super::{Redact, golden, sql, words};
use crate::harness::{Folder, Ran, guest_arg};

/// Five items, one that the guest `faulty` rejects and one that it traps on.
const ITEMS: &str = r#"{"id":"a","n":1}
{"id":"b","n":2,"fault":"validator-reject(2)"}
{"id":"c","n":3}
{"id":"d","n":4,"fault":"validator-trap"}
{"id":"e","n":5}
"#;

fn stored() -> Folder {
    let folder = Folder::new();
    folder.write("in.ndjson", ITEMS);
    words(&folder, "run -q --input in.ndjson --id id --index n").exits(0);
    folder
}

fn revalidate(folder: &Folder, more: &str) -> Ran {
    words(folder, &format!("revalidate --validator rules={} {more}", guest_arg("faulty")))
}

#[test]
fn stored_items_that_another_validator_rejects_are_told_and_nothing_is_changed() {
    let folder = stored();
    let before = words(&folder, "export --with-id").exits(0).stdout;
    let ran = revalidate(&folder, "").exits(3);
    let redact = Redact::new(folder.path());
    golden("revalidate.txt", &format!("{}--- stderr\n{}", redact.text(&ran.stdout), redact.text(&ran.stderr)));
    let lines = revalidate(&folder, "--output json -q").exits(3);
    assert_eq!(lines.stderr, "");
    let lines = lines.json_lines();
    assert_eq!(
        (&lines[0]["id"], &lines[0]["fate"], &lines[0]["slot"]),
        (&"b".into(), &"rejected".into(), &"rules".into())
    );
    assert_eq!((&lines[1]["id"], &lines[1]["fate"]), (&"d".into(), &"dead-lettered".into()));
    assert_eq!(words(&folder, "export --with-id").exits(0).stdout, before);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_runs"), ["1"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn an_id_cannot_steer_the_terminal() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\\u009b2J\",\"fault\":\"validator-reject(1)\"}\n");
    words(&folder, "run -q --input in.ndjson --id id").exits(0);
    let ran = revalidate(&folder, "").exits(3);
    assert!(ran.stdout.starts_with("\"a\\u{9b}2J\"  "), "{:?}", ran.stdout);
}

#[test]
fn a_validator_that_reads_the_store_reads_it_here_too_and_nothing_is_changed() {
    let folder = Folder::new();
    folder.write("tasks.ndjson", "{\"path\":\"p\",\"name\":\"root\",\"type\":\"MILESTONE\"}\n");
    folder.write("words.ndjson", "\"refuse 1\"\n\"keep\"\n");
    words(&folder, "run -q --input tasks.ndjson --id path").exits(0);
    words(&folder, "run -q --input words.ndjson --into words").exits(0);
    let counts = "SELECT (SELECT count(*) FROM atlas_runs), (SELECT count(*) FROM atlas_dead_letters),
                         (SELECT count(*) FROM items), (SELECT count(*) FROM words)";
    let before = sql(&folder, counts);
    let ran = words(&folder, &format!("revalidate --validator links={}", guest_arg("task-links"))).exits(3);
    assert!(ran.stdout.starts_with("\"p\"  TASK_") && ran.stdout.contains("already"), "{}", ran.stdout);
    ran.says("1 item of `items` checked: 0 passed, 1 rejected, 0 without a verdict. Nothing was changed.");
    // One that imports the store and passes some.
    let ran = words(&folder, &format!("revalidate --into words --validator rules={}", guest_arg("probe"))).exits(3);
    assert!(ran.stdout.starts_with("\"0\"  PROBE_RULE  ") && ran.stdout.lines().count() == 1, "{}", ran.stdout);
    ran.says("2 items of `words` checked: 1 passed, 1 rejected, 0 without a verdict. Nothing was changed.");
    assert_eq!(sql(&folder, counts), before);
    words(&folder, "verify").exits(0);
}

#[test]
fn rejected_items_move_to_the_dead_letters_whole_and_can_be_brought_back() {
    for size in [1, 2, 1000] {
        let folder = stored();
        let ran = revalidate(&folder, &format!("--dead-letter --batch-size {size}")).exits(3);
        ran.says("5 items of `items` checked: 3 passed, 1 rejected, 1 without a verdict. 1 moved to the dead letters, by run 2");
        assert_eq!(sql(&folder, "SELECT id FROM items ORDER BY id"), ["a", "c", "d", "e"]);
        assert_eq!(sql(&folder, "SELECT deleted, unchanged, rejected FROM atlas_runs WHERE id = 2"), ["1,3,1"]);
        words(&folder, "verify").exits(0);
        let why = words(&folder, "why b").exits(0).stdout;
        assert!(why.contains("rejected by rules") && why.contains("collection items"), "{why}");
        // What passes keeps where it came from.
        let why = words(&folder, "why a").exits(0).stdout;
        assert!(why.contains("line 1 of ") && why.contains("of run 1,"), "{why}");
        let letter = sql(&folder, "SELECT id FROM atlas_dead_letters WHERE item_id = 'b'").remove(0);
        let identity = guest_arg("identity");
        words(&folder, &format!("dead-letters retry {letter} --plugin {identity}")).exits(3);
        assert_eq!(
            sql(&folder, "SELECT id FROM items ORDER BY id"),
            ["a", "c", "d", "e"],
            "the validator still says no"
        );
        // One that accepts it brings it back, with its body as it was.
        words(&folder, &format!("dead-letters retry -q --validator rules={}", guest_arg("stamp"))).exits(0);
        assert_eq!(sql(&folder, "SELECT id FROM items ORDER BY id"), ["a", "b", "c", "d", "e"]);
        let whole =
            "SELECT body = '{\"id\":\"b\",\"n\":2,\"fault\":\"validator-reject(2)\"}' FROM items WHERE id = 'b'";
        assert_eq!(sql(&folder, whole), ["1"]);
        words(&folder, "verify").exits(0);
    }
}

#[test]
fn with_stale_only_what_an_older_validator_judged_is_judged_again() {
    let folder = Folder::new();
    let (faulty, stamp) = (guest_arg("faulty"), guest_arg("stamp"));
    // By no validator, by another one, and by the one in question, in the order of their ids all mixed.
    for (run, flags) in [
        ("plain", String::new()),
        ("old", format!("--validator rules={stamp}")),
        ("new", format!("--validator rules={faulty}")),
    ] {
        let items: String = (0..40)
            .map(|n| {
                format!("{{\"id\":\"{n:02}-{run}\",\"fault\":\"{}\"}}\n", if n == 7 { "validator-reject" } else { "" })
            })
            .collect();
        folder.write(&format!("{run}.ndjson"), items);
        words(&folder, &format!("run -q --input {run}.ndjson --id id --batch-size 9 {flags}"));
    }
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["119"]);
    let ran = revalidate(&folder, "--stale").exits(3);
    ran.says("80 items not judged so far of `items` checked: 78 passed, 2 rejected");
    // The slot counts, not the component alone.
    let ran = words(&folder, &format!("revalidate --stale --validator other={faulty}")).exits(3);
    ran.says("119 items not judged so far");
    let ran = revalidate(&folder, "--stale --dead-letter").exits(3);
    ran.says("80 items not judged so far").says("2 moved to the dead letters");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["117"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn what_a_component_did_as_an_operation_in_the_slot_is_no_verdict() {
    let folder = Folder::new();
    folder.write("in.ndjson", ITEMS);
    words(&folder, &format!("run -q --input in.ndjson --id id --plugin rules={}", guest_arg("faulty"))).exits(0);
    let ran = revalidate(&folder, "--stale").exits(3);
    ran.says("5 items not judged so far of `items` checked: 3 passed, 1 rejected, 1 without a verdict");
}

#[test]
fn all_items_are_judged_unless_a_flag_says_how_many() {
    let folder = stored();
    folder.write("atlas.toml", "limit = 1\n");
    revalidate(&folder, "").exits(3).says("5 items of `items` checked");
    revalidate(&folder, "--limit 1").exits(0).says("1 item of `items` checked");
}

#[test]
fn what_revalidate_cannot_do_is_refused() {
    let folder = stored();
    words(&folder, "revalidate").exits(2).says("no validator is given").says("hint: ");
    revalidate(&folder, "--input in.ndjson").exits(2).says("stored items are the input");
    let identity = guest_arg("identity");
    revalidate(&folder, &format!("--plugin {identity}")).exits(2).says("judged, not transformed");
    revalidate(&folder, "--into nothing").exits(2).says("`nothing`");
    revalidate(&folder, "--store nothing.db").exits(5).says("nothing.db");
    assert!(!folder.at("nothing.db").exists());
}

#[test]
fn the_items_of_a_collection_are_read_once_each_though_the_run_adds_to_it() {
    let folder = Folder::new();
    let items: String = (0..1200).map(|n| format!("{{\"id\":\"i-{n:04}\",\"n\":{n}}}\n")).collect();
    folder.write("in.ndjson", items);
    words(&folder, "run -q --input in.ndjson --id id --into one").exits(0);
    words(&folder, "run -q --from one --into two --index n").exits(0);
    let both = |name: &str| words(&folder, &format!("export --with-id {name}")).exits(0).stdout.replace(name, "");
    assert_eq!(
        sql(&folder, "SELECT count(*) FROM one JOIN two USING (id, body)"),
        ["1200"],
        "{} {}",
        both("one").len(),
        both("two").len()
    );
    // Into itself: what is put is not read again.
    let ran = words(&folder, "run --from one --into one").exits(0);
    assert!(ran.stderr.contains("all 1,200 items"), "{}", ran.stderr);
    assert_eq!(sql(&folder, "SELECT read, unchanged FROM atlas_runs ORDER BY id DESC LIMIT 1"), ["1200,1200"]);
    words(&folder, "run --from one --input in.ndjson").exits(2).says("--from reads stored items");
    words(&folder, "run --from nothing").exits(2).says("`nothing`");
    words(&folder, "verify").exits(0);
}

#[test]
fn it_is_watched_as_a_run_is() {
    let folder = stored();
    let hook = program(&folder, "cat >> told.json");
    let faulty = guest_arg("faulty");
    let watching = format!("--events events.ndjson --metrics-file atlas.prom --slow-item 0ms --on-alert {hook}");
    let line = format!("revalidate --validator rules={faulty} {watching}");
    let ran = folder.atlas(line.split(' ')).env("PATH", "/usr/bin:/bin").run().exits(3);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    let events = folder.read("events.ndjson");
    assert_eq!(events.matches("\"event\":\"item-failed\"").count(), 2, "{events}");
    assert!(folder.read("atlas.prom").contains("atlas_run_info"));
    assert!(folder.read("told.json").contains("SLOW_BATCH_PROCESSING"));
    revalidate(&folder, "--events -").exits(2).says("standard output is asked for twice").says("hint: write events");
}

#[test]
fn flags_about_reading_and_storing_are_told_to_do_nothing() {
    let folder = stored();
    let ran = revalidate(&folder, "-q --format csv --id /key --on-existing reject --seed 7").exits(3);
    ran.says("Stored items are judged as they are, so that these do nothing: --format, --id, --on-existing.")
        .says("CONFIG_3004");
    // The environment is about runs of all kinds.
    let line = format!("revalidate -q --validator rules={}", guest_arg("faulty"));
    let ran = folder.atlas(line.split(' ')).env("ATLAS_FORMAT", "csv").env("ATLAS_ID", "key").run().exits(3);
    assert_eq!(ran.stderr, "");
}

/// True if the process has a file of this name open.
fn has_open(child: &Child, name: &str) -> bool {
    let open = std::fs::read_dir(format!("/proc/{}/fd", child.id()));
    open.is_ok_and(|open| open.flatten().any(|one| std::fs::read_link(one.path()).is_ok_and(|to| to.ends_with(name))))
}

/// What was written before a run has the store for itself is what it reads, and not undone by it.
#[test]
fn stored_items_are_read_as_they_are_once_nobody_else_can_write() {
    let folder = stored();
    folder.write("newer.ndjson", "{\"id\":\"a\",\"n\":100}\n");
    // To open it waits for somebody who reads, so that another run comes before this one.
    mkfifoat(CWD, folder.at("events"), Mode::RUSR | Mode::WUSR).expect("a pipe");
    let mut child = folder.atlas(["run", "-q", "--from", "items", "--into", "items", "--events", "events"]).start();
    while !has_open(&child, "atlas.db") {
        assert!(child.try_wait().expect("a process").is_none(), "it has ended");
        std::thread::yield_now();
    }
    words(&folder, "run -q --input newer.ndjson --id id").exits(0);
    assert!(std::fs::read_to_string(folder.at("events")).expect("its events").contains("run-ended"));
    Ran::from(child.wait_with_output().expect("it ends")).exits(0);
    assert_eq!(sql(&folder, "SELECT n FROM items WHERE id = 'a'"), ["100"]);
}
