//! The commands that look and change nothing: `inspect`, `validate`, `query`, `get`, `export`, `runs`, `dead-letters list`
//! and `show`, `index list`, `verify`.

use serde_json::Value;

use super::{MIXED, Redact, golden, mixed_arguments, sql, with_store, words};
use crate::harness::{Folder, guest, guest_arg};

/// Runs a command on the standing store and keeps what it printed, as text.
#[track_caller]
fn keep(folder: &Folder, name: &str, line: &str, code: i32) {
    let ran = words(folder, line).exits(code);
    let redact = Redact::new(folder.path());
    golden(
        &format!("{name}.txt"),
        &format!("$ atlas-host {line}\n{}--- stderr\n{}", redact.text(&ran.stdout), redact.text(&ran.stderr)),
    );
}

/// The same with JSON: one document, or one per line.
#[track_caller]
fn keep_json(folder: &Folder, name: &str, line: &str, code: i32) -> Vec<Value> {
    let ran = words(folder, line).exits(code);
    let documents = if ran.stdout.lines().count() == 1 { vec![ran.json()] } else { ran.json_lines() };
    let redact = Redact::new(folder.path());
    let texts: String = documents.iter().map(|document| redact.json(document)).collect();
    golden(&format!("{name}.json"), &texts);
    documents
}

#[test]
fn inspect_shows_what_a_component_is() {
    let folder = Folder::new();
    for name in ["faulty", "ticket-rules"] {
        // So that the compiled artefact is in the cache, whoever came first.
        folder.atlas(["inspect", &guest_arg(name)]).run().exits(0);
        let size = std::fs::metadata(guest(name)).expect("a guest").len().to_string();
        let redact = Redact::new(folder.path());
        let text = folder.atlas(["inspect", &guest_arg(name)]).run().exits(0);
        assert_eq!(text.stderr, "");
        golden(&format!("inspect-{name}.txt"), &redact.text(&text.stdout).replace(&size, "<size>"));
        let json = folder.atlas(["inspect", "--output", "json", &guest_arg(name)]).run().exits(0);
        golden(&format!("inspect-{name}.json"), &redact.json(&json.json()).replace(&size, "\"<size>\""));
    }
}

#[test]
fn inspect_takes_several_files_and_stops_at_none_that_fits_no_role() {
    let folder = Folder::new();
    let ran =
        folder.atlas(["inspect", "--output", "json", &guest_arg("identity"), &guest_arg("faulty")]).run().exits(0);
    let roles: Vec<(bool, bool)> = ran
        .json_lines()
        .iter()
        .map(|one| (one["operation"] == Value::Bool(true), one["validator"] == Value::Bool(true)))
        .collect();
    assert_eq!(roles, [(true, false), (true, true)]);
}

#[test]
fn validate_prints_the_plan_and_judges_a_sample_without_writing() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let mut arguments = mixed_arguments();
    arguments[0] = "validate".to_owned();
    let ran = folder.atlas(&arguments).run().exits(3);
    let redact = Redact::new(folder.path());
    // What the machine is like.
    let around = [" space ", " file system ", " SQLite "];
    let plan = ran.stdout.lines().filter(|line| !around.iter().any(|name| line.starts_with(name)));
    golden("validate.txt", &redact.text(&plan.map(|line| format!("{line}\n")).collect::<String>()));
    assert_eq!(ran.stderr, "");
    arguments.extend(["--output".to_owned(), "json".to_owned()]);
    let json = folder.atlas(&arguments).run().exits(3).json();
    assert_eq!(json["schema"], 1);
    assert_eq!((&json["sample"]["read"], &json["sample"]["stored"]), (&8.into(), &3.into()), "{json}");
    assert_eq!(json["sample"]["dry_run"], true);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["mixed.ndjson"]);
    arguments.extend(["--sample".to_owned(), "1".to_owned()]);
    assert_eq!(folder.atlas(&arguments).run().exits(0).json()["sample"]["read"], 1);
}

#[test]
fn query_by_index_condition_and_sql() {
    let folder = with_store();
    keep(&folder, "query-index", "query --index status --equals open", 0);
    keep(&folder, "query-none", "query --index status --equals nothing", 0);
    keep(&folder, "query-all-ndjson", "query --output ndjson", 0);
    keep(&folder, "query-csv", "query --output csv", 0);
    keep(&folder, "query-count", "query --count", 0);
    keep(&folder, "query-limit", "query --limit 1", 0);
    let plan = words(&folder, "query --index status --equals open --explain").exits(0).stdout;
    assert!(plan.contains("SEARCH items USING INDEX"), "{plan}");
    let two = folder.atlas(["query", "--where", "status = 'open' AND number > 6"]).run().exits(0);
    assert!(two.stdout.contains(" g ") && two.stdout.contains(" h ") && !two.stdout.contains(" a "), "{}", two.stdout);
    let grouped = sql(&folder, "SELECT status, count(*) FROM items GROUP BY status ORDER BY status");
    assert_eq!(grouped, ["open,3"]);
    let json = words(&folder, "query --output json").exits(0).json();
    assert_eq!(json.as_array().map(Vec::len), Some(3));
    assert_eq!(json[0]["body"]["status"], "open");
    words(&folder, "query --index number --equals 7").exits(0);
    let empty = words(&folder, "query --index number --equals 7 --text --output json").exits(0);
    assert_eq!(empty.json(), serde_json::json!([]));
}

#[test]
fn query_never_writes() {
    let folder = with_store();
    for statement in [
        "DELETE FROM items",
        "INSERT INTO items(id, body) VALUES ('x', '{}')",
        "DROP TABLE items",
        "PRAGMA user_version = 9",
        "ATTACH 'other.db' AS other",
        "SELECT 1; DELETE FROM items",
        "VACUUM",
    ] {
        let ran = folder.atlas(["query", "--sql", statement]).run().exits(2);
        assert!(ran.stderr.starts_with("error[CONFIG_3001]: ") && ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    }
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["3"]);
    assert!(!folder.at("other.db").exists());
}

#[test]
fn get_prints_bodies_as_they_are_stored() {
    let folder = with_store();
    let ran = words(&folder, "get h a").exits(0);
    let line = |n: usize| MIXED.lines().nth(n).expect("a line");
    assert_eq!(ran.stdout, format!("{}\n{}\n", line(7), line(0)));
    assert_eq!(ran.stderr, "");
    keep(&folder, "get-missing", "get a nobody", 3);
    keep_json(&folder, "get", "get a --output json", 0);
}

#[test]
fn why_leads_to_record_batch_run_and_plugins_or_to_the_dead_letter() {
    let folder = with_store();
    keep(&folder, "why", "why h", 0);
    keep(&folder, "why-refused", "why b", 0);
    keep(&folder, "why-unknown", "why nobody", 3);
    keep_json(&folder, "why", "why h c --output json", 0);
}

#[test]
fn why_tells_what_became_of_a_record_by_its_place_in_the_input() {
    let folder = with_store();
    let told = |ordinal: u64| {
        let told = words(&folder, &format!("why --run 1 --ordinal {ordinal} --output json")).exits(0).json();
        assert_eq!((told["ordinal"].as_u64(), told["line"].as_u64()), (Some(ordinal), Some(ordinal + 1)), "{told}");
        told["fate"].as_str().expect("a fate").to_owned()
    };
    let fates: Vec<String> = (0..8).map(told).collect();
    assert_eq!(
        fates,
        ["stored", "rejected", "rejected", "dropped", "dead-lettered", "dead-lettered", "stored", "stored"]
    );
    let text = |ordinal| words(&folder, &format!("why --run 1 --ordinal {ordinal}")).exits(0).stdout;
    let dropped = text("3");
    assert!(dropped.lines().any(|line| line.starts_with("fate ") && line.contains("dropped by work (")), "{dropped}");
    assert!(dropped.contains("line 4 of "), "{dropped}");
    assert!(text("1").contains("FAULTY_REJECT") && text("4").contains("VALIDATION_4004"), "{}", text("4"));
    let stored = text("6");
    assert!(stored.contains("--into items --where 'batch = 1 AND ordinal = 6'"), "{stored}");
    let found = folder.atlas(["query", "--where", "batch = 1 AND ordinal = 6", "--output", "ndjson"]).run().exits(0);
    assert!(found.stdout.lines().count() == 1 && found.stdout.contains("\"g\""), "{}", found.stdout);
    words(&folder, "why --run 1 --ordinal 8").exits(3).says("run 1 has accounted for 8 records").says("ordinal 8");
    words(&folder, "why --run 9 --ordinal 0").exits(2).says("error[CONFIG_3001]: there is no run 9");
    for line in ["why", "why --ordinal 0", "why --run 1", "why a --run 1 --ordinal 0"] {
        words(&folder, line).exits(2);
    }
}

#[test]
fn places_of_dropped_items_are_kept_within_a_bound_and_what_is_beyond_is_told_as_that() {
    let folder = Folder::new();
    let fault = |n: usize| if n % 2 == 1 { ",\"fault\":\"drop\"" } else { "" };
    let items: String = (0..1200).map(|n| format!("{{\"id\":\"i-{n:06}\"{}}}\n", fault(n))).collect();
    folder.write("in.ndjson", items);
    let fates = |size: usize, ordinals: [u64; 5]| {
        let further = format!("--plugin {} --batch-size {size} --strategy sequential", guest_arg("faulty"));
        words(&folder, &format!("run --input in.ndjson --id id --store {size}.db {further}")).exits(0);
        ordinals.map(|ordinal| {
            let line = format!("why --run 1 --ordinal {ordinal} --store {size}.db --output json");
            words(&folder, &line).exits(0).json()["fate"].as_str().map(str::to_owned)
        })
    };
    let (stored, dropped) = (Some("stored".to_owned()), Some("dropped".to_owned()));
    // In many batches there are fewer stretches in each.
    let all = [&stored, &dropped, &stored, &dropped, &dropped].map(Clone::clone);
    assert_eq!(fates(100, [0, 99, 100, 555, 1199]), all);
    let kept = atlas_host::limits::DROPPED_STRETCHES_KEPT_MAX as u64;
    assert_eq!(fates(1200, [0, kept - 2, kept - 1, kept, 1199]), [stored.clone(), stored, dropped, None, None]);
    let text = words(&folder, "why --run 1 --ordinal 1199 --store 1200.db").exits(0).stdout;
    assert!(text.contains("stored or dropped: 600 of 1200 records of its batch were dropped"), "{text}");
}

#[test]
fn why_names_the_line_of_a_record_or_between_which_lines_it_stood() {
    let folder = Folder::new();
    folder.write("one.ndjson", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    folder.write("two.ndjson", "{\"id\":\"c\"}\n\n\n{\"id\":\"d\"}\n");
    for (input, store) in [("one", "one.db"), ("two", "two.db")] {
        words(&folder, &format!("run --id id --input {input}.ndjson --store {store}")).exits(0);
    }
    let line = |id: &str, store: &str| {
        let text = words(&folder, &format!("why {id} --store {store}")).exits(0).stdout;
        let record = text.lines().find(|line| line.starts_with("record ")).expect("a record").to_owned();
        let json = words(&folder, &format!("why {id} --store {store} --output json")).exits(0).json();
        (record.split("  ").last().expect("a value").to_owned(), json["line"].as_u64(), json["ordinal"].as_u64())
    };
    let place = |name: &str| folder.path().canonicalize().expect("a folder").join(name).display().to_string();
    assert_eq!(line("b", "one.db"), (format!("ordinal 1, line 2 of {}", place("one.ndjson")), Some(2), Some(1)));
    let between = format!("between lines 1 and 4 of {}", place("two.ndjson"));
    assert_eq!(line("d", "two.db"), (format!("ordinal 1, {between}"), None, Some(1)));
    // Elements may share a line: they are counted.
    folder.write("array.json", "[{\"id\":\"e\"},{\"id\":\"f\"},\n\n{\"id\":\"g\"}]\n");
    words(&folder, "run --id id --input array.json --store array.db").exits(0);
    assert_eq!(line("f", "array.db"), (format!("ordinal 1, record 2 of {}", place("array.json")), Some(2), Some(1)));
    words(&folder, "run --id id --input one.ndjson --input two.ndjson --store both.db --batch-size 4").exits(0);
    let (told, line, _) = line("c", "both.db");
    assert_eq!(line, None);
    assert!(told.contains("between line 1 of ") && told.contains(" and line 4 of "), "{told}");
    // Nor is it known which of the two inputs it stood in.
    let json = words(&folder, "why d --store both.db --output json").exits(0).json();
    assert_eq!(json["input"], serde_json::Value::Null, "{json}");
}

#[test]
fn export_prints_the_collection_or_writes_a_file_that_is_whole() {
    let folder = with_store();
    let stored: String = [0, 6, 7].map(|n| format!("{}\n", MIXED.lines().nth(n).expect("a line"))).concat();
    let ran = words(&folder, "export").exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (stored.as_str(), ""));
    let ran = words(&folder, "export --to out.ndjson").exits(0).says("3 items");
    assert_eq!(ran.stdout, "");
    assert_eq!(folder.read("out.ndjson"), stored);
    let with_id = words(&folder, "export --with-id").exits(0).json_lines();
    assert_eq!(with_id[1]["id"], "g");
    assert_eq!(with_id[1]["body"]["number"], 7);
    words(&folder, "export --to no/such/out.ndjson")
        .exits(5)
        .says("error[STORAGE_2002]")
        .says("no/such/out.ndjson")
        .says("hint: ");
    words(&folder, "export --to atlas.db").exits(2).says("is the store itself");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["3"]);
}

#[test]
fn runs_lists_and_shows() {
    let folder = with_store();
    let list = words(&folder, "runs list").exits(0).stdout;
    let fields: Vec<&str> = list.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(&fields[..2], ["1", "partial"], "{list}");
    assert!(list.lines().next().expect("a header").contains("STATUS"), "{list}");
    let one = &words(&folder, "runs list --output json").exits(0).json_lines()[0];
    let counts = ["read", "stored", "rejected", "dead_lettered", "dropped"].map(|name| one[name].as_u64());
    assert_eq!(counts, [8, 3, 2, 2, 1].map(Some), "{one}");
    keep(&folder, "runs-show", "runs show", 0);
    keep_json(&folder, "runs-show", "runs show 1 --output json", 0);
    let batches = words(&folder, "runs show --batches").exits(0).stdout;
    assert!(batches.lines().any(|line| line.split_whitespace().take(3).eq(["BATCH", "FROM", "ITEMS"])), "{batches}");
    words(&folder, "runs show 7").exits(2).says("error[CONFIG_3001]: there is no run 7").says("hint: the newest is 1");
}

#[test]
fn dead_letters_are_listed_and_shown() {
    let folder = with_store();
    keep(&folder, "dead-letters-list", "dead-letters list", 0);
    keep_json(&folder, "dead-letters-list", "dead-letters list --output json", 0);
    keep(&folder, "dead-letters-list-none", "dead-letters list --code NOBODY_1", 0);
    keep(&folder, "dead-letters-show", "dead-letters show 1 2 3 4", 0);
    keep_json(&folder, "dead-letters-show", "dead-letters show 1 2 3 4 --output json", 0);
    let broken = sql(&folder, "SELECT id FROM atlas_dead_letters WHERE phase = 'decode'");
    let raw = words(&folder, &format!("dead-letters show --raw {}", broken[0])).exits(0).stdout;
    assert_eq!(raw, r#"{"id":"e","status":"#);
    words(&folder, "dead-letters show 99").exits(3).says("no dead letter 99");
    for (filter, count) in [
        ("--phase validate", 1),
        ("--phase operate", 1),
        ("--phase decode", 1),
        ("--phase store", 1),
        ("--run 1", 4),
        ("--run 2", 0),
        ("--slot work", 1),
    ] {
        let found = words(&folder, &format!("dead-letters list --output json {filter}")).exits(0).json_lines().len();
        assert_eq!(found, count, "{filter}");
    }
    words(&folder, "dead-letters list --phase nowhere")
        .exits(2)
        .says("the phases are decode, validate, operate, store");
}

#[test]
fn index_list_shows_what_is_indexed() {
    let folder = with_store();
    let list = words(&folder, "index list").exits(0).stdout;
    let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split_whitespace().take(5).collect()).collect();
    assert_eq!(rows, [["items", "number", "/number", "yes", "3"], ["items", "status", "/status", "no", "3"]], "{list}");
    let json = words(&folder, "index list --output json").exits(0).json_lines();
    assert_eq!(
        (&json[0]["name"], &json[0]["unique"], &json[0]["entries"]),
        (&"number".into(), &true.into(), &3.into())
    );
}

#[test]
fn index_list_tells_the_size_of_an_index_and_when_it_was_last_verified() {
    let folder = with_store();
    let listed = || words(&folder, "index list --output json").exits(0).json_lines();
    let verified = |list: &[Value]| list.iter().map(|index| index["verified_ms"].is_u64()).collect::<Vec<_>>();
    let last_column = || {
        let list = words(&folder, "index list").exits(0).stdout;
        assert!(list.lines().next().expect("a header").trim_end().ends_with("LAST VERIFIED"), "{list}");
        list.lines().skip(1).map(|line| line.trim_end().ends_with("never")).collect::<Vec<_>>()
    };
    for index in listed() {
        let bytes = index["bytes"].as_u64().expect("a size");
        let page = u64::from(atlas_host::limits::STORE_PAGE_BYTES);
        assert!(bytes >= page && bytes.is_multiple_of(page), "a page or more: {index}");
        assert!(index["created_ms"].is_u64(), "{index}");
    }
    assert_eq!((verified(&listed()), last_column()), (vec![false, false], vec![true, true]));
    words(&folder, "index verify status").exits(0);
    assert_eq!((verified(&listed()), last_column()), (vec![false, true], vec![true, false]), "that one alone");
    words(&folder, "index verify").exits(0);
    assert_eq!((verified(&listed()), last_column()), (vec![true, true], vec![false, false]));
    let index = &listed()[0];
    assert!(index["verified_ms"].as_u64() >= index["created_ms"].as_u64(), "{index}");
}

#[test]
fn verify_finds_that_everything_holds() {
    let folder = with_store();
    keep(&folder, "verify", "verify", 0);
    keep(&folder, "verify-quick", "verify --quick", 0);
    keep_json(&folder, "verify", "verify --output json", 0);
}

#[test]
fn looking_changes_not_a_byte_of_the_store() {
    let folder = with_store();
    let before = std::fs::read(folder.at("atlas.db")).expect("a store");
    for line in [
        "runs list",
        "runs show",
        "dead-letters list",
        "dead-letters show 1",
        "index list",
        "query",
        "get a",
        "export",
        "verify",
    ] {
        words(&folder, line).exits(0);
    }
    assert_eq!(std::fs::read(folder.at("atlas.db")).expect("a store"), before);
}

#[test]
fn an_unknown_name_brings_the_nearest_known_one() {
    let folder = with_store();
    words(&folder, "query --into itemz")
        .exits(2)
        .says("error[CONFIG_3001]")
        .says("itemz")
        .says("did you mean")
        .says("items");
    words(&folder, "get a --into itemz").exits(2).says("itemz").says("items");
    words(&folder, "export --into itemz").exits(2).says("itemz").says("items");
    words(&folder, "query --index statos --equals x")
        .exits(2)
        .says("error[INDEX_7001]")
        .says("statos")
        .says("did you mean")
        .says("status");
    words(&folder, "index drop statos").exits(2).says("error[INDEX_7001]").says("status");
    words(&folder, "index verify statos").exits(2).says("error[INDEX_7001]").says("status");
    words(&folder, "index rebuild statos").exits(2).says("error[INDEX_7001]").says("status");
    words(&folder, "qeury").exits(2).says("error[CONFIG_3001]").says("query");
}
