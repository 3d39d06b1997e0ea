//! Reads that end after a time.
//!
//! A search for a guest may meet any number of rows: of a one-column index SQLite sorts all that match by their ids, however
//! few are asked for. The deadline of a guest's call acts on the guest alone, not on the host that reads for it.

use std::cell::Cell;
use std::ffi::c_int;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Result};

/// SQLite's steps between two looks at the clock: a fraction of a millisecond.
const STEPS_PER_LOOK: c_int = 10_000;

thread_local! {
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Has the statements of a connection heed [`within`].
pub(super) fn install(conn: &mut Connection) -> Result<()> {
    conn.progress_handler(STEPS_PER_LOOK, Some(|| UNTIL.get().is_some_and(|until| Instant::now() >= until)))
}

/// Runs `work`, whose statements are interrupted after the time.
pub(super) fn within<T>(time: Duration, work: impl FnOnce() -> T) -> T {
    /// Lets the next statements take their time, also after a panic.
    struct Over;

    impl Drop for Over {
        fn drop(&mut self) {
            UNTIL.set(None);
        }
    }

    let _over = Over;
    UNTIL.set(Some(Instant::now() + time));
    work()
}
