//! Inputs that cannot be read, or not as what they say they are.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::{GOOD, refused, words};
use crate::harness::Folder;

/// Gzip of bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

#[test]
fn an_input_that_cannot_be_read_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    refused(&folder, "run --input none.ndjson", 7, "VALIDATION_4006", "`none.ndjson`");
    refused(&folder, "validate --input none.ndjson", 7, "VALIDATION_4006", "`none.ndjson`");
    refused(&folder, "run --input .", 7, "VALIDATION_4006", "`.` is a directory");
    folder.write("good.ndjson", GOOD);
    refused(&folder, "run --input good.ndjson --input none.csv", 7, "VALIDATION_4006", "`none.csv`");
    folder.write("in.data", GOOD);
    refused(&folder, "run --input in.data --format xml", 2, "CONFIG_3001", "xml").says("ndjson, json, csv, tsv");
    folder.write("plain.ndjson.gz", GOOD);
    refused(&folder, "run --input plain.ndjson.gz", 7, "VALIDATION_4006", "its content is plain");
    folder.write("secret.ndjson", GOOD);
    std::fs::set_permissions(folder.at("secret.ndjson"), std::fs::Permissions::from_mode(0o000)).expect("chmod");
    // The owner of everything may read it all the same.
    if std::fs::File::open(folder.at("secret.ndjson")).is_err() {
        refused(&folder, "run --input secret.ndjson", 7, "VALIDATION_4006", "`secret.ndjson`").says("permissions");
    }
}

#[test]
fn a_closed_standard_input_is_told() {
    let folder = Folder::new();
    let binary = crate::harness::binary();
    let status = Command::new("sh")
        .args(["-c", &format!("{binary} run --id id <&-")])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .output()
        .expect("a shell");
    // A shell may give /dev/null in its place, which is an empty input.
    assert!(matches!(status.status.code(), Some(0 | 7)), "{status:?}");
}

#[test]
fn text_that_is_not_what_the_format_says_goes_to_the_dead_letters_line_by_line() {
    let folder = Folder::new();
    let lines: [&[u8]; 6] =
        [b"{\"id\":\"a\"}", b"{\"id\":\"b\xff\"}", b"not json", b"{\"id\":\"c\",}", b"[1,2]", b"{\"id\":\"d\"}"];
    folder.write("in.ndjson", lines.join(&b"\n"[..]));
    let report = words(&folder, "run --input in.ndjson --id id --output json").exits(3).json();
    assert_eq!((&report["read"], &report["stored"], &report["dead_lettered"]), (&6.into(), &2.into(), &4.into()));
    let letters = words(&folder, "dead-letters list --output json").exits(0).json_lines();
    let places: Vec<(u64, &str)> =
        letters.iter().map(|l| (l["line"].as_u64().expect("a line"), l["code"].as_str().expect("a code"))).collect();
    let wanted = [(2, "VALIDATION_4004"), (3, "VALIDATION_4004"), (4, "VALIDATION_4004"), (5, "VALIDATION_4002")];
    assert_eq!(places.iter().map(|p| p.0).collect::<Vec<_>>(), wanted.iter().map(|w| w.0).collect::<Vec<_>>());
    for ((_, found), (line, wanted)) in places.iter().zip(wanted) {
        assert!(found == &wanted || (line == 5 && *found == "VALIDATION_4004"), "line {line}: {found}");
    }
    let invalid = letters[0]["id"].to_string();
    assert_eq!(
        words(&folder, &format!("dead-letters show {invalid} --output json")).exits(0).json()["original_hex"],
        "7b226964223a2262ff227d"
    );
    words(&folder, "verify").exits(0);
}

#[test]
fn an_input_that_is_cut_short_keeps_what_was_whole_and_can_be_continued() {
    let folder = Folder::new();
    let text: String = (0..20_000).map(|n| format!("{{\"id\":\"i-{n:06}\",\"n\":{}}}\n", n * 7919 % 10_007)).collect();
    let whole = gzip(text.as_bytes());
    folder.write("in.ndjson.gz", &whole[..whole.len() / 2]);
    let ran = words(&folder, "run --input in.ndjson.gz --id id").exits(7);
    assert!(ran.stderr.contains("error[VALIDATION_4006]: ") && ran.stderr.contains("in.ndjson.gz"), "{}", ran.stderr);
    ran.says("\nhint: ");
    let count = words(&folder, "query --count").exits(0).stdout;
    let there: u64 = count.trim().parse().expect("a count");
    assert!((1..20_000).contains(&there), "{there}");
    words(&folder, "verify").exits(0);
    folder.write("in.ndjson.gz", &whole);
    let report = words(&folder, "run --input in.ndjson.gz --id id --output json").exits(0).json();
    assert_eq!((report["resumed_at"].as_u64(), report["stored"].as_u64()), (Some(there), Some(20_000)));
    // A JSON array that lacks its end is cut short as well.
    folder.write("in.json", "[{\"id\":\"a\"},{\"id\":\"b\"}");
    let ran = words(&folder, "run --input in.json --id id --store array.db").exits(7);
    assert!(ran.stderr.contains("error[VALIDATION_4006]: "), "{}", ran.stderr);
}

#[test]
fn a_line_over_its_bound_goes_to_the_dead_letters_and_the_next_is_read() {
    let folder = Folder::new();
    folder.write(
        "in.ndjson",
        format!("{{\"id\":\"a\"}}\n{{\"id\":\"b\",\"text\":\"{}\"}}\n{{\"id\":\"c\"}}\n", "x".repeat(5000)),
    );
    let report = words(&folder, "run --input in.ndjson --id id --max-line-bytes 1KiB --output json").exits(3).json();
    assert_eq!((&report["stored"], &report["dead_lettered"]), (&2.into(), &1.into()));
    let letter = &words(&folder, "dead-letters list --output json").exits(0).json_lines()[0];
    assert_eq!(
        (&letter["code"], &letter["line"], &letter["total_bytes"]),
        (&"VALIDATION_4005".into(), &2.into(), &5020.into())
    );
    assert!(letter["message"].as_str().expect("a text").contains("1024"), "{letter}");
}

#[test]
fn an_item_without_an_id_is_refused_or_numbered_as_told() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\"}\n{\"n\":2}\n{\"id\":\"\"}\n{\"id\":null}\n{\"id\":5}\n");
    let report = words(&folder, "run --input in.ndjson --id id --output json").exits(3).json();
    assert_eq!((&report["stored"], &report["dead_lettered"]), (&2.into(), &3.into()), "{report}");
    let letter = &words(&folder, "dead-letters list --output json").exits(0).json_lines()[0];
    assert!(letter["message"].as_str().expect("a text").contains("id"), "{letter}");
    let report = words(&folder, "run --input in.ndjson --id id --missing-id ordinal --store b.db --output json").json();
    assert!(report["stored"].as_u64() >= Some(3), "{report}");
    words(&folder, "verify --store b.db").exits(0);
}
