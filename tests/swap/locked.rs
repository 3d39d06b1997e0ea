//! Steps of a swap while another process has the store.

use std::sync::{Arc, Mutex};

use atlas_host::error::{Code, Error, Result};
use atlas_host::model::{BatchNumber, IndexSpec, Name, RunNumber};
use atlas_host::processor::{MemoryProcessor, Processor};
use atlas_host::store::{BatchWrite, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, SwapRow, WritePolicy};
use atlas_host::transaction::Transactional;

use super::{Live, stamp, told};
use crate::harness::Folder;
use crate::library::host;

/// Keeps the steps of swaps, but for the first times that it is asked to: then it is locked.
struct Locked {
    inner: MemoryProcessor,
    times: u32,
    kept: Arc<Mutex<Vec<String>>>,
}

impl Locked {
    fn keep(&self, steps: &[SwapRow]) {
        self.kept.lock().expect("no panic").extend(steps.iter().map(|step| step.step.clone()));
    }
}

impl Processor for Locked {
    fn name(&self) -> &'static str {
        "locked"
    }
    fn declare(&mut self, target: &Name, collections: &[Name], indexes: &[IndexSpec]) -> Result<()> {
        self.inner.declare(target, collections, indexes)
    }
    fn last_run_of_job(&mut self, job: &str) -> Result<Option<RunRow>> {
        self.inner.last_run_of_job(job)
    }
    fn begin_run(&mut self, start: &RunStart, resume: Option<RunNumber>) -> Result<RunHandle> {
        self.inner.begin_run(start, resume)
    }
    fn begin(&mut self) -> Result<()> {
        self.inner.begin()
    }
    fn apply(&mut self, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Result<Vec<Receipt>> {
        group.iter().filter_map(|write| write.chain.as_ref()).for_each(|chain| self.keep(&chain.swaps));
        self.inner.apply(run, group, policy)
    }
    fn commit(&mut self) -> Result<()> {
        self.inner.commit()
    }
    fn rollback(&mut self) -> Result<()> {
        self.inner.rollback()
    }
    fn note_commit_time(&mut self, _: &RunHandle, _: BatchNumber, _: BatchNumber, _: u64) {}
    fn note_swaps(&mut self, _: &RunHandle, steps: &[SwapRow]) -> Result<()> {
        if self.times > 0 {
            self.times -= 1;
            return Err(Error::new(Code::StorageLocked, "another process has it"));
        }
        self.keep(steps);
        Ok(())
    }
    fn finish_run(&mut self, run: &RunHandle, end: &RunEnd) -> Result<()> {
        self.inner.finish_run(run, end)
    }
    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        None
    }
    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        None
    }
}

#[test]
fn no_step_is_lost_to_a_lock_that_is_held_for_a_while() {
    // Within the tries of one writing, and beyond them.
    for times in [2, 5] {
        let folder = Folder::new();
        let host = host(1);
        let kept = Arc::<Mutex<Vec<String>>>::default();
        let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
        let inner = MemoryProcessor::new(Box::new(|_, _, _| Ok(())));
        job.own_processor = Some(Box::new(Locked { inner, times, kept: Arc::clone(&kept) }));
        live.through(&host, job, |live| {
            live.batches(5);
            live.swap(stamp("v2"));
            live.until(&["tried"]);
            live.feed_until(&["settled"]);
        });
        let (mut kept, mut told) = (kept.lock().expect("no panic").clone(), told(&live.recording));
        kept.sort();
        told.sort();
        assert_eq!((kept.len(), &kept), (6, &told), "locked {times} times");
    }
}
