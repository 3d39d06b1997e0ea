//! The generator against an oracle that was written separately.

mod oracle;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::cases::Case;
use super::tasks::{Options, Order, Profile, Tasks};
use oracle::{Oracle, Verdict};

const CASES: [Case; 6] =
    [Case::DiamondLadder, Case::HundredByHundred, Case::Chain1000, Case::AllInvalid, Case::LastInvalid, Case::Empty];

fn options(seed: u64, count: u64, profile: Profile) -> Options {
    Options { seed, count, profile, order: Order::Topo, projects: None, mixed: false }
}

/// The file and its manifest.
fn generate(options: Options) -> (Vec<u8>, Value) {
    let mut tasks = Tasks::new(options).expect("the options fit");
    let mut file = Vec::new();
    let written = tasks.write(&mut file).expect("a vector takes all");
    let mut manifest = tasks.manifest();
    manifest.finish(written);
    (file, serde_json::to_value(&manifest).expect("it is JSON"))
}

fn lines(file: &[u8]) -> Vec<&[u8]> {
    file.split_inclusive(|&byte| byte == b'\n').map(|line| &line[..line.len() - 1]).collect()
}

/// Compare every fate and every count of a manifest with those of the oracle.
fn compare(what: &str, file: &[u8], manifest: &Value) {
    assert_eq!(manifest["file"]["blake3"], blake3::hash(file).to_hex().to_string(), "{what}");
    assert_eq!(manifest["file"]["bytes"], file.len(), "{what}");
    let mut listed = listed_fates(what, manifest);
    let mut oracle = Oracle::default();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (ordinal, line) in lines(file).into_iter().enumerate() {
        let verdict = oracle.apply(line);
        let entry = listed.remove(&(ordinal as u64));
        let shown = String::from_utf8_lossy(line).chars().take(300).collect::<String>();
        check_fate(&format!("{what}, row {ordinal}: {shown}"), &verdict, entry.as_ref());
        *counts.entry(count_name(&verdict)).or_default() += 1;
    }
    assert!(listed.is_empty(), "{what}: {listed:?}");
    let links = manifest["expected"]["task_links"].as_object().expect("an object");
    for (name, count) in links {
        assert_eq!(count.as_u64(), Some(counts.get(name.as_str()).copied().unwrap_or(0)), "{what}: {name}");
    }
    let fields = &manifest["expected"]["task_fields"];
    assert_eq!(fields["rejected"], counts.get("rejected_by_fields").copied().unwrap_or(0), "{what}");
    compare_stored(what, &oracle, &manifest["stored"]);
    compare_with_faults(what, file, manifest);
}

/// Apply the file without the rows that faults keep out.
fn compare_with_faults(what: &str, file: &[u8], manifest: &Value) {
    let rows = manifest["faults"]["rows"]["rows"].as_array().expect("a list");
    let out: BTreeSet<u64> = rows
        .iter()
        .filter(|row| row["fate"] != "stored")
        .map(|row| row["ordinal"].as_u64().expect("a number"))
        .collect();
    let mut oracle = Oracle::default();
    let mut stored = 0;
    for (ordinal, line) in lines(file).into_iter().enumerate() {
        if !out.contains(&(ordinal as u64)) && oracle.apply(line) == Verdict::Stored {
            stored += 1;
        }
    }
    let expected = &manifest["expected"]["with_faults"];
    assert_eq!(expected["stored"], stored, "{what} with faults");
    let others = expected["rejected_by_operation"].as_u64().zip(expected["faulted"].as_u64());
    assert_eq!(others.map(|(rejected, faulted)| rejected + faulted), Some(out.len() as u64), "{what}");
    compare_stored(what, &oracle, &manifest["stored_with_faults"]);
}

fn compare_stored(what: &str, oracle: &Oracle, stored: &Value) {
    assert_eq!(stored["tasks"], oracle.tasks.len(), "{what}");
    for (name, counts) in ["status", "type", "project"].into_iter().zip(oracle.counts()) {
        assert_eq!(stored[name], serde_json::to_value(counts).expect("it is JSON"), "{what}: {name}");
    }
    let mut parents: Vec<(u64, &str)> = oracle
        .tasks
        .iter()
        .filter(|(_, task)| task.children > 0)
        .map(|(path, task)| (task.children as u64, path.as_str()))
        .collect();
    parents.sort_by_key(|&(children, path)| (std::cmp::Reverse(children), path));
    assert_eq!(stored["parents"]["count"], parents.len(), "{what}");
    let shown = stored["parents"]["most_children"].as_array().expect("a list");
    assert_eq!(shown.len(), parents.len().min(20), "{what}");
    for (shown, (children, path)) in shown.iter().zip(parents) {
        assert_eq!((shown["children"].as_u64(), shown["path"].as_str()), (Some(children), Some(path)), "{what}");
    }
}

/// Every row that the manifest lists, but those with faults, by ordinal.
fn listed_fates(what: &str, manifest: &Value) -> HashMap<u64, Value> {
    let mut lists = vec![&manifest["dropped"]];
    for (code, refused) in manifest["refused"].as_object().expect("an object") {
        for name in ["direct", "followers"] {
            for row in refused[name]["rows"].as_array().expect("a list") {
                assert_eq!(row["codes"][0], code.as_str(), "{what}");
                assert_eq!(row.get("defects").is_some(), name == "direct", "{what}: {row}");
            }
            lists.push(&refused[name]);
        }
    }
    let mut listed = HashMap::new();
    for list in lists {
        let rows = list["rows"].as_array().expect("a list");
        assert_eq!(list["count"], rows.len(), "{what}");
        for row in rows {
            let before = listed.insert(row["ordinal"].as_u64().expect("a number"), row.clone());
            assert!(before.is_none(), "{what}: {row} is listed twice");
        }
    }
    listed
}

fn check_fate(what: &str, verdict: &Verdict, entry: Option<&Value>) {
    let codes = |entry: &Value| -> BTreeSet<String> {
        let codes = entry["codes"].as_array().into_iter().flatten();
        codes.map(|code| code.as_str().expect("a text").to_owned()).collect()
    };
    match (verdict, entry) {
        (Verdict::Stored, None) => {}
        (Verdict::Dropped, Some(entry)) => assert!(entry.get("codes").is_none(), "{what}: {entry}"),
        (Verdict::Duplicate, Some(entry)) => {
            assert!(entry.get("copy_of").is_some(), "{what}: {entry}")
        }
        (Verdict::Fields(wanted), Some(entry)) => {
            assert_eq!(&codes(entry), wanted, "{what}: {entry}");
            assert!(entry.get("link").is_none() && entry.get("defects").is_some(), "{what}: {entry}");
        }
        (Verdict::Links(wanted, link), Some(entry)) => {
            assert_eq!(&codes(entry), wanted, "{what}: {entry}");
            assert_eq!(entry.get("link").and_then(Value::as_str), link.as_deref(), "{what}: {entry}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn count_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Stored => "stored",
        Verdict::Dropped => "dropped",
        Verdict::Fields(_) => "rejected_by_fields",
        Verdict::Links(..) => "rejected_by_links",
        Verdict::Duplicate => "duplicates",
    }
}

#[test]
fn the_manifest_agrees_with_the_oracle_row_by_row() {
    for profile in [Profile::Clean, Profile::Realistic, Profile::Hostile, Profile::Drift] {
        for (seed, count) in [(0, 2000), (1, 2000), (77, 10_000), (u64::MAX, 2000), (4, 1), (5, 0)] {
            for mixed in [false, true] {
                let (file, manifest) = generate(Options { mixed, ..options(seed, count, profile) });
                compare(&format!("{profile:?} {seed} {count} mixed {mixed}"), &file, &manifest);
            }
        }
    }
}

#[test]
fn a_few_large_projects_agree_with_the_oracle_too() {
    let few = Options { projects: Some(2), ..options(3, 10_000, Profile::Hostile) };
    let (file, manifest) = generate(few);
    compare("two projects", &file, &manifest);
}

#[test]
fn standing_cases_agree_with_the_oracle() {
    for case in CASES {
        let mut file = Vec::new();
        let written = case.write(&mut file).expect("a vector takes all");
        let mut manifest = case.manifest();
        manifest.finish(written);
        compare(case.name(), &file, &serde_json::to_value(&manifest).expect("it is JSON"));
    }
}

#[test]
fn every_clean_row_obeys_every_rule() {
    for mixed in [false, true] {
        let (file, manifest) = generate(Options { mixed, ..options(12, 5000, Profile::Clean) });
        let links = &manifest["expected"]["task_links"];
        let (stored, dropped) = (links["stored"].as_u64(), links["dropped"].as_u64());
        assert_eq!(stored.zip(dropped).map(|(stored, dropped)| stored + dropped), Some(5000));
        assert_eq!(dropped > Some(0), mixed);
        assert_eq!(lines(&file).len(), 5000);
    }
}

#[test]
fn same_options_same_bytes_and_same_manifest() {
    for profile in [Profile::Realistic, Profile::Drift] {
        assert_eq!(generate(options(9, 3000, profile)), generate(options(9, 3000, profile)));
    }
}

#[test]
fn a_shorter_input_is_the_beginning_of_a_longer_one() {
    for mixed in [false, true] {
        let of = |count| generate(Options { projects: Some(20), mixed, ..options(9, count, Profile::Hostile) }).0;
        let long = of(5000);
        for count in [1, 13, 256, 1000, 4999] {
            let short = of(count);
            assert!(long.starts_with(&short), "{count} rows");
            assert_eq!(lines(&short).len() as u64, count);
        }
    }
}

#[test]
fn rows_do_not_depend_on_which_were_made_before() {
    let mut tasks = Tasks::new(options(9, 3000, Profile::Hostile)).expect("the options fit");
    let (file, _) = generate(options(9, 3000, Profile::Hostile));
    for (index, wanted) in lines(&file).into_iter().enumerate().rev().step_by(7) {
        let mut line = Vec::new();
        tasks.push_row(index as u64, &mut line);
        assert_eq!(&line[..line.len() - 1], wanted, "row {index}");
    }
}

#[test]
fn other_orders_hold_the_same_rows_and_the_same_expectations() {
    let (topo, in_order) = generate(options(21, 3000, Profile::Hostile));
    let mut sorted = lines(&topo);
    sorted.sort_unstable();
    for order in [Order::Shuffled, Order::Reverse] {
        let (file, manifest) = generate(Options { order, ..options(21, 3000, Profile::Hostile) });
        assert_ne!(file, topo);
        let rows = lines(&file);
        for (ordinal, entry) in listed_fates(order.name(), &manifest) {
            let row: Value = serde_json::from_slice(rows[ordinal as usize]).expect("it is JSON");
            assert_eq!(row["path"], entry["path"], "{order:?}");
            if let Some(source) = entry["copy_of"].as_u64() {
                assert!(source < ordinal && rows[source as usize] == rows[ordinal as usize], "{order:?}");
            }
        }
        let mut rows = rows;
        rows.sort_unstable();
        assert_eq!(rows, sorted, "{order:?}");
        for part in ["expected", "stored", "stored_with_faults", "defects"] {
            assert_eq!(manifest[part], in_order[part], "{order:?} {part}");
        }
    }
}

#[test]
fn inputs_with_different_seeds_share_no_path() {
    let mut owner: HashMap<String, u64> = HashMap::new();
    for seed in [0, 1, 2, 10, 36, 37, 1295, 1296, u64::MAX] {
        for line in lines(&generate(options(seed, 2000, Profile::Realistic)).0) {
            let row: Value = serde_json::from_slice(line).expect("it is JSON");
            let path = row["path"].as_str().expect("a path").to_owned();
            let before = *owner.entry(path.clone()).or_insert(seed);
            assert_eq!(before, seed, "{path}");
        }
    }
}

#[test]
fn shares_of_broken_rows_are_near_the_table() {
    for (profile, low, high) in [(Profile::Realistic, 0.040, 0.050), (Profile::Hostile, 0.28, 0.31)] {
        let (_, manifest) = generate(options(5, 20_000, profile));
        let refused = manifest["refused"].as_object().expect("an object").values();
        let direct: u64 = refused.map(|refused| refused["direct"]["count"].as_u64().expect("a number")).sum();
        let share = direct as f64 / 20_000.0;
        assert!((low..high).contains(&share), "{profile:?}: {share}");
    }
}

#[test]
fn mixed_shares_are_near_the_table() {
    let (file, _) = generate(Options { mixed: true, ..options(5, 20_000, Profile::Clean) });
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    for line in lines(&file) {
        let row: Value = serde_json::from_slice(line).expect("it is JSON");
        *shares.entry(row["op"].as_str().expect("an op").to_owned()).or_default() += 100.0 / 20_000.0;
    }
    for (op, percent) in [("create", 70.0), ("update", 22.0), ("status", 5.0), ("delete", 3.0)] {
        assert!((shares[op] - percent).abs() < 1.5, "{shares:?}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_with_a_hint() {
    for bad in [
        Options { mixed: true, order: Order::Reverse, ..options(1, 10, Profile::Clean) },
        Options { projects: Some(1), ..options(1, 30_000, Profile::Clean) },
    ] {
        let error = Tasks::new(bad).expect_err("they contradict each other").to_string();
        assert!(error.contains("hint:"), "{error}");
    }
}
