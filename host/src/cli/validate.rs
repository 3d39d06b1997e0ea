//! `validate`: plugins, settings and a sample of the input, without writing anything.

use clap::Args;

use super::Layers;
use super::inert;
use super::job_args::JobArgs;
use super::locations::Tags;
use super::plan;
use super::print::{Printer, table};
use crate::coordinator::{Filling, Input, Job, RunReport, SlotSpec};
use crate::error::Result;
use crate::model::printable;
use crate::monitor::{MonitorSetup, Summary, Watched, monitors};
use crate::processor::ProcessorKind;

/// Check plugins, settings and input without writing anything
///
/// Loads and starts every plugin, opens every input, and runs the first items through validators and operation in a dry
/// run. Prints the plan in words. Exit code 0 if all of the sample would be stored, 3 if some would be refused.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Items to try
    #[arg(long, value_name = "N", default_value = "1000", help_heading = "Input")]
    pub sample: u64,
}

/// Runs the sample and prints the plan.
pub fn run(args: ValidateArgs, layers: &Layers, printer: &mut Printer) -> Result<u8> {
    let host = plan::host(&args.job, layers)?;
    let mut job = plan::job(&args.job, layers, &host, Tags::Look)?;
    inert::of_input(layers, &job);
    let plan = described(&job, &args);
    let sample = job.limit.map_or(args.sample, |limit| limit.min(args.sample));
    job.limit = Some(sample);
    job.dry_run = job.processor == ProcessorKind::Storage;
    job.again = true;
    let summary = Watched::from(Summary::default());
    job.monitors = monitors(MonitorSetup { summary: summary.clone(), ..MonitorSetup::default() });
    let report = match job.processor {
        ProcessorKind::Index => None,
        _ => Some(host.run(job).map_err(|failure| failure.error)?),
    };
    if args.job.output.json() {
        printer.json(&serde_json::json!({ "schema": 1, "plan": plan, "sample": report }))?;
    } else {
        let rows = plan.into_iter().map(|(key, value)| vec![key, value]).collect();
        printer.line(&table(&["setting", "value"], rows))?;
        if let Some(report) = &report {
            verdict(report, &summary, printer)?;
        }
    }
    Ok(report.map_or(0, |report| report.exit()))
}

fn verdict(report: &RunReport, summary: &Watched<Summary>, printer: &mut Printer) -> Result<()> {
    let counts = &report.counts;
    printer.line(&format!(
        "\nOf the first {} items {} would be stored, {} dropped, {} rejected, {} dead-lettered.",
        counts.read, counts.stored, counts.dropped, counts.rejected, counts.dead_lettered
    ))?;
    for problem in summary.read(Summary::summary).problems {
        let (code, message) = (printable(&problem.code), printable(&problem.message));
        printer.line(&format!("  {} × {code}: {message}", problem.items))?;
    }
    Ok(())
}

fn described(job: &Job, args: &ValidateArgs) -> Vec<(String, String)> {
    let mut plan = Vec::new();
    let mut add = |key: &str, value: String| plan.push((key.to_owned(), value));
    if let Input::Files(files) = &job.input {
        let names: Vec<String> = files.iter().map(|file| file.name().clone()).collect();
        add("input", names.join(", "));
    }
    add("id", job.id.as_ref().map_or_else(|| "position in the input".to_owned(), |id| format!("at {id}")));
    for slot in &job.validators {
        add("validator", slot_text(slot, &args.job));
    }
    for slot in &job.operations {
        add("operation", slot_text(slot, &args.job));
    }
    add("store", job.store.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string()));
    add("collection", job.collection.to_string());
    for index in &job.indexes {
        let kind = if index.unique { "unique index" } else { "index" };
        add(kind, format!("{} over {}", index.name, index.pointer));
    }
    add("existing ids", format!("{:?}", job.on_existing).to_lowercase());
    add("strategy", job.strategy.clone());
    let size = job.bounds.batch_size;
    add("batch size", format!("{} to {} items, {} bytes at the most", size.min(), size.max(), job.batch_bytes));
    add("lanes", format!("{} to {}", job.bounds.lanes.min(), job.bounds.lanes.max()));
    add(
        "limits",
        format!("{} bytes of memory and {} ms per plugin call", args.job.memory, args.job.deadline.as_millis()),
    );
    add("attempts", job.attempts.to_string());
    add("kept whole", format!("each {}", job.atomic.as_str()));
    plan
}

fn slot_text(slot: &SlotSpec, args: &JobArgs) -> String {
    let what = match &slot.filling {
        Filling::Component(plugin) => format!("{} ({})", plugin.file(), plugin.digest().short()),
        Filling::Operation(_) | Filling::Validator(_) => "native".to_owned(),
    };
    let grants = slot.grants.describe();
    let granted = if grants.is_empty() { "nothing granted".to_owned() } else { grants.join(", ") };
    let mut text = format!("{} = {what}, {granted}", slot.name);
    if let Some(bytes) = slot.memory_bytes.filter(|bytes| *bytes != args.memory) {
        text.push_str(&format!(", {bytes} bytes of memory"));
    }
    if let Some(deadline) = slot.deadline {
        text.push_str(&format!(", {} ms per call", deadline.as_millis()));
    }
    text
}
