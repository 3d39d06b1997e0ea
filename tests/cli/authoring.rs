//! What `new`, `build`, `test` and `inspect` tell the author of a plugin. `languages` tries every language.

use atlas_host::author::CONTRACT_FILES;
use serde_json::Value;

use super::{Redact, golden, words};
use crate::harness::{Folder, author, cache, guest, guest_arg, root};

#[test]
fn a_project_has_the_contract_of_this_repository() {
    let mut files: Vec<String> = std::fs::read_dir(root().join("wit"))
        .expect("the contract")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".wit"))
        .collect();
    files.sort();
    assert_eq!(CONTRACT_FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), files);
    let folder = Folder::new();
    words(&folder, "new p --lang rust").exits(0);
    for name in files {
        let ours = std::fs::read_to_string(root().join("wit").join(&name)).expect("a file of the contract");
        assert_eq!(folder.read(&format!("p/wit/{name}")), ours, "{name}");
    }
}

#[test]
fn new_says_what_it_made_and_what_comes_next() {
    let folder = Folder::new();
    let ran = words(&folder, "new contact-rules --lang rust --kind both --dir here/and/there").exits(0);
    assert_eq!(ran.stderr, "");
    golden("new.txt", &ran.stdout);
    golden("new-plugin.toml", &folder.read("here/and/there/plugin.toml"));
    golden("new-README.md.txt", &folder.read("here/and/there/README.md"));
}

#[test]
fn build_says_what_it_built() {
    let folder = Folder::new();
    words(&folder, "new contact-rules --lang rust --kind both").exits(0);
    let locked = folder.read("contact-rules/Cargo.lock");
    let built = author(folder.path(), "atlas-host build contact-rules").exits(0);
    assert_eq!(folder.read("contact-rules/Cargo.lock"), locked, "the versions are those that the project came with");
    let size = std::fs::metadata(folder.at("contact-rules/build/contact-rules.wasm")).expect("a component").len();
    golden("build.txt", &Redact::new(folder.path()).text(&built.stdout).replace(&size.to_string(), "<size>"));
    let json = author(folder.path(), "atlas-host build contact-rules -o other.wasm --output json").exits(0).json();
    assert_eq!(json["file"], "other.wasm");
    assert!(json["tools"].to_string().contains("cargo 1."), "{json}");
    let same = |file: &str| std::fs::read(folder.at(file)).expect("a component");
    assert_eq!(same("other.wasm"), same("contact-rules/build/contact-rules.wasm"));
    let mut left: Vec<String> = std::fs::read_dir(folder.at("contact-rules/build"))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["contact-rules.stamp", "contact-rules.wasm"], "nothing half-made stays behind");
}

/// Fixtures for the guest `faulty`, which does as an item says.
const FAULTY: &str = r#"{
  "cases": [
    {
      "name": "all as wanted",
      "items": [
        {"id": "a", "body": {"n": 1.0, "deep": {"er": [1, 2]}}, "verdict": "accept", "outcome": "keep"},
        {"id": "b", "body": {"fault": "reject"}, "outcome": {"reject": {"code": "FAULTY_REJECT"}}},
        {"id": "c", "body": {"fault": "retry"}, "outcome": "retry"},
        {"id": "d", "body": {"fault": "drop"}, "outcome": "drop"},
        {"id": "e", "body": {"fault": "emit(2)"}, "outcome": {"emit": [{"put": {"id": "e#0"}}, {"put": {"body": {"fault": "emit(2)"}}}]}},
        {"id": "f", "body": {"fault": "validator-reject(2)"}, "verdict": "reject"}
      ]
    },
    {
      "name": "nothing as wanted",
      "items": [
        {"id": "a", "body": {}, "verdict": {"reject": [{"code": "A"}]}, "outcome": {"replace": {"x": 1}}},
        {"id": "b", "body": {"fault": "reject"}, "outcome": {"reject": {"code": "OTHER", "message": "other", "pointer": "/x"}}},
        {"id": "e", "body": {"fault": "emit(2)"}, "outcome": {"emit": [{"put": {"id": "e#1"}}]}},
        {"id": "f", "body": {"fault": "validator-reject(1)"}, "outcome": "keep"},
        {"id": "g", "body": {}}
      ]
    }
  ]
}
"#;

/// Items that end a call.
const FATAL: &str = r#"{"cases": [
  {"name": "one of them ends the call", "items": [
    {"id": "a", "body": {}, "outcome": "keep"},
    {"id": "b", "body": {"fault": "trap"}, "outcome": "keep"},
    {"id": "c", "body": {"fault": "bad-json"}, "outcome": "keep"},
    {"id": "d", "body": {"fault": "short"}, "outcome": "keep"}]}
]}"#;

fn faulty(folder: &Folder, further: &str) -> crate::harness::Ran {
    words(folder, &format!("test --plugin {} --fixtures {further}", guest_arg("faulty")))
}

#[test]
fn test_tells_what_is_as_wanted_and_how_the_rest_differs() {
    let folder = Folder::new();
    folder.write("a.json", FAULTY);
    let ran = faulty(&folder, "a.json").exits(3);
    assert_eq!(ran.stderr, "");
    golden("test-faulty.txt", &Redact::new(folder.path()).text(&ran.stdout));
    let json = faulty(&folder, "a.json --output json").exits(3).json();
    assert_eq!(
        (json["passed"].as_u64(), json["failed"].as_u64(), json["items"].as_u64()),
        (Some(1), Some(1), Some(11))
    );
    let first = &json["cases"][1]["problems"][0];
    assert_eq!((first["item"].as_str(), first["what"].as_str()), (Some("a"), Some("verdict")));
    assert_eq!(first["found"], "\"accept\"");
}

#[test]
fn update_writes_what_came_and_leaves_all_else_as_it_was() {
    let folder = Folder::new();
    folder.write("a.json", FAULTY);
    let ran = faulty(&folder, "a.json --update").exits(0);
    golden("test-update.txt", &Redact::new(folder.path()).text(&ran.stdout));
    golden("test-update.json", &folder.read("a.json"));
    let mended = folder.read("a.json");
    faulty(&folder, "a.json").exits(0);
    faulty(&folder, "a.json --update").exits(0);
    assert_eq!(folder.read("a.json"), mended, "what is as wanted is not touched");
}

#[test]
fn an_answer_that_was_let_go_comes_back_with_the_next_update() {
    let folder = Folder::new();
    let with = |demand: &str, outcome: &str| {
        format!(
            r#"{{"cases": [{{"name": "n", "items": [{{"id": "a", "body": {{"fault": "{demand}"}}, "outcome": {outcome}"#
        )
    };
    folder.write("a.json", with("validator-reject(1)", r#""drop"}]}]}"#));
    faulty(&folder, "a.json --update").exits(0);
    let without = folder.read("a.json");
    assert!(without.starts_with(&with("validator-reject(1)", "null, \"verdict\"")), "{without}");
    // The validator lets it pass again.
    folder.write("a.json", without.replace("validator-reject(1)", "drop"));
    faulty(&folder, "a.json --update").exits(0);
    let mended = folder.read("a.json");
    assert!(mended.starts_with(&with("drop", "\"drop\", \"verdict\": \"accept\"")), "{mended}");
    faulty(&folder, "a.json").exits(0);
}

#[test]
fn a_call_that_fails_is_laid_to_the_item_that_ends_it_and_never_written_down() {
    let folder = Folder::new();
    folder.write("a.json", FATAL);
    let ran = faulty(&folder, "a.json").exits(3);
    let problems = |ran: &crate::harness::Ran| {
        let json = ran.json();
        let all = json["cases"][0]["problems"].as_array().expect("a list").clone();
        let told = |problem: &Value| {
            let found = problem["found"].as_str().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
            (problem["item"].as_str().unwrap_or("-").to_owned(), found)
        };
        all.iter().map(told).collect::<Vec<_>>()
    };
    let wanted = [("b", "GUEST_10001"), ("c", "GUEST_10008"), ("d", "GUEST_10007")]
        .map(|(item, code)| (item.to_owned(), code.to_owned()));
    assert!(ran.stdout.contains("1 case: 0 passed, 1 failed"), "{}", ran.stdout);
    assert_eq!(problems(&faulty(&folder, "a.json --output json").exits(3)), wanted);
    assert_eq!(problems(&faulty(&folder, "a.json --output json --update").exits(3)), wanted);
    let asked = |text: &str| text.replace("\"outcome\": \"keep\", \"verdict\": \"accept\"}", "\"outcome\": \"keep\"}");
    assert_eq!(asked(&folder.read("a.json")), FATAL, "only the verdict of the item that ends nothing was added");
}

#[test]
fn an_answer_that_depends_on_the_items_beside_it_is_told() {
    // Keeps the first item of each call and drops the others.
    let plugin = "use exports::atlas::batch::operation::{Guest, Item, Outcome};
        wit_bindgen::generate!({ path: \"wit\", world: \"operation-plugin\" });
        struct Plugin;
        impl Guest for Plugin {
            fn apply(items: Vec<Item>) -> Vec<Outcome> {
                (0..items.len()).map(|place| if place == 0 { Outcome::Keep } else { Outcome::Drop }).collect()
            }
        }
        export!(Plugin);";
    let folder = Folder::new();
    words(&folder, "new first-only --lang rust").exits(0);
    folder.write("first-only/src/lib.rs", plugin);
    folder.write(
        "first-only/fixtures/contacts.json",
        r#"{"cases": [{"name": "two", "items": [{"id": "a", "body": 1, "outcome": "keep"}, {"id": "b", "body": 2, "outcome": "drop"}]}]}"#,
    );
    let ran = author(folder.path(), "atlas-host test first-only").exits(3);
    assert!(
        ran.stdout.contains("item b, call") && ran.stdout.contains("the same answer in every call: \"keep\""),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("Building first-only/build/first-only.wasm"), "{}", ran.stderr);
}

#[test]
fn a_plugin_that_reads_the_store_sees_the_rows_of_its_fixture_and_the_items_before_it() {
    let folder = Folder::new();
    let task = |path: &str, parent: &str| {
        let kind = if parent.is_empty() { "MILESTONE" } else { "TASK" };
        format!(
            r#"{{"path": "{path}", "title": "t", "type": "{kind}", "status": "PENDING", {parent}"created": 1, "updated": 1, "version": 1, "notes": {{}}, "metadata": {{}}, "dependencies": []}}"#
        )
    };
    let child = task("a/b", "\"parentPath\": \"a\", ");
    let fixture = format!(
        r#"{{"store": {{"items": {{"rows": {{"a": {}}}}}}}, "cases": [
            {{"name": "the parent is stored", "items": [{{"id": "a/b", "body": {child}, "verdict": "accept"}}]}},
            {{"name": "a cousin is not", "items": [{{"id": "z/b", "body": {}, "verdict": {{"reject": [{{"code": "TASK_1008"}}]}}}}]}},
            {{"name": "the parent comes before", "items": [
                {{"id": "z", "body": {}, "verdict": "accept"}},
                {{"id": "z/b", "body": {}, "verdict": "accept"}}]}}]}}"#,
        task("a", ""),
        task("z/b", "\"parentPath\": \"z\", "),
        task("z", ""),
        task("z/b", "\"parentPath\": \"z\", "),
    );
    folder.write("links.json", fixture);
    let ran = words(&folder, &format!("test --plugin {} --fixtures links.json", guest_arg("task-links")));
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn settings_and_collections_of_a_fixture_reach_the_plugin() {
    // Says what it is set to, and what it reads of a collection beside its own.
    let plugin = "use atlas::batch::{config, store};
        use exports::atlas::batch::operation::{Guest, Item, Outcome};
        wit_bindgen::generate!({ path: \"wit\", world: \"operation-plugin\" });
        struct Plugin;
        impl Guest for Plugin {
            fn apply(items: Vec<Item>) -> Vec<Outcome> {
                let seen = |item: &Item| match store::get(Some(\"owners\"), &item.id) {
                    Ok(row) => format!(\"[{:?}, {}]\", config::get(\"k\").unwrap_or_default(), row.unwrap_or(\"null\".into())),
                    Err(store::Error::NotGranted) => \"\\\"not granted\\\"\".into(),
                    Err(_) => \"\\\"not there\\\"\".into(),
                };
                items.iter().map(|item| Outcome::Replace(seen(item))).collect()
            }
        }
        export!(Plugin);";
    let folder = Folder::new();
    words(&folder, "new reader --lang rust").exits(0);
    folder.write("reader/src/lib.rs", plugin);
    std::fs::remove_file(folder.at("reader/fixtures/contacts.json")).expect("a fixture");
    let case = |wanted: &str| {
        let item =
            |id: &str, wanted: &str| format!(r#"{{"id": "{id}", "body": {{}}, "outcome": {{"replace": {wanted}}}}}"#);
        format!(r#""cases": [{{"name": "n", "items": [{}]}}]"#, item("a", wanted))
    };
    folder.write("reader/fixtures/closed.json", format!("{{{}}}", case(r#""not granted""#)));
    folder.write(
        "reader/fixtures/none.json",
        format!(r#"{{"grant-collection": ["owners"], {}}}"#, case(r#""not there""#)),
    );
    let rows = r#""store": {"owners": {"rows": {"a": {"x": 1}}}}"#;
    let granted = format!(
        r#"{{"grant-collection": ["owners"], "config": {{"k": "v"}}, {rows}, {}}}"#,
        case(r#"["v", {"x": 1}]"#)
    );
    folder.write("reader/fixtures/there.json", granted);
    let ran = author(folder.path(), "atlas-host test reader").exits(0);
    assert!(ran.stdout.contains("3 cases: 3 passed"), "{}", ran.stdout);
}

/// What cargo compiles for all projects lies in one folder.
#[test]
fn projects_of_one_name_are_not_taken_for_each_other() {
    let folder = Folder::new();
    words(&folder, "new twin --lang rust --kind operation --dir one").exits(0);
    words(&folder, "new twin --lang rust --kind validator --dir two").exits(0);
    // The sources of the second are older than the module of the first.
    let ran = author(folder.path(), "atlas-host build one && atlas-host build two").exits(0);
    let (one, two) = ran.stdout.split_once("two/build/twin.wasm").expect("two components");
    assert!(one.contains("atlas:batch/operation@0.1.0") && !one.contains("atlas:batch/validator@0.1.0"), "{one}");
    assert!(two.contains("atlas:batch/validator@0.1.0") && !two.contains("atlas:batch/operation@0.1.0"), "{two}");
}

/// Tools work in the folder of the project, the host where it was called.
#[test]
fn folders_that_the_environment_names_from_here_are_the_same_for_host_and_tools() {
    let folder = Folder::new();
    words(&folder, "new p --lang rust").exits(0);
    std::os::unix::fs::symlink(cache(), folder.at("kept")).expect("a link");
    author(folder.path(), "ATLAS_CACHE_DIR=kept atlas-host build p").exits(0);
    author(folder.path(), "CARGO_TARGET_DIR=kept/rust atlas-host build p").exits(0);
    assert!(!folder.at("p/kept").exists(), "nothing is made in the project");
}

#[test]
fn inspect_tells_what_the_configuration_grants() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("data")).expect("a folder");
    std::fs::copy(guest("task-enrich"), folder.at("enrich.wasm")).expect("a copy");
    folder.write(
        "atlas.toml",
        "memory = \"32MiB\"\ndeadline = \"2s\"\n[plugins.work]\nsource = \"enrich.wasm\"\nrole = \"operation\"\ndigest = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\ngrant-dir = [\"data::/data\"]\ngrant-env = [\"SECRET=s3cret\"]\ngrant-collection = [\"owners\"]\nconfig = { key = \"hidden\" }\n",
    );
    words(&folder, "inspect enrich.wasm").exits(0);
    let ran = words(&folder, "inspect enrich.wasm").exits(0);
    let size = std::fs::metadata(guest("task-enrich")).expect("a guest").len().to_string();
    let text = Redact::new(folder.path()).text(&ran.stdout).replace(&size, "<size>");
    golden("inspect-granted.txt", &text);
    assert!(!ran.stdout.contains("s3cret") && !ran.stdout.contains("hidden"), "{}", ran.stdout);
    let json = words(&folder, "inspect enrich.wasm --output json").exits(0).json();
    assert_eq!(json["limits"]["memory_bytes"], 32 << 20);
    assert_eq!(json["slots"][0]["name"], "work");
    assert_eq!(json["slots"][0]["settings"][0], "key");
    let imports = json["imports"].as_array().expect("a list");
    let store = imports.iter().find(|import| import["name"] == "atlas:batch/store@0.1.0").expect("it reads the store");
    assert_eq!(store["granted"][0], "collection:owners");
}

#[test]
fn a_fixture_sets_the_clock_the_seed_and_the_attempt() {
    let folder = Folder::new();
    let fixture = |head: &str, now: &str| {
        format!(
            r#"{{{head} "cases": [{{"name": "n", "items": [
              {{"id": "a", "body": "context", "outcome": {{"reject": {{"details": [["run", "36"], ["batch", "0"], ["attempt", "ATTEMPT"], ["deadline", "5000"], ["now", "{now}"], ["seed", "SEED"], ["other-seed", "OTHER"]]}}}}}}]}}]}}"#
        )
    };
    let found = |head: &str, now: &str| {
        folder.write("f.json", fixture(head, now));
        let json = words(&folder, &format!("test --plugin {} --fixtures f.json --output json", guest_arg("probe")))
            .exits(3)
            .json();
        let problems = json["cases"][0]["problems"].as_array().expect("a list").clone();
        let places: Vec<String> =
            problems.iter().map(|p| p["pointer"].as_str().expect("a pointer").to_owned()).collect();
        assert_eq!(places, ["/reject/details/2/1", "/reject/details/5/1", "/reject/details/6/1"], "{problems:?}");
        problems.iter().map(|problem| problem["found"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    // The plugin calls a clock fixed that is in the present; without one in the file it is 2026.
    let plain = found("", "fixed");
    assert_eq!(plain[0], "\"1\"");
    assert_eq!(found("", "fixed"), plain, "and all of it is the same each time");
    let set = found(r#""clock-ms": 1, "seed": 5, "attempt": 2,"#, "moves");
    assert_eq!(set[0], "\"2\"");
    assert!(set[1] != plain[1] && set[2] != plain[2], "{set:?} {plain:?}");
    let other = found(r#""seed": 6, "attempt": 2,"#, "fixed");
    assert!(other[1] != set[1] && other[1] != plain[1]);
}

#[test]
fn test_stays_up_and_shows_the_answers_that_a_save_changed() {
    use std::io::{BufRead, BufReader};

    let folder = Folder::new();
    let fixture = |demand: &str| {
        format!(
            r#"{{"cases": [{{"name": "one", "items": [{{"id": "a", "body": {{"fault": "{demand}"}}, "outcome": "drop"}}]}}, {{"name": "two", "items": [{{"id": "b", "body": {{}}, "outcome": "keep"}}]}}]}}"#
        )
    };
    folder.write("f.json", fixture("drop"));
    let faulty = guest_arg("faulty");
    let flags = ["test", "--watch", "--plugin", &faulty, "--fixtures", "f.json"];
    let mut child = folder.atlas(flags).start();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut run = || {
        let mut text = String::new();
        for line in lines.by_ref() {
            let line = line.expect("a line");
            text += &format!("{line}\n");
            if line.contains(" passed, ") {
                return text;
            }
        }
        panic!("it ended: {text}");
    };
    let first = run();
    assert!(first.contains("pass  one") && first.contains("2 cases: 2 passed, 0 failed"), "{first}");
    folder.write("f.json", fixture("reject"));
    let second = run();
    assert!(second.contains("FAIL  one") && second.contains("1 answer changed"), "{second}");
    assert!(second.contains("was  accept, drop") || second.contains("was  \"accept\", \"drop\""), "{second}");
    assert!(second.contains("FAULTY_REJECT") && !second.contains("two"), "{second}");
    // A file that is no fixture ends nothing.
    folder.write("f.json", "{");
    folder.write("f.json", fixture("drop"));
    let third = run();
    assert!(third.contains("pass  one") && third.contains("2 cases: 2 passed"), "{third}");
    child.kill().expect("it is at work");
    child.wait().expect("it ends");
}

#[test]
fn text_and_names_of_fixtures_cannot_steer_the_terminal() {
    use std::io::{BufRead, BufReader};

    let folder = Folder::new();
    let faulty = guest_arg("faulty");
    std::fs::create_dir(folder.at("f")).expect("a folder");
    let fixture = r#"{"cases": [{"name": "n", "items": [{"id": "a", "body": {}, "outcome": "keep"}]}]}"#;
    folder.write("f/\u{1b}[2J.json", fixture);
    let ran = words(&folder, &format!("test --plugin {faulty} --fixtures f")).exits(0);
    assert!(ran.stdout.starts_with("f/\\u{1b}[2J.json\n"), "{:?}", ran.stdout);
    folder.write("g.json", "{\"\\u001b[2J\": 1}");
    let mut child = folder.atlas(["test", "--watch", "--plugin", &faulty, "--fixtures", "g.json"]).start();
    let mut told = String::new();
    BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut told).expect("a line");
    child.kill().expect("it is at work");
    child.wait().expect("it ends");
    assert!(told.starts_with("AUTHOR_11004: ") && told.contains("\\u{1b}[2J"), "{told:?}");
}
