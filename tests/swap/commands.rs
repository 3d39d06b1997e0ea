//! The commands `plugins`: another process exchanges a plugin, and looks at what is kept.

use rustix::process::Signal;
use serde_json::Value;

use super::stamp;
use crate::cli::sharing::Running;
use crate::cli::words;
use crate::harness::{Folder, Ran};

const RUN: &str = "--plugin work=v1.wasm --strategy sequential --batch-size 10";

fn numbered(from: u64, count: u64) -> String {
    (from..from + count).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect()
}

/// Feeds the run until the command has ended, so that it has batches to take effect with.
fn beside(folder: &Folder, running: &mut Running, from: &mut u64, line: &str) -> Ran {
    std::thread::scope(|scope| {
        let told = scope.spawn(|| words(folder, line));
        while !told.is_finished() {
            running.feed(&numbered(*from, 10));
            *from += 10;
            running.committed(10);
        }
        told.join().expect("no panic")
    })
}

fn short(bytes: &[u8]) -> String {
    atlas_host::model::Digest::of(bytes).short()
}

#[test]
fn another_process_exchanges_a_plugin_and_puts_the_old_one_back() {
    let folder = Folder::new();
    for (name, orders) in [("v1", "v1"), ("v2", "v2"), ("bad", "v3 trap"), ("late", "v4 trap@1000000")] {
        folder.write(&format!("{name}.wasm"), stamp(orders));
    }
    let mut sent = 50;
    let mut running = Running::fed(&folder, &numbered(0, sent), RUN);
    running.committed(sent);
    let ran = beside(&folder, &mut running, &mut sent, "plugins swap work v2.wasm --wait 5m").exits(0);
    assert!(ran.stdout.contains("run 1, slot work: the plugin is in effect: after 8 batches"), "{}", ran.stdout);
    let ran = words(&folder, "plugins swap work bad.wasm --wait 5m --output json").exits(4);
    let answer = ran.json();
    assert_eq!((answer["step"].as_str(), answer["code"].as_str()), (Some("refused"), Some("GUEST_10014")));
    words(&folder, "plugins swap work v2.wasm --wait 5m").exits(0);
    let ran = words(&folder, "plugins swap lost v2.wasm --wait 5m").exits(4);
    assert!(ran.stdout.contains("this run has no slot lost"), "{}", ran.stdout);
    let ran = beside(&folder, &mut running, &mut sent, "plugins rollback work --wait 5m").exits(0);
    assert!(ran.stdout.contains("the plugin is in effect"), "{}", ran.stdout);
    // It fails on items that it has not seen before.
    let late = std::thread::scope(|scope| {
        let told = scope.spawn(|| words(&folder, "plugins swap work late.wasm --wait 5m --run 1"));
        running.until(600, |event| event["event"] == "swap-tried");
        running.feed(&numbered(1_000_000, 10));
        running.committed(10);
        told.join().expect("no panic")
    });
    let late = late.exits(4);
    assert!(
        late.stdout.contains("the old plugin was put back: GUEST_10015: it fails on 10 of 10 items"),
        "{}",
        late.stdout
    );
    running.close().1.exits(0);

    let listed: Vec<Value> = words(&folder, "plugins list --output json").exits(0).json_lines();
    let kept: Vec<(&str, u64, bool)> = listed
        .iter()
        .map(|p| {
            let in_force = p["in_force"].as_array().is_some_and(|slots| !slots.is_empty());
            (p["name"].as_str().expect("a name"), p["bytes"].as_u64().expect("bytes"), in_force)
        })
        .collect();
    let size = stamp("v1").len() as u64;
    assert_eq!(kept, [("v1.wasm", size, true), ("v2.wasm", size, false)], "what never wrote a batch is not kept");
    let history = words(&folder, "plugins history work --output json").exits(0).json_lines();
    let steps: Vec<(&str, &str)> = history
        .iter()
        .map(|step| (step["source"].as_str().unwrap_or(""), step["step"].as_str().unwrap_or("")))
        .collect();
    for wanted in [("command", "took-effect"), ("command", "refused"), ("rollback", "settled"), ("command", "put-back")]
    {
        assert!(steps.contains(&wanted), "{wanted:?} is not in {steps:?}");
    }
    let table = words(&folder, "plugins history").exits(0).stdout;
    assert!(table.contains(&short(&stamp("v3 trap"))) && table.contains("put-back"), "{table}");
    assert!(words(&folder, "plugins list").exits(0).stdout.contains(&short(&stamp("v2"))));
    words(&folder, "plugins history work --run 7").exits(0).says("no plugin was exchanged");
    words(&folder, "plugins swap work v2.wasm").exits(2).says("no run of this store is at work");
    words(&folder, "plugins rollback work --run 1").exits(2).says("run 1 is not at work: it is succeeded");
    words(&folder, "verify").exits(0);
}

#[test]
fn whoever_asks_for_a_plugin_that_is_asked_for_already_hears_how_that_one_goes_on() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2"));
    let mut running = Running::fed(&folder, "", RUN);
    running.until(240, |event| event["event"] == "run-started");
    // Both come before there are items to try it with, so that the first one waits when the second one comes.
    let swap = || words(&folder, "plugins swap work v2.wasm --wait 5m");
    std::thread::scope(|scope| {
        let askers = [scope.spawn(swap), scope.spawn(swap)];
        let mut requested = 0;
        running.until(240, |event| {
            requested += u64::from(event["event"] == "swap-requested");
            requested == 2
        });
        let mut sent = 0;
        while askers.iter().any(|asker| !asker.is_finished()) {
            running.feed(&numbered(sent, 10));
            sent += 10;
            running.committed(10);
        }
        for asker in askers {
            let ran = asker.join().expect("no panic").exits(0);
            assert!(ran.stdout.contains("the plugin is in effect: after 8 batches"), "{}", ran.stdout);
        }
    });
    running.close().1.exits(0);
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    let steps = |name: &str| history.iter().filter(|step| step["step"] == name).count();
    assert_eq!(["requested", "tried", "settled", "skipped"].map(steps), [2, 1, 1, 0], "{history:?}");
}

#[test]
fn whoever_asks_for_a_plugin_that_waits_for_a_batch_hears_what_becomes_of_it() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2"));
    let mut sent = 50;
    let mut running = Running::fed(&folder, &numbered(0, sent), RUN);
    running.committed(sent);
    let swap = || words(&folder, "plugins swap work v2.wasm --wait 5m");
    std::thread::scope(|scope| {
        let first = scope.spawn(swap);
        running.until(240, |event| event["event"] == "swap-tried");
        let second = scope.spawn(swap);
        running.until(240, |event| event["event"] == "swap-requested");
        while !first.is_finished() || !second.is_finished() {
            running.feed(&numbered(sent, 10));
            sent += 10;
            running.committed(10);
        }
        for asker in [first, second] {
            let ran = asker.join().expect("no panic").exits(0);
            assert!(ran.stdout.contains("the plugin is in effect: after 8 batches"), "{}", ran.stdout);
        }
    });
    running.close().1.exits(0);
}

#[test]
fn a_plugin_that_is_replaced_while_it_is_on_probation_is_not_in_effect() {
    let folder = Folder::new();
    for version in ["v1", "v2", "v3"] {
        folder.write(&format!("{version}.wasm"), stamp(version));
    }
    let mut sent = 50;
    let mut running = Running::fed(&folder, &numbered(0, sent), RUN);
    running.committed(sent);
    let replaced = std::thread::scope(|scope| {
        let first = scope.spawn(|| words(&folder, "plugins swap work v2.wasm --wait 5m"));
        running.until(240, |event| event["event"] == "swap-tried");
        running.feed(&numbered(sent, 10));
        sent += 10;
        running.committed(10);
        let second = scope.spawn(|| words(&folder, "plugins swap work v3.wasm --wait 5m"));
        running.until(240, |event| event["event"] == "swap-skipped");
        while !second.is_finished() {
            running.feed(&numbered(sent, 10));
            sent += 10;
            running.committed(10);
        }
        second.join().expect("no panic").exits(0);
        first.join().expect("no panic")
    });
    let replaced = replaced.exits(4);
    assert!(
        replaced.stdout.contains("the plugin is not in effect: v3.wasm took its place before its probation was over"),
        "{}",
        replaced.stdout
    );
    running.close().1.exits(0);
}

#[test]
fn whoever_waits_for_a_run_that_is_killed_is_told_so() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2"));
    let mut running = Running::fed(&folder, &numbered(0, 50), RUN);
    running.committed(50);
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| words(&folder, "plugins swap work v2.wasm --wait 5m"));
        running.until(240, |event| event["event"] == "swap-tried");
        running.signal(Signal::KILL);
        drop(running.end());
        asked.join().expect("no panic")
    });
    asked.exits(5).says("the run was killed, or ended, when the candidate had come no further than \"tried\"");
}

#[test]
fn any_version_that_the_store_keeps_can_be_put_back_or_written_to_a_file() {
    let folder = Folder::new();
    for version in ["v1", "v2", "v3"] {
        folder.write(&format!("{version}.wasm"), stamp(version));
    }
    let mut sent = 50;
    let mut running = Running::fed(&folder, &numbered(0, sent), RUN);
    running.committed(sent);
    for version in ["v2", "v3"] {
        beside(&folder, &mut running, &mut sent, &format!("plugins swap work {version}.wasm --wait 5m")).exits(0);
    }
    let digest = atlas_host::model::Digest::of(&stamp("v1")).to_string();
    let first = &digest["blake3:".len()..][..12];
    let back = format!("plugins rollback work --to {first} --wait 5m");
    let ran = beside(&folder, &mut running, &mut sent, &back).exits(0);
    assert!(ran.stdout.contains("the plugin is in effect"), "{}", ran.stdout);
    words(&folder, "plugins rollback work --to 000000 --wait 5m")
        .exits(2)
        .says("no plugin of this store has the digest");
    words(&folder, "plugins rollback work --to v1 --wait 5m").exits(2).says("hex digits");
    running.close().1.exits(0);
    let listed = words(&folder, "plugins list --output json").exits(0).json_lines();
    let in_force = listed.iter().find(|plugin| plugin["in_force"][0] == "work").expect("one fills the slot");
    assert_eq!(in_force["digest"], digest.as_str());
    words(&folder, &format!("plugins export {digest} back.wasm")).exits(0).says("first seen as v1.wasm");
    assert!(std::fs::read(folder.at("back.wasm")).expect("a file") == stamp("v1"), "the very bytes");
    words(&folder, "plugins export 000000 none.wasm").exits(2).says("no plugin of this store has the digest");
    assert!(!folder.at("none.wasm").exists());
    words(&folder, "plugins verify").exits(0);
}

#[test]
fn a_rollback_does_not_bring_back_what_the_run_has_put_back() {
    let folder = Folder::new();
    for (name, orders) in [("v1", "v1"), ("v2", "v2"), ("late", "v3 trap@1000000")] {
        folder.write(&format!("{name}.wasm"), stamp(orders));
    }
    let mut sent = 50;
    let mut running = Running::fed(&folder, &numbered(0, sent), RUN);
    running.committed(sent);
    beside(&folder, &mut running, &mut sent, "plugins swap work v2.wasm --wait 5m").exits(0);
    // It writes a batch of its own before it fails.
    let late = std::thread::scope(|scope| {
        let told = scope.spawn(|| words(&folder, "plugins swap work late.wasm --wait 5m"));
        running.until(600, |event| event["event"] == "swap-tried");
        let mut effect = false;
        while !effect {
            running.feed(&numbered(sent, 10));
            sent += 10;
            running.until(600, |event| {
                effect |= event["event"] == "swap-took-effect";
                event["event"] == "batch-committed"
            });
        }
        running.feed(&numbered(sent, 10));
        sent += 10;
        running.committed(10);
        running.feed(&numbered(1_000_000, 10));
        running.committed(10);
        told.join().expect("no panic")
    });
    assert!(late.exits(4).stdout.contains("the old plugin was put back"));
    let ran = beside(&folder, &mut running, &mut sent, "plugins rollback work --wait 5m").exits(0);
    assert!(ran.stdout.contains("the plugin is in effect"), "{}", ran.stdout);
    running.close().1.exits(0);
    let chain = "SELECT p.name FROM atlas_run_plugins AS p ORDER BY p.from_batch";
    assert_eq!(crate::cli::sql(&folder, chain), ["v1.wasm", "v2.wasm", "late.wasm", "v2.wasm", "v1.wasm"]);
}

#[test]
fn a_rollback_looks_at_runs_into_the_same_collection_and_at_no_retries() {
    let folder = Folder::new();
    for (name, orders) in [("v1", "v1 reject@5"), ("v2", "v2"), ("v3", "v3")] {
        folder.write(&format!("{name}.wasm"), stamp(orders));
    }
    folder.write("in.ndjson", numbered(0, 10));
    words(&folder, "run -q --input in.ndjson --id id --into elsewhere --plugin work=v2.wasm").exits(0);
    words(&folder, "run -q --input in.ndjson --id id --plugin work=v1.wasm").exits(3);
    words(&folder, "dead-letters retry -q --plugin work=v3.wasm").exits(0);
    let mut running = Running::fed(&folder, &numbered(0, 4), RUN);
    running.committed(4);
    words(&folder, "plugins rollback work --wait 5m").exits(2).says("slot work has had no other plugin");
    running.close().1.exits(0);
}

#[test]
fn a_rollback_finds_the_plugin_before_however_many_runs_had_the_present_one() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2"));
    folder.write("in.ndjson", numbered(0, 10));
    words(&folder, "run -q --input in.ndjson --id id --plugin work=v2.wasm").exits(0);
    words(&folder, "run -q --again --input in.ndjson --id id --plugin work=v1.wasm").exits(0);
    let store = rusqlite::Connection::open(folder.at("atlas.db")).expect("a store");
    let tables = [("atlas_runs", "id"), ("atlas_checkpoints", "run"), ("atlas_run_plugins", "run")];
    let copies = tables.map(|(table, run)| {
        store
            .execute_batch(&format!("CREATE TEMP TABLE {table}_2 AS SELECT * FROM {table} WHERE {run} = 2"))
            .expect("a copy");
        format!("UPDATE {table}_2 SET {run} = {run} + 1; INSERT INTO {table} SELECT * FROM {table}_2;")
    });
    let more = format!("UPDATE atlas_runs_2 SET uuid = 'copy ' || id; {}", copies.concat());
    store.execute_batch(&format!("BEGIN; {} COMMIT;", more.repeat(501))).expect("501 runs more");
    drop(store);
    let mut sent = 50;
    let mut running = Running::fed(&folder, &numbered(0, sent), RUN);
    running.committed(sent);
    let ran = beside(&folder, &mut running, &mut sent, "plugins rollback work --wait 5m").exits(0);
    assert!(ran.stdout.contains("run 504, slot work: the plugin is in effect: after 8 batches"), "{}", ran.stdout);
    running.close().1.exits(0);
    assert_eq!(crate::cli::sql(&folder, "SELECT name FROM atlas_run_plugins WHERE run = 504"), ["v1.wasm", "v2.wasm"]);
}

#[test]
fn a_rollback_in_a_run_that_has_committed_nothing_asks_for_the_digest() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    let mut running = Running::fed(&folder, &numbered(0, 20), &format!("{RUN} --atomic run"));
    running.committed(20);
    words(&folder, "plugins rollback work --wait 5m").exits(2).says("(--atomic run)").says("--to DIGEST");
    running.close().1.exits(0);
}

#[test]
fn a_candidate_that_waits_for_the_first_items_is_in_the_history() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2"));
    let mut running = Running::fed(&folder, "", RUN);
    running.until(240, |event| event["event"] == "run-started");
    words(&folder, "plugins swap work v2.wasm --wait 3s").exits(6).says("plugins history");
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    assert_eq!(history.iter().map(|step| step["step"].as_str()).collect::<Vec<_>>(), [Some("requested")]);
    running.close().1.exits(0);
}

#[test]
fn a_wait_that_is_over_tells_how_far_the_candidate_came() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2"));
    let mut running = Running::fed(&folder, &numbered(0, 10), RUN);
    running.committed(10);
    // Nothing is read meanwhile, so that no batch is cut with it.
    words(&folder, "plugins swap work v2.wasm --wait 3s").exits(6).says("plugins history");
    running.close().1.exits(0);
    let history = words(&folder, "plugins history --output json").exits(0).json_lines();
    assert_eq!(history.last().expect("steps")["reason"], "the run ended before it took effect");
    words(&folder, "plugins rollback work").exits(2);
}

#[test]
fn bytes_are_verified_and_those_that_nobody_needs_let_go() {
    let folder = Folder::new();
    // Six versions in six runs over the same ids: only the last one made what is stored.
    for version in 1..=6 {
        folder.write("work.wasm", stamp(&format!("v{version}")));
        folder.write(&format!("in{version}.ndjson"), numbered(0, 10));
        words(&folder, &format!("run --input in{version}.ndjson --id id --plugin work.wasm -q")).exits(0);
    }
    let count = |ran: Ran| ran.exits(0).json_lines().len();
    words(&folder, "plugins verify").exits(0);
    assert_eq!(count(words(&folder, "plugins gc --dry-run --output json")), 0, "all are of the newest ten runs");
    let ran = words(&folder, "plugins gc --keep-runs 1 --dry-run --output json").exits(0);
    assert_eq!(ran.json_lines().len(), 4, "the last two of the slot stay");
    assert_eq!(count(words(&folder, "plugins gc --keep-runs 1 --output json")), 4);
    words(&folder, "plugins gc --keep-runs 1").exits(0).says("every plugin that is kept is needed");
    let listed = words(&folder, "plugins list --output json").exits(0).json_lines();
    let sizes: Vec<bool> = listed.iter().map(|plugin| plugin["bytes"].is_null()).collect();
    assert_eq!(sizes, [true, true, true, true, false, false]);
    words(&folder, "verify").exits(0);
    // One that comes again is kept again.
    folder.write("work.wasm", stamp("v1"));
    words(&folder, "run --input in1.ndjson --id id --plugin work.wasm -q --again").exits(0);
    assert!(words(&folder, "plugins list --output json").exits(0).json_lines()[0]["bytes"].is_u64());
    let damage = damaged(&folder);
    words(&folder, "plugins verify").exits(5);
    let found = words(&folder, "plugins verify --output json").exits(5).json();
    assert!(found["findings"][0]["message"].as_str().is_some_and(|text| text.contains("have the digest")), "{damage}");
    // They are not used, and a run with the right file mends them.
    let digest = atlas_host::model::Digest::of(&stamp("v6"));
    words(&folder, &format!("plugins export {digest} v6.wasm")).exits(5).says("error[STORAGE_2004]").says("verify`");
    assert!(!folder.at("v6.wasm").exists());
    folder.write("work.wasm", stamp("v6"));
    words(&folder, "run --input in6.ndjson --id id --plugin work.wasm -q --again").exits(0);
    words(&folder, "plugins verify").exits(0);
    words(&folder, &format!("plugins export {digest} v6.wasm")).exits(0);
    assert!(std::fs::read(folder.at("v6.wasm")).expect("a file") == stamp("v6"), "the very bytes");
}

/// Turns a byte of a kept component over, in the file itself. Says where.
fn damaged(folder: &Folder) -> String {
    let mut file = std::fs::read(folder.at("atlas.db")).expect("a store");
    let mark = b"STAMP-ORDERS:v6";
    let at = file.windows(mark.len()).rposition(|part| part == mark).expect("the bytes are in the file");
    file[at + mark.len() - 1] = b'7';
    std::fs::write(folder.at("atlas.db"), file).expect("a store");
    format!("byte {at}")
}

#[test]
fn a_store_without_plugins_says_so() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(0, 3));
    words(&folder, "run --input in.ndjson --id id -q").exits(0);
    assert_eq!(words(&folder, "plugins list").exits(0).says("no run of this store has used a plugin").stdout, "");
    assert_eq!(words(&folder, "plugins history").exits(0).stdout, "");
    words(&folder, "plugins gc").exits(0).says("every plugin that is kept is needed");
}
