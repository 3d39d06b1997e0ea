//! `build`: a plugin project becomes a component.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::common::OutputArg;
use super::print::{Printer, talk};
use super::spec::{duration, fields};
use super::{Talk, plan};
use crate::author::{Built, Project, Tools, build, metadata};
use crate::coordinator::{Host, HostOptions, cache_folder, default_cache};
use crate::error::Result;
use crate::plugin::Inspection;

/// Compile a plugin project to a component with its language's own tools
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// Folder of the project
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Put the component here instead of build/NAME.wasm of the project
    #[arg(short, long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Serialize)]
struct Report {
    schema: u32,
    file: String,
    name: String,
    version: String,
    digest: String,
    bytes: usize,
    #[serde(flatten)]
    inspection: Inspection,
    tools: Vec<String>,
    ms: u64,
}

/// Exit code 0; what goes wrong is an error.
pub fn run(args: BuildArgs, talking: Talk, printer: &mut Printer) -> Result<u8> {
    let begin = Instant::now();
    let project = Project::open(&args.folder)?;
    let out = args.out.unwrap_or_else(|| project.component());
    let host = host()?;
    let built = with_tools(talking, |tools| build(&project, &out, &host, tools))?;
    let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let report = report(&project, &built, ms);
    if args.output.json() {
        printer.json(&report)?
    } else {
        printer.line(&text(&report))?
    }
    Ok(0)
}

/// A host that loads plugins for their authors.
pub fn host() -> Result<Host> {
    Host::new(HostOptions { cache: default_cache(), compiler: plan::compiler(), ..HostOptions::default() })
}

/// Work with a language's tools, telling on stderr what takes long.
pub fn with_tools<T>(talking: Talk, work: impl FnOnce(&Tools<'_>) -> T) -> T {
    let say = |text: &str| {
        if !talking.quiet {
            talk(text);
        }
    };
    work(&Tools::new(&say, cache_folder()))
}

fn report(project: &Project, built: &Built, ms: u64) -> Report {
    Report {
        schema: 1,
        file: built.path.display().to_string(),
        name: project.name.clone(),
        version: project.version.clone(),
        digest: built.plugin.digest().to_string(),
        bytes: built.plugin.bytes().len(),
        inspection: built.plugin.inspect(),
        tools: metadata(&built.plugin.bytes()).tools,
        ms,
    }
}

fn text(report: &Report) -> String {
    let imports = report.inspection.imports.iter().map(|import| format!("{} ({})", import.name, import.status));
    let imports: Vec<String> = imports.collect();
    fields(&[
        ("built", report.file.clone()),
        ("plugin", format!("{} {}", report.name, report.version)),
        ("size", format!("{} bytes", report.bytes)),
        ("digest", report.digest.clone()),
        ("exports", report.inspection.exports.join("\n")),
        ("imports", if imports.is_empty() { "nothing".to_owned() } else { imports.join("\n") }),
        ("made by", report.tools.join(", ")),
        ("time", duration(report.ms)),
    ])
}
