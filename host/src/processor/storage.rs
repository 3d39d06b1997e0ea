//! Results into the store: rows, dead letters, history and checkpoint, in one transaction per group.

use super::Processor;
use crate::error::{Code, Result};
use crate::model::{BatchNumber, IndexSpec, Name, RunNumber};
use crate::store::{
    BatchWrite, BuiltIndex, EndedRun, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, Store, SwapRow, TuningRow,
    WritePolicy, Writer,
};
use crate::transaction::Transactional;

/// The default processor. Owns the one writing connection.
pub struct StorageProcessor {
    writer: Writer,
}

impl StorageProcessor {
    /// Over an opened store.
    pub fn new(writer: Writer) -> Self {
        Self { writer }
    }
}

impl Processor for StorageProcessor {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn declare(&mut self, target: &Name, collections: &[Name], indexes: &[IndexSpec]) -> Result<()> {
        self.writer.declare(collections, indexes, target)
    }

    fn put_off_indexes(&mut self, collection: &Name) -> Result<usize> {
        self.writer.put_off_indexes(collection)
    }

    fn build_indexes(&mut self, collection: &Name) -> Result<Vec<BuiltIndex>> {
        self.writer.build_indexes(collection)
    }

    fn last_run_of_job(&mut self, job: &str) -> Result<Option<RunRow>> {
        self.writer.last_run_of_job(job)
    }

    fn unfinished_run_over(&mut self, collection: &Name, paths: &[String]) -> Result<Option<RunRow>> {
        self.writer.unfinished_run_over(collection, paths)
    }

    fn learned(&mut self, chain: &str, collection: &Name, host: &str) -> Result<Option<TuningRow>> {
        self.writer.learned(chain, collection, host)
    }

    fn ended_runs(
        &mut self,
        collection: &Name,
        besides: RunNumber,
        enough: &mut dyn FnMut(EndedRun) -> bool,
    ) -> Result<()> {
        self.writer.ended_runs(collection, besides, enough)
    }

    fn begin_run(&mut self, start: &RunStart, resume: Option<RunNumber>) -> Result<RunHandle> {
        match resume {
            Some(run) => self.writer.resume_run(run, start),
            None => self.writer.begin_run(start),
        }
    }

    fn begin(&mut self) -> Result<()> {
        Transactional::begin(&mut self.writer)
    }

    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        Store::apply(&mut self.writer, run, group, policy)
    }

    fn commit(&mut self) -> Result<()> {
        Transactional::commit(&mut self.writer)
    }

    fn rollback(&mut self) -> Result<()> {
        Transactional::rollback(&mut self.writer)
    }

    fn note_commit_time(&mut self, run: &RunHandle, first: BatchNumber, last: BatchNumber, commit_us: u64) {
        Store::note_commit_time(&mut self.writer, run, first, last, commit_us);
    }

    fn in_order(&self) -> bool {
        self.writer.in_order()
    }

    fn reopen(&mut self, after: Code) -> Result<bool> {
        self.writer.reopen(after)
    }

    fn position(&mut self, run: &RunHandle) -> Result<u64> {
        self.writer.position(run)
    }

    fn note_swaps(&mut self, run: &RunHandle, steps: &[SwapRow]) -> Result<()> {
        self.writer.note_swaps(run, steps)
    }

    fn note_settings(&mut self, run: &RunHandle, settings_json: &str) -> Result<()> {
        self.writer.note_settings(run, settings_json)
    }

    fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<()> {
        self.writer.finish_run(run, end).map(|_| ())
    }

    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        Some(&mut self.writer)
    }

    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        Some(&mut self.writer)
    }
}

#[cfg(test)]
mod tests;
