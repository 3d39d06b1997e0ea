//! Stores that are none, foreign, newer, damaged, locked; names that are not in a store.

use rusqlite::Connection;

use super::{GOOD, refused, words};
use crate::harness::Folder;

/// A database of SQLite itself.
fn database(folder: &Folder, name: &str, sql: &str) {
    Connection::open(folder.at(name)).and_then(|connection| connection.execute_batch(sql)).expect("a database");
}

#[test]
fn a_store_that_is_none_is_refused_and_not_touched() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    std::fs::create_dir(folder.at("folder.db")).expect("a folder");
    folder
        .write("text.db", "this is no database, but long enough to look like one to somebody in a hurry\n".repeat(20));
    database(&folder, "foreign.db", "CREATE TABLE a(b); INSERT INTO a VALUES (1)");
    database(&folder, "named.db", "PRAGMA application_id = 7; CREATE TABLE a(b)");
    database(&folder, "newer.db", "PRAGMA application_id = 1096043603; PRAGMA user_version = 99; CREATE TABLE a(b)");
    let wal = |name: &str| std::fs::read(folder.at(name)).expect("a file");
    let before: Vec<Vec<u8>> = ["text.db", "foreign.db", "named.db", "newer.db"].map(wal).to_vec();
    for (name, code, says) in [
        ("folder.db", "STORAGE_2005", "is a directory"),
        ("text.db", "STORAGE_2008", "is no SQLite database"),
        ("foreign.db", "STORAGE_2008", "is a database of another program"),
        ("named.db", "STORAGE_2008", "is a database of another program"),
        ("newer.db", "STORAGE_2008", "has schema version 99"),
        ("no/such/folder.db", "STORAGE_2005", "its directory cannot be opened"),
        ("file:x.db", "STORAGE_2005", "is not the path of a store"),
    ] {
        for verb in ["run --input in.ndjson --id id", "run --input in.ndjson --id id --dry-run"] {
            refused_store(&folder, &format!("{verb} --store {name}"), code, name, says);
        }
        if !name.contains('/') {
            for verb in
                ["verify", "query", "runs list", "dead-letters list", "index list", "get a", "export", "index add n"]
            {
                refused_store(&folder, &format!("{verb} --store {name}"), code, name, says);
            }
        }
    }
    let after: Vec<Vec<u8>> = ["text.db", "foreign.db", "named.db", "newer.db"].map(wal).to_vec();
    assert_eq!(before, after);
}

/// As [`refused`]; a lock file beside it may stay.
#[track_caller]
fn refused_store(folder: &Folder, line: &str, code: &str, name: &str, says: &str) {
    let ran = words(folder, line).exits(5);
    assert!(ran.stderr.starts_with(&format!("error[{code}]: ")), "{line}: {code} is wanted, found\n{}", ran.stderr);
    let message = ran.stderr.split("\nhint: ").next().unwrap_or_default();
    assert!(message.contains(name) && message.contains(says), "{line}: {name} {says} is wanted, found\n{}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: "), "{line}:\n{}", ran.stderr);
    assert_eq!(ran.stdout, "", "{line}");
}

#[test]
fn a_store_that_is_not_there_is_made_by_run_alone() {
    let folder = Folder::new();
    let verbs = [
        "verify",
        "query",
        "runs list",
        "runs show",
        "dead-letters list",
        "dead-letters show 1",
        "dead-letters retry",
        "dead-letters discard --all-open",
        "index list",
        "index add n",
        "index drop n",
        "index verify",
        "index rebuild",
        "get a",
        "export",
    ];
    for verb in verbs {
        refused(&folder, &format!("{verb} --store none.db"), 5, "STORAGE_2005", "none.db")
            .says("`atlas-host run` creates a store");
    }
}

#[test]
fn a_damaged_store_is_told_and_a_run_does_not_go_on_over_it() {
    let folder = Folder::new();
    let text: String =
        (0..5000).map(|n| format!("{{\"id\":\"i-{n:06}\",\"text\":\"{}\"}}\n", "x".repeat(100))).collect();
    folder.write("in.ndjson", text);
    words(&folder, "run --input in.ndjson --id id --index text").exits(0);
    let mut bytes = std::fs::read(folder.at("atlas.db")).expect("a store");
    let page = atlas_host::limits::STORE_PAGE_BYTES as usize;
    let (from, to) = (40 * page, bytes.len() - page);
    bytes[from..to].fill(0xa5);
    folder.write("atlas.db", &bytes);
    let ran = words(&folder, "verify").exits(5);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("STORAGE_2004"), "{ran:?}");
    let ran = words(&folder, "run --input in.ndjson --id id --again").exits(5);
    assert!(ran.stderr.contains("error[STORAGE_2004]: ") && ran.stderr.contains("atlas.db"), "{}", ran.stderr);
    ran.says("\nhint: ");
    // What is cut off in the middle is no store either.
    folder.write("cut.db", &bytes[..2 * page]);
    words(&folder, "verify --store cut.db").exits(5);
}

#[test]
fn a_store_that_another_program_has_locked_is_refused_after_a_while() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    words(&folder, "run --input in.ndjson --id id").exits(0);
    let other = Connection::open(folder.at("atlas.db")).expect("a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let ran = words(&folder, "run --input in.ndjson --id id --into other").exits(6);
    assert!(ran.stderr.starts_with("error[STORAGE_2007]: ") && ran.stderr.contains("atlas.db"), "{}", ran.stderr);
    ran.says("database is locked").says("hint: wait until the other process has ended");
    other.execute_batch("ROLLBACK").expect("it was begun");
    words(&folder, "run --input in.ndjson --id id --into other").exits(0);
}

#[test]
fn a_store_that_may_not_be_written_is_refused() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let ran = words(&folder, "run --input in.ndjson --id id --store /dev/null").exits(5);
    assert!(ran.stderr.starts_with("error[STORAGE_2005]: /dev/null is not a regular file"), "{}", ran.stderr);
    let ran = words(&folder, "run --input in.ndjson --id id --store /proc/none.db").exits(5);
    assert!(ran.stderr.starts_with("error[STORAGE_2005]: ") && ran.stderr.contains("/proc/none.db"), "{}", ran.stderr);
    ran.says("\nhint: ");
}

#[test]
fn collections_and_indexes_that_are_not_there_are_refused_by_name() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    words(&folder, "run --input in.ndjson --id id --index n").exits(0);
    for line in [
        "query --into other",
        "get a --into other",
        "export --into other",
        "index add n --into other",
        "index verify --into other",
    ] {
        refused(&folder, line, 2, "CONFIG_3001", "other");
    }
    for line in ["query --index m --equals 1", "index drop m", "index verify m", "index rebuild m"] {
        refused(&folder, line, 2, "INDEX_7001", "`m`");
    }
    for line in
        ["query --into 1st", "run --input in.ndjson --into a-b", "index add 1st:x", "query --index a.b --equals 1"]
    {
        refused(&folder, line, 2, "CONFIG_3001", "invalid value").says("letters, digits or _");
    }
    refused(&folder, "run --input in.ndjson --into atlas_runs", 2, "CONFIG_3001", "atlas_runs");
}
