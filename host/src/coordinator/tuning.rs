//! What an adaptive run finds is where the next one begins: per chain of plugins, collection, shape of the machine and aim.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::chain::Chain;
use super::job::Job;
use super::writer::WriterService;
use crate::error::Result;
use crate::model::{Name, RunNumber, now_ms};
use crate::store::TuningRow;
use crate::strategy::{Aim, Bounds, Learned, Start};

/// Fewer batches than these say little about the next run.
const BATCHES_ENOUGH: u64 = 8;

/// A point that the runs since were not free to choose is given up after so many of them.
const KEPT_RUNS: u64 = 8;

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
        let host = host_shape() + &aim(job.aim, job.batch_time_max);
        Some(Self { chain: chain.join(" "), collection: job.collection.clone(), host })
    }

    /// The same of a run that has ended. Where plugins were exchanged meanwhile, what was found is that of several chains, and
    /// an example to none.
    pub fn of_run(job: &Job, chain: &Chain) -> Option<Self> {
        Self::of(job, chain).filter(|_| chain.generation == 0)
    }

    /// Puts in what an earlier run knows and this one was not told: where to begin, or what batches cost.
    ///
    /// Errors: the store cannot be read.
    pub fn add_to(&self, bounds: &mut Bounds, writer: &WriterService) -> Result<()> {
        if bounds.start.as_ref().is_some_and(|start| start.costs.is_some()) {
            return Ok(());
        }
        let Some((run, learned)) = self.known(writer)? else { return Ok(()) };
        // A run that had less to choose from leaves a place to begin at, and the search to this one.
        let costs = learned.covers(bounds.batch_size, bounds.lanes).then_some(learned.costs);
        match &mut bounds.start {
            Some(start) => start.costs = costs,
            start => {
                *start = Some(Start {
                    batch_size: learned.batch_size,
                    lanes: learned.lanes,
                    source: format!("run {run}, {:.0} items/s over {} batches", learned.items_per_s, learned.batches),
                    costs,
                });
            }
        }
        Ok(())
    }

    /// What an earlier run knows.
    fn known(&self, writer: &WriterService) -> Result<Option<(RunNumber, Learned)>> {
        let key = self.clone();
        let row = writer.ask(move |processor| processor.learned(&key.chain, &key.collection, &key.host))?;
        // What a later version has written and this one cannot read is as good as nothing.
        Ok(row.and_then(|row| Some((row.run, serde_json::from_str::<Learned>(&row.learned_json).ok()?))))
    }

    /// What to keep for the next run, if it is worth it: not in the place of a point that this run was not free to choose.
    pub fn row(self, run: RunNumber, learned: Option<Learned>, writer: &WriterService) -> Option<TuningRow> {
        let learned = learned?;
        if let Some((by, known)) = self.known(writer).ok()?
            && learned.within.is_some_and(|within| !known.lies_in(within))
            && run.0.saturating_sub(by.0) < KEPT_RUNS
        {
            return None;
        }
        self.kept(run, &learned)
    }

    fn kept(self, run: RunNumber, learned: &Learned) -> Option<TuningRow> {
        if learned.batches < BATCHES_ENOUGH {
            return None;
        }
        Some(TuningRow {
            chain: self.chain,
            collection: self.collection,
            host: self.host,
            learned_json: serde_json::to_string(learned).ok()?,
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

/// What is best for another aim, or within another time, is no example.
fn aim(aim: Aim, batch_time_max: Option<Duration>) -> String {
    let aim = match aim {
        Aim::Throughput => "",
        Aim::Latency => ", short batches",
    };
    batch_time_max.map_or(aim.to_owned(), |time| format!("{aim}, batches of {} ms at the most", time.as_millis()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::coordinator::job::Input;
    use crate::model::{Item, Outcome};
    use crate::plugin::{Call, Slot};
    use crate::strategy::{Interval, PhaseCosts};

    fn job(collection: &str) -> Job {
        let mut job = Job::new(Input::Files(Vec::new()), None);
        job.collection = Name::parse(collection).unwrap();
        job
    }

    fn learned(batches: u64) -> Learned {
        let costs = PhaseCosts::default();
        Learned { batch_size: 70, lanes: 2, items_per_s: 5e4, batches, costs, within: None }
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
            let row = key.clone().kept(RunNumber(4), &learned(batches));
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
    }

    #[test]
    fn another_aim_and_another_time_are_another_key() {
        let key = |change: &dyn Fn(&mut Job)| {
            let mut job = job("items");
            change(&mut job);
            Key::of(&job, &Chain::new(Vec::new(), Vec::new())).unwrap()
        };
        let keys = [
            key(&|_| ()),
            key(&|job| job.aim = Aim::Latency),
            key(&|job| job.batch_time_max = Some(Duration::from_millis(250))),
        ];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2], "{keys:?}");
    }

    #[test]
    fn a_point_covers_what_it_was_chosen_from_and_lies_where_it_could_have_been_chosen() {
        let interval = |min, max| Interval::new(min, max).unwrap();
        let all = (interval(10, 1000), interval(1, 2));
        let free = Learned { within: Some(all), ..learned(9) };
        assert!(free.covers(all.0, all.1) && free.covers(interval(50, 60), all.1) && free.lies_in(all));
        assert!(!free.covers(interval(10, 2000), all.1) && !free.covers(all.0, interval(1, 3)));
        assert!(!free.lies_in((interval(10, 10), all.1)) && !free.lies_in((all.0, interval(1, 1))));
        assert!(learned(9).covers(all.0, all.1), "of an earlier version: as ever");
    }
}
