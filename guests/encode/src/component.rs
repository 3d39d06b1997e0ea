//! Encoding a core module into a component, and holding it to the contract.

use crate::package::Package;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use wasm_encoder::{ComponentSection, CustomSection};
use wasm_metadata::{AddMetadata, AddMetadataField};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::Resolve;

/// Start of the names of everything that a guest may import or has to export.
const CONTRACT: &str = "atlas:batch/";

/// The component made of a core module that carries its world, as modules
/// built with wit-bindgen do. Name, version, description and licence of the
/// package are added as custom sections.
///
/// # Errors
/// The module does not fit the world it carries.
pub fn encode(module: &[u8], package: &Package) -> Result<Vec<u8>> {
    let bare = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .context("the core module does not make a component")?;
    let mut metadata = AddMetadata::default();
    metadata.name = AddMetadataField::Set(package.name.clone());
    let mut component = metadata.to_wasm(&bare).context("cannot name the component")?;
    for (name, text) in
        [("version", &package.version), ("description", &package.description), ("licenses", &package.license)]
    {
        if !text.is_empty() {
            let section = CustomSection { name: name.into(), data: text.as_bytes().into() };
            section.append_to_component(&mut component);
        }
    }
    Ok(component)
}

/// Check that the component exports operations or validators exactly as the
/// contract in `contract_dir` has them, and imports nothing beyond it.
///
/// # Errors
/// The first thing that does not fit, by name.
pub fn check(component: &[u8], contract_dir: &Path) -> Result<()> {
    let exports = borders(component)?;
    let has = |interface: &str| {
        let prefix = format!("{CONTRACT}{interface}@");
        exports.iter().any(|name| name.starts_with(&prefix))
    };
    let world = match (has("operation"), has("validator")) {
        (true, true) => "dual-plugin",
        (true, false) => "operation-plugin",
        (false, true) => "validator-plugin",
        (false, false) => bail!("exports {exports:?}, wanted an operation or a validator"),
    };
    let mut contract = Resolve::default();
    let (package, _) = contract
        .push_dir(contract_dir)
        .with_context(|| format!("cannot read the contract {}", contract_dir.display()))?;
    let world_id =
        contract.select_world(&[package], Some(world)).with_context(|| format!("the contract has no world {world}"))?;
    wit_component::targets(&contract, world_id, component).with_context(|| format!("does not fit the world {world}"))
}

/// The names a component exports, after a look at those it imports.
fn borders(component: &[u8]) -> Result<Vec<String>> {
    let decoded = wit_component::decode(component).context("not a component")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("a package of interfaces, wanted a component");
    };
    let world = &resolve.worlds[world];
    for import in world.imports.keys() {
        let name = resolve.name_world_key(import);
        ensure!(
            name.starts_with(CONTRACT),
            "imports {name}, wanted only {CONTRACT}*; hint: build for wasm32-unknown-unknown"
        );
    }
    Ok(world.exports.keys().map(|export| resolve.name_world_key(export)).collect())
}
