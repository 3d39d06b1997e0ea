//! What cannot become better by another attempt gets one: answers against the contract, panics, bodies that cannot be stored.

use atlas_host::coordinator::Job;
use atlas_host::model::{Item, Outcome, Verdict};
use atlas_host::plugin::{Call, Operation, Validator};

use super::{host, items, letters, recorded};
use crate::harness::Folder;

/// One answer too many.
struct Talkative;

impl Operation for Talkative {
    fn apply(&self, _: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        vec![Outcome::Keep; items.len() + 1]
    }
}

impl Validator for Talkative {
    fn validate(&self, _: &Call, items: &[Item<'_>]) -> Vec<Verdict> {
        vec![Verdict::Accept; items.len() + 1]
    }
}

#[test]
fn a_fault_against_the_contract_is_one_attempt() {
    let another_id = |_: &Call, _: Item<'_>| Outcome::Replace(r#"{"id":"another"}"#.to_owned());
    let no_json = |_: &Call, _: Item<'_>| Outcome::Replace("{".to_owned());
    let panics = |_: &Call, _: Item<'_>| -> Outcome { std::panic::resume_unwind(Box::new("asked to panic")) };
    for (what, code) in [
        ("a list too long", "GUEST_10007"),
        ("another item's id", "GUEST_10007"),
        ("no JSON", "GUEST_10008"),
        ("a panic", "GUEST_10001"),
        ("a validator's list too long", "BATCH_8004"),
    ] {
        // One item alone, and three of which each is found to be the culprit.
        for count in [1, 3] {
            let folder = Folder::new();
            let store = folder.at("out.db");
            let mut job = Job::of_items(items(0, count), &store, "items").and_then(|job| job.id("id")).expect("a job");
            job.attempts = 5;
            let job = match what {
                "a list too long" => job.operation(Talkative),
                "another item's id" => job.operation(another_id),
                "no JSON" => job.operation(no_json),
                "a panic" => job.operation(panics),
                _ => job.validator(Talkative),
            };
            let (job, recording) = recorded(job);
            let report = host(1).run(job).expect("a run");
            assert_eq!((report.counts.dead_lettered, report.counts.retries), (count, 0), "{what}, {count} items");
            let found: Vec<(String, u32)> =
                letters(&store).into_iter().map(|letter| (letter.code, letter.attempts)).collect();
            assert_eq!(found, vec![(code.to_owned(), 1); count as usize], "{what}, {count} items");
            let retried = super::events_of(&recording)
                .iter()
                .filter(|e| matches!(e.event, atlas_host::event::Event::ItemRetried { .. }))
                .count();
            assert_eq!(retried, 0, "{what}, {count} items");
        }
    }
}
