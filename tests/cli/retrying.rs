//! `dead-letters retry`: which letters, what becomes of them and where it leads, and what is gone from the store.

use rusqlite::Connection;

use super::{sql, with_store, words};
use crate::harness::{Folder, Ran, guest, guest_arg};
use crate::swap::stamp;

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

/// Three items that the rules of tickets reject, each with another answer of the guest `faulty`.
fn with_letters(further: &str) -> Folder {
    let folder = Folder::new();
    folder.write(
        "in.ndjson",
        "{\"id\":\"a\"}\n{\"id\":\"b\",\"fault\":\"retry\"}\n{\"id\":\"c\",\"fault\":\"emit(2)\"}\n",
    );
    let (rules, identity) = (guest_arg("ticket-rules"), guest_arg("identity"));
    let plugins = format!("--validator rules={rules} --plugin work={identity}");
    words(&folder, &format!("run -q --input in.ndjson --id id {plugins} {further}")).exits(3);
    folder
}

fn retry(folder: &Folder, further: &str) -> Ran {
    let faulty = guest_arg("faulty");
    words(folder, &format!("dead-letters retry -q --validator rules={faulty} --plugin work={faulty} {further}"))
}

#[test]
fn what_fails_again_counts_on_and_leads_to_the_letter_and_the_line_before() {
    let folder = with_letters("");
    retry(&folder, "").exits(3);
    retry(&folder, "").exits(3);
    let chain =
        "SELECT id, run, coalesce(retry_of, 0), attempts, line, input LIKE '%in.ndjson', state FROM atlas_dead_letters
                 WHERE item_id = 'b' ORDER BY id";
    assert_eq!(sql(&folder, chain), ["2,1,0,1,2,1,retried", "4,2,2,4,2,1,retried", "5,3,4,7,2,1,open"]);
    let shown = words(&folder, "dead-letters show 5").exits(0).stdout;
    assert!(
        shown.contains("dead letter 4") && shown.contains("7 attempts with those of the letters before"),
        "{shown}"
    );
    let letter = words(&folder, "dead-letters show 4 --output json").exits(0).json();
    assert_eq!((&letter["retry_of"], &letter["resolved_run"]), (&2.into(), &3.into()));
    assert_eq!(letter["resolved_ordinal"], 0);
    words(&folder, "verify").exits(0);
}

/// Also where a plugin reads the store, so that items are settled one after another.
#[test]
fn what_the_store_refuses_tells_the_attempts_that_it_took() {
    let links = format!("--validator {} --index parent=/parentPath", guest_arg("task-links"));
    for validator in ["", &links] {
        let folder = Folder::new();
        let task = |path, more| format!("{{\"path\":\"{path}\",\"name\":\"x\",\"type\":\"MILESTONE\"{more}}}\n");
        folder.write("in.ndjson", task("p", "") + &task("q", ",\"fault\":\"retry(2)\""));
        let flags = format!("--id path --unique name --plugin work={} {validator}", guest_arg("faulty"));
        words(&folder, &format!("run -q --input in.ndjson {flags}")).exits(3);
        assert_eq!(sql(&folder, "SELECT item_id, phase, attempts FROM atlas_dead_letters"), ["q,store,3"]);
    }
}

#[test]
fn what_a_retry_stored_leads_to_the_line_that_it_came_of_whatever_its_id() {
    let folder = with_letters("--batch-size 1");
    retry(&folder, "--batch-size 2").exits(3);
    for (id, letter, line) in [("a", 1, 1), ("c#0", 3, 3), ("c#1", 3, 3)] {
        let why = folder.atlas(["why", id, "--output", "json"]).run().exits(0).json();
        assert_eq!((&why["dead_letter"], &why["line"], &why["run"]["run"]), (&letter.into(), &line.into(), &2.into()));
        assert!(why["input"].as_str().is_some_and(|input| input.ends_with("in.ndjson")), "{why}");
        let why = folder.atlas(["why", id]).run().exits(0).stdout;
        assert!(why.contains(&format!("dead letter {letter} of run 1, of line {line} (byte ")), "{why}");
    }
}

#[test]
fn a_plugin_given_for_one_slot_leaves_the_others_at_their_work() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\",\"n\":1,\"fault\":\"reject\"}\n");
    folder.write("stamp.wasm", stamp("v1"));
    let (faulty, identity) = (guest_arg("faulty"), guest_arg("identity"));
    let plugins = format!("--validator rules=stamp.wasm --validator more={faulty} --plugin first=stamp.wasm");
    words(&folder, &format!("run -q --input in.ndjson --id id {plugins} --plugin second={faulty}")).exits(3);
    for (given, told) in [
        (
            format!("--plugin other={identity}"),
            "run 1 had several of role operation: first, second, and none of them is other",
        ),
        (
            format!("--validator other={faulty}"),
            "run 1 had several of role validator: rules, more, and none of them is other",
        ),
    ] {
        words(&folder, &format!("dead-letters retry --run 1 {given}")).exits(2).says(told).says("SLOT=FILE");
    }
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_runs"), ["1"], "nothing was begun");
    words(&folder, &format!("dead-letters retry -q --validator rules={faulty} --plugin second={identity}")).exits(0);
    let slots = "SELECT slot FROM atlas_run_plugins WHERE run = 2 ORDER BY position";
    assert_eq!(sql(&folder, slots), ["rules", "more", "first", "second"]);
    assert_eq!(sql(&folder, "SELECT body ->> '$.by' FROM items"), ["v1"], "the first stage has had it");
    words(&folder, "verify").exits(0);
}

#[test]
fn a_run_gets_a_further_plugin_only_where_its_letters_are_asked_for() {
    let folder = Folder::new();
    folder.write(
        "in.ndjson",
        "{\"id\":\"a\",\"fault\":\"reject\"}\n{\"id\":\"b\",\"n\":1,\"fault\":\"validator-reject(1)\"}\n",
    );
    folder.write("stamp.wasm", stamp("v1"));
    let (faulty, identity) = (guest_arg("faulty"), guest_arg("identity"));
    words(&folder, &format!("run -q --input in.ndjson --id id --plugin work={faulty}")).exits(3);
    // What this moves out has been through the operation.
    words(&folder, &format!("revalidate -q --dead-letter --validator rules={faulty}")).exits(3);
    words(&folder, &format!("dead-letters retry --plugin work={identity}"))
        .exits(2)
        .says("run 2 had no operation, so slot work would be added to it")
        .says("--run RUN");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["0"], "no run is tried where one cannot be");
    words(&folder, &format!("dead-letters retry -q --run 1 --plugin work={identity}")).exits(0);
    words(&folder, "dead-letters retry -q --run 2 --validator rules=stamp.wasm --plugin work=stamp.wasm").exits(0);
    assert_eq!(sql(&folder, "SELECT id, body ->> '$.by' FROM items ORDER BY id"), ["a,", "b,v1"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn with_into_only_letters_of_that_collection_are_tried() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\",\"fault\":\"reject\"}\n");
    let (faulty, identity) = (guest_arg("faulty"), guest_arg("identity"));
    for collection in ["one", "two", "three"] {
        let ran =
            words(&folder, &format!("run -q --input in.ndjson --id id --into {collection} --plugin work={faulty}"));
        ran.exits(3);
    }
    let open = "SELECT collection FROM atlas_dead_letters AS l JOIN atlas_runs AS r ON r.id = l.run
                WHERE l.state = 'open' ORDER BY collection";
    let work = format!("work={identity}");
    let retry = ["dead-letters", "retry", "-q", "--plugin", &work];
    folder.atlas(retry.iter().chain(&["--into", "four"])).run().exits(0);
    assert_eq!(sql(&folder, open), ["one", "three", "two"]);
    folder.atlas(retry.iter().chain(&["--into", "one"])).run().exits(0);
    assert_eq!(sql(&folder, open), ["three", "two"]);
    folder.atlas(retry).env("ATLAS_INTO", "two").run().exits(0);
    assert_eq!(sql(&folder, open), ["three"]);
    // The file is about runs.
    folder.write("atlas.toml", "into = \"four\"\n");
    folder.atlas(retry).run().exits(0);
    assert_eq!(sql(&folder, open), [""; 0]);
    words(&folder, "verify").exits(0);
}

#[test]
fn plugins_of_the_file_are_for_runs_and_those_of_the_environment_count_as_given() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\",\"fault\":\"reject\"}\n");
    let copy = |name: &str| std::fs::copy(guest(name), folder.at("work.wasm")).map(drop).expect("a copy");
    copy("faulty");
    folder.write("atlas.toml", "id = \"id\"\n[plugins.work]\nsource = \"work.wasm\"\nrole = \"operation\"\n");
    words(&folder, "run -q --input in.ndjson").exits(3);
    copy("identity");
    words(&folder, "dead-letters retry -q").exits(3);
    // Nor does it matter which version is pinned there.
    let identity = words(&folder, "inspect work.wasm --output json").exits(0).json()["digest"].clone();
    folder.write("atlas.toml", folder.read("atlas.toml") + &format!("digest = {identity}\n"));
    words(&folder, "dead-letters retry -q").exits(3);
    assert_eq!(
        sql(&folder, "SELECT count(DISTINCT digest) FROM atlas_run_plugins"),
        ["1"],
        "the store's, not the file's"
    );
    folder.atlas(["dead-letters", "retry", "-q"]).env("ATLAS_PLUGIN", "work=work.wasm").run().exits(0);
    assert_eq!(sql(&folder, "SELECT id FROM items"), ["a"]);
    words(&folder, "verify").exits(0);
}

#[test]
fn letters_are_chosen_by_the_slot_and_the_plugin_that_refused_them() {
    let folder = with_store();
    // Each run whose letters are tried has a run of its own.
    let tried = |further: &str| {
        let before = sql(&folder, "SELECT max(id) FROM atlas_runs").remove(0);
        words(&folder, &format!("dead-letters retry -q {further}")).exits(3);
        let letters = format!("SELECT item_id FROM atlas_dead_letters WHERE run > {before} ORDER BY item_id");
        sql(&folder, &letters).join(",")
    };
    assert_eq!(tried("--slot rules"), "b");
    assert_eq!(tried("--slot work"), "c");
    let digest = sql(&folder, "SELECT digest FROM atlas_plugins").remove(0);
    let short = &digest["blake3:".len()..][..12];
    assert_eq!(tried(&format!("--digest {short}")), "b,c");
    let list = words(&folder, &format!("dead-letters list --plugin {short} --output json")).exits(0).json_lines();
    assert_eq!(list.len(), 2, "{list:?}");
    assert!(list.iter().all(|letter| letter["plugin"] == *digest));
    words(&folder, "dead-letters retry --slot nobody").exits(0).says("nothing was tried");
    words(&folder, "dead-letters retry --digest 00000000")
        .exits(2)
        .says("no dead letter is of a plugin with the digest");
    words(&folder, "verify").exits(0);
}

#[test]
fn a_letter_does_not_take_the_place_of_what_was_written_after_it() {
    for size in [1, 1000] {
        let folder = Folder::new();
        folder.write("old.ndjson", "{\"id\":\"a\",\"v\":1}\n{\"id\":\"b\",\"v\":1}\n{\"id\":\"a\",\"v\":2}\n{\"id\":\"d\",\"fault\":\"emit(1)\"}\n");
        folder.write("new.ndjson", "{\"id\":\"b\",\"v\":3}\n{\"id\":\"d#0\",\"v\":3}\n");
        let (rules, identity) = (guest_arg("ticket-rules"), guest_arg("identity"));
        let plugins = format!("--validator rules={rules} --plugin work={identity}");
        words(&folder, &format!("run -q --input old.ndjson --id id {plugins}")).exits(3);
        words(&folder, "run -q --input new.ndjson --id id").exits(0);
        retry(&folder, &format!("--batch-size {size}")).exits(3);
        let rows = "SELECT id || ' ' || coalesce(body ->> '$.v', '-') FROM items ORDER BY id";
        // Of two letters the later one wins, and neither is newer than what they themselves wrote.
        assert_eq!(sql(&folder, rows), ["a 2", "b 3", "d#0 3"]);
        let open = words(&folder, "dead-letters list --output json").exits(0).json_lines();
        let told: Vec<_> =
            open.iter().map(|l| (l["item"].as_str(), l["code"].as_str(), l["retry_of"].as_i64())).collect();
        assert_eq!(told, [(Some("b"), Some("INDEX_7005"), Some(2)), (Some("d"), Some("INDEX_7005"), Some(4))]);
        assert!(open[0]["message"].as_str().is_some_and(|text| text.contains("by run 2; --over-newer")), "{open:?}");
        // A letter of a retry is as old as its first one.
        retry(&folder, "").exits(3);
        assert_eq!(sql(&folder, rows), ["a 2", "b 3", "d#0 3"]);
        retry(&folder, "--over-newer").exits(0);
        assert_eq!(sql(&folder, rows), ["a 2", "b 1", "d#0 -"]);
        words(&folder, "verify").exits(0);
    }
}

/// What the store has not taken was never there, however many letters are tried at once.
#[test]
fn a_letter_that_gives_way_to_a_newer_row_is_seen_by_no_later_one() {
    let (rules, probe) = (guest_arg("ticket-rules"), guest_arg("probe"));
    for (further, seen) in [("", r#"{"new":1}"#), ("--over-newer", r#"["replaced"]"#)] {
        let folder = Folder::new();
        folder.write("in.ndjson", "\"replace\"\n\"get - 0\"\n");
        folder.write("new.ndjson", "{\"new\":1}\n");
        words(&folder, &format!("run -q --input in.ndjson --validator rules={rules}")).exits(3);
        words(&folder, "run -q --input new.ndjson").exits(0);
        let plugins = format!("--validator rules={probe} --plugin work={probe}");
        words(&folder, &format!("dead-letters retry -q --run 1 {plugins} --batch-size 10 {further}")).exits(3);
        let letters = words(&folder, "dead-letters list --output json").exits(0).json_lines();
        let told = letters.last().expect("what the second one was told")["problems"][0]["details"].clone();
        assert_eq!(told, serde_json::json!([["0", seen]]));
    }
}

#[test]
fn a_letter_that_was_tried_late_gives_way_to_one_that_is_newer_and_was_tried_before() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\",\"v\":1}\n{\"id\":\"a\",\"v\":2}\n");
    let rules = guest_arg("ticket-rules");
    words(&folder, &format!("run -q --input in.ndjson --id id --validator rules={rules}")).exits(3);
    retry(&folder, "2").exits(0);
    retry(&folder, "1").exits(3);
    assert_eq!(sql(&folder, "SELECT body ->> '$.v' FROM items"), ["2"]);
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\",\"v\":1}\n{\"id\":\"a\",\"v\":2}\n");
    words(&folder, &format!("run -q --input in.ndjson --id id --validator rules={rules}")).exits(3);
    retry(&folder, "1").exits(0);
    retry(&folder, "2").exits(0);
    assert_eq!(sql(&folder, "SELECT body ->> '$.v' FROM items"), ["2"]);
}

#[test]
fn bytes_that_are_no_text_stay_as_they_were_however_often_they_are_tried() {
    let folder = Folder::new();
    folder.write("in.ndjson", b"{\"id\":\"\xff\xfe\"}\n");
    words(&folder, "run -q --input in.ndjson --id id").exits(3);
    words(&folder, "dead-letters retry -q").exits(3);
    words(&folder, "dead-letters retry -q").exits(3);
    let bytes = "SELECT hex(original), total_bytes, attempts, line FROM atlas_dead_letters ORDER BY id";
    let all = sql(&folder, bytes);
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|row| row.starts_with("7B226964223A22FFFE227D,11,")), "{all:?}");
    words(&folder, "verify").exits(0);
}

/// A position among the letters would be that of another item.
#[test]
fn an_item_without_an_id_gets_its_position_in_the_input_when_it_is_tried_again() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"x\"}\n{\"n\":1}\n{\"n\":2}\n");
    words(&folder, "run -q --input in.ndjson --id id").exits(3);
    words(&folder, "dead-letters retry -q --missing-id ordinal 2").exits(0);
    // Fails once more before, so that it is a letter of another run.
    words(&folder, "dead-letters retry -q 1").exits(3);
    words(&folder, "dead-letters retry -q --missing-id ordinal").exits(0);
    assert_eq!(sql(&folder, "SELECT id, body ->> '$.n' FROM items ORDER BY id"), ["1,1", "2,2", "x,"]);
    words(&folder, "verify").exits(0);
}

/// The file may have another pointer by now, and its limit is one of runs.
#[test]
fn a_retry_has_the_id_pointer_of_its_run_and_no_limit_but_its_own() {
    for (id, wanted) in [("--id key", ["k1", "k2", "zzz"]), ("", ["0", "1", "zzz"])] {
        let folder = Folder::new();
        let line = |key| format!("{{\"key\":\"{key}\",\"id\":\"zzz\",\"text\":\"more than forty bytes of it\"}}\n");
        folder.write("in.ndjson", line("k1") + &line("k2"));
        folder.write("there.ndjson", "{\"id\":\"zzz\"}\n");
        words(&folder, &format!("run -q --input in.ndjson --max-line-bytes 40 {id}")).exits(3);
        words(&folder, "run -q --input there.ndjson --id id").exits(0);
        folder.write("atlas.toml", "id = \"id\"\nlimit = 1\n");
        words(&folder, "dead-letters retry -q").exits(0);
        assert_eq!(sql(&folder, "SELECT id FROM items ORDER BY id"), wanted);
        let there = "SELECT count(*) FROM items WHERE id = 'zzz' AND body ->> '$.text' IS NULL";
        assert_eq!(sql(&folder, there), ["1"], "nobody has taken its place");
    }
}

#[test]
fn a_row_of_a_table_that_could_not_be_read_is_no_item_and_takes_no_others_place() {
    let folder = Folder::new();
    folder.write("in.csv", "a,b\nx,y\n5\n");
    words(&folder, "run -q --input in.csv").exits(3);
    let ran = words(&folder, "dead-letters retry").exits(0);
    ran.says("1 dead letters are rows of a table that could not be read");
    assert_eq!(sql(&folder, "SELECT id, body ->> '$.a', body ->> '$.b' FROM items"), ["0,x,y"]);
    assert_eq!(sql(&folder, "SELECT state FROM atlas_dead_letters"), ["open"]);
    // A line that was too long is whole among the letters, and keeps its position.
    folder.write("in.ndjson", "{\"n\":0}\n{\"text\":\"quite a long one\"}\n");
    words(&folder, "run -q --input in.ndjson --max-line-bytes 20 --store lines.db").exits(3);
    words(&folder, "dead-letters retry -q --store lines.db").exits(0);
    let rows = words(&folder, "export --with-id --store lines.db").exits(0).stdout;
    assert_eq!(rows.lines().count(), 2, "{rows}");
}

/// What was refused for a row that was there first is not to replace that row by being tried again.
#[test]
fn an_item_refused_for_an_existing_one_is_refused_again_unless_a_flag_says_otherwise() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"x\",\"n\":1}\n{\"id\":\"x\",\"n\":2}\n");
    words(&folder, "run -q --input in.ndjson --id id --on-existing reject").exits(3);
    words(&folder, "dead-letters retry -q").exits(3);
    let row = "SELECT body ->> '$.n' FROM items";
    assert_eq!(sql(&folder, row), ["1"]);
    words(&folder, "dead-letters retry -q --on-existing replace").exits(0);
    assert_eq!(sql(&folder, row), ["2"]);
}

#[test]
fn settings_of_a_plugin_that_the_retry_was_not_given_are_told() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"x\",\"fault\":\"reject\"}\n");
    let faulty = guest_arg("faulty");
    let line = format!("run -q --input in.ndjson --id id --plugin work={faulty} --plugin-config work.limit=3");
    words(&folder, &line).exits(3);
    let ran = words(&folder, "dead-letters retry --plugin-config work.limit=3").exits(3);
    assert!(!ran.stderr.contains("other settings"), "{}", ran.stderr);
    words(&folder, "dead-letters retry").exits(3).says("Slot work has other settings than in run 2");
}

#[test]
fn grants_of_a_plugin_that_the_retry_was_not_given_are_told() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"x\",\"fault\":\"reject\"}\n");
    let grants = "--grant-env work=LANGUAGE=en --grant-collection others";
    let line = format!("run -q --input in.ndjson --id id --plugin work={} {grants}", guest_arg("faulty"));
    words(&folder, &line).exits(3);
    let ran = words(&folder, &format!("dead-letters retry {grants}")).exits(3);
    assert!(!ran.stderr.contains("granted in run"), "{}", ran.stderr);
    let lacks = |run, what| format!("Slot work lacks what it was granted in run {run}: {what}. Grant it");
    let ran = words(&folder, "dead-letters retry --grant-env LANGUAGE=de").exits(3);
    ran.says(&lacks(2, "collection:others"));
    words(&folder, "dead-letters retry --grant-collection others").exits(3).says(&lacks(3, "env:LANGUAGE"));
    words(&folder, "dead-letters retry").exits(3).says(&lacks(4, "collection:others"));
}

#[test]
fn a_retry_may_write_where_its_run_might() {
    let folder = Folder::new();
    // What it depends on comes later.
    folder.write("early.ndjson", "{\"path\":\"b\",\"name\":\"B\",\"dependencies\":[\"a\"]}\n");
    folder.write("late.ndjson", "{\"path\":\"a\",\"name\":\"A\",\"dependencies\":[]}\n");
    let (links, enrich) = (guest_arg("task-links"), guest_arg("task-enrich"));
    let run = |input: &str| {
        let flags = format!("--id /path --into tasks --collection edges --validator {links} --plugin {enrich}");
        words(&folder, &format!("run -q --input {input} {flags} --plugin-config edges=edges"))
    };
    run("early.ndjson").exits(3);
    run("late.ndjson").exits(0);
    words(&folder, "dead-letters retry --plugin-config edges=edges").exits(0);
    assert_eq!(sql(&folder, "SELECT id FROM edges"), ["edge:b>a"]);
}
