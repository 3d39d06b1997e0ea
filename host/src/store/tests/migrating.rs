//! Steps of the schema that do not exist yet: one that comes to its end, and one that fails.

use super::*;

const FIRST: &str = include_str!("../schema/0001.sql");

/// A store of version 1 with a row in it.
fn old_store(place: &Place) -> Writer {
    let (mut writer, run) = begun(place, &[index("status", false)]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"status":1}"#)])], &replacing());
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    writer
}

fn version(conn: &rusqlite::Connection) -> i64 {
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn has_table(conn: &rusqlite::Connection, name: &str) -> bool {
    conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)", [name], |row| row.get(0)).unwrap()
}

#[test]
fn steps_lead_to_the_newest_version_and_lose_no_row() {
    for within in [false, true] {
        let place = place();
        let mut writer = old_store(&place);
        let steps = [FIRST, "CREATE TABLE x (a INTEGER) STRICT;", "ALTER TABLE x RENAME TO y;"];
        if within {
            writer.begin().unwrap();
        }
        schema::migrate_by(&writer.conn, &steps).unwrap();
        if within {
            writer.commit().unwrap();
        }
        assert_eq!(version(&writer.conn), 3, "in a transaction of the caller: {within}");
        assert!(has_table(&writer.conn, "y") && !has_table(&writer.conn, "x"));
        let found = writer.find(&name("items"), &name("status"), &IndexKey::Integer(1), None, 10).unwrap();
        assert_eq!(found.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a"]);
    }
}

#[test]
fn a_step_that_fails_leaves_the_version_before_it() {
    let place = place();
    let writer = old_store(&place);
    let steps = [FIRST, "CREATE TABLE x (a INTEGER) STRICT;", "CREATE TABLE y (a INTEGER) STRICT; SELECT nonsense();"];
    let error = schema::migrate_by(&writer.conn, &steps).unwrap_err();
    assert!(error.to_string().contains("migrate the schema"), "{error}");
    // The step before it is kept, of itself nothing.
    assert!(writer.conn.is_autocommit());
    assert_eq!(version(&writer.conn), 2);
    assert!(has_table(&writer.conn, "x") && !has_table(&writer.conn, "y"));
    drop(writer);
    let raw = place.raw();
    assert_eq!(raw.query_row("SELECT body FROM items", [], |row| row.get::<_, String>(0)).unwrap(), r#"{"status":1}"#);
    drop(raw);
    // A program that knows version 1 only leaves the file as it is.
    let refused = Writer::open(&place.options()).map(drop).unwrap_err();
    assert_eq!(refused.code(), crate::error::Code::StorageForeign);
}

#[test]
fn a_step_that_fails_at_once_leaves_the_store_as_it_was_and_usable() {
    for within in [false, true] {
        let place = place();
        let mut writer = old_store(&place);
        let steps = [FIRST, "DROP TABLE items; CREATE TABLE x (a INTEGER) STRICT; SELECT nonsense();"];
        if within {
            writer.begin().unwrap();
        }
        schema::migrate_by(&writer.conn, &steps).unwrap_err();
        if within {
            // It is the caller's transaction, and the caller's to give up.
            assert!(!writer.conn.is_autocommit());
            writer.rollback().unwrap();
        }
        assert_eq!(version(&writer.conn), 1);
        assert!(!has_table(&writer.conn, "x"));
        drop(writer);
        let reader = place.reader();
        assert_eq!(rows(&reader), [row("a", r#"{"status":1}"#)]);
        assert_eq!(reader.verify(Level::Full).unwrap(), []);
        let mut writer = place.writer();
        let run = writer.begin_run(&start("another job")).unwrap();
        commit(&mut writer, &run, &[kept(0, 0, &[("b", "{}")])], &replacing());
        assert_eq!(rows(&reader).len(), 2);
    }
}
