//! Cuts a source into batches.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::model::{Batch, Broken, Digest, Position, Record, RecordKind};

use super::decode::Decoder;
use super::rolling::Rolling;
use super::{Next, Raw, Source, overlong};

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
    /// Digest over every record since ordinal 0, whatever the batches.
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
        let batch = filling.batch;
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
            .hint("give the input that the run began with, or process this one anew with --again")
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
        Self { batch: Batch { text, records, first_ordinal }, size, bytes_max, broken_bytes: 0, record_bytes: 0 }
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
mod tests {
    use super::super::{InputPath, ListSource, MissingId, ReadOptions, open};
    use super::*;
    use crate::model::Pointer;
    use std::io::Write as _;
    use std::sync::Arc;

    static GO: AtomicBool = AtomicBool::new(false);
    const MANY_BYTES: usize = 1 << 20;

    fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".ndjson").tempfile().unwrap();
        file.write_all(content.as_ref()).unwrap();
        file
    }

    fn cutter(file: &tempfile::NamedTempFile) -> Cutter {
        limited(file, None)
    }

    fn limited(file: &tempfile::NamedTempFile, limit: Option<u64>) -> Cutter {
        let source = open(vec![InputPath::File(file.path().into())], &ReadOptions::default()).unwrap();
        Cutter::new(Box::new(source), Decoder::new(None, MissingId::Reject), limit)
    }

    fn items(batch: &Batch) -> Vec<(u64, String, String)> {
        let item = |i| batch.item(i).map(|it| (it.ordinal.0, it.id.to_owned(), it.body.to_owned()));
        (0..batch.len()).filter_map(item).collect()
    }

    #[test]
    fn a_batch_closes_at_its_size_at_its_bytes_and_at_the_end() {
        let file = file("1\n22\n333\n\n4444\n55555\n");
        let mut cutter = cutter(&file);
        let sizes = [(2, MANY_BYTES, 2), (10, 6, 2), (10, MANY_BYTES, 1), (10, MANY_BYTES, 0)];
        for (i, (size, bytes, wanted)) in sizes.into_iter().enumerate() {
            let cut = cutter.cut(size, bytes, None, &GO).unwrap();
            assert_eq!((cut.batch.len(), cut.end), (wanted, i >= 2), "cut {i}");
            assert_eq!(cut.blank_lines, u64::from(i == 1), "cut {i}");
        }
        assert_eq!(cutter.next, 5);
    }

    #[test]
    fn ids_come_from_the_pointer_the_source_or_the_ordinal() {
        let entries = [
            (Some("own".to_owned()), r#"{"k":"a"}"#.to_owned()),
            (None, r#"{"k":7}"#.to_owned()),
            (None, "{}".to_owned()),
        ];
        for (missing, wanted) in [(MissingId::Ordinal, 3), (MissingId::Reject, 2)] {
            let source = Box::new(ListSource::new("list", entries.clone()));
            let mut cutter = Cutter::new(source, Decoder::new(Pointer::parse("k"), missing), None);
            let cut = cutter.cut(10, MANY_BYTES, None, &GO).unwrap();
            let ids: Vec<String> = items(&cut.batch).into_iter().map(|i| i.1).collect();
            assert_eq!(ids, ["own", "7", "2"][..wanted]);
            assert_eq!(cut.batch.len(), 3);
        }
    }

    #[test]
    fn a_broken_record_keeps_its_place_and_bytes() {
        let file = file(b"{\"a\":1}\n{\"a\":\xff}\n\n{bad\n[2]\n");
        let cut = cutter(&file).cut(10, MANY_BYTES, None, &GO).unwrap();
        assert_eq!(items(&cut.batch), [(0, "0".into(), "{\"a\":1}".into()), (3, "3".into(), "[2]".into())]);
        let broken = |i: usize| match &cut.batch.records[i].kind {
            RecordKind::Broken(b) => (b.problem.code.clone(), b.kept.clone(), cut.batch.records[i].position),
            RecordKind::Item { .. } => panic!("record {i} is an item"),
        };
        let at = |line, offset| Position { input: 0, line, offset };
        assert_eq!(broken(1), ("VALIDATION_4004".into(), b"{\"a\":\xff}".to_vec(), at(2, 8)));
        assert_eq!(broken(2), ("VALIDATION_4004".into(), b"{bad".to_vec(), at(4, 17)));
    }

    #[test]
    fn the_digest_depends_on_the_records_only_and_skipping_gives_the_same() {
        let text: String =
            (0..3000).map(|i| format!("{{\"n\":{i}}}\n{}", if i % 7 == 0 { "\n" } else { "" })).collect();
        let file = file(text.replace("\"n\":5}", "\"n\":5"));
        let mut digests = std::collections::BTreeMap::new();
        for sizes in [[1, 1, 1], [3, 50, 7], [1000, 1000, 1000]] {
            let mut cutter = cutter(&file);
            let mut blank_lines = 0;
            for size in sizes.into_iter().cycle() {
                let cut = cutter.cut(size, MANY_BYTES, None, &GO).unwrap();
                blank_lines += cut.blank_lines;
                if cut.end {
                    break;
                }
                let known = *digests.entry(cutter.next).or_insert((cut.digest, blank_lines));
                assert_eq!(known, (cut.digest, blank_lines), "up to {}", cutter.next);
            }
        }
        for (&next, &(digest, blank_lines)) in digests.iter().step_by(97) {
            let mut cutter = cutter(&file);
            assert_eq!(cutter.skip_to(next, &GO).unwrap(), Some(Skipped { digest, blank_lines }));
            let cut = cutter.cut(1, MANY_BYTES, None, &GO).unwrap();
            assert_eq!(cut.batch.first_ordinal, next);
        }
        let error = cutter(&file).skip_to(3001, &GO).unwrap_err();
        assert_eq!(error.code(), Code::RecoveryCheckpoint);
        let wanted = format!("had read 3001 records of {}, which holds 3000", file.path().display());
        assert!(error.to_string().contains(&wanted) && error.is_of_input(), "{error}");
        assert_eq!(cutter(&file).skip_to(5, &AtomicBool::new(true)).unwrap(), None);
    }

    #[test]
    fn a_followed_file_that_holds_fewer_records_than_were_read_is_told_and_not_waited_for() {
        let file = file("1\n2\n3\n4");
        let followed = || {
            let options = ReadOptions { follow: true, ..ReadOptions::default() };
            let source = open(vec![InputPath::File(file.path().into())], &options).unwrap();
            Cutter::new(Box::new(source), Decoder::new(None, MissingId::Reject), None)
        };
        assert!(followed().skip_to(3, &GO).unwrap().is_some());
        let error = followed().skip_to(4, &GO).unwrap_err();
        assert_eq!(error.code(), Code::RecoveryCheckpoint, "{error}");
        assert!(error.to_string().contains("had read 4 records") && error.to_string().contains("holds 3"), "{error}");
    }

    #[test]
    fn a_batch_that_may_wait_longer_than_any_clock_runs_closes_all_the_same() {
        let cut = cutter(&file("1\n2\n3\n")).cut(2, MANY_BYTES, Some(Duration::MAX), &GO).unwrap();
        assert_eq!((cut.batch.len(), cut.end), (2, false));
    }

    #[test]
    fn another_record_or_another_border_between_records_gives_another_digest() {
        let digest = |content: &str| cutter(&file(content)).cut(10, MANY_BYTES, None, &GO).unwrap().digest;
        let all = ["1\n23\n", "12\n3\n", "123\n", "1\n24\n", "1\n2\n3\n", ""].map(digest);
        assert_eq!(std::collections::HashSet::from(all).len(), all.len());
        assert_eq!(digest("1\n\n23"), digest("1\r\n23\n"), "blank lines and line ends do not count");
    }

    #[test]
    fn the_limit_counts_records_and_ends_the_input() {
        let file = file("1\nbad\n3\n4\n");
        let mut cutter = limited(&file, Some(3));
        let cut = cutter.cut(2, MANY_BYTES, None, &GO).unwrap();
        assert_eq!((cut.batch.len(), cut.end), (2, false));
        let cut = cutter.cut(2, MANY_BYTES, None, &GO).unwrap();
        assert_eq!((cut.batch.len(), cut.end), (1, true));
        assert!(limited(&file, Some(0)).cut(2, MANY_BYTES, None, &GO).unwrap().end);
    }

    #[test]
    fn an_error_comes_after_the_records_before_it() {
        let failing = || Err(Error::new(Code::StorageRead, "gone"));
        let entries = vec![Ok((None, "1".to_owned())), Ok((None, "2".to_owned())), failing()];
        let mut cutter =
            Cutter::new(Box::new(ListSource::fallible("list", entries)), Decoder::new(None, MissingId::Reject), None);
        let cut = cutter.cut(10, MANY_BYTES, None, &GO).unwrap();
        assert_eq!((cut.batch.len(), cut.end), (2, false));
        for _ in 0..2 {
            assert_eq!(cutter.cut(10, MANY_BYTES, None, &GO).unwrap_err().code(), Code::StorageRead);
        }
    }

    /// A source that says what it is told, once per call.
    struct Script(Vec<&'static str>, Arc<AtomicBool>, [String; 1]);

    impl Source for Script {
        fn next(&mut self, _: Option<Instant>) -> Result<Next<'_>> {
            if self.0.is_empty() {
                return Ok(Next::End);
            }
            Ok(match self.0.remove(0) {
                "idle" => Next::Idle,
                "blank" => Next::Blank(2),
                "stop" => {
                    self.1.store(true, Ordering::Relaxed);
                    Next::Idle
                }
                body => Next::Record(Raw { bytes: body.as_bytes(), id: None, position: Position::default() }),
            })
        }
        fn names(&self) -> &[String] {
            &self.2
        }
        fn total_bytes(&self) -> Option<u64> {
            None
        }
        fn bytes_read(&self) -> u64 {
            0
        }
    }

    fn scripted(script: Vec<&'static str>) -> (Cutter, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        let source = Box::new(Script(script, stop.clone(), ["script".to_owned()]));
        (Cutter::new(source, Decoder::new(None, MissingId::Reject), None), stop)
    }

    #[test]
    fn the_waiting_time_counts_from_the_first_record() {
        let (mut cutter, stop) = scripted(vec!["idle", "blank", "idle", "1", "blank", "idle", "2", "blank"]);
        let cut = cutter.cut(10, MANY_BYTES, Some(Duration::ZERO), &stop).unwrap();
        assert_eq!((cut.batch.len(), cut.end, cut.blank_lines), (1, false, 2));
        let cut = cutter.cut(10, MANY_BYTES, None, &stop).unwrap();
        assert_eq!((cut.batch.len(), cut.end, cut.blank_lines), (1, true, 4));
    }

    #[test]
    fn a_stop_gives_what_is_there() {
        let (mut cutter, stop) = scripted(vec!["1", "2", "stop", "3"]);
        let cut = cutter.cut(10, MANY_BYTES, None, &stop).unwrap();
        assert_eq!((cut.batch.len(), cut.end), (2, false));
        let cut = cutter.cut(10, MANY_BYTES, None, &stop).unwrap();
        assert_eq!((cut.batch.len(), cut.end), (0, false));
    }

    #[test]
    fn a_stop_ends_a_wait_for_a_silent_pipe() {
        let (reader, writer) = std::io::pipe().unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let source = open(vec![InputPath::File(path.into())], &ReadOptions::default()).unwrap();
        let mut cutter = Cutter::new(Box::new(source), Decoder::new(None, MissingId::Reject), None);
        let stop = Arc::new(AtomicBool::new(false));
        let setter = std::thread::spawn({
            let stop = stop.clone();
            move || stop.store(true, Ordering::Relaxed)
        });
        let cut = cutter.cut(10, MANY_BYTES, None, &stop).unwrap();
        assert!(cut.batch.is_empty() && !cut.end);
        setter.join().unwrap();
        drop(writer);
    }
}
