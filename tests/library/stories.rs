//! Whole jobs, as a program that embeds the host runs them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use atlas_host::coordinator::Job;
use atlas_host::model::{Fate, Item, Outcome, Problem, RunStatus};
use atlas_host::plugin::Call;
use atlas_host::store::Reader;

use super::{host, items, letters, named, planned, rows, sound};
use crate::harness::{Folder, guest, tickets};

#[test]
fn a_thousand_tasks_saved_with_the_adaptive_strategy_are_all_stored_and_indexed() {
    let folder = Folder::new();
    let store = folder.at("tasks.db");
    let job = Job::of_items(items(0, 1000), &store, "tasks")
        .and_then(|job| job.id("id"))
        .and_then(|job| job.index("status"))
        .and_then(|job| job.index("/n"))
        .expect("a job");
    assert_eq!(job.strategy, "adaptive");
    let report = host(2).run(job).expect("a run");

    assert_eq!((report.status, report.success, report.exit()), (RunStatus::Succeeded, true, 0));
    assert_eq!((report.counts.read, report.counts.stored, report.counts.inserted), (1000, 1000, 1000));
    let reader = Reader::open(&store).expect("a store");
    assert_eq!(reader.count(&named("tasks")).expect("a collection"), 1000);
    let indexes = reader.indexes(Some(&named("tasks"))).expect("indexes");
    let entries: Vec<(&str, u64)> = indexes.iter().map(|index| (index.name.as_str(), index.entries)).collect();
    assert_eq!(entries, [("n", 1000), ("status", 1000)]);
    assert_eq!(rows(&store, "tasks"), items(0, 1000).map(|body| (id_of(&body), body)).collect::<Vec<_>>());
    sound(&store);
}

#[test]
fn ten_thousand_tickets_pass_through_a_component_that_judges_and_one_that_transforms() {
    let folder = Folder::new();
    let store = folder.at("tickets.db");
    let input = folder.write("tickets.ndjson", tickets(10_000, 5));
    let host = host(2);
    let rules = host.load_plugin(guest("ticket-rules")).expect("a plugin");
    let tidy = host.load_plugin(guest("ticket-tidy")).expect("a plugin");
    let job = Job::of_files([&input], &store, "tickets")
        .and_then(|job| job.id("id"))
        .and_then(|job| job.index("status"))
        .and_then(|job| job.index("priority"))
        .and_then(|job| job.index("slug"))
        .expect("a job")
        .validator_plugin(rules)
        .operation_plugin(tidy);
    let report = host.run(job).expect("a run");

    let text = folder.read("tickets.ndjson");
    let (good, bad): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| keeps_the_rules(line));
    assert!(bad.len() > 300, "the sample has {} broken tickets", bad.len());
    assert_eq!((report.status, report.exit()), (RunStatus::Partial, 3));
    assert_eq!((report.counts.stored, report.counts.rejected), (good.len() as u64, bad.len() as u64));
    assert_eq!((report.counts.read, report.counts.dead_lettered, report.counts.dropped), (10_000, 0, 0));

    let stored = rows(&store, "tickets");
    let ids: BTreeSet<String> = good.iter().map(|line| id_of(line)).collect();
    assert_eq!(stored.iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>(), ids);
    assert!(stored.iter().all(|(_, body)| body.contains(r#""slug":"implement-feature-"#)), "each is transformed");
    let refused: Vec<Vec<u8>> = letters(&store).into_iter().filter_map(|letter| letter.original).collect();
    assert_eq!(refused, bad.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>(), "with their bytes");
    for index in Reader::open(&store).expect("a store").indexes(None).expect("indexes") {
        assert_eq!(index.entries, good.len() as u64, "index {}", index.name);
    }
    sound(&store);
}

#[test]
fn five_jobs_side_by_side_into_one_store_lose_and_double_nothing_and_share_the_lanes() {
    let folder = Folder::new();
    let store = folder.at("shared.db");
    let host = host(2);
    let (at_work, peak) = (&*Box::leak(Box::new(AtomicUsize::new(0))), &*Box::leak(Box::new(AtomicUsize::new(0))));
    let watched = move |_: &Call, _: Item<'_>| {
        peak.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        at_work.fetch_sub(1, Ordering::SeqCst);
        Outcome::Keep
    };
    std::thread::scope(|scope| {
        for number in 0..5 {
            let (host, store) = (&host, &store);
            scope.spawn(move || {
                let job = Job::of_items(items(number * 1000, 1000), store, "tasks")
                    .and_then(|job| job.id("id"))
                    .and_then(|job| job.index("status"))
                    .expect("a job");
                let strategy = ["adaptive", "concurrent", "sequential"][number as usize % 3];
                let report = host.run(planned(job, strategy, 100, 4).operation(watched)).expect("a run");
                assert_eq!((report.status, report.counts.stored), (RunStatus::Succeeded, 1000), "job {number}");
                assert_eq!(report.batches, 10, "job {number}");
            });
        }
    });
    assert_eq!(rows(&store, "tasks"), items(0, 5000).map(|body| (id_of(&body), body)).collect::<Vec<_>>());
    let reader = Reader::open(&store).expect("a store");
    assert_eq!(reader.indexes(None).expect("indexes")[0].entries, 5000);
    assert_eq!(reader.runs(100).expect("runs").len(), 5);
    let seen = peak.load(Ordering::SeqCst);
    assert!(seen <= host.peak_lanes() && host.peak_lanes() <= 2, "{seen} seen, {} told", host.peak_lanes());
    sound(&store);
}

#[test]
fn where_four_of_five_fail_one_is_stored_and_the_run_is_partial() {
    let folder = Folder::new();
    let store = folder.at("five.db");
    let fail = |_: &Call, item: Item<'_>| match item.ordinal.0 {
        2 => Outcome::Keep,
        0 | 1 => Outcome::Reject(Problem {
            code: "TASK_1002".into(),
            message: "no name".into(),
            pointer: "/name".into(),
            details: vec![],
        }),
        _ => std::panic::resume_unwind(Box::new("asked to panic")),
    };
    let job = Job::of_items(items(0, 5), &store, "tasks").and_then(|job| job.id("id")).expect("a job").operation(fail);
    let report = host(2).run(job).expect("a run that ends");
    assert_eq!((report.counts.stored, report.counts.failed()), (1, 4));
    assert_eq!((report.counts.rejected, report.counts.dead_lettered), (2, 2));
    assert_eq!((report.status, report.success, report.exit()), (RunStatus::Partial, false, 3));
    let fates = report.fates.expect("fates");
    assert_eq!(fates, [(Fate::Rejected, 0, 1), (Fate::Stored, 2, 2), (Fate::DeadLettered, 3, 4)]);
    assert_eq!(rows(&store, "tasks").len(), 1);
    let codes: Vec<String> = letters(&store).into_iter().map(|letter| letter.code).collect();
    assert_eq!(codes, ["TASK_1002", "TASK_1002", "GUEST_10001", "GUEST_10001"]);
}

#[test]
fn a_finished_job_that_is_repeated_changes_nothing_and_says_so() {
    let folder = Folder::new();
    let store = folder.at("twice.db");
    let input = folder.write("in.ndjson", items(0, 25).collect::<Vec<_>>().join("\n"));
    let host = host(1);
    let job = || Job::of_files([&input], &store, "tasks").and_then(|job| job.id("id")).expect("a job");
    let first = host.run(job()).expect("a run");
    let second = host.run(job()).expect("a run");
    assert!(!first.already_complete && second.already_complete);
    assert_eq!((second.run, second.counts.stored), (first.run, 25));
    let mut anew = job();
    anew.again = true;
    let third = host.run(anew).expect("a run");
    assert_eq!((third.counts.stored, third.counts.unchanged, third.counts.inserted), (25, 25, 0));
    assert_eq!(rows(&store, "tasks").len(), 25);
}

fn id_of(body: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).expect("JSON");
    value["id"].as_str().expect("an id").to_owned()
}

/// The rules that the generator breaks in some tickets.
fn keeps_the_rules(line: &str) -> bool {
    let ticket: serde_json::Value = serde_json::from_str(line).expect("JSON");
    ticket["title"] != "" && ticket["status"] != "nope" && ticket["priority"].as_u64().expect("a number") <= 9
}
