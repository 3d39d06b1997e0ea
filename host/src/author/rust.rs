//! Rust: cargo makes a core module, which brings the type of its component along.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::language::{Language, Produced, Template};
use super::project::{Kind, Project};
use super::tools::{Program, Tool, Tools, from_anywhere};
use crate::error::{Code, Error, Result};

/// The row of the table.
pub(super) const LANGUAGE: Language = Language {
    name: "rust",
    title: "Rust",
    source: "src/lib.rs",
    needs: include_str!("templates/rust/needs.md"),
    settings: &[],
    packages: None,
    templates: &[
        Template { path: "Cargo.toml", text: include_str!("templates/rust/Cargo.toml"), kind: None },
        // Without it each new project would ask the index for the newest versions, and could not be built without network.
        Template { path: LOCK, text: include_str!("templates/rust/Cargo.lock.txt"), kind: None },
        Template { path: "src/lib.rs", text: include_str!("templates/rust/operation.rs"), kind: Some(Kind::Operation) },
        Template { path: "src/lib.rs", text: include_str!("templates/rust/validator.rs"), kind: Some(Kind::Validator) },
        Template { path: "src/lib.rs", text: include_str!("templates/rust/both.rs"), kind: Some(Kind::Both) },
    ],
    ignored: &["/target/"],
    build,
};

/// The name of the file with the versions of a project's packages.
pub(super) const LOCK: &str = "Cargo.lock";

/// Its packages by name, as cargo has them: it would write the file anew if the project stood elsewhere.
pub(super) fn in_order(lock: &str) -> String {
    const PACKAGE: &str = "\n[[package]]\n";
    let mut parts = lock.trim_end().split(PACKAGE).map(str::trim_end);
    let head = parts.next().unwrap_or_default();
    let mut packages: Vec<&str> = parts.collect();
    packages.sort_unstable();
    let packages: String = packages.iter().map(|package| format!("{PACKAGE}{package}\n")).collect();
    format!("{head}\n{packages}")
}

const TARGET: &str = "wasm32-unknown-unknown";
const INSTALL: &str = "see https://rustup.rs, or on Debian: apt-get install cargo rustc-web rust-web-src";
const CARGO: Tool = Tool { name: "cargo", version: &["--version"], install: INSTALL };
const RUSTC: Tool = Tool { name: "rustc", version: &["--version"], install: INSTALL };
const RUSTUP: Tool = Tool { name: "rustup", version: &["--version"], install: INSTALL };

/// Debian's compiler and the sources of its standard library, for machines where rustup cannot fetch the target.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_INSTALL: &str = "apt-get install --no-install-recommends rustc-web rust-web-src";

fn build(project: &Project, tools: &Tools<'_>) -> Result<Produced> {
    let cargo = tools.find_for(&project.folder, &CARGO)?;
    let rustc = tools.find_for(&project.folder, &RUSTC)?;
    let target_folder = target_folder(project, tools);
    let command = || {
        let mut command = cargo.command();
        command.current_dir(&project.folder).env("CARGO_TARGET_DIR", &target_folder).env("CARGO_TERM_COLOR", "never");
        // Settings for builds of other programs are none of this one's.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command
    };
    let mut build = command();
    let compiler = compiler(&rustc, &project.folder, tools)?;
    compiler.prepare(&mut build);
    build.args(["build", "--release", "--target", TARGET]);
    // Projects of one name share the place of their module, too.
    let _until_read = locked(&target_folder)?;
    let module = target_folder.join(TARGET).join("release").join(format!("{}.wasm", project.identifier()));
    // Cargo tells such projects apart by the times of their sources alone, and would pass off the module of another one as
    // this one's. What there is nothing to clean of is told by the build.
    let _ = tools.run(command().args(["clean", "--release", "--target", TARGET, "--package", &project.name]));
    let _ = std::fs::remove_file(&module);
    tools.run(&mut build)?;
    let wasm = std::fs::read(&module).map_err(|error| {
        Error::new(Code::ToolFailed, format!("cargo made no {}: {error}", module.display()))
            .hint("Cargo.toml needs the same name as plugin.toml, and crate-type = [\"cdylib\"]")
    })?;
    // The compiler has noted itself in the module.
    Ok(Produced { wasm, tools: vec![cargo.made()] })
}

fn locked(folder: &Path) -> Result<File> {
    let held = std::fs::create_dir_all(folder).and_then(|()| {
        let file = File::create(folder.join("atlas-host.lock"))?;
        file.lock().map(|()| file)
    });
    held.map_err(|error| {
        Error::new(Code::ToolFailed, format!("{} cannot be used: {error}", folder.display()))
            .hint("name another folder in CARGO_TARGET_DIR")
    })
}

/// One folder for all projects, so that what they have in common (the bindings' generator, and the standard library where it
/// has to be built) is compiled once.
fn target_folder(project: &Project, tools: &Tools<'_>) -> PathBuf {
    from_anywhere(match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => tools.shared("rust").unwrap_or_else(|| project.build_folder().join("cargo")),
    })
}

/// How modules for the target are compiled here.
enum Compiler {
    /// The toolchain at hand has a standard library for it.
    AtHand,
    /// Debian's has its sources; it is built too, and linked by the toolchain at hand.
    Debian { rustc: Program, linker: PathBuf },
}

impl Compiler {
    fn prepare(&self, command: &mut Command) {
        let Compiler::Debian { rustc, linker } = self else { return };
        command.args(["-Zbuild-std=std,panic_abort"]);
        command.env("RUSTC", &rustc.path).env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-Clinker-flavor=wasm-ld");
    }
}

/// All is asked in the folder where cargo will be at work, which may have a toolchain of its own (`rust-toolchain.toml`).
fn compiler(rustc: &Program, folder: &Path, tools: &Tools<'_>) -> Result<Compiler> {
    if has_std(rustc, folder, tools)? {
        return Ok(Compiler::AtHand);
    }
    if let Ok(rustup) = tools.find_for(folder, &RUSTUP) {
        tools.say(&format!("rustup target add {TARGET}"));
        // Where it cannot, the next way is tried.
        let added = tools.run(rustup.command().args(["target", "add", TARGET]).current_dir(folder));
        if added.is_ok() && has_std(rustc, folder, tools)? {
            return Ok(Compiler::AtHand);
        }
    }
    let debian = Tool { name: "rustc", version: &["--version"], install: DEBIAN_INSTALL };
    let sources = sysroot(DEBIAN_RUSTC.as_ref(), folder, tools).map(|root| root.join("lib/rustlib/src/rust/library"));
    if !sources.is_ok_and(|sources| sources.is_dir()) {
        let message = format!("the Rust toolchain has no standard library for {TARGET}");
        return Err(Error::new(Code::ToolMissing, message).hint(format!(
            "install it: rustup target add {TARGET}; where that cannot fetch it, on Debian: {DEBIAN_INSTALL}"
        )));
    }
    let debian = tools.find_in(Path::new("/usr/bin"), &debian)?;
    let linker = linker(rustc, folder, tools)?;
    tools.say("Rust's standard library is built as well, which takes a minute or two the first time.");
    Ok(Compiler::Debian { rustc: debian, linker })
}

fn has_std(rustc: &Program, folder: &Path, tools: &Tools<'_>) -> Result<bool> {
    let asked = ["--print", "target-libdir", "--target", TARGET];
    let place = tools.run(rustc.command().args(asked).current_dir(folder))?;
    let Ok(entries) = std::fs::read_dir(place.trim()) else { return Ok(false) };
    Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

fn sysroot(rustc: &Path, folder: &Path, tools: &Tools<'_>) -> Result<PathBuf> {
    let place = tools.run(Command::new(rustc).args(["--print", "sysroot"]).current_dir(folder))?;
    Ok(PathBuf::from(place.trim()))
}

/// Debian's compiler brings no linker for Wasm; the toolchain at hand does.
fn linker(rustc: &Program, folder: &Path, tools: &Tools<'_>) -> Result<PathBuf> {
    let told = tools.run(rustc.command().arg("-vV").current_dir(folder))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let brought = sysroot(&rustc.path, folder, tools)?.join("lib/rustlib").join(host).join("bin/rust-lld");
    if brought.is_file() {
        return Ok(brought);
    }
    let wasm_ld = Tool { name: "wasm-ld", version: &["--version"], install: "apt-get install lld" };
    Ok(tools.find(&wasm_ld)?.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_stand_in_the_order_that_cargo_gives_them() {
        let template = include_str!("templates/rust/Cargo.lock.txt");
        for (name, after, before) in
            [("zz-last", "zmij", ""), ("my-plugin", "memchr", "prettyplease"), ("a", "", "anyhow")]
        {
            let lock = in_order(&template.replace("%NAME%", name));
            let names: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
            let place = names.iter().position(|found| found.trim_matches('"') == name).unwrap();
            assert_eq!(names.get(place.wrapping_sub(1)).map_or("", |found| found.trim_matches('"')), after);
            assert_eq!(names.get(place + 1).map_or("", |found| found.trim_matches('"')), before);
            assert_eq!(lock.lines().count(), template.lines().count());
            assert!(lock.starts_with("# This file") && lock.ends_with("]\n") || lock.ends_with("\"\n"), "{lock}");
        }
    }
}
