//! What is amiss with an image, a registry, or the way to it: refused by name, with nothing kept and nothing touched.

use std::collections::BTreeSet;

use super::pulling::redirect;
use super::registry::{Answer, CONFIG, INDEX, LAYER, MANIFEST, Registry, image, index};
use super::{Scene, kept};
use crate::swap::stamp;

/// `run` with this plugin is refused by this code, naming the reference and this; no store, no lock and no part of the image
/// are there afterwards.
#[track_caller]
fn refused(scene: &Scene, reference: &str, code: &str, why: &str) {
    let ran = scene.words(&format!("run --input in.ndjson --id id --plugin {reference}"));
    let ran = ran.exits(4).says(&format!("error[{code}]: ")).says(reference).says(why).says("\nhint: ");
    assert_eq!(ran.stdout, "");
    let left: BTreeSet<String> = std::fs::read_dir(scene.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "cache")
        .collect();
    assert_eq!(left, ["in.ndjson".to_owned()].into(), "files were made");
    assert_eq!(kept(&scene.folder), BTreeSet::new());
}

const HEX: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn bytes_that_are_not_what_their_digest_says_are_refused() {
    let scene = Scene::new();
    let pushed = scene.registry.push("tidy", "1", &stamp("v1"));
    let (tag, pinned) =
        (scene.registry.reference("tidy:1"), scene.registry.reference(&format!("tidy@{}", pushed.manifest)));
    let (by_tag, by_digest) = ("/v2/tidy/manifests/1".to_owned(), format!("/v2/tidy/manifests/{}", pushed.manifest));
    let blob = format!("/v2/tidy/blobs/{}", pushed.layer);
    let differs = |what: &str, wanted: &str| format!("the {what} that came has the digest sha256:") + "|" + wanted;
    let check = |reference: &str, texts: &str| {
        for text in texts.split('|') {
            refused(&scene, reference, "GUEST_10011", text);
        }
    };
    // Another image under the same digest, and a registry that tells another digest than it gives.
    let other = scene.registry.push("other", "1", &stamp("v2"));
    let text = image(CONFIG, &[(LAYER, &other.layer, stamp("v2").len() as u64)]);
    for path in [&by_digest, &by_tag] {
        scene.registry.edit(path, |answer| answer.body = text.clone().into_bytes());
    }
    check(&pinned, &differs("manifest", &pushed.manifest));
    check(&tag, &differs("manifest", &pushed.manifest));
    // Another component of the same size.
    scene.registry.push("tidy", "1", &stamp("v1"));
    scene.registry.edit(&blob, |answer| answer.body = stamp("v2"));
    check(&pinned, &differs("layer", &pushed.layer));
    check(&tag, &differs("layer", &pushed.layer));
}

#[test]
fn what_is_cut_short_or_too_long_is_refused() {
    let scene = Scene::new();
    let component = stamp("v1");
    let size = component.len();
    let pushed = scene.registry.push("tidy", "1", &component);
    let tag = scene.registry.reference("tidy:1");
    let (manifest, blob) = ("/v2/tidy/manifests/1", format!("/v2/tidy/blobs/{}", pushed.layer));
    let half = component[..size / 2].to_vec();
    for (answer, why) in [
        (
            Answer { body: half.clone(), told: Some(size), ..Answer::default() },
            format!("the layer ends after {} bytes", size / 2),
        ),
        (Answer { body: half.clone(), ..Answer::default() }, format!("has {} bytes, wanted are {size}", size / 2)),
        (
            Answer { body: half, told: Some(0), ..Answer::default() },
            format!("has {} bytes, wanted are {size}", size / 2),
        ),
        (
            Answer { body: vec![0; size + 1], ..Answer::default() },
            format!("has {} bytes, wanted are {size} at the most", size + 1),
        ),
        (Answer { body: vec![0; size + 1], told: Some(0), ..Answer::default() }, format!("has more than {size} bytes")),
        (Answer { told: Some(usize::MAX / 4), ..Answer::default() }, format!("wanted are {size} at the most")),
    ] {
        scene.registry.answers(&blob, Answer { status: 200, ..answer });
        refused(&scene, &tag, "GUEST_10011", &why);
    }
    let bound = 4 << 20;
    for told in [None, Some(0)] {
        scene
            .registry
            .answers(manifest, Answer { status: 200, body: vec![b' '; bound + 1], told, ..Answer::default() });
        refused(&scene, &tag, "GUEST_10011", &format!("wanted are {bound} at the most"));
    }
    let huge = image(CONFIG, &[(LAYER, &pushed.layer, (64 << 20) + 1)]);
    scene.registry.manifest("tidy", "1", MANIFEST, &huge);
    scene.registry.asked();
    refused(&scene, &tag, "GUEST_10013", "has 67108865 bytes, the bound is 67108864");
    assert_eq!(scene.registry.asked(), [manifest], "it is not even asked for");
    let inner = index(&[(HEX, bound + 1, "")]);
    scene.registry.manifest("tidy", "1", INDEX, &inner);
    refused(&scene, &tag, "GUEST_10011", "its manifest has 4194305 bytes, the bound is 4194304");
}

#[test]
fn what_is_no_plugin_is_refused_as_what_it_is() {
    let scene = Scene::new();
    let tag = scene.registry.reference("tidy:1");
    let wanted = "wanted an image with one layer of application/wasm";
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let container = image("application/vnd.oci.image.config.v1+json", &[(tar, HEX, 9)]);
    let linux = r#","platform":{"architecture":"amd64","os":"linux"}"#;
    let inner = index(&[(HEX, 9, "")]);
    let digest = scene.registry.manifest("tidy", "inner", INDEX, &inner);
    for (kind, text, found) in [
        (MANIFEST, container, "found an image with a layer of \"application/vnd.oci.image.layer.v1.tar+gzip\""),
        (MANIFEST, image(CONFIG, &[(LAYER, HEX, 9), (LAYER, HEX, 9)]), "found an image of 2 layers"),
        (MANIFEST, "<html></html>".to_owned(), "found no manifest ("),
        (
            INDEX,
            index(&[(HEX, 9, linux), (HEX, 9, linux)]),
            "found an index of 2 images, 0 of them for WebAssembly (linux/amd64, ",
        ),
        (INDEX, index(&[(&digest, inner.len(), "")]), "found an index within an index"),
    ] {
        scene.registry.manifest("tidy", "1", kind, &text);
        refused(&scene, &tag, "GUEST_10011", found);
        refused(&scene, &tag, "GUEST_10011", wanted);
    }
    // An image that says it is a component, and holds something else.
    for (bytes, found) in [
        (&b"\0asm\x01\0\0\0"[..], "found a core module, wanted a component"),
        (b"hello", "found no WebAssembly at all"),
        (b"", "found an empty file"),
    ] {
        scene.registry.push("tidy", "1", bytes);
        refused(&scene, &tag, "GUEST_10011", found);
    }
}

#[test]
fn what_a_registry_does_not_give_is_told_with_what_to_do() {
    let scene = Scene::new();
    let pushed = scene.registry.push("tidy", "1", &stamp("v1"));
    let tag = scene.registry.reference("tidy:1");
    let (manifest, blob) = ("/v2/tidy/manifests/1", format!("/v2/tidy/blobs/{}", pushed.layer));
    refused(
        &scene,
        &scene.registry.reference("tidy:2"),
        "GUEST_10011",
        "answers 404 to the request for its manifest: MANIFEST_UNKNOWN",
    );
    refused(&scene, &scene.registry.reference(&format!("tidy@{HEX}")), "GUEST_10011", "hint: check the repository");
    let status = |status: u16| Answer { status, ..Answer::default() };
    for (path, answer, why) in [
        (blob.as_str(), status(404), "answers 404 to the request for its layer"),
        (&blob, status(429), "too many requests"),
        (&blob, status(503), "try again later"),
        (&blob, status(206), "answers 206"),
        (&blob, status(403), "without credentials (status 403)"),
        (manifest, status(401), "without credentials (status 401)"),
        (manifest, redirect(307, manifest), "the manifest is more than 5 redirects away"),
        (
            manifest,
            redirect(307, "http://registry.example/x"),
            "leads to http://registry.example/x, which is not taken",
        ),
        (manifest, redirect(307, "//registry.example/x"), "redirects to no URL"),
        (manifest, redirect(307, "x"), "redirects to no URL"),
        (manifest, status(302), "redirects to no URL"),
    ] {
        scene.registry.answers(path, answer);
        refused(&scene, &tag, "GUEST_10011", why);
    }
}

#[test]
fn a_token_that_cannot_be_had_or_does_not_help_is_told() {
    let scene = Scene::new();
    scene.registry.push("tidy", "1", &stamp("v1"));
    let tag = scene.registry.reference("tidy:1");
    scene.registry.wants_token("secret");
    let body = |text: &str| Answer { status: 200, body: text.into(), ..Answer::default() };
    for (answer, why) in [
        (Answer { status: 401, ..Answer::default() }, "without credentials (status 401)"),
        (Answer { status: 500, ..Answer::default() }, "answers 500 to the request for its token"),
        (body("{}"), "/token gives no token"),
        (body("{\"token\":\"a\\nb\"}"), "/token gives no token"),
        (body(&" ".repeat((64 << 10) + 1)), "the token that came has"),
        (body("{\"access_token\":\"wrong\"}"), "without credentials (status 401)"),
    ] {
        scene.registry.answers("/token", answer);
        refused(&scene, &tag, "GUEST_10011", why);
    }
    scene.registry.asked();
    refused(&scene, &tag, "GUEST_10011", "hint: images are pulled anonymously");
    assert_eq!(scene.registry.asked().len(), 3, "it is tried once with the token");
}

#[test]
fn a_registry_that_is_not_there_is_told_and_nothing_is_touched() {
    let scene = Scene::new();
    let gone = Registry::start();
    let reference = gone.reference("tidy:1");
    let address = gone.address();
    drop(gone);
    refused(&scene, &reference, "GUEST_10011", &format!("http://{address}/v2/tidy/manifests/1 gives no answer"));
    refused(&scene, &reference, "GUEST_10011", "hint: check that the registry is up");
    assert_eq!(scene.folder.read("in.ndjson"), super::ITEMS);
}

#[test]
fn where_https_is_wanted_nothing_is_sent_in_the_clear() {
    let scene = Scene::new();
    let plain = Registry::start();
    scene.registry.push("tidy", "1", &stamp("v1"));
    scene.registry.answers("/v2/tidy/manifests/1", redirect(307, &format!("https://{}/secret", plain.address())));
    refused(&scene, &scene.registry.reference("tidy:1"), "GUEST_10011", "/secret gives no answer");
    assert_eq!(plain.asked(), Vec::<String>::new());
    // A record of TLS that holds a handshake.
    assert_eq!(plain.other().first(), Some(&0x16));
}

#[test]
fn a_malformed_reference_is_refused_before_anything_is_asked() {
    let scene = Scene::new();
    for name in ["Tidy", "tidy:", "tidy@sha256:0", ""] {
        let reference = scene.registry.reference(name);
        for line in [
            format!("run --input in.ndjson --plugin {reference}"),
            format!("validate --input in.ndjson --validator rules={reference}"),
            format!("inspect {reference}"),
            format!("plugins swap tidy {reference}"),
            format!("plugins lock {reference}"),
        ] {
            scene
                .words(&line)
                .exits(2)
                .says("error[CONFIG_3001]: ")
                .says("is no reference to an image")
                .says("hint: write oci://");
        }
    }
    assert_eq!(scene.registry.asked(), Vec::<String>::new());
}
