//! The event file of a run, followed as it grows.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::event::Envelope;
use crate::limits::EVENT_LINE_BYTES_MAX;

/// Bytes read at a time, so that a long file does not keep the keys waiting.
const PART_BYTES: u64 = 8 << 20;
/// Bytes at the beginning of the file by which it is known again: they hold the time and the name of the run.
const HEAD_BYTES: usize = 512;

/// See the module.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<(File, u64)>,
    read: u64,
    /// How it begins, as far as it was read.
    head: Vec<u8>,
    /// A line whose end is not there yet.
    rest: Vec<u8>,
}

/// What a look at the file gave.
#[derive(Debug, Default)]
pub struct News {
    /// The file was made anew: what was told before is of another run.
    pub afresh: bool,
    /// In order.
    pub events: Vec<Envelope>,
    /// More is there to be read.
    pub more: bool,
}

impl Tail {
    /// Follows this file, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, read: 0, head: Vec::new(), rest: Vec::new() }
    }

    /// Reads what has come. Lines that are no event of this version are passed over.
    ///
    /// Errors: CONFIG_3001 if the file cannot be read.
    pub fn look(&mut self) -> Result<News> {
        let unreadable = |path: &Path, e: std::io::Error| {
            Error::new(Code::ConfigInvalid, format!("the file of events, {}, cannot be read", path.display()))
                .hint("name the file that the run writes by --events")
                .because(e)
        };
        let mut news = News::default();
        let there = match std::fs::metadata(&self.path) {
            Ok(there) if there.is_file() => there,
            Ok(_) => return Err(unreadable(&self.path, ErrorKind::IsADirectory.into())),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(news),
            Err(e) => return Err(unreadable(&self.path, e)),
        };
        // Another file under the same name, or the same one emptied by the next run, which may have written more by now.
        let same = self.file.as_ref().is_some_and(|(_, inode)| *inode == there.ino()) && there.len() >= self.read;
        if !same || !self.begins_as_before().map_err(|e| unreadable(&self.path, e))? {
            news.afresh = self.file.is_some();
            let file = File::open(&self.path).map_err(|e| unreadable(&self.path, e))?;
            self.file = Some((file, there.ino()));
            self.read = 0;
            self.head.clear();
            self.rest.clear();
        }
        let Some((file, _)) = &mut self.file else { return Ok(news) };
        let from = self.rest.len();
        file.seek(SeekFrom::Start(self.read))
            .and_then(|_| file.take(PART_BYTES).read_to_end(&mut self.rest))
            .map_err(|e| unreadable(&self.path, e))?;
        let read = (self.rest.len() - from) as u64;
        self.read += read;
        let missing = HEAD_BYTES - self.head.len();
        self.head.extend(self.rest[from..].iter().take(missing));
        news.more = read == PART_BYTES;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in self.rest[..whole].split(|byte| *byte == b'\n') {
            news.events.extend(serde_json::from_slice::<Envelope>(line).ok());
        }
        self.rest.drain(..whole);
        if self.rest.len() > EVENT_LINE_BYTES_MAX {
            self.rest.clear();
        }
        Ok(news)
    }

    fn begins_as_before(&mut self) -> std::io::Result<bool> {
        let Some((file, _)) = &mut self.file else { return Ok(false) };
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(self.head.len() as u64).read_to_end(&mut head)?;
        Ok(head == self.head)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::event::{EVENT_SCHEMA, Event};

    fn line(seq: u64) -> String {
        let event = Event::LanesInUse { lanes: seq };
        let envelope = Envelope { schema: EVENT_SCHEMA, seq, time_ms: 0, elapsed_us: 0, run: 1, event };
        serde_json::to_string(&envelope).unwrap() + "\n"
    }

    fn seqs(news: &News) -> Vec<u64> {
        news.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn lines_are_read_as_they_become_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        let mut tail = Tail::new(&path);
        assert!(tail.look().unwrap().events.is_empty(), "a file that is not there yet is no error");
        let mut file = File::create(&path).unwrap();
        let third = line(2);
        let (head, end) = third.split_at(20);
        write!(file, "{}{}no event\n{{\"event\":\"of-tomorrow\"}}\n{head}", line(0), line(1)).unwrap();
        assert_eq!(seqs(&tail.look().unwrap()), [0, 1]);
        assert!(tail.look().unwrap().events.is_empty());
        write!(file, "{end}{}", line(3)).unwrap();
        assert_eq!(seqs(&tail.look().unwrap()), [2, 3]);
    }

    #[test]
    fn a_file_that_the_next_run_has_emptied_or_replaced_is_read_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        std::fs::write(&path, line(0) + &line(1)).unwrap();
        let mut tail = Tail::new(&path);
        assert!(!tail.look().unwrap().afresh);
        File::create(&path).unwrap();
        let news = tail.look().unwrap();
        assert!(news.afresh && news.events.is_empty());
        std::fs::write(folder.path().join("other"), line(7) + &line(8) + &line(9)).unwrap();
        std::fs::rename(folder.path().join("other"), &path).unwrap();
        let news = tail.look().unwrap();
        assert!(news.afresh);
        assert_eq!(seqs(&news), [7, 8, 9]);
    }

    #[test]
    fn a_file_that_was_emptied_and_has_grown_beyond_what_was_read_is_read_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        std::fs::write(&path, line(0) + &line(1)).unwrap();
        let mut tail = Tail::new(&path);
        assert_eq!(seqs(&tail.look().unwrap()), [0, 1]);
        let longer: String = (10..40).map(line).collect();
        std::fs::write(&path, &longer).unwrap();
        let news = tail.look().unwrap();
        assert!(news.afresh);
        assert_eq!(seqs(&news), (10..40).collect::<Vec<_>>());
        // More of the same run is no other file.
        std::fs::write(&path, longer + &line(40)).unwrap();
        let news = tail.look().unwrap();
        assert_eq!((news.afresh, seqs(&news)), (false, vec![40]));
    }

    #[test]
    fn a_folder_is_no_file_of_events() {
        let folder = tempfile::tempdir().unwrap();
        let error = Tail::new(folder.path()).look().unwrap_err();
        assert_eq!(error.code(), Code::ConfigInvalid);
    }
}
