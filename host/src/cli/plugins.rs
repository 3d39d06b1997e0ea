//! `plugins`: what a store keeps of plugins, and the exchange of one while a run goes on.

mod export;
mod gc;
mod history;
mod list;
mod lock;
mod swap;
mod verify;
mod which;

use std::path::Path;

use clap::{Args, Subcommand};

use super::Talk;
use super::print::Printer;
use crate::error::Result;
use crate::model::Name;

/// Detail for the long help. Said here, since the list of verbs gives the first line.
const HELP: &str = "\
Every plugin that filled a slot is kept in the store with its bytes, under their digest. A run that is at work takes a new \
one for a slot between two batches, once it has passed its trial; if it then does worse than the old one, that comes back.";

/// List plugins, exchange one while a run goes on, put an earlier one back
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct PluginsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List the plugins that runs used: where, how large, which are in force
    ///
    /// In force is what filled a slot last. With `--output json` one plugin per line; bytes are null where they were let go.
    List(list::ListArgs),
    /// List what became of plugins that were to take the place of others while a run went on
    ///
    /// With `--output json` one step per line, with what was measured.
    ///
    /// Example: atlas-host plugins history tidy --run 3
    History(history::HistoryArgs),
    /// Give a slot of a run that is at work another plugin
    ///
    /// The run checks and compiles it, starts it in a fresh sandbox, and runs it beside the old one on items of late. If it
    /// passes, it works from the next batch on, at first on probation. The exit code is 0 if it is in effect, 4 if it was
    /// refused, put back or replaced, 5 if the run was killed before that was known, 6 if the time was over.
    ///
    /// Example: atlas-host plugins swap tidy tidy-v2.wasm
    Swap(swap::SwapArgs),
    /// Put an earlier plugin back into a slot, through the same steps as a new one
    ///
    /// The one that filled it before, or with --to any that the store keeps; its bytes come from there. Exit codes as for
    /// `plugins swap`.
    ///
    /// Example: atlas-host plugins rollback tidy --to 15ebb504
    Rollback(swap::RollbackArgs),
    /// Write a plugin that the store keeps to a file
    ///
    /// Example: atlas-host plugins export 15ebb504 tidy-v1.wasm
    Export(export::ExportArgs),
    /// Lock images of registries at what their tags name now, or list those that are locked
    ///
    /// A tag that atlas.lock has stays at the image that stands there, for every command, wherever the tag moves; --update moves
    /// it on. Whatever needs the image then finds it in the cache. An entry that is no longer wanted can be taken out by hand.
    /// With `--output json` one reference per line.
    ///
    /// Example: atlas-host plugins lock oci://ghcr.io/acme/ticket-tidy:1 --update
    Lock(lock::LockArgs),
    /// Compare the bytes of plugins with their digests
    ///
    /// The exit code is 0 if they agree, and 5 if one does not.
    Verify(verify::VerifyArgs),
    /// Let bytes go that nobody needs
    ///
    /// Kept are those of the newest runs, of every run that did not finish or has open dead letters, of the chains that made
    /// a row which is still stored, and, for each collection and slot, of the last two plugins that `plugins rollback` may
    /// put back. Digests and names stay.
    Gc(gc::GcArgs),
}

/// Exit code 0, or what the verb says.
pub fn run(args: PluginsArgs, config: Option<&Path>, talk: Talk, printer: &mut Printer) -> Result<u8> {
    match args.verb {
        Verb::List(args) => list::run(&args, printer),
        Verb::History(args) => history::run(&args, printer),
        Verb::Swap(args) => swap::run(&args, config, talk, printer),
        Verb::Rollback(args) => swap::rollback(&args, printer),
        Verb::Export(args) => export::run(&args),
        Verb::Lock(args) => lock::run(&args, config, printer),
        Verb::Verify(args) => verify::run(&args, printer),
        Verb::Gc(args) => gc::run(&args, printer),
    }
}

fn slot(text: &str) -> Result<Name, String> {
    super::job_args::name(text)
}
