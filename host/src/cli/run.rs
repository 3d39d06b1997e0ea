//! `run`: the main job.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::job_args::{DurabilityArg, JobArgs};
use super::print::{self, Printer};
use super::signals::Watch;
use super::{EXIT_CODES, Layers, Talk, plan, recommended, reload};
use crate::coordinator::{Host, IndexReport, IndexState, Job, RunFailure, RunReport, keep_indexes};
use crate::error::{Code, Error, Result};
use crate::model::{RunStatus, printable};
use crate::monitor::{EventsFile, MetricsFile, MetricsServer, MonitorSetup, ProgressMode, Summary, Watched, monitors};
use crate::processor::ProcessorKind;

const EXAMPLES: &str = "\
Examples:
  atlas-host run --input tickets.ndjson --id id
  atlas-host run -i tickets.ndjson.gz --id id --validator rules.wasm --plugin tidy.wasm --index status
  zcat big.csv.gz | atlas-host run --input - --format csv --id key --store big.db --into rows
  atlas-host run --input tickets.ndjson --plugin tidy.wasm --processor memory > tidied.ndjson";

/// Names of indexes told in one line.
const NAMES_TOLD: usize = 5;
/// Columns of the summary where no terminal bounds them: messages stay whole in logs.
const WIDTH_OFF_TERMINAL: u16 = 200;

/// Run plugins over items and store the results
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct RunArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Do everything for real, then undo it, and tell what would have changed
    #[arg(long, env = "ATLAS_DRY_RUN", value_parser = BoolishValueParser::new(), help_heading = "Store")]
    pub dry_run: bool,
    /// Process anew what is complete, or begin anew what was interrupted
    #[arg(long, env = "ATLAS_AGAIN", value_parser = BoolishValueParser::new(), help_heading = "Store")]
    pub again: bool,
    /// Continue a run although plugins or settings have changed since it began
    #[arg(long, env = "ATLAS_ACCEPT_CHANGE", value_parser = BoolishValueParser::new(), help_heading = "Store")]
    pub accept_change: bool,
    /// Begin with what `recommend` finds in the store, where neither a flag nor a setting says otherwise
    #[arg(long, env = "ATLAS_RECOMMENDED", value_parser = BoolishValueParser::new(), help_heading = "Batches")]
    pub recommended: bool,
}

/// Runs the job; the exit code tells how it ended.
pub fn run(mut args: RunArgs, mut layers: Layers, talk: Talk, printer: &mut Printer) -> Result<u8> {
    let advice = args.recommended.then(|| recommended::apply(&mut args.job, &mut layers)).transpose()?;
    let host = plan::host(&args.job)?;
    let mut job = plan::job(&args.job, &layers, &host)?;
    if let Some(advice) = advice {
        advice.tell(&mut job);
    }
    job.dry_run = args.dry_run;
    job.again = args.again;
    job.accept_change = args.accept_change;
    if args.job.durability == DurabilityArg::Normal && !talk.quiet {
        print::talk("Durability is normal: a power cut may take the last batches that were acknowledged.");
    }
    perform(&host, job, &args.job, &layers, talk, printer)
}

/// Runs a job with the monitors that the flags ask for, and prints how it ended.
pub fn perform(
    host: &Host,
    mut job: Job,
    args: &JobArgs,
    layers: &Layers,
    talk: Talk,
    printer: &mut Printer,
) -> Result<u8> {
    if job.processor == ProcessorKind::Index {
        return perform_indexes(&job, args, talk, printer);
    }
    let events_on_stdout = args.events.as_deref() == Some(Path::new("-"));
    let results_on_stdout = job.processor == ProcessorKind::Memory;
    if [events_on_stdout, results_on_stdout, args.output.json()].iter().filter(|wanted| **wanted).count() > 1 {
        return Err(Error::new(
            Code::ConfigInvalid,
            "standard output is asked for twice: by results (--processor memory), --events -, or --output json",
        )
        .hint("write events to a file: --events FILE"));
    }
    if results_on_stdout {
        job.output = Some(results());
    }
    let summary = Watched::from(Summary::default());
    let events = match &args.events {
        None => None,
        Some(_) if events_on_stdout => Some(EventsFile::to("stdout".to_owned(), Box::new(io::stdout()))),
        Some(path) => Some(EventsFile::create(path)?),
    };
    let metrics_file = args.metrics_file.as_deref().map(MetricsFile::create).transpose()?;
    let metrics_server = args.metrics_listen.map(MetricsServer::listen).transpose()?;
    if let Some(server) = &metrics_server {
        // A port that the system chose is known to nobody else, so that a quiet run tells it too.
        print::talk(&format!("Metrics are served at http://{}/metrics while the run goes on.", server.address()));
    }
    let progress = match (talk.quiet, io::stderr().is_terminal()) {
        (true, _) => ProgressMode::Quiet,
        (false, true) => ProgressMode::Bar,
        (false, false) => ProgressMode::Lines,
    };
    job.monitors = monitors(MonitorSetup {
        progress,
        talk: Some(Box::new(io::stderr())),
        events,
        metrics_file,
        metrics_server,
        on_alert: args.on_alert.clone(),
        summary: summary.clone(),
        ..MonitorSetup::default()
    });
    job.inbox = true;
    job.live = reload::watch(layers, plan::default_lanes());
    let watch = Watch::start(job.control.clone());
    let ended = host.run(job);
    let (report, error) = match ended {
        Ok(report) => (Some(report), None),
        Err(RunFailure { report, error }) => (report.map(|report| *report), Some(error)),
    };
    if let Some(report) = &report {
        match &report.error {
            _ if !talk.quiet => tell(report, &summary, error.is_some()),
            // A stop is told even by a quiet run; what `error` holds is told by the caller.
            Some(stop) if error.is_none() => print::stop(stop),
            _ => {}
        }
        if args.output.json() {
            printer.json(report)?;
        }
    }
    match (error, report) {
        (Some(error), _) => Err(error),
        (None, Some(report)) if stopped(&report) => Ok(watch.exit().unwrap_or_else(|| report.exit())),
        (None, Some(report)) => Ok(report.exit()),
        (None, None) => Ok(0),
    }
}

/// True if the run ended before its input did, and no error is why.
fn stopped(report: &RunReport) -> bool {
    matches!(report.status, RunStatus::Interrupted | RunStatus::RolledBack) && report.error.is_none()
}

/// `error_follows`: the summary leaves out the error, which is told in full after it.
fn tell(report: &RunReport, summary: &Watched<Summary>, error_follows: bool) {
    if report.already_complete {
        let number = report.run;
        print::talk(&format!(
            "Already complete: run {number} has processed this input ({} read, {} stored, {} rejected, {} dead-lettered, {} dropped).",
            report.counts.read,
            report.counts.stored,
            report.counts.rejected,
            report.counts.dead_lettered,
            report.counts.dropped
        ));
        print::talk("Nothing was changed. Use --again to process it anew.");
        return;
    }
    let width = print::stderr_width().unwrap_or(WIDTH_OFF_TERMINAL);
    let mut ended = summary.read(Summary::summary);
    if error_follows {
        ended.error = None;
    }
    print::talk(ended.text(usize::from(width)).trim_end());
}

/// The index processor reads no items and emits no events.
fn perform_indexes(job: &Job, args: &JobArgs, talk: Talk, printer: &mut Printer) -> Result<u8> {
    if job.dead_letters.is_some() {
        let message = "--processor index reads no items, so it can try no dead letter again";
        return Err(Error::new(Code::ConfigInvalid, message).hint("leave --processor out"));
    }
    let report = keep_indexes(job)?;
    if !talk.quiet {
        tell_indexes(&report);
    }
    if args.output.json() {
        printer.json(&report)?;
    }
    Ok(report.run.exit())
}

fn tell_indexes(report: &IndexReport) {
    let store = printable(report.run.store.as_deref().unwrap_or_default());
    if report.indexes.is_empty() {
        print::talk(&format!("{store} has no index, so that nothing was verified."));
        return;
    }
    let of = |state| report.indexes.iter().filter(move |index| index.state == state);
    let named = |state| {
        let mut names: Vec<String> =
            of(state).take(NAMES_TOLD).map(|index| format!("{}:{}", index.collection, index.name)).collect();
        if of(state).count() > NAMES_TOLD {
            names.push("…".to_owned());
        }
        names.join(", ")
    };
    let mut parts = vec![format!("{} verified", of(IndexState::Verified).count())];
    match of(IndexState::Added).count() {
        0 => {}
        added => parts.push(format!("{added} added ({})", named(IndexState::Added))),
    }
    parts.push(match of(IndexState::Rebuilt).count() {
        0 => "none built anew".to_owned(),
        rebuilt => format!("{rebuilt} built anew ({})", named(IndexState::Rebuilt)),
    });
    let parts = parts.join(", ");
    print::talk(&match report.run.dry_run {
        true => format!("Dry run, nothing was changed: every index of {store} would agree with its rows: {parts}."),
        false => format!("Every index of {store} agrees with its rows: {parts}."),
    });
}

/// Bodies as NDJSON: one line each, in input order. A closed stdout ends the writing, not the run.
fn results() -> crate::processor::Output {
    let mut out = Some(io::BufWriter::with_capacity(64 << 10, io::stdout()));
    Box::new(move |_, _, body| {
        let Some(writer) = &mut out else { return Ok(()) };
        // Searching slices for a byte is fast, for a character it is not.
        let one_line = !body.as_bytes().contains(&b'\n') && !body.as_bytes().contains(&b'\r');
        let result = match one_line {
            true => writer.write_all(body.as_bytes()),
            false => writer.write_all(body.replace(['\n', '\r'], " ").as_bytes()),
        };
        match result.and_then(|()| writer.write_all(b"\n")) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                out = None;
                Ok(())
            }
            result => result,
        }
    })
}
