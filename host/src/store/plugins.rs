//! The plugins that runs used: their bytes by digest, and which chain worked on which batch.

use rusqlite::{Connection, OptionalExtension};

use super::face::PluginRow;
use super::failure::{OrFail, int, uint};
use crate::error::Result;
use crate::model::{BatchNumber, Digest, RunNumber};

/// A plugin of a run, with the batch from which on it filled its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlugin {
    /// Place in the chain.
    pub position: u64,
    pub slot: String,
    pub role: String,
    pub name: String,
    pub digest: Option<Digest>,
    pub from_batch: BatchNumber,
}

/// Keeps the plugins' bytes and notes the chain from batch `from` on. Must run inside a transaction.
pub(super) fn add(
    conn: &Connection,
    run: RunNumber,
    plugins: &[PluginRow],
    from: BatchNumber,
    seen_ms: i64,
) -> Result<()> {
    let doing = "note the run's plugins";
    for (position, plugin) in plugins.iter().enumerate() {
        let digest = plugin.digest.map(|d| d.to_string());
        if let Some(digest) = &digest {
            conn.execute(
                "INSERT INTO atlas_plugins (digest, name, bytes, first_seen_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (digest) DO UPDATE SET bytes = coalesce(bytes, excluded.bytes) WHERE bytes IS NULL",
                (digest, &plugin.name, plugin.bytes.as_deref(), seen_ms),
            )
            .or_fail(conn, doing)?;
        }
        conn.execute(
            "INSERT INTO atlas_run_plugins (run, position, slot, role, name, digest, from_batch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (int(run.0), int(position as u64), &plugin.slot, &plugin.role, &plugin.name, &digest, int(from.0)),
        )
        .or_fail(conn, doing)?;
    }
    Ok(())
}

/// Every plugin that a run used, by batch and place in the chain.
pub(super) fn of_run(conn: &Connection, run: RunNumber) -> Result<Vec<RunPlugin>> {
    conn.prepare_cached(
        "SELECT position, slot, role, name, digest, from_batch FROM atlas_run_plugins WHERE run = ?1 ORDER BY from_batch, position",
    )
    .and_then(|mut s| {
        s.query_map([int(run.0)], |row| {
            let digest: Option<String> = row.get(4)?;
            Ok(RunPlugin {
                position: uint(row, 0)?,
                slot: row.get(1)?,
                role: row.get(2)?,
                name: row.get(3)?,
                digest: digest.as_deref().and_then(Digest::parse),
                from_batch: BatchNumber(uint(row, 5)?),
            })
        })?
        .collect()
    })
    .or_fail(conn, "read the run's plugins")
}

/// The bytes of a plugin, if they were kept.
pub(super) fn bytes(conn: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>> {
    conn.prepare_cached("SELECT bytes FROM atlas_plugins WHERE digest = ?1")
        .and_then(|mut s| s.query_row([digest.to_string()], |row| row.get(0)).optional())
        .map(Option::flatten)
        .or_fail(conn, "read a plugin")
}

/// The chain that worked on this batch.
pub(super) fn chain_at(conn: &Connection, run: RunNumber, batch: BatchNumber) -> Result<Vec<RunPlugin>> {
    let mut all = of_run(conn, run)?;
    all.retain(|p| p.from_batch <= batch);
    let newest = all.iter().map(|p| p.from_batch).max();
    all.retain(|p| Some(p.from_batch) == newest);
    Ok(all)
}
