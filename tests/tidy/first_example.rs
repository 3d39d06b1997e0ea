//! The first commands of the README work on a machine that has nothing but the program.

use super::read;
use super::readme::command_lines;
use crate::harness::{Folder, binary, guest, tickets};

#[test]
fn the_first_example_runs_with_nothing_else_on_the_machine() {
    let readme = super::File { path: "README.md".to_owned(), text: read("README.md") };
    let folder = Folder::new();
    folder.write("tickets.ndjson", tickets(300, 5));
    for name in ["ticket-rules", "ticket-tidy"] {
        std::fs::copy(guest(name), folder.at(&format!("{name}.wasm"))).expect("a copy of the plugin");
    }
    // Blocks of a dialogue come first, in the order of the document: these are the five of the quick start.
    let commands: Vec<Vec<String>> = command_lines(&readme).into_iter().map(|(_, words)| words).take(5).collect();
    let verbs: Vec<&str> = commands.iter().map(|words| words[1].as_str()).collect();
    assert_eq!(verbs, ["run", "query", "query", "dead-letters", "verify"], "{commands:?}");
    // Some tickets are refused by the rules: the run ends with 3.
    for (words, exit) in commands.iter().zip([3, 0, 0, 0, 0]) {
        let arguments = words[1..].iter().map(String::as_str);
        // The environment is empty but for the cache; no other program can be found.
        let ran = folder.atlas(arguments).env("PATH", "/nonexistent").run().exits(exit);
        assert!(!ran.stdout.is_empty() || words[1] == "run", "{words:?} prints nothing");
    }
}

#[test]
fn the_program_brings_its_own_sqlite() {
    let program = std::fs::read(binary()).expect("the program");
    let names = |text: &str| program.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(names("libc.so"), "a library that is loaded stands by its name in the program");
    assert!(!names("libsqlite3.so"), "the machine's SQLite is loaded");
}
