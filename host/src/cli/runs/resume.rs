//! `runs resume`: an interrupted run goes on, wherever its store and its input lie by now.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde_json::{Map, Value};

use super::found;
use crate::cli::job_args::JobArgs;
use crate::cli::print::{Printer, talk as tell};
use crate::cli::run::{Around, fates, perform};
use crate::cli::signals::Watch;
use crate::cli::{Layers, Talk, plan, rebuilt, retry, stored, with_values};
use crate::coordinator::{Input, complete};
use crate::error::{Code, Error, Result};
use crate::model::{Name, RunStatus};
use crate::monitor::words;
use crate::processor::ProcessorKind;
use crate::source::{Format, InputPath};
use crate::store::{Reader, RunRow};

/// Settings that the run goes on with as it had them. Others say where something lies or goes, which is for each machine to say,
/// or are a user's to give: a store may come from somebody else. Indexes and the seed are in the store itself.
const KEPT: [&str; 32] = [
    "format",
    "delimiter",
    "no-header",
    "id",
    "missing-id",
    "limit",
    "max-line-bytes",
    "into",
    "collection",
    "on-existing",
    "atomic",
    "durability",
    "memory",
    "deadline",
    "isolation",
    "strategy",
    "aim",
    "max-batch-time",
    "memory-budget",
    "batch-size",
    "batch-bytes",
    "batch-wait",
    "lanes",
    "attempts",
    "max-rejects",
    "slow-item",
    "max-memory-share",
    "max-error-share",
    "max-cpu-share",
    "max-response",
    "max-wal",
    "min-disk-free",
];

/// Go on with an interrupted run, wherever its store and its input lie by now
///
/// The plugins and the settings are those that the run had, from the store; a flag or a variable outweighs them, and where it
/// decides results that has to be accepted. What plugins are granted, their own settings, and where events, metrics and alerts
/// go is not taken from the store: flags say it again, or the file, whose plugins do not count. A plugin given takes the place
/// of the run's plugin of the same slot. The input is read where it lay, or where --input says: all of it, and it has to be the
/// same up to where the run stands. With --input also a run goes on that read from a pipe.
/// A run that has ended stays as it is, and the exit code is that of its end.
///
/// Example: atlas-host runs resume 3 --store moved.db --input moved.ndjson
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// Number of the run
    #[arg(value_name = "RUN")]
    run: u64,
    /// Go on although plugins or settings are others than the run had
    #[arg(long, env = "ATLAS_ACCEPT_CHANGE", value_parser = BoolishValueParser::new())]
    accept_change: bool,
    #[command(flatten)]
    pub job: Box<JobArgs>,
}

/// Goes on with the run; the exit code tells how it ended.
pub fn run(args: &ResumeArgs, layers: &Layers, talk: Talk, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.job.store.store)?;
    let row = found(&reader, Some(args.run))?;
    if row.status.finished() {
        return ended(&row, args, talk, printer);
    }
    // The environment and the file are about runs that begin.
    let given = if layers.has_flag("input") { args.job.input.as_slice() } else { &[] };
    let input = input(&row, given, rebuilt::asked(layers, "format"))?;
    let (args_of_job, layers) = with_values(layers, settings(&row.settings_json))?;
    let host = plan::host(&args_of_job, &layers)?;
    let mut job = plan::without_plugins(&JobArgs { input: vec!["-".to_owned()], ..args_of_job.clone() }, &layers)?;
    if job.processor != ProcessorKind::Storage {
        let message =
            format!("run {} goes on in its store; --processor {} cannot be given", row.run, args.job.processor);
        return Err(Error::new(Code::ConfigInvalid, message).hint("leave --processor and ATLAS_PROCESSOR out"));
    }
    job.resume = Some(row.run);
    job.accept_change = args.accept_change;
    job.input = match input {
        Reads::Files { paths, follow } => {
            job.read.follow = follow;
            Input::Files(paths)
        }
        Reads::Stored(collection) => stored::input(reader.path(), &collection)?,
    };
    let given = rebuilt::given(&args_of_job, (&layers, talk), &host)?;
    given.fits(&row, &reader.last_chain(row.run)?, true)?;
    rebuilt::fill(&mut job, &given, (&args_of_job, &layers), &host, &reader, &row)?;
    let watch = Watch::start(job.control.clone());
    perform(&host, job, &args_of_job, (&layers, talk), &Around::alone(&watch), printer)
}

fn ended(row: &RunRow, args: &ResumeArgs, talk: Talk, printer: &mut Printer) -> Result<u8> {
    let report = complete(Some(&args.job.store.store), row);
    if !talk.quiet {
        tell(&format!("Run {} has ended before ({}). Nothing was changed.", row.run, fates(&row.counts)));
    }
    if args.job.output.json() {
        printer.json(&report)?;
    }
    Ok(report.exit())
}

/// What the run was set to, of what it keeps.
fn settings(settings_json: &str) -> BTreeMap<String, Vec<String>> {
    let all: Map<String, Value> = serde_json::from_str(settings_json).unwrap_or_default();
    let of = |key: &str| {
        let values: Vec<String> = serde_json::from_value(all.get(key)?.clone()).ok()?;
        // A bound may have been taken back while the run was at work.
        let taken_back = values == ["none"] && all.get("changed").is_some_and(|changed| changed.get(key).is_some());
        (!taken_back).then(|| (key.to_owned(), values))
    };
    KEPT.into_iter().filter_map(of).collect()
}

/// Where a run reads on.
enum Reads {
    Files { paths: Vec<InputPath>, follow: bool },
    Stored(Name),
}

/// What a run has read, by its inputs.
enum Kind {
    /// Files, or a pipe.
    Files,
    Stored(Name),
    Letters,
    /// What a program brought.
    Own,
}

/// An input as the run keeps it.
#[derive(serde::Deserialize)]
struct Kept {
    path: String,
    size_bytes: Option<u64>,
}

fn inputs(row: &RunRow) -> Vec<Kept> {
    serde_json::from_str(&row.inputs_json).unwrap_or_default()
}

fn kind(row: &RunRow, inputs: &[Kept]) -> Kind {
    if retry::is_retry(row) {
        return Kind::Letters;
    }
    let is_file = |input: &Kept| input.path == "-" || Path::new(&input.path).is_absolute();
    match inputs.first().and_then(|input| stored::collection(&input.path)) {
        Some(collection) => Kind::Stored(collection),
        None if !inputs.is_empty() && inputs.iter().all(is_file) => Kind::Files,
        None => Kind::Own,
    }
}

/// How a run goes on whose process is gone.
pub fn way_on(row: &RunRow, store: &Path) -> String {
    let run = format!("{}{}", row.run, words::store_flag(&store.display().to_string()));
    match (row.is_resumable(), kind(row, &inputs(row))) {
        (true, Kind::Files | Kind::Stored(_)) => {
            format!("the same command continues it, and so does `atlas-host runs resume {run}`")
        }
        (true, _) => "the same program continues it".to_owned(),
        (false, Kind::Files) => {
            format!("its input cannot be read again; `atlas-host runs resume {run}` wants that in a file")
        }
        (false, Kind::Letters) => "the same command tries the letters that are left".to_owned(),
        (false, _) => "it cannot be continued".to_owned(),
    }
}

/// `has_format`: a flag or the environment says how inputs are read.
///
/// Errors: CONFIG_3001 if the run cannot be continued, or not so; VALIDATION_4006 if an input is not where it was.
fn input(row: &RunRow, given: &[String], has_format: bool) -> Result<Reads> {
    let (inputs, run) = (inputs(row), row.run);
    let refuse = |message: String, hint: &str| Err(Error::new(Code::ConfigInvalid, message).hint(hint));
    if row.status == RunStatus::RolledBack {
        return refuse(format!("run {run} was rolled back: nothing of it is kept"), "run its command again");
    }
    match kind(row, &inputs) {
        Kind::Letters => refuse(
            format!("run {run} tried dead letters again, and those that are left are letters still"),
            "`atlas-host dead-letters retry` tries them",
        ),
        Kind::Stored(collection) if !given.is_empty() => refuse(
            format!("run {run} reads collection `{collection}` of its store; --input cannot be given"),
            "leave --input out",
        ),
        Kind::Stored(collection) if row.is_resumable() => Ok(Reads::Stored(collection)),
        Kind::Stored(_) => refuse(format!("run {run} is not one that can be continued"), "run its command again"),
        Kind::Own => refuse(
            format!("run {run} read what the program brought that began it"),
            "only that program can go on with it",
        ),
        Kind::Files if !row.is_resumable() && given.is_empty() => refuse(
            format!("run {run} read from a pipe, which cannot be read again"),
            "put the same items into a file, and name that: --input FILE",
        ),
        Kind::Files => {
            // Of a file that is followed no size is kept.
            let follow = row.is_resumable() && inputs.last().is_some_and(|last| last.size_bytes.is_none());
            if !given.is_empty() {
                // Letters and places of the run are told and tried by the names of its inputs.
                let read_as = |path: &str| Format::of_path(Path::new(path)).unwrap_or(Format::Ndjson);
                let by_name = !has_format && rebuilt::setting(row, "format") == Some("by name");
                let other = given.iter().zip(&inputs).find(|(new, old)| read_as(new) != read_as(&old.path));
                if let (true, Some((new, old))) = (by_name, other) {
                    let format = read_as(&old.path).name();
                    return refuse(
                        format!("run {run} read `{}` as {format}, which the name `{new}` does not say", old.path),
                        "give the file, or a link to it, a name with the extension that it had",
                    );
                }
                return Ok(Reads::Files { paths: given.iter().map(InputPath::parse).collect(), follow });
            }
            if let Some(gone) = inputs.iter().find(|input| !Path::new(&input.path).exists()) {
                let message = format!("input `{}`, which run {run} read, is not there", gone.path);
                return Err(Error::new(Code::InputCutShort, message)
                    .hint("say where its input lies by now, all of it: --input FILE"));
            }
            Ok(Reads::Files {
                paths: inputs.into_iter().map(|input| InputPath::File(input.path.into())).collect(),
                follow,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_is_kept_by_the_run_or_given_anew() {
        const GIVEN: [&str; 19] = [
            "accept-change",
            "plugin",
            "validator",
            "plugin-config",
            "grant-dir",
            "grant-env",
            "grant-host",
            "grant-collection",
            "input",
            "store",
            "index",
            "unique",
            "processor",
            "seed",
            "on-alert",
            "events",
            "metrics-file",
            "metrics-listen",
            "output",
        ];
        let command = crate::cli::command();
        let resume = crate::cli::find(&command, &["runs", "resume"]);
        let mut flags: Vec<&str> = resume.get_arguments().filter_map(|arg| arg.get_long()).collect();
        let mut known: Vec<&str> = KEPT.into_iter().chain(GIVEN).collect();
        flags.sort_unstable();
        known.sort_unstable();
        assert_eq!(flags, known);
    }

    #[test]
    fn settings_that_a_run_keeps_are_those_in_force_last() {
        let kept = settings(
            r#"{"batch-size":["5..5"],"changed":{"batch-size":"10..1000","memory-budget":"1000"},"collection":["a","b"],
                "id":["none"],"memory-budget":["none"],"on-alert":["program"],"plugin":["a.wasm"]}"#,
        );
        let of = |key: &str| kept.get(key).map(|values| values.join(" "));
        assert_eq!(kept.len(), 3);
        assert_eq!(
            [of("batch-size"), of("collection"), of("id")],
            ["5..5", "a b", "none"].map(|text| Some(text.to_owned()))
        );
        assert_eq!(settings("no JSON"), BTreeMap::new());
    }
}
