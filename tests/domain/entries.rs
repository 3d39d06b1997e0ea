//! Debian packages: a few entries written by hand, and the machine's own index where there is one.

use std::process::Command;

use serde_json::{Map, Value, json};

use crate::harness::{Folder, guest_arg};

/// Control fields of one paragraph, folded lines with their newlines.
fn fields(paragraph: &str) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    let mut last = String::new();
    for line in paragraph.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(Value::String(text)) = fields.get_mut(&last) {
                text.push('\n');
                text.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.to_owned();
            fields.insert(last.clone(), value.trim().into());
        }
    }
    Value::Object(fields)
}

fn judged_and_normalised(folder: &Folder, entries: &[Value]) -> Value {
    let lines: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    folder.write("entries.ndjson", lines);
    let package = guest_arg("deb-package");
    let run = ["run", "-q", "--input", "entries.ndjson", "--validator", &package, "--plugin", &package];
    let ran = folder.atlas([&run[..], &["--output", "json", "--missing-id", "ordinal"]].concat()).run();
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    let report = ran.json();
    assert_eq!(report["read"], entries.len());
    report
}

const MESSY: &str = "\
Package: messy-tool
Source: messy (2:1.0-1)
Version: 2:1.0~rc1+b2-3.1
Installed-Size: 12
Maintainer: A. Person, the Third <a.person@example.org>
Architecture: amd64
Depends: libc6 (>= 2.34),  libfoo:any (<<3.0) | foo-compat (= 1:2.0-1) ,default-mta|mail-transport-agent
Pre-Depends: dpkg (>>1.17.14)
Section: non-free/utils
Priority: optional
Tag: role::program, interface::commandline,
 use::editing
SHA256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
Size: 4096
X-Odd: kept
Description: does this and that
 The first line of a longer text:
 .
  * indented
";

#[test]
fn entries_written_by_hand_come_out_in_the_normal_form() {
    let plain = "Package: plain\nVersion: 1.0\nArchitecture: all\nMaintainer: P <p@example.org>\n";
    let folder = Folder::new();
    let report = judged_and_normalised(&folder, &[fields(MESSY), fields(plain)]);
    assert_eq!((report["stored"].as_u64(), report["read"].as_u64()), (Some(2), Some(2)));
    let rows = folder.atlas(["export"]).run().exits(0).json_lines();
    let (messy, plain) = (&rows[0], &rows[1]);
    assert_eq!(messy["epoch"], 2);
    assert_eq!((&messy["upstream_version"], &messy["debian_revision"]), (&json!("1.0~rc1+b2"), &json!("3.1")));
    assert_eq!((&messy["area"], &messy["section"]), (&json!("non-free"), &json!("utils")));
    assert_eq!((&messy["source"], &messy["source_version"]), (&json!("messy"), &json!("2:1.0-1")));
    assert_eq!(messy["installed_size_bytes"], 12 * 1024);
    assert_eq!(
        messy["depends"],
        json!([
            [{"name": "libc6", "operator": ">=", "version": "2.34"}],
            [
                {"name": "libfoo", "arch": "any", "operator": "<<", "version": "3.0"},
                {"name": "foo-compat", "operator": "=", "version": "1:2.0-1"}
            ],
            [{"name": "default-mta"}, {"name": "mail-transport-agent"}]
        ])
    );
    assert_eq!(messy["pre_depends"], json!([[{"name": "dpkg", "operator": ">>", "version": "1.17.14"}]]));
    assert_eq!(messy["tags"], json!({"interface": ["commandline"], "role": ["program"], "use": ["editing"]}));
    assert_eq!(messy["summary"], "does this and that");
    assert_eq!(messy["other"], json!({"X-Odd": "kept"}));
    let text = messy["description"].as_str().expect("a description");
    assert!(text.contains("The first line") && text.contains("\n\n") && text.contains("* indented"), "{text:?}");
    assert_eq!((&plain["area"], &plain["depends"], &plain["tags"]), (&Value::Null, &json!([]), &json!({})));
    assert_eq!((&plain["source"], &plain["source_version"]), (&json!("plain"), &json!("1.0")));
}

#[test]
fn each_broken_field_of_an_entry_has_its_code() {
    let good = "Package: pp\nVersion: 1\nArchitecture: all\nMaintainer: P <p@example.org>\n";
    let broken = [
        (
            "Package: Upper_Case\nVersion: 1\nArchitecture: all\nMaintainer: P <p@example.org>\n".to_owned(),
            "DEB_PACKAGE",
        ),
        ("Package: pp\nVersion: x:1\nArchitecture: all\nMaintainer: P <p@example.org>\n".to_owned(), "DEB_VERSION"),
        ("Package: pp\nVersion: 1\nMaintainer: P <p@example.org>\n".to_owned(), "DEB_ARCHITECTURE"),
        ("Package: pp\nVersion: 1\nArchitecture: all\nMaintainer: nobody\n".to_owned(), "DEB_MAINTAINER"),
        (format!("{good}Installed-Size: much\n"), "DEB_SIZE"),
        (format!("{good}SHA256: abc\n"), "DEB_SHA256"),
        (format!("{good}Tag: nofacet\n"), "DEB_TAG"),
        (format!("{good}Depends: a (>= 1\n"), "DEB_RELATION"),
    ];
    let mut entries: Vec<Value> = broken.iter().map(|(text, _)| fields(text)).collect();
    entries.push(json!(["no object"]));
    entries.push(fields(good));
    let folder = Folder::new();
    let report = judged_and_normalised(&folder, &entries);
    assert_eq!((report["stored"].as_u64(), report["rejected"].as_u64()), (Some(1), Some(9)));
    let letters = folder.atlas(["dead-letters", "list", "--output", "json"]).run().exits(0).json_lines();
    let codes: Vec<&str> = letters.iter().map(|letter| letter["code"].as_str().expect("a code")).collect();
    let wanted: Vec<&str> = broken.iter().map(|(_, code)| *code).chain(["DEB_SHAPE"]).collect();
    assert_eq!(codes, wanted);
}

/// Entries of this machine's index that are tried: enough to meet what real packages do.
const ENTRIES_MAX: usize = 15_000;

#[test]
fn the_index_of_this_machine_is_judged_without_a_trap() {
    let Ok(output) = Command::new("apt-cache").arg("dumpavail").output() else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    let entries: Vec<Value> =
        text.split("\n\n").filter(|text| text.contains("Package:")).take(ENTRIES_MAX).map(fields).collect();
    if entries.is_empty() {
        return;
    }
    let folder = Folder::new();
    let report = judged_and_normalised(&folder, &entries);
    let count = |name: &str| report[name].as_u64().expect("a count");
    assert_eq!(count("stored") + count("rejected"), entries.len() as u64, "{report}");
    assert_eq!(count("dead_lettered"), 0, "{report}");
    // A distribution's own index keeps its own rules, but for a few packages of others.
    assert!(count("rejected") * 100 <= entries.len() as u64, "{report}");
}
