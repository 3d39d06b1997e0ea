//! What an adaptive run finds is where the next one begins: per chain of plugins, collection and shape of the machine.

use std::num::NonZeroUsize;

use super::chain::Chain;
use super::job::Job;
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
    pub fn of(job: &Job, chain: &Chain) -> Option<Self> {
        let chain = chain
            .slots()
            .map(|slot| Some(format!("{}:{}", slot.role().as_str(), slot.digest()?)))
            .collect::<Option<Vec<_>>>()?;
        Some(Self { chain: chain.join(" "), collection: job.collection.clone(), host: host_shape() })
    }

    /// The same of a run that has ended. Where plugins were exchanged meanwhile, what was found is that of several chains, and
    /// an example to none.
    pub fn of_run(job: &Job, chain: &Chain) -> Option<Self> {
        Self::of(job, chain).filter(|_| chain.generation == 0)
    }

    /// Puts in what an earlier run knows and this one was not told: where to begin, or what batches cost.
    ///
    /// Errors: the store cannot be read.
    pub fn add_to(&self, start: &mut Option<Start>, writer: &WriterService) -> Result<()> {
        match start {
            None => *start = self.start(writer)?,
            Some(start) if start.costs.is_none() => start.costs = self.start(writer)?.and_then(|known| known.costs),
            Some(_) => {}
        }
        Ok(())
    }

    /// Where to begin, if an earlier run knows.
    fn start(&self, writer: &WriterService) -> Result<Option<Start>> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::coordinator::job::Input;
    use crate::model::{Item, Outcome};
    use crate::plugin::{Call, Slot};
    use crate::strategy::PhaseCosts;

    fn job(collection: &str) -> Job {
        let mut job = Job::new(Input::Files(Vec::new()), None);
        job.collection = Name::parse(collection).unwrap();
        job
    }

    fn learned(batches: u64) -> Learned {
        Learned { batch_size: 70, lanes: 2, items_per_s: 5e4, batches, costs: PhaseCosts::default() }
    }

    #[test]
    fn a_key_is_of_a_collection_and_a_machine_and_closures_have_none() {
        let empty = Chain::new(Vec::new(), Vec::new());
        let key = Key::of(&job("items"), &empty).unwrap();
        assert_eq!((key.chain.as_str(), key.collection.as_str()), ("", "items"));
        let cores = std::thread::available_parallelism().unwrap();
        assert!(key.host.starts_with(&format!("{cores} cores")), "{}", key.host);
        assert_ne!(Key::of(&job("others"), &empty), Some(key.clone()));
        assert_eq!(Key::of_run(&job("items"), &empty), Some(key));
        let keep = |_: &Call, _: Item<'_>| Outcome::Keep;
        let slot = Arc::new(Slot::of_operation(Name::parse("op").unwrap(), Arc::new(keep)));
        let chain = Chain::new(Vec::new(), vec![slot]);
        assert_eq!(Key::of(&job("items"), &chain), None, "a closure has no digest");
    }

    #[test]
    fn what_was_found_while_plugins_were_exchanged_is_an_example_to_none() {
        let keep = |_: &Call, _: Item<'_>| Outcome::Keep;
        let slot = Arc::new(Slot::of_operation(Name::parse("op").unwrap(), Arc::new(keep)));
        let exchanged = Chain::new(Vec::new(), Vec::new()).with(&slot);
        assert!(Key::of(&job("items"), &exchanged).is_some());
        assert_eq!(Key::of_run(&job("items"), &exchanged), None);
    }

    #[test]
    fn eight_batches_are_enough_to_be_kept_and_seven_are_not() {
        let key = Key::of(&job("items"), &Chain::new(Vec::new(), Vec::new())).unwrap();
        for (batches, kept) in [(BATCHES_ENOUGH - 1, false), (BATCHES_ENOUGH, true)] {
            let row = key.clone().row(RunNumber(4), Some(learned(batches)));
            assert_eq!(row.is_some(), kept, "{batches} batches");
            if let Some(row) = row {
                assert_eq!(
                    (row.run, row.chain, row.collection),
                    (RunNumber(4), key.chain.clone(), key.collection.clone())
                );
                let read: Learned = serde_json::from_str(&row.learned_json).unwrap();
                assert_eq!(read, learned(batches));
            }
        }
        assert!(key.row(RunNumber(4), None).is_none());
    }
}
