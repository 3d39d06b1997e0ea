//! What a manifest says: the one layer that is a component, or why there is none. Pure.
//!
//! Source: the OCI image specification 1.1 for manifests and indexes; the media types are those of the CNCF TAG Runtime's
//! guidance for Wasm OCI artefacts, and of `wasm-to-oci`, which came before it.

use serde::Deserialize;

use crate::limits;
use crate::model::shortened;
use crate::plugin::reference::Sha256;

/// What a registry is asked for. Media types that are refused stand there too, so that the refusal can name what is there.
pub const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// What is wanted, for messages.
pub const WANTED: &str =
    "an image with one layer of application/wasm and the config type application/vnd.wasm.config.v0+json";

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
const OLD_CONFIG: &str = "application/vnd.wasm.config.v1+json";
const OLD_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";
/// The architecture of WebAssembly in an index.
const ARCHITECTURE: &str = "wasm";

/// A part of an image: what it is called by, and how many bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub digest: Sha256,
    pub size: u64,
}

/// Where a manifest leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    /// To the component.
    Layer(Part),
    /// To the manifest of the only image for WebAssembly of an index.
    Image(Part),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    artifact_type: Option<String>,
    platform: Option<Platform>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Platform {
    architecture: String,
    os: String,
}

/// Reads a manifest or an index.
///
/// Errors: what was found, as a fragment that follows "found".
pub fn read(bytes: &[u8]) -> Result<Leads, String> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| format!("no manifest ({})", shortened(&error.to_string(), limits::NAME_TOLD_BYTES_MAX)))?;
    if document.schema_version != Some(2) {
        let version = document.schema_version.map_or("none".to_owned(), |version| version.to_string());
        return Err(format!("a manifest of schema version {version}"));
    }
    // One document must not be an image to one reader and an index to another.
    match (document.layers, document.manifests) {
        (Some(layers), None) => image(document.config.as_ref(), &layers).map(Leads::Layer),
        (None, Some(images)) if document.config.is_none() => index(&images).map(Leads::Image),
        (None, None) => Err(match document.media_type {
            Some(kind) => format!("a manifest of {} without layers", quoted(&kind)),
            None => "a manifest without layers".to_owned(),
        }),
        _ => Err("a document that is both a manifest and an index".to_owned()),
    }
}

fn image(config: Option<&Descriptor>, layers: &[Descriptor]) -> Result<Part, String> {
    let config = config.map_or("", |config| &config.media_type);
    let [layer] = layers else {
        let kinds = layers.iter().map(|layer| quoted(&layer.media_type));
        return Err(format!("an image of {} layers{}", layers.len(), listed(kinds)));
    };
    match (config, layer.media_type.as_str()) {
        (CONFIG, LAYER) | (CONFIG | OLD_CONFIG, OLD_LAYER) => layer.part(),
        (config, layer) => {
            Err(format!("an image with a layer of {} and the config type {}", quoted(layer), quoted(config)))
        }
    }
}

/// Which image is for WebAssembly is told by its platform or its kind of artefact; the only one of an index need not tell.
fn index(images: &[Descriptor]) -> Result<Part, String> {
    let is_wasm = |image: &&Descriptor| {
        image.platform.as_ref().is_some_and(|platform| platform.architecture == ARCHITECTURE)
            || image.artifact_type.as_deref().is_some_and(|kind| kind == CONFIG)
    };
    let told: Vec<&Descriptor> = images.iter().filter(is_wasm).collect();
    match (told.as_slice(), images) {
        ([image], _) => image.part(),
        ([], [image]) if image.platform.is_none() => image.part(),
        _ => {
            let kinds = images.iter().map(|image| match (&image.platform, &image.artifact_type) {
                (Some(Platform { os, architecture }), _) => {
                    shortened(&format!("{os}/{architecture}"), limits::NAME_TOLD_BYTES_MAX)
                }
                (None, Some(kind)) => quoted(kind),
                (None, None) => quoted(&image.media_type),
            });
            Err(format!("an index of {} images, {} of them for WebAssembly{}", images.len(), told.len(), listed(kinds)))
        }
    }
}

impl Descriptor {
    fn part(&self) -> Result<Part, String> {
        let digest = Sha256::parse(&self.digest);
        let digest =
            digest.ok_or_else(|| format!("the digest {} where one of sha256 is wanted", quoted(&self.digest)))?;
        Ok(Part { digest, size: self.size })
    }
}

/// In brackets, the first ones only.
fn listed(kinds: impl ExactSizeIterator<Item = String>) -> String {
    let more = if kinds.len() > limits::NAMES_TOLD_MAX { ", …" } else { "" };
    let kinds: Vec<String> = kinds.take(limits::NAMES_TOLD_MAX).collect();
    if kinds.is_empty() { String::new() } else { format!(" ({}{more})", kinds.join(", ")) }
}

/// Text of a stranger, short and safe for a terminal.
fn quoted(text: &str) -> String {
    let short = &text[..text.floor_char_boundary(limits::NAME_TOLD_BYTES_MAX)];
    format!("{short:?}{}", if short.len() < text.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn descriptor(kind: &str, more: &str) -> String {
        format!(r#"{{"mediaType":"{kind}","digest":"sha256:{HEX}","size":7{more}}}"#)
    }

    fn image_of(config: &str, layers: &[&str]) -> String {
        let layers: Vec<String> = layers.iter().map(|kind| descriptor(kind, "")).collect();
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
            descriptor(config, ""),
            layers.join(",")
        )
    }

    fn index_of(images: &[&str]) -> String {
        let image = |more: &&str| descriptor("application/vnd.oci.image.manifest.v1+json", more);
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, images.iter().map(image).collect::<Vec<_>>().join(","))
    }

    fn part() -> Part {
        Part { digest: Sha256::parse(&format!("sha256:{HEX}")).unwrap(), size: 7 }
    }

    #[test]
    fn the_one_layer_of_a_wasm_image_is_found() {
        for (config, layer) in [(CONFIG, LAYER), (CONFIG, OLD_LAYER), (OLD_CONFIG, OLD_LAYER)] {
            assert_eq!(read(image_of(config, &[layer]).as_bytes()), Ok(Leads::Layer(part())), "{config} {layer}");
        }
    }

    #[test]
    fn an_index_leads_to_its_only_image_for_webassembly() {
        let wasm = r#","platform":{"architecture":"wasm","os":"wasip2"}"#;
        let kind = r#","artifactType":"application/vnd.wasm.config.v0+json""#;
        let linux = r#","platform":{"architecture":"amd64","os":"linux"}"#;
        for images in [&[wasm][..], &[linux, wasm], &[kind], &[linux, kind, linux], &[""]] {
            assert_eq!(read(index_of(images).as_bytes()), Ok(Leads::Image(part())), "{images:?}");
        }
        for (images, found) in [
            (&[][..], "an index of 0 images, 0 of them for WebAssembly"),
            (&[linux], "an index of 1 images, 0 of them for WebAssembly (linux/amd64)"),
            (&[wasm, wasm], "an index of 2 images, 2 of them for WebAssembly (wasip2/wasm, wasip2/wasm)"),
            (&["", ""], "an index of 2 images, 0 of them"),
        ] {
            let why = read(index_of(images).as_bytes()).unwrap_err();
            assert!(why.starts_with(found), "{why}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_what_it_is() {
        let container = "application/vnd.oci.image.config.v1+json";
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        let other_digest = image_of(CONFIG, &[LAYER]).replace("sha256:", "sha512:");
        let both = image_of(CONFIG, &[LAYER]).replacen('{', r#"{"manifests":[],"#, 1);
        let twice = image_of(CONFIG, &[LAYER]).replacen('{', r#"{"layers":[],"#, 1);
        for (text, found) in [
            (
                image_of(container, &[tar]),
                "a layer of \"application/vnd.oci.image.layer.v1.tar+gzip\" and the config type",
            ),
            (image_of(container, &[LAYER]), "the config type \"application/vnd.oci.image.config.v1+json\""),
            (image_of(OLD_CONFIG, &[LAYER]), "the config type \"application/vnd.wasm.config.v1+json\""),
            (image_of(CONFIG, &[]), "an image of 0 layers"),
            (image_of(CONFIG, &[LAYER, tar]), "an image of 2 layers (\"application/wasm\", "),
            (image_of(CONFIG, &[LAYER; 9]), "an image of 9 layers"),
            (image_of(CONFIG, &[LAYER]).replace("\"schemaVersion\":2", "\"schemaVersion\":1"), "schema version 1"),
            (r#"{"schemaVersion":2,"mediaType":"application/x"}"#.to_owned(), "of \"application/x\" without layers"),
            ("{}".to_owned(), "schema version none"),
            ("<html>".to_owned(), "no manifest ("),
            (String::new(), "no manifest ("),
            (other_digest, "the digest \"sha512:"),
            (both, "both a manifest and an index"),
            (twice, "no manifest (duplicate field `layers`"),
        ] {
            let why = read(text.as_bytes()).expect_err(&text);
            assert!(why.contains(found), "{text}: {why}");
        }
    }

    #[test]
    fn a_strangers_text_is_shown_short_and_safe() {
        let kind = format!("\u{1b}[31m{}", "é".repeat(500));
        let shown = quoted(&kind);
        assert!(shown.len() < 130 && !shown.contains('\u{1b}') && shown.ends_with('…'), "{shown}");
    }
}
