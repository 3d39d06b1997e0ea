//! `run`: the main job.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::job_args::{DurabilityArg, FurtherInputs, JobArgs};
use super::locations::Tags;
use super::print::{self, Printer};
use super::reload::Reload;
use super::signals::Watch;
use super::spec::duration;
use super::{EXIT_CODES, Layers, Talk, inert, plan, recommended, stored, watch_input};
use crate::coordinator::{Host, IndexReport, IndexState, Job, RunFailure, RunReport, SwapSettings, keep_indexes};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Counts, Name, RunStatus, printable};
use crate::monitor::{EventsFile, MetricsFile, MetricsServer, MonitorSetup, ProgressMode, Summary, Watched, monitors};
use crate::processor::{Gathering, ProcessorKind};

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
    #[command(flatten)]
    pub further: FurtherInputs,
    /// Do everything for real, then undo it, and tell what would have changed
    #[arg(long, env = "ATLAS_DRY_RUN", value_parser = BoolishValueParser::new(), help_heading = "Store")]
    pub dry_run: bool,
    /// Process anew what is complete, or begin anew what was interrupted
    #[arg(long, env = "ATLAS_AGAIN", value_parser = BoolishValueParser::new(), help_heading = "Store")]
    pub again: bool,
    /// Continue a run although plugins or settings have changed since it began
    #[arg(long, env = "ATLAS_ACCEPT_CHANGE", value_parser = BoolishValueParser::new(), help_heading = "Store")]
    pub accept_change: bool,
    /// Follow the files of the plugins: what is new in them takes their place at the border of a batch, if it passes its trial
    #[arg(long, env = "ATLAS_WATCH", value_parser = BoolishValueParser::new(), help_heading = "Plugins")]
    pub watch: bool,
    /// Let a new plugin change the fate of so many items of a hundred
    #[arg(long, value_name = "PERCENT", default_value = "25", env = "ATLAS_SWAP_DIFFERENCE", value_parser = clap::value_parser!(u64).range(0..=100), help_heading = "Plugins")]
    pub swap_difference: u64,
    /// Let a new plugin take so many times as long as the old one for the same items
    #[arg(long, value_name = "TIMES", default_value = "5", env = "ATLAS_SWAP_SLOWDOWN", value_parser = clap::value_parser!(u64).range(1..=limits::SWAP_SLOWDOWN_MAX), help_heading = "Plugins")]
    pub swap_slowdown: u64,
    /// Run a new plugin beside the old one on so many live batches, without storing, before it takes its place
    #[arg(long, value_name = "BATCHES", default_value = "0", env = "ATLAS_SHADOW", value_parser = clap::value_parser!(u64).range(0..=limits::SWAP_SHADOW_BATCHES_MAX), help_heading = "Plugins")]
    pub shadow: u64,
    /// Begin with what `recommend` finds in the store, where neither a flag nor a setting says otherwise
    #[arg(long, env = "ATLAS_RECOMMENDED", value_parser = BoolishValueParser::new(), help_heading = "Batches")]
    pub recommended: bool,
}

/// Runs the job; the exit code tells how it ended.
pub fn run(mut args: RunArgs, mut layers: Layers, talk: Talk, printer: &mut Printer) -> Result<u8> {
    let advice = args.recommended.then(|| recommended::apply(&mut args.job, &mut layers)).transpose()?;
    if let Some(folder) = args.further.watch_input.clone() {
        return watch_input::run(&folder, args, (&layers, talk), printer);
    }
    args.further.add_to(&mut args.job)?;
    let host = plan::host(&args.job, &layers)?;
    let mut job = plan::without_plugins(&args.job, &layers)?;
    job.read.follow = args.further.follow.is_some();
    job.dry_run = args.dry_run;
    job.again = args.again;
    job.accept_change = args.accept_change;
    if args.watch {
        plan::warn_of_unwatched(&args.job, &layers)?;
    }
    swapping(&mut job, &args, &layers)?;
    if let Some(collection) = &args.further.from {
        job.input = stored::input(&args.job.store.store, collection)?;
    }
    plan::fill(&args.job, &layers, &host, Tags::Lock(talk), &mut job, Err)?;
    inert::of_input(&layers, &job);
    if let Some(advice) = advice {
        advice.tell(&mut job);
    }
    if args.job.durability == DurabilityArg::Normal && !talk.quiet {
        print::talk("Durability is normal: a power cut may take the last batches that were acknowledged.");
    }
    let watch = Watch::start(job.control.clone());
    perform(&host, job, &args.job, (&layers, talk), &Around::alone(&watch), printer)
}

/// How plugins of the job may be exchanged while it runs.
pub fn swapping(job: &mut Job, args: &RunArgs, layers: &Layers) -> Result<()> {
    job.swap = SwapSettings {
        difference_percent: args.swap_difference,
        shadow_batches: args.shadow,
        slowdown_max: args.swap_slowdown,
    };
    if args.watch {
        job.watch = plan::watched(&args.job, layers)?;
        if job.watch.is_empty() {
            tracing::warn!(code = Code::ConfigInert.as_str(), "There is no plugin whose file --watch could follow.");
        }
    }
    Ok(())
}

/// What a run stands in.
pub struct Around<'a> {
    /// Signals of the process.
    pub watch: &'a Watch,
    /// One of several runs: what it reads, said on the one line that it gets in place of a summary.
    pub named: Option<&'a str>,
    /// An earlier run of this process has begun the file for events.
    pub appends: bool,
    /// The configuration file, where this is one of several runs that follow it.
    pub reload: Option<&'a Reload>,
}

impl<'a> Around<'a> {
    /// The only run of the process.
    pub fn alone(watch: &'a Watch) -> Self {
        Self { watch, named: None, appends: false, reload: None }
    }
}

/// Runs a job with the monitors that the flags ask for, and prints how it ended.
pub fn perform(
    host: &Host,
    mut job: Job,
    args: &JobArgs,
    (layers, talk): (&Layers, Talk),
    around: &Around<'_>,
    printer: &mut Printer,
) -> Result<u8> {
    if job.processor == ProcessorKind::Index {
        return perform_indexes(&job, args, talk, printer);
    }
    let results_on_stdout = job.processor == ProcessorKind::Memory;
    if [events_on_stdout(args), results_on_stdout, args.output.json()].iter().filter(|wanted| **wanted).count() > 1 {
        return Err(Error::new(
            Code::ConfigInvalid,
            "standard output is asked for twice: by results (--processor memory), --events -, or --output json",
        )
        .hint("write events to a file: --events FILE"));
    }
    if results_on_stdout {
        job = job.gathered_by(Results::default());
    }
    let setup = watching(args, talk, around.appends)?;
    let summary = setup.summary.clone();
    job.monitors = monitors(setup);
    job.inbox = true;
    let own = || Reload::of(layers, plan::default_lanes());
    job.live = around.reload.cloned().or_else(own).map(|reload| reload.live());
    let (report, error) = match host.run(job) {
        Ok(report) => (Some(report), None),
        Err(RunFailure { report, error }) => (report.map(|report| *report), Some(error)),
    };
    if let Some(report) = &report {
        match (&report.error, around.named) {
            (_, Some(name)) if !talk.quiet => tell_briefly(name, report),
            (_, None) if !talk.quiet => tell(report, &summary, error.is_some()),
            // A stop is told even by a quiet run; what `error` holds is told by the caller.
            (Some(stop), _) if error.is_none() => print::stop(stop),
            _ => {}
        }
        if args.output.json() {
            printer.json(report)?;
        }
    }
    match (error, report) {
        (Some(error), _) => Err(error),
        (None, Some(report)) if stopped(&report) => Ok(around.watch.exit().unwrap_or_else(|| report.exit())),
        (None, Some(report)) => Ok(report.exit()),
        (None, None) => Ok(0),
    }
}

/// True if the run ended before its input did, and no error is why.
fn stopped(report: &RunReport) -> bool {
    matches!(report.status, RunStatus::Interrupted | RunStatus::RolledBack) && report.error.is_none()
}

/// What is complete already is not worth a line.
fn tell_briefly(name: &str, report: &RunReport) {
    if report.already_complete {
        return;
    }
    print::talk(&format!(
        "{}: run {} {}, {}, {}",
        printable(name),
        report.run,
        report.status.as_str(),
        fates(&report.counts),
        duration(report.duration_ms)
    ));
}

/// What watches a run, as the flags ask for it. `appends`: an earlier run of this process has begun the file for events.
///
/// Errors: a file that cannot be made, an address that cannot be listened at.
pub fn watching(args: &JobArgs, talk: Talk, appends: bool) -> Result<MonitorSetup> {
    let events = match &args.events {
        None => None,
        Some(_) if events_on_stdout(args) => Some(EventsFile::to("stdout".to_owned(), Box::new(io::stdout()))),
        Some(path) if appends => Some(EventsFile::append(path)?),
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
    Ok(MonitorSetup {
        progress,
        talk: Some(Box::new(io::stderr())),
        events,
        metrics_file,
        metrics_server,
        on_alert: args.on_alert.clone(),
        ..MonitorSetup::default()
    })
}

/// True if events are to go where results go.
pub fn events_on_stdout(args: &JobArgs) -> bool {
    args.events.as_deref() == Some(Path::new("-"))
}

/// What became of the items, on a part of a line.
pub fn fates(counts: &Counts) -> String {
    let Counts { read, stored, rejected, dead_lettered, dropped, .. } = counts;
    format!("{read} read, {stored} stored, {rejected} rejected, {dead_lettered} dead-lettered, {dropped} dropped")
}

/// `error_follows`: the summary leaves out the error, which is told in full after it.
fn tell(report: &RunReport, summary: &Watched<Summary>, error_follows: bool) {
    if report.already_complete {
        let number = report.run;
        print::talk(&format!("Already complete: run {number} has processed this input ({}).", fates(&report.counts)));
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

/// Bodies as NDJSON on stdout: one line each. A closed stdout ends the writing, not the run.
struct Results {
    /// None once it was closed.
    out: Option<io::BufWriter<io::Stdout>>,
}

impl Default for Results {
    fn default() -> Self {
        Self { out: Some(io::BufWriter::with_capacity(64 << 10, io::stdout())) }
    }
}

impl Results {
    fn write(&mut self, work: impl FnOnce(&mut io::BufWriter<io::Stdout>) -> io::Result<()>) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        match work(out) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.out = None;
                Ok(())
            }
            result => result,
        }
    }
}

impl Gathering for Results {
    fn take(&mut self, _: &Name, _: &str, body: &str) -> io::Result<()> {
        let one_line = memchr::memchr2(b'\n', b'\r', body.as_bytes()).is_none();
        self.write(|out| {
            match one_line {
                true => out.write_all(body.as_bytes()),
                false => out.write_all(body.replace(['\n', '\r'], " ").as_bytes()),
            }?;
            out.write_all(b"\n")
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write(Write::flush)
    }
}
