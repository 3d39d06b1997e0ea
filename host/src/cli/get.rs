//! `get`: items by id.

use clap::Args;
use serde_json::json;

use super::common::{OutputArg, StoreArg};
use super::job_args::name;
use super::print::{Printer, talk, width};
use super::spec::{body_line, json_text};
use crate::error::Result;
use crate::model::{Name, printable};
use crate::store::{Lookup, Reader};

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
    #[command(flatten)]
    pub store: StoreArg,
    #[command(flatten)]
    pub output: OutputArg,
}

/// Exit code 0, or 3 if an id has no item.
pub fn run(args: GetArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    let mut missing = false;
    for id in &args.ids {
        if printer.closed() {
            break;
        }
        if !body(&args, &reader, id, printer)? {
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
