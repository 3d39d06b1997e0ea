//! What an adaptive run finds is where the next one begins: per chain of plugins, collection and shape of the machine.

use std::num::NonZeroUsize;

use super::job::Job;
use super::shared::RunShared;
use super::writer::WriterService;
use crate::error::Result;
use crate::model::{Name, RunNumber, now_ms};
use crate::store::TuningRow;
use crate::strategy::{Learned, Start};

/// Fewer batches than these say little about the next run.
const BATCHES_ENOUGH: u64 = 8;

/// Which runs may learn from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    chain: String,
    collection: Name,
    host: String,
}

impl Key {
    /// Closures have no digest: a chain with one of them is like no other.
    pub fn of(job: &Job, shared: &RunShared) -> Option<Self> {
        let chain = shared
            .slots()
            .map(|slot| Some(format!("{}:{}", slot.role().as_str(), slot.digest()?)))
            .collect::<Option<Vec<_>>>()?;
        Some(Self { chain: chain.join(" "), collection: job.collection.clone(), host: host_shape() })
    }

    /// Where to begin, if an earlier run knows.
    ///
    /// Errors: the store cannot be read.
    pub fn start(&self, writer: &WriterService) -> Result<Option<Start>> {
        let key = self.clone();
        let row = writer.ask(move |processor| processor.learned(&key.chain, &key.collection, &key.host))?;
        // What a later version has written and this one cannot read is as good as nothing.
        let known = row.and_then(|row| Some((row.run, serde_json::from_str::<Learned>(&row.learned_json).ok()?)));
        Ok(known.map(|(run, learned)| Start {
            batch_size: learned.batch_size,
            lanes: learned.lanes,
            source: format!("run {run}, {:.0} items/s over {} batches", learned.items_per_s, learned.batches),
            costs: Some(learned.costs),
        }))
    }

    /// What to keep for the next run, if it is worth it.
    pub fn row(self, run: RunNumber, learned: Option<Learned>) -> Option<TuningRow> {
        let learned = learned.filter(|learned| learned.batches >= BATCHES_ENOUGH)?;
        Some(TuningRow {
            chain: self.chain,
            collection: self.collection,
            host: self.host,
            learned_json: serde_json::to_string(&learned).ok()?,
            run,
            updated_ms: now_ms(),
        })
    }
}

/// Cores, and memory in whole GiB: a machine of another shape has another best point.
fn host_shape() -> String {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    match crate::monitor::memory_bytes() {
        Some(bytes) => format!("{cores} cores, {} GiB", bytes.div_ceil(1 << 30)),
        None => format!("{cores} cores"),
    }
}
