//! `plugins lock`: what `atlas.lock` says, and what is done about it.

use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::cli::common::OutputArg;
use crate::cli::locations::{Locations, Tags};
use crate::cli::lock::{self, LockFile, Locked};
use crate::cli::print::{Printer, talk};
use crate::cli::runs::SCHEMA;
use crate::cli::spec::print_table;
use crate::coordinator::cache_folder;
use crate::error::{Code, Error, Result};
use crate::plugin::{Location, Reference, Registry};

#[derive(Args, Debug)]
pub struct LockArgs {
    /// Images to be locked at what their tags name now: oci://HOST[:PORT]/REPOSITORY[:TAG]
    #[arg(value_name = "REFERENCE")]
    references: Vec<String>,
    /// Move those on too that are locked already
    #[arg(long, requires = "references")]
    update: bool,
    #[command(flatten)]
    output: OutputArg,
}

/// Exit code 0. `config` is the configuration in use, if there is one.
pub fn run(args: &LockArgs, config: Option<&Path>, printer: &mut Printer) -> Result<u8> {
    let path = lock::place(config);
    if args.references.is_empty() {
        return list(&path, args, printer);
    }
    let references: Vec<Reference> = args.references.iter().map(|text| tagged(text)).collect::<Result<_>>()?;
    let registry = Registry { cache: cache_folder() };
    for reference in &references {
        let before = LockFile::read(&path)?.get(reference).cloned();
        let now = match &before {
            Some(locked) if !args.update => {
                // What is not in the cache is pulled into it.
                Locations::new(config, Tags::Look).take(&Location::Image(reference.clone()))?;
                locked.clone()
            }
            _ => lock::keep(&path, reference, Locked::of(&registry.pull(reference)?), args.update)?,
        };
        let before = before.map(|locked| locked.manifest);
        if args.output.json() {
            let before = before.map(|manifest| manifest.to_string());
            let mut document = document(&reference.to_string(), &now);
            document["before"] = json!(before);
            printer.json(&document)?;
            continue;
        }
        let manifest = now.manifest;
        printer.line(&match before {
            None => format!("{reference} is locked at {manifest}"),
            Some(before) if before != manifest => format!("{reference} moves from {before} to {manifest}"),
            Some(_) if args.update => format!("{reference} stays at {manifest}: its tag has not moved"),
            Some(_) => format!("{reference} stays at {manifest}; --update moves it on"),
        })?;
    }
    Ok(0)
}

/// A reference that can be locked.
fn tagged(text: &str) -> Result<Reference> {
    let reference = Reference::parse(text)?;
    match reference.digest() {
        None => Ok(reference),
        Some(_) => Err(Error::new(Code::ConfigInvalid, format!("{reference} has a digest, so that it needs no lock"))
            .hint("lock references that have a tag only")),
    }
}

fn list(path: &Path, args: &LockArgs, printer: &mut Printer) -> Result<u8> {
    let file = LockFile::read(path)?;
    let mut rows = Vec::new();
    for (reference, locked) in file.entries() {
        match args.output.json() {
            true => printer.json(&document(reference, locked))?,
            false => {
                rows.push(vec![reference.to_owned(), locked.manifest.short(), locked.size.to_string()]);
            }
        }
    }
    if file.entries().next().is_none() {
        talk(&format!("nothing is locked in {}", path.display()));
    } else if !rows.is_empty() {
        print_table(printer, &["reference", "manifest", "bytes"], rows, &["bytes", "manifest"])?;
    }
    Ok(0)
}

fn document(reference: &str, locked: &Locked) -> serde_json::Value {
    json!({
        "schema": SCHEMA,
        "reference": reference,
        "manifest": locked.manifest.to_string(),
        "layer": locked.layer.to_string(),
        "bytes": locked.size,
    })
}
