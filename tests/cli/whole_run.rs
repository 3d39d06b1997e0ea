//! `--atomic run` as its stream of events tells it: one transaction, which is committed at the end or undone.

use serde_json::Value;

use super::{plain_run, sql, words};
use crate::harness::{Folder, guest_arg};

fn events(stream: &str) -> Vec<Value> {
    stream.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// How many events of each of these kinds there are.
fn tally<const N: usize>(events: &[Value], kinds: [&str; N]) -> [usize; N] {
    kinds.map(|kind| events.iter().filter(|event| event["event"] == kind).count())
}

const KINDS: [&str; 5] =
    ["transaction-began", "transaction-committed", "transaction-rolled-back", "batch-applied", "batch-committed"];

/// Forty items, of which the 31st is refused.
fn folder() -> Folder {
    let folder = Folder::new();
    let body = |n| match n {
        30 => format!("{{\"id\":\"{n:02}\",\"fault\":\"reject\"}}\n"),
        _ => format!("{{\"id\":\"{n:02}\"}}\n"),
    };
    folder.write("in.ndjson", (0..40).map(body).collect::<String>());
    folder
}

#[test]
fn a_refused_item_undoes_the_whole_run_and_the_stream_says_so_once() {
    let folder = folder();
    let line = format!("--plugin {} --batch-size 10 --atomic run --events -", guest_arg("faulty"));
    let refused = plain_run(&folder, &format!("{line} --max-rejects 0")).run().exits(3);
    let told = events(&refused.stdout);
    let [began, committed, rolled_back, applied, batches] = tally(&told, KINDS);
    assert_eq!([began, committed, rolled_back, batches], [1, 0, 1, 0]);
    assert_eq!(applied, 4, "the batch with the refused item is the last");
    let of = |kind: &str| told.iter().find(|event| event["event"] == kind).expect("it is there");
    let began = of("transaction-began");
    assert!(began["first_batch"].is_null() && began["last_batch"].is_null(), "no batch is known yet: {began}");
    let reason = of("transaction-rolled-back")["reason"].as_str().expect("a reason");
    assert!(reason.contains("--max-rejects"), "{reason}");
    let ended = told.last().expect("an event");
    assert_eq!((&ended["event"], &ended["status"]), (&"run-ended".into(), &"rolled-back".into()));
    for count in ["read", "stored", "rejected", "inserted", "batches"] {
        assert_eq!(ended[count], 0, "{count} of what is kept: {ended}");
    }
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["0"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters"), ["0"]);
    words(&folder, "verify").exits(0);

    // The same command without the limit begins anew, and keeps all of it.
    let kept = events(&plain_run(&folder, &line).run().exits(3).stdout);
    assert_eq!(tally(&kept, KINDS), [1, 1, 0, 4, 0]);
    let ended = kept.last().expect("an event");
    assert_eq!((&ended["status"], &ended["stored"], &ended["batches"]), (&"partial".into(), &39.into(), &4.into()));
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["39"]);
}

#[test]
fn a_dry_run_tells_of_batches_and_of_no_transaction() {
    let folder = folder();
    for further in ["--dry-run", "--dry-run --atomic run"] {
        let line = format!("--plugin {} --batch-size 10 --events - {further}", guest_arg("faulty"));
        let told = events(&plain_run(&folder, &line).run().exits(3).stdout);
        assert_eq!(tally(&told, KINDS), [0, 0, 0, 4, 0], "{further}");
        assert!(!folder.at("atlas.db").exists(), "{further}");
    }
}
