//! JavaScript: an engine of JavaScript with the plugin's modules in it, as a component. Two engines can be chosen: QuickJS is
//! small and starts fast, SpiderMonkey runs long calculations faster.

use std::path::Path;
use std::process::Command;

use super::language::{Language, Produced, Setting, Template};
use super::narrowed;
use super::packages;
use super::project::{Kind, Project};
use super::tools::{Program, Tool, Tools};
use crate::error::{Code, Error, Result};

/// The row of the table.
pub(super) const LANGUAGE: Language = Language {
    name: "javascript",
    title: "JavaScript",
    source: "src/plugin.js",
    needs: include_str!("templates/javascript/needs.md"),
    settings: &[Setting { key: "engine", values: &["quickjs", "spidermonkey"] }],
    packages: Some(PACKAGES),
    templates: &[
        Template { path: "package.json", text: include_str!("templates/javascript/package.json"), kind: None },
        Template {
            path: "src/plugin.js",
            text: include_str!("templates/javascript/operation.js"),
            kind: Some(Kind::Operation),
        },
        Template {
            path: "src/plugin.js",
            text: include_str!("templates/javascript/validator.js"),
            kind: Some(Kind::Validator),
        },
        Template { path: "src/plugin.js", text: include_str!("templates/javascript/both.js"), kind: Some(Kind::Both) },
    ],
    ignored: &["node_modules/", ".node_modules.lock"],
    build,
};

const INSTALL: &str = "see https://nodejs.org, wanted 20.19 or newer";
const NODE: Tool = Tool { name: "node", version: &["--version"], install: INSTALL };
const NPM: Tool = Tool { name: "npm", version: &["--version"], install: INSTALL };
/// With QuickJS.
const COMPONENTIZE_QJS: Tool = Tool {
    name: "componentize-qjs",
    version: &[],
    install: "npm install --save-dev --save-exact componentize-qjs@0.4.5",
};
/// With SpiderMonkey. The second package is one that it uses: its next version does not find files.
const JCO: Tool = Tool {
    name: "jco",
    version: &["--version"],
    install: "npm install --save-dev --save-exact @bytecodealliance/jco@1.35.0 @bytecodealliance/preview2-shim@0.26.0",
};

/// The module that exports what the contract asks for, in the project.
const ENTRY: &str = "src/plugin.js";
const PACKAGES: &str = "package.json";

fn build(project: &Project, tools: &Tools<'_>) -> Result<Produced> {
    tools.find(&NODE)?;
    let home = packages::home(project, PACKAGES)?;
    let modules = home.join("node_modules");
    let programs = modules.join(".bin");
    let tool = match project.setting("engine") {
        "spidermonkey" => JCO,
        _ => COMPONENTIZE_QJS,
    };
    let files = [PACKAGES, "package-lock.json"].map(|name| home.join(name));
    packages::installed(&modules, &files, &[programs.join(tool.name)], || {
        let npm = tools.find(&NPM)?;
        tools.say(&format!("npm installs what {} asks for.", home.join(PACKAGES).display()));
        let mut command = npm.command();
        // What an earlier project fetched is taken from npm's own cache, so that no network is needed for it.
        command.current_dir(&home).args(["install", "--prefer-offline"]);
        // The tools are wanted also where a user's settings are those of production, and here, not in a workspace above.
        command.args(["--include=dev", "--workspaces=false"]);
        command.args(["--no-audit", "--no-fund", "--no-progress", "--no-update-notifier"]);
        tools.run(&mut command).map(drop)
    })?;
    let folder = std::path::absolute(&project.folder).unwrap_or_else(|_| project.folder.clone());
    let out = folder.join("build/componentized.wasm");
    let contract = narrowed::contract(project, &["js", "mjs"], imports)?;
    let program = tools.find_in(&programs, &tool)?;
    let (program, mut command) = match project.setting("engine") {
        "spidermonkey" => spidermonkey(&contract, &folder, program),
        _ => quickjs(&contract, &folder, &home, with_version(&modules, program)),
    };
    let failed = |error: std::io::Error| {
        Error::new(Code::ToolFailed, format!("{} made no {}: {error}", program.name, out.display()))
    };
    std::fs::create_dir_all(project.build_folder()).map_err(failed)?;
    tools.run(command.arg(&out))?;
    let wasm = std::fs::read(&out).map_err(failed)?;
    // Of no use any more; the next build writes over it.
    let _ = std::fs::remove_file(&out);
    Ok(Produced { wasm, tools: vec![program.made()] })
}

/// Without the output's place, which is left to the caller.
fn quickjs(contract: &Path, folder: &Path, home: &Path, program: Program) -> (Program, Command) {
    let mut command = program.command();
    // Calls are synchronous in the contract. What the folder of packages holds can be imported.
    command.current_dir(home).arg("--sync").arg("--module-root").arg(home);
    command.arg("--wit").arg(contract).args(["--world", narrowed::WORLD]);
    command.arg("--js").arg(folder.join(ENTRY)).arg("--output");
    (program, command)
}

/// As [`quickjs`].
fn spidermonkey(contract: &Path, folder: &Path, program: Program) -> (Program, Command) {
    let mut command = program.command();
    // What is imported is put into one file; the host offers no HTTP.
    command.current_dir(folder).args(["componentize", ENTRY, "--bundle", "-d", "http", "-d", "fetch-event"]);
    command.arg("--wit").arg(contract).args(["--world-name", narrowed::WORLD, "--out"]);
    (program, command)
}

/// This program does not tell its version; its package does.
fn with_version(modules: &Path, program: Program) -> Program {
    let text = std::fs::read(modules.join(&program.name).join(PACKAGES)).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    Program { version: package["version"].as_str().unwrap_or_default().to_owned(), ..program }
}

/// True if the text of a module imports that interface.
fn imports(text: &str, interface: &str) -> bool {
    text.contains(&format!("\"atlas:batch/{interface}@")) || text.contains(&format!("'atlas:batch/{interface}@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_imports_is_what_its_world_needs() {
        let text =
            "import { write } from \"atlas:batch/log@0.1.0\";\nimport * as rows from 'atlas:batch/store@0.1.0';\n";
        let found = ["config", "context", "log", "store"].into_iter().filter(|interface| imports(text, interface));
        assert_eq!(found.collect::<Vec<_>>(), ["log", "store"]);
    }
}
