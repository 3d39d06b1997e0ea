//! Where a batch's results go. One file per processor and one row in [`PROCESSORS`].
//!
//! A processor is driven by one writer thread; it never sees two batches at the same time.

mod memory;
mod storage;

pub use memory::{Gathering, MemoryProcessor, Output};
pub(crate) use storage::StorageProcessor;

use crate::error::{Code, Error, Result};
use crate::model::{BatchNumber, IndexSpec, Name, RunNumber};
use crate::store::{
    BatchWrite, BuiltIndex, EndedRun, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, SwapRow, TuningRow,
    WritePolicy,
};
use crate::transaction::Transactional;

/// Takes batches in input order and keeps or passes on what they decided.
pub trait Processor: Send {
    /// Its name in [`PROCESSORS`].
    fn name(&self) -> &'static str;

    /// Makes ready the collections and indexes that a run declares.
    fn declare(&mut self, target: &Name, collections: &[Name], indexes: &[IndexSpec]) -> Result<()>;

    /// Puts off the entries of the indexes of a collection that is empty, if that makes filling it faster. Gives how many
    /// indexes are put off.
    fn put_off_indexes(&mut self, collection: &Name) -> Result<usize> {
        let _ = collection;
        Ok(0)
    }

    /// Builds what is put off of the collection's indexes.
    fn build_indexes(&mut self, collection: &Name) -> Result<Vec<BuiltIndex>> {
        let _ = collection;
        Ok(Vec::new())
    }

    /// The newest run of this job, if this processor remembers runs.
    fn last_run_of_job(&mut self, job: &str) -> Result<Option<RunRow>>;

    /// The newest run into this collection that has not come to its end and whose inputs have these paths, if this processor
    /// remembers runs.
    fn unfinished_run_over(&mut self, collection: &Name, paths: &[String]) -> Result<Option<RunRow>> {
        let _ = (collection, paths);
        Ok(None)
    }

    /// What tuning has learned for this chain of plugins and collection on a host of this shape, if this processor keeps it.
    fn learned(&mut self, chain: &str, collection: &Name, host: &str) -> Result<Option<TuningRow>> {
        let _ = (chain, collection, host);
        Ok(None)
    }

    /// Gives the runs into this collection that came to their end, but `besides`, the newest first, until `enough` says so; none
    /// if this processor does not remember runs.
    fn ended_runs(
        &mut self,
        collection: &Name,
        besides: RunNumber,
        enough: &mut dyn FnMut(EndedRun) -> bool,
    ) -> Result<()> {
        let _ = (collection, besides, enough);
        Ok(())
    }

    /// Begins a run, or goes on with `resume`.
    fn begin_run(&mut self, start: &RunStart, resume: Option<RunNumber>) -> Result<RunHandle>;

    /// Begins a transaction, nested if one is open.
    fn begin(&mut self) -> Result<()>;

    /// Applies batches inside the open transaction; one receipt each, same order.
    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>>;

    /// Commits the innermost transaction.
    fn commit(&mut self) -> Result<()>;

    /// Undoes the innermost transaction.
    fn rollback(&mut self) -> Result<()>;

    /// Tells how long the last commit took; for the history.
    fn note_commit_time(&mut self, run: &RunHandle, first: BatchNumber, last: BatchNumber, commit_us: u64);

    /// False where only [`Processor::reopen`] helps. Asked before tasks that no open transaction is for.
    fn in_order(&self) -> bool {
        true
    }

    /// After a failure with this code: gives up all that is not committed, opens anew what it writes to, and checks it.
    /// False where it cannot, and everything is as it was.
    ///
    /// Errors: what keeps it from being written to; RECOVERY_9001 where it is damaged.
    fn reopen(&mut self, _after: Code) -> Result<bool> {
        Ok(false)
    }

    /// First ordinal of the run that is not kept yet. Asked after [`Processor::reopen`] alone.
    ///
    /// Errors: TRANSACTION_6007 if another worker has taken the run over.
    fn position(&mut self, run: &RunHandle) -> Result<u64> {
        Ok(run.next)
    }

    /// Keeps steps of swaps that belong to no batch, if this processor keeps them.
    fn note_swaps(&mut self, run: &RunHandle, steps: &[SwapRow]) -> Result<()> {
        let _ = (run, steps);
        Ok(())
    }

    /// Keeps the settings that are in force from now on, if this processor remembers runs.
    fn note_settings(&mut self, run: &RunHandle, settings_json: &str) -> Result<()> {
        let _ = (run, settings_json);
        Ok(())
    }

    /// Ends a run.
    fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<()>;

    /// Rows in transactions of their own, beside runs; none where nothing is kept.
    fn transactional(&mut self) -> Option<&mut dyn Transactional>;

    /// Reads that see what is written but not yet committed; none where nothing is kept.
    fn lookup(&mut self) -> Option<&mut dyn Lookup>;
}

/// A processor by name.
pub struct ProcessorRow {
    /// What `--processor` takes.
    pub name: &'static str,
    /// One line for the help.
    pub description: &'static str,
    /// What it is.
    pub kind: ProcessorKind,
}

/// What a run does with its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessorKind {
    /// Into the store.
    #[default]
    Storage,
    /// To the caller; nothing is stored.
    Memory,
    /// No items: the indexes of what is stored are verified and, where they are out of step, built anew.
    Index,
}

/// All processors.
pub const PROCESSORS: &[ProcessorRow] = &[
    ProcessorRow {
        name: "storage",
        description: "store results in the database, in batches that are whole or not there",
        kind: ProcessorKind::Storage,
    },
    ProcessorRow {
        name: "memory",
        description: "print results as NDJSON and store nothing",
        kind: ProcessorKind::Memory,
    },
    ProcessorRow {
        name: "index",
        description: "read no items; verify the collection's indexes and rebuild those out of step",
        kind: ProcessorKind::Index,
    },
];

/// Finds a processor by name.
///
/// Errors: CONFIG_3001, listing the names.
pub fn processor(name: &str) -> Result<ProcessorKind> {
    PROCESSORS.iter().find(|row| row.name == name).map(|row| row.kind).ok_or_else(|| {
        let names: Vec<&str> = PROCESSORS.iter().map(|row| row.name).collect();
        Error::new(Code::ConfigInvalid, format!("no processor is called {name:?}"))
            .hint(format!("the processors are {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests;
