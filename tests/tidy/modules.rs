//! Rules on the sources of the host: who imports whom, who names which crate, and what is said nowhere.

use super::text::{Source, host_sources, lines_with};
use super::{files, none, read};

/// The crates that one module alone may name, or two, and where.
const NAMED_BY: &[(&str, &str)] = &[
    ("wasmtime", "plugin/"),
    ("wasmtime_wasi", "plugin/"),
    ("tokio", "plugin/"),
    ("rand_core", "plugin/"),
    ("sha2", "plugin/"),
    ("ureq", "plugin/"),
    ("rusqlite", "store/"),
    ("flate2", "source/"),
    ("zstd", "source/"),
    ("sysinfo", "monitor/"),
    ("indicatif", "monitor/"),
    ("hdrhistogram", "monitor/"),
    ("crossbeam_channel", "coordinator/"),
    ("etcetera", "coordinator/"),
    ("clap", "cli/"),
    ("clap_complete", "cli/"),
    ("clap_mangen", "cli/"),
    ("comfy_table", "cli/"),
    ("jiff", "cli/"),
    ("maud", "report/"),
    ("toml", "author/ cli/"),
    ("wasi_preview1_component_adapter_provider", "author/"),
    ("wasm_encoder", "author/"),
    ("wasm_metadata", "author/"),
    ("wasmparser", "author/"),
    ("wit_bindgen_c", "author/"),
    ("wit_bindgen_core", "author/"),
    ("wit_component", "author/"),
    ("wit_parser", "author/"),
    ("signal_hook", "cli/"),
    ("tracing_subscriber", "cli/"),
    ("ratatui", "cli/"),
];

/// The list of modules in `lib.rs`, lowest first.
pub fn modules() -> Vec<String> {
    let text = read("host/src/lib.rs");
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 8, "lib.rs lists its modules as `pub mod NAME;`, in their order");
    names
}

/// The part of a path below `host/src/`.
fn within(source: &Source) -> &str {
    source.path.trim_start_matches("host/src/")
}

#[test]
fn a_module_imports_only_modules_above_it() {
    let order = modules();
    let place = |name: &str| order.iter().position(|module| module == name);
    let mut complaints = Vec::new();
    for source in host_sources() {
        let owner = within(&source).split(['/', '.']).next().unwrap_or_default();
        let Some(own) = place(owner) else { continue };
        for name in imported(&source.code) {
            match place(&name) {
                Some(other) if other <= own => {}
                Some(_) => {
                    complaints.push(format!("{}: {owner} imports {name}, which stands below it in lib.rs", source.path))
                }
                None => complaints.push(format!("{}: crate::{name} is no module of lib.rs", source.path)),
            }
        }
    }
    none(&complaints);
}

/// The modules after each `crate::`, those of a group too.
fn imported(code: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        // `$crate::` of a macro, and `pub(in crate::…)`, are imports as well.
        match rest.strip_prefix('{') {
            None => names.push(name(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut fresh = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => fresh = true,
                        c if fresh && !c.is_whitespace() => {
                            names.push(name(&group[at..]));
                            fresh = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

#[test]
fn each_engine_is_named_by_its_module_alone() {
    let mut complaints = Vec::new();
    let sources = host_sources();
    for (name, owner) in NAMED_BY {
        let users: Vec<&Source> = sources.iter().filter(|source| uses(&source.code, name)).collect();
        if users.is_empty() {
            complaints.push(format!("nobody names {name}: take it off the list and out of Cargo.toml"));
        }
        for source in users.iter().filter(|source| !owner.split(' ').any(|owner| within(source).starts_with(owner))) {
            complaints.push(format!("{}: only {owner} may name {name}", source.path));
        }
    }
    none(&complaints);
}

/// True if the code names a crate: `name::` or `use name;`.
fn uses(code: &str, name: &str) -> bool {
    let line_of = |line: &usize| code.lines().nth(line - 1).unwrap_or_default();
    lines_with(code, name).iter().any(|line| {
        let text = line_of(line);
        text.contains(&format!("{name}::")) || text.trim_start().starts_with(&format!("use {name}"))
    })
}

#[test]
fn one_module_prints() {
    let mut complaints = Vec::new();
    for source in host_sources() {
        for word in ["println!", "print!", "eprintln!", "eprint!", "dbg!"] {
            for line in lines_with(&source.code, word) {
                complaints.push(format!("{}:{line}: {word} belongs into cli/print.rs", source.path));
            }
        }
        // The command, and the process that compiles, which is the command under another name.
        let may_open = within(&source).starts_with("cli/") || within(&source) == "plugin/compile.rs";
        if !may_open && ["io::stdout()", "io::stderr()"].iter().any(|stream| source.code.contains(stream)) {
            complaints.push(format!("{}: standard output and error belong to cli/", source.path));
        }
    }
    none(&complaints);
}

#[test]
fn only_the_store_says_what_sql_writes() {
    let writing = [
        "INSERT INTO",
        "INSERT OR",
        "UPDATE ",
        "DELETE FROM",
        "CREATE ",
        "DROP ",
        "ALTER ",
        "PRAGMA ",
        "BEGIN",
        "SAVEPOINT",
        "COMMIT",
    ];
    let mut complaints = Vec::new();
    for source in host_sources().iter().filter(|source| !within(source).starts_with("store/")) {
        for (number, line) in source.code.lines().enumerate() {
            let found = writing.iter().find(|word| line.contains(&format!("\"{word}")));
            complaints.extend(found.map(|word| format!("{}:{}: {word} belongs into store/", source.path, number + 1)));
        }
        // Commands count and list through the door that `query` opens to users: it only reads.
        if !within(source).starts_with("cli/") && source.code.contains("\"SELECT ") {
            complaints.push(format!("{}: SELECT belongs into store/", source.path));
        }
    }
    none(&complaints);
}

#[test]
fn nothing_is_left_for_later_and_nothing_is_waved_through() {
    // Spelt in parts, since this file is looked at too.
    let never: Vec<String> =
        ["TO|DO", "FIX|ME", "XX|X:", "to|do!(", "unimple|mented!(", "#[ig|nore", "#[al|low(", "#![al|low("]
            .iter()
            .map(|word| word.replace('|', ""))
            .collect();
    let mut complaints = Vec::new();
    let folders = ["host/src", "tests", "examples", "guests"];
    for file in folders.iter().flat_map(|folder| files(folder, ".rs")) {
        for (number, line) in file.text.lines().enumerate() {
            // Texts may hold such words: the generator makes a status of that name, to be refused.
            let line = line.replace(&format!("\"{}\"", never[0]), "");
            complaints.extend(
                never
                    .iter()
                    .filter(|word| line.contains(word.as_str()))
                    .map(|word| format!("{}:{}: {word}", file.path, number + 1)),
            );
        }
    }
    for source in host_sources() {
        for word in [".unwrap()", ".unwrap_err()"] {
            let lines = source.code.lines().enumerate().filter(|(_, line)| line.contains(word));
            complaints.extend(lines.map(|(number, _)| format!("{}:{}: {word}", source.path, number + 1)));
        }
    }
    none(&complaints);
}

#[test]
fn unsafe_code_is_in_one_function() {
    assert!(read("host/src/lib.rs").contains("#![deny(unsafe_code)]"));
    let sources = host_sources();
    let places: Vec<&str> =
        sources.iter().filter(|s| s.code.contains("expect(unsafe_code")).map(|s| s.path.as_str()).collect();
    assert_eq!(places, ["host/src/plugin/cache.rs"]);
    let count: usize = sources.iter().map(|source| source.code.matches("expect(unsafe_code").count()).sum();
    assert_eq!(count, 1);
}

#[test]
fn every_limit_is_in_force() {
    let sources = host_sources();
    let used =
        |name: &str| sources.iter().any(|s| !s.path.ends_with("/limits.rs") && !lines_with(&s.code, name).is_empty());
    let unused: Vec<String> =
        super::documents::limits().into_iter().map(|limit| limit.name).filter(|name| !used(name)).collect();
    assert!(unused.is_empty(), "nothing holds these limits: {unused:?}");
}
