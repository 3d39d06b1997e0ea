//! From a project to its component on disk.

use std::fs::{self, File, TryLockError};
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
    let _alone = alone(project, tools);
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

/// Held while a project is built: what its tools make lies at fixed places in its build folder. The folder itself is locked, so
/// that no file is left in it; none where it cannot be made, or locks are not to be had.
fn alone(project: &Project, tools: &Tools<'_>) -> Option<File> {
    let folder = project.build_folder();
    let held = fs::create_dir_all(&folder).and_then(|()| File::open(&folder)).ok()?;
    let locked = held.try_lock().or_else(|error| match error {
        TryLockError::WouldBlock => {
            tools.say(&format!("Waiting for another build of {}.", project.name));
            held.lock()
        }
        TryLockError::Error(error) => Err(error),
    });
    locked.ok().map(|()| held)
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

#[cfg(test)]
mod tests {
    use super::super::language::{Language, Produced};
    use super::super::project::Kind;
    use super::super::rust;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;
    use crate::coordinator::HostOptions;

    /// Is somebody else kept from building?
    fn probe(project: &Project, _: &Tools<'_>) -> Result<Produced> {
        let other = File::open(project.build_folder()).unwrap();
        let kept = matches!(other.try_lock(), Err(TryLockError::WouldBlock));
        Err(Error::new(Code::ToolFailed, format!("the other is kept waiting: {kept}")))
    }

    static PROBE: Language = Language { build: probe, ..rust::LANGUAGE };

    #[test]
    fn one_build_of_a_project_waits_for_another() {
        let home = tempfile::tempdir().unwrap();
        scaffold(&Plan { name: "p".into(), language: &PROBE, kind: Kind::Both }, home.path()).unwrap();
        let mut project = Project::open(home.path()).unwrap();
        project.language = &PROBE;
        let host = Host::new(HostOptions::default()).unwrap();
        let tools = Tools::new(&|_| {}, None);
        let error = build(&project, &project.component(), &host, &tools).err().unwrap();
        assert!(error.to_string().contains("kept waiting: true"), "{error}");
        let folder = File::open(project.build_folder()).unwrap();
        folder.lock().unwrap();
        assert_eq!(fs::read_dir(project.build_folder()).unwrap().count(), 0, "nothing is left of it");

        let (asked, told) = std::sync::mpsc::channel();
        let project = &project;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let say = |text: &str| asked.send(text.to_owned()).unwrap();
                alone(project, &Tools::new(&say, None)).unwrap();
            });
            assert_eq!(told.recv().unwrap(), "Waiting for another build of p.");
            drop(folder);
        });
    }
}
