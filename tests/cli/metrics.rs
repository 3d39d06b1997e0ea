//! `--metrics-file` and `--metrics-listen`: what a run tells Prometheus.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::{MIXED, mixed_arguments, numbered, plain_run, words};
use crate::harness::{Folder, root};

/// The text format, read strictly: samples by name and labels, and the kind of each family.
struct Metrics {
    kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    #[track_caller]
    fn of(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end:\n{text}");
        let mut metrics = Self { kinds: BTreeMap::new(), samples: Vec::new() };
        let (mut helped, mut family) = (String::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a name and a help text");
                assert!(!help.is_empty() && is_name(name), "{line}");
                helped = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a kind");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name, helped, "HELP stands before TYPE");
                assert!(metrics.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
                family = name.to_owned();
            } else {
                let sample = sample(line);
                let endings: &[&str] =
                    if metrics.kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                let belongs = sample.name.strip_prefix(&family).is_some_and(|ending| endings.contains(&ending));
                assert!(belongs, "{line} does not belong to {family}");
                metrics.samples.push(sample);
            }
        }
        metrics.well_formed();
        metrics
    }

    /// Conventions: counters end in `_total`, nothing else does, no sample comes twice, buckets grow up to the count.
    #[track_caller]
    fn well_formed(&self) {
        for (name, kind) in &self.kinds {
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
            assert!(name.starts_with("atlas_"), "{name}");
            let units = ["ms", "us", "ns", "milliseconds", "kilobytes", "megabytes", "percent"];
            assert!(!name.split('_').any(|word| units.contains(&word)), "{name} is not in a base unit");
        }
        let mut seen = std::collections::BTreeSet::new();
        for sample in &self.samples {
            assert!(seen.insert((&sample.name, &sample.labels)), "{} {:?} comes twice", sample.name, sample.labels);
            let counts = self.kinds.get(&sample.name).is_some_and(|kind| kind == "counter");
            assert!(!counts || sample.value >= 0.0, "{} counts backwards", sample.name);
        }
        for (name, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let buckets: Vec<(f64, f64)> = self
                .samples
                .iter()
                .filter(|sample| sample.name == format!("{name}_bucket"))
                .map(|sample| (number(&sample.labels["le"]), sample.value))
                .collect();
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}: {buckets:?}");
            let (bound, all) = buckets.last().copied().expect("buckets");
            assert_eq!((bound, all), (f64::INFINITY, self.value(&format!("{name}_count"), &[])), "{name}");
        }
    }

    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        let found: Vec<&Sample> = self.samples.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "samples of {name} with {labels:?}");
        found[0].value
    }
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[track_caller]
fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
    }
}

#[track_caller]
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line} has no value"));
    let name = line[..end].to_owned();
    assert!(is_name(&name), "{line}");
    let mut labels = BTreeMap::new();
    let mut rest = &line[end..];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (key, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(key), "{line}");
            let (mut value, mut used) = (String::new(), None);
            let mut chars = after.char_indices();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        used = Some(at + 1);
                        break;
                    }
                    '\\' => match chars.next() {
                        Some((_, 'n')) => value.push('\n'),
                        Some((_, c @ ('\\' | '"'))) => value.push(c),
                        other => panic!("{other:?} is no escape: {line}"),
                    },
                    c => value.push(c),
                }
            }
            assert!(labels.insert(key.to_owned(), value).is_none(), "{key} comes twice: {line}");
            rest = &after[used.unwrap_or_else(|| panic!("a label without an end: {line}"))..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    Sample { name, labels, value: number(value) }
}

/// The mixed run with these further words; its report, and what it wrote to `atlas.prom`.
fn mixed(further: &[&str]) -> (Value, String) {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let mut arguments = mixed_arguments();
    arguments.extend(["--metrics-file", "atlas.prom", "--output", "json"].map(str::to_owned));
    arguments.extend(further.iter().map(|word| (*word).to_owned()));
    let report = folder.atlas(arguments).run().exits(3).json();
    (report, folder.read("atlas.prom"))
}

#[test]
fn the_counters_in_the_file_are_those_of_the_report() {
    let (report, text) = mixed(&[]);
    let metrics = Metrics::of(&text);
    let of = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {report}"));
    for (fate, name) in
        [("stored", "stored"), ("rejected", "rejected"), ("dead-lettered", "dead_lettered"), ("dropped", "dropped")]
    {
        assert_eq!(metrics.value("atlas_items_total", &[("fate", fate)]), of(name), "{fate}");
    }
    for effect in ["inserted", "replaced", "unchanged", "ignored", "deleted"] {
        assert_eq!(metrics.value("atlas_rows_total", &[("effect", effect)]), of(effect), "{effect}");
    }
    assert_eq!(metrics.value("atlas_item_retries_total", &[]), of("retries"));
    assert_eq!(metrics.value("atlas_batches_total", &[("outcome", "committed")]), of("batches"));
    assert_eq!(metrics.value("atlas_run_status", &[("status", "partial")]), 1.0);
    assert_eq!(metrics.value("atlas_run_status", &[("status", "running")]), 0.0);
    assert_eq!(metrics.value("atlas_items_failed_total", &[("code", "FAULTY_REJECT")]), 2.0);
    assert_eq!(
        metrics.value("atlas_run_info", &[("collection", "items"), ("strategy", "sequential"), ("run", "1")]),
        1.0
    );
    assert_eq!(metrics.value("atlas_plugin_info", &[("slot", "work"), ("role", "operation")]), 1.0);
    assert_eq!(metrics.value("atlas_run_progress_ratio", &[]), 1.0);
    assert!(metrics.value("atlas_plugin_calls_total", &[("slot", "work")]) >= 1.0);
}

#[test]
fn files_of_two_runs_in_one_folder_share_no_sample() {
    let (one, other) = (Folder::new(), Folder::new());
    let files = Folder::new();
    let mut samples = Vec::new();
    for (folder, into, name) in [(&one, "items", "a.prom"), (&one, "others", "b.prom"), (&other, "items", "c.prom")] {
        folder.write("in.ndjson", numbered(20));
        let path = files.at(name);
        plain_run(folder, &format!("--again --into {into} --metrics-file {}", path.display())).run().exits(0);
        samples.extend(Metrics::of(&files.read(name)).samples.into_iter().map(|sample| (sample.name, sample.labels)));
    }
    let all = samples.len();
    samples.sort();
    samples.dedup();
    assert_eq!(samples.len(), all, "a collector would drop what comes twice");
    assert!(samples.iter().all(|(_, labels)| labels.contains_key("store") && labels.contains_key("collection")));
}

#[test]
fn every_metric_of_the_dashboard_is_written_by_a_run() {
    let (_, text) = mixed(&[]);
    let metrics = Metrics::of(&text);
    let dashboard = std::fs::read_to_string(root().join("examples/monitoring/dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut named = Vec::new();
    expressions(&dashboard, &mut named);
    let readme = std::fs::read_to_string(root().join("examples/monitoring/README.md")).expect("its README");
    named.push(readme.replace("atlas_host", ""));
    let mut names: Vec<String> = named
        .iter()
        .flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| word.starts_with("atlas_"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 20, "{names:?}");
    let unknown: Vec<&String> = names
        .iter()
        .filter(|name| {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            !metrics.kinds.contains_key(family)
        })
        .collect();
    assert!(unknown.is_empty(), "no run writes {unknown:?}");
    // The other way round a dashboard may leave out, but not what it is for.
    for family in metrics.kinds.keys().filter(|name| name.contains("duration_seconds") && !name.contains("_run_")) {
        assert!(names.contains(&format!("{family}_bucket")), "the dashboard does not show {family}");
    }
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if ["expr", "query"].contains(&name.as_str()) => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(20_000));
    let path = folder.at("atlas.prom");
    let mut seen = 0;
    for again in ["", "--again", "--again"] {
        let further = format!("--batch-size 50 --metrics-file atlas.prom -q {again}");
        let mut child = plain_run(&folder, &further).start();
        drop(child.stdin.take());
        while child.try_wait().expect("a child").is_none() {
            if let Ok(text) = std::fs::read_to_string(&path) {
                assert!(Metrics::of(&text).kinds.contains_key("atlas_error_ratio"), "{text}");
                seen += 1;
            }
        }
        assert!(child.wait().expect("a child").success());
    }
    assert!(seen > 0);
    let text = folder.read("atlas.prom");
    assert_eq!(Metrics::of(&text).value("atlas_items_total", &[("fate", "stored")]), 20_000.0);
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("metrics"))
        .collect();
    assert_eq!(left, [""; 0], "nothing else is left behind");
}

#[test]
fn a_file_that_cannot_be_made_is_refused_before_anything_is_done() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    plain_run(&folder, "--metrics-file no/such/folder/atlas.prom").run().exits(2).says("no/such/folder/atlas.prom");
    assert!(!folder.at("atlas.db").exists());
}

#[test]
fn only_loopback_addresses_are_listened_at() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9464"] {
        let ran = plain_run(&folder, &format!("--metrics-listen {address}")).run().exits(2);
        ran.says("only loopback addresses").says("CONFIG_3001");
    }
    plain_run(&folder, "--metrics-listen 9464").run().exits(2).says("127.0.0.1:9464");
    assert!(!folder.at("atlas.db").exists());
}

/// A run that waits for its standard input, and the address that it told.
fn listening(folder: &Folder) -> (std::process::Child, BufReader<std::process::ChildStderr>, String) {
    let line = "run --input - --format ndjson --id id --batch-wait 20ms --metrics-listen 127.0.0.1:0";
    let mut child = folder.atlas(line.split(' ')).start();
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut told = String::new();
    stderr.read_line(&mut told).expect("a line");
    let address = told.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.unwrap_or_else(|| panic!("no address in {told:?}")).to_owned();
    (child, stderr, address)
}

fn fetched(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody who listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

#[test]
fn a_run_serves_its_metrics_until_it_ends() {
    let folder = Folder::new();
    let (mut child, mut stderr, address) = listening(&folder);
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(numbered(500).as_bytes()).expect("items");
    stdin.flush().expect("items");
    loop {
        let metrics = Metrics::of(&fetched(&address));
        if metrics.value("atlas_items_total", &[("fate", "stored")]) == 500.0 {
            assert_eq!(metrics.value("atlas_run_status", &[("status", "running")]), 1.0);
            break;
        }
    }
    drop(stdin);
    let mut told = String::new();
    stderr.read_to_string(&mut told).expect("the summary");
    assert!(child.wait().expect("a child").success(), "{told}");
    assert!(TcpStream::connect(&address).is_err(), "nobody listens after the end");
}

#[test]
fn clients_that_say_nothing_do_not_stop_a_run() {
    let folder = Folder::new();
    let (mut child, mut stderr, address) = listening(&folder);
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&address).expect("a connection")).collect();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(numbered(5000).as_bytes()).expect("items");
    drop(stdin);
    let mut told = String::new();
    stderr.read_to_string(&mut told).expect("the summary");
    assert!(child.wait().expect("a child").success(), "{told}");
    drop(silent);
    assert_eq!(super::sql(&folder, "SELECT count(*) FROM items"), ["5000"]);
}

#[test]
fn metrics_change_nothing_of_a_run() {
    let (with, without) = (Folder::new(), Folder::new());
    for (folder, further) in [(&with, "--metrics-file m.prom --metrics-listen 127.0.0.1:0"), (&without, "")] {
        folder.write("in.ndjson", numbered(2000));
        plain_run(folder, further).run().exits(0);
    }
    let rows = |folder: &Folder| super::sql(folder, "SELECT id, body FROM items ORDER BY id");
    assert_eq!(rows(&with), rows(&without));
    words(&with, "verify").exits(0);
}
