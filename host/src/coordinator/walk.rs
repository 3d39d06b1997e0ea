//! Settling a batch whose plugins read the store: the first pass, and the walk in input order. See `serial`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::chunk::{Chunk, ChunkMetrics, ChunkWork, ItemResult};
use super::flight::used_up;
use super::overlay::Overlay;
use super::retry;
use super::serial::{Lookups, StoreView, ViewLookup, guard};
use crate::error::Result;
use crate::model::Decision;
use crate::plugin::CallRuntime;

/// What the first pass found for one item.
pub(super) struct FirstPass {
    pub result: ItemResult,
    pub lookups: Lookups,
}

/// Every item of the chunk by itself, against the committed state.
///
/// Errors: there is no room for a sandbox.
pub(super) fn first_pass(
    chunk: &Chunk,
    view: &StoreView,
    runtime: &CallRuntime,
) -> Result<(Vec<FirstPass>, ChunkMetrics)> {
    let mut metrics = ChunkMetrics::default();
    let passes = chunk
        .indices
        .iter()
        .map(|index| {
            let (result, lookups, took) = one(chunk, *index, 1, view, None, runtime)?;
            metrics.add(&took);
            Ok(FirstPass { result, lookups })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((passes, metrics))
}

fn one(
    chunk: &Chunk,
    index: u32,
    attempt: u32,
    view: &StoreView,
    overlay: Option<&Arc<Mutex<Overlay>>>,
    runtime: &CallRuntime,
) -> Result<(ItemResult, Lookups, ChunkMetrics)> {
    let lookups = Arc::new(Mutex::new(Lookups::default()));
    let lookup = ViewLookup { view: view.clone(), overlay: overlay.cloned(), lookups: Arc::clone(&lookups) };
    let single = Chunk { indices: vec![index], attempt, ..chunk.clone() };
    let mut work = ChunkWork::new(&single, runtime, Some(Box::new(lookup)));
    let result = work.compute().pop().expect("BUG: a chunk of one item gave no result");
    let ChunkWork { metrics, no_room, .. } = work;
    if let Some(error) = no_room {
        return Err(error);
    }
    let lookups = std::mem::take(&mut *guard(&lookups));
    Ok((result, lookups, metrics))
}

/// What a walk did.
pub(super) struct Walked {
    /// One per item of the chunk, same order; complete unless the walk was told to stop.
    pub decisions: Vec<Decision>,
    pub metrics: ChunkMetrics,
    /// Attempts beyond an item's first, in order.
    pub retried: Vec<Retried>,
    /// Items whose first pass did not count.
    pub rerun: usize,
}

/// One more attempt of an item.
pub(super) struct Retried {
    pub index: u32,
    /// Its number; the first attempt is 1.
    pub attempt: u32,
    pub delay: Duration,
    pub code: String,
}

/// Settles all items of the batch in input order, each with so many attempts at the most. `passes` has one entry per item; none where there was no first pass.
///
/// Gives none if `stop` was set before the end. Errors: the store cannot be read, or there is no room for a sandbox.
pub(super) fn walk(
    chunk: &Chunk,
    passes: Vec<Option<FirstPass>>,
    attempts: u32,
    view: &StoreView,
    runtime: &CallRuntime,
    stop: &AtomicBool,
) -> Result<Option<Walked>> {
    let overlay = Arc::new(Mutex::new(Overlay::default()));
    let mut walked = Walked {
        decisions: Vec::with_capacity(passes.len()),
        metrics: ChunkMetrics::default(),
        retried: Vec::new(),
        rerun: 0,
    };
    for (index, pass) in chunk.indices.iter().zip(passes) {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let fresh = pass.filter(|pass| !guard(&overlay).meets(&pass.lookups));
        let mut attempt = 1;
        let mut result = match fresh {
            Some(pass) => pass.result,
            None => {
                walked.rerun += 1;
                again(chunk, *index, attempt, view, &overlay, runtime, &mut walked.metrics)?
            }
        };
        let decision = loop {
            match result {
                ItemResult::Decided(decision) => break decision,
                ItemResult::Accepted => break Decision::Keep,
                ItemResult::Retry { problem, slot, .. } if attempt >= attempts => {
                    break used_up(problem, attempt, slot);
                }
                ItemResult::Retry { problem, delay_ms, .. } => {
                    let random = chunk.run.seed ^ (u64::from(*index) << 20) ^ u64::from(attempt);
                    let delay = retry::delay(attempt, random.wrapping_mul(0x9E37_79B9_7F4A_7C15), delay_ms);
                    if !pause(delay, stop) {
                        return Ok(None);
                    }
                    attempt += 1;
                    walked.retried.push(Retried { index: *index, attempt, delay, code: problem.code });
                    result = again(chunk, *index, attempt, view, &overlay, runtime, &mut walked.metrics)?;
                }
            }
        };
        let item = chunk.batch.item(*index as usize).expect("BUG: a broken record was put into a chunk");
        guard(&overlay).stage(view, item, &decision, stop)?;
        walked.decisions.push(decision);
    }
    Ok(Some(walked))
}

fn again(
    chunk: &Chunk,
    index: u32,
    attempt: u32,
    view: &StoreView,
    overlay: &Arc<Mutex<Overlay>>,
    runtime: &CallRuntime,
    metrics: &mut ChunkMetrics,
) -> Result<ItemResult> {
    let (result, _, took) = one(chunk, index, attempt, view, Some(overlay), runtime)?;
    metrics.add(&took);
    Ok(result)
}

/// Waits, but not longer than until `stop` is set; false if it was.
fn pause(time: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    true
}
