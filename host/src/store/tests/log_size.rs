//! The write-ahead log gives back what a reader of long ago made it grow to.

use super::*;

/// Pages after which a checkpoint is made here, and bytes that the log keeps: few, so that little has to be written.
const PAGES: i64 = 8;
const KEPT_BYTES: i64 = PAGES * crate::limits::STORE_PAGE_BYTES as i64;

fn pragma(writer: &Writer, name: &str) -> i64 {
    writer.conn.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

#[test]
fn the_log_is_kept_as_long_as_a_checkpoint_takes_to_come() {
    let place = place();
    let (writer, _) = begun(&place, &[]);
    let page = i64::from(crate::limits::STORE_PAGE_BYTES);
    let bytes = crate::limits::WAL_CHECKPOINT_BYTES as i64;
    assert_eq!((pragma(&writer, "journal_size_limit"), pragma(&writer, "wal_autocheckpoint") * page), (bytes, bytes));
}

#[test]
fn a_reader_makes_the_log_grow_and_it_shrinks_once_the_reader_is_gone() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    for (name, value) in [("wal_autocheckpoint", PAGES), ("journal_size_limit", KEPT_BYTES)] {
        writer.conn.pragma(None, name, value, |_| Ok(())).unwrap();
    }
    let mut wal = place.path.clone().into_os_string();
    wal.push("-wal");
    let length = || std::fs::metadata(&wal).unwrap().len();
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(40_000));
    let mut number = 0;
    let mut write = |times: u64| {
        for _ in 0..times {
            let id = format!("i-{number}");
            commit(&mut writer, &run, &[kept(number, number, &[(&id, &body)])], &replacing());
            number += 1;
        }
    };
    write(30);
    let usual = length();
    let reader = place.raw();
    reader.execute_batch("BEGIN; SELECT count(*) FROM items").unwrap();
    write(60);
    let held = length();
    assert!(held > 4 * usual, "{held} bytes, {usual} before");
    write(5);
    assert!(length() > held, "nothing is given back while the reader stays");
    reader.execute_batch("COMMIT").unwrap();
    write(3);
    assert!(length() <= 2 * usual, "{} bytes, {usual} are usual, {held} while it was held", length());
}
