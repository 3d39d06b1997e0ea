//! C: clang or zig makes a core module of the sources and of bindings that are generated for every build.

use std::path::{Path, PathBuf};
use std::process::Command;

use wit_bindgen_core::Files;

use super::contract;
use super::language::{Language, Produced, Template};
use super::project::{Kind, Project};
use super::pypi::{self, Package};
use super::tools::{Program, Tool, Tools};
use crate::error::{Code, Error, Result};

/// The row of the table.
pub(super) const LANGUAGE: Language = Language {
    name: "c",
    title: "C",
    source: "src/plugin.c",
    needs: include_str!("templates/c/needs.md"),
    settings: &[],
    packages: None,
    templates: &[
        Template { path: "src/plugin.c", text: include_str!("templates/c/operation.c"), kind: Some(Kind::Operation) },
        Template { path: "src/plugin.c", text: include_str!("templates/c/validator.c"), kind: Some(Kind::Validator) },
        Template { path: "src/plugin.c", text: include_str!("templates/c/both.c"), kind: Some(Kind::Both) },
        Template { path: "src/contact.c", text: include_str!("templates/c/contact.c"), kind: None },
        Template { path: "src/contact.h", text: include_str!("templates/c/contact.h"), kind: None },
        Template { path: "src/json.c", text: include_str!("templates/c/json.c"), kind: None },
        Template { path: "src/json.h", text: include_str!("templates/c/json.h"), kind: None },
    ],
    ignored: &[],
    build,
};

const INSTALL: &str = "on Debian: apt-get install clang-19 lld-19 libclang-rt-19-dev-wasm32 wasi-libc; elsewhere python3, \
     for the package ziglang of PyPI";

/// Names under which clang is looked for, the plain one first.
const CLANGS: &[&str] = &["clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15"];
const ZIG: Tool = Tool { name: "zig", version: &["version"], install: INSTALL };
const PYTHON: Tool = Tool { name: "python3", version: &["--version"], install: INSTALL };
const ZIGLANG: Package = Package { name: "ziglang", version: "0.17.1" };

/// A reactor is a module without a `main`, which is called many times.
const FLAGS: &[&str] = &["-mexec-model=reactor", "-std=c11", "-O2", "-Wall", "-Wextra", "-Wl,--strip-debug"];

fn build(project: &Project, tools: &Tools<'_>) -> Result<Produced> {
    let bindings = bindings(project)?;
    let compiler = compiler(project, tools)?;
    // An absolute path like that of the bindings, since the compiler runs in the project's folder.
    let module = bindings.with_file_name(format!("{}.core.wasm", project.name));
    let mut command = compiler.command(&project.folder);
    command.args(FLAGS).arg("-I").arg(&bindings).args(sources(project)?);
    command.arg(bindings.join("plugin.c")).arg(bindings.join("plugin_component_type.o"));
    tools.run(command.arg("-o").arg(&module))?;
    let wasm = std::fs::read(&module).map_err(|error| {
        Error::new(Code::ToolFailed, format!("{} made no {}: {error}", compiler.program.name, module.display()))
    })?;
    Ok(Produced { wasm, tools: vec![compiler.program.made()] })
}

/// The contract as C, in the project's build folder, where editors find it: `plugin.h`, its implementation, and an object
/// that holds the type of the component. Made anew for every build, so that they never differ from the contract.
fn bindings(project: &Project) -> Result<PathBuf> {
    let broken = |why: String| Error::new(Code::Internal, format!("no bindings for C can be made: {why}"));
    let (mut contract, world) = contract::resolve(project.kind)?;
    // The same names in C whatever the world.
    let options = wit_bindgen_c::Opts { rename_world: Some("plugin".to_owned()), ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut contract, world, &mut files).map_err(|error| broken(format!("{error:#}")))?;
    let written = std::path::absolute(project.build_folder().join("bindings")).and_then(|folder| {
        std::fs::create_dir_all(&folder)?;
        files.iter().try_for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes))?;
        Ok(folder)
    });
    written.map_err(|error| {
        Error::new(Code::ProjectInvalid, format!("{} cannot be written: {error}", project.build_folder().display()))
            .hint("the folder of a project has to be writable")
    })
}

/// Every `src/*.c`, sorted.
fn sources(project: &Project) -> Result<Vec<PathBuf>> {
    let folder = project.folder.join("src");
    let names = std::fs::read_dir(&folder).map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> =
            names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "c")).collect();
        names.sort();
        names
    });
    match names {
        Ok(names) if !names.is_empty() => Ok(names.into_iter().map(|name| Path::new("src").join(name)).collect()),
        Ok(_) => Err(no_sources(&folder, "it has no file that ends in .c")),
        Err(error) => Err(no_sources(&folder, &error.to_string())),
    }
}

fn no_sources(folder: &Path, why: &str) -> Error {
    Error::new(Code::ProjectInvalid, format!("{} has no sources: {why}", folder.display()))
        .hint("the sources of a project in C are src/*.c")
}

/// A compiler that makes modules for WASI.
struct Compiler {
    program: Program,
    /// What comes before the flags.
    first: Vec<String>,
}

impl Compiler {
    fn command(&self, folder: &Path) -> Command {
        let mut command = self.program.command();
        command.current_dir(folder).args(&self.first);
        command
    }
}

/// The first clang that can link for WASI, else a zig that is installed, else zig out of a package.
fn compiler(project: &Project, tools: &Tools<'_>) -> Result<Compiler> {
    for name in CLANGS {
        let Ok(program) = tools.find(&Tool { name, version: &["--version"], install: INSTALL }) else { continue };
        let compiler = Compiler { program, first: vec!["--target=wasm32-wasi".to_owned()] };
        if links(&compiler, project, tools)? {
            return Ok(compiler);
        }
    }
    let zig = ["cc", "-target", "wasm32-wasi"].map(str::to_owned);
    if let Ok(program) = tools.find(&ZIG) {
        return Ok(Compiler { program, first: zig.into() });
    }
    let python = pypi::installed(&ZIGLANG, &PYTHON, project, tools).map_err(|error| match error.code() {
        Code::ToolMissing => Error::new(
            Code::ToolMissing,
            "no C compiler for WebAssembly: no clang with a linker and a \
             C library for wasm32-wasi, no zig, and no python3 to fetch one with",
        )
        .hint(format!("install one: {INSTALL}")),
        _ => error,
    })?;
    let first = ["-m", "ziglang"].map(str::to_owned).into_iter().chain(zig).collect();
    tools.say("zig builds its C library the first time, which takes a minute.");
    Ok(Compiler { program: pypi::program(&ZIGLANG, "zig", python), first })
}

/// Tried out, since a clang without linker, C library or builtins for this target is the rule.
fn links(compiler: &Compiler, project: &Project, tools: &Tools<'_>) -> Result<bool> {
    let folder = project.build_folder();
    let source = folder.join("probe.c");
    let probe = "#include <stdlib.h>\nlong double half(long double x) { return malloc(1) ? x / 2 : 0; }\n";
    std::fs::write(&source, probe).map_err(|error| {
        Error::new(Code::ProjectInvalid, format!("{} cannot be written: {error}", source.display()))
            .hint("the folder of a project has to be writable")
    })?;
    let mut command = compiler.command(&folder);
    command.args(FLAGS).args(["-Wl,--export=half", "probe.c", "-o", "probe.wasm"]);
    let links = tools.run(&mut command).is_ok();
    // What is left of a probe is harmless.
    let _ = std::fs::remove_file(&source).and(std::fs::remove_file(folder.join("probe.wasm")));
    Ok(links)
}
