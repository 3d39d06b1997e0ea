//! `export`: a whole collection as NDJSON.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::common::StoreArg;
use super::job_args::name;
use super::print::{Printer, talk};
use super::spec::{body_line, counted, json_text};
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
    let failed = |error: std::io::Error| {
        Error::new(Code::StorageWrite, format!("{} cannot be written", path.display()))
            .because(error)
            .hint("check that the directory exists, may be written to, and has space")
    };
    let path = &target(reader.path(), path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(".atlas-export-")
        .permissions(usual_permissions())
        .tempfile_in(folder)
        .map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file());
    let rows = each_line(args, reader, |line| {
        out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(|error| Stop::Failed(failed(error)))
    })
    .map_err(|stop| match stop {
        Stop::Failed(error) => error,
        Stop::Closed => Error::new(Code::Internal, "BUG: a file was taken for a closed stdout"),
    })?;
    out.flush().map_err(failed)?;
    drop(out);
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    // Without this the new name may be lost with the power, though the bytes are safe.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(rows)
}

/// The file that is meant, behind any link. Refuses the store itself, which the export would destroy, and what is no
/// regular file: putting a file in the place of a device would destroy that.
fn target(store: &Path, path: &Path) -> Result<PathBuf> {
    let refuse =
        |why: &str, hint: &str| Err(Error::new(Code::ConfigInvalid, format!("{} {why}", path.display())).hint(hint));
    let Ok(there) = std::fs::canonicalize(path) else { return Ok(path.to_owned()) };
    if there == store {
        return refuse("is the store itself", "export to another file");
    }
    if !there.is_file() {
        return refuse("is no regular file", "leave out --to and redirect the output");
    }
    Ok(there)
}

/// As for a file that a shell redirection creates, less the user's mask; a temporary file is private otherwise.
fn usual_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
