//! `runs tune`: another process changes the bounds of a run that is at work.

use std::time::Duration;

use clap::Args;

use super::{found, held, status};
use crate::cli::common::{OutputArg, StoreArg};
use crate::cli::job_args::AimArg;
use crate::cli::print::{Printer, table};
use crate::cli::units;
use crate::coordinator::{Tuning, tune};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::RunStatus;
use crate::store::Reader;
use crate::strategy::Interval;

#[derive(Args, Debug)]
pub struct TuneArgs {
    /// Number of the run
    #[arg(value_name = "RUN")]
    run: u64,
    /// Fix the batch size, or bound it
    #[arg(long, value_name = "N|MIN..MAX", value_parser = units::interval)]
    batch_size: Option<Interval>,
    /// Fix the number of lanes, or bound it; up to what the run began with
    #[arg(long, value_name = "N|MIN..MAX", value_parser = units::interval)]
    lanes: Option<Interval>,
    /// Aim at most items per second (throughput), or at short batches (latency), where the adaptive strategy plans
    #[arg(long, value_name = "AIM")]
    aim: Option<AimArg>,
    /// Keep 95 of 100 batches below this time from cut to commit, as far as the adaptive strategy can
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    max_batch_time: Option<Duration>,
    /// Keep the memory of the run's process below this, as far as the adaptive strategy can
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    memory_budget: Option<usize>,
    /// Try an item with a transient failure this many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::ATTEMPTS_LIMIT)))]
    attempts: Option<u32>,
    /// Wait this long for the run's answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    wait: Duration,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Tells the run, and prints what it changed.
pub fn run(args: &TuneArgs, printer: &mut Printer) -> Result<()> {
    let tuning = Tuning {
        batch_size: args.batch_size,
        lanes: args.lanes,
        aim: args.aim.map(Into::into),
        batch_time_max_us: args.max_batch_time.map(|time| time.as_micros() as u64),
        memory_budget: args.memory_budget.map(|bytes| bytes as u64),
        attempts: args.attempts,
    };
    if tuning == Tuning::default() {
        return Err(Error::new(Code::ConfigMissing, "nothing is to be changed")
            .hint("give --batch-size, --lanes, --aim, --max-batch-time, --memory-budget or --attempts"));
    }
    let reader = Reader::open(&args.store.store)?;
    let row = found(&reader, Some(args.run))?;
    let held = held(reader.path());
    if row.status != RunStatus::Running || !held {
        let message = format!("run {} is not at work: it is {}", row.run, status(&row, held));
        return Err(Error::new(Code::ConfigInvalid, message)
            .hint("`atlas-host runs list` shows which run is; a new one takes the flags themselves"));
    }
    let tuned = tune(reader.path(), &row.uuid, &tuning, args.wait)?;
    if let Some(error) = &tuned.error {
        let message = format!("run {} refused: {}", row.run, error.message);
        return Err(Error::new(Code::ConfigInvalid, message).hint(error.hint.clone()));
    }
    if args.output.json() {
        return printer.json(&tuned);
    }
    let rows = tuned.applied.into_iter().map(|applied| vec![applied.setting, applied.was, applied.value]);
    printer.line(&table(&["setting", "was", "is now"], rows.collect()))
}
