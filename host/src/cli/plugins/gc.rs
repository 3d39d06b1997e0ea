//! `plugins gc`.

use clap::Args;

use super::list::document;
use crate::cli::common::{OutputArg, StoreArg};
use crate::cli::print::{Printer, talk};
use crate::cli::spec::{counted, print_table};
use crate::error::Result;
use crate::store::{Durability, StoreOptions, Writer};

#[derive(Args, Debug)]
pub struct GcArgs {
    /// Keep the plugins of so many of the newest runs
    #[arg(long, value_name = "N", default_value = "10")]
    keep_runs: u64,
    /// Tell what would go, and let nothing go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Exit code 0.
pub fn run(args: &GcArgs, printer: &mut Printer) -> Result<u8> {
    let path = args.store.store.clone();
    let mut writer = Writer::open(&StoreOptions { path, durability: Durability::Full, create: false })?;
    let gone = writer.forget_plugins(args.keep_runs, !args.dry_run)?;
    if args.output.json() {
        gone.iter().try_for_each(|plugin| printer.json(&document(plugin)))?;
    } else if !gone.is_empty() {
        let row = |plugin: &crate::store::KeptPlugin| {
            let bytes = plugin.bytes.map_or(String::new(), |bytes| bytes.to_string());
            vec![plugin.digest.short(), plugin.slots.join(", "), bytes, plugin.name.clone()]
        };
        print_table(printer, &["digest", "slots", "bytes", "file"], gone.iter().map(row).collect(), &["bytes"])?;
    }
    printer.flush()?;
    let bytes: u64 = gone.iter().filter_map(|plugin| plugin.bytes).sum();
    let what = counted(gone.len() as u64, "plugin");
    talk(&match (gone.is_empty(), args.dry_run) {
        (true, _) => "every plugin that is kept is needed".to_owned(),
        (_, true) => format!("{bytes} bytes of {what} would go; nothing was changed"),
        (_, false) => format!("{bytes} bytes of {what} are let go; the file keeps its size until it is compacted"),
    });
    Ok(0)
}
