//! `run --from`: stored items as input, also of the collection that they are in; interrupted, and repeated.

use rusqlite::Connection;

use super::{sql, words};
use crate::harness::{Folder, Ran, guest_arg};
use crate::swap::stamp;

/// Sixty items, each of which has another one made beside it, but for one that is refused.
pub fn stored() -> Folder {
    let folder = Folder::new();
    let fault = |n: usize| if n == 25 { "reject" } else { "emit(1)" };
    let items: String = (0..60).map(|n| format!("{{\"id\":\"i-{n:02}\",\"fault\":\"{}\"}}\n", fault(n))).collect();
    folder.write("in.ndjson", items);
    words(&folder, "run -q --input in.ndjson --id id").exits(0);
    folder
}

/// Into the collection itself.
pub fn from_itself(folder: &Folder, further: &str) -> Ran {
    let faulty = guest_arg("faulty");
    let plan = "--batch-size 10 --strategy sequential --output json";
    words(folder, &format!("run --from items --into items --plugin work={faulty} {plan} {further}"))
}

fn count(folder: &Folder) -> String {
    sql(folder, "SELECT count(*) FROM items").remove(0)
}

#[test]
fn a_run_into_the_collection_that_it_reads_goes_on_as_if_it_had_not_been_interrupted() {
    let folder = stored();
    std::fs::copy(folder.at("atlas.db"), folder.at("whole.db")).expect("a copy");
    from_itself(&folder, "--store whole.db").exits(3);

    let report = from_itself(&folder, "--max-rejects 0")
        .exits(3)
        .says("the same command with a higher --max-rejects continues")
        .json();
    assert_eq!((&report["run"], &report["read"]), (&2.into(), &30.into()));
    assert_eq!(count(&folder), "89");
    let report = from_itself(&folder, "--max-rejects 5").exits(3).json();
    let figures = ["run", "resumed_at", "read", "stored", "rejected"].map(|name| report[name].as_u64());
    assert_eq!(figures, [2, 30, 60, 59, 1].map(Some), "{report}");
    assert_eq!(count(&folder), "119");
    let export = |store: &str| words(&folder, &format!("export --with-id --store {store}")).exits(0).stdout;
    assert!(export("atlas.db") == export("whole.db"), "the rows differ from those of an undisturbed run");
    assert_eq!(sql(&folder, "SELECT ordinal, item_id FROM atlas_dead_letters"), ["25,i-25"]);
    words(&folder, "verify").exits(0);

    let report = from_itself(&folder, "").exits(3).says("Already complete: run 2 ").json();
    assert_eq!(report["already_complete"], true);
    assert_eq!(count(&folder), "119");
    let report = from_itself(&folder, "--again").exits(3).json();
    assert_eq!((&report["run"], &report["read"]), (&3.into(), &119.into()));
}

#[test]
fn rows_that_the_run_has_deleted_do_not_count_when_it_goes_on() {
    let folder = Folder::new();
    let word = |n: usize| match n {
        5 | 25 => "emit",
        15 => "reject",
        _ => "keep",
    };
    folder.write("in.ndjson", (0..30).map(|n| format!("\"{}\"\n", word(n))).collect::<String>());
    words(&folder, "run -q --input in.ndjson").exits(0);
    // Such an item has no id of its own; one is called as the guest `probe` wants it.
    let store = Connection::open(folder.at("atlas.db")).expect("a store");
    let named = "UPDATE items SET id = 'h-' || printf('%02d', id); UPDATE items SET id = 'gone' WHERE id = 'h-29'";
    store.execute_batch(named).expect("other ids");
    drop(store);
    std::fs::copy(folder.at("atlas.db"), folder.at("whole.db")).expect("a copy");
    let probe = guest_arg("probe");
    let run = |further: &str| {
        let flags = "--from items --into items --collection other --batch-size 10 --strategy sequential --output json";
        words(&folder, &format!("run {flags} --plugin {probe} {further}"))
    };
    run("--store whole.db").exits(3);
    assert_eq!(run("--max-rejects 0").exits(3).json()["read"], 20);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items WHERE id = 'gone'"), ["0"]);
    let report = run("").exits(3).json();
    assert_eq!((&report["resumed_at"], &report["read"], &report["rejected"]), (&20.into(), &30.into(), &1.into()));
    for collection in ["items", "other"] {
        let export =
            |store| words(&folder, &format!("export --with-id --into {collection} --store {store}")).exits(0).stdout;
        assert!(export("atlas.db") == export("whole.db"), "{collection} differs from that of an undisturbed run");
    }
    words(&folder, "verify").exits(0);
}

#[test]
fn rows_of_other_runs_are_read_where_they_come_later_and_are_a_new_input_for_the_next_command() {
    let folder = stored();
    from_itself(&folder, "--max-rejects 0").exits(3);
    folder.write("more.ndjson", "{\"id\":\"a\"}\n{\"id\":\"i-40\",\"fault\":\"drop\"}\n{\"id\":\"z\"}\n");
    words(&folder, "run -q --input more.ndjson --id id").exits(0);
    let report = from_itself(&folder, "").exits(3).json();
    let figures = ["run", "resumed_at", "read", "stored", "rejected", "dropped"].map(|name| report[name].as_u64());
    assert_eq!(figures, [2, 30, 61, 59, 1, 1].map(Some), "{report}");
    assert_eq!(count(&folder), "120");
    let report = from_itself(&folder, "").exits(3).json();
    assert_eq!((&report["run"], &report["resumed_at"], &report["read"]), (&4.into(), &0.into(), &120.into()));
    from_itself(&folder, "").exits(3).says("Already complete: run 4 ");
    words(&folder, "verify").exits(0);
}

#[test]
fn what_comes_of_the_letters_of_a_run_is_no_new_input() {
    let folder = stored();
    from_itself(&folder, "").exits(3);
    folder.write("stamp.wasm", stamp("v1"));
    words(&folder, "dead-letters retry -q --plugin work=stamp.wasm").exits(0);
    assert_eq!(sql(&folder, "SELECT replaced FROM atlas_runs WHERE id = 3"), ["1"]);
    from_itself(&folder, "").exits(3).says("Already complete: run 2 ");
    assert_eq!(count(&folder), "119");
}

#[test]
fn an_interrupted_run_of_stored_items_is_not_gone_on_with_by_another_plugin() {
    let folder = stored();
    from_itself(&folder, "--max-rejects 0").exits(3);
    let identity = guest_arg("identity");
    words(&folder, &format!("run --from items --into items --plugin work={identity}"))
        .exits(2)
        .says("run 2 began with other settings: operation work was");
    assert_eq!(count(&folder), "89");
}

#[test]
fn a_collection_that_never_had_an_item_has_been_processed_too() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\"}\n");
    words(&folder, "run -q --input in.ndjson --id id --into other --collection empty").exits(0);
    words(&folder, "run --from empty --into out").exits(0).says("Run 2 succeeded");
    words(&folder, "run --from empty --into out").exits(0).says("Already complete: run 2 ");
}
