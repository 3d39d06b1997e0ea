//! Golden files: outputs kept under `tests/data/golden`. `UPDATE=1 cargo test cli::` writes them anew; read the difference
//! before it goes in.
//!
//! What differs from run to run is replaced by fixed words first: times, durations, rates, digests, identifiers, folders.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::root;

/// Compares `text` with the file `name`, or writes that file where `UPDATE` is set.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = root().join("tests/data/golden").join(name);
    if std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty()) {
        std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder for golden files");
        std::fs::write(&path, text).expect("a golden file can be written");
        return;
    }
    let wanted = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE=1 writes it. It would be:\n{text}", path.display()));
    if let Some((number, (wanted, found))) = first_difference(&wanted, text) {
        panic!(
            "{name} line {number} is another (UPDATE=1 rewrites it)\nwanted: {wanted}\n found: {found}\n\nall of it:\n{text}"
        );
    }
}

type Lines<'a> = (&'a str, &'a str);

fn first_difference<'a>(wanted: &'a str, found: &'a str) -> Option<(usize, Lines<'a>)> {
    const END: &str = "(the end)";
    let (mut wanted, mut found) = (wanted.split('\n'), found.split('\n'));
    for number in 1.. {
        match (wanted.next(), found.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some((number, (a.unwrap_or(END), b.unwrap_or(END)))),
        }
    }
    None
}

/// Replaces what differs from run to run.
pub struct Redact {
    folders: Vec<(String, &'static str)>,
}

impl Redact {
    /// For a test that works in `folder`.
    pub fn new(folder: &Path) -> Self {
        let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string();
        let guests = crate::harness::guest("identity").parent().expect("a folder of guests").to_owned();
        let folders = vec![
            (whole(folder), "<folder>"),
            (folder.display().to_string(), "<folder>"),
            (whole(&guests), "<guests>"),
            (whole(&PathBuf::from(root())), "<root>"),
        ];
        Self { folders }
    }

    /// A text, such as a summary. Columns are drawn together, since their width may hang on what was replaced.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (folder, word) in &self.folders {
            text = text.replace(folder, word);
        }
        // A run that is short is over before its memory is looked at.
        let sampled = |line: &&str| !line.contains(" of the process at the most");
        let lines: Vec<String> = text.lines().filter(sampled).map(line).collect();
        let mut out = lines.join("\n");
        if text.ends_with('\n') {
            out.push('\n');
        }
        out
    }

    /// A JSON document, indented, its members in the order of their names.
    pub fn json(&self, value: &Value) -> String {
        let mut value = value.clone();
        self.value("", &mut value);
        let mut text = serde_json::to_string_pretty(&value).expect("JSON can be written");
        text.push('\n');
        text
    }

    fn value(&self, name: &str, value: &mut Value) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| self.value(name, value)),
            Value::Array(list) => list.iter_mut().for_each(|value| self.value(name, value)),
            Value::String(text) => *text = self.text(text),
            Value::Number(_) if differs(name) => *value = format!("<{name}>").into(),
            _ => {}
        }
        if name == "tools" {
            *value = "<tools>".into();
        }
        if name == "from_cache" && value.is_boolean() {
            *value = "<from_cache>".into();
        }
        if matches!(name, "uuid" | "job") && value.is_string() || name == "item_ns_buckets" {
            *value = format!("<{name}>").into();
        }
    }
}

/// Numbers that a second run would give otherwise, by the end of their member's name.
fn differs(name: &str) -> bool {
    const ENDS: [&str; 5] = ["_ms", "_us", "_ns", "_per_s", "_share"];
    const NAMES: [&str; 5] = ["seed", "cached", "bytes_on_disk", "process_bytes_peak", "memory_peak_bytes"];
    ENDS.iter().any(|end| name.ends_with(end)) || NAMES.contains(&name)
}

/// A line without what differs: digests, identifiers, wall clock times, numbers with a unit of time.
fn line(text: &str) -> String {
    if text.starts_with("items/s  ") {
        return "items/s  <n>".to_owned();
    }
    // Which units, and which phases took any time, differs too.
    for name in ["per item  ", "time  ", "idle  "] {
        if text.starts_with(name) {
            return format!("{name}<measured>");
        }
    }
    if let Some((built, _)) = text.split_once(" at the end of the load, in ") {
        let built = built.trim_start_matches("indexes").trim();
        return format!("indexes  {built} at the end of the load, in <measured>");
    }
    if let Some((calls, _)) = text.split_once(" items, ").filter(|_| text.contains(" of which ")) {
        return format!("{calls} items, <measured>");
    }
    // Versions of toolchains.
    if let Some((indent, _)) = text.split_once("made by ").filter(|(before, _)| before.trim().is_empty()) {
        return format!("{indent}made by  <tools>");
    }
    let words: Vec<&str> = text.trim_start().split(' ').collect();
    let indent = text.len() - text.trim_start().len();
    let mut out: Vec<String> = Vec::new();
    for word in words {
        if word.is_empty() {
            // Runs of spaces become two.
            if out.last().is_none_or(|last| !last.is_empty()) {
                out.push(String::new());
            }
            continue;
        }
        let core = word.trim_matches(['(', ')', ',', ';', '.']);
        let unit = ["ms", "s", "µs", "min", "h", "items/s"].contains(&core);
        if unit
            && let Some(before) = out.last_mut()
            && is_number(before.trim_matches(['(', ',']))
        {
            let number = before.trim_matches(['(', ',']).to_owned();
            *before = before.replace(&number, "<n>");
        }
        out.push(if core.is_empty() { word.to_owned() } else { word.replace(core, &token(core)) });
    }
    format!("{}{}", " ".repeat(indent), out.join(" ").replace("<n> min <n> s", "<n> s").replace("<n> ms", "<n> s"))
}

fn token(word: &str) -> String {
    if let Some(at) = word.find("blake3:") {
        let digits = word[at + 7..].chars().take_while(char::is_ascii_hexdigit).count();
        return format!("{}blake3:<digest>{}", &word[..at], &word[at + 7 + digits..]);
    }
    let shape: String = word.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
    if shape == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" {
        return "<uuid>".to_owned();
    }
    // The head of a digest.
    if shape == "xxxxxxxxxxxx" && word.contains(|c: char| c.is_ascii_digit()) {
        return "<digest>".to_owned();
    }
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape == "0000-00-00T00:00:00Z" {
        return "<time>".to_owned();
    }
    word.to_owned()
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
}

#[test]
fn what_differs_from_run_to_run_is_replaced_and_nothing_else() {
    let text = "  Time        34 ms, 6,574 items/s\n  Items       188 stored, at 2026-01-02T03:04:05Z (blake3:0a1b2c…)";
    let redact = Redact { folders: vec![("/tmp/x".to_owned(), "<folder>")] };
    assert_eq!(redact.text(text), "  Time  <n> s, <n> items/s\n  Items  188 stored, at <time> (blake3:<digest>…)");
    assert_eq!(redact.text("lies in /tmp/x/a.db, 12 s"), "lies in <folder>/a.db, <n> s");
    assert_eq!(redact.text("faulty (0a1b2c3d4e5f), feedfacecafe"), "faulty (<digest>), feedfacecafe");
    let json = serde_json::json!({ "duration_ms": 12, "read": 5, "store": "/tmp/x/a.db" });
    let wanted = "{\n  \"duration_ms\": \"<duration_ms>\",\n  \"read\": 5,\n  \"store\": \"<folder>/a.db\"\n}\n";
    assert_eq!(redact.json(&json), wanted);
}
