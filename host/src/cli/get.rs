//! `get`: items by id.

use clap::Args;
use serde_json::json;

use super::common::{OutputArg, StoreArg};
use super::job_args::name;
use super::print::{Printer, talk, width};
use super::runs::{self, PluginView, RunView};
use super::spec::{body_line, counted, fields, json_text, time};
use crate::error::Result;
use crate::model::{Name, printable};
use crate::store::{Lookup, Provenance, Reader};

/// Exit code where an id has no row: told apart from a store that failed.
const SOME_MISSING: u8 = 3;

/// Detail for the long help. Said here, since the list of verbs gives the first line.
const HELP: &str = "\
Prints each body as it is stored, byte for byte, and a line break after it, in the order of the ids; on a \
terminal control characters are shown as escapes. With `--output json` each item is one line: \
{\"collection\",\"id\",\"batch\",\"body\"}. An id without an item is told on stderr; the others are printed all the \
same, and the exit code is 3.

Example: atlas-host get task-17 --into tasks";

/// Print items by id
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct GetArgs {
    /// Ids of the items
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// Collection to look in
    #[arg(long, value_name = "COLLECTION", default_value = "items", value_parser = name)]
    pub into: Name,
    /// Tell where each item comes from instead: batch, run, plugins
    ///
    /// Names the batch and run that wrote the body last, the ordinals of the input that the batch read, and the plugins
    /// that worked on it, with their digests. As JSON one line per item.
    #[arg(long)]
    pub why: bool,
    #[command(flatten)]
    pub store: StoreArg,
    #[command(flatten)]
    pub output: OutputArg,
}

/// Exit code 0, or 3 if an id has no item.
pub fn run(args: GetArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    let mut missing = false;
    for (i, id) in args.ids.iter().enumerate() {
        if printer.closed() {
            break;
        }
        let found =
            if args.why { why(&args, &reader, id, i > 0, printer)? } else { body(&args, &reader, id, printer)? };
        if !found {
            printer.flush()?;
            talk(&format!("no item {} in `{}`", json_text(id), args.into));
            missing = true;
        }
    }
    Ok(if missing { SOME_MISSING } else { 0 })
}

fn body(args: &GetArgs, reader: &Reader, id: &str, printer: &mut Printer) -> Result<bool> {
    let Some(row) = reader.get(&args.into, id)? else { return Ok(false) };
    if args.output.json() {
        // Spliced rather than parsed and written anew: the body keeps its own bytes.
        printer.line(&format!(
            "{{\"collection\":{},\"id\":{},\"batch\":{},\"body\":{}}}",
            json_text(args.into.as_str()),
            json_text(&row.id),
            json!(row.batch),
            body_line(&args.into, &row.id, &row.body)?
        ))?;
    } else if width().is_some() {
        // A terminal obeys control characters; elsewhere the bytes are kept.
        row.body.lines().try_for_each(|line| printer.line(&printable(line)))?;
    } else {
        printer.line(&row.body)?;
    }
    Ok(true)
}

fn why(args: &GetArgs, reader: &Reader, id: &str, further: bool, printer: &mut Printer) -> Result<bool> {
    let Some(found) = reader.why(&args.into, id)? else { return Ok(false) };
    if args.output.json() {
        printer.json(&document(args, &found, reader))?;
        return Ok(true);
    }
    if further {
        printer.line("")?;
    }
    let mut lines = vec![("id", found.row.id.clone()), ("collection", args.into.to_string())];
    match &found.origin {
        None => lines.push(("written by", "no run: something else wrote it".to_owned())),
        Some(origin) => {
            let (batch, run) = (&origin.batch, &origin.run);
            lines.push((
                "batch",
                format!(
                    "{} of run {}, {} of the input from ordinal {}, written {}",
                    batch.number,
                    batch.run,
                    counted(batch.counts.read, "record"),
                    batch.first_ordinal,
                    time(batch.written_ms)
                ),
            ));
            let status = runs::status(run, runs::held(reader.path()));
            lines.push(("run", format!("{} ({}), began {}, {status}", run.run, run.uuid, time(run.started_ms))));
            lines.push(("inputs", runs::inputs(run).join("\n")));
            let plugins: Vec<String> = origin.plugins.iter().map(runs::plugin_line).collect();
            lines.push(("plugins", if plugins.is_empty() { "none".to_owned() } else { plugins.join("\n") }));
        }
    }
    printer.line(&fields(&lines))?;
    Ok(true)
}

fn document(args: &GetArgs, found: &Provenance, reader: &Reader) -> serde_json::Value {
    let origin = found.origin.as_ref();
    json!({
        "schema": runs::SCHEMA,
        "collection": args.into.as_str(),
        "id": found.row.id,
        "batch": origin.map(|o| runs::BatchView::of(&o.batch)),
        "run": origin.map(|o| RunView::of(&o.run, runs::held(reader.path()))),
        "plugins": origin.map(|o| o.plugins.iter().map(PluginView::of).collect::<Vec<_>>()),
    })
}
