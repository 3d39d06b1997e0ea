//! The same command again: it continues, or says that it is complete; other commands are refused by name.

use serde_json::Value;

use super::{numbered, plain_run, sql, words};
use crate::harness::{Folder, guest_arg};

/// `count` items of which every `each`th is refused by the guest `faulty`.
pub fn with_rejects(count: usize, each: usize) -> String {
    let fault = |n: usize| if n % each == each - 1 { ",\"fault\":\"reject\"" } else { "" };
    (0..count).map(|n| format!("{{\"id\":\"i-{n:06}\",\"n\":{n}{}}}\n", fault(n))).collect()
}

#[test]
fn a_command_repeated_after_success_says_so_and_changes_nothing() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20));
    let first = plain_run(&folder, "--output json").run().exits(0).json();
    let before = std::fs::read(folder.at("atlas.db")).expect("a store");
    let ran = plain_run(&folder, "").run().exits(0);
    assert!(ran.stderr.starts_with("Already complete: run 1 "), "{}", ran.stderr);
    ran.says("Use --again to process it anew.");
    let report = plain_run(&folder, "--output json").run().exits(0).json();
    assert_eq!((&report["already_complete"], &report["run"]), (&true.into(), &1.into()));
    for name in ["read", "stored", "inserted", "status", "uuid"] {
        assert_eq!(report[name], first[name], "{name}");
    }
    assert_eq!(std::fs::read(folder.at("atlas.db")).expect("a store"), before);
}

#[test]
fn a_command_repeated_exits_as_the_run_did() {
    let folder = Folder::new();
    folder.write("in.ndjson", with_rejects(20, 10));
    let faulty = format!("--plugin {}", guest_arg("faulty"));
    plain_run(&folder, &faulty).run().exits(3);
    plain_run(&folder, &faulty).run().exits(3).says("Already complete").says("18 stored, 2 rejected");
    // Settings that decide no result may differ.
    plain_run(&folder, &format!("{faulty} --batch-size 3 --strategy sequential --lanes 1"))
        .run()
        .exits(3)
        .says("Already complete");
}

#[test]
fn again_processes_anew() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20));
    plain_run(&folder, "").run().exits(0);
    let report = plain_run(&folder, "--again --output json").run().exits(0).json();
    assert_eq!((&report["run"], &report["read"], &report["unchanged"]), (&2.into(), &20.into(), &20.into()));
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["20"]);
}

#[test]
fn a_changed_input_or_plugin_of_a_finished_command_is_a_new_run() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20));
    plain_run(&folder, "").run().exits(0);
    folder.write("in.ndjson", numbered(21));
    let report = plain_run(&folder, "--output json").run().exits(0).json();
    assert_eq!((&report["run"], &report["inserted"], &report["unchanged"]), (&2.into(), &1.into(), &20.into()));
    let identity = format!("--plugin {} --output json", guest_arg("identity"));
    assert_eq!(plain_run(&folder, &identity).run().exits(0).json()["run"], 3);
}

/// A run that stopped at the border of its fourth batch: 40 of 100 items, 4 of them refused.
pub fn stopped() -> (Folder, String) {
    let folder = Folder::new();
    folder.write("in.ndjson", with_rejects(100, 10));
    let further = format!("--plugin work={} --batch-size 10 --strategy sequential", guest_arg("faulty"));
    let ran = plain_run(&folder, &format!("{further} --max-rejects 3")).run().exits(3);
    assert!(ran.stderr.contains("stopped by --max-rejects: 4 of 40 items"), "{}", ran.stderr);
    (folder, further)
}

#[test]
fn too_many_rejects_stop_the_run_at_the_border_of_the_batch_and_it_can_be_continued() {
    let (folder, further) = stopped();
    assert_eq!(
        sql(&folder, "SELECT status, read, stored, rejected, batches FROM atlas_runs"),
        ["interrupted,40,36,4,4"]
    );
    assert_eq!(sql(&folder, "SELECT next FROM atlas_checkpoints"), ["40"]);
    words(&folder, "verify").exits(0);
    let report = plain_run(&folder, &format!("{further} --max-rejects 50 --output json")).run().exits(3).json();
    let figures = ["run", "resumed_at", "read", "stored", "rejected", "batches"].map(|name| report[name].as_u64());
    assert_eq!(figures, [1, 40, 100, 90, 10, 10].map(Some), "{report}");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["90"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_runs"), ["1"]);
    plain_run(&folder, &further).run().exits(3).says("Already complete");
    words(&folder, "verify").exits(0);
}

#[test]
fn a_share_of_rejects_is_a_bound_too() {
    let folder = Folder::new();
    folder.write("in.ndjson", with_rejects(100, 5));
    let further = format!("--plugin {} --batch-size 20", guest_arg("faulty"));
    plain_run(&folder, &format!("{further} --max-rejects 25%")).run().exits(3);
    assert_eq!(sql(&folder, "SELECT status FROM atlas_runs"), ["partial"]);
    plain_run(&folder, &format!("{further} --max-rejects 10% --store b.db"))
        .run()
        .exits(3)
        .says("stopped by --max-rejects");
}

/// Every twentieth of 400 items is refused, and all from the 200th to before the 220th.
fn with_a_burst() -> String {
    let fault = |n: usize| if n % 20 == 19 || (200..220).contains(&n) { ",\"fault\":\"reject\"" } else { "" };
    (0..400).map(|n| format!("{{\"id\":\"i-{n:06}\"{}}}\n", fault(n))).collect()
}

#[test]
fn too_many_rejects_among_items_in_a_row_stop_the_run_whatever_the_lanes_and_the_size_of_batches() {
    let folder = Folder::new();
    folder.write("in.ndjson", with_a_burst());
    let faulty = guest_arg("faulty");
    // The ninth within 40 items is item 206.
    for (plan, read, rejected) in [
        ("--batch-size 10 --strategy sequential", 210, 20),
        ("--batch-size 10 --strategy concurrent --lanes 3", 210, 20),
        ("--batch-size 64 --strategy concurrent --lanes 3", 256, 31),
    ] {
        let further = format!("--plugin {faulty} {plan} --max-rejects 8/40 --again");
        plain_run(&folder, &further).run().exits(3).says(&format!(
            "stopped by --max-rejects 8/40: more than 8 of 40 items in a row were rejected or dead-lettered, {rejected} of {read} in all"
        ));
        let newest = "SELECT status, read, rejected FROM atlas_runs ORDER BY id DESC LIMIT 1";
        assert_eq!(sql(&folder, newest), [format!("interrupted,{read},{rejected}")], "{plan}");
    }
    // As many in all, and as large a share, are no reason to stop.
    plain_run(&folder, &format!("--plugin {faulty} --max-rejects 22/40 --again")).run().exits(3);
    assert_eq!(sql(&folder, "SELECT status, read FROM atlas_runs ORDER BY id DESC LIMIT 1"), ["partial,400"]);
}

#[test]
fn a_run_that_is_continued_looks_back_on_what_failed_before() {
    let folder = Folder::new();
    folder.write("in.ndjson", with_a_burst());
    let further = format!("--plugin {} --batch-size 10 --strategy sequential --max-rejects 8/40", guest_arg("faulty"));
    // The burst goes on to item 219; items 239 and 259 are refused as well, and the ninth before 259 is 40 before it.
    for read in [210, 220, 240] {
        plain_run(&folder, &further).run().exits(3).says("stopped by --max-rejects 8/40");
        assert_eq!(sql(&folder, "SELECT status, read FROM atlas_runs"), [format!("interrupted,{read}")]);
    }
    plain_run(&folder, &further).run().exits(3);
    assert_eq!(sql(&folder, "SELECT status, read, rejected FROM atlas_runs"), ["partial,400,39"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn a_quiet_run_still_says_why_it_stopped() {
    let folder = Folder::new();
    folder.write("in.ndjson", with_rejects(100, 10));
    let further = format!("--plugin {} --max-rejects 0 -q", guest_arg("faulty"));
    let ran = plain_run(&folder, &further).run().exits(3);
    assert!(ran.stderr.starts_with("error[BATCH_8003]: stopped by --max-rejects"), "{}", ran.stderr);
    ran.says("\nhint: ");
}

#[test]
fn going_on_with_another_plugin_or_setting_is_refused_by_name() {
    let (folder, further) = stopped();
    let identity = format!("--plugin work={} --batch-size 10", guest_arg("identity"));
    let ran = plain_run(&folder, &identity).run().exits(2).says("error[CONFIG_3001]: run 1 began with other settings");
    ran.clone().says("operation work was blake3:").says("hint: use the settings of run 1, or --accept-change");
    plain_run(&folder, &format!("{further} --on-existing reject"))
        .run()
        .exits(2)
        .says("on-existing was replace, is reject");
    let without = plain_run(&folder, "").run().exits(2);
    assert!(
        without.stderr.contains("operation work was") && without.stderr.contains("is not given"),
        "{}",
        without.stderr
    );
    assert_eq!(sql(&folder, "SELECT read, batches FROM atlas_runs"), ["40,4"]);
    // How the work is cut up decides nothing.
    let report =
        plain_run(&folder, &format!("{identity} --accept-change --output json --lanes 2")).run().exits(3).json();
    assert_eq!((&report["run"], &report["resumed_at"], &report["stored"]), (&1.into(), &40.into(), &96.into()));
    let shown: Value = words(&folder, "runs show 1 --output json").exits(0).json();
    let plugins: Vec<(&str, u64)> = shown["plugins"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|plugin| (plugin["slot"].as_str().expect("a text"), plugin["from_batch"].as_u64().expect("a number")))
        .collect();
    assert_eq!(plugins, [("work", 0), ("work", 4)]);
    words(&folder, "verify").exits(0);
}

#[test]
fn a_run_that_goes_on_without_plugins_has_nothing_more_from_those_that_it_had() {
    let (folder, _) = stopped();
    plain_run(&folder, "--accept-change").run().exits(3);
    let plugins = |id: &str| {
        let why = words(&folder, &format!("why {id} --output json")).exits(0).json();
        why["plugins"].as_array().expect("a list").len()
    };
    assert_eq!((plugins("i-000000"), plugins("i-000099")), (1, 0));
    // It ended with none, and with none its letters are tried again.
    words(&folder, "dead-letters retry -q").exits(0);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["100"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn again_begins_an_interrupted_run_anew() {
    let (folder, further) = stopped();
    let report = plain_run(&folder, &format!("{further} --again --output json")).run().exits(3).json();
    assert_eq!((&report["run"], &report["resumed_at"], &report["read"]), (&2.into(), &0.into(), &100.into()));
}

#[test]
fn an_input_that_is_another_before_the_checkpoint_is_refused() {
    let (folder, further) = stopped();
    let text = folder.read("in.ndjson");
    folder.write("in.ndjson", text.replace("\"n\":5}", "\"n\":6}"));
    plain_run(&folder, &further)
        .run()
        .exits(2)
        .says("error[CONFIG_3001]: the first 40 records of in.ndjson")
        .says("hint: restore the input");
    // What is refused has changed nothing of the run, not even where the change was accepted that it came with.
    let as_it_was =
        "SELECT status, epoch, error IS NOT NULL, identity FROM atlas_runs JOIN atlas_checkpoints ON run = id";
    let before = sql(&folder, as_it_was);
    assert!(before[0].starts_with("interrupted,1,"), "{before:?}");
    plain_run(&folder, &format!("{further} --on-existing reject --accept-change")).run().exits(2).says("the first 40");
    assert_eq!(sql(&folder, as_it_was), before);
    folder.write("in.ndjson", &text[..text.len() / 10]);
    let ran = plain_run(&folder, &further).run();
    assert!(matches!(ran.code, Some(2 | 5)), "{ran:?}");
    ran.says("\nhint: ");
    // Lines may be added behind it.
    folder.write("in.ndjson", format!("{text}{{\"id\":\"more\"}}\n"));
    let report = plain_run(&folder, &format!("{further} --output json")).run().exits(3).json();
    assert_eq!((&report["resumed_at"], &report["read"]), (&40.into(), &101.into()));
    // It is complete with the input that it was continued with.
    plain_run(&folder, &further).run().exits(3).says("Already complete: run 1 ");
}

/// They stand behind a batch that is full, or within one that is not.
#[test]
fn blank_lines_at_the_end_are_in_the_books_however_the_input_is_cut() {
    for size in [2, 10] {
        let folder = Folder::new();
        folder.write("in.ndjson", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n\n\n");
        let further = format!("--batch-size {size} --strategy sequential --output json");
        let report = plain_run(&folder, &further).run().exits(0).json();
        assert_eq!(report["blank_lines"], 2, "{report}");
        let shown: Value = words(&folder, "runs show 1 --output json").exits(0).json();
        assert_eq!(shown["blank_lines"], 2, "batches of {size}: {shown}");
        assert_eq!(
            plain_run(&folder, &further).run().exits(0).json()["blank_lines"],
            2,
            "as it says when it is repeated"
        );
        words(&folder, "verify").exits(0);
    }
}
