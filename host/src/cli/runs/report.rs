//! `runs report`: a run as a page.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::view::{held, inputs, items_per_s, lasted_ms, status_of};
use super::{PAGE, found};
use crate::cli::common::{OutputArg, StoreArg};
use crate::cli::history::{Chain, past_runs};
use crate::cli::plan::cores;
use crate::cli::print::{Printer, talk};
use crate::cli::spec::time;
use crate::cli::whole_file::write_whole;
use crate::error::{Code, Error, Result};
use crate::limits::{EVENT_LINE_BYTES_MAX, REPORT_ITEM_BYTES_MAX, REPORT_PROBLEMS_MAX, REPORT_RUNS_MAX};
use crate::model::{BatchNumber, RunNumber, now_ms};
use crate::monitor::{ItemTimes, PerformanceReport, recommend};
use crate::report::{BatchFold, EarlierRun, Facts, Problem, Recorded, Report, Sample, Sources, page};
use crate::store::{LetterFilter, Reader, RunRow, SqlValue, SwapRow};

/// Runs of one job from which on no others are put beside them.
const SAME_JOB_ENOUGH: usize = 2;

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// Number of the run; the newest if left out
    #[arg(value_name = "RUN")]
    run: Option<u64>,
    /// Write to this file, or to standard output (-); a file that is there is replaced
    #[arg(short = 'o', long = "to", value_name = "FILE", default_value = "-")]
    to: PathBuf,
    /// Events that the run recorded, for finer detail
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

pub(super) fn run(args: &ReportArgs, printer: &mut Printer) -> Result<()> {
    let to_stdout = args.to.as_os_str() == "-";
    if to_stdout && !args.output.json() && std::io::stdout().is_terminal() {
        return Err(Error::new(Code::ConfigInvalid, "a page is nothing for a terminal")
            .hint("name a file: `-o report.html`; or `--output json`"));
    }
    let mut reader = Reader::open(&args.store.store)?;
    let row = found(&reader, args.run)?;
    let number = row.run;
    let report = Report::of(sources(&mut reader, row, args)?);
    if to_stdout {
        return if args.output.json() { printer.json_pretty(&report) } else { printer.line(&page(&report)) };
    }
    let mut text = match args.output.json() {
        true => serde_json::to_string_pretty(&report)
            .map_err(|error| Error::new(Code::Internal, format!("a report cannot be written as JSON: {error}")))?,
        false => page(&report),
    };
    text.push('\n');
    write_whole(reader.path(), &args.to, |out, failed| out.write_all(text.as_bytes()).map_err(failed))?;
    talk(&format!("report of run {number} written to {} ({} KB)", args.to.display(), text.len().div_ceil(1000)));
    Ok(())
}

fn sources(reader: &mut Reader, run: RunRow, args: &ReportArgs) -> Result<Sources> {
    let recorded = args.events.as_deref().map(|path| recorded(path, &run)).transpose()?;
    let plans = reader.plans(run.run)?;
    let swaps: Vec<SwapRow> = reader.swaps(Some(run.run), None)?.into_iter().map(|entry| entry.step).collect();
    let at_plans = plans.iter().map(|plan| plan.batch.0);
    let at_swaps = swaps.iter().filter_map(|step| step.batch).map(|batch| batch.0);
    let mut fold = BatchFold::new(at_plans.chain(at_swaps), run.atomic == "run").of_plugins(reader.plugins(run.run)?);
    each_batch(reader, &run, |batch| fold.push(batch))?;
    fold.end();
    let problems = problems(reader, run.run)?;
    let other_problems = run.counts.failed().saturating_sub(problems.iter().map(|problem| problem.items).sum());
    let (past, past_basis, past_times) = past(reader, &run)?;
    let chain = Chain::of_run(reader, run.run)?;
    let history = past_runs(reader, &run.collection, &chain)?;
    let held = held(reader.path());
    let facts = Facts {
        status: status_of(&run, held),
        duration_ms: lasted_ms(&run, held),
        items_per_s: items_per_s(&run, held),
        started: time(run.started_ms),
        ended: run.ended_ms.map(time),
        made: time(now_ms()),
        inputs: inputs(&run),
        store: args.store.store.display().to_string(),
    };
    Ok(Sources {
        facts,
        fold,
        plans,
        swaps,
        problems,
        other_problems,
        recorded,
        past,
        past_basis,
        past_times,
        recommendations: Some(recommend(&history, cores())),
        run,
    })
}

/// The batches that the run's row counts; a run at work may have committed more since.
fn each_batch(reader: &Reader, run: &RunRow, mut each: impl FnMut(&crate::store::BatchRow)) -> Result<()> {
    let mut from = BatchNumber(0);
    loop {
        let page = reader.batches(run.run, from, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        from = BatchNumber(last.number.0 + 1);
        page.iter().filter(|batch| batch.number.0 < run.batches).for_each(&mut each);
        if from.0 >= run.batches {
            return Ok(());
        }
    }
}

/// Errors: CONFIG_3001 if the file cannot be read, or has nothing of this run.
fn recorded(path: &Path, run: &RunRow) -> Result<Recorded> {
    let failed = |error: std::io::Error| {
        Error::new(Code::ConfigInvalid, format!("the events in {} cannot be read", path.display()))
            .because(error)
            .hint("name the file that `run --events FILE` wrote")
    };
    let mut recorded = Recorded::of(&run.uuid);
    let mut lines = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    // A line that is longer comes in pieces, which are no events.
    while lines.by_ref().take(EVENT_LINE_BYTES_MAX as u64).read_until(b'\n', &mut line).map_err(failed)? > 0 {
        recorded.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    if !recorded.found() {
        return Err(Error::new(
            Code::ConfigInvalid,
            format!("{} has no events of run {} ({})", path.display(), run.run, run.uuid),
        )
        .hint("name the file that this run wrote, or leave out --events"));
    }
    Ok(recorded)
}

fn problems(reader: &mut Reader, run: RunNumber) -> Result<Vec<Problem>> {
    let mut problems: Vec<(Problem, i64)> = Vec::new();
    let sql = format!(
        "SELECT code, phase, fate, slot, count(*), min(id) FROM atlas_dead_letters WHERE run = {run}
         GROUP BY code, phase, fate, slot ORDER BY count(*) DESC, min(id)"
    );
    reader.sql(&sql, Some(REPORT_PROBLEMS_MAX), |_, values| -> Result<()> {
        let text = |i: usize| match values.get(i) {
            Some(SqlValue::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let number = |i: usize| if let Some(SqlValue::Integer(n)) = values.get(i) { *n } else { 0 };
        let problem = Problem {
            code: text(0),
            phase: text(1),
            fate: text(2),
            slot: Some(text(3)).filter(|slot| !slot.is_empty()),
            items: u64::try_from(number(4)).unwrap_or(0),
            sample: None,
        };
        problems.push((problem, number(5)));
        Ok(())
    })?;
    let ids = problems.iter().map(|(_, id)| *id).collect::<Vec<_>>();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let letters = reader.dead_letters(&LetterFilter { ids, ..LetterFilter::default() }, 0, problems.len())?;
    for (problem, id) in &mut problems {
        problem.sample = letters.iter().find(|letter| letter.id == *id).map(|letter| Sample {
            dead_letter: letter.id,
            id: letter.item_id.clone(),
            input: letter.input.clone(),
            line: letter.line,
            message: letter.message.clone(),
            original: letter
                .original
                .as_deref()
                .map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(REPORT_ITEM_BYTES_MAX)]).into_owned()),
        });
    }
    Ok(problems.into_iter().map(|(problem, _)| problem).collect())
}

/// This run and those before it of the same job; of the same collection where that job ran for the first time.
fn past(reader: &mut Reader, run: &RunRow) -> Result<(Vec<EarlierRun>, String, Option<ItemTimes>)> {
    let job = run.job.replace('\'', "''");
    let of_job = numbers(reader, &format!("job = '{job}' AND id <= {}", run.run))?;
    let (numbers, basis) = if of_job.len() >= SAME_JOB_ENOUGH {
        (of_job, "of the same job".to_owned())
    } else {
        let same = format!("collection = '{}' AND id <= {}", run.collection, run.run);
        (numbers(reader, &same)?, format!("into {}, since this job ran for the first time", run.collection))
    };
    let held = held(reader.path());
    let (mut past, mut buckets) = (Vec::new(), Vec::new());
    for number in numbers.into_iter().rev() {
        let Some(row) = reader.run(number)? else { continue };
        let measured = row.performance_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
        buckets.extend(measured.map(|measured: PerformanceReport| measured.item_ns_buckets));
        past.push(EarlierRun {
            run: number.0,
            status: status_of(&row, held).as_str(),
            started: time(row.started_ms),
            items: row.counts.read,
            duration_ms: lasted_ms(&row, held),
            items_per_s: items_per_s(&row, held),
            error_share: (row.counts.read > 0).then(|| row.counts.failed() as f64 / row.counts.read as f64),
        });
    }
    Ok((past, basis, ItemTimes::over(buckets.iter().map(Vec::as_slice))))
}

/// Newest first.
fn numbers(reader: &mut Reader, condition: &str) -> Result<Vec<RunNumber>> {
    let mut numbers = Vec::new();
    let sql = format!("SELECT id FROM atlas_runs WHERE {condition} ORDER BY id DESC");
    reader.sql(&sql, Some(REPORT_RUNS_MAX as u64), |_, values| -> Result<()> {
        if let [SqlValue::Integer(id)] = values {
            numbers.extend(u64::try_from(*id).map(RunNumber));
        }
        Ok(())
    })?;
    Ok(numbers)
}
