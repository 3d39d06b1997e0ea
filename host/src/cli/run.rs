//! `run`: the main job.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::job_args::{DurabilityArg, JobArgs};
use super::print::{self, Printer};
use super::signals::Watch;
use super::{EXIT_CODES, Layers, Talk, plan};
use crate::coordinator::{Host, Job, RunFailure, RunReport};
use crate::error::{Code, Error, Result};
use crate::model::RunStatus;
use crate::monitor::{EventsFile, MonitorSetup, ProgressMode, Summary, Watched, monitors};
use crate::processor::ProcessorKind;

const EXAMPLES: &str = "\
Examples:
  atlas-host run --input tickets.ndjson --id id
  atlas-host run -i tickets.ndjson.gz --id id --validator rules.wasm --plugin tidy.wasm --index status
  zcat big.csv.gz | atlas-host run --input - --format csv --id key --store big.db --into rows
  atlas-host run --input tickets.ndjson --plugin tidy.wasm --processor memory > tidied.ndjson";

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
}

/// Runs the job; the exit code tells how it ended.
pub fn run(args: RunArgs, layers: &Layers, talk: Talk, printer: &mut Printer) -> Result<u8> {
    let host = plan::host(&args.job)?;
    let mut job = plan::job(&args.job, layers, &host)?;
    job.dry_run = args.dry_run;
    job.again = args.again;
    job.accept_change = args.accept_change;
    if args.job.durability == DurabilityArg::Normal && !talk.quiet {
        print::talk("Durability is normal: a power cut may take the last batches that were acknowledged.");
    }
    perform(&host, job, &args.job, talk, printer)
}

/// Runs a job with the monitors that the flags ask for, and prints how it ended.
pub fn perform(host: &Host, mut job: Job, args: &JobArgs, talk: Talk, printer: &mut Printer) -> Result<u8> {
    let events_on_stdout = args.events.as_deref() == Some(Path::new("-"));
    let results_on_stdout = job.processor == ProcessorKind::Memory;
    if [events_on_stdout, results_on_stdout, args.output.json()].iter().filter(|wanted| **wanted).count() > 1 {
        return Err(Error::new(
            Code::ConfigInvalid,
            "standard output is asked for twice: by results (--processor memory), --events -, or --output json",
        )
        .hint("write events to a file: --events FILE"));
    }
    let reads_items = job.processor != ProcessorKind::Index;
    if results_on_stdout {
        job.output = Some(results());
    }
    let summary = Watched::from(Summary::default());
    let events = match &args.events {
        None => None,
        Some(_) if events_on_stdout => Some(EventsFile::to("stdout".to_owned(), Box::new(io::stdout()))),
        Some(path) => Some(EventsFile::create(path)?),
    };
    let progress = match (talk.quiet, io::stderr().is_terminal()) {
        (true, _) => ProgressMode::Quiet,
        (false, true) => ProgressMode::Bar,
        (false, false) => ProgressMode::Lines,
    };
    job.monitors = monitors(MonitorSetup {
        progress,
        talk: Some(Box::new(io::stderr())),
        events,
        summary: summary.clone(),
        ..MonitorSetup::default()
    });
    let watch = Watch::start(job.control.clone());
    let ended = host.run(job);
    let (report, error) = match ended {
        Ok(report) => (Some(report), None),
        Err(RunFailure { report, error }) => (report.map(|report| *report), Some(error)),
    };
    if let Some(report) = &report {
        match &report.error {
            _ if !talk.quiet && !reads_items => tell_indexes(report),
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

fn tell_indexes(report: &RunReport) {
    let store = report.store.as_deref().unwrap_or_default();
    print::talk(&format!(
        "Every index of {store} agrees with its rows; one that did not was built anew, with a warning."
    ));
    print::talk("`atlas-host index list` shows them.");
}

/// Bodies as NDJSON: one line each, in input order. A closed stdout ends the writing, not the run.
fn results() -> crate::processor::Output {
    let mut out = Some(io::BufWriter::with_capacity(64 << 10, io::stdout()));
    Box::new(move |_, _, body| {
        let Some(writer) = &mut out else { return Ok(()) };
        let one_line = body.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
        let result = if body.contains(['\n', '\r']) {
            writer.write_all(&one_line.collect::<Vec<u8>>())
        } else {
            writer.write_all(body.as_bytes())
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
