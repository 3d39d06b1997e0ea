//! Writing a group, and what follows where the store fails: it is given up, the store opened anew and checked, and the
//! checkpoint asked what is kept. Then the group is acknowledged, tried again, or given up with its run.
//!
//! Invariants: no batch is written twice; an error of the disk is never tried again; the first error is the one that is told,
//! with what failed after it beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::{Budget, Written};
use crate::coordinator::lanes::panic_text;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::processor::Processor;
use crate::store::{BatchWrite, Receipt, RunHandle, WritePolicy};

/// A group that is to be written, of one run.
pub(super) struct Order<'a> {
    pub run: &'a RunHandle,
    pub policy: &'a WritePolicy,
    /// What the run may still lose, counted up to this group.
    pub budget: Option<&'a Budget>,
    pub group: &'a [BatchWrite],
    /// False inside a transaction that holds earlier groups.
    pub may_reopen: bool,
    pub reply: &'a Sender<Written>,
}

/// A group in the store.
pub(super) struct Done {
    /// One for each batch that was written: all, or those up to the one that crossed the run's limit.
    pub receipts: Vec<Receipt>,
    /// What the run may lose, counted up to here.
    pub budget: Option<Budget>,
    pub crossed: bool,
    /// Time of all statements and the commit.
    pub duration: Duration,
    pub commit: Duration,
    /// Why nothing more is written all the same: the group was found kept, but its commit told of an error of the disk.
    pub last: Option<Error>,
}

/// A group that was not written, as far as can be told.
struct Failure {
    error: Error,
    /// The processor has to be opened anew.
    in_doubt: bool,
    /// There where only the commit failed: then it may have been kept all the same.
    applied: Option<Box<Done>>,
}

impl Failure {
    fn of(error: Error) -> Self {
        let in_doubt = error.code().leaves_the_store_in_doubt();
        Self { error, in_doubt, applied: None }
    }
}

/// Writes a group, once more where that may help, and some times more while another process has the lock. Tells each attempt
/// that was rolled back.
///
/// Errors: that of the last attempt, with what failed in recovering from it.
pub(super) fn write(processor: &mut dyn Processor, order: &Order<'_>) -> Result<Done> {
    let (mut tries, mut locked) = (0, 0);
    loop {
        let Failure { error, in_doubt, applied } = match attempt(processor, order) {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        if error.code() == Code::StorageLocked && locked < limits::LOCKED_RETRIES_MAX {
            // Nothing was written and nothing has failed: whoever has the lock may be done by now.
            order.rolled_back(&error);
            locked += 1;
            continue;
        }
        if !in_doubt || !order.may_reopen {
            order.rolled_back(&error);
            return Err(error);
        }
        let told = applied.is_none();
        if told {
            order.rolled_back(&error);
        } else {
            order.tell(Written::InDoubt);
        }
        tracing::warn!(code = error.code().as_str(), "A group was not written: {error}. The store is opened anew.");
        let written = applied.as_ref().map_or(order.group.len(), |done| done.receipts.len());
        let kept = reopened(processor, order, written, error.code());
        if let (Ok(Some(true)), Some(done)) = (&kept, applied) {
            let last = (!error.code().worth_another_try()).then_some(error);
            return Ok(Done { last, ..*done });
        }
        if !told {
            order.rolled_back(&error);
        }
        match kept {
            Ok(Some(false)) if error.code().worth_another_try() && tries < limits::GROUP_RETRIES_MAX => tries += 1,
            Ok(_) => return Err(error),
            Err(second) => {
                let hint = second.hint_text().to_owned();
                return Err(error.followed_by("the store cannot be opened anew", &second).hint(hint));
            }
        }
    }
}

impl Order<'_> {
    fn rolled_back(&self, error: &Error) {
        let (first, last) = (self.group[0].number, self.group[self.group.len() - 1].number);
        let error = Error::new(error.code(), error.to_string());
        self.tell(Written::RolledBack { first, last, error });
    }

    fn tell(&self, written: Written) {
        // A run that is gone no longer needs the answer.
        let _ = self.reply.send(written);
    }
}

/// Opens the processor anew and asks it whether the first `written` batches of the group are kept, which are all that were
/// to be committed. None where it cannot be opened anew.
/// Errors: RECOVERY_9004 where the checkpoint stands neither before nor behind them.
fn reopened(processor: &mut dyn Processor, order: &Order<'_>, written: usize, after: Code) -> Result<Option<bool>> {
    if !processor.reopen(after)? {
        return Ok(None);
    }
    let next = processor.position(order.run)?;
    let (first, last) = (&order.group[0].batch, &order.group[written - 1].batch);
    let (before, behind) = (first.first_ordinal, last.first_ordinal + last.len() as u64);
    if next != before && next != behind {
        let run = order.run.run;
        let text = format!("the checkpoint of run {run} stands at ordinal {next}; wanted {before} or {behind}");
        return Err(Error::new(Code::RecoveryCheckpoint, text));
    }
    Ok(Some(next == behind))
}

/// Writes the group in a transaction of its own.
fn attempt(processor: &mut dyn Processor, order: &Order<'_>) -> Result<Done, Failure> {
    catch_unwind(AssertUnwindSafe(|| write_group(processor, order))).unwrap_or_else(|panic| {
        let error = Error::new(Code::Internal, panic_text(panic.as_ref()));
        // What it was in the middle of nobody knows.
        Err(Failure { in_doubt: true, ..Failure::of(undone(processor, error)) })
    })
}

fn write_group(processor: &mut dyn Processor, order: &Order<'_>) -> Result<Done, Failure> {
    order.group.iter().try_for_each(BatchWrite::check).map_err(Failure::of)?;
    let begin = Instant::now();
    processor.begin().map_err(Failure::of)?;
    let (receipts, budget, crossed) = match apply_within(processor, order) {
        Ok(applied) => applied,
        Err(error) => return Err(Failure::of(undone(processor, error))),
    };
    let commit_begin = Instant::now();
    let committed = processor.commit();
    let commit = commit_begin.elapsed();
    let done = Done { receipts, budget, crossed, duration: begin.elapsed(), commit, last: None };
    if let Err(error) = committed {
        return Err(Failure { applied: Some(Box::new(done)), ..Failure::of(undone(processor, error)) });
    }
    let written = &order.group[..done.receipts.len()];
    if let (Some(first), Some(last)) = (written.first(), written.last()) {
        processor.note_commit_time(order.run, first.number, last.number, commit.as_micros() as u64);
    }
    Ok(done)
}

/// Rolls back; a rollback that fails too is told beside the first error, not instead of it.
fn undone(processor: &mut dyn Processor, error: Error) -> Error {
    match processor.rollback() {
        Ok(()) => error,
        Err(second) => error.followed_by("its rollback failed too", &second),
    }
}

/// Gives the receipts, what the run may lose after them, and whether the last of them crossed that: with a budget batches are
/// applied one by one, and the one that crosses it is the last of its group.
fn apply_within(processor: &mut dyn Processor, order: &Order<'_>) -> Result<(Vec<Receipt>, Option<Budget>, bool)> {
    let Some(mut budget) = order.budget.cloned() else {
        return Ok((processor.apply(order.run, order.group, order.policy)?, None, false));
    };
    let mut receipts = Vec::with_capacity(order.group.len());
    for write in order.group {
        let receipt = processor
            .apply(order.run, std::slice::from_ref(write), order.policy)?
            .pop()
            .expect("BUG: the processor gave no receipt for a batch");
        let crossed = budget.spend(write, &receipt);
        receipts.push(receipt);
        if crossed {
            return Ok((receipts, Some(budget), true));
        }
    }
    Ok((receipts, Some(budget), false))
}

/// Mends a processor that would refuse everything. Where that fails, its own refusals say why.
pub(super) fn put_in_order(processor: &mut dyn Processor) {
    if processor.in_order() {
        return;
    }
    match processor.reopen(Code::TransactionState) {
        Ok(true) => tracing::warn!("The store was opened anew after a failure."),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(code = error.code().as_str(), "The store cannot be opened anew: {error}.");
        }
    }
}

/// What became of the transaction that a whole run is.
pub(in crate::coordinator) struct Whole {
    pub kept: bool,
    /// What its commit said. An error of the disk is told also where all is kept.
    pub error: Option<Error>,
}

/// Commits the transaction that a whole run is. Where the commit fails, the store is opened anew and asked whether it was
/// kept all the same.
pub(in crate::coordinator) fn commit_whole(processor: &mut dyn Processor, run: &RunHandle) -> Whole {
    let Err(error) = processor.commit() else { return Whole { kept: true, error: None } };
    let error = undone(processor, error);
    let undone = |error| Whole { kept: false, error: Some(error) };
    if !error.code().leaves_the_store_in_doubt() {
        return undone(error);
    }
    let position = match processor.reopen(error.code()) {
        Ok(true) => processor.position(run),
        Ok(false) => return undone(error),
        Err(second) => Err(second),
    };
    match position {
        Ok(next) if next == run.next => undone(error),
        Ok(_) => Whole { kept: true, error: (!error.code().worth_another_try()).then_some(error) },
        Err(second) => undone(error.followed_by("the store cannot be opened anew", &second)),
    }
}

/// Undoes the transaction that a whole run is, and opens the store anew where the run failed of it.
pub(in crate::coordinator) fn undo_whole(processor: &mut dyn Processor, failed: Option<Code>) -> Whole {
    let undone = processor.rollback().and_then(|()| match failed {
        Some(code) if code.leaves_the_store_in_doubt() => processor.reopen(code).map(|_| ()),
        _ => Ok(()),
    });
    Whole { kept: false, error: undone.err() }
}

#[cfg(test)]
mod tests;
