//! What `build` asks of a language's tools, whatever the user's own settings are: with scripts in the place of most tools, and
//! npm with a package that lies beside the project.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Atlas, Folder, Ran, author};

/// A project in `p`.
fn project(language: &str) -> Folder {
    let folder = Folder::new();
    folder.atlas(["new", "p", "--lang", language]).run().exits(0);
    std::fs::create_dir(folder.at("bin")).expect("a folder");
    folder
}

/// A program of that name, which is on the `PATH` if it lies in `bin`. In its text `%HERE%` stands for the folder of the test.
fn program(folder: &Folder, name: &str, text: &str) {
    let here = folder.path().to_str().expect("a path in UTF-8");
    let path = folder.write(name, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{}", text.replace("%HERE%", here)));
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("a program");
}

fn build(folder: &Folder) -> Atlas {
    let cache = folder.at("cache");
    folder.atlas(["build", "p"]).env("PATH", folder.at("bin")).env("ATLAS_CACHE_DIR", cache)
}

/// A build that comes as far as to what its tools made, which is text.
#[track_caller]
fn comes_to_its_end(ran: Ran) {
    ran.exits(4).says("error[GUEST_10011]").says("something that is no WebAssembly");
}

#[test]
fn the_toolchain_of_a_project_in_rust_is_the_one_that_is_asked() {
    let folder = project("rust");
    program(
        &folder,
        "bin/cargo",
        "pwd >>%HERE%/log\ncase $1 in --version) echo cargo 1.95.0;; build) echo here it ends; exit 1;; esac\n",
    );
    program(
        &folder,
        "bin/rustc",
        "pwd >>%HERE%/log\ncase $1 in --version) echo rustc 1.95.0;; *) echo %HERE%/lib;; esac\n",
    );
    program(
        &folder,
        "bin/rustup",
        "pwd >>%HERE%/log\ncase $1 in --version) echo rustup 1.28.0;; *) mkdir %HERE%/lib; touch %HERE%/lib/libstd-1.rlib;; esac\n",
    );
    build(&folder).run().exits(4).says("here it ends");
    let place = folder.at("p").canonicalize().expect("a path").display().to_string();
    // Three versions, the standard library twice and what adds it, cleaning, building.
    assert_eq!(folder.read("log").lines().collect::<Vec<_>>(), vec![place; 8]);
}

#[test]
fn what_a_user_has_set_for_other_programs_in_go_is_none_of_a_plugins() {
    let folder = project("go");
    // There is no `go`, so that it comes out of a package, into an environment.
    program(
        &folder,
        "bin/python3",
        "case \"$*\" in\n--version) echo Python 3.13.1;;\n\"-m pip \"*) echo \"$*\" >>%HERE%/log;;\n\"-c \"*) echo %HERE%/go;;\n\
         \"-m venv --clear \"*) mkdir -p \"$4/bin\"; ln -s %HERE%/bin/python3 \"$4/bin/python\";;\nesac\n",
    );
    program(&folder, "go", "env | grep ^GO | sort\nexit 1\n");
    let set = [("GOROOT", "/nowhere"), ("GO111MODULE", "off"), ("GOWORK", "/nowhere/go.work"), ("GOFLAGS", "-x")];
    let ran = set.into_iter().fold(build(&folder), |build, (name, value)| build.env(name, value)).run();
    let ran = ran.exits(4).says("error[AUTHOR_11003]");
    let known: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("GO")).collect();
    assert_eq!(known, ["GOARCH=wasm", "GOOS=wasip1", "GOTOOLCHAIN=local", "GOWORK=off"]);
    assert!(folder.read("log").contains(" --no-user "), "{}", folder.read("log"));
}

#[test]
fn an_environment_whose_python_has_moved_is_made_anew() {
    let folder = project("python");
    program(&folder, "python-1", "exit 1\n");
    program(&folder, "python-2", "exit 1\n");
    program(&folder, "pip", "echo \"pip $*\" >>%HERE%/log\ncp %HERE%/componentize-py \"${0%/*}\"\n");
    program(
        &folder,
        "componentize-py",
        "case $1 in --version) echo componentize-py 0.25.1; exit;; esac\nfor out; do :; done\necho text >\"$out\"\n",
    );
    program(
        &folder,
        "bin/python3",
        "case $1 in --version) echo Python 3.13.1; exit;; esac\necho venv >>%HERE%/log\nmkdir -p \"$4/bin\"\n\
         rm -f \"$4/bin/python\"\nfor it in %HERE%/python-*; do ln -sf \"$it\" \"$4/bin/python\"; done\ncp %HERE%/pip \"$4/bin\"\n",
    );
    let asked = || {
        comes_to_its_end(build(&folder).run());
        folder.read("log").lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(asked(), ["venv", "pip"]);
    assert!(folder.read("log").contains(" --no-user "), "{}", folder.read("log"));
    assert_eq!(asked(), ["venv", "pip"], "it is there");
    std::fs::remove_file(folder.at("python-2")).expect("it was there");
    assert_eq!(asked(), ["venv", "pip", "venv", "pip"]);
    assert_eq!(asked(), ["venv", "pip", "venv", "pip"], "it is there again");
}

#[test]
fn npm_brings_the_tools_also_for_production_and_below_a_workspace() {
    super::unless_left_out("javascript", |_| {
        let folder = project("javascript");
        folder.write("package.json", r#"{"name": "above", "private": true, "workspaces": ["p"]}"#);
        std::fs::create_dir(folder.at("tool")).expect("a folder");
        folder.write(
            "tool/package.json",
            r#"{"name": "componentize-qjs", "version": "0.4.5", "bin": {"componentize-qjs": "run"}}"#,
        );
        program(&folder, "tool/run", "for out; do :; done\necho text >\"$out\"\n");
        folder.write("p/package.json", folder.read("p/package.json").replace("\"0.4.5\"", "\"file:../tool\""));
        folder.write("p/src/reads.mjs", "import { get } from \"atlas:batch/store@0.1.0\";\n");
        let ran = author(folder.path(), "NODE_ENV=production npm_config_omit=dev atlas-host build p");
        comes_to_its_end(ran);
        assert!(!folder.at("node_modules").exists(), "nothing is put into the workspace");
        let world = folder.read("p/build/wit/worlds.wit");
        assert!(world.contains("import store;") && !world.contains("import log;"), "{world}");
    });
}
