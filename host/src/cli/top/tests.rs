//! Pictures of made-up runs, compared with those in `tests/data/golden/top`; `UPDATE=1` draws them anew.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw::{self, Theme};
use super::picture::{Choice, Sort, Sources, Step};
use super::rows::{Rows, Snapshot};
use super::told::{Health, Told};
use crate::event::{Envelope, Event, HealthStatus, PluginUsed};
use crate::model::{BatchMetrics, BatchNumber, Counts, Digest, Name, PluginMetrics, RunNumber, RunStatus};
use crate::monitor::testing;
use crate::store::{BatchRow, RunPlugin, RunRow};

/// When the made-up streams begin.
const BEGIN_MS: i64 = 1_700_000_000_000;

fn golden(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden/top").join(name);
    if std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty()) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, drawn).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == drawn, "{name} is another (UPDATE=1 draws it anew)\nwanted:\n{wanted}\nfound:\n{drawn}");
}

/// What a terminal of this size shows.
fn drawn(sources: &Sources<'_>, choice: Choice, now_ms: i64, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let picture = sources.picture(choice, now_ms, usize::from(width));
    terminal.draw(|frame| draw::draw(frame, &picture, choice, Theme { color: true })).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
    (0..height).map(line).collect()
}

/// A run of 40 batches of 100 items that goes on, with plans, alerts and two plugins.
fn events() -> Vec<Envelope> {
    let mut events = testing::run(40, 100);
    events.pop();
    let last = events.last().unwrap().clone();
    if let Event::RunStarted(started) = &mut events[0].event {
        started.total_items = Some(8000);
        started.uuid = "u-3".to_owned();
        started.plugins = ["rules", "price"]
            .into_iter()
            .zip(["validator", "operation"])
            .map(|(slot, role)| PluginUsed {
                slot: slot.to_owned(),
                role: role.to_owned(),
                name: format!("{slot}.wasm"),
                ..PluginUsed::default()
            })
            .collect();
    }
    for envelope in &mut events {
        if let Event::BatchCommitted(batch) = &mut envelope.event {
            let faults = u64::from(batch.batch == 7);
            let slot = "rules".to_owned();
            batch.plugins.insert(
                0,
                PluginMetrics { slot, calls: 1, items: 100, faults, time_us: 700, ..PluginMetrics::default() },
            );
        }
    }
    let more = [
        Event::PlanChosen {
            batch: 12,
            batch_size: 250,
            lanes: 2,
            batches_in_flight: 3,
            old_batch_size: Some(100),
            old_lanes: Some(1),
            old_batches_in_flight: None,
            inputs: Box::default(),
            reason:
                "4,100 items/s were more than the 3,200 before, the writer was busy 22 % of the time, and memory has \
                     room: a larger batch and another lane are tried"
                    .to_owned(),
        },
        Event::PlanChosen {
            batch: 30,
            batch_size: 250,
            lanes: 1,
            batches_in_flight: 3,
            old_batch_size: Some(250),
            old_lanes: Some(2),
            old_batches_in_flight: None,
            inputs: Box::default(),
            reason: "CPU at 97 %".to_owned(),
        },
        alert("HIGH_ERROR_RATE", "40 of the last 300 items were rejected or failed (13.3 %), more than the 10 % set"),
        Event::AlertCleared { alert: "HIGH_ERROR_RATE".to_owned(), batch: 9, value: 0.01, threshold: 0.1 },
        alert("SLOW_BATCH_PROCESSING", "batch 31 took 150.0 ms per item (100 items), more than the 100.0 ms set"),
        Event::HealthSampled {
            status: HealthStatus::Degraded,
            cpu_share: Some(0.97),
            memory_share: Some(0.41),
            process_bytes: Some(182_000_000),
            error_share: 0.01,
            response_us: Some(50_000),
            wal_bytes: Some(4_000_000),
            disk_free_bytes: Some(70_000_000_000),
        },
        Event::LanesInUse { lanes: 1 },
    ];
    for event in more {
        events.push(Envelope { seq: events.len() as u64, event, ..last.clone() });
    }
    events
}

fn alert(name: &str, message: &str) -> Event {
    Event::AlertRaised { alert: name.to_owned(), batch: 9, value: 0.2, threshold: 0.1, message: message.to_owned() }
}

fn told(events: &[Envelope]) -> Told {
    let mut told = Told::begin(&events[0]).unwrap();
    events[1..].iter().for_each(|event| told.observe(event));
    told
}

/// A snapshot of the same run as its store has it.
fn snapshot(status: RunStatus) -> Snapshot {
    let counts = |n: u64| Counts { read: n, stored: n - n / 100, dead_lettered: n / 100, ..Counts::default() };
    let batches = (0..40)
        .map(|number| BatchRow {
            id: number as i64 + 1,
            run: RunNumber(3),
            number: BatchNumber(number),
            first_ordinal: number * 100,
            first: Default::default(),
            last: Default::default(),
            epoch: 1,
            counts: counts(100),
            blank_lines: 0,
            input_digest: Digest::of(b""),
            written_ms: BEGIN_MS + (number as i64 + 1) * 100,
            dropped: Vec::new(),
            chunks: Vec::new(),
            metrics: Some(BatchMetrics {
                input_bytes: (number + 1) * 1000,
                compute_us: 50_000,
                ..BatchMetrics::default()
            }),
            plugins: Vec::new(),
        })
        .collect();
    Snapshot {
        run: RunRow {
            run: RunNumber(3),
            uuid: "u-3".to_owned(),
            job: String::new(),
            status,
            collection: Name::parse("orders").unwrap(),
            started_ms: BEGIN_MS,
            ended_ms: None,
            duration_ms: (status != RunStatus::Running).then_some(4000),
            seed: 0,
            clock_ms: 0,
            settings_json: "{}".to_owned(),
            identity: Vec::new(),
            inputs_json: r#"[{"path":"/data/orders.ndjson","size_bytes":80000}]"#.to_owned(),
            input_digest: None,
            atomic: "batch".to_owned(),
            counts: counts(4000),
            blank_lines: 0,
            batches: 40,
            error_json: None,
            performance_json: None,
            alerts_json: None,
            next: 4000,
            epoch: 1,
        },
        gone: false,
        plugins: vec![RunPlugin {
            position: 0,
            slot: "price".to_owned(),
            role: "operation".to_owned(),
            name: "price.wasm".to_owned(),
            digest: None,
            from_batch: BatchNumber(0),
        }],
        batches,
        steps: vec![Step {
            batch: 0,
            batch_size: 100,
            lanes: 2,
            old_batch_size: None,
            old_lanes: None,
            reason: "the first plan".to_owned(),
        }],
        health: Some(Health { cpu_share: Some(0.5), memory_share: Some(0.25), ..Health::default() }),
        failures: None,
    }
}

#[test]
fn a_run_that_goes_on_is_drawn_on_every_size_of_terminal() {
    let told = told(&events());
    let sources = Sources { told: Some(&told), follows: true, ..Sources::default() };
    let now_ms = told.newest_ms + 100;
    for size in [(80, 24), (120, 40), (60, 16), (40, 12), (30, 7), (20, 5)] {
        golden(&format!("{}x{}.txt", size.0, size.1), &drawn(&sources, Choice::default(), now_ms, size));
    }
}

#[test]
fn what_the_keys_choose_is_drawn() {
    let told = told(&events());
    let sources = Sources { told: Some(&told), ..Sources::default() };
    let now_ms = told.newest_ms + 100;
    let failed = Choice { sort: Sort::Time, failed_only: true, help: false };
    golden("failed-only.txt", &drawn(&sources, failed, now_ms, (80, 24)));
    golden("help.txt", &drawn(&sources, Choice { help: true, ..Choice::default() }, now_ms, (80, 24)));
}

#[test]
fn the_store_alone_is_enough_for_a_picture() {
    let rows = Rows::begin(snapshot(RunStatus::Running));
    let sources = Sources { rows: Some(&rows), ..Sources::default() };
    golden("store.txt", &drawn(&sources, Choice::default(), BEGIN_MS + 4200, (80, 24)));
    assert!(!sources.over());
}

/// The value of this tile.
fn tile(sources: &Sources<'_>, name: &str) -> String {
    let picture = sources.picture(Choice::default(), BEGIN_MS + 4200, 80);
    picture.tiles.into_iter().find(|tile| tile.name == name).unwrap().value
}

#[test]
fn a_run_in_one_transaction_is_seen_growing_by_its_events() {
    let mut held = snapshot(RunStatus::Running);
    (held.run.counts, held.run.next, held.run.batches) = (Counts::default(), 0, 0);
    held.batches.clear();
    let rows = Rows::begin(held);
    let told = told(&events());
    let sources = Sources { rows: Some(&rows), told: Some(&told), follows: true, nothing: None };
    assert_eq!((tile(&sources, "ITEMS"), tile(&sources, "FAILED")), ("4,000".to_owned(), "1.0 %".to_owned()));
    assert_ne!(tile(&sources, "LEFT"), "-");
}

#[test]
fn a_run_with_a_limit_is_as_far_as_the_limit_says() {
    let mut limited = snapshot(RunStatus::Running);
    limited.run.identity = vec![("limit".to_owned(), "5000".to_owned())];
    assert_eq!(Rows::begin(limited).share(), Some(0.8), "half of the bytes, and 4,000 of 5,000 items");
    let mut limited = snapshot(RunStatus::Running);
    limited.run.identity = vec![("limit".to_owned(), "50000".to_owned())];
    assert_eq!(Rows::begin(limited).share(), Some(0.5), "the input ends before");
    let mut without = snapshot(RunStatus::Running);
    without.run.identity = vec![("limit".to_owned(), "none".to_owned())];
    assert_eq!(Rows::begin(without).share(), Some(0.5));
}

#[test]
fn a_slot_is_one_line_however_often_its_plugin_was_exchanged() {
    let mut exchanged = snapshot(RunStatus::Running);
    let mut later = exchanged.plugins[0].clone();
    later.from_batch = BatchNumber(7);
    exchanged.plugins.push(later);
    let rows = Rows::begin(exchanged);
    let sources = Sources { rows: Some(&rows), ..Sources::default() };
    let slots: Vec<String> =
        sources.picture(Choice::default(), BEGIN_MS, 80).plugins.into_iter().map(|plugin| plugin.slot).collect();
    assert_eq!(slots, ["price"]);
}

#[test]
fn no_run_is_said_in_words() {
    let sources = Sources { nothing: Some("there is no store atlas.db"), ..Sources::default() };
    golden("no-run.txt", &drawn(&sources, Choice::default(), BEGIN_MS, (60, 10)));
    assert!(!sources.over());
}

#[test]
fn no_size_of_a_terminal_is_too_small_to_be_drawn_on() {
    let told = told(&events());
    let rows = Rows::begin(snapshot(RunStatus::Running));
    let pictures = [
        Sources { told: Some(&told), ..Sources::default() },
        Sources { rows: Some(&rows), ..Sources::default() },
        Sources::default(),
    ];
    for sources in &pictures {
        for width in 1..60 {
            for height in 1..30 {
                for help in [false, true] {
                    drawn(sources, Choice { help, ..Choice::default() }, BEGIN_MS + 5000, (width, height));
                }
            }
        }
    }
}

#[test]
fn sorting_and_filtering_change_the_order_of_plugins_and_nothing_of_their_figures() {
    let told = told(&events());
    let sources = Sources { told: Some(&told), ..Sources::default() };
    let slots = |choice| -> Vec<String> {
        sources.picture(choice, BEGIN_MS, 80).plugins.into_iter().map(|plugin| plugin.slot).collect()
    };
    let by = |sort| slots(Choice { sort, ..Choice::default() });
    assert_eq!(by(Sort::Chain), ["rules", "price"]);
    assert_eq!(by(Sort::Time), ["price", "rules"]);
    assert_eq!(by(Sort::Calls), ["price", "rules"]);
    assert_eq!(by(Sort::Faults), ["rules", "price"]);
    assert_eq!(by(Sort::Name), ["price", "rules"]);
    assert_eq!(slots(Choice { failed_only: true, ..Choice::default() }), ["rules"]);
}

#[test]
fn of_two_runs_the_newer_is_shown() {
    let rows = Rows::begin(snapshot(RunStatus::Succeeded));
    let mut told = told(&events());
    told.started.uuid = "another".to_owned();
    let title = |told: &Told| {
        let sources = Sources { rows: Some(&rows), told: Some(told), follows: true, nothing: None };
        let picture = sources.picture(Choice::default(), BEGIN_MS + 5000, 80);
        (picture.title, sources.over(), picture.notice.is_some())
    };
    // A dry run or a run to memory has no row.
    told.started_ms += 1000;
    told.run = 0;
    assert_eq!(title(&told), ("a run that stores nothing, into orders, from orders.ndjson".to_owned(), false, false));
    told.started_ms -= 2000;
    assert_eq!(title(&told), ("run 3, into orders, from orders.ndjson".to_owned(), true, true));
}

#[test]
fn a_run_whose_process_is_gone_is_over() {
    let mut gone = snapshot(RunStatus::Running);
    gone.gone = true;
    let rows = Rows::begin(gone);
    let sources = Sources { rows: Some(&rows), ..Sources::default() };
    let picture = sources.picture(Choice::default(), BEGIN_MS + 9000, 80);
    assert!(picture.over && sources.over());
    assert_eq!(picture.tiles[0].value, "interrupted");
}

#[test]
fn foreign_text_cannot_steer_the_terminal() {
    let mut events = events();
    if let Event::RunStarted(started) = &mut events[0].event {
        started.plugins[0].slot = "r\u{1b}[2J".to_owned();
        started.inputs = vec!["\u{1b}]0;x\u{7}.ndjson".to_owned()];
    }
    let last = events.last().unwrap().clone();
    let hostile = [
        testing::failure(1, 1, "C\u{1b}[31m"),
        alert("A", "\u{202e}\n\u{1b}[H"),
        Event::PlanChosen {
            batch: 99,
            batch_size: 1,
            lanes: 1,
            batches_in_flight: 3,
            old_batch_size: None,
            old_lanes: None,
            old_batches_in_flight: None,
            inputs: Box::default(),
            reason: "\u{9b}2J\u{7}".to_owned(),
        },
    ];
    events.extend(hostile.map(|event| Envelope { event, ..last.clone() }));
    let told = told(&events);
    let sources = Sources { told: Some(&told), ..Sources::default() };
    for failed_only in [false, true] {
        let choice = Choice { failed_only, ..Choice::default() };
        let drawn = drawn(&sources, choice, told.newest_ms, (120, 40));
        let steering = |c: &char| *c != '\n' && (c.is_control() || *c == '\u{202e}');
        assert_eq!(drawn.chars().find(steering), None, "{drawn}");
    }
}
