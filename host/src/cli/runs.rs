//! `runs`: what was done to a store, and when.

use std::fs::{File, TryLockError};
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::common::{OutputArg, StoreArg};
use super::print::{Printer, table, talk};
use super::spec::{duration, fields, time};
use crate::error::{Code, Error, Result};
use crate::model::{BatchMetrics, BatchNumber, Counts, RunNumber, RunStatus, now_ms};
use crate::store::{BatchRow, Reader, RunPlugin, RunRow};

/// Version of the JSON that the commands which read a store print.
pub const SCHEMA: u32 = 1;
/// Batches fetched at a time; a longer list is printed as several tables.
const PAGE: usize = 1000;

/// List and show runs
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
    /// With `--output json` one document, which has the batches too.
    ///
    /// Example: atlas-host runs show 3 --batches
    Show(ShowArgs),
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
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// A run, for programs.
#[derive(Debug, Serialize)]
pub struct RunView<'a> {
    schema: u32,
    run: u64,
    uuid: &'a str,
    job: &'a str,
    status: RunStatus,
    collection: &'a str,
    started_ms: i64,
    ended_ms: Option<i64>,
    duration_ms: Option<u64>,
    items_per_s: Option<f64>,
    #[serde(flatten)]
    counts: Counts,
    blank_lines: u64,
    batches_committed: u64,
    next_ordinal: u64,
    executions: u64,
    atomic: &'a str,
    seed: u64,
    clock_ms: i64,
    error: Value,
}

impl<'a> RunView<'a> {
    /// `held` is true while a process holds the store.
    pub fn of(run: &'a RunRow, held: bool) -> Self {
        Self {
            schema: SCHEMA,
            run: run.run.0,
            uuid: &run.uuid,
            job: &run.job,
            status: status_of(run, held),
            collection: run.collection.as_str(),
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            duration_ms: lasted_ms(run, held),
            items_per_s: items_per_s(run, held),
            counts: run.counts,
            blank_lines: run.blank_lines,
            batches_committed: run.batches,
            next_ordinal: run.next,
            executions: run.epoch,
            atomic: &run.atomic,
            seed: run.seed,
            clock_ms: run.clock_ms,
            error: run.error_json.as_deref().map_or(Value::Null, json),
        }
    }
}

/// A batch, for programs.
#[derive(Debug, Serialize)]
pub struct BatchView {
    id: i64,
    batch: u64,
    first_ordinal: u64,
    #[serde(flatten)]
    counts: Counts,
    blank_lines: u64,
    execution: u64,
    input_digest: String,
    written_ms: i64,
    metrics: Option<BatchMetrics>,
}

impl BatchView {
    /// The same, in plain types.
    pub fn of(batch: &BatchRow) -> Self {
        Self {
            id: batch.id,
            batch: batch.number.0,
            first_ordinal: batch.first_ordinal,
            counts: batch.counts,
            blank_lines: batch.blank_lines,
            execution: batch.epoch,
            input_digest: batch.input_digest.to_string(),
            written_ms: batch.written_ms,
            metrics: batch.metrics,
        }
    }
}

/// A plugin of a run, for programs.
#[derive(Debug, Serialize)]
pub struct PluginView<'a> {
    slot: &'a str,
    role: &'a str,
    name: &'a str,
    digest: Option<String>,
    from_batch: u64,
}

impl<'a> PluginView<'a> {
    /// The same, in plain types.
    pub fn of(plugin: &'a RunPlugin) -> Self {
        Self {
            slot: &plugin.slot,
            role: &plugin.role,
            name: &plugin.name,
            digest: plugin.digest.map(|digest| digest.to_string()),
            from_batch: plugin.from_batch.0,
        }
    }
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
}

/// Exit code 0.
pub fn run(args: RunsArgs, printer: &mut Printer) -> Result<u8> {
    match args.verb {
        Verb::List(args) => list(&args, printer),
        Verb::Show(args) => show(&args, printer),
    }?;
    Ok(0)
}

/// True while a process holds the right to write to this store.
///
/// Asked of the lock itself, shared and for an instant; nothing is created.
pub fn held(store: &Path) -> bool {
    let mut lock = store.as_os_str().to_owned();
    lock.push(".lock");
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A run's status in words.
pub fn status(run: &RunRow, held: bool) -> &'static str {
    status_of(run, held).as_str()
}

/// Paths of a run's inputs.
pub fn inputs(run: &RunRow) -> Vec<String> {
    let paths = |inputs: Vec<Value>| inputs.iter().filter_map(|i| i["path"].as_str().map(str::to_owned)).collect();
    serde_json::from_str(&run.inputs_json).map_or_else(|_| vec![run.inputs_json.clone()], paths)
}

/// A plugin on one line.
pub fn plugin_line(plugin: &RunPlugin) -> String {
    let digest = plugin.digest.map_or("no digest".to_owned(), |digest| digest.to_string());
    let from = match plugin.from_batch {
        BatchNumber(0) => String::new(),
        batch => format!(", from batch {batch} on"),
    };
    format!("{}: {} {} ({digest}){from}", plugin.slot, plugin.role, plugin.name)
}

/// A run that nobody works on any more was interrupted, whatever its row says.
fn status_of(run: &RunRow, held: bool) -> RunStatus {
    if run.status == RunStatus::Running && !held { RunStatus::Interrupted } else { run.status }
}

fn lasted_ms(run: &RunRow, held: bool) -> Option<u64> {
    match status_of(run, held) {
        // Its own measure comes at the end. One that was continued does not say when.
        RunStatus::Running if run.epoch == 1 => u64::try_from(now_ms() - run.started_ms).ok(),
        _ => run.duration_ms,
    }
}

/// None where it is not known: too short, or counts and duration are of different executions.
fn items_per_s(run: &RunRow, held: bool) -> Option<f64> {
    let ms = lasted_ms(run, held).filter(|ms| *ms > 0 && run.epoch == 1)?;
    Some((run.counts.read as f64 * 10_000.0 / ms as f64).round() / 10.0)
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
            "run", "status", "started", "duration", "items", "stored", "rejected", "dead-lettered", "dropped", "items/s", "collection",
        ];
        printer.line(&table(&headers, runs.iter().map(|run| row(run, held)).collect()))?;
    }
    if more {
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
        return document(&reader, &run, held, &plugins, printer);
    }
    printer.line(&about(&run, held, &plugins))?;
    if args.batches {
        each_page(&reader, run.run, printer, |page, printer| {
            printer.line("")?;
            printer.line(&batches(page))
        })?;
    }
    Ok(())
}

fn found(reader: &Reader, wanted: Option<u64>) -> Result<RunRow> {
    let newest = reader.runs(1)?.pop();
    match wanted {
        None => newest.ok_or_else(|| {
            Error::new(Code::ConfigInvalid, format!("store {} has no run yet", reader.path().display()))
                .hint("`atlas-host run` makes one")
        }),
        Some(number) => reader.run(RunNumber(number))?.ok_or_else(|| {
            Error::new(Code::ConfigInvalid, format!("there is no run {number} in store {}", reader.path().display())).hint(
                newest.map_or("it has no run yet".to_owned(), |run| format!("the newest is {}; see `atlas-host runs list`", run.run)),
            )
        }),
    }
}

fn about(run: &RunRow, held: bool, plugins: &[RunPlugin]) -> String {
    let counts = &run.counts;
    let status = match status(run, held) {
        shown if shown == run.status.as_str() => shown.to_owned(),
        shown => format!("{shown} (its process is gone; the same command continues)"),
    };
    let error = run.error_json.as_deref().map(json).map_or(String::new(), |error| {
        match (error["code"].as_str(), error["message"].as_str(), error["hint"].as_str()) {
            (Some(code), Some(message), hint) => format!("{code}: {message}\nhint: {}", hint.unwrap_or("-")),
            _ => error.to_string(),
        }
    });
    let lines = |pairs: Vec<(String, String)>| pairs.iter().map(|(k, v)| format!("{k} = {v}")).collect::<Vec<_>>().join("\n");
    let plugins: Vec<String> = plugins.iter().map(plugin_line).collect();
    fields(&[
        ("run", format!("{} ({})", run.run, run.uuid)),
        ("status", status),
        ("error", error),
        ("started", time(run.started_ms)),
        ("ended", run.ended_ms.map_or(String::new(), time)),
        ("duration", lasted_ms(run, held).map_or(String::new(), duration)),
        ("executions", if run.epoch > 1 { format!("{}; duration is that of the last", run.epoch) } else { String::new() }),
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
        ("atomic", run.atomic.clone()),
        ("inputs", inputs(run).join("\n")),
        ("plugins", plugins.join("\n")),
        ("seed", run.seed.to_string()),
        ("clock", time(run.clock_ms)),
        ("identity", lines(run.identity.clone())),
        ("settings", lines(flat(&json(&run.settings_json)))),
    ])
}

/// Members of an object as pairs; texts without their quotes.
fn flat(settings: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match settings {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        Value::Null => Vec::new(),
        other => vec![("all".to_owned(), other.to_string())],
    }
}

fn batches(page: &[BatchRow]) -> String {
    let headers = [
        "batch", "from", "items", "stored", "refused", "dropped", "size", "lanes", "calls", "read ms", "compute ms", "wait ms", "write ms",
        "commit ms", "p50 µs", "p99 µs",
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
    table(&headers, rows.collect())
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
fn document(reader: &Reader, run: &RunRow, held: bool, plugins: &[RunPlugin], printer: &mut Printer) -> Result<()> {
    let document = RunDocument {
        run: RunView::of(run, held),
        inputs: json(&run.inputs_json),
        plugins: plugins.iter().map(PluginView::of).collect(),
        identity: &run.identity,
        settings: json(&run.settings_json),
    };
    let unwritable = |e: serde_json::Error| Error::new(Code::Internal, format!("a result cannot be written as JSON: {e}"));
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

/// What the store keeps as JSON; as a text where it is none.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    fn row(status: RunStatus, epoch: u64) -> RunRow {
        RunRow {
            run: RunNumber(1),
            uuid: String::new(),
            job: String::new(),
            status,
            collection: Name::parse("items").unwrap(),
            started_ms: 0,
            ended_ms: Some(2000),
            duration_ms: Some(2000),
            seed: 0,
            clock_ms: 0,
            settings_json: "{}".to_owned(),
            identity: Vec::new(),
            inputs_json: r#"[{"path":"/a"},{"path":"-"}]"#.to_owned(),
            atomic: "batch".to_owned(),
            counts: Counts { read: 1000, stored: 1000, ..Counts::default() },
            blank_lines: 0,
            batches: 1,
            error_json: None,
            next: 1000,
            epoch,
        }
    }

    #[test]
    fn a_run_that_nobody_holds_is_not_running() {
        let running = row(RunStatus::Running, 1);
        assert_eq!([status(&running, true), status(&running, false)], ["running", "interrupted"]);
        let partial = row(RunStatus::Partial, 1);
        assert_eq!([status(&partial, true), status(&partial, false)], ["partial", "partial"]);
    }

    #[test]
    fn the_rate_is_left_out_where_the_duration_is_of_a_part_only() {
        assert_eq!(items_per_s(&row(RunStatus::Succeeded, 1), false), Some(500.0));
        assert_eq!(items_per_s(&row(RunStatus::Succeeded, 2), false), None);
    }

    #[test]
    fn a_store_is_held_while_its_lock_is_and_asking_creates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("atlas.db");
        assert!(!held(&store));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let lock = File::create(folder.path().join("atlas.db.lock")).unwrap();
        assert!(!held(&store));
        lock.lock().unwrap();
        assert!(held(&store));
        lock.unlock().unwrap();
        assert!(!held(&store));
    }

    #[test]
    fn inputs_are_told_by_their_paths() {
        assert_eq!(inputs(&row(RunStatus::Succeeded, 1)), ["/a", "-"]);
    }
}
