//! Opens inputs: looks at them before the run begins, and makes one reader of decompressed bytes of each.

use std::fs::{self, File, Metadata};
use std::io::{self, Cursor, Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use crate::error::{Code, Error, Result};

use super::compression::{Compression, MAGIC_BYTES};
use super::growing::Growing;
use super::window::Window;

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputPath {
    /// A file, or a named pipe.
    File(PathBuf),
    /// Standard input, written `-`.
    Stdin,
}

impl InputPath {
    /// Reads `-` as standard input and anything else as a path.
    pub fn parse(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }

    /// The path as it was given, or `-`.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".to_owned(),
        }
    }

    /// The path; none for standard input.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin => None,
        }
    }
}

/// Size and time of change of a regular file: a change between two starts of a run shows in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Bytes on disk.
    pub size_bytes: u64,
    /// Last change, in milliseconds since 1970 UTC.
    pub modified_ms: i64,
}

/// The fingerprint of a file; none for a pipe or a device, which have nothing to compare.
///
/// # Errors
/// `InputCutShort` if there is no such file or it cannot be looked at.
pub fn fingerprint(path: &Path) -> Result<Option<Fingerprint>> {
    let metadata = look_at(path)?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let modified = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let modified_ms = modified.and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or(0);
    Ok(Some(Fingerprint { size_bytes: metadata.len(), modified_ms }))
}

/// What lies behind an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file with this many bytes left to read.
    Regular(u64),
    /// A regular file to which more is added.
    Growing,
    /// A pipe, a terminal, a device: reading may block.
    Stream,
}

/// Finds out what an input is, and refuses what cannot be read, before anything is processed.
pub(super) fn check(input: &InputPath) -> Result<Kind> {
    let InputPath::File(path) = input else {
        let mut file = stdin_file().map_err(|e| cannot_open(input, e))?;
        return match file.metadata().map_err(|e| cannot_open(input, e))? {
            metadata if metadata.is_file() => {
                let at = file.stream_position().map_err(|e| cannot_open(input, e))?;
                Ok(Kind::Regular(metadata.len().saturating_sub(at)))
            }
            metadata if metadata.is_dir() => Err(directory(input)),
            _ => Ok(Kind::Stream),
        };
    };
    let metadata = look_at(path)?;
    if metadata.is_dir() {
        return Err(directory(input));
    }
    if !metadata.is_file() {
        // A named pipe blocks when it is opened: the thread that reads it opens it too.
        return Ok(Kind::Stream);
    }
    let mut file = File::open(path).map_err(|e| cannot_open(input, e))?;
    read_head(&mut file).and_then(|(head, found)| agreed(input, &head, found)).map_err(|e| cannot_open(input, e))?;
    Ok(Kind::Regular(metadata.len()))
}

/// As [`check`], of an input that is to be followed.
pub(super) fn check_followed(input: &InputPath) -> Result<Kind> {
    let refuse = |what: &str, hint: &str| {
        let message = format!("input `{}` cannot be followed: {what}", input.name());
        Err(Error::new(Code::ConfigInvalid, message).hint(hint))
    };
    let (Kind::Regular(_), Some(path)) = (check(input)?, input.path()) else {
        return refuse("it is no regular file", "name it with --input: a pipe is read until its writer closes it");
    };
    let mut file = File::open(path).map_err(|e| cannot_open(input, e))?;
    let (_, found) = read_head(&mut file).map_err(|e| cannot_open(input, e))?;
    if found != Compression::None {
        return refuse("it is compressed", "follow the file before it is compressed");
    }
    Ok(Kind::Growing)
}

/// Opens an input for reading; `counter` counts its bytes as they lie on disk.
pub(super) fn open(input: &InputPath, kind: Kind, counter: &Arc<AtomicU64>) -> Result<Window> {
    match kind {
        Kind::Regular(size_bytes) => {
            let opened = reader(input, Some(size_bytes), counter.clone()).map_err(|e| cannot_open(input, e))?;
            Ok(Window::of_file(input.name(), opened.reader))
        }
        Kind::Growing => {
            let path = input.path().expect("BUG: standard input is followed as it is").to_owned();
            let file = Growing::open(path, counter.clone()).map_err(|e| cannot_open(input, e))?;
            Ok(Window::of_growing(input.name(), file))
        }
        Kind::Stream => {
            let (input, counter) = (input.clone(), counter.clone());
            Window::of_pipe(input.name(), move || reader(&input, None, counter))
        }
    }
}

/// An open input.
pub(super) struct Opened {
    /// Gives decompressed bytes.
    pub(super) reader: Box<dyn Read + Send>,
    /// True if the compression tells a whole stream from a torn one.
    pub(super) sealed: bool,
}

fn reader(input: &InputPath, size_bytes: Option<u64>, counter: Arc<AtomicU64>) -> io::Result<Opened> {
    let file = match input {
        InputPath::File(path) => File::open(path)?,
        InputPath::Stdin => stdin_file()?,
    };
    let mut counted = Counted { file, counter, read_bytes: 0, size_bytes };
    let (head, found) = read_head(&mut counted)?;
    let compression = agreed(input, &head, found)?;
    let reader = compression.wrap(Cursor::new(head).chain(counted))?;
    Ok(Opened { reader, sealed: compression != Compression::None })
}

/// What name and content agree on. Errors: the name promises another compression.
fn agreed(input: &InputPath, head: &[u8], found: Compression) -> io::Result<Compression> {
    match input.path().and_then(Compression::of_path) {
        Some(named) if named != found => {
            let what = if head.is_empty() { "empty" } else { found.name() };
            let message = format!("its name says {}, but its content is {what}", named.name());
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
        _ => Ok(found),
    }
}

/// Reads as many bytes as it takes to tell the compression.
fn read_head(reader: &mut impl Read) -> io::Result<(Vec<u8>, Compression)> {
    let mut head = Vec::with_capacity(MAGIC_BYTES);
    let mut byte = [0];
    loop {
        if let Some(compression) = Compression::of_head(&head, false) {
            return Ok((head, compression));
        }
        match reader.read(&mut byte) {
            Ok(0) => {
                let compression = Compression::of_head(&head, true).unwrap_or(Compression::None);
                return Ok((head, compression));
            }
            Ok(_) => head.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Counts what is read, and notices a file that became shorter.
struct Counted {
    file: File,
    counter: Arc<AtomicU64>,
    read_bytes: u64,
    size_bytes: Option<u64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read_bytes += count as u64;
        self.counter.fetch_add(count as u64, Ordering::Relaxed);
        match self.size_bytes {
            Some(size) if count == 0 && !buffer.is_empty() && self.read_bytes < size => {
                let message =
                    format!("the file shrank while it was read: it had {size} bytes, {} were left", self.read_bytes);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
            }
            _ => Ok(count),
        }
    }
}

/// A handle of its own on standard input: no buffer shared with anyone, and regular files can be told from pipes.
fn stdin_file() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

fn look_at(path: &Path) -> Result<Metadata> {
    fs::metadata(path).map_err(|e| cannot_open(&InputPath::File(path.to_owned()), e))
}

fn cannot_open(input: &InputPath, error: io::Error) -> Error {
    let message = format!("input `{}` cannot be opened: {error}", input.name());
    let hint = match (input.path(), std::env::current_dir()) {
        (Some(path), Ok(here)) if path.is_relative() && error.kind() == io::ErrorKind::NotFound => {
            format!("check the path; it is taken from {}", here.display())
        }
        (Some(_), _) if error.kind() == io::ErrorKind::PermissionDenied => "check the file's permissions".to_owned(),
        (Some(_), _) if error.kind() == io::ErrorKind::InvalidData => "rename the file".to_owned(),
        (Some(_), _) => "check the path".to_owned(),
        (None, _) => "is standard input open?".to_owned(),
    };
    Error::new(Code::InputCutShort, message).hint(hint).because(error)
}

fn directory(input: &InputPath) -> Error {
    let message = format!("input `{}` is a directory; a file or `-` is wanted", input.name());
    Error::new(Code::InputCutShort, message).hint("name the files in it, one --input each")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_standard_input() {
        assert_eq!(InputPath::parse("-"), InputPath::Stdin);
        assert_eq!(InputPath::parse("./-").name(), "./-");
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let missing = InputPath::File(PathBuf::from("no/such.ndjson"));
        let error = check(&missing).unwrap_err();
        assert_eq!(error.code(), Code::InputCutShort);
        assert!(error.to_string().contains("`no/such.ndjson`"), "{error}");
        let here = std::env::current_dir().unwrap();
        assert!(error.hint_text().contains(here.to_str().unwrap()), "{}", error.hint_text());

        let error = check(&InputPath::File(dir.path().to_owned())).unwrap_err();
        assert!(error.to_string().contains("is a directory"), "{error}");
        assert_eq!(check(&InputPath::File("/dev/null".into())).unwrap(), Kind::Stream);
    }

    #[test]
    fn a_fingerprint_is_size_and_time_of_a_regular_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let print = fingerprint(file.path()).unwrap().unwrap();
        assert_eq!(print.size_bytes, 3);
        assert!(print.modified_ms > 1_600_000_000_000);
        assert_eq!(fingerprint(Path::new("/dev/null")).unwrap(), None);
        assert!(fingerprint(Path::new("no/such")).is_err());
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{}\n{}\n").unwrap();
        let input = InputPath::File(file.path().to_owned());
        let Opened { mut reader, .. } = reader(&input, Some(100), Arc::default()).unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("it had 100 bytes, 6 were left"), "{error}");
    }

    #[test]
    fn a_name_that_promises_another_compression_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content, found) in [("a.gz", "{}\n", "plain"), ("a.zst", "", "empty"), ("b.gz", "\x28\x00", "plain")]
        {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            let input = InputPath::File(path);
            let error = check(&input).unwrap_err();
            assert_eq!(error.code(), Code::InputCutShort);
            assert!(error.to_string().contains(&format!("its content is {found}")), "{error}");
        }
    }
}
