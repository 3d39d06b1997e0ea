//! Several inputs, one after another, as one source.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::limits::INPUTS_MAX;

use super::input::{self, InputPath, Kind};
use super::window::Window;
use super::{Format, Next, Raw, ReadOptions, Source, Splitter, Step};

/// Longest record that can be allowed: ranges inside a batch are 32 bits wide.
const LINE_BYTES_LIMIT: usize = 1 << 30;

/// Files, named pipes and standard input, in the order given.
pub struct FileSource {
    inputs: Vec<(InputPath, Kind)>,
    names: Vec<String>,
    options: ReadOptions,
    current: Option<Reading>,
    /// Inputs that were opened so far.
    opened: usize,
    total_bytes: Option<u64>,
    read_bytes: Arc<AtomicU64>,
    /// What `read_bytes` was when the input that is being read was opened.
    read_before: u64,
    /// Waiting on the inputs that are closed already.
    waited: Duration,
    failed: bool,
}

/// The input that is being read.
struct Reading {
    window: Window,
    splitter: Box<dyn Splitter>,
}

/// Looks at every input, and makes one source of them. Nothing is read yet.
///
/// # Errors
/// `InputCutShort` for an input that is missing, unreadable or a directory; `ConfigMissing` for no input;
/// `ConfigInvalid` for too many, for `-` given twice, and for options that cannot be used.
pub fn open(inputs: Vec<InputPath>, options: &ReadOptions) -> Result<FileSource> {
    options.csv.check()?;
    if !(1..=LINE_BYTES_LIMIT).contains(&options.line_bytes_max) {
        let message = format!("--max-line-bytes is {}; 1 to {LINE_BYTES_LIMIT} is wanted", options.line_bytes_max);
        return Err(Error::new(Code::ConfigInvalid, message).hint("leave it out for the default"));
    }
    if inputs.is_empty() {
        return Err(Error::new(Code::ConfigMissing, "no input is named").hint("give --input FILE, or `-` for a pipe"));
    }
    if inputs.len() > INPUTS_MAX {
        let message = format!("{} inputs are named, the bound is {INPUTS_MAX}", inputs.len());
        return Err(Error::new(Code::ConfigInvalid, message).hint("join them, or pass them through a pipe"));
    }
    if inputs.iter().filter(|i| **i == InputPath::Stdin).count() > 1 {
        let error = Error::new(Code::ConfigInvalid, "standard input `-` is named twice; it can be read once");
        return Err(error.hint("name `-` once"));
    }
    let names = inputs.iter().map(InputPath::name).collect();
    let last = inputs.len() - 1;
    let looked_at = |(number, input): (usize, InputPath)| {
        let kind = match options.follow && number == last {
            true => followed(&input, options)?,
            false => input::check(&input)?,
        };
        Ok((input, kind))
    };
    let inputs = inputs.into_iter().enumerate().map(looked_at).collect::<Result<Vec<_>>>()?;
    let sizes = inputs.iter().map(|(_, kind)| if let Kind::Regular(bytes) = kind { Some(*bytes) } else { None });
    Ok(FileSource {
        total_bytes: sizes.sum(),
        inputs,
        names,
        options: options.clone(),
        current: None,
        opened: 0,
        read_bytes: Arc::default(),
        read_before: 0,
        waited: Duration::ZERO,
        failed: false,
    })
}

fn followed(input: &InputPath, options: &ReadOptions) -> Result<Kind> {
    let kind = input::check_followed(input)?;
    if options.format.or_else(|| input.path().and_then(Format::of_path)) == Some(Format::JsonArray) {
        let message = format!("input `{}` cannot be followed: a JSON array ends once", input.name());
        return Err(Error::new(Code::ConfigInvalid, message).hint("write one JSON value per line"));
    }
    Ok(kind)
}

impl FileSource {
    /// False if one of the inputs is a pipe: then a run cannot be continued after a crash.
    pub fn can_be_read_again(&self) -> bool {
        self.total_bytes.is_some()
    }

    fn open_next(&mut self) -> Result<Option<Reading>> {
        let Some((path, kind)) = self.inputs.get(self.opened) else { return Ok(None) };
        self.read_before = self.read_bytes.load(Ordering::Relaxed);
        let window = input::open(path, *kind, &self.read_bytes)?;
        self.opened += 1;
        let by_name = || path.path().and_then(Format::of_path).unwrap_or(Format::Ndjson);
        let format = self.options.format.unwrap_or_else(by_name);
        Ok(Some(Reading { window, splitter: format.splitter(&self.options) }))
    }

    fn advance(&mut self, wait: Option<Instant>) -> Result<Step> {
        loop {
            if self.current.is_none() {
                self.current = self.open_next()?;
            }
            let Some(reading) = &mut self.current else { return Ok(Step::End) };
            match reading.splitter.advance(&mut reading.window, wait)? {
                Step::End => {
                    self.waited += reading.window.waited();
                    self.current = None;
                }
                step => return Ok(step),
            }
        }
    }
}

impl Source for FileSource {
    fn next(&mut self, wait: Option<Instant>) -> Result<Next<'_>> {
        if self.failed {
            return Err(Error::new(Code::InputCutShort, "the input has failed before and cannot be read on"));
        }
        let step = self.advance(wait).inspect_err(|_| self.failed = true)?;
        let input = self.opened.saturating_sub(1) as u32;
        Ok(match step {
            Step::Record(spot) => {
                let reading = self.current.as_ref().expect("a record stands in the input that is being read");
                let bytes = reading.splitter.record(&reading.window);
                Next::Record(Raw { bytes, id: None, position: spot.of_input(input) })
            }
            Step::Broken(spot, broken) => Next::Broken(spot.of_input(input), broken),
            Step::Blank(count) => Next::Blank(count),
            Step::Idle => Next::Idle,
            Step::End => Next::End,
        })
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    fn bytes_read(&self) -> u64 {
        let read = self.read_bytes.load(Ordering::Relaxed);
        let Some(Reading { window, .. }) = &self.current else { return read };
        // Of what was read ahead, as large a part as of what it holds.
        let (given, ahead) = (window.offset(), window.bytes().len() as u64);
        let share = given as f64 / (given + ahead).max(1) as f64;
        self.read_before + ((read - self.read_before) as f64 * share) as u64
    }

    fn at_present_end(&self) -> bool {
        self.current.as_ref().is_some_and(|reading| reading.window.at_present_end())
    }

    fn waited(&self) -> Duration {
        self.waited + self.current.as_ref().map_or(Duration::ZERO, |r| r.window.waited())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;

    fn read(source: &mut FileSource) -> (Vec<(Position, String)>, Option<Error>) {
        let mut records = Vec::new();
        loop {
            match source.next(None) {
                Ok(Next::Record(raw)) => records.push((raw.position, String::from_utf8(raw.bytes.to_vec()).unwrap())),
                Ok(Next::End) => return (records, None),
                Ok(_) => {}
                Err(error) => return (records, Some(error)),
            }
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    /// Writes the files and opens them as one source.
    fn source(files: &[(&str, &[u8])]) -> (tempfile::TempDir, FileSource) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        files.iter().for_each(|(name, content)| fs::write(path(name), content).unwrap());
        let inputs = files.iter().map(|(name, _)| InputPath::File(path(name))).collect();
        let source = open(inputs, &ReadOptions::default()).unwrap();
        (dir, source)
    }

    #[test]
    fn inputs_of_several_formats_follow_one_another() {
        let (_dir, mut source) = source(&[
            ("a.ndjson", b"1\n2"),
            ("empty.ndjson", b""),
            ("b.csv.gz", &gzip(b"x\n3\n")),
            ("c.json", b"[4,\n5]"),
            ("d.tsv.zst", &zstd(b"x\ty\n6\t7\n")),
            ("no extension", &gzip(b"8\n")),
        ]);
        let size = source.total_bytes().unwrap();
        let (records, error) = read(&mut source);
        assert!(error.is_none(), "{error:?}");
        let at = |input, line, offset| Position { input, line, offset };
        let wanted = [
            (at(0, 1, 0), "1"),
            (at(0, 2, 2), "2"),
            (at(2, 1, 2), r#"{"x":"3"}"#),
            (at(3, 1, 1), "4"),
            (at(3, 2, 4), "5"),
            (at(4, 1, 4), r#"{"x":"6","y":"7"}"#),
            (at(5, 1, 0), "8"),
        ];
        assert_eq!(records, wanted.map(|(p, t)| (p, t.to_owned())));
        assert_eq!((source.bytes_read(), source.names().len()), (size, 6));
        assert!(source.can_be_read_again());
        assert!(matches!(source.next(None), Ok(Next::End)));
    }

    #[test]
    fn all_members_of_a_compressed_file_are_read() {
        let joined = |pack: fn(&[u8]) -> Vec<u8>| [pack(b"1\n2"), pack(b""), pack(b"3\n4\n")].concat();
        for (name, content) in [("a.ndjson.gz", joined(gzip)), ("a.ndjson.zst", joined(zstd)), ("b", joined(zstd))] {
            let (_dir, mut source) = source(&[(name, &content)]);
            let (records, error) = read(&mut source);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(records.iter().map(|r| r.1.as_str()).collect::<Vec<_>>(), ["1", "23", "4"]);
        }
    }

    #[test]
    fn a_compressed_file_cut_short_anywhere_gives_its_whole_lines_and_then_an_error() {
        let text: String = (0..200).map(|i| format!("{{\"n\":{}}}\n", i * 7919 % 1000)).collect();
        for (name, whole) in [("a.ndjson.gz", gzip(text.as_bytes())), ("a.ndjson.zst", zstd(text.as_bytes()))] {
            for len in 0..whole.len() {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join(name);
                fs::write(&path, &whole[..len]).unwrap();
                let mut source = match open(vec![InputPath::File(path)], &ReadOptions::default()) {
                    Ok(source) => source,
                    // Too short to tell what it is: refused before anything is read.
                    Err(error) => {
                        assert!(len < 4 && error.code() == Code::InputCutShort, "{name} cut to {len}: {error}");
                        continue;
                    }
                };
                let (records, error) = read(&mut source);
                let error = error.unwrap_or_else(|| panic!("{name} cut to {len} of {} bytes is read", whole.len()));
                assert_eq!(error.code(), Code::InputCutShort);
                for (record, line) in records.iter().zip(text.lines()) {
                    assert_eq!(record.1, line, "{name} cut to {len}");
                }
                assert!(source.next(None).is_err(), "the error stays");
            }
        }
    }

    #[test]
    fn junk_behind_a_compressed_stream_is_an_error_after_the_records() {
        for (name, content) in [
            ("a.ndjson.gz", [&gzip(b"1\n")[..], b"junk"].concat()),
            ("a.ndjson.zst", [&zstd(b"1\n")[..], b"junk"].concat()),
        ] {
            let (_dir, mut source) = source(&[(name, &content)]);
            let (records, error) = read(&mut source);
            assert_eq!((records.len(), error.unwrap().code()), (1, Code::InputCutShort), "{name}");
        }
    }

    #[test]
    fn a_small_file_that_inflates_to_a_giant_line_is_read_in_bounded_memory() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        for _ in 0..256 {
            encoder.write_all(&[b' '; 1 << 20]).unwrap();
        }
        encoder.write_all(b"\n7\n").unwrap();
        let (_dir, mut source) = source(&[("bomb.ndjson.zst", &encoder.finish().unwrap())]);
        let Next::Broken(position, broken) = source.next(None).unwrap() else { panic!("the line is over the bound") };
        assert_eq!((position.line, broken.total_bytes), (1, 256 << 20));
        assert!(source.current.as_ref().unwrap().window.held_bytes() < 32 << 20);
        assert_eq!(read(&mut source).0, [(Position { input: 0, line: 2, offset: (256 << 20) + 1 }, "7".to_owned())]);
    }

    /// Whole at hand or not, it is over the bound.
    #[test]
    fn a_line_of_spaces_over_the_bound_is_no_blank_line() {
        let options = ReadOptions { line_bytes_max: 10, ..ReadOptions::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.ndjson");
        std::fs::write(&path, [" ".repeat(50).as_str(), "\n", " ".repeat(10).as_str(), "\n7\n"].concat()).unwrap();
        let mut source = open(vec![InputPath::File(path)], &options).unwrap();
        let Next::Broken(position, broken) = source.next(None).unwrap() else { panic!("the line is over the bound") };
        assert_eq!((position.line, broken.total_bytes), (1, 50));
        assert!(matches!(source.next(None).unwrap(), Next::Blank(1)));
    }

    #[test]
    fn a_named_pipe_is_read_and_its_compression_found() {
        for content in [b"1\n2\n".to_vec(), gzip(b"1\n2\n"), zstd(b"1\n2\n")] {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let path = PathBuf::from(format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader)));
            let mut source = open(vec![InputPath::File(path)], &ReadOptions::default()).unwrap();
            assert!(!source.can_be_read_again());
            // One byte at a time, so that the head comes in pieces.
            let write = std::thread::spawn(move || content.iter().for_each(|b| writer.write_all(&[*b]).unwrap()));
            let (records, error) = read(&mut source);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(records.iter().map(|r| r.1.as_str()).collect::<Vec<_>>(), ["1", "2"]);
            write.join().unwrap();
            drop(reader);
        }
    }

    #[test]
    fn wrong_inputs_and_options_are_refused_before_anything_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let input = InputPath::File(file.path().to_owned());
        let refuse = |inputs: Vec<InputPath>, options: &ReadOptions| open(inputs, options).err().map(|e| e.code());
        let fine = ReadOptions::default();
        assert_eq!(refuse(vec![], &fine), Some(Code::ConfigMissing));
        assert_eq!(refuse(vec![InputPath::Stdin; 2], &fine), Some(Code::ConfigInvalid));
        assert_eq!(refuse(vec![input.clone(); INPUTS_MAX + 1], &fine), Some(Code::ConfigInvalid));
        assert_eq!(refuse(vec![input.clone(), InputPath::parse("no/such")], &fine), Some(Code::InputCutShort));
        for line_bytes_max in [0, LINE_BYTES_LIMIT + 1] {
            assert_eq!(
                refuse(vec![input.clone()], &ReadOptions { line_bytes_max, ..fine.clone() }),
                Some(Code::ConfigInvalid)
            );
        }
        assert_eq!(refuse(vec![input], &fine), None);
    }
}
