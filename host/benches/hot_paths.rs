//! Micro-benchmarks of what happens to every item, ten batches of tickets a round.
//!
//! `cargo bench --bench hot_paths`. Items enter a store through `Host::run` alone, so writing and calls of plugins are measured
//! as runs: `pass_on` is a run that does nothing, and what `call_identity` and `store` take beyond it is the call and the writing.
//! HOT_PATHS_ROUNDS repeats each round, so that `examples/bench/instructions` can take the difference of two counts.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use atlas_host::coordinator::{Filling, Host, HostOptions, Input, Job, SlotSpec};
use atlas_host::model::{Pointer, Position};
use atlas_host::source::{self, Decoder, InputPath, ListSource, MissingId, Next, Raw, ReadOptions, Source};
use atlas_host::strategy::{Bounds, Interval};
use divan::Bencher;
use divan::counter::ItemsCount;
use tempfile::TempDir;

const BATCH: usize = 1000;
const ITEMS: usize = 10 * BATCH;
/// What the benchmark has indexes on.
const INDEXES: [&str; 3] = ["status", "path", "priority"];

/// Tickets like those that `examples/generate` makes, their ids in no order.
static TICKETS: LazyLock<Vec<String>> = LazyLock::new(|| (0..ITEMS).map(|n| ticket(n * 7919 % ITEMS)).collect());
/// One lane, so that nothing is measured twice or in parts.
static HOST: LazyLock<Host> =
    LazyLock::new(|| Host::new(HostOptions { lanes: 1, ..HostOptions::default() }).expect("a host"));

fn main() {
    divan::main();
}

fn ticket(n: usize) -> String {
    format!(
        r#"{{"id":"t-{n:07}","path":"project-{}/epic-{}/task-{n}","title":"Implement Feature #{n}: the Quick brown Fox","status":"{}","priority":{},"tags":["Backend","URGENT","Team{}"],"created":{},"notes":"sed labore sit adipiscing et sed sed do et et adipiscing"}}"#,
        n % 50,
        n % 977,
        ["pending", "in_progress", "completed", "failed", "blocked"][n % 5],
        n % 9,
        n % 13,
        1_700_000_000 + n
    )
}

fn rounds() -> usize {
    std::env::var("HOT_PATHS_ROUNDS").map_or(1, |text| text.parse().expect("HOT_PATHS_ROUNDS is a number"))
}

/// A file of lines becomes records.
#[divan::bench]
fn split_lines(bencher: Bencher<'_, '_>) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("tickets.ndjson");
    std::fs::write(&file, TICKETS.join("\n")).expect("a file");
    bencher.counter(ItemsCount::new(ITEMS * rounds())).bench_local(|| {
        for _ in 0..rounds() {
            assert_eq!(records(&file), ITEMS);
        }
    });
}

fn records(file: &Path) -> usize {
    let mut source = source::open(vec![InputPath::File(file.to_owned())], &ReadOptions::default()).expect("a source");
    let mut count = 0;
    loop {
        match source.next(None).expect("a file that can be read") {
            Next::Record(raw) => count += black_box(raw).bytes.len().min(1),
            Next::End => return count,
            _ => {}
        }
    }
}

/// A record is checked to be strict JSON, and its id is found.
#[divan::bench]
fn judge_and_find_id(bencher: Bencher<'_, '_>) {
    let decoder = Decoder::new(Pointer::parse("id"), MissingId::Reject);
    bencher.counter(ItemsCount::new(ITEMS * rounds())).bench_local(|| {
        for ticket in (0..rounds()).flat_map(|_| TICKETS.iter()) {
            let raw = Raw { bytes: ticket.as_bytes(), id: None, position: Position::default() };
            black_box(decoder.judge(&raw).expect("an item"));
        }
    });
}

/// A run without plugin and store: batches are cut, computed and counted.
#[divan::bench]
fn pass_on(bencher: Bencher<'_, '_>) {
    runs(bencher, || job(None));
}

/// The same through a plugin that keeps every item: lowering, the call, lifting.
#[divan::bench]
fn call_identity(bencher: Bencher<'_, '_>) {
    let identity = Arc::new(HOST.load_plugin(identity()).expect("the guest identity"));
    runs(bencher, || {
        let operation = SlotSpec::new("identity", Filling::Component(Arc::clone(&identity)));
        Job { operations: vec![operation], ..job(None) }
    });
}

/// The same into a new store without plugin. The store is made anew each time, which is in the figure.
#[divan::bench(sample_count = 20)]
fn store(bencher: Bencher<'_, '_>) {
    let folder = TempDir::new().expect("a folder");
    runs(bencher, || job(Some(new_store(&folder))));
}

#[divan::bench(sample_count = 20)]
fn store_with_three_indexes(bencher: Bencher<'_, '_>) {
    let folder = TempDir::new().expect("a folder");
    runs(bencher, || {
        INDEXES.iter().try_fold(job(Some(new_store(&folder))), |job, index| job.index(index)).expect("indexes")
    });
}

/// Jobs are made outside of the measured time.
fn runs(bencher: Bencher<'_, '_>, job: impl Fn() -> Job) {
    let jobs = || (0..rounds()).map(|_| job()).collect::<Vec<Job>>();
    bencher.counter(ItemsCount::new(ITEMS * rounds())).with_inputs(jobs).bench_local_values(|jobs| {
        for job in jobs {
            let report = HOST.run(job).expect("a run that succeeds");
            assert_eq!(report.counts.stored, ITEMS as u64);
        }
    });
}

/// All tickets in batches of one size, into a store or nowhere.
fn job(store: Option<PathBuf>) -> Job {
    let entries = TICKETS.iter().map(|body| (None, body.clone())).collect::<Vec<_>>();
    let source = ListSource::new("tickets", entries);
    let mut job = Job::new(Input::Source { source: Box::new(source), resumable: None }, store);
    job.strategy = "sequential".to_owned();
    let batch_size = Interval::new(BATCH, BATCH).expect("a size");
    job.bounds = Bounds { batch_size, lanes: Interval::new(1, 1).expect("a lane"), start: None };
    job.id("id").expect("a pointer")
}

fn new_store(folder: &TempDir) -> PathBuf {
    tempfile::Builder::new().suffix(".db").tempfile_in(folder).expect("a name").path().to_owned()
}

/// Built on first use, as the tests do.
fn identity() -> PathBuf {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let built = Command::new(root.join("guests/build")).arg("identity").output().expect("guests/build starts");
    assert!(built.status.success(), "guests/build failed; run it by hand to see why: {built:?}");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("guests/identity.wasm")
}
