//! What lies where.

use std::path::Path;
use std::process::Command;

use super::{files, none, read};
use crate::harness::root;

/// All that may lie at the top, beside dot files.
const TOP: &[&str] =
    &["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "examples", "guests", "host", "tests", "wit"];

/// Files that git knows or would take; none where this is no checkout.
fn tracked() -> Option<Vec<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()?;
    listed
        .status
        .success()
        .then(|| String::from_utf8_lossy(&listed.stdout).split_terminator('\0').map(str::to_owned).collect())
}

#[test]
fn the_top_level_is_as_agreed() {
    let Some(tracked) = tracked() else { return };
    let mut top: Vec<&str> =
        tracked.iter().filter_map(|path| path.split('/').next()).filter(|name| !name.starts_with('.')).collect();
    top.sort_unstable();
    top.dedup();
    assert_eq!(top, TOP);
}

#[test]
fn every_guest_and_every_example_is_tested_and_described() {
    let tests: String = files("tests", ".rs").into_iter().map(|file| file.text).collect();
    let mut complaints = Vec::new();
    for (folder, readme) in [("guests", read("guests/README.md")), ("examples", read("examples/README.md"))] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let counts =
                path.is_dir() && name != "target" || path.extension().is_some_and(|extension| extension == "rs");
            if !counts {
                continue;
            }
            if !readme.contains(&format!("`{name}")) {
                complaints.push(format!("{folder}/README.md does not describe {name}"));
            }
            if is_story(&path)
                && !tests.contains(&format!("\"{name}\""))
                && !tests.contains(&format!("examples/{name}"))
            {
                complaints.push(format!("no test names {folder}/{name}"));
            }
        }
    }
    none(&complaints);
}

/// False for the crates that guests share: those are tested by the guests that use them.
fn is_story(path: &Path) -> bool {
    match std::fs::read_to_string(path.join("Cargo.toml")) {
        Ok(manifest) => manifest.contains("cdylib"),
        Err(_) => true,
    }
}

#[test]
fn every_folder_at_the_top_answers_how_to_add_to_it() {
    for folder in TOP.iter().filter(|name| root().join(name).is_dir()) {
        assert!(root().join(folder).join("README.md").is_file(), "{folder}/ has no README.md");
    }
}

#[test]
fn nothing_points_out_of_the_repository() {
    // Spelt in parts, since this file is looked at too.
    let elsewhere: Vec<String> = ["/ro|ot/", "/ho|me/", "/Us|ers/", "/wo|rk/", "/mn|t/", "file|://"]
        .iter()
        .map(|path| path.replace('|', ""))
        .collect();
    let mut complaints = Vec::new();
    for path in tracked().unwrap_or_default().iter().filter(|path| !path.ends_with("Cargo.lock")) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let found = elsewhere.iter().find(|place| line.contains(place.as_str()));
            complaints.extend(found.map(|place| format!("{path}:{}: {place}", number + 1)));
        }
    }
    none(&complaints);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for file in files("", ".md") {
        let folder = Path::new(&file.path).parent().expect("a file lies in a folder");
        for link in file.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let outside = link.starts_with("https://") || target.is_empty();
            if !outside && !root().join(folder).join(target).exists() {
                complaints.push(format!("{}: {link} leads nowhere", file.path));
            }
        }
    }
    none(&complaints);
}
