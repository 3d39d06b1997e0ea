//! Steps of plugins that were exchanged, or were to be, while a run went on.

use rusqlite::Connection;

use super::face::SwapRow;
use super::failure::{OrFail, int, uint};
use super::history::parsed;
use crate::error::Result;
use crate::model::{BatchNumber, Digest, Name, RunNumber};

/// The source of a plugin that a run was continued with in the place of another one. It has nothing to prove.
pub const ACCEPTED: &str = "accept-change";

/// A step, with the run in which it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapEntry {
    pub run: RunNumber,
    pub step: SwapRow,
}

/// Keeps these steps. Must run inside a transaction.
pub(super) fn add(conn: &Connection, run: RunNumber, steps: &[SwapRow]) -> Result<()> {
    for step in steps {
        conn.prepare_cached(
            "INSERT INTO atlas_swaps (run, slot, step, source, name, old_digest, new_digest, batch, at_ms, ok, code, reason, figures)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .and_then(|mut s| {
            s.execute((
                int(run.0),
                &step.slot,
                &step.step,
                &step.source,
                &step.name,
                step.old_digest.map(|digest| digest.to_string()),
                step.new_digest.to_string(),
                step.batch.map(|batch| int(batch.0)),
                step.at_ms,
                step.ok,
                &step.code,
                &step.reason,
                &step.figures_json,
            ))
        })
        .or_fail(conn, "note a step of a swap")?;
    }
    Ok(())
}

/// Steps in the order in which they were taken, of one run and one slot where these are given.
pub(super) fn list(conn: &Connection, run: Option<RunNumber>, slot: Option<&Name>) -> Result<Vec<SwapEntry>> {
    conn.prepare_cached(
        "SELECT run, slot, step, source, name, old_digest, new_digest, batch, at_ms, ok, code, reason, figures FROM atlas_swaps
         WHERE (?1 IS NULL OR run = ?1) AND (?2 IS NULL OR slot = ?2) ORDER BY run, at_ms, id",
    )
    .and_then(|mut s| {
        s.query_map((run.map(|run| int(run.0)), slot.map(Name::as_str)), |row| {
            let old: Option<String> = row.get(5)?;
            let batch: Option<i64> = row.get(7)?;
            Ok(SwapEntry {
                run: RunNumber(uint(row, 0)?),
                step: SwapRow {
                    slot: row.get(1)?,
                    step: row.get(2)?,
                    source: row.get(3)?,
                    name: row.get(4)?,
                    old_digest: old.as_deref().and_then(Digest::parse),
                    new_digest: parsed(row, 6, Digest::parse)?,
                    batch: batch.and_then(|number| u64::try_from(number).ok()).map(BatchNumber),
                    at_ms: row.get(8)?,
                    ok: row.get(9)?,
                    code: row.get(10)?,
                    reason: row.get(11)?,
                    figures_json: row.get(12)?,
                },
            })
        })?
        .collect()
    })
    .or_fail(conn, "read the steps of swaps")
}
