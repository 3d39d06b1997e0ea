//! Memory and time of one plugin, where its table sets them.

use super::{sql, words};
use crate::harness::{Folder, guest};

/// Items on which the guest `faulty` takes all the memory there is, as an operation and as a validator, and one without end.
const ITEMS: &str = r#"{"id":"a","fault":"alloc"}
{"id":"b","fault":"validator-alloc"}
{"id":"c","fault":"spin"}
{"id":"d"}
"#;
const TABLES: &str = "[plugins.work]\nmemory = 8388608\ndeadline = \"300ms\"\n\n[plugins.rules]\nmemory = \"48MiB\"\n";

/// A folder whose configuration fills two slots with that guest, gives both of them 32 MiB and much time, and has these tables.
fn folder(items: &str, tables: &str) -> Folder {
    let folder = Folder::new();
    folder.write("in.ndjson", items);
    std::fs::copy(guest("faulty"), folder.at("faulty.wasm")).expect("a copy");
    let slots = "validator = \"rules=faulty.wasm\"\nplugin = \"work=faulty.wasm\"\n";
    folder.write("atlas.toml", format!("{slots}memory = \"32MiB\"\ndeadline = \"20s\"\n\n{tables}"));
    folder
}

/// What the dead letters of a run say, in the order of the input.
fn messages(folder: &Folder) -> Vec<String> {
    words(folder, "run -q --input in.ndjson --id id").exits(3);
    let mut letters = words(folder, "dead-letters list --output json").exits(0).json_lines();
    letters.sort_by_key(|letter| letter["ordinal"].as_u64());
    letters.iter().map(|letter| letter["message"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_table_bounds_its_own_plugin_and_outweighs_the_flag() {
    let folder = folder(ITEMS, TABLES);
    let told = messages(&folder);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("the bound is 8388608"), "{told:?}");
    assert!(told[1].contains("the bound is 50331648"), "{told:?}");
    assert!(told[2].contains("within 300 ms"), "{told:?}");
    assert_eq!(sql(&folder, "SELECT id FROM items"), ["d"]);
}

#[test]
fn a_plugin_without_a_table_keeps_to_the_flag_beside_one_that_has_more() {
    let folder = folder(&ITEMS.replace("spin", "slow(1)"), "[plugins.rules]\nmemory = \"48MiB\"\n");
    let told = messages(&folder);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("the bound is 33554432"), "{told:?}");
    assert!(told[1].contains("the bound is 50331648"), "{told:?}");
}

#[test]
fn the_bounds_of_a_plugin_are_shown() {
    let folder = folder("{\"id\":\"d\"}\n", TABLES);
    let shown = words(&folder, "config show").exits(0).stdout;
    assert!(shown.contains("plugin work: memory 8.0 MiB, deadline 300 ms"), "{shown}");
    let plan = words(&folder, "validate --input in.ndjson --id id").exits(0).stdout;
    assert!(plan.contains("nothing granted, 8.0 MiB of memory, 300 ms per call"), "{plan}");
    assert!(plan.contains("nothing granted, 48.0 MiB of memory\n"), "{plan}");
    let inspected = words(&folder, "inspect faulty.wasm").exits(0).stdout;
    let work = "work, as configured: nothing granted; 8.0 MiB of memory; 300 ms for a call";
    assert!(inspected.contains(work), "{inspected}");
    let slots = words(&folder, "inspect faulty.wasm --output json").exits(0).json()["slots"].clone();
    assert_eq!((&slots[0]["name"], &slots[0]["memory_bytes"]), (&"rules".into(), &50_331_648.into()));
    assert_eq!((&slots[1]["memory_bytes"], &slots[1]["deadline_ms"]), (&8_388_608.into(), &300.into()));
    assert!(slots[0].get("deadline_ms").is_none(), "{slots}");
}

#[test]
fn a_bound_that_cannot_be_is_refused_with_its_slot() {
    let folder = folder(ITEMS, "[plugins.work]\ndeadline = \"0s\"\n");
    for verb in ["run", "validate"] {
        words(&folder, &format!("{verb} --input in.ndjson --id id"))
            .exits(2)
            .says("error[CONFIG_3001]: deadline of slot work is")
            .says("more than 0 and up to 3600 s are possible");
    }
    assert!(!folder.at("atlas.db").exists());
}
