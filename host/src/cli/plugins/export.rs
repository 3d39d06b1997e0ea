//! `plugins export`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::which;
use crate::cli::common::StoreArg;
use crate::cli::dead_letters::digits;
use crate::cli::print::talk;
use crate::cli::whole_file::write_whole;
use crate::error::Result;
use crate::model::printable;
use crate::store::Reader;

#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Its digest; the first digits do
    #[arg(value_name = "DIGEST", value_parser = digits)]
    digest: String,
    /// Write it to this file; one that is there is replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    store: StoreArg,
}

/// Exit code 0.
pub fn run(args: &ExportArgs) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    let plugin = which::kept(&reader, &args.digest)?;
    let bytes = which::bytes(&reader, &plugin.digest, "a plugin that is used again is kept again")?;
    let count = bytes.len();
    write_whole(reader.path(), &args.file, |out, failed| out.write_all(&bytes).map_err(failed))?;
    let name = printable(&plugin.name);
    talk(&format!("{} has {count} bytes of {}, first seen as {name}", args.file.display(), plugin.digest));
    Ok(0)
}
