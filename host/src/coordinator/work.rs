//! What lanes are given to do, and what they answer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::chunk::{Chunk, ChunkMetrics, ChunkWork, ItemResult, Judged};
use super::lanes::{LaneJob, Lanes, Span};
use super::walk::{self, FirstPass, Walked};
use crate::error::{Error, Result};
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

impl LaneWork {
    /// The batch that it is for.
    pub fn number(&self) -> BatchNumber {
        match self {
            LaneWork::Compute(chunk)
            | LaneWork::Validate(chunk, _)
            | LaneWork::Operate(chunk, _)
            | LaneWork::FirstPass(chunk)
            | LaneWork::Walk(chunk, ..) => BatchNumber(chunk.number),
        }
    }
}

/// A lane's answer, and when it worked for it.
pub(super) struct Worked {
    pub done: Done,
    /// None where it panicked.
    pub span: Option<Span>,
}

/// What a lane answers. The generation is that of the chain it was computed with: a batch may have begun anew with another.
pub(super) enum Done {
    Computed {
        number: BatchNumber,
        generation: u64,
        indices: Vec<u32>,
        attempt: u32,
        results: Vec<ItemResult>,
        /// Items of the chunk for which there was no room.
        left: Vec<u32>,
        metrics: ChunkMetrics,
    },
    Judged {
        number: BatchNumber,
        generation: u64,
        first: u32,
        validator: usize,
        judged: Vec<Judged>,
        metrics: ChunkMetrics,
    },
    FirstPass {
        number: BatchNumber,
        generation: u64,
        indices: Vec<u32>,
        passes: Vec<FirstPass>,
        metrics: ChunkMetrics,
    },
    Walked {
        number: BatchNumber,
        generation: u64,
        indices: Vec<u32>,
        walked: Result<Option<Walked>>,
    },
    /// There is no answer, and the run cannot go on.
    Failed {
        error: Error,
    },
    Panicked {
        text: String,
    },
}

/// Hands work to the lanes; the answer comes by `answers`.
pub(super) fn submit(lanes: &Lanes, work: LaneWork, answers: &Sender<Worked>, stop: Arc<AtomicBool>) {
    let (answer, panicked) = (answers.clone(), answers.clone());
    lanes.submit(LaneJob {
        work: Box::new(move |runtime, lane| {
            let from = Instant::now();
            let done = compute(work, runtime, &stop);
            // A run that has ended no longer listens.
            let _ = answer.send(Worked { done, span: Some(Span { lane, from, to: Instant::now() }) });
        }),
        on_panic: Box::new(move |text| {
            let _ = panicked.send(Worked { done: Done::Panicked { text }, span: None });
        }),
    });
}

fn compute(work: LaneWork, runtime: &CallRuntime, stop: &AtomicBool) -> Done {
    match work {
        LaneWork::Compute(chunk) => {
            let mut work = ChunkWork::new(&chunk, runtime, None);
            let results = work.compute();
            computed(results, work)
        }
        LaneWork::Operate(chunk, merged) => {
            let mut work = ChunkWork::new(&chunk, runtime, None);
            let results = work.operate(merged);
            computed(results, work)
        }
        LaneWork::Validate(chunk, validator) => {
            let mut work = ChunkWork::new(&chunk, runtime, None);
            let judged = work.validate(validator);
            let ChunkWork { metrics, no_room, .. } = work;
            if let Some(error) = no_room {
                return Done::Failed { error };
            }
            let (number, generation) = (BatchNumber(chunk.number), chunk.chain.generation);
            Done::Judged { number, generation, first: chunk.indices[0], validator, judged, metrics }
        }
        LaneWork::FirstPass(chunk) => {
            let view = chunk.run.view.clone().expect("BUG: a first pass without a view of the store");
            let (passes, metrics) = match walk::first_pass(&chunk, &view, runtime) {
                Ok(passed) => passed,
                Err(error) => return Done::Failed { error },
            };
            let (number, generation) = (BatchNumber(chunk.number), chunk.chain.generation);
            Done::FirstPass { number, generation, indices: chunk.indices, passes, metrics }
        }
        LaneWork::Walk(chunk, passes, attempts) => {
            let view = chunk.run.view.clone().expect("BUG: a walk without a view of the store");
            let walked = walk::walk(&chunk, passes, attempts, &view, runtime, stop);
            let (number, generation) = (BatchNumber(chunk.number), chunk.chain.generation);
            Done::Walked { number, generation, indices: chunk.indices, walked }
        }
    }
}

fn computed(results: Vec<ItemResult>, work: ChunkWork<'_>) -> Done {
    let ChunkWork { chunk, metrics, no_room, .. } = work;
    if let Some(error) = no_room {
        return Done::Failed { error };
    }
    let mut of_items = results.into_iter();
    let (mut indices, mut results, mut left) = (Vec::with_capacity(chunk.indices.len()), Vec::new(), Vec::new());
    for index in &chunk.indices {
        match of_items.next() {
            None | Some(ItemResult::Accepted) => left.push(*index),
            Some(result) => {
                indices.push(*index);
                results.push(result);
            }
        }
    }
    let (number, generation) = (BatchNumber(chunk.number), chunk.chain.generation);
    Done::Computed { number, generation, indices, attempt: chunk.attempt, results, left, metrics }
}
