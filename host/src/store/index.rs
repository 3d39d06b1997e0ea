//! What a user does with indexes beside declaring them: add, drop, list, verify, rebuild. Rows are never touched.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::catalog::{self, Index, index_name, quoted};
use super::extract;
use super::failure::{OrFail, failed, is_damage, text_of, uint};
use super::read::Reader;
use super::verify::{self, Finding};
use super::writer::Writer;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{IndexSpec, Name, Pointer, now_ms};

/// A declared index and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    pub collection: Name,
    pub name: Name,
    pub pointer: Pointer,
    pub unique: bool,
    /// False while a run fills the collection, which was empty: its entries are made when the run ends.
    pub built: bool,
    /// One per row of the collection.
    pub entries: u64,
    /// Size on disk.
    pub bytes: u64,
    /// False where damaged pages keep the index from being read: entries and bytes are 0 then.
    pub readable: bool,
    pub created_ms: i64,
    /// When it was last found to agree with its rows.
    pub verified_ms: Option<i64>,
}

/// An index that was put off and is now built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltIndex {
    pub name: Name,
    /// Of its sorting and writing, with the commit.
    pub duration: Duration,
}

impl Writer {
    /// Adds an index to a collection that is declared and fills it from the rows there. False if the same index is there already.
    /// Errors: CONFIG_3001 for a name or definition that cannot be, INDEX_7004 where the rows do not allow it.
    pub fn index_add(&mut self, collection: &Name, spec: &IndexSpec) -> Result<bool> {
        self.within(|w| catalog::add_index(&w.conn, &mut w.catalog, collection, spec))
    }

    /// Puts off the entries of the indexes of a collection that is empty, until [`Writer::build_indexes`]; not those of unique
    /// ones. Rows are found by them all the same, by a look at each. Whoever declares the collection the next time builds
    /// what was put off and never built. Gives how many were put off: none where there are rows.
    pub fn put_off_indexes(&mut self, collection: &Name) -> Result<usize> {
        self.within_unsynced(|w| catalog::put_off(&w.conn, &mut w.catalog, collection))
    }

    /// Builds what was put off, each index in a transaction of its own.
    /// Errors: INDEX_7004 where a body cannot be read; what was built before stays.
    pub fn build_indexes(&mut self, collection: &Name) -> Result<Vec<BuiltIndex>> {
        let names = self.catalog.put_off(collection);
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // A sort takes as much memory as the page cache may, and comes on top of it; with less of it it is no slower.
        self.set_cache(limits::INDEX_SORT_KIB)?;
        let built = names.into_iter().map(|name| {
            let begun = Instant::now();
            self.within_unsynced(|w| catalog::build(&w.conn, &mut w.catalog, collection, &name))?;
            Ok(BuiltIndex { name, duration: begun.elapsed() })
        });
        let built = built.collect();
        self.set_cache(limits::WRITER_CACHE_KIB)?;
        built
    }

    /// Sets how much memory the pages of the store may take from now on, and gives back what is beyond it.
    fn set_cache(&self, kib: u32) -> Result<()> {
        let set = self.conn.pragma_update(None, "cache_size", -i64::from(kib));
        set.and_then(|()| self.conn.execute_batch("PRAGMA shrink_memory")).or_fail(&self.conn, "set a pragma")
    }

    /// Removes an index, also one with damaged pages. Errors: INDEX_7001 if there is none of this name.
    pub fn index_drop(&mut self, collection: &Name, name: &Name) -> Result<()> {
        self.through_damage(collection, name, |w| catalog::drop_index(&w.conn, &mut w.catalog, collection, name))
    }

    /// Builds an index anew from the rows, also one with damaged pages.
    /// Errors: INDEX_7004 where the rows do not allow it; the old entries are kept then.
    pub fn index_rebuild(&mut self, collection: &Name, name: &Name) -> Result<()> {
        self.through_damage(collection, name, |w| w.rebuild(collection, name))
    }

    /// Compares an index with the rows; empty if they agree, which is noted with its time.
    pub fn index_verify(&mut self, collection: &Name, name: &Name) -> Result<Vec<Finding>> {
        let findings = self.disagreements(collection, name)?;
        // SQLite writes nothing more in a transaction that has met damage, as the one of a dry run may have.
        if findings.is_empty() && !self.is_dry() {
            self.within(|w| note_verified(&w.conn, collection, name))?;
        }
        Ok(findings)
    }

    /// Indexes that cannot be read or disagree with their rows; says which. Outside of transactions: SQLite writes nothing more
    /// in one that has met damage.
    pub(super) fn unsound_indexes(&self) -> Result<Vec<(Name, Name)>> {
        let mut unsound = Vec::new();
        for (collection, name) in self.catalog.all() {
            // What is put off agrees with its rows once it is built.
            if !self.catalog.index(&collection, &name)?.built {
                continue;
            }
            if let Some(finding) = self.disagreements(&collection, &name)?.first() {
                tracing::warn!(code = finding.code.as_str(), "{}; it is built anew", finding.message);
                unsound.push((collection, name));
            }
        }
        Ok(unsound)
    }

    /// Builds an index anew without a look at what is there. Inside a transaction.
    pub(super) fn replace_index(&mut self, collection: &Name, name: &Name) -> Result<()> {
        catalog::forget_index(&self.conn, collection, name)?;
        self.rebuild(collection, name)
    }

    /// Gives back the pages that belong to no tree since an index was forgotten, if that is all that is wrong with the pages.
    /// Outside of transactions. Where it cannot be, nothing but space is lost.
    pub(super) fn reclaim(&self) -> Result<()> {
        let store = self.conn.path().unwrap_or_default();
        let found = verify::damage(&self.conn, verify::Level::Quick)?;
        if let Some(other) = found.iter().find(|line| !verify::is_lost_space(line)) {
            tracing::warn!(store, "there is other damage: {other}");
        } else if !found.is_empty()
            && let Err(error) = self.conn.execute_batch("VACUUM")
        {
            tracing::warn!(store, %error, "the space of a forgotten index is not given back");
        }
        Ok(())
    }

    /// Runs `work`, which removes the SQLite index behind a declared one. Where damage keeps it from that, the index is
    /// forgotten first: SQLite walks the pages of what it drops.
    fn through_damage(&mut self, collection: &Name, name: &Name, work: impl Fn(&mut Self) -> Result<()>) -> Result<()> {
        match self.within(&work) {
            Err(error) if std::error::Error::source(&error).is_some_and(is_damage) => {}
            done => return done,
        }
        if self.is_dry() {
            // It cannot be tried in the transaction that met the damage.
            return Ok(());
        }
        let done = self.within(|w| {
            catalog::forget_index(&w.conn, collection, name)?;
            work(w)
        });
        if done.is_err() {
            catalog::read_schema_again(&self.conn)?;
        }
        done?;
        if self.conn.is_autocommit() { self.reclaim() } else { Ok(()) }
    }

    fn rebuild(&mut self, collection: &Name, name: &Name) -> Result<()> {
        catalog::build(&self.conn, &mut self.catalog, collection, name)?;
        let index = self.catalog.index(collection, name)?;
        match self.check(collection, index)?.first() {
            None => note_verified(&self.conn, collection, name),
            Some(finding) => {
                Err(Error::new(finding.code, finding.message.clone())
                    .hint("run `atlas-host verify`: the rows are damaged"))
            }
        }
    }

    fn disagreements(&self, collection: &Name, name: &Name) -> Result<Vec<Finding>> {
        let index = self.catalog.index(collection, name)?;
        match catalog::definition(&self.conn, collection, index)? {
            Some(message) => Ok(vec![Finding { code: Code::IndexOutOfStep, message }]),
            None if !index.built => {
                let message = format!(
                    "index `{name}` of `{collection}` is not built: the run that filled the collection was cut off"
                );
                Ok(vec![Finding { code: Code::IndexOutOfStep, message }])
            }
            None => self.check(collection, index),
        }
    }

    /// As [`check`], by SQLite's own operator: what is checked is not what made the entries.
    fn check(&self, collection: &Name, index: &Index) -> Result<Vec<Finding>> {
        extract::with_sqlites_own(|| check(&self.conn, collection, index))
    }
}

impl Reader {
    /// True if somebody has added to one of these collections what may refuse a row though the host knows no reason to, such as
    /// a unique index.
    pub fn has_rules_of_others(&self, collections: &[Name]) -> Result<bool> {
        let known = self.catalog.borrow();
        for collection in collections {
            if let Some(indexes) = known.indexes(collection)
                && catalog::has_rules_of_others(&self.conn, collection, indexes)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

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
                // Where the index behind the declared one is gone, it has no entries; `index verify` says so.
                let there = index.built && catalog::definition(&self.conn, &collection, index)?.is_none();
                let (readable, (bytes, entries)) = match size(&self.conn, &collection, index, there) {
                    Err(error) if is_damage(&error) => (false, (0, 0)),
                    read => (true, read.or_fail(&self.conn, doing)?),
                };
                let Index { name, pointer, unique, built } = index.clone();
                all.push(IndexRow {
                    collection: collection.clone(),
                    name,
                    pointer,
                    unique,
                    built,
                    entries,
                    bytes,
                    readable,
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
    compare(conn, collection, index).or_else(|error| {
        if !is_damage(&error) {
            return Err(failed(conn, &doing, Code::IndexOperation, error));
        }
        // Damaged pages are what was asked for.
        let message = format!("index `{}` of `{collection}` cannot be read: {}", index.name, text_of(&error));
        Ok(vec![Finding { code: Code::IndexCorrupt, message }])
    })
}

/// Bytes on disk, and entries.
fn size(conn: &Connection, collection: &Name, index: &Index, there: bool) -> rusqlite::Result<(u64, u64)> {
    let bytes = conn.query_row(
        "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?1",
        [index_name(collection, &index.name)],
        |row| uint(row, 0),
    )?;
    Ok((bytes, if there { entries(conn, collection, index)?.0 } else { 0 }))
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
