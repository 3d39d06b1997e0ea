//! The one writing connection: opening it, its stack of transactions, runs and groups.
//!
//! Invariants: one `Writer` per store over all processes (an OS lock); savepoint names never repeat;
//! where SQLite has undone the transaction by itself, nothing more is written until every level has been rolled back.

mod recovery;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::TempDir;

use super::catalog::{self, Catalog};
use super::connection::{self, Durability, Lock, StoreOptions, There};
use super::dead_letter::{self, LetterFilter};
use super::face::{
    BatchWrite, IndexKey, Lookup, Receipt, Row, RunEnd, RunHandle, RunStart, Store, SwapRow, TuningRow, WritePolicy,
};
use super::failure::{OrFail, failed, refused, rollback_is_due, text_of};
use super::history::{self, RunRow};
use super::items::{self, Table};
use super::plugins::{self, KeptPlugin};
use super::read::Reader;
use super::schema::{self, Identity};
use super::{hurry, level, swaps, tuning, write};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{BatchNumber, IndexSpec, Name, RunNumber};
use crate::transaction::Transactional;

/// A store opened for writing. One at a time per file; any number of [`Reader`]s go on beside it.
pub struct Writer {
    // Fields drop in this order: the connection closes before the lock is freed and the folder removed.
    pub(super) conn: Connection,
    pub(super) catalog: Catalog,
    frames: Vec<Frame>,
    savepoints: u64,
    /// Why nothing works until the file is opened anew: a rollback failed, or the last opening did.
    broken: Option<String>,
    commit_times: Vec<CommitTime>,
    /// How many of `commit_times` are written in the transaction that is open.
    commit_times_written: usize,
    /// Where the last applied group left the checkpoint.
    expected: Option<(RunNumber, u64, u64)>,
    pub(super) time_max: Duration,
    path: PathBuf,
    /// Device and number of the file, which a name can come to mean another of.
    file: (u64, u64),
    durability: Durability,
    dry: bool,
    _lock: Option<Lock>,
    _folder: Option<TempDir>,
}

/// One level of the stack; the first is the transaction itself.
struct Frame {
    savepoint: Option<String>,
    since: Instant,
}

struct CommitTime {
    run: RunNumber,
    first: BatchNumber,
    last: BatchNumber,
    commit_us: u64,
}

impl Writer {
    /// Opens or creates a store. Errors: STORAGE_2007 if another process writes to it, STORAGE_2005 where the path cannot be one,
    /// STORAGE_2008 for a foreign or newer file (which is left as it is), STORAGE_2004 if it is damaged.
    pub fn open(options: &StoreOptions) -> Result<Self> {
        let (path, there) = connection::examine(&options.path, options.create)?;
        if let There::File = there {
            // A look through a reading connection, so that a file which is not ours is never touched. Where a rollback is
            // due, only a writing connection can look; it undoes what was never committed, and then judges the file.
            match connection::open_reading(&path) {
                Err(e) if std::error::Error::source(&e).is_some_and(rollback_is_due) => {}
                looked => drop(looked?),
            }
        }
        let lock = Lock::take(&path)?;
        connection::warn_of_file_system(&path);
        let conn = connection::open_writing(&path, options.durability)?;
        // Asked under the lock: another process may have made the store since it was looked for.
        let catalog = if schema::identify(&conn)? == Identity::Blank {
            // What is new and stays without tables, because the power went, is made anew.
            connection::set_durability(&conn, Durability::Normal)?;
            schema::migrate(&conn)?;
            connection::set_durability(&conn, options.durability)?;
            Catalog::default()
        } else {
            schema::migrate(&conn)?;
            recovery::known(&conn, &path)?
        };
        let mut writer = Self::from_parts(conn, catalog, path, options.durability, Some(lock), None)?;
        if writer.ended_uncleanly()? {
            writer.mend(false, Code::StorageGeneral)?;
            writer.within(|w| history::interrupt(&w.conn))?;
        }
        Ok(writer)
    }

    /// Opens a store of which nothing will be kept: everything happens in one transaction that is rolled back at the end.
    /// The database file stays as it is, to the byte; a store that is not there yet stays so. The write lock is held meanwhile.
    pub fn open_dry_run(options: &StoreOptions) -> Result<Self> {
        let (path, there) = connection::examine(&options.path, true)?;
        let blank = match there {
            There::Nothing => true,
            There::File => connection::open_reading(&path)?.1 == Identity::Blank,
        };
        let mut writer = if blank {
            let folder = tempfile::Builder::new().prefix("atlas-dry-run-").tempdir().map_err(|e| {
                Error::new(Code::StorageOpen, "cannot create a temporary folder for the dry run")
                    .because(e)
                    .hint("check TMPDIR")
            })?;
            let path = folder.path().join("atlas.db");
            let conn = connection::open_writing(&path, options.durability)?;
            schema::migrate(&conn)?;
            Self::from_parts(conn, Catalog::default(), path, options.durability, None, Some(folder))?
        } else {
            let lock = Lock::take(&path)?;
            let left_over = std::fs::metadata(sibling(&path, "-wal")).is_ok_and(|m| m.len() > 0);
            let conn = connection::open_writing(&path, options.durability)?;
            if left_over {
                // Work of a process that was killed waits in the log. Closing would move it into the database file.
                conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).or_fail(&conn, "keep the log")?;
            }
            let catalog = recovery::known(&conn, &path)?;
            let writer = Self::from_parts(conn, catalog, path, options.durability, Some(lock), None)?;
            if writer.ended_uncleanly()? {
                writer.refuse_damage(Code::StorageGeneral)?;
            }
            writer
        };
        writer.begin()?;
        schema::migrate(&writer.conn)?;
        writer.dry = true;
        Ok(writer)
    }

    fn from_parts(
        conn: Connection,
        catalog: Catalog,
        path: PathBuf,
        durability: Durability,
        lock: Option<Lock>,
        folder: Option<TempDir>,
    ) -> Result<Self> {
        let file = recovery::identity(&path)?;
        Ok(Self {
            conn,
            catalog,
            frames: Vec::new(),
            savepoints: 0,
            broken: None,
            commit_times: Vec::new(),
            commit_times_written: 0,
            expected: None,
            time_max: limits::TRANSACTION_TIME_MAX,
            path,
            file,
            durability,
            dry: false,
            _lock: lock,
            _folder: folder,
        })
    }

    /// True while a transaction is open (for a dry run: one beside the one that holds everything).
    pub fn in_transaction(&self) -> bool {
        self.frames.len() > usize::from(self.dry)
    }

    /// Another connection on the same file, for reading. It does not see what is not committed.
    pub fn reader(&self) -> Result<Reader> {
        Reader::open(&self.path)
    }

    /// Creates what is missing of these collections and indexes, the target collection included.
    /// Errors: CONFIG_3001 for reserved names and for an index that is there over another pointer or uniqueness;
    /// INDEX_7004 where the stored rows do not allow an index.
    pub fn declare(&mut self, collections: &[Name], indexes: &[IndexSpec], target: &Name) -> Result<()> {
        self.catalog = self.within_unsynced(|w| catalog::declare(&w.conn, collections, indexes, target))?;
        Ok(())
    }

    /// The newest run of this job.
    pub fn last_run_of_job(&self, job: &str) -> Result<Option<RunRow>> {
        self.check_usable()?;
        history::last_run_of_job(&self.conn, job)
    }

    /// The newest run into this collection that has not come to its end and whose inputs have these paths.
    pub fn unfinished_run_over(&self, collection: &Name, paths: &[String]) -> Result<Option<RunRow>> {
        self.check_usable()?;
        history::unfinished_run_over(&self.conn, collection, paths)
    }

    /// What tuning has learned for this chain of plugins and collection on a host of this shape.
    pub fn learned(&self, chain: &str, collection: &Name, host: &str) -> Result<Option<TuningRow>> {
        self.check_usable()?;
        tuning::learned(&self.conn, chain, collection, host)
    }

    /// Notes a new run; its epoch is 1.
    pub fn begin_run(&mut self, start: &RunStart) -> Result<RunHandle> {
        self.within_unsynced(|w| history::begin_run(&w.conn, start))
    }

    /// Takes up a run where its checkpoint stands, under a higher epoch. Another chain of plugins than before is noted
    /// from the next batch on. Errors: RECOVERY_9004 if the run has no checkpoint.
    pub fn resume_run(&mut self, run: RunNumber, start: &RunStart) -> Result<RunHandle> {
        self.within(|w| history::resume_run(&w.conn, run, start))
    }

    /// Notes how a run ended, prunes old history, and empties the write-ahead log. Returns the run's row with its totals.
    /// Errors: TRANSACTION_6007 if another owner has taken the run over.
    pub fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<RunRow> {
        let row = self.within(|w| {
            w.write_commit_times()?;
            history::finish_run(&w.conn, run, end)?;
            history::run(&w.conn, run.run)
        })?;
        if self.frames.is_empty() {
            self.empty_log();
        }
        row.ok_or_else(|| Error::new(Code::Internal, format!("BUG: run {} is gone at its end", run.run)))
    }

    /// Lets matching open dead letters go: their bytes are removed, the reasons stay. Returns how many.
    pub fn discard_dead_letters(&mut self, filter: &LetterFilter) -> Result<u64> {
        self.within(|w| dead_letter::discard(&w.conn, filter))
    }

    /// Keeps steps of swaps that belong to no batch.
    pub fn note_swaps(&mut self, run: &RunHandle, steps: &[SwapRow]) -> Result<()> {
        self.within(|w| swaps::add(&w.conn, run.run, steps))
    }

    /// Keeps the settings that are in force from now on.
    pub fn note_settings(&mut self, run: &RunHandle, settings_json: &str) -> Result<()> {
        self.within(|w| history::note_settings(&w.conn, run.run, settings_json))
    }

    /// Plugins whose bytes nobody needs: no run of the newest `runs`, none that did not finish or has open dead letters, no
    /// stored row, and no slot of a collection as its last or last but one that stayed there. With `forget` their bytes are let
    /// go; their rows stay.
    pub fn forget_plugins(&mut self, runs: u64, forget: bool) -> Result<Vec<KeptPlugin>> {
        self.within(|w| {
            let collections: Vec<&Name> = w.catalog.names().collect();
            let needed = plugins::needed(&w.conn, &collections, runs)?;
            let mut kept = plugins::kept(&w.conn)?;
            kept.retain(|plugin| plugin.bytes.is_some() && !needed.contains(&plugin.digest));
            if forget {
                kept.iter().try_for_each(|plugin| plugins::forget(&w.conn, &plugin.digest))?;
            }
            Ok(kept)
        })
    }

    /// Runs `work` in a transaction, or in an inner one if one is open.
    pub(super) fn within<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin()?;
        let first = match work(self) {
            Ok(value) => match self.commit() {
                Ok(()) => return Ok(value),
                Err(error) => error,
            },
            Err(error) => error,
        };
        match self.rollback() {
            Ok(()) => Err(first),
            Err(second) => Err(first.followed_by("its rollback failed too", &second)),
        }
    }

    /// As [`Self::within`], for what nobody was told of when a power cut takes it: the next commit that is synced takes all
    /// before it along. Without this a small run would wait for the disk mostly for its own set-up.
    pub(super) fn within_unsynced<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if !self.frames.is_empty() {
            return self.within(work);
        }
        connection::set_durability(&self.conn, Durability::Normal)?;
        let done = self.within(work);
        let Err(error) = connection::set_durability(&self.conn, self.durability) else { return done };
        // What is committed from here on would not be as durable as was promised.
        self.broken = Some(error.to_string());
        match done {
            Ok(_) => Err(error),
            Err(first) => Err(first.followed_by("the durability cannot be set again", &error)),
        }
    }

    /// All is committed: a log that cannot be emptied now is emptied by the next writer.
    fn empty_log(&self) {
        let emptied = self
            .conn
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        let patient = self.conn.busy_timeout(limits::BUSY_TIMEOUT);
        if let Err(error) = emptied.and(patient) {
            tracing::warn!(%error, "the write-ahead log was not emptied");
        }
    }

    fn write_commit_times(&mut self) -> Result<()> {
        for t in &self.commit_times[self.commit_times_written..] {
            history::note_commit_time(&self.conn, t.run, t.first, t.last, t.commit_us)?;
        }
        self.commit_times_written = self.commit_times.len();
        Ok(())
    }

    /// Errors: TRANSACTION_6006 if the connection is unusable.
    pub(super) fn check_usable(&self) -> Result<()> {
        let Some(why) = &self.broken else { return Ok(()) };
        let text = format!("store {} cannot be used until it is opened anew: {why}", self.path.display());
        Err(Error::new(Code::TransactionState, text))
    }

    /// Errors: TRANSACTION_6006 if the connection is unusable, or SQLite has ended the transaction by itself.
    fn check_state(&self) -> Result<()> {
        self.check_usable()?;
        if !self.frames.is_empty() && self.conn.is_autocommit() {
            let text = format!(
                "SQLite has rolled back the transaction on store {}; its levels are still to be given up",
                self.path.display()
            );
            return Err(Error::new(Code::TransactionState, text));
        }
        Ok(())
    }

    fn check_open(&self) -> Result<()> {
        self.check_state()?;
        if self.in_transaction() {
            return Ok(());
        }
        Err(Error::new(Code::TransactionState, format!("no transaction is open on store {}", self.path.display())))
    }

    /// What was applied must be what is there now.
    fn check_checkpoint(&mut self) -> Result<()> {
        if let Some((run, epoch, next)) = self.expected.take() {
            let found = history::checkpoint(&self.conn, run)?;
            if found != Some((next, epoch)) {
                let text = format!(
                    "BUG: after COMMIT the checkpoint of run {run} reads {found:?}; wanted {next} with epoch {epoch}"
                );
                return Err(Error::new(Code::Internal, text));
            }
        }
        Ok(())
    }
}

impl Transactional for Writer {
    fn begin(&mut self) -> Result<()> {
        self.check_state()?;
        if self.frames.is_empty() {
            // IMMEDIATE: the write lock now, with SQLite's own back-off up to the busy time-out, not in the middle of the work.
            self.conn
                .execute_batch(level::BEGIN)
                .or_code(&self.conn, "begin a transaction", Code::TransactionStart)
                .map_err(held_by_another)?;
            self.frames.push(Frame { savepoint: None, since: Instant::now() });
            self.commit_times_written = 0;
            if let Err(error) = self.write_commit_times() {
                return Err(match self.rollback() {
                    Ok(()) => error,
                    Err(second) => error.followed_by("its rollback failed too", &second),
                });
            }
        } else {
            let name = savepoint_name(&mut self.savepoints);
            self.conn.execute_batch(&level::set_savepoint(&name)).or_code(
                &self.conn,
                "set a savepoint",
                Code::TransactionStart,
            )?;
            self.frames.push(Frame { savepoint: Some(name), since: Instant::now() });
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.check_open()?;
        let Some(frame) = self.frames.last() else { return Ok(()) };
        match &frame.savepoint {
            Some(name) => {
                self.conn.execute_batch(&level::release(name)).or_code(
                    &self.conn,
                    "release a savepoint",
                    Code::TransactionCommit,
                )?;
                self.frames.pop();
                Ok(())
            }
            None => {
                self.conn.execute_batch(level::COMMIT).or_code(
                    &self.conn,
                    "commit a transaction",
                    Code::TransactionCommit,
                )?;
                self.frames.pop();
                self.commit_times.drain(..self.commit_times_written);
                self.commit_times_written = 0;
                self.check_checkpoint()
            }
        }
    }

    fn rollback(&mut self) -> Result<()> {
        if !self.in_transaction() {
            return Ok(());
        }
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        self.expected = None;
        self.commit_times_written = 0;
        if !self.conn.is_autocommit() {
            let sql = match &frame.savepoint {
                Some(name) => level::roll_back_to(name),
                None => level::ROLL_BACK.to_owned(),
            };
            if let Err(error) =
                self.conn.execute_batch(&sql).or_code(&self.conn, "roll back", Code::TransactionRollback)
            {
                let error = Error::new(Code::TransactionRollback, error.to_string()).because(error);
                self.broken = Some(error.to_string());
                return Err(error);
            }
            // What this level declared is gone.
            self.catalog = Catalog::load(&self.conn)?;
        } else if self.frames.is_empty() {
            self.catalog = Catalog::load(&self.conn)?;
        }
        Ok(())
    }

    fn put(&mut self, collection: &Name, id: &str, body: &str) -> Result<bool> {
        self.check_open()?;
        let mut table = self.table(collection)?;
        let done = table.insert(id, body, None).and_then(|inserted| Ok(inserted || table.update(id, body, None)?));
        drop(table);
        self.one_row(done, collection, id)
    }

    fn delete(&mut self, collection: &Name, id: &str) -> Result<bool> {
        self.check_open()?;
        let mut table = self.table(collection)?;
        let done = table.delete(id);
        drop(table);
        self.one_row(done, collection, id)
    }

    fn body(&self, collection: &Name, id: &str) -> Result<Option<String>> {
        Ok(self.get(collection, id)?.map(|row| row.body))
    }
}

impl Writer {
    fn table<'a>(&'a self, collection: &'a Name) -> Result<Table<'a>> {
        Table::prepare(&self.conn, collection, self.catalog.collection(collection)?)
    }

    fn one_row(&self, done: rusqlite::Result<bool>, collection: &Name, id: &str) -> Result<bool> {
        done.map_err(|error| match refused(&error) {
            Some(_) if !self.conn.is_autocommit() => {
                let text = format!("collection `{collection}` refuses row {id:?}: {}", text_of(&error));
                Error::new(Code::IndexConstraint, text).because(error)
            }
            _ => failed(&self.conn, &format!("write row {id:?} of `{collection}`"), Code::StorageGeneral, error),
        })
    }
}

impl Store for Writer {
    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        group.iter().try_for_each(BatchWrite::check)?;
        self.check_open()?;
        let Some(frame) = self.frames.last() else { return Ok(Vec::new()) };
        let mut around = write::Surroundings {
            conn: &self.conn,
            catalog: &self.catalog,
            savepoints: &mut self.savepoints,
            since: frame.since,
            time_max: self.time_max,
        };
        let receipts = write::apply(&mut around, run, group, policy)?;
        if let Some(last) = group.last() {
            self.expected = Some((run.run, run.epoch, last.batch.first_ordinal + last.batch.len() as u64));
        }
        Ok(receipts)
    }

    fn note_commit_time(&mut self, run: &RunHandle, first: BatchNumber, last: BatchNumber, commit_us: u64) {
        self.commit_times.push(CommitTime { run: run.run, first, last, commit_us });
    }
}

/// Reads through the writing connection: uncommitted work is seen.
impl Lookup for Writer {
    fn get_many(&self, collection: &Name, ids: &[&str]) -> Result<Vec<Option<Row>>> {
        self.check_usable()?;
        items::get_many(&self.conn, &self.catalog, collection, ids)
    }

    fn find(
        &self,
        collection: &Name,
        index: &Name,
        key: &IndexKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>> {
        items::find(&self.conn, &self.catalog, (collection, index), key, after, limit, usize::MAX)
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
            items::find(&self.conn, &self.catalog, place, key, after, limit, bytes_max)
        })
    }

    fn count_equal(&self, collection: &Name, index: &Name, key: &IndexKey, limit: usize) -> Result<usize> {
        hurry::within(limits::STORE_READ_TIME_MAX, || {
            items::count_equal(&self.conn, &self.catalog, (collection, index), key, limit)
        })
    }

    fn index_key(&self, collection: &Name, index: &Name, body: &str) -> Result<IndexKey> {
        items::index_key(&self.conn, self.catalog.index(collection, index)?, body)
    }
}

/// Where the lock is another's, nothing has begun: neither store nor connection is in doubt, as they are where SQLite finds
/// the store busy in the middle of a transaction.
fn held_by_another(error: Error) -> Error {
    match error.code() {
        Code::TransactionConflict => Error::new(Code::StorageLocked, error.to_string()).because(error),
        _ => error,
    }
}

/// A name that no other savepoint of this writer has had.
pub(super) fn savepoint_name(counter: &mut u64) -> String {
    *counter += 1;
    format!("atlas_{counter}")
}

/// The path of a file that SQLite keeps beside the database.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
