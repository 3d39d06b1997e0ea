//! Runs, their batches, and their checkpoints.
//!
//! Invariants: a batch's history row, its share of the run's counts and the checkpoint move in the transaction of its rows;
//! a checkpoint moves only from the position and the epoch that its owner knows.

mod rows;

pub use rows::{BatchRow, InputLine, RunRow};
pub(super) use rows::{
    COUNTS, batch, batches, has_unclean, last_run_of_job, parsed, run, runs, runs_without_trace, unfinished_run_over,
    writers_since,
};

use rusqlite::{Connection, OptionalExtension, named_params};

use super::face::{BatchWrite, ChainWrite, PluginRow, RunEnd, RunHandle, RunStart, SwapRow};
use super::failure::{OrFail, int, uint};
use super::plugins::RunPlugin;
use super::{kept, plugins, swaps, tuning};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{BatchMetrics, BatchNumber, Counts, Digest, Record, RunNumber, RunStatus, now_ms};

/// The one partition of a local run.
const PARTITION: i64 = 0;

/// Makes the rows of a new run. Must run inside a transaction.
pub(super) fn begin_run(conn: &Connection, start: &RunStart) -> Result<RunHandle> {
    let doing = "begin a run";
    let identity = serde_json::to_string(&start.identity).expect("pairs of strings are JSON");
    conn.execute(
        "INSERT INTO atlas_runs (uuid, job, status, collection, started_ms, seed, clock_ms, settings, identity, inputs, atomic)
         VALUES (:uuid, :job, :status, :collection, :started, :seed, :clock, :settings, :identity, :inputs, :atomic)",
        named_params! {
            ":uuid": start.uuid, ":job": start.job, ":status": RunStatus::Running.as_str(),
            ":collection": start.collection.as_str(), ":started": start.started_ms, ":seed": start.seed.to_string(),
            ":clock": start.clock_ms, ":settings": start.settings_json, ":identity": identity,
            ":inputs": start.inputs_json, ":atomic": start.atomic,
        },
    )
    .or_fail(conn, doing)?;
    let run = RunNumber(rows::int_to_u64(conn.last_insert_rowid()));
    conn.execute(
        "INSERT INTO atlas_checkpoints (run, \"partition\", lo, hi, next, epoch, owner, updated_ms) VALUES (?1, ?2, ?3, ?4, ?3, 1, ?5, ?6)",
        (int(run.0), PARTITION, int(start.lo), start.hi.map(int), owner(), now_ms()),
    )
    .or_fail(conn, doing)?;
    plugins::add(conn, run, &start.plugins, BatchNumber(0), start.started_ms)?;
    handle(conn, run)
}

/// Takes a run over: raises its epoch, so that whoever had it before is fenced off. Must run inside a transaction.
/// Errors: RECOVERY_9004 if there is no such run or it has no checkpoint.
pub(super) fn resume_run(conn: &Connection, run: RunNumber, start: &RunStart) -> Result<RunHandle> {
    let doing = "continue a run";
    let raised = conn
        .execute(
            "UPDATE atlas_checkpoints SET epoch = epoch + 1, owner = ?3, updated_ms = ?4 WHERE run = ?1 AND \"partition\" = ?2",
            (int(run.0), PARTITION, owner(), now_ms()),
        )
        .or_fail(conn, doing)?;
    if raised != 1 {
        return Err(Error::new(Code::RecoveryCheckpoint, format!("run {run} has no checkpoint to continue from")));
    }
    let identity = serde_json::to_string(&start.identity).expect("pairs of strings are JSON");
    conn.execute(
        // The job too: its input may lie elsewhere by now, and the next command is to find the run by that.
        "UPDATE atlas_runs SET status = ?2, ended_ms = NULL, duration_ms = NULL, error = NULL, performance = NULL, alerts = NULL, settings = ?3, identity = ?4, inputs = ?5, job = ?6 WHERE id = ?1",
        (int(run.0), RunStatus::Running.as_str(), &start.settings_json, identity, &start.inputs_json, &start.job),
    )
    .or_fail(conn, doing)?;
    let handle = handle(conn, run)?;
    let now = plugins::chain_at(conn, run, handle.next_batch)?;
    let same = |now: &RunPlugin, p: &PluginRow| {
        (&now.slot, &now.role, &now.name, now.digest) == (&p.slot, &p.role, &p.name, p.digest)
    };
    if now.len() != start.plugins.len() || !now.iter().zip(&start.plugins).all(|(now, p)| same(now, p)) {
        conn.execute(
            "DELETE FROM atlas_run_plugins WHERE run = ?1 AND from_batch = ?2",
            (int(run.0), int(handle.next_batch.0)),
        )
        .or_fail(conn, doing)?;
        plugins::add(conn, run, &start.plugins, handle.next_batch, start.started_ms)?;
        swaps::add(conn, run, &accepted(&now, start, handle.next_batch))?;
    }
    Ok(handle)
}

/// Plugins that the run goes on with in the place of others: nothing but `--accept-change` lets it.
fn accepted(now: &[RunPlugin], start: &RunStart, batch: BatchNumber) -> Vec<SwapRow> {
    let step = |plugin: &PluginRow| {
        let before = now.iter().find(|before| before.slot == plugin.slot).and_then(|before| before.digest);
        let new_digest = plugin.digest.filter(|digest| Some(*digest) != before)?;
        Some(SwapRow {
            slot: plugin.slot.clone(),
            step: "took-effect".to_owned(),
            source: swaps::ACCEPTED.to_owned(),
            name: plugin.name.clone(),
            old_digest: before,
            new_digest,
            batch: Some(batch),
            at_ms: start.started_ms,
            ok: true,
            code: None,
            reason: "accepted with --accept-change".to_owned(),
            figures_json: None,
        })
    };
    start.plugins.iter().filter_map(step).collect()
}

/// Notes how a run ended. Must run inside a transaction. Errors: TRANSACTION_6007 if another owner has it by now.
pub(super) fn finish_run(conn: &Connection, run: &RunHandle, end: &RunEnd) -> Result<()> {
    let doing = "end a run";
    let changed = conn
        .execute(
            "UPDATE atlas_runs SET status = ?2, ended_ms = ?3, duration_ms = ?4, error = ?5, performance = ?8, alerts = ?9 WHERE id = ?1
             AND EXISTS (SELECT 1 FROM atlas_checkpoints WHERE run = ?1 AND \"partition\" = ?6 AND epoch = ?7)",
            (
                int(run.run.0),
                end.status.as_str(),
                end.ended_ms,
                int(end.duration_ms),
                &end.error_json,
                PARTITION,
                int(run.epoch),
                &end.performance_json,
                &end.alerts_json,
            ),
        )
        .or_fail(conn, doing)?;
    if changed != 1 {
        return Err(fenced(conn, run, None)?);
    }
    if end.blank_lines > 0 {
        // The books of a run are the sums of its batches.
        let counted = conn
            .execute(
                "UPDATE atlas_batches SET blank_lines = blank_lines + ?2 WHERE id = (SELECT max(id) FROM atlas_batches WHERE run = ?1)",
                (int(run.run.0), int(end.blank_lines)),
            )
            .or_fail(conn, doing)?;
        conn.execute(
            "UPDATE atlas_runs SET blank_lines = blank_lines + ?2 WHERE id = ?1",
            (int(run.run.0), int(end.blank_lines) * counted as i64),
        )
        .or_fail(conn, doing)?;
    }
    if let Some(learned) = &end.tuning {
        tuning::keep_learned(conn, learned)?;
    }
    prune(conn, limits::HISTORY_BATCHES_MAX)
}

/// Runs that nobody can be at work on, since the store is just opened under its lock: they were interrupted.
pub(super) fn interrupt(conn: &Connection) -> Result<()> {
    conn.execute(
        "UPDATE atlas_runs SET status = ?1 WHERE status = ?2",
        [RunStatus::Interrupted.as_str(), RunStatus::Running.as_str()],
    )
    .or_fail(conn, "note that a run was interrupted")?;
    Ok(())
}

/// What is in force now, in the place of what was.
pub(super) fn note_settings(conn: &Connection, run: RunNumber, settings_json: &str) -> Result<()> {
    conn.execute("UPDATE atlas_runs SET settings = ?2 WHERE id = ?1", (int(run.0), settings_json))
        .or_fail(conn, "noting the settings of a run")
        .map(|_| ())
}

/// Lets go of the metrics of all but the newest `keep` batches. Their counts stay, so that provenance and books stay whole.
pub(super) fn prune(conn: &Connection, keep: u64) -> Result<()> {
    conn.execute(
        "UPDATE atlas_batches SET metrics = NULL
         WHERE id <= (SELECT max(id) FROM atlas_batches) - ?1 AND metrics IS NOT NULL",
        [int(keep)],
    )
    .or_fail(conn, "prune the history")?;
    Ok(())
}

/// The id that the next batch will have.
pub(super) fn next_batch_id(conn: &Connection) -> Result<i64> {
    conn.prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM atlas_batches")
        .and_then(|mut s| s.query_row([], |row| row.get(0)))
        .or_fail(conn, "read the history")
}

/// Writes a batch's history row, moves the checkpoint, and adds to the run's counts.
/// Errors: TRANSACTION_6007 if the checkpoint is not where this batch begins, or has another epoch.
pub(super) fn record_batch(
    conn: &Connection,
    run: &RunHandle,
    id: i64,
    write: &BatchWrite,
    counts: &Counts,
    metrics: &BatchMetrics,
) -> Result<()> {
    let doing = "write the history";
    let next = write.batch.first_ordinal + write.batch.len() as u64;
    let dropped = if counts.dropped > 0 { kept::dropped(&write.decisions) } else { Vec::new() };
    let metrics = kept::text(metrics, &write.plugins, &write.chunks, dropped);
    let place = |record: Option<&Record>| InputLine::from(record.map(|r| r.position).unwrap_or_default());
    let (first, last) = (place(write.batch.records.first()), place(write.batch.records.last()));
    let moved = conn
        .prepare_cached(
            "UPDATE atlas_checkpoints SET next = ?4, input_digest = ?5, updated_ms = ?6
             WHERE run = ?1 AND \"partition\" = 0 AND epoch = ?2 AND next = ?3 AND (hi IS NULL OR ?4 <= hi)",
        )
        .and_then(|mut s| {
            s.execute((
                int(run.run.0),
                int(run.epoch),
                int(write.batch.first_ordinal),
                int(next),
                write.input_digest.to_string(),
                now_ms(),
            ))
        })
        .or_fail(conn, "move the checkpoint")?;
    if moved != 1 {
        return Err(fenced(conn, run, Some(write.batch.first_ordinal))?);
    }
    conn.prepare_cached(&format!(
        "INSERT INTO atlas_batches (id, run, number, first_ordinal, epoch, input_digest, written_ms, metrics, input, line, last_input, last_line, {COUNTS})
         VALUES (?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    ))
    .and_then(|mut s| {
        bind_counts(&mut s, counts, write.blank_lines)?;
        s.raw_bind_parameter(13, id)?;
        s.raw_bind_parameter(14, int(run.run.0))?;
        s.raw_bind_parameter(15, int(write.number.0))?;
        s.raw_bind_parameter(16, int(write.batch.first_ordinal))?;
        s.raw_bind_parameter(17, int(run.epoch))?;
        s.raw_bind_parameter(18, write.input_digest.to_string())?;
        s.raw_bind_parameter(19, now_ms())?;
        s.raw_bind_parameter(20, metrics)?;
        s.raw_bind_parameter(21, int(first.input))?;
        s.raw_bind_parameter(22, int(first.line))?;
        s.raw_bind_parameter(23, int(last.input))?;
        s.raw_bind_parameter(24, int(last.line))?;
        s.raw_execute()
    })
    .or_fail(conn, doing)?;
    let added: Vec<String> = COUNTS.split(", ").enumerate().map(|(i, c)| format!("{c} = {c} + ?{}", i + 1)).collect();
    conn.prepare_cached(&format!("UPDATE atlas_runs SET batches = batches + 1, {} WHERE id = ?13", added.join(", ")))
        .and_then(|mut s| {
            bind_counts(&mut s, counts, write.blank_lines)?;
            s.raw_bind_parameter(13, int(run.run.0))?;
            s.raw_execute()
        })
        .or_fail(conn, doing)?;
    if let Some(place) = &write.batch.place {
        conn.prepare_cached("UPDATE atlas_runs SET inputs = json_set(inputs, '$[0].place', ?2) WHERE id = ?1")
            .and_then(|mut s| s.execute((int(run.run.0), place)))
            .or_fail(conn, "note how far the input was read")?;
    }
    if let Some(plan) = &write.plan {
        tuning::keep_plan(conn, run.run, plan)?;
    }
    match &write.chain {
        Some(chain) => change_chain(conn, run.run, write.number, chain),
        None => Ok(()),
    }
}

/// Another chain of plugins from this batch on, and the steps that led to it.
fn change_chain(conn: &Connection, run: RunNumber, from: BatchNumber, chain: &ChainWrite) -> Result<()> {
    if !chain.plugins.is_empty() {
        plugins::add(conn, run, &chain.plugins, from, now_ms())?;
        let identity = serde_json::to_string(&chain.identity).expect("pairs of strings are JSON");
        conn.execute("UPDATE atlas_runs SET identity = ?2 WHERE id = ?1", (int(run.0), identity))
            .or_fail(conn, "note the run's plugins")?;
    }
    swaps::add(conn, run, &chain.swaps)
}

/// Notes the time of the COMMIT that these batches were in.
pub(super) fn note_commit_time(
    conn: &Connection,
    run: RunNumber,
    first: BatchNumber,
    last: BatchNumber,
    commit_us: u64,
) -> Result<()> {
    conn.prepare_cached("UPDATE atlas_batches SET commit_us = ?4 WHERE run = ?1 AND number BETWEEN ?2 AND ?3")
        .and_then(|mut s| s.execute((int(run.0), int(first.0), int(last.0), int(commit_us))))
        .or_fail(conn, "note the time of a commit")?;
    Ok(())
}

/// Position and epoch of a run's checkpoint.
pub(super) fn checkpoint(conn: &Connection, run: RunNumber) -> Result<Option<(u64, u64)>> {
    conn.prepare_cached("SELECT next, epoch FROM atlas_checkpoints WHERE run = ?1 AND \"partition\" = 0")
        .and_then(|mut s| s.query_row([int(run.0)], |row| Ok((uint(row, 0)?, uint(row, 1)?))).optional())
        .or_fail(conn, "read the checkpoint")
}

/// The run's checkpoint, whose epoch must be ours. Errors: TRANSACTION_6007 if another owner has it by now.
pub(super) fn position(conn: &Connection, run: &RunHandle) -> Result<u64> {
    match checkpoint(conn, run.run)? {
        Some((next, epoch)) if epoch == run.epoch => Ok(next),
        _ => Err(fenced(conn, run, None)?),
    }
}

fn fenced(conn: &Connection, run: &RunHandle, first: Option<u64>) -> Result<Error> {
    let found = match checkpoint(conn, run.run)? {
        Some((next, epoch)) => format!("its checkpoint stands at ordinal {next} with epoch {epoch}"),
        None => "it has no checkpoint".to_owned(),
    };
    let wanted = match first {
        Some(first) => format!("ordinal {first} with epoch {}", run.epoch),
        None => format!("epoch {}", run.epoch),
    };
    Ok(Error::new(
        Code::TransactionFenced,
        format!("run {} is not ours to go on with: {found}, wanted {wanted}", run.run),
    ))
}

fn handle(conn: &Connection, run: RunNumber) -> Result<RunHandle> {
    let row = self::run(conn, run)?
        .ok_or_else(|| Error::new(Code::RecoveryCheckpoint, format!("there is no run {run} in this store")))?;
    let input_digest: Option<String> = conn
        .query_row(
            "SELECT input_digest FROM atlas_checkpoints WHERE run = ?1 AND \"partition\" = 0",
            [int(run.0)],
            |r| r.get(0),
        )
        .or_fail(conn, "read the checkpoint")?;
    Ok(RunHandle {
        run,
        epoch: row.epoch,
        next: row.next,
        next_batch: BatchNumber(row.batches),
        counts: row.counts,
        blank_lines: row.blank_lines,
        input_digest: input_digest.as_deref().and_then(Digest::parse),
        seed: row.seed,
        clock_ms: row.clock_ms,
        uuid: row.uuid,
    })
}

fn bind_counts(statement: &mut rusqlite::Statement<'_>, c: &Counts, blank_lines: u64) -> rusqlite::Result<()> {
    let all = [
        c.read,
        c.stored,
        c.rejected,
        c.dead_lettered,
        c.dropped,
        c.inserted,
        c.replaced,
        c.unchanged,
        c.ignored,
        c.deleted,
        c.retries,
        blank_lines,
    ];
    for (i, n) in all.into_iter().enumerate() {
        statement.raw_bind_parameter(i + 1, int(n))?;
    }
    Ok(())
}

fn owner() -> String {
    format!("process {}", std::process::id())
}
