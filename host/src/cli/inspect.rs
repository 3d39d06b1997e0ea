//! `inspect`: what a component is.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::common::OutputArg;
use super::plan;
use super::print::Printer;
use crate::coordinator::{Host, HostOptions, default_cache};
use crate::error::Result;
use crate::plugin::Inspection;

/// Show what a component exports, imports and asks for
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Component to look at
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Serialize)]
struct Inspected {
    schema: u32,
    file: String,
    digest: String,
    bytes: usize,
    /// True if the compiled artefact was in the cache.
    cached: bool,
    #[serde(flatten)]
    inspection: Inspection,
}

/// Exit code 0 if every file can fill a role, 4 if one cannot.
pub fn run(args: InspectArgs, printer: &mut Printer) -> Result<u8> {
    let host = Host::new(HostOptions { cache: default_cache(), compiler: plan::compiler(), ..HostOptions::default() })?;
    let mut code = 0;
    for file in &args.files {
        let plugin = host.load_plugin(file)?;
        let inspected = Inspected {
            schema: 1,
            file: plugin.file().to_owned(),
            digest: plugin.digest().to_string(),
            bytes: plugin.bytes().len(),
            cached: plugin.from_cache(),
            inspection: plugin.inspect(),
        };
        if !inspected.inspection.operation && !inspected.inspection.validator {
            code = 4;
        }
        if args.output.json() {
            printer.json(&inspected)?;
        } else {
            text(&inspected, printer)?;
        }
    }
    Ok(code)
}

fn text(inspected: &Inspected, printer: &mut Printer) -> Result<()> {
    let inspection = &inspected.inspection;
    let roles: Vec<&str> = [(inspection.operation, "operation"), (inspection.validator, "validator")]
        .into_iter()
        .filter_map(|(fits, role)| fits.then_some(role))
        .collect();
    printer.line(&inspected.file)?;
    printer.line(&format!("  digest    {}", inspected.digest))?;
    printer.line(&format!(
        "  size      {} bytes, compiled artefact {}",
        inspected.bytes,
        if inspected.cached { "in the cache" } else { "was not in the cache" }
    ))?;
    printer
        .line(&format!("  fits as   {}", if roles.is_empty() { "nothing".to_owned() } else { roles.join(" and ") }))?;
    for (title, lines) in [
        ("exports", inspection.exports.clone()),
        ("imports", inspection.imports.iter().map(|import| format!("{} ({})", import.name, import.status)).collect()),
    ] {
        let mut title = title;
        for line in if lines.is_empty() { vec!["nothing".to_owned()] } else { lines } {
            printer.line(&format!("  {title:<9} {line}"))?;
            title = "";
        }
    }
    if roles.is_empty() {
        for note in &inspection.notes {
            printer.line(&format!("  why       {note}"))?;
        }
    }
    Ok(())
}
