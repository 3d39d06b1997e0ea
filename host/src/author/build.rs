//! From a project to its component on disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::encode;
use super::project::Project;
use super::sources;
use super::stamp::{self, Sources};
use super::tools::Tools;
use crate::coordinator::Host;
use crate::error::{Code, Error, Result};
use crate::model::Digest;
use crate::plugin::{Plugin, Role};

/// A component that was built and fits the contract.
pub struct Built {
    /// Where it lies.
    pub path: PathBuf,
    /// The component, loaded and checked.
    pub plugin: Plugin,
}

/// Builds a project: its language's tools, then encoding and metadata, then the check against the world of its kind. The
/// component appears at `out`, whole, only if it fits.
///
/// Errors: AUTHOR_11002 and 11003 of the tools, GUEST_10011 to 10013 where the component is refused.
pub fn build(project: &Project, out: &Path, host: &Host, tools: &Tools<'_>) -> Result<Built> {
    let sources = Sources::of(project);
    let produced = (project.language.build)(project, tools)?;
    let component = encode::component(project, &produced)?;
    let plugin = host.load_plugin_bytes(component.into(), &out.display().to_string())?;
    for (wanted, role) in [(project.kind.operates(), Role::Operation), (project.kind.validates(), Role::Validator)] {
        if wanted {
            plugin.check(role)?;
        }
    }
    put(&plugin.bytes(), out).map_err(|error| {
        Error::new(Code::ProjectInvalid, format!("{} cannot be written: {error}", out.display()))
            .hint("check the folder, or name another file with -o")
    })?;
    if out == project.component() {
        stamp::note(project, &sources, &plugin.bytes());
    }
    Ok(Built { path: out.to_owned(), plugin })
}

/// The project's component, built first if it is not up to date.
///
/// Errors: as [`build`], and those of loading the component.
pub fn component(project: &Project, host: &Host, tools: &Tools<'_>) -> Result<Plugin> {
    let place = project.component();
    if stamp::is_fresh(project) {
        return host.load_plugin(&place);
    }
    tools.say(&format!("Building {}.", place.display()));
    Ok(build(project, &place, host, tools)?.plugin)
}

/// A digest over all sources of a project: another one if any of them changed. Where there are too many to read, it is over the
/// times at which they were saved.
pub fn sources_digest(project: &Project) -> Digest {
    let saved = || Digest::of(format!("{:?}", sources::saved(project)).as_bytes());
    Sources::of(project).digest().unwrap_or_else(saved)
}

/// Writes a file so that no reader ever sees a part of it.
fn put(bytes: &[u8], path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    fs::create_dir_all(&folder)?;
    let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(folder)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Whoever may read the folder may read a component in it; the user's mask still applies.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
