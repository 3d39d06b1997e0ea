//! A file that is still being written: at its end more is waited for.
//!
//! It ends when its path leads to another file or to none, since then nobody who follows the path can add to it. Bytes
//! that were read before must stay: a file that becomes shorter is an error.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A file at its end is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// See the module.
pub(super) struct Growing {
    path: PathBuf,
    file: File,
    /// What the path led to when it was opened.
    identity: (u64, u64),
    read_bytes: u64,
    counter: Arc<AtomicU64>,
    /// Nothing is added any more: what is left is read, and that is the end.
    closed: bool,
}

impl Growing {
    /// Opens the file; `counter` counts what is read of it.
    pub(super) fn open(path: PathBuf, counter: Arc<AtomicU64>) -> io::Result<Self> {
        let file = File::open(&path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self { path, file, identity, read_bytes: 0, counter, closed: false })
    }

    /// Reads what there is, waiting for the first byte until `wait` at the most. None: nothing came; 0: the end.
    pub(super) fn read(&mut self, buffer: &mut [u8], wait: Option<Instant>) -> io::Result<Option<usize>> {
        loop {
            let count = match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if count > 0 || self.closed {
                self.read_bytes += count as u64;
                self.counter.fetch_add(count as u64, Ordering::Relaxed);
                return Ok(Some(count));
            }
            let size = self.file.metadata()?.len();
            if size < self.read_bytes {
                let message = format!("the file was cut to {size} bytes after {} were read of it", self.read_bytes);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
            // What was added between the read above and the exchange of the file is still read.
            self.closed = !self.is_there()?;
            if self.closed {
                continue;
            }
            let pause = match wait.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Ok(None),
                Some(left) => left.min(LOOK_AGAIN),
                None => LOOK_AGAIN,
            };
            thread::sleep(pause);
        }
    }

    /// True while the path leads to this very file.
    fn is_there(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(found) => Ok(identity(&found) == self.identity),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn soon() -> Option<Instant> {
        Some(Instant::now())
    }

    fn opened(content: &str) -> (tempfile::TempDir, PathBuf, Growing) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.ndjson");
        fs::write(&path, content).unwrap();
        let growing = Growing::open(path.clone(), Arc::default()).unwrap();
        (folder, path, growing)
    }

    fn next(growing: &mut Growing) -> io::Result<Option<String>> {
        let mut buffer = [0; 64];
        let count = growing.read(&mut buffer, soon())?;
        Ok(count.map(|count| String::from_utf8(buffer[..count].to_vec()).unwrap()))
    }

    #[test]
    fn what_is_added_is_read_and_nothing_is_an_end_while_the_file_is_there() {
        let (_folder, path, mut growing) = opened("one");
        assert_eq!(next(&mut growing).unwrap().as_deref(), Some("one"));
        assert_eq!(next(&mut growing).unwrap(), None);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"two").unwrap();
        assert_eq!(next(&mut growing).unwrap().as_deref(), Some("two"));
        assert_eq!(next(&mut growing).unwrap(), None);
        assert_eq!(growing.counter.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_file_that_was_replaced_or_removed_ends_behind_its_last_byte() {
        for replace in [true, false] {
            let (folder, path, mut growing) = opened("one");
            assert_eq!(next(&mut growing).unwrap().as_deref(), Some("one"));
            File::options().append(true).open(&path).unwrap().write_all(b"last").unwrap();
            if replace {
                let other = folder.path().join("other");
                fs::write(&other, "another file").unwrap();
                fs::rename(&other, &path).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
            assert_eq!(next(&mut growing).unwrap().as_deref(), Some("last"));
            assert_eq!(next(&mut growing).unwrap().as_deref(), Some(""));
        }
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let (_folder, path, mut growing) = opened("one");
        assert_eq!(next(&mut growing).unwrap().as_deref(), Some("one"));
        File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
        let error = next(&mut growing).unwrap_err();
        assert!(error.to_string().contains("was cut to 1 bytes after 3 were read"), "{error}");
    }
}
