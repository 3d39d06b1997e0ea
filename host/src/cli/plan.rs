//! From flags to a job: plugins are loaded, grants assigned, inputs opened by name.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use super::Layers;
use super::history::Chain;
use super::inert;
use super::job_args::{AtomicArg, Isolation, JobArgs, MissingIdArg};
use super::layers::PluginTable;
use super::locations::{Locations, Tags};
use crate::coordinator::{
    Atomicity, Filling, Host, HostOptions, Input, Job, SlotSpec, WatchedFile, default_cache, in_place_of,
};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Digest, Name};
use crate::plugin::{Compiler, Location, Plugin, Role};
use crate::processor::{ProcessorKind, processor};
use crate::source::{CsvOptions, InputPath, MissingId, ReadOptions};
use crate::strategy::{Bounds, Interval};

/// A host made for these flags, with room for the sandboxes of each plugin of the file.
pub fn host(args: &JobArgs, layers: &Layers) -> Result<Host> {
    let lanes = args.lanes.map_or_else(cores, Interval::max);
    if lanes > limits::LANES_LIMIT {
        return Err(invalid(format!("--lanes {lanes} is more than the {} that are possible", limits::LANES_LIMIT)));
    }
    let tables = layers.file.plugins.values().filter_map(|table| table.memory);
    let memory_bytes = tables.fold(args.memory, usize::max);
    Host::new(HostOptions { lanes, memory_bytes, cache: default_cache(), compiler: compiler() })
}

/// This executable, called for itself; in the process where it cannot be found.
pub fn compiler() -> Compiler {
    // On Linux this leads to the program that is at work, whatever lies at its path by then.
    let at_work = Path::new("/proc/self/exe");
    match at_work.exists() {
        true => Compiler::Child(at_work.to_owned()),
        false => std::env::current_exe().map_or(Compiler::InProcess, Compiler::Child),
    }
}

/// Lanes without a setting, at the most.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bounds of lanes without a setting.
pub fn default_lanes() -> Interval {
    Interval::new(1, cores()).expect("1 is not above the number of cores")
}

/// The plugins that a job of these flags will have, by their digests; nothing is compiled, and no tag is locked.
///
/// Errors: those of [`Locations::take`], and what is wrong about slots.
pub fn chain(args: &JobArgs, layers: &Layers) -> Result<Chain> {
    let mut slots = wanted(args, layers)?;
    // Operations work last.
    slots.sort_by_key(|slot| !slot.validator);
    let locations = Locations::new(layers.file.path.as_deref(), Tags::Look);
    let mut plugins = Vec::new();
    for slot in &slots {
        let digest = Digest::of(&locations.take(&slot.location)?.bytes);
        plugins.push((if slot.validator { "validator" } else { "operation" }, Some(digest), ""));
    }
    Ok(Chain::of(plugins))
}

fn invalid(message: String) -> Error {
    Error::new(Code::ConfigInvalid, message)
}

/// The job that the flags describe. `tags` says what is done about images that are not locked yet.
pub fn job(args: &JobArgs, layers: &Layers, host: &Host, tags: Tags) -> Result<Job> {
    let mut job = without_plugins(args, layers)?;
    fill(args, layers, host, tags, &mut job, Err)?;
    Ok(job)
}

/// Fills the slots of a job, and tells settings that cannot act in it. What it says of following files, and of going on with an
/// interrupted run, counts for a file that is no good. `fault` is given what is wrong with a slot; if it lets that pass, the
/// other slots are filled.
pub fn fill(
    args: &JobArgs,
    layers: &Layers,
    host: &Host,
    tags: Tags,
    job: &mut Job,
    mut fault: impl FnMut(Error) -> Result<()>,
) -> Result<()> {
    if job.processor == ProcessorKind::Index {
        inert::beside_index(layers);
        return Ok(());
    }
    let locations = Locations::new(layers.file.path.as_deref(), tags);
    let wanted = wanted(args, layers)?;
    let names: Vec<Name> = wanted.iter().map(|slot| slot.name.clone()).collect();
    let filled = |slot: &Wanted, job: &Job| -> Result<SlotSpec> {
        let role = if slot.validator { Role::Validator } else { Role::Operation };
        let loaded = locations.load(&slot.location, host);
        let plugin = Arc::new(loaded.or_else(|error| in_place_of(host, job, (&slot.name, role), None, error))?);
        let mut spec = SlotSpec::new(slot.name.as_str(), Filling::Component(Arc::clone(&plugin)));
        if let Some(table) = layers.file.plugins.get(slot.name.as_str()) {
            apply_table(&mut spec, table, &plugin)?;
        }
        grants_from_flags(args, &names, &mut spec)?;
        Ok(spec)
    };
    let mut all = true;
    for slot in &wanted {
        match filled(slot, job) {
            Ok(spec) if slot.validator => job.validators.push(spec),
            Ok(spec) => job.operations.push(spec),
            Err(error) => {
                all = false;
                fault(error)?;
            }
        }
    }
    if all {
        inert::of_job(args, layers, job);
    }
    Ok(())
}

/// As [`job`], with empty slots.
pub fn without_plugins(args: &JobArgs, layers: &Layers) -> Result<Job> {
    let kind = processor(&args.processor)?;
    let input = input(args, kind)?;
    let store = (kind != ProcessorKind::Memory).then(|| args.store.store.clone());
    let mut job = Job::new(input, store);
    job.processor = kind;
    job.durability = args.durability.into();
    job.collection = args.into.clone();
    job.collections = args.collection.clone();
    job.indexes = args.index.iter().chain(&args.unique).cloned().collect();
    job.id = args.id.clone();
    job.missing_id = match args.missing_id {
        MissingIdArg::Reject => MissingId::Reject,
        MissingIdArg::Ordinal => MissingId::Ordinal,
    };
    job.read = ReadOptions {
        format: args.format,
        line_bytes_max: args.max_line_bytes,
        csv: CsvOptions { delimiter: delimiter(args.delimiter)?, header: !args.no_header },
        follow: false,
    };
    job.limit = args.limit;
    job.strategy = args.strategy.clone();
    job.bounds = Bounds { batch_size: args.batch_size, lanes: args.lanes.unwrap_or_else(default_lanes), start: None };
    job.aim = args.aim.into();
    job.batch_time_max = args.max_batch_time;
    job.memory_budget = args.memory_budget.map(|bytes| bytes as u64);
    job.batch_bytes = args.batch_bytes;
    job.batch_wait = args.batch_wait;
    job.attempts = args.attempts;
    job.deadline = args.deadline;
    job.on_existing = args.on_existing.into();
    job.atomic = match args.atomic {
        AtomicArg::Batch => Atomicity::Batch,
        AtomicArg::Run => Atomicity::Run,
    };
    job.max_rejects = args.max_rejects;
    job.seed = args.seed;
    job.fresh_sandboxes = args.isolation == Isolation::Batch;
    job.slow_item = args.slow_item;
    job.thresholds = args.thresholds.thresholds();
    job.settings_json = settings_json(layers);
    Ok(job)
}

/// What is in force, for the record. Values of plugin settings and of the environment may be secret: only their keys are kept.
fn settings_json(layers: &Layers) -> String {
    let kept = |key: &str, value: &String| match key {
        "plugin-config" | "grant-env" => value.split('=').next().unwrap_or_default().to_owned() + "=…",
        _ => value.clone(),
    };
    let all: std::collections::BTreeMap<&String, Vec<String>> = layers
        .origins
        .iter()
        .filter(|origin| origin.origin != "not set")
        .map(|origin| (&origin.key, origin.value.iter().map(|value| kept(&origin.key, value)).collect()))
        .collect();
    serde_json::to_string(&all).unwrap_or_default()
}

fn delimiter(given: Option<char>) -> Result<Option<u8>> {
    given
        .map(|c| {
            let byte = u8::try_from(c).ok().filter(u8::is_ascii);
            byte.ok_or_else(|| {
                invalid(format!("--delimiter {c:?} is no ASCII character")).hint("use one such as ',', ';' or '|'")
            })
        })
        .transpose()
}

fn input(args: &JobArgs, kind: ProcessorKind) -> Result<Input> {
    if kind == ProcessorKind::Index {
        return Ok(Input::Files(Vec::new()));
    }
    if args.input.is_empty() {
        if std::io::stdin().is_terminal() {
            return Err(Error::new(Code::ConfigMissing, "no input is given, and standard input is a terminal")
                .hint("give --input FILE, or pipe records in; `atlas-host run --help` shows examples"));
        }
        return Ok(Input::Files(vec![InputPath::Stdin]));
    }
    Ok(Input::Files(args.input.iter().map(InputPath::parse).collect()))
}

/// A slot before its plugin is loaded.
struct Wanted {
    name: Name,
    location: Location,
    validator: bool,
}

/// The files of the slots, to be followed. An image never changes, and has none.
pub fn watched(args: &JobArgs, layers: &Layers) -> Result<Vec<WatchedFile>> {
    if processor(&args.processor)? == ProcessorKind::Index {
        return Ok(Vec::new());
    }
    let file = |Wanted { name, location, .. }| match location {
        Location::File(path) => Some(WatchedFile { slot: name, path }),
        Location::Image(_) => None,
    };
    Ok(wanted(args, layers)?.into_iter().filter_map(file).collect())
}

/// Says of which plugins there is no file that `--watch` could follow.
pub fn warn_of_unwatched(args: &JobArgs, layers: &Layers) -> Result<()> {
    for Wanted { name, location, .. } in wanted(args, layers)? {
        if let Location::Image(reference) = location {
            tracing::warn!(
                code = Code::ConfigInert.as_str(),
                "--watch does nothing for slot {name}: {reference} is no file. `atlas-host plugins swap` exchanges it."
            );
        }
    }
    Ok(())
}

fn wanted(args: &JobArgs, layers: &Layers) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for (texts, validator) in [(&args.validator, true), (&args.plugin, false)] {
        for text in texts {
            let (name, location) = match text.split_once('=') {
                Some((name, location)) if Name::parse(name).is_some() => (Name::parse(name), location),
                _ => (None, text.as_str()),
            };
            let location = Location::parse(location)?;
            let name = name.unwrap_or_else(|| slot_name(&location, validator, &all));
            all.push(Wanted { name, location, validator });
        }
    }
    // In the order of the file, which is that of operations.
    for (name, _) in &layers.file.plugin_order {
        let table = &layers.file.plugins[name];
        let (Some(location), false) = (&table.source, all.iter().any(|slot| slot.name.as_str() == name)) else {
            continue;
        };
        let validator = match table.role.as_deref() {
            Some("validator") => true,
            Some("operation") => false,
            _ => {
                return Err(invalid(format!("[plugins.{name}] has a source but no role"))
                    .hint("write role = \"operation\" or role = \"validator\""));
            }
        };
        // A flag of the same role takes the place of the file's plugins.
        let flags = if validator { &args.validator } else { &args.plugin };
        if flags.is_empty() {
            let name = Name::parse(name).ok_or_else(|| invalid(format!("[plugins.{name}] is no legal slot name")))?;
            all.push(Wanted { name, location: location.clone(), validator });
        }
    }
    Ok(all)
}

/// The slots that a plugin fills in the present configuration, as they are granted and set there; if it fills none, the one that
/// it would be called after, with what all are granted. A digest that is pinned is left to the run.
///
/// Errors: CONFIG_3001 where a grant of the configuration cannot be given.
pub fn slots_of(location: &Location, plugin: &Arc<Plugin>, args: &JobArgs, layers: &Layers) -> Result<Vec<SlotSpec>> {
    let wanted = wanted(args, layers)?;
    let same = |other: &Location| match (location, other) {
        (Location::File(one), Location::File(other)) => {
            let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            place(one) == place(other)
        }
        (one, other) => one == other,
    };
    let mut names: Vec<Name> =
        wanted.iter().filter(|slot| same(&slot.location)).map(|slot| slot.name.clone()).collect();
    if names.is_empty() {
        names.push(slot_name(location, false, &[]));
    }
    let all: Vec<Name> = wanted.iter().map(|slot| &slot.name).chain(&names).cloned().collect();
    let spec = |name: &Name| {
        let mut spec = SlotSpec::new(name.as_str(), Filling::Component(Arc::clone(plugin)));
        if let Some(table) = layers.file.plugins.get(name.as_str()) {
            apply_table(&mut spec, &PluginTable { digest: None, ..table.clone() }, plugin)?;
        }
        grants_from_flags(args, &all, &mut spec)?;
        Ok(spec)
    };
    names.iter().map(spec).collect()
}

/// A slot is called after its file or repository, unless that name is taken.
fn slot_name(location: &Location, validator: bool, taken: &[Wanted]) -> Name {
    let stem = match location {
        Location::File(file) => file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
        Location::Image(reference) => reference.stem().to_owned(),
    };
    let mut text: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(50).collect();
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        text.insert(0, '_');
    }
    let role = if validator { "validator" } else { "operation" };
    let mut name = text.clone();
    let mut number = 1;
    while taken.iter().any(|slot| slot.name.as_str() == name) {
        name = if number == 1 { format!("{text}_{role}") } else { format!("{text}_{role}{number}") };
        number += 1;
    }
    Name::parse(&name).expect("made of legal characters")
}

/// Grants, limits and settings of the file's `[plugins.NAME]`; a pinned digest is compared.
pub fn apply_table(spec: &mut SlotSpec, table: &PluginTable, plugin: &Plugin) -> Result<()> {
    if let Some(wanted) = &table.digest {
        let found = plugin.digest();
        if Digest::parse(wanted) != Some(found) {
            let message = format!("plugin {} has the digest {found}, wanted {wanted}", plugin.file());
            return Err(Error::new(Code::PluginWorld, message)
                .hint(format!("use the file that was pinned, or change digest in [plugins.{}]", spec.name)));
        }
        spec.pinned = Some(found);
    }
    spec.config = table.config.clone();
    spec.memory_bytes = table.memory;
    spec.deadline = table.deadline;
    for (key, texts) in table.grants() {
        for text in texts {
            spec.grants.add(key, text, Path::new(""))?;
        }
    }
    Ok(())
}

/// Grants and settings that the flags give to this slot, or to all; `names` are the slots that there are. The host may have room
/// for more memory than the flag gives, where another slot has that.
pub fn grants_from_flags(args: &JobArgs, names: &[Name], spec: &mut SlotSpec) -> Result<()> {
    spec.memory_bytes.get_or_insert(args.memory);
    for (key, texts) in args.grants() {
        for text in texts {
            if let Some(text) = addressed(text, '=', names, &spec.name) {
                spec.grants.add(key, text, Path::new(""))?;
            }
        }
    }
    for text in &args.plugin_config {
        let Some(text) = addressed(text, '.', names, &spec.name) else { continue };
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| invalid(format!("--plugin-config {text:?} has no value")).hint("write [SLOT.]KEY=VALUE"))?;
        spec.config.insert(key.to_owned(), value.to_owned());
    }
    Ok(())
}

/// What is left for this slot: all of the text if no slot is named, the rest if this one is, nothing if another is.
pub fn addressed<'a>(text: &'a str, separator: char, names: &[Name], own: &Name) -> Option<&'a str> {
    match text.split_once(separator) {
        Some((slot, rest)) if names.iter().any(|name| name.as_str() == slot) => (slot == own.as_str()).then_some(rest),
        _ => Some(text),
    }
}
