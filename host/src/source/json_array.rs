//! The elements of one JSON array, one after another; the array is never held whole.
//!
//! An element is what stands between two commas at the top level, byte for byte, without the whitespace around it.
//! Its inside is judged later like any other record, so the splitter only follows strings, escapes and brackets.
//! Where an element is damaged, these rules find the next one, and the damaged one is refused when it is judged:
//! - a bracket of the wrong kind closes everything up to the nearest opener of its kind; a `]` without one ends the
//!   array, a `}` without one is ignored;
//! - a line break inside a string, right behind a comma, means that the string lacks its closing quote. If the element
//!   began on that line, it ends there (one element per line); else only the string does;
//! - nothing between two commas, or behind the last one, is an element without bytes, and refused as such.
//!
//! What cannot be put right ends the run: an array that is not closed, and content behind it.

use std::ops::Range;
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::model::{Broken, Digest, Problem};

use super::overlong::{self, Overlong};
use super::window::{Fill, Window};
use super::{ReadOptions, Splitter, Spot, Step};

const NOUN: &str = "element";

/// Splits elements.
pub(super) struct Elements {
    element_bytes_max: usize,
    place: Place,
    /// Number of the last element that was begun.
    number: u64,
    scan: Scan,
    /// Bytes at hand, from the element's first one, that the scan has seen.
    scanned_bytes: usize,
    /// Where the record given out stands in the window.
    body: Range<usize>,
    /// Bytes to give up before going on.
    given_bytes: usize,
    overlong: Option<Overlong>,
}

/// Where in the array the splitter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BeforeArray,
    /// Behind `[`.
    First,
    /// Behind a comma.
    AfterComma,
    InElement,
    AfterArray,
}

impl Elements {
    pub(super) fn new(options: &ReadOptions) -> Self {
        Self {
            element_bytes_max: options.line_bytes_max,
            place: Place::BeforeArray,
            number: 0,
            scan: Scan::default(),
            scanned_bytes: 0,
            body: 0..0,
            given_bytes: 0,
            overlong: None,
        }
    }

    /// One step outside elements, at a byte that is no whitespace. None: nothing to give out yet.
    fn outside(&mut self, window: &mut Window, byte: u8) -> Result<Option<Step>> {
        match (self.place, byte) {
            (Place::BeforeArray, b'[') => self.pass_by(window, Place::First),
            (Place::BeforeArray, _) => return Err(no_array(window, byte)),
            (Place::First, b']') => self.pass_by(window, Place::AfterArray),
            (Place::First | Place::AfterComma, b',') => {
                let step = self.empty(window);
                self.pass_by(window, Place::AfterComma);
                return Ok(Some(step));
            }
            (Place::AfterComma, b']') => {
                let step = self.empty(window);
                self.pass_by(window, Place::AfterArray);
                return Ok(Some(step));
            }
            (Place::First | Place::AfterComma, _) => {
                self.number += 1;
                self.scan = Scan::default();
                self.scanned_bytes = 0;
                self.place = Place::InElement;
            }
            (Place::AfterArray, _) => {
                let (at, number) = (window.offset(), self.number);
                let error = window.error(format_args!(
                    "has content behind the end of its array, at byte {at} (after {number} elements)"
                ));
                return Err(error.hint("one JSON value per line is read with --format ndjson; else mend the array"));
            }
            (Place::InElement, _) => unreachable!("BUG: an element is scanned, not stepped over"),
        }
        Ok(None)
    }

    fn pass_by(&mut self, window: &mut Window, place: Place) {
        window.consume(1);
        self.place = place;
    }

    fn empty(&mut self, window: &Window) -> Step {
        self.number += 1;
        let problem = Problem::of_host(Code::Undecodable, "an element is missing: nothing stands behind a comma");
        let broken = Broken { problem, kept: Vec::new(), total_bytes: 0, digest: Digest::of(b"") };
        Step::Broken(self.spot(window), Box::new(broken))
    }

    fn spot(&self, window: &Window) -> Spot {
        Spot { line: self.number, offset: window.offset() }
    }

    /// Scans the bytes at hand. None: the element goes on behind them.
    fn inside(&mut self, window: &mut Window) -> Option<Step> {
        let bytes = window.bytes();
        let (seen, end) = self.scan.go_on(bytes, self.scanned_bytes);
        self.scanned_bytes = seen;
        let Some(end) = end else {
            if seen > self.element_bytes_max || self.overlong.is_some() {
                let spot = self.spot(window);
                let overlong = self.overlong.get_or_insert_with(|| Overlong::new(spot));
                overlong.take(window.bytes());
                window.consume(seen);
                self.scanned_bytes = 0;
            }
            return None;
        };
        // The last byte seen is the separator. The bound counts the bytes up to it, whatever pieces they came in.
        let ended = &bytes[..seen - 1];
        self.place = match end {
            // A damaged line ends with a comma, or it would not count as one.
            End::Comma | End::DamagedLine => Place::AfterComma,
            End::Array => Place::AfterArray,
        };
        self.scanned_bytes = 0;
        let mut body = ended.trim_ascii_end();
        if end == End::DamagedLine {
            body = body.strip_suffix(b",").unwrap_or(body);
        }
        if let Some(mut overlong) = self.overlong.take() {
            overlong.take(ended);
            window.consume(seen);
            let (spot, broken) = overlong.finish(NOUN, self.element_bytes_max, false);
            return Some(Step::Broken(spot, broken));
        }
        self.body = 0..body.len();
        self.given_bytes = seen;
        let spot = self.spot(window);
        if ended.len() > self.element_bytes_max {
            return Some(Step::Broken(spot, overlong::of_whole(ended, NOUN, self.element_bytes_max)));
        }
        Some(Step::Record(spot))
    }

    /// The input is at its end.
    fn end(&self, window: &Window) -> Result<Step> {
        let number = self.number;
        let at = self.overlong.as_ref().map_or(window.offset(), |o| o.spot().offset);
        Err(match self.place {
            Place::AfterArray => return Ok(Step::End),
            Place::BeforeArray => window.error("is empty; a JSON array begins with `[`").hint(HINT_NDJSON),
            Place::InElement => window.error(format_args!(
                "ends inside its array: element {number}, at byte {at}, has no end (a quote or a bracket is missing?)"
            )),
            _ => window.error(format_args!("ends in its array at byte {at}: `]` is missing behind element {number}")),
        })
    }
}

impl Splitter for Elements {
    fn advance(&mut self, window: &mut Window, wait: Option<Instant>) -> Result<Step> {
        window.consume(std::mem::take(&mut self.given_bytes));
        loop {
            if self.place == Place::InElement {
                if let Some(step) = self.inside(window) {
                    return Ok(step);
                }
            } else {
                let white = window.bytes().iter().take_while(|b| is_white(**b)).count();
                window.consume(white);
                if let Some(&byte) = window.bytes().first() {
                    match self.outside(window, byte)? {
                        Some(step) => return Ok(step),
                        None => continue,
                    }
                }
            }
            match window.fill(wait)? {
                Fill::More => {}
                Fill::Idle => return Ok(Step::Idle),
                Fill::End if window.bytes().len() > self.scanned_bytes => {}
                Fill::End => return self.end(window),
            }
        }
    }

    fn record<'a>(&'a self, window: &'a Window) -> &'a [u8] {
        &window.bytes()[self.body.clone()]
    }
}

const HINT_NDJSON: &str = "one JSON value per line is read with --format ndjson";

fn no_array(window: &Window, byte: u8) -> Error {
    let error = window.error(format_args!(
        "is no JSON array: `[` is wanted first, found `{}` at byte {}",
        byte.escape_ascii(),
        window.offset()
    ));
    match byte {
        b'{' => error.hint(format!("{HINT_NDJSON}; a single object over several lines needs brackets around it")),
        _ => error.hint(HINT_NDJSON),
    }
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// How an element ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Comma,
    Array,
    DamagedLine,
}

/// Follows strings and brackets through one element.
#[derive(Debug, Default)]
struct Scan {
    /// Brackets that are open.
    depth: u64,
    /// Kinds of the outer [`KINDS`] of them, outermost in bit 0; 1 is `[`. Deeper elements are refused by the judge, so
    /// no more need be known.
    arrays: u128,
    in_string: bool,
    escaped: bool,
    line_break_seen: bool,
    /// True if the last byte of the string that is no whitespace was a comma.
    comma_in_string: bool,
}

const KINDS: u64 = u128::BITS as u64;

impl Scan {
    /// Scans `bytes[from..]`. Gives how many bytes were seen in all, and how the element ended with the last of them.
    fn go_on(&mut self, bytes: &[u8], from: usize) -> (usize, Option<End>) {
        let mut at = from;
        while at < bytes.len() {
            if self.in_string {
                at = self.string(bytes, at);
                if at < bytes.len() && bytes[at] == b'\n' && self.in_string {
                    at += 1;
                    if let Some(end) = self.line_break_in_string() {
                        return (at, Some(end));
                    }
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            match byte {
                b'"' => self.in_string = true,
                b'[' | b'{' => self.open(byte == b'['),
                b']' if self.close(true) => return (at, Some(End::Array)),
                b'}' => drop(self.close(false)),
                b',' if self.depth == 0 => return (at, Some(End::Comma)),
                b'\n' => self.line_break_seen = true,
                _ => {}
            }
        }
        (at, None)
    }

    /// Goes on inside a string, to behind its closing quote, to a line break in it, or to the end of the bytes.
    fn string(&mut self, bytes: &[u8], mut at: usize) -> usize {
        if std::mem::take(&mut self.escaped) {
            at += 1;
            self.comma_in_string = false;
        }
        while at < bytes.len() {
            let found = memchr::memchr3(b'"', b'\\', b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
            self.note_comma(&bytes[at..at + found]);
            at += found;
            match bytes.get(at) {
                Some(b'"') => {
                    self.in_string = false;
                    self.comma_in_string = false;
                    return at + 1;
                }
                Some(b'\\') => {
                    self.comma_in_string = false;
                    self.escaped = at + 1 >= bytes.len();
                    at += 2;
                }
                _ => return at,
            }
        }
        at.min(bytes.len())
    }

    fn note_comma(&mut self, part: &[u8]) {
        if let Some(last) = part.iter().rev().find(|b| !is_white(**b)) {
            self.comma_in_string = *last == b',';
        }
    }

    /// See the rules in the module's head.
    fn line_break_in_string(&mut self) -> Option<End> {
        let first = !std::mem::replace(&mut self.line_break_seen, true);
        let unclosed = std::mem::take(&mut self.comma_in_string);
        if unclosed && first {
            return Some(End::DamagedLine);
        }
        self.in_string = !unclosed;
        None
    }

    fn open(&mut self, array: bool) {
        if self.depth < KINDS {
            let bit = 1 << self.depth;
            self.arrays = if array { self.arrays | bit } else { self.arrays & !bit };
        }
        self.depth += 1;
    }

    /// Closes a bracket. True if it can only be the end of the whole array.
    fn close(&mut self, array: bool) -> bool {
        if self.depth > KINDS {
            self.depth -= 1;
            return false;
        }
        let open = if self.depth == KINDS { u128::MAX } else { (1 << self.depth) - 1 };
        let same_kind = open & if array { self.arrays } else { !self.arrays };
        if same_kind == 0 {
            return array;
        }
        self.depth = u64::from(same_kind.ilog2());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{Random, read_in_pieces, read_whole};
    use super::super::{Format, ReadOptions};
    use super::*;

    fn elements(text: &str) -> Vec<String> {
        let read = read_whole(Format::JsonArray, &ReadOptions::default(), text.as_bytes());
        assert!(read.error.is_none(), "{text}: {:?}", read.error);
        read.records.iter().map(|r| String::from_utf8(r.bytes.clone()).unwrap()).collect()
    }

    #[test]
    fn elements_come_byte_for_byte_without_the_whitespace_around_them() {
        assert_eq!(elements("[]"), [""; 0]);
        assert_eq!(elements(" \n[\t] \r\n"), [""; 0]);
        assert_eq!(elements("[1]"), ["1"]);
        assert_eq!(
            elements("\u{feff}[ 1 ,\n \"a,]\\\"[\" , {\"a\": [1,\n 2]}\t]\n"),
            ["1", "\"a,]\\\"[\"", "{\"a\": [1,\n 2]}"]
        );
        assert_eq!(elements("[\"\\\\\",[[]],{}]"), ["\"\\\\\"", "[[]]", "{}"]);
    }

    #[test]
    fn a_damaged_element_costs_itself() {
        assert_eq!(elements(r#"[{"a":[1},{"b":2}]"#), [r#"{"a":[1}"#, r#"{"b":2}"#], "wrong closer");
        assert_eq!(elements(r#"[{"a":}},{"b":2}]"#), [r#"{"a":}}"#, r#"{"b":2}"#], "one closer too many");
        assert_eq!(elements(r#"[{"a":1,,},[1 2],{"b":2}]"#), [r#"{"a":1,,}"#, "[1 2]", r#"{"b":2}"#]);
        assert_eq!(elements("[{\"a\":\"x\ny\"},{\"b\":2}]"), ["{\"a\":\"x\ny\"}", "{\"b\":2}"], "raw line break");
        assert_eq!(
            elements("[\n{\"a\":\"x},\n{\"b\":2}\n]"),
            ["{\"a\":\"x}", "{\"b\":2}"],
            "a quote is missing, one per line"
        );
        assert_eq!(
            elements("[\n{\n\"a\":\"x,\n\"b\":1\n},\n{\"b\":2}\n]"),
            ["{\n\"a\":\"x,\n\"b\":1\n}", "{\"b\":2}"],
            "a quote is missing, over several lines"
        );
        assert_eq!(elements("[1,,2,]"), ["1", "", "2", ""], "missing elements");
        assert_eq!(elements("[,]"), ["", ""]);
    }

    #[test]
    fn what_is_no_closed_array_ends_the_run_after_the_good_elements() {
        for (text, good, message, hint) in [
            ("", 0, "is empty", "--format ndjson"),
            ("{\"a\":1}", 0, "found `{` at byte 0", "--format ndjson; a single object"),
            (" 7", 0, "found `7` at byte 1", "--format ndjson"),
            ("[1,2", 1, "element 2, at byte 3, has no end", "get the whole input"),
            ("[1,2,", 2, "`]` is missing behind element 2", "get the whole input"),
            ("[{\"a\":\"x},{\"b\":\"y\"}]", 0, "element 1, at byte 1, has no end", "get the whole input"),
            ("[1] [2]", 1, "content behind the end of its array, at byte 4", "mend the array"),
        ] {
            let read = read_whole(Format::JsonArray, &ReadOptions::default(), text.as_bytes());
            let error = read.error.unwrap_or_else(|| panic!("{text} was read without an error"));
            assert_eq!((read.records.len(), error.code()), (good, Code::InputCutShort), "{text}");
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(error.hint_text().contains(hint), "{text}: {}", error.hint_text());
        }
    }

    #[test]
    fn a_million_brackets_cost_their_element_and_no_memory() {
        for open in ["[", "{\"a\":", "[{\"a\":"] {
            let deep = open.repeat(1_000_000);
            let closer = |c| [('[', ']'), ('{', '}')].iter().find(|p| p.0 == c).map(|p| p.1);
            let close: String = open.chars().rev().filter_map(closer).collect();
            let text = format!("[1,{deep}1{},2]", close.repeat(1_000_000));
            let options = ReadOptions { line_bytes_max: 100_000, ..ReadOptions::default() };
            let read = read_whole(Format::JsonArray, &options, text.as_bytes());
            assert!(read.error.is_none(), "{:?}", read.error);
            let [_, deep, last] = &read.records[..] else { panic!("{} elements", read.records.len()) };
            assert_eq!(deep.problem.as_deref(), Some("VALIDATION_4005"));
            assert_eq!((last.bytes.as_slice(), last.spot.line), (&b"2"[..], 3));
        }
    }

    #[test]
    fn splits_every_array_as_serde_json_does() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let values: Vec<serde_json::Value> = (0..random.below(12)).map(|_| random.json(3)).collect();
            let text = match seed % 3 {
                0 => serde_json::to_string(&values).unwrap(),
                1 => serde_json::to_string_pretty(&values).unwrap(),
                _ => {
                    let lines: Vec<String> = values.iter().map(|v| v.to_string()).collect();
                    format!("[\r\n{}\r\n]\r\n", lines.join(",\r\n"))
                }
            };
            let wanted: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(&text).unwrap();
            let read = read_in_pieces(Format::JsonArray, &ReadOptions::default(), text.as_bytes(), &mut random);
            assert!(read.error.is_none(), "seed {seed}: {:?}", read.error);
            assert_eq!(read.records.len(), wanted.len(), "seed {seed}: {text}");
            for (i, (found, wanted)) in read.records.iter().zip(&wanted).enumerate() {
                assert_eq!(found.bytes, wanted.get().as_bytes(), "seed {seed}");
                assert_eq!(found.spot.line, i as u64 + 1, "seed {seed}");
                let at = found.spot.offset as usize;
                assert_eq!(&text.as_bytes()[at..at + found.bytes.len()], found.bytes, "seed {seed}");
            }
        }
    }
}
