//! The command line: one file per subcommand. Owns terminal, environment and exit codes; the library knows none of them.

mod build;
mod common;
mod completions;
mod config;
mod dead_letters;
mod export;
mod get;
mod health;
mod history;
mod index;
mod inert;
mod inspect;
mod job_args;
mod layers;
mod locations;
mod lock;
mod logs;
mod man;
mod new;
mod plan;
mod plugins;
mod print;
mod query;
mod rebuilt;
mod recommend;
mod recommended;
mod reload;
mod retry;
mod revalidate;
mod run;
mod runs;
mod signals;
mod spec;
mod test;
mod stored;
mod thresholds;
mod top;
mod units;
mod usage;
mod validate;
mod verify;
mod watch_input;
mod whole_file;
mod why;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::Result;
use crate::plugin::{COMPILE_VERB, compile_from_stdin};
use job_args::JobArgs;
use layers::ConfigFile;
use print::Printer;

/// What the program's exit codes mean, for help and manual.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    everything stored (or dropped by the operation)
  1    internal error
  2    wrong usage or configuration
  3    finished, with rejected or dead-lettered items; `health`: not healthy; `test`: failed
  4    plugin refused
  5    the store failed, or does not hold its invariants
  6    the store is held by another process
  7    input unreadable or cut short
  130  stopped by SIGINT, 143 by SIGTERM or SIGHUP; the same command continues";

/// Run sandboxed WebAssembly plugins over records, and store the results in SQLite
///
/// Records come from NDJSON, JSON, CSV or TSV; validators and an operation, WebAssembly components, judge and transform
/// them; results land in a SQLite file in batches that are whole or not there, and every record is accounted for.
#[derive(Parser, Debug)]
#[command(name = "atlas-host", version, after_long_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Tell more (-v, -vv, -vvv)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Talk")]
    verbose: u8,
    /// Tell less: no progress and no summary (-q), also no warnings (-qq)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Talk")]
    quiet: u8,
    /// Form of the log on stderr
    #[arg(
        long,
        value_name = "FORM",
        default_value = "text",
        env = "ATLAS_LOG_FORMAT",
        global = true,
        help_heading = "Talk"
    )]
    log_format: logs::LogFormat,
    /// When to use colour on stderr
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        env = "ATLAS_COLOR",
        global = true,
        help_heading = "Talk"
    )]
    color: logs::Color,
    /// Read settings from this file instead of ./atlas.toml
    #[arg(long, value_name = "FILE", env = "ATLAS_CONFIG", global = true, help_heading = "Talk")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Run(Box<run::RunArgs>),
    Validate(Box<validate::ValidateArgs>),
    Inspect(inspect::InspectArgs),
    New(new::NewArgs),
    Build(build::BuildArgs),
    Test(test::TestArgs),
    Revalidate(revalidate::RevalidateArgs),
    Query(query::QueryArgs),
    Get(get::GetArgs),
    Why(why::WhyArgs),
    Export(export::ExportArgs),
    Index(index::IndexArgs),
    DeadLetters(dead_letters::DeadLettersArgs),
    Runs(runs::RunsArgs),
    Plugins(plugins::PluginsArgs),
    Recommend(recommend::RecommendArgs),
    Health(health::HealthArgs),
    Top(top::TopArgs),
    Verify(verify::VerifyArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Settings of the whole program.
#[derive(Debug, Clone, Copy)]
pub struct Talk {
    /// -q: no progress and no summary.
    pub quiet: bool,
}

/// Runs the program; gives its exit code.
pub fn main(arguments: Vec<OsString>) -> u8 {
    if arguments.get(1).is_some_and(|verb| verb == COMPILE_VERB) {
        let rest: Vec<String> = arguments[2..].iter().map(|a| a.to_string_lossy().into_owned()).collect();
        return match compile_from_stdin(&rest) {
            Ok(()) => 0,
            Err(why) => {
                print::talk(&why);
                4
            }
        };
    }
    match parsed(arguments.clone()) {
        Ok((cli, origins)) => perform(cli, origins),
        Err(Stop::Clap(error)) if usage::asked_for(&error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // A closed stdout or stderr leaves nobody to tell.
            let _ = error.print();
            code
        }
        Err(stop) => {
            let error = match stop {
                Stop::Clap(error) => {
                    let mut command = Cli::command();
                    command.build();
                    usage::refused(&error, &arguments, &command)
                }
                Stop::Error(error) => error,
            };
            print::error(&error);
            error.code().exit()
        }
    }
}

enum Stop {
    Clap(clap::Error),
    Error(crate::error::Error),
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        Stop::Clap(error)
    }
}

impl From<crate::error::Error> for Stop {
    fn from(error: crate::error::Error) -> Self {
        Stop::Error(error)
    }
}

/// What a verb that knows `atlas.toml` gets beside its arguments.
#[derive(Debug, Default)]
pub struct Layers {
    /// The file.
    pub file: ConfigFile,
    /// Where each value came from.
    pub origins: Vec<layers::Origin>,
    /// The command line without the file's values.
    pub arguments: Vec<OsString>,
}

impl Layers {
    /// True if a flag says so. The environment and the file are about runs, whatever verb reads them.
    pub fn has_flag(&self, key: &str) -> bool {
        self.origins.iter().any(|origin| origin.key == key && origin.origin == "flag")
    }
}

/// Parses flags and environment, then once more with the values of the file where these give none.
fn parsed(arguments: Vec<OsString>) -> Result<(Cli, Layers), Stop> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments.clone())?;
    let Some((path, sub)) = knows_file(&matches) else {
        return Ok((Cli::from_arg_matches(&matches)?, Layers::default()));
    };
    let given: Option<&PathBuf> = sub.get_one("config");
    // A key that only `run` knows is no mistake where another verb reads the file.
    let file = layers::read(given.map(PathBuf::as_path), command_of_run(&command))?;
    let origins = layers::origins(sub, &file, find(&command, path));
    let cli = again(arguments.clone(), path, sub, &file, &command)?;
    Ok((cli, Layers { file, origins, arguments }))
}

/// The path of a verb that knows `atlas.toml`, and what it was given. `config show` takes the flags of `run`, and shows them.
fn knows_file(matches: &ArgMatches) -> Option<(&'static [&'static str], &ArgMatches)> {
    let (verb, sub) = matches.subcommand()?;
    match (verb, sub.subcommand()) {
        ("run", _) => Some((&["run"], sub)),
        ("validate", _) => Some((&["validate"], sub)),
        ("revalidate", _) => Some((&["revalidate"], sub)),
        ("health", _) => Some((&["health"], sub)),
        ("config", Some(("show", shown))) => Some((&["config", "show"], shown)),
        ("dead-letters", Some(("retry", retried))) => Some((&["dead-letters", "retry"], retried)),
        ("runs", Some(("resume", resumed))) => Some((&["runs", "resume"], resumed)),
        _ => None,
    }
}

/// The second parse. The first went well, so what fails now stands in the file.
fn again(
    arguments: Vec<OsString>,
    path: &[&str],
    sub: &ArgMatches,
    file: &ConfigFile,
    command: &clap::Command,
) -> Result<Cli, Stop> {
    let merged = layers::merged(arguments, sub, file, find(command, path));
    let again = Cli::command().try_get_matches_from(merged).map_err(|error| match file.path {
        Some(_) => Stop::Error(usage::refused_in_file(&error, file)),
        None => Stop::Clap(error),
    })?;
    Ok(Cli::from_arg_matches(&again)?)
}

/// The same command line with another state of its file.
fn with_file(arguments: &[OsString], file: &ConfigFile) -> Result<Cli> {
    let told = |stop| match stop {
        Stop::Error(error) => error,
        Stop::Clap(error) => usage::refused_in_file(&error, file),
    };
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments).map_err(|error| told(error.into()))?;
    let (path, sub) = knows_file(&matches).expect("BUG: only a verb that knows the file watches it");
    again(arguments.to_vec(), path, sub, file, &command).map_err(told)
}

/// The flags and the file that a run without flags would have here.
fn present(config: Option<&std::path::Path>) -> Result<(JobArgs, Layers)> {
    let mut arguments = vec![OsString::from("atlas-host"), OsString::from("run")];
    if let Some(config) = config {
        arguments.extend([OsString::from("--config"), config.into()]);
    }
    made(arguments)
}

/// What a run that goes on takes from the file: where something lies or goes, and what its plugins may do. All else is as it was
/// set when the run began.
const FROM_FILE: [&str; 11] = [
    "store",
    "plugin-config",
    "grant-dir",
    "grant-env",
    "grant-host",
    "grant-collection",
    "on-alert",
    "events",
    "metrics-file",
    "metrics-listen",
    "output",
];

/// The same command line with the values that a run had, where neither a flag nor the environment gives one. Of the file only
/// what [`FROM_FILE`] lists counts.
fn with_values(layers: &Layers, values: BTreeMap<String, Vec<String>>) -> Result<(JobArgs, Layers)> {
    let mut command = command();
    let matches =
        command.try_get_matches_from_mut(&layers.arguments).expect("BUG: this command line was parsed before");
    let (path, sub) = knows_file(&matches).expect("BUG: only a verb that knows the file has values of a job");
    let command = find(&command, path);
    let is_switch =
        |key: &str| command.get_arguments().any(|arg| arg.get_long() == Some(key) && !arg.get_action().takes_values());
    let values = values.into_iter().filter(|(key, values)| !is_switch(key) || *values == ["true"]);
    let values =
        ConfigFile { values: values.map(|(key, values)| (key, (values, 0))).collect(), ..ConfigFile::default() };
    let merged = layers::merged(layers.arguments.clone(), sub, &values, command);
    let mut file = layers.file.clone();
    file.values.retain(|key, _| FROM_FILE.contains(&key.as_str()));
    let job = job_of(with_file(&merged, &file)?).expect("BUG: this command has the flags of a job");
    // Nobody has said by a flag what the run had: the file that is read again while it goes on outweighs it.
    let mut origins = layers.origins.clone();
    for origin in origins.iter_mut().filter(|origin| !origin.is_given()) {
        if let Some((value, _)) = values.values.get(&origin.key) {
            (origin.value, origin.origin) = (value.clone(), "run".to_owned());
        } else if !FROM_FILE.contains(&origin.key.as_str()) {
            (origin.value, origin.origin) = (Vec::new(), "not set".to_owned());
        }
    }
    Ok((job, Layers { file: layers.file.clone(), origins, arguments: layers.arguments.clone() }))
}

/// What stands in a command line that the program has put together.
fn made(arguments: Vec<OsString>) -> Result<(JobArgs, Layers)> {
    match parsed(arguments.clone()) {
        Ok((cli, layers)) => Ok((job_of(cli).expect("BUG: this command has the flags of a job"), layers)),
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::Clap(error)) => {
            let mut command = Cli::command();
            command.build();
            Err(usage::refused(&error, &arguments, &command))
        }
    }
}

/// The flags of a job, of a verb that runs one.
fn job_of(cli: Cli) -> Option<JobArgs> {
    match cli.verb {
        Verb::Run(args) => Some(args.job),
        Verb::DeadLetters(args) => args.job(),
        Verb::Runs(args) => args.job(),
        _ => None,
    }
}

fn command() -> clap::Command {
    Cli::command()
}

fn command_of_run(command: &clap::Command) -> &clap::Command {
    find(command, &["run"])
}

fn find<'a>(command: &'a clap::Command, path: &[&str]) -> &'a clap::Command {
    path.iter().fold(command, |command, name| {
        command.find_subcommand(name).expect("the parser knows the subcommands it has parsed")
    })
}

fn perform(cli: Cli, layers: Layers) -> u8 {
    logs::start(i16::from(cli.verbose) - i16::from(cli.quiet.saturating_sub(1)), cli.log_format, cli.color);
    inert::variables(&command());
    let talk = Talk { quiet: cli.quiet > 0 };
    let mut printer = Printer::default();
    let result = match cli.verb {
        Verb::Run(args) => run::run(*args, layers, talk, &mut printer),
        Verb::Validate(args) => validate::run(*args, &layers, &mut printer),
        Verb::Inspect(args) => inspect::run(args, cli.config.as_deref(), &mut printer),
        Verb::New(args) => new::run(args, &mut printer),
        Verb::Build(args) => build::run(args, talk, &mut printer),
        Verb::Test(args) => test::run(args, cli.config.as_deref(), talk, &mut printer),
        Verb::Revalidate(args) => revalidate::run(args, &layers, talk, &mut printer),
        Verb::Query(args) => query::run(args, &mut printer),
        Verb::Get(args) => get::run(args, &mut printer),
        Verb::Why(args) => why::run(args, &mut printer),
        Verb::Export(args) => export::run(args, &mut printer),
        Verb::Index(args) => index::run(args, &mut printer),
        Verb::DeadLetters(args) => dead_letters::run(args, &layers, talk, &mut printer),
        Verb::Runs(args) => runs::run(args, &layers, talk, &mut printer),
        Verb::Plugins(args) => plugins::run(args, cli.config.as_deref(), talk, &mut printer),
        Verb::Recommend(args) => recommend::run(args, &mut printer),
        Verb::Health(args) => health::run(args, &mut printer),
        Verb::Top(args) => top::run(args, cli.color.on_stdout(), &mut printer),
        Verb::Verify(args) => verify::run(args, &mut printer),
        Verb::Config(args) => config::run(args, layers, &mut printer),
        Verb::Completions(args) => completions::run(args, &mut printer),
        Verb::Man(args) => man::run(args, &mut printer),
    };
    let result = result.and_then(|code| printer.flush().map(|()| code));
    match result {
        Ok(code) => code,
        Err(error) => {
            // What was printed before the error is data; a stdout that fails too adds nothing.
            let _ = printer.flush();
            print::error(&error);
            error.code().exit()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
