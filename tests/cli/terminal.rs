//! What a person at a terminal sees: a bar while the run goes on, and nothing of it afterwards.

use std::process::{Command, Stdio};

use super::numbered;
use crate::harness::{Folder, Ran, binary, cache};

/// Begins the line anew and empties it.
const CLEARED: &str = "\r\u{1b}[2K";

/// Runs the command with a terminal for all its streams, as `script` of util-linux lends one. Gives what was drawn there.
#[track_caller]
fn at_a_terminal(folder: &Folder, line: &str) -> Ran {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &format!("'{}' {line}", binary()), "/dev/null"])
        .current_dir(folder.path())
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("ATLAS_CACHE_DIR", cache())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("`script` cannot be started: {error}. hint: it is part of util-linux; Debian has it in bsdutils")
    });
    Ran::from(output)
}

#[test]
fn a_bar_is_drawn_on_a_terminal_and_taken_away_before_the_summary() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(5000));
    let ran = at_a_terminal(&folder, "run --input in.ndjson --id id --batch-size 100").exits(0);
    let drawn = ran.stdout;
    let (bar, after) = drawn.rsplit_once(CLEARED).unwrap_or_else(|| panic!("nothing is taken away: {drawn:?}"));
    assert!(bar.contains('[') && bar.contains(" %, ") && bar.contains(" items/s"), "no bar: {drawn:?}");
    assert!(bar.contains('\r'), "the bar is drawn once and never again: {drawn:?}");
    assert!(after.trim_start().starts_with("Run 1 succeeded: all 5,000 items have their place."), "{after:?}");
    assert!(!after.contains('\u{1b}'), "{after:?}");
}

#[test]
fn a_quiet_run_draws_nothing_on_a_terminal() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(5000));
    let ran = at_a_terminal(&folder, "run --input in.ndjson --id id --batch-size 100 -q").exits(0);
    assert_eq!(ran.stdout, "");
}
