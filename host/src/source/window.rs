//! A window that slides over the decompressed bytes of one input.
//!
//! Regular files are read directly, one that grows too, with pauses. A pipe is read by a thread of its own, behind a bounded channel: a read that
//! blocks can be waited for with a deadline, and given up. Such a thread ends with its next read after the window is
//! dropped, or with the process.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};

use super::growing::Growing;
use super::input::Opened;

/// A file is read in pieces of up to this size.
const FILE_BLOCK_BYTES: usize = 1 << 20;
/// A pipe is read in pieces of up to this size.
const PIPE_BLOCK_BYTES: usize = 256 << 10;
/// Pieces of a pipe that may wait for the splitter.
const PIPE_BLOCKS_MAX: usize = 4;
/// The buffer makes room when less than this is free at its end.
const ROOM_BYTES_MIN: usize = 64 << 10;
/// A pipe that somebody set to non-blocking is asked again after this time.
const PIPE_ASK_AGAIN: Duration = Duration::from_millis(5);
/// A byte order mark in UTF-8. It is dropped at the start of an input and nowhere else.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// See the module.
pub(super) struct Window {
    name: String,
    feed: Feed,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of `buffer[start]` in the decompressed input.
    offset: u64,
    begun: bool,
    ended: bool,
    torn_possible: bool,
    /// The last read of a file that grows found nothing new.
    at_present_end: bool,
    waited: Duration,
}

enum Feed {
    File(Box<dyn Read + Send>),
    Growing(Growing),
    Pipe(Receiver<Piece>),
}

enum Piece {
    Bytes(Vec<u8>),
    End { sealed: bool },
    Failed(io::Error),
}

/// What [`Window::fill`] achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// There are more bytes.
    More,
    /// The deadline passed. There may be more bytes.
    Idle,
    /// The input is at its end.
    End,
}

impl Window {
    /// A window over a reader that does not block.
    pub(super) fn of_file(name: String, reader: Box<dyn Read + Send>) -> Self {
        Self::over(name, Feed::File(reader))
    }

    /// A window over a file that is still being written.
    pub(super) fn of_growing(name: String, file: Growing) -> Self {
        Self::over(name, Feed::Growing(file))
    }

    /// A window over what `open` opens on the thread that reads it.
    pub(super) fn of_pipe(name: String, open: impl FnOnce() -> io::Result<Opened> + Send + 'static) -> Result<Self> {
        let (sender, receiver) = sync_channel(PIPE_BLOCKS_MAX);
        let read = move || match open() {
            Ok(opened) => pump(opened, &sender),
            Err(e) => drop(sender.send(Piece::Failed(e))),
        };
        thread::Builder::new().name("input".to_owned()).spawn(read).map_err(|e| {
            Error::new(Code::InputCutShort, format!("no thread can be started to read input `{name}`: {e}"))
                .hint("raise the limit on threads, or read from a file")
                .because(e)
        })?;
        Ok(Self::over(name, Feed::Pipe(receiver)))
    }

    fn over(name: String, feed: Feed) -> Self {
        Self {
            name,
            feed,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            begun: false,
            ended: false,
            torn_possible: false,
            at_present_end: false,
            waited: Duration::ZERO,
        }
    }

    /// The bytes at hand.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Offset of the first byte at hand.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Drops the first `count` bytes at hand.
    pub(super) fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "BUG: consumes {count} of {} bytes", self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// True at the end of a pipe of which nobody can tell whether its writer came to its own end.
    pub(super) fn torn_possible(&self) -> bool {
        self.torn_possible
    }

    /// True while a file that grows holds no more bytes than were read.
    pub(super) fn at_present_end(&self) -> bool {
        self.at_present_end
    }

    /// Time spent waiting for a pipe, or for a file to grow.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// Memory that the window holds.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// An error about this input that ends the run.
    pub(super) fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::new(Code::InputCutShort, format!("input `{}`: {what}", self.name))
    }

    /// Gets more bytes, waiting until `wait` at the most.
    pub(super) fn fill(&mut self, wait: Option<Instant>) -> Result<Fill> {
        loop {
            if self.ended {
                return Ok(Fill::End);
            }
            let filled = match &mut self.feed {
                Feed::File(_) => self.read_file(),
                Feed::Growing(_) => self.read_growing(wait),
                Feed::Pipe(_) => self.receive(wait),
            };
            let Some(added) = filled.map_err(|e| self.unreadable(e))? else { return Ok(Fill::Idle) };
            self.ended |= added == 0;
            if !self.begin() {
                continue;
            }
            return Ok(match wait {
                _ if self.ended && self.bytes().is_empty() => Fill::End,
                // A record that spans many blocks must not keep the caller from looking at a stop.
                Some(until) if Instant::now() >= until => Fill::Idle,
                _ if self.ended => Fill::End,
                _ => Fill::More,
            });
        }
    }

    /// Drops a byte order mark. False while too few bytes are there to tell.
    fn begin(&mut self) -> bool {
        if self.begun {
            return true;
        }
        let bytes = self.bytes();
        if !self.ended && bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) {
            return false;
        }
        if bytes.starts_with(BYTE_ORDER_MARK) {
            self.consume(BYTE_ORDER_MARK.len());
        }
        self.begun = true;
        true
    }

    fn read_file(&mut self) -> io::Result<Option<usize>> {
        self.make_room(ROOM_BYTES_MIN);
        let Feed::File(reader) = &mut self.feed else { unreachable!("BUG: a pipe is read as a file") };
        loop {
            match reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(Some(count));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads what was added; none if the deadline passed.
    fn read_growing(&mut self, wait: Option<Instant>) -> io::Result<Option<usize>> {
        self.make_room(ROOM_BYTES_MIN);
        let Feed::Growing(file) = &mut self.feed else { unreachable!("BUG: a pipe is read as a file") };
        let began = Instant::now();
        let count = file.read(&mut self.buffer[self.end..], wait)?;
        self.at_present_end = count.is_none();
        match count {
            Some(count) => self.end += count,
            None => self.waited += began.elapsed(),
        }
        Ok(count)
    }

    /// Takes one piece from the thread; none if the deadline passed.
    fn receive(&mut self, wait: Option<Instant>) -> io::Result<Option<usize>> {
        let Feed::Pipe(receiver) = &self.feed else { unreachable!("BUG: a file is read as a pipe") };
        let piece = match receiver.try_recv() {
            Ok(piece) => Ok(piece),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {
                let began = Instant::now();
                let piece = match wait {
                    Some(until) => receiver.recv_timeout(until.saturating_duration_since(began)),
                    None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                self.waited += began.elapsed();
                piece
            }
        };
        match piece {
            Ok(Piece::Bytes(bytes)) => {
                self.make_room(bytes.len());
                self.buffer[self.end..self.end + bytes.len()].copy_from_slice(&bytes);
                self.end += bytes.len();
                Ok(Some(bytes.len()))
            }
            Ok(Piece::End { sealed }) => {
                self.torn_possible = !sealed;
                Ok(Some(0))
            }
            Ok(Piece::Failed(e)) => Err(e),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread that reads it is gone")),
        }
    }

    /// Makes at least `count` bytes of room behind `end`.
    fn make_room(&mut self, count: usize) {
        if self.buffer.len() - self.end >= count {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < count {
            let larger = (self.buffer.len() * 2).max(self.end + count).max(FILE_BLOCK_BYTES);
            self.buffer.resize(larger, 0);
        }
    }

    fn unreadable(&mut self, error: io::Error) -> Error {
        let at = self.offset + self.bytes().len() as u64;
        self.error(format_args!("cannot be read beyond byte {at} (decompressed): {error}")).because(error)
    }
}

/// The thread behind a pipe.
fn pump(Opened { mut reader, sealed }: Opened, sender: &SyncSender<Piece>) {
    let mut block = vec![0; PIPE_BLOCK_BYTES];
    loop {
        let piece = match reader.read(&mut block) {
            Ok(0) => Piece::End { sealed },
            Ok(count) => Piece::Bytes(block[..count].to_vec()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(PIPE_ASK_AGAIN);
                continue;
            }
            Err(e) => Piece::Failed(e),
        };
        let last = !matches!(piece, Piece::Bytes(_));
        if sender.send(piece).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    fn pipe_of(reader: impl Read + Send + 'static) -> Window {
        Window::of_pipe("-".into(), || Ok(Opened { reader: Box::new(reader), sealed: false })).unwrap()
    }

    #[test]
    fn a_byte_order_mark_is_dropped_at_the_start_only_and_offsets_stay_right() {
        struct ByteWise(Cursor<Vec<u8>>);
        impl Read for ByteWise {
            fn read(&mut self, b: &mut [u8]) -> io::Result<usize> {
                self.0.read(&mut b[..1])
            }
        }
        for (content, wanted, offset) in [
            (&b"\xef\xbb\xbfa\xef\xbb\xbf"[..], &b"a\xef\xbb\xbf"[..], 3),
            (b"\xef\xbb", b"\xef\xbb", 0),
            (b"\xef\xbb\xbf", b"", 3),
            (b"\xef\xbbx", b"\xef\xbbx", 0),
            (b"", b"", 0),
        ] {
            let mut window = Window::of_file("x".into(), Box::new(ByteWise(Cursor::new(content.to_vec()))));
            while window.fill(None).unwrap() != Fill::End {}
            assert_eq!((window.bytes(), window.offset()), (wanted, offset));
        }
    }

    #[test]
    fn a_silent_pipe_gives_idle_at_the_deadline_and_data_once_it_comes() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut window = pipe_of(reader);
        assert_eq!(window.fill(Some(Instant::now())).unwrap(), Fill::Idle);
        assert_eq!(window.fill(Some(Instant::now() + Duration::from_millis(20))).unwrap(), Fill::Idle);
        writer.write_all(b"abc").unwrap();
        assert_eq!(window.fill(None).unwrap(), Fill::More);
        assert_eq!(window.bytes(), b"abc");
        drop(writer);
        assert_eq!(window.fill(None).unwrap(), Fill::End);
        assert!(window.torn_possible());
    }

    #[test]
    fn a_reader_that_would_block_is_asked_again() {
        struct Shy(u32);
        impl Read for Shy {
            fn read(&mut self, b: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 | 3 => Err(io::ErrorKind::WouldBlock.into()),
                    2 => Err(io::ErrorKind::Interrupted.into()),
                    4 => {
                        b[0] = b'x';
                        Ok(1)
                    }
                    _ => Ok(0),
                }
            }
        }
        let mut window = pipe_of(Shy(0));
        while window.fill(None).unwrap() != Fill::End {}
        assert_eq!(window.bytes(), b"x");
    }

    #[test]
    fn a_failing_reader_names_input_and_byte() {
        let broken = || Cursor::new(b"1234".to_vec()).chain(Failing);
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("disk on fire"))
            }
        }
        for mut window in [Window::of_file("x".into(), Box::new(broken())), pipe_of(broken())] {
            let error = loop {
                match window.fill(None) {
                    Ok(fill) => assert_eq!(fill, Fill::More),
                    Err(e) => break e,
                }
            };
            assert_eq!((error.code(), window.bytes()), (Code::InputCutShort, &b"1234"[..]));
            assert!(error.to_string().contains("beyond byte 4 (decompressed): disk on fire"), "{error}");
        }
    }
}
