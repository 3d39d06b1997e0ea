//! What is pulled, and from where.

use std::os::unix::fs::PermissionsExt;

use super::registry::{Answer, CONFIG, INDEX, LAYER, MANIFEST, Registry, image, index};
use super::{ITEMS, Scene, kept, stamped, words};
use crate::swap::stamp;

#[test]
fn a_plugin_comes_by_its_digest_and_the_second_time_from_the_cache() {
    let scene = Scene::new();
    let pushed = scene.registry.push("acme/tidy", "1", &stamp("v1"));
    let reference = scene.registry.reference(&format!("acme/tidy@{}", pushed.manifest));
    scene.run(&reference).exits(0);
    let (manifest, blob) =
        (format!("/v2/acme/tidy/manifests/{}", pushed.manifest), format!("/v2/acme/tidy/blobs/{}", pushed.layer));
    assert_eq!(scene.registry.asked(), [manifest, blob]);
    assert_eq!(stamped(&scene.folder), "v1");
    assert!(!scene.folder.at("atlas.lock").exists(), "a digest needs no lock");
    let (manifest, layer) = (pushed.manifest.replace(':', "-"), pushed.layer.replace(':', "-"));
    assert_eq!(kept(&scene.folder), [format!("{manifest}.json"), format!("{layer}.wasm")].into());
    let mode = |name: &str| std::fs::metadata(scene.folder.at(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("cache/oci"), mode(&format!("cache/oci/{layer}.wasm"))), (0o700, 0o600));

    scene.run(&reference).exits(0);
    assert_eq!(scene.registry.asked(), Vec::<String>::new());
    let folder = scene.offline();
    folder.write("more.ndjson", ITEMS.replace("\"a\"", "\"c\""));
    words(&folder, &format!("run -q --input more.ndjson --id id --plugin {reference}")).exits(0);
}

#[test]
fn the_reference_stands_wherever_a_file_would() {
    let scene = Scene::new();
    let pushed = scene.registry.push("acme/ticket-tidy", "1", &stamp("v1"));
    let tagged = scene.registry.reference("acme/ticket-tidy:1");
    let pinned = format!("{tagged}@{}", pushed.manifest);
    let ran = scene.words(&format!("run --input in.ndjson --id id --plugin {tagged}")).exits(0);
    ran.says(&format!("{tagged} is locked at {}, in atlas.lock.", pushed.manifest));
    let kept = &scene.words("plugins list --output json").exits(0).json_lines()[0];
    assert_eq!((kept["name"].as_str(), kept["slots"][0].as_str()), (Some(pinned.as_str()), Some("ticket_tidy")));
    assert!(scene.words("plugins list").exits(0).stdout.contains(&pinned));
    for line in ["why a", "runs show", "runs show --output json", "why a --output json"] {
        let shown = scene.words(line).exits(0).stdout;
        assert!(shown.contains(&pinned), "{line}:\n{shown}");
    }
    // A reference with a tag is shown by the digest that the tag was taken for, one with a digest as it is.
    let by_digest = scene.registry.reference(&format!("acme/ticket-tidy@{}", pushed.manifest));
    for (reference, shown) in [(&tagged, &pinned), (&by_digest, &by_digest)] {
        let inspected = scene.words(&format!("inspect {reference} --output json")).exits(0).json();
        assert_eq!(inspected["file"].as_str(), Some(shown.as_str()));
        assert_eq!(inspected["slots"][0]["name"], "ticket_tidy");
        assert!(scene.words(&format!("inspect {reference}")).exits(0).stdout.starts_with(shown));
    }
    let ran = scene.words(&format!("validate --input in.ndjson --id id --plugin x={tagged}")).exits(0);
    assert!(ran.stdout.contains(&format!("x = {pinned} (")), "{}", ran.stdout);
}

#[test]
fn every_command_that_takes_a_plugin_takes_a_reference() {
    let scene = Scene::new();
    scene.registry.push("work", "keep", &stamp("v1"));
    scene.registry.push("work", "refuse", &stamp("v2 refuse@2"));
    scene.registry.push("work", "reject", &stamp("v3 reject@2"));
    let at = |tag: &str| scene.registry.reference(&format!("work:{tag}"));
    scene.run(&format!("work={}", at("reject"))).exits(3);
    scene.words(&format!("dead-letters retry -q --plugin work={}", at("keep"))).exits(0);
    assert_eq!(stamped(&scene.folder), "v3,v1");
    let ran = scene.words(&format!("revalidate -q --validator rules={}", at("refuse"))).exits(3);
    assert!(ran.stdout.contains("STAMP_NO"), "{}", ran.stdout);
    scene.folder.write(
        "cases.json",
        r#"{"cases":[{"name":"it stamps","items":[{"id":"a","body":{},"outcome":{"replace":{"by":"v1"}}}]}]}"#,
    );
    let ran = scene.words(&format!("test --plugin {} --fixtures cases.json --output json", at("keep"))).exits(0);
    assert!(ran.json()["plugin"].as_str().is_some_and(|name| name.starts_with(&format!("{}@sha256:", at("keep")))));
}

#[test]
fn a_configuration_names_images_and_has_its_lock_beside_it() {
    let scene = Scene::new();
    let pushed = scene.registry.push("acme/tidy", "1", &stamp("v1"));
    let source = scene.registry.reference("acme/tidy:1");
    std::fs::create_dir(scene.folder.at("jobs")).expect("a folder");
    let table = format!("[plugins.work]\nsource = \"{source}\"\nrole = \"operation\"\n");
    scene.folder.write("jobs/tickets.toml", &table);
    scene.words("run -q --config jobs/tickets.toml --input in.ndjson --id id").exits(0);
    assert_eq!(stamped(&scene.folder), "v1");
    assert!(scene.folder.read("jobs/atlas.lock").contains(&pushed.manifest) && !scene.folder.at("atlas.lock").exists());
    let listed = scene.words("plugins lock --config jobs/tickets.toml --output json").exits(0).json();
    assert_eq!(listed["reference"].as_str(), Some(source.as_str()));
    let shown = scene.words("config show --config jobs/tickets.toml").exits(0).stdout;
    assert!(shown.contains(&format!("plugin work: source {source}")), "{shown}");
    let inspected = scene.words(&format!("inspect --config jobs/tickets.toml {source} --output json")).exits(0).json();
    assert_eq!(
        (inspected["slots"][0]["name"].as_str(), &inspected["slots"][0]["configured"]),
        (Some("work"), &true.into())
    );
    scene.folder.write("jobs/tickets.toml", table.replace("/tidy:1", "/Tidy:1"));
    scene
        .words("run --config jobs/tickets.toml --input in.ndjson")
        .exits(2)
        .says("error[CONFIG_3001]: jobs/tickets.toml:2: ")
        .says("is no reference to an image");
}

#[test]
fn a_token_is_fetched_where_the_registry_says_and_brought_to_the_registry_alone() {
    let scene = Scene::new();
    let elsewhere = Registry::start();
    let component = stamp("v1");
    let pushed = scene.registry.push("tidy", "1", &component);
    elsewhere.answers("/somewhere", Answer { status: 200, body: component, ..Answer::default() });
    let blob = format!("/v2/tidy/blobs/{}", pushed.layer);
    // As registries do whose blobs are elsewhere: over a path of their own to another host.
    scene.registry.answers("/v2/tidy/here", redirect(307, &elsewhere.url("/somewhere?signature=1")));
    scene.registry.answers(&blob, redirect(302, "/v2/tidy/here"));
    scene.registry.wants_token("secret");
    scene.run(&scene.registry.reference("tidy:1")).exits(0);
    let manifest = "/v2/tidy/manifests/1";
    assert_eq!(
        scene.registry.asked(),
        [
            manifest.to_owned(),
            "/token?scope=repository%3Atidy%3Apull&service=test".to_owned(),
            format!("{manifest} +token"),
            format!("{blob} +token"),
            "/v2/tidy/here +token".to_owned(),
        ]
    );
    assert_eq!(elsewhere.asked(), ["/somewhere?signature=1"]);
    assert_eq!(stamped(&scene.folder), "v1");
}

pub fn redirect(status: u16, location: &str) -> Answer {
    Answer { status, headers: vec![("Location".to_owned(), location.to_owned())], ..Answer::default() }
}

#[test]
fn images_of_other_tools_are_taken_and_an_index_with_one_of_them() {
    let scene = Scene::new();
    let component = stamp("v1");
    let size = component.len() as u64;
    let layer = scene.registry.blob("old", &component);
    let old =
        image("application/vnd.wasm.config.v1+json", &[("application/vnd.wasm.content.layer.v1+wasm", &layer, size)]);
    scene.registry.manifest("old", "1", MANIFEST, &old);
    scene.run(&scene.registry.reference("old:1")).exits(0);

    let component = stamp("v2");
    let layer = scene.registry.blob("many", &component);
    let text = image(CONFIG, &[(LAYER, &layer, component.len() as u64)]);
    let inner = scene.registry.manifest("many", "inner", MANIFEST, &text);
    let container = scene.registry.blob("many", b"a container");
    let listed = index(&[
        (&container, 11, r#","platform":{"architecture":"amd64","os":"linux"}"#),
        (&inner, text.len(), r#","platform":{"architecture":"wasm","os":"wasip2"}"#),
    ]);
    let outer = scene.registry.manifest("many", "1", INDEX, &listed);
    scene.registry.asked();
    scene.run(&scene.registry.reference("many:1")).exits(0);
    assert_eq!(stamped(&scene.folder), "v2");
    assert_eq!(scene.registry.asked().len(), 3);
    assert!(scene.folder.read("atlas.lock").contains(&outer), "what the tag named is locked");
    // All three are kept.
    let reference = scene.registry.reference("many:1");
    let folder = scene.offline();
    words(&folder, &format!("run -q --again --input in.ndjson --id id --plugin {reference}")).exits(0);
}

#[test]
fn what_is_damaged_or_anothers_in_the_cache_is_pulled_again() {
    let scene = Scene::new();
    let pushed = scene.registry.push("tidy", "1", &stamp("v1"));
    let reference = scene.registry.reference(&format!("tidy@{}", pushed.manifest));
    scene.run(&reference).exits(0);
    scene.registry.asked();
    let layer = scene.folder.at(&format!("cache/oci/{}.wasm", pushed.layer.replace(':', "-")));
    let whole = std::fs::read(&layer).expect("it is kept");
    for damaged in [&[][..], &whole[1..], &stamp("v2")] {
        std::fs::write(&layer, damaged).expect("a file");
        scene.run(&reference).exits(0).says("is not used: it is damaged; the image is pulled again.");
        assert_eq!(scene.registry.asked().len(), 1);
        assert_eq!(std::fs::read(&layer).expect("it is kept again"), whole);
    }
    std::fs::set_permissions(&layer, std::fs::Permissions::from_mode(0o666)).expect("permissions");
    scene.run(&reference).exits(0).says("others may write to it");
    assert_eq!(stamped(&scene.folder), "v1");
    // Without a registry what is damaged is nothing.
    std::fs::write(&layer, &whole[1..]).expect("a file");
    let folder = scene.offline();
    words(&folder, &format!("run --again --input in.ndjson --plugin {reference}")).exits(4).says("error[GUEST_10011]");
}

#[test]
fn what_is_pulled_takes_the_place_of_the_oldest_beyond_the_bound() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.folder.at("cache/oci")).expect("a folder");
    for folder in ["cache", "cache/oci"] {
        std::fs::set_permissions(scene.folder.at(folder), std::fs::Permissions::from_mode(0o700)).expect("permissions");
    }
    let old = std::fs::File::create(scene.folder.at("cache/oci/sha256-0.wasm")).expect("a file");
    // It takes no space.
    old.set_len(5 << 30).expect("a file with a hole");
    old.set_modified(std::time::UNIX_EPOCH).expect("a time");
    let pushed = scene.registry.push("tidy", "1", &stamp("v1"));
    scene.run(&scene.registry.reference(&format!("tidy@{}", pushed.manifest))).exits(0);
    let names = [format!("{}.json", pushed.manifest), format!("{}.wasm", pushed.layer)];
    assert_eq!(kept(&scene.folder), names.map(|name| name.replace(':', "-")).into());
}

#[test]
fn without_a_place_for_a_cache_it_is_pulled_each_time() {
    let scene = Scene::new();
    scene.folder.write("cache", "a file is in the way");
    let reference =
        scene.registry.reference(&format!("tidy@{}", scene.registry.push("tidy", "1", &stamp("v1")).manifest));
    for _ in 0..2 {
        scene.run(&reference).exits(0).says("The image cannot be kept at ");
        assert_eq!(scene.registry.asked().len(), 2);
    }
}

#[test]
fn what_is_watched_is_files_alone() {
    let scene = Scene::new();
    scene.registry.push("tidy", "1", &stamp("v1"));
    scene
        .run(&format!("tidy={} --watch", scene.registry.reference("tidy:1")))
        .exits(0)
        .says("--watch does nothing for slot tidy")
        .says("There is no plugin whose file --watch could follow.");
}

#[test]
fn a_pinned_digest_of_the_table_holds_for_images_too() {
    let scene = Scene::new();
    scene.registry.push("tidy", "1", &stamp("v1"));
    let source = scene.registry.reference("tidy:1");
    let other = atlas_host::model::Digest::of(b"another");
    scene.folder.write(
        "atlas.toml",
        format!("[plugins.work]\nsource = \"{source}\"\nrole = \"operation\"\ndigest = \"{other}\"\n"),
    );
    scene.words("run --input in.ndjson").exits(4).says("error[GUEST_10011]").says(&format!("plugin {source}@sha256:"));
}
