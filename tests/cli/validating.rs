//! `validate`: what is wrong with plugins and surroundings, and inputs that are no plain files.

use super::{numbered, plain_run, words};
use crate::harness::{Folder, Ran, guest_arg};

/// The plan that was printed: the value of a setting, if it is there.
fn setting(ran: &Ran, name: &str) -> Option<String> {
    let line = ran.stdout.lines().find(|line| line.starts_with(&format!(" {name} ")))?;
    Some(line[name.len() + 1..].trim().to_owned())
}

#[test]
fn the_surroundings_of_the_store_are_part_of_the_plan() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    let ran = words(&folder, "validate --input in.ndjson --id id --min-disk-free 1B").exits(0);
    assert!(setting(&ran, "space").is_some_and(|space| space.ends_with(" left")), "{}", ran.stdout);
    assert!(setting(&ran, "SQLite").is_some_and(|version| version.starts_with("3.")), "{}", ran.stdout);
    let ran = words(&folder, "validate --input in.ndjson --id id --min-disk-free 1000000GiB").exits(0);
    let space = setting(&ran, "space").expect("it is told");
    assert!(space.starts_with("space left for the store is ") && space.contains(", less than the "), "{space}");
    // Where nothing is stored there is nothing to say.
    let ran = words(&folder, "validate --input in.ndjson --processor memory").exits(0);
    assert_eq!((setting(&ran, "space"), setting(&ran, "SQLite")), (None, None));
}

#[test]
fn a_file_system_that_a_run_warns_of_is_told_before() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else { return };
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    let store = memory.path().join("a.db").display().to_string();
    let flaw = "tmpfs, which nothing survives a restart of the machine on";
    let ran = words(&folder, &format!("validate --input in.ndjson --id id --store {store}")).exits(0);
    assert_eq!(setting(&ran, "file system").as_deref(), Some(flaw), "{}", ran.stdout);
    plain_run(&folder, &format!("--store {store}")).run().exits(0).says(&format!("the store is on {flaw}"));
}

#[test]
fn every_plugin_that_is_no_good_is_told_and_not_the_first_alone() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    let (rules, tidy) = (guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    let line = format!(
        "validate --input in.ndjson --id id --validator a=none.wasm --validator b=in.ndjson --validator c={rules} \
         --plugin d={rules} --plugin e={tidy} --plugin f={tidy} --grant-dir f=none"
    );
    let ran = words(&folder, &line)
        .exits(4)
        .says("error[GUEST_10011]: plugin none.wasm")
        .says("error[GUEST_10011]: in.ndjson: found ")
        .says("error[CONFIG_3001]: --grant-dir none: no such directory")
        .says("ticket-rules.wasm");
    assert_eq!((ran.stderr.matches("error[").count(), ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
}

#[test]
fn stored_items_are_tried_as_a_run_from_them_would_read_them() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\"}\n{\"id\":\"b\",\"fault\":\"validator-reject(1)\"}\n");
    words(&folder, "run -q --input in.ndjson --id id").exits(0);
    let before = std::fs::read(folder.at("atlas.db")).expect("a store");
    let line = format!("validate --from items --into judged --validator rules={}", guest_arg("faulty"));
    let ran = words(&folder, &line).exits(3);
    assert_eq!(setting(&ran, "input").as_deref(), Some("collection items"), "{}", ran.stdout);
    let verdict = "Of the first 2 items 1 would be stored, 0 dropped, 1 rejected, 0 dead-lettered.";
    assert!(ran.stdout.contains(verdict), "{}", ran.stdout);
    assert_eq!(std::fs::read(folder.at("atlas.db")).expect("a store"), before);
    words(&folder, "validate --from items --input in.ndjson").exits(2).says("--from reads stored items");
}

#[test]
fn of_a_file_that_is_followed_what_is_there_now_is_tried() {
    let folder = Folder::new();
    folder.write("log.ndjson", numbered(4));
    folder.write("list.json", "[]");
    let ran = words(&folder, "validate --follow log.ndjson --id id").exits(0);
    assert!(ran.stdout.contains("Of the first 4 items 4 would be stored"), "{}", ran.stdout);
    words(&folder, "validate --follow list.json").exits(2).says("input `list.json` cannot be followed");
}

#[test]
fn of_a_folder_that_is_watched_the_files_that_are_there_now_are_tried() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("inbox")).expect("a folder");
    let line = "validate --watch-input inbox --id id";
    let ran = words(&folder, line).exits(0);
    assert!(ran.stdout.contains("Of the first 0 items"), "{}", ran.stdout);
    folder.write("inbox/one.ndjson", numbered(2));
    folder.write("inbox/two.csv", "id\nx\n");
    folder.write("inbox/three.csv.part", "id\ny\n");
    let ran = words(&folder, line).exits(0);
    let input = setting(&ran, "input").expect("it is told");
    assert!(input.contains("inbox/one.ndjson") && input.contains("inbox/two.csv"), "{input}");
    assert!(ran.stdout.contains("Of the first 3 items 3 would be stored"), "{}", ran.stdout);
    words(&folder, "validate --watch-input none").exits(2).says("--watch-input none: no such folder");
    words(&folder, &format!("{line} --limit 3")).exits(2).says("--watch-input cannot be given together with --limit");
}
