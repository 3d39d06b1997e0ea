//! `completions`: a script for the shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::print::Printer;
use crate::error::Result;

/// Print a completion script for a shell
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// Shell to complete in
    shell: Shell,
}

/// The script, on stdout.
pub fn run(args: CompletionsArgs, printer: &mut Printer) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "atlas-host", &mut script);
    printer.write(&script)?;
    Ok(0)
}
