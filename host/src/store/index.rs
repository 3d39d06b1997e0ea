//! What a user does with indexes beside declaring them: add, drop, list, verify, rebuild. Rows are never touched.

use rusqlite::Connection;

use super::catalog::{self, Index, index_name, quoted};
use super::failure::{OrFail, code_of, failed, now_ms, text_of, uint};
use super::read::Reader;
use super::verify::Finding;
use super::writer::Writer;
use crate::error::{Code, Error, Result};
use crate::model::{IndexSpec, Name, Pointer};

/// A declared index and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    pub collection: Name,
    pub name: Name,
    pub pointer: Pointer,
    pub unique: bool,
    /// One per row of the collection.
    pub entries: u64,
    /// Size on disk.
    pub bytes: u64,
    pub created_ms: i64,
    /// When it was last found to agree with its rows.
    pub verified_ms: Option<i64>,
}

impl Writer {
    /// Adds an index to a collection that is declared and fills it from the rows there. False if the same index is there already.
    /// Errors: CONFIG_3001 for a name or definition that cannot be, INDEX_7004 where the rows do not allow it.
    pub fn index_add(&mut self, collection: &Name, spec: &IndexSpec) -> Result<bool> {
        self.within(|w| catalog::add_index(&w.conn, &mut w.catalog, collection, spec))
    }

    /// Removes an index. Errors: INDEX_7001 if there is none of this name.
    pub fn index_drop(&mut self, collection: &Name, name: &Name) -> Result<()> {
        self.within(|w| catalog::drop_index(&w.conn, &mut w.catalog, collection, name))
    }

    /// Builds an index anew from the rows. Errors: INDEX_7004 where they do not allow it; the old entries are kept then.
    pub fn index_rebuild(&mut self, collection: &Name, name: &Name) -> Result<()> {
        self.within(|w| {
            let index = w.catalog.index(collection, name)?;
            catalog::recreate_index(&w.conn, collection, index)?;
            match check(&w.conn, collection, index)?.first() {
                None => note_verified(&w.conn, collection, name),
                Some(finding) => Err(Error::new(finding.code, finding.message.clone())
                    .hint("run `atlas-host verify`: the rows are damaged")),
            }
        })
    }

    /// Compares an index with the rows; empty if they agree, which is noted with its time.
    pub fn index_verify(&mut self, collection: &Name, name: &Name) -> Result<Vec<Finding>> {
        let index = self.catalog.index(collection, name)?;
        let findings = match catalog::definition(&self.conn, collection, index)? {
            Some(message) => vec![Finding { code: Code::IndexOutOfStep, message }],
            None => check(&self.conn, collection, index)?,
        };
        if findings.is_empty() {
            self.within(|w| note_verified(&w.conn, collection, name))?;
        }
        Ok(findings)
    }
}

impl Reader {
    /// The declared indexes of one collection, or of all, by collection and name.
    pub fn indexes(&self, collection: Option<&Name>) -> Result<Vec<IndexRow>> {
        let doing = "read the indexes";
        let names = match collection {
            Some(name) => {
                self.known(|catalog| catalog.collection(name).map(|_| ()))?;
                vec![name.clone()]
            }
            None => self.collections()?,
        };
        let catalog = self.catalog.borrow();
        let mut all = Vec::new();
        for collection in names {
            for index in catalog.collection(&collection)? {
                let (created_ms, verified_ms) = self
                    .conn
                    .query_row(
                        "SELECT created_ms, verified_ms FROM atlas_indexes WHERE collection = ?1 AND name = ?2",
                        (collection.as_str(), index.name.as_str()),
                        |row| Ok((row.get(0)?, row.get(1)?)),
                    )
                    .or_fail(&self.conn, doing)?;
                let bytes = self
                    .conn
                    .query_row(
                        "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?1",
                        [index_name(&collection, &index.name)],
                        |row| uint(row, 0),
                    )
                    .or_fail(&self.conn, doing)?;
                // Where the index behind the declared one is gone, it has no entries; `index verify` says so.
                let entries = match catalog::definition(&self.conn, &collection, index)? {
                    Some(_) => 0,
                    None => entries(&self.conn, &collection, index).or_fail(&self.conn, doing)?.0,
                };
                let Index { name, pointer, unique } = index.clone();
                all.push(IndexRow {
                    collection: collection.clone(),
                    name,
                    pointer,
                    unique,
                    entries,
                    bytes,
                    created_ms,
                    verified_ms,
                });
            }
        }
        Ok(all)
    }
}

/// Differences between an index and its rows: a row whose entry is missing or has another value, entries without a row.
pub(super) fn check(conn: &Connection, collection: &Name, index: &Index) -> Result<Vec<Finding>> {
    let doing = format!("compare index `{}` with the rows of `{collection}`", index.name);
    compare(conn, collection, index).or_else(|error| match code_of(&error) {
        // Damaged pages are what was asked for.
        Some(Code::StorageGeneral | Code::IndexCorrupt) => {
            let message = format!("index `{}` of `{collection}` cannot be read: {}", index.name, text_of(&error));
            Ok(vec![Finding { code: Code::IndexCorrupt, message }])
        }
        _ => Err(failed(conn, &doing, Code::IndexOperation, error)),
    })
}

fn compare(conn: &Connection, collection: &Name, index: &Index) -> rusqlite::Result<Vec<Finding>> {
    let (table, column, real) = (quoted(collection), quoted(&index.name), index_name(collection, &index.name));
    let mut findings = Vec::new();
    let out_of_step = |message: String| Finding { code: Code::IndexOutOfStep, message };
    // NOT INDEXED computes the column from the body; INDEXED BY reads what the index says.
    let missing: (u64, Option<String>) = conn.query_row(
        &format!(
            "SELECT count(*), min(r.id) FROM {table} AS r NOT INDEXED WHERE NOT EXISTS
             (SELECT 1 FROM {table} AS i INDEXED BY \"{real}\" WHERE i.{column} IS r.{column} AND i.rowid = r.rowid)"
        ),
        [],
        |row| Ok((uint(row, 0)?, row.get(1)?)),
    )?;
    if let (n, Some(first)) = missing {
        findings.push(out_of_step(format!(
            "index `{}` of `{collection}` has no entry, or another value, for {n} rows, the first of them {first:?}",
            index.name
        )));
    }
    let (entries, rows) = entries(conn, collection, index)?;
    if entries != rows {
        findings.push(out_of_step(format!(
            "index `{}` of `{collection}` has {entries} entries for {rows} rows",
            index.name
        )));
    }
    Ok(findings)
}

/// Entries of the index, and rows of the table.
fn entries(conn: &Connection, collection: &Name, index: &Index) -> rusqlite::Result<(u64, u64)> {
    let (table, column, real) = (quoted(collection), quoted(&index.name), index_name(collection, &index.name));
    let sql = format!(
        "SELECT (SELECT count(*) FROM {table} INDEXED BY \"{real}\" WHERE {column} IS NULL)
              + (SELECT count(*) FROM {table} INDEXED BY \"{real}\" WHERE {column} IS NOT NULL),
                (SELECT count(*) FROM {table} NOT INDEXED)"
    );
    conn.query_row(&sql, [], |row| Ok((uint(row, 0)?, uint(row, 1)?)))
}

fn note_verified(conn: &Connection, collection: &Name, name: &Name) -> Result<()> {
    conn.execute(
        "UPDATE atlas_indexes SET verified_ms = ?3 WHERE collection = ?1 AND name = ?2",
        (collection.as_str(), name.as_str(), now_ms()),
    )
    .or_fail(conn, "note the verification")?;
    Ok(())
}
