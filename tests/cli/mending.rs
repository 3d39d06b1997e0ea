//! The commands that change a store beside `run`: `index add`, `drop`, `verify`, `rebuild`, `dead-letters retry`, `discard`.

use super::{sql, with_store, words};
use crate::harness::guest_arg;

#[test]
fn an_index_is_added_used_and_dropped() {
    let folder = with_store();
    let ran = words(&folder, "index add text").exits(0).says("added index `text` over /text of `items`: 3 items");
    assert_eq!(ran.stdout, "");
    words(&folder, "index add text").exits(0).says("is there already");
    let found = folder.atlas(["query", "--index", "text", "--equals", "ärger 😀", "--output", "ndjson"]).run().exits(0);
    assert_eq!(found.json_lines().len(), 1);
    words(&folder, "index drop text").exits(0).says("dropped index `text` of `items`");
    words(&folder, "index drop text").exits(2).says("error[INDEX_7001]");
    words(&folder, "query --index text --equals x").exits(2).says("error[INDEX_7001]");
    words(&folder, "verify").exits(0);
}

#[test]
fn a_unique_index_that_the_items_break_is_not_added() {
    let folder = with_store();
    words(&folder, "index add --unique again=status")
        .exits(5)
        .says("error[INDEX_7004]")
        .says("`again`")
        .says("hint: two rows share a value");
    let names = sql(&folder, "SELECT name FROM atlas_indexes ORDER BY name");
    assert_eq!(names, ["number", "status"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn indexes_are_verified_and_rebuilt() {
    let folder = with_store();
    let ran = words(&folder, "index verify").exits(0);
    assert_eq!(ran.stdout, "items:number agrees with its rows\nitems:status agrees with its rows\n");
    let one = words(&folder, "index verify status --output json").exits(0).json();
    assert_eq!((&one["sound"], &one["name"]), (&true.into(), &"status".into()));
    words(&folder, "index rebuild status").exits(0).says("rebuilt index `status` of `items`");
    words(&folder, "index rebuild").exits(0).says("rebuilt index `number` of `items`");
    words(&folder, "verify").exits(0);
}

#[test]
fn dead_letters_are_let_go_and_their_reasons_stay() {
    let folder = with_store();
    words(&folder, "dead-letters discard").exits(2).says("error[CONFIG_3002]").says("--all-open");
    let ran = words(&folder, "dead-letters discard --phase decode").exits(0);
    assert_eq!(ran.stdout, "discarded 1 dead letter\n");
    words(&folder, "dead-letters discard --phase decode").exits(0).says("nothing was discarded");
    let ran = words(&folder, "dead-letters discard --all-open --output json").exits(0);
    assert_eq!(ran.json()["discarded"], 3);
    words(&folder, "dead-letters list").exits(0).says("no open dead letter matches");
    let all = words(&folder, "dead-letters list --all --output json").exits(0).json_lines();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|letter| letter["state"] == "discarded" && letter["code"] != ""));
    words(&folder, "verify").exits(0);
}

#[test]
fn dead_letters_are_tried_again_through_a_mended_plugin() {
    let folder = with_store();
    // Through the same plugins the same comes out.
    words(&folder, "dead-letters retry --phase operate").exits(3);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters WHERE state = 'open'"), ["4"]);
    let identity = format!("work={}", guest_arg("identity"));
    let ran = folder.atlas(["dead-letters", "retry", "--phase", "operate", "--plugin", &identity]).run().exits(0);
    assert!(ran.stderr.contains("stored"), "{}", ran.stderr);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items WHERE id = 'c'"), ["1"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_dead_letters WHERE state = 'open'"), ["3"]);
    words(&folder, "dead-letters retry --phase operate").exits(0).says("nothing was tried");
    words(&folder, "verify").exits(0);
}
