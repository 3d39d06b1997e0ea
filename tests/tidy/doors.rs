//! How items reach a store: by the coordinator alone.

use super::text::{Source, host_sources};
use super::{none, read};

/// `module::Name` of each program in `closed_doors.rs` that must not compile.
fn closed() -> Vec<(String, String)> {
    let text = read("host/src/coordinator/closed_doors.rs");
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("//!").trim()).collect();
    let programs = lines.windows(2).filter(|pair| pair[0] == "```compile_fail,E0603").map(|pair| {
        let path = pair[1].strip_prefix("use atlas_host::").and_then(|rest| rest.strip_suffix(';'));
        let (module, name) = path.and_then(|path| path.split_once("::")).expect("one import of one name");
        (module.to_owned(), name.to_owned())
    });
    programs.collect()
}

#[test]
fn every_closed_door_is_there_and_open_to_the_crate_alone() {
    let closed = closed();
    assert!(closed.len() > 8, "the programs are found: {closed:?}");
    let mut complaints = Vec::new();
    for (module, name) in closed {
        let text = read(&format!("host/src/{module}/mod.rs"));
        let mut imports = text.split_inclusive(';').filter(|statement| statement.contains("pub(crate) use "));
        let named =
            |statement: &str| statement.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        if !imports.any(named) {
            complaints.push(format!(
                "{module}/mod.rs does not re-export {name} to the crate: the program about it shows nothing"
            ));
        }
    }
    none(&complaints);
}

/// Sources of the command line that have this in their code.
fn in_cli<'a>(sources: &'a [Source], word: &str) -> Vec<&'a str> {
    let sources =
        sources.iter().filter(|source| source.path.starts_with("host/src/cli/") && source.code.contains(word));
    sources.map(|source| source.path.trim_start_matches("host/src/cli/")).collect()
}

#[test]
fn the_commands_reach_a_store_by_the_same_calls_as_an_embedding_program() {
    let sources = host_sources();
    // One door for items, and those who knock at it.
    assert_eq!(in_cli(&sources, "host.run("), ["revalidate.rs", "run.rs", "validate.rs"]);
    // Beside runs only these write, and they write no items.
    assert_eq!(in_cli(&sources, "Writer::open"), ["dead_letters.rs", "index.rs", "plugins/gc.rs"]);
    for word in [
        "BatchWrite",
        "RunStart {",
        "store::RunStart",
        ".begin_run(",
        "Store::apply",
        "StorageProcessor",
        "MemoryProcessor",
        "Slot::of_",
        "Cutter",
    ] {
        assert_eq!(in_cli(&sources, word), Vec::<&str>::new(), "{word} belongs to the coordinator");
    }
    let outside = |source: &&Source| {
        !["host/src/store/", "host/src/processor/", "host/src/coordinator/", "host/src/cli/"]
            .iter()
            .any(|folder| source.path.starts_with(folder))
    };
    let writers: Vec<&str> =
        sources.iter().filter(outside).filter(|s| s.code.contains("Writer::open")).map(|s| s.path.as_str()).collect();
    assert_eq!(writers, Vec::<&str>::new(), "opens a store for writing");
}
