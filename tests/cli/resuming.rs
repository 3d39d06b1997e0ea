//! `runs resume`: an interrupted run goes on by its number, also where its store and its input lie elsewhere by now.

use atlas_host::model::Digest;
use rusqlite::Connection;

use super::continuing::{stopped, with_rejects};
use super::stored_input::{from_itself, stored};
use super::{plain_run, sql, words};
use crate::harness::{Folder, guest_arg};

/// Changes the store by hand.
fn by_hand(folder: &Folder, change: &str) {
    let store = Connection::open(folder.at("atlas.db")).expect("a store");
    store.execute(change, []).expect("a change");
}

#[test]
fn a_store_and_its_input_are_copied_elsewhere_and_the_run_goes_on_there() {
    let (here, further) = stopped();
    plain_run(&here, &format!("{further} --store whole.db")).run().exits(3);
    let there = Folder::new();
    std::fs::rename(here.at("atlas.db"), there.at("moved.db")).expect("a store that can be moved");
    std::fs::rename(here.at("in.ndjson"), there.at("elsewhere.ndjson")).expect("an input that can be moved");
    // It is about runs that begin.
    there.write("atlas.toml", "id = \"n\"\ninput = \"none.ndjson\"\nbatch-size = \"7\"\n");
    words(&there, "runs resume 1 --store moved.db")
        .exits(7)
        .says("in.ndjson`, which run 1 read, is not there")
        .says("hint: say where its input lies by now");

    let resume = "runs resume 1 --store moved.db --input elsewhere.ndjson --max-rejects 50 --output json";
    let report = words(&there, resume).exits(3).json();
    let figures = ["run", "resumed_at", "read", "stored", "rejected", "batches"].map(|name| report[name].as_u64());
    assert_eq!(figures, [1, 40, 100, 90, 10, 10].map(Some), "in batches of the size that the run had: {report}");
    let left = words(&there, "export --with-id --store moved.db").exits(0).stdout;
    assert!(left == words(&here, "export --with-id --store whole.db").exits(0).stdout, "the rows are others");
    words(&there, "verify --store moved.db").exits(0);

    let ran = words(&there, resume).exits(3).says("Run 1 has ended before (100 read, 90 stored, 10 rejected");
    assert_eq!(ran.json()["already_complete"], true);
    std::fs::remove_file(there.at("atlas.toml")).expect("a file");
    words(&there, &format!("run --input elsewhere.ndjson --id id --store moved.db {further}"))
        .exits(3)
        .says("Already complete: run 1 ");
}

#[test]
fn another_input_is_refused_by_name() {
    let (folder, _) = stopped();
    let text = folder.read("in.ndjson");
    folder.write("other.ndjson", text.replace("\"n\":5}", "\"n\":6}"));
    words(&folder, "runs resume 1 --input other.ndjson")
        .exits(2)
        .says("the first 40 records of other.ndjson are not those that run 1 has processed");
    assert_eq!(sql(&folder, "SELECT status, read, batches FROM atlas_runs"), ["interrupted,40,4"]);
}

#[test]
fn settings_that_decide_results_are_those_of_the_run_or_accepted() {
    let (folder, _) = stopped();
    let identity = guest_arg("identity");
    for (further, told) in [
        ("--on-existing reject".to_owned(), "on-existing was replace, is reject"),
        (format!("--plugin work={identity}"), "operation work was blake3:"),
        ("--into other".to_owned(), "run 1 writes to collection `items`, not to `other`"),
        ("--processor memory".to_owned(), "--processor memory cannot be given"),
    ] {
        words(&folder, &format!("runs resume 1 {further}")).exits(2).says(told);
    }
    words(&folder, "runs resume 2").exits(2).says("there is no run 2 in store");
    assert_eq!(sql(&folder, "SELECT status, read, batches FROM atlas_runs"), ["interrupted,40,4"]);
    assert_eq!(sql(&folder, "SELECT name FROM atlas_collections"), ["items"]);
    let line =
        format!("runs resume 1 --plugin work={identity} --accept-change --lanes 2 --max-rejects 50 --output json");
    let report = words(&folder, &line).exits(3).json();
    assert_eq!((&report["resumed_at"], &report["stored"]), (&40.into(), &96.into()), "{report}");
    words(&folder, "verify").exits(0);
}

#[test]
fn what_a_plugin_was_set_to_is_given_again() {
    let folder = Folder::new();
    folder.write("in.ndjson", with_rejects(100, 10));
    let further = format!("--plugin work={} --batch-size 10 --strategy sequential", guest_arg("faulty"));
    plain_run(&folder, &format!("{further} --plugin-config work.limit=3 --max-rejects 3")).run().exits(3);
    words(&folder, "runs resume 1 --max-rejects 50").exits(2).says("config of work was blake3:");
    words(&folder, "runs resume 1 --max-rejects 50 --plugin-config work.limit=3").exits(3);
    assert_eq!(sql(&folder, "SELECT status, read FROM atlas_runs"), ["partial,100"]);
}

#[test]
fn a_plugin_that_the_store_has_lost_is_asked_for() {
    let (folder, _) = stopped();
    by_hand(&folder, "UPDATE atlas_plugins SET bytes = NULL");
    words(&folder, "runs resume 1 --max-rejects 50")
        .exits(5)
        .says("error[STORAGE_2006]")
        .says("hint: give the component's file");
    words(&folder, &format!("runs resume 1 --max-rejects 50 --plugin work={}", guest_arg("faulty"))).exits(3);
    assert_eq!(sql(&folder, "SELECT status, read FROM atlas_runs"), ["partial,100"]);
}

#[test]
fn a_run_over_a_pipe_promises_nothing_and_goes_on_with_its_items_in_a_file() {
    let folder = Folder::new();
    let items = with_rejects(100, 10);
    let plan = format!("--plugin work={} --batch-size 10 --strategy sequential", guest_arg("faulty"));
    let line = format!("run --input - --id id {plan} --max-rejects 3");
    folder.atlas(line.split_whitespace()).stdin(items.clone()).run().exits(3);
    let read: u64 = sql(&folder, "SELECT read FROM atlas_runs").remove(0).parse().expect("a number");
    assert!((40..100).contains(&read), "{read}");
    let shown = || words(&folder, "runs show 1").exits(0).stdout;
    assert!(shown().contains("the input cannot be read again") && !shown().contains("same command"), "{}", shown());
    by_hand(&folder, "UPDATE atlas_runs SET status = 'running'");
    assert!(shown().contains("(its process is gone; its input cannot be read again;"), "{}", shown());

    words(&folder, "runs resume 1").exits(2).says("run 1 read from a pipe").says("--input FILE");
    folder.write("kept.ndjson", items);
    let report = words(&folder, "runs resume 1 --input kept.ndjson --max-rejects 50 --output json").exits(3).json();
    assert_eq!((&report["resumed_at"], &report["read"], &report["stored"]), (&read.into(), &100.into(), &90.into()));
    words(&folder, "verify").exits(0);
}

#[test]
fn what_cannot_be_gone_on_with_says_why() {
    let (folder, _) = stopped();
    by_hand(&folder, "UPDATE atlas_runs SET status = 'running'");
    let shown = words(&folder, "runs show 1").exits(0).stdout;
    assert!(shown.contains("the same command continues it, and so does `atlas-host runs resume 1`"), "{shown}");
    by_hand(&folder, "UPDATE atlas_runs SET status = 'rolled-back'");
    words(&folder, "runs resume 1").exits(2).says("run 1 was rolled back");

    words(&folder, "dead-letters retry -q").exits(3);
    by_hand(&folder, "UPDATE atlas_runs SET status = 'running'");
    words(&folder, "runs resume 2")
        .exits(2)
        .says("run 2 tried dead letters again")
        .says("hint: `atlas-host dead-letters retry`");
    let shown = words(&folder, "runs show 2").exits(0).stdout;
    assert!(shown.contains("its process is gone; the same command tries the letters that are left"), "{shown}");

    let rules = guest_arg("ticket-rules");
    words(&folder, &format!("revalidate -q --dead-letter --validator {rules}")).exits(3);
    by_hand(&folder, "UPDATE atlas_runs SET status = 'running'");
    words(&folder, "runs resume 3").exits(2).says("run 3 is not one that can be continued");
    let shown = words(&folder, "runs show 3").exits(0).stdout;
    assert!(shown.contains("its process is gone; it cannot be continued"), "{shown}");
}

#[test]
fn a_run_of_stored_items_is_resumed_by_its_number() {
    let folder = stored();
    from_itself(&folder, "--max-rejects 0").exits(3);
    words(&folder, "runs resume 2 --input in.ndjson").exits(2).says("run 2 reads collection `items` of its store");
    let report = words(&folder, "runs resume 2 --max-rejects 5 --output json").exits(3).json();
    assert_eq!((&report["resumed_at"], &report["read"]), (&30.into(), &60.into()), "{report}");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["119"]);
    from_itself(&folder, "").exits(3).says("Already complete: run 2 ");
}

/// As they are now, and as stores of earlier versions know them.
#[test]
fn an_input_is_the_same_by_whatever_links_it_is_reached() {
    let folder = Folder::new();
    std::fs::create_dir(folder.at("data")).expect("a folder");
    std::os::unix::fs::symlink("data", folder.at("link")).expect("a link");
    folder.write("data/in.ndjson", with_rejects(100, 10));
    let plan = format!("--plugin work={} --batch-size 10 --strategy sequential", guest_arg("faulty"));
    let run = |path: &str, further: &str| words(&folder, &format!("run --input {path} --id id {plan} {further}"));
    run("link/in.ndjson", "--max-rejects 3").exits(3);
    let given = folder.path().canonicalize().expect("a folder").join("link/in.ndjson");
    let key = Digest::of(format!("items\0{}", given.display()).as_bytes());
    by_hand(&folder, &format!("UPDATE atlas_runs SET job = '{key}'"));
    let report = run("link/in.ndjson", "--max-rejects 5 --output json").exits(3).json();
    assert_eq!((&report["run"], &report["resumed_at"], &report["read"]), (&1.into(), &40.into(), &60.into()));
    let report = run("data/in.ndjson", "--output json").exits(3).json();
    assert_eq!((&report["run"], &report["resumed_at"], &report["read"]), (&1.into(), &60.into(), &100.into()));
    run("link/in.ndjson", "").exits(3).says("Already complete: run 1 ");
    by_hand(&folder, &format!("UPDATE atlas_runs SET job = '{key}'"));
    run("link/in.ndjson", "").exits(3).says("Already complete: run 1 ");
}

#[test]
fn what_a_run_had_is_nobodys_flag_and_what_it_had_not_comes_from_no_file() {
    let (folder, _) = stopped();
    folder.write(
        "atlas.toml",
        "limit = 41\nmax-rejects = 0\nprocessor = \"memory\"\ndelimiter = \";\"\nindex = [\"n\"]\nbatch-size = 7\nmemory-budget = \"1GiB\"\n",
    );
    let ran = words(&folder, "runs resume 1 --max-rejects 50 --strategy sequential --output json").exits(3);
    assert!(!ran.stderr.contains("CONFIG_3004"), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!((&report["read"], &report["batches"]), (&100.into(), &10.into()), "{report}");
    assert_eq!(sql(&folder, "SELECT count(*) FROM atlas_indexes"), ["0"]);
}

#[test]
fn an_input_is_read_as_it_was_also_where_its_name_is_another() {
    let folder = Folder::new();
    let rows: String = (0..60).map(|n| format!("{n},v{}\n", if n % 10 == 5 { ",more" } else { "" })).collect();
    folder.write("in.csv", format!("id,value\n{rows}"));
    words(&folder, "run -q -i in.csv --id id --batch-size 10 --max-rejects 2").exits(3);
    std::fs::rename(folder.at("in.csv"), folder.at("kept")).expect("a file");
    words(&folder, "runs resume 1 --input kept --max-rejects 50")
        .exits(2)
        .says("in.csv` as csv, which the name `kept` does not say")
        .says("hint: give the file, or a link to it, a name with the extension that it had");
    std::os::unix::fs::symlink("kept", folder.at("kept.csv")).expect("a link");
    words(&folder, "runs resume 1 --input kept.csv --max-rejects 50").exits(3);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["54"]);
}

#[test]
fn the_same_command_goes_on_where_the_link_to_its_input_leads_elsewhere_by_now() {
    let folder = Folder::new();
    folder.write("first.ndjson", with_rejects(100, 10));
    let link = |to: &str| std::os::unix::fs::symlink(to, folder.at("now.ndjson")).expect("a link");
    link("first.ndjson");
    let plan = format!("--plugin work={} --batch-size 10 --strategy sequential", guest_arg("faulty"));
    let run = |further: &str| words(&folder, &format!("run --input now.ndjson --id id {plan} {further}"));
    run("--max-rejects 3").exits(3);
    std::fs::rename(folder.at("first.ndjson"), folder.at("second.ndjson")).expect("a file");
    std::fs::remove_file(folder.at("now.ndjson")).expect("a link");
    link("second.ndjson");
    let report = run("--max-rejects 50 --output json").exits(3).json();
    assert_eq!((&report["run"], &report["resumed_at"], &report["read"]), (&1.into(), &40.into(), &100.into()));
    // Another file is another input, once the run has come to its end.
    std::fs::remove_file(folder.at("now.ndjson")).expect("a link");
    folder.write("third.ndjson", "{\"id\":\"z\"}\n");
    link("third.ndjson");
    assert_eq!(run("--output json").exits(0).json()["run"], 2);
}
