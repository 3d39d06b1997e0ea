//! The rows of collections: the statements that read them and those that write one.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension};

use super::catalog::{Catalog, Index, expression, index_name, quoted};
use super::face::{IndexKey, Row};
use super::failure::{OrFail, failed};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::Name;

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        body: row.get(1)?,
        batch: row.get(2)?,
        ordinal: row.get::<_, Option<i64>>(3)?.map(|n| n as u64),
    })
}

/// One entry per id, same length and order.
pub(super) fn get_many(
    conn: &Connection,
    catalog: &Catalog,
    collection: &Name,
    ids: &[&str],
) -> Result<Vec<Option<Row>>> {
    catalog.collection(collection)?;
    let doing = format!("read rows of `{collection}`");
    // One statement per id: no number of ids runs into the bound on variables, and a prepared look-up costs microseconds.
    let sql = format!("SELECT id, body, batch, ordinal FROM {} WHERE id = ?1", quoted(collection));
    let mut statement = conn.prepare_cached(&sql).or_fail(conn, &doing)?;
    ids.iter().map(|id| statement.query_row([id], row).optional().or_fail(conn, &doing)).collect()
}

/// Rows sorted by id, after `after`, at most `limit`: fewer where their bodies come to `bytes_max`, but one at the least.
pub(super) fn after(
    conn: &Connection,
    catalog: &Catalog,
    collection: &Name,
    after: Option<&str>,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<Row>> {
    catalog.collection(collection)?;
    let doing = format!("read rows of `{collection}`");
    let sql = format!("SELECT id, body, batch, ordinal FROM {} WHERE id > ?1 ORDER BY id LIMIT ?2", quoted(collection));
    let mut statement = conn.prepare_cached(&sql).or_fail(conn, &doing)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut bytes = 0;
    let mut read = || -> rusqlite::Result<Vec<Row>> {
        let mut rows = Vec::new();
        // No id is empty, so that all come after the empty text.
        for next in statement.query_map((after.unwrap_or(""), limit), row)? {
            let next = next?;
            bytes += next.body.len();
            rows.push(next);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(rows)
    };
    read().or_fail(conn, &doing)
}

/// Rows whose value in the index equals `key`, sorted by id, after `after`, at most `limit`.
/// Errors: GUEST_10005 where they have more than so many bytes, or reading them was interrupted.
pub(super) fn find(
    conn: &Connection,
    catalog: &Catalog,
    (collection, index): (&Name, &Name),
    key: &IndexKey,
    after: Option<&str>,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<Row>> {
    let declared = catalog.index(collection, index)?;
    let doing = format!("read index `{index}` of `{collection}`");
    let equal = equal(index, key);
    let sql = format!(
        "SELECT id, body, batch, ordinal FROM {} WHERE {equal} AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3",
        by_index(collection, declared)
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut bytes = 0;
    let mut read = || -> rusqlite::Result<Vec<Row>> {
        let mut statement = conn.prepare_cached(&sql)?;
        let mut found = Vec::new();
        for next in statement.query_map((bound(key), after, limit), row)? {
            let next = next?;
            bytes += next.id.len() + next.body.len();
            if bytes > bytes_max {
                break;
            }
            found.push(next);
        }
        Ok(found)
    };
    let found = read().map_err(|error| unread(conn, &doing, error))?;
    if bytes > bytes_max {
        return Err(Error::new(Code::GuestOutput, format!("the rows of a search have more than {bytes_max} bytes")));
    }
    Ok(found)
}

/// The number of rows whose value in the index equals `key`, counted up to `limit`. Only the index is read.
pub(super) fn count_equal(
    conn: &Connection,
    catalog: &Catalog,
    (collection, index): (&Name, &Name),
    key: &IndexKey,
    limit: usize,
) -> Result<usize> {
    let declared = catalog.index(collection, index)?;
    let doing = format!("count in index `{index}` of `{collection}`");
    let equal = equal(index, key);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} WHERE {equal} LIMIT ?2)", by_index(collection, declared));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = || conn.prepare_cached(&sql)?.query_row((bound(key), limit), |row| row.get::<_, i64>(0));
    read().map(|count| usize::try_from(count).unwrap_or(0)).map_err(|error| unread(conn, &doing, error))
}

/// The table as one index gives it; as it is where the index is not built yet, which finds the same rows by looking at all.
fn by_index(collection: &Name, index: &Index) -> String {
    match index.built {
        true => format!("{} INDEXED BY \"{}\"", quoted(collection), index_name(collection, &index.name)),
        false => quoted(collection),
    }
}

/// A reader may know an index from before it was put off: said as one that is not known, so that the catalog is read again.
/// A read that was interrupted took too long: see [`super::hurry`].
fn unread(conn: &Connection, doing: &str, error: rusqlite::Error) -> Error {
    if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
        let most = limits::STORE_READ_TIME_MAX.as_secs();
        return Error::new(Code::GuestOutput, format!("cannot {doing}: it takes longer than {most} s")).because(error);
    }
    let text = error.to_string();
    let code = if text.contains("no such index") { Code::IndexNotFound } else { Code::StorageGeneral };
    failed(conn, doing, code, error)
}

/// The condition that the indexed value is `?1`, which null never equals.
fn equal(index: &Name, key: &IndexKey) -> String {
    let column = quoted(index);
    if *key == IndexKey::Null { format!("{column} IS NULL AND ?1 IS NULL") } else { format!("{column} = ?1") }
}

/// The key as a parameter.
fn bound(key: &IndexKey) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match key {
        IndexKey::Null => ValueRef::Null,
        IndexKey::Integer(n) => ValueRef::Integer(*n),
        IndexKey::Real(n) => ValueRef::Real(*n),
        IndexKey::Text(text) => ValueRef::Text(text.as_bytes()),
    })
}

/// The value that the index sees in this body. Errors: INDEX_7005 where SQLite cannot read the body.
pub(super) fn index_key(conn: &Connection, index: &Index, body: &str) -> Result<IndexKey> {
    let sql = format!("SELECT {}", expression("?1", &index.pointer));
    let failed = |e: rusqlite::Error| {
        Error::new(Code::IndexConstraint, format!("index `{}` cannot read the body", index.name)).because(e)
    };
    let mut statement = conn.prepare_cached(&sql).map_err(failed)?;
    statement.query_row([body], |row| key(row, 0)).map_err(failed)
}

/// Column `i` as an index key.
pub(super) fn key(row: &rusqlite::Row<'_>, i: usize) -> rusqlite::Result<IndexKey> {
    Ok(match row.get_ref(i)? {
        ValueRef::Null => IndexKey::Null,
        ValueRef::Integer(n) => IndexKey::Integer(n),
        ValueRef::Real(n) => IndexKey::Real(n),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => IndexKey::Text(String::from_utf8_lossy(bytes).into_owned()),
    })
}

/// The row that holds the value which `body` would give a unique index, if it is not `id`'s own.
pub(super) fn holder(
    conn: &Connection,
    collection: &Name,
    index: &Index,
    id: &str,
    body: &str,
) -> rusqlite::Result<Option<(String, IndexKey)>> {
    let column = quoted(&index.name);
    let sql = format!(
        "SELECT id, {column} FROM {} INDEXED BY \"{}\" WHERE {column} = ({}) AND id <> ?2",
        quoted(collection),
        index_name(collection, &index.name),
        expression("?1", &index.pointer)
    );
    conn.prepare_cached(&sql)?.query_row([body, id], |row| Ok((row.get(0)?, key(row, 1)?))).optional()
}

/// The record of the input that made a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maker {
    /// Id of its batch in the history.
    pub batch: i64,
    pub ordinal: i64,
}

/// The statements that write rows of one collection.
pub(super) struct Table<'c> {
    pub name: &'c Name,
    pub indexes: &'c [Index],
    insert: CachedStatement<'c>,
    update: CachedStatement<'c>,
    delete: CachedStatement<'c>,
}

impl<'c> Table<'c> {
    /// Prepares them.
    pub fn prepare(conn: &'c Connection, name: &'c Name, indexes: &'c [Index]) -> Result<Self> {
        let table = quoted(name);
        let prepare = |sql: String| conn.prepare_cached(&sql).or_fail(conn, &format!("write rows of `{name}`"));
        Ok(Self {
            name,
            indexes,
            insert: prepare(format!(
                "INSERT INTO {table} (id, body, batch, ordinal) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING"
            ))?,
            // An update, never a delete and an insert: the row keeps its rowid, and a refused update the old body.
            update: prepare(format!(
                "UPDATE {table} SET body = ?2, batch = ?3, ordinal = ?4 WHERE id = ?1 AND body <> ?2"
            ))?,
            delete: prepare(format!("DELETE FROM {table} WHERE id = ?1"))?,
        })
    }

    /// Inserts a row; false if its key is there already.
    pub fn insert(&mut self, id: &str, body: &str, maker: Option<Maker>) -> rusqlite::Result<bool> {
        Ok(self.insert.execute((id, body, maker.map(|m| m.batch), maker.map(|m| m.ordinal)))? == 1)
    }

    /// Gives a row another body; false if it has this one already, or is not there.
    pub fn update(&mut self, id: &str, body: &str, maker: Option<Maker>) -> rusqlite::Result<bool> {
        Ok(self.update.execute((id, body, maker.map(|m| m.batch), maker.map(|m| m.ordinal)))? == 1)
    }

    /// Deletes a row; false if it is not there.
    pub fn delete(&mut self, id: &str) -> rusqlite::Result<bool> {
        Ok(self.delete.execute([id])? == 1)
    }
}
