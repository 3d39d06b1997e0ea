//! `--events`: one line per event, whose books are those of the database and of the report.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{MIXED, mixed_arguments, numbered, plain_run, sql, words};
use crate::harness::{Folder, guest_arg, tickets};

const FATES: [&str; 4] = ["stored", "rejected", "dead_lettered", "dropped"];
const COUNTS: [&str; 11] = [
    "read",
    "stored",
    "rejected",
    "dead_lettered",
    "dropped",
    "inserted",
    "replaced",
    "unchanged",
    "ignored",
    "deleted",
    "retries",
];

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no number {name}: {value}"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn of<'a>(events: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["event"] == name)
}

/// What holds for every stream of a run that came to an end.
#[track_caller]
fn well_formed(events: &[Value]) {
    for (place, event) in events.iter().enumerate() {
        assert_eq!(number(event, "seq"), place as u64, "{event}");
        assert_eq!(event["schema"], 1, "{event}");
        assert!(event["time_ms"].is_i64() && event["elapsed_us"].is_u64(), "{event}");
    }
    let elapsed: Vec<u64> = events.iter().map(|event| number(event, "elapsed_us")).collect();
    assert!(elapsed.is_sorted());
    let (first, last) = (events.first().expect("events"), events.last().expect("events"));
    assert_eq!((&first["event"], &last["event"]), (&"run-started".into(), &"run-ended".into()));
    assert_eq!((of(events, "run-started").count(), of(events, "run-ended").count()), (1, 1));
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let mut next = number(first, "resumed_at");
    for batch in of(events, "batch-committed") {
        assert_eq!(number(batch, "read"), FATES.iter().map(|fate| number(batch, fate)).sum::<u64>(), "{batch}");
        assert_eq!(number(batch, "first_ordinal"), next, "{batch}");
        next = number(batch, "last_ordinal") + 1;
        assert_eq!(number(batch, "checkpoint"), next, "{batch}");
        let spans = batch["fates"].as_array().expect("a list");
        let covered: u64 =
            spans.iter().map(|span| span[2].as_u64().expect("last") - span[1].as_u64().expect("first") + 1).sum();
        assert_eq!(covered, number(batch, "read"), "{batch}");
        for name in COUNTS {
            *sums.entry(name).or_default() += number(batch, name);
        }
    }
    if number(first, "resumed_at") == 0 {
        for name in COUNTS {
            assert_eq!(number(last, name), sums.get(name).copied().unwrap_or(0), "{name} of run-ended");
        }
    }
    let failed = of(events, "item-failed").count() as u64;
    assert_eq!(failed, sums.get("rejected").unwrap_or(&0) + sums.get("dead_lettered").unwrap_or(&0));
    assert_eq!(of(events, "transaction-began").count(), of(events, "transaction-committed").count());
}

#[test]
fn the_books_of_events_database_and_report_agree() {
    let folder = Folder::new();
    folder.write("in.ndjson", tickets(3000, 7));
    let plugins = format!("--validator {} --plugin {}", guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    for (strategy, store) in [("sequential", "s.db"), ("concurrent", "c.db"), ("adaptive", "a.db")] {
        let further = format!(
            "{plugins} --strategy {strategy} --store {store} --events {store}.ndjson --output json --batch-size 1..400"
        );
        let report = plain_run(&folder, &further).run().exits(3).json();
        let events = lines(&folder.read(&format!("{store}.ndjson")));
        well_formed(&events);
        let ended = events.last().expect("an event");
        let columns = COUNTS.join(", ");
        let select = format!("SELECT {columns} FROM atlas_runs");
        let row =
            folder.atlas(["query", "--store", store, "--sql", &select, "--output", "ndjson"]).run().exits(0).json();
        for name in COUNTS {
            assert_eq!(
                (number(ended, name), number(&row, name)),
                (number(&report, name), number(&report, name)),
                "{strategy}: {name}"
            );
        }
        assert_eq!(ended["status"], "partial");
        assert_eq!(number(ended, "batches"), number(&report, "batches"));
        let select = "SELECT sum(read) AS read, count(*) AS batches FROM atlas_batches";
        let sums =
            folder.atlas(["query", "--store", store, "--sql", select, "--output", "ndjson"]).run().exits(0).json();
        assert_eq!((number(&sums, "read"), number(&sums, "batches")), (3000, number(&report, "batches")));
    }
}

#[test]
fn each_failed_item_is_an_event_with_its_place_and_problem() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let mut arguments = mixed_arguments();
    arguments.extend(["--events".to_owned(), "-".to_owned()]);
    let ran = folder.atlas(arguments).run().exits(3);
    let events = ran.json_lines();
    well_formed(&events);
    let failed: Vec<(u64, &str, &str, &str)> = of(&events, "item-failed")
        .map(|e| (number(e, "line"), text(e, "fate"), text(e, "phase"), text(e, "code")))
        .collect();
    let wanted = [
        (2, "rejected", "validate", "FAULTY_REJECT"),
        (3, "rejected", "operate", "FAULTY_REJECT"),
        (5, "dead-lettered", "decode", "VALIDATION_4004"),
        (6, "dead-lettered", "store", "INDEX_7005"),
    ];
    assert_eq!(failed, wanted);
    let started = &events[0];
    assert_eq!(
        (text(started, "strategy"), text(started, "store"), text(started, "collection")),
        ("sequential", "atlas.db", "items")
    );
    let slots: Vec<&str> =
        started["plugins"].as_array().expect("a list").iter().map(|plugin| text(plugin, "slot")).collect();
    assert_eq!(slots, ["rules", "work"]);
    assert!(ran.stderr.contains("Run 1 came to its end"), "{}", ran.stderr);
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name}: {value}"))
}

#[test]
fn plans_are_told_with_their_reason() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(100));
    let events = plain_run(&folder, "--events - --batch-size 25 --strategy sequential").run().exits(0).json_lines();
    let plan = of(&events, "plan-chosen").next().expect("a plan");
    assert_eq!((number(plan, "batch_size"), number(plan, "lanes")), (25, 1));
    assert!(!text(plan, "reason").is_empty());
    assert_eq!(of(&events, "batch-committed").count(), 4);
}

#[test]
fn a_repeated_attempt_is_an_event_and_a_count() {
    let folder = Folder::new();
    folder.write(
        "in.ndjson",
        "{\"id\":\"a\",\"fault\":\"retry(1)\"}\n{\"id\":\"b\"}\n{\"id\":\"c\",\"fault\":\"retry\"}\n",
    );
    let faulty = guest_arg("faulty");
    let events = plain_run(&folder, &format!("--events - --plugin {faulty} --attempts 3")).run().exits(3).json_lines();
    well_formed(&events);
    let retried: Vec<(&str, u64)> =
        of(&events, "item-retried").map(|e| (text(e, "id"), number(e, "attempt"))).collect();
    assert_eq!(retried.iter().filter(|(id, _)| *id == "a").count(), 1, "{retried:?}");
    assert_eq!(retried.iter().filter(|(id, _)| *id == "c").count(), 2, "{retried:?}");
    let ended = events.last().expect("an event");
    assert_eq!((number(ended, "retries"), number(ended, "stored"), number(ended, "dead_lettered")), (3, 2, 1));
    let letter = of(&events, "item-failed").next().expect("a failure");
    assert_eq!((text(letter, "id"), number(letter, "attempts"), text(letter, "code")), ("c", 3, "FAULTY_RETRY"));
}

#[test]
fn events_go_to_a_file_that_is_written_anew() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    folder.write("events.ndjson", "old\n");
    plain_run(&folder, "--events events.ndjson").run().exits(0);
    well_formed(&lines(&folder.read("events.ndjson")));
    plain_run(&folder, "--events no/such/events.ndjson --store other.db")
        .run()
        .exits(2)
        .says("no/such/events.ndjson")
        .says("hint: ");
    assert!(!folder.at("other.db").exists());
}

#[test]
fn nothing_is_called_committed_before_its_transaction_is() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(100));
    for further in ["--dry-run", "--atomic run"] {
        let line = format!("--batch-size 10 --events - {further}");
        let events = plain_run(&folder, &line).run().exits(0).json_lines();
        assert_eq!(of(&events, "batch-committed").count(), 0, "{further}");
        assert_eq!(of(&events, "batch-applied").map(|batch| number(batch, "read")).sum::<u64>(), 100, "{further}");
        if further == "--atomic run" {
            let ends = of(&events, "transaction-committed").map(|event| number(event, "seq")).collect::<Vec<_>>();
            let last = of(&events, "batch-applied").last().map(|event| number(event, "seq"));
            assert!(ends.len() == 1 && Some(ends[0]) > last, "{ends:?} {last:?}");
        }
        assert_eq!(number(events.last().expect("an event"), "stored"), 100, "{further}");
    }
}

#[test]
fn a_finished_run_repeated_begins_no_stream() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    plain_run(&folder, "").run().exits(0);
    let ran = plain_run(&folder, "--events -").run().exits(0).says("Already complete");
    assert_eq!(ran.stdout, "");
    assert_eq!(words(&folder, "runs list --output json").exits(0).json_lines().len(), 1);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["10"]);
}

/// Neither a command that has nothing to do nor one that is refused touches what an earlier run has told.
#[test]
fn events_of_an_earlier_run_stay_until_another_begins() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10));
    plain_run(&folder, "--events events.ndjson").run().exits(0);
    let told = folder.read("events.ndjson");
    plain_run(&folder, "--events events.ndjson").run().exits(0).says("Already complete");
    plain_run(&folder, "--events events.ndjson --plugin no-such.wasm").run();
    let holder = crate::library::host(1);
    let collection = crate::library::named("items");
    let again = plain_run(&folder, "--events events.ndjson --again");
    holder
        .transaction(folder.at("atlas.db"), &collection.clone(), move |_| {
            again.run().exits(6);
            Ok(())
        })
        .expect("a transaction");
    assert_eq!(folder.read("events.ndjson"), told);
    plain_run(&folder, "--events events.ndjson --again").run().exits(0);
    let again = folder.read("events.ndjson");
    assert!(
        again.lines().next().is_some_and(|line| line.contains("\"run-started\"") && line.contains("\"run\":2")),
        "{again}"
    );
}
