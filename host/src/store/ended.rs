//! Runs that came to their end, for a later one that is compared with them.

use rusqlite::Row;

use super::failure::{OrFail, int, uint};
use super::history::parsed;
use super::writer::Writer;
use crate::error::Result;
use crate::limits;
use crate::model::{Name, RunNumber, RunStatus};

/// A run that came to the end of its input and was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    pub ended_ms: i64,
    pub read: u64,
    /// Rejected and dead-lettered items.
    pub failed: u64,
    /// Settings that decide results, by name.
    pub identity: Vec<(String, String)>,
    pub inputs_json: String,
}

impl Writer {
    /// Gives those into this collection to `enough`, the newest first and `besides` left out, until it says that it has enough.
    /// They are looked for among the newest runs of the store.
    pub fn ended_runs(
        &self,
        collection: &Name,
        besides: RunNumber,
        enough: &mut dyn FnMut(EndedRun) -> bool,
    ) -> Result<()> {
        self.check_usable()?;
        let doing = "read the runs";
        let [succeeded, partial] = [RunStatus::Succeeded, RunStatus::Partial].map(RunStatus::as_str);
        let sql = "SELECT ended_ms, read, rejected + dead_lettered, identity, inputs FROM atlas_runs
             WHERE id > (SELECT max(id) FROM atlas_runs) - ?1 AND id <> ?2 AND collection = ?3 AND status IN (?4, ?5)
             AND ended_ms IS NOT NULL ORDER BY id DESC";
        let looked_at = int(limits::USUAL_LOOKED_AT_MAX);
        let mut statement = self.conn.prepare_cached(sql).or_fail(&self.conn, doing)?;
        let mut rows = statement
            .query((looked_at, int(besides.0), collection.as_str(), succeeded, partial))
            .or_fail(&self.conn, doing)?;
        while let Some(row) = rows.next().or_fail(&self.conn, doing)? {
            if enough(ended(row).or_fail(&self.conn, doing)?) {
                break;
            }
        }
        Ok(())
    }
}

fn ended(row: &Row<'_>) -> rusqlite::Result<EndedRun> {
    Ok(EndedRun {
        ended_ms: row.get(0)?,
        read: uint(row, 1)?,
        failed: uint(row, 2)?,
        identity: parsed(row, 3, |t| serde_json::from_str(t).ok())?,
        inputs_json: row.get(4)?,
    })
}
