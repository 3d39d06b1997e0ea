//! What a run tells: the rules that every stream of events keeps, and that the books agree everywhere.

use std::collections::BTreeMap;

use atlas_host::coordinator::{Job, RunReport};
use atlas_host::event::{BatchCommitted, Envelope, Event};
use atlas_host::model::{BatchNumber, Counts, Fate, Phase, RunNumber, RunStatus};
use atlas_host::monitor::{
    EventsFile, MONITORS, MetricsFile, MetricsServer, Monitor, MonitorSetup, ProgressMode, Summary, Watched, monitors,
    subscription,
};
use atlas_host::store::Reader;

use super::{demand, events_of, host, items, letters, planned, recorded, rows, run_row};
use crate::harness::Folder;

/// Asserts the rules of one stream, from its beginning to its end. Gives the counts that follow from the fates alone; after
/// a rolled-back `--atomic run` there is nothing to count.
#[track_caller]
pub fn check(events: &[Envelope], lanes_max: u64) -> Counts {
    assert!(matches!(events.first().map(|e| &e.event), Some(Event::RunStarted(_))), "run-started comes first");
    assert!(matches!(events.last().map(|e| &e.event), Some(Event::RunEnded(_))), "run-ended comes last");
    let edges = events.iter().filter(|e| matches!(e.event, Event::RunStarted(_) | Event::RunEnded(_))).count();
    assert_eq!(edges, 2, "each of them comes once");
    for (place, pair) in events.windows(2).enumerate() {
        assert_eq!((pair[0].seq, pair[1].seq), (place as u64, place as u64 + 1), "the stream has no gaps");
        assert!(pair[0].elapsed_us <= pair[1].elapsed_us, "time does not run backwards");
    }
    let mut books = Books::default();
    for envelope in events {
        books.take(&envelope.event, lanes_max);
    }
    assert_eq!(books.group, None, "a group was left open");
    assert!(books.failures.is_empty(), "without item-failed: {:?}", books.failures);
    books.counts
}

#[derive(Default)]
struct Books {
    started: BTreeMap<u64, (u64, u64)>,
    next_started: Option<u64>,
    next_ordinal: u64,
    next_committed: Option<u64>,
    next_group: u64,
    /// The open group, and after its commit the batches of it still to be told.
    group: Option<u64>,
    to_tell: Vec<u64>,
    /// The run is one transaction, and so one group.
    whole: bool,
    /// What is written is undone at the end, and no transaction is told.
    dry: bool,
    failures: BTreeMap<u64, Fate>,
    counts: Counts,
}

impl Books {
    #[track_caller]
    fn take(&mut self, event: &Event, lanes_max: u64) {
        match event {
            Event::RunStarted(started) => {
                self.dry = started.dry_run;
                self.whole = started.atomic == "run" && !started.dry_run;
            }
            Event::BatchStarted { batch, first_ordinal, last_ordinal, items, batch_size, .. } => {
                assert_eq!(*batch, self.next_started.unwrap_or(*batch), "batches are numbered without gaps");
                assert_eq!(*items, last_ordinal - first_ordinal + 1);
                assert!(items <= batch_size, "batch {batch} has {items} items, planned were {batch_size}");
                if self.next_started.is_some() {
                    assert_eq!(*first_ordinal, self.next_ordinal, "batch {batch} begins where the last one ended");
                }
                (self.next_started, self.next_ordinal) = (Some(batch + 1), last_ordinal + 1);
                self.started.insert(*batch, (*first_ordinal, *last_ordinal));
            }
            Event::LanesInUse { lanes } => assert!(*lanes <= lanes_max, "{lanes} lanes, {lanes_max} allowed"),
            Event::TransactionBegan { group, first_batch, last_batch } => {
                assert_eq!(self.group, None, "groups do not overlap");
                assert!(self.to_tell.is_empty(), "every batch of a group is told: {:?}", self.to_tell);
                assert_eq!(*group, self.next_group);
                self.next_group += 1;
                self.group = Some(*group);
                self.to_tell = match (first_batch, last_batch) {
                    (Some(first), Some(last)) => (*first..=*last).collect(),
                    (first, last) => {
                        assert_eq!(
                            (first, last, self.whole),
                            (&None, &None, true),
                            "only a whole run has no batches yet"
                        );
                        Vec::new()
                    }
                };
            }
            Event::TransactionCommitted { group, .. } => assert_eq!(self.group.take(), Some(*group)),
            Event::TransactionRolledBack { group, .. } => {
                assert_eq!(self.group.take(), Some(*group));
                self.to_tell.clear();
                if self.whole {
                    self.counts = Counts::default();
                }
            }
            Event::BatchCommitted(done) => {
                assert!(!self.whole && !self.dry, "batch {} is told as committed, and is not", done.batch);
                assert_eq!(self.group, None, "batch {} is told after its commit", done.batch);
                assert_eq!(done.group + 1, self.next_group);
                assert_eq!(self.to_tell.remove(0), done.batch, "batches commit in order");
                self.written(done);
            }
            Event::BatchApplied(done) => {
                assert!(self.whole || self.dry, "batch {} was in a transaction of its group", done.batch);
                if self.whole {
                    assert_eq!(self.group, Some(done.group), "batch {} is told before the run's commit", done.batch);
                }
                self.written(done);
            }
            Event::ItemFailed { ordinal, fate, .. } => {
                assert_eq!(self.failures.remove(ordinal), Some(*fate), "item {ordinal}");
            }
            Event::RunEnded(_) => {
                assert!(self.to_tell.is_empty(), "run-ended comes after the last commit");
                match (self.whole, self.dry) {
                    (true, _) => assert_eq!(self.next_group, 1, "a whole run is one transaction"),
                    (_, true) => assert_eq!(self.next_group, 0, "a dry run commits nothing"),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// A batch that was committed or applied: the next one in order, with the records it was started with.
    #[track_caller]
    fn written(&mut self, done: &BatchCommitted) {
        assert_eq!(done.batch, self.next_committed.unwrap_or(done.batch));
        self.next_committed = Some(done.batch + 1);
        let span = self.started.remove(&done.batch);
        assert_eq!(span, Some((done.first_ordinal, done.last_ordinal)), "batch {}", done.batch);
        assert_eq!(done.checkpoint, done.last_ordinal + 1);
        self.fates(&done.fates, done.first_ordinal, done.last_ordinal, done.counts);
    }

    #[track_caller]
    fn fates(&mut self, fates: &[(Fate, u64, u64)], first: u64, last: u64, told: Counts) {
        let mut next = first;
        let mut counts = Counts::default();
        for (fate, from, to) in fates {
            assert_eq!(*from, next, "each item has one fate");
            for ordinal in *from..=*to {
                counts.read += 1;
                counts.count(*fate);
                if matches!(fate, Fate::Rejected | Fate::DeadLettered) {
                    self.failures.insert(ordinal, *fate);
                }
            }
            next = to + 1;
        }
        assert_eq!(next, last + 1, "each item has one fate");
        assert_eq!(books_of(told), books_of(counts), "the batch's counts are those of its fates");
        self.counts.add(&counts);
    }
}

/// The counts of items, without those of rows.
pub fn books_of(counts: Counts) -> [u64; 5] {
    [counts.read, counts.stored, counts.rejected, counts.dead_lettered, counts.dropped]
}

/// Items of which some ask for trouble.
fn troubled(count: u64) -> impl Iterator<Item = String> + Send + 'static {
    (0..count).map(|n| {
        let fault = match n % 50 {
            7 => "drop",
            11 => "reject",
            23 => "trap",
            31 => "validator-reject",
            _ => "none",
        };
        format!(r#"{{"id":"k{n}","fault":"{fault}"}}"#)
    })
}

fn run_troubled(
    folder: &Folder,
    strategy: &str,
    lanes: usize,
) -> (RunReport, Vec<Envelope>, atlas_host::monitor::RunSummary) {
    let job = Job::of_items(troubled(1005), folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    let summary = Watched::from(Summary::default());
    let job = planned(job, strategy, 100, lanes).validator(demand::validate).operation(demand::operate);
    let (job, recording) = recorded(job.monitor(summary.clone()));
    let report = host(4).run(job).expect("a run");
    (report, events_of(&recording), summary.read(Summary::summary))
}

#[test]
fn the_books_of_events_summary_report_and_database_agree_under_every_strategy() {
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let folder = Folder::new();
        let (report, events, summary) = run_troubled(&folder, strategy, 3);
        let counts = check(&events, 3);
        assert_eq!(books_of(counts), [1005, 925, 40, 20, 20], "{strategy}");
        assert_eq!(books_of(report.counts), books_of(counts), "{strategy}: the report");
        let row = run_row(&folder.at("out.db"), report.run);
        assert_eq!(row.counts, report.counts, "{strategy}: the database");
        assert_eq!(books_of(summary.counts), books_of(counts), "{strategy}: the summary");
        assert_eq!(row.status, RunStatus::Partial);
        let Some(Event::RunEnded(ended)) = events.last().map(|e| &e.event) else { panic!("no end") };
        assert_eq!((ended.status, ended.counts, ended.batches), (report.status, report.counts, report.batches));
        assert_eq!(rows(&folder.at("out.db"), "items").len() as u64, counts.stored);
    }
}

#[test]
fn batches_are_numbered_from_zero_with_exact_ordinals() {
    let folder = Folder::new();
    let (report, events, _) = run_troubled(&folder, "concurrent", 2);
    let committed: Vec<(u64, u64, u64)> = events
        .iter()
        .filter_map(|e| match &e.event {
            Event::BatchCommitted(done) => Some((done.batch, done.first_ordinal, done.last_ordinal)),
            _ => None,
        })
        .collect();
    let wanted: Vec<(u64, u64, u64)> = (0..11).map(|n| (n, n * 100, (n * 100 + 99).min(1004))).collect();
    assert_eq!((committed, report.batches), (wanted, 11));
}

#[test]
fn the_sequential_strategy_never_has_two_batches_under_way_nor_two_lanes() {
    let folder = Folder::new();
    let (_, events, _) = run_troubled(&folder, "sequential", 4);
    check(&events, 1);
    let mut under_way = 0;
    for envelope in &events {
        match &envelope.event {
            Event::BatchStarted { .. } => under_way += 1,
            Event::BatchCommitted(_) => under_way -= 1,
            _ => {}
        }
        assert!((0..=1).contains(&under_way), "{under_way} batches under way at event {}", envelope.seq);
    }
}

#[test]
fn the_concurrent_strategy_uses_several_lanes_and_no_more_than_allowed() {
    let folder = Folder::new();
    let (report, events, _) = run_troubled(&folder, "concurrent", 3);
    check(&events, 3);
    let most = events.iter().filter_map(|e| match e.event {
        Event::LanesInUse { lanes } => Some(lanes),
        _ => None,
    });
    let most = most.max().expect("lanes in use are told");
    assert!((2..=3).contains(&most), "{most} lanes");
    assert_eq!(report.peak_lanes, most);
}

/// Panics at the event of this number.
struct Panicking(u64);

impl Monitor for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn observe(&mut self, event: &Envelope) {
        if event.seq == self.0 {
            std::panic::resume_unwind(Box::new("asked to panic"));
        }
    }
}

/// Takes a while over each event: gives its time away many times.
struct Slow;

impl Monitor for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn observe(&mut self, _: &Envelope) {
        (0..1000).for_each(|_| std::thread::yield_now());
    }
}

#[test]
fn a_monitor_that_panics_or_is_slow_changes_no_stored_byte_and_hides_nothing_from_the_others() {
    let plain = Folder::new();
    run_troubled(&plain, "concurrent", 2);
    let wanted = rows(&plain.at("out.db"), "items");
    for number in [0, 1, 5, 20] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let job = Job::of_items(troubled(1005), &store, "items").and_then(|job| job.id("id")).expect("a job");
        let job = planned(job, "concurrent", 100, 2).validator(demand::validate).operation(demand::operate);
        let (job, recording) = recorded(job.monitor(Panicking(number)).monitor(Slow));
        let report = host(2).run(job).expect("a run");
        assert_eq!(rows(&store, "items"), wanted, "panic at event {number}");
        assert_eq!(books_of(check(&events_of(&recording), 2)), books_of(report.counts));
    }
}

/// Ordinal, fate, phase, code, attempts and bytes of a dead letter.
type Letter = (u64, Fate, Phase, String, u32, Option<Vec<u8>>);

/// What a run leaves in its store, but for names and times.
#[derive(Debug, PartialEq)]
struct Left {
    rows: Vec<(String, String)>,
    letters: Vec<Letter>,
    batches: Vec<(BatchNumber, u64, Counts)>,
    fates: Option<Vec<(Fate, u64, u64)>>,
}

fn left_by(folder: &Folder, watching: Vec<Box<dyn Monitor>>) -> Left {
    let store = folder.at("out.db");
    let job = Job::of_items(troubled(1005), &store, "items").and_then(|job| job.id("id")).expect("a job");
    let mut job = planned(job, "concurrent", 100, 2).validator(demand::validate).operation(demand::operate);
    assert!(job.monitors.is_empty(), "a job brings no monitors of its own");
    job.monitors = watching;
    let report = host(2).run(job).expect("a run");
    let letters = letters(&store)
        .into_iter()
        .map(|letter| (letter.ordinal, letter.fate, letter.phase, letter.code, letter.attempts, letter.original));
    let reader = Reader::open(&store).expect("a store");
    let batches = reader.batches(RunNumber(report.run), BatchNumber(0), 100).expect("a history");
    Left {
        rows: rows(&store, "items"),
        letters: letters.collect(),
        batches: batches.into_iter().map(|batch| (batch.number, batch.first_ordinal, batch.counts)).collect(),
        fates: report.fates,
    }
}

#[test]
fn a_run_that_nobody_watches_leaves_what_one_leaves_that_every_monitor_watches() {
    let (alone, watched) = (Folder::new(), Folder::new());
    let wanted = left_by(&alone, Vec::new());
    assert_eq!((wanted.rows.len(), wanted.letters.len(), wanted.batches.len()), (925, 60, 11));

    let setup = MonitorSetup {
        progress: ProgressMode::Lines,
        talk: Some(Box::new(std::io::sink())),
        events: Some(EventsFile::create(&watched.at("events.ndjson")).expect("a file")),
        on_alert: Some(watched.at("never-started")),
        metrics_file: Some(MetricsFile::create(&watched.at("atlas.prom")).expect("a file")),
        metrics_server: Some(MetricsServer::listen(([127, 0, 0, 1], 0).into()).expect("a free port")),
        ..MonitorSetup::default()
    };
    let (performance, summary) = (setup.performance.clone(), setup.summary.clone());
    let mut all = monitors(setup);
    assert_eq!(all.len(), MONITORS.len(), "every monitor of the host is asked for");
    let (subscribed, told) = subscription(100_000);
    all.push(Box::new(subscribed));
    assert_eq!(left_by(&watched, all), wanted);

    let lines = watched.read("events.ndjson").lines().count();
    assert_eq!((lines, told.iter().count()), (lines.max(11), lines), "they did watch");
    assert_eq!((performance.read(|p| p.report().items), summary.read(|s| s.summary().counts.read)), (1005, 1005));
}

#[test]
fn an_empty_input_is_a_run_without_batches() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let (job, recording) = recorded(Job::of_items(items(0, 0), &store, "items").expect("a job"));
    let report = host(1).run(job).expect("a run");
    assert_eq!((report.status, report.batches, report.counts), (RunStatus::Succeeded, 0, Counts::default()));
    assert_eq!(check(&events_of(&recording), 1), Counts::default());
    assert_eq!(rows(&store, "items").len(), 0);
}
