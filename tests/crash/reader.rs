//! A reader of another process that is in the middle of a read when the writer is killed.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use atlas_host::event::{Envelope, Event};
use rusqlite::{Connection, OpenFlags};

use super::Job;
use crate::harness::Folder;

/// A read that goes on: what it sees does not change.
struct Reading(Connection);

impl Reading {
    fn begun(store: &Path) -> Self {
        let reading = Self(Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a store"));
        reading.0.execute_batch("BEGIN").expect("a read");
        reading
    }

    /// Rows, batches of history, and the sum of what these say they stored.
    fn seen(&self) -> (i64, i64, i64) {
        let select = "SELECT (SELECT count(*) FROM items), count(*), coalesce(sum(stored), 0) FROM atlas_batches";
        self.0.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("a read that goes on")
    }

    fn ended(self) {
        self.0.execute_batch("COMMIT").expect("the end of a read");
    }
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Starts the job, begins a read once a batch is committed, kills the writer. None where the job had come to its end before.
fn killed_while_read(job: &Job, folder: &Folder, store: &Path) -> Option<Reading> {
    let mut arguments = job.arguments(store);
    arguments.extend(["--events".to_owned(), "-".to_owned()]);
    let mut command = folder.atlas(arguments).command;
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let events = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut lines = events.lines().map_while(Result::ok);
    lines.find(|line| {
        let envelope: Envelope = serde_json::from_str(line).expect("an event");
        matches!(envelope.event, Event::BatchCommitted(done) if done.batch == 2)
    });
    let reading = Reading::begun(store);
    reading.seen();
    // Fails where the process has ended.
    let _ = child.kill();
    lines.for_each(drop);
    (child.wait().expect("it ends").signal() == Some(9)).then_some(reading)
}

#[test]
fn a_reader_goes_on_after_the_writer_was_killed_and_the_same_command_does_not_wait_for_it() {
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let job = Job::new(3000, strategy, 20);
        let mut found = None;
        // The job may be faster than the kill, seldom.
        for _ in 0..20 {
            let folder = Folder::new();
            let store = folder.at("atlas.db");
            if let Some(reading) = killed_while_read(&job, &folder, &store) {
                found = Some((folder, store, reading));
                break;
            }
        }
        let (folder, store, reading) = found.expect("a job that is killed before its end");
        let seen = reading.seen();
        assert!(seen.1 >= 3 && seen.0 == seen.2, "{strategy}: whole batches only: {seen:?}");
        assert!(beside(&store, "-wal").exists() && beside(&store, "-shm").exists(), "{strategy}: what a kill leaves");

        job.is_sound(&folder, &store);
        assert_eq!(reading.seen(), seen, "{strategy}: nothing moves under a reader");
        let ran = folder.atlas(job.arguments(&store)).run();
        assert!(matches!(ran.code, Some(0 | 3)), "{strategy}: {ran:?}");
        for waited in ["STORAGE_2007", "BUSY", "locked", "waits"] {
            assert!(!ran.stderr.contains(waited), "{strategy}: {}", ran.stderr);
        }
        assert_eq!(reading.seen(), seen, "{strategy}: nothing moves under a reader");
        reading.ended();
        job.comes_out_the_same(&folder, &store);
    }
}
