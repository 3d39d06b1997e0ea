//! Flag over environment over `atlas.toml` over default, and where each value came from.
//!
//! Values of the file are handed to the same parser as flags, so that one set of rules judges both.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};
use toml::de::{DeTable, DeValue};

use super::units;
use crate::error::{Code, Error, Result};
use crate::limits::CONFIG_BYTES_MAX;
use crate::model::Digest;
use crate::plugin::Location;

/// Name of the file that is read where it is there.
const FILE: &str = "atlas.toml";

/// What a configuration file says.
#[derive(Debug, Default, Clone)]
pub struct ConfigFile {
    /// Where it lies; none if there is none.
    pub path: Option<PathBuf>,
    /// Of its text.
    pub digest: Option<Digest>,
    /// Values by key, each as the flag would have it, with their line.
    pub values: BTreeMap<String, (Vec<String>, usize)>,
    /// `[plugins.NAME]` tables.
    pub plugins: BTreeMap<String, PluginTable>,
    /// Their names and lines, in the order of the file.
    pub plugin_order: Vec<(String, usize)>,
}

/// One `[plugins.NAME]` table.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PluginTable {
    /// Where the component comes from.
    #[serde(deserialize_with = "location")]
    pub source: Option<Location>,
    /// `operation` or `validator`, where `source` is given.
    pub role: Option<String>,
    /// Digest that the component must have.
    pub digest: Option<String>,
    /// As `--memory`, for this plugin alone.
    #[serde(deserialize_with = "bytes")]
    pub memory: Option<usize>,
    /// As `--deadline`, for this plugin alone.
    #[serde(deserialize_with = "duration")]
    pub deadline: Option<Duration>,
    /// As `--grant-dir`.
    pub grant_dir: Vec<String>,
    /// As `--grant-env`.
    pub grant_env: Vec<String>,
    /// As `--grant-host`.
    pub grant_host: Vec<String>,
    /// As `--grant-collection`.
    pub grant_collection: Vec<String>,
    /// The plugin's own settings.
    pub config: BTreeMap<String, String>,
}

impl PluginTable {
    /// What it grants, by the names of the flags.
    pub fn grants(&self) -> [(&'static str, &[String]); 4] {
        [
            ("grant-dir", &self.grant_dir),
            ("grant-env", &self.grant_env),
            ("grant-host", &self.grant_host),
            ("grant-collection", &self.grant_collection),
        ]
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Long name of the flag.
    pub key: String,
    /// The value or values, as they were written; empty if it is not set.
    pub value: Vec<String>,
    /// `flag`, `environment ATLAS_…`, `FILE:LINE`, `default`, `not set`, `run` (as a run that goes on had it), or what it was
    /// recommended from.
    pub origin: String,
}

impl Origin {
    /// True if a flag or the environment says it.
    pub fn is_given(&self) -> bool {
        self.origin == "flag" || self.origin.starts_with("environment ")
    }

    /// How the user has said it; none if nobody did.
    pub fn said(&self) -> Option<String> {
        match self.origin.as_str() {
            "default" | "not set" | "run" => None,
            "flag" => Some(format!("--{}", self.key)),
            origin if origin.starts_with("recommended ") => None,
            origin => Some(match origin.strip_prefix("environment ") {
                Some(variable) => variable.to_owned(),
                None => format!("{origin}: {}", self.key),
            }),
        }
    }
}

/// Reads the file that `--config` or `ATLAS_CONFIG` names, else `atlas.toml` here if it is there.
///
/// Errors: CONFIG_3001 to 3003, naming file, line and key.
pub fn read(given: Option<&Path>, command: &Command) -> Result<ConfigFile> {
    let path = match given {
        Some(path) => path.to_owned(),
        None if Path::new(FILE).is_file() => PathBuf::from(FILE),
        None => return Ok(ConfigFile::default()),
    };
    parse(&path, &text(&path)?, command)
}

/// What stands in a configuration file.
///
/// Errors: CONFIG_3001.
pub fn text(path: &Path) -> Result<String> {
    let refuse = |why: String| {
        Error::new(Code::ConfigInvalid, format!("the configuration {} cannot be read: {why}", path.display()))
            .hint("check the path given to --config")
    };
    let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut text = String::new();
    file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    match text.len() as u64 {
        0..=CONFIG_BYTES_MAX => Ok(text),
        _ => Err(refuse(format!("it has more than {CONFIG_BYTES_MAX} bytes"))),
    }
}

/// Reads the text of a configuration file; `command` knows the keys.
///
/// Errors: CONFIG_3001 to 3003, naming file, line and key.
pub fn parse(path: &Path, text: &str, command: &Command) -> Result<ConfigFile> {
    let line_of = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        let message = format!("{}:{line}: {}", path.display(), error.message());
        Error::new(Code::ConfigInvalid, message).hint("the file must be TOML; `atlas-host config show` lists its keys")
    })?;
    let digest = Some(Digest::of(text.as_bytes()));
    let mut file = ConfigFile { path: Some(path.to_owned()), digest, ..ConfigFile::default() };
    for (key, value) in table.into_inner() {
        let line = line_of(key.span().start);
        let place = format!("{}:{line}", path.display());
        let name = key.into_inner();
        if name == "plugins" {
            let place_of = |offset: usize| format!("{}:{}", path.display(), line_of(offset));
            file.plugins = plugin_tables(text, &place, &place_of)?;
            file.plugin_order = names_in_order(value.get_ref(), line_of);
            continue;
        }
        let known = settable(command).find(|arg| arg.get_long() == Some(&*name));
        let Some(arg) = known else { return Err(unknown(&place, &name, command)) };
        let is_switch = !arg.get_action().takes_values();
        let values = values(value.into_inner(), is_switch).map_err(|found| {
            let wanted = if is_switch { "true or false" } else { "a text, a number, or a list of them" };
            Error::new(Code::ConfigType, format!("{place}: {name} is {found}, wanted {wanted}"))
        })?;
        file.values.insert(name.into_owned(), (values, line));
    }
    Ok(file)
}

fn plugin_tables(text: &str, place: &str, place_of: &dyn Fn(usize) -> String) -> Result<BTreeMap<String, PluginTable>> {
    #[derive(serde::Deserialize)]
    struct Plugins {
        plugins: BTreeMap<String, PluginTable>,
    }
    toml::from_str::<Plugins>(text).map(|tables| tables.plugins).map_err(|error| {
        let place = error.span().map_or_else(|| place.to_owned(), |span| place_of(span.start));
        Error::new(Code::ConfigInvalid, format!("{place}: {}", error.message())).hint(
            "a [plugins.NAME] table may have source, role, digest, memory, deadline, grant-dir, grant-env, grant-host, \
                 grant-collection, config",
        )
    })
}

/// A malformed reference is refused with its line, as every other mistake of the file.
fn location<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Location>, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(value)?;
    Location::parse(text).map(Some).map_err(serde::de::Error::custom)
}

fn bytes<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<usize>, D::Error> {
    units::bytes(&as_of_flag(value)?).map(Some).map_err(serde::de::Error::custom)
}

fn duration<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    units::duration(&as_of_flag(value)?).map(Some).map_err(serde::de::Error::custom)
}

/// A value as it would stand behind its flag: as everywhere in the file, a number is one as well.
fn as_of_flag<'de, D: serde::Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "wanted a text or a number")]
    enum Written {
        Text(String),
        Number(u64),
    }
    Ok(match <Written as serde::Deserialize>::deserialize(value)? {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    })
}

/// Names of a table's members with their lines, as they stand in the text.
fn names_in_order(value: &DeValue<'_>, line_of: impl Fn(usize) -> usize) -> Vec<(String, usize)> {
    let DeValue::Table(table) = value else { return Vec::new() };
    let mut names: Vec<(usize, String)> =
        table.iter().map(|(name, _)| (name.span().start, name.get_ref().to_string())).collect();
    names.sort();
    names.into_iter().map(|(at, name)| (name, line_of(at))).collect()
}

/// The values as flags would have them; an `Err` names the type found.
fn values(value: DeValue<'_>, is_switch: bool) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Boolean(value) if is_switch => Ok(if value { vec!["true".to_owned()] } else { Vec::new() }),
        _ if is_switch => Err("no truth value"),
        DeValue::String(text) => Ok(vec![text.into_owned()]),
        DeValue::Integer(number) => Ok(vec![number.as_str().replace('_', "")]),
        DeValue::Float(number) => Ok(vec![number.as_str().replace('_', "")]),
        DeValue::Array(list) => {
            let mut all = Vec::new();
            for value in list {
                all.extend(values(value.into_inner(), false)?);
            }
            Ok(all)
        }
        DeValue::Boolean(_) => Err("a truth value"),
        DeValue::Table(_) => Err("a table"),
        DeValue::Datetime(_) => Err("a date"),
    }
}

/// What a file may set: not the file itself, nor what asks for a text and no run.
fn settable(command: &Command) -> impl Iterator<Item = &clap::Arg> {
    command.get_arguments().filter(|arg| !matches!(arg.get_long(), Some("help" | "version" | "config")))
}

fn unknown(place: &str, name: &str, command: &Command) -> Error {
    let known = settable(command).filter_map(|arg| arg.get_long());
    let nearest = crate::model::nearest(name, known);
    let error = Error::new(Code::ConfigInvalid, format!("{place}: unknown key {name}"));
    match nearest {
        Some(nearest) => error.hint(format!("did you mean {nearest}? `atlas-host config show` lists all keys")),
        None => error.hint("`atlas-host config show` lists all keys"),
    }
}

/// The command line with the file's values added where neither a flag nor the environment gives one.
pub fn merged(arguments: Vec<OsString>, matches: &ArgMatches, file: &ConfigFile, command: &Command) -> Vec<OsString> {
    let mut all = arguments;
    for (key, (values, _)) in &file.values {
        let Some(arg) = command.get_arguments().find(|arg| arg.get_long() == Some(key)) else { continue };
        let given = matches.value_source(arg.get_id().as_str());
        if matches!(given, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let takes_values = arg.get_action().takes_values();
        all.extend(
            values.iter().map(|value| {
                OsString::from(if takes_values { format!("--{key}={value}") } else { format!("--{key}") })
            }),
        );
    }
    all
}

/// Where each value came from, in the order of the help. `matches` are those before the file was merged in.
pub fn origins(matches: &ArgMatches, file: &ConfigFile, command: &Command) -> Vec<Origin> {
    let visible = command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_long().is_some());
    visible
        .filter(|arg| !matches!(arg.get_long(), Some("help" | "version")))
        .map(|arg| {
            let id = arg.get_id().as_str();
            let key = arg.get_long().unwrap_or(id).to_owned();
            let raw = || -> Vec<String> {
                match matches.try_get_raw(id) {
                    Ok(Some(values)) => values.map(|value| value.to_string_lossy().into_owned()).collect(),
                    _ => Vec::new(),
                }
            };
            let in_file = file.values.get(&key);
            let (value, origin) = match (matches.value_source(id), in_file) {
                (Some(ValueSource::CommandLine), _) => (shown(arg, matches, raw()), "flag".to_owned()),
                (Some(ValueSource::EnvVariable), _) => {
                    let name = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    (shown(arg, matches, raw()), format!("environment {name}"))
                }
                (_, Some((values, line))) => {
                    let path = file.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
                    let off = values.is_empty() && !arg.get_action().takes_values();
                    (if off { vec!["false".to_owned()] } else { values.clone() }, format!("{path}:{line}"))
                }
                (Some(ValueSource::DefaultValue), None) if arg.get_action().takes_values() => {
                    (raw(), "default".to_owned())
                }
                _ => (Vec::new(), "not set".to_owned()),
            };
            let value =
                if SECRET.contains(&key.as_str()) { value.iter().map(|text| hidden(text)).collect() } else { value };
            Origin { key, value, origin }
        })
        .collect()
}

/// Settings whose values may be secret: they are neither shown nor kept in the history of runs.
const SECRET: [&str; 2] = ["plugin-config", "grant-env"];

/// The name alone of `NAME=VALUE`.
fn hidden(text: &str) -> String {
    text.split_once('=').map_or_else(|| text.to_owned(), |(name, _)| format!("{name}=(hidden)"))
}

/// Switches are on or off, however that was written.
fn shown(arg: &clap::Arg, matches: &ArgMatches, raw: Vec<String>) -> Vec<String> {
    match arg.get_action() {
        action if action.takes_values() => raw,
        ArgAction::SetTrue => vec![matches.get_flag(arg.get_id().as_str()).to_string()],
        _ => vec!["true".to_owned()],
    }
}
