//! Commands over more ids than a statement of SQL may have variables: 40,000 at once.

use super::{plain_run, sql, words};
use crate::harness::{Folder, guest_arg};

const MANY: usize = 40_000;

/// A folder with a store in which that many items were refused by a slot `work`, and nothing else happened.
fn with_many_letters() -> Folder {
    let folder = Folder::new();
    let refused: String = (0..MANY).map(|n| format!("{{\"id\":\"i-{n:05}\",\"fault\":\"reject\"}}\n")).collect();
    folder.write("in.ndjson", refused);
    let line = format!("--plugin work={} --durability normal -q --output json", guest_arg("faulty"));
    let report = plain_run(&folder, &line).run().exits(3).json();
    assert_eq!(report["rejected"], MANY);
    folder
}

fn open_letters(folder: &Folder) -> Vec<String> {
    sql(folder, "SELECT count(*) FROM atlas_dead_letters WHERE state = 'open'")
}

#[test]
fn forty_thousand_dead_letters_are_tried_again_in_one_job() {
    let folder = with_many_letters();
    let identity = format!("work={}", guest_arg("identity"));
    let ran = folder.atlas(["dead-letters", "retry", "-q", "--plugin", &identity, "--output", "json"]).run().exits(0);
    let report = ran.json();
    assert_eq!((&report["read"], &report["stored"]), (&MANY.into(), &MANY.into()));
    assert_eq!(open_letters(&folder), ["0"]);
    assert_eq!(sql(&folder, "SELECT count(*), count(DISTINCT id) FROM items"), [format!("{MANY},{MANY}")]);
    assert_eq!(
        sql(&folder, "SELECT count(*) FROM atlas_dead_letters WHERE state = 'retried' AND resolved_run = 2"),
        [MANY.to_string()]
    );
    words(&folder, "verify").exits(0);
}

#[test]
fn forty_thousand_dead_letters_are_let_go_at_once() {
    let folder = with_many_letters();
    let report = words(&folder, "dead-letters discard --all-open --output json").exits(0).json();
    assert_eq!(report["discarded"], MANY);
    assert_eq!(open_letters(&folder), ["0"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters WHERE original IS NOT NULL"), ["0"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn forty_thousand_items_are_read_and_written_by_their_ids_in_one_job() {
    let folder = Folder::new();
    folder.write("in.ndjson", super::numbered(MANY));
    let line = "--batch-size 40000 --batch-wait 5min --durability normal -q --output json --again";
    for (read, written) in [("inserted", MANY), ("unchanged", MANY)] {
        let report = plain_run(&folder, line).run().exits(0).json();
        assert_eq!((&report["batches"], &report[read]), (&1.into(), &written.into()), "{report}");
    }
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), [MANY.to_string()]);
}
