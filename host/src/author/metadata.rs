//! What a component says of itself: custom sections that `build` writes and `inspect` reads. They are shown and never relied on.

use std::collections::BTreeSet;

use serde::Serialize;
use wasm_encoder::{ComponentSection, CustomSection};
use wasm_metadata::{AddMetadata, AddMetadataField};
use wasmparser::{ComponentName, ComponentNameSectionReader, KnownCustom, Parser, Payload, ProducersSectionReader};

use super::project::Project;
use crate::limits;

/// What a component says of itself. Empty where it is silent.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Who made it.
    pub authors: Option<String>,
    /// SPDX expression of its licence.
    pub licenses: Option<String>,
    /// Where its sources are.
    pub source: Option<String>,
    /// Where more is said about it.
    pub homepage: Option<String>,
    /// Revision of its sources.
    pub revision: Option<String>,
    /// Languages it is written in, with versions where they are told.
    pub languages: Vec<String>,
    /// Tools and libraries that made it, with versions.
    pub tools: Vec<String>,
}

/// The component with the project's name, version and description and its tools added.
///
/// Errors: what cannot be read, in words.
pub(super) fn with(project: &Project, tools: &[(String, String)], component: &[u8]) -> Result<Vec<u8>, String> {
    let mut added = AddMetadata::default();
    added.name = AddMetadataField::Set(project.name.clone());
    added.language = vec![(project.language.title.to_owned(), String::new())];
    added.processed_by = tools.to_vec();
    added.processed_by.push((env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    let mut component = added.to_wasm(component).map_err(|error| format!("{error:#}"))?;
    for (name, text) in [("version", &project.version), ("description", &project.description)] {
        if !text.is_empty() {
            CustomSection { name: name.into(), data: text.as_bytes().into() }.append_to_component(&mut component);
        }
    }
    Ok(component)
}

/// What a component says of itself, its modules' languages and tools included. What cannot be read is left out.
pub fn metadata(component: &[u8]) -> Metadata {
    let mut metadata = Metadata::default();
    let (mut languages, mut tools) = (BTreeSet::new(), BTreeSet::new());
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::CustomSection(section)) => match section.as_known() {
                KnownCustom::Producers(producers) => made_by(producers, &mut languages, &mut tools),
                KnownCustom::ComponentName(names) if depth == 0 => metadata.name = name_in(names),
                KnownCustom::Unknown if depth == 0 => metadata.take(section.name(), section.data()),
                _ => {}
            },
            Ok(_) => {}
            Err(_) => break,
        }
    }
    metadata.languages = languages.into_iter().collect();
    metadata.tools = tools.into_iter().collect();
    metadata
}

impl Metadata {
    fn take(&mut self, section: &str, text: &[u8]) {
        let field = match section {
            "version" => &mut self.version,
            "description" => &mut self.description,
            "authors" => &mut self.authors,
            "licenses" => &mut self.licenses,
            "source" => &mut self.source,
            "homepage" => &mut self.homepage,
            "revision" => &mut self.revision,
            _ => return,
        };
        *field = Some(bounded(&String::from_utf8_lossy(text)));
    }
}

/// A component may say as much as it likes; more than this is not shown.
fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(limits::GUEST_TEXT_BYTES_MAX)].to_owned()
}

fn made_by(producers: ProducersSectionReader<'_>, languages: &mut BTreeSet<String>, tools: &mut BTreeSet<String>) {
    for field in producers.into_iter().flatten() {
        let kept = if field.name == "language" { &mut *languages } else { &mut *tools };
        let room = limits::PRODUCERS_MAX.saturating_sub(kept.len());
        let entries = field.values.into_iter().flatten().take(room);
        kept.extend(entries.map(|entry| bounded(format!("{} {}", entry.name, entry.version).trim_end())));
    }
}

fn name_in(names: ComponentNameSectionReader<'_>) -> Option<String> {
    names.into_iter().flatten().find_map(|part| match part {
        ComponentName::Component { name, .. } => Some(bounded(name)),
        _ => None,
    })
}
