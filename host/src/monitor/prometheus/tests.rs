//! The texts, the file and the server, on made-up events.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Metrics, MetricsFile, MetricsServer, loopback};
use crate::event::{Event, HealthStatus, PluginUsed, RunEnded, RunStarted, SwapStep};
use crate::limits::{METRIC_CODES_MAX, METRICS_CONNECTIONS_MAX, METRICS_REQUEST_BYTES_MAX};
use crate::monitor::{Fold, Monitor, testing};

fn text_of(events: &[crate::event::Envelope]) -> String {
    let mut metrics = Metrics::here();
    events.iter().for_each(|event| metrics.observe(event));
    metrics.text()
}

/// A line without the labels that every sample has.
fn without_common(line: &str) -> String {
    let Some(((name, labels), value)) = line.rsplit_once(' ').and_then(|(s, v)| Some((s.split_once('{')?, v))) else {
        return line.to_owned();
    };
    let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
    assert!(labels[0].starts_with("store=\"") && labels[1].starts_with("collection=\""), "{line}");
    labels.drain(..2);
    if labels.is_empty() { format!("{name} {value}") } else { format!("{name}{{{}}} {value}", labels.join(",")) }
}

/// Value of the sample that is written like this.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let line =
        text.lines().find_map(|line| without_common(line).strip_prefix(sample)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().expect("a number")
}

#[test]
fn the_metrics_of_a_run_are_what_its_events_say() {
    let text = text_of(&testing::run(100, 50));
    for (sample, wanted) in [
        ("atlas_items_total{fate=\"stored\"}", 4900.0),
        ("atlas_items_total{fate=\"dead-lettered\"}", 100.0),
        ("atlas_items_failed_total{code=\"PRICE_LOW\"}", 90.0),
        ("atlas_items_failed_total{code=\"PRICE_RARE\"}", 10.0),
        ("atlas_batches_total{outcome=\"committed\"}", 100.0),
        ("atlas_batches_total{outcome=\"applied\"}", 0.0),
        ("atlas_batch_size", 50.0),
        ("atlas_lanes", 2.0),
        ("atlas_lanes_in_use", 0.0),
        ("atlas_run_status{status=\"partial\"}", 1.0),
        ("atlas_run_status{status=\"running\"}", 0.0),
        ("atlas_run_progress_ratio", 1.0),
        ("atlas_phase_seconds_total{phase=\"operate\"}", 0.3),
        ("atlas_plugin_calls_total{slot=\"price\"}", 200.0),
        ("atlas_plugin_seconds_total{slot=\"price\"}", 0.45),
        ("atlas_plugin_cpu_seconds_total{slot=\"price\"}", 0.4),
        ("atlas_plugin_memory_peak_bytes{slot=\"price\"}", 0.0),
        ("atlas_index_builds_total", 0.0),
        ("atlas_transaction_duration_seconds_bucket{le=\"0.001\"}", 0.0),
        ("atlas_transaction_duration_seconds_bucket{le=\"0.0025\"}", 100.0),
        ("atlas_transaction_duration_seconds_sum", 0.2),
        // Half of the items took up to 80 µs, all but 5 of 100 up to 120 µs, one of 100 up to 400 µs.
        ("atlas_item_duration_seconds_bucket{le=\"0.0001\"}", 2500.0),
        ("atlas_item_duration_seconds_bucket{le=\"0.00025\"}", 5000.0),
        ("atlas_item_duration_seconds_count", 5000.0),
        ("atlas_item_duration_seconds_sum", 0.45),
    ] {
        assert_eq!(value(&text, sample), wanted, "{sample}");
    }
}

#[test]
fn batches_of_an_atomic_or_dry_run_are_not_called_committed() {
    let events = testing::run(10, 50).into_iter().map(|envelope| match envelope.event {
        Event::BatchCommitted(batch) => Event::BatchApplied(batch),
        event => event,
    });
    let text = text_of(&testing::stream(events));
    assert_eq!(value(&text, "atlas_batches_total{outcome=\"committed\"}"), 0.0);
    assert_eq!(value(&text, "atlas_batches_total{outcome=\"applied\"}"), 10.0);
}

#[test]
fn the_text_that_stays_after_a_run_wakes_nobody() {
    let sampled = Event::HealthSampled {
        status: HealthStatus::Unhealthy,
        cpu_share: None,
        memory_share: Some(0.95),
        process_bytes: None,
        error_share: 0.0,
        response_us: None,
        wal_bytes: None,
        disk_free_bytes: None,
    };
    let raised = Event::AlertRaised {
        alert: "HIGH_MEMORY".to_owned(),
        batch: 0,
        value: 0.95,
        threshold: 0.9,
        message: "memory in use is 95.0 %".to_owned(),
    };
    let mut events = testing::stream([Event::RunStarted(Box::default()), sampled, raised]);
    let samples = [
        "atlas_health_status{status=\"unhealthy\"}",
        "atlas_alert_active{alert=\"HIGH_MEMORY\"}",
        "atlas_alerts_total{alert=\"HIGH_MEMORY\"}",
        "atlas_run_updated_time_seconds",
    ];
    let text = text_of(&events);
    assert_eq!(samples.map(|sample| value(&text, sample)), [1.0, 1.0, 1.0, 1_700_000_000.02]);
    let ended = RunEnded {
        status: crate::model::RunStatus::Succeeded,
        success: true,
        counts: crate::model::Counts::default(),
        blank_lines: 0,
        batches: 0,
        duration_ms: 30,
        error: None,
    };
    events.push(crate::event::Envelope {
        time_ms: 1_700_000_000_030,
        event: Event::RunEnded(Box::new(ended)),
        ..events[2].clone()
    });
    let text = text_of(&events);
    assert_eq!(samples.map(|sample| value(&text, sample)), [0.0, 0.0, 1.0, 1_700_000_000.03]);
}

#[test]
fn the_plugin_in_force_is_named_after_each_exchange() {
    let used = PluginUsed {
        slot: "price".to_owned(),
        role: "operation".to_owned(),
        name: "old.wasm".to_owned(),
        digest: "blake3:1".to_owned(),
        prepare_us: 2_000_000,
        from_cache: true,
    };
    let started = RunStarted { plugins: vec![used], ..RunStarted::default() };
    let step = SwapStep {
        slot: "price".to_owned(),
        name: "new.wasm".to_owned(),
        old_digest: "blake3:1".to_owned(),
        new_digest: "blake3:2".to_owned(),
        ..SwapStep::default()
    };
    let mut events = vec![Event::RunStarted(Box::new(started)), Event::SwapTookEffect(Box::new(step.clone()))];
    let text = text_of(&testing::stream(events.clone()));
    let new = "atlas_plugin_info{slot=\"price\",role=\"operation\",name=\"new.wasm\",digest=\"blake3:2\"}";
    assert_eq!(value(&text, new), 1.0);
    assert!(!text.contains("old.wasm") && !text.contains("atlas_plugin_prepare_seconds{"), "{text}");
    events.push(Event::SwapPutBack(Box::new(step)));
    let text = text_of(&testing::stream(events));
    let old = "atlas_plugin_info{slot=\"price\",role=\"operation\",name=\"old.wasm\",digest=\"blake3:1\"}";
    assert_eq!(value(&text, old), 1.0);
    assert_eq!(value(&text, "atlas_plugin_prepare_seconds{slot=\"price\",cache=\"hit\"}"), 2.0);
    assert!(!text.contains("new.wasm"), "{text}");
}

#[test]
fn buckets_grow_with_their_bounds_up_to_the_count() {
    let text = text_of(&testing::run(30, 40));
    for name in ["atlas_item_duration_seconds", "atlas_batch_duration_seconds", "atlas_transaction_duration_seconds"] {
        let bucket = format!("{name}_bucket{{");
        let counts: Vec<f64> = text
            .lines()
            .filter(|line| line.starts_with(&bucket))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(counts.len() > 10 && counts.is_sorted(), "{name}: {counts:?}");
        assert_eq!(counts.last().copied(), Some(value(&text, &format!("{name}_count"))));
    }
}

#[test]
fn texts_of_two_stores_and_of_two_collections_have_no_sample_in_common() {
    let text = |store: &str, collection: &str| {
        let mut events = testing::run(5, 10);
        let Event::RunStarted(started) = &mut events[0].event else { panic!("the first event") };
        (started.store, started.collection) = (store.to_owned(), collection.to_owned());
        text_of(&events)
    };
    let texts = [text("a.db", "items"), text("b.db", "items"), text("a.db", "others"), text("", "items")];
    let mut samples: Vec<&str> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let all = samples.len();
    samples.sort_unstable();
    samples.dedup();
    assert_eq!(samples.len(), all);
    let here = std::env::current_dir().unwrap().join("a.db");
    assert!(texts[0].contains(&format!("atlas_lanes{{store=\"{}\",collection=\"items\"}} 2", here.display())));
}

#[test]
fn hostile_names_stay_within_their_label() {
    let plugin = PluginUsed {
        slot: "s".to_owned(),
        role: "operation".to_owned(),
        name: "a\"b\\c\nd} 7".to_owned(),
        ..PluginUsed::default()
    };
    let started = RunStarted { plugins: vec![plugin], ..RunStarted::default() };
    let text = text_of(&testing::stream([Event::RunStarted(Box::new(started))]));
    assert!(text.contains(r#"name="a\"b\\c\nd} 7",digest="""#), "{text}");
    assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("atlas_")), "{text}");
}

#[test]
fn codes_that_find_no_room_are_counted_together() {
    let events = (0..METRIC_CODES_MAX as u64 + 25).map(|n| testing::failure(n, n, &format!("CODE_{n}")));
    let text = text_of(&testing::stream(events));
    assert_eq!(text.matches("atlas_items_failed_total{").count(), METRIC_CODES_MAX + 1);
    assert_eq!(value(&text, "atlas_items_failed_total{code=\"other\"}"), 25.0);
}

#[test]
fn a_file_is_whole_after_every_event_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("atlas.prom");
    let mut file = MetricsFile::create(&path).unwrap();
    assert!(!path.exists(), "nothing is written before the run");
    let mut seen = 0;
    let events = testing::run(900, 10);
    for event in &events {
        file.observe(event);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n') && text.contains("\natlas_error_ratio{"), "{text}");
        let stored = value(&text, "atlas_items_total{fate=\"stored\"}") as u64;
        assert!(stored >= seen);
        seen = stored;
    }
    assert!(seen > 0, "it is written while the run goes on");
    file.finish();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text_of(&events));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_cannot_be_made_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("no/such/folder.prom"), folder.path().to_owned()] {
        let error = MetricsFile::create(&path).err().unwrap();
        assert_eq!(error.code(), crate::error::Code::ConfigInvalid);
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_file_whose_folder_goes_away_does_not_stop_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let mut file = MetricsFile::create(&below.join("atlas.prom")).unwrap();
    std::fs::remove_dir(&below).unwrap();
    testing::run(20, 10).iter().for_each(|event| file.observe(event));
    std::fs::create_dir(&below).unwrap();
    file.finish();
    assert!(below.join("atlas.prom").is_file(), "it is tried again");
}

/// What the server says to these bytes.
fn said(server: &MetricsServer, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let mut answer = Vec::new();
    // A connection that is not served, or whose request is cut off, is reset.
    let _ = stream.write_all(request);
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn server() -> MetricsServer {
    MetricsServer::listen(([127, 0, 0, 1], 0).into()).unwrap()
}

#[test]
fn the_server_answers_one_path_and_one_method() {
    let mut server = server();
    let events = testing::run(10, 10);
    events.iter().for_each(|event| server.observe(event));
    for (request, wanted) in [
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
        ("GET /metrics?x=y HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"),
        ("GET /metrics/../etc HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"),
        ("\u{0}\u{1}nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"),
    ] {
        let answer = said(&server, request.as_bytes());
        assert!(answer.starts_with(wanted), "{request:?}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    }
    let answer = said(&server, b"GET /metrics HTTP/1.1\r\n\r\n");
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, text_of(&events));
    let long = [b"GET /metrics HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; METRICS_REQUEST_BYTES_MAX * 2]].concat();
    let answer = said(&server, &long);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn slow_clients_are_bounded_and_the_end_does_not_wait_for_them() {
    let mut server = server();
    let mut silent: Vec<TcpStream> =
        (0..METRICS_CONNECTIONS_MAX).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    // One more is closed without a word; those before it were taken first, in the order of their coming.
    assert_eq!(said(&server, b"GET /metrics HTTP/1.1\r\n\r\n"), "");
    testing::run(100, 10).iter().for_each(|event| server.observe(event));
    drop(silent.remove(0));
    let mut served = String::new();
    while served.is_empty() {
        served = said(&server, b"GET /metrics HTTP/1.1\r\n\r\n");
    }
    assert!(served.starts_with("HTTP/1.1 200 OK"), "a place became free: {served}");
    server.finish();
    assert!(TcpStream::connect(server.address()).is_err(), "nobody listens any more");
}

#[test]
fn only_this_machine_is_served() {
    for text in ["127.0.0.1:9464", "127.8.9.1:1", "[::1]:0"] {
        assert!(loopback(text).is_ok(), "{text}");
    }
    for text in ["0.0.0.0:9464", "[::]:9464", "192.168.0.1:80", "[::ffff:10.0.0.1]:80"] {
        assert!(loopback(text).unwrap_err().contains("other machines"), "{text}");
        assert!(MetricsServer::listen(text.parse().unwrap()).is_err(), "{text}");
    }
    for text in ["", "9464", ":9464", "127.0.0.1", "localhost:9464", "127.0.0.1:70000"] {
        assert!(loopback(text).unwrap_err().contains("127.0.0.1:9464"), "{text}");
    }
}

#[test]
fn a_port_that_is_taken_is_refused_with_a_way_out() {
    let server = server();
    let error = MetricsServer::listen(server.address()).err().unwrap();
    assert_eq!(error.code(), crate::error::Code::ConfigInvalid);
    assert!(error.hint_text().contains("port 0"), "{}", error.hint_text());
}
