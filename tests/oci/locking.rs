//! `atlas.lock`: a tag stays at what it named when it was first taken.

use super::{Scene, stamped, words};
use crate::swap::stamp;

#[test]
fn a_tag_stays_at_its_image_until_it_is_told_to_move_on() {
    let scene = Scene::new();
    let first = scene.registry.push("acme/tidy", "1", &stamp("v1"));
    let tag = scene.registry.reference("acme/tidy:1");
    scene.run(&tag).exits(0);
    let lock = scene.folder.read("atlas.lock");
    let entry = format!(
        "version = 1\n\n[[plugin]]\nreference = \"{tag}\"\nmanifest = \"{}\"\nlayer = \"{}\"\nsize = {}\n",
        first.manifest,
        first.layer,
        stamp("v1").len()
    );
    assert!(lock.starts_with("# ") && lock.ends_with(&entry), "{lock}");

    let second = scene.registry.push("acme/tidy", "1", &stamp("v2"));
    scene.registry.asked();
    scene.run(&tag).exits(0);
    assert_eq!((stamped(&scene.folder), scene.registry.asked()), ("v1".to_owned(), Vec::new()));
    // A new machine has the lock file and no cache: the old image is pulled by its digest.
    std::fs::remove_dir_all(scene.folder.at("cache")).expect("a cache");
    scene.run(&tag).exits(0);
    assert_eq!(stamped(&scene.folder), "v1");
    assert_eq!(scene.registry.asked()[0], format!("/v2/acme/tidy/manifests/{}", first.manifest));

    let ran = scene.words(&format!("plugins lock {tag}")).exits(0);
    assert_eq!(ran.stdout, format!("{tag} stays at {}; --update moves it on\n", first.manifest));
    assert_eq!(scene.registry.asked(), Vec::<String>::new());
    assert_eq!(scene.folder.read("atlas.lock"), lock);
    let ran = scene.words(&format!("plugins lock {tag} --update")).exits(0);
    assert_eq!(ran.stdout, format!("{tag} moves from {} to {}\n", first.manifest, second.manifest));
    let ran = scene.words(&format!("plugins lock {tag} --update --output json")).exits(0).json();
    assert_eq!((&ran["manifest"], &ran["before"]), (&second.manifest.clone().into(), &second.manifest.into()));
    let ran = scene.words(&format!("plugins lock {tag} --update")).exits(0);
    assert!(ran.stdout.ends_with("its tag has not moved\n"), "{}", ran.stdout);
    let folder = scene.offline();
    words(&folder, &format!("run -q --again --input in.ndjson --id id --plugin {tag}")).exits(0);
    assert_eq!(stamped(&folder), "v2", "what was locked is in the cache");
}

#[test]
fn what_is_locked_already_comes_into_the_cache_all_the_same() {
    let scene = Scene::new();
    let first = scene.registry.push("acme/tidy", "1", &stamp("v1"));
    let tag = scene.registry.reference("acme/tidy:1");
    scene.words(&format!("plugins lock {tag}")).exits(0);
    scene.registry.push("acme/tidy", "1", &stamp("v2"));
    std::fs::remove_dir_all(scene.folder.at("cache")).expect("a cache");
    let ran = scene.words(&format!("plugins lock {tag}")).exits(0);
    assert_eq!(ran.stdout, format!("{tag} stays at {}; --update moves it on\n", first.manifest));
    let folder = scene.offline();
    words(&folder, &format!("run -q --input in.ndjson --id id --plugin {tag}")).exits(0);
    assert_eq!(stamped(&folder), "v1");
}

#[test]
fn what_is_locked_is_listed_sorted() {
    let scene = Scene::new();
    let none = scene.words("plugins lock").exits(0);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "nothing is locked in atlas.lock\n"));
    let pushed = scene.registry.push("b", "1", &stamp("v1"));
    scene.registry.push("a", "latest", &stamp("v1"));
    let (a, b) = (scene.registry.reference("a"), scene.registry.reference("b:1"));
    let ran = scene.words(&format!("plugins lock {b} {a}")).exits(0);
    assert_eq!(ran.stdout, format!("{b} is locked at {0}\n{a}:latest is locked at {0}\n", pushed.manifest));
    let listed = scene.words("plugins lock --output json").exits(0).json_lines();
    let names: Vec<&str> = listed.iter().filter_map(|entry| entry["reference"].as_str()).collect();
    assert_eq!(names, [&format!("{a}:latest"), &b]);
    assert_eq!(listed[0]["layer"].as_str(), Some(pushed.layer.as_str()));
    assert_eq!(listed[0]["bytes"].as_u64(), Some(stamp("v1").len() as u64));
    let table = scene.words("plugins lock").exits(0).stdout;
    assert!(table.contains("REFERENCE") && table.contains(&pushed.manifest["sha256:".len()..][..12]), "{table}");
}

#[test]
fn commands_that_only_look_lock_nothing_and_keep_to_what_is_locked() {
    let scene = Scene::new();
    scene.registry.push("tidy", "1", &stamp("v1"));
    let tag = scene.registry.reference("tidy:1");
    let look = |version: &str| {
        let ran = scene.words(&format!("inspect {tag} --output json")).exits(0).json();
        assert_eq!(ran["digest"].as_str(), Some(atlas_host::model::Digest::of(&stamp(version)).to_string().as_str()));
        scene.words(&format!("validate --input in.ndjson --id id --plugin {tag}")).exits(0);
        scene.words(&format!("config show --recommended --plugin {tag}")).exits(0);
    };
    look("v1");
    scene.registry.push("tidy", "1", &stamp("v2"));
    look("v2");
    assert!(!scene.folder.at("atlas.lock").exists());
    scene.words(&format!("plugins lock {tag}")).exits(0);
    scene.registry.push("tidy", "1", &stamp("v3"));
    look("v2");
    let ran = scene.run(&tag).exits(0);
    assert_eq!((ran.stderr.as_str(), stamped(&scene.folder).as_str()), ("", "v2"));
}

#[test]
fn a_lock_file_with_a_mistake_is_refused_by_its_line_and_stays_as_it_is() {
    let scene = Scene::new();
    let pushed = scene.registry.push("tidy", "1", &stamp("v1"));
    let tag = scene.registry.reference("tidy:1");
    scene.words(&format!("plugins lock {tag}")).exits(0);
    let good = scene.folder.read("atlas.lock");
    scene.registry.asked();
    let broken = good.replace(&pushed.manifest, "sha256:0");
    let newer = good.replace("version = 1", "version = 2");
    let merged = format!("{good}=======\n");
    for (text, place) in [(&broken, "atlas.lock:7: "), (&newer, "atlas.lock:3: "), (&merged, "atlas.lock:10: ")] {
        scene.folder.write("atlas.lock", text);
        let start = format!("error[CONFIG_3001]: {place}");
        for line in [
            format!("run --input in.ndjson --plugin {tag}"),
            format!("plugins lock {tag} --update"),
            "plugins lock".to_owned(),
            format!("inspect {tag}"),
        ] {
            let ran = scene.words(&line).exits(2).says(&start).says("hint: mend it");
            assert_eq!(ran.stdout, "");
            assert_eq!(&scene.folder.read("atlas.lock"), text, "{line}");
        }
    }
    assert!(!scene.folder.at("atlas.db").exists());
    // What needs no lock asks for none.
    scene.run(&scene.registry.reference(&format!("tidy@{}", pushed.manifest))).exits(0);
}

#[test]
fn a_lock_that_is_at_odds_with_its_manifest_is_refused() {
    let scene = Scene::new();
    let (one, other) =
        (scene.registry.push("tidy", "1", &stamp("v1")), scene.registry.push("tidy", "2", &stamp("v2 trap")));
    let tag = scene.registry.reference("tidy:1");
    scene.words(&format!("plugins lock {tag}")).exits(0);
    let mixed = scene.folder.read("atlas.lock").replace(&one.layer, &other.layer);
    scene.folder.write("atlas.lock", mixed);
    scene
        .run(&tag)
        .exits(2)
        .says("error[CONFIG_3001]: atlas.lock:6: ")
        .says(&one.layer)
        .says(&other.layer)
        .says(&format!("hint: if the manifest is the right one: `atlas-host plugins lock {tag} --update`"));
}

#[test]
fn what_cannot_be_locked_is_not_run() {
    let scene = Scene::new();
    scene.registry.push("tidy", "1", &stamp("v1"));
    let tag = scene.registry.reference("tidy:1");
    std::fs::create_dir(scene.folder.at("atlas.lock")).expect("a folder in the way");
    scene.run(&tag).exits(2).says("error[CONFIG_3001]: atlas.lock cannot be read");
    assert!(!scene.folder.at("atlas.db").exists());
    let pinned = format!("{tag}@sha256:{}", "0".repeat(64));
    scene.words(&format!("plugins lock {pinned}")).exits(2).says("has a digest, so that it needs no lock");
    scene.words("plugins lock tidy.wasm").exits(2).says("does not begin with oci://");
    scene.words("plugins lock --update").exits(2).says("error[CONFIG_3001]");
}
