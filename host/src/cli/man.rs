//! `man`: the manual page, or that of one subcommand.

use clap::{Args, CommandFactory};

use super::Cli;
use super::print::Printer;
use crate::error::{Code, Error, Result};
use crate::model::nearest;

/// Print the manual page
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Subcommand whose page is wanted; without it the page of the program
    command: Option<String>,
}

/// The page in roff, on stdout.
pub fn run(args: ManArgs, printer: &mut Printer) -> Result<u8> {
    let mut command = Cli::command();
    command.build();
    let page = match &args.command {
        None => command,
        Some(name) => match command.find_subcommand(name) {
            Some(found) => found.clone().name(format!("atlas-host-{name}")).display_name(format!("atlas-host-{name}")),
            None => {
                let known: Vec<&str> = command.get_subcommands().map(|command| command.get_name()).collect();
                let hint = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("the subcommands are {}", known.join(", ")),
                };
                return Err(Error::new(Code::ConfigInvalid, format!("no subcommand is called {name:?}")).hint(hint));
            }
        },
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(|error| Error::new(Code::Internal, format!("the page cannot be made: {error}")))?;
    printer.write(&text)?;
    Ok(0)
}
