//! Fates and rows do not depend on how the work is cut up, computed and grouped.

use std::path::Path;
use std::sync::{Arc, Mutex};

use atlas_host::coordinator::{Host, Job, RunReport};
use atlas_host::model::{Change, Fate, IndexSpec, Item, OnExisting, Outcome, Phase, Pointer, Problem};
use atlas_host::plugin::Call;
use atlas_host::processor::ProcessorKind;
use atlas_host::store::{Durability, IndexKey, Lookup, Reader};
use atlas_host::strategy::Interval;

use super::random::{Random, number, seed};
use super::{demand, host, letters, named, only, rows, sound};
use crate::harness::{Folder, guest};

/// What must be the same, however it came about.
#[derive(Debug, PartialEq)]
struct Result {
    rows: Vec<(String, String)>,
    side: Vec<(String, String)>,
    fates: Vec<(Fate, u64, u64)>,
    letters: Vec<Letter>,
    counts: atlas_host::model::Counts,
    blank_lines: u64,
}

#[derive(Debug, PartialEq)]
struct Letter {
    ordinal: u64,
    id: Option<String>,
    fate: Fate,
    phase: Phase,
    problems: Vec<Problem>,
    attempts: u32,
    position: (u64, u64),
    original: Option<Vec<u8>>,
}

fn result(store: &Path, report: RunReport) -> Result {
    assert!(report.counts.balance());
    sound(store);
    let letters = letters(store).into_iter().map(|letter| Letter {
        ordinal: letter.ordinal,
        id: letter.item_id,
        fate: letter.fate,
        phase: letter.phase,
        problems: letter.problems,
        attempts: letter.attempts,
        position: (letter.line, letter.offset),
        original: letter.original,
    });
    Result {
        rows: rows(store, "items"),
        side: rows(store, demand::SIDE),
        letters: letters.collect(),
        fates: report.fates.expect("few runs of fates"),
        counts: report.counts,
        blank_lines: report.blank_lines,
    }
}

/// One way to execute a job.
#[derive(Debug)]
struct Way {
    strategy: &'static str,
    batch_size: Interval,
    lanes: usize,
}

impl Way {
    fn plainest() -> Self {
        Self { strategy: "sequential", batch_size: only(1), lanes: 1 }
    }

    fn drawn(random: &mut Random) -> Self {
        let sizes = [1, 2, 7, 50, 64, 65, 1000];
        let (one, other) = (random.pick(&sizes), random.pick(&sizes));
        let strategy = random.pick(&["sequential", "concurrent", "adaptive"]);
        let spread = strategy == "adaptive" && random.coin();
        let batch_size = if spread { Interval::new(one.min(other), one.max(other)) } else { Interval::new(one, one) };
        Self { strategy, batch_size: batch_size.expect("in order"), lanes: random.between(1, 4) as usize }
    }
}

/// What a job does, apart from how it is executed.
struct Case {
    input: Vec<u8>,
    on_existing: OnExisting,
    unique: bool,
    attempts: u32,
}

impl Case {
    fn job(&self, folder: &Folder, way: &Way) -> Job {
        let (input, store) = (folder.write("in.ndjson", &self.input), folder.at("out.db"));
        let mut job = Job::of_files([input], store, "items").and_then(|job| job.id("id")).expect("a job");
        job.collections = vec![named(demand::SIDE)];
        if self.unique {
            let pointer = Pointer::parse("u").expect("a pointer");
            job.indexes.push(IndexSpec { collection: None, name: named("u"), pointer, unique: true });
        }
        job.strategy = way.strategy.to_owned();
        job.bounds.batch_size = way.batch_size;
        job.bounds.lanes = only(way.lanes);
        job.on_existing = self.on_existing;
        job.attempts = self.attempts;
        job.seed = Some(7);
        // No power is cut here, and many small commits are quicker so.
        job.durability = Durability::Normal;
        job
    }
}

const DEMANDS_OF_FAULTY: &[&str] =
    &["drop", "reject", "emit(2)", "emit(0)", "trap", "validator-reject", "validator-trap"];
const ALL_DEMANDS: &[&str] = &[
    "drop",
    "reject",
    "emit(2)",
    "emit(0)",
    "trap",
    "validator-reject",
    "validator-trap",
    "replace",
    "replace",
    "spread",
    "spread",
    "bad-json",
];

/// Random lines: most are plain, some ask for trouble, some share an id, some are no items at all.
fn lines(random: &mut Random, count: u64, demands: &[&str]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut retries = 3;
    for _ in 0..count {
        let (id, u) = (random.below(count * 3 / 4 + 1), random.below(count * 20));
        let fault = match random.below(100) {
            0..70 => "null".to_owned(),
            70..95 => format!("{:?}", random.pick(demands)),
            _ if retries > 0 => {
                retries -= 1;
                format!("{:?}", random.pick(&["retry(1)", "retry(1)", "retry"]))
            }
            _ => "null".to_owned(),
        };
        match random.below(40) {
            0 => text.extend_from_slice(b"{\"id\":\"torn"),
            1 => text.extend_from_slice(b"   "),
            2 => text.extend_from_slice(b"{\"no\":\"id\"}"),
            _ => text.extend_from_slice(format!(r#"{{"id":"k{id}","u":{u},"fault":{fault}}}"#).as_bytes()),
        }
        text.push(b'\n');
    }
    text
}

fn closures(job: Job) -> Job {
    job.validator(demand::validate).operation(demand::operate)
}

fn run(host: &Host, case: &Case, way: &Way, plugins: impl FnOnce(Job) -> Job) -> Result {
    let folder = Folder::new();
    let report = host.run(plugins(case.job(&folder, way))).expect("a run");
    result(&folder.at("out.db"), report)
}

#[test]
fn fates_and_rows_are_the_same_for_every_strategy_batch_size_and_number_of_lanes() {
    let seed = seed(20_261_123);
    let host = host(4);
    for number in 0..number("ATLAS_CASES", 8) {
        let random = &mut Random::new(seed, number);
        let policies = [OnExisting::Replace, OnExisting::Replace, OnExisting::Ignore, OnExisting::Reject];
        let count = random.between(1, 200);
        let case = Case {
            input: lines(random, count, ALL_DEMANDS),
            on_existing: random.pick(&policies),
            unique: random.coin(),
            attempts: random.between(1, 3) as u32,
        };
        let wanted = run(&host, &case, &Way::plainest(), closures);
        for _ in 0..5 {
            let way = Way::drawn(random);
            let found = run(&host, &case, &way, closures);
            assert_eq!(found, wanted, "case {number} of seed {seed}, {count} lines, {:?}: {way:?}", case.on_existing);
        }
    }
}

#[test]
fn a_component_and_closures_that_do_the_same_give_the_same_fates_and_rows() {
    let seed = seed(11);
    let host = host(2);
    let faulty = || host.load_plugin(guest("faulty")).expect("a plugin");
    for number in 0..3 {
        let random = &mut Random::new(seed, number);
        let input = lines(random, 120, DEMANDS_OF_FAULTY);
        let case = Case { input, on_existing: OnExisting::Replace, unique: false, attempts: 2 };
        let native = run(&host, &case, &Way::drawn(random), closures);
        for fresh in [false, true] {
            let way = Way::drawn(random);
            let component = run(&host, &case, &way, |mut job| {
                job.fresh_sandboxes = fresh;
                job.validator_plugin(faulty()).operation_plugin(faulty())
            });
            assert_eq!(without_messages(component), without_messages(run(&host, &case, &way, closures)), "{way:?}");
        }
        assert!(native.counts.failed() > 0 && native.counts.stored > 0);
    }
}

/// A trap and a panic say different things of the same fault.
fn without_messages(mut result: Result) -> Result {
    for problem in result.letters.iter_mut().flat_map(|letter| &mut letter.problems) {
        problem.message.clear();
    }
    result
}

#[test]
fn an_index_has_an_entry_for_each_stored_item_and_none_for_any_other() {
    for (strategy, lanes) in [("sequential", 1), ("concurrent", 2), ("adaptive", 2)] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        // Of twelve items the first and each that is replaced are stored; the seventh has the mark of the first.
        let kept = |n: u64| n.is_multiple_of(12) || n % 6 == 5;
        let bodies = (0..60u64).map(|n| {
            let fault = ["none", "drop", "reject", "trap", "validator-reject", "replace"][n as usize % 6];
            let mark = if n % 12 == 6 { n - 6 } else { n };
            format!(r#"{{"id":"{n:02}","tag":"t{n}","mark":"m{mark}","fault":"{fault}"}}"#)
        });
        let job = Job::of_items(bodies, &store, "items").and_then(|job| job.id("id")).and_then(|job| job.index("tag"));
        let mut job = job.expect("a job").validator(demand::validate).operation(demand::operate);
        let mark = Pointer::parse("mark").expect("a pointer");
        job.indexes.push(IndexSpec { collection: None, name: named("mark"), pointer: mark, unique: true });
        let report = host(2).run(super::planned(job, strategy, 20, lanes)).expect("a run");
        let counts = report.counts;
        assert_eq!((counts.stored, counts.dropped, counts.rejected, counts.dead_lettered), (15, 10, 20, 15));
        assert_eq!(letters(&store).iter().filter(|letter| letter.phase == Phase::Store).count(), 5, "by their mark");

        let reader = Reader::open(&store).expect("a store");
        let items = named("items");
        for index in reader.indexes(Some(&items)).expect("indexes") {
            assert_eq!(index.entries, counts.stored, "{strategy}: index {}", index.name);
        }
        for n in 0..60 {
            let found = |index: &str, key: String| {
                let found = reader.find(&items, &named(index), &IndexKey::Text(key), None, 10).expect("an index");
                found.into_iter().map(|row| row.id).collect::<Vec<_>>()
            };
            let wanted: Vec<String> = kept(n).then(|| format!("{n:02}")).into_iter().collect();
            assert_eq!(found("tag", format!("t{n}")), wanted, "{strategy}: item {n}");
            assert_eq!(found("mark", format!("m{n}")), wanted, "{strategy}: item {n}");
        }
        sound(&store);
    }
}

#[test]
fn of_two_changes_of_one_item_to_one_key_the_last_one_wins_whatever_becomes_of_rows_that_are_there() {
    let put = |collection: Option<&str>, body: &str| Change::Put {
        collection: collection.map(named),
        id: "x".to_owned(),
        body: body.to_owned(),
    };
    let changes = [put(None, "1"), put(Some(demand::SIDE), "2"), put(Some("items"), "3")];
    for on_existing in [OnExisting::Replace, OnExisting::Ignore, OnExisting::Reject] {
        for processor in [ProcessorKind::Storage, ProcessorKind::Memory] {
            let folder = Folder::new();
            let store = folder.at("out.db");
            let emitted = changes.to_vec();
            let job = Job::of_items(["{}".to_owned()], &store, "items").expect("a job");
            let mut job = job.operation(move |_: &Call, _: Item<'_>| Outcome::Emit(emitted.clone()));
            let passed_on: Arc<Mutex<Vec<String>>> = Arc::default();
            let seen = Arc::clone(&passed_on);
            job.output = Some(Box::new(move |collection, id, body| {
                seen.lock().expect("no panic").push(format!("{collection} {id} {body}"));
                Ok(())
            }));
            (job.collections, job.on_existing, job.processor) = (vec![named(demand::SIDE)], on_existing, processor);
            let counts = host(1).run(job).expect("a run").counts;
            let about = format!("{on_existing:?} {processor:?}");
            assert_eq!((counts.stored, counts.inserted, counts.ignored + counts.replaced), (1, 2, 0), "{about}");
            if processor == ProcessorKind::Storage {
                assert_eq!(rows(&store, "items"), [("x".to_owned(), "3".to_owned())], "{about}");
            } else {
                assert_eq!(*passed_on.lock().expect("no panic"), ["side x 2", "items x 3"], "{about}");
            }
        }
    }
}
