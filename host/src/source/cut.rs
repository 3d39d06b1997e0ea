//! Cuts a source into batches.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::model::{Batch, Broken, Digest, Position, Record, RecordKind, RunNumber};

use super::decode::Decoder;
use super::rolling::Rolling;
use super::{Next, Raw, Source, Standing, overlong};

/// How often a wait for data looks at the stop flag and the clock.
const POLL: Duration = Duration::from_millis(20);
/// The clock is looked at every so many records at least.
const RECORDS_PER_LOOK: usize = 256;
/// Largest record, and the size at which any batch closes: a batch's ranges are 32 bits wide.
const TEXT_BYTES_LIMIT: usize = 1 << 30;

/// Cuts batches from a source, and keeps the digest of all that was cut.
pub struct Cutter {
    source: Box<dyn Source>,
    decoder: Decoder,
    limit: Option<u64>,
    next: u64,
    digest: Rolling,
    /// Blank lines behind the last record: they belong to the next cut, so that no timing decides where they count.
    blank_lines: u64,
    ended: bool,
    /// An error of the source that waits until the records before it were given out.
    error: Option<Error>,
    /// Code of the error that was given out: there is nothing to read behind it.
    failed: Option<Code>,
    /// Bytes of text and number of records of the last batch: the next one will be alike.
    expected: (usize, usize),
}

/// A batch and what is known of the input up to its end.
#[derive(Debug)]
pub struct Cut {
    /// Records in input order. Empty only at the end of the input, or if stopped.
    pub batch: Batch,
    /// Blank lines before the batch's last record; at the end of the input, all that are left.
    pub blank_lines: u64,
    /// Digest over every record since ordinal 0, whatever the batches; since it went on, where the source did so by itself.
    pub digest: Digest,
    /// True if nothing follows: the end of the input, or the limit on records.
    pub end: bool,
    /// Time spent reading and decoding, without waiting for a pipe.
    pub read_time: Duration,
    /// Bytes of the batch's records, decompressed and without line ends.
    pub record_bytes: u64,
    /// See [`Source::bytes_read`]: at the end of the batch.
    pub input_bytes: u64,
}

/// What was read over by [`Cutter::skip_to`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// Digest over the records that were skipped: that of the cut which ended there.
    pub digest: Digest,
    /// Blank lines before the last of them.
    pub blank_lines: u64,
}

impl Cutter {
    /// A cutter that gives out `limit` records at the most.
    pub fn new(source: Box<dyn Source>, decoder: Decoder, limit: Option<u64>) -> Self {
        Self {
            source,
            decoder,
            limit,
            next: 0,
            digest: Rolling::default(),
            blank_lines: 0,
            ended: false,
            error: None,
            failed: None,
            expected: (0, 0),
        }
    }

    /// The source, for names and progress.
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// See [`Source::has_changed_since`].
    pub fn has_changed_since(&self, run: RunNumber) -> Result<bool> {
        self.source.has_changed_since(run)
    }

    /// Begins at the first record, or where a run stands that is continued. False if what that has read is still before it.
    pub fn begin(&mut self, after: Option<Standing<'_>>) -> Result<bool> {
        let stands = self.source.begin(after)?;
        if let (true, Some(after)) = (stands, after) {
            self.next = after.next;
        }
        Ok(stands)
    }

    /// Cuts the next batch. It closes at `size` records, at `bytes_max` bytes, when `wait` has passed since its first
    /// record, at the end of the input, or when `stop` is set: whatever comes first. It waits for its first record as
    /// long as it takes.
    ///
    /// # Errors
    /// What the source says; the records before it come first, in a batch of their own.
    pub fn cut(&mut self, size: usize, bytes_max: usize, wait: Option<Duration>, stop: &AtomicBool) -> Result<Cut> {
        let began = Instant::now();
        let waited = self.source.waited();
        if let Some(code) = self.failed {
            return Err(Error::new(code, "the input has failed before and cannot be read on"));
        }
        if let Some(error) = self.error.take() {
            return Err(self.fail(error));
        }
        let mut filling = Filling::new(self.next, self.expected, size, bytes_max);
        let mut blank_lines = 0;
        let mut look = Instant::now() + POLL;
        let mut close: Option<Instant> = None;
        while !self.at_end() && !filling.full() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match self.source.next(Some(look)) {
                Ok(Next::Record(raw)) => {
                    self.digest.record(&raw);
                    filling.record(&raw, &self.decoder);
                }
                Ok(Next::Broken(position, broken)) => {
                    self.digest.broken(&broken);
                    filling.broken(position, broken);
                }
                Ok(Next::Blank(count)) => {
                    self.blank_lines += count;
                    continue;
                }
                Ok(Next::Idle) => {
                    let now = Instant::now();
                    if close.is_some_and(|c| now >= c) {
                        break;
                    }
                    look = next_look(now, close);
                    continue;
                }
                Ok(Next::End) => {
                    self.ended = true;
                    break;
                }
                Err(error) if filling.is_empty() => return Err(self.fail(error)),
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
            self.next += 1;
            blank_lines += std::mem::take(&mut self.blank_lines);
            if filling.len() % RECORDS_PER_LOOK == 1 {
                let now = Instant::now();
                if close.is_some_and(|c| now >= c) {
                    break;
                }
                // A wait beyond what a clock can say has no end.
                close = close.or(wait.and_then(|w| now.checked_add(w)));
                look = next_look(now, close);
            }
        }
        let end = self.at_end() && self.error.is_none();
        if end {
            blank_lines += std::mem::take(&mut self.blank_lines);
        }
        let record_bytes = filling.record_bytes;
        let mut batch = filling.batch;
        batch.place = self.source.place().map(str::to_owned);
        self.expected = (batch.text.len(), batch.records.len());
        let read_time = began.elapsed().saturating_sub(self.source.waited() - waited);
        let (digest, input_bytes) = (self.digest.so_far(), self.source.bytes_read());
        Ok(Cut { batch, blank_lines, digest, end, read_time, record_bytes, input_bytes })
    }

    /// Reads over the records before `next`, to continue behind a checkpoint. None: stopped.
    ///
    /// # Errors
    /// `RecoveryCheckpoint` if the input holds fewer records, and what the source says. A file that is followed is not waited
    /// for: what was read of it before is there, or it is another file.
    pub fn skip_to(&mut self, next: u64, stop: &AtomicBool) -> Result<Option<Skipped>> {
        assert!(self.next <= next, "BUG: skips back from record {} to {next}", self.next);
        let mut blank_lines = 0;
        let mut look = Instant::now() + POLL;
        while self.next < next {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match self.source.next(Some(look))? {
                Next::Record(raw) => self.digest.record(&raw),
                Next::Broken(_, broken) => self.digest.broken(&broken),
                Next::Blank(count) => {
                    self.blank_lines += count;
                    continue;
                }
                Next::Idle => {
                    if self.source.at_present_end() {
                        return Err(self.shorter_than(next));
                    }
                    look = Instant::now() + POLL;
                    continue;
                }
                Next::End => return Err(self.shorter_than(next)),
            }
            self.next += 1;
            blank_lines += std::mem::take(&mut self.blank_lines);
        }
        Ok(Some(Skipped { digest: self.digest.so_far(), blank_lines }))
    }

    fn shorter_than(&self, next: u64) -> Error {
        let (names, found) = (self.source.names().join(", "), self.next);
        let message =
            format!("the run had read {next} records of {names}, which holds {found}: it is not the same input");
        Error::new(Code::RecoveryCheckpoint, message)
            .hint("give the input that the run began with, or process this one anew with `run --again`")
            .of_input()
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error.code());
        error
    }

    fn at_end(&self) -> bool {
        self.ended || self.limit.is_some_and(|l| self.next >= l)
    }
}

fn next_look(now: Instant, close: Option<Instant>) -> Instant {
    close.map_or(now + POLL, |c| c.min(now + POLL))
}

/// A batch while it is filled.
struct Filling {
    batch: Batch,
    size: usize,
    bytes_max: usize,
    /// Bytes of broken records, which do not stand in the text.
    broken_bytes: usize,
    /// See [`Cut::record_bytes`].
    record_bytes: u64,
}

impl Filling {
    fn new(first_ordinal: u64, (text_bytes, records): (usize, usize), size: usize, bytes_max: usize) -> Self {
        let size = size.max(1);
        let text = String::with_capacity(text_bytes + text_bytes / 8);
        let records = Vec::with_capacity(records.max(RECORDS_PER_LOOK).min(size));
        let bytes_max = bytes_max.clamp(1, TEXT_BYTES_LIMIT);
        let batch = Batch { text, records, first_ordinal, place: None };
        Self { batch, size, bytes_max, broken_bytes: 0, record_bytes: 0 }
    }

    fn full(&self) -> bool {
        self.len() >= self.size || self.batch.text.len() + self.broken_bytes >= self.bytes_max
    }

    fn len(&self) -> usize {
        self.batch.records.len()
    }

    fn is_empty(&self) -> bool {
        self.batch.records.is_empty()
    }

    fn record(&mut self, raw: &Raw<'_>, decoder: &Decoder) {
        if raw.bytes.len() > TEXT_BYTES_LIMIT {
            return self.broken(raw.position, overlong::of_whole(raw.bytes, "record", TEXT_BYTES_LIMIT));
        }
        let decoded = match decoder.judge(raw) {
            Ok(decoded) => decoded,
            Err(problem) => {
                let (kept, total_bytes) = (raw.bytes.to_vec(), raw.bytes.len() as u64);
                let broken = Broken { problem, kept, total_bytes, digest: Digest::of(raw.bytes) };
                return self.broken(raw.position, Box::new(broken));
            }
        };
        self.record_bytes += raw.bytes.len() as u64;
        let ordinal = self.batch.first_ordinal + self.batch.records.len() as u64;
        let text = &mut self.batch.text;
        let start = end_of(text);
        match decoded.id {
            Some(id) => text.push_str(&id),
            None => write!(text, "{ordinal}").expect("writing to a String cannot fail"),
        }
        let middle = end_of(text);
        text.push_str(decoded.body);
        let kind = RecordKind::Item { id: start..middle, body: middle..end_of(text) };
        self.batch.records.push(Record { position: raw.position, kind });
    }

    fn broken(&mut self, position: Position, broken: Box<Broken>) {
        self.broken_bytes += broken.kept.len();
        self.record_bytes += broken.total_bytes;
        self.batch.records.push(Record { position, kind: RecordKind::Broken(broken) });
    }
}

fn end_of(text: &str) -> u32 {
    u32::try_from(text.len()).expect("a batch is full at 1 GiB, and no record is larger")
}

#[cfg(test)]
mod tests;
