//! Transactions that nest: an inner one that fails undoes its own work only, an outer one undoes all.
//!
//! Knows nothing of SQL; a store implements [`Transactional`]. Invariant: whatever is not committed is rolled back,
//! and a rollback that fails is reported beside the first error, never instead of it.

use std::fmt;

use crate::error::{Error, Result};
use crate::model::Name;

/// A store of rows with nested transactions. `begin` inside an open transaction opens an inner one.
pub trait Transactional {
    /// Begins a transaction, or an inner one. Errors: STORAGE_2007 if another process keeps the store locked, TRANSACTION_6001.
    fn begin(&mut self) -> Result<()>;
    /// Commits the innermost one. After an error it is still to be rolled back.
    fn commit(&mut self) -> Result<()>;
    /// Undoes the innermost one; safe to call where the store has undone it already. Errors: TRANSACTION_6003.
    fn rollback(&mut self) -> Result<()>;
    /// Inserts a row or gives it another body (strict JSON). True if that changed anything.
    /// Errors: INDEX_7005 where a constraint refuses it; the transaction goes on.
    fn put(&mut self, collection: &Name, id: &str, body: &str) -> Result<bool>;
    /// Deletes a row. True if it was there.
    fn delete(&mut self, collection: &Name, id: &str) -> Result<bool>;
    /// The body under `id`, uncommitted work included.
    fn body(&self, collection: &Name, id: &str) -> Result<Option<String>>;
}

/// An open transaction. Dropping it rolls back.
#[must_use = "a transaction that is not committed is rolled back"]
pub struct Transaction<'s, S: Transactional + ?Sized> {
    store: &'s mut S,
    ended: bool,
}

/// Why an `atomic` came to nothing.
#[derive(Debug)]
pub enum Aborted<E> {
    /// The work returned this error; everything it did is undone.
    Work(E),
    /// The transaction could not begin or commit; everything is undone.
    Transaction(Error),
    /// The first error, and the rollback after it failed too: the store has to be opened anew.
    Rollback(Box<Aborted<E>>, Error),
}

/// Runs `work` in a transaction of `store`: committed if it returns `Ok`, undone if not.
pub fn atomic<S, T, E>(
    store: &mut S,
    work: impl FnOnce(&mut Transaction<'_, S>) -> Result<T, E>,
) -> Result<T, Aborted<E>>
where
    S: Transactional + ?Sized,
{
    let mut transaction = Transaction::begin(store).map_err(Aborted::Transaction)?;
    let first = match work(&mut transaction) {
        Ok(value) => match transaction.keep() {
            Ok(()) => return Ok(value),
            Err(error) => Aborted::Transaction(error),
        },
        Err(error) => Aborted::Work(error),
    };
    match transaction.undo() {
        Ok(()) => Err(first),
        Err(error) => Err(Aborted::Rollback(Box::new(first), error)),
    }
}

impl<'s, S: Transactional + ?Sized> Transaction<'s, S> {
    /// Begins one, or an inner one if the store has one open.
    pub fn begin(store: &'s mut S) -> Result<Self> {
        store.begin()?;
        Ok(Self { store, ended: false })
    }

    /// Keeps its work, as far as the transactions around it do.
    pub fn commit(mut self) -> Result<()> {
        self.keep()
    }

    /// Undoes its work.
    pub fn rollback(mut self) -> Result<()> {
        self.undo()
    }

    /// Runs `work` in an inner transaction: if it fails, only its own work is undone.
    pub fn atomic<T, E>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_, S>) -> Result<T, E>,
    ) -> Result<T, Aborted<E>> {
        atomic(self.store, work)
    }

    /// See [`Transactional::put`].
    pub fn put(&mut self, collection: &Name, id: &str, body: &str) -> Result<bool> {
        self.store.put(collection, id, body)
    }

    /// See [`Transactional::delete`].
    pub fn delete(&mut self, collection: &Name, id: &str) -> Result<bool> {
        self.store.delete(collection, id)
    }

    /// The body under `id`, this transaction's own work included.
    pub fn get(&self, collection: &Name, id: &str) -> Result<Option<String>> {
        self.store.body(collection, id)
    }

    /// A commit that fails leaves the transaction to be rolled back.
    fn keep(&mut self) -> Result<()> {
        self.store.commit()?;
        self.ended = true;
        Ok(())
    }

    /// A rollback ends the transaction, whatever it says: a second one would undo the transaction around it.
    fn undo(&mut self) -> Result<()> {
        self.ended = true;
        self.store.rollback()
    }
}

impl<S: Transactional + ?Sized> Drop for Transaction<'_, S> {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = self.store.rollback()
        {
            tracing::error!(%error, "a transaction was dropped and its rollback failed");
        }
    }
}

impl<E: fmt::Display> fmt::Display for Aborted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aborted::Work(error) => error.fmt(f),
            Aborted::Transaction(error) => error.fmt(f),
            Aborted::Rollback(first, rollback) => write!(f, "{first}; its rollback failed too: {rollback}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for Aborted<E> {}

impl From<Aborted<Error>> for Error {
    /// The first error; a failed rollback becomes part of the message.
    fn from(aborted: Aborted<Error>) -> Self {
        match aborted {
            Aborted::Work(error) | Aborted::Transaction(error) => error,
            Aborted::Rollback(first, rollback) => {
                let hint = rollback.hint_text().to_owned();
                Error::from(*first).followed_by("its rollback failed too", &rollback).hint(hint)
            }
        }
    }
}

#[cfg(test)]
mod tests;
