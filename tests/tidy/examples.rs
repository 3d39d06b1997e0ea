//! The examples do what their descriptions say.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Folder, binary, guest_arg, root, tickets};

/// An example, as `cargo test` has built it.
pub fn example(name: &str) -> PathBuf {
    let folder = PathBuf::from(binary()).parent().expect("the command lies in a folder").join("examples");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not built. hint: cargo build --release --examples", path.display());
    path
}

#[test]
fn the_yardstick_of_the_benchmark_stores_the_very_same_rows() {
    let folder = Folder::new();
    folder.write("tickets.ndjson", tickets(3000, 5));
    for (store, more) in [("plain.db", &["1000"][..]), ("sorted.db", &["10000", "sorted"])] {
        let status = Command::new(example("native_loader"))
            .args(["tickets.ndjson", store])
            .args(more)
            .current_dir(folder.path())
            .status();
        assert!(status.expect("the loader starts").success());
    }
    let (rules, tidy) = (guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    let indexes = ["--index", "status", "--index", "path", "--index", "priority"];
    let run = [
        "run",
        "--input",
        "tickets.ndjson",
        "--id",
        "id",
        "--store",
        "host.db",
        "--validator",
        &rules,
        "--plugin",
        &tidy,
    ];
    folder.atlas(run.iter().chain(&indexes)).run().exits(3);

    let rows = |store: &str| -> Vec<(String, String)> {
        let connection = rusqlite::Connection::open(folder.at(store)).expect("a store");
        let mut statement = connection.prepare("SELECT id, body FROM items ORDER BY id").expect("a table of items");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.collect::<Result<_, _>>().expect("rows that can be read")
    };
    let host = rows("host.db");
    assert!(host.len() > 2500 && host.len() < 3000, "{}", host.len());
    for store in ["plain.db", "sorted.db"] {
        assert!(rows(store) == host, "{store} differs from what the host stores");
    }
}

#[test]
fn the_program_that_embeds_the_host_stores_its_items() {
    let output = Command::new(example("embed")).output().expect("the example starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1000 of 1000 items stored\n");
    let readme = super::read("README.md");
    let source = super::read("examples/embed.rs");
    let shown = readme
        .split_once("\n## From a Rust program\n")
        .and_then(|(_, section)| section.split("```rust\n").nth(1)?.split("```").next())
        .expect("a block of Rust in the README");
    let missing: Vec<&str> = shown.lines().filter(|line| !source.contains(line.trim())).collect();
    assert!(missing.is_empty(), "README.md shows lines that embed.rs does not have: {missing:?}");
}

/// A cut of a real index, with what is odd in it: folded fields, alternatives, an epoch, a maintainer that Debian got wrong.
const INDEX: &str = "\
Package: bash
Version: 5.2.15-2+b13
Essential: yes
Installed-Size: 7164
Maintainer: Matthias Klose <doko@debian.org>
Architecture: amd64
Depends: base-files (>= 2.1.12), debianutils (>= 5.6-0.1)
Pre-Depends: libc6 (>= 2.36), libcrypt1 (>= 1:4.3.0), libtinfo6 (>= 6)
Description: GNU Bourne Again SHell
Tag: implemented-in::c, interface::shell,
 role::program
Section: shells
Priority: required
Filename: pool/main/b/bash/bash_5.2.15-2+b13_amd64.deb
Size: 1490652

Package: cowsay
Version: 3.03+dfsg2-8
Installed-Size: 93
Maintainer: Tony Mancill <tmancill@debian.org>
Architecture: all
Depends: perl:any, no-such-package
Description: configurable talking cow
Tag: implemented-in::perl, interface::commandline, role::program
Section: games
Priority: optional

Package: python3-greenlet
Version: 2.0.2-1
Maintainer: Debian Python Team <team+python@tracker.debian.org>,
Architecture: amd64
Description: Lightweight in-process concurrent programming (python3)
Section: python
Priority: optional
";

#[test]
fn the_figures_of_languages_are_of_the_components_that_were_built() {
    let folder = Folder::new();
    let (rules, tidy) = (guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    let output = Command::new(example("languages"))
        .args(["--languages", "rust", "--runs", "1", "--items", "1000"])
        .env("ATLAS_HOST", binary())
        .current_dir(folder.path())
        .output()
        .expect("the example starts");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| rust "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 2, "{table}");
    for (row, (name, path)) in rows.iter().zip([("`ticket-rules`", rules), ("`ticket-tidy`", tidy)]) {
        let bytes = std::fs::metadata(path).expect("a component").len();
        assert_eq!(row[..3], ["rust", name, &format!("{:.0} KB", bytes as f64 / 1e3)], "{table}");
        let units = ["KB", "MB", "ms", "µs"];
        assert!(row.len() == 8 && row[3..].iter().all(|cell| units.iter().any(|unit| cell.ends_with(unit))), "{table}");
    }
    let mistaken = Command::new(example("languages")).args(["--languages", "cobol"]).output().expect("it starts");
    assert!(!mistaken.status.success() && String::from_utf8_lossy(&mistaken.stderr).contains("go"), "{mistaken:?}");
}

/// The items that the converter of package indexes makes, and what it says about them.
fn converted(index: &[u8]) -> (String, String) {
    let folder = Folder::new();
    folder.write("index", index);
    let input = std::fs::File::open(folder.at("index")).expect("the index");
    let output = Command::new(example("deb_index")).stdin(input).output().expect("the converter starts");
    assert!(output.status.success());
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

#[test]
fn folded_lines_of_a_package_index_keep_their_line_breaks_and_indent() {
    let (items, counts) = converted(b"\n\nPackage: a\nTag: x::y,\n z::w \n\n \nPackage:b\nDescription: c\n d\n .\n  e");
    assert_eq!(
        items,
        concat!(
            r#"{"Package":"a","Tag":"x::y,\n z::w"}"#,
            "\n",
            r#"{"Package":"b","Description":"c\n d\n .\n  e"}"#,
            "\n"
        )
    );
    assert!(counts.starts_with("2 stanzas, 0 of them malformed;"), "{counts}");
}

#[test]
fn repeated_fields_of_a_package_index_are_numbered_and_foreign_bytes_are_latin() {
    let (items, counts) = converted(b"Package: a\r\npackage: \xe9t\xe9\nPACKAGE: c\n");
    assert_eq!(items, "{\"Package\":\"a\",\"package#2\":\"été\",\"PACKAGE#3\":\"c\"}\n");
    assert_eq!(counts, "1 stanzas, 0 of them malformed; 2 repeated fields, 1 lines not in UTF-8\n");
}

#[test]
fn a_stanza_with_a_line_that_is_no_field_keeps_its_text() {
    let (items, counts) = converted(b" folded\nPackage: a\n\nPackage: b\nnonsense\nVersion: 1\n\nPackage: c\n");
    let lines: Vec<&str> = items.lines().collect();
    assert_eq!(lines, [r#"" folded\nPackage: a""#, r#""Package: b\nnonsense\nVersion: 1""#, r#"{"Package":"c"}"#]);
    assert!(counts.starts_with("3 stanzas, 2 of them malformed;"), "{counts}");
}

#[test]
fn a_package_index_becomes_items_that_answer_the_queries() {
    let folder = Folder::new();
    let (items, counts) = converted(INDEX.as_bytes());
    assert_eq!(counts, "3 stanzas, 0 of them malformed; 0 repeated fields, 0 lines not in UTF-8\n");
    folder.write("packages.ndjson", items);

    let plugin = guest_arg("deb-package");
    let (check, normalise) = (format!("check={plugin}"), format!("normalise={plugin}"));
    let run = ["run", "--input", "packages.ndjson", "--id", "Package", "--validator", &check, "--plugin", &normalise];
    let store = [
        "--into",
        "packages",
        "--index",
        "section",
        "--index",
        "/maintainer/email",
        "--index",
        "size=/installed_size_bytes",
    ];
    folder.atlas(run.iter().chain(&store)).run().exits(3).says("2 stored, 1 rejected").says("DEB_MAINTAINER");

    // One line of each answer, in the order of the folder.
    let wanted = [
        r#"{"section":"shells","package":"bash","megabytes":7,"packages":1}"#,
        r#"{"package":"bash","section":"shells","megabytes":7,"version":"5.2.15-2+b13"}"#,
        r#"{"package":"bash","field":"pre_depends","at_least":"1:4.3.0"}"#,
        r#"{"package":"cowsay","summary":"configurable talking cow"}"#,
        r#"{"package":"bash","kilobytes":7335,"summary":"GNU Bourne Again SHell"}"#,
        r#"{"missing":"no-such-package","packages":1,"for_example":"cowsay"}"#,
    ];
    let queries = super::files("examples/debian-packages/queries", ".sql");
    assert_eq!(queries.len(), wanted.len());
    for (query, wanted) in queries.iter().zip(wanted) {
        let ran = folder.atlas(["query", "--sql", &query.text, "--output", "ndjson"]).run().exits(0);
        assert!(ran.stdout.lines().any(|line| line == wanted), "{}: {}", query.path, ran.stdout);
    }
}

#[test]
fn the_queries_in_the_description_are_those_that_run() {
    let readme = super::read("examples/debian-packages/README.md");
    for query in super::files("examples/debian-packages/queries", ".sql") {
        assert!(readme.contains(&query.text), "README.md does not show {} as it is", query.path);
    }
}

/// Scripts are read as a whole before they do anything, stop at the first failure, and can be run from anywhere.
#[test]
fn scripts_are_executable_and_parse() {
    use std::os::unix::fs::PermissionsExt;
    for script in [
        "examples/debian-packages/run",
        "examples/workflow/run",
        "examples/bench/run",
        "examples/bench/instructions",
        "guests/build",
        "tests/run",
        ".ci/run",
    ] {
        let path = root().join(script);
        let mode = std::fs::metadata(&path).unwrap_or_else(|error| panic!("{script}: {error}")).permissions().mode();
        assert!(mode & 0o111 == 0o111, "{script} is not executable");
        assert!(super::read(script).contains("\nset -euo pipefail\n"), "{script}");
        let parsed = Command::new("bash").arg("-n").arg(&path).output().expect("bash");
        assert!(parsed.status.success(), "{script}: {}", String::from_utf8_lossy(&parsed.stderr));
    }
}
