//! Python: CPython with the plugin's modules in it, as a component.

use std::path::{Path, PathBuf};

use super::language::{Language, Produced, Template};
use super::narrowed;
use super::packages;
use super::project::{Kind, Project};
use super::tools::{Tool, Tools};
use crate::error::{Code, Error, Result};
use crate::model::Digest;

/// The row of the table.
pub(super) const LANGUAGE: Language = Language {
    name: "python",
    title: "Python",
    source: "src/plugin.py",
    needs: include_str!("templates/python/needs.md"),
    settings: &[],
    packages: Some(PACKAGES),
    templates: &[
        Template { path: PACKAGES, text: include_str!("templates/python/requirements.txt"), kind: None },
        Template {
            path: "src/plugin.py",
            text: include_str!("templates/python/operation.py"),
            kind: Some(Kind::Operation),
        },
        Template {
            path: "src/plugin.py",
            text: include_str!("templates/python/validator.py"),
            kind: Some(Kind::Validator),
        },
        Template { path: "src/plugin.py", text: include_str!("templates/python/both.py"), kind: Some(Kind::Both) },
    ],
    ignored: &["__pycache__/"],
    build,
};

const PYTHON: Tool = Tool {
    name: "python3",
    version: &["--version"],
    install: "see https://www.python.org, or on Debian: apt-get install python3 python3-venv",
};
const COMPONENTIZE_PY: Tool = Tool {
    name: "componentize-py",
    version: &["--version"],
    install: "write componentize-py==0.25.1 into requirements.txt",
};

const PACKAGES: &str = "requirements.txt";
/// The module that has what the contract asks for, in `src`.
const ENTRY: &str = "plugin";

fn build(project: &Project, tools: &Tools<'_>) -> Result<Produced> {
    let home = packages::home(project, PACKAGES)?;
    let environment = environment(&home, tools);
    let programs = environment.join("bin");
    // The programs of the environment are scripts for its interpreter.
    let wanted = ["python", COMPONENTIZE_PY.name].map(|name| programs.join(name));
    packages::installed(&environment, &[home.join(PACKAGES)], &wanted, || {
        let python = tools.find(&PYTHON)?;
        tools.say(&format!("pip installs what {} asks for.", home.join(PACKAGES).display()));
        tools.run(python.command().args(["-m", "venv", "--clear"]).arg(&environment))?;
        let pip = Tool { name: "pip", version: &[], install: PYTHON.install };
        let mut command = tools.find_in(&programs, &pip)?.command();
        // Where a user's settings want packages in his home, that is not meant for an environment.
        let quiet = ["--quiet", "--disable-pip-version-check", "--no-user"];
        command.current_dir(&home).arg("install").args(quiet).args(["-r", PACKAGES]);
        tools.run(&mut command).map(drop)
    })?;
    let program = tools.find_in(&programs, &COMPONENTIZE_PY)?;
    let folder = std::path::absolute(&project.folder).unwrap_or_else(|_| project.folder.clone());
    let out = folder.join("build/componentized.wasm");
    let mut command = program.command();
    // What it finds in this environment can be imported, and nothing of the one that the user may be in.
    command.current_dir(&folder).env("VIRTUAL_ENV", &environment).env_remove("PYTHONPATH");
    command.arg("--wit-path").arg(narrowed::contract(project, &["py"], imports)?);
    command.args(["--world", narrowed::WORLD, "--quiet", "componentize", ENTRY]);
    command.args(["--python-path", "src"]);
    if home != folder {
        command.arg("--python-path").arg(&home);
    }
    let failed = |error: std::io::Error| {
        Error::new(Code::ToolFailed, format!("{} made no {}: {error}", program.name, out.display()))
    };
    std::fs::create_dir_all(project.build_folder()).map_err(failed)?;
    tools.run(command.arg("--output").arg(&out))?;
    let wasm = std::fs::read(&out).map_err(failed)?;
    // Of no use any more; the next build writes over it.
    let _ = std::fs::remove_file(&out);
    Ok(Produced { wasm, tools: vec![program.made()] })
}

/// Where the packages are: in the host's cache, so that projects which ask for the same share them and the second one needs no
/// network; beside the list if it names what lies beside it, or another index.
fn environment(home: &Path, tools: &Tools<'_>) -> PathBuf {
    let own = home.join("build/python");
    let Ok(list) = std::fs::read_to_string(home.join(PACKAGES)) else { return own };
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.into_iter().any(|line| line.starts_with(['-', '.']) || line.contains(['/', '\\'])) {
        return own;
    }
    tools
        .shared("python")
        .map_or(own, |shared| shared.join(&Digest::of(list.as_bytes()).to_string()["blake3:".len()..][..16]))
}

/// True if the text of a module imports that interface: `from wit_world.imports import log, store`, over several lines, too,
/// `from wit_world.imports.log import …`, or `imports.log` where all of it was imported, whatever it is called there.
fn imports(text: &str, interface: &str) -> bool {
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let is_word = |text: &str| text.split(|c: char| !in_word(c)).any(|word| word == interface);
    let statement = |rest: &str| {
        let line = rest.lines().next().unwrap_or_default();
        let end = if line.contains('(') { rest.find(')').unwrap_or(rest.len()) } else { line.len() };
        is_word(&rest[..end])
    };
    let used = |name: &str| {
        let member = format!("{name}.{interface}");
        text.match_indices(&member)
            .any(|(at, _)| !text[..at].ends_with(in_word) && !text[at + member.len()..].starts_with(in_word))
    };
    text.match_indices("wit_world.imports").any(|(at, found)| statement(&text[at + found.len()..]))
        || text.contains("wit_world") && names_of_all(&text).into_iter().any(used)
}

/// What the module with all imports is called in a text: `import wit_world.imports as host`, `host = wit_world.imports`.
fn names_of_all(text: &str) -> Vec<&str> {
    let mut names = vec!["imports"];
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
        let renamed = line.split("imports as ").skip(1);
        names.extend(renamed.map(|rest| rest.trim_start().split(|c: char| !in_word(c)).next().unwrap_or_default()));
        if let Some((name, value)) = line.split_once('=')
            && value.trim().rsplit('.').next() == Some("imports")
        {
            names.extend(name.split(':').next().and_then(|name| name.trim().rsplit('.').next()));
        }
    }
    names
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_that_ask_for_the_same_share_an_environment() {
        let folder = tempfile::tempdir().unwrap();
        let place = |project: &str, list: &str| {
            let home = folder.path().join(project);
            std::fs::create_dir_all(&home).unwrap();
            std::fs::write(home.join(PACKAGES), list).unwrap();
            environment(&home, &Tools::new(&|_| {}, Some(folder.path().join("cache"))))
        };
        let one = place("one", "componentize-py==0.25.1\n# tools/\n");
        assert!(one.starts_with(folder.path().join("cache/python")), "{}", one.display());
        assert_eq!(place("two", "componentize-py==0.25.1\n# tools/\n"), one);
        assert_ne!(place("three", "componentize-py==0.25.0\n"), one);
        for own in ["./mine\n", "-e ../mine\n", "a @ mine/a.whl\n", "--index-url x\na\n"] {
            assert_eq!(place("four", own), folder.path().join("four/build/python"));
        }
    }

    #[test]
    fn what_a_module_imports_is_seen_however_it_is_written() {
        for (text, wanted) in [
            ("from wit_world.imports import log, store as rows\nconfig = 1\n", "log store"),
            ("from wit_world.imports import (\n    context,\n    log,\n)\nstore = 1\n", "context log"),
            ("from wit_world.imports.store import get\n", "store"),
            ("import wit_world.imports.config\n", "config"),
            ("from wit_world import imports\nimports.store.get(None, 'a')\n", "store"),
            ("from wit_world import exports, imports as host\nhost.store.get(None, 'a')\n", "store"),
            ("import wit_world.imports as host\n\ndef f():\n    host.config.get('a')\n", "config"),
            ("import wit_world\nself.host: object = wit_world.imports # all\nself.host.log.write(1)\n", "log"),
            ("from wit_world.imports import \\\n    context, \\\r\n    log\nstore = 1\n", "context log"),
            ("from wit_world import imports as h\nmesh.store.get()\nh.storehouse\nx.log()\nmyimports.config\n", ""),
            ("import logging\nfrom wit_world.imports.types import Item # imports.storehouse\nlog = 1\n", ""),
        ] {
            let found = ["config", "context", "log", "store"].into_iter().filter(|interface| imports(text, interface));
            assert_eq!(found.collect::<Vec<_>>().join(" "), wanted, "{text}");
        }
    }
}
