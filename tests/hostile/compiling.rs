//! The process that compiles plugins for the command: its bounds, and what becomes of it and of its host without the other.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use atlas_host::limits;
use atlas_host::plugin::COMPILE_VERB;

use super::component::Module;
use crate::cli::sharing::Running;
use crate::harness::{Folder, binary};
use crate::swap::stamp;

/// Longest time for what comes at once.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not come");
        std::thread::yield_now();
    }
}

#[test]
fn as_many_threads_as_it_may_have_fit_into_its_address_space() {
    let functions: String =
        (0..500).map(|n| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {n})))")).collect();
    let component = Module { fields: &functions, ..Module::default() }.component();
    // As on a machine with as many cores, whatever this one has.
    let mut compiling = Command::new(binary())
        .args([COMPILE_VERB, "full", "67108864"])
        .env_clear()
        .env("RAYON_NUM_THREADS", limits::COMPILE_THREADS_MAX.to_string())
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = compiling.stdin.take().expect("a pipe");
    stdin.write_all(&component).expect("it reads");
    drop(stdin);
    let output = compiling.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.len() > component.len(), "{} bytes of code", output.stdout.len());
}

#[test]
fn it_ends_with_its_host_and_has_a_bound_of_its_own() {
    // The host is a shell; the pipe that it reads from stays open.
    let script = format!("exec 3<&0; \"$0\" {COMPILE_VERB} full 67108864 <&3 & echo $!; wait");
    let mut host = Command::new("/bin/sh")
        .args(["-c", &script, binary()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let _open = host.stdin.take().expect("a pipe");
    let mut number = String::new();
    BufReader::new(host.stdout.take().expect("a pipe")).read_line(&mut number).expect("a line");
    let of_it = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", number.trim()));
    let bound = (limits::COMPILE_TIME_MAX.as_secs() * limits::COMPILE_THREADS_MAX as u64).to_string();
    until("its bound of CPU time", || {
        let limits = of_it("limits").expect("it waits for its input");
        let line = limits.lines().find(|line| line.starts_with("Max cpu time")).expect("a limit");
        line.split_whitespace().nth(3) == Some(bound.as_str())
    });
    host.kill().and_then(|()| host.wait()).expect("the shell ends");
    until("its end", || {
        // Gone, or ended with nobody to take note of it.
        let state = of_it("stat").ok().and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
        state.is_none_or(|state| matches!(state, 'Z' | 'X'))
    });
}

#[test]
fn a_host_that_stays_up_compiles_on_when_its_executable_is_gone() {
    let folder = Folder::new();
    // A link to it needs the same file system.
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let program = place.path().join("atlas-host");
    std::fs::hard_link(binary(), &program).expect("a link");
    folder.write("work.wasm", stamp("v1"));
    let line = "run --input - --id id --batch-wait 10ms --plugin work=work.wasm --watch --strategy sequential --batch-size 10 \
                --events -";
    let command = folder.atlas_by(&program, line.split_whitespace()).env("ATLAS_CACHE_DIR", folder.at("cache"));
    let mut running = Running::of(command);
    running.feed(&(0..10).map(|n| format!("{{\"id\":\"{n}\",\"n\":{n}}}\n")).collect::<String>());
    running.committed(10);
    std::fs::remove_file(&program).expect("a file");
    folder.write("work.wasm", stamp("v2"));
    let tried = running.until(240, |event| event["event"] == "swap-tried" || event["event"] == "swap-refused");
    assert_eq!(tried["event"], "swap-tried", "{tried}");
    running.close().1.exits(0);
}
