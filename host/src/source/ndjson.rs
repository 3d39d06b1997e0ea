//! One JSON value per line.
//!
//! A line ends with a line feed; a carriage return right before it is no part of the body. Any other carriage return
//! is JSON whitespace and stays. The body is the line, byte for byte. A line of nothing but spaces, tabs and carriage
//! returns is blank: skipped and counted. The last line needs no line feed; where the input is a pipe without
//! compression, a last line that has none and cannot be decoded counts as torn off, and ends the run.

use std::ops::Range;
use std::time::Instant;

use crate::error::Result;

use super::decode::judge_body;
use super::overlong::{self, Overlong};
use super::window::{Fill, Window};
use super::{ReadOptions, Splitter, Spot, Step};

const NOUN: &str = "line";

/// Splits lines.
pub(super) struct Lines {
    line_bytes_max: usize,
    /// Number of the last line that was given out or skipped.
    line: u64,
    /// Where the record given out stands in the window.
    body: Range<usize>,
    /// Bytes to give up before going on: the record given out and its line end.
    given_bytes: usize,
    /// Bytes at hand that hold no line feed.
    searched_bytes: usize,
    overlong: Option<Overlong>,
}

impl Lines {
    pub(super) fn new(options: &ReadOptions) -> Self {
        let line_bytes_max = options.line_bytes_max;
        Self { line_bytes_max, line: 0, body: 0..0, given_bytes: 0, searched_bytes: 0, overlong: None }
    }

    /// Judges the line in `window[..len]`, which is followed by `end_bytes` (0 or 1) of line end.
    fn line(&mut self, window: &mut Window, len: usize, end_bytes: usize) -> Step {
        let bytes = window.bytes();
        let body = match bytes[..len].split_last() {
            Some((b'\r', before)) if end_bytes == 1 => before,
            _ => &bytes[..len],
        };
        self.line += 1;
        if body.len() <= self.line_bytes_max && is_blank(body) {
            let mut count = len + end_bytes;
            let more = bytes[count..].iter().take_while(|&&b| b == b'\n').count();
            count += more;
            self.line += more as u64;
            window.consume(count);
            return Step::Blank(1 + more as u64);
        }
        let spot = Spot { line: self.line, offset: window.offset() };
        self.body = 0..body.len();
        self.given_bytes = len + end_bytes;
        if body.len() > self.line_bytes_max {
            return Step::Broken(spot, overlong::of_whole(body, NOUN, self.line_bytes_max));
        }
        Step::Record(spot)
    }

    /// The last line, which has no line feed.
    fn last(&mut self, window: &mut Window) -> Result<Step> {
        let bytes = window.bytes();
        if bytes.is_empty() {
            return Ok(Step::End);
        }
        let torn = window.torn_possible() && !is_blank(bytes) && bytes.len() <= self.line_bytes_max;
        if torn && !std::str::from_utf8(bytes).is_ok_and(|text| judge_body(text).is_ok()) {
            let (line, at) = (self.line + 1, window.offset());
            let error = window.error(format_args!(
                "ends in the middle of line {line}, which begins at byte {at}: no line feed, and not decodable"
            ));
            return Err(error);
        }
        Ok(self.line(window, bytes.len(), 0))
    }

    /// Lets a line over the bound pass by.
    fn pass(&mut self, window: &mut Window, mut line: Overlong, wait: Option<Instant>) -> Result<Step> {
        loop {
            let bytes = window.bytes();
            let end = memchr::memchr(b'\n', bytes);
            let count = end.unwrap_or(bytes.len());
            line.take(&bytes[..count]);
            window.consume(count + usize::from(end.is_some()));
            let fill = if end.is_some() { Fill::End } else { window.fill(wait)? };
            match fill {
                Fill::More => {}
                Fill::Idle => {
                    self.overlong = Some(line);
                    return Ok(Step::Idle);
                }
                Fill::End if end.is_none() && !window.bytes().is_empty() => {}
                Fill::End => {
                    let (spot, broken) = line.finish(NOUN, self.line_bytes_max, end.is_some());
                    return Ok(Step::Broken(spot, broken));
                }
            }
        }
    }
}

impl Splitter for Lines {
    fn advance(&mut self, window: &mut Window, wait: Option<Instant>) -> Result<Step> {
        window.consume(std::mem::take(&mut self.given_bytes));
        if let Some(line) = self.overlong.take() {
            return self.pass(window, line, wait);
        }
        loop {
            let bytes = window.bytes();
            if let Some(at) = memchr::memchr(b'\n', &bytes[self.searched_bytes..]) {
                let len = self.searched_bytes + at;
                self.searched_bytes = 0;
                return Ok(self.line(window, len, 1));
            }
            // A carriage return that belongs to the line end is not counted, hence one more.
            if bytes.len() > self.line_bytes_max + 1 {
                self.searched_bytes = 0;
                self.line += 1;
                let line = Overlong::new(Spot { line: self.line, offset: window.offset() });
                return self.pass(window, line, wait);
            }
            self.searched_bytes = bytes.len();
            match window.fill(wait)? {
                Fill::More => {}
                Fill::Idle => return Ok(Step::Idle),
                Fill::End if window.bytes().len() > self.searched_bytes => {}
                Fill::End => {
                    self.searched_bytes = 0;
                    return self.last(window);
                }
            }
        }
    }

    fn record<'a>(&'a self, window: &'a Window) -> &'a [u8] {
        &window.bytes()[self.body.clone()]
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::conformance::{read, read_whole};
    use super::super::input::Opened;
    use super::*;
    use crate::limits::{DEAD_LETTER_HEAD_BYTES, LINE_BYTES_MAX};
    use crate::model::Digest;
    use std::io::{self, Cursor, Read};

    fn options(line_bytes_max: usize) -> ReadOptions {
        ReadOptions { line_bytes_max, ..ReadOptions::default() }
    }

    /// Gives `count` times `byte`, made while they are read.
    fn repeated(byte: u8, count: u64) -> impl Read + Send {
        io::repeat(byte).take(count)
    }

    #[test]
    fn lines_keep_every_byte_but_their_end() {
        let text = b"\xef\xbb\xbf{}\r\n \t\r\n\n\n{\"a\":\r1}\n 7 \r\r\n\xef\xbb\xbf{}\nlast";
        let read = read_whole(Format::Ndjson, &options(100), text);
        let found: Vec<_> = read.records.iter().map(|r| (r.spot.line, r.spot.offset, r.bytes.as_slice())).collect();
        assert_eq!(
            found,
            [
                (1, 3, &b"{}"[..]),
                (5, 13, b"{\"a\":\r1}"),
                (6, 22, b" 7 \r"),
                (7, 28, b"\xef\xbb\xbf{}"),
                (8, 34, b"last")
            ]
        );
        assert_eq!(read.blank_lines, 3);
    }

    #[test]
    fn a_line_of_a_gigabyte_costs_its_head_and_reading_goes_on() {
        let long = 1 << 30;
        let file = Cursor::new(b"1\n".to_vec()).chain(repeated(b'x', long)).chain(Cursor::new(b"\r\n2\n".to_vec()));
        let mut window = Window::of_file("big".into(), Box::new(file));
        let mut lines = Lines::new(&options(LINE_BYTES_MAX));
        let mut found = Vec::new();
        loop {
            match lines.advance(&mut window, None).unwrap() {
                Step::Record(spot) => found.push((spot, lines.record(&window).to_vec())),
                Step::Broken(spot, broken) => {
                    let mut hasher = blake3::Hasher::new();
                    io::copy(&mut repeated(b'x', long), &mut hasher).unwrap();
                    assert_eq!(broken.digest, Digest(*hasher.finalize().as_bytes()));
                    assert_eq!((broken.total_bytes, broken.kept.len()), (long, DEAD_LETTER_HEAD_BYTES));
                    assert_eq!(broken.problem.code, "VALIDATION_4005");
                    found.push((spot, b"(long)".to_vec()));
                }
                Step::End => break,
                Step::Blank(_) | Step::Idle => panic!("neither blank lines nor deadlines are there"),
            }
        }
        let spot = |line, offset| Spot { line, offset };
        let wanted = [(spot(1, 0), &b"1"[..]), (spot(2, 2), b"(long)"), (spot(3, long + 4), b"2")];
        assert_eq!(found, wanted.map(|(s, b)| (s, b.to_vec())));
        assert!(window.held_bytes() <= 2 * LINE_BYTES_MAX + (2 << 20), "{} bytes are held", window.held_bytes());
    }

    #[test]
    fn a_flood_of_line_feeds_is_counted() {
        let count = 1 << 28;
        let window = Window::of_file("feeds".into(), Box::new(repeated(b'\n', count)));
        let read = read(Format::Ndjson, &options(100), window, || None);
        assert_eq!((read.blank_lines, read.records.len()), (count, 0));
    }

    #[test]
    fn a_pipe_that_ends_within_a_line_is_an_error_only_if_that_line_cannot_be_decoded() {
        for (text, sealed, records, torn) in [
            ("{}\n{\"a\":1", false, 1, true),
            ("{}\n{\"a\":1}", false, 2, false),
            ("{}\nbad\n", false, 2, false),
            ("{}\n \t", false, 1, false),
            ("{}\n{\"a\":1", true, 2, false),
        ] {
            let reader = Box::new(Cursor::new(text.as_bytes()));
            let window = Window::of_pipe("-".into(), move || Ok(Opened { reader, sealed })).unwrap();
            let read = read(Format::Ndjson, &options(100), window, || None);
            assert_eq!((read.records.len(), read.error.is_some()), (records, torn), "{text:?} {sealed}");
            if let Some(error) = read.error {
                assert!(error.to_string().contains("in the middle of line 2, which begins at byte 3"), "{error}");
            }
        }
    }
}
