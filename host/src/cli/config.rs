//! `config show`: the settings in force and where each comes from.

use clap::{Args, Subcommand};

use super::Layers;
use super::print::{Printer, table};
use super::recommended;
use super::run::RunArgs;
use crate::error::Result;
use crate::model::printable;
use crate::monitor::words;

/// Show the settings in force and where each comes from
#[derive(Args, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Subcommand, Debug)]
enum ConfigVerb {
    /// Show each setting of run, its value and its origin
    Show(Box<RunArgs>),
}

/// Prints one line per setting.
pub fn run(args: ConfigArgs, mut layers: Layers, printer: &mut Printer) -> Result<u8> {
    let ConfigVerb::Show(mut run) = args.verb;
    if run.recommended {
        recommended::apply(&mut run.job, &mut layers)?;
    }
    if run.job.output.json() {
        let all: Vec<_> = layers
            .origins
            .iter()
            .map(|origin| serde_json::json!({ "key": origin.key, "value": origin.value, "origin": origin.origin }))
            .collect();
        printer.json_pretty(&all)?;
        return Ok(0);
    }
    let rows = layers
        .origins
        .iter()
        .map(|origin| vec![origin.key.clone(), origin.value.join(", "), origin.origin.clone()])
        .collect();
    printer.line(&table(&["key", "value", "origin"], rows))?;
    for (name, plugin) in &layers.file.plugins {
        printer.line(&format!("\nplugin {}: {}", printable(name), printable(&described(plugin))))?;
    }
    Ok(0)
}

/// Keys of the plugin's settings without their values, which may be secret.
fn described(plugin: &super::layers::PluginTable) -> String {
    let mut parts = Vec::new();
    if let Some(source) = &plugin.source {
        parts.push(format!("source {source}"));
    }
    if let Some(role) = &plugin.role {
        parts.push(format!("role {role}"));
    }
    if let Some(digest) = &plugin.digest {
        parts.push(format!("digest {digest}"));
    }
    if let Some(memory) = plugin.memory {
        parts.push(format!("memory {}", words::bytes(memory as u64)));
    }
    if let Some(deadline) = plugin.deadline {
        parts.push(format!("deadline {}", words::duration(deadline)));
    }
    for (kind, grants) in
        [("directory", &plugin.grant_dir), ("host", &plugin.grant_host), ("collection", &plugin.grant_collection)]
    {
        parts.extend(grants.iter().map(|grant| format!("{kind} {grant}")));
    }
    let env = plugin.grant_env.iter().map(|grant| grant.split('=').next().unwrap_or_default());
    parts.extend(env.map(|key| format!("environment {key}")));
    parts.extend(plugin.config.keys().map(|key| format!("config {key}")));
    parts.join(", ")
}
