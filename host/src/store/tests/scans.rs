//! Reads by key and by index look at the rows they are about, and at no others.

use rusqlite::{Connection, StatementStatus};

use super::*;

const ROWS: usize = 10_000;

/// The statements of `items` that read rows, as they are sent to SQLite for the collection `items` and the index `n`.
const BY_ID: &str = r#"SELECT id, body, batch, ordinal FROM "items" WHERE id = ?1"#;
const BY_VALUE: &str = concat!(
    r#"SELECT id, body, batch, ordinal FROM "items" INDEXED BY "idx_items_n" WHERE "n" = ?1"#,
    " AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3"
);
const BY_NULL: &str = concat!(
    r#"SELECT id, body, batch, ordinal FROM "items" INDEXED BY "idx_items_n" WHERE "n" IS NULL AND ?1 IS NULL"#,
    " AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3"
);
const COUNT: &str = r#"SELECT count(*) FROM (SELECT 1 FROM "items" INDEXED BY "idx_items_n" WHERE "n" = ?1 LIMIT ?2)"#;

/// What SQLite itself counted for a statement since it was prepared: steps of a scan over a whole table.
///
/// A connection keeps its statements, so preparing the same text again gives the very statement that the host ran. That
/// it did run shows that the text above is still the host's.
#[track_caller]
fn no_row_was_scanned(conn: &Connection, sql: &str) {
    let statement = conn.prepare_cached(sql).unwrap();
    assert!(statement.get_status(StatementStatus::Run) > 0, "the host sends another statement than {sql}");
    assert_eq!(statement.get_status(StatementStatus::FullscanStep), 0, "{sql}");
    assert_eq!(statement.get_status(StatementStatus::AutoIndex), 0, "{sql}");
}

/// Ten thousand rows; a hundred of each value of `n`, and a hundred without one.
fn filled(place: &Place) -> Writer {
    let (mut writer, run) = begun(place, &[index("n", false)]);
    let items: Vec<(String, String)> = (0..ROWS)
        .map(|row| {
            let body = if row % 100 == 99 { "{}".to_owned() } else { format!(r#"{{"n":{}}}"#, row % 100) };
            (format!("{row:05}"), body)
        })
        .collect();
    let items: Vec<(&str, &str)> = items.iter().map(|(id, body)| (id.as_str(), body.as_str())).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    writer
}

fn read_in_every_way(store: &dyn Lookup) {
    let (items, n) = (name("items"), name("n"));
    assert!(store.get(&items, "00042").unwrap().is_some());
    assert!(store.get(&items, "none").unwrap().is_none());
    assert_eq!(store.get_many(&items, &["00001", "none", "09999"]).unwrap().iter().flatten().count(), 2);
    let find = |key: &IndexKey, after: Option<&str>, limit| store.find(&items, &n, key, after, limit).unwrap().len();
    for key in [IndexKey::Integer(7), IndexKey::Null] {
        assert_eq!((find(&key, None, 1000), find(&key, Some("05000"), 1000), find(&key, None, 3)), (100, 50, 3));
    }
    assert_eq!(find(&IndexKey::Text("seven".to_owned()), None, 1000), 0);
    assert_eq!(store.count_equal(&items, &n, &IndexKey::Integer(7), 1000).unwrap(), 100);
}

#[test]
fn reads_by_key_and_by_index_scan_no_table() {
    let place = place();
    let writer = filled(&place);
    let reader = place.reader();
    for (store, conn) in [(&writer as &dyn Lookup, &writer.conn), (&reader, &reader.conn)] {
        read_in_every_way(store);
        for sql in [BY_ID, BY_VALUE, BY_NULL, COUNT] {
            no_row_was_scanned(conn, sql);
        }
    }
}

#[test]
fn a_scan_is_seen_where_there_is_one() {
    let place = place();
    let writer = filled(&place);
    let scanning = "SELECT count(*) FROM items WHERE body = ?1";
    writer.conn.prepare_cached(scanning).unwrap().query_row(["x"], |row| row.get::<_, i64>(0)).unwrap();
    let steps = writer.conn.prepare_cached(scanning).unwrap().get_status(StatementStatus::FullscanStep);
    assert!(steps as usize >= ROWS - 1, "{steps}");
}
