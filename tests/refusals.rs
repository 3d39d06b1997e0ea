//! Bad input, bad plugins, bad stores, bad flags: each is refused or told by its code and name, with a hint, and leaves
//! nothing half-written behind.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::harness::{Folder, Ran, guest, guest_arg};

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

/// Gzip of bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

#[test]
fn an_input_that_cannot_be_read_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    refused(&folder, "run --input none.ndjson", 7, "VALIDATION_4006", "`none.ndjson`");
    refused(&folder, "validate --input none.ndjson", 7, "VALIDATION_4006", "`none.ndjson`");
    refused(&folder, "run --input .", 7, "VALIDATION_4006", "`.` is a directory");
    folder.write("good.ndjson", GOOD);
    refused(&folder, "run --input good.ndjson --input none.csv", 7, "VALIDATION_4006", "`none.csv`");
    folder.write("in.data", GOOD);
    refused(&folder, "run --input in.data --format xml", 2, "CONFIG_3001", "xml").says("ndjson, json, csv, tsv");
    folder.write("plain.ndjson.gz", GOOD);
    refused(&folder, "run --input plain.ndjson.gz", 7, "VALIDATION_4006", "its content is plain");
    folder.write("secret.ndjson", GOOD);
    std::fs::set_permissions(folder.at("secret.ndjson"), std::fs::Permissions::from_mode(0o000)).expect("chmod");
    // The owner of everything may read it all the same.
    if std::fs::File::open(folder.at("secret.ndjson")).is_err() {
        refused(&folder, "run --input secret.ndjson", 7, "VALIDATION_4006", "`secret.ndjson`").says("permissions");
    }
}

#[test]
fn a_closed_standard_input_is_told() {
    let folder = Folder::new();
    let binary = crate::harness::binary();
    let status = Command::new("sh")
        .args(["-c", &format!("{binary} run --id id <&-")])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .output()
        .expect("a shell");
    // A shell may give /dev/null in its place, which is an empty input.
    assert!(matches!(status.status.code(), Some(0 | 7)), "{status:?}");
}

#[test]
fn text_that_is_not_what_the_format_says_goes_to_the_dead_letters_line_by_line() {
    let folder = Folder::new();
    let lines: [&[u8]; 6] = [
        b"{\"id\":\"a\"}",
        b"{\"id\":\"b\xff\"}",
        b"not json",
        b"{\"id\":\"c\",}",
        b"[1,2]",
        b"{\"id\":\"d\"}",
    ];
    folder.write("in.ndjson", lines.join(&b"\n"[..]));
    let report = words(&folder, "run --input in.ndjson --id id --output json").exits(3).json();
    assert_eq!((&report["read"], &report["stored"], &report["dead_lettered"]), (&6.into(), &2.into(), &4.into()));
    let letters = words(&folder, "dead-letters list --output json").exits(0).json_lines();
    let places: Vec<(u64, &str)> =
        letters.iter().map(|l| (l["line"].as_u64().expect("a line"), l["code"].as_str().expect("a code"))).collect();
    let wanted = [(2, "VALIDATION_4004"), (3, "VALIDATION_4004"), (4, "VALIDATION_4004"), (5, "VALIDATION_4002")];
    assert_eq!(places.iter().map(|p| p.0).collect::<Vec<_>>(), wanted.iter().map(|w| w.0).collect::<Vec<_>>());
    for ((_, found), (line, wanted)) in places.iter().zip(wanted) {
        assert!(found == &wanted || (line == 5 && *found == "VALIDATION_4004"), "line {line}: {found}");
    }
    let invalid = letters[0]["id"].to_string();
    assert_eq!(words(&folder, &format!("dead-letters show {invalid} --output json")).exits(0).json()["original_hex"], "7b226964223a2262ff227d");
    words(&folder, "verify").exits(0);
}

#[test]
fn an_input_that_is_cut_short_keeps_what_was_whole_and_can_be_continued() {
    let folder = Folder::new();
    let text: String = (0..20_000).map(|n| format!("{{\"id\":\"i-{n:06}\",\"n\":{}}}\n", n * 7919 % 10_007)).collect();
    let whole = gzip(text.as_bytes());
    folder.write("in.ndjson.gz", &whole[..whole.len() / 2]);
    let ran = words(&folder, "run --input in.ndjson.gz --id id").exits(7);
    assert!(ran.stderr.contains("error[VALIDATION_4006]: ") && ran.stderr.contains("in.ndjson.gz"), "{}", ran.stderr);
    ran.says("\nhint: ");
    let count = words(&folder, "query --count").exits(0).stdout;
    let there: u64 = count.trim().parse().expect("a count");
    assert!((1..20_000).contains(&there), "{there}");
    words(&folder, "verify").exits(0);
    folder.write("in.ndjson.gz", &whole);
    let report = words(&folder, "run --input in.ndjson.gz --id id --output json").exits(0).json();
    assert_eq!((report["resumed_at"].as_u64(), report["stored"].as_u64()), (Some(there), Some(20_000)));
    // A JSON array that lacks its end is cut short as well.
    folder.write("in.json", "[{\"id\":\"a\"},{\"id\":\"b\"}");
    let ran = words(&folder, "run --input in.json --id id --store array.db").exits(7);
    assert!(ran.stderr.contains("error[VALIDATION_4006]: "), "{}", ran.stderr);
}

#[test]
fn a_line_over_its_bound_goes_to_the_dead_letters_and_the_next_is_read() {
    let folder = Folder::new();
    folder.write("in.ndjson", format!("{{\"id\":\"a\"}}\n{{\"id\":\"b\",\"text\":\"{}\"}}\n{{\"id\":\"c\"}}\n", "x".repeat(5000)));
    let report = words(&folder, "run --input in.ndjson --id id --max-line-bytes 1KiB --output json").exits(3).json();
    assert_eq!((&report["stored"], &report["dead_lettered"]), (&2.into(), &1.into()));
    let letter = &words(&folder, "dead-letters list --output json").exits(0).json_lines()[0];
    assert_eq!((&letter["code"], &letter["line"], &letter["total_bytes"]), (&"VALIDATION_4005".into(), &2.into(), &5020.into()));
    assert!(letter["message"].as_str().expect("a text").contains("1024"), "{letter}");
}

#[test]
fn an_item_without_an_id_is_refused_or_numbered_as_told() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\"}\n{\"n\":2}\n{\"id\":\"\"}\n{\"id\":null}\n{\"id\":5}\n");
    let report = words(&folder, "run --input in.ndjson --id id --output json").exits(3).json();
    assert_eq!((&report["stored"], &report["dead_lettered"]), (&2.into(), &3.into()), "{report}");
    let letter = &words(&folder, "dead-letters list --output json").exits(0).json_lines()[0];
    assert!(letter["message"].as_str().expect("a text").contains("id"), "{letter}");
    let report = words(&folder, "run --input in.ndjson --id id --missing-id ordinal --store b.db --output json").json();
    assert!(report["stored"].as_u64() >= Some(3), "{report}");
    words(&folder, "verify --store b.db").exits(0);
}

#[test]
fn collections_and_indexes_that_are_not_there_are_refused_by_name() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    words(&folder, "run --input in.ndjson --id id --index n").exits(0);
    for line in ["query --into other", "get a --into other", "export --into other", "index add n --into other", "index verify --into other"] {
        refused(&folder, line, 2, "CONFIG_3001", "other");
    }
    for line in ["query --index m --equals 1", "index drop m", "index verify m", "index rebuild m"] {
        refused(&folder, line, 2, "INDEX_7001", "`m`");
    }
    for line in ["query --into 1st", "run --input in.ndjson --into a-b", "index add 1st:x", "query --index a.b --equals 1"] {
        refused(&folder, line, 2, "CONFIG_3001", "invalid value").says("letters, digits or _");
    }
    refused(&folder, "run --input in.ndjson --into atlas_runs", 2, "CONFIG_3001", "atlas_runs");
}

/// A module whose only export is a function: no component.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

#[test]
fn what_is_no_component_is_refused_as_what_it_is() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(200, 0);
    for (name, bytes, found) in [
        ("core.wasm", CORE_MODULE, "a core module"),
        ("text.wat", b"(component)", "WebAssembly text"),
        ("packed.zip", b"PK\x03\x04rest", "a zip archive"),
        ("empty.wasm", b"", "an empty file"),
        ("native.cwasm", &elf, "compiled code (.cwasm)"),
        ("notes.txt", b"hello", "no WebAssembly"),
        ("future.wasm", b"\0asm\x63\0\x07\0", "a WebAssembly binary of another version"),
    ] {
        folder.write(name, bytes);
        for flag in ["--plugin", "--validator"] {
            let line = format!("run --input in.ndjson --id id {flag} {name}");
            let ran = refused(&folder, &line, 4, "GUEST_10011", name);
            assert!(ran.stderr.contains(&format!("found {found}")) && ran.stderr.contains("wanted a"), "{}", ran.stderr);
        }
        refused(&folder, &format!("inspect {name}"), 4, "GUEST_10011", name);
        refused(&folder, &format!("validate --input in.ndjson --plugin {name}"), 4, "GUEST_10011", name);
    }
    refused(&folder, "run --input in.ndjson --plugin none.wasm", 4, "GUEST_10011", "none.wasm").says("check the path");
    refused(&folder, "run --input in.ndjson --plugin .", 4, "GUEST_10011", "plugin .");
    refused(&folder, "inspect none.wasm", 4, "GUEST_10011", "none.wasm");
}

#[test]
fn a_component_of_another_world_is_refused_with_what_was_found_and_wanted() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let (rules, identity) = (guest_arg("ticket-rules"), guest_arg("identity"));
    let ran = refused(&folder, &format!("run --input in.ndjson --plugin {rules}"), 4, "GUEST_10011", "ticket-rules.wasm");
    ran.says("atlas:batch/operation@0.1.0").says("exports atlas:batch/validator@0.1.0").says("hint: it fits as a validator: use --validator");
    let ran = refused(&folder, &format!("run --input in.ndjson --validator {identity}"), 4, "GUEST_10011", "identity.wasm");
    ran.says("atlas:batch/validator@0.1.0").says("hint: it fits as an operation: use --plugin");
    // A component that exports nothing, and one that wants what nobody offers.
    let component = |text: &str| wat::parse_str(text).expect("the text is a component");
    folder.write("nothing.wasm", component("(component)"));
    refused(&folder, "run --input in.ndjson --plugin nothing.wasm", 4, "GUEST_10011", "nothing.wasm").says("exports nothing");
    let ran = words(&folder, "inspect nothing.wasm").exits(4);
    assert!(ran.stdout.contains("fits as   nothing") && ran.stdout.contains("why"), "{}", ran.stdout);
    folder.write("greedy.wasm", component("(component (import \"acme:secrets/vault@1.0.0\" (instance)))"));
    refused(&folder, "run --input in.ndjson --plugin greedy.wasm", 4, "GUEST_10012", "greedy.wasm").says("acme:secrets/vault@1.0.0");
    let bytes = std::fs::read(guest("identity")).expect("a guest");
    folder.write("cut.wasm", &bytes[..bytes.len() / 2]);
    let ran = words(&folder, "run --input in.ndjson --plugin cut.wasm").exits(4);
    assert!(ran.stderr.starts_with("error[GUEST_100") && ran.stderr.contains("cut.wasm"), "{}", ran.stderr);
    assert!(!folder.at("atlas.db").exists());
}

/// A database of SQLite itself.
fn database(folder: &Folder, name: &str, sql: &str) {
    Connection::open(folder.at(name)).and_then(|connection| connection.execute_batch(sql)).expect("a database");
}

#[test]
fn a_store_that_is_none_is_refused_and_not_touched() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    std::fs::create_dir(folder.at("folder.db")).expect("a folder");
    folder.write("text.db", "this is no database, but long enough to look like one to somebody in a hurry\n".repeat(20));
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
            for verb in ["verify", "query", "runs list", "dead-letters list", "index list", "get a", "export", "index add n"] {
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
        "verify", "query", "runs list", "runs show", "dead-letters list", "dead-letters show 1", "dead-letters retry", "dead-letters discard --all-open",
        "index list", "index add n", "index drop n", "index verify", "index rebuild", "get a", "export",
    ];
    for verb in verbs {
        refused(&folder, &format!("{verb} --store none.db"), 5, "STORAGE_2005", "none.db").says("`atlas-host run` creates a store");
    }
}

#[test]
fn a_damaged_store_is_told_and_a_run_does_not_go_on_over_it() {
    let folder = Folder::new();
    let text: String = (0..5000).map(|n| format!("{{\"id\":\"i-{n:06}\",\"text\":\"{}\"}}\n", "x".repeat(100))).collect();
    folder.write("in.ndjson", text);
    words(&folder, "run --input in.ndjson --id id --index text").exits(0);
    let mut bytes = std::fs::read(folder.at("atlas.db")).expect("a store");
    let (from, to) = (40 * 4096, bytes.len() - 4096);
    bytes[from..to].fill(0xa5);
    folder.write("atlas.db", &bytes);
    let ran = words(&folder, "verify").exits(5);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("STORAGE_2004"), "{ran:?}");
    let ran = words(&folder, "run --input in.ndjson --id id --again").exits(5);
    assert!(ran.stderr.contains("error[STORAGE_2004]: ") && ran.stderr.contains("atlas.db"), "{}", ran.stderr);
    ran.says("\nhint: ");
    // What is cut off in the middle is no store either.
    folder.write("cut.db", &bytes[..8192]);
    words(&folder, "verify --store cut.db").exits(5);
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
fn flags_that_are_unknown_or_out_of_range_are_refused_with_what_is_possible() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    for (flags, culprit, says) in [
        ("--no-such", "--no-such", "hint: "),
        ("--bach-size 5", "--bach-size", "--batch-size"),
        ("--attempts 0", "--attempts", "1..=100"),
        ("--attempts 101", "--attempts", "1..=100"),
        ("--attempts -1", "-1", "hint: "),
        ("--batch-size 0", "--batch-size", "at least 1"),
        ("--batch-size 9..3", "--batch-size", "backwards"),
        ("--batch-size 1000001", "1000001", "are possible"),
        ("--batch-size many", "--batch-size", "write N or MIN..MAX"),
        ("--lanes 0", "--lanes", "at least 1"),
        ("--lanes 100000", "100000", "possible"),
        ("--deadline 5", "--deadline", "lacks its unit"),
        ("--deadline 0s", "deadline", "longer"),
        ("--deadline 5weeks", "--deadline", "ms, s, m, h"),
        ("--memory 0", "--memory", "more than 0"),
        ("--memory 64mb", "--memory", "KiB"),
        ("--batch-bytes 0", "--batch-bytes", "more than 0"),
        ("--max-line-bytes 0", "--max-line-bytes", "more than 0"),
        ("--max-rejects 101%", "--max-rejects", "between 0% and 100%"),
        ("--max-rejects some", "--max-rejects", "2%"),
        ("--delimiter ab", "--delimiter", "hint: "),
        ("--delimiter ä", "--delimiter 'ä'", "hint: "),
        ("--on-existing merge", "--on-existing", "replace, ignore, reject"),
        ("--missing-id guess", "--missing-id", "reject, ordinal"),
        ("--atomic item", "--atomic", "batch, run"),
        ("--durability some", "--durability", "full, normal"),
        ("--isolation item", "--isolation", "run, batch"),
        ("--output xml", "--output", "text, json"),
        ("--log-format xml", "--log-format", "text, json"),
        ("--color red", "--color", "auto, always, never"),
        ("--seed -1", "-1", "hint: "),
        ("--seed x", "--seed", "hint: "),
        ("--limit x", "--limit", "hint: "),
        ("--strategy fast", "fast", "sequential, concurrent, adaptive"),
        ("--processor disk", "disk", "storage, memory, index"),
        ("--id /a~2", "--id", "JSON pointer"),
        ("--index /", "--index", "write NAME=/"),
        ("--store", "--store", "hint: "),
        ("--input in.ndjson --dry-run=yes", "--dry-run", "hint: "),
        ("--plugin-config key", "--plugin-config", "hint: "),
    ] {
        let flags = flags.replace("--plugin-config key", &format!("--plugin {} --plugin-config key", guest_arg("identity")));
        refused(&folder, &format!("run --input in.ndjson {flags}"), 2, "CONFIG_3001", culprit).says(says);
    }
    for line in ["query --index n", "query --equals 1", "query --where a=1 --sql SELECT", "get", "index add", "dead-letters show", "dead-letters show x", "inspect", "index", "runs show x"] {
        let ran = words(&folder, line).exits(2);
        assert!(ran.stderr.contains("error[CONFIG_3001]: ") || ran.stderr.contains("Usage: "), "{line}: {}", ran.stderr);
    }
}

#[test]
fn plugins_and_grants_that_do_not_fit_together_are_refused() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    let identity = guest_arg("identity");
    let run = format!("run --input in.ndjson --plugin {identity}");
    refused(&folder, &format!("{run} --plugin {identity}"), 2, "CONFIG_3001", "more than one --plugin");
    refused(&folder, &format!("{run} --grant-dir none"), 2, "CONFIG_3001", "--grant-dir none");
    refused(&folder, &format!("{run} --grant-env ATLAS_TEST_NOT_SET"), 2, "CONFIG_3001", "ATLAS_TEST_NOT_SET");
    refused(&folder, &format!("{run} --grant-host localhost"), 2, "CONFIG_3001", "--grant-host localhost").says("HOST:PORT");
    refused(&folder, &format!("{run} --grant-collection a-b"), 2, "CONFIG_3001", "--grant-collection");
    let rules = guest_arg("ticket-rules");
    let twice = format!("run --input in.ndjson --validator a={rules} --validator a={rules}");
    refused(&folder, &twice, 2, "CONFIG_3001", "two slots are called a");
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
    let codes: Vec<&str> = table.lines().skip_while(|line| !line.starts_with("Exit codes:")).skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "7", "130"]);
}

#[test]
fn an_error_never_stands_twice_in_its_own_message() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    for line in ["run --input none.ndjson", "run --input in.ndjson --plugin none.wasm", "run --input in.ndjson --store /proc/none.db"] {
        let ran = words(&folder, line);
        assert_eq!(ran.stderr.matches("(os error").count(), 1, "{}", ran.stderr);
    }
}
