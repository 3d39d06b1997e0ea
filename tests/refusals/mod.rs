//! Bad input, bad plugins, bad stores, bad flags: each is refused or told by its code and name, with a hint, and leaves
//! nothing half-written behind.

mod authoring;
mod flags;
mod input;
mod plugins;
mod stores;

use std::collections::BTreeSet;

use crate::harness::{Folder, Ran};

/// Two items.
const GOOD: &str = "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n";

fn words(folder: &Folder, line: &str) -> Ran {
    folder.atlas(line.split_whitespace()).run()
}

/// Names of what lies in a folder, but for the files that SQLite keeps beside a store while somebody reads it.
fn content(folder: &Folder) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.ends_with("-shm") && !name.ends_with("-wal")).collect()
}

/// Runs a command that has to be refused: by this code and exit, naming the culprit, with a hint, nothing on stdout, and
/// the folder as it was.
#[track_caller]
fn refused(folder: &Folder, line: &str, exit: i32, code: &str, culprit: &str) -> Ran {
    let before = content(folder);
    let ran = words(folder, line);
    assert_eq!(ran.code, Some(exit), "{line}: {ran:?}");
    let start = format!("error[{code}]: ");
    assert!(ran.stderr.starts_with(&start), "{line}: {start} is wanted, found\n{}", ran.stderr);
    let message = ran.stderr.split("\nhint: ").next().unwrap_or_default();
    assert!(message.contains(culprit), "{line}: {culprit} is not named:\n{}", ran.stderr);
    let hint = ran.stderr.split("\nhint: ").nth(1).unwrap_or_default().trim();
    assert!(hint.len() > 8, "{line}: no hint:\n{}", ran.stderr);
    assert_eq!(ran.stdout, "", "{line}");
    assert_eq!(content(folder), before, "{line}: files were made or removed");
    ran
}

#[test]
fn every_exit_code_of_the_table_is_seen() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    folder.write("bad.ndjson", "{");
    let seen = |line: &str| words(&folder, line).code;
    assert_eq!(seen("run --input in.ndjson --id id"), Some(0));
    assert_eq!(seen("run --input in.ndjson --no-such-flag"), Some(2));
    assert_eq!(seen("run --input bad.ndjson --id id --into bad"), Some(3));
    assert_eq!(seen("run --input in.ndjson --plugin in.ndjson"), Some(4));
    assert_eq!(seen("verify --store none.db"), Some(5));
    let lock = std::fs::File::open(folder.at("atlas.db.lock")).expect("a lock file");
    lock.lock().expect("nobody holds it");
    assert_eq!(seen("run --input in.ndjson --id id --into other"), Some(6));
    drop(lock);
    assert_eq!(seen("run --input none.ndjson"), Some(7));
    // 130 and 143 are of runs that a signal stopped: see `cli::sharing`. 1 is a defect of the program itself: none is known.
    let table = words(&folder, "--help").exits(0).stdout;
    let codes: Vec<&str> = table
        .lines()
        .skip_while(|line| !line.starts_with("Exit codes:"))
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "7", "130"]);
}

#[test]
fn an_error_never_stands_twice_in_its_own_message() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    for line in [
        "run --input none.ndjson",
        "run --input in.ndjson --plugin none.wasm",
        "run --input in.ndjson --store /proc/none.db",
    ] {
        let ran = words(&folder, line);
        assert_eq!(ran.stderr.matches("(os error").count(), 1, "{}", ran.stderr);
    }
}
