//! `plugins history`.

use clap::Args;
use serde_json::{Value, json};

use super::slot;
use crate::cli::common::{OutputArg, StoreArg};
use crate::cli::print::{Printer, talk};
use crate::cli::runs::SCHEMA;
use crate::cli::spec::{print_table, time};
use crate::error::Result;
use crate::model::{Name, RunNumber};
use crate::store::{Reader, SwapEntry};

#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Only this slot
    #[arg(value_name = "SLOT", value_parser = slot)]
    slot: Option<Name>,
    /// Only this run
    #[arg(long, value_name = "RUN")]
    run: Option<u64>,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Exit code 0.
pub fn run(args: &HistoryArgs, printer: &mut Printer) -> Result<u8> {
    let entries = Reader::open(&args.store.store)?.swaps(args.run.map(RunNumber), args.slot.as_ref())?;
    if entries.is_empty() {
        talk("no plugin was exchanged, or was to be");
    } else if args.output.json() {
        for entry in &entries {
            printer.json(&document(entry))?;
        }
    } else {
        let headers = ["time", "run", "slot", "step", "plugin", "batch", "by", "reason"];
        print_table(printer, &headers, entries.iter().map(row).collect(), &["by", "time", "run"])?;
    }
    Ok(0)
}

fn document(entry: &SwapEntry) -> Value {
    let step = &entry.step;
    json!({
        "schema": SCHEMA,
        "run": entry.run.0,
        "slot": step.slot,
        "step": step.step,
        "ok": step.ok,
        "source": step.source,
        "name": step.name,
        "old_digest": step.old_digest.map(|digest| digest.to_string()),
        "new_digest": step.new_digest.to_string(),
        "batch": step.batch.map(|batch| batch.0),
        "at_ms": step.at_ms,
        "code": step.code,
        "reason": step.reason,
        "figures": step.figures_json.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()),
    })
}

fn row(entry: &SwapEntry) -> Vec<String> {
    let step = &entry.step;
    vec![
        time(step.at_ms),
        entry.run.to_string(),
        step.slot.clone(),
        step.step.clone(),
        step.new_digest.short(),
        step.batch.map_or("–".to_owned(), |batch| batch.to_string()),
        step.source.clone(),
        match &step.code {
            Some(code) => format!("{code}: {}", step.reason),
            None => step.reason.clone(),
        },
    ]
}
