use super::*;
use crate::error::{Code, Error, Result};
use crate::transaction::{Aborted, Transaction, atomic};

fn ready(place: &Place) -> Writer {
    let mut writer = place.writer();
    writer.declare(&[], &[index("email", true)], &name("items")).unwrap();
    writer
}

#[test]
fn inner_rollback_really_undoes() {
    let place = place();
    let mut writer = ready(&place);
    let items = name("items");
    let done: Result<(), Aborted<Error>> = atomic(&mut writer, |outer| {
        outer.put(&items, "outer", "{}")?;
        let inner: Result<(), Aborted<Error>> = outer.atomic(|inner| {
            inner.put(&items, "inner", "{}")?;
            assert!(inner.get(&items, "inner")?.is_some());
            Err(Error::new(Code::OperationFailed, "changed my mind"))
        });
        assert!(matches!(inner, Err(Aborted::Work(_))));
        assert_eq!(outer.get(&items, "inner")?, None);
        Ok(())
    });
    done.unwrap();
    assert_eq!(rows(&place.reader()), [row("outer", "{}")]);
}

#[test]
fn outer_rollback_undoes_what_the_inner_committed() {
    let place = place();
    let mut writer = ready(&place);
    let items = name("items");
    let done: Result<(), Aborted<&str>> = atomic(&mut writer, |outer| {
        outer.atomic(|inner| inner.put(&items, "inner", "{}").map_err(|_| "unexpected")).map_err(|_| "unexpected")?;
        Err("no")
    });
    assert!(matches!(done, Err(Aborted::Work("no"))));
    assert!(rows(&place.reader()).is_empty());
    assert!(!writer.in_transaction());
}

#[test]
fn a_dropped_transaction_is_rolled_back() {
    let place = place();
    let mut writer = ready(&place);
    let mut transaction = Transaction::begin(&mut writer).unwrap();
    transaction.put(&name("items"), "a", "{}").unwrap();
    drop(transaction);
    assert!(!writer.in_transaction());
    assert!(rows(&place.reader()).is_empty());
}

#[test]
fn failed_update_keeps_the_old_body() {
    let place = place();
    let mut writer = ready(&place);
    let items = name("items");
    writer.begin().unwrap();
    writer.put(&items, "a", r#"{"email":"x"}"#).unwrap();
    writer.put(&items, "b", r#"{"email":"y"}"#).unwrap();
    let refused = writer.put(&items, "b", r#"{"email":"x"}"#).unwrap_err();
    assert_eq!(refused.code(), Code::IndexConstraint);
    writer.commit().unwrap();
    assert_eq!(rows(&place.reader()), [row("a", r#"{"email":"x"}"#), row("b", r#"{"email":"y"}"#)]);

    writer.begin().unwrap();
    assert!(writer.put(&items, "a", r#"{"email":"z"}"#).unwrap());
    writer.rollback().unwrap();
    assert_eq!(rows(&place.reader())[0], row("a", r#"{"email":"x"}"#));
}

#[test]
fn ten_thousand_savepoints_never_collide() {
    let place = place();
    let mut writer = ready(&place);
    let items = name("items");
    writer.begin().unwrap();
    for i in 0..10_000 {
        writer.begin().unwrap();
        writer.put(&items, &format!("{i:05}"), "{}").unwrap();
        if i % 2 == 0 { writer.commit().unwrap() } else { writer.rollback().unwrap() }
    }
    writer.commit().unwrap();
    let rows = rows(&place.reader());
    assert_eq!(rows.len(), 5000);
    assert!(rows.iter().all(|(id, _)| id.parse::<u32>().unwrap() % 2 == 0));
}

#[test]
fn deep_nesting_keeps_exactly_the_levels_that_committed() {
    let place = place();
    let mut writer = ready(&place);
    let items = name("items");
    for level in 0..100 {
        writer.begin().unwrap();
        writer.put(&items, &format!("{level:03}"), "{}").unwrap();
    }
    for level in (0..100).rev() {
        // Giving up level 50 takes everything inside it along.
        if level == 50 { writer.rollback().unwrap() } else { writer.commit().unwrap() }
    }
    assert_eq!(rows(&place.reader()).len(), 50);
}

#[test]
fn commit_and_apply_want_an_open_transaction() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    assert_eq!(writer.commit().unwrap_err().code(), Code::TransactionState);
    let error = writer.apply(&run, &[kept(0, 0, &[("a", "{}")])], &replacing()).unwrap_err();
    assert_eq!(error.code(), Code::TransactionState);
    writer.rollback().unwrap();
}

#[test]
fn what_sqlite_has_rolled_back_by_itself_is_given_up_level_by_level() {
    let place = place();
    let mut writer = ready(&place);
    let items = name("items");
    writer.begin().unwrap();
    writer.begin().unwrap();
    writer.put(&items, "a", "{}").unwrap();
    // As after a full disk: the transaction is gone although nobody ended it.
    writer.conn.execute_batch("ROLLBACK").unwrap();
    for attempt in [writer.begin(), writer.commit(), writer.put(&items, "b", "{}").map(|_| ())] {
        assert_eq!(attempt.unwrap_err().code(), Code::TransactionState);
    }
    writer.rollback().unwrap();
    assert_eq!(
        writer.put(&items, "b", "{}").unwrap_err().code(),
        Code::TransactionState,
        "the outer level is still to be given up"
    );
    writer.rollback().unwrap();
    assert!(rows(&place.reader()).is_empty());
    writer.begin().unwrap();
    writer.put(&items, "c", "{}").unwrap();
    writer.commit().unwrap();
    assert_eq!(rows(&place.reader()).len(), 1);
}

#[test]
fn a_rollback_that_fails_is_told_and_closes_the_store() {
    let place = place();
    let mut writer = ready(&place);
    let items = name("items");
    writer.begin().unwrap();
    writer.begin().unwrap();
    // The savepoint is gone, so that rolling back to it must fail.
    writer.conn.execute_batch("RELEASE atlas_1").unwrap();
    assert_eq!(writer.rollback().unwrap_err().code(), Code::TransactionRollback);
    assert_eq!(writer.put(&items, "a", "{}").unwrap_err().code(), Code::TransactionState);
    assert_eq!(writer.begin().unwrap_err().code(), Code::TransactionState);
}

#[test]
fn a_store_whose_lock_is_anothers_is_told_as_held_and_is_in_no_doubt() {
    let place = place();
    let mut writer = ready(&place);
    writer.conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = place.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = writer.begin().unwrap_err();
    assert_eq!((error.code(), error.code().exit()), (Code::StorageLocked, 6));
    assert!(!error.code().leaves_the_store_in_doubt() && writer.in_order(), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    writer.begin().unwrap();
    writer.rollback().unwrap();
}

#[test]
fn a_hundred_threads_over_one_writer_leave_every_row_once() {
    let place = place();
    let writer = std::sync::Mutex::new(ready(&place));
    std::thread::scope(|scope| {
        for thread in 0..100 {
            let writer = &writer;
            scope.spawn(move || {
                let done: Result<(), Aborted<Error>> = atomic(&mut *writer.lock().unwrap(), |tx| {
                    for i in 0..10 {
                        tx.put(&name("items"), &format!("{thread:03}-{i}"), &format!(r#"{{"email":"{thread}-{i}"}}"#))?;
                    }
                    if thread % 4 == 0 { Err(Error::new(Code::OperationFailed, "every fourth")) } else { Ok(()) }
                });
                assert_eq!(done.is_err(), thread % 4 == 0);
            });
        }
    });
    assert_eq!(rows(&place.reader()).len(), 750);
}
