//! `plugins list`.

use clap::Args;
use serde_json::json;

use crate::cli::common::{OutputArg, StoreArg};
use crate::cli::print::{Printer, talk};
use crate::cli::runs::SCHEMA;
use crate::cli::spec::{print_table, time};
use crate::error::Result;
use crate::store::{KeptPlugin, Reader};

#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Exit code 0.
pub fn run(args: &ListArgs, printer: &mut Printer) -> Result<u8> {
    let plugins = Reader::open(&args.store.store)?.kept_plugins()?;
    if plugins.is_empty() {
        talk("no run of this store has used a plugin");
    } else if args.output.json() {
        for plugin in &plugins {
            printer.json(&document(plugin))?;
        }
    } else {
        let headers = ["digest", "slots", "in force", "bytes", "runs", "last run", "first seen", "file"];
        print_table(printer, &headers, plugins.iter().map(row).collect(), &["first seen", "runs", "bytes", "file"])?;
    }
    Ok(0)
}

/// One plugin as JSON.
pub fn document(plugin: &KeptPlugin) -> serde_json::Value {
    json!({
        "schema": SCHEMA,
        "digest": plugin.digest.to_string(),
        "name": plugin.name,
        "bytes": plugin.bytes,
        "first_seen_ms": plugin.first_seen_ms,
        "slots": plugin.slots,
        "in_force": plugin.in_force,
        "runs": plugin.runs,
        "last_run": plugin.last_run.map(|run| run.0),
    })
}

fn row(plugin: &KeptPlugin) -> Vec<String> {
    vec![
        plugin.digest.short(),
        plugin.slots.join(", "),
        if plugin.in_force.is_empty() { "–".to_owned() } else { plugin.in_force.join(", ") },
        plugin.bytes.map_or("let go".to_owned(), |bytes| bytes.to_string()),
        plugin.runs.to_string(),
        plugin.last_run.map_or("–".to_owned(), |run| run.to_string()),
        time(plugin.first_seen_ms),
        plugin.name.clone(),
    ]
}
