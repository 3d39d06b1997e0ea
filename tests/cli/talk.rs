//! What goes to stderr and how: quiet, verbose, colour, log lines, a stdout that nobody reads.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::process::Stdio;

use atlas_host::limits;
use serde::de::{self, MapAccess, Visitor};
use serde_json::Value;

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

/// An object as a reader that takes duplicate members for a mistake sees it.
struct Unique(BTreeMap<String, Value>);

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.contains_key(&name) {
                        return Err(de::Error::custom(format!("{name} stands twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Unique(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[test]
fn the_log_as_json_names_run_and_batch_in_lines_of_host_and_plugins_alike() {
    let folder = Folder::new();
    let demands = ["reject", "big-message", "flood", "retry(1)", "trap", "\\u001b[2J"];
    let items: String = (0..)
        .zip(demands)
        .map(|(n, demand)| format!("{{\"id\":\"\\\"{n}\\u001b\",\"fault\":\"{demand}\"}}\n"))
        .collect();
    // Enough items for a share of failed ones that is worth an alert.
    folder.write("in.ndjson", items + &numbered(20));
    let faulty = guest_arg("faulty");
    let flags = "--batch-size 1 --strategy sequential --slow-item 1h --log-format json -vvv -q --output json";
    let ran = plain_run(&folder, &format!("--plugin {faulty} {flags}")).run().exits(3);
    let uuid = ran.json()["uuid"].clone();
    assert!(!ran.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", ran.stderr);
    let lines: Vec<BTreeMap<String, Value>> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str::<Unique>(line).unwrap_or_else(|error| panic!("{error}: {line}")).0)
        .collect();
    // What concerns the run as a whole, or the machine.
    let of_no_batch = ["The run begins.", "The run is over.", "The host's health changed."];
    let mut told: BTreeMap<String, Vec<&BTreeMap<String, Value>>> = BTreeMap::new();
    for line in &lines {
        let (target, message) = (line["target"].as_str().expect("a text"), line["message"].as_str().expect("a text"));
        if target == "guest" || target.ends_with("monitor::log") {
            assert_eq!(line.get("run"), Some(&uuid), "{line:?}");
            assert_eq!(line.get("batch").is_some_and(Value::is_u64), !of_no_batch.contains(&message), "{line:?}");
        }
        let kind = if target == "guest" { "guest" } else { message };
        told.entry(kind.to_owned()).or_default().push(line);
    }
    for (kind, count) in [
        ("The run begins.", 1),
        ("An item failed.", 4),
        ("An item is tried again.", 1),
        ("Log lines of a plugin are dropped.", 1),
        ("An alert is raised.", 1),
        ("guest", limits::LOG_LINES_MAX),
        ("The run is over.", 1),
    ] {
        assert_eq!(told.get(kind).map(Vec::len), Some(count), "{kind}: {:?}", told.keys());
    }
    let alert = told["An alert is raised."][0];
    assert!(
        alert["alert"] == "HIGH_ERROR_RATE"
            && alert["reason"].as_str().expect("a text").contains("items were rejected")
    );
    let failed: Vec<[&str; 2]> = told["An item failed."]
        .iter()
        .map(|line| ["id", "problem"].map(|name| line[name].as_str().expect("a plain text")))
        .collect();
    assert_eq!(failed[0], ["\"0\u{1b}", "asked to refuse"]);
    assert!(failed[1][1].starts_with("xxxx") && failed[1][1].len() < limits::GUEST_TEXT_BYTES_MAX + 64);
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
fn each_v_tells_one_level_more() {
    let folder = Folder::new();
    let levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
    let asks = levels.map(|level| format!("\"log {} l\"", level.to_lowercase()));
    folder.write("in.json", format!("[{},\"bare\"]", asks.join(",")));
    let probe = guest_arg("probe");
    // How many of the levels a plugin is heard at, and whether the host tells of the run and of an item.
    // The host's health is left out: whether it changes is the machine's affair.
    for (flags, heard, of_run, of_item) in [
        ("-qqq", 0, false, false),
        ("-qq", 1, false, false),
        ("", 1, false, false),
        ("-v", 3, true, false),
        ("-vv", 4, true, true),
        ("-vvv", 5, true, true),
    ] {
        let line = format!("run --input in.json --again --plugin {probe} --log-format json {flags}");
        let ran = words(&folder, &line).exits(3);
        let lines: Vec<Value> = ran.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let guest: Vec<&Value> =
            lines.iter().filter(|line| line["target"] == "guest").map(|line| &line["level"]).collect();
        assert_eq!(guest, levels[..heard], "{flags}");
        let told = |message: &str| lines.iter().any(|line| line["message"] == message);
        assert_eq!((told("The run begins."), told("An item failed.")), (of_run, of_item), "{flags}");
    }
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

#[test]
fn text_of_settings_and_queries_cannot_steer_the_terminal() {
    let folder = with_store();
    folder.write("atlas.toml", "[plugins.work]\ngrant-host = [\"\\u001b[2J:80\"]\n");
    let sql = "SELECT 1 AS \"\u{1b}[2J\" FROM items AS \"\u{1b}[2J\"";
    for arguments in [&["config", "show"][..], &["query", "--sql", sql], &["query", "--explain", "--sql", sql]] {
        let ran = folder.atlas(arguments).run().exits(0);
        assert!(ran.stdout.contains("\\u{1b}[2J") && !ran.stdout.contains('\u{1b}'), "{arguments:?}: {:?}", ran.stdout);
    }
}
