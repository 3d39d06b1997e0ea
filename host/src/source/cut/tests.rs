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
    let entries =
        [(Some("own".to_owned()), r#"{"k":"a"}"#.to_owned()), (None, r#"{"k":7}"#.to_owned()), (None, "{}".to_owned())];
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
    let text: String = (0..3000).map(|i| format!("{{\"n\":{i}}}\n{}", if i % 7 == 0 { "\n" } else { "" })).collect();
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
