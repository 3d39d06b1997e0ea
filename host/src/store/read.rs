//! Reading a store: its own connection, which never writes. Any number of them, in any process, while a run writes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::catalog::{Catalog, quoted};
use super::connection;
use super::dead_letter::{self, DeadLetter, LetterFilter};
use super::face::{IndexKey, Lookup, PlanRow, Row, TuningRow};
use super::failure::{OrFail, text_of, uint};
use super::history::{self, BatchRow, RunRow};
use super::hurry;
use super::items;
use super::level;
use super::newer;
use super::plugins::{self, KeptPlugin, RunPlugin, SlotPlugin};
use super::schema::Identity;
use super::swaps::{self, SwapEntry};
use super::tuning;
use super::verify::{self, Finding, Level};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{BatchNumber, Digest, Name, RunNumber};

/// A store opened for reading. Each read sees whole committed batches only.
pub struct Reader {
    pub(super) conn: Connection,
    pub(super) catalog: RefCell<Catalog>,
    path: PathBuf,
}

/// Where a stored row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    pub row: Row,
    /// None if it was written outside a run.
    pub origin: Option<Origin>,
}

/// See [`Provenance`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub batch: BatchRow,
    pub run: RunRow,
    /// The chain that worked on the batch.
    pub plugins: Vec<RunPlugin>,
    /// Where the record was a dead letter that was tried again: that letter. It says where the record stood first.
    pub letter: Option<DeadLetter>,
}

impl Reader {
    /// Opens an existing store. Errors: STORAGE_2005 if there is none, STORAGE_2008 for a foreign or newer file.
    pub fn open(path: &Path) -> Result<Self> {
        let (path, there) = connection::examine(path, false)?;
        let nothing = || {
            Error::new(Code::StorageOpen, format!("{} holds no store yet", path.display()))
                .hint("`atlas-host run` fills one")
        };
        if let connection::There::Nothing = there {
            return Err(nothing());
        }
        let (conn, identity) = connection::open_reading(&path)?;
        if identity == Identity::Blank {
            return Err(nothing());
        }
        let catalog = RefCell::new(Catalog::load(&conn)?);
        Ok(Self { conn, catalog, path })
    }

    /// The file, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The declared collections, sorted by name.
    pub fn collections(&self) -> Result<Vec<Name>> {
        *self.catalog.borrow_mut() = Catalog::load(&self.conn)?;
        Ok(self.catalog.borrow().names().cloned().collect())
    }

    /// Rows of a collection.
    pub fn count(&self, collection: &Name) -> Result<u64> {
        self.known(|catalog| catalog.collection(collection).map(|_| ()))?;
        self.conn
            .query_row(&format!("SELECT count(*) FROM {}", quoted(collection)), [], |row| uint(row, 0))
            .or_fail(&self.conn, &format!("count the rows of `{collection}`"))
    }

    /// Calls `each` with every row, sorted by id (byte order), from one consistent state. Stops at its first error.
    pub fn export<E: From<Error>>(
        &self,
        collection: &Name,
        mut each: impl FnMut(&str, &str) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.known(|catalog| catalog.collection(collection).map(|_| ()))?;
        let doing = format!("read the rows of `{collection}`");
        let sql = format!("SELECT id, body FROM {} ORDER BY id", quoted(collection));
        let mut statement = self.conn.prepare(&sql).or_fail(&self.conn, &doing)?;
        let mut rows = statement.query([]).or_fail(&self.conn, &doing)?;
        let mut count = 0;
        while let Some(row) = rows.next().or_fail(&self.conn, &doing)? {
            let text = |i| -> Result<&str> {
                let value = row.get_ref(i).or_fail(&self.conn, &doing)?;
                value.as_str().map_err(|e| {
                    Error::new(
                        Code::StorageRead,
                        format!("a row of `{collection}` in store {} is not UTF-8 text", self.path.display()),
                    )
                    .because(e)
                })
            };
            each(text(0)?, text(1)?)?;
            count += 1;
        }
        Ok(count)
    }

    /// Rows sorted by id, those after `after` (none: from the first on), at most `limit`: fewer where their bodies come to
    /// `bytes_max`, but one at the least.
    pub fn rows_after(
        &self,
        collection: &Name,
        after: Option<&str>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>> {
        self.known(|catalog| items::after(&self.conn, catalog, collection, after, limit, bytes_max))
    }

    /// From now on every read sees the present state, until the reader is dropped. The write-ahead log cannot be emptied
    /// meanwhile.
    pub fn hold_state(&self) -> Result<()> {
        let doing = "hold the present state";
        self.conn.execute_batch(level::READ).or_fail(&self.conn, doing)?;
        // The state is that of the first read.
        self.conn.query_row("PRAGMA schema_version", [], |_| Ok(())).or_fail(&self.conn, doing)
    }

    /// The newest run of this job.
    pub fn last_run_of_job(&self, job: &str) -> Result<Option<RunRow>> {
        history::last_run_of_job(&self.conn, job)
    }

    /// The newest run into this collection that has not come to its end and whose inputs have these paths.
    pub fn unfinished_run_over(&self, collection: &Name, paths: &[String]) -> Result<Option<RunRow>> {
        history::unfinished_run_over(&self.conn, collection, paths)
    }

    /// The newest runs first, at most `limit`.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRow>> {
        history::runs(&self.conn, limit)
    }

    /// One run.
    pub fn run(&self, run: RunNumber) -> Result<Option<RunRow>> {
        history::run(&self.conn, run)
    }

    /// Other runs that have changed rows of this collection, or may have, since that run wrote its first batch; oldest first, with
    /// their inputs.
    pub fn writers_since(&self, run: RunNumber, collection: &Name) -> Result<Vec<(RunNumber, String)>> {
        history::writers_since(&self.conn, run, collection)
    }

    /// The run of a batch, by its row of the history; none where there is no such row.
    pub fn run_of(&self, batch: i64) -> Result<Option<RunNumber>> {
        Ok(history::batch(&self.conn, batch)?.map(|batch| batch.run))
    }

    /// Committed batches of a run from number `from` on, in order, at most `limit`.
    pub fn batches(&self, run: RunNumber, from: BatchNumber, limit: usize) -> Result<Vec<BatchRow>> {
        history::batches(&self.conn, run, from, limit)
    }

    /// Plans of a run that differ from the one before, in the order of their first batches.
    pub fn plans(&self, run: RunNumber) -> Result<Vec<PlanRow>> {
        tuning::plans(&self.conn, run)
    }

    /// What tuning has learned for this chain of plugins and collection on a host of this shape.
    pub fn learned(&self, chain: &str, collection: &Name, host: &str) -> Result<Option<TuningRow>> {
        tuning::learned(&self.conn, chain, collection, host)
    }

    /// Every plugin that a run used, by first batch and place in the chain.
    pub fn plugins(&self, run: RunNumber) -> Result<Vec<RunPlugin>> {
        plugins::of_run(&self.conn, run)
    }

    /// The plugins that filled a slot in the runs into this collection up to `last`, the one that did so last first. Left out
    /// are runs of which an input is called `except…`, but for the last one.
    pub fn plugins_of_slot(
        &self,
        slot: &Name,
        collection: &Name,
        last: RunNumber,
        except: &str,
    ) -> Result<Vec<SlotPlugin>> {
        plugins::of_slot(&self.conn, slot, collection, last, except)
    }

    /// The chain of plugins that a run had last.
    pub fn last_chain(&self, run: RunNumber) -> Result<Vec<RunPlugin>> {
        plugins::chain_at(&self.conn, run, BatchNumber(u64::MAX))
    }

    /// The bytes of a plugin, if they were kept. Errors: STORAGE_2004 if they are other ones by now.
    pub fn plugin_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        plugins::bytes(&self.conn, digest)
    }

    /// Every plugin that some run used, oldest first.
    pub fn kept_plugins(&self) -> Result<Vec<KeptPlugin>> {
        plugins::kept(&self.conn)
    }

    /// Plugins whose bytes are not those of their digest. Empty if all are.
    pub fn verify_plugins(&self) -> Result<Vec<Finding>> {
        verify::plugins_alone(&self.conn)
    }

    /// Steps of swaps in the order in which they were taken, of one run and one slot where these are given.
    pub fn swaps(&self, run: Option<RunNumber>, slot: Option<&Name>) -> Result<Vec<SwapEntry>> {
        swaps::list(&self.conn, run, slot)
    }

    /// Dead letters that match, with an id above `after` (0 for the first page), by id, at most `limit`.
    pub fn dead_letters(&self, filter: &LetterFilter, after: i64, limit: usize) -> Result<Vec<DeadLetter>> {
        self.dead_letters_within(filter, after, limit, usize::MAX)
    }

    /// As [`Reader::dead_letters`], but a page ends with the letter whose original bytes bring it to `bytes_max`, so that
    /// fewer than `limit` say nothing about what is left.
    pub fn dead_letters_within(
        &self,
        filter: &LetterFilter,
        after: i64,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<DeadLetter>> {
        dead_letter::list(&self.conn, filter, after, limit, bytes_max)
    }

    /// As [`Reader::dead_letters`], without the original bytes, however many they are.
    pub fn dead_letter_heads(&self, filter: &LetterFilter, after: i64, limit: usize) -> Result<Vec<DeadLetter>> {
        dead_letter::heads(&self.conn, filter, after, limit)
    }

    /// Position, in the input of the run that first made it, of the record that a dead letter goes back to.
    pub fn first_ordinal(&self, letter: i64) -> Result<u64> {
        let (_, ordinal) = newer::age(&self.conn, letter)?;
        u64::try_from(ordinal).map_err(|e| Error::new(Code::StorageRead, "an ordinal is below 0").because(e))
    }

    /// The newest of the matching dead letters that hold an item of at most so many bytes, at most `limit`, by id.
    pub fn newest_dead_letters(&self, filter: &LetterFilter, limit: usize, bytes_max: u64) -> Result<Vec<DeadLetter>> {
        dead_letter::newest(&self.conn, filter, limit, bytes_max)
    }

    /// Ordinals of the items of a run that failed last, none below `from`, at most `limit`; ascending.
    pub fn newest_failures(&self, run: RunNumber, from: u64, limit: u64) -> Result<Vec<u64>> {
        dead_letter::newest_ordinals(&self.conn, run, from, limit)
    }

    /// How many dead letters match.
    pub fn dead_letter_count(&self, filter: &LetterFilter) -> Result<u64> {
        dead_letter::count(&self.conn, filter)
    }

    /// A row with the batch, run and plugins it comes from; none if there is no such row.
    pub fn why(&self, collection: &Name, id: &str) -> Result<Option<Provenance>> {
        let Some(row) = self.get(collection, id)? else { return Ok(None) };
        let Some(batch) = row.batch else { return Ok(Some(Provenance { row, origin: None })) };
        let lost = |what: String| {
            Error::new(
                Code::StorageGeneral,
                format!("row {id:?} of `{collection}` points to {what}, which is not there"),
            )
        };
        let batch = history::batch(&self.conn, batch)?.ok_or_else(|| lost(format!("history row {batch}")))?;
        let run = history::run(&self.conn, batch.run)?.ok_or_else(|| lost(format!("run {}", batch.run)))?;
        let plugins = plugins::chain_at(&self.conn, batch.run, batch.number)?;
        let letter = match row.ordinal {
            Some(ordinal) => dead_letter::tried_by(&self.conn, batch.run, ordinal)?,
            None => None,
        };
        Ok(Some(Provenance { row, origin: Some(Origin { batch, run, plugins, letter }) }))
    }

    /// Where a record of a run's input was worked on, with the dead letter that it became, if it became one. None if the run
    /// has no such record, or has not come to it.
    pub fn record(&self, run: RunNumber, ordinal: u64) -> Result<Option<(Origin, Option<DeadLetter>)>> {
        let Some(run) = history::run(&self.conn, run)? else { return Ok(None) };
        let Some(batch) = self.batch_with(&run, ordinal)? else { return Ok(None) };
        let plugins = plugins::chain_at(&self.conn, run.run, batch.number)?;
        let letter = dead_letter::tried_by(&self.conn, run.run, ordinal)?;
        let became = dead_letter::made_of(&self.conn, run.run, ordinal)?;
        Ok(Some((Origin { batch, run, plugins, letter }, became)))
    }

    /// The batch that a record was in: batches follow each other in the order of the input.
    fn batch_with(&self, run: &RunRow, ordinal: u64) -> Result<Option<BatchRow>> {
        let (mut from, mut to) = (0, run.batches);
        while from < to {
            let middle = from + (to - from) / 2;
            let Some(batch) = history::batches(&self.conn, run.run, BatchNumber(middle), 1)?.pop() else { break };
            if ordinal < batch.first_ordinal {
                to = middle;
            } else if ordinal - batch.first_ordinal >= batch.counts.read {
                from = middle + 1;
            } else {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// The newest runs that dropped items on their way into this collection, or deleted rows that may have been its own; at
    /// most `limit`.
    pub fn runs_without_trace(&self, collection: &Name, limit: usize) -> Result<Vec<RunRow>> {
        history::runs_without_trace(&self.conn, collection, limit)
    }

    /// The chain of plugins that worked on a batch, by its row of the history; empty where there is no such row.
    pub fn chain_of(&self, batch: i64) -> Result<Vec<RunPlugin>> {
        match history::batch(&self.conn, batch)? {
            Some(batch) => plugins::chain_at(&self.conn, batch.run, batch.number),
            None => Ok(Vec::new()),
        }
    }

    /// Checks everything that must hold; empty if it does. Writes nothing.
    pub fn verify(&self, level: Level) -> Result<Vec<Finding>> {
        verify::verify(&self.conn, level)
    }

    /// Writes a compact copy of the store's present state to a new file; a run may go on meanwhile.
    /// Errors: RECOVERY_9002, also if the file exists.
    pub fn copy_to(&self, target: &Path) -> Result<()> {
        let failed = |why: String| {
            Error::new(
                Code::RecoveryBackup,
                format!("cannot copy store {} to {}: {why}", self.path.display(), target.display()),
            )
        };
        if std::fs::exists(target).map_err(|e| failed(e.to_string()))? {
            return Err(failed("the file exists".to_owned()).hint("name a file that does not exist yet"));
        }
        let absolute = std::path::absolute(target).map_err(|e| failed(e.to_string()))?;
        let absolute = absolute.to_str().ok_or_else(|| failed("the path is not UTF-8".to_owned()))?;
        // `query_only` would forbid the copy too; the connection cannot write to the store itself in any case.
        let guard = |on: bool| self.conn.pragma_update(None, "query_only", on).or_fail(&self.conn, "set a pragma");
        guard(false)?;
        let copied = self.conn.execute("VACUUM INTO ?1", [absolute]).map_err(|e| failed(text_of(&e)).because(e));
        guard(true)?;
        copied.map(|_| ())
    }

    /// Asks the catalog, which is read again if it does not know the name: another process may have declared it meanwhile.
    pub(super) fn known<T>(&self, ask: impl Fn(&Catalog) -> Result<T>) -> Result<T> {
        let answer = ask(&self.catalog.borrow());
        match answer {
            Err(e) if matches!(e.code(), Code::ConfigInvalid | Code::IndexNotFound) => {
                *self.catalog.borrow_mut() = Catalog::load(&self.conn)?;
                ask(&self.catalog.borrow())
            }
            answer => answer,
        }
    }
}

impl Lookup for Reader {
    fn get_many(&self, collection: &Name, ids: &[&str]) -> Result<Vec<Option<Row>>> {
        self.known(|catalog| items::get_many(&self.conn, catalog, collection, ids))
    }

    fn find(
        &self,
        collection: &Name,
        index: &Name,
        key: &IndexKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>> {
        self.known(|catalog| items::find(&self.conn, catalog, (collection, index), key, after, limit, usize::MAX))
    }

    fn find_within(
        &self,
        place: (&Name, &Name),
        key: &IndexKey,
        after: Option<&str>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>> {
        hurry::within(limits::STORE_READ_TIME_MAX, || {
            self.known(|catalog| items::find(&self.conn, catalog, place, key, after, limit, bytes_max))
        })
    }

    fn count_equal(&self, collection: &Name, index: &Name, key: &IndexKey, limit: usize) -> Result<usize> {
        hurry::within(limits::STORE_READ_TIME_MAX, || {
            self.known(|catalog| items::count_equal(&self.conn, catalog, (collection, index), key, limit))
        })
    }

    fn index_key(&self, collection: &Name, index: &Name, body: &str) -> Result<IndexKey> {
        self.known(|catalog| items::index_key(&self.conn, catalog.index(collection, index)?, body))
    }
}
