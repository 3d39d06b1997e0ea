//! Help, version, completions, manual.

use super::{golden, words};
use crate::harness::Folder;

/// Every command that has a help text.
const COMMANDS: &[&str] = &[
    "",
    "run",
    "validate",
    "inspect",
    "new",
    "build",
    "test",
    "revalidate",
    "query",
    "get",
    "why",
    "export",
    "index",
    "index add",
    "index drop",
    "index list",
    "index verify",
    "index rebuild",
    "dead-letters",
    "dead-letters list",
    "dead-letters show",
    "dead-letters retry",
    "dead-letters discard",
    "runs",
    "runs list",
    "runs show",
    "runs resume",
    "runs report",
    "runs tune",
    "plugins",
    "plugins list",
    "plugins history",
    "plugins swap",
    "plugins rollback",
    "plugins lock",
    "plugins verify",
    "plugins export",
    "plugins gc",
    "top",
    "recommend",
    "health",
    "verify",
    "config",
    "config show",
    "completions",
    "man",
];

#[test]
fn every_command_has_a_help_text() {
    let folder = Folder::new();
    for command in COMMANDS {
        let ran = words(&folder, &format!("{command} --help")).exits(0);
        assert_eq!(ran.stderr, "", "{command}");
        let name = if command.is_empty() { "atlas-host".to_owned() } else { command.replace(' ', "-") };
        golden(&format!("help/{name}.txt"), &ran.stdout);
        let first = ran.stdout.lines().next().unwrap_or_default();
        assert!(!first.is_empty() && !first.ends_with('.'), "{command}: {first}");
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 200, "{command}: {line}");
        }
    }
}

/// Names of the subcommands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()))
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_command_is_left_out_here() {
    let folder = Folder::new();
    let mut found = vec![String::new()];
    let mut next = 0;
    while next < found.len() {
        let command = found[next].clone();
        let help = words(&folder, &format!("{command} --help")).exits(0).stdout;
        found.extend(listed(&help).into_iter().map(|name| format!("{command} {name}").trim().to_owned()));
        next += 1;
    }
    let mut wanted: Vec<&str> = COMMANDS.to_vec();
    found.sort();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn short_help_is_shorter_and_the_long_one_tells_the_exit_codes() {
    let folder = Folder::new();
    let (short, long) = (words(&folder, "-h").exits(0).stdout, words(&folder, "--help").exits(0).stdout);
    assert!(short.len() < long.len());
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 130] {
        assert!(long.lines().any(|line| line.starts_with(&format!("  {code} "))), "{code} is missing:\n{long}");
    }
    assert!(long.contains("143"), "{long}");
    let run = words(&folder, "run --help").exits(0).stdout;
    assert!(run.contains("Exit codes:") && run.contains("Examples:"), "{run}");
}

#[test]
fn the_version_is_one_line() {
    let folder = Folder::new();
    for flag in ["--version", "-V"] {
        let ran = words(&folder, flag).exits(0);
        assert_eq!(ran.stdout, format!("atlas-host {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn without_a_command_the_help_is_shown_and_the_exit_code_is_2() {
    let ran = words(&Folder::new(), "").exits(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("Usage: atlas-host"), "{}", ran.stderr);
}

#[test]
fn completions_know_every_command_in_every_shell() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = words(&folder, &format!("completions {shell}")).exits(0);
        assert_eq!(ran.stderr, "");
        for command in COMMANDS.iter().flat_map(|command| command.split(' ')) {
            assert!(ran.stdout.contains(command), "{shell}: {command}");
        }
    }
    words(&folder, "completions tcsh").exits(2).says("error[CONFIG_3001]").says("tcsh").says("bash");
}

#[test]
fn the_manual_has_a_page_for_the_program_and_for_each_command() {
    let folder = Folder::new();
    let page = words(&folder, "man").exits(0).stdout;
    assert!(page.contains(".TH atlas-host"), "{page}");
    for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH SUBCOMMANDS"] {
        assert!(page.contains(section), "{section}:\n{page}");
    }
    assert!(page.contains("Exit codes"), "{page}");
    for command in COMMANDS.iter().filter(|command| !command.is_empty() && !command.contains(' ')) {
        let page = words(&folder, &format!("man {command}")).exits(0).stdout;
        let title = format!("atlas-host-{command}").replace('-', "\\-");
        assert!(page.contains(&title) || page.contains(&format!("atlas-host-{command}")), "{command}:\n{page}");
    }
    words(&folder, "man runn").exits(2).says("error[CONFIG_3001]").says("\"runn\"").says("hint: did you mean run?");
}
