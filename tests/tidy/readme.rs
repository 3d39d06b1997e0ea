//! What documents tell readers to type works: command lines parse, and the recipe for a plugin is followed word for word.

use atlas_host::cli::Cli;
use clap::CommandFactory;

use super::{File, files, none, read};
use crate::harness::{Folder, author};

/// The blocks of a language in a document, each with the line it begins at.
pub(super) fn blocks<'a>(text: &'a str, language: &str) -> Vec<(usize, Vec<&'a str>)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(found) = line.trim_start().strip_prefix("```").filter(|rest| !rest.is_empty()) else { continue };
        let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        if found == language {
            blocks.push((number + 2, block));
        }
    }
    blocks
}

#[test]
fn every_command_line_in_a_document_is_understood() {
    let documents = files("", ".md").into_iter().filter(|file| !file.path.starts_with("guests/"));
    let mut complaints = Vec::new();
    let mut seen = 0;
    for file in documents {
        for (place, words) in command_lines(&file) {
            seen += 1;
            if let Err(error) = Cli::command().try_get_matches_from(&words)
                && error.use_stderr()
            {
                complaints.push(format!("{}:{place}: {words:?}: {}", file.path, error.render()));
            }
        }
    }
    none(&complaints);
    assert!(seen > 10, "documents show command lines");
}

/// The uses of `atlas-host` in the shell blocks of a document, as words.
pub(super) fn command_lines(file: &File) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let prompts = blocks(&file.text, "console").into_iter().map(|block| (block, "$ "));
    let scripts = blocks(&file.text, "sh").into_iter().map(|block| (block, ""));
    for ((first, lines), prompt) in prompts.chain(scripts) {
        let mut lines = lines.iter().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(line) = line.strip_prefix(prompt) else { continue };
            let mut whole = line.to_owned();
            while whole.ends_with('\\') {
                whole.pop();
                whole.push_str(lines.next().map_or("", |(_, line)| line));
            }
            for command in words(&whole).split(|word| ["|", "||", "&&", ";"].contains(&word.as_str())) {
                let is_ours = |word: &String| word == "atlas-host" || word.ends_with("/atlas-host");
                let Some(at) = command.iter().position(is_ours).filter(|at| *at == 0 || command[0].contains("time"))
                else {
                    continue;
                };
                let end = command
                    .iter()
                    .position(|word| word.starts_with(['>', '<']) || word == "2>&1")
                    .unwrap_or(command.len());
                let arguments = ["atlas-host".to_owned()].into_iter().chain(command[at + 1..end].iter().cloned());
                found.push((first + number, arguments.collect()));
            }
        }
    }
    found
}

/// Words of a shell: spaces part them, quotes keep them together; a comment ends them.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_configuration_in_the_readme_is_one() {
    let readme = read("README.md");
    let tables = blocks(&readme, "toml");
    assert_eq!(tables.len(), 1);
    let folder = Folder::new();
    folder.write("atlas.toml", tables[0].1.join("\n"));
    let ran = folder.atlas(["config", "show"]).run().exits(0);
    assert!(ran.stdout.contains("atlas.toml:1") && ran.stdout.contains("plugin tidy: "), "{}", ran.stdout);
}

#[test]
fn the_lock_file_in_the_reference_is_one() {
    let reference = read("host/REFERENCE.md");
    let tables = blocks(&reference, "toml");
    assert_eq!(tables.len(), 1);
    let folder = Folder::new();
    folder.write("atlas.lock", tables[0].1.join("\n"));
    let listed = folder.atlas(["plugins", "lock", "--output", "json"]).run().exits(0).json();
    assert_eq!(
        (listed["reference"].as_str(), &listed["bytes"]),
        (Some("oci://ghcr.io/acme/ticket-tidy:1"), &179_184.into())
    );
}

#[test]
fn the_recipe_for_a_plugin_works_word_for_word() {
    let readme = read("README.md");
    let begin = readme.find("\n## Write a plugin\n").expect("a section about writing a plugin");
    let section = &readme[begin + 1..];
    let section = &section[..section.find("\n## ").expect("a section after it")];
    let scripts = blocks(section, "sh");
    let answers = blocks(section, "text");
    assert_eq!(scripts.len(), answers.len(), "each ```sh block has its ```text block, with what it prints");

    let folder = Folder::new();
    for ((_, script), (line, answer)) in scripts.iter().zip(answers) {
        let printed = author(folder.path(), &format!("exec 2>&1\n{}", script.join("\n"))).stdout;
        let seen: Vec<String> = printed.lines().map(without_figures).collect();
        let wanted: Vec<String> = answer.iter().map(|line| without_figures(line)).collect();
        assert_eq!(seen, wanted, "README.md:{line} shows another output than there is:\n{printed}");
    }
    let (_, code) = &blocks(section, "rust")[0];
    let made = folder.read("contact-tidy/src/lib.rs");
    assert!(made.contains(&code.join("\n")), "README.md shows another plugin than `new` makes:\n{made}");
    let (_, fixture) = &blocks(section, "json")[0];
    folder.write("shown.json", fixture.join("\n"));
    author(folder.path(), "atlas-host test --plugin contact-tidy/build/contact-tidy.wasm --fixtures shown.json")
        .exits(0);
}

/// A line whose numbers, digests, versions and widths do not count.
fn without_figures(line: &str) -> String {
    // Versions of toolchains.
    if line.starts_with("made by ") {
        return "made by".to_owned();
    }
    let words = line.split_whitespace().map(|word| match word.split_once("blake3:") {
        Some((before, _)) => format!("{before}blake3:…"),
        None => word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect(),
    });
    let mut text = words.collect::<Vec<_>>().join(" ");
    while text.contains("00") {
        text = text.replace("00", "0");
    }
    text.replace("0.0 s", "0 s").replace("0 ms", "0 s").replace("0 min 0 s", "0 s")
}
