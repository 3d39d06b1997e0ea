//! The statements that open and close a level of the stack of transactions. Each of them stands here and nowhere else.

/// Opens the outermost level, with the write lock.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Begins reading from one state; no lock that hinders a writer.
pub(super) const READ: &str = "BEGIN DEFERRED";
/// Keeps the outermost level, and with it everything.
pub(super) const COMMIT: &str = "COMMIT";
/// Undoes the outermost level, and with it everything.
pub(super) const ROLL_BACK: &str = "ROLLBACK";

/// Opens an inner level.
pub(super) fn set_savepoint(name: &str) -> String {
    format!("SAVEPOINT {name}")
}

/// Keeps an inner level, as far as the outer ones are kept.
pub(super) fn release(name: &str) -> String {
    format!("RELEASE {name}")
}

/// Undoes an inner level. Rolling back alone leaves the savepoint open, so it is released as well.
pub(super) fn roll_back_to(name: &str) -> String {
    format!("ROLLBACK TO {name}; {}", release(name))
}
