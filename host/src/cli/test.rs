//! `test`: a plugin against its fixtures.

mod watch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::Talk;
use super::build::{host, with_tools};
use super::common::OutputArg;
use super::locations::{Locations, Tags};
use super::print::Printer;
use super::spec::{counted, duration};
use crate::author::{CaseProblem, CaseResult, Fixture, Project, component, examine};
use crate::coordinator::Host;
use crate::error::{Code, Error, Result};
use crate::model::printable;
use crate::plugin::Location;

/// Give a plugin the items of its fixtures and compare its answers with those wanted
///
/// A fixture may set what the plugin is given: config, grants, rows of the store, clock-ms, seed and attempt.
/// Builds the project first if a source changed since its component was made. Every case's items come in one call, and once
/// more each alone in a fresh sandbox. Exit code 0 if all answers are as wanted, 3 if one is not, 4 if the plugin is refused.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Folder of the project
    #[arg(value_name = "DIR", default_value = ".", conflicts_with = "plugin")]
    pub folder: PathBuf,
    /// Test this component, a file or oci://…, instead of a project's
    #[arg(long, value_name = "FILE", requires = "fixtures")]
    pub plugin: Option<PathBuf>,
    /// Take fixtures from this file or folder instead of fixtures/ of the project
    #[arg(long, value_name = "PATH")]
    pub fixtures: Option<PathBuf>,
    /// Write what came into the fixtures where it is not as wanted
    #[arg(long)]
    pub update: bool,
    /// Stay up: whenever a source or a fixture is saved, run again and show the answers that changed
    #[arg(long, conflicts_with = "update")]
    pub watch: bool,
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    plugin: &'a str,
    digest: String,
    passed: usize,
    failed: usize,
    items: usize,
    updated: usize,
    ms: u64,
    cases: &'a [CaseResult],
}

/// Exit code 0 or 3; a plugin or fixture that is refused is an error.
pub fn run(args: TestArgs, config: Option<&Path>, talking: Talk, printer: &mut Printer) -> Result<u8> {
    let host = host()?;
    match args.watch {
        true => watch::run(&args, config, &host, talking, printer),
        false => once(&args, config, &host, talking, printer, None).map(|(code, _)| code),
    }
}

/// One run of all cases. With the results of the run before, only answers that changed are printed. Gives the exit code.
fn once(
    args: &TestArgs,
    config: Option<&Path>,
    host: &Host,
    talking: Talk,
    printer: &mut Printer,
    before: Option<&[CaseResult]>,
) -> Result<(u8, Vec<CaseResult>)> {
    let (plugin, place) = match &args.plugin {
        Some(file) => {
            let plugin = Locations::new(config, Tags::Look).load(&Location::parse(file)?, host)?;
            (plugin, args.fixtures.clone().unwrap_or_default())
        }
        None => {
            let project = Project::open(&args.folder)?;
            let plugin = with_tools(talking, |tools| component(&project, host, tools))?;
            (plugin, args.fixtures.clone().unwrap_or_else(|| project.at("fixtures")))
        }
    };
    let fixtures = Fixture::all(&place)?;
    if fixtures.iter().all(|fixture| fixture.cases.is_empty()) {
        return Err(Error::new(Code::FixtureInvalid, format!("{}: no case in it", place.display())));
    }
    let begin = Instant::now();
    let mut cases = Vec::new();
    for fixture in &fixtures {
        let results = examine(&plugin, fixture, args.update)?;
        if !args.output.json() && before.is_none() {
            printer.line(&printable(&fixture.path.display().to_string()))?;
            for result in &results {
                show(result, printer)?;
            }
        }
        cases.extend(results);
    }
    if let (Some(before), false) = (before, args.output.json()) {
        watch::changes(before, &cases).iter().try_for_each(|line| printer.line(line))?;
    }
    let passed = cases.iter().filter(|case| case.passed).count();
    let report = Report {
        schema: 1,
        plugin: plugin.file(),
        digest: plugin.digest().to_string(),
        passed,
        failed: cases.len() - passed,
        items: cases.iter().map(|case| case.items).sum(),
        updated: cases.iter().map(|case| case.updated).sum(),
        ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        cases: &cases,
    };
    if args.output.json() {
        printer.json(&report)?
    } else {
        printer.line(&total(&report))?
    }
    let code = if report.failed == 0 { 0 } else { 3 };
    Ok((code, cases))
}

fn show(result: &CaseResult, printer: &mut Printer) -> Result<()> {
    let word = if result.passed { "pass" } else { "FAIL" };
    let mut line = format!("  {word}  {} ({})", printable(&result.name), counted(result.items as u64, "item"));
    if result.updated > 0 {
        line.push_str(&format!(", {} written", counted(result.updated as u64, "answer")));
    }
    printer.line(&line)?;
    result.problems.iter().try_for_each(|problem| printer.line(&difference(problem)))
}

fn difference(problem: &CaseProblem) -> String {
    let CaseProblem { item, what, difference } = problem;
    let whose = item.as_ref().map_or_else(|| "all items".to_owned(), |id| format!("item {}", printable(id)));
    let place = if difference.pointer.is_empty() { String::new() } else { format!(" {}", difference.pointer) };
    let (expected, found) = (printable(&difference.expected), printable(&difference.found));
    format!("        {whose}, {what}{}\n          expected  {expected}\n          found     {found}", printable(&place))
}

fn total(report: &Report<'_>) -> String {
    let written = match report.updated {
        0 => String::new(),
        number => format!(", {} written", counted(number as u64, "answer")),
    };
    format!(
        "{}: {} passed, {} failed; {}{written}, {}",
        counted(report.cases.len() as u64, "case"),
        report.passed,
        report.failed,
        counted(report.items as u64, "item"),
        duration(report.ms)
    )
}
