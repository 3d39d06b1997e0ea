//! `export`: a whole collection as NDJSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::common::StoreArg;
use super::job_args::name;
use super::print::{Printer, talk};
use super::spec::{body_line, counted, json_text};
use super::whole_file::write_whole;
use crate::error::{Code, Error, Result};
use crate::model::Name;
use crate::store::Reader;

/// Detail for the long help. Said here, since the list of verbs gives the first line.
const HELP: &str = "\
Writes NDJSON: one line per item, sorted by the bytes of the ids, from one consistent state, also while a \
run goes on. The lines are the bodies' own bytes, so equal collections give equal files; only a line break \
inside a body becomes a space. A file is written under another name first, synced, and then put in place: it \
is there whole or not at all.

Example: atlas-host export --into tasks --to tasks.ndjson";

/// Print a whole collection, sorted by id
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct ExportArgs {
    /// Collection to export
    #[arg(long, value_name = "COLLECTION", default_value = "items", value_parser = name)]
    pub into: Name,
    /// Write to this file, or to standard output (-); a file that is there is replaced
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub to: PathBuf,
    /// Write {"id":…,"body":…} instead of the body alone
    #[arg(long)]
    pub with_id: bool,
    #[command(flatten)]
    pub store: StoreArg,
}

/// Why a listing stops: nobody reads any more, or an error.
pub(super) enum Stop {
    /// stdout was closed, which is no error.
    Closed,
    /// Something failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

/// Exit code 0.
pub fn run(args: ExportArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    if args.to.as_os_str() == "-" {
        let printed = each_line(&args, &reader, |line| {
            printer.line(line)?;
            if printer.closed() { Err(Stop::Closed) } else { Ok(()) }
        });
        match printed {
            Ok(0) => talk(&format!("collection `{}` is empty", args.into)),
            Ok(_) | Err(Stop::Closed) => {}
            Err(Stop::Failed(error)) => return Err(error),
        }
    } else {
        let rows = to_file(&args, &reader, &args.to)?;
        talk(&format!("{} of `{}` written to {}", counted(rows, "item"), args.into, args.to.display()));
    }
    Ok(0)
}

fn each_line(args: &ExportArgs, reader: &Reader, mut write: impl FnMut(&str) -> Result<(), Stop>) -> Result<u64, Stop> {
    reader.export(&args.into, |id, body| {
        let body = body_line(&args.into, id, body)?;
        if args.with_id { write(&format!("{{\"id\":{},\"body\":{body}}}", json_text(id))) } else { write(&body) }
    })
}

/// Whole or not at all. Errors: STORAGE_2002 naming the file; then what was there before is still there.
fn to_file(args: &ExportArgs, reader: &Reader, path: &Path) -> Result<u64> {
    write_whole(reader.path(), path, |out, failed| {
        let line = |line: &str| {
            out.write_all(line.as_bytes())
                .and_then(|()| out.write_all(b"\n"))
                .map_err(|error| Stop::Failed(failed(error)))
        };
        each_line(args, reader, line).map_err(|stop| match stop {
            Stop::Failed(error) => error,
            Stop::Closed => Error::new(Code::Internal, "BUG: a file was taken for a closed stdout"),
        })
    })
}
