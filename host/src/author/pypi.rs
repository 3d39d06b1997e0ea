//! Compilers that travel as packages of PyPI: one version of each, in a virtual environment of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use super::project::Project;
use super::tools::{Program, Tool, Tools, from_anywhere};
use crate::error::{Code, Error, Result};

/// A package of PyPI that brings a compiler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Package {
    /// Name of the package.
    pub name: &'static str,
    /// The version that is installed.
    pub version: &'static str,
}

impl Package {
    fn label(&self) -> String {
        format!("{}=={}", self.name, self.version)
    }
}

/// The `python` of an environment that has the package; it is installed if it is not there yet. The environment is shared by
/// all projects where the host has a cache.
///
/// Errors: AUTHOR_11002 if `python` cannot be found, AUTHOR_11003 if the package cannot be installed.
pub(super) fn installed(package: &Package, python: &Tool, project: &Project, tools: &Tools<'_>) -> Result<PathBuf> {
    let home = tools.shared("pypi").unwrap_or_else(|| from_anywhere(project.build_folder().join("pypi")));
    let environment = home.join(format!("{}-{}", package.name, package.version));
    let there = environment.join("bin/python");
    // The mark is written last: an installation that was cut off is begun anew, and one whose interpreter has moved.
    let mark = environment.join("installed");
    let holds = || mark.is_file() && there.exists();
    let failed = |error: std::io::Error| {
        Error::new(Code::ToolFailed, format!("{} cannot be made: {error}", environment.display()))
            .hint("make room there, or name another folder in ATLAS_CACHE_DIR")
    };
    let python = if holds() { return Ok(there) } else { tools.find(python)? };
    std::fs::create_dir_all(&home).map_err(failed)?;
    let lock = File::create(home.join(format!("{}.lock", package.name))).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if holds() {
        return Ok(there);
    }
    tools.say(&format!("{} is fetched from PyPI, once, into {}", package.label(), environment.display()));
    tools.run(python.command().args(["-m", "venv", "--clear"]).arg(&environment))?;
    // Binaries alone: nothing of a package runs while it is installed, and nothing else comes along.
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        // Where a user's settings want packages in his home.
        "--no-user",
        "--no-deps",
        "--only-binary=:all:",
    ];
    tools.run(Command::new(&there).args(pip).arg(package.label()))?;
    File::create(&mark).map_err(failed)?;
    Ok(there)
}

/// A tool of an installed package as a program whose version is that of the package.
pub(super) fn program(package: &Package, tool: &str, path: PathBuf) -> Program {
    Program { path, name: tool.to_owned(), version: package.version.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::language::LANGUAGES;
    use super::super::project::Kind;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;

    #[test]
    fn an_environment_whose_interpreter_has_moved_is_none() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("p");
        scaffold(&Plan { name: "p".into(), language: &LANGUAGES[0], kind: Kind::Both }, &folder).unwrap();
        let project = Project::open(&folder).unwrap();
        let tools = Tools::new(&|_| {}, Some(home.path().join("cache")));
        let package = Package { name: "compiler", version: "1" };
        let python = Tool { name: "no-such-python-here", version: &[], install: "apt-get install it" };
        let environment = home.path().join("cache/pypi/compiler-1");
        std::fs::create_dir_all(environment.join("bin")).unwrap();
        File::create(environment.join("installed")).unwrap();
        std::os::unix::fs::symlink(home.path().join("python"), environment.join("bin/python")).unwrap();
        let error = installed(&package, &python, &project, &tools).unwrap_err();
        assert_eq!(error.code(), Code::ToolMissing, "it would be made anew");
        File::create(home.path().join("python")).unwrap();
        assert_eq!(installed(&package, &python, &project, &tools).unwrap(), environment.join("bin/python"));
    }
}
