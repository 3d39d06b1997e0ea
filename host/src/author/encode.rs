//! What a language's tools made becomes a component that says what it is.

use std::fmt::Display;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding};

use super::contract;
use super::language::Produced;
use super::metadata;
use super::project::Project;
use crate::error::{Code, Error, Result};

/// The component of a project, with name, version, description and tools in its metadata.
///
/// Errors: GUEST_10011 if the module does not make a component.
pub(super) fn component(project: &Project, produced: &Produced) -> Result<Vec<u8>> {
    let refused = |why: String| {
        Error::new(Code::PluginWorld, format!("{}: {why}", project.name))
            .hint("export exactly what the contract in `wit/` has, and import nothing beyond it but WASI")
    };
    let bare = if Parser::is_component(&produced.wasm) {
        produced.wasm.clone()
    } else if Parser::is_core_wasm(&produced.wasm) {
        encoded(project, &produced.wasm).map_err(|why| refused(format!("it makes no component: {why}")))?
    } else {
        return Err(refused("its tools made something that is no WebAssembly".to_owned()));
    };
    metadata::with(project, &produced.tools, &bare).map_err(|why| refused(format!("it cannot be described: {why}")))
}

fn encoded(project: &Project, module: &[u8]) -> Result<Vec<u8>, String> {
    let mut module = module.to_vec();
    if !says_its_world(&module).map_err(told)? {
        let (contract, world) = contract::resolve(project.kind).map_err(told)?;
        wit_component::embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).map_err(told)?;
    }
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).map_err(told)?;
    if imports_preview1(&module).map_err(told)? {
        let adapter = WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter).map_err(told)?;
    }
    encoder.encode().map_err(told)
}

/// An error of the encoder with its causes.
fn told(error: impl Display) -> String {
    format!("{error:#}")
}

/// True for modules that bring the type of their component along, as those made with wit-bindgen for Rust and C do.
fn says_its_world(module: &[u8]) -> wasmparser::Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload?
            && section.name().starts_with("component-type")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn imports_preview1(module: &[u8]) -> wasmparser::Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                if import?.module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
