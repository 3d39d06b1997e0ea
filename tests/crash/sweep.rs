//! A kill at calls that change a file, by the fault injection of strace(1).

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Job, found};
use crate::harness::{Folder, binary, cache};
use crate::library::random::{Random, number, seed};

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
fn a_job_killed_at_a_call_that_changes_a_file_comes_out_the_same() {
    if !found("strace") {
        return;
    }
    let mut random = Random::new(seed(u64::from(std::process::id())), 0);
    // 1 takes every call there is: several minutes.
    let stride = number("ATLAS_SWEEP_STRIDE", 12).max(1);
    let job = Job::new(60, "sequential", 20);
    let (mut kills, mut lived, mut n) = (0, 0, 0);
    while lived < 2 {
        // Each of the first calls, with which the file comes into being; then one of each stride.
        n += if n < 8 { 1 } else { random.between(1, 2 * stride - 1) };
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
        if lived == 0 && random.coin() && killed_at(&job, &folder, &store, n.div_ceil(2)) {
            kills += 1;
            job.is_sound(&folder, &store);
        }
        job.comes_out_the_same(&folder, &store);
    }
    println!("{kills} kills");
    assert!(kills > 15, "only {kills} kills: strace injects nothing here");
}
