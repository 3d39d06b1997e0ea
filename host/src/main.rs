//! The command `atlas-host`. See `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(atlas_host::cli::main(std::env::args_os().collect()))
}
