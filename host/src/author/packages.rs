//! Packages that a project asks for in a file of its language, installed beside that file by the language's own installer.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::project::Project;
use crate::error::{Code, Error, Result};
use crate::model::Digest;

/// The folder whose file `name` says what a project needs: its own, or the nearest one above it, which projects share.
///
/// Errors: AUTHOR_11001 if there is none.
pub(super) fn home(project: &Project, name: &str) -> Result<PathBuf> {
    let folder = std::path::absolute(&project.folder).map_err(|error| {
        Error::new(Code::ProjectInvalid, format!("{} cannot be found: {error}", project.folder.display()))
            .hint("name the folder of a plugin project")
    })?;
    let home = folder.ancestors().find(|place| place.join(name).is_file());
    home.map(Path::to_owned).ok_or_else(|| {
        Error::new(Code::ProjectInvalid, format!("{} has no {name}, and no folder above it has", folder.display()))
            .hint("take the one that `atlas-host new` makes for this language")
    })
}

/// Installs what `files` ask for into `place`, unless it holds just that already, and the programs for which it is wanted are
/// there. `install` may change the files: installers write down in them what they chose. Several processes may come here at
/// once.
///
/// Errors: those of `install`; AUTHOR_11003 if `place` cannot be written.
pub(super) fn installed(
    place: &Path,
    files: &[PathBuf],
    programs: &[PathBuf],
    install: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // Written last and into the folder: what was cut off, or deleted, is installed anew.
    let mark = place.join(".atlas-host");
    // An interpreter may have gone from where a link leads, and an installer may have left out what was asked for.
    let complete = || programs.iter().all(|program| program.exists());
    let holds = || complete() && fs::read_to_string(&mark).is_ok_and(|text| text == asked(files));
    // Nothing is written then: it may be a cache that can only be read.
    if holds() {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Error::new(Code::ToolFailed, format!("{} cannot be made: {error}", place.display()))
            .hint("make room there, or let the folder be writable")
    };
    fs::create_dir_all(place).map_err(failed)?;
    // Installers replace the folder, so what is locked stands beside it.
    let lock = File::create(beside(place, "lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if holds() {
        return Ok(());
    }
    // It may be that of a folder from which programs have gone.
    let _ = fs::remove_file(&mark);
    install()?;
    match complete() {
        true => fs::write(&mark, asked(files)).map_err(failed),
        // Whoever looks for the program tells that it is missing.
        false => Ok(()),
    }
}

fn beside(place: &Path, ending: &str) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}.{ending}"))
}

/// The files by their content; one that is not there counts, too.
fn asked(files: &[PathBuf]) -> String {
    let digest = |file: &PathBuf| match fs::read(file) {
        Ok(bytes) => format!("{}\n", Digest::of(&bytes)),
        Err(_) => "none\n".to_owned(),
    };
    files.iter().map(digest).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::language::LANGUAGES;
    use super::super::project::Kind;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;

    #[test]
    fn what_projects_share_stands_above_them() {
        let home_folder = tempfile::tempdir().unwrap();
        let folder = home_folder.path().join("deep/project");
        let plan = Plan { name: "p".into(), language: &LANGUAGES[0], kind: Kind::Both };
        scaffold(&plan, &folder).unwrap();
        let project = Project::open(&folder).unwrap();
        let error = home(&project, "wanted-here.txt").unwrap_err();
        assert_eq!(error.code(), Code::ProjectInvalid);
        fs::write(home_folder.path().join("wanted-here.txt"), "").unwrap();
        assert_eq!(home(&project, "wanted-here.txt").unwrap(), home_folder.path());
        fs::write(folder.join("wanted-here.txt"), "").unwrap();
        assert_eq!(home(&project, "wanted-here.txt").unwrap(), folder);
    }

    #[test]
    fn packages_are_installed_once_until_something_else_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (place, file) = (folder.path().join("packages"), folder.path().join("wanted.txt"));
        let times = Cell::new(0);
        let install = || {
            installed(&place, std::slice::from_ref(&file), &[], || {
                times.set(times.get() + 1);
                Ok(())
            })
        };
        fs::write(&file, "a 1").unwrap();
        install().unwrap();
        install().unwrap();
        assert_eq!(times.get(), 1);
        fs::write(&file, "a 2").unwrap();
        install().unwrap();
        assert_eq!(times.get(), 2);
        fs::remove_dir_all(&place).unwrap();
        install().unwrap();
        assert_eq!(times.get(), 3, "it was deleted");
        let cut_off = installed(&folder.path().join("other"), &[], &[], || Err(Error::new(Code::ToolFailed, "no")));
        assert!(cut_off.is_err());
        installed(&folder.path().join("other"), &[], &[], || {
            times.set(0);
            Ok(())
        })
        .unwrap();
        assert_eq!(times.get(), 0, "it was cut off");
    }

    #[test]
    fn packages_without_the_program_that_is_wanted_are_installed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("packages");
        let (python, moved) = (folder.path().join("python3"), folder.path().join("python4"));
        let times = Cell::new(0);
        let install = |leads_to: Option<&Path>| {
            installed(&place, &[], &[place.join("python")], || {
                times.set(times.get() + 1);
                let _ = fs::remove_file(place.join("python"));
                leads_to.map_or(Ok(()), |to| std::os::unix::fs::symlink(to, place.join("python"))).unwrap();
                Ok(())
            })
            .unwrap();
            times.get()
        };
        fs::write(&python, "").unwrap();
        assert_eq!(install(None), 1);
        assert_eq!(install(Some(&python)), 2, "the installer had left it out");
        assert_eq!(install(Some(&python)), 2);
        fs::rename(&python, &moved).unwrap();
        assert_eq!(install(Some(&moved)), 3, "the interpreter has moved");
        assert_eq!(install(Some(&moved)), 3);
    }

    #[test]
    fn packages_that_are_complete_are_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("packages");
        installed(&place, &[], &[], || Ok(())).unwrap();
        // Where the lock was, nothing can be opened any more.
        fs::remove_file(folder.path().join(".packages.lock")).unwrap();
        fs::create_dir(folder.path().join(".packages.lock")).unwrap();
        installed(&place, &[], &[], || panic!("it is there")).unwrap();
    }
}
