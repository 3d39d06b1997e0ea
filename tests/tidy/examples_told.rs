//! The examples that a newcomer reads first print what is shown of them, word for word but for what differs from run to run.

use std::process::Command;

use super::examples::example;
use super::readme::{blocks, command_lines};
use super::{File, read};
use crate::cli::{Redact, golden};
use crate::harness::{Folder, author, guest, root};

/// What an example prints.
fn printed(name: &str) -> String {
    let output = Command::new(example(name)).output().expect("the example starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The blocks of a document's output, each with a line break at its end.
fn texts(document: &str) -> Vec<String> {
    blocks(&read(document), "text").into_iter().map(|(_, lines)| lines.join("\n") + "\n").collect()
}

#[test]
fn a_single_task_is_saved_and_read_back_by_commands_and_by_a_program() {
    const DOCUMENT: &str = "examples/task/README.md";
    let folder = Folder::new();
    let redact = Redact::new(folder.path());
    let readme = read(DOCUMENT);
    let scripts = blocks(&readme, "sh");
    let mut shown = texts(DOCUMENT).into_iter();
    assert_eq!(scripts.len(), 2, "commands of {DOCUMENT}");
    for ((line, script), wanted) in scripts.iter().zip(&mut shown) {
        let ran = author(folder.path(), &format!("exec 2>&1\n{}", script.join("\n"))).exits(0);
        let wanted = redact.text(&wanted).replace("…/", "<folder>/");
        assert_eq!(redact.text(&ran.stdout), wanted, "{DOCUMENT}:{line} prints something else");
    }
    assert_eq!(shown.next(), Some(printed("task")), "{DOCUMENT} shows what the program prints");
}

#[test]
fn a_program_that_brings_its_own_parts_prints_what_is_shown_of_it() {
    assert_eq!(texts("examples/README.md"), [printed("custom")]);
}

/// Lines of what `examples/workflow/run` prints that say the same every time.
fn steady(text: &str, redact: &Redact) -> String {
    let moving = ["  Time ", "  Per item ", "  Batches "];
    let steady = |line: &&str| !moving.iter().any(|name| line.starts_with(name)) && !line.contains(" %, ");
    redact.text(&text.lines().filter(steady).map(|line| format!("{line}\n")).collect::<String>())
}

#[test]
fn a_workflow_ends_as_its_story_tells() {
    const DOCUMENT: &str = "examples/workflow/README.md";
    let folder = Folder::new();
    let redact = Redact::new(folder.path());
    let guests = guest("task-workflow").parent().expect("a folder of guests").display().to_string();
    let script = root().join("examples/workflow/run").display().to_string();
    let run = format!("ATLAS_HOST=\"$(command -v atlas-host)\" ATLAS_GUESTS='{guests}' '{script}' .");
    let ran = author(folder.path(), &run).exits(0);
    let output = steady(&ran.stdout, &redact);
    // It lies with the example, not among the other golden files.
    golden(&root().join("examples/workflow/expected.txt").display().to_string(), &output);

    let story = File { path: DOCUMENT.to_owned(), text: read(DOCUMENT) };
    let commands =
        |file: &File| -> Vec<Vec<String>> { command_lines(file).into_iter().map(|(_, words)| words).collect() };
    let whole = File { path: "run".to_owned(), text: format!("```console\n{}```\n", ran.stdout) };
    assert_eq!(commands(&story), commands(&whole), "{DOCUMENT} shows other commands than the script gives");
    let mut missing = Vec::new();
    for (_, lines) in blocks(&story.text, "console") {
        let shown = lines.iter().skip_while(|line| line.starts_with("$ ") || line.starts_with("    --"));
        let shown: String = shown.filter(|line| **line != "…").map(|line| format!("{line}\n")).collect();
        let shown = steady(&shown, &redact).replace("…/", "<folder>/");
        missing.extend(shown.lines().filter(|line| !output.lines().any(|known| known == *line)).map(str::to_owned));
    }
    assert!(missing.is_empty(), "{DOCUMENT} shows lines that are not printed: {missing:#?}");
}
