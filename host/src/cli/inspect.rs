//! `inspect`: what a component is, who made it, and what it would be granted here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::common::OutputArg;
use super::job_args::JobArgs;
use super::locations::{Locations, Tags};
use super::print::Printer;
use super::spec::{duration, fields};
use super::{Layers, plan, present};
use crate::author::{Kind, Metadata, metadata, world_of};
use crate::coordinator::{Host, SlotSpec};
use crate::error::Result;
use crate::limits;
use crate::monitor::words;
use crate::plugin::{Grants, Inspection, Location};

/// Show what a component is, what it asks for and is granted, and the limits that hold
///
/// Grants and limits are those of the present configuration: atlas.toml, its [plugins.NAME] tables, and ATLAS_… variables.
///
/// What is behind an import: offered (works), fixed (a clock that stands still at the time of the run), seeded (randomness from the seed of the run), logged (lines of the log), granted (opened by the grants that are named), denied (nothing).
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Component to look at, a file or oci://…
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Serialize)]
struct Inspected {
    schema: u32,
    file: String,
    digest: String,
    bytes: usize,
    /// True if the compiled artefact was in the cache.
    cached: bool,
    /// Time that loading took, compiling included.
    load_us: u64,
    /// World of the contract that it fits; none if it can fill no role.
    world: Option<String>,
    #[serde(flatten)]
    inspection: Inspection,
    metadata: Metadata,
    slots: Vec<SlotView>,
    limits: Limits,
}

/// A slot that the component fills, or would fill.
#[derive(Serialize)]
struct SlotView {
    name: String,
    /// True if the configuration has a table for it.
    configured: bool,
    granted: Vec<String>,
    /// Names of the plugin's own settings; their values may be secret.
    settings: Vec<String>,
    /// Limits that its table sets, in place of those of all plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    /// Digest that the configuration wants, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<String>,
}

#[derive(Serialize)]
struct Limits {
    memory_bytes: usize,
    deadline_ms: u64,
    body_bytes: usize,
    answer_bytes: usize,
    stack_bytes: usize,
}

/// Exit code 0 if every file can fill a role, 4 if one cannot.
pub fn run(args: InspectArgs, config: Option<&Path>, printer: &mut Printer) -> Result<u8> {
    let (job, layers) = present(config)?;
    let host = plan::host(&job, &layers)?;
    let mut code = 0;
    for file in &args.files {
        let inspected = inspected(file, &host, &job, &layers)?;
        if !inspected.inspection.operation && !inspected.inspection.validator {
            code = 4;
        }
        if args.output.json() {
            printer.json(&inspected)?;
        } else {
            printer.line(&text(&inspected))?;
        }
    }
    Ok(code)
}

fn inspected(file: &Path, host: &Host, job: &JobArgs, layers: &Layers) -> Result<Inspected> {
    let location = Location::parse(file)?;
    let begin = Instant::now();
    let plugin = Arc::new(Locations::new(layers.file.path.as_deref(), Tags::Look).load(&location, host)?);
    let load = begin.elapsed();
    let specs = plan::slots_of(&location, &plugin, job, layers)?;
    let mut inspection = plugin.inspect();
    for import in &mut inspection.imports {
        import.granted = specs.iter().flat_map(|spec| behind(&import.name, &spec.grants)).collect();
        import.granted.dedup();
        if import.status == "denied" && !import.granted.is_empty() {
            import.status = "granted";
        }
    }
    Ok(Inspected {
        schema: 1,
        file: plugin.file().to_owned(),
        digest: plugin.digest().to_string(),
        bytes: plugin.bytes().len(),
        cached: plugin.from_cache(),
        load_us: u64::try_from(load.as_micros()).unwrap_or(u64::MAX),
        world: world(&inspection),
        inspection,
        metadata: metadata(&plugin.bytes()),
        slots: specs.iter().map(|spec| slot(spec, &plugin.digest().to_string(), layers)).collect(),
        limits: Limits {
            memory_bytes: job.memory,
            deadline_ms: ms(job.deadline),
            body_bytes: limits::OUTPUT_ITEM_BYTES_MAX,
            answer_bytes: limits::OUTPUT_CALL_BYTES_MAX,
            stack_bytes: limits::GUEST_STACK_BYTES,
        },
    })
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The world that has just the roles which it can fill.
fn world(inspection: &Inspection) -> Option<String> {
    let kind = match (inspection.operation, inspection.validator) {
        (true, true) => Kind::Both,
        (true, false) => Kind::Operation,
        (false, true) => Kind::Validator,
        (false, false) => return None,
    };
    Some(format!("atlas:batch/{}@0.1.0", world_of(kind)))
}

fn slot(spec: &SlotSpec, digest: &str, layers: &Layers) -> SlotView {
    let table = layers.file.plugins.get(spec.name.as_str());
    SlotView {
        name: spec.name.to_string(),
        configured: table.is_some(),
        granted: spec.grants.describe(),
        settings: spec.config.keys().cloned().collect(),
        memory_bytes: table.and_then(|table| table.memory),
        deadline_ms: table.and_then(|table| table.deadline).map(ms),
        pinned: table.and_then(|table| table.digest.clone()).filter(|pinned| pinned != digest),
    }
}

/// The grants that an import opens to the plugin.
fn behind(import: &str, grants: &Grants) -> Vec<String> {
    // The first that fits; no grant opens UDP.
    let kind = [
        ("wasi:filesystem/", "dir:"),
        ("wasi:cli/environment@", "env:"),
        ("wasi:sockets/udp", ""),
        ("wasi:sockets/", "host:"),
        ("atlas:batch/store@", "collection:"),
    ]
    .into_iter()
    .find(|(prefix, _)| import.starts_with(prefix));
    let Some((_, kind)) = kind.filter(|(_, kind)| !kind.is_empty()) else { return Vec::new() };
    let by_name = |grant: &str| grant.strip_prefix("host:").is_some_and(|host| host.parse::<SocketAddr>().is_err());
    let look_up = import.starts_with("wasi:sockets/ip-name-lookup@");
    let grants = grants.describe().into_iter();
    grants.filter(|grant| grant.starts_with(kind) && (!look_up || by_name(grant))).collect()
}

fn text(inspected: &Inspected) -> String {
    let Inspected { inspection, metadata, limits, .. } = inspected;
    let roles: Vec<&str> = [(inspection.operation, "operation"), (inspection.validator, "validator")]
        .into_iter()
        .filter_map(|(fits, role)| fits.then_some(role))
        .collect();
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let or_nothing = |lines: Vec<String>| if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") };
    let imports = inspection.imports.iter().map(|import| match (import.status, import.granted.as_slice()) {
        (status, []) => format!("{} ({status})", import.name),
        ("granted", granted) => format!("{} (granted {})", import.name, granted.join(", ")),
        (status, granted) => format!("{} ({status}; granted {})", import.name, granted.join(", ")),
    });
    let load = Duration::from_micros(inspected.load_us).as_secs_f64() * 1000.0;
    let artefact = match inspected.cached {
        true => format!("in the cache, loaded in {load:.1} ms"),
        false => format!("was not in the cache, compiled in {load:.0} ms"),
    };
    let lines = [
        ("name", some(&metadata.name)),
        ("version", some(&metadata.version)),
        ("about", some(&metadata.description)),
        ("authors", some(&metadata.authors)),
        ("licence", some(&metadata.licenses)),
        ("source", some(&metadata.source)),
        ("homepage", some(&metadata.homepage)),
        ("revision", some(&metadata.revision)),
        ("language", metadata.languages.join(", ")),
        ("made by", metadata.tools.join(", ")),
        ("digest", inspected.digest.clone()),
        ("size", format!("{} bytes", inspected.bytes)),
        ("artefact", artefact),
        ("fits as", if roles.is_empty() { "nothing".to_owned() } else { roles.join(" and ") }),
        ("world", some(&inspected.world)),
        ("exports", or_nothing(inspection.exports.clone())),
        ("imports", or_nothing(imports.collect())),
        ("slot", inspected.slots.iter().map(slot_text).collect::<Vec<_>>().join("\n")),
        (
            "limits",
            format!(
                "{} MiB of memory, {} for a call, {} MiB for a body, {} MiB for an answer",
                limits.memory_bytes >> 20,
                duration(limits.deadline_ms),
                limits.body_bytes >> 20,
                limits.answer_bytes >> 20
            ),
        ),
        ("why", if roles.is_empty() { inspection.notes.join("\n") } else { String::new() }),
    ];
    let body = fields(&lines);
    let body: String = body.lines().map(|line| format!("\n  {line}")).collect();
    format!("{}{body}", crate::model::printable(&inspected.file))
}

fn slot_text(slot: &SlotView) -> String {
    let mut text = slot.name.clone();
    text.push_str(if slot.configured { ", as configured" } else { ", not configured" });
    text.push_str(": ");
    text.push_str(&if slot.granted.is_empty() { "nothing granted".to_owned() } else { slot.granted.join(", ") });
    if !slot.settings.is_empty() {
        text.push_str(&format!("; settings {}", slot.settings.join(", ")));
    }
    if let Some(bytes) = slot.memory_bytes {
        text.push_str(&format!("; {} of memory", words::bytes(bytes as u64)));
    }
    if let Some(ms) = slot.deadline_ms {
        text.push_str(&format!("; {} for a call", duration(ms)));
    }
    if let Some(pinned) = &slot.pinned {
        text.push_str(&format!("; pinned to another digest, {pinned}"));
    }
    text
}
