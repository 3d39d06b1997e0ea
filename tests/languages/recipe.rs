//! `guests/build`: where its host is, and what it builds again. With a folder of guests of its own, and a script for a host.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Folder, Ran, root};

#[test]
fn guests_are_built_once_by_a_host_that_is_named_from_where_the_caller_is() {
    let folder = Folder::new();
    for place in ["bin", "wit", "host/src/author", "guests/rust-guest", "guests/javascript/p"] {
        std::fs::create_dir_all(folder.at(place)).expect("a folder");
    }
    for (file, text) in [
        ("wit/types.wit", ""),
        ("host/src/author/mod.rs", ""),
        ("guests/rust-guest/Cargo.toml", "crate-type = [\"cdylib\"]\n"),
        ("guests/javascript/p/plugin.toml", ""),
        // As npm's lock lies beside the folder of packages.
        ("bin/host", "#!/bin/sh\necho built >>../log\n: >javascript/.node_modules.lock\necho text >\"$4\"\n"),
    ] {
        folder.write(file, text);
    }
    std::fs::set_permissions(folder.at("bin/host"), PermissionsExt::from_mode(0o755)).expect("a program");
    std::fs::copy(root().join("guests/build"), folder.at("guests/build")).expect("a copy");
    let build = || {
        let mut command = Command::new("bash");
        command.args(["guests/build", "javascript/p"]).current_dir(folder.path());
        command.env("ATLAS_HOST", "bin/host").env_remove("CARGO_TARGET_DIR");
        Ran::from(command.output().expect("bash")).exits(0).stdout
    };
    let first = build();
    assert!(first.starts_with("javascript-p") && first.ends_with(" 5 bytes\n"), "{first}");
    assert_eq!((build(), folder.read("log").as_str()), (first, "built\n"), "what is up to date is not built again");
}
