//! What lanes are given to do, and what they answer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::Sender;

use super::chunk::{Chunk, ChunkMetrics, ChunkWork, ItemResult, Judged};
use super::lanes::{LaneJob, Lanes};
use super::walk::{self, FirstPass, Walked};
use crate::error::Result;
use crate::model::BatchNumber;
use crate::plugin::CallRuntime;

/// One lane's next job.
pub(super) enum LaneWork {
    /// Validators (at most one) and the operation.
    Compute(Chunk),
    /// One of several validators.
    Validate(Chunk, usize),
    /// The operation, on what the validators accepted.
    Operate(Chunk, Vec<ItemResult>),
    /// Serial reads: every item by itself against the committed state.
    FirstPass(Chunk),
    /// Serial reads: all items of a batch in input order, with so many attempts each.
    Walk(Chunk, Vec<Option<FirstPass>>, u32),
}

/// What a lane answers.
pub(super) enum Done {
    Computed { number: BatchNumber, indices: Vec<u32>, attempt: u32, results: Vec<ItemResult>, metrics: ChunkMetrics },
    Judged { number: BatchNumber, first: u32, validator: usize, judged: Vec<Judged>, metrics: ChunkMetrics },
    FirstPass { number: BatchNumber, indices: Vec<u32>, passes: Vec<FirstPass>, metrics: ChunkMetrics },
    Walked { number: BatchNumber, indices: Vec<u32>, walked: Result<Option<Walked>> },
    Panicked { text: String },
}

/// Hands work to the lanes; the answer comes by `answers`.
pub(super) fn submit(lanes: &Lanes, work: LaneWork, answers: &Sender<Done>, stop: Arc<AtomicBool>) {
    let (answer, panicked) = (answers.clone(), answers.clone());
    lanes.submit(LaneJob {
        work: Box::new(move |runtime| {
            let done = compute(work, runtime, &stop);
            // A run that has ended no longer listens.
            let _ = answer.send(done);
        }),
        on_panic: Box::new(move |text| {
            let _ = panicked.send(Done::Panicked { text });
        }),
    });
}

fn compute(work: LaneWork, runtime: &CallRuntime, stop: &AtomicBool) -> Done {
    match work {
        LaneWork::Compute(chunk) => {
            let mut work = ChunkWork::new(&chunk, runtime, None);
            let results = work.compute();
            computed(&chunk, results, work.metrics)
        }
        LaneWork::Operate(chunk, merged) => {
            let mut work = ChunkWork::new(&chunk, runtime, None);
            let results = work.operate(merged);
            computed(&chunk, results, work.metrics)
        }
        LaneWork::Validate(chunk, validator) => {
            let mut work = ChunkWork::new(&chunk, runtime, None);
            let judged = work.validate(validator);
            let metrics = work.metrics;
            Done::Judged { number: BatchNumber(chunk.number), first: chunk.indices[0], validator, judged, metrics }
        }
        LaneWork::FirstPass(chunk) => {
            let view = chunk.run.view.clone().expect("BUG: a first pass without a view of the store");
            let (passes, metrics) = walk::first_pass(&chunk, &view, runtime);
            Done::FirstPass { number: BatchNumber(chunk.number), indices: chunk.indices, passes, metrics }
        }
        LaneWork::Walk(chunk, passes, attempts) => {
            let view = chunk.run.view.clone().expect("BUG: a walk without a view of the store");
            let walked = walk::walk(&chunk, passes, attempts, &view, runtime, stop);
            Done::Walked { number: BatchNumber(chunk.number), indices: chunk.indices, walked }
        }
    }
}

fn computed(chunk: &Chunk, results: Vec<ItemResult>, metrics: ChunkMetrics) -> Done {
    Done::Computed {
        number: BatchNumber(chunk.number),
        indices: chunk.indices.clone(),
        attempt: chunk.attempt,
        results,
        metrics,
    }
}
