//! After a failure of the store: the connection is dropped, the file opened anew and checked before it is written to again.
//!
//! Invariants: the OS lock is held throughout, so that nobody else gets in; a file that is damaged anywhere but in indexes is
//! not written to.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::Connection;

use super::Writer;
use crate::error::{Code, Error, Result};
use crate::store::catalog::Catalog;
use crate::store::connection;
use crate::store::schema::{self, Identity, VERSION};
use crate::store::verify::{self, Level};
use crate::store::{RunHandle, history};

impl Writer {
    /// False where nothing works until [`Writer::reopen`]: a rollback failed, the last opening did, or SQLite has ended a
    /// transaction of which levels are still open.
    pub fn in_order(&self) -> bool {
        self.broken.is_none() && (self.frames.is_empty() || !self.conn.is_autocommit())
    }

    /// Gives up what is not committed, opens the file anew and checks it, after a failure with the code `after`. Indexes that
    /// cannot be read are built anew; after a failure of an index also those that disagree with their rows.
    /// False, with nothing done, for a dry run and inside a transaction: what they hold would be lost.
    ///
    /// Errors: RECOVERY_9001 for a damaged file, STORAGE_2008 for another file under the same name, what keeps the file from
    /// being opened. Then everything is refused until it is opened anew.
    pub fn reopen(&mut self, after: Code) -> Result<bool> {
        if self.dry || (!self.frames.is_empty() && !self.conn.is_autocommit()) {
            return Ok(false);
        }
        self.frames.clear();
        self.expected = None;
        self.commit_times_written = 0;
        self.broken = Some("it was closed after a failure".to_owned());
        let nothing = Connection::open_in_memory()
            .map_err(|e| Error::new(Code::StorageGeneral, "SQLite cannot be started again").because(e))?;
        if let Err((_, error)) = std::mem::replace(&mut self.conn, nothing).close() {
            tracing::warn!(store = %self.path.display(), %error, "the failed connection was not closed cleanly");
        }
        let opened = self.open_again(after);
        self.broken = opened.as_ref().err().map(ToString::to_string);
        opened.map(|()| true)
    }

    fn open_again(&mut self, after: Code) -> Result<()> {
        let path = &self.path;
        let foreign = |what: &str| {
            let text = format!("store {} {what} while it was written to", path.display());
            Err(Error::new(Code::StorageForeign, text)
                .hint("see what became of the file, then run the same command again"))
        };
        if identity(path)? != self.file {
            return foreign("was replaced by another file");
        }
        let conn = connection::open_writing_again(path, self.durability)?;
        if schema::identify(&conn)? != Identity::Store(VERSION) {
            return foreign("became something else");
        }
        self.catalog = known(&conn, path)?;
        self.conn = conn;
        // From here on the transactions that mend it can be opened.
        self.broken = None;
        let of_index = matches!(after, Code::IndexCorrupt | Code::IndexOutOfStep);
        self.mend(of_index, Code::RecoveryFailed)
    }

    /// First ordinal of the run that is not kept yet. Errors: TRANSACTION_6007 if another worker has taken the run over.
    pub fn position(&self, run: &RunHandle) -> Result<u64> {
        self.check_usable()?;
        history::position(&self.conn, run)
    }

    /// True if a run did not end, or the store failed the last one; says so.
    pub(super) fn ended_uncleanly(&self) -> Result<bool> {
        let unclean = history::has_unclean(&self.conn)?;
        if unclean {
            tracing::info!(store = %self.path.display(), "a run did not end cleanly; the store is checked");
        }
        Ok(unclean)
    }

    /// True if nothing of what is written will be kept.
    pub(in crate::store) fn is_dry(&self) -> bool {
        self.dry
    }

    /// Checks the pages. If some are damaged, or if indexes are in doubt, indexes that are not right are built anew, all in
    /// one transaction, which is kept only if the pages are sound then.
    /// Errors: `otherwise` for damage that is left.
    pub(super) fn mend(&mut self, indexes_in_doubt: bool, otherwise: Code) -> Result<()> {
        if !indexes_in_doubt && verify::damage(&self.conn, Level::Quick)?.is_empty() {
            return Ok(());
        }
        let unsound = self.unsound_indexes()?;
        let mended = self.within(|w| {
            for (collection, name) in &unsound {
                w.replace_index(collection, name)?;
            }
            w.refuse_damage(otherwise)
        });
        match mended {
            Ok(()) => self.reclaim(),
            Err(error) => {
                // An index that was forgotten is there again.
                crate::store::catalog::read_schema_again(&self.conn)?;
                // Where damaged rows keep an index from being built, the damage is what there is to say first.
                match self.refuse_damage(otherwise) {
                    Err(damage) if error.code() != otherwise => {
                        Err(damage.followed_by("the indexes cannot be built anew", &error))
                    }
                    _ => Err(error),
                }
            }
        }
    }

    /// Errors: `code`, naming the first damaged page.
    pub(super) fn refuse_damage(&self, code: Code) -> Result<()> {
        let found = verify::damage(&self.conn, Level::Quick)?;
        match found.iter().find(|line| !verify::is_lost_space(line)) {
            None => Ok(()),
            Some(first) => Err(Error::new(code, format!("store {} is damaged: {first}", self.path.display()))
                .hint("restore a copy; nothing has been written to the file")),
        }
    }
}

/// What is declared in a file that has the schema which it says it has. Errors: STORAGE_2008 for another schema.
pub(super) fn known(conn: &Connection, path: &Path) -> Result<Catalog> {
    let differences = schema::differences(conn)?;
    if differences.is_empty() {
        return Catalog::load(conn);
    }
    let text =
        format!("store {} does not have the schema that it says it has: {}", path.display(), differences.join(", "));
    Err(Error::new(Code::StorageForeign, text).hint("restore a copy: someone has changed the host's own tables"))
}

/// Device and number of the file under this name.
pub(super) fn identity(path: &Path) -> Result<(u64, u64)> {
    let found = std::fs::metadata(path).map_err(|e| {
        Error::new(Code::StorageOpen, format!("store {} cannot be found again", path.display())).because(e)
    })?;
    Ok((found.dev(), found.ino()))
}
