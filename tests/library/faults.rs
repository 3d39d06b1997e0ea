//! Faulty plugins cost the items that they fail on, and nothing else.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use atlas_host::coordinator::{Job, RunReport};
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{Fate, Item, Outcome, Phase, Problem, Verdict};
use atlas_host::plugin::{Call, Operation, Validator};

use super::random::{Random, seed};
use super::{demand, events, events_of, host, items, letters, planned, recorded, rows, sound};
use crate::harness::{Folder, guest};

/// 1000 items in one batch, of which these ask for this.
fn poisoned(folder: &Folder, poison: &[u64], fault: &str) -> Job {
    let (poison, fault) = (poison.to_vec(), format!("{fault:?}"));
    let items = (0..1000).map(move |n| {
        let fault = if poison.contains(&n) { &fault } else { "null" };
        format!(r#"{{"id":"{n:04}","fault":{fault}}}"#)
    });
    let job = Job::of_items(items, folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    planned(job, "sequential", 1000, 1)
}

/// Asserts that exactly these items failed with this code, in one commit and with few calls beyond `calls`.
#[track_caller]
fn costs_only(folder: &Folder, report: &RunReport, events: &[Envelope], poison: &[u64], code: &str, calls: f64) {
    let failed: Vec<u64> = letters(&folder.at("out.db")).iter().map(|letter| letter.ordinal).collect();
    assert_eq!(failed, poison, "exactly the poison items fail");
    assert!(letters(&folder.at("out.db")).iter().all(|l| l.code == code && l.fate == Fate::DeadLettered));
    assert_eq!(report.counts.stored, 1000 - poison.len() as u64);
    let commits: Vec<u64> = events
        .iter()
        .filter_map(|e| match &e.event {
            Event::BatchCommitted(done) => Some(done.metrics.guest_calls),
            _ => None,
        })
        .collect();
    assert_eq!(commits.len(), 1, "one batch, one commit");
    assert_eq!(events.iter().filter(|e| matches!(e.event, Event::TransactionCommitted { .. })).count(), 1);
    let most = calls + poison.len() as f64 * (2.0 * 1000f64.log2() + 2.0);
    assert!(commits[0] as f64 <= most, "{} calls for {} poison items, {most} allowed", commits[0], poison.len());
    sound(&folder.at("out.db"));
}

/// Where poison items stand: alone, at the edges, side by side, anywhere.
fn places(count: usize, random: &mut Random) -> Vec<Vec<u64>> {
    let at = random.below(1000 - count as u64);
    let mut anywhere = BTreeSet::new();
    while anywhere.len() < count {
        anywhere.insert(random.below(1000));
    }
    let edge: BTreeSet<u64> = (0..count as u64).map(|n| if n % 2 == 0 { n } else { 1000 - n }).collect();
    vec![edge.into_iter().collect(), (at..at + count as u64).collect(), anywhere.into_iter().collect()]
}

#[test]
fn poison_items_of_an_operation_in_rust_cost_themselves_and_few_calls() {
    let seed = seed(5);
    let host = host(1);
    for (count, number) in [(1, 0), (2, 1), (8, 2)] {
        for poison in places(count, &mut Random::new(seed, number)) {
            let folder = Folder::new();
            let (job, recording) = recorded(poisoned(&folder, &poison, "trap").operation(demand::operate));
            let report = host.run(job).expect("a run");
            costs_only(&folder, &report, &events_of(&recording), &poison, "GUEST_10001", 1.0);
        }
    }
}

#[test]
fn poison_items_of_a_component_cost_themselves_and_few_calls() {
    let seed = seed(6);
    let host = host(1);
    let faulty = || host.load_plugin(guest("faulty")).expect("a plugin");
    for (fault, code) in [("trap", "GUEST_10001"), ("recurse", "GUEST_10004"), ("short", "GUEST_10007")] {
        for (count, number) in [(1, 0), (2, 1), (8, 2)] {
            for poison in places(count, &mut Random::new(seed, number)) {
                let folder = Folder::new();
                let (job, recording) = recorded(poisoned(&folder, &poison, fault).operation_plugin(faulty()));
                let report = host.run(job).expect("a run");
                costs_only(&folder, &report, &events_of(&recording), &poison, code, 1.0);
            }
        }
    }
}

#[test]
fn poison_items_of_a_validator_have_no_verdict_and_cost_few_calls() {
    let host = host(1);
    let faulty = || host.load_plugin(guest("faulty")).expect("a plugin");
    for fault in ["validator-trap", "validator-long"] {
        let folder = Folder::new();
        let poison = [0, 499, 999];
        let (job, recording) = recorded(poisoned(&folder, &poison, fault).validator_plugin(faulty()));
        let report = host.run(job).expect("a run");
        costs_only(&folder, &report, &events_of(&recording), &poison, "BATCH_8004", 1.0);
        assert!(letters(&folder.at("out.db")).iter().all(|letter| letter.phase == Phase::Validate));
    }
}

/// Notes the ids that it sees, call by call, and keeps everything.
#[derive(Clone, Default)]
struct Seeing(Arc<Mutex<Vec<Vec<String>>>>);

impl Operation for Seeing {
    fn apply(&self, _: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        self.0.lock().expect("no panic").push(items.iter().map(|item| item.id.to_owned()).collect());
        vec![Outcome::Keep; items.len()]
    }
}

fn panics_on_thirds(_: &Call, item: Item<'_>) -> Verdict {
    if item.ordinal.0.is_multiple_of(3) {
        std::panic::resume_unwind(Box::new("asked to panic"))
    } else {
        Verdict::Accept
    }
}

fn refuses_fifths(_: &Call, item: Item<'_>) -> Verdict {
    if !item.ordinal.0.is_multiple_of(5) {
        return Verdict::Accept;
    }
    Verdict::Reject(vec![Problem {
        code: "FIFTH".into(),
        message: "a fifth".into(),
        pointer: String::new(),
        details: vec![],
    }])
}

#[test]
fn of_two_validators_side_by_side_one_that_panics_costs_its_own_verdicts_only() {
    for (panicking_first, strategy, lanes) in
        [(true, "sequential", 1), (false, "sequential", 1), (true, "concurrent", 2), (false, "concurrent", 2)]
    {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let seeing = Seeing::default();
        let job = Job::of_items(items(0, 60), &store, "items").and_then(|job| job.id("id")).expect("a job");
        let job = if panicking_first {
            job.validator(panics_on_thirds).validator(refuses_fifths)
        } else {
            job.validator(refuses_fifths).validator(panics_on_thirds)
        };
        let job = planned(job, strategy, 20, lanes).operation(seeing.clone());
        let (job, recording) = recorded(job);
        let report = host(2).run(job).expect("a run");
        events::check(&events_of(&recording), 2);

        let (mut third, mut fifth, mut both) = (0, 0, 0);
        for letter in letters(&store) {
            let codes: Vec<&str> = letter.problems.iter().map(|problem| problem.code.as_str()).collect();
            match (letter.ordinal.is_multiple_of(3), letter.ordinal.is_multiple_of(5)) {
                (true, false) => {
                    assert_eq!((letter.fate, codes), (Fate::DeadLettered, vec!["BATCH_8004"]));
                    third += 1;
                }
                (false, true) => {
                    assert_eq!((letter.fate, codes), (Fate::Rejected, vec!["FIFTH"]));
                    fifth += 1;
                }
                (true, true) => {
                    assert_eq!((letter.fate, codes), (Fate::Rejected, vec!["FIFTH", "BATCH_8004"]), "a verdict counts");
                    both += 1;
                }
                _ => panic!("item {} was refused: {codes:?}", letter.ordinal),
            }
        }
        assert_eq!((third, fifth, both, report.counts.stored), (16, 8, 4, 32));
        let mut calls = seeing.0.lock().expect("no panic").clone();
        if lanes > 1 {
            // Calls of several lanes come in any order; within each the items are in input order.
            calls.sort_by(|one, other| one[0].cmp(&other[0]));
        }
        let seen: Vec<String> = calls.into_iter().flatten().collect();
        let stored: Vec<String> = rows(&store, "items").into_iter().map(|(id, _)| id).collect();
        assert_eq!(seen, stored, "the operation sees what every validator accepts, in input order");
    }
}

/// Gives its answers in the wrong order.
struct Reversing;

impl Operation for Reversing {
    fn apply(&self, _: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        items.iter().rev().map(|item| Outcome::Replace(item.body.to_owned())).collect()
    }
}

#[test]
fn answers_in_another_order_are_caught_where_the_bodies_carry_other_ids() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let job = Job::of_items(items(0, 11), &store, "items").and_then(|job| job.id("id")).expect("a job");
    let report = host(1).run(planned(job, "sequential", 11, 1).operation(Reversing)).expect("a run");
    assert_eq!((report.counts.stored, report.counts.dead_lettered), (1, 10));
    assert_eq!(rows(&store, "items"), items(5, 1).map(|body| ("00000005".to_owned(), body)).collect::<Vec<_>>());
    assert!(letters(&store).iter().all(|letter| letter.code == "GUEST_10007"));
}

/// Answers for this many items more or fewer than it was asked about.
struct Miscounting(isize);

impl Operation for Miscounting {
    fn apply(&self, _: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        vec![Outcome::Keep; items.len().saturating_add_signed(self.0)]
    }
}

impl Validator for Miscounting {
    fn validate(&self, _: &Call, items: &[Item<'_>]) -> Vec<Verdict> {
        vec![Verdict::Accept; items.len().saturating_add_signed(self.0)]
    }
}

#[test]
fn lists_of_another_length_break_the_contract_and_nothing_of_them_is_used() {
    for by in [-1, 1, -1000, 1000] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let job = Job::of_items(items(0, 10), &store, "items").and_then(|job| job.id("id")).expect("a job");
        let report = host(1).run(job.operation(Miscounting(by))).expect("a run");
        assert_eq!((report.counts.stored, report.counts.dead_lettered), (0, 10), "off by {by}");
        assert!(letters(&store).iter().all(|letter| letter.code == "GUEST_10007"), "off by {by}");

        let folder = Folder::new();
        let store = folder.at("out.db");
        let job = Job::of_items(items(0, 10), &store, "items").and_then(|job| job.id("id")).expect("a job");
        let report = host(1).run(job.validator(Miscounting(by))).expect("a run");
        assert_eq!((report.counts.stored, report.counts.dead_lettered), (0, 10), "off by {by}");
        assert!(letters(&store).iter().all(|letter| letter.code == "BATCH_8004"), "off by {by}");
    }
}

/// Fails for now until the item's number of attempts is reached; then permanently, or never again.
fn stubborn(call: &Call, item: Item<'_>) -> Outcome {
    let wanted = item.ordinal.0 as u32 + 1;
    let problem = |code: String| Problem { code, message: "not yet".into(), pointer: String::new(), details: vec![] };
    if call.attempt < wanted {
        return Outcome::Retry(problem(format!("LATER_{}", call.attempt)), Some(20));
    }
    if item.ordinal.0 == 1 { Outcome::Reject(problem("NEVER".into())) } else { Outcome::Keep }
}

#[test]
fn transient_failures_are_tried_again_and_counted_and_permanent_ones_are_not() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    // The items want 1 to 5 attempts; 3 are allowed.
    let mut job = Job::of_items(items(0, 5), &store, "items").and_then(|job| job.id("id")).expect("a job");
    job.attempts = 3;
    let (job, recording) = recorded(planned(job, "sequential", 5, 1).operation(stubborn));
    let report = host(1).run(job).expect("a run");
    assert_eq!((report.counts.stored, report.counts.rejected, report.counts.dead_lettered), (2, 1, 2));
    assert_eq!(report.counts.retries, 1 + 2 + 2 + 2, "attempts beyond each item's first");
    let failed: Vec<_> =
        letters(&store).into_iter().map(|l| (l.ordinal, l.attempts, l.fate, l.problems[0].code.clone())).collect();
    let letter = |ordinal, attempts, fate, code: &str| (ordinal, attempts, fate, code.to_owned());
    assert_eq!(failed[0], letter(1, 2, Fate::Rejected, "NEVER"), "refused on its second attempt, and not tried again");
    assert_eq!((failed[1].1, failed[2].1), (3, 3), "attempts used up");
    let problems = |ordinal: u64| {
        let all = letters(&store);
        let letter = all.into_iter().find(|letter| letter.ordinal == ordinal).expect("a letter");
        letter.problems.iter().map(|problem| problem.code.clone()).collect::<Vec<_>>()
    };
    assert!(problems(3).contains(&"LATER_3".to_owned()), "the last problem is told: {:?}", problems(3));
    let mut retried = Vec::new();
    for envelope in events_of(&recording) {
        if let Event::ItemRetried { ordinal, attempt, delay_ms, .. } = envelope.event {
            retried.push((ordinal, attempt));
            // At least what was asked for; at most the first delay, doubled for each attempt.
            assert!((20..=50 << (attempt - 2)).contains(&delay_ms), "{delay_ms} ms before attempt {attempt}");
        }
    }
    assert_eq!(retried, [(1, 2), (2, 2), (3, 2), (4, 2), (2, 3), (3, 3), (4, 3)]);
}

#[test]
fn a_permanent_refusal_is_one_attempt() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let job = Job::of_items([r#"{"id":"a","fault":"reject"}"#.to_owned()], &store, "items").expect("a job");
    let report = host(1).run(job.operation(demand::operate)).expect("a run");
    assert_eq!((report.counts.rejected, report.counts.retries), (1, 0));
    assert_eq!(letters(&store)[0].attempts, 1);
}
