//! Batch size, lanes and strategy decide no fate: reads are serial in effect.

use super::{Input, options, strings, validated};
use crate::generator::tasks::{Options, Profile};
use crate::harness::{Folder, guest_arg};

const STRATEGIES: [&str; 3] = ["sequential", "concurrent", "adaptive"];
const BATCH_SIZES: [&str; 4] = ["1", "7", "100", "1000"];
const LANES: [&str; 3] = ["1", "2", "4"];

/// Runs with every combination and compares it with a run of one item at a time.
fn settings_make_no_difference(input: &Input, flags: &[&str], collections: &[&str]) {
    let alone = ["--strategy", "sequential", "--batch-size", "1", "--lanes", "1"];
    let (report, _) = input.run("alone.db", &[flags, &alone].concat());
    let wanted = input.picture("alone.db", collections);
    assert!(report["stored"] != 0 && !wanted.1.is_empty(), "{}: a comparison of nothing", input.name);
    for strategy in STRATEGIES {
        for batch_size in BATCH_SIZES {
            for lanes in LANES {
                let store = format!("{strategy}-{batch_size}-{lanes}.db");
                let plan = ["--strategy", strategy, "--batch-size", batch_size, "--lanes", lanes];
                let (found, _) = input.run(&store, &[flags, &plan].concat());
                assert_eq!(found["fates"], report["fates"], "{}: {plan:?}", input.name);
                let found = input.picture(&store, collections);
                assert!(found == wanted, "{}: {plan:?} differs: {:?}", input.name, difference(&wanted, &found));
            }
        }
    }
}

/// The first line or letter in which two pictures differ.
fn difference<T: PartialEq + std::fmt::Debug>(
    wanted: &(Vec<String>, Vec<T>),
    found: &(Vec<String>, Vec<T>),
) -> Option<String> {
    let rows = wanted.0.iter().flat_map(|text| text.lines()).zip(found.0.iter().flat_map(|text| text.lines()));
    let row = rows.filter(|(wanted, found)| wanted != found).map(|pair| format!("{pair:?}")).next();
    let letters = wanted.1.iter().zip(&found.1).filter(|(wanted, found)| wanted != found);
    row.or_else(|| letters.map(|pair| format!("{pair:?}")).next())
}

#[test]
fn batch_size_lanes_and_strategy_decide_no_fate_where_validators_read_the_store() {
    let input = Input::tasks(options(31, 400, Profile::Hostile));
    settings_make_no_difference(&input, &strings(&validated()), &["items"]);
}

#[test]
fn batch_size_lanes_and_strategy_decide_no_fate_where_the_operation_changes_what_is_stored() {
    let input = Input::tasks(Options { mixed: true, ..options(32, 400, Profile::Realistic) });
    // A deadline in each of 36 runs would be all that this test waits for.
    assert_eq!(input.manifest["faults"]["by_name"].get("spin"), None, "choose another seed");
    let flags = super::enrich::flags();
    settings_make_no_difference(&input, &strings(&flags), &["items", "edges"]);
}

#[test]
fn batch_size_lanes_and_strategy_decide_no_byte_where_nothing_reads_the_store() {
    let input = Input::tasks(options(33, 400, Profile::Hostile));
    let fields = guest_arg("task-fields");
    let flags = ["--validator", &fields, "--id", "/path", "--on-existing", "reject"];
    settings_make_no_difference(&input, &flags, &["items"]);
}

#[test]
fn batch_size_decides_no_fate_where_the_store_refuses_or_ignores_what_validators_accepted() {
    // Tasks of one name, and copies: what the store refuses or ignores is not seen by later tasks as stored or changed.
    let input = Input::tasks(options(34, 400, Profile::Hostile));
    for policy in ["reject", "ignore", "replace"] {
        let flags: Vec<String> =
            validated().into_iter().map(|flag| if flag == "reject" { policy.into() } else { flag }).collect();
        let flags = [&strings(&flags)[..], &["--unique", "tag=/metadata/tags"]].concat();
        let alone = format!("alone-{policy}.db");
        let (report, _) = input.run(&alone, &[&flags[..], &["--batch-size", "1", "--lanes", "1"]].concat());
        let wanted = input.picture(&alone, &["items"]);
        let refused = wanted.1.iter().filter(|(_, fate)| fate.codes.contains("INDEX_7005")).count();
        assert!(refused > 0, "{policy}: the store refused nothing: {report}");
        for size in BATCH_SIZES {
            let store = format!("{policy}-{size}.db");
            input.run(&store, &[&flags[..], &["--batch-size", size]].concat());
            let found = input.picture(&store, &["items"]);
            assert!(found == wanted, "{policy}, batches of {size}: {:?}", difference(&wanted, &found));
        }
    }
}

/// Whether a task has children it cannot tell then, and does not say.
#[test]
fn a_validator_that_asks_for_an_index_that_is_not_declared_does_without_it_whatever_the_batch_size() {
    let folder = Folder::new();
    let leaf = |name| format!("{{\"path\":\"p/{name}\",\"name\":\"{name}\",\"parentPath\":\"p\"}}\n");
    let leaves: String = ('a'..='h').map(leaf).collect();
    folder.write("tasks.ndjson", format!("{{\"path\":\"p\",\"name\":\"root\",\"type\":\"MILESTONE\"}}\n{leaves}"));
    let links = guest_arg("task-links");
    for size in ["1", "3", "1000"] {
        let store = format!("{size}.db");
        let flags = ["run", "-q", "--input", "tasks.ndjson", "--id", "path", "--validator", &links];
        folder.atlas(flags.iter().chain(&["--batch-size", size, "--store", &store])).run().exits(0);
    }
}
