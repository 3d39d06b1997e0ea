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

/// Installs what `files` ask for into `place`, unless it holds just that already. `install` may change the files: installers
/// write down in them what they chose. Several processes may come here at once.
///
/// Errors: those of `install`; AUTHOR_11003 if `place` cannot be written.
pub(super) fn installed(place: &Path, files: &[PathBuf], install: impl FnOnce() -> Result<()>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Code::ToolFailed, format!("{} cannot be made: {error}", place.display()))
            .hint("make room there, or let the folder be writable")
    };
    fs::create_dir_all(place).map_err(failed)?;
    // Installers replace the folder, so what is locked stands beside it.
    let lock = File::create(beside(place, "lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    // Written last and into the folder: what was cut off, or deleted, is installed anew.
    let mark = place.join(".atlas-host");
    if fs::read_to_string(&mark).is_ok_and(|text| text == asked(files)) {
        return Ok(());
    }
    install()?;
    fs::write(&mark, asked(files)).map_err(failed)
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
            installed(&place, std::slice::from_ref(&file), || {
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
        let cut_off = installed(&folder.path().join("other"), &[], || Err(Error::new(Code::ToolFailed, "no")));
        assert!(cut_off.is_err());
        installed(&folder.path().join("other"), &[], || {
            times.set(0);
            Ok(())
        })
        .unwrap();
        assert_eq!(times.get(), 0, "it was cut off");
    }
}
