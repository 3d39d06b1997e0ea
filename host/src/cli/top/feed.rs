//! Looks at the store. Each look opens it for reading and closes it again: between two looks nothing is held that could keep
//! the writer from resetting its log, and a store that is replaced is seen.

use std::path::{Path, PathBuf};

use super::picture::{Failure, Step};
use super::rows::Snapshot;
use super::told::{Health, STEPS_KEPT};
use crate::cli::runs::held;
use crate::error::{Code, Result};
use crate::model::{BatchNumber, RunNumber, RunStatus};
use crate::store::{BatchRow, Reader, RunRow, SqlValue};

/// Batches read at a look, and so many of the past at the first.
const BATCHES_A_LOOK: usize = 2000;
/// Failed items looked at, the newest.
const LETTERS_A_LOOK: usize = 1000;
/// Codes shown.
const CODES_SHOWN: usize = 20;
/// A run that is silent for so long may have lost its process.
const SILENT_MS: i64 = 3000;

/// What a look found.
#[derive(Debug)]
pub enum Look {
    /// No run; the text says why.
    Nothing(String),
    /// The newest run.
    Run(Box<Snapshot>),
}

/// See the module.
#[derive(Debug)]
pub struct Feed {
    path: PathBuf,
    /// Run and execution seen last, and the first batch not seen.
    seen: Option<(RunNumber, u64, u64)>,
    /// Newest sign of life.
    alive_ms: i64,
    asked_ms: i64,
    gone: bool,
}

impl Feed {
    /// Of this store, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None, alive_ms: 0, asked_ms: 0, gone: false }
    }

    /// Looks at the newest run. `heard_ms` is the time of the newest event, if events are followed.
    ///
    /// Errors: what is there is no store, or cannot be read.
    pub fn look(&mut self, now_ms: i64, heard_ms: Option<i64>, failures: bool) -> Result<Look> {
        let mut reader = match Reader::open(&self.path) {
            Ok(reader) => reader,
            // A store that is not there yet, or not yet more than a name, may come.
            Err(error) if error.code() == Code::StorageOpen && !self.path.is_dir() => {
                return Ok(Look::Nothing(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        let Some(run) = reader.runs(1)?.pop() else {
            return Ok(Look::Nothing(format!("{} has no run yet", self.path.display())));
        };
        let batches = self.batches(&reader, &run)?;
        let alive_ms = batches.last().map_or(run.started_ms, |batch| batch.written_ms).max(heard_ms.unwrap_or(0));
        if alive_ms > self.alive_ms {
            self.alive_ms = alive_ms;
            self.gone = false;
        }
        self.gone = run.status == RunStatus::Running && self.is_gone(&reader, now_ms);
        let (steps, health) = steps(&mut reader, run.run)?;
        Ok(Look::Run(Box::new(Snapshot {
            gone: self.gone,
            plugins: reader.plugins(run.run)?,
            batches,
            steps,
            health,
            failures: failures.then(|| self::failures(&mut reader, run.run)).transpose()?,
            run,
        })))
    }

    /// Asks the lock only when the run was silent for a while, and then now and then: a run that begins at the very moment
    /// in which it is asked would be refused.
    fn is_gone(&mut self, reader: &Reader, now_ms: i64) -> bool {
        let silent = now_ms - self.alive_ms > SILENT_MS;
        if silent && !self.gone && now_ms - self.asked_ms > SILENT_MS {
            self.asked_ms = now_ms;
            return !held(reader.path());
        }
        self.gone && silent
    }

    fn batches(&mut self, reader: &Reader, run: &RunRow) -> Result<Vec<BatchRow>> {
        let from = match self.seen {
            Some((number, epoch, from)) if (number, epoch) == (run.run, run.epoch) => from,
            _ => {
                (self.alive_ms, self.asked_ms, self.gone) = (0, 0, false);
                run.batches.saturating_sub(BATCHES_A_LOOK as u64)
            }
        };
        let batches = reader.batches(run.run, BatchNumber(from), BATCHES_A_LOOK)?;
        let next = batches.last().map_or(from, |batch| batch.number.0 + 1);
        self.seen = Some((run.run, run.epoch, next));
        Ok(batches)
    }
}

/// The newest plans, oldest first, and what the last of them knew of the machine. All signals of a long run would be much.
fn steps(reader: &mut Reader, run: RunNumber) -> Result<(Vec<Step>, Option<Health>)> {
    let sql = format!(
        "SELECT batch, batch_size, lanes, old_batch_size, old_lanes, reason,
         signals ->> '$.cpu_share', signals ->> '$.memory_share', signals ->> '$.process_bytes'
         FROM atlas_plans WHERE run = {run} ORDER BY batch DESC LIMIT {STEPS_KEPT}"
    );
    let (mut steps, mut health) = (Vec::new(), None);
    reader.sql(&sql, None, |_, values| -> Result<()> {
        let [batch, size, lanes, old_size, old_lanes, SqlValue::Text(reason), cpu, memory, process] = values else {
            return Ok(());
        };
        steps.push(Step {
            batch: number(batch).unwrap_or(0),
            batch_size: number(size).unwrap_or(0),
            lanes: number(lanes).unwrap_or(0),
            old_batch_size: number(old_size),
            old_lanes: number(old_lanes),
            reason: reason.clone(),
        });
        health.get_or_insert(Health {
            status: None,
            cpu_share: share(cpu),
            memory_share: share(memory),
            process_bytes: number(process),
        });
        Ok(())
    })?;
    steps.reverse();
    Ok((steps, health))
}

fn failures(reader: &mut Reader, run: RunNumber) -> Result<Vec<Failure>> {
    // The other columns are those of the row with the largest ordinal.
    let sql = format!(
        "SELECT code, coalesce(slot, ''), count(*), coalesce(item_id, ''), substr(message, 1, 400), max(ordinal) FROM
         (SELECT code, slot, item_id, message, ordinal FROM atlas_dead_letters
          WHERE run = {run} ORDER BY ordinal DESC LIMIT {LETTERS_A_LOOK})
         GROUP BY code, slot ORDER BY count(*) DESC, code LIMIT {CODES_SHOWN}"
    );
    let mut failures = Vec::new();
    reader.sql(&sql, None, |_, values| -> Result<()> {
        if let [SqlValue::Text(code), SqlValue::Text(slot), items, SqlValue::Text(id), SqlValue::Text(message), _] =
            values
        {
            failures.push(Failure {
                code: code.clone(),
                slot: slot.clone(),
                items: number(items).unwrap_or(0),
                id: id.clone(),
                message: message.clone(),
            });
        }
        Ok(())
    })?;
    Ok(failures)
}

fn number(value: &SqlValue) -> Option<u64> {
    match value {
        SqlValue::Integer(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

fn share(value: &SqlValue) -> Option<f64> {
    match value {
        SqlValue::Real(share) => Some(*share),
        SqlValue::Integer(n) => Some(*n as f64),
        _ => None,
    }
}
