//! Plans and why they changed, and what tuning has learned.

use rusqlite::{Connection, OptionalExtension, Row};

use super::face::{PlanRow, TuningRow};
use super::failure::{OrFail, int, uint};
use super::history::parsed;
use crate::error::Result;
use crate::model::{BatchNumber, Name, RunNumber};

/// Keeps a plan with the first batch that was cut by it. A run that is continued may cut that batch anew, by another plan.
pub(super) fn keep_plan(conn: &Connection, run: RunNumber, plan: &PlanRow) -> Result<()> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO atlas_plans
         (run, batch, batch_size, lanes, batches_in_flight, old_batch_size, old_lanes, old_batches_in_flight,
          reason, signals)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .and_then(|mut s| {
        s.execute((
            int(run.0),
            int(plan.batch.0),
            int(plan.batch_size),
            int(plan.lanes),
            int(plan.batches_in_flight),
            plan.old_batch_size.map(int),
            plan.old_lanes.map(int),
            plan.old_batches_in_flight.map(int),
            &plan.reason,
            &plan.signals_json,
        ))
    })
    .or_fail(conn, "keep a plan")?;
    Ok(())
}

/// Every kept plan of a run, in the order of its batches.
pub(super) fn plans(conn: &Connection, run: RunNumber) -> Result<Vec<PlanRow>> {
    conn.prepare_cached(
        "SELECT batch, batch_size, lanes, batches_in_flight, old_batch_size, old_lanes, old_batches_in_flight,
                reason, signals
         FROM atlas_plans WHERE run = ?1 ORDER BY batch",
    )
    .and_then(|mut s| s.query_map([int(run.0)], plan_row)?.collect())
    .or_fail(conn, "read the plans")
}

fn plan_row(row: &Row<'_>) -> rusqlite::Result<PlanRow> {
    let some = |i| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(i)?.map(|n| u64::try_from(n).unwrap_or(0)))
    };
    Ok(PlanRow {
        batch: BatchNumber(uint(row, 0)?),
        batch_size: uint(row, 1)?,
        lanes: uint(row, 2)?,
        batches_in_flight: uint(row, 3)?,
        old_batch_size: some(4)?,
        old_lanes: some(5)?,
        old_batches_in_flight: some(6)?,
        reason: row.get(7)?,
        signals_json: row.get(8)?,
    })
}

/// Keeps what was learned, in place of what was known for the same chain, collection and host.
pub(super) fn keep_learned(conn: &Connection, tuning: &TuningRow) -> Result<()> {
    conn.execute(
        "INSERT OR REPLACE INTO atlas_tuning (chain, collection, host, learned, run, updated_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            &tuning.chain,
            tuning.collection.as_str(),
            &tuning.host,
            &tuning.learned_json,
            int(tuning.run.0),
            tuning.updated_ms,
        ),
    )
    .or_fail(conn, "keep what tuning has learned")?;
    Ok(())
}

/// What was learned for this chain and collection on a host of this shape.
pub(super) fn learned(conn: &Connection, chain: &str, collection: &Name, host: &str) -> Result<Option<TuningRow>> {
    conn.query_row(
        "SELECT chain, collection, host, learned, run, updated_ms FROM atlas_tuning
         WHERE chain = ?1 AND collection = ?2 AND host = ?3",
        (chain, collection.as_str(), host),
        |row| {
            Ok(TuningRow {
                chain: row.get(0)?,
                collection: parsed(row, 1, Name::parse)?,
                host: row.get(2)?,
                learned_json: row.get(3)?,
                run: RunNumber(uint(row, 4)?),
                updated_ms: row.get(5)?,
            })
        },
    )
    .optional()
    .or_fail(conn, "read what tuning has learned")
}
