//! The plugins that runs used: their bytes by digest, and which chain worked on which batch.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::catalog::quoted;
use super::dead_letter::RETRIED;
use super::face::PluginRow;
use super::failure::{OrFail, int, uint};
use super::history::parsed;
use crate::error::{Code, Error, Result};
use crate::model::{BatchNumber, Digest, Name, RunNumber};

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

/// Keeps the plugins' bytes and notes the chain from batch `from` on; of an empty one after others, a row that says so. Must run
/// inside a transaction.
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
                // What was let go, or is damaged, is there again.
                "INSERT INTO atlas_plugins (digest, name, bytes, first_seen_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (digest) DO UPDATE SET bytes = excluded.bytes
                 WHERE excluded.bytes IS NOT NULL AND bytes IS NOT excluded.bytes",
                (digest, &plugin.name, plugin.bytes.as_deref(), seen_ms),
            )
            .or_fail(conn, doing)?;
        }
        conn.execute(
            // One that takes effect with the first batch of all takes the place of what the run began with.
            "INSERT INTO atlas_run_plugins (run, position, slot, role, name, digest, from_batch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (run, from_batch, position) DO UPDATE SET
                 slot = excluded.slot, role = excluded.role, name = excluded.name, digest = excluded.digest",
            (int(run.0), int(position as u64), &plugin.slot, &plugin.role, &plugin.name, &digest, int(from.0)),
        )
        .or_fail(conn, doing)?;
    }
    if plugins.is_empty() && from > BatchNumber(0) {
        conn.execute(
            "INSERT INTO atlas_run_plugins (run, position, slot, role, name, from_batch) VALUES (?1, 0, '', '', '', ?2)",
            (int(run.0), int(from.0)),
        )
        .or_fail(conn, doing)?;
    }
    Ok(())
}

/// Every plugin that a run used, by batch and place in the chain.
pub(super) fn of_run(conn: &Connection, run: RunNumber) -> Result<Vec<RunPlugin>> {
    let mut rows = rows(conn, run)?;
    rows.retain(is_plugin);
    Ok(rows)
}

/// False for the row of an empty chain.
fn is_plugin(row: &RunPlugin) -> bool {
    !row.slot.is_empty()
}

fn rows(conn: &Connection, run: RunNumber) -> Result<Vec<RunPlugin>> {
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

/// A plugin that filled a slot, with the newest run in which it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPlugin {
    pub digest: Digest,
    pub name: String,
    pub run: RunNumber,
}

/// The plugins that filled a slot in the runs into this collection up to `last`, the one that did so last first. Left out are
/// runs of which an input is called `except…`, but for the last one.
pub(super) fn of_slot(
    conn: &Connection,
    slot: &Name,
    collection: &Name,
    last: RunNumber,
    except: &str,
) -> Result<Vec<SlotPlugin>> {
    conn.prepare_cached(
        "SELECT p.digest, p.name, p.run, max(p.run * 1.0e9 + p.from_batch) AS at
         FROM atlas_run_plugins AS p JOIN atlas_runs AS r ON r.id = p.run
         WHERE p.slot = ?1 AND r.collection = ?2 AND p.run <= ?3 AND p.digest IS NOT NULL AND (p.run = ?3 OR NOT EXISTS (
             SELECT 1 FROM json_each(r.inputs) AS i WHERE substr(i.value ->> '$.path', 1, length(?4)) = ?4))
         GROUP BY p.digest ORDER BY at DESC",
    )
    .and_then(|mut s| {
        s.query_map((slot.as_str(), collection.as_str(), int(last.0), except), |row| {
            Ok(SlotPlugin {
                digest: parsed(row, 0, Digest::parse)?,
                name: row.get(1)?,
                run: RunNumber(uint(row, 2)?),
            })
        })?
        .collect()
    })
    .or_fail(conn, "read the plugins of a slot")
}

/// The bytes of a plugin, if they were kept.
///
/// Errors: STORAGE_2004 if they are other ones by now.
pub(super) fn bytes(conn: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>> {
    let found: Option<Vec<u8>> = conn
        .prepare_cached("SELECT bytes FROM atlas_plugins WHERE digest = ?1")
        .and_then(|mut s| s.query_row([digest.to_string()], |row| row.get(0)).optional())
        .map(Option::flatten)
        .or_fail(conn, "read a plugin")?;
    match found {
        Some(bytes) if Digest::of(&bytes) != *digest => {
            let message = format!("the bytes of {digest} are not those that were kept");
            Err(Error::new(Code::StorageGeneral, message)
                .hint("see `atlas-host plugins verify`; a new run with the plugin's file keeps them again"))
        }
        found => Ok(found),
    }
}

/// The chain that worked on this batch.
pub(super) fn chain_at(conn: &Connection, run: RunNumber, batch: BatchNumber) -> Result<Vec<RunPlugin>> {
    let mut all = rows(conn, run)?;
    all.retain(|p| p.from_batch <= batch);
    let newest = all.iter().map(|p| p.from_batch).max();
    all.retain(|p| Some(p.from_batch) == newest && is_plugin(p));
    Ok(all)
}

/// A plugin that some run used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPlugin {
    pub digest: Digest,
    /// File that it first came from.
    pub name: String,
    /// Length of its bytes; none where they are not kept.
    pub bytes: Option<u64>,
    pub first_seen_ms: i64,
    /// Slots that it filled.
    pub slots: Vec<String>,
    /// How many runs used it.
    pub runs: u64,
    /// The newest of them.
    pub last_run: Option<RunNumber>,
    /// Slots that it was the last one to fill.
    pub in_force: Vec<String>,
}

/// The plugin that filled each slot last.
const LAST: &str = "SELECT slot, digest FROM (
    SELECT slot, digest, row_number() OVER (PARTITION BY slot ORDER BY run DESC, from_batch DESC) AS place FROM atlas_run_plugins
) WHERE place = 1";

/// Every plugin with its uses, oldest first.
pub(super) fn kept(conn: &Connection) -> Result<Vec<KeptPlugin>> {
    let sql = format!(
        "SELECT digest, name, length(bytes), first_seen_ms,
                (SELECT json_group_array(slot) FROM (SELECT DISTINCT slot FROM atlas_run_plugins AS u WHERE u.digest = p.digest ORDER BY slot)),
                (SELECT count(DISTINCT run) FROM atlas_run_plugins AS u WHERE u.digest = p.digest),
                (SELECT max(run) FROM atlas_run_plugins AS u WHERE u.digest = p.digest),
                (SELECT json_group_array(slot) FROM ({LAST}) AS l WHERE l.digest = p.digest)
         FROM atlas_plugins AS p ORDER BY first_seen_ms, rowid"
    );
    conn.prepare_cached(&sql)
        .and_then(|mut s| {
            s.query_map([], |row| {
                let names = |text: &str| serde_json::from_str::<Vec<String>>(text).ok();
                let bytes: Option<i64> = row.get(2)?;
                let last: Option<i64> = row.get(6)?;
                Ok(KeptPlugin {
                    digest: parsed(row, 0, Digest::parse)?,
                    name: row.get(1)?,
                    bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
                    first_seen_ms: row.get(3)?,
                    slots: parsed(row, 4, names)?,
                    runs: uint(row, 5)?,
                    last_run: last.and_then(|run| u64::try_from(run).ok()).map(RunNumber),
                    in_force: parsed(row, 7, names)?,
                })
            })?
            .collect()
        })
        .or_fail(conn, "read the plugins")
}

const DOING: &str = "find the plugins that are needed";

/// Digests whose bytes somebody may still want: of the newest `runs` runs, of every run that did not finish, of runs with
/// open dead letters, of the chains that made a stored row, and those that a rollback may go back to.
pub(super) fn needed(conn: &Connection, collections: &[&Name], runs: u64) -> Result<HashSet<Digest>> {
    let mut needed: HashSet<Digest> = conn
        .prepare(
            "SELECT digest FROM atlas_run_plugins WHERE digest IS NOT NULL AND (
                 run IN (SELECT id FROM atlas_runs ORDER BY id DESC LIMIT ?1)
                 OR run IN (SELECT id FROM atlas_runs WHERE status NOT IN ('succeeded', 'partial'))
                 OR run IN (SELECT run FROM atlas_dead_letters WHERE state = 'open'))",
        )
        .and_then(|mut s| s.query_map([int(runs)], |row| parsed(row, 0, Digest::parse))?.collect())
        .or_fail(conn, DOING)?;
    needed.extend(last_two(conn)?);
    for collection in collections {
        needed.extend(made(conn, collection)?);
    }
    Ok(needed)
}

/// The last and the last but one plugin of each slot in each collection, as a rollback counts them: neither one that was put
/// back and has not stayed since, nor one that dead letters alone were tried with.
fn last_two(conn: &Connection) -> Result<Vec<Digest>> {
    conn.prepare(
        "WITH ends AS (
             SELECT r.collection, s.slot, s.new_digest AS digest, s.run, s.step, row_number() OVER (
                 PARTITION BY r.collection, s.slot, s.new_digest ORDER BY s.run DESC, s.at_ms DESC, s.id DESC) AS place
             FROM atlas_swaps AS s JOIN atlas_runs AS r ON r.id = s.run WHERE s.step IN ('put-back', 'settled')
             OR (s.step = 'took-effect' AND s.source = 'accept-change')),
         versions AS (
             SELECT r.collection, p.slot, p.digest, max(p.run * 1.0e9 + p.from_batch) AS at
             FROM atlas_run_plugins AS p JOIN atlas_runs AS r ON r.id = p.run
             WHERE p.digest IS NOT NULL AND r.inputs NOT LIKE ?1 AND NOT EXISTS (
                 SELECT 1 FROM ends AS e WHERE e.place = 1 AND e.step = 'put-back' AND e.run >= p.run
                 AND e.collection = r.collection AND e.slot = p.slot AND e.digest = p.digest)
             GROUP BY r.collection, p.slot, p.digest)
         SELECT DISTINCT digest FROM (
             SELECT digest, row_number() OVER (PARTITION BY collection, slot ORDER BY at DESC) AS place FROM versions)
         WHERE place <= 2",
    )
    .and_then(|mut s| {
        // As the names of inputs stand in their JSON.
        let retries = format!("%\"path\":\"{RETRIED}%");
        s.query_map([retries], |row| parsed(row, 0, Digest::parse))?.collect()
    })
    .or_fail(conn, DOING)
}

/// Plugins of the chains that made the rows of this collection.
fn made(conn: &Connection, collection: &Name) -> Result<Vec<Digest>> {
    let sql = format!(
        "SELECT DISTINCT p.digest FROM atlas_batches AS m JOIN atlas_run_plugins AS p ON p.run = m.run AND p.from_batch =
             (SELECT max(from_batch) FROM atlas_run_plugins AS q WHERE q.run = m.run AND q.from_batch <= m.number)
         WHERE m.id IN (SELECT batch FROM {}) AND p.digest IS NOT NULL",
        quoted(collection)
    );
    conn.prepare(&sql)
        .and_then(|mut s| s.query_map([], |row| parsed(row, 0, Digest::parse))?.collect())
        .or_fail(conn, DOING)
}

/// Lets the bytes of this plugin go; the row stays. Must run inside a transaction.
pub(super) fn forget(conn: &Connection, digest: &Digest) -> Result<()> {
    conn.execute("UPDATE atlas_plugins SET bytes = NULL WHERE digest = ?1", [digest.to_string()])
        .or_fail(conn, "forget the bytes of a plugin")
        .map(|_| ())
}
