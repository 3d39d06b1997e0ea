//! What goes to stderr and how: quiet, verbose, colour, log lines, a stdout that nobody reads.

use std::io::Read;
use std::process::Stdio;

use super::{numbered, plain_run, with_store, words};
use crate::harness::{Folder, binary, guest_arg};

#[test]
fn quiet_runs_say_nothing_where_all_is_well() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    let ran = plain_run(&folder, "-q").run().exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = plain_run(&folder, "-q").run().exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let ran = plain_run(&folder, "-q --store normal.db --durability normal").run().exits(0);
    assert_eq!(ran.stderr, "");
    // Errors are told all the same.
    words(&folder, "run --input none.ndjson -qq").exits(7).says("error[VALIDATION_4006]");
}

#[test]
fn normal_durability_says_what_it_loses() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    plain_run(&folder, "--durability normal").run().exits(0).says("a power cut may take the last batches");
}

#[test]
fn there_is_no_colour_off_a_terminal_nor_where_none_is_wanted() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\",\"fault\":\"reject\"}\n");
    let faulty = guest_arg("faulty");
    let line = format!("run --input in.ndjson --id id --plugin {faulty} --again -vv");
    for further in ["", "--color never", "--color auto"] {
        let ran = words(&folder, &format!("{line} {further}")).exits(3);
        assert!(!ran.stderr.contains('\u{1b}') && !ran.stdout.contains('\u{1b}'), "{:?}", ran.stderr);
    }
    let ran = folder.atlas(line.split(' ')).env("NO_COLOR", "1").run().exits(3);
    assert!(!ran.stderr.contains('\u{1b}'));
    let ran = words(&folder, &format!("{line} --color always")).exits(3);
    assert!(ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    let refused = words(&folder, "run --no-such-flag").exits(2);
    assert!(!refused.stderr.contains('\u{1b}'));
}

#[test]
fn log_lines_are_objects_where_json_is_asked_for() {
    let folder = Folder::new();
    folder.write("in.ndjson", format!("{}{}\n", numbered(50), "{\"id\":\"z\",\"fault\":\"flood\"}"));
    let faulty = guest_arg("faulty");
    let ran =
        plain_run(&folder, &format!("--plugin {faulty} --log-format json -vvv -q --batch-size 10")).run().exits(0);
    let ran_v =
        plain_run(&folder, &format!("--plugin {faulty} --log-format json -vv --again --batch-size 10 --output json"))
            .run()
            .exits(0);
    for stderr in [ran.stderr, ran_v.stderr] {
        let objects: Vec<serde_json::Value> = stderr
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        assert!(!objects.is_empty(), "{stderr}");
        for object in &objects {
            assert!(object["timestamp"].is_string() && object["level"].is_string(), "{object}");
        }
    }
}

#[test]
fn every_line_of_stderr_is_an_object_where_the_run_is_quiet_and_the_log_json() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(50));
    let ran = plain_run(&folder, "--log-format json -vvv -q").run().exits(0);
    assert!(ran.stderr.lines().count() > 0);
    for line in ran.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn more_v_tell_more() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(100));
    let lines = |flags: &str| plain_run(&folder, &format!("--again {flags}")).run().exits(0).stderr.lines().count();
    let counts = ["", "-v", "-vv", "-vvv"].map(lines);
    assert!(counts.is_sorted() && counts[0] < counts[1], "{counts:?}");
}

/// Runs a command whose stdout is closed after its first line.
fn first_line_of(folder: &Folder, line: &str) -> (Option<i32>, String) {
    let mut child = std::process::Command::new(binary())
        .args(line.split_whitespace())
        .current_dir(folder.path())
        .env_clear()
        .env("ATLAS_CACHE_DIR", crate::harness::cache())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut byte = [0];
    while stdout.read(&mut byte).expect("stdout can be read") == 1 && byte != *b"\n" {}
    drop(stdout);
    let output = child.wait_with_output().expect("the command ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(30_000));
    plain_run(&folder, "--store big.db -q").run().exits(0);
    for line in [
        "export --store big.db",
        "query --store big.db --limit 0",
        "query --store big.db --limit 0 --output ndjson",
        "query --store big.db --limit 0 --output json",
        "query --store big.db --limit 0 --output csv",
        "completions bash",
        "man",
        "run --input in.ndjson --id id --processor memory -q",
        "run --input in.ndjson --id id --store new.db --events - -q --batch-size 10",
    ] {
        let (code, stderr) = first_line_of(&folder, line);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{line}");
    }
    // The run went on to its end.
    let count = words(&folder, "query --store new.db --count").exits(0).stdout;
    assert_eq!(count, "30000\n");
}

#[test]
fn an_answer_of_nothing_is_told_on_stderr_and_exits_0() {
    let folder = with_store();
    for line in ["query --index status --equals x", "dead-letters list --run 9", "dead-letters discard --run 9"] {
        let ran = words(&folder, line).exits(0);
        assert_eq!(ran.stdout, "", "{line}");
        assert!(!ran.stderr.is_empty(), "{line}");
    }
}

#[test]
fn text_of_guests_and_inputs_cannot_steer_the_terminal() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\\u001b[31m\",\"fault\":\"\\u001b[2J\"}\n\u{1b}]0;title\u{7}\n");
    let faulty = guest_arg("faulty");
    let ran = plain_run(&folder, &format!("--plugin {faulty} -vv")).run().exits(3);
    assert!(!ran.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", ran.stderr);
    for line in ["dead-letters list", "dead-letters show 1 2", "query --sql SELECT(char(27)||'x')", "runs show"] {
        let ran = words(&folder, line).exits(0);
        assert!(!ran.stdout.contains(['\u{1b}', '\u{7}']), "{line}: {:?}", ran.stdout);
    }
    let missing = folder.atlas(["run", "--input", "\u{1b}[31mnone"]).run().exits(7);
    assert!(!missing.stderr.contains('\u{1b}'), "{:?}", missing.stderr);
}
