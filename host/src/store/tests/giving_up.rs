//! Transactions that cannot begin, cannot commit, or take too long: nothing of them is left, and the store goes on.

use super::*;
use crate::error::Code;
use crate::limits::TRANSACTION_TIME_MAX;

#[test]
fn a_transaction_that_cannot_begin_says_so_and_the_next_one_can() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    // Somebody else's transaction on the same connection: SQLite knows no second one beside it.
    writer.conn.execute_batch("BEGIN").unwrap();
    assert_eq!(writer.begin().unwrap_err().code(), Code::TransactionStart);
    assert!(!writer.in_transaction());
    writer.conn.execute_batch("ROLLBACK").unwrap();
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    assert_eq!(rows(&place.reader()), [row("a", "{}")]);
}

#[test]
fn a_transaction_that_cannot_commit_says_so_and_leaves_nothing() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    writer.begin().unwrap();
    writer.apply(&run, &[kept(0, 0, &[("a", "{}")])], &replacing()).unwrap();
    // A row that points nowhere, which SQLite looks at when it commits.
    let nowhere = "PRAGMA defer_foreign_keys = ON;
        INSERT INTO atlas_run_plugins (run, position, slot, role, name, from_batch) VALUES (99, 0, 'a', 'b', 'c', 0)";
    writer.conn.execute_batch(nowhere).unwrap();
    assert_eq!(writer.commit().unwrap_err().code(), Code::TransactionCommit);
    assert!(writer.in_transaction(), "it is still to be rolled back");
    writer.rollback().unwrap();
    let reader = place.reader();
    assert_eq!(rows(&reader), []);
    assert_eq!(reader.run(run.run).unwrap().unwrap().next, 0);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    assert_eq!(rows(&reader), [row("a", "{}")]);
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
}

#[test]
fn a_group_over_its_time_bound_leaves_no_history_and_the_run_goes_on_from_its_checkpoint() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    let slow = [kept(1, 1, &[("a", "1"), ("b", "{}")]), kept(2, 3, &[("c", "{}")])];
    writer.time_max = std::time::Duration::ZERO;
    writer.begin().unwrap();
    let error = writer.apply(&run, &slow, &replacing()).unwrap_err();
    assert_eq!(error.code(), Code::TransactionTimeout);
    assert!(error.to_string().contains("0 ms are allowed"), "{error}");
    writer.rollback().unwrap();

    let reader = place.reader();
    let kept_row = reader.run(run.run).unwrap().unwrap();
    assert_eq!((kept_row.next, kept_row.batches, kept_row.counts.read), (1, 1, 1));
    assert_eq!(reader.batches(run.run, BatchNumber(0), 10).unwrap().len(), 1);
    assert_eq!(rows(&reader), [row("a", "{}")]);
    assert_eq!(reader.verify(Level::Full).unwrap(), []);

    // The next process takes the run up where its checkpoint stands, and has the time.
    drop(writer);
    let mut writer = place.writer();
    assert_eq!(writer.time_max, TRANSACTION_TIME_MAX);
    let run = writer.resume_run(run.run, &start("job")).unwrap();
    assert_eq!((run.next, run.next_batch, run.epoch), (1, BatchNumber(1), 2));
    commit(&mut writer, &run, &slow, &replacing());
    assert_eq!(rows(&reader), [row("a", "1"), row("b", "{}"), row("c", "{}")]);
    assert_eq!(reader.run(run.run).unwrap().unwrap().next, 4);
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
}
