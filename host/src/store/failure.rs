//! Sorts what SQLite reports: the item's affair, or what ends the transaction. No SQLite error leaves this folder unsorted.

use rusqlite::{Connection, ErrorCode, ffi};

use crate::error::{Code, Error, Result};

/// Turns an SQLite result into ours.
pub(super) trait OrFail<T> {
    /// `doing` completes "cannot …"; the error names the store's file and keeps SQLite's error as its cause.
    fn or_fail(self, conn: &Connection, doing: &str) -> Result<T>;
    /// As `or_fail`; `otherwise` is the code where SQLite's own says nothing better.
    fn or_code(self, conn: &Connection, doing: &str, otherwise: Code) -> Result<T>;
}

impl<T> OrFail<T> for rusqlite::Result<T> {
    fn or_fail(self, conn: &Connection, doing: &str) -> Result<T> {
        self.or_code(conn, doing, Code::StorageGeneral)
    }

    fn or_code(self, conn: &Connection, doing: &str, otherwise: Code) -> Result<T> {
        self.map_err(|e| failed(conn, doing, otherwise, e))
    }
}

/// The error itself; see [`OrFail::or_code`].
pub(super) fn failed(conn: &Connection, doing: &str, otherwise: Code, error: rusqlite::Error) -> Error {
    let code = code_of(&error).unwrap_or(otherwise);
    let path = conn.path().unwrap_or_default();
    if code == Code::StorageForeign {
        return Error::new(code, format!("{path} is no SQLite database"))
            .because(error)
            .hint("choose another file; where there is none, `atlas-host run` makes a store");
    }
    if rollback_is_due(&error) {
        return Error::new(Code::StorageOpen, format!("store {path} was left in the middle of its creation"))
            .because(error)
            .hint("run the same `atlas-host run` again: it puts the file right and continues");
    }
    Error::new(code, format!("cannot {doing} in store {path}")).because(error)
}

/// True if a rollback journal waits for someone who may write, as it does where a process was killed while it created the
/// store, before the write-ahead log was turned on.
pub(super) fn rollback_is_due(error: &(dyn std::error::Error + 'static)) -> bool {
    let sqlite = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
    sqlite.is_some_and(|failure| failure.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}

/// True if SQLite found the file itself damaged: pages that cannot be, or an index that lacks an entry.
pub(super) fn is_damage(error: &(dyn std::error::Error + 'static)) -> bool {
    let sqlite = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
    sqlite.is_some_and(|failure| failure.code == ErrorCode::DatabaseCorrupt)
}

/// The code of an SQLite error whose kind alone says what is wrong with the file, the disk or the lock.
pub(super) fn code_of(error: &rusqlite::Error) -> Option<Code> {
    let failure = error.sqlite_error()?;
    Some(match failure.code {
        ErrorCode::DiskFull => Code::StorageFull,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Code::TransactionConflict,
        ErrorCode::NotADatabase => Code::StorageForeign,
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Code::StorageOpen,
        ErrorCode::ReadOnly => Code::StorageWrite,
        ErrorCode::DatabaseCorrupt if failure.extended_code == ffi::SQLITE_CORRUPT_INDEX => Code::IndexCorrupt,
        ErrorCode::DatabaseCorrupt | ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted => Code::StorageGeneral,
        ErrorCode::SystemIoFailure => match failure.extended_code {
            ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_FSTAT => Code::StorageRead,
            _ => Code::StorageWrite,
        },
        _ => return None,
    })
}

/// What kind of constraint or statement error refused one item; none if the error ends the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// A unique index other than the key.
    Unique,
    /// Anything else about this one statement's values, such as a body that an index cannot read.
    Other,
}

/// Sorts the error of a statement that was prepared without one. A statement error whose kind is only "error"
/// is the item's: SQLite reports a body that is not JSON that way when it computes an index.
pub(super) fn refused(error: &rusqlite::Error) -> Option<Refused> {
    let failure = error.sqlite_error()?;
    match failure.code {
        ErrorCode::ConstraintViolation if failure.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE => {
            Some(Refused::Unique)
        }
        ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch => Some(Refused::Other),
        ErrorCode::Unknown if failure.extended_code == ffi::SQLITE_ERROR => Some(Refused::Other),
        _ => None,
    }
}

/// The text of SQLite's error without its wrapping.
pub(super) fn text_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    }
}

/// An unsigned number as SQLite holds it. A bound beyond 2^63 is as good as none.
pub(super) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Column `index` as an unsigned number.
pub(super) fn uint(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let n: i64 = row.get(index)?;
    u64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, n))
}
