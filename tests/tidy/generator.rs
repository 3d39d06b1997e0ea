//! The generator of inputs needs no more memory for more rows.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::examples::example;
use crate::harness::Folder;

/// Peak resident memory, in KiB, of a process that writes this many tasks, when all but the last thousand are read.
fn peak_kib(rows: usize) -> u64 {
    let folder = Folder::new();
    let count = rows.to_string();
    let mut child = Command::new(example("generate"))
        .args(["tasks", "--seed", "1", "--profile", "clean", "--projects", "3000", "--count", &count])
        .args(["--out", "-", "--manifest", "manifest.json"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the generator starts");
    let mut out = BufReader::with_capacity(1 << 16, child.stdout.take().expect("a pipe"));
    let mut line = Vec::new();
    // A thousand rows do not fit into a pipe, so it still lives and waits for its reader.
    for _ in 0..rows - 1000 {
        line.clear();
        assert!(out.read_until(b'\n', &mut line).expect("a readable pipe") > 0, "there are fewer than {rows} rows");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the process lives");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    std::io::copy(&mut out, &mut std::io::sink()).expect("a readable pipe");
    assert!(child.wait().expect("it ends").success());
    peak
}

#[test]
fn more_rows_take_no_more_memory() {
    // From 150,000 rows on, the plans that are kept are as many as are ever kept.
    let (few, many) = (peak_kib(150_000), peak_kib(300_000));
    assert!(many * 100 <= few * 105, "{few} KiB for 150,000 rows, {many} KiB for 300,000");
}
