//! What documents say and the code says too: commands, exit codes, codes, limits, tables of parts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use atlas_host::cli::{Cli, EXIT_CODES};
use atlas_host::error::Code;
use atlas_host::monitor::MONITORS;
use atlas_host::processor::PROCESSORS;
use atlas_host::source::Format;
use atlas_host::strategy::STRATEGIES;
use clap::CommandFactory;

use super::text::{host_sources, lines_with};
use super::{files, none, read};
use crate::harness::root;

const REFERENCE: &str = "host/REFERENCE.md";

/// Compares the part of a document between `<!-- NAME -->` and `<!-- /NAME -->` with what it has to be;
/// with `UPDATE=1` in the environment it is written instead.
#[track_caller]
pub fn assert_part(document: &str, name: &str, wanted: &str) {
    static WRITING: Mutex<()> = Mutex::new(());
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = read(document);
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let begin = text.find(&open).unwrap_or_else(|| panic!("{document} has no {open}")) + open.len();
    let end = begin + text[begin..].find(&close).unwrap_or_else(|| panic!("{document} has no {close}"));
    if &text[begin..end] == wanted {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{}{wanted}{}", &text[..begin], &text[end..]);
        std::fs::write(root().join(document), text).expect("a document that can be written");
        return;
    }
    panic!("{document} does not say in its part {name:?} what the code says; UPDATE=1 rewrites it. Wanted:\n{wanted}");
}

/// A table in Markdown.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line =
        |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | "));
    let mut text = line(&head.map(str::to_owned));
    text.push_str(&format!("|{}\n", "---|".repeat(N)));
    rows.into_iter().for_each(|row| text.push_str(&line(&row)));
    text
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ").replace("<", "&lt;")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn the_tables_of_parts_are_documented() {
    let formats = Format::all().map(|format| [code(format.name()), format.about().to_owned()]);
    assert_part(REFERENCE, "formats", &table(["`--format`", "what it is"], formats));
    let strategies = STRATEGIES.iter().map(|row| [code(row.name), row.description.to_owned()]);
    assert_part(REFERENCE, "strategies", &table(["`--strategy`", "how batches are planned"], strategies));
    let processors = PROCESSORS.iter().map(|row| [code(row.name), row.description.to_owned()]);
    assert_part(REFERENCE, "processors", &table(["`--processor`", "where results go"], processors));
    let monitors = MONITORS.iter().map(|row| [code(row.name), row.description.to_owned()]);
    assert_part(REFERENCE, "monitors", &table(["monitor", "what it does"], monitors));
}

#[test]
fn every_alert_is_documented() {
    let sources = host_sources();
    let of_monitor = sources.iter().filter(|source| source.path.starts_with("host/src/monitor/"));
    let lines = of_monitor.flat_map(|source| source.code.lines());
    let names = lines.filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = ")).map(|(name, _)| name);
    let reference = read(REFERENCE);
    let missing = |name: &&str| !reference.contains(&format!("| {} |", code(name)));
    let (missing, documented): (Vec<&str>, Vec<&str>) = names.partition(missing);
    none(&missing.into_iter().map(|name| format!("{REFERENCE} does not list the alert {name}")).collect::<Vec<_>>());
    assert_eq!(documented.len(), 10, "{documented:?}");
}

/// Tables that programs publish and tests write: a page without its figures says nothing.
#[test]
fn no_part_that_is_written_by_a_program_is_empty() {
    let (mut complaints, mut parts) = (Vec::new(), 0);
    for file in files("", ".md") {
        for (at, _) in file.text.match_indices("<!-- /") {
            let name = file.text[at + 6..].split(" -->").next().expect("the end of a comment");
            let open = format!("<!-- {name} -->");
            let part = file.text[..at].rsplit_once(&open).map(|(_, part)| part.trim());
            parts += 1;
            if part.is_none_or(str::is_empty) {
                complaints.push(format!("{}: the part {name:?} is empty", file.path));
            }
        }
    }
    none(&complaints);
    assert!(parts >= 10, "{parts} parts were found");
}

#[test]
fn the_exit_codes_are_documented() {
    let lines = EXIT_CODES.lines().skip(1).map(|line| {
        let (number, meaning) = line.trim().split_once(' ').expect("a number and what it means");
        [number.to_owned(), meaning.trim().to_owned()]
    });
    let rows: Vec<[String; 2]> = lines.collect();
    assert_eq!(rows.len(), 9, "one line for each exit code");
    assert_part("README.md", "exit codes", &table(["exit code", "meaning"], rows));
}

#[test]
fn the_commands_and_their_flags_are_documented() {
    let mut command = Cli::command();
    command.build();
    let verbs: Vec<&clap::Command> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
    let rows = verbs.iter().map(|verb| [code(verb.get_name()), about(verb)]);
    assert_part("README.md", "commands", &table(["command", "what it does"], rows));

    let mut text = String::from("## Flags of every command\n");
    text.push_str(&flags(&command, |_| true));
    let run = command.find_subcommand("run").expect("a command run");
    verbs.into_iter().for_each(|verb| describe(verb, verb.get_name(), run, &mut text));
    assert_part(REFERENCE, "flags", &text);
}

fn about(command: &clap::Command) -> String {
    command.get_about().map(|about| about.to_string()).unwrap_or_default()
}

/// `run` is the command whose flags others share.
fn describe(command: &clap::Command, path: &str, run: &clap::Command, text: &mut String) {
    let same =
        |arg: &clap::Arg, other: &clap::Arg| arg.get_long() == other.get_long() && arg.get_help() == other.get_help();
    let of_run = |arg: &clap::Arg| {
        path != "run" && arg.get_value_names().is_some() && run.get_arguments().any(|other| same(arg, other))
    };
    let own = |arg: &clap::Arg| !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str());
    // A few flags are shown again; a table of them all is not.
    let shared: Vec<&clap::Arg> = command.get_arguments().filter(|arg| own(arg) && of_run(arg)).collect();
    let many = shared.len() > 10;
    let own = |arg: &clap::Arg| own(arg) && !(many && of_run(arg));
    let parts: Vec<&clap::Command> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
    text.push_str(&format!("\n## {path}\n{}.\n", escaped(&about(command))));
    if path == "config show" {
        text.push_str("\nIts flags are those of `run`.\n");
        return;
    }
    if command.get_arguments().any(own) {
        text.push('\n');
        text.push_str(&flags(command, own));
    }
    if many {
        let names: Vec<String> = shared.iter().filter_map(|arg| Some(format!("`--{}`", arg.get_long()?))).collect();
        text.push_str(&format!("\nAnd these of `run`: {}.\n", names.join(", ")));
    }
    parts.into_iter().for_each(|part| describe(part, &format!("{path} {}", part.get_name()), run, text));
}

fn flags(command: &clap::Command, wanted: impl Fn(&clap::Arg) -> bool) -> String {
    let rows = command.get_arguments().filter(|arg| wanted(arg) && !arg.is_hide_set()).map(|arg| {
        let takes_value = arg.get_action().takes_values();
        let value = arg.get_value_names().unwrap_or_default().join(" ");
        let name = match (arg.get_long(), takes_value) {
            (Some(long), true) => format!("--{long} {value}"),
            (Some(long), false) => format!("--{long}"),
            (None, _) => value,
        };
        let choices: Vec<String> = match takes_value {
            true => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
            false => Vec::new(),
        };
        let name = if choices.is_empty() { code(&name) } else { format!("`{name}`: {}", choices.join(", ")) };
        let environment = arg.get_env().map(|key| code(&key.to_string_lossy())).unwrap_or_default();
        let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if takes_value { default.join(" ") } else { String::new() };
        [name, default, environment, arg.get_help().map(|help| help.to_string()).unwrap_or_default()]
    });
    table(["flag", "default", "environment", "what it does"], rows)
}

#[test]
fn the_codes_are_documented() {
    let sources: String =
        host_sources().iter().filter(|s| !s.path.ends_with("/error.rs")).map(|s| s.code.as_str()).collect();
    let guests: String = files("guests", ".rs").into_iter().map(|file| file.text).collect();
    let rows = Code::ALL.iter().map(|row| {
        let name = format!("Code::{row:?}");
        let by_host = !lines_with(&sources, &name).is_empty();
        let by_guests = guests.contains(&format!("\"{row}\""));
        let who = match (by_host, by_guests) {
            (true, _) => "host",
            (false, true) => "sample plugins",
            (false, false) => "reserved",
        };
        let exit = if row.exit() == 0 { "–".to_owned() } else { row.exit().to_string() };
        [code(row.as_str()), row.message().to_owned(), row.suggestion().to_owned(), exit, who.to_owned()]
    });
    assert_part("host/CODES.md", "codes", &table(["code", "meaning", "what to do", "exit", "said by"], rows));
}

#[test]
fn the_host_says_no_code_that_its_table_lacks() {
    let known: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let mut complaints = Vec::new();
    let documents = [files("host", ".md"), files("examples", ".md"), files("wit", ".md")].into_iter().flatten();
    let sources = files("host/src", ".rs").into_iter().chain(documents);
    for file in sources {
        for word in file.text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            let Some((area, number)) = word.split_once('_') else { continue };
            let is_code = number.len() >= 4
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && area.bytes().all(|byte| byte.is_ascii_uppercase());
            if is_code && !known.contains(&word) {
                complaints.push(format!("{}: {word} is not in the table of codes", file.path));
            }
        }
    }
    none(&complaints);
}

/// A constant of `limits.rs`.
pub struct Limit {
    pub name: String,
    value: String,
    meaning: String,
}

#[test]
fn the_limits_are_documented() {
    let flags: Vec<String> = Cli::command()
        .find_subcommand("run")
        .expect("a command run")
        .get_arguments()
        .filter_map(|arg| Some(format!("`--{}`", arg.get_long()?)))
        .collect();
    let mut complaints = Vec::new();
    let limits = limits();
    for word in limits.iter().flat_map(|limit| limit.meaning.split_whitespace()).filter(|word| word.starts_with("`--"))
    {
        if !flags.iter().any(|flag| flag == word.trim_end_matches('.')) {
            complaints.push(format!("host/src/limits.rs: {word} is no flag of run"));
        }
    }
    none(&complaints);
    let rows = limits.into_iter().map(|limit| [code(&limit.name), limit.value, limit.meaning]);
    assert_part(REFERENCE, "limits", &table(["limit", "value", "what it bounds"], rows));
}

/// Every constant of `limits.rs`, in its order.
pub fn limits() -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    let mut meaning = String::new();
    for line in read("host/src/limits.rs").lines() {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push_str(text);
        } else if let Some(constant) = line.strip_prefix("pub const ") {
            let (name, rest) = constant.split_once(": ").expect("a name and a type");
            let (_, value) = rest.trim_end_matches(';').split_once(" = ").expect("a value");
            let meaning = match meaning.trim() {
                text if text.starts_with("See [") => {
                    limits.last().map(|limit| limit.meaning.clone()).unwrap_or_default()
                }
                text => text.to_owned(),
            };
            limits.push(Limit { name: name.to_owned(), value: shown(name, value), meaning });
        }
        if !line.starts_with("///") {
            meaning.clear();
        }
    }
    limits
}

/// `8 << 20` as `8 MiB`, `Duration::from_millis(500)` as `500 ms`, `1_000` as `1,000`.
fn shown(name: &str, value: &str) -> String {
    let number = |text: &str| {
        text.trim().replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("{name}: {value:?} is no number"))
    };
    if let Some(time) = value.strip_prefix("Duration::from_millis(") {
        return format!("{:?}", Duration::from_millis(number(time.trim_end_matches(')'))))
            .replace("ms", " ms")
            .replace("0s", "0 s")
            .replace("1s", "1 s");
    }
    if let Some(time) = value.strip_prefix("Duration::from_micros(") {
        return format!("{} µs", number(time.trim_end_matches(')')));
    }
    if let Some(time) = value.strip_prefix("Duration::from_secs(") {
        return format!("{} s", number(time.trim_end_matches(')')));
    }
    match value.split_once("<<") {
        None => grouped(number(value)),
        Some((factor, power)) => {
            let amount = number(factor) << number(power);
            let unit = if name.ends_with("_KIB") { 10 } else { 0 };
            [(30, "GiB"), (20, "MiB"), (10, "KiB")]
                .into_iter()
                .find(|(power, _)| (amount << unit) % (1 << power) == 0)
                .map_or_else(
                    || grouped(amount),
                    |(power, unit_name)| format!("{} {unit_name}", (amount << unit) >> power),
                )
        }
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn the_folder_of_the_contract_lists_its_files() {
    let readme = read("wit/README.md");
    let missing = |path: &str| !readme.contains(&format!("`{}`", path.trim_start_matches("wit/")));
    let complaints: Vec<String> = files("wit", ".wit")
        .into_iter()
        .filter(|file| !file.path.starts_with("wit/frozen/") && missing(&file.path))
        .map(|file| format!("wit/README.md does not name {}", file.path))
        .collect();
    none(&complaints);
}

#[test]
fn the_map_names_every_module() {
    let map = read("host/ARCHITECTURE.md");
    let places: Vec<Option<usize>> =
        super::modules::modules().iter().map(|module| map.find(&format!("\n- **`{module}`**"))).collect();
    assert!(
        places.iter().all(Option::is_some),
        "ARCHITECTURE.md has a line `- **`NAME`** …` for each module of lib.rs: {places:?}"
    );
    assert!(places.is_sorted(), "ARCHITECTURE.md lists the modules in the order of lib.rs: {places:?}");
}
