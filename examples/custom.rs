//! A program that brings its own parts: a source, a strategy, a monitor and a processor. Readings of thermometers go in,
//! the mean of each place comes out, and nothing is stored.
//!
//! `cargo run --release --example custom`

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use atlas_host::coordinator::{Host, HostOptions, Input, Job};
use atlas_host::error::{Code, Error, Result};
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{
    BatchNumber, Change, Counts, Decision, Fate, IndexSpec, Item, Name, Outcome, Plan, Position, Problem, RunNumber,
};
use atlas_host::monitor::Monitor;
use atlas_host::plugin::Call;
use atlas_host::processor::Processor;
use atlas_host::source::{Next, Raw, Source};
use atlas_host::store::{BatchWrite, Lookup, Receipt, RunEnd, RunHandle, RunRow, RunStart, WritePolicy};
use atlas_host::strategy::{Interval, Planned, Signals, Strategy};
use atlas_host::transaction::Transactional;
use serde::Deserialize;

/// Places, and how warm it is there at its warmest.
const PLACES: [(&str, f64); 3] = [("attic", 24.0), ("cellar", 9.0), ("garden", 15.0)];
const HOURS: u64 = 24;

#[derive(Deserialize)]
struct Reading {
    place: String,
    celsius: f64,
}

/// Source: each hour of a day a reading of each place. The thermometer in the cellar fails at noon.
struct Thermometers {
    names: [String; 1],
    given: u64,
    id: String,
    body: String,
}

impl Thermometers {
    fn new() -> Self {
        Self { names: ["thermometers".to_owned()], given: 0, id: String::new(), body: String::new() }
    }
}

impl Source for Thermometers {
    fn next(&mut self, _: Option<Instant>) -> Result<Next<'_>> {
        let (hour, place) = (self.given / PLACES.len() as u64, self.given % PLACES.len() as u64);
        if hour == HOURS {
            return Ok(Next::End);
        }
        let (place, warmest) = PLACES[place as usize];
        let celsius = match (place, hour) {
            ("cellar", 12) => -999.0,
            _ => warmest - hour.abs_diff(14) as f64 / 2.0,
        };
        self.given += 1;
        self.id = format!("{place}-{hour:02}");
        self.body = format!(r#"{{"place":"{place}","celsius":{celsius}}}"#);
        let position = Position { input: 0, line: self.given, offset: 0 };
        Ok(Next::Record(Raw { bytes: self.body.as_bytes(), id: Some(&self.id), position }))
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn bytes_read(&self) -> u64 {
        0
    }

    fn total_items(&self) -> Option<u64> {
        Some(HOURS * PLACES.len() as u64)
    }
}

/// Strategy: each batch is twice as large as the one before, as long as the bounds allow.
#[derive(Default)]
struct Doubling {
    last: usize,
}

impl Strategy for Doubling {
    fn name(&self) -> &'static str {
        "doubling"
    }

    fn plan(&mut self, signals: &Signals) -> Planned {
        let batch_size = signals.bounds.batch_size.clamp(2 * self.last);
        let reason = (batch_size != self.last).then(|| format!("{batch_size} items after {}", self.last));
        self.last = batch_size;
        Planned { plan: Plan { batch_size, lanes: 1, batches_in_flight: 2 }, reason }
    }
}

/// Monitor: a line for each batch, and for each reading that is refused.
struct Diary;

impl Monitor for Diary {
    fn name(&self) -> &'static str {
        "diary"
    }

    fn observe(&mut self, event: &Envelope) {
        match &event.event {
            Event::BatchCommitted(done) => {
                println!("batch {}: {} of {} readings taken", done.batch, done.counts.stored, done.counts.read);
            }
            Event::ItemFailed { id, message, .. } => println!("{id} refused: {message}"),
            _ => {}
        }
    }
}

/// Sum and number of the readings of each place.
#[derive(Default)]
struct Sums(BTreeMap<String, (f64, u32)>);

impl Sums {
    fn add(&mut self, place: String, celsius: f64, readings: u32) {
        let sum = self.0.entry(place).or_default();
        *sum = (sum.0 + celsius, sum.1 + readings);
    }
}

/// Processor: adds readings up. What is added in a transaction counts once that is committed.
struct Means {
    kept: Arc<Mutex<Sums>>,
    /// One for each transaction that is open, the innermost last.
    open: Vec<Sums>,
}

impl Means {
    fn take(&mut self, body: &str) -> Result<()> {
        let reading: Reading = serde_json::from_str(body)
            .map_err(|error| Error::new(Code::StorageWrite, format!("{body} is no reading: {error}")))?;
        let sums = self.open.last_mut().expect("batches come in transactions");
        sums.add(reading.place, reading.celsius, 1);
        Ok(())
    }

    fn batch(&mut self, write: &BatchWrite) -> Result<Receipt> {
        let mut counts = Counts { read: write.batch.len() as u64, retries: write.retries, ..Counts::default() };
        for (index, decision) in write.decisions.iter().enumerate() {
            let mut fate = Fate::Stored;
            match decision {
                Decision::Keep => self.take(write.batch.item(index).expect("what is kept is an item").body)?,
                Decision::Replace(body) => self.take(body)?,
                Decision::Emit(changes) => {
                    for change in changes {
                        if let Change::Put { body, .. } = change {
                            self.take(body)?;
                        }
                    }
                }
                Decision::Drop => fate = Fate::Dropped,
                Decision::Refuse(refusal) => fate = refusal.fate,
            }
            counts.count(fate);
        }
        Ok(Receipt { counts, refused: Vec::new(), bytes_out: 0, write_us: 0 })
    }
}

impl Processor for Means {
    fn name(&self) -> &'static str {
        "means"
    }

    fn declare(&mut self, _: &Name, _: &[Name], _: &[IndexSpec]) -> Result<()> {
        Ok(())
    }

    /// No run is remembered, so none is ever continued.
    fn last_run_of_job(&mut self, _: &str) -> Result<Option<RunRow>> {
        Ok(None)
    }

    fn begin_run(&mut self, start: &RunStart, _: Option<RunNumber>) -> Result<RunHandle> {
        Ok(RunHandle {
            run: RunNumber(0),
            epoch: 1,
            next: start.lo,
            next_batch: BatchNumber(0),
            counts: Counts::default(),
            blank_lines: 0,
            input_digest: None,
            seed: start.seed,
            clock_ms: start.clock_ms,
            uuid: start.uuid.clone(),
        })
    }

    fn begin(&mut self) -> Result<()> {
        self.open.push(Sums::default());
        Ok(())
    }

    fn apply(&mut self, _: &RunHandle, group: &[BatchWrite], _: &WritePolicy) -> Result<Vec<Receipt>> {
        group.iter().map(|write| self.batch(write)).collect()
    }

    fn commit(&mut self) -> Result<()> {
        let done = self.open.pop().unwrap_or_default();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let outer = self.open.last_mut().unwrap_or(&mut *kept);
        done.0.into_iter().for_each(|(place, (celsius, readings))| outer.add(place, celsius, readings));
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        self.open.pop();
        Ok(())
    }

    fn note_commit_time(&mut self, _: &RunHandle, _: BatchNumber, _: BatchNumber, _: u64) {}

    fn finish_run(&mut self, _: &RunHandle, _: &RunEnd) -> Result<()> {
        Ok(())
    }

    fn transactional(&mut self) -> Option<&mut dyn Transactional> {
        None
    }

    fn lookup(&mut self) -> Option<&mut dyn Lookup> {
        None
    }
}

/// Operation: refuses what no thermometer shows.
fn plausible(_: &Call, item: Item<'_>) -> Outcome {
    let (code, message) = match serde_json::from_str::<Reading>(item.body) {
        Ok(reading) if (-60.0..60.0).contains(&reading.celsius) => return Outcome::Keep,
        Ok(reading) => ("READING_RANGE", format!("{} degrees, wanted -60 to 60", reading.celsius)),
        Err(error) => ("READING_SHAPE", error.to_string()),
    };
    Outcome::Reject(Problem { code: code.to_owned(), message, pointer: String::new(), details: Vec::new() })
}

fn main() -> anyhow::Result<()> {
    let kept = Arc::new(Mutex::new(Sums::default()));
    let input = Input::Source { source: Box::new(Thermometers::new()), resumable: None };
    let mut job = Job::new(input, None).operation(plausible).monitor(Diary);
    job.bounds.batch_size = Interval::new(1, 1000).expect("1 is not above 1000");
    job.own_strategy = Some(Box::new(Doubling::default()));
    job.own_processor = Some(Box::new(Means { kept: Arc::clone(&kept), open: Vec::new() }));

    let report = Host::new(HostOptions::default())?.run(job)?;

    println!("{} of {} readings:", report.counts.stored, report.counts.read);
    for (place, (sum, readings)) in &kept.lock().unwrap_or_else(PoisonError::into_inner).0 {
        println!("{place}: {:.1} degrees on average of {readings}", sum / f64::from(*readings));
    }
    Ok(())
}
