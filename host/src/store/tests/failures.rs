//! What SQLite reports, as codes of ours.

use rusqlite::{Connection, ffi};

use super::failure::failed;
use crate::error::Code;

fn sqlite(extended_code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None)
}

/// The code of an error that came up while `otherwise` says what was done.
fn coded(extended_code: i32, otherwise: Code) -> Code {
    let conn = Connection::open_in_memory().unwrap();
    let error = failed(&conn, "go on", otherwise, sqlite(extended_code));
    assert!(std::error::Error::source(&error).is_some(), "SQLite's own error is kept as the cause");
    error.code()
}

#[test]
fn every_kind_of_error_of_the_file_the_disk_and_the_lock_has_its_code() {
    for (extended_code, wanted) in [
        (ffi::SQLITE_IOERR_READ, Code::StorageRead),
        (ffi::SQLITE_IOERR_SHORT_READ, Code::StorageRead),
        (ffi::SQLITE_IOERR_FSTAT, Code::StorageRead),
        (ffi::SQLITE_IOERR_WRITE, Code::StorageWrite),
        (ffi::SQLITE_IOERR_FSYNC, Code::StorageWrite),
        (ffi::SQLITE_IOERR_TRUNCATE, Code::StorageWrite),
        (ffi::SQLITE_READONLY, Code::StorageWrite),
        (ffi::SQLITE_FULL, Code::StorageFull),
        (ffi::SQLITE_CANTOPEN, Code::StorageOpen),
        (ffi::SQLITE_PERM, Code::StorageOpen),
        (ffi::SQLITE_NOTADB, Code::StorageForeign),
        (ffi::SQLITE_CORRUPT, Code::StorageGeneral),
        (ffi::SQLITE_CORRUPT_INDEX, Code::IndexCorrupt),
        (ffi::SQLITE_BUSY, Code::TransactionConflict),
        (ffi::SQLITE_BUSY_SNAPSHOT, Code::TransactionConflict),
        (ffi::SQLITE_LOCKED, Code::TransactionConflict),
    ] {
        assert_eq!(coded(extended_code, Code::StorageGeneral), wanted, "SQLite's code {extended_code}");
        assert_eq!(coded(extended_code, Code::TransactionCommit), wanted, "SQLite's code {extended_code}, at a commit");
    }
}

#[test]
fn an_error_that_says_nothing_of_the_file_has_the_code_of_what_was_done() {
    for extended_code in [ffi::SQLITE_ERROR, ffi::SQLITE_CONSTRAINT_FOREIGNKEY, ffi::SQLITE_MISUSE] {
        for done in [Code::StorageGeneral, Code::TransactionStart, Code::TransactionCommit, Code::IndexOperation] {
            assert_eq!(coded(extended_code, done), done, "SQLite's code {extended_code}");
        }
    }
}
