//! What every row of the format table must pass, and the tools for it.

use std::io::{self, Cursor, Read};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Error;
use crate::model::{Digest, Position};

use super::decode::{Decoder, MissingId};
use super::window::Window;
use super::{Format, Raw, ReadOptions, Spot, Step};

/// A small generator of random numbers; the same seed gives the same numbers (SplitMix64: Steele, Lea and Flood, 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    pub(super) fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    pub(super) fn text(&mut self, parts_max: usize) -> String {
        let parts =
            ["a", "bc", " ", "\"", "\\", ",", "\n", "\r", "\t", "é", "🦀", "[", "}", "{", "]", ":", "=cmd()", "\r\n"];
        (0..self.below(parts_max + 1)).map(|_| self.one_of(&parts)).collect()
    }

    pub(super) fn json(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(1 << 40) as i64 - (1 << 39)),
            3 => json!(self.below(1000) as f64 / 8.0),
            4 => json!(self.text(6)),
            5 => (0..self.below(4)).map(|_| self.json(depth - 1)).collect(),
            _ => Value::Object((0..self.below(4)).map(|_| (self.text(3), self.json(depth - 1))).collect()),
        }
    }
}

/// A record as it came out of a splitter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) spot: Spot,
    /// The record, or what is kept of a broken one.
    pub(super) bytes: Vec<u8>,
    /// Code of a broken one.
    pub(super) problem: Option<String>,
    whole: Option<(u64, Digest)>,
}

/// All that came out of a splitter.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) records: Vec<Found>,
    pub(super) blank_lines: u64,
    pub(super) error: Option<Error>,
}

/// Reads with the largest blocks.
pub(super) fn read_whole(format: Format, options: &ReadOptions, bytes: &[u8]) -> Reading {
    read(format, options, Window::of_file("test".into(), Box::new(Cursor::new(bytes.to_vec()))), || None)
}

/// Reads with random short blocks and random deadlines.
pub(super) fn read_in_pieces(format: Format, options: &ReadOptions, bytes: &[u8], random: &mut Random) -> Reading {
    let scale = [1, 3, 50, 5000][random.below(4)];
    let piece_bytes_max = 1 + random.below(scale);
    let pieces = Pieces { bytes: Cursor::new(bytes.to_vec()), random: Random::new(random.0), piece_bytes_max };
    let mut hurry = Random::new(random.0 + 1);
    read(format, options, Window::of_file("test".into(), Box::new(pieces)), move || {
        let now = Instant::now();
        [None, Some(now), Some(now + Duration::from_secs(9))][hurry.below(3)]
    })
}

struct Pieces {
    bytes: Cursor<Vec<u8>>,
    random: Random,
    piece_bytes_max: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.random.below(20) == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = 1 + self.random.below(self.piece_bytes_max.min(buffer.len()));
        self.bytes.read(&mut buffer[..count])
    }
}

pub(super) fn read(
    format: Format,
    options: &ReadOptions,
    mut window: Window,
    mut wait: impl FnMut() -> Option<Instant>,
) -> Reading {
    let mut splitter = format.splitter(options);
    let mut reading = Reading { records: Vec::new(), blank_lines: 0, error: None };
    loop {
        match splitter.advance(&mut window, wait()) {
            Ok(Step::Record(spot)) => {
                let bytes = splitter.record(&window).to_vec();
                reading.records.push(Found { spot, bytes, problem: None, whole: None });
            }
            Ok(Step::Broken(spot, broken)) => reading.records.push(Found {
                spot,
                bytes: broken.kept,
                problem: Some(broken.problem.code),
                whole: Some((broken.total_bytes, broken.digest)),
            }),
            Ok(Step::Blank(count)) => reading.blank_lines += count,
            Ok(Step::Idle) => {}
            Ok(Step::End) => return reading,
            Err(error) => {
                reading.error = Some(error);
                return reading;
            }
        }
    }
}

/// A file written in some format, and what must come out of it.
#[derive(Default)]
struct Sample {
    file: Vec<u8>,
    wanted: Vec<Wanted>,
    blank_lines: u64,
    line: u64,
}

struct Wanted {
    spot: Spot,
    body: Vec<u8>,
    good: bool,
}

impl Sample {
    fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.file.extend_from_slice(bytes.as_ref());
    }

    fn expect(&mut self, body: impl AsRef<[u8]>, good: bool) {
        self.line += 1;
        let spot = Spot { line: self.line, offset: self.file.len() as u64 };
        self.wanted.push(Wanted { spot, body: body.as_ref().to_vec(), good });
    }
}

/// Writes a random file. A new format needs an arm here.
fn sample(format: Format, random: &mut Random) -> Sample {
    let mut sample = Sample::default();
    if random.below(3) == 0 {
        sample.write("\u{feff}");
    }
    match format {
        Format::Ndjson => lines(&mut sample, random),
        Format::JsonArray => array(&mut sample, random),
        Format::Csv => table(&mut sample, random, ","),
        Format::Tsv => table(&mut sample, random, "\t"),
    }
    sample
}

const BAD_JSON: [&[u8]; 7] =
    [b"{\"a\":1", b"{\"a\" 1}", b"{\"a\":\"\xff\"}", b"tru", b"\"\\ud800\"", b"01", b"{\"a\":\"\0\"}"];

fn lines(sample: &mut Sample, random: &mut Random) {
    let count = random.below(30);
    for i in 0..count {
        let end = random.one_of(&["\n", "\r\n"]);
        if random.below(6) == 0 {
            sample.write(random.one_of(&["", " ", "\t", "\r"]));
            sample.write(end);
            sample.blank_lines += 1;
            sample.line += 1;
            continue;
        }
        let good = random.below(5) > 0;
        let pad = random.one_of(&["", " ", "\t\r"]);
        let body = match good {
            true => format!("{pad}{}", random.json(3)).into_bytes(),
            false => random.one_of(&BAD_JSON.each_ref().map(|b| *b)).to_vec(),
        };
        sample.expect(&body, good);
        sample.write(&body);
        if i + 1 < count || random.below(2) == 0 {
            sample.write(end);
        }
    }
}

fn array(sample: &mut Sample, random: &mut Random) {
    let white = [" ", "\n", "\r\n  ", "", "\t"];
    sample.write(random.one_of(&white));
    sample.write("[");
    let count = random.below(30);
    for i in 0..count {
        sample.write(random.one_of(&white));
        let good = random.below(5) > 0;
        let value = random.json(3);
        let body = match (good, random.below(2)) {
            (true, 0) => value.to_string().into_bytes(),
            (true, _) => serde_json::to_string_pretty(&value).unwrap().into_bytes(),
            // What leaves brackets or quotes open has tests of its own.
            (false, _) => {
                random.one_of(&[&b"{\"a\" 1}"[..], b"{\"a\":\"\xff\"}", b"tru", b"01", b"1 2", b"{\"a\":[1}"]).to_vec()
            }
        };
        sample.expect(&body, good);
        sample.write(&body);
        sample.write(random.one_of(&white));
        sample.write(if i + 1 < count { "," } else { "" });
    }
    sample.write("]");
    sample.write(random.one_of(&white));
}

fn table(sample: &mut Sample, random: &mut Random, delimiter: &str) {
    let quotes = delimiter == ",";
    let field = |random: &mut Random| {
        let text = random.text(5);
        match quotes {
            true => text,
            false => text.replace(['\t', '\n', '\r'], " "),
        }
    };
    let written = |text: &str, random: &mut Random| {
        let needed = text.contains(['"', ',', '\n', '\r']);
        if quotes && (needed || random.below(4) == 0) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let names: Vec<String> = (0..1 + random.below(4)).map(|i| format!("{}{i}", field(random))).collect();
    let head: Vec<String> = names.iter().map(|n| written(n, random)).collect();
    sample.write(head.join(delimiter));
    sample.write(random.one_of(&["\n", "\r\n"]));
    for _ in 0..random.below(30) {
        let end = random.one_of(&["\n", "\r\n"]);
        if random.below(6) == 0 {
            sample.write(end);
            sample.blank_lines += 1;
            continue;
        }
        let values: Vec<String> = names.iter().map(|_| field(random)).collect();
        let mut fields: Vec<String> = values.iter().map(|v| written(v, random)).collect();
        let good = random.below(5) > 0;
        if !good {
            fields.push("one too many".to_owned());
        } else if fields.concat().is_empty() && fields.len() == 1 {
            continue;
        }
        let row = fields.join(delimiter);
        let members: Vec<String> =
            names.iter().zip(&values).map(|(n, v)| format!("{}:{}", json!(n), json!(v))).collect();
        let object = format!("{{{}}}", members.join(","));
        sample.expect(if good { &object } else { &row }, good);
        sample.write(row);
        sample.write(end);
    }
}

#[test]
fn every_format_gives_back_what_was_written_whatever_the_blocks_and_bad_records_cost_themselves() {
    let decoder = Decoder::new(None, MissingId::Reject);
    for format in Format::all() {
        for seed in 0..400 {
            let mut random = Random::new(seed);
            let sample = sample(format, &mut random);
            for _ in 0..3 {
                let read = read_in_pieces(format, &ReadOptions::default(), &sample.file, &mut random);
                let context = || format!("{format}, seed {seed}: {:?}", String::from_utf8_lossy(&sample.file));
                assert!(read.error.is_none(), "{}: {:?}", context(), read.error);
                assert_eq!(read.records.len(), sample.wanted.len(), "{}", context());
                assert_eq!(read.blank_lines, sample.blank_lines, "{}", context());
                for (found, wanted) in read.records.iter().zip(&sample.wanted) {
                    assert_eq!(
                        found.bytes.escape_ascii().to_string(),
                        wanted.body.escape_ascii().to_string(),
                        "{}",
                        context()
                    );
                    assert_eq!(found.spot, wanted.spot, "{}", context());
                    let raw = Raw { bytes: &found.bytes, id: None, position: Position::default() };
                    let good = found.problem.is_none() && decoder.judge(&raw).is_ok();
                    assert_eq!(good, wanted.good, "{}", context());
                }
            }
        }
    }
}

#[test]
fn arbitrary_bytes_give_the_same_records_whatever_the_blocks() {
    let alphabet = b"[]{}\",:\\\n\r\t a1\xff\"\"\n,,";
    for format in Format::all() {
        for seed in 0..1500 {
            let mut random = Random::new(seed);
            let mut file: Vec<u8> = (0..random.below(200)).map(|_| alphabet[random.below(alphabet.len())]).collect();
            match format {
                Format::JsonArray => file.insert(0, b'['),
                Format::Csv => file.splice(0..0, *b"x,y\n").for_each(drop),
                _ => {}
            }
            let line_bytes_max = [5, 20, 1000][random.below(3)];
            let options = ReadOptions { line_bytes_max, ..ReadOptions::default() };
            let wanted = read_whole(format, &options, &file);
            let found = read_in_pieces(format, &options, &file, &mut random);
            let context = || format!("{format}, seed {seed}: {}", file.escape_ascii());
            assert_eq!(found.records, wanted.records, "{}", context());
            assert_eq!(found.blank_lines, wanted.blank_lines, "{}", context());
            assert_eq!(found.error.map(|e| e.to_string()), wanted.error.map(|e| e.to_string()), "{}", context());
            for pair in wanted.records.windows(2) {
                assert!(
                    pair[0].spot.offset <= pair[1].spot.offset && pair[0].spot.line < pair[1].spot.line,
                    "{}",
                    context()
                );
            }
            for record in wanted.records.iter().filter(|r| r.problem.is_none()) {
                assert!(format != Format::Ndjson || record.bytes.len() <= line_bytes_max, "{}", context());
            }
        }
    }
}

#[test]
fn a_record_at_the_bound_passes_and_one_byte_more_does_not() {
    let body = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
    for (format, line_end) in
        [(Format::Ndjson, "\n"), (Format::Ndjson, "\r\n"), (Format::Ndjson, ""), (Format::JsonArray, "")]
    {
        for seed in 0..20 {
            let options = ReadOptions { line_bytes_max: 100, ..ReadOptions::default() };
            for (len, problem) in [(100, None), (101, Some("VALIDATION_4005"))] {
                let file = match format {
                    Format::JsonArray => format!("[{}]", body(len)),
                    _ => format!("{}{line_end}", body(len)),
                };
                let read = read_in_pieces(format, &options, file.as_bytes(), &mut Random::new(seed));
                assert_eq!(read.records[0].problem.as_deref(), problem, "{format} {line_end:?} {len}");
                assert_eq!(read.records[0].bytes, body(len).as_bytes());
                assert!(read.error.is_none());
            }
        }
    }
}
