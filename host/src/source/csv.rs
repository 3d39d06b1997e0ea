//! Comma- and tab-separated values.
//!
//! The header names the members; each row becomes a JSON object with its values as strings, in the order of the
//! header. Nothing is converted: values stay text. Positions count rows from 1, the header left out.
//!
//! CSV follows RFC 4180, strictly: a field that begins with a quote is quoted, may hold delimiters, line breaks and
//! doubled quotes, and must be followed by a delimiter or the end of the row; a quote or a carriage return inside any other
//! field, and a row with another number of fields than the header, cost that row. A quote that is not closed within the length bound
//! costs the line that it stands on, and reading goes on at the next one.
//! TSV follows its registration (text/tab-separated-values): a value is what stands between tabs; quotes mean nothing,
//! and a value cannot hold a tab or a line break. Quoted values between tabs are CSV with another delimiter.
//! Rows end with LF or CRLF. An empty line is blank: skipped and counted.

use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::model::{Broken, Digest, Problem};

use super::overlong::{self, Overlong};
use super::row::{header, object};
use super::window::{Fill, Window};
use super::{ReadOptions, Splitter, Spot, Step};

const NOUN: &str = "row";

/// Options of CSV and TSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvOptions {
    /// One ASCII byte, no quote and no line end; none: a comma for CSV, a tab for TSV.
    pub delimiter: Option<u8>,
    /// False: the first row is data, and members are named `c1`, `c2` and so on.
    pub header: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: None, header: true }
    }
}

impl CsvOptions {
    /// Refuses a delimiter that cannot be one.
    pub(super) fn check(&self) -> Result<()> {
        match self.delimiter {
            Some(byte) if !byte.is_ascii() || matches!(byte, b'"' | b'\n' | b'\r' | 0) => {
                let message = format!("the delimiter `{}` cannot be used", byte.escape_ascii());
                Err(Error::new(Code::ConfigInvalid, message)
                    .hint("use one ASCII character that is no quote and no line end"))
            }
            _ => Ok(()),
        }
    }
}

/// What separates fields, and whether quotes mean anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quotes: bool,
    pub(super) header: bool,
}

impl Dialect {
    pub(super) fn csv(options: &CsvOptions) -> Self {
        Self { delimiter: options.delimiter.unwrap_or(b','), quotes: true, header: options.header }
    }

    pub(super) fn tsv(options: &CsvOptions) -> Self {
        Self { delimiter: options.delimiter.unwrap_or(b'\t'), quotes: false, header: options.header }
    }
}

/// Splits rows.
pub(super) struct Rows {
    row_bytes_max: usize,
    dialect: Dialect,
    /// Each member's name as JSON text with its colon; none until the header, or the first row, was read.
    members: Option<Vec<String>>,
    /// Number of the last row that was given out.
    row: u64,
    /// Line of the input that the window stands on, from 1.
    line: u64,
    /// The object made of the last row.
    object: String,
    scan: Scan,
    overlong: Option<Overlong>,
}

impl Rows {
    pub(super) fn new(options: &ReadOptions, dialect: Dialect) -> Self {
        Self {
            row_bytes_max: options.line_bytes_max,
            dialect,
            members: None,
            row: 0,
            line: 1,
            object: String::new(),
            scan: Scan::default(),
            overlong: None,
        }
    }

    /// Takes the row in `window[..len]`, followed by `end_bytes` (0 or 1) of line end. None: it was the header.
    fn row(&mut self, window: &mut Window, len: usize, end_bytes: usize) -> Result<Option<Step>> {
        let bytes = window.bytes();
        // The last row may lack its line feed.
        let row = bytes[..len].strip_suffix(b"\r").unwrap_or(&bytes[..len]);
        if row.is_empty() {
            window.consume(len + end_bytes);
            self.line += 1;
            return Ok(Some(Step::Blank(1)));
        }
        let lines = 1 + memchr::memchr_iter(b'\n', row).count() as u64;
        let spot = Spot { line: self.row + 1, offset: window.offset() };
        if row.len() > self.row_bytes_max {
            let broken = overlong::of_whole(row, NOUN, self.row_bytes_max);
            return self.broken(window, len + end_bytes, lines, spot, broken).map(Some);
        }
        let Some(members) = &self.members else {
            let header = header(row, self.dialect).map_err(|what| bad_header(window, &what))?;
            let is_data = !self.dialect.header;
            self.members = Some(header);
            if is_data {
                return self.row(window, len, end_bytes);
            }
            window.consume(len + end_bytes);
            self.line += lines;
            return Ok(None);
        };
        match object(row, self.dialect, members, &mut self.object) {
            Ok(()) => {
                self.row += 1;
                self.line += lines;
                window.consume(len + end_bytes);
                Ok(Some(Step::Record(spot)))
            }
            Err(what) if end_bytes == 0 && window.torn_possible() => {
                let (number, at) = (spot.line, spot.offset);
                Err(window.error(format_args!(
                    "ends in the middle of row {number}, which begins at byte {at}: no line feed, and {what}"
                )))
            }
            Err(what) => {
                let mut problem = Problem::of_host(Code::Undecodable, what);
                problem.details.push(("line".to_owned(), self.line.to_string()));
                let broken =
                    Broken { problem, kept: row.to_vec(), total_bytes: row.len() as u64, digest: Digest::of(row) };
                self.broken(window, len + end_bytes, lines, spot, Box::new(broken)).map(Some)
            }
        }
    }

    fn broken(
        &mut self,
        window: &mut Window,
        bytes: usize,
        lines: u64,
        spot: Spot,
        broken: Box<Broken>,
    ) -> Result<Step> {
        if self.members.is_none() {
            return Err(bad_header(window, &broken.problem.message));
        }
        window.consume(bytes);
        self.row += 1;
        self.line += lines;
        Ok(Step::Broken(spot, broken))
    }

    /// Lets a line over the bound pass by.
    fn pass(&mut self, window: &mut Window, mut row: Overlong, wait: Option<Instant>) -> Result<Step> {
        loop {
            let bytes = window.bytes();
            let end = memchr::memchr(b'\n', bytes);
            let count = end.unwrap_or(bytes.len());
            row.take(&bytes[..count]);
            window.consume(count + usize::from(end.is_some()));
            let fill = if end.is_some() { Fill::End } else { window.fill(wait)? };
            match fill {
                Fill::Idle => {
                    self.overlong = Some(row);
                    return Ok(Step::Idle);
                }
                Fill::End if end.is_some() || window.bytes().is_empty() => {
                    let (spot, broken) = row.finish(NOUN, self.row_bytes_max, end.is_some());
                    return self.broken(window, 0, 1, spot, broken);
                }
                Fill::More | Fill::End => {}
            }
        }
    }

    /// The bytes in which a row must end: so many that one more than the bound is seen, and a carriage return. The same
    /// whatever pieces the input comes in.
    fn reach<'a>(&self, window: &'a Window) -> &'a [u8] {
        let bytes = window.bytes();
        &bytes[..bytes.len().min(self.row_bytes_max + 2)]
    }

    /// A row whose end is not at hand: over the bound, or at the end of the input. None: the row was the header.
    fn unended(&mut self, window: &mut Window, wait: Option<Instant>, at_end: bool) -> Result<Option<Step>> {
        let bytes = self.reach(window);
        let len = bytes.len();
        let open_quote = std::mem::take(&mut self.scan).open_quote();
        let line_end = open_quote.and_then(|quote| Some(quote + memchr::memchr(b'\n', &bytes[quote..])?));
        if let Some(line_end) = line_end {
            return self.row(window, line_end, 1);
        }
        if at_end {
            return if len == 0 { self.end(window).map(Some) } else { self.row(window, len, 0) };
        }
        let mut row = Overlong::new(Spot { line: self.row + 1, offset: window.offset() });
        row.take(bytes);
        self.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
        window.consume(len);
        self.pass(window, row, wait).map(Some)
    }

    fn end(&self, window: &Window) -> Result<Step> {
        if self.members.is_none() && self.dialect.header {
            return Err(bad_header(window, "the input is empty"));
        }
        Ok(Step::End)
    }
}

impl Splitter for Rows {
    fn advance(&mut self, window: &mut Window, wait: Option<Instant>) -> Result<Step> {
        if let Some(row) = self.overlong.take() {
            return self.pass(window, row, wait);
        }
        loop {
            let bytes = self.reach(window);
            let over = bytes.len() > self.row_bytes_max + 1;
            let step = if let Some(len) = self.scan.row_end(bytes, self.dialect) {
                self.scan = Scan::default();
                self.row(window, len, 1)?
            } else if over {
                self.unended(window, wait, false)?
            } else {
                match window.fill(wait)? {
                    Fill::More => None,
                    Fill::Idle => return Ok(Step::Idle),
                    Fill::End if window.bytes().len() > self.scan.seen => None,
                    Fill::End => self.unended(window, wait, true)?,
                }
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn record<'a>(&'a self, _window: &'a Window) -> &'a [u8] {
        self.object.as_bytes()
    }
}

fn bad_header(window: &Window, what: &str) -> Error {
    window
        .error(format_args!("cannot be read as a table: header: {what}"))
        .hint("the first row must name every member once: check the delimiter, or say that there is no header")
}

/// Finds the end of a row, whatever pieces it comes in.
#[derive(Debug, Default)]
struct Scan {
    /// Bytes that were looked at.
    seen: usize,
    state: FieldState,
    /// Where the last quoted field began.
    quote: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum FieldState {
    #[default]
    Start,
    Plain,
    Quoted,
    /// Behind a quote in a quoted field: its end, or the first of a doubled one.
    Closed,
}

impl Scan {
    /// Index of the line feed that ends the row; none if it is not at hand.
    fn row_end(&mut self, bytes: &[u8], dialect: Dialect) -> Option<usize> {
        while self.seen < bytes.len() {
            let rest = &bytes[self.seen..];
            if self.state == FieldState::Quoted {
                let Some(at) = memchr::memchr(b'"', rest) else {
                    self.seen = bytes.len();
                    break;
                };
                self.state = FieldState::Closed;
                self.seen += at + 1;
                continue;
            }
            let byte = rest[0];
            match (self.state, byte) {
                (_, b'\n') => return Some(self.seen),
                (FieldState::Start, b'"') if dialect.quotes => {
                    self.quote = self.seen;
                    self.state = FieldState::Quoted;
                }
                (FieldState::Closed, b'"') => self.state = FieldState::Quoted,
                (_, b) if b == dialect.delimiter => self.state = FieldState::Start,
                _ => {
                    self.state = FieldState::Plain;
                    let next = if dialect.quotes {
                        memchr::memchr2(dialect.delimiter, b'\n', rest)
                    } else {
                        memchr::memchr(b'\n', rest)
                    };
                    self.seen += next.unwrap_or(rest.len());
                    continue;
                }
            }
            self.seen += 1;
        }
        None
    }

    /// Where the quote stands that is still open.
    fn open_quote(&self) -> Option<usize> {
        (self.state == FieldState::Quoted).then_some(self.quote)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::conformance::{Reading, read, read_whole};
    use super::super::input::Opened;
    use super::*;
    use std::io::Cursor;

    fn csv(text: impl AsRef<[u8]>) -> Reading {
        read_whole(Format::Csv, &ReadOptions::default(), text.as_ref())
    }

    fn texts(reading: &Reading) -> Vec<String> {
        assert!(reading.error.is_none(), "{:?}", reading.error);
        let text = |r: &super::super::conformance::Found| match r.problem {
            None => String::from_utf8(r.bytes.clone()).unwrap(),
            Some(_) => format!("bad: {}", r.bytes.escape_ascii()),
        };
        reading.records.iter().map(text).collect()
    }

    #[test]
    fn a_row_becomes_an_object_of_texts_in_the_order_of_the_header() {
        let read = csv("b,a,\"c \"\"d\"\"\"\r\n1,007,\r\n=cmd(),\"x\n,\"\"y\"\"\", z \n");
        assert_eq!(
            texts(&read),
            [r#"{"b":"1","a":"007","c \"d\"":""}"#, r#"{"b":"=cmd()","a":"x\n,\"y\"","c \"d\"":" z "}"#]
        );
    }

    #[test]
    fn every_control_character_survives_as_an_escape() {
        let all: String = (1..0x80u8).map(char::from).filter(|c| !matches!(c, '"' | '\n')).collect();
        let read = csv(format!("a\n\"{all}\"\"\n\"\n"));
        let value: serde_json::Value = serde_json::from_slice(&read.records[0].bytes).unwrap();
        assert_eq!(value["a"].as_str(), Some(format!("{all}\"\n").as_str()));
    }

    #[test]
    fn what_breaks_the_rules_costs_its_row() {
        let read = csv(b"a,b\n1\n1,2,3\nx\"y,2\n\"x\"y,2\n\xff,2\n,\n\"\n\",2\n\"5,6\n7,8\n");
        assert_eq!(
            texts(&read),
            [
                "bad: 1",
                "bad: 1,2,3",
                "bad: x\\\"y,2",
                "bad: \\\"x\\\"y,2",
                "bad: \\xff,2",
                r#"{"a":"","b":""}"#,
                r#"{"a":"\n","b":"2"}"#,
                "bad: \\\"5,6",
                r#"{"a":"7","b":"8"}"#
            ]
        );
        let spots: Vec<_> = read.records.iter().map(|r| (r.spot.line, r.spot.offset)).collect();
        assert_eq!(spots[6..], [(7, 31), (8, 37), (9, 42)]);
    }

    #[test]
    fn a_bad_row_names_its_number_its_line_and_what_was_wanted() {
        let mut window = Window::of_file("x".into(), Box::new(Cursor::new("a,b\n\n\"\n\",1\n1\n")));
        let mut rows = Rows::new(&ReadOptions::default(), Dialect::csv(&CsvOptions::default()));
        let problem = loop {
            if let Step::Broken(spot, broken) = rows.advance(&mut window, None).unwrap() {
                assert_eq!(spot, Spot { line: 2, offset: 11 });
                break broken.problem;
            }
        };
        assert_eq!(problem.code, "VALIDATION_4004");
        assert_eq!(problem.message, "fields: 1 in the row, 2 in the header");
        assert_eq!(problem.details, [("line".to_owned(), "5".to_owned())]);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_line_and_long_rows_keep_their_head() {
        let options = ReadOptions { line_bytes_max: 20, ..ReadOptions::default() };
        let text = format!("a,b\n1,\"x\n3,4\n{},y\n5,\"{}\n7,8\n", "z".repeat(50), "\n".repeat(30));
        let read = read_whole(Format::Csv, &options, text.as_bytes());
        let found = texts(&read);
        assert_eq!(found[..2], ["bad: 1,\\\"x".to_owned(), r#"{"a":"3","b":"4"}"#.to_owned()]);
        assert_eq!(found[2], format!("bad: {},y", "z".repeat(50)));
        assert_eq!(read.records[2].problem.as_deref(), Some("VALIDATION_4005"));
        assert_eq!(found[3..], ["bad: 5,\\\"".to_owned(), r#"{"a":"7","b":"8"}"#.to_owned()]);
        assert_eq!(read.blank_lines, 30);
    }

    #[test]
    fn a_bad_header_is_an_error_before_anything_is_read() {
        for (text, what) in [
            ("", "the input is empty"),
            ("a,,b\n1,2,3\n", "column 2 has no name"),
            ("a,b,\"a\"\n1,2,3\n", "column 3 has the name of an earlier one, \"a\""),
            ("a,b\"\n", "a quote inside an unquoted field"),
            ("a,b\r1,2\r3,4\r", "a carriage return without a line feed inside an unquoted field, at byte 3 of the row"),
            ("\"a\n1\n", "is not closed"),
        ] {
            let read = csv(text);
            let error = read.error.unwrap_or_else(|| panic!("{text:?} is read"));
            assert!(error.to_string().contains(what) && read.records.is_empty(), "{text:?}: {error}");
        }
        let long =
            read_whole(Format::Csv, &ReadOptions { line_bytes_max: 3, ..ReadOptions::default() }, b"abcdefgh\n1\n");
        assert!(long.error.unwrap().to_string().contains("the bound is 3 bytes"));
    }

    /// Lines that end as on a Macintosh of old would be one row.
    #[test]
    fn a_carriage_return_alone_ends_no_row_and_is_told() {
        let read = csv("x\n1\r2\r3\n4\r\n\"5\r6\"\n7\r");
        let wanted = ["bad: 1\\r2\\r3", r#"{"x":"4"}"#, r#"{"x":"5\r6"}"#, r#"{"x":"7"}"#];
        assert_eq!(texts(&read), wanted);
        let read = read_whole(Format::Tsv, &ReadOptions::default(), b"a\tb\r1\t2\r");
        assert!(read.error.unwrap().to_string().contains("column 2 has a carriage return in its name"));
    }

    #[test]
    fn without_a_header_members_are_numbered() {
        let options =
            ReadOptions { csv: CsvOptions { header: false, delimiter: Some(b';') }, ..ReadOptions::default() };
        let read = read_whole(Format::Csv, &options, b"x;y,z\n1;2;3\n3;4");
        assert_eq!(texts(&read), [r#"{"c1":"x","c2":"y,z"}"#, "bad: 1;2;3", r#"{"c1":"3","c2":"4"}"#]);
        assert_eq!(read.records[0].spot, Spot { line: 1, offset: 0 });
        assert!(read_whole(Format::Csv, &options, b"").error.is_none(), "no row at all is no error");
    }

    #[test]
    fn quotes_mean_nothing_between_tabs() {
        let read = read_whole(Format::Tsv, &ReadOptions::default(), b"a\tb\n\"x\t\"\"\n1\t2\t3\n");
        assert_eq!(texts(&read), [r#"{"a":"\"x","b":"\"\""}"#, "bad: 1\\t2\\t3"]);
    }

    #[test]
    fn a_pipe_that_ends_within_a_row_is_an_error_if_that_row_cannot_be_read() {
        for (text, torn) in
            [("a,b\n1,2\n3", true), ("a,b\n1,2\n3,", false), ("a,b\n1,2\n3\n", false), ("a,b\n1,2\n3,\"x", true)]
        {
            let reader = Box::new(Cursor::new(text));
            let window = Window::of_pipe("-".into(), move || Ok(Opened { reader, sealed: false })).unwrap();
            let read = read(Format::Csv, &ReadOptions::default(), window, || None);
            assert_eq!(
                read.error.map(|e| e.to_string().contains("in the middle of row 2")),
                torn.then_some(true),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_delimiter_that_cannot_be_one_is_refused() {
        for byte in [b'"', b'\n', b'\r', 0, 0xc3] {
            assert!(CsvOptions { delimiter: Some(byte), header: true }.check().is_err(), "{byte}");
        }
        assert!(CsvOptions { delimiter: Some(b';'), header: true }.check().is_ok());
    }
}
