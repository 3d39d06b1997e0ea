//! `encode CORE_DIR OUT_DIR NAME…`, with the output of `cargo metadata` on
//! standard input: makes `OUT_DIR/NAME.wasm`, a component, of each core module
//! `CORE_DIR/NAME.wasm`, and prints a line with name and size for each.
//!
//! A component is written only if it fits the contract. It appears under its
//! name at once and whole, since it is renamed into place.

mod component;
mod package;

use anyhow::{Context, Result, bail};
use package::Package;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [core_dir, out_dir, names @ ..] = arguments.as_slice() else {
        bail!("usage: encode CORE_DIR OUT_DIR NAME… < metadata.json");
    };
    let mut metadata = String::new();
    io::stdin().read_to_string(&mut metadata).context("cannot read standard input")?;
    let packages = package::parse(&metadata)?;

    for name in names {
        let package = packages
            .iter()
            .find(|package| package.name == *name)
            .with_context(|| format!("the workspace has no package named {name:?}"))?;
        let bytes = make(package, Path::new(core_dir)).with_context(|| format!("guest {name}"))?;
        put(&bytes, &Path::new(out_dir).join(format!("{name}.wasm")))?;
        println!("{name:<14} {:>7} bytes", bytes.len());
    }
    Ok(())
}

fn make(package: &Package, core_dir: &Path) -> Result<Vec<u8>> {
    let core = core_dir.join(format!("{}.wasm", package.name.replace('-', "_")));
    let module = fs::read(&core).with_context(|| format!("cannot read the module {}", core.display()))?;
    let component = component::encode(&module, package)?;
    component::check(&component, &package.contract_dir())?;
    Ok(component)
}

/// Write `bytes` to `path` so that no reader ever sees a part of them.
fn put(bytes: &[u8], path: &Path) -> Result<()> {
    let mut unfinished = PathBuf::from(path).into_os_string();
    unfinished.push(format!(".{}", process::id()));
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
