//! The direct dependencies: each wanted, each with its reason.

use std::collections::BTreeSet;
use std::process::Command;

use super::{none, read};
use crate::harness::root;

/// What the host is built from.
const HOST: &[&str] = &[
    "blake3",
    "clap",
    "clap_complete",
    "clap_mangen",
    "comfy-table",
    "crossbeam-channel",
    "etcetera",
    "flate2",
    "hdrhistogram",
    "indicatif",
    "jiff",
    "maud",
    "memchr",
    "rand_core",
    "ratatui",
    "rusqlite",
    "rustix",
    "serde",
    "serde_json",
    "sha2",
    "signal-hook",
    "sysinfo",
    "tempfile",
    "tokio",
    "toml",
    "tracing",
    "tracing-subscriber",
    "ureq",
    "uuid",
    "wasi-preview1-component-adapter-provider",
    "wasm-encoder",
    "wasm-metadata",
    "wasmparser",
    "wasmtime",
    "wasmtime-wasi",
    "wit-bindgen-c",
    "wit-bindgen-core",
    "wit-component",
    "wit-parser",
    "zstd",
];

/// What its tests and examples need besides.
const HOST_TESTS: &[&str] = &["anyhow", "divan", "proptest", "wat", "wit-component"];

/// What guests, their shared parts and their encoder are built from.
const GUESTS: &[&str] = &[
    "faults",
    "serde",
    "serde_json",
    "task-model",
    "wasm-encoder",
    "wasm-metadata",
    "wit-bindgen",
    "wit-component",
    "wit-parser",
];

#[test]
fn a_new_dependency_is_a_decision() {
    assert_eq!(sorted("host/Cargo.toml", "[dependencies]"), HOST);
    assert_eq!(sorted("host/Cargo.toml", "[dev-dependencies]"), HOST_TESTS);
    assert_eq!(sorted("guests/Cargo.toml", "[workspace.dependencies]"), GUESTS);
}

#[test]
fn every_dependency_of_the_host_says_why_it_is_there() {
    let mut complaints = Vec::new();
    for table in ["[dependencies]", "[dev-dependencies]"] {
        let text = read("host/Cargo.toml");
        let mut before = "";
        for line in lines_of(&text, table) {
            // One reason may cover a family: `wit-component`, `wit-parser`.
            let family = |line: &str| line.split(['-', ' ']).next().unwrap_or_default().to_owned();
            if !line.starts_with('#') && !before.starts_with("# ") && family(line) != family(before) {
                complaints.push(format!("host/Cargo.toml: no reason stands above {line}"));
            }
            before = line;
        }
    }
    none(&complaints);
}

/// The sandbox and the terminal are large; only parts of them are asked for.
#[test]
fn large_dependencies_have_their_default_features_off() {
    let text = read("host/Cargo.toml");
    for name in ["wasmtime ", "wasmtime-wasi ", "sysinfo ", "ureq ", "sha2 "] {
        let line = lines_of(&text, "[dependencies]").find(|line| line.starts_with(name)).expect("a dependency");
        assert!(line.contains("default-features = false"), "{line}");
    }
}

/// Tests want other libraries, and these may want more of what the sandbox stands on: then whoever builds the host and runs
/// the tests waits twice for the largest part of both.
#[test]
fn the_sandbox_is_built_once_for_the_host_and_its_tests() {
    let lines = |edges: &str| -> BTreeSet<String> {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "--prefix", "none", "--package", "atlas-host"])
            .args(["--edges", edges, "--format", "{p} {f}"])
            .current_dir(root())
            .output()
            .expect("cargo");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let text = String::from_utf8(tree.stdout).expect("UTF-8");
        text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let (host, tests) = (lines("normal,build"), lines("normal,build,dev"));
    let sandbox = ["wasmtime ", "cranelift-", "gimli ", "fnv ", "wasmtime-"];
    let of_it = |line: &&String| sandbox.iter().any(|name| line.starts_with(name));
    assert!(host.iter().filter(of_it).count() > 10, "{host:#?}");
    let other: Vec<String> = host.difference(&tests).filter(of_it).cloned().collect();
    none(&other);
}

fn sorted(manifest: &str, table: &str) -> Vec<String> {
    let text = read(manifest);
    let lines = lines_of(&text, table).filter(|line| !line.starts_with('#'));
    let mut names: Vec<String> =
        lines.map(|line| line.split([' ', '.', '=']).next().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

/// The lines of one table of a manifest that are not empty.
fn lines_of<'a>(text: &'a str, table: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().skip_while(move |line| *line != table).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty())
}
