//! One engine behind several doors: the command and the library leave the same store, and `--processor memory` gives every
//! item the fate that the store would give it.

use atlas_host::coordinator::{Filling, Host, HostOptions, Job, SlotSpec};
use atlas_host::plugin::Cache;
use atlas_host::store::DeadLetter;
use atlas_host::strategy::Interval;
use serde_json::Value;

use super::{MIXED, plain_run};
use crate::harness::{Folder, cache, guest, guest_arg, tickets};
use crate::library::{letters, rows, run_row, sound};

/// What does not depend on when and by which name of the input it came to be.
fn lasting(mut letter: DeadLetter) -> DeadLetter {
    letter.created_ms = 0;
    letter.input = String::new();
    letter
}

#[test]
fn the_command_and_the_library_leave_the_same_rows_letters_and_books() {
    let folder = Folder::new();
    let input = folder.write("in.ndjson", tickets(2000, 10));
    let plugins = format!("--validator rules={} --plugin work={}", guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    let fixed = "--index status --index priority --seed 7 --strategy sequential --batch-size 150 --lanes 1";
    plain_run(&folder, &format!("{plugins} {fixed} --store command.db --output json")).run().exits(3);
    let (command, library) = (folder.at("command.db"), folder.at("library.db"));
    let by_command = run_row(&command, 1);

    let options = HostOptions { lanes: 1, cache: Cache::at(cache()), ..HostOptions::default() };
    let host = Host::new(options).expect("a legal number of lanes");
    let slot = |name: &str, plugin: &str| {
        SlotSpec::new(name, Filling::Component(host.load_plugin(guest(plugin)).expect("a plugin").into()))
    };
    let job =
        Job::of_files([input], &library, "items").and_then(|job| job.id("id")?.index("status")?.index("priority"));
    let mut job = job.expect("a job");
    job.validators.push(slot("rules", "ticket-rules"));
    job.operations.push(slot("work", "ticket-tidy"));
    job.strategy = "sequential".to_owned();
    job.bounds.batch_size = Interval::new(150, 150).expect("in order");
    job.bounds.lanes = Interval::new(1, 1).expect("in order");
    job.seed = Some(7);
    job.clock_ms = Some(by_command.clock_ms);
    let report = host.run(job).expect("a run");

    assert!(report.counts.stored > 1000 && report.counts.rejected > 100, "{:?}", report.counts);
    assert_eq!(rows(&library, "items"), rows(&command, "items"));
    let lasting_of = |store| letters(store).into_iter().map(lasting).collect::<Vec<_>>();
    assert_eq!(lasting_of(&library), lasting_of(&command));
    let by_library = run_row(&library, report.run);
    assert_eq!((by_library.counts, by_library.status), (by_command.counts, by_command.status));
    assert_eq!((by_library.batches, by_library.seed), (by_command.batches, by_command.seed));
    assert_eq!(by_library.identity, by_command.identity, "the settings that decide results are noted alike");
    sound(&command);
    sound(&library);
}

/// Beside [`MIXED`]: ids that came before, several rows for one item and one of them twice, no id, answers that are none.
const MORE: &str = r#"{"id":"a","status":"again"}
{"id":"b","status":"now stored"}
{"id":"i","fault":"emit(2)"}
{"id":"i#1","status":"there already"}
{"id":"i","fault":"emit(2)"}
{"id":"j","fault":"emit(0)"}
{"status":"without an id"}
{"id":"k","fault":"bad-json"}
{"id":"l","fault":"trap"}
{"id":"m","fault":"retry(9)"}
{"id":"n","fault":"retry(1)"}
{"id":"a","status":"once more"}
"#;

/// The fate of each ordinal, and of each failed item where and why it failed.
type Told = (Vec<Value>, Vec<[Value; 6]>);

fn told(events: &str) -> Told {
    let (mut fates, mut failed) = (Vec::new(), Vec::new());
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        if event["event"] == "batch-committed" {
            for span in event["fates"].as_array().expect("a list") {
                let place = |at: usize| span[at].as_u64().expect("an ordinal");
                assert_eq!(place(1), fates.len() as u64, "{event}");
                fates.resize(place(2) as usize + 1, span[0].clone());
            }
        }
        if event["event"] == "item-failed" {
            failed.push(["ordinal", "id", "fate", "phase", "code", "attempts"].map(|name| event[name].clone()));
        }
    }
    (fates, failed)
}

#[test]
fn memory_gives_every_item_the_fate_that_the_store_gives_it() {
    let folder = Folder::new();
    folder.write("in.ndjson", format!("{MIXED}{MORE}"));
    let faulty = guest_arg("faulty");
    let plugins = format!("--validator rules={faulty} --plugin work={faulty} --attempts 2");
    for on_existing in ["replace", "ignore", "reject"] {
        let run = |processor: &str, batch_size: u32| -> Told {
            let name = format!("{processor}-{on_existing}-{batch_size}");
            let store = if processor == "storage" { format!("--store {name}.db") } else { String::new() };
            let further = format!("-q --on-existing {on_existing} --batch-size {batch_size} --events {name}.ndjson");
            plain_run(&folder, &format!("{plugins} --processor {processor} {store} {further}")).run().exits(3);
            told(&folder.read(&format!("{name}.ndjson")))
        };
        let stored = run("storage", 100);
        assert_eq!(stored.0.len(), 20, "{on_existing}: each item has a fate");
        for fate in ["stored", "dropped", "rejected", "dead-lettered"] {
            assert!(stored.0.iter().any(|told| told == fate), "{on_existing}: nothing is {fate}");
        }
        let taken = stored.1.iter().filter(|failed| failed[4] == "INDEX_7005").count();
        assert_eq!(taken, if on_existing == "reject" { 4 } else { 0 }, "{on_existing}");
        for (processor, batch_size) in [("storage", 3), ("memory", 100), ("memory", 3), ("memory", 1)] {
            assert_eq!(run(processor, batch_size), stored, "{processor} {on_existing} in batches of {batch_size}");
        }
    }
}
