//! Following the files of plugins by their content.
//!
//! What the file system says of a file (where its name leads, number, size, times) is only a cheap sign that it is worth
//! reading; the digest of the bytes decides. A file is read once it has stayed as it is for a while, so that one that is
//! being written is left alone; a name that leads nowhere leaves the run with the plugin that it has.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{SwapRequest, SwapSource, Wish};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Digest, Name};

/// A slot whose file is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFile {
    pub slot: Name,
    pub path: PathBuf,
}

/// What the file system says of a file; none where the name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    device: u64,
    number: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

struct File {
    watched: WatchedFile,
    stamp: Option<Stamp>,
    /// Since when the stamp is as it is, where it has not been acted on yet.
    since: Option<Instant>,
    /// What was last handed over, or is in force.
    known: Option<Digest>,
    gone: bool,
    /// It could not be read as it is, which was told.
    unreadable: bool,
    /// It was read once: from then on another stamp means that something is about to come.
    read_once: bool,
}

/// The thread. Dropping it ends it.
pub(in crate::coordinator) struct Watcher {
    /// A file has changed and was not read yet.
    unsettled: Arc<AtomicBool>,
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Follows these files, which filled their slots with these digests; what is new comes by the channel.
    ///
    /// Errors: OPERATION_5003 where the system gives no thread.
    pub fn start(files: Vec<(WatchedFile, Option<Digest>)>, requests: Sender<Wish>) -> Result<Self> {
        let (wake, woken) = bounded(1);
        let unsettled = Arc::<AtomicBool>::default();
        let told = Arc::clone(&unsettled);
        let mut files: Vec<File> = files
            .into_iter()
            // Whatever it is now may be another file than the one that was loaded.
            .map(|(watched, known)| File::of(watched, known))
            .collect();
        let thread = std::thread::Builder::new()
            .name("atlas-watch".into())
            .spawn(move || follow(&mut files, &woken, &requests, &told))
            .map_err(|error| Error::new(Code::Internal, format!("no thread can be started: {error}")))?;
        Ok(Self { unsettled, wake: Some(wake), thread: Some(thread) })
    }

    /// True while a file has changed and is waited for to stay as it is.
    pub fn unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Acquire)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(files: &mut [File], woken: &Receiver<()>, requests: &Sender<Wish>, unsettled: &AtomicBool) {
    loop {
        for file in files.iter_mut() {
            file.hand_over(Instant::now(), requests);
        }
        // After the requests are sent: whoever sees that nothing is about to come finds them in the queue.
        unsettled.store(files.iter().any(File::about_to_come), Ordering::Release);
        match woken.recv_timeout(limits::WATCH_INTERVAL) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return,
        }
    }
}

impl File {
    fn of(watched: WatchedFile, known: Option<Digest>) -> Self {
        Self { stamp: None, since: None, known, gone: false, unreadable: false, read_once: false, watched }
    }

    fn about_to_come(&self) -> bool {
        self.read_once && self.since.is_some() && !self.unreadable
    }

    /// Looks once, and hands over what is new.
    fn hand_over(&mut self, now: Instant, requests: &Sender<Wish>) {
        // A run that has no room has not yet heard of the last one: what is newest is handed over later.
        if let Some(wish) = self.look(now, |path| std::fs::read(path))
            && requests.try_send(wish).is_err()
        {
            self.known = None;
            self.since = Some(now);
        }
    }

    /// The file's plugin, if it is another than before and has stayed so.
    fn look(&mut self, now: Instant, read: impl FnOnce(&Path) -> io::Result<Vec<u8>>) -> Option<Wish> {
        let stamp = self.stamp();
        if stamp.is_none() {
            if !std::mem::replace(&mut self.gone, true) {
                let (path, slot) = (self.watched.path.display(), &self.watched.slot);
                tracing::warn!("{path} is gone; slot {slot} keeps the plugin that it has.");
            }
            (self.stamp, self.since) = (None, None);
            return None;
        }
        self.gone = false;
        if stamp != self.stamp {
            (self.stamp, self.since, self.unreadable) = (stamp, Some(now), false);
            return None;
        }
        if now.duration_since(self.since?) < limits::WATCH_SETTLE {
            return None;
        }
        let bytes = self.bytes(read)?;
        // Written to while it was read: it is looked at again.
        if self.stamp() != self.stamp {
            return None;
        }
        (self.since, self.unreadable, self.read_once) = (None, false, true);
        let digest = Digest::of(&bytes);
        if self.known.replace(digest) == Some(digest) {
            return None;
        }
        let WatchedFile { slot, path } = &self.watched;
        let name = path.display().to_string();
        let request = SwapRequest { slot: slot.clone(), name, bytes: bytes.into(), source: SwapSource::Watch };
        Some(Wish { request, digest })
    }

    fn stamp(&self) -> Option<Stamp> {
        let path = std::fs::canonicalize(&self.watched.path).ok()?;
        let found = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Stamp {
            path,
            device: found.dev(),
            number: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// The bytes; none where they cannot be had, which is told once for each state of the file. What hinders the reading may
    /// pass with no other state: it is tried again with the next look.
    fn bytes(&mut self, read: impl FnOnce(&Path) -> io::Result<Vec<u8>>) -> Option<Vec<u8>> {
        let path = &self.watched.path;
        let size = self.stamp.as_ref().map_or(0, |stamp| stamp.size);
        let why = if size > limits::PLUGIN_BYTES_MAX {
            self.since = None;
            format!("it has {size} bytes, the bound is {}", limits::PLUGIN_BYTES_MAX)
        } else {
            match read(path) {
                Ok(bytes) => return Some(bytes),
                Err(error) => error.to_string(),
            }
        };
        if !std::mem::replace(&mut self.unreadable, true) {
            tracing::warn!("{} cannot be read: {why}; slot {} keeps its plugin.", path.display(), self.watched.slot);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    /// A followed file on a clock that the test moves.
    struct Followed {
        _folder: tempfile::TempDir,
        path: PathBuf,
        file: File,
        now: Instant,
        queue: (Sender<Wish>, Receiver<Wish>),
    }

    impl Followed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("work.wasm");
            std::fs::write(&path, "v1").unwrap();
            let slot = Name::parse("work").unwrap();
            let file = File::of(WatchedFile { slot, path: path.clone() }, Some(Digest::of(b"v1")));
            let mut followed = Self { _folder: folder, path, file, now: Instant::now(), queue: bounded(1) };
            followed.pass(1000);
            assert_eq!(followed.came(), [""; 0], "it is what fills the slot");
            followed
        }

        fn write(&self, content: &str) {
            std::fs::write(&self.path, content).unwrap();
        }

        /// Lets the time pass, with looks as often as the thread has them.
        fn pass(&mut self, ms: u32) {
            let until = self.now + ms * MS;
            while self.now < until {
                self.now += limits::WATCH_INTERVAL;
                self.file.hand_over(self.now, &self.queue.0);
            }
        }

        fn came(&self) -> Vec<String> {
            self.queue.1.try_iter().map(|wish| String::from_utf8(wish.request.bytes.to_vec()).unwrap()).collect()
        }
    }

    #[test]
    fn a_file_that_is_written_in_pieces_is_taken_once_and_whole() {
        let mut followed = Followed::new();
        for piece in ["n", "ne", "new", "new!", "new!!"] {
            followed.write(piece);
            followed.pass(100);
            assert_eq!(followed.came(), [""; 0], "{piece}");
        }
        followed.pass(1000);
        assert_eq!(followed.came(), ["new!!"]);
        followed.pass(1000);
        assert_eq!(followed.came(), [""; 0]);
    }

    #[test]
    fn a_file_that_is_touched_again_and_again_is_left_alone_and_the_same_content_is_nothing_new() {
        let mut followed = Followed::new();
        followed.write("v2");
        for second in 0..20 {
            let touched = std::fs::File::options().append(true).open(&followed.path).unwrap();
            touched.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
            followed.pass(50);
            assert_eq!(followed.came(), [""; 0]);
        }
        followed.pass(250);
        assert_eq!(followed.came(), ["v2"]);
        followed.write("v2");
        followed.pass(1000);
        assert_eq!(followed.came(), [""; 0]);
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let mut followed = Followed::new();
        followed.write("half");
        followed.pass(200);
        let path = followed.path.clone();
        followed.now += 200 * MS;
        let torn = followed.file.look(followed.now, |file| {
            let bytes = std::fs::read(file);
            std::fs::write(&path, "half, whole").unwrap();
            bytes
        });
        assert!(torn.is_none());
        followed.pass(1000);
        assert_eq!(followed.came(), ["half, whole"]);
    }

    #[test]
    fn what_cannot_be_read_for_a_while_is_read_later_though_nothing_about_it_changes() {
        let mut followed = Followed::new();
        followed.write("v2");
        followed.pass(100);
        assert!(followed.file.about_to_come());
        followed.now += 500 * MS;
        let failed = followed.file.look(followed.now, |_| Err(io::Error::other("the disk is away")));
        assert!(failed.is_none() && !followed.file.about_to_come(), "nobody waits for it");
        followed.pass(50);
        assert_eq!(followed.came(), ["v2"]);
    }

    #[test]
    fn what_finds_no_room_is_handed_over_later_in_its_newest_form() {
        let mut followed = Followed::new();
        for content in ["v2", "v3", "v4"] {
            followed.write(content);
            followed.pass(1000);
        }
        assert_eq!(followed.came(), ["v2"]);
        followed.pass(1000);
        assert_eq!(followed.came(), ["v4"]);
        std::fs::remove_file(&followed.path).unwrap();
        followed.pass(1000);
        followed.write("v4");
        followed.pass(1000);
        assert_eq!(followed.came(), [""; 0], "gone and there again, as it was");
    }
}
