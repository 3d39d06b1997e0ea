//! Settings: flag over environment over file over default, where each came from, and what is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Redact, golden, numbered, sql, words};
use crate::harness::{Atlas, Folder, Ran, guest, guest_arg};

/// A value for each setting that is not its default.
const VALUES: &[(&str, &str)] = &[
    ("plugin", "other=tidy.wasm"),
    ("validator", "rules.wasm"),
    ("plugin-config", "limit=5"),
    ("grant-dir", "."),
    ("grant-env", "KEY=value"),
    ("grant-host", "localhost:80"),
    ("grant-collection", "others"),
    ("memory", "32MiB"),
    ("deadline", "7s"),
    ("isolation", "batch"),
    ("input", "in.ndjson"),
    ("format", "csv"),
    ("delimiter", ";"),
    ("no-header", "true"),
    ("id", "/meta/id"),
    ("missing-id", "ordinal"),
    ("limit", "12"),
    ("from", "others"),
    ("follow", "log.ndjson"),
    ("watch-input", "inbox"),
    ("max-line-bytes", "1MiB"),
    ("store", "other.db"),
    ("into", "tickets"),
    ("collection", "edges"),
    ("index", "status"),
    ("unique", "number"),
    ("on-existing", "ignore"),
    ("atomic", "run"),
    ("durability", "normal"),
    ("processor", "memory"),
    ("strategy", "sequential"),
    ("aim", "latency"),
    ("max-batch-time", "2s"),
    ("memory-budget", "900MiB"),
    ("batch-size", "5..50"),
    ("batch-bytes", "2MiB"),
    ("batch-wait", "3s"),
    ("lanes", "2"),
    ("attempts", "9"),
    ("max-rejects", "3%"),
    ("seed", "42"),
    ("slow-item", "50ms"),
    ("max-memory-share", "80%"),
    ("max-error-share", "5%"),
    ("max-cpu-share", "50%"),
    ("max-response", "2s"),
    ("max-wal", "100MiB"),
    ("min-disk-free", "1GiB"),
    ("on-alert", "/bin/true"),
    ("events", "events.ndjson"),
    ("metrics-file", "atlas.prom"),
    ("metrics-listen", "127.0.0.1:9464"),
    ("output", "json"),
    ("dry-run", "true"),
    ("again", "true"),
    ("accept-change", "true"),
    ("recommended", "true"),
    ("watch", "true"),
    ("swap-difference", "40"),
    ("swap-slowdown", "9"),
    ("shadow", "3"),
    ("verbose", "true"),
    ("quiet", "true"),
    ("log-format", "json"),
    ("color", "never"),
    ("config", "other.toml"),
];

/// Settings that are switches: given or not.
const SWITCHES: &[&str] =
    &["no-header", "dry-run", "again", "accept-change", "recommended", "watch", "verbose", "quiet"];
/// Settings that have no environment variable: a command line or a file says them better.
const WITHOUT_VARIABLE: &[&str] =
    &["plugin-config", "grant-dir", "grant-env", "grant-host", "grant-collection", "verbose", "quiet"];

/// What `config show` says: value and origin by key.
fn shown(ran: Ran) -> BTreeMap<String, (String, String)> {
    let ran = ran.exits(0);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").iter().map(text).collect::<Vec<_>>().join(",");
    let all = ran.json();
    all.as_array()
        .expect("a list")
        .iter()
        .map(|one| (text(&one["key"]), (list(&one["value"]), text(&one["origin"]))))
        .collect()
}

fn show(folder: &Folder) -> Atlas {
    folder.atlas(["config", "show", "--output", "json"])
}

#[test]
fn every_documented_setting_is_read_from_flag_environment_and_file() {
    let folder = Folder::new();
    folder.write("other.toml", "");
    let before = shown(show(&folder).run());
    let known: Vec<&str> = before.keys().map(String::as_str).collect();
    let mut covered: Vec<&str> = VALUES.iter().map(|(key, _)| *key).collect();
    covered.sort_unstable();
    assert_eq!(known, covered, "each setting has a row in this test");
    for (key, value) in VALUES {
        let variable = format!("ATLAS_{}", key.to_uppercase().replace('-', "_"));
        let is_switch = SWITCHES.contains(key);
        let flag = if is_switch { format!("--{key}") } else { format!("--{key}={value}") };
        // `--output json` is what the other settings are shown by.
        let shown_by =
            if *key == "output" { vec!["config", "show"] } else { vec!["config", "show", "--output", "json"] };
        let mut arguments = shown_by.clone();
        arguments.push(&flag);
        check(shown(folder.atlas(&arguments).run()), &before, key, value, "flag");
        if !WITHOUT_VARIABLE.contains(key) {
            let ran = folder.atlas(&shown_by).env(&variable, value).run();
            check(shown(ran), &before, key, value, &format!("environment {variable}"));
        }
        if *key == "config" {
            continue;
        }
        let text = if is_switch {
            format!("# a comment\n\n{key} = true\n")
        } else {
            format!("# a comment\n\n{key} = {value:?}\n")
        };
        folder.write("atlas.toml", text);
        check(shown(folder.atlas(&shown_by).run()), &before, key, value, "atlas.toml:3");
        std::fs::remove_file(folder.at("atlas.toml")).expect("the file is there");
    }
}

#[track_caller]
fn check(
    after: BTreeMap<String, (String, String)>,
    before: &BTreeMap<String, (String, String)>,
    key: &str,
    value: &str,
    origin: &str,
) {
    // What may be secret is not shown.
    let wanted = match key {
        "plugin-config" => "limit=(hidden)",
        "grant-env" => "KEY=(hidden)",
        _ => value,
    };
    assert_eq!(after[key], (wanted.to_owned(), origin.to_owned()), "{key}");
    for (other, setting) in &after {
        assert!(other == key || other == "output" || *setting == before[other], "{key} changed {other}: {setting:?}");
    }
}

#[test]
fn a_flag_outweighs_the_environment_and_that_outweighs_the_file() {
    let folder = Folder::new();
    folder.write("atlas.toml", "attempts = 4\nstore = \"file.db\"\ninto = \"from_file\"\nindex = [\"a\", \"b\"]\n");
    let ran = folder
        .atlas(["config", "show", "--output", "json", "--attempts", "6"])
        .env("ATLAS_ATTEMPTS", "5")
        .env("ATLAS_STORE", "environment.db")
        .run();
    let all = shown(ran);
    let of = |key: &str| (all[key].0.as_str(), all[key].1.as_str());
    assert_eq!(of("attempts"), ("6", "flag"));
    assert_eq!(of("store"), ("environment.db", "environment ATLAS_STORE"));
    assert_eq!(of("into"), ("from_file", "atlas.toml:3"));
    assert_eq!(of("index"), ("a,b", "atlas.toml:4"));
    assert_eq!(of("lanes").1, "not set");
    assert_eq!(of("memory"), ("64MiB", "default"));
}

#[test]
fn config_show_as_text() {
    let folder = Folder::new();
    folder.write("atlas.toml", "attempts = 4\n\n[plugins.work]\nsource = \"tidy.wasm\"\nrole = \"operation\"\ngrant-env = [\"TOKEN=secret\"]\nconfig = { key = \"secret\" }\n");
    let ran = folder.atlas(["config", "show", "--seed", "7"]).env("ATLAS_STORE", "e.db").run().exits(0);
    golden("config-show.txt", &Redact::new(folder.path()).text(&ran.stdout));
    assert!(!ran.stdout.contains("secret"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn settings_of_the_file_and_the_environment_are_in_force_in_a_run() {
    let folder = Folder::new();
    folder.write("data.ndjson", numbered(30));
    folder.write(
        "atlas.toml",
        "input = \"data.ndjson\"\nid = \"id\"\nbatch-size = 5\nstrategy = \"sequential\"\nlimit = 20\n",
    );
    folder.atlas(["run"]).env("ATLAS_INTO", "rows").run().exits(0);
    assert_eq!(sql(&folder, "SELECT count(*) FROM rows"), ["20"]);
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_batches"), ["4"]);
    let settings = words(&folder, "runs show --output json").exits(0).json()["settings"].to_string();
    assert!(settings.contains("data.ndjson") && settings.contains("rows"), "{settings}");
}

#[test]
fn plugins_may_stand_in_the_file_pinned_to_their_digest() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    std::fs::copy(guest("identity"), folder.at("work.wasm")).expect("a copy");
    let digest = folder.atlas(["inspect", "work.wasm", "--output", "json"]).run().exits(0).json()["digest"].clone();
    let table =
        |digest: &str| format!("[plugins.work]\nsource = \"work.wasm\"\nrole = \"operation\"\ndigest = \"{digest}\"\n");
    folder.write("atlas.toml", table(digest.as_str().expect("a text")));
    words(&folder, "run --input in.ndjson --id id").exits(0);
    assert_eq!(sql(&folder, "SELECT slot FROM atlas_run_plugins").len() + 1, 2);
    let other = format!("blake3:{}", "0".repeat(64));
    folder.write("atlas.toml", table(&other));
    words(&folder, "run --input in.ndjson --id id --store new.db")
        .exits(4)
        .says("error[GUEST_10011]: plugin work.wasm has the digest blake3:")
        .says(&other)
        .says("hint: use the file that was pinned");
    assert!(!folder.at("new.db").exists());
    folder.write("atlas.toml", "[plugins.work]\nsource = \"work.wasm\"\n");
    words(&folder, "run --input in.ndjson --id id")
        .exits(2)
        .says("[plugins.work] has a source but no role")
        .says("hint: write role");
}

#[test]
fn what_is_wrong_in_the_file_is_named_with_its_line() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    for (text, code, place, hint) in [
        ("id = \"id\"\nlane = 2\n", "CONFIG_3001", "atlas.toml:2: unknown key lane", "did you mean lanes?"),
        ("zzzzzzzz = 1\n", "CONFIG_3001", "atlas.toml:1: unknown key zzzzzzzz", "config show"),
        ("\n\nattempts = \"many\"\n", "CONFIG_3001", "atlas.toml:3: ", "config show"),
        ("attempts = 0\n", "CONFIG_3001", "atlas.toml:1: ", "config show"),
        ("lanes = true\n", "CONFIG_3003", "atlas.toml:1: lanes is a truth value", ""),
        ("no-header = 3\n", "CONFIG_3003", "atlas.toml:1: no-header is no truth value, wanted true or false", ""),
        ("id = { a = 1 }\n", "CONFIG_3003", "atlas.toml:1: id is a table", ""),
        ("id = \"id\"\nid = \"key\"\n", "CONFIG_3001", "atlas.toml:2: ", "TOML"),
        ("id = \n", "CONFIG_3001", "atlas.toml:1: ", "TOML"),
        ("help = true\n", "CONFIG_3001", "atlas.toml:1: unknown key help", ""),
        ("config = \"x.toml\"\n", "CONFIG_3001", "atlas.toml:1: unknown key config", ""),
        ("\n[plugins.work]\nsauce = \"x\"\n", "CONFIG_3001", "atlas.toml:3: ", "source, role, digest"),
        (
            "[plugins.work]\nmemory = \"64mb\"\n",
            "CONFIG_3001",
            "atlas.toml:2: mb is no unit of size",
            "memory, deadline",
        ),
        ("[plugins.work]\ndeadline = 5\n", "CONFIG_3001", "atlas.toml:2: 5 lacks its unit", "memory, deadline"),
        (
            "[plugins.work]\nmemory = true\n",
            "CONFIG_3001",
            "atlas.toml:2: wanted a text or a number",
            "memory, deadline",
        ),
    ] {
        folder.write("atlas.toml", text);
        for verb in ["run --input in.ndjson", "validate --input in.ndjson", "config show"] {
            let ran =
                words(&folder, verb).exits(2).says(&format!("error[{code}]: {place}")).says("\nhint: ").says(hint);
            assert_eq!(ran.stdout, "", "{text}");
        }
        assert!(!folder.at("atlas.db").exists(), "{text}");
    }
    std::fs::remove_file(folder.at("atlas.toml")).expect("the file is there");
    words(&folder, "run --config no.toml")
        .exits(2)
        .says("error[CONFIG_3001]: the configuration no.toml cannot be read")
        .says("hint: ");
}

#[test]
fn a_value_of_the_environment_is_refused_under_its_name() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    for (name, value) in
        [("ATLAS_ATTEMPTS", "many"), ("ATLAS_DEADLINE", "5"), ("ATLAS_ON_EXISTING", "merge"), ("ATLAS_AGAIN", "maybe")]
    {
        let ran = folder.atlas(["run", "--input", "in.ndjson"]).env(name, value).run().exits(2);
        assert!(ran.stderr.starts_with("error[CONFIG_3001]: ") && ran.stderr.contains(name), "{}", ran.stderr);
        assert!(!folder.at("atlas.db").exists());
    }
}

#[test]
fn a_switch_of_the_environment_is_on_or_off() {
    let folder = Folder::new();
    for (value, wanted) in
        [("1", "true"), ("true", "true"), ("yes", "true"), ("0", "false"), ("false", "false"), ("no", "false")]
    {
        let all = shown(show(&folder).env("ATLAS_AGAIN", value).run());
        assert_eq!(all["again"], (wanted.to_owned(), "environment ATLAS_AGAIN".to_owned()), "{value}");
    }
}

#[test]
fn secrets_of_grants_and_plugin_settings_are_not_shown() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    let identity = guest_arg("identity");
    let secret = ["--plugin", &identity, "--grant-env", "TOKEN=hush-hush", "--plugin-config", "password=hush-hush"];
    let run = ["run", "--input", "in.ndjson", "--id", "id", "-vv"];
    let ran = folder.atlas(run.iter().chain(&secret)).run().exits(0);
    assert!(!ran.stderr.contains("hush-hush"), "{}", ran.stderr);
    for command in [vec!["config", "show"], vec!["config", "show", "--output", "json"]] {
        let ran = folder.atlas(command.iter().chain(&secret)).run().exits(0);
        assert!(!ran.stdout.contains("hush-hush"), "{}", ran.stdout);
    }
    for line in ["runs show", "runs show --output json"] {
        let ran = words(&folder, line).exits(0);
        assert!(!ran.stdout.contains("hush-hush"), "{}", ran.stdout);
    }
    let bytes = std::fs::read(folder.at("atlas.db")).expect("a store");
    assert!(!bytes.windows(9).any(|window| window == b"hush-hush"), "a secret lies in the store");
}
