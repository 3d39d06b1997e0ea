use super::*;
use crate::error::Code;
use crate::model::{Fate, Phase, Refusal};

/// Two batches, an index, a dead letter, a plugin; finished and closed.
fn filled(place: &Place) -> RunHandle {
    let (mut writer, run) = begun(place, &[index("status", false), index("email", true)]);
    let problem =
        Problem { code: "R".to_owned(), message: "no".to_owned(), pointer: String::new(), details: Vec::new() };
    let refuse =
        Refusal { fate: Fate::Rejected, phase: Phase::Validate, problems: vec![problem], attempts: 1, slot: None };
    let first = decided(
        0,
        0,
        &[("a", r#"{"status":1}"#), ("b", "{}")],
        vec![Decision::Keep, Decision::Refuse(Box::new(refuse))],
    );
    commit(&mut writer, &run, &[first, kept(1, 2, &[("c", r#"{"status":3,"email":"x"}"#)])], &replacing());
    writer.finish_run(&run, &end(RunStatus::Partial)).unwrap();
    run
}

fn findings(place: &Place, level: Level) -> String {
    let findings = place.reader().verify(level).unwrap();
    findings.iter().map(|f| format!("{}: {}\n", f.code, f.message)).collect()
}

/// Runs SQL with SQLite's own guards off.
fn tamper(place: &Place, sql: &str) {
    let raw = place.raw();
    raw.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;").unwrap();
    raw.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

#[test]
fn every_planted_fault_is_found_and_named() {
    let cases = [
        ("DELETE FROM atlas_batches WHERE number = 1", "its batches end at 2"),
        ("DELETE FROM atlas_batches WHERE number = 0", "begins at ordinal 2; wanted batch 0 at ordinal 0"),
        ("UPDATE atlas_batches SET stored = 0 WHERE number = 1", "the books of a batch balance"),
        ("UPDATE atlas_runs SET inserted = 7", "a run's counts are the sums over its batches"),
        ("UPDATE atlas_runs SET batches = 1", "in 1 batches"),
        ("UPDATE atlas_checkpoints SET next = 2", "stands at ordinal 2; its batches end at 3"),
        ("DELETE FROM atlas_dead_letters", "1 rejected and 0 dead-lettered, but 0 and 0 dead letters"),
        ("UPDATE atlas_dead_letters SET ordinal = 2", "a dead letter belongs to its batch"),
        ("UPDATE atlas_dead_letters SET original = NULL", "keeps its bytes"),
        ("UPDATE atlas_dead_letters SET original = x'00'", "keeps its bytes"),
        ("UPDATE atlas_plugins SET bytes = x'00'", "wanted blake3:"),
        ("DELETE FROM atlas_plugins", "points to a row of atlas_plugins that is not there"),
        ("UPDATE items SET batch = 99 WHERE id = 'a'", "row 'a' of `items`, but a row's batch is in the history"),
        ("DROP INDEX idx_items_status", "index `status` of `items` is declared, but the index behind it is missing"),
        (
            "DROP INDEX idx_items_email; CREATE INDEX idx_items_email ON items (email)",
            "the index behind it has another definition",
        ),
        (
            "DROP INDEX idx_items_status; ALTER TABLE items DROP COLUMN status; ALTER TABLE items ADD COLUMN status ANY GENERATED ALWAYS AS (body ->> '$.other') VIRTUAL; CREATE INDEX \"idx_items_status\" ON \"items\" (\"status\")",
            "its column is missing or computes something else",
        ),
        ("DROP INDEX atlas_runs_job", "`atlas_runs_job` is missing"),
        ("CREATE TABLE atlas_more (x)", "`atlas_more` is not part of version 1"),
    ];
    for (sql, wanted) in cases {
        let place = place();
        filled(&place);
        assert_eq!(findings(&place, Level::Full), "");
        tamper(&place, sql);
        let before = std::fs::read(&place.path).unwrap();
        let found = findings(&place, Level::Quick);
        assert!(found.contains(wanted), "{sql}: {found}");
        assert_eq!(std::fs::read(&place.path).unwrap(), before, "verify writes nothing");
    }
}

#[test]
fn a_tampered_body_is_found() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    drop(writer);
    tamper(&place, "UPDATE items SET body = '{x:1}'");
    assert!(findings(&place, Level::Quick).contains("row 'a' of `items`, but a body is strict JSON"));
}

/// Changes rows behind an index's back: SQLite is told meanwhile that the index is not there.
fn behind_the_index(place: &Place, index: &str, sql: &str) {
    let hidden = |on: &str| {
        let raw = place.raw();
        raw.execute_batch(&format!("PRAGMA writable_schema = ON; {on}; PRAGMA writable_schema = RESET;")).unwrap();
    };
    let raw = place.raw();
    let (root, text): (i64, String) = raw
        .query_row("SELECT rootpage, sql FROM sqlite_schema WHERE name = ?1", [index], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    drop(raw);
    hidden(&format!("DELETE FROM sqlite_schema WHERE name = '{index}'"));
    tamper(place, sql);
    hidden(&format!(
        "INSERT INTO sqlite_schema VALUES ('index', '{index}', 'items', {root}, '{}')",
        text.replace('\'', "''")
    ));
}

#[test]
fn a_planted_corruption_of_an_index_is_found_and_a_rebuild_mends_it() {
    let items = name("items");
    let status = name("status");
    let cases = [
        (r#"UPDATE items SET body = '{"status":9}' WHERE id = 'a'"#, "1 rows, the first of them \"a\""),
        (r#"INSERT INTO items (id, body) VALUES ('d', '{"status":4}')"#, "1 rows, the first of them \"d\""),
        ("DELETE FROM items WHERE id = 'c'", "2 entries for 1 rows"),
    ];
    for (sql, wanted) in cases {
        let place = place();
        filled(&place);
        behind_the_index(&place, "idx_items_status", sql);
        let mut writer = place.writer();
        let found = writer.index_verify(&items, &status).unwrap();
        assert!(found.iter().any(|f| f.code == Code::IndexOutOfStep && f.message.contains(wanted)), "{sql}: {found:?}");
        assert!(findings(&place, Level::Full).contains("INDEX_7003"), "{sql}");
        let reader = place.reader();
        let verified =
            |r: &Reader| r.indexes(Some(&items)).unwrap().into_iter().find(|i| i.name == status).unwrap().verified_ms;
        assert_eq!(verified(&reader), None);
        let before = rows(&reader);
        writer.index_rebuild(&items, &status).unwrap();
        assert_eq!(writer.index_verify(&items, &status).unwrap(), []);
        assert!(verified(&reader).is_some());
        assert_eq!(rows(&reader), before, "rows are untouched");
        assert_eq!(findings(&place, Level::Full), "");
    }
}

#[test]
fn a_rebuild_over_rows_that_do_not_allow_it_says_so() {
    let place = place();
    filled(&place);
    behind_the_index(&place, "idx_items_email", r#"UPDATE items SET body = '{"email":"x"}'"#);
    let mut writer = place.writer();
    assert!(!writer.index_verify(&name("items"), &name("email")).unwrap().is_empty());
    let error = writer.index_rebuild(&name("items"), &name("email")).unwrap_err();
    assert_eq!(error.code(), Code::IndexOperation);
    assert!(!writer.in_transaction());
}

#[test]
fn damaged_pages_are_found() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    let ids: Vec<String> = (0..5000).map(|i| format!("{i:05}")).collect();
    let items: Vec<(&str, &str)> = ids.iter().map(|i| (i.as_str(), r#"{"status":"pending"}"#)).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    drop(writer);
    let raw = place.raw();
    let page: u32 = raw
        .query_row(
            "SELECT pageno FROM dbstat WHERE name = 'idx_items_status' AND pagetype = 'leaf' ORDER BY pageno LIMIT 1",
            [],
            |r| r.get(0),
        )
        .unwrap();
    drop(raw);
    let mut bytes = std::fs::read(&place.path).unwrap();
    let at = (page as usize - 1) * crate::limits::STORE_PAGE_BYTES as usize;
    bytes[at..at + 200].fill(0xFF);
    std::fs::write(&place.path, bytes).unwrap();
    assert!(findings(&place, Level::Quick).contains("STORAGE_2004"));
    let found = findings(&place, Level::Full);
    assert!(found.contains("INDEX_7002: index `status` of `items` cannot be read"), "{found}");
    let mut writer = place.writer();
    assert_eq!(writer.index_verify(&name("items"), &name("status")).unwrap()[0].code, Code::IndexCorrupt);
}

#[test]
fn an_index_can_be_added_later_listed_and_dropped() {
    let place = place();
    filled(&place);
    let items = name("items");
    let mut writer = place.writer();
    assert!(
        writer
            .index_add(&items, &IndexSpec { pointer: Pointer::parse("/status").unwrap(), ..index("state", true) })
            .unwrap()
    );
    assert!(
        !writer
            .index_add(&items, &IndexSpec { pointer: Pointer::parse("/status").unwrap(), ..index("state", true) })
            .unwrap()
    );
    let reader = place.reader();
    let listed: Vec<_> = reader
        .indexes(None)
        .unwrap()
        .into_iter()
        .map(|i| (i.name.to_string(), i.unique, i.entries, i.bytes >= u64::from(crate::limits::STORE_PAGE_BYTES)))
        .collect();
    assert_eq!(
        listed,
        [
            ("email".to_owned(), true, 2, true),
            ("state".to_owned(), true, 2, true),
            ("status".to_owned(), false, 2, true)
        ]
    );
    assert_eq!(writer.find(&items, &name("state"), &IndexKey::Integer(3), None, 9).unwrap()[0].id, "c");
    assert_eq!(findings(&place, Level::Full), "");

    writer.index_drop(&items, &name("state")).unwrap();
    assert_eq!(writer.find(&items, &name("state"), &IndexKey::Null, None, 9).unwrap_err().code(), Code::IndexNotFound);
    assert_eq!(writer.index_drop(&items, &name("state")).unwrap_err().code(), Code::IndexNotFound);
    assert_eq!(findings(&place, Level::Full), "");
    // The name is free again, for another definition too.
    assert!(writer.index_add(&items, &index("state", false)).unwrap());
    assert_eq!(rows(&place.reader()).len(), 2);
}

#[test]
fn an_index_that_the_rows_do_not_allow_is_not_added() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"v":1}"#), ("b", r#"{"v":1}"#)])], &replacing());
    let error = writer.index_add(&name("items"), &index("v", true)).unwrap_err();
    assert_eq!(error.code(), Code::IndexOperation);
    assert!(error.hint_text().contains("two rows share a value"));
    assert!(place.reader().indexes(None).unwrap().is_empty());
    assert!(writer.index_add(&name("items"), &index("v", false)).unwrap());
    commit(&mut writer, &run, &[kept(1, 2, &[("c", r#"{"v":1}"#)])], &replacing());
    assert_eq!(writer.find(&name("items"), &name("v"), &IndexKey::Integer(1), None, 9).unwrap().len(), 3);
}
