//! Makes inputs for the host: see the README beside this file.

mod generator;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use generator::cases::Case;
use generator::manifest::Manifest;
use generator::tasks::{Options, Order, Profile, Tasks};
use generator::tickets;

/// Make inputs from a seed, with a manifest of what they must come to
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make small, flat items for measuring speed
    Tickets(TicketArguments),
    /// Make tasks with hierarchy and dependencies
    Tasks(TaskArguments),
    /// Make one of the standing cases
    Case(CaseArguments),
}

#[derive(Args)]
struct TicketArguments {
    /// Number of tickets
    #[arg(long)]
    count: u64,
    /// Percent of tickets that break one rule
    #[arg(long, default_value = "0", value_parser = percent)]
    invalid: u64,
    /// Seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File to write, - for standard output
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
struct TaskArguments {
    /// Seed; two seeds share no path
    #[arg(long)]
    seed: u64,
    /// Number of rows
    #[arg(long)]
    count: u64,
    /// How much is wrong with the rows
    #[arg(long)]
    profile: ProfileName,
    /// Order of the rows in the file
    #[arg(long, default_value = "topo")]
    order: OrderName,
    /// Number of projects; by default 10 for 1,000 rows, 60 for 10,000, 3,000 for a million
    #[arg(long)]
    projects: Option<u32>,
    /// Mix in updates, status changes, deletions and repeats; the item's id is then its key
    #[arg(long)]
    mixed: bool,
    /// File to write, - for standard output
    #[arg(long)]
    out: PathBuf,
    /// File for the manifest
    #[arg(long)]
    manifest: PathBuf,
}

#[derive(Args)]
struct CaseArguments {
    /// Which case
    name: CaseName,
    /// File to write, - for standard output
    #[arg(long)]
    out: PathBuf,
    /// File for the manifest
    #[arg(long)]
    manifest: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProfileName {
    Clean,
    Realistic,
    Hostile,
    Drift,
}

#[derive(Clone, Copy, ValueEnum)]
enum OrderName {
    Topo,
    Shuffled,
    Reverse,
}

#[derive(Clone, Copy, ValueEnum)]
enum CaseName {
    DiamondLadder,
    HundredByHundred,
    #[value(name = "chain-1000")]
    Chain1000,
    AllInvalid,
    LastInvalid,
    Empty,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads standard output may have enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &What) -> Result<()> {
    match what {
        What::Tickets(arguments) => {
            let options =
                tickets::Options { count: arguments.count, invalid_ppm: arguments.invalid, seed: arguments.seed };
            to_output(&arguments.out, |mut out| {
                tickets::write(&options, &mut out)?;
                out.flush()
            })
        }
        What::Tasks(arguments) => {
            let mut tasks = Tasks::new(arguments.options())?;
            let written = to_output(&arguments.out, |out| tasks.write(out))?;
            let mut manifest = tasks.manifest();
            manifest.finish(written);
            save(&manifest, &arguments.manifest)
        }
        What::Case(arguments) => {
            let case = arguments.name.case();
            let written = to_output(&arguments.out, |out| case.write(out))?;
            let mut manifest = case.manifest();
            manifest.finish(written);
            save(&manifest, &arguments.manifest)
        }
    }
}

impl TaskArguments {
    fn options(&self) -> Options {
        let profile = match self.profile {
            ProfileName::Clean => Profile::Clean,
            ProfileName::Realistic => Profile::Realistic,
            ProfileName::Hostile => Profile::Hostile,
            ProfileName::Drift => Profile::Drift,
        };
        let order = match self.order {
            OrderName::Topo => Order::Topo,
            OrderName::Shuffled => Order::Shuffled,
            OrderName::Reverse => Order::Reverse,
        };
        let Self { seed, count, projects, mixed, .. } = *self;
        Options { seed, count, profile, order, projects, mixed }
    }
}

impl CaseName {
    fn case(self) -> Case {
        match self {
            Self::DiamondLadder => Case::DiamondLadder,
            Self::HundredByHundred => Case::HundredByHundred,
            Self::Chain1000 => Case::Chain1000,
            Self::AllInvalid => Case::AllInvalid,
            Self::LastInvalid => Case::LastInvalid,
            Self::Empty => Case::Empty,
        }
    }
}

/// A share in percent, as parts per million.
fn percent(text: &str) -> Result<u64> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok((share * 10_000.0).round() as u64),
        _ => bail!("found {text:?}, wanted a number from 0 to 100; hint: --invalid 5"),
    }
}

fn to_output<T>(path: &Path, write: impl FnOnce(Box<dyn Write>) -> io::Result<T>) -> Result<T> {
    let out: Box<dyn Write> =
        if path == Path::new("-") { Box::new(io::stdout().lock()) } else { Box::new(create(path)?) };
    write(out).with_context(|| format!("cannot write {}", path.display()))
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot create {}; hint: its folder must exist", path.display()))
}

fn save(manifest: &Manifest, path: &Path) -> Result<()> {
    let mut out = BufWriter::new(create(path)?);
    serde_json::to_writer_pretty(&mut out, manifest)
        .map_err(io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}
