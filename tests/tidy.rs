//! The repository watches itself: who imports whom, what lies where, which dependencies there are, and that documents
//! say what the code says. `UPDATE=1` rewrites the parts of documents that are made from the code.

mod codes;
mod defaults;
mod dependencies;
mod documents;
mod doors;
mod events;
pub mod examples;
mod examples_told;
mod first_example;
mod generator;
mod layout;
mod modules;
mod readme;
mod statements;
mod text;

use std::path::{Path, PathBuf};

use crate::harness::root;

/// A file of the repository.
struct File {
    /// From the top of the repository, with `/`.
    path: String,
    text: String,
}

/// The files below `folder` whose names end with `ending`, sorted by path. Build results are left out.
fn files(folder: &str, ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let mut files: Vec<File> = found
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .filter_map(|path| Some(File { text: std::fs::read_to_string(&path).ok()?, path: relative(&path) }))
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != ".git" && name != "node_modules" {
            walk(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("a path below the top").to_string_lossy().into_owned()
}

/// A file of the repository by its path.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with all complaints at once.
#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
