//! What a plugin costs in each language: the two ticket plugins, built by `guests/build`, by size, by the time to compile
//! them, to load them from the cache and to start a sandbox, and by the time of one item in a call of a thousand.
//!
//! `cargo run --release --example languages`. With `--publish` the table goes into `guests/README.md`.

mod hardware;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use atlas_host::coordinator::{Host, HostOptions, Input, Job};
use atlas_host::plugin::{Cache, Plugin};
use atlas_host::source::ListSource;
use atlas_host::strategy::{Bounds, Interval};
use clap::Parser;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- /figures -->";
/// Items of one call.
const CALL: usize = 1000;
/// Sandboxes that are started for one sample.
const STARTS: usize = 50;

/// Measure the ticket plugins of every language
#[derive(Parser)]
struct Arguments {
    /// Languages: folders of guests/, and rust; default: all
    #[arg(long, value_delimiter = ',')]
    languages: Vec<String>,
    /// Samples of each figure; their median is shown
    #[arg(long, default_value = "9", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Tickets of one sample of the time of an item
    #[arg(long, default_value = "20000", value_parser = clap::value_parser!(u32).range(1000..))]
    items: u32,
    /// Put the table into guests/README.md as well
    #[arg(long)]
    publish: bool,
}

/// One plugin.
struct Guest {
    language: String,
    name: &'static str,
    bytes: Vec<u8>,
}

/// Medians.
struct Figures {
    artefact_bytes: u64,
    compile_ms: f64,
    load_ms: f64,
    start_ms: f64,
    item_us: f64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let machine = hardware::hardware();
    let guests = guests(&arguments.languages)?;
    let mut table = format!(
        "Taken on {} on a machine with {machine}: medians of {}.\n\n\
         | language | plugin | component | compiled | compile | load from cache | start a sandbox | item, {CALL} a call |\n\
         |---|---|---|---|---|---|---|---|\n",
        hardware::today(),
        arguments.runs
    );
    for guest in &guests {
        eprintln!("{} {}", guest.language, guest.name);
        let figures = measure(guest, arguments.runs as usize, arguments.items as usize)?;
        table.push_str(&format!(
            "| {} | `{}` | {} | {} | {:.0} ms | {:.1} ms | {:.2} ms | {:.1} µs |\n",
            guest.language,
            guest.name,
            size(guest.bytes.len() as u64),
            size(figures.artefact_bytes),
            figures.compile_ms,
            figures.load_ms,
            figures.start_ms,
            figures.item_us
        ));
    }
    print!("{table}");
    if arguments.publish {
        let page = Path::new(ROOT).join("guests/README.md");
        let text = std::fs::read_to_string(&page)?;
        let begin = text.find(BEGIN).context("the page has no place for figures")? + BEGIN.len();
        let end = begin + text[begin..].find(END).context("the place for figures has no end")?;
        std::fs::write(&page, format!("{}{table}{}", &text[..begin], &text[end..]))?;
    }
    Ok(())
}

/// The plugins of these languages, or of all of them, built before anything is measured.
fn guests(languages: &[String]) -> Result<Vec<Guest>> {
    let mut known = vec!["rust".to_owned()];
    let mut others = Vec::new();
    for entry in std::fs::read_dir(Path::new(ROOT).join("guests"))? {
        let entry = entry?;
        if entry.path().join("ticket-rules/plugin.toml").is_file() {
            others.push(entry.file_name().into_string().ok().context("a folder's name is no text")?);
        }
    }
    others.sort();
    known.append(&mut others);
    for language in languages {
        ensure!(known.contains(language), "no language {language:?}, wanted some of: {}", known.join(", "));
    }
    let mut guests = Vec::new();
    for language in known.into_iter().filter(|name| languages.is_empty() || languages.contains(name)) {
        for name in ["ticket-rules", "ticket-tidy"] {
            let (project, file) = match language.as_str() {
                "rust" => (name.to_owned(), format!("{name}.wasm")),
                _ => (format!("{language}/{name}"), format!("{language}-{name}.wasm")),
            };
            let built = Command::new(Path::new(ROOT).join("guests/build")).arg(&project).output()?;
            ensure!(built.status.success(), "guests/build {project}: {}", String::from_utf8_lossy(&built.stderr));
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from);
            let path = target.join("guests").join(file);
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            guests.push(Guest { language: language.clone(), name, bytes });
        }
    }
    Ok(guests)
}

fn measure(guest: &Guest, runs: usize, items: usize) -> Result<Figures> {
    let host = |cache| Host::new(HostOptions { lanes: 1, cache, ..HostOptions::default() });
    let load = |host: &Host| host.load_plugin_bytes(guest.bytes.clone().into(), guest.name);
    let bare = host(Cache::none())?;
    // The engine is made with the first plugin.
    load(&bare)?;
    let compile = median(runs, || timed(|| load(&bare)))?;

    let folder = tempfile::tempdir()?;
    let cached = host(Cache::at(folder.path().to_owned()))?;
    load(&cached)?;
    let artefact_bytes = std::fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.metadata()?))
        .map(|meta: Result<std::fs::Metadata>| meta.map(|meta| if meta.is_file() { meta.len() } else { 0 }))
        .sum::<Result<u64>>()?;
    let from_cache = median(runs, || timed(|| load(&cached)))?;
    ensure!(load(&cached)?.from_cache(), "the cache keeps nothing of {}", guest.name);

    let tickets: Vec<String> = (0..items).map(ticket).collect();
    let run = |plugin: Option<Plugin>, items: &[String], call: usize, fresh: bool| -> Result<f64> {
        let job = job(plugin, guest.name, items, call, fresh)?;
        let begin = Instant::now();
        let report = cached.run(job).map_err(|failure| anyhow::anyhow!("{}: {failure:?}", guest.name))?;
        let seconds = begin.elapsed().as_secs_f64();
        ensure!(report.counts.stored == items.len() as u64, "{} refused tickets", guest.name);
        Ok(seconds)
    };
    // Everything but the plugin is in both halves of a difference.
    let few = &tickets[..STARTS];
    let start =
        median(runs, || Ok(run(Some(load(&cached)?), few, 1, true)? - run(Some(load(&cached)?), few, 1, false)?))?;
    let call =
        median(runs, || Ok(run(Some(load(&cached)?), &tickets, CALL, false)? - run(None, &tickets, CALL, false)?))?;
    Ok(Figures {
        artefact_bytes,
        compile_ms: compile * 1e3,
        load_ms: from_cache * 1e3,
        start_ms: start * 1e3 / STARTS as f64,
        item_us: call * 1e6 / items as f64,
    })
}

/// A run in memory on one lane; its results go nowhere.
fn job(plugin: Option<Plugin>, name: &str, items: &[String], call: usize, fresh: bool) -> Result<Job> {
    let entries = items.iter().map(|body| (None, body.clone())).collect::<Vec<_>>();
    let source = ListSource::new("tickets", entries);
    let mut job = Job::new(Input::Source { source: Box::new(source), resumable: None }, None);
    job.strategy = "sequential".to_owned();
    let only = |number| Interval::new(number, number).context("an interval");
    job.bounds = Bounds { batch_size: only(call)?, lanes: only(1)?, start: None };
    job.fresh_sandboxes = fresh;
    job = job.id("id")?;
    Ok(match plugin {
        None => job,
        Some(plugin) if name == "ticket-rules" => job.validator_plugin(plugin),
        Some(plugin) => job.operation_plugin(plugin),
    })
}

/// A ticket that breaks no rule, like those that `examples/generate` makes.
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

/// Seconds that the work takes.
fn timed<T>(work: impl FnOnce() -> atlas_host::error::Result<T>) -> Result<f64> {
    let begin = Instant::now();
    let made = work()?;
    let seconds = begin.elapsed().as_secs_f64();
    drop(made);
    Ok(seconds)
}

/// The middle one of so many samples.
fn median(runs: usize, mut sample: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut samples = (0..runs).map(|_| sample()).collect::<Result<Vec<f64>>>()?;
    samples.sort_by(f64::total_cmp);
    Ok((samples[(runs - 1) / 2] + samples[runs / 2]) / 2.0)
}

/// `54 KB`, `2.65 MB`.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes < 1e6 => format!("{:.0} KB", bytes / 1e3),
        bytes => format!("{:.2} MB", bytes / 1e6),
    }
}
