//! Runs and their batches, as rows that are read.

use rusqlite::{Connection, Row};
use serde::Serialize;

use crate::error::{Code, Result};
use crate::model::{
    BatchMetrics, BatchNumber, ChunkSpan, Counts, Digest, Name, PluginMetrics, Position, RunNumber, RunStatus,
};
use crate::store::failure::{OrFail, int, uint};
use crate::store::kept;

/// One run as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub run: RunNumber,
    pub uuid: String,
    pub job: String,
    pub status: RunStatus,
    pub collection: Name,
    pub started_ms: i64,
    pub ended_ms: Option<i64>,
    /// Monotonic time of its last execution.
    pub duration_ms: Option<u64>,
    pub seed: u64,
    pub clock_ms: i64,
    pub settings_json: String,
    pub identity: Vec<(String, String)>,
    pub inputs_json: String,
    /// Rolling digest of the input up to the checkpoint; none where nothing was kept yet.
    pub input_digest: Option<Digest>,
    pub atomic: String,
    /// Sums over its committed batches.
    pub counts: Counts,
    pub blank_lines: u64,
    pub batches: u64,
    pub error_json: Option<String>,
    /// Times, sizes and percentiles of its last execution, as JSON; none until it ends.
    pub performance_json: Option<String>,
    /// Alerts of its last execution, as JSON.
    pub alerts_json: Option<String>,
    /// First ordinal that is not yet accounted for.
    pub next: u64,
    pub epoch: u64,
}

impl RunRow {
    /// True if the command that began it continues it: its job is a digest of what it reads, where that can be read again, and
    /// else a name of this run alone.
    pub fn is_resumable(&self) -> bool {
        Digest::parse(&self.job).is_some()
    }
}

/// A line of one of a run's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct InputLine {
    /// Which of the inputs, from 0.
    pub input: u64,
    /// From 1.
    pub line: u64,
}

impl From<Position> for InputLine {
    fn from(position: Position) -> Self {
        Self { input: u64::from(position.input), line: position.line }
    }
}

/// One committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// What the column `batch` of stored rows holds.
    pub id: i64,
    pub run: RunNumber,
    pub number: BatchNumber,
    pub first_ordinal: u64,
    /// Where its first and its last record stood.
    pub first: InputLine,
    pub last: InputLine,
    pub epoch: u64,
    pub counts: Counts,
    pub blank_lines: u64,
    /// Rolling digest of the input up to its end.
    pub input_digest: Digest,
    pub written_ms: i64,
    /// None once pruned (see [`crate::limits::HISTORY_BATCHES_MAX`]).
    pub metrics: Option<BatchMetrics>,
    /// What each plugin did in it, in the order of the slots; goes with the metrics.
    pub plugins: Vec<PluginMetrics>,
    /// Which lane computed which part of it when; goes with the metrics.
    pub chunks: Vec<ChunkSpan>,
    /// Lengths of the stretches of items that were not dropped and that were, in turns; the first of very many, and none where
    /// nothing was dropped. Goes with the metrics.
    pub dropped: Vec<u64>,
}

impl BatchRow {
    /// True if the item with this ordinal, one of the batch, was dropped. None where that is not kept.
    pub fn was_dropped(&self, ordinal: u64) -> Option<bool> {
        let mut end = self.first_ordinal;
        let stretch = self.dropped.iter().position(|items| {
            end = end.saturating_add(*items);
            ordinal < end
        });
        match stretch {
            Some(number) => Some(!number.is_multiple_of(2)),
            // Behind the last stretch nothing was dropped, if these are all.
            None => {
                let kept = self.dropped.iter().skip(1).step_by(2).fold(0_u64, |sum, items| sum.saturating_add(*items));
                (kept == self.counts.dropped).then_some(false)
            }
        }
    }
}

/// Both atlas_runs and atlas_batches have these columns, in the order of [`counts`].
pub(in crate::store) const COUNTS: &str = "read, stored, rejected, dead_lettered, dropped, inserted, replaced, unchanged, ignored, deleted, retries, blank_lines";

/// True if a run has begun and not ended (it is at work, or was killed), or if the store failed the one that ended last.
pub(in crate::store) fn has_unclean(conn: &Connection) -> Result<bool> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM atlas_runs WHERE status = ?1) OR EXISTS (
             SELECT 1 FROM (SELECT error ->> 'code' AS code FROM atlas_runs ORDER BY ended_ms DESC, id DESC LIMIT 1)
             WHERE code <> ?2 AND (
                 code GLOB 'STORAGE_*' OR code GLOB 'TRANSACTION_*' OR code GLOB 'INDEX_*' OR code GLOB 'RECOVERY_*'))",
        // A store that was another's for a while has not failed.
        [RunStatus::Running.as_str(), Code::StorageLocked.as_str()],
        |row| row.get(0),
    )
    .or_fail(conn, "read the runs")
}

/// The newest run of this job.
pub(in crate::store) fn last_run_of_job(conn: &Connection, job: &str) -> Result<Option<RunRow>> {
    Ok(runs_where(conn, "job = ?1 ORDER BY id DESC LIMIT 1", [job])?.pop())
}

/// The newest run into this collection that has not come to its end and whose inputs have these paths, in their order.
pub(in crate::store) fn unfinished_run_over(
    conn: &Connection,
    collection: &Name,
    paths: &[String],
) -> Result<Option<RunRow>> {
    #[derive(serde::Deserialize)]
    struct Input {
        path: String,
    }
    let unfinished = "collection = ?1 AND status NOT IN ('succeeded', 'partial', 'rolled-back') ORDER BY id DESC";
    let over = |row: &RunRow| {
        let inputs: Vec<Input> = serde_json::from_str(&row.inputs_json).unwrap_or_default();
        inputs.iter().map(|input| &input.path).eq(paths)
    };
    Ok(runs_where(conn, unfinished, [collection.as_str()])?.into_iter().find(over))
}

/// One run.
pub(in crate::store) fn run(conn: &Connection, run: RunNumber) -> Result<Option<RunRow>> {
    Ok(runs_where(conn, "id = ?1", [int(run.0)])?.pop())
}

/// The newest runs first, at most `limit`.
pub(in crate::store) fn runs(conn: &Connection, limit: usize) -> Result<Vec<RunRow>> {
    runs_where(conn, "true ORDER BY id DESC LIMIT ?1", [int(limit as u64)])
}

/// Other runs that have changed rows since the first batch of this one (or, where it has none, begun after it), and may have
/// done so in this collection, oldest first; with their inputs.
pub(in crate::store) fn writers_since(
    conn: &Connection,
    run: RunNumber,
    collection: &Name,
) -> Result<Vec<(RunNumber, String)>> {
    conn.prepare_cached(
        "SELECT id, inputs FROM atlas_runs AS r
         WHERE id IN (
             SELECT run FROM atlas_batches WHERE run <> ?1 AND inserted + replaced + deleted > 0
             AND CASE WHEN EXISTS (SELECT 1 FROM atlas_batches WHERE run = ?1)
                 THEN id > (SELECT min(id) FROM atlas_batches WHERE run = ?1) ELSE run > ?1 END)
         AND (collection = ?2 OR EXISTS (
             SELECT 1 FROM json_each(r.identity) AS setting WHERE setting.value ->> 0 = 'collections'
             AND instr(', ' || (setting.value ->> 1) || ', ', ', ' || ?2 || ', ') > 0))
         ORDER BY id",
    )
    .and_then(|mut s| {
        s.query_map((int(run.0), collection.as_str()), |row| Ok((RunNumber(uint(row, 0)?), row.get(1)?)))?.collect()
    })
    .or_fail(conn, "read the runs")
}

fn runs_where(conn: &Connection, which: &str, params: impl rusqlite::Params) -> Result<Vec<RunRow>> {
    let sql = format!(
        "SELECT {COUNTS}, id, uuid, job, status, collection, started_ms, ended_ms, duration_ms, seed, clock_ms, settings, identity,
         inputs, atomic, batches, error, next, epoch, performance, alerts, input_digest
         FROM atlas_runs JOIN atlas_checkpoints ON run = id AND \"partition\" = 0 WHERE {which}"
    );
    conn.prepare_cached(&sql).and_then(|mut s| s.query_map(params, run_row)?.collect()).or_fail(conn, "read the runs")
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let (counts, blank_lines) = counts(row)?;
    Ok(RunRow {
        run: RunNumber(uint(row, 12)?),
        uuid: row.get(13)?,
        job: row.get(14)?,
        status: parsed(row, 15, RunStatus::parse)?,
        collection: parsed(row, 16, Name::parse)?,
        started_ms: row.get(17)?,
        ended_ms: row.get(18)?,
        duration_ms: row.get::<_, Option<i64>>(19)?.map(int_to_u64),
        seed: parsed(row, 20, |t| t.parse().ok())?,
        clock_ms: row.get(21)?,
        settings_json: row.get(22)?,
        identity: parsed(row, 23, |t| serde_json::from_str(t).ok())?,
        inputs_json: row.get(24)?,
        atomic: row.get(25)?,
        counts,
        blank_lines,
        batches: uint(row, 26)?,
        error_json: row.get(27)?,
        next: uint(row, 28)?,
        epoch: uint(row, 29)?,
        performance_json: row.get(30)?,
        alerts_json: row.get(31)?,
        input_digest: row.get::<_, Option<String>>(32)?.as_deref().and_then(Digest::parse),
    })
}

/// The newest runs that dropped items on their way into this collection, or deleted rows that may have been its own; at most
/// `limit`.
pub(in crate::store) fn runs_without_trace(conn: &Connection, collection: &Name, limit: usize) -> Result<Vec<RunRow>> {
    // A run into another collection may have declared this one, and then it could delete its rows as well.
    let which = "(collection = ?1 AND dropped + deleted > 0 OR deleted > 0 AND EXISTS (
             SELECT 1 FROM json_each(identity) AS setting WHERE setting.value ->> 0 = 'collections'
             AND instr(', ' || (setting.value ->> 1) || ', ', ', ' || ?1 || ', ') > 0)) ORDER BY id DESC LIMIT ?2";
    runs_where(conn, which, (collection.as_str(), int(limit as u64)))
}

/// Batches of a run from number `from` on, in order, at most `limit`.
pub(in crate::store) fn batches(
    conn: &Connection,
    run: RunNumber,
    from: BatchNumber,
    limit: usize,
) -> Result<Vec<BatchRow>> {
    batches_where(
        conn,
        "run = ?1 AND number >= ?2 ORDER BY number LIMIT ?3",
        (int(run.0), int(from.0), int(limit as u64)),
    )
}

/// The batch that a row's column `batch` points to.
pub(in crate::store) fn batch(conn: &Connection, id: i64) -> Result<Option<BatchRow>> {
    Ok(batches_where(conn, "id = ?1", [id])?.pop())
}

fn batches_where(conn: &Connection, which: &str, params: impl rusqlite::Params) -> Result<Vec<BatchRow>> {
    let sql = format!(
        "SELECT {COUNTS}, id, run, number, first_ordinal, epoch, input_digest, written_ms, metrics, commit_us, input, line, last_input, last_line FROM atlas_batches WHERE {which}"
    );
    conn.prepare_cached(&sql)
        .and_then(|mut s| s.query_map(params, batch_row)?.collect())
        .or_fail(conn, "read the history")
}

fn batch_row(row: &Row<'_>) -> rusqlite::Result<BatchRow> {
    let (counts, blank_lines) = counts(row)?;
    let commit_us = row.get::<_, Option<i64>>(20)?.map_or(0, int_to_u64);
    let metrics: Option<String> = row.get(19)?;
    let kept = metrics.and_then(|text| kept::read(&text));
    Ok(BatchRow {
        id: row.get(12)?,
        run: RunNumber(uint(row, 13)?),
        number: BatchNumber(uint(row, 14)?),
        first_ordinal: uint(row, 15)?,
        first: InputLine { input: uint(row, 21)?, line: uint(row, 22)? },
        last: InputLine { input: uint(row, 23)?, line: uint(row, 24)? },
        epoch: uint(row, 16)?,
        counts,
        blank_lines,
        input_digest: parsed(row, 17, Digest::parse)?,
        written_ms: row.get(18)?,
        metrics: kept.as_ref().map(|kept| BatchMetrics { commit_us, ..kept.batch }),
        plugins: kept.as_ref().map_or_else(Vec::new, |kept| kept.plugins.clone()),
        dropped: kept.as_ref().map_or_else(Vec::new, |kept| kept.dropped.clone()),
        chunks: kept.map_or_else(Vec::new, |kept| kept.chunks),
    })
}

/// The first twelve columns of a row that begins with [`COUNTS`]: the counts and the blank lines.
fn counts(row: &Row<'_>) -> rusqlite::Result<(Counts, u64)> {
    let n = |i| uint(row, i);
    let counts = Counts {
        read: n(0)?,
        stored: n(1)?,
        rejected: n(2)?,
        dead_lettered: n(3)?,
        dropped: n(4)?,
        inserted: n(5)?,
        replaced: n(6)?,
        unchanged: n(7)?,
        ignored: n(8)?,
        deleted: n(9)?,
        retries: n(10)?,
    };
    Ok((counts, n(11)?))
}

/// Column `i` through a parser; a text it does not know is a conversion failure, which means that the file is damaged.
pub(in crate::store) fn parsed<T>(row: &Row<'_>, i: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(i)?;
    parse(&text).ok_or_else(|| {
        let why = format!("{text:?} is not a value that this column can have").into();
        rusqlite::Error::FromSqlConversionFailure(i, rusqlite::types::Type::Text, why)
    })
}

pub(super) fn int_to_u64(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
