//! Transactions over a store that is a map and fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use crate::error::Code;

type Rows = BTreeMap<String, String>;

/// Rows, the states to go back to, and the calls so far. The calls whose numbers (from 0) are in `fails` fail.
#[derive(Default)]
struct Fake {
    rows: Rows,
    before: Vec<Rows>,
    calls: Vec<&'static str>,
    fails: BTreeSet<usize>,
}

impl Fake {
    fn failing(calls: impl IntoIterator<Item = usize>) -> Self {
        Self { fails: calls.into_iter().collect(), ..Self::default() }
    }

    fn call(&mut self, name: &'static str, code: Code) -> Result<()> {
        let number = self.calls.len();
        self.calls.push(name);
        if self.fails.contains(&number) { Err(Error::new(code, format!("no {name}"))) } else { Ok(()) }
    }

    fn ids(&self) -> Vec<&str> {
        self.rows.keys().map(String::as_str).collect()
    }
}

impl Transactional for Fake {
    fn begin(&mut self) -> Result<()> {
        self.call("begin", Code::TransactionStart)?;
        self.before.push(self.rows.clone());
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.call("commit", Code::TransactionCommit)?;
        self.before.pop().expect("an open transaction");
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        // As in a real store, the level is gone though its work may be left.
        let before = self.before.pop().expect("an open transaction");
        self.call("rollback", Code::TransactionRollback)?;
        self.rows = before;
        Ok(())
    }

    fn put(&mut self, _: &Name, id: &str, body: &str) -> Result<bool> {
        Ok(self.rows.insert(id.to_owned(), body.to_owned()).as_deref() != Some(body))
    }

    fn delete(&mut self, _: &Name, id: &str) -> Result<bool> {
        Ok(self.rows.remove(id).is_some())
    }

    fn body(&self, _: &Name, id: &str) -> Result<Option<String>> {
        Ok(self.rows.get(id).cloned())
    }
}

fn notes() -> Name {
    Name::parse("notes").expect("a legal name")
}

fn put(transaction: &mut Transaction<'_, Fake>, id: &str) {
    transaction.put(&notes(), id, "1").expect("a put");
}

/// An error of the work itself.
fn refused() -> Error {
    Error::new(Code::OperationFailed, "changed my mind")
}

#[test]
fn work_that_succeeds_is_committed_once() {
    let mut store = Fake::default();
    let value = atomic(&mut store, |transaction| {
        put(transaction, "a");
        assert_eq!(transaction.get(&notes(), "a")?.as_deref(), Some("1"), "its own work is seen");
        Ok::<_, Error>(7)
    });
    assert_eq!(value.expect("committed"), 7);
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "commit"][..], vec!["a"]));
}

#[test]
fn work_that_fails_is_undone_and_its_error_comes_back() {
    let mut store = Fake::default();
    let outcome = atomic(&mut store, |transaction| {
        put(transaction, "a");
        Err::<(), _>("no")
    });
    assert!(matches!(outcome, Err(Aborted::Work("no"))));
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "rollback"][..], vec![]));
}

#[test]
fn work_is_not_begun_where_the_transaction_cannot_begin() {
    let mut store = Fake::failing([0]);
    let outcome = atomic(&mut store, |_| -> Result<()> { panic!("the work was begun") });
    assert!(matches!(outcome, Err(Aborted::Transaction(error)) if error.code() == Code::TransactionStart));
    assert_eq!(store.calls, ["begin"], "what was not begun is not undone");
}

#[test]
fn a_commit_that_fails_undoes_the_work() {
    let mut store = Fake::failing([1]);
    let outcome = atomic(&mut store, |transaction| {
        put(transaction, "a");
        Ok::<_, Error>(())
    });
    assert!(matches!(outcome, Err(Aborted::Transaction(error)) if error.code() == Code::TransactionCommit));
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "commit", "rollback"][..], vec![]));
}

#[test]
fn a_rollback_that_fails_too_is_told_beside_the_first_error_and_not_tried_again() {
    let mut store = Fake::failing([1]);
    let outcome = atomic(&mut store, |_| Err::<(), _>(refused()));
    let Err(aborted @ Aborted::Rollback(..)) = outcome else { panic!("another outcome") };
    assert_eq!(store.calls, ["begin", "rollback"]);
    let error = Error::from(aborted);
    assert_eq!(error.code(), Code::OperationFailed, "the first error decides");
    assert_eq!(error.to_string(), "changed my mind; its rollback failed too: no rollback");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "changed my mind");

    let mut store = Fake::failing([1, 2]);
    let error = Error::from(atomic(&mut store, |_| Ok::<_, Error>(())).expect_err("it fails"));
    assert_eq!(store.calls, ["begin", "commit", "rollback"]);
    assert_eq!(error.code(), Code::TransactionCommit);
    assert_eq!(error.to_string(), "no commit; its rollback failed too: no rollback");
}

#[test]
fn an_inner_rollback_that_fails_leaves_the_outer_transaction_to_its_owner() {
    let mut store = Fake::failing([2]);
    let outcome = atomic(&mut store, |outer| {
        put(outer, "a");
        let inner = outer.atomic(|_| Err::<(), _>(refused()));
        assert!(matches!(inner, Err(Aborted::Rollback(..))));
        assert_eq!(outer.get(&notes(), "a")?.as_deref(), Some("1"), "the outer one was not undone behind its back");
        Err::<(), _>(refused())
    });
    assert!(matches!(outcome, Err(Aborted::Work(_))));
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "begin", "rollback", "rollback"][..], vec![]));
}

#[test]
fn an_inner_transaction_that_fails_undoes_its_own_work_only() {
    let mut store = Fake::default();
    atomic(&mut store, |outer| {
        put(outer, "a");
        let inner = outer.atomic(|inner| {
            put(inner, "b");
            inner.atomic(|deepest| {
                put(deepest, "c");
                Ok::<_, Error>(())
            })?;
            inner.delete(&notes(), "a")?;
            Err::<(), _>(refused())
        });
        assert!(matches!(inner, Err(Aborted::Work(_))));
        put(outer, "d");
        Ok::<_, Error>(())
    })
    .expect("the outer one is kept");
    assert_eq!(store.ids(), ["a", "d"]);
    assert_eq!(store.calls, ["begin", "begin", "begin", "commit", "rollback", "commit"]);
}

#[test]
fn an_outer_transaction_that_fails_undoes_what_inner_ones_committed() {
    let mut store = Fake::default();
    let outcome = atomic(&mut store, |outer| {
        outer.atomic(|inner| {
            put(inner, "a");
            Ok::<_, Error>(())
        })?;
        Err::<(), _>(refused())
    });
    assert_eq!(Error::from(outcome.expect_err("it failed")).code(), Code::OperationFailed);
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "begin", "commit", "rollback"][..], vec![]));
}

#[test]
fn a_transaction_that_is_dropped_or_panics_is_rolled_back() {
    let mut store = Fake::default();
    {
        let mut transaction = Transaction::begin(&mut store).expect("a transaction");
        put(&mut transaction, "a");
    }
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "rollback"][..], vec![]));

    let mut store = Fake::default();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        atomic(&mut store, |outer| {
            outer.atomic(|inner| -> Result<()> {
                put(inner, "a");
                resume_unwind(Box::new("asked to panic"))
            })?;
            Ok::<_, Error>(())
        })
    }));
    assert!(panicked.is_err());
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "begin", "rollback", "rollback"][..], vec![]));
}

#[test]
fn a_transaction_that_was_ended_by_hand_is_not_ended_again() {
    let mut store = Fake::default();
    let mut transaction = Transaction::begin(&mut store).expect("a transaction");
    put(&mut transaction, "a");
    transaction.commit().expect("committed");
    Transaction::begin(&mut store).expect("a transaction").rollback().expect("rolled back");
    assert_eq!((store.calls.as_slice(), store.ids()), (&["begin", "commit", "begin", "rollback"][..], vec!["a"]));

    let mut store = Fake::failing([1]);
    let transaction = Transaction::begin(&mut store).expect("a transaction");
    assert!(transaction.commit().is_err());
    assert_eq!(store.calls, ["begin", "commit", "rollback"], "a commit that fails is undone");
}
