//! `revalidate`: stored items held against validators once more.

use std::thread;

use clap::Args;
use serde_json::json;

use super::job_args::JobArgs;
use super::locations::Tags;
use super::print::{self, Printer};
use super::run::{events_on_stdout, watching};
use super::signals::Watch;
use super::spec::{counted, json_text};
use super::{Layers, Talk, inert, plan, runs, stored};
use crate::coordinator::{Filling, Job, RunFailure, RunReport};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::limits;
use crate::model::{Digest, Fate, Name, OnExisting, RunStatus, printable};
use crate::monitor::{Subscription, monitors, subscription};
use crate::processor::ProcessorKind;

const HELP: &str = "\
Judges each item of the collection by the validators given, and prints those that do not pass: id, code, message. \
Nothing is changed, unless --dead-letter is given: then each item that a rule rejects leaves the collection for the dead \
letters, in one transaction per batch; `dead-letters retry` can bring it back. An item that gets no verdict, because a \
validator failed on it, is printed too, and stays. With --stale items are left out that were stored by a batch in which the \
slot of each validator given was filled by the same component, so that after a validator was exchanged only what the older \
ones judged is judged again. A validator that reads the store needs it free of other writers, since it sees what a run would \
see. The exit code is 0 if all pass, else 3.

Examples:
  atlas-host revalidate --validator rules=new.wasm --into tickets
  atlas-host revalidate --validator rules=new.wasm --into tickets --dead-letter --stale";

/// Check stored items against other validators
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct RevalidateArgs {
    /// Move items that are rejected to the dead letters
    #[arg(long)]
    dead_letter: bool,
    /// Judge only items that were not judged by these very validators when they were stored
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    pub job: Box<JobArgs>,
}

/// Exit code 0 if every item passes, 3 if not.
pub fn run(args: RevalidateArgs, layers: &Layers, talk: Talk, printer: &mut Printer) -> Result<u8> {
    for (key, why) in [("input", "stored items are the input"), ("plugin", "stored items are judged, not transformed")]
    {
        // The environment and the file are about runs, so that only a flag is a mistake.
        if layers.has_flag(key) {
            return Err(Error::new(Code::ConfigInvalid, format!("{why}; --{key} cannot be given")));
        }
    }
    if events_on_stdout(&args.job) {
        let message = "standard output is asked for twice: by what does not pass, and by --events -";
        return Err(Error::new(Code::ConfigInvalid, message).hint("write events to a file: --events FILE"));
    }
    let (mut job, host) = job(&args, layers, talk)?;
    inert::of_revalidate(layers);
    job.monitors = monitors(watching(&args.job, talk, false)?);
    let (failures, events): (Subscription, _) = subscription(limits::EVENTS_WAITING_MAX);
    job.monitors.push(Box::new(failures));
    let watch = Watch::start(job.control.clone());
    let ended = thread::scope(|scope| {
        let ended = scope.spawn(move || host.run(job));
        let mut told = Ok(());
        // Taken to the end, so that the run is never held up by a printer that failed.
        for envelope in events {
            if told.is_ok() {
                told = tell(&envelope.event, &args, printer);
            }
        }
        let ended = ended.join().expect("BUG: a run panicked");
        told.map(|()| ended)
    })?;
    let report = match ended {
        Ok(report) => report,
        Err(RunFailure { error, .. }) => return Err(error),
    };
    printer.flush()?;
    if !talk.quiet {
        print::talk(&summary(&report, &args));
    }
    if report.status == RunStatus::Interrupted {
        return Ok(watch.exit().unwrap_or(report.exit()));
    }
    Ok(report.exit())
}

fn job(args: &RevalidateArgs, layers: &Layers, talk: Talk) -> Result<(Job, crate::coordinator::Host)> {
    let host = plan::host(&args.job, layers)?;
    let args_of_job = JobArgs { input: vec!["-".to_owned()], ..(*args.job).clone() };
    let mut job = plan::job(&args_of_job, layers, &host, Tags::Lock(talk))?;
    if job.validators.is_empty() {
        return Err(Error::new(Code::ConfigMissing, "no validator is given")
            .hint("name what the items are to be held against: --validator [SLOT=]FILE"));
    }
    job.operations.clear();
    if !layers.has_flag("limit") {
        job.limit = None;
    }
    let judges = args.stale.then(|| judges(&job));
    job.input = stored::judged_anew(&args.job.store.store, &args.job.into, judges)?;
    // What passes stays as it is.
    job.on_existing = OnExisting::Replace;
    if args.dead_letter {
        job.processor = ProcessorKind::Storage;
        job.store = Some(args.job.store.store.clone());
        job.remove_rejected = true;
    } else if reads_store(&job) {
        // It looks things up in the store as a run does, of which nothing is kept.
        job.processor = ProcessorKind::Storage;
        job.store = Some(args.job.store.store.clone());
        job.dry_run = true;
        job.indexes.clear();
    } else {
        job.processor = ProcessorKind::Memory;
        job.store = None;
        job.output = Some(Box::new(|_, _, _| Ok(())));
        job.indexes.clear();
    }
    Ok((job, host))
}

fn reads_store(job: &Job) -> bool {
    job.validators.iter().any(|spec| matches!(&spec.filling, Filling::Component(plugin) if plugin.imports_store()))
}

/// The slots of the validators, and what fills them.
fn judges(job: &Job) -> Vec<(Name, Digest)> {
    let digest = |filling: &Filling| match filling {
        Filling::Component(plugin) => Some(plugin.digest()),
        _ => None,
    };
    job.validators.iter().filter_map(|spec| Some((spec.name.clone(), digest(&spec.filling)?))).collect()
}

fn tell(event: &Event, args: &RevalidateArgs, printer: &mut Printer) -> Result<()> {
    let Event::ItemFailed { id, fate, code, message, slot, .. } = event else { return Ok(()) };
    if args.job.output.json() {
        return printer.json(&json!({
            "schema": runs::SCHEMA, "collection": args.job.into.as_str(), "id": id, "fate": fate, "slot": slot,
            "code": code, "message": message,
        }));
    }
    let verdict = if *fate == Fate::Rejected { "" } else { "no verdict: " };
    // JSON leaves some control characters as they are.
    let id = json_text(id);
    printer.line(&format!("{}  {verdict}{}  {}", printable(&id), printable(code), printable(message)))
}

fn summary(report: &RunReport, args: &RevalidateArgs) -> String {
    let counts = &report.counts;
    let mut text = format!(
        "{}{} of `{}` checked: {} passed, {} rejected, {} without a verdict.",
        counted(counts.read, "item"),
        if args.stale { " not judged so far" } else { "" },
        args.job.into,
        counts.stored,
        counts.rejected,
        counts.dead_lettered
    );
    text += &match (args.dead_letter, counts.rejected) {
        (false, _) => " Nothing was changed.".to_owned(),
        (true, 0) => " None was moved.".to_owned(),
        (true, rejected) => format!(" {rejected} moved to the dead letters, by run {}.", report.run),
    };
    if report.status == RunStatus::Interrupted {
        text += " Stopped before the end.";
    }
    text
}
