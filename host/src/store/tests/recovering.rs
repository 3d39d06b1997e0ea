//! Opened anew after a failure: where the store stands then, what keeps it from being written to, and what is mended.

use rusqlite::ffi;

use super::*;
use crate::error::Code;

/// A committed batch of so many items, whose index `status` has pages of its own.
fn many(place: &Place) -> (Writer, RunHandle) {
    let (mut writer, run) = begun(place, &[index("status", false), index("n", true)]);
    let items: Vec<(String, String)> =
        (0..5000).map(|i| (format!("{i:05}"), format!(r#"{{"status":"pending","n":{i}}}"#))).collect();
    let items: Vec<(&str, &str)> = items.iter().map(|(id, body)| (id.as_str(), body.as_str())).collect();
    commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    (writer, run)
}

/// Pages of a tree of the file, which is not open for writing.
fn leaves(place: &Place, tree: &str) -> Vec<u32> {
    let raw = place.raw();
    let mut pages = raw.prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf'").unwrap();
    pages.query_map([tree], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Overwrites what every page of a tree begins with.
fn damage(place: &Place, tree: &str) {
    let pages = leaves(place, tree);
    assert!(!pages.is_empty(), "{tree} has no leaves");
    let mut bytes = std::fs::read(&place.path).unwrap();
    for page in pages {
        bytes[(page as usize - 1) * crate::limits::STORE_PAGE_BYTES as usize..][..200].fill(0xFF);
    }
    std::fs::write(&place.path, bytes).unwrap();
}

/// Empties the log into the file, so that damage done to the file is seen.
fn settled(writer: &mut Writer) {
    writer.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

fn findings(place: &Place) -> Vec<Finding> {
    place.reader().verify(Level::Full).unwrap()
}

#[test]
fn a_store_opened_anew_stands_at_its_checkpoint_and_nobody_else_got_in() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    writer.begin().unwrap();
    writer.apply(&run, &[kept(1, 1, &[("b", "{}")])], &replacing()).unwrap();
    // As after an error of the disk: SQLite has ended the transaction by itself.
    writer.conn.execute_batch("ROLLBACK").unwrap();
    assert!(!writer.in_order());
    assert_eq!(writer.commit().unwrap_err().code(), Code::TransactionState);
    assert!(writer.reopen(Code::StorageWrite).unwrap());
    assert!(writer.in_order() && !writer.in_transaction());
    assert_eq!(writer.position(&run).unwrap(), 1);
    assert_eq!(Writer::open(&place.options()).map(|_| ()).unwrap_err().code(), Code::StorageLocked);
    commit(&mut writer, &run, &[kept(1, 1, &[("b", "{}")])], &replacing());
    assert_eq!(rows(&place.reader()), [row("a", "{}"), row("b", "{}")]);
    assert_eq!(findings(&place), []);
}

#[test]
fn a_rollback_that_failed_is_healed_by_opening_anew() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    writer.begin().unwrap();
    writer.begin().unwrap();
    writer.conn.execute_batch("RELEASE atlas_1").unwrap();
    assert_eq!(writer.rollback().unwrap_err().code(), Code::TransactionRollback);
    assert!(!writer.in_order());
    assert_eq!(writer.last_run_of_job("job").unwrap_err().code(), Code::TransactionState);
    assert!(!writer.reopen(Code::TransactionRollback).unwrap(), "a level is still open");
    writer.rollback().unwrap();
    assert!(!writer.in_order());
    assert!(writer.reopen(Code::TransactionRollback).unwrap());
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    assert_eq!(rows(&place.reader()).len(), 1);
}

#[test]
fn a_commit_that_was_kept_is_found_kept() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}"), ("b", "{}")])], &replacing());
    assert!(writer.reopen(Code::TransactionCommit).unwrap());
    assert_eq!(writer.position(&run).unwrap(), 2);
}

#[test]
fn a_run_that_another_has_taken_over_is_not_gone_on_with() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    writer.resume_run(run.run, &start("job")).unwrap();
    assert!(writer.reopen(Code::StorageWrite).unwrap());
    assert_eq!(writer.position(&run).unwrap_err().code(), Code::TransactionFenced);
}

#[test]
fn what_an_open_transaction_and_a_dry_run_hold_is_not_given_up() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    writer.begin().unwrap();
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    assert!(!writer.reopen(Code::StorageWrite).unwrap());
    writer.commit().unwrap();
    assert_eq!(rows(&place.reader()).len(), 1, "the transaction went on");
    drop(writer);
    let mut dry = Writer::open_dry_run(&place.options()).unwrap();
    assert!(!dry.reopen(Code::StorageWrite).unwrap());
}

#[test]
fn a_store_whose_rows_are_damaged_is_not_gone_on_with_and_not_written_to() {
    let place = place();
    let (mut writer, run) = many(&place);
    settled(&mut writer);
    damage(&place, "items");
    let before = std::fs::read(&place.path).unwrap();
    let error = writer.reopen(Code::StorageGeneral).unwrap_err();
    assert_eq!(error.code(), Code::RecoveryFailed, "{error}");
    assert_eq!(writer.begin().unwrap_err().code(), Code::TransactionState);
    assert_eq!(writer.position(&run).unwrap_err().code(), Code::TransactionState);
    drop(writer);
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
    // The run did not end: the next start looks as well.
    assert_eq!(Writer::open(&place.options()).map(|_| ()).unwrap_err().code(), Code::StorageGeneral);
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
}

#[test]
fn another_file_under_the_same_name_is_not_written_to() {
    let place = place();
    let (mut writer, _) = begun(&place, &[]);
    let other = super::place();
    drop(begun(&other, &[]));
    std::fs::rename(&other.path, &place.path).unwrap();
    let error = writer.reopen(Code::StorageWrite).unwrap_err();
    assert_eq!(error.code(), Code::StorageForeign);
    assert!(error.to_string().contains("another file"), "{error}");
    std::fs::remove_file(&place.path).unwrap();
    assert_eq!(writer.reopen(Code::StorageWrite).unwrap_err().code(), Code::StorageOpen);
    assert!(!place.path.exists(), "it is not made anew");
}

#[test]
fn indexes_with_damaged_pages_are_built_anew_when_the_store_is_opened_anew() {
    let place = place();
    let (mut writer, run) = many(&place);
    settled(&mut writer);
    let before = rows(&place.reader());
    damage(&place, "idx_items_status");
    damage(&place, "idx_items_n");
    assert!(writer.reopen(Code::StorageGeneral).unwrap());
    assert_eq!(writer.position(&run).unwrap(), 5000);
    commit(&mut writer, &run, &[kept(1, 5000, &[("a", r#"{"status":"new"}"#)])], &replacing());
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    assert_eq!(rows(&place.reader())[..5000], before);
    assert_eq!(findings(&place), []);
}

#[test]
fn indexes_with_damaged_pages_are_built_anew_at_the_start_after_a_run_that_did_not_end() {
    let place = place();
    let (mut writer, _) = many(&place);
    settled(&mut writer);
    drop(writer);
    damage(&place, "idx_items_n");
    let before = std::fs::read(&place.path).unwrap();
    assert_eq!(Writer::open_dry_run(&place.options()).map(|_| ()).unwrap_err().code(), Code::StorageGeneral);
    assert_eq!(std::fs::read(&place.path).unwrap(), before, "a dry run mends nothing");
    let writer = place.writer();
    assert_eq!(writer.last_run_of_job("job").unwrap().unwrap().next, 5000);
    assert_eq!(findings(&place), []);
}

#[test]
fn an_index_out_of_step_is_built_anew_where_an_index_has_failed() {
    let place = place();
    let (writer, _) = many(&place);
    drop(writer);
    // As `verifying` does it: rows change while SQLite is told that the index is not there.
    let raw = place.raw();
    let (root, text): (i64, String) = raw
        .query_row("SELECT rootpage, sql FROM sqlite_schema WHERE name = 'idx_items_status'", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    let hidden = |sql: &str| {
        place
            .raw()
            .execute_batch(&format!("PRAGMA writable_schema = ON; {sql}; PRAGMA writable_schema = RESET;"))
            .unwrap();
    };
    drop(raw);
    hidden("DELETE FROM sqlite_schema WHERE name = 'idx_items_status'");
    place.raw().execute_batch(r#"UPDATE items SET body = '{"status":"moved","n":7}' WHERE id = '00007'"#).unwrap();
    hidden(&format!(
        "INSERT INTO sqlite_schema VALUES ('index', 'idx_items_status', 'items', {root}, '{}')",
        text.replace('\'', "''")
    ));
    let mut writer = place.writer();
    assert!(writer.reopen(Code::StorageGeneral).unwrap());
    assert!(findings(&place).iter().any(|found| found.code == Code::IndexOutOfStep), "the pages are sound");
    assert!(writer.reopen(Code::IndexCorrupt).unwrap());
    assert_eq!(findings(&place), []);
}

#[test]
fn an_index_with_damaged_pages_can_be_listed_rebuilt_and_dropped() {
    for drops in [false, true] {
        let place = place();
        let (mut writer, run) = many(&place);
        writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
        drop(writer);
        let before = rows(&place.reader());
        damage(&place, "idx_items_status");
        let listed = || -> Vec<(String, u64, bool)> {
            let listed = place.reader().indexes(None).unwrap().into_iter();
            listed.map(|index| (index.name.to_string(), index.entries, index.readable)).collect()
        };
        assert_eq!(listed(), [("n".to_owned(), 5000, true), ("status".to_owned(), 0, false)]);
        let mut writer = place.writer();
        assert_eq!(writer.index_verify(&name("items"), &name("status")).unwrap()[0].code, Code::IndexCorrupt);
        if drops {
            writer.index_drop(&name("items"), &name("status")).unwrap();
            assert_eq!(listed(), [("n".to_owned(), 5000, true)]);
            assert!(writer.index_add(&name("items"), &index("status", false)).unwrap());
        } else {
            writer.index_rebuild(&name("items"), &name("status")).unwrap();
        }
        assert_eq!(listed(), [("n".to_owned(), 5000, true), ("status".to_owned(), 5000, true)]);
        let defensive = rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE;
        assert!(writer.conn.db_config(defensive).unwrap(), "the guard is up again");
        assert_eq!(rows(&place.reader()), before);
        assert_eq!(findings(&place), []);
    }
}

#[test]
fn an_index_that_the_rows_do_not_allow_any_more_stays_when_it_is_rebuilt() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"status":1}"#)])], &replacing());
    writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    writer.begin().unwrap();
    catalog::forget_index(&writer.conn, &name("items"), &name("status")).unwrap();
    writer.rollback().unwrap();
    catalog::read_schema_again(&writer.conn).unwrap();
    assert_eq!(writer.index_verify(&name("items"), &name("status")).unwrap(), []);
    assert_eq!(findings(&place), []);
}

#[test]
fn the_store_is_checked_at_the_next_start_where_it_failed_the_last_run() {
    for (error, checked) in [
        (None, false),
        (Some(r#"{"code":"VALIDATION_4006","message":"cut short"}"#), false),
        (Some(r#"{"code":"STORAGE_2007","message":"another had it"}"#), false),
        (Some(r#"{"code":"STORAGE_2002","message":"no disk"}"#), true),
        (Some(r#"{"code":"TRANSACTION_6002","message":"no commit"}"#), true),
        (Some(r#"{"code":"INDEX_7002","message":"no index"}"#), true),
        (Some(r#"{"code":"RECOVERY_9001","message":"no store"}"#), true),
    ] {
        let place = place();
        let (mut writer, run) = begun(&place, &[]);
        assert!(history::has_unclean(&writer.conn).unwrap(), "a run is at work");
        let ended = RunEnd { error_json: error.map(str::to_owned), ..end(RunStatus::Failed) };
        writer.finish_run(&run, &ended).unwrap();
        assert_eq!(history::has_unclean(&writer.conn).unwrap(), checked, "{error:?}");
        // A later run that ends well has been checked before.
        let run = writer.begin_run(&start("other")).unwrap();
        let later = RunEnd { ended_ms: ended.ended_ms + 1, ..end(RunStatus::Succeeded) };
        writer.finish_run(&run, &later).unwrap();
        assert!(!history::has_unclean(&writer.conn).unwrap(), "{error:?}");
    }
}

#[test]
fn a_wrong_shape_is_told_before_a_transaction_is_asked_for() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    let error = writer.apply(&run, &[decided(0, 0, &[("a", "1")], vec![])], &replacing()).unwrap_err();
    assert_eq!(error.code(), Code::Internal, "{error}");
    assert_eq!(
        writer.apply(&run, &[kept(0, 0, &[("a", "1")])], &replacing()).unwrap_err().code(),
        Code::TransactionState
    );
}

#[test]
fn lack_of_memory_and_an_interruption_are_failures_of_the_store_at_any_statement() {
    for extended_code in [ffi::SQLITE_NOMEM, ffi::SQLITE_INTERRUPT] {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None);
        assert!(!failure::is_damage(&error));
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        let told = failure::failed(&conn, "commit", Code::TransactionCommit, error);
        assert_eq!(told.code(), Code::StorageGeneral);
    }
}

#[test]
fn a_run_that_nobody_is_at_work_on_was_interrupted() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    let ended = RunEnd { performance_json: Some("{}".to_owned()), ..end(RunStatus::Interrupted) };
    writer.finish_run(&run, &ended).unwrap();
    // Continued: what the execution before measured is no longer what its row tells.
    let again = writer.resume_run(run.run, &start("job")).unwrap();
    let row = writer.reader().unwrap().run(again.run).unwrap().unwrap();
    assert_eq!((row.status, row.duration_ms, row.performance_json), (RunStatus::Running, None, None));
    // As after a kill.
    drop(writer);
    let writer = place.writer();
    let row = writer.reader().unwrap().run(run.run).unwrap().unwrap();
    assert_eq!(row.status, RunStatus::Interrupted);
    assert!(!history::has_unclean(&writer.conn).unwrap(), "the store was checked");
}
