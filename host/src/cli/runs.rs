//! `runs`: what was done to a store, and when.

mod measured;
mod report;
mod resume;
mod tune;
mod tuning;
mod view;

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::common::{OutputArg, StoreArg};
use super::job_args::JobArgs;
use super::print::{Printer, talk};
use super::spec::{duration, fields, print_table, time};
use super::{Layers, Talk};
use crate::error::{Code, Error, Result};
use crate::model::{BatchNumber, RunNumber, RunStatus};
use crate::store::{BatchRow, PlanRow, Reader, RunPlugin, RunRow};
pub use view::{BatchView, PluginView, RunView, SCHEMA, held, inputs, plugin_line, status};
use view::{items_per_s, json, lasted_ms};

/// Batches fetched at a time; a longer list is printed as several tables.
const PAGE: usize = 1000;

/// List, show, resume, draw and tune runs
#[derive(Args, Debug)]
pub struct RunsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List runs, newest first
    ///
    /// A run that was begun and not ended is shown as running while a process holds the store, and as interrupted else.
    /// Duration is that of a run's last execution; items are those of all of them. With `--output json` one run per line.
    List(ListArgs),
    /// Show all about a run: settings, plugins, inputs, counts
    ///
    /// With `--output json` one document, which has the batches too, and with --tuning the decisions.
    ///
    /// Example: atlas-host runs show 3 --batches
    Show(ShowArgs),
    Resume(resume::ResumeArgs),
    /// Change the bounds of a run that is at work in another process
    ///
    /// The run looks twice a second, and obeys from its next plan on; batches under way are finished as they were cut. What
    /// it has changed is printed, and told by it as an event. Exit code 2 if the run is not at work or refuses, 6 if it gives
    /// no answer in time; then nothing is changed.
    ///
    /// Example: atlas-host runs tune 3 --batch-size 10..200 --lanes 1
    Tune(tune::TuneArgs),
    /// Draw a run as one HTML page: throughput, plans and their reasons, batches, latency, problems
    ///
    /// The page needs nothing beside itself: no scripts, no network. It can be made while the run is at work. Events that
    /// the run recorded (`run --events FILE`) add samples of CPU and memory, lanes at work and batches that were given up.
    /// With `--output json` the same figures as one document.
    ///
    /// Example: atlas-host runs report 3 -o report.html
    Report(report::ReportArgs),
}

#[derive(Args, Debug)]
struct ListArgs {
    /// List so many at the most; 0 for all
    #[arg(long, value_name = "N", default_value = "20")]
    limit: usize,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// Number of the run; the newest if left out
    #[arg(value_name = "RUN")]
    run: Option<u64>,
    /// Show a table of its batches with their times
    #[arg(long)]
    batches: bool,
    /// Show every decision about batch size and lanes: what was changed, why, and what was measured
    #[arg(long)]
    tuning: bool,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// All about a run but its batches.
#[derive(Debug, Serialize)]
struct RunDocument<'a> {
    #[serde(flatten)]
    run: RunView<'a>,
    inputs: Value,
    plugins: Vec<PluginView<'a>>,
    identity: &'a [(String, String)],
    settings: Value,
    /// Where it was asked for.
    /// Times, sizes and percentiles of the last execution; null until it ends.
    performance: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<Vec<tuning::Decision<'a>>>,
}

impl RunsArgs {
    /// The flags of the job that goes on.
    pub fn job(self) -> Option<JobArgs> {
        match self.verb {
            Verb::Resume(args) => Some(*args.job),
            _ => None,
        }
    }
}

/// Exit code 0, or that of a run that goes on.
pub fn run(args: RunsArgs, layers: &Layers, told: Talk, printer: &mut Printer) -> Result<u8> {
    match args.verb {
        Verb::Resume(args) => return resume::run(&args, layers, told, printer),
        Verb::List(args) => list(&args, printer),
        Verb::Show(args) => show(&args, printer),
        Verb::Tune(args) => tune::run(&args, printer),
        Verb::Report(args) => report::run(&args, printer),
    }?;
    Ok(0)
}

fn list(args: &ListArgs, printer: &mut Printer) -> Result<()> {
    let reader = Reader::open(&args.store.store)?;
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    let mut runs = reader.runs(limit.saturating_add(1))?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let held = runs.iter().any(|run| run.status == RunStatus::Running) && held(reader.path());
    if runs.is_empty() {
        talk("no run yet");
    } else if args.output.json() {
        runs.iter().try_for_each(|run| printer.json(&RunView::of(run, held)))?;
    } else {
        let headers = [
            "run",
            "status",
            "started",
            "duration",
            "items",
            "stored",
            "rejected",
            "dead-lettered",
            "dropped",
            "items/s",
            "collection",
        ];
        let give_way = ["items/s", "dropped", "collection", "duration", "started"];
        print_table(printer, &headers, runs.iter().map(|run| row(run, held)).collect(), &give_way)?;
    }
    if more {
        printer.flush()?;
        talk(&format!("the newest {limit} runs; there are more: --limit 0 lists all"));
    }
    Ok(())
}

fn row(run: &RunRow, held: bool) -> Vec<String> {
    let counts = &run.counts;
    vec![
        run.run.to_string(),
        status(run, held).to_owned(),
        time(run.started_ms),
        lasted_ms(run, held).map_or("-".to_owned(), duration),
        counts.read.to_string(),
        counts.stored.to_string(),
        counts.rejected.to_string(),
        counts.dead_lettered.to_string(),
        counts.dropped.to_string(),
        items_per_s(run, held).map_or("-".to_owned(), rate),
        run.collection.to_string(),
    ]
}

fn rate(per_s: f64) -> String {
    if per_s < 100.0 { per_s.to_string() } else { per_s.round().to_string() }
}

fn show(args: &ShowArgs, printer: &mut Printer) -> Result<()> {
    let reader = Reader::open(&args.store.store)?;
    let run = found(&reader, args.run)?;
    let held = held(reader.path());
    let plugins = reader.plugins(run.run)?;
    if args.output.json() {
        let plans = if args.tuning { Some(reader.plans(run.run)?) } else { None };
        return document(&reader, &run, held, (&plugins, plans.as_deref()), printer);
    }
    printer.line(&about(&run, held, &plugins, &args.store.store))?;
    if args.tuning {
        printer.line("")?;
        tuning::print(&reader.plans(run.run)?, printer)?;
    }
    if args.batches {
        each_page(&reader, run.run, printer, |page, printer| {
            printer.line("")?;
            batches(page, printer)
        })?;
    }
    Ok(())
}

/// The run of this number, or the newest.
///
/// Errors: CONFIG_3001 if there is no such run.
pub fn found(reader: &Reader, wanted: Option<u64>) -> Result<RunRow> {
    let newest = reader.runs(1)?.pop();
    match wanted {
        None => newest.ok_or_else(|| {
            Error::new(Code::ConfigInvalid, format!("store {} has no run yet", reader.path().display()))
                .hint("`atlas-host run` makes one")
        }),
        Some(number) => reader.run(RunNumber(number))?.ok_or_else(|| {
            Error::new(Code::ConfigInvalid, format!("there is no run {number} in store {}", reader.path().display()))
                .hint(newest.map_or("it has no run yet".to_owned(), |run| {
                    format!("the newest is {}; see `atlas-host runs list`", run.run)
                }))
        }),
    }
}

/// Places of the plugins that are others than their slot had before: with each exchange all slots are noted. The last of a
/// slot is among them.
fn versions(plugins: &[RunPlugin]) -> Vec<usize> {
    let same = |a: &RunPlugin, b: &RunPlugin| (&a.slot, a.digest) == (&b.slot, b.digest);
    let next = |at: usize| plugins[at + 1..].iter().find(|later| later.slot == plugins[at].slot);
    (0..plugins.len()).filter(|at| next(*at).is_none_or(|next| !same(&plugins[*at], next))).collect()
}

fn about(run: &RunRow, held: bool, plugins: &[RunPlugin], store: &Path) -> String {
    let counts = &run.counts;
    let status = match status(run, held) {
        shown if shown == run.status.as_str() => shown.to_owned(),
        shown => format!("{shown} (its process is gone; {})", resume::way_on(run, store)),
    };
    let error = run.error_json.as_deref().map(json).map_or(String::new(), |error| {
        match (error["code"].as_str(), error["message"].as_str(), error["hint"].as_str()) {
            (Some(code), Some(message), hint) => format!("{code}: {message}\nhint: {}", hint.unwrap_or("-")),
            _ => error.to_string(),
        }
    });
    let lines =
        |pairs: Vec<(String, String)>| pairs.iter().map(|(k, v)| format!("{k} = {v}")).collect::<Vec<_>>().join("\n");
    let performance = measured::of(run);
    // What was measured is of a slot, whatever filled it: it stands at the last version.
    let last = |at: usize| plugins[at + 1..].iter().all(|later| later.slot != plugins[at].slot);
    let several = |slot: &str| plugins.iter().filter(|plugin| plugin.slot == slot).count() > 1;
    let measured = |plugin: &RunPlugin| performance.as_ref().map_or(String::new(), |p| measured::plugin(p, plugin));
    let versions = versions(plugins);
    let plugins: Vec<String> = versions
        .into_iter()
        .map(|at| match (last(at), several(&plugins[at].slot)) {
            (false, _) => plugin_line(&plugins[at]),
            (true, false) => plugin_line(&plugins[at]) + &measured(&plugins[at]),
            (true, true) => plugin_line(&plugins[at]) + &measured(&plugins[at]) + ", by all versions",
        })
        .collect();
    fields(&[
        ("run", format!("{} ({})", run.run, run.uuid)),
        ("status", status),
        ("error", error),
        ("started", time(run.started_ms)),
        ("ended", run.ended_ms.map_or(String::new(), time)),
        ("duration", lasted_ms(run, held).map_or(String::new(), duration)),
        (
            "executions",
            if run.epoch > 1 { format!("{}; duration is that of the last", run.epoch) } else { String::new() },
        ),
        ("collection", run.collection.to_string()),
        (
            "items",
            format!(
                "{} read: {} stored, {} rejected, {} dead-lettered, {} dropped",
                counts.read, counts.stored, counts.rejected, counts.dead_lettered, counts.dropped
            ),
        ),
        (
            "rows",
            format!(
                "{} inserted, {} replaced, {} unchanged, {} ignored, {} deleted",
                counts.inserted, counts.replaced, counts.unchanged, counts.ignored, counts.deleted
            ),
        ),
        ("items/s", items_per_s(run, held).map_or(String::new(), rate)),
        ("retries", counts.retries.to_string()),
        ("blank lines", run.blank_lines.to_string()),
        ("batches", format!("{}; the next item has ordinal {}", run.batches, run.next)),
        ("per item", performance.as_ref().map_or(String::new(), measured::per_item)),
        ("time", performance.as_ref().map_or(String::new(), measured::phases)),
        ("idle", performance.as_ref().map_or(String::new(), measured::idle)),
        ("memory", performance.as_ref().map_or(String::new(), measured::memory)),
        ("indexes", performance.as_ref().map_or(String::new(), measured::indexes)),
        ("atomic", run.atomic.clone()),
        ("inputs", inputs(run).join("\n")),
        ("plugins", plugins.join("\n")),
        ("seed", run.seed.to_string()),
        ("clock", time(run.clock_ms)),
        ("identity", lines(run.identity.clone())),
        ("settings", lines(in_force(&json(&run.settings_json)))),
    ])
}

/// Settings as pairs; texts without their quotes, lists without their brackets. With those that were changed while the run was
/// at work stands what it began with.
fn in_force(settings: &Value) -> Vec<(String, String)> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = |name: &str, value: &Value| {
        let value = match value {
            Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
            other => plain(other),
        };
        match &settings["changed"][name] {
            Value::Null => value,
            began => format!("{value} (began with {})", plain(began)),
        }
    };
    match settings {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "changed")
            .map(|(name, value)| (name.clone(), text(name, value)))
            .collect(),
        Value::Null => Vec::new(),
        other => vec![("all".to_owned(), other.to_string())],
    }
}

fn batches(page: &[BatchRow], printer: &mut Printer) -> Result<()> {
    let headers = [
        "batch",
        "from",
        "items",
        "stored",
        "refused",
        "dropped",
        "size",
        "lanes",
        "calls",
        "read ms",
        "compute ms",
        "wait ms",
        "write ms",
        "commit ms",
        "p50 us",
        "p99 us",
    ];
    let rows = page.iter().map(|batch| {
        let mut row = vec![
            batch.number.to_string(),
            batch.first_ordinal.to_string(),
            batch.counts.read.to_string(),
            batch.counts.stored.to_string(),
            batch.counts.failed().to_string(),
            batch.counts.dropped.to_string(),
        ];
        let thousandth = |n: u64| format!("{:.1}", n as f64 / 1000.0);
        row.extend(match &batch.metrics {
            Some(m) => vec![
                m.plan_size.to_string(),
                m.plan_lanes.to_string(),
                m.guest_calls.to_string(),
                thousandth(m.read_us),
                thousandth(m.compute_us),
                thousandth(m.wait_us),
                thousandth(m.write_us),
                thousandth(m.commit_us),
                thousandth(m.item_p50_ns),
                thousandth(m.item_p99_ns),
            ],
            // The metrics of old batches are pruned, their counts never.
            None => vec!["-".to_owned(); headers.len() - row.len()],
        });
        row
    });
    let give_way = ["from", "wait ms", "dropped", "read ms", "calls", "commit ms", "size", "p99 us", "p50 us", "lanes"];
    print_table(printer, &headers, rows.collect(), &give_way)
}

fn each_page(
    reader: &Reader,
    run: RunNumber,
    printer: &mut Printer,
    mut print: impl FnMut(&[BatchRow], &mut Printer) -> Result<()>,
) -> Result<()> {
    let mut from = BatchNumber(0);
    while !printer.closed() {
        let page = reader.batches(run, from, PAGE)?;
        let Some(last) = page.last() else { break };
        from = BatchNumber(last.number.0 + 1);
        print(&page, printer)?;
    }
    Ok(())
}

/// One document, its batches written as they are read: there may be a million.
fn document(
    reader: &Reader,
    run: &RunRow,
    held: bool,
    (plugins, plans): (&[RunPlugin], Option<&[PlanRow]>),
    printer: &mut Printer,
) -> Result<()> {
    let document = RunDocument {
        run: RunView::of(run, held),
        inputs: json(&run.inputs_json),
        plugins: plugins.iter().map(PluginView::of).collect(),
        identity: &run.identity,
        settings: json(&run.settings_json),
        performance: run.performance_json.as_deref().map_or(Value::Null, json),
        tuning: plans.map(|plans| plans.iter().map(tuning::Decision::of).collect()),
    };
    let unwritable =
        |e: serde_json::Error| Error::new(Code::Internal, format!("a result cannot be written as JSON: {e}"));
    let text = serde_json::to_string(&document).map_err(unwritable)?;
    let open = text.strip_suffix('}').expect("a struct is written as an object");
    printer.write(format!("{open},\"batches\":[").as_bytes())?;
    let mut first = true;
    each_page(reader, run.run, printer, |page, printer| {
        for batch in page {
            let text = serde_json::to_string(&BatchView::of(batch)).map_err(unwritable)?;
            printer.write(if first { b"" } else { b"," })?;
            printer.write(text.as_bytes())?;
            first = false;
        }
        Ok(())
    })?;
    printer.line("]}")
}
