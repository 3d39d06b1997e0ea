//! From inputs to batches: files, pipes and lists are split into records, judged and cut.
//!
//! `input` opens, `compression` inflates, `growing` follows a file that is still written, `window` buffers; one file per format splits
//! (`ndjson`, `json_array`, `csv` with `row`); `files` walks over several inputs; `decode` judges one record, with `scan` for speed;
//! `cut` fills batches. To add a format: one file and one row in `FORMATS`.
//!
//! Invariant: each byte of an input ends up in exactly one record, in a separator, in a blank line, or in the error
//! that stops the run. A bad record costs that record only, and the batch keeps its bytes (or head, length and digest).
//! Knows no plugin, no store, no terminal.

mod compression;
mod csv;
mod cut;
pub mod decode;
mod files;
mod growing;
mod input;
mod json_array;
mod list;
mod ndjson;
mod overlong;
mod rolling;
mod row;
mod scan;
mod window;

#[cfg(test)]
mod conformance;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::limits::LINE_BYTES_MAX;
use crate::model::{Broken, Position, RunNumber};

pub use compression::Compression;
pub use csv::CsvOptions;
pub(crate) use cut::{Cut, Cutter};
pub use decode::{Decoded, Decoder, MissingId, id_at, judge_body};
pub use files::{FileSource, open};
pub use input::{Fingerprint, InputPath, fingerprint};
pub use list::ListSource;
pub(crate) use scan::{Scanned, scan};

use window::Window;

/// A record as it was read, not yet judged.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// The body. Byte for byte as read for JSON formats; the object made of a row for CSV and TSV.
    pub bytes: &'a [u8],
    /// Key, where the source itself brings one; it then wins over the id pointer.
    pub id: Option<&'a str>,
    /// Where it stood.
    pub position: Position,
}

/// What a source gives next.
#[derive(Debug)]
pub enum Next<'a> {
    /// A record.
    Record(Raw<'a>),
    /// Bytes that cannot be a record (over the length bound, a ragged row).
    Broken(Position, Box<Broken>),
    /// This many blank lines in a row; they are no records.
    Blank(u64),
    /// The deadline passed without a record; call again.
    Idle,
    /// Nothing is left.
    End,
}

/// Where a run stands that is continued.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    pub run: RunNumber,
    /// Records that it has read.
    pub next: u64,
    /// What [`Source::place`] said of the last of them.
    pub place: &'a str,
}

/// One record at a time, in input order.
///
/// Object-safe, so that a program which embeds the host can bring its own.
pub trait Source: Send {
    /// The next record. Waits for a slow pipe until `wait` at the most (none: as long as it takes), then gives
    /// [`Next::Idle`]. An error comes after every record that stood before it, and ends the source.
    fn next(&mut self, wait: Option<Instant>) -> Result<Next<'_>>;

    /// Names of the inputs; [`Position::input`] is an index into them.
    fn names(&self) -> &[String];

    /// Bytes of all inputs as they lie on disk (compressed, if they are); none where a pipe is among them.
    fn total_bytes(&self) -> Option<u64>;

    /// Bytes of [`Source::total_bytes`] that the records given out so far took; inside of a compressed input an estimate.
    fn bytes_read(&self) -> u64;

    /// Called once before the first record, when no other process writes to the store of the run. True if it goes on behind the
    /// place at which that run stands; false if the records before are still to be read over.
    fn begin(&mut self, _after: Option<Standing<'_>>) -> Result<bool> {
        Ok(false)
    }

    /// Where the last record stands that was given out, for a source that goes on behind such a place by itself: what it gives
    /// is changed by the run that reads it, so that reading over it would find something else.
    fn place(&self) -> Option<&str> {
        None
    }

    /// True if there is other input by now than when this run began, for a source that knows. Asked before
    /// [`Source::begin`].
    fn has_changed_since(&self, _run: RunNumber) -> Result<bool> {
        Ok(false)
    }

    /// Records of all inputs, where that is known before they are read.
    fn total_items(&self) -> Option<u64> {
        None
    }

    /// True after an [`Next::Idle`] of a file that is followed: all that it holds for now was given out.
    fn at_present_end(&self) -> bool {
        false
    }

    /// Time spent waiting for data that was not there yet.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

/// How inputs are read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Format of every input; none: by extension, else NDJSON.
    pub format: Option<Format>,
    /// Longest record, in decompressed bytes without its line end.
    pub line_bytes_max: usize,
    /// For CSV and TSV.
    pub csv: CsvOptions,
    /// The last input is a file that grows: at its end more is waited for, until it is replaced or removed. Its last line
    /// counts once it is complete.
    pub follow: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { format: None, line_bytes_max: LINE_BYTES_MAX, csv: CsvOptions::default(), follow: false }
    }
}

/// How the bytes of an input are cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON value per line.
    Ndjson,
    /// The elements of one array.
    JsonArray,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
}

/// A row of the format table.
struct FormatRow {
    format: Format,
    name: &'static str,
    about: &'static str,
    extensions: &'static [&'static str],
    splitter: fn(&ReadOptions) -> Box<dyn Splitter>,
}

/// Every format, in the order in which help texts list them.
const FORMATS: &[FormatRow] = &[
    FormatRow {
        format: Format::Ndjson,
        name: "ndjson",
        about: "one JSON value per line",
        extensions: &["ndjson", "jsonl"],
        splitter: |options| Box::new(ndjson::Lines::new(options)),
    },
    FormatRow {
        format: Format::JsonArray,
        name: "json",
        about: "the elements of one JSON array",
        extensions: &["json"],
        splitter: |options| Box::new(json_array::Elements::new(options)),
    },
    FormatRow {
        format: Format::Csv,
        name: "csv",
        about: "comma-separated values; the header names the members, every value stays text",
        extensions: &["csv"],
        splitter: |options| Box::new(csv::Rows::new(options, csv::Dialect::csv(&options.csv))),
    },
    FormatRow {
        format: Format::Tsv,
        name: "tsv",
        about: "tab-separated values without quoting; the header names the members, every value stays text",
        extensions: &["tsv", "tab"],
        splitter: |options| Box::new(csv::Rows::new(options, csv::Dialect::tsv(&options.csv))),
    },
];

impl Format {
    /// Every format.
    pub fn all() -> impl Iterator<Item = Format> {
        FORMATS.iter().map(|row| row.format)
    }

    /// Its stable name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        self.row().about
    }

    /// What the number of a [`Position`](crate::model::Position) counts: where records may share a line or take several, the records.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Tsv => "line",
            Self::JsonArray | Self::Csv => "record",
        }
    }

    /// Reads the stable name back.
    pub fn parse(text: &str) -> Option<Self> {
        FORMATS.iter().find(|row| row.name == text).map(|row| row.format)
    }

    /// The format that a file's extension names, behind an extension for compression.
    pub fn of_path(path: &Path) -> Option<Self> {
        let inner = Compression::of_path(path).map(|_| path.with_extension(""));
        let extension = inner.as_deref().unwrap_or(path).extension()?.to_str()?;
        let named = |row: &&FormatRow| row.extensions.iter().any(|e| e.eq_ignore_ascii_case(extension));
        FORMATS.iter().find(named).map(|row| row.format)
    }

    fn row(self) -> &'static FormatRow {
        FORMATS.iter().find(|row| row.format == self).expect("every format has a row, as a test shows")
    }

    fn splitter(self, options: &ReadOptions) -> Box<dyn Splitter> {
        (self.row().splitter)(options)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Cuts the bytes of one input into records, whatever blocks they come in.
trait Splitter: Send {
    /// Goes on to the next record. The record it found before is given up.
    fn advance(&mut self, window: &mut Window, wait: Option<Instant>) -> Result<Step>;

    /// The bytes of the record that [`Step::Record`] announced.
    fn record<'a>(&'a self, window: &'a Window) -> &'a [u8];
}

/// What a splitter came upon: [`Next`] without the borrow.
enum Step {
    Record(Spot),
    Broken(Spot, Box<Broken>),
    Blank(u64),
    Idle,
    End,
}

/// Where a record stands in its input: [`Position`] without the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    line: u64,
    offset: u64,
}

impl Spot {
    fn of_input(self, input: u32) -> Position {
        Position { input, line: self.line, offset: self.offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_found_by_name_and_by_each_of_its_extensions() {
        for format in [Format::Ndjson, Format::JsonArray, Format::Csv, Format::Tsv] {
            assert_eq!(Format::parse(format.name()), Some(format));
            for extension in format.row().extensions {
                for name in [format!("a.{extension}"), format!("x/A.{extension}.gz"), format!("a.b.{extension}.ZST")] {
                    assert_eq!(Format::of_path(Path::new(&name)), Some(format), "{name}");
                }
            }
        }
        assert_eq!(Format::all().count(), 4);
        assert_eq!(Format::of_path(Path::new("data.txt")), None);
        assert_eq!(Format::of_path(Path::new("ndjson")), None);
        assert_eq!(Format::of_path(Path::new("a.gz")), None);
    }
}
