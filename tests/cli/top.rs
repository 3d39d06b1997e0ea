//! `top`: a run of another process on the screen of a terminal.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::{MIXED, mixed_arguments, numbered, plain_run, with_store, words};
use crate::harness::{Folder, binary, cache};

/// What takes the other screen, and what gives it back.
const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";
const CURSOR_HIDDEN: &str = "\u{1b}[?25l";
const CURSOR_SHOWN: &str = "\u{1b}[?25h";

/// `top` at a terminal of this size, as `script` of util-linux lends one.
struct AtTerminal {
    script: Child,
    drawn: Receiver<Vec<u8>>,
    all: Vec<u8>,
}

impl AtTerminal {
    fn start(folder: &Folder, line: &str, (columns, rows): (u16, u16), environment: &[(&str, &str)]) -> Self {
        let command = format!("stty cols {columns} rows {rows}; exec '{}' {line}", binary());
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(folder.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("ATLAS_CACHE_DIR", cache())
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("`script` cannot be started: {error}. hint: it is part of util-linux; Debian has it in bsdutils")
            });
        let mut stdout = script.stdout.take().expect("a pipe");
        let (sender, drawn) = channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut part) {
                if sender.send(part[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { script, drawn, all: Vec::new() }
    }

    /// Waits until this is to be seen on the screen.
    #[track_caller]
    fn until(&mut self, text: &str) {
        loop {
            let shown = shown(&self.drawn_so_far());
            if shown.contains(text) {
                return;
            }
            match self.drawn.recv() {
                Ok(part) => self.all.extend(part),
                Err(_) => panic!("it ended and never showed {text:?}:\n{shown}\n{:?}", self.drawn_so_far()),
            }
        }
    }

    fn drawn_so_far(&self) -> String {
        String::from_utf8_lossy(&self.all).into_owned()
    }

    fn types(&mut self, keys: &str) {
        let stdin = self.script.stdin.as_mut().expect("a pipe");
        stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush()).expect("keys are taken");
    }

    /// Waits for its end; gives the exit code, and what was on the terminal after the screen was given back.
    #[track_caller]
    fn ends(mut self) -> (Option<i32>, String) {
        while let Ok(part) = self.drawn.recv() {
            self.all.extend(part);
        }
        let code = self.script.wait().expect("script ends").code();
        let drawn = self.drawn_so_far();
        let (_, after) =
            drawn.rsplit_once(GIVEN_BACK).unwrap_or_else(|| panic!("the screen is not given back: {drawn:?}"));
        let shows = after.contains(CURSOR_SHOWN) || !drawn.contains(CURSOR_HIDDEN);
        assert!(shows, "the cursor is not shown again: {drawn:?}");
        (code, after.replace('\r', "").replace(CURSOR_SHOWN, ""))
    }
}

/// What is to be seen of what was drawn: of all that steers a terminal, the moves of the cursor are enough here.
fn shown(drawn: &str) -> String {
    let mut cells: BTreeMap<usize, BTreeMap<usize, char>> = BTreeMap::new();
    let (mut row, mut column) = (1, 1);
    let mut rest = drawn.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                let mut numbers = String::new();
                let end = loop {
                    match rest.next() {
                        Some(c) if c.is_ascii_alphabetic() => break c,
                        Some(c) => numbers.push(c),
                        None => break ' ',
                    }
                };
                let mut number = numbers.split(';').map(|n| n.parse().unwrap_or(1));
                match end {
                    'H' => (row, column) = (number.next().unwrap_or(1), number.next().unwrap_or(1)),
                    'J' => cells.clear(),
                    'h' if numbers == "?1049" => cells.clear(),
                    _ => {}
                }
            }
            '\r' => column = 1,
            '\n' => row += 1,
            c => {
                cells.entry(row).or_default().insert(column, c);
                column += 1;
            }
        }
    }
    let line = |cells: &BTreeMap<usize, char>| -> String {
        let last = cells.keys().next_back().copied().unwrap_or(0);
        (1..=last).map(|column| cells.get(&column).copied().unwrap_or(' ')).collect()
    };
    cells.values().map(|cells| line(cells) + "\n").collect()
}

#[test]
fn without_a_terminal_it_is_refused_with_a_way_out() {
    let folder = with_store();
    let ran = words(&folder, "top").exits(2).says("CONFIG_3001").says("terminal").says("atlas-host runs show");
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_run_that_has_ended_is_shown_and_three_keys_leave() {
    let folder = with_store();
    for key in ["q", "\u{3}", "\u{1b}"] {
        let mut top = AtTerminal::start(&folder, "top", (80, 24), &[]);
        top.until("partial");
        top.until("run 1, into items, from mixed.ndjson");
        assert!(top.drawn_so_far().contains(TAKEN));
        top.types(key);
        assert_eq!(top.ends(), (Some(0), String::new()), "{key:?}");
    }
}

#[test]
fn keys_sort_filter_and_help() {
    let folder = with_store();
    let mut top = AtTerminal::start(&folder, "top", (80, 24), &[]);
    top.until("in order of work");
    top.types("s");
    top.until("time per item");
    top.types("f");
    top.until("FAULTY_REJECT");
    top.types("?");
    top.until("the run goes on");
    top.types("?q");
    assert_eq!(top.ends().0, Some(0));
}

#[test]
fn a_run_is_watched_to_its_end_with_its_events() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let mut top = AtTerminal::start(&folder, "top --until-end --events events.ndjson --store atlas.db", (100, 30), &[]);
    top.until("no run yet");
    let mut arguments = mixed_arguments();
    arguments.extend(["--events".to_owned(), "events.ndjson".to_owned()]);
    folder.atlas(arguments).run().exits(3);
    let (code, last) = top.ends();
    assert_eq!(code, Some(0));
    for text in
        ["run 1, into items, from mixed.ndjson", "partial", "items/s", "plans, the newest first", "work", "100 %"]
    {
        assert!(last.contains(text), "{text:?} is not in the last picture:\n{last}");
    }
    assert!(!last.contains('\u{1b}'), "the last picture is plain text: {last:?}");
    assert!(last.lines().all(|line| line.chars().count() <= 100), "{last}");
}

#[test]
fn a_run_under_way_is_seen_growing_and_is_not_hindered() {
    let folder = Folder::new();
    let mut child = folder.atlas("run --input - --format ndjson --id id --batch-wait 20ms -q".split(' ')).start();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(numbered(100).as_bytes()).expect("items");
    stdin.flush().expect("items");
    let mut top = AtTerminal::start(&folder, "top", (80, 24), &[]);
    top.until("from standard input");
    top.until("running");
    top.until("100");
    let more: String = numbered(40_000).lines().skip(100).map(|line| format!("{line}\n")).collect();
    stdin.write_all(more.as_bytes()).expect("items");
    drop(stdin);
    top.until("succeeded");
    assert!(child.wait().expect("a child").success());
    top.types("q");
    assert_eq!(top.ends().0, Some(0));
    // A reader that held a transaction would keep the log of 40,000 rows beside the store.
    let log = std::fs::metadata(folder.at("atlas.db-wal")).map_or(0, |file| file.len());
    assert!(log < 1 << 20, "{log} bytes of log are left");
    words(&folder, "verify").exits(0);
}

#[test]
fn a_signal_gives_the_screen_back() {
    for (signal, code) in [("TERM", 143), ("HUP", 143), ("INT", 130)] {
        let folder = with_store();
        let mut top = AtTerminal::start(&folder, "top", (80, 24), &[]);
        top.until("partial");
        let pid = top.script.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
        let child = children.trim();
        assert!(Command::new("kill").args([&format!("-{signal}"), child]).status().expect("kill").success());
        let (ended, _) = top.ends();
        assert_eq!(ended, Some(code), "{signal}");
    }
}

#[test]
fn without_colour_no_colour_is_drawn() {
    let folder = with_store();
    for (environment, colour) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let mut top = AtTerminal::start(&folder, "top", (80, 24), environment);
        top.until("partial");
        top.until("no alerts");
        top.types("q");
        let drawn = top.drawn_so_far();
        let coloured = ["\u{1b}[38;5;1;", "\u{1b}[38;5;2;", "\u{1b}[38;5;3;"].iter().any(|code| drawn.contains(code));
        assert_eq!(coloured, colour, "{drawn:?}");
        top.ends();
    }
}

#[test]
fn a_small_terminal_shows_what_has_room() {
    let folder = with_store();
    for size in [(40, 10), (24, 4), (12, 2)] {
        let mut top = AtTerminal::start(&folder, "top", size, &[]);
        top.until("partial");
        top.types("q");
        assert_eq!(top.ends().0, Some(0), "{size:?}");
    }
}

#[test]
fn what_is_no_store_is_refused_with_its_exit_code() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(3));
    plain_run(&folder, "-q").run().exits(0);
    let (code, told) = AtTerminal::start(&folder, "top --store in.ndjson", (80, 24), &[]).ends();
    assert_eq!(code, Some(5));
    assert!(told.contains("STORAGE_2008"), "{told}");
}
