//! Computing batches: chunks to the lanes, answers back, retries.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ended, Run, Waiting};
use crate::coordinator::chunk::{self, Chunk, ItemResult};
use crate::coordinator::flight::{Flight, RetryItem};
use crate::coordinator::lanes::Span;
use crate::coordinator::retry;
use crate::coordinator::walk::Retried;
use crate::coordinator::work::{Done, LaneWork, Worked, submit};
use crate::error::{Code, Error};
use crate::event::Event;
use crate::limits;
use crate::model::{Batch, BatchNumber, Ordinal};

impl Run<'_> {
    pub(super) fn compute(&mut self, at: usize) {
        let flight = &mut self.flights[at];
        let chunks = flight.chunks();
        let serial = self.parts.shared.view.is_some();
        if serial {
            flight.first_pass = (0..flight.batch.len()).map(|_| None).collect();
        }
        let number = flight.number;
        if serial && (self.skip_first_pass || chunks.is_empty()) {
            self.begin_walk(at);
            return;
        }
        for indices in chunks {
            self.queue_chunk(number, indices, 1, serial);
        }
    }

    pub(super) fn flight(&mut self, number: BatchNumber) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|flight| flight.number == number)
    }

    /// The batch, if it is still computed with this chain.
    fn flight_with(&mut self, number: BatchNumber, generation: u64) -> Option<&mut Flight> {
        self.flight(number).filter(|flight| flight.chain.generation == generation)
    }

    pub(super) fn chunk(&mut self, number: BatchNumber, indices: Vec<u32>, attempt: u32) -> Option<Chunk> {
        let (run, over) = (Arc::clone(&self.parts.shared), Arc::clone(&self.over));
        let flight = self.flight(number)?;
        let (chain, batch) = (Arc::clone(&flight.chain), Arc::clone(&flight.batch));
        let (logs, shadows) = (Arc::clone(&flight.logs), Arc::clone(&flight.shadows));
        Some(Chunk { run, chain, number: number.0, batch, indices, attempt, logs, shadows, over })
    }

    pub(super) fn queue_chunk(&mut self, number: BatchNumber, indices: Vec<u32>, attempt: u32, serial: bool) {
        let Some(chunk) = self.chunk(number, indices, attempt) else { return };
        let validators = chunk.chain.validators.len();
        if serial {
            self.work.push_back(LaneWork::FirstPass(chunk));
        } else if validators < 2 {
            self.work.push_back(LaneWork::Compute(chunk));
        } else {
            // Several validators run side by side, each as a job of its own.
            if let Some(flight) = self.flight(number) {
                flight.begin_merge(chunk.indices.clone(), attempt, validators);
            }
            self.work.extend((0..validators).map(|validator| LaneWork::Validate(chunk.clone(), validator)));
        }
    }

    /// What found no room in a chunk comes next, before later batches: as many items at a time as found room.
    fn go_on_with(&mut self, number: BatchNumber, left: &[u32], attempt: u32, at_a_time: usize) {
        let later = std::mem::take(&mut self.work);
        for indices in left.chunks(at_a_time.max(1)) {
            self.queue_chunk(number, indices.to_vec(), attempt, false);
        }
        self.work.extend(later);
    }

    pub(super) fn begin_walk(&mut self, at: usize) {
        let flight = &mut self.flights[at];
        let (number, indices) = (flight.number, flight.items());
        if indices.is_empty() {
            return;
        }
        let passes = indices.iter().map(|index| flight.first_pass[*index as usize].take()).collect();
        if let Some(chunk) = self.chunk(number, indices, 1) {
            self.work.push_back(LaneWork::Walk(chunk, passes, self.parts.attempts));
        }
    }

    pub(super) fn dispatch(&mut self) {
        let now = Instant::now();
        while self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.due <= now) {
            let Some(Reverse(waiting)) = self.waiting.pop() else { break };
            if self.flight_with(waiting.number, waiting.generation).is_some() {
                self.queue_chunk(waiting.number, waiting.indices, waiting.attempt, false);
            }
        }
        while let Some(at) = self.next_work()
            && let Some(next) = self.work.get(at).map(LaneWork::number)
            && self.lanes_in_use < self.lanes_for(next)
        {
            let Some(work) = self.work.remove(at) else { break };
            self.note_lane_time();
            self.lanes_in_use += 1;
            self.peak_lanes = self.peak_lanes.max(self.lanes_in_use);
            submit(self.parts.lanes, work, &self.done.0, self.parts.control.flag());
        }
        self.parts.teller.lanes_in_use(self.lanes_in_use as u64);
    }

    /// Place of the work that a lane takes next. Plugins may answer a multiple of what they are given: where batches under way
    /// hold too much, the writer comes first, and if it has nothing to do the oldest batch goes on alone.
    fn next_work(&self) -> Option<usize> {
        if self.held_bytes() < limits::BYTES_IN_FLIGHT_MAX {
            return (!self.work.is_empty()).then_some(0);
        }
        if !self.sent.is_empty() {
            return None;
        }
        let oldest = self.flights.iter().find(|flight| !flight.computed())?.number;
        self.work.iter().position(|work| work.number() == oldest)
    }

    /// Lanes that may be at work while this batch is computed: those of the newest plan, unless they are on trial.
    fn lanes_for(&mut self, number: BatchNumber) -> usize {
        let own = if self.trial { self.flight(number).map(|flight| flight.plan.lanes) } else { None };
        own.unwrap_or(self.plan.lanes)
    }

    /// Adds the time since the last change of `lanes_in_use` to the busy time.
    pub(super) fn note_lane_time(&mut self) {
        self.lane_busy += self.parts.teller.lane_time(self.lanes_in_use);
    }

    pub(super) fn done(&mut self, Worked { done, span }: Worked) {
        self.note_lane_time();
        self.lanes_in_use -= 1;
        if let Some(span) = &span {
            self.note_span(&done, span);
        }
        match done {
            Done::Computed { number, generation, indices, attempt, results, left, metrics } => {
                let attempts = self.parts.attempts;
                let Some(flight) = self.flight_with(number, generation) else { return };
                flight.add_metrics(&metrics);
                let again = flight.settle(&indices, results, attempt, attempts);
                self.retry_later(number, again, attempt);
                self.go_on_with(number, &left, attempt, indices.len());
            }
            Done::Judged { number, generation, first, validator, judged, metrics } => {
                let Some(flight) = self.flight_with(number, generation) else { return };
                flight.add_metrics(&metrics);
                if let Some(whole) = flight.merge(first, validator, judged) {
                    let judged = whole.judged.into_iter().flatten().collect();
                    let merged = chunk::merge(&flight.chain.validators, judged, whole.indices.len(), whole.attempt);
                    if let Some(chunk) = self.chunk(number, whole.indices, whole.attempt) {
                        self.work.push_front(LaneWork::Operate(chunk, merged));
                    }
                }
            }
            Done::FirstPass { number, generation, indices, passes, metrics } => {
                let wanted = |flight: &Flight| flight.number == number && flight.chain.generation == generation;
                let Some(at) = self.flights.iter().position(wanted) else { return };
                let flight = &mut self.flights[at];
                flight.add_metrics(&metrics);
                for (index, pass) in indices.into_iter().zip(passes) {
                    flight.first_pass[index as usize] = Some(pass);
                }
                let ready = flight.items().iter().all(|index| flight.first_pass[*index as usize].is_some());
                if ready {
                    self.begin_walk(at);
                }
            }
            Done::Walked { number, generation, indices, walked: Ok(Some(walked)) } => {
                self.skip_first_pass = walked.rerun * 2 > indices.len();
                let Some(flight) = self.flight_with(number, generation) else { return };
                flight.add_metrics(&walked.metrics);
                walked.retried.iter().for_each(|again| flight.tries_again(again.index, again.attempt));
                let batch = Arc::clone(&flight.batch);
                let results = walked.decisions.into_iter().map(ItemResult::Decided).collect();
                flight.settle(&indices, results, 1, 1);
                for Retried { index, attempt, delay, code } in walked.retried {
                    self.tell_retry(number, &batch, index, attempt, delay, code);
                }
            }
            // Stopped half way: the batch is abandoned, its items are read again by the next run.
            Done::Walked { number, walked: Ok(None), .. } => {
                self.parts.teller.emit(Event::BatchAbandoned { batch: number.0, reason: "the run was stopped".into() });
                self.flights.clear();
                self.begin_stop();
            }
            Done::Walked { walked: Err(error), .. } => self.outcome = Some(Ended::Failed(error)),
            Done::Failed { error } => self.outcome = Some(Ended::Failed(error)),
            Done::Panicked { text } => {
                self.outcome = Some(Ended::Failed(Error::new(Code::Internal, format!("a lane panicked: {text}"))));
            }
        }
    }

    /// Notes with its batch which lane did what when.
    fn note_span(&mut self, done: &Done, span: &Span) {
        let (number, generation, attempt, items, metrics) = match done {
            Done::Computed { number, generation, indices, attempt, metrics, .. } => {
                (*number, *generation, *attempt, indices.len(), metrics)
            }
            Done::Judged { number, generation, judged, metrics, .. } => {
                (*number, *generation, 1, judged.len(), metrics)
            }
            Done::FirstPass { number, generation, indices, metrics, .. } => {
                (*number, *generation, 1, indices.len(), metrics)
            }
            Done::Walked { number, generation, indices, walked: Ok(Some(walked)) } => {
                (*number, *generation, 1, indices.len(), &walked.metrics)
            }
            Done::Walked { .. } | Done::Failed { .. } | Done::Panicked { .. } => return,
        };
        if let Some(flight) = self.flight_with(number, generation) {
            flight.add_span(span, attempt, items, metrics);
        }
    }

    pub(super) fn retry_later(&mut self, number: BatchNumber, again: Vec<RetryItem>, attempt: u32) {
        if again.is_empty() {
            return;
        }
        let Some(flight) = self.flight(number) else { return };
        let (batch, generation) = (Arc::clone(&flight.batch), flight.chain.generation);
        // One wait for all items of the chunk that failed together: the longest of theirs.
        let mut delay = Duration::ZERO;
        for item in &again {
            let ordinal = batch.ordinal(item.index as usize);
            let random = self.random(ordinal, attempt);
            delay = delay.max(retry::delay(attempt, random, item.delay_ms));
        }
        for item in &again {
            self.tell_retry(number, &batch, item.index, attempt + 1, delay, item.problem.code.clone());
        }
        self.waiting.push(Reverse(Waiting {
            due: Instant::now() + delay,
            number,
            generation,
            attempt: attempt + 1,
            indices: again.into_iter().map(|item| item.index).collect(),
        }));
    }

    fn tell_retry(
        &mut self,
        number: BatchNumber,
        batch: &Batch,
        index: u32,
        attempt: u32,
        delay: Duration,
        code: String,
    ) {
        let id = batch.item(index as usize).map_or("", |item| item.id);
        self.parts.teller.emit(Event::ItemRetried {
            batch: number.0,
            ordinal: batch.ordinal(index as usize).0,
            id: id.to_owned(),
            attempt,
            delay_ms: delay.as_millis() as u64,
            code,
        });
    }

    /// Jitter that a repeated run repeats.
    pub(super) fn random(&self, ordinal: Ordinal, attempt: u32) -> u64 {
        (self.parts.shared.seed ^ ordinal.0.rotate_left(17) ^ u64::from(attempt))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(31)
            .wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }
}
