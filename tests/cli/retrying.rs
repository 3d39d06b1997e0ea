//! `dead-letters retry` where what it needs is gone from the store.

use rusqlite::Connection;

use super::{sql, with_store, words};
use crate::harness::guest_arg;

#[test]
fn a_retry_whose_plugin_the_store_has_lost_asks_for_its_file_and_goes_on_with_it() {
    let folder = with_store();
    // As it is where somebody has made the store smaller by hand.
    let store = Connection::open(folder.at("atlas.db")).expect("a store");
    store.execute("UPDATE atlas_plugins SET bytes = NULL", []).expect("the plugins' bytes are let go");
    drop(store);
    let before = sql(&folder, "SELECT count(*) FROM atlas_runs");
    words(&folder, "dead-letters retry --phase operate")
        .exits(5)
        .says("error[STORAGE_2006]: the store does not have plugin blake3:")
        .says("hint: give the component's file: --plugin or --validator");
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_runs"), before, "nothing was begun");

    let faulty = guest_arg("faulty");
    let (rules, work) = (format!("rules={faulty}"), format!("work={faulty}"));
    folder
        .atlas(["dead-letters", "retry", "--phase", "operate", "--validator", &rules, "--plugin", &work])
        .run()
        .exits(3);
    words(&folder, "verify").exits(0);
}
