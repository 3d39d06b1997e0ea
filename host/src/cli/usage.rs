//! What clap refuses, told in the form of our own errors: code, culprit, hint.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::layers::ConfigFile;
use crate::error::{Code, Error};

/// Help and version, which clap gives as errors; none if it is a refusal.
pub fn asked_for(error: &clap::Error) -> bool {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    matches!(error.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand)
}

/// A refusal of flags or environment.
pub fn refused(error: &clap::Error, arguments: &[OsString], root: &Command) -> Error {
    let (command, path) = addressed(arguments, root);
    let (message, tip) = told(error);
    let variable = variable(error, arguments, command);
    let hint = match (variable, tip) {
        (Some(variable), _) => format!("the value comes from the environment variable {variable}"),
        (None, Some(tip)) => tip,
        (None, None) => format!("see `{path} --help`"),
    };
    Error::new(Code::ConfigInvalid, message).hint(hint)
}

/// A refusal of a value in the configuration file, where flags and environment alone were right.
pub fn refused_in_file(error: &clap::Error, file: &ConfigFile) -> Error {
    let path = file.path.as_deref().unwrap_or(std::path::Path::new("atlas.toml")).display().to_string();
    let line = flag(error).and_then(|name| file.values.get(&name)).map(|(_, line)| format!(":{line}"));
    let (message, tip) = told(error);
    let hint = tip.unwrap_or_else(|| "mend the value in the file; `atlas-host config show` lists all keys".to_owned());
    Error::new(Code::ConfigInvalid, format!("{path}{}: {message}", line.unwrap_or_default())).hint(hint)
}

/// clap's text without its frame, and its tip.
fn told(error: &clap::Error) -> (String, Option<String>) {
    let text = error.render().to_string();
    let mut message = Vec::new();
    let mut tip = None;
    for line in text.lines() {
        if let Some(found) = line.trim_start().strip_prefix("tip: ") {
            tip.get_or_insert_with(|| found.to_owned());
        } else if !(line.is_empty() || line.starts_with("Usage: ") || line.starts_with("For more information")) {
            message.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    (message.join("\n"), tip)
}

/// Long name of the flag that an error is about.
fn flag(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = shown.strip_prefix("--")?.split([' ', '=']).next()?;
    Some(name.to_owned())
}

/// The environment variable that an invalid value came from; none if it stands on the command line.
fn variable(error: &clap::Error, arguments: &[OsString], command: &Command) -> Option<String> {
    let name = flag(error)?;
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(&name))?;
    let short = arg.get_short().map(|short| format!("-{short}"));
    let is_given = arguments.iter().any(|argument| {
        let text = argument.to_string_lossy();
        text.starts_with(&format!("--{name}")) || short.as_ref().is_some_and(|short| text.starts_with(short))
    });
    let variable = arg.get_env()?;
    (!is_given && std::env::var_os(variable).is_some()).then(|| variable.to_string_lossy().into_owned())
}

/// The subcommand that the arguments name, and how it is called.
fn addressed<'a>(arguments: &[OsString], root: &'a Command) -> (&'a Command, String) {
    let mut found = (root, root.get_name().to_owned());
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(sub) = found.0.find_subcommand(word) {
            found = (sub, format!("{} {word}", found.1));
        } else if !word.starts_with('-') {
            break;
        }
    }
    found
}
