//! `recommend`: what the history of a store suggests for the next run.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::common::{OutputArg, StoreArg};
use super::history::{Chain, past_runs};
use super::job_args::name;
use super::plan::cores;
use super::print::{Printer, table};
use super::runs::SCHEMA;
use super::spec::counted;
use crate::error::Result;
use crate::model::{Name, printable};
use crate::monitor::{Recommendation, Recommendations, recommend, words};
use crate::store::Reader;

const EXAMPLES: &str = "\
Examples:
  atlas-host recommend --store tickets.db
  atlas-host run --input tickets.ndjson --store tickets.db --recommended";

/// Recommend batch size, lanes and attempts from earlier runs
///
/// Looked at are the last 20 runs of the same plugins into the same collection: those of the newest run, or with --into
/// of the newest into that collection. Nothing is changed; `run --recommended` uses what is recommended.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RecommendArgs {
    /// Collection whose runs count; that of the newest run if left out
    #[arg(long, value_name = "COLLECTION", value_parser = name)]
    into: Option<Name>,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    /// None where there is no run.
    collection: Option<&'a str>,
    plugins: Vec<String>,
    #[serde(flatten)]
    found: &'a Recommendations,
}

/// Exit code 0.
pub fn run(args: RecommendArgs, printer: &mut Printer) -> Result<u8> {
    let mut reader = Reader::open(&args.store.store)?;
    let runs = reader.runs(crate::limits::RECOMMEND_LOOKED_AT_MAX)?;
    let newest = runs.into_iter().find(|run| args.into.as_ref().is_none_or(|into| *into == run.collection));
    let (history, plugins) = match &newest {
        None => (Vec::new(), Vec::new()),
        Some(run) => {
            let chain = Chain::of_run(&reader, run.run)?;
            (past_runs(&mut reader, &run.collection, &chain)?, reader.last_chain(run.run)?)
        }
    };
    let found = recommend(&history, cores());
    let collection = newest.as_ref().map(|run| &run.collection).or(args.into.as_ref());
    let file =
        |name: &str| Path::new(name).file_name().map_or(name.to_owned(), |file| file.to_string_lossy().into_owned());
    let plugins: Vec<String> = plugins.iter().map(|used| file(&used.name)).collect();
    if args.output.json() {
        let collection = collection.map(Name::as_str);
        printer.json(&Document { schema: SCHEMA, collection, plugins, found: &found })?;
        return Ok(0);
    }
    printer.line(&headline(&found, collection, &plugins))?;
    for one in found.all() {
        printer.line(&format!(
            "\n--{} {}{}",
            one.setting,
            one.value,
            if one.default { " (the default)" } else { "" }
        ))?;
        printer.line(&format!("  {}", one.reason))?;
        print_evidence(one, printer)?;
    }
    if let Some(times) = &found.item_times {
        let of = |ns| words::duration(Duration::from_nanos(ns));
        printer.line(&format!(
            "\nIn plugins an item took {} (p50), {} (p95), {} (p99), {} at the most: {} in {}.",
            of(times.p50_ns),
            of(times.p95_ns),
            of(times.p99_ns),
            of(times.max_ns),
            words::counted(times.items, "item"),
            words::counted(times.runs, "run"),
        ))?;
    }
    Ok(0)
}

fn headline(found: &Recommendations, collection: Option<&Name>, plugins: &[String]) -> String {
    let plugins = match plugins {
        [] => "no plugin".to_owned(),
        names => names.iter().map(|name| printable(name).into_owned()).collect::<Vec<_>>().join(", "),
    };
    match (found.runs.as_slice(), collection) {
        ([], _) | (_, None) => "No earlier run to learn from.".to_owned(),
        (runs, Some(collection)) => {
            let numbers: Vec<String> = runs.iter().map(u64::to_string).collect();
            let word = if runs.len() == 1 { "run" } else { "runs" };
            let of = counted(runs.len() as u64, "run");
            format!("From {of} into {collection} with {plugins}: {word} {}.", numbers.join(", "))
        }
    }
}

fn print_evidence(one: &Recommendation, printer: &mut Printer) -> Result<()> {
    if one.evidence.is_empty() {
        return Ok(());
    }
    let rows = one.evidence.iter().map(|figure| {
        vec![String::new(), figure.what.clone(), format!("{} {}", figure.value, figure.unit).trim_end().to_owned()]
    });
    // The first line of a table is its headers.
    let text = table(&["", "", ""], rows.collect());
    text.lines().skip(1).try_for_each(|line| printer.line(line))
}
