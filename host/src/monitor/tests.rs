//! Rules that hold for every monitor.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::hub::{Clock, Delivery};
use super::*;
use crate::event::Event;
use crate::limits::EVENT_QUEUE_MAX;

/// A clock that advances by 10 ms with every event.
#[derive(Default)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn time_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn elapsed_us(&self) -> u64 {
        self.0.fetch_add(10_000, Ordering::Relaxed)
    }
}

/// A writer into shared memory.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn hub(monitors: Vec<Box<dyn Monitor>>) -> EventHub {
    EventHub::start(3, Box::new(Ticks::default()), monitors).unwrap()
}

#[test]
fn events_are_numbered_without_gaps_and_timed_by_the_clock() {
    let recording = Watched::<Recording>::default();
    let hub = hub(vec![Box::new(recording.clone())]);
    for lanes in 0..100 {
        hub.emit(Event::LanesInUse { lanes });
    }
    hub.finish();
    recording.read(|r| {
        for (seq, event) in (0..).zip(&r.0) {
            assert_eq!((event.seq, event.run, event.elapsed_us), (seq, 3, seq * 10_000));
            assert_eq!(event.event, Event::LanesInUse { lanes: seq });
        }
        assert_eq!(r.0.len(), 100);
    });
}

#[test]
fn no_event_is_lost_on_flush() {
    /// Takes an event only when it is told to.
    struct Slow(mpsc::Receiver<()>, u64);
    impl Monitor for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }
        fn observe(&mut self, event: &Envelope) {
            self.0.recv().unwrap();
            assert_eq!(event.seq, self.1);
            self.1 += 1;
        }
    }
    let (let_go, gate) = mpsc::channel();
    let recording = Watched::<Recording>::default();
    let hub = hub(vec![Box::new(Slow(gate, 0)), Box::new(recording.clone())]);
    let events = EVENT_QUEUE_MAX as u64 * 2;
    std::thread::scope(|scope| {
        let emitter = scope.spawn(|| (0..events).for_each(|lanes| hub.emit(Event::LanesInUse { lanes })));
        // Nothing was taken yet: the emitter waits, as the queue is full.
        assert!(recording.read(|r| r.0.is_empty()));
        (0..events).for_each(|_| let_go.send(()).unwrap());
        emitter.join().unwrap();
    });
    let delivery = hub.finish();
    assert_eq!(delivery, Delivery { emitted: events, delivered: events, detached: Vec::new() });
    assert_eq!(recording.read(|r| r.0.len() as u64), events);
    assert_eq!(hub.finish(), delivery, "a second end changes nothing");
}

#[test]
fn events_of_many_threads_stay_in_one_order() {
    let recording = Watched::<Recording>::default();
    let hub = hub(vec![Box::new(recording.clone())]);
    std::thread::scope(|scope| {
        for lanes in 0..8 {
            let hub = &hub;
            scope.spawn(move || (0..500).for_each(|_| hub.emit(Event::LanesInUse { lanes })));
        }
    });
    assert_eq!(hub.finish().delivered, 4000);
    recording.read(|r| assert!((0..).zip(&r.0).all(|(seq, e)| e.seq == seq)));
    recording.read(|r| assert!(r.0.is_sorted_by_key(|e| e.elapsed_us)));
}

#[test]
fn a_monitor_that_panics_is_let_go_and_changes_nothing() {
    /// Panics at an event, at the end, and when it is dropped.
    struct Bad(u64);
    impl Monitor for Bad {
        fn name(&self) -> &'static str {
            "bad"
        }
        fn observe(&mut self, event: &Envelope) {
            assert!(event.seq < self.0, "event {} is too much", event.seq);
        }
        fn finish(&mut self) {
            panic!("the end is too much");
        }
    }
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("even to be dropped is too much");
        }
    }
    let alone = Watched::<Summary>::default();
    let beside = Watched::<Summary>::default();
    let quiet = hub(vec![Box::new(alone.clone())]);
    let loud = hub(vec![Box::new(Bad(7)), Box::new(beside.clone()), Box::new(Bad(u64::MAX))]);
    for event in testing::run(20, 10) {
        quiet.emit(event.event.clone());
        loud.emit(event.event);
    }
    let (one, other) = (quiet.finish(), loud.finish());
    assert_eq!(other.detached, ["bad", "bad"]);
    assert_eq!((one.emitted, one.delivered), (other.emitted, other.delivered));
    assert_eq!(alone.read(Summary::summary), beside.read(Summary::summary));
}

#[test]
fn a_subscriber_gets_every_event_and_may_leave() {
    let (monitor, events) = subscription(4);
    let (leaver, left) = subscription(0);
    drop(left);
    let hub = hub(vec![Box::new(leaver), Box::new(monitor)]);
    let reader = std::thread::spawn(move || events.into_iter().map(|e| e.seq).collect::<Vec<_>>());
    for lanes in 0..1000 {
        hub.emit(Event::LanesInUse { lanes });
    }
    hub.finish();
    assert_eq!(reader.join().unwrap(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn what_comes_after_the_end_is_not_part_of_the_stream() {
    let recording = Watched::<Recording>::default();
    let hub = hub(vec![Box::new(recording.clone())]);
    hub.finish();
    hub.emit(Event::LanesInUse { lanes: 1 });
    assert_eq!(hub.finish(), Delivery::default());
    assert!(recording.read(|r| r.0.is_empty()));
}

#[test]
fn a_stream_replayed_from_its_file_gives_what_the_live_one_gave() {
    let folder = tempfile::tempdir().unwrap();
    let file = Shared::default();
    let (live_lines, replayed_lines) = (Shared::default(), Shared::default());
    let setup = MonitorSetup {
        progress: ProgressMode::Lines,
        talk: Some(Box::new(live_lines.clone())),
        events: Some(EventsFile::to("memory".into(), Box::new(file.clone()))),
        on_alert: Some(folder.path().join("never-started")),
        metrics_file: Some(MetricsFile::create(&folder.path().join("atlas.prom")).unwrap()),
        metrics_server: Some(MetricsServer::listen(([127, 0, 0, 1], 0).into()).unwrap()),
        ..MonitorSetup::default()
    };
    let (performance, summary) = (setup.performance.clone(), setup.summary.clone());
    let progress = Watched::<Progress>::default();
    let mut all = monitors(setup);
    assert_eq!(all.iter().map(|m| m.name()).collect::<Vec<_>>(), MONITORS.iter().map(|m| m.name).collect::<Vec<_>>());
    all.push(Box::new(progress.clone()));
    let hub = hub(all);
    for event in testing::run(400, 100) {
        hub.emit(event.event);
    }
    let emitted = hub.finish().emitted;

    let replay = Watched::<Summary>::default();
    let mut again: Vec<Box<dyn Monitor>> =
        vec![Box::new(replay.clone()), Box::new(ProgressLines::new(Box::new(replayed_lines.clone())))];
    let (mut performance_again, mut progress_again) = (Performance::default(), Progress::default());
    let text = file.text();
    assert_eq!(text.lines().count() as u64, emitted);
    for line in text.lines() {
        let event: Envelope = serde_json::from_str(line).unwrap();
        again.iter_mut().for_each(|monitor| monitor.observe(&event));
        performance_again.observe(&event);
        progress_again.observe(&event);
    }
    assert_eq!(replay.read(Summary::summary), summary.read(Summary::summary));
    assert_eq!(performance_again.report(), performance.read(Performance::report));
    assert_eq!(progress_again.state(), &progress.read(|p| p.state().clone()));
    assert_eq!(replayed_lines.text(), live_lines.text());
    assert!(live_lines.text().lines().count() >= 3, "{}", live_lines.text());
}

#[test]
fn progress_never_goes_backwards_and_ends_at_all() {
    for (total_items, total_bytes) in [(Some(2000), None), (None, Some(700_000)), (None, None), (Some(10), None)] {
        let mut progress = Progress::default();
        let mut last = ProgressState::default();
        for mut event in testing::run(20, 100) {
            if let Event::RunStarted(started) = &mut event.event {
                (started.total_items, started.total_bytes) = (total_items, total_bytes);
            }
            progress.observe(&event);
            let now = progress.state().clone();
            assert!(now.items >= last.items && now.bytes >= last.bytes && now.share >= last.share, "{last:?} {now:?}");
            assert!(now.share.is_none_or(|s| (0.0..=1.0).contains(&s)));
            last = now;
        }
        assert_eq!((last.share, last.remaining_ms, last.items), (Some(1.0), Some(0), 2000));
    }
}

#[test]
fn the_rate_fades_while_the_input_pauses_and_comes_back() {
    let sample = Event::HealthSampled {
        status: crate::event::HealthStatus::Healthy,
        cpu_share: None,
        memory_share: None,
        process_bytes: None,
        error_share: 0.0,
        response_us: None,
        wal_bytes: None,
        disk_free_bytes: None,
    };
    let started = crate::event::RunStarted { total_items: Some(10_000), ..Default::default() };
    let first = testing::stream([Event::RunStarted(Box::new(started))]).remove(0);
    let mut progress = Progress::default();
    let mut rate = |seconds: u64, event: Event| {
        progress.observe(&Envelope { elapsed_us: seconds * 1_000_000, event, ..first.clone() });
        (progress.state().items_per_s, progress.state().remaining_ms)
    };
    rate(0, first.event.clone());
    let (busy, _) = (1..=10).map(|second| rate(second, testing::batch(second, 100, 0))).last().unwrap();
    assert!((busy - 100.0).abs() < 1.0, "{busy}");
    // As long as batches may take nothing is said.
    assert_eq!(rate(14, sample.clone()).0, busy);
    let faded = [16, 20, 24].map(|second| rate(second, sample.clone()).0);
    assert!(faded[0] < busy && faded[1] < faded[0] && faded[2] < faded[1] && faded[2] > 0.0, "{faded:?}");
    assert_eq!(rate(3600, sample), (0.0, None));
    let (again, left) = rate(3610, testing::batch(3610, 100, 0));
    assert!(again > 0.0 && again < 1.0 && left.is_some(), "100 items in an hour, not in an instant: {again}");
}

#[test]
fn a_limit_bounds_the_share_and_the_items_left() {
    // Of an input of 3 MB the batches of 100 items read 30 KB each: a limit of 2,000 items ends it first, one of 50,000 does not.
    let state = |limit: u64, batches: u64| {
        let (total_items, total_bytes) = (Some(limit), Some(3_000_000));
        let started = crate::event::RunStarted { total_items, total_bytes, ..Default::default() };
        let begin = [Event::RunStarted(Box::new(started))];
        let mut progress = Progress::default();
        let events = begin.into_iter().chain((0..batches).map(|number| testing::batch(number, 100, 0)));
        testing::stream(events).iter().for_each(|event| progress.observe(event));
        let state = progress.state().clone();
        // Time is told in whole milliseconds, in each of which ten items are done.
        let left = state.remaining_ms.map(|ms| (ms as f64 * state.items_per_s / 1e5).round() * 100.0);
        (state.share, left)
    };
    assert_eq!(state(2000, 15), (Some(0.75), Some(500.0)));
    assert_eq!(state(50_000, 50), (Some(0.5), Some(5000.0)));
    assert_eq!(state(50_000, 0), (Some(0.0), None));
}

#[test]
fn a_continued_run_counts_what_was_done_before() {
    let started = crate::event::RunStarted { resumed_at: 500, total_items: Some(1000), ..Default::default() };
    let events = vec![Event::RunStarted(Box::new(started)), testing::batch(5, 100, 0)];
    let mut progress = Progress::default();
    testing::stream(events).iter().for_each(|e| progress.observe(e));
    assert_eq!((progress.state().items, progress.state().share), (600, Some(0.6)));
    // 100 items in the 10 ms of this run.
    assert!((progress.state().items_per_s - 10_000.0).abs() < 1.0);
    assert!(matches!(progress.progressed(), Event::Progressed { items: 600, remaining_ms: Some(40), .. }));
}

#[test]
fn performance_of_a_run_is_what_its_batches_say() {
    let mut performance = Performance::default();
    testing::run(100, 50).iter().for_each(|e| performance.observe(e));
    let report = performance.report();
    assert_eq!((report.batches, report.items, report.failed, report.retries), (100, 5000, 100, 200));
    assert_eq!((report.batch_size_mean, report.retry_rate, report.lanes_peak), (50.0, 0.04, 2));
    assert_eq!((report.transactions, report.transaction_mean_us), (100, 2000));
    assert_eq!(report.phases.operate_us, 5000 * 60);
    assert_eq!(report.phases.commit_us, 50 * 5000, "each of the 50 groups once");
    assert_eq!(report.item_mean_ns, 100_000);
    let near = |found: u64, wanted: u64| (found as f64 / wanted as f64 - 1.0).abs() < 0.01;
    assert!(near(report.item_p50_ns, 80_000) && near(report.item_p95_ns, 120_000), "{report:?}");
    assert!(near(report.item_p99_ns, 200_000) && near(report.item_max_ns, 400_000), "{report:?}");
}

#[test]
fn the_idle_time_of_the_writer_only_grows_and_is_what_it_did_not_write() {
    // A group of two batches each 100 ms, told when it is committed: 2 × 10 ms of writing and 30 ms of commit, so that 50 ms
    // are idle. What is between two groups is told by samples.
    let group = |number: u64| {
        let told = |which: u64| {
            let Event::BatchCommitted(mut batch) = testing::batch(number * 2 + which, 10, 0) else { panic!("a batch") };
            (batch.group, batch.committed_us) = (number, (number + 1) * 100_000);
            (batch.metrics.write_us, batch.metrics.commit_us) = (10_000, 30_000);
            (batch.committed_us, Event::BatchCommitted(batch))
        };
        let sampled = (0..10).map(move |n| (number * 100_000 + n * 10_000, Event::LanesInUse { lanes: 1 }));
        sampled.chain([told(0), told(1)])
    };
    let mut performance = Performance::default();
    let mut idle = Vec::new();
    let first = testing::stream([Event::LanesInUse { lanes: 1 }]).remove(0);
    for (elapsed_us, event) in (0..20).flat_map(group) {
        performance.observe(&Envelope { elapsed_us, event, ..first.clone() });
        idle.push(performance.report().idle.writer_us);
    }
    assert!(idle.is_sorted(), "{idle:?}");
    assert_eq!(idle.last(), Some(&(19 * 50_000)), "of the newest group more may be on its way");
    let mut ended = testing::run(1, 10).pop().expect("the end");
    let Event::RunEnded(end) = &mut ended.event else { panic!("{ended:?}") };
    (end.duration_ms, ended.elapsed_us) = (2000, 2_000_000);
    performance.observe(&ended);
    assert_eq!(performance.report().idle.writer_us, 20 * 50_000);
}

#[test]
fn a_transaction_that_was_rolled_back_is_counted_and_lowers_the_share_of_commits() {
    let mut performance = Performance::default();
    assert_eq!(performance.report().commit_success_share, 1.0, "nothing has failed yet");
    let committed = |group| Event::TransactionCommitted { group, duration_us: 2_000 };
    let undone = Event::TransactionRolledBack { group: 3, reason: "no space left".to_owned() };
    let events = testing::stream([committed(0), committed(1), committed(2), undone.clone(), undone]);
    let mut told = Vec::new();
    for event in &events {
        performance.observe(event);
        let report = performance.report();
        told.push((report.transactions, report.transactions_rolled_back, report.commit_success_share));
    }
    assert_eq!(told, [(1, 0, 1.0), (2, 0, 1.0), (3, 0, 1.0), (3, 1, 0.75), (3, 2, 0.6)]);
    assert_eq!(performance.report().transaction_mean_us, 2_000, "of those that were committed");
}

#[test]
fn a_batch_reported_twice_replaces_and_never_doubles() {
    let mut performance = Performance::default();
    let mut events = Vec::new();
    for number in 0..1000 {
        events.extend([testing::batch(number, 10, 5), testing::batch(number, 10, 0)]);
    }
    // Long gone: left out.
    events.push(testing::batch(0, 10, 5));
    let (mut progress, mut summary) = (Progress::default(), Summary::default());
    for event in testing::stream(events) {
        performance.observe(&event);
        progress.observe(&event);
        summary.observe(&event);
    }
    let report = performance.report();
    assert_eq!((report.batches, report.items, report.failed), (1000, 10_000, 0));
    assert_eq!((progress.state().items, summary.summary().counts.read), (10_000, 10_000));
}

#[test]
fn folds_over_a_hundred_thousand_batches_do_not_grow() {
    let mut performance = Performance::default();
    let mut summary = Summary::default();
    let mut sizes = Vec::new();
    for number in 0..100_000u64 {
        for event in
            testing::stream([testing::batch(number, 10, 1), testing::failure(number, number * 10, "PRICE_LOW")])
        {
            performance.observe(&event);
            summary.observe(&event);
        }
        if number % 20_000 == 19_999 {
            // What a fold holds is what its text shows; numbers alone grow by a digit now and then.
            sizes.push(format!("{performance:?}{summary:?}").len());
        }
    }
    assert_eq!(performance.report().batches, 100_000);
    assert!(sizes.iter().all(|size| size.abs_diff(sizes[0]) < sizes[0] / 10), "{sizes:?}");
}

#[test]
fn each_event_is_one_write_of_one_line() {
    struct Counting(Arc<Mutex<Vec<String>>>);
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writes = Arc::new(Mutex::new(Vec::new()));
    let mut file = EventsFile::to("memory".into(), Box::new(Counting(Arc::clone(&writes))));
    let events = testing::run(3, 5);
    events.iter().for_each(|e| file.observe(e));
    let writes = writes.lock().unwrap();
    assert_eq!(writes.len(), events.len());
    for (text, event) in writes.iter().zip(&events) {
        assert!(text.ends_with('\n') && text.matches('\n').count() == 1);
        assert_eq!(&serde_json::from_str::<Envelope>(text).unwrap(), event);
    }
}

#[test]
fn a_file_that_cannot_be_written_never_stops_the_run() {
    struct Full(Arc<AtomicU64>, io::ErrorKind);
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(self.1.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.1.into())
        }
    }
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::BrokenPipe] {
        let tries = Arc::new(AtomicU64::new(0));
        let file = EventsFile::to("full".into(), Box::new(Full(Arc::clone(&tries), kind)));
        let lines = ProgressLines::new(Box::new(Full(Arc::new(AtomicU64::new(0)), kind)));
        let recording = Watched::<Recording>::default();
        let hub = hub(vec![Box::new(file), Box::new(lines), Box::new(recording.clone())]);
        let events = testing::run(300, 10);
        events.iter().for_each(|e| hub.emit(e.event.clone()));
        assert_eq!(hub.finish().detached, [""; 0]);
        assert_eq!(recording.read(|r| r.0.len()), events.len());
        assert_eq!(tries.load(Ordering::Relaxed), 1, "after the first failure it stops trying");
    }
}

#[test]
fn a_file_for_events_in_no_folder_is_refused_by_name() {
    let error = EventsFile::create("/nowhere/at/all/events.jsonl".as_ref()).err().unwrap();
    assert!(error.to_string().contains("/nowhere/at/all/events.jsonl"));
    assert_eq!(error.code(), crate::error::Code::ConfigInvalid);
}

#[test]
fn what_the_setup_does_not_ask_for_is_not_made() {
    let names: Vec<_> = monitors(MonitorSetup::default()).iter().map(|m| m.name()).collect();
    assert_eq!(names, ["log", "performance", "summary"]);
}
