//! Killed while the store was being created: what is there is no store yet, and the same command makes one.

use std::path::Path;

use rusqlite::Connection;

use crate::harness::Folder;
use crate::library::rows;

/// The files of a database whose writer was killed in its first transaction, with pages already in the file.
fn killed_in_first_transaction(folder: &Folder, store: &Path, application: i32) {
    let writing = folder.at("writing.db");
    let conn = Connection::open(&writing).expect("a database");
    let fill = format!(
        "PRAGMA journal_mode = DELETE; PRAGMA application_id = {application}; PRAGMA cache_size = 1; BEGIN;
         CREATE TABLE pages (bytes); INSERT INTO pages VALUES (zeroblob(100000)), (zeroblob(100000));"
    );
    conn.execute_batch(&fill).expect("a transaction that outgrows the cache");
    std::fs::copy(&writing, store).expect("a copy");
    std::fs::copy(folder.at("writing.db-journal"), store.with_extension("db-journal")).expect("a copy of the journal");
    assert!(std::fs::metadata(store).expect("a file").len() > 100_000, "pages were written before the end");
}

#[test]
fn the_same_command_completes_where_a_rollback_is_due() {
    let folder = Folder::new();
    let store = folder.at("atlas.db");
    folder.write("in.ndjson", "{\"n\":0}\n{\"n\":1}\n");
    killed_in_first_transaction(&folder, &store, 0);
    folder.atlas(["verify"]).run().exits(5).says("in the middle of its creation");
    folder.atlas(["run", "--input", "in.ndjson"]).run().exits(0);
    assert_eq!(rows(&store, "items").len(), 2);
    folder.atlas(["verify"]).run().exits(0);
}

#[test]
fn a_foreign_database_where_a_rollback_is_due_is_refused_and_gets_no_more_than_its_rollback() {
    let folder = Folder::new();
    let store = folder.at("atlas.db");
    folder.write("in.ndjson", "{\"n\":0}\n");
    killed_in_first_transaction(&folder, &store, 77);
    folder.atlas(["run", "--input", "in.ndjson"]).run().exits(5).says("another program");
    let conn = Connection::open(&store).expect("a database");
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).expect("a mode");
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).expect("an id");
    assert_eq!((mode.as_str(), application), ("delete", 77));
}
