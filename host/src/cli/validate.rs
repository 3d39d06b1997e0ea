//! `validate`: plugins, settings, a sample of the input and what a run would stand in, without writing anything.

use std::path::Path;

use clap::Args;

use super::Layers;
use super::job_args::{FurtherInputs, JobArgs};
use super::locations::Tags;
use super::print::{self, Printer, table};
use super::{inert, plan, stored, watch_input};
use crate::coordinator::{Filling, Host, Input, Job, RunReport, SlotSpec};
use crate::error::{Error, Result};
use crate::model::printable;
use crate::monitor::{MonitorSetup, Sample, Sensor, Summary, SystemSensor, Watched, monitors, reasons, words};
use crate::processor::ProcessorKind;
use crate::source::{self, ListSource, ReadOptions};
use crate::store::{flaw_of_file_system, library_version};

/// Check plugins, settings and input without writing anything
///
/// Loads and starts every plugin, and tells what is wrong with each; opens every input, and runs the first items through
/// validators and operation in a dry run. Prints the plan in words, with the space that is left for the store and what its file
/// system cannot keep. Of a file that is followed, and of a folder, what is there now is tried. Events, metrics and alerts go
/// nowhere. Exit code 0 if all of the sample would be stored, 3 if some would be refused.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    #[command(flatten)]
    pub job: JobArgs,
    #[command(flatten)]
    pub further: FurtherInputs,
    /// Items to try
    #[arg(long, value_name = "N", default_value = "1000", help_heading = "Input")]
    pub sample: u64,
}

/// Runs the sample and prints the plan.
pub fn run(mut args: ValidateArgs, layers: &Layers, printer: &mut Printer) -> Result<u8> {
    let host = plan::host(&args.job, layers)?;
    let mut job = job(&mut args, layers, &host)?;
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

/// The job of a run with these flags, which reads what is there now.
fn job(args: &mut ValidateArgs, layers: &Layers, host: &Host) -> Result<Job> {
    let folder = args.further.watch_input.clone();
    match &folder {
        Some(folder) => args.job.input = files_of(folder, args)?,
        None => args.further.add_to(&mut args.job)?,
    }
    let mut job = plan::without_plugins(&args.job, layers)?;
    fill(args, layers, host, &mut job)?;
    if let Some(collection) = &args.further.from {
        job.input = stored::input(&args.job.store.store, collection)?;
    } else if let Some(folder) = folder.filter(|_| args.job.input == ["-"]) {
        let nothing = ListSource::new(folder.display().to_string(), std::iter::empty());
        job.input = Input::Source { source: Box::new(nothing), resumable: None };
    }
    if let (Input::Files(files), true) = (&job.input, args.further.follow.is_some()) {
        // Looked at as a run does, which would wait at its end.
        source::open(files.clone(), &ReadOptions { follow: true, ..job.read.clone() })?;
    }
    if args.further.watch_input.is_none() {
        inert::of_input(layers, &job);
    }
    Ok(job)
}

/// What a run would read of a folder now; standard input, which is left alone, stands for nothing.
fn files_of(folder: &Path, args: &ValidateArgs) -> Result<Vec<String>> {
    watch_input::check(folder, &args.job, &args.further)?;
    let files = watch_input::there(folder, args.job.format.is_some())?;
    let files: Vec<String> = files.into_iter().map(|file| file.display().to_string()).collect();
    Ok(if files.is_empty() { vec!["-".to_owned()] } else { files })
}

/// Fills the slots, and starts each plugin.
///
/// Errors: what is wrong with the last of those that are no good; of the others it is told here.
fn fill(args: &ValidateArgs, layers: &Layers, host: &Host, job: &mut Job) -> Result<()> {
    let mut faults: Vec<Error> = Vec::new();
    let gather = |fault| {
        faults.push(fault);
        Ok(())
    };
    plan::fill(&args.job, layers, host, Tags::Look, job, gather)?;
    faults.extend(host.faults(job));
    // A grant that cannot be given to any slot is wrong for each.
    faults.dedup_by_key(|fault| fault.to_string());
    let Some(last) = faults.pop() else { return Ok(()) };
    faults.iter().for_each(print::error);
    Err(last)
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
    match &job.input {
        Input::Files(files) => add("input", files.iter().map(|file| file.name()).collect::<Vec<_>>().join(", ")),
        Input::Source { source, .. } => add("input", source.names().join(", ")),
    }
    add("id", job.id.as_ref().map_or_else(|| "position in the input".to_owned(), |id| format!("at {id}")));
    for slot in &job.validators {
        add("validator", slot_text(slot, &args.job));
    }
    for slot in &job.operations {
        add("operation", slot_text(slot, &args.job));
    }
    add("store", job.store.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string()));
    if let Some(store) = &job.store {
        surroundings(store, job, &mut add);
    }
    add("collection", job.collection.to_string());
    for index in &job.indexes {
        let kind = if index.unique { "unique index" } else { "index" };
        add(kind, format!("{} over {}", index.name, index.pointer));
    }
    add("existing ids", format!("{:?}", job.on_existing).to_lowercase());
    add("strategy", job.strategy.clone());
    let size = job.bounds.batch_size;
    let most = words::bytes(job.batch_bytes as u64);
    add("batch size", format!("{} to {} items, {most} at the most", size.min(), size.max()));
    add("lanes", format!("{} to {}", job.bounds.lanes.min(), job.bounds.lanes.max()));
    add(
        "limits",
        format!(
            "{} of memory and {} per plugin call",
            words::bytes(args.job.memory as u64),
            words::duration(args.job.deadline)
        ),
    );
    add("attempts", job.attempts.to_string());
    add("kept whole", format!("each {}", job.atomic.as_str()));
    plan
}

/// What lies below a store, and what is wrong with it.
fn surroundings(store: &Path, job: &Job, add: &mut impl FnMut(&str, String)) {
    let disk_free_bytes = SystemSensor::of_store(store).sample().disk_free_bytes;
    let sample = Sample { disk_free_bytes, ..Sample::default() };
    let short = reasons(sample, 0.0, None, &job.thresholds).pop().map(|reason| reason.message);
    let space = short.or_else(|| Some(format!("{} left", words::bytes(disk_free_bytes?))));
    if let Some(space) = space {
        add("space", space);
    }
    if let Some(flaw) = flaw_of_file_system(store) {
        add("file system", flaw.to_owned());
    }
    add("SQLite", library_version().to_owned());
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
        text.push_str(&format!(", {} of memory", words::bytes(bytes as u64)));
    }
    if let Some(deadline) = slot.deadline {
        text.push_str(&format!(", {} per call", words::duration(deadline)));
    }
    text
}
