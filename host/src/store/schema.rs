//! The tables of the host itself, and the numbered steps that lead to them.
//!
//! Invariant: a step runs in one transaction together with its `user_version`, so a kill in the middle leaves the old version.
//! A file of a newer version is refused, never rewritten.

use rusqlite::Connection;

use super::failure::OrFail;
use super::level;
use crate::error::{Code, Error, Result};

/// "ATLS": what `application_id` says of every store.
pub(super) const APPLICATION_ID: i32 = 0x4154_4C53;
/// What `user_version` says of a store that this program writes.
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// Step `i` leads from version `i` to `i + 1`. Released steps are never changed.
const STEPS: &[&str] = &[include_str!("schema/0001.sql")];

/// What a database file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// No table at all and no identity: free to become a store.
    Blank,
    /// A store of this version.
    Store(i32),
}

/// Reads what the file is. Errors: STORAGE_2008 for a foreign or newer one.
pub(super) fn identify(conn: &Connection) -> Result<Identity> {
    let pragma = |name: &str| -> Result<i32> {
        conn.pragma_query_value(None, name, |row| row.get(0)).or_fail(conn, "read the header")
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let objects: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).or_fail(conn, "read the schema")?;
    let path = conn.path().unwrap_or_default();
    match (application, version) {
        (0, 0) if objects == 0 => Ok(Identity::Blank),
        (APPLICATION_ID, v) if v > VERSION => Err(Error::new(
            Code::StorageForeign,
            format!("store {path} has schema version {v}; this program knows versions up to {VERSION}"),
        )
        .hint("use a newer atlas-host")),
        (APPLICATION_ID, v) if v > 0 => Ok(Identity::Store(v)),
        (APPLICATION_ID, v) => Err(Error::new(
            Code::StorageForeign,
            format!("store {path} has schema version {v}, which never existed; versions begin at 1"),
        )),
        (other, _) => Err(Error::new(
            Code::StorageForeign,
            format!("{path} is a database of another program: application id {other:#x}, wanted {APPLICATION_ID:#x}"),
        )
        .hint("choose another file")),
    }
}

/// Brings the file to [`VERSION`], one transaction per step, or inside the transaction that is open.
pub(super) fn migrate(conn: &Connection) -> Result<()> {
    migrate_by(conn, STEPS)
}

/// As [`migrate`], by these steps.
pub(super) fn migrate_by(conn: &Connection, steps: &[&str]) -> Result<()> {
    let mut version = match identify(conn)? {
        Identity::Blank => 0,
        Identity::Store(v) => v,
    };
    while let Some(step) = steps.get(version as usize) {
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};", version + 1);
        let (begin, end) = if conn.is_autocommit() { (level::BEGIN, level::COMMIT) } else { ("", "") };
        let done = conn.execute_batch(&format!("{begin};{step}{mark}{end};"));
        if done.is_err() && !begin.is_empty() && !conn.is_autocommit() {
            conn.execute_batch(level::ROLL_BACK).or_fail(conn, "roll back a migration")?;
        }
        done.or_fail(conn, "migrate the schema")?;
        version += 1;
    }
    Ok(())
}

/// Differences between the host's tables in this file and those of [`VERSION`], in words; empty if there are none.
pub(super) fn differences(conn: &Connection) -> Result<Vec<String>> {
    const OBJECTS: &str =
        "SELECT name, sql FROM sqlite_schema WHERE name LIKE 'atlas\\_%' ESCAPE '\\' AND sql IS NOT NULL ORDER BY name";
    let objects = |conn: &Connection| -> rusqlite::Result<Vec<(String, String)>> {
        conn.prepare(OBJECTS)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let wanted = Connection::open_in_memory()
        .and_then(|fresh| {
            fresh.execute_batch(&STEPS.concat())?;
            objects(&fresh)
        })
        .or_fail(conn, "build the reference schema")?;
    let found = objects(conn).or_fail(conn, "read the schema")?;
    let mut differences = Vec::new();
    for (name, sql) in &wanted {
        match found.iter().find(|(n, _)| n == name) {
            None => differences.push(format!("`{name}` is missing")),
            Some((_, other)) if other != sql => differences.push(format!("`{name}` has another definition")),
            Some(_) => {}
        }
    }
    for (name, _) in found.iter().filter(|(n, _)| !wanted.iter().any(|(w, _)| w == n)) {
        differences.push(format!("`{name}` is not part of version {VERSION}"));
    }
    Ok(differences)
}
