//! Plugins that are exchanged while a run goes on: what that costs, and that nothing is lost by it. See the README beside this.

mod live;
mod process;
mod soak;
mod times;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use live::Component;

/// Exchange plugins under load
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Exchange the components for each other many times, and look for anything lost, doubled, mixed or growing
    Soak(Common),
    /// Measure the time from a new plugin to its effect, and what the batches take meanwhile
    Times(Common),
}

#[derive(Args)]
struct Common {
    /// A component that works as an operation; all of them answer tickets alike
    #[arg(long = "component", required = true)]
    components: Vec<PathBuf>,
    /// How many exchanges, of each kind
    #[arg(long, default_value = "200", value_parser = clap::value_parser!(u64).range(1..))]
    swaps: u64,
    /// The command `atlas-host`, which compiles components in a process of its own; else they are compiled in this one
    #[arg(long)]
    host: Option<PathBuf>,
    /// Write the figures here, as JSON, as well
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let (report, table, file) = match Arguments::parse().what {
        What::Soak(common) => {
            let soak = soak::soak(&components(&common)?, common.swaps, common.host)?;
            (serde_json::to_string_pretty(&soak)?, soak.table(), common.json)
        }
        What::Times(common) => {
            let times = times::times(&components(&common)?[0], common.swaps, common.host)?;
            (serde_json::to_string_pretty(&times)?, times.table(), common.json)
        }
    };
    print!("{table}");
    if let Some(file) = file {
        std::fs::write(&file, report).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn components(common: &Common) -> Result<Vec<Component>> {
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok(Component { name: path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into()), bytes })
    };
    common.components.iter().map(read).collect()
}
