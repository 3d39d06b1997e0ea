//! Inputs of every form give the same rows; bad records cost themselves, with their positions; several inputs count on.

use std::io::Write;
use std::path::PathBuf;

use atlas_host::store::DeadLetter;

use crate::harness::{Folder, Ran};
use crate::library::{letters, rows, sound};

/// A file in some format, and the records in it that are bad.
struct Sample {
    bytes: Vec<u8>,
    bad: Vec<Bad>,
}

#[derive(Debug, PartialEq)]
struct Bad {
    ordinal: u64,
    line: u64,
    offset: u64,
    original: Vec<u8>,
}

const RECORDS: u64 = 100;

/// Every tenth record is bad, the first and the last are good.
fn is_bad(n: u64) -> bool {
    n % 10 == 5
}

/// Values of the members `id`, `name` and `note`. Text only, as CSV knows nothing else.
fn values(n: u64) -> [String; 3] {
    [format!("k{n:03}"), format!("name {n}"), format!("a, \"quoted\" {n} é\\")]
}

fn object(n: u64) -> String {
    let quoted = values(n).map(|value| serde_json::to_string(&value).expect("text is JSON"));
    format!(r#"{{"id":{},"name":{},"note":{}}}"#, quoted[0], quoted[1], quoted[2])
}

/// Id and body of every good record, sorted by id.
fn wanted() -> Vec<(String, String)> {
    (0..RECORDS).filter(|n| !is_bad(*n)).map(|n| (values(n)[0].clone(), object(n))).collect()
}

/// Lines with blank ones between them; `good` writes a good record, `bad` are records that are none.
fn lines(head: &str, good: impl Fn(u64) -> String, bad: &[&[u8]], end: &str, blank_counts: bool) -> Sample {
    let mut sample = Sample { bytes: head.as_bytes().to_vec(), bad: Vec::new() };
    let mut line = 0;
    for n in 0..RECORDS {
        if n % 7 == 3 {
            sample.bytes.extend_from_slice(end.as_bytes());
            line += u64::from(blank_counts);
        }
        line += 1;
        let offset = sample.bytes.len() as u64;
        if is_bad(n) {
            let original = bad[(n / 10) as usize % bad.len()].to_vec();
            sample.bytes.extend_from_slice(&original);
            sample.bad.push(Bad { ordinal: n, line, offset, original });
        } else {
            sample.bytes.extend_from_slice(good(n).as_bytes());
        }
        sample.bytes.extend_from_slice(end.as_bytes());
    }
    sample
}

fn ndjson(end: &str) -> Sample {
    lines("", object, &[b"{\"id\":\"torn", b"nope", b"{\"id\":\"\xff\"}", b"{'id':'k'}", b"{}{}"], end, true)
}

fn csv(end: &str) -> Sample {
    let row = |n| values(n).map(|value| format!("\"{}\"", value.replace('"', "\"\""))).join(",");
    lines(&format!("id,name,note{end}"), row, &[b"too,few", b"one,too,many,values", b"a\"quote,in,it"], end, false)
}

fn tsv(end: &str) -> Sample {
    lines(&format!("id\tname\tnote{end}"), |n| values(n).join("\t"), &[b"too\tfew", b"a\tb\tc\td"], end, false)
}

fn json_array() -> Sample {
    let bad: [&[u8]; 3] = [b"{\"id\":}", b"nope", b"{\"id\":\"\xff\"}"];
    let mut sample = Sample { bytes: b"[\n".to_vec(), bad: Vec::new() };
    for n in 0..RECORDS {
        sample.bytes.extend_from_slice(if n == 0 { b"  " } else { b"\n ,\t" });
        let offset = sample.bytes.len() as u64;
        if is_bad(n) {
            let original = bad[(n / 10) as usize % bad.len()].to_vec();
            sample.bytes.extend_from_slice(&original);
            sample.bad.push(Bad { ordinal: n, line: n + 1, offset, original });
        } else {
            sample.bytes.extend_from_slice(object(n).as_bytes());
        }
    }
    sample.bytes.extend_from_slice(b"\n]\n");
    sample
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("writing to memory");
    out.finish().expect("writing to memory")
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("writing to memory")
}

/// Name, format and content of each form.
fn samples() -> Vec<(&'static str, &'static str, Sample)> {
    vec![
        ("in.ndjson", "ndjson", ndjson("\n")),
        ("crlf.jsonl", "ndjson", ndjson("\r\n")),
        ("in.json", "json", json_array()),
        ("in.csv", "csv", csv("\n")),
        ("crlf.csv", "csv", csv("\r\n")),
        ("in.tsv", "tsv", tsv("\n")),
        ("crlf.tab", "tsv", tsv("\r\n")),
    ]
}

fn bad_of(letters: Vec<DeadLetter>) -> Vec<Bad> {
    let bad = letters.into_iter().map(|letter| {
        assert_eq!((letter.code.as_str(), letter.phase.as_str(), letter.attempts), ("VALIDATION_4004", "decode", 0));
        assert_eq!(letter.total_bytes, letter.original.as_ref().map_or(0, Vec::len) as u64);
        let (ordinal, line, offset) = (letter.ordinal, letter.line, letter.offset);
        Bad { ordinal, line, offset, original: letter.original.unwrap_or_default() }
    });
    bad.collect()
}

#[track_caller]
fn gives_the_rows(folder: &Folder, ran: Ran, sample: &Sample, what: &str) {
    assert_eq!(ran.code, Some(3), "{what}: {}", ran.stderr);
    let store = folder.at("atlas.db");
    assert_eq!(rows(&store, "items"), wanted(), "{what}");
    assert_eq!(bad_of(letters(&store)), sample.bad, "{what}");
    sound(&store);
}

#[test]
fn every_format_with_bad_records_in_the_middle_gives_the_same_rows_and_exact_positions() {
    for (name, _, sample) in samples() {
        let folder = Folder::new();
        folder.write(name, &sample.bytes);
        let ran = folder.atlas(["run", "--input", name, "--id", "id", "--batch-size", "7"]).run();
        gives_the_rows(&folder, ran, &sample, name);
        let letters = letters(&folder.at("atlas.db"));
        assert!(letters.iter().all(|letter| letter.input.ends_with(name)), "{name}: {}", letters[0].input);
    }
}

#[test]
fn compressed_inputs_give_the_same_rows_and_the_positions_of_what_was_compressed() {
    for (name, _, sample) in samples() {
        for (ending, packed) in [("gz", gz(&sample.bytes)), ("zst", zst(&sample.bytes))] {
            let folder = Folder::new();
            let name = format!("{name}.{ending}");
            folder.write(&name, packed);
            let ran = folder.atlas(["run", "--input", &name, "--id", "id"]).run();
            gives_the_rows(&folder, ran, &sample, &name);
        }
    }
}

#[test]
fn a_gzip_file_of_several_members_is_read_to_its_end() {
    let sample = ndjson("\n");
    let (first, second) = sample.bytes.split_at(sample.bytes.len() / 3);
    let folder = Folder::new();
    folder.write("in.ndjson.gz", [gz(first), gz(second)].concat());
    let ran = folder.atlas(["run", "--input", "in.ndjson.gz", "--id", "id"]).run();
    gives_the_rows(&folder, ran, &sample, "two members");
}

#[test]
fn standard_input_gives_the_same_rows_in_every_format_also_compressed() {
    for (name, format, sample) in samples() {
        for bytes in [sample.bytes.clone(), gz(&sample.bytes), zst(&sample.bytes)] {
            let folder = Folder::new();
            let ran = folder.atlas(["run", "--input", "-", "--format", format, "--id", "id"]).stdin(bytes).run();
            gives_the_rows(&folder, ran, &sample, name);
        }
    }
}

#[test]
fn ordinals_count_on_over_several_inputs_and_each_letter_names_its_own() {
    let folder = Folder::new();
    let (first, second, third, last) = (ndjson("\n"), csv("\r\n"), json_array(), tsv("\n"));
    folder.write("a.ndjson", &first.bytes);
    folder.write("b.csv", &second.bytes);
    folder.write("empty.ndjson", "");
    folder.write("c.json.gz", gz(&third.bytes));
    folder.write("d.tsv.zst", zst(&last.bytes));
    let inputs = ["a.ndjson", "b.csv", "empty.ndjson", "c.json.gz", "d.tsv.zst"];
    let flags: Vec<&str> = inputs.iter().flat_map(|input| ["--input", input]).collect();
    folder.atlas([&["run", "--batch-size", "33"][..], &flags].concat()).run().exits(3);

    // Without --id the ordinal is the id.
    let stored = rows(&folder.at("atlas.db"), "items");
    let mut found: Vec<(u64, &str)> =
        stored.iter().map(|(id, body)| (id.parse().expect("a number"), &**body)).collect();
    found.sort_unstable();
    let objects: Vec<String> = (0..RECORDS).map(object).collect();
    let wanted = (0..4 * RECORDS).filter(|n| !is_bad(n % RECORDS)).map(|n| (n, &*objects[(n % RECORDS) as usize]));
    assert_eq!(found, wanted.collect::<Vec<_>>());

    let letters = letters(&folder.at("atlas.db"));
    let samples = [(first, inputs[0]), (second, inputs[1]), (third, inputs[3]), (last, inputs[4])];
    let bad: Vec<(u64, u64, u64, &str)> = (0..)
        .zip(&samples)
        .flat_map(|(place, (sample, input))| {
            let bad = sample.bad.iter();
            bad.map(move |bad| (place * RECORDS + bad.ordinal, bad.line, bad.offset, *input)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(letters.len(), bad.len());
    for (letter, (ordinal, line, offset, input)) in letters.iter().zip(bad) {
        assert_eq!((letter.ordinal, letter.line, letter.offset), (ordinal, line, offset), "{input}");
        assert!(letter.input.ends_with(input), "{} is not {input}", letter.input);
    }
}

#[test]
fn a_file_and_standard_input_are_read_one_after_another() {
    let folder = Folder::new();
    folder.write("a.ndjson", "{\"n\":0}\n{\"n\":1}\n");
    let ran = folder.atlas(["run", "--input", "a.ndjson", "--input", "-"]).stdin("{\"n\":2}\n{\"n\":3}").run();
    ran.exits(0);
    let pair = |n: u64| (n.to_string(), format!("{{\"n\":{n}}}"));
    assert_eq!(rows(&folder.at("atlas.db"), "items"), (0..4).map(pair).collect::<Vec<_>>());
}

#[test]
fn a_limit_counts_records_over_all_inputs_bad_ones_included() {
    for limit in [1, 5, 6, 99, 100, 101, 150, 10_000] {
        let folder = Folder::new();
        folder.write("a.ndjson", ndjson("\n").bytes);
        folder.write("b.csv", csv("\n").bytes);
        let text = limit.to_string();
        let run = ["run", "--input", "a.ndjson", "--input", "b.csv", "--limit", &text, "--batch-size", "8"];
        let ran = folder.atlas(run).run();
        let read = limit.min(2 * RECORDS);
        let bad = (0..read).filter(|n| is_bad(n % RECORDS)).count();
        assert_eq!(ran.code, Some(if bad == 0 { 0 } else { 3 }), "{}", ran.stderr);
        let store = folder.at("atlas.db");
        assert_eq!((rows(&store, "items").len(), letters(&store).len()), (read as usize - bad, bad), "limit {limit}");
    }
}

#[test]
fn rows_of_csv_without_a_header_or_with_another_delimiter_are_read_as_told() {
    let folder = Folder::new();
    folder.write("in.csv", "a;1\nb;2\n");
    folder.atlas(["run", "--input", "in.csv", "--no-header", "--delimiter", ";", "--id", "c1"]).run().exits(0);
    let pair = |id: &str, body: &str| (id.to_owned(), body.to_owned());
    let wanted = [pair("a", r#"{"c1":"a","c2":"1"}"#), pair("b", r#"{"c1":"b","c2":"2"}"#)];
    assert_eq!(rows(&folder.at("atlas.db"), "items"), wanted);
}

#[test]
fn a_quoted_value_of_csv_may_hold_line_breaks_and_positions_stay_exact_behind_it() {
    let folder = Folder::new();
    let text = "id,note\r\nk1,\"two\r\nlines, and \"\"quotes\"\"\"\nragged\nk2,\n";
    folder.write("in.csv", text);
    folder.atlas(["run", "--input", "in.csv", "--id", "id"]).run().exits(3);
    let stored = rows(&folder.at("atlas.db"), "items");
    assert_eq!(stored[0].1, r#"{"id":"k1","note":"two\r\nlines, and \"quotes\""}"#);
    assert_eq!(stored[1].1, r#"{"id":"k2","note":""}"#);
    let offset = text.find("ragged").expect("it is there") as u64;
    let original = b"ragged".to_vec();
    assert_eq!(bad_of(letters(&folder.at("atlas.db"))), [Bad { ordinal: 1, line: 2, offset, original }]);
}

#[test]
fn a_line_over_the_bound_is_a_dead_letter_with_its_head_and_length_and_reading_goes_on() {
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(100_000));
    let folder = Folder::new();
    folder.write("in.ndjson", format!("{{\"id\":\"a\"}}\n{long}\n{{\"id\":\"b\"}}\n"));
    folder.atlas(["run", "--input", "in.ndjson", "--id", "id", "--max-line-bytes", "64KiB"]).run().exits(3);
    let letter = &letters(&folder.at("atlas.db"))[0];
    assert_eq!((letter.code.as_str(), letter.line, letter.offset, letter.ordinal), ("VALIDATION_4005", 2, 11, 1));
    assert_eq!(letter.total_bytes, long.len() as u64);
    let head = letter.original.as_deref().expect("a head");
    assert!(head.len() < 10_000 && long.as_bytes().starts_with(head));
    assert_eq!(rows(&folder.at("atlas.db"), "items").len(), 2);
}

/// A good file, and the same cut short.
fn torn(name: &str) -> (Vec<u8>, Vec<u8>, PathBuf) {
    let text: String = (0..2000).map(|n| format!("{{\"id\":\"k{n:05}\",\"x\":{}}}\n", n * 7919 % 10_007)).collect();
    let whole = match name.rsplit_once('.').expect("an extension").1 {
        "gz" => gz(text.as_bytes()),
        "zst" => zst(text.as_bytes()),
        _ => format!("[{}]", text.trim_end().replace('\n', ",")).into_bytes(),
    };
    let cut = whole[..whole.len() * 2 / 3].to_vec();
    (whole, cut, PathBuf::from(name))
}

#[test]
fn an_input_cut_short_ends_with_7_keeps_what_came_before_and_continues_once_it_is_whole() {
    for name in ["in.ndjson.gz", "in.ndjson.zst", "in.json"] {
        let (whole, cut, path) = torn(name);
        let folder = Folder::new();
        let run = ["run", "--input", name, "--id", "id", "--batch-size", "100"];
        folder.write(name, cut);
        let ran = folder.atlas(run).run().exits(7);
        assert!(ran.stderr.contains(path.to_str().expect("UTF-8")), "{}", ran.stderr);
        let store = folder.at("atlas.db");
        let before = rows(&store, "items").len();
        assert!(before < 2000, "{name}");
        sound(&store);
        folder.write(name, whole);
        folder.atlas(run).run().exits(0);
        assert_eq!(rows(&store, "items").len(), 2000, "{name}");
        assert!(letters(&store).is_empty(), "{name}");
        sound(&store);
    }
}

#[test]
fn an_input_that_is_not_there_ends_with_7_and_makes_no_store() {
    let folder = Folder::new();
    folder.atlas(["run", "--input", "nothing.ndjson"]).run().exits(7).says("nothing.ndjson");
    assert!(!folder.at("atlas.db").exists());
}

#[test]
fn a_pipe_that_ends_in_the_middle_of_a_line_ends_with_7_and_keeps_the_lines_before() {
    let folder = Folder::new();
    let ran =
        folder.atlas(["run", "--input", "-", "--id", "id"]).stdin("{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c").run();
    ran.exits(7);
    assert_eq!(rows(&folder.at("atlas.db"), "items").len(), 2);
}
