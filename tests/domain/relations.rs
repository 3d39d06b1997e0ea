//! One run in topological order: fates and codes of every row, and the final counts, are those of the manifest.

use super::{Input, options, strings, validated};
use crate::generator::cases::Case;
use crate::generator::tasks::Profile;
use crate::harness::guest_arg;

/// Compares every row of one run with the manifest.
fn every_row_has_its_fate(input: &Input, more: &[&str]) {
    let name = &input.name;
    let fields_alone = codes_of_fields_alone(input);
    let flags = validated();
    let (report, code) = input.run("both.db", &[strings(&flags), more.to_vec()].concat());
    let found = input.fates("both.db", &report);
    let expected = input.expected(false);
    assert_eq!(found.len(), expected.len(), "{name}");
    for (ordinal, ((found, slot), expected)) in found.iter().zip(&expected).enumerate() {
        let about = format!("{name}: row {ordinal}");
        match &fields_alone[ordinal] {
            // Both validators judge every item, so the other one's problems stand after those of the first.
            Some(codes) => {
                assert_eq!(codes, &expected.codes, "{about}");
                assert_eq!((&found.fate, slot.as_deref()), (&expected.fate, Some("task_fields")), "{about}");
                assert!(found.codes.is_superset(codes), "{about}: {found:?}");
            }
            None => {
                assert_eq!(found, expected, "{about}");
                let wanted = (expected.fate == "rejected").then_some("task_links");
                assert_eq!(slot.as_deref(), wanted, "{about}");
            }
        }
    }
    for (count, pointers) in [
        ("stored", &["/expected/task_links/stored"][..]),
        ("dropped", &["/expected/task_links/dropped"]),
        (
            "rejected",
            &[
                "/expected/task_links/rejected_by_fields",
                "/expected/task_links/rejected_by_links",
                "/expected/task_links/duplicates",
            ],
        ),
    ] {
        let wanted: u64 = pointers.iter().map(|pointer| input.count(pointer)).sum();
        assert_eq!(report[count], wanted, "{name}: {count}");
    }
    let all_stored = expected.iter().all(|fate| fate.fate == "stored");
    assert_eq!(code, Some(if all_stored { 0 } else { 3 }), "{name}");
    input.compare_stored("both.db", "stored");
    input.verify("both.db");
}

/// For each row the codes that `task-fields` by itself refuses it with.
fn codes_of_fields_alone(input: &Input) -> Vec<Option<std::collections::BTreeSet<String>>> {
    let fields = guest_arg("task-fields");
    let (report, _) = input.run("fields.db", &["--validator", &fields, "--id", "/path", "--missing-id", "ordinal"]);
    assert_eq!(report["rejected"], input.count("/expected/task_fields/rejected"), "{}", input.name);
    assert_eq!(report["stored"], input.count("/expected/task_fields/accepted"), "{}", input.name);
    let fates = input.fates("fields.db", &report);
    fates.into_iter().map(|(fate, _)| (fate.fate == "rejected").then_some(fate.codes)).collect()
}

#[test]
fn no_row_of_clean_tasks_is_refused() {
    every_row_has_its_fate(&Input::tasks(options(11, 2000, Profile::Clean)), &[]);
}

#[test]
fn every_row_of_realistic_tasks_has_the_fate_foreseen() {
    every_row_has_its_fate(&Input::tasks(options(12, 2000, Profile::Realistic)), &[]);
}

#[test]
fn every_row_of_hostile_tasks_has_the_fate_foreseen() {
    every_row_has_its_fate(&Input::tasks(options(13, 2000, Profile::Hostile)), &[]);
}

#[test]
fn of_ten_thousand_hostile_rows_none_has_another_fate_than_foreseen() {
    every_row_has_its_fate(&Input::tasks(options(14, 10_000, Profile::Hostile)), &[]);
}

#[test]
fn standing_cases_end_as_foreseen() {
    for case in
        [Case::DiamondLadder, Case::HundredByHundred, Case::Chain1000, Case::AllInvalid, Case::LastInvalid, Case::Empty]
    {
        every_row_has_its_fate(&Input::case(case), &[]);
    }
}

#[test]
fn a_last_invalid_row_leaves_the_others_stored_under_an_atomic_run() {
    every_row_has_its_fate(&Input::case(Case::LastInvalid), &["--atomic", "run"]);
    every_row_has_its_fate(&Input::tasks(options(15, 1000, Profile::Hostile)), &["--atomic", "run"]);
}
