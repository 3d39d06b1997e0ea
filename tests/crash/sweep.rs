//! A kill at every single call that changes a file, by the fault injection of strace(1).

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Job, found};
use crate::harness::{Folder, binary, cache};

/// Calls that change what is on disk. SQLite's bundled build syncs with `fsync`, others with `fdatasync`.
const CALLS: &str = "pwrite64,fsync,fdatasync,ftruncate,unlink,rename";

/// Runs the command until its n-th such call. True if it was killed there, false if it had fewer.
///
/// strace counts for each thread; there is one thread that writes, so n is the order of its calls.
fn killed_at(job: &Job, folder: &Folder, store: &Path, n: u64) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}")])
        .args(["-e", &format!("inject={CALLS}:signal=KILL:when={n}")])
        .arg(binary())
        .args(job.arguments(store))
        .current_dir(folder.path())
        .env_clear()
        .env("ATLAS_CACHE_DIR", cache())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace starts");
    match (status.signal(), status.code()) {
        // strace ends as its child did.
        (Some(9), _) | (_, Some(137)) => true,
        (_, Some(0 | 3)) => false,
        other => panic!("call {n}: {other:?}"),
    }
}

#[test]
fn a_job_killed_at_each_call_that_changes_a_file_comes_out_the_same() {
    if !found("strace") {
        return;
    }
    let job = Job::new(60, "sequential", 20);
    let (mut kills, mut lived) = (0, 0);
    for n in 1.. {
        let folder = Folder::new();
        let store = folder.at("atlas.db");
        if killed_at(&job, &folder, &store, n) {
            kills += 1;
            lived = 0;
        } else {
            lived += 1;
        }
        job.is_sound(&folder, &store);
        // The continuation is killed at the same call of its own.
        if lived == 0 && n % 4 == 0 && killed_at(&job, &folder, &store, n / 2) {
            kills += 1;
            job.is_sound(&folder, &store);
        }
        job.comes_out_the_same(&folder, &store);
        if lived == 2 {
            break;
        }
    }
    println!("{kills} kills");
    assert!(kills > 20, "only {kills} kills: strace injects nothing here");
}
