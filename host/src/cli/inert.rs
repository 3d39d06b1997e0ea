//! Settings that somebody has given and that can never act: each is told once, in one line, as CONFIG_3004. Defaults are
//! nobody's settings.

use std::collections::BTreeSet;

use super::Layers;
use super::job_args::JobArgs;
use super::plan::addressed;
use crate::coordinator::{Filling, Input, Job, SlotSpec};
use crate::error::Code;
use crate::model::{Name, edit_distance, nearest, printable};
use crate::processor::ProcessorKind;
use crate::source::{Format, InputPath};

/// Flags that act beside `--processor index`, those of the whole program included; every other one is about items.
const BESIDE_INDEX: &[&str] = &[
    "processor",
    "store",
    "into",
    "index",
    "unique",
    "durability",
    "dry-run",
    "output",
    "verbose",
    "quiet",
    "log-format",
    "color",
    "config",
];
/// Flags that `revalidate` shares with `run` and has no use for: stored items have their ids, and stay as they are.
const OF_NO_USE_TO_REVALIDATE: &[&str] =
    &["format", "delimiter", "no-header", "max-line-bytes", "id", "missing-id", "on-existing", "processor"];
/// Variables that the program reads and that are no flags.
const BESIDE_FLAGS: [&str; 2] = ["ATLAS_CACHE_DIR", "ATLAS_LOG"];
/// What the names of all its variables begin with.
const PREFIX: &str = "ATLAS_";

fn warn(text: &str) {
    tracing::warn!(code = Code::ConfigInert.as_str(), "{text}");
}

/// Variables that were most likely meant as one of the program's. Others may be anybody's.
pub fn variables(command: &clap::Command) {
    let mut known = BTreeSet::from(BESIDE_FLAGS.map(str::to_owned));
    add_variables(command, &mut known);
    let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in given.filter(|name| !known.contains(name)) {
        if let Some(meant) = misspelt(&name, &known) {
            warn(&format!(
                "{} is no variable of this program and does nothing. Did you mean {meant}?",
                printable(&name)
            ));
        }
    }
}

fn add_variables(command: &clap::Command, known: &mut BTreeSet<String>) {
    known.extend(command.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned)));
    command.get_subcommands().for_each(|part| add_variables(part, known));
}

/// The prefix, which all have in common, makes none of them more alike.
fn misspelt(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let known = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
    nearest(name.strip_prefix(PREFIX)?, known).map(|meant| format!("{PREFIX}{meant}"))
}

/// The environment and the file are about runs of all kinds, so that only flags are told.
pub fn beside_index(layers: &Layers) {
    let names = flags(layers, |key| !BESIDE_INDEX.contains(&key));
    tell("With --processor index, which reads no items, these do nothing", &names);
}

/// As [`beside_index`].
pub fn of_revalidate(layers: &Layers) {
    let names = flags(layers, |key| OF_NO_USE_TO_REVALIDATE.contains(&key));
    tell("Stored items are judged as they are, so that these do nothing", &names);
}

fn flags(layers: &Layers, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let given = layers.origins.iter().filter(|origin| origin.origin == "flag" && wanted(&origin.key));
    given.map(|origin| format!("--{}", origin.key)).collect()
}

/// How the user has said each of these settings that was given at all.
fn said(layers: &Layers, keys: &[&str]) -> Vec<String> {
    let given = |key: &&str| layers.origins.iter().find(|origin| origin.key == *key)?.said();
    keys.iter().filter_map(given).collect()
}

fn tell(why: &str, names: &[String]) {
    if !names.is_empty() {
        warn(&format!("{why}: {}.", names.join(", ")));
    }
}

/// What can never act in a job whose slots are filled. Of its input see [`of_input`].
pub fn of_job(args: &JobArgs, layers: &Layers, job: &Job) {
    of_strategy(args, layers);
    let slots: Vec<&SlotSpec> = job.validators.iter().chain(&job.operations).collect();
    let names: Vec<Name> = slots.iter().map(|slot| slot.name.clone()).collect();
    of_tables(layers, &names);
    if slots.is_empty() {
        let given = addressable(args).filter(|(_, texts, _)| !texts.is_empty()).map(|(key, ..)| key);
        tell("There is no plugin in this run, so that these do nothing", &said(layers, &given.collect::<Vec<_>>()));
        return;
    }
    of_slots(args, layers, &names);
    of_grants(args, layers, &slots, &names);
}

fn of_strategy(args: &JobArgs, layers: &Layers) {
    let mut keys = match args.strategy.as_str() {
        "sequential" | "concurrent" => vec!["aim", "max-batch-time", "memory-budget"],
        _ => return,
    };
    // One lane is what it uses.
    if args.strategy == "sequential" && args.lanes.is_some_and(|lanes| lanes.max() > 1) {
        keys.push("lanes");
    }
    tell(&format!("With strategy {} these do nothing", args.strategy), &said(layers, &keys));
}

/// Tables of the file that no slot is called by. One with a source is a plugin by itself, in whose place a flag may have put
/// another.
fn of_tables(layers: &Layers, names: &[Name]) {
    let Some(path) = &layers.file.path else { return };
    for (name, line) in &layers.file.plugin_order {
        let is_slot = names.iter().any(|slot| slot.as_str() == name);
        if is_slot || layers.file.plugins[name].source.is_some() {
            continue;
        }
        let meant = match nearest(name, names.iter().map(Name::as_str)) {
            Some(slot) => format!(" Did you mean {slot}?"),
            None => String::new(),
        };
        let (path, name) = (path.display(), printable(name));
        warn(&format!("{path}:{line}: [plugins.{name}] does nothing, since this run has no slot {name}.{meant}"));
    }
}

/// Settings that may begin with the name of a slot: their key, what was given, and the sign after the name.
fn addressable(args: &JobArgs) -> impl Iterator<Item = (&'static str, &[String], char)> {
    let grants = args.grants().map(|(key, texts)| (key, texts, '='));
    grants.into_iter().chain([("plugin-config", args.plugin_config.as_slice(), '.')])
}

/// What goes to all plugins and was likely meant for one. What follows the name may be secret.
fn of_slots(args: &JobArgs, layers: &Layers, names: &[Name]) {
    for (key, texts, sign) in addressable(args) {
        let Some(said) = said(layers, &[key]).pop() else { continue };
        for (head, slot) in texts.iter().filter_map(|text| meant(text.split_once(sign)?.0, names)) {
            let what = match key {
                "grant-env" => "a variable",
                "plugin-config" => "a setting",
                _ => "a grant",
            };
            warn(&format!(
                "{said} {head}{sign}… is {what} of every plugin; did you mean {slot}{sign}…, for slot {slot} alone?"
            ));
        }
    }
}

/// The slot that is one letter away. Variables are often called like slots, and are written in capitals.
fn meant<'a>(head: &'a str, names: &'a [Name]) -> Option<(&'a str, &'a Name)> {
    let is_word = head.len() > 2 && head.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let is_slot = names.iter().any(|slot| slot.as_str() == head);
    if !is_word || is_slot || !head.contains(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let near = names.iter().find(|slot| edit_distance(head, slot.as_str()) <= 1)?;
    Some((head, near))
}

/// Grants that none of the plugins whom they reach could use.
fn of_grants(args: &JobArgs, layers: &Layers, slots: &[&SlotSpec], names: &[Name]) {
    for (key, texts) in args.grants() {
        let Some(said) = said(layers, &[key]).pop() else { continue };
        let mut told = BTreeSet::new();
        for text in texts {
            let reached: Vec<_> =
                slots.iter().filter(|slot| addressed(text, '=', names, &slot.name).is_some()).collect();
            if reached.iter().any(|slot| imports(slot, key)) {
                continue;
            }
            told.insert(match reached.as_slice() {
                [slot] => without_import(&said, Some(slot.name.as_str()), key),
                _ => without_import(&said, None, key),
            });
        }
        told.iter().for_each(|text| warn(text));
    }
    let Some(path) = &layers.file.path else { return };
    for (name, line) in &layers.file.plugin_order {
        let Some(slot) = slots.iter().find(|slot| slot.name.as_str() == name) else { continue };
        let tables = layers.file.plugins[name].grants().into_iter();
        for (key, _) in tables.filter(|(key, texts)| !texts.is_empty() && !imports(slot, key)) {
            warn(&without_import(&format!("{}:{line}: {key}", path.display()), Some(name), key));
        }
    }
}

fn without_import(said: &str, slot: Option<&str>, key: &str) -> String {
    let import = needed(key).trim_end_matches(['@', '/']);
    match slot {
        Some(slot) => format!("{said} does nothing for slot {slot}, whose plugin does not import {import}."),
        None => format!("{said} does nothing: no plugin of this run imports {import}."),
    }
}

/// What the import begins with through which a plugin uses a grant.
fn needed(key: &str) -> &'static str {
    match key {
        "grant-dir" => "wasi:filesystem/",
        "grant-env" => "wasi:cli/environment@",
        "grant-host" => "wasi:sockets/",
        _ => "atlas:batch/store@",
    }
}

fn imports(slot: &SlotSpec, key: &str) -> bool {
    match &slot.filling {
        Filling::Component(plugin) => {
            plugin.inspect().imports.iter().any(|import| import.name.starts_with(needed(key)))
        }
        Filling::Operation(_) | Filling::Validator(_) => false,
    }
}

/// What can never act on what a job reads.
pub fn of_input(layers: &Layers, job: &Job) {
    if job.processor == ProcessorKind::Index {
        return;
    }
    let is_table = |input: &InputPath| {
        let format = job.read.format.or_else(|| input.path().and_then(Format::of_path));
        matches!(format, Some(Format::Csv | Format::Tsv))
    };
    if let Input::Files(inputs) = &job.input
        && inputs.iter().any(is_table)
    {
        return;
    }
    // The environment and the file are about runs of all kinds.
    let given = flags(layers, |key| ["delimiter", "no-header"].contains(&key));
    tell("No input is CSV or TSV, so that these do nothing", &given);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_others_stay_quiet() {
        let mut known = BTreeSet::from(BESIDE_FLAGS.map(str::to_owned));
        add_variables(&super::super::command(), &mut known);
        for (given, meant) in [
            ("ATLAS_BATCHSIZE", Some("ATLAS_BATCH_SIZE")),
            ("ATLAS_STOER", None),
            ("ATLAS_STOR", Some("ATLAS_STORE")),
            ("ATLAS_LOGFORMAT", Some("ATLAS_LOG_FORMAT")),
            ("ATLAS_CACHE_DIRS", Some("ATLAS_CACHE_DIR")),
            ("ATLAS_store", Some("ATLAS_STORE")),
        ] {
            assert_eq!(misspelt(given, &known).as_deref(), meant, "{given}");
        }
        for other in [
            "ATLAS_HOST",
            "ATLAS_SWAPS",
            "ATLAS_KILLS",
            "ATLAS_CASES",
            "ATLAS_REAL_DATA",
            "ATLAS_SWEEP_STRIDE",
            "ATLAS_TEST_ALONE",
            "ATLAS_TEST_BROWSER",
            "ATLAS_TEST_WITHOUT_LANGUAGES",
            "ATLAS_ALERT_NAME",
            "ATLAS_ALERT_STATE",
            "ATLAS_ALERT_MESSAGE",
            "ATLAS_ALERT_VALUE",
            "ATLAS_ALERT_THRESHOLD",
            "ATLAS_ALERT_BATCH",
            "ATLAS_ALERT_RUN",
            "ATLAS_ALERT_UUID",
            "ATLAS_ALERT_STORE",
            "ATLAS_URI",
            "ATLAS_TOKEN",
            "ATLAS_USER",
            "ATLAS_",
            "ATLASSTORE",
            "HOME",
        ] {
            assert_eq!(misspelt(other, &known), None, "{other}");
        }
    }

    #[test]
    fn a_text_that_is_one_letter_off_a_slot_may_mean_it() {
        let names = ["identity", "ticket_tidy", "ab"].map(|name| Name::parse(name).expect("a name"));
        let of = |head| meant(head, &names).map(|(_, slot)| slot.as_str());
        for (head, slot) in [("identiti", "identity"), ("dentity", "identity"), ("ticket-tidy", "ticket_tidy")] {
            assert_eq!(of(head), Some(slot), "{head}");
        }
        for head in ["identity", "IDENTITI", "IDENTITY", "idenitti", "ac", "identity2=0", "language", ""] {
            assert_eq!(of(head), None, "{head}");
        }
    }
}
