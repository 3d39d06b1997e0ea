//! How often validators are asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use atlas_host::coordinator::Job;
use atlas_host::model::{Item, Outcome, Problem, Verdict};
use atlas_host::plugin::{Call, Validator};

use super::{host, items, planned, rows, sound};
use crate::harness::Folder;

/// Counts how often it is asked for each item and attempt, and accepts everything.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<BTreeMap<(u64, u32), u32>>>);

impl Validator for Counting {
    fn validate(&self, call: &Call, items: &[Item<'_>]) -> Vec<Verdict> {
        let mut asked = self.0.lock().expect("no panic");
        for item in items {
            *asked.entry((item.ordinal.0, call.attempt)).or_default() += 1;
        }
        vec![Verdict::Accept; items.len()]
    }
}

/// How many attempts an item takes: most one, some two, a few three.
fn attempts(ordinal: u64) -> u32 {
    match ordinal {
        n if n.is_multiple_of(50) => 3,
        n if n.is_multiple_of(7) => 2,
        _ => 1,
    }
}

fn slow_to_succeed(call: &Call, item: Item<'_>) -> Outcome {
    if call.attempt >= attempts(item.ordinal.0) {
        return Outcome::Keep;
    }
    let problem =
        Problem { code: "LATER".into(), message: "not yet".into(), pointer: String::new(), details: Vec::new() };
    Outcome::Retry(problem, Some(1))
}

#[test]
fn every_validator_is_asked_once_for_each_item_and_attempt_under_every_strategy() {
    const ITEMS: u64 = 300;
    let wanted: BTreeMap<(u64, u32), u32> =
        (0..ITEMS).flat_map(|n| (1..=attempts(n)).map(move |attempt| ((n, attempt), 1))).collect();
    for (strategy, lanes) in [("sequential", 1), ("concurrent", 2), ("adaptive", 2)] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let (first, second) = (Counting::default(), Counting::default());
        let job = Job::of_items(items(0, ITEMS), &store, "items").and_then(|job| job.id("id")).expect("a job");
        let job = planned(job, strategy, 40, lanes).validator(first.clone()).validator(second.clone());
        let report = host(2).run(job.operation(slow_to_succeed)).expect("a run");
        assert_eq!((report.counts.stored, report.counts.failed()), (ITEMS, 0), "{strategy}");
        assert_eq!(report.counts.retries, wanted.len() as u64 - ITEMS, "{strategy}");
        for validator in [first, second] {
            assert_eq!(*validator.0.lock().expect("no panic"), wanted, "{strategy}");
        }
        assert_eq!(rows(&store, "items").len() as u64, ITEMS, "{strategy}");
        sound(&store);
    }
}
