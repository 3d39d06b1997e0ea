use std::fs;

use super::*;
use crate::error::{Code, Error};

fn refused(place: &Place) -> Error {
    let error = Writer::open(&place.options()).map(|_| ()).unwrap_err();
    assert!(!fs::exists(writer::sibling(&place.path, ".lock")).unwrap(), "nothing is written beside a refused file");
    error
}

#[test]
fn a_missing_file_is_created_and_opened_again() {
    let place = place();
    let missing = StoreOptions { create: false, ..place.options() };
    assert_eq!(Writer::open(&missing).map(|_| ()).unwrap_err().code(), Code::StorageOpen);
    assert_eq!(Reader::open(&place.path).map(|_| ()).unwrap_err().code(), Code::StorageOpen);
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"status":1}"#)])], &replacing());
    drop(writer);
    let writer = Writer::open(&missing).unwrap();
    assert_eq!(writer.find(&name("items"), &name("status"), &IndexKey::Integer(1), None, 10).unwrap().len(), 1);
    let raw = place.raw();
    let pragma = |p: &str| raw.pragma_query_value(None, p, |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("application_id"), pragma("user_version")), (0x4154_4C53, 1));
    assert_eq!(raw.pragma_query_value(None, "journal_mode", |r| r.get::<_, String>(0)).unwrap(), "wal");
}

#[test]
fn an_empty_file_becomes_a_store() {
    let place = place();
    fs::write(&place.path, "").unwrap();
    assert_eq!(Reader::open(&place.path).map(|_| ()).unwrap_err().code(), Code::StorageOpen);
    begun(&place, &[]);
}

#[test]
fn what_can_never_be_a_store_is_refused() {
    let place = place();
    for path in ["", ":memory:", "file:x.db?nolock=1", "/proc/self/no/such/atlas.db", "/proc/atlas.db"] {
        let options = StoreOptions { path: path.into(), ..place.options() };
        assert_eq!(Writer::open(&options).map(|_| ()).unwrap_err().code(), Code::StorageOpen, "{path}");
    }
    fs::create_dir(&place.path).unwrap();
    let error = refused(&place);
    assert_eq!(error.code(), Code::StorageOpen);
    assert!(error.to_string().contains("is a directory"), "{error}");
    let socket = place.folder.path().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(
        Writer::open(&StoreOptions { path: socket, ..place.options() }).map(|_| ()).unwrap_err().code(),
        Code::StorageOpen
    );
}

#[test]
fn a_file_that_is_not_ours_is_left_as_it_is() {
    let place = place();
    let foreign_application = "CREATE TABLE t (x); PRAGMA application_id = 7;";
    let newer = "CREATE TABLE t (x); PRAGMA application_id = 0x41544C53; PRAGMA user_version = 99;";
    for sql in ["CREATE TABLE t (x)", foreign_application, newer] {
        let _ = fs::remove_file(&place.path);
        place.raw().execute_batch(sql).unwrap();
        let before = fs::read(&place.path).unwrap();
        assert_eq!(refused(&place).code(), Code::StorageForeign, "{sql}");
        assert_eq!(Reader::open(&place.path).map(|_| ()).unwrap_err().code(), Code::StorageForeign);
        assert_eq!(fs::read(&place.path).unwrap(), before);
    }
    let text = "id,name\n1,not a database at all, but longer than a header of 100 bytes so that it is read as one ..........\n";
    fs::write(&place.path, text).unwrap();
    assert_eq!(refused(&place).code(), Code::StorageForeign);
    assert_eq!(fs::read_to_string(&place.path).unwrap(), text);
}

#[test]
fn a_tampered_schema_is_refused() {
    let place = place();
    begun(&place, &[]);
    place.raw().execute_batch("ALTER TABLE atlas_runs ADD COLUMN extra TEXT").unwrap();
    let error = Writer::open(&place.options()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::StorageForeign);
    assert!(error.to_string().contains("atlas_runs"), "{error}");
}

#[test]
fn a_second_writer_is_refused_by_name_and_readers_go_on() {
    let place = place();
    let (writer, _) = begun(&place, &[]);
    let error = Writer::open(&place.options()).map(|_| ()).unwrap_err();
    assert_eq!((error.code(), error.code().exit()), (Code::StorageLocked, 6));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert!(rows(&place.reader()).is_empty());
    drop(writer);
    place.writer();
}

#[test]
fn another_name_of_the_same_file_meets_the_same_lock() {
    let place = place();
    let _held = begun(&place, &[]);
    let link = place.folder.path().join("link.db");
    std::os::unix::fs::symlink(&place.path, &link).unwrap();
    let error = Writer::open(&StoreOptions { path: link, ..place.options() }).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::StorageLocked);
}

#[test]
fn a_link_in_the_place_of_the_lock_file_is_refused_and_not_followed() {
    let place = place();
    let other = place.folder.path().join("other");
    let lock = writer::sibling(&place.path, ".lock");
    std::os::unix::fs::symlink(&other, &lock).unwrap();
    let open = || Writer::open(&place.options()).map(|_| ());
    assert!(open().is_err());
    assert!(!other.exists(), "nothing is made where it leads");
    fs::write(&other, "of the user").unwrap();
    let error = open().unwrap_err();
    assert_eq!(error.code(), Code::StorageOpen);
    assert!(error.to_string().contains("atlas.db.lock is a link"), "{error}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "of the user");
    fs::remove_file(&lock).unwrap();
    open().unwrap();
}

#[test]
fn after_a_crash_the_store_stands_at_the_last_commit() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"status":1}"#)])], &replacing());
    writer.begin().unwrap();
    writer.apply(&run, &[kept(1, 1, &[("b", r#"{"status":1}"#)])], &replacing()).unwrap();
    // The files as a process killed now would leave them: log and shared memory included.
    let crashed = super::place();
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(writer::sibling(&place.path, suffix), writer::sibling(&crashed.path, suffix)).unwrap();
    }
    let _reader_elsewhere = crashed.reader();
    let mut after = crashed.writer();
    let last = after.last_run_of_job("job").unwrap().unwrap();
    assert_eq!((last.status, last.next, last.batches), (RunStatus::Interrupted, 1, 1));
    let again = after.resume_run(last.run, &start("job")).unwrap();
    commit(&mut after, &again, &[kept(1, 1, &[("b", r#"{"status":1}"#)])], &replacing());
    after.finish_run(&again, &end(RunStatus::Succeeded)).unwrap();
    let reader = crashed.reader();
    assert_eq!(rows(&reader).len(), 2);
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
}

#[test]
fn a_damaged_store_is_found_at_the_next_start_and_not_written() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    let ids: Vec<String> = (0..2000).map(|i| format!("id-{i:06}")).collect();
    let items: Vec<(&str, &str)> = ids.iter().map(|i| (i.as_str(), "{}")).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    drop(writer);
    let mut bytes = fs::read(&place.path).unwrap();
    let page = bytes.len() - crate::limits::STORE_PAGE_BYTES as usize;
    bytes[page..page + 64].fill(0xAA);
    fs::write(&place.path, &bytes).unwrap();
    let error = Writer::open(&place.options()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::StorageGeneral, "{error}");
    assert_eq!(fs::read(&place.path).unwrap(), bytes);
}

#[test]
fn names_that_cannot_be_are_refused() {
    let place = place();
    let mut writer = place.writer();
    let items = name("items");
    for bad in ["atlas_runs", "ATLAS_x", "sqlite_master", "pragma_table_info", "dbstat", "json_each"] {
        assert_eq!(writer.declare(&[name(bad)], &[], &items).unwrap_err().code(), Code::ConfigInvalid, "{bad}");
    }
    for bad in ["id", "Body", "batch", "rowid", "_rowid_", "oid"] {
        assert_eq!(writer.declare(&[], &[index(bad, false)], &items).unwrap_err().code(), Code::ConfigInvalid, "{bad}");
    }
    writer.declare(&[name("select"), name("a_b"), name("a")], &[index("order", false)], &items).unwrap();
    assert_eq!(writer.declare(&[name("Items")], &[], &items).unwrap_err().code(), Code::ConfigInvalid);
    assert_eq!(writer.declare(&[], &[index("ORDER", false)], &items).unwrap_err().code(), Code::ConfigInvalid);
    let twice = |collection: &str, index_name: &str| IndexSpec {
        collection: Some(name(collection)),
        ..index(index_name, false)
    };
    writer.declare(&[], &[twice("a_b", "c")], &items).unwrap();
    assert_eq!(
        writer.declare(&[], &[twice("a", "b_c")], &items).unwrap_err().code(),
        Code::ConfigInvalid,
        "both would be idx_a_b_c"
    );
    assert!(!writer.in_transaction());
}

#[test]
fn an_index_declared_otherwise_is_refused_with_both_definitions() {
    let place = place();
    let mut writer = place.writer();
    let items = name("items");
    let at = |pointer: &str, unique| IndexSpec { pointer: Pointer::parse(pointer).unwrap(), ..index("status", unique) };
    writer.declare(&[], &[at("/status", false)], &items).unwrap();
    writer.declare(&[], &[at("/status", false)], &items).unwrap();
    for other in [at("/state", false), at("/status", true)] {
        let error = writer.declare(&[], &[other], &items).unwrap_err();
        assert_eq!(error.code(), Code::ConfigInvalid);
        assert!(error.to_string().contains("not unique over /status; wanted"), "{error}");
    }
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let place = place();
    let dry = |place: &Place| {
        let mut writer = Writer::open_dry_run(&place.options()).unwrap();
        writer.declare(&[name("edges")], &[index("status", true)], &name("items")).unwrap();
        let run = writer.begin_run(&start("dry")).unwrap();
        let first = commit(
            &mut writer,
            &run,
            &[kept(0, 0, &[("x", r#"{"status":7}"#), ("y", r#"{"status":7}"#)])],
            &replacing(),
        );
        assert_eq!((first[0].counts.inserted, first[0].counts.dead_lettered), (1, 1));
        assert!(writer.get(&name("items"), "x").unwrap().is_some(), "the run itself sees its work");
        writer.begin().unwrap();
        writer.apply(&run, &[kept(1, 2, &[("z", "{}")])], &replacing()).unwrap();
        writer.rollback().unwrap();
        assert!(writer.get(&name("items"), "z").unwrap().is_none());
        assert!(!writer.in_transaction());
        let done = writer.finish_run(&run, &end(RunStatus::Partial)).unwrap();
        assert_eq!(done.counts.read, 2);
    };
    dry(&place);
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 0, "no file is left behind");

    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1")])], &replacing());
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    drop(writer);
    let before = fs::read(&place.path).unwrap();
    dry(&place);
    assert_eq!(fs::read(&place.path).unwrap(), before);
    assert!(!fs::exists(writer::sibling(&place.path, "-wal")).unwrap());
    assert_eq!(rows(&place.reader()), [row("a", "1")]);
}

#[test]
fn a_dry_run_over_a_crashed_store_moves_nothing_into_the_file() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1")])], &replacing());
    let crashed = super::place();
    for suffix in ["", "-wal"] {
        fs::copy(writer::sibling(&place.path, suffix), writer::sibling(&crashed.path, suffix)).unwrap();
    }
    let before = fs::read(&crashed.path).unwrap();
    let mut dry = Writer::open_dry_run(&crashed.options()).unwrap();
    let again = dry.resume_run(run.run, &start("job")).unwrap();
    let big = format!("\"{}\"", "x".repeat(100_000));
    let items: Vec<(String, &str)> = (0..500).map(|i| (format!("{i}"), big.as_str())).collect();
    let items: Vec<(&str, &str)> = items.iter().map(|(i, b)| (i.as_str(), *b)).collect();
    commit(&mut dry, &again, &[kept(1, 1, &items)], &replacing());
    drop(dry);
    assert_eq!(fs::read(&crashed.path).unwrap(), before);
    assert_eq!(rows(&crashed.reader()), [row("a", "1")]);
    assert_eq!(crashed.reader().verify(Level::Full).unwrap(), []);
}
