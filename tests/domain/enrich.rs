//! The operation of the sample domain: changes, repeats, edges, fault directives.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Input, options, strings, validated};
use crate::generator::tasks::{Options, Profile};
use crate::harness::guest_arg;

/// Flags of a run of mixed rows through both validators and the operation, with edges.
pub(super) fn flags() -> Vec<String> {
    let mut flags = vec!["--validator".to_owned(), guest_arg("task-fields")];
    flags.extend(["--validator".to_owned(), guest_arg("task-links")]);
    flags.extend(["--plugin".to_owned(), guest_arg("task-enrich")]);
    flags.extend(["--id", "/key", "--index", "status", "--index", "parent=/parentPath"].map(str::to_owned));
    flags.extend(["--index", "project=/projectPath"].map(str::to_owned));
    flags.extend(["--collection", "edges", "--plugin-config", "edges=edges"].map(str::to_owned));
    flags.extend(["--index", "edges:to", "--index", "edges:from", "--deadline", "4s"].map(str::to_owned));
    flags
}

/// Fates, codes and final counts of a run whose operation obeys the fault directives.
fn every_row_ends_as_foreseen(input: &Input, flags: &[&str]) {
    let name = &input.name;
    let (report, _) = input.run("rows.db", flags);
    let found = input.fates("rows.db", &report);
    for (ordinal, ((found, slot), expected)) in found.iter().zip(input.expected(true)).enumerate() {
        let about = format!("{name}: row {ordinal}");
        assert_eq!(found.fate, expected.fate, "{about}: {found:?}, wanted {expected:?}");
        if slot.as_deref() == Some("task_fields") {
            assert!(found.codes.is_superset(&expected.codes), "{about}: {found:?}, wanted {expected:?}");
        } else {
            assert_eq!(found, &expected, "{about}");
        }
    }
    for (count, pointer) in [
        ("stored", "/expected/with_faults/stored"),
        ("dropped", "/expected/with_faults/dropped"),
        ("dead_lettered", "/expected/with_faults/faulted"),
    ] {
        assert_eq!(report[count], input.count(pointer), "{name}: {count}");
    }
    input.compare_stored("rows.db", "stored_with_faults");
    input.verify("rows.db");
}

#[test]
fn updates_status_rows_deletions_and_repeats_end_as_foreseen() {
    for (seed, profile) in [(41, Profile::Clean), (42, Profile::Realistic), (43, Profile::Hostile)] {
        let input = Input::tasks(Options { mixed: true, ..options(seed, 2000, profile) });
        assert!(input.count("/expected/task_links/dropped") > 0, "{}: no repeats", input.name);
        every_row_ends_as_foreseen(&input, &strings(&flags()));
        edges_are_those_of_the_stored_tasks(&input);
        tasks_are_found_by_the_index_over_their_projects(&input);
    }
}

/// As many tasks for each project as the generator foresaw, asked for by the index that the operation's computed field fills.
fn tasks_are_found_by_the_index_over_their_projects(input: &Input) {
    let projects = input.manifest["stored_with_faults"]["project"].as_object().expect("a table");
    assert!(projects.len() > 1, "{}: one project would show nothing", input.name);
    let ask = |project: &str, how: &[&str]| {
        let query = ["query", "--store", "rows.db", "--index", "project", "--equals", project, "--text"];
        input.folder.atlas([&query[..], how].concat()).run().exits(0)
    };
    for (project, tasks) in projects {
        let plan = ask(project, &["--explain"]).stdout;
        assert!(plan.contains("SEARCH") && plan.contains("idx_items_project"), "{}: {plan}", input.name);
        let count = ask(project, &["--count", "--output", "json"]).json();
        assert_eq!(&count[0]["count"], tasks, "{}: tasks of {project}", input.name);
    }
}

/// One edge for each dependency of each stored task and no other, found by the index over their targets.
fn edges_are_those_of_the_stored_tasks(input: &Input) {
    let wanted: BTreeSet<(String, String)> = input
        .rows("rows.db", "items")
        .iter()
        .filter(|(id, _)| !id.starts_with("key:"))
        .flat_map(|(id, body)| {
            let dependencies = body["dependencies"].as_array().cloned().unwrap_or_default();
            dependencies.into_iter().map(|to| (id.clone(), to.as_str().expect("a path").to_owned())).collect::<Vec<_>>()
        })
        .collect();
    let text = |body: &Value, name: &str| body[name].as_str().expect("a path").to_owned();
    let edges = input.rows("rows.db", "edges");
    let found: BTreeSet<(String, String)> =
        edges.iter().map(|(_, body)| (text(body, "from"), text(body, "to"))).collect();
    assert_eq!(found.len(), edges.len(), "{}: doubled edges", input.name);
    assert!(found == wanted, "{}: {:?}", input.name, found.symmetric_difference(&wanted).next());
    let (_, target) = wanted.first().expect("some task depends on another");
    let query = ["query", "--into", "edges", "--index", "to", "--equals", target, "--store", "rows.db", "--limit", "0"];
    let rows = input.folder.atlas([&query[..], &["--output", "json"]].concat()).run().exits(0).json();
    let rows = rows.as_array().expect("a list");
    assert_eq!(rows.len(), wanted.iter().filter(|(_, to)| to == target).count(), "{}: edges to {target}", input.name);
}

#[test]
fn directed_faults_end_in_the_fate_of_their_kind() {
    // With 10,000 realistic rows every kind of fault occurs.
    let input = Input::tasks(options(44, 10_000, Profile::Realistic));
    let kinds = input.manifest["faults"]["by_name"].as_object().expect("an object");
    for kind in ["transient", "permanent", "slow", "trap"] {
        assert!(kinds.contains_key(kind), "{kind} is not in {kinds:?}");
    }
    let mut flags = validated();
    flags.extend(["--plugin".to_owned(), guest_arg("task-enrich"), "--deadline".to_owned(), "4s".to_owned()]);
    every_row_ends_as_foreseen(&input, &strings(&flags));
}

#[test]
fn a_transient_fault_passes_below_the_attempt_limit_and_not_at_it() {
    let row = |number: u32, fault: &str| {
        format!(r#"{{"path":"t-{number}","name":"n","metadata":{{"customFields":{{"fault":"{fault}"}}}}}}"#)
    };
    let folder = crate::harness::Folder::new();
    let lines: Vec<String> = (0..6).map(|number| row(number, &format!("transient({number})"))).collect();
    folder.write("rows.ndjson", lines.join("\n") + "\n");
    let input = Input { folder, name: "transient faults".to_owned(), manifest: Value::Null };
    let plugin = guest_arg("task-enrich");
    for (attempts, stored) in [("1", 1), ("2", 2), ("3", 3), ("5", 5)] {
        let store = format!("{attempts}.db");
        let (report, code) = input.run(&store, &["--plugin", &plugin, "--id", "/path", "--attempts", attempts]);
        assert_eq!((report["stored"].as_u64(), code), (Some(stored), Some(3)), "{attempts} attempts: {report}");
        for letter in input.letters(&store) {
            assert_eq!(letter.fate.codes, BTreeSet::from(["FAULT_TRANSIENT".to_owned()]), "{letter:?}");
            assert_eq!(letter.fate.fate, "dead-lettered");
        }
    }
}
