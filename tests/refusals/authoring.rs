//! Projects, tools, compilers and fixtures with mistakes.

use super::{refused, words};
use crate::harness::{Folder, author, guest_arg};

/// A project in `p`.
fn project() -> Folder {
    let folder = Folder::new();
    words(&folder, "new p --lang rust --kind both").exits(0);
    folder
}

#[test]
fn a_project_is_made_in_an_empty_folder_only() {
    let folder = project();
    refused(&folder, "new p --lang rust", 2, "AUTHOR_11001", "p has files").says("--dir");
    refused(&folder, "new Bad_Name --lang rust", 2, "AUTHOR_11001", "Bad_Name");
    refused(&folder, "new q --lang cobol", 2, "CONFIG_3001", "cobol").says("rust");
    refused(&folder, "new q --lang rust --kind nothing", 2, "CONFIG_3001", "nothing").says("validator");
    folder.write("file", "x");
    refused(&folder, "new q --lang rust --dir file", 2, "AUTHOR_11001", "file");
}

#[test]
fn a_folder_without_plugin_toml_or_with_a_mistake_in_it_is_no_project() {
    let folder = project();
    for verb in ["build", "test"] {
        refused(&folder, verb, 2, "AUTHOR_11001", "plugin.toml").says("atlas-host new");
        refused(&folder, &format!("{verb} nowhere"), 2, "AUTHOR_11001", "nowhere/plugin.toml");
    }
    let good = folder.read("p/plugin.toml");
    for (from, to, culprit) in [
        ("language = \"rust\"", "language = \"cobol\"", "p/plugin.toml:5: language is \"cobol\""),
        ("version", "verzion", "p/plugin.toml:3: [plugin] has no verzion"),
        ("[plugin]", "[plugin", "p/plugin.toml:1"),
        ("kind = \"both\"", "kind = \"both\"\n[rust]\nedition = \"2024\"", "p/plugin.toml:7"),
    ] {
        folder.write("p/plugin.toml", good.replace(from, to));
        refused(&folder, "build p", 2, "AUTHOR_11001", culprit);
    }
}

#[test]
fn a_missing_tool_is_named_with_the_command_that_installs_it() {
    let folder = project();
    // The environment has no PATH.
    refused(&folder, "build p", 2, "AUTHOR_11002", "cargo").says("install it:").says("apt-get install");
}

#[test]
fn a_tool_that_fails_is_shown_as_it_spoke() {
    let folder = project();
    let source = folder.read("p/src/lib.rs");
    folder.write("p/src/lib.rs", source.replace("struct Plugin;", "struct Plugin\nlet x = 1;"));
    let ran = author(folder.path(), "atlas-host build p").exits(4);
    let ran = ran.says("error[AUTHOR_11003]").says("cargo build").says("--> src/lib.rs:");
    assert_eq!(ran.stdout, "");
    assert!(!folder.at("p/build/p.wasm").exists());
}

#[test]
fn a_component_of_another_world_than_its_kind_is_not_put_down() {
    let folder = Folder::new();
    words(&folder, "new p --lang rust --kind validator").exits(0);
    let manifest = folder.read("p/plugin.toml").replace("kind = \"validator\"", "kind = \"operation\"");
    folder.write("p/plugin.toml", manifest);
    author(folder.path(), "atlas-host build p")
        .exits(4)
        .says("error[GUEST_10011]")
        .says("does not export atlas:batch/operation@0.1.0")
        .says("it fits as a validator");
    assert!(!folder.at("p/build/p.wasm").exists());
    let manifest = folder.read("p/plugin.toml").replace("kind = \"operation\"", "kind = \"validator\"");
    folder.write("p/plugin.toml", manifest.replace("name = \"p\"", "name = \"q\""));
    author(folder.path(), "atlas-host build p").exits(4).says("error[AUTHOR_11003]").says("q.wasm").says("Cargo.toml");
}

#[test]
fn fixtures_with_mistakes_are_refused_by_file_and_line() {
    let folder = Folder::new();
    let identity = guest_arg("identity");
    let line = format!("test --plugin {identity} --fixtures f");
    refused(&folder, &line, 2, "AUTHOR_11004", "f: ").says("fixtures");
    std::fs::create_dir(folder.at("f")).expect("a folder");
    refused(&folder, &line, 2, "AUTHOR_11004", "no *.json");
    for (text, culprit) in [
        ("{", "f/a.json:1"),
        ("{\n\"case\": []}", "f/a.json:2"),
        ("{\"cases\": []}", "no case"),
        (
            "{\"cases\": [{\"name\": \"n\", \"items\": [\n{\"id\": \"a\", \"body\": {}, \"outcome\": \"kept\"}]}]}",
            "f/a.json:2: item \"a\"",
        ),
        ("{\"grant-dir\": [\"none\"], \"cases\": []}", "no such directory"),
        ("{\"grant-dir\": [\"..\"], \"cases\": []}", "f/a.json:1: --grant-dir .. is not for a fixture to grant"),
        ("{\"grant-env\": [\"ATLAS_CACHE_DIR\"], \"cases\": []}", "f/a.json:1: --grant-env ATLAS_CACHE_DIR"),
        ("{\"grant-host\": [\"example.org:443\"], \"cases\": []}", "f/a.json:1: --grant-host example.org:443"),
        ("{\"store\": {\"no name\": {}}, \"cases\": []}", "no name"),
    ] {
        folder.write("f/a.json", text);
        refused(&folder, &line, 2, "AUTHOR_11004", culprit);
    }
    refused(&folder, &format!("test --plugin {identity}"), 2, "CONFIG_3001", "--fixtures");
    folder.write("f/a.json", "{\"cases\": [{\"name\": \"n\", \"items\": [{\"id\": \"a\", \"body\": {}}]}]}");
    folder.write("no.wasm", "hello");
    refused(&folder, "test --plugin no.wasm --fixtures f", 4, "GUEST_10011", "no.wasm");
}
