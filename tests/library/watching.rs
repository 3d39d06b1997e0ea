//! What a run sees of its surroundings, and what it tells of itself: sensors, bounds, rates, progress.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atlas_host::coordinator::{Atomicity, Command, Control, Filling, Input, Job, RejectLimit, SlotSpec};
use atlas_host::error::Code;
use atlas_host::event::{Envelope, Event, HealthStatus};
use atlas_host::model::{Plan, RunStatus};
use atlas_host::monitor::{Fold, Monitor, Sample, Sensor, Summary};
use atlas_host::source::InputPath;
use atlas_host::strategy::{Aim, Interval, Planned, Signals, Strategy};

use super::{demand, events_of, host, items, only, recorded};
use crate::harness::Folder;

/// The share of memory in use, by the number of batches committed so far.
struct Memory {
    committed: Arc<AtomicU64>,
    share: fn(u64) -> f64,
}

impl Sensor for Memory {
    fn sample(&mut self) -> Sample {
        let share = (self.share)(self.committed.load(Ordering::SeqCst));
        Sample { memory_share: Some(share), cpu_share: Some(f64::NAN), ..Sample::default() }
    }
}

/// Counts committed batches.
struct Counting(Arc<AtomicU64>);

impl Monitor for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn observe(&mut self, envelope: &Envelope) {
        if let Event::BatchCommitted(_) = envelope.event {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn sampled(share: fn(u64) -> f64, items_count: u64) -> Vec<Event> {
    let folder = Folder::new();
    let job = Job::of_items(items(0, items_count), folder.at("out.db"), "items").expect("a job");
    let (mut job, recording) = recorded(job);
    let committed = Arc::new(AtomicU64::new(0));
    job.monitors.push(Box::new(Counting(Arc::clone(&committed))));
    job.sensor = Some(Box::new(Memory { committed, share }));
    job.sample_interval = Duration::ZERO;
    job.bounds.batch_size = Interval::new(10, 200).expect("an interval");
    let report = host(2).run(job).expect("a run");
    assert_eq!(report.counts.stored, items_count);
    events_of(&recording).into_iter().map(|envelope| envelope.event).collect()
}

#[test]
fn a_sensor_of_the_program_decides_health_and_nan_says_nothing() {
    let events = sampled(|_| 0.95, 2000);
    let samples: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::HealthSampled { status, cpu_share, memory_share, .. } => Some((*status, *cpu_share, *memory_share)),
            _ => None,
        })
        .collect();
    assert!(!samples.is_empty());
    assert!(samples.iter().all(|sample| *sample == (HealthStatus::Unhealthy, None, Some(0.95))), "{samples:?}");
}

#[test]
fn plans_give_way_while_memory_is_short_and_recover_with_it() {
    let events = sampled(|committed| if (20..150).contains(&committed) { 0.95 } else { 0.4 }, 60_000);
    let plans: Vec<(u64, String)> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::PlanChosen { batch_size, reason, .. } => Some((batch_size, reason)),
            _ => None,
        })
        .collect();
    let shrunk = plans.iter().position(|(_, reason)| reason.contains("memory is 95 % in use"));
    let shrunk = shrunk.unwrap_or_else(|| panic!("no plan gave way: {plans:?}"));
    let smallest = plans[shrunk..].iter().map(|(size, _)| *size).min().expect("there is one");
    let again = plans[shrunk..].iter().filter(|(_, reason)| reason.contains("memory is 40 % in use again"));
    let largest = again.map(|(size, _)| *size).max().unwrap_or_else(|| panic!("no plan recovered: {plans:?}"));
    assert!(smallest < largest, "{plans:?}");
}

/// Everything that a sensor may say, by the number of batches committed so far.
struct Host {
    committed: Arc<AtomicU64>,
    sample: fn(u64) -> Sample,
}

impl Sensor for Host {
    fn sample(&mut self) -> Sample {
        (self.sample)(self.committed.load(Ordering::SeqCst))
    }
}

/// A run on a host that this sensor makes up, in trouble while 20 to 150 batches are committed: the sizes of its plans with
/// their reasons.
fn troubled(sample: fn(u64) -> Sample, change: impl FnOnce(&mut Job)) -> Vec<(u64, String)> {
    let folder = Folder::new();
    let job = Job::of_items(items(0, 60_000), folder.at("out.db"), "items").expect("a job");
    let (mut job, recording) = recorded(job);
    let committed = Arc::new(AtomicU64::new(0));
    job.monitors.push(Box::new(Counting(Arc::clone(&committed))));
    job.sensor = Some(Box::new(Host { committed, sample }));
    job.sample_interval = Duration::ZERO;
    job.bounds.batch_size = Interval::new(10, 200).expect("an interval");
    change(&mut job);
    host(2).run(job).expect("a run");
    let plans = events_of(&recording).into_iter().filter_map(|envelope| match envelope.event {
        Event::PlanChosen { batch_size, reason, .. } => Some((batch_size, reason)),
        _ => None,
    });
    plans.collect()
}

/// A plan gives the first reason, a later one the second, and the smallest until then is smaller than the largest after it.
#[track_caller]
fn gives_way_and_recovers(plans: &[(u64, String)], smaller: &str, larger: &str) {
    let shrunk = plans.iter().position(|(_, reason)| reason.contains(smaller));
    let shrunk = shrunk.unwrap_or_else(|| panic!("no plan says {smaller:?}: {plans:#?}"));
    let recovered = plans[shrunk..].iter().position(|(_, reason)| reason.contains(larger));
    let recovered = shrunk + recovered.unwrap_or_else(|| panic!("no later plan says {larger:?}: {plans:#?}"));
    let smallest = plans[shrunk..recovered].iter().map(|(size, _)| *size).min();
    let largest = plans[recovered..].iter().map(|(size, _)| *size).max();
    assert!(smallest < largest, "{smallest:?} while it gives way, {largest:?} after that: {plans:#?}");
}

fn in_trouble(committed: u64) -> bool {
    (20..150).contains(&committed)
}

/// A host without space for its store until a plan has given way to that.
struct Full {
    committed: Arc<AtomicU64>,
    gave_way: Arc<AtomicU64>,
}

impl Sensor for Full {
    fn sample(&mut self) -> Sample {
        let full = self.committed.load(Ordering::SeqCst) >= 20 && self.gave_way.load(Ordering::SeqCst) == 0;
        Sample { disk_free_bytes: Some(if full { 1 } else { 1 << 40 }), ..Sample::default() }
    }
}

/// Counts plans that gave way to an unhealthy host.
struct GivenWay(Arc<AtomicU64>);

impl Monitor for GivenWay {
    fn name(&self) -> &'static str {
        "given-way"
    }

    fn observe(&mut self, envelope: &Envelope) {
        if let Event::PlanChosen { reason, .. } = &envelope.event {
            self.0.fetch_add(u64::from(reason.contains("the host is unhealthy")), Ordering::SeqCst);
        }
    }
}

#[test]
fn an_unhealthy_host_makes_plans_smaller_until_it_is_well_again() {
    let plans = troubled(
        |_| Sample::default(),
        |job| {
            let (committed, gave_way) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            job.monitors.push(Box::new(Counting(Arc::clone(&committed))));
            job.monitors.push(Box::new(GivenWay(Arc::clone(&gave_way))));
            job.sensor = Some(Box::new(Full { committed, gave_way }));
        },
    );
    // A machine that is slow to tell the monitors may have got used to it by then.
    let usual = |reason: &String| reason.replace("stays unhealthy, as usual", "is well again");
    let plans: Vec<_> = plans.iter().map(|(size, reason)| (*size, usual(reason))).collect();
    gives_way_and_recovers(&plans, "the host is unhealthy: smaller", "the host is well again: larger");
}

#[test]
fn a_process_beyond_its_memory_budget_is_planned_for_with_smaller_batches() {
    let process = |committed| Sample {
        process_bytes: Some(if in_trouble(committed) { 950 << 20 } else { 100 << 20 }),
        ..Sample::default()
    };
    let plans = troubled(process, |job| job.memory_budget = Some(1000 << 20));
    gives_way_and_recovers(
        &plans,
        "memory is 95 % of the budget, 80 % wanted: smaller",
        "memory is 10 % of the budget again",
    );
    let free = troubled(process, |_| {});
    assert!(free.iter().all(|(_, reason)| !reason.contains("budget")), "{free:#?}");
}

#[test]
fn a_long_log_makes_plans_smaller_but_not_where_the_run_is_one_transaction() {
    let log =
        |committed| Sample { wal_bytes: Some(if in_trouble(committed) { 50 << 20 } else { 0 }), ..Sample::default() };
    let plans = troubled(log, |job| job.thresholds.wal_bytes = 20 << 20);
    gives_way_and_recovers(&plans, "the write-ahead log has 52 MB, 21 MB wanted", "the write-ahead log is short again");
    let applied = |_| Sample { wal_bytes: Some(50 << 20), ..Sample::default() };
    let whole = troubled(applied, |job| {
        job.thresholds.wal_bytes = 20 << 20;
        job.atomic = Atomicity::Run;
    });
    let heeds = |reason: &str| reason.contains("write-ahead log") || reason.contains("unhealthy");
    assert!(!whole.iter().any(|(_, reason)| heeds(reason)), "{whole:#?}");
}

#[test]
fn the_thresholds_of_health_are_those_at_which_plans_give_way() {
    let memory =
        |committed| Sample { memory_share: Some(if in_trouble(committed) { 0.5 } else { 0.2 }), ..Sample::default() };
    let plans = troubled(memory, |job| job.thresholds.memory_share = 0.45);
    gives_way_and_recovers(&plans, "memory is 50 % in use, 40 % wanted: smaller", "memory is 20 % in use again");
    let usual = troubled(memory, |_| {});
    assert!(usual.iter().all(|(_, reason)| !reason.contains("memory")), "{usual:#?}");
}

#[test]
fn a_size_near_the_end_of_a_list_is_what_is_left_of_it() {
    let folder = Folder::new();
    let list: Vec<String> = items(0, 1003).collect();
    let mut job = Job::of_items(list, folder.at("out.db"), "items").expect("a job");
    let told = Arc::new(Mutex::new(Vec::new()));
    job.own_strategy = Some(Box::new(Left(Arc::clone(&told))));
    host(2).run(job).expect("a run");
    let told = told.lock().expect("no panic");
    let wanted: Vec<Option<u64>> = (0..11).map(|batch| Some(1003 - 100 * batch)).collect();
    assert_eq!(*told, wanted, "each plan knows what those before it have asked for");
}

/// Keeps what it is told of the items left; many batches are under way.
struct Left(Arc<Mutex<Vec<Option<u64>>>>);

impl Strategy for Left {
    fn name(&self) -> &'static str {
        "left"
    }

    fn plan(&mut self, signals: &Signals) -> Planned {
        self.0.lock().expect("no panic").push(signals.items_left);
        Planned { plan: Plan { batch_size: 100, lanes: 2, batches_in_flight: 8 }, reason: None }
    }
}

/// Plans nothing at all.
struct Nothing;

impl Strategy for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn plan(&mut self, _: &Signals) -> Planned {
        Planned { plan: Plan { batch_size: 0, lanes: 0, batches_in_flight: 0 }, reason: None }
    }
}

#[test]
fn an_aim_at_short_batches_is_told_to_the_strategy() {
    for (aim, bound, wanted) in [(Aim::Latency, None, 0), (Aim::Throughput, Some(Duration::from_millis(7)), 7000)] {
        let folder = Folder::new();
        let mut job = Job::of_items(items(0, 30), folder.at("out.db"), "items").expect("a job");
        let seen = Arc::new(Mutex::new(Vec::new()));
        (job.aim, job.batch_time_max) = (aim, bound);
        job.own_strategy = Some(Box::new(Watching(Arc::clone(&seen))));
        host(1).run(job).expect("a run");
        let seen = seen.lock().expect("no panic");
        assert!(!seen.is_empty() && seen.iter().all(|told| *told == (aim, wanted)), "{seen:?}");
    }
    let folder = Folder::new();
    let mut job = Job::of_items(items(0, 1), folder.at("out.db"), "items").expect("a job");
    job.batch_time_max = Some(Duration::ZERO);
    let failure = host(1).run(job).expect_err("it is refused");
    assert_eq!(failure.to_string(), "max batch time is 0, more than 0 is possible");
}

/// Keeps what it is told of the aim.
struct Watching(Arc<Mutex<Vec<(Aim, u64)>>>);

impl Strategy for Watching {
    fn name(&self) -> &'static str {
        "watching"
    }

    fn plan(&mut self, signals: &Signals) -> Planned {
        let told = (signals.aim, signals.batch_time_max_us.unwrap_or(0));
        self.0.lock().expect("no panic").push(told);
        Planned { plan: Plan { batch_size: 10, lanes: 1, batches_in_flight: 1 }, reason: None }
    }
}

#[test]
fn a_strategy_that_plans_nothing_is_held_to_the_bounds() {
    let folder = Folder::new();
    let job = Job::of_items(items(0, 30), folder.at("out.db"), "items").expect("a job");
    let (mut job, recording) = recorded(job);
    job.own_strategy = Some(Box::new(Nothing));
    let report = host(2).run(job).expect("a run");
    assert_eq!((report.status, report.counts.stored, report.batches), (RunStatus::Succeeded, 30, 30));
    let lanes = events_of(&recording).into_iter().filter_map(|envelope| match envelope.event {
        Event::BatchStarted { lanes, .. } => Some(lanes),
        _ => None,
    });
    assert!(lanes.into_iter().all(|lanes| lanes == 1));
}

#[test]
fn settings_beyond_their_bounds_are_refused_by_name_and_nothing_is_created() {
    type Change = fn(&mut Job);
    let cases: [(Change, &str); 8] = [
        (|job| job.attempts = 101, "attempts is 101, 1 to 100 are possible"),
        (
            |job| job.deadline = Duration::from_secs(3601),
            "deadline is 3601s, more than 0 and up to 3600 s are possible",
        ),
        (|job| job.batch_bytes = 0, "batch bytes is 0, at least 1 is possible"),
        (|job| job.batch_wait = Duration::from_secs(86_401), "batch wait is 86401s, up to 86400 s are possible"),
        (
            |job| job.max_rejects = Some(RejectLimit::Percent(f64::NAN)),
            "max rejects is NaN percent, 0 to 100 are possible",
        ),
        (
            |job| job.max_rejects = Some(RejectLimit::Percent(100.5)),
            "max rejects is 100.5 percent, 0 to 100 are possible",
        ),
        (
            |job| job.max_rejects = Some(RejectLimit::Window { failed: 9, items: 9 }),
            "max rejects is 9 of 9 items, fewer than all of up to 1000000 are possible",
        ),
        (
            |job| {
                let filling = Filling::Validator(Arc::new(demand::validate));
                job.validators = (0..17).map(|n| SlotSpec::new(&format!("v{n}"), filling.clone())).collect();
            },
            "more than 16 plugins in one run",
        ),
    ];
    for (change, wanted) in cases {
        let folder = Folder::new();
        let mut job = Job::of_items(items(0, 1), folder.at("out.db"), "items").expect("a job");
        change(&mut job);
        let failure = host(1).run(job).expect_err("it is refused");
        assert_eq!((failure.error.code(), failure.to_string().as_str()), (Code::ConfigInvalid, wanted));
        assert!(!folder.at("out.db").exists(), "{wanted}");
    }
}

#[test]
fn a_run_cannot_be_told_what_it_could_not_have_been_given() {
    let control = Control::default();
    let most = |number| Interval::fixed(NonZeroUsize::new(number).expect("not 0"));
    for command in [
        Command::BatchSize(most(1_000_001)),
        Command::Lanes(most(257)),
        Command::Attempts(0),
        Command::Attempts(101),
        Command::BatchWait(Duration::MAX),
    ] {
        let error = control.tell(command.clone()).expect_err("it is refused");
        assert_eq!(error.code(), Code::ConfigInvalid, "{command:?}: {error}");
    }
    control.tell(Command::Attempts(100)).expect("the largest number is possible");
}

#[test]
fn progress_through_the_bytes_of_an_input_follows_its_items() {
    const ITEMS: u64 = 20_000;
    let folder = Folder::new();
    let text: String = items(0, ITEMS).map(|body| body + "\n").collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory takes it");
    folder.write("in.ndjson.gz", gzip.finish().expect("memory takes it"));
    folder.write("in.ndjson", text);

    for name in ["in.ndjson.gz", "in.ndjson"] {
        let total = std::fs::metadata(folder.at(name)).expect("a file").len();
        let store = folder.at(&format!("{name}.db"));
        let mut job = Job::new(Input::Files(vec![InputPath::File(folder.at(name))]), Some(store));
        job.bounds.batch_size = only(500);
        let (job, recording) = recorded(job);
        host(2).run(job).expect("a run");
        let (mut last, mut record_bytes) = (0, 0);
        for envelope in events_of(&recording) {
            let Event::BatchCommitted(done) = &envelope.event else { continue };
            let read = done.metrics.input_bytes;
            record_bytes += done.metrics.bytes_in;
            assert!((last..=total).contains(&read), "{name}: {read} of {total} after {last}");
            let (share, wanted) = (read as f64 / total as f64, done.checkpoint as f64 / ITEMS as f64);
            assert!((share - wanted).abs() < 0.1, "{name}: {share:.3} of the bytes at {wanted:.3} of the items");
            last = read;
        }
        // What closes a compressed file may be read after its last record.
        assert!(total - last < 64, "{name}: {last} of {total}");
        let bodies: u64 = items(0, ITEMS).map(|body| body.len() as u64).sum();
        assert_eq!(record_bytes, bodies, "{name}");
    }
}

#[test]
fn the_start_of_a_run_tells_its_bounds_and_how_many_items_a_list_holds() {
    let folder = Folder::new();
    let list: Vec<String> = items(0, 30).collect();
    let mut job = Job::of_items(list, folder.at("out.db"), "items").expect("a job");
    job.bounds.batch_size = Interval::new(7, 9).expect("an interval");
    job.bounds.lanes = Interval::new(1, 2).expect("an interval");
    job.limit = Some(20);
    let (job, recording) = recorded(job);
    host(2).run(job).expect("a run");
    let events = events_of(&recording);
    let Event::RunStarted(started) = &events[0].event else { panic!("{:?}", events[0]) };
    assert_eq!((started.total_items, started.total_bytes), (Some(20), None));
    assert_eq!((started.batch_size_min, started.batch_size_max), (7, 9));
    assert_eq!((started.lanes_min, started.lanes_max), (1, 2));
}

#[test]
fn every_rate_of_a_run_is_its_items_over_its_duration() {
    let folder = Folder::new();
    let job = Job::of_items(items(0, 500), folder.at("out.db"), "items").expect("a job");
    let (job, recording) = recorded(job);
    let report = host(1).run(job).expect("a run");
    let wanted = 500.0 * 1e3 / report.duration_ms as f64;
    assert_eq!(report.items_per_s, wanted);
    let mut summary = Summary::default();
    events_of(&recording).iter().for_each(|envelope| summary.observe(envelope));
    assert!((summary.summary().performance.items_per_s - wanted).abs() < 1e-6 * wanted);
    let performance = report.performance.expect("something was done");
    assert_eq!((performance.batches, performance.items), (report.batches, 500));
}
