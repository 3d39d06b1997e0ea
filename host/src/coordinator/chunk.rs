//! Computing one chunk on a lane: validators, then the operation on what they accepted; poison items are found by halving.
//!
//! Pure towards the run: plugins in, decisions out. Knows no store, no strategy, no other chunk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::judge;
use super::shared::RunShared;
use crate::error::Code;
use crate::limits;
use crate::model::{Batch, Decision, Fate, Item, Name, Outcome, Phase, Problem, Refusal, Verdict};
use crate::plugin::{Call, CallRuntime, Fault, LogBudget, Lookup, Slot};

/// Where one item stands after a chunk was computed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ItemResult {
    /// All validators asked so far accept it.
    Accepted,
    /// Its decision.
    Decided(Decision),
    /// Transient: try again, after this many milliseconds at least.
    Retry { problem: Problem, delay_ms: Option<u32>, slot: Option<Name> },
}

/// What one validator says of one item: its verdict, or the fault that left it without one.
pub(super) type Judged = Result<Verdict, Fault>;

/// Time and calls that computing took.
#[derive(Debug, Clone, Default)]
pub(super) struct ChunkMetrics {
    pub validate_ns: u64,
    pub operate_ns: u64,
    pub calls: u64,
    /// Mean time per item of each guest call, and how many items it had.
    pub item_ns: Vec<(u64, u32)>,
    /// By slot: validators in order, then the operation.
    pub slots: Vec<SlotMetrics>,
}

/// Calls of one slot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SlotMetrics {
    pub calls: u64,
    pub items: u64,
    pub faults: u64,
    pub time_ns: u64,
}

impl ChunkMetrics {
    pub fn add(&mut self, other: &ChunkMetrics) {
        self.validate_ns += other.validate_ns;
        self.operate_ns += other.operate_ns;
        self.calls += other.calls;
        self.item_ns.extend_from_slice(&other.item_ns);
        for (number, theirs) in other.slots.iter().enumerate() {
            let ours = self.slot(number);
            ours.calls += theirs.calls;
            ours.items += theirs.items;
            ours.faults += theirs.faults;
            ours.time_ns += theirs.time_ns;
        }
    }

    fn slot(&mut self, number: usize) -> &mut SlotMetrics {
        if self.slots.len() <= number {
            self.slots.resize(number + 1, SlotMetrics::default());
        }
        &mut self.slots[number]
    }
}

/// A chunk: some items of a batch, by index, in input order.
#[derive(Clone)]
pub(super) struct Chunk {
    pub run: Arc<RunShared>,
    pub number: u64,
    pub batch: Arc<Batch>,
    pub indices: Vec<u32>,
    pub attempt: u32,
    /// Log budgets of the batch, one per slot: validators in order, then the operation.
    pub logs: Arc<[Arc<LogBudget>]>,
}

/// A chunk at work on a lane.
pub(super) struct ChunkWork<'a> {
    pub chunk: &'a Chunk,
    pub runtime: &'a CallRuntime,
    pub lookup: Option<Box<dyn Lookup>>,
    pub metrics: ChunkMetrics,
}

impl<'a> ChunkWork<'a> {
    pub fn new(chunk: &'a Chunk, runtime: &'a CallRuntime, lookup: Option<Box<dyn Lookup>>) -> Self {
        Self { chunk, runtime, lookup, metrics: ChunkMetrics::default() }
    }

    /// All validators one after another, then the operation. One result per item, same order.
    pub fn compute(&mut self) -> Vec<ItemResult> {
        let count = self.chunk.run.validators.len();
        let judged: Vec<Vec<Judged>> = (0..count).map(|number| self.validate(number)).collect();
        let merged = merge(&self.chunk.run.validators, judged, self.chunk.indices.len(), self.chunk.attempt);
        self.operate(merged)
    }

    /// One validator over the whole chunk.
    pub fn validate(&mut self, number: usize) -> Vec<Judged> {
        let begin = Instant::now();
        let slot = Arc::clone(&self.chunk.run.validators[number]);
        let call = self.call(number);
        let all: Vec<usize> = (0..self.chunk.indices.len()).collect();
        let judged = self.halve(number, &all, call, |work, call, items, fresh| {
            let (result, lookup) = slot.validate(work.runtime, call, items, work.lookup.take(), fresh);
            work.lookup = lookup;
            result
        });
        self.metrics.validate_ns += begin.elapsed().as_nanos() as u64;
        judged
    }

    /// The operation over the accepted items of the chunk; the other results pass through.
    pub fn operate(&mut self, mut results: Vec<ItemResult>) -> Vec<ItemResult> {
        let accepted: Vec<usize> = (0..results.len()).filter(|place| results[*place] == ItemResult::Accepted).collect();
        let Some(slot) = self.chunk.run.operation.clone() else {
            for place in accepted {
                results[place] = ItemResult::Decided(Decision::Keep);
            }
            return results;
        };
        let begin = Instant::now();
        let number = self.chunk.run.validators.len();
        let call = self.call(number);
        let outcomes = self.halve(number, &accepted, call, |work, call, items, fresh| {
            let (result, lookup) = slot.apply(work.runtime, call, items, work.lookup.take(), fresh);
            work.lookup = lookup;
            result
        });
        for (place, outcome) in accepted.into_iter().zip(outcomes) {
            results[place] = self.settle(&slot, place, outcome);
        }
        self.metrics.operate_ns += begin.elapsed().as_nanos() as u64;
        results
    }

    fn settle(&self, slot: &Slot, place: usize, outcome: Result<Result<Outcome, String>, Fault>) -> ItemResult {
        let refuse =
            |fate, problem| refusal(fate, Phase::Operate, vec![problem], self.chunk.attempt, Some(slot.name()));
        match outcome {
            Err(fault) => refuse(Fate::DeadLettered, fault_problem(&fault)),
            Ok(Err(why)) => refuse(Fate::DeadLettered, Problem::of_host(Code::GuestContract, why)),
            Ok(Ok(Outcome::Reject(problem))) => refuse(Fate::Rejected, judge::foreign(problem)),
            Ok(Ok(Outcome::Retry(problem, delay_ms))) => {
                ItemResult::Retry { problem: judge::foreign(problem), delay_ms, slot: Some(slot.name().clone()) }
            }
            Ok(Ok(outcome)) => match judge::decide(outcome, self.item(place), &self.chunk.run.body_decoder) {
                Ok(decision) => ItemResult::Decided(decision),
                Err(problem) => refuse(Fate::DeadLettered, problem),
            },
        }
    }

    fn item(&self, place: usize) -> Item<'a> {
        let index = self.chunk.indices[place] as usize;
        self.chunk.batch.item(index).expect("BUG: a broken record was put into a chunk")
    }

    fn call(&self, slot_number: usize) -> Call {
        let run = &self.chunk.run;
        Call {
            run: Arc::clone(&run.uuid),
            batch: self.chunk.number,
            attempt: self.chunk.attempt,
            deadline: run.deadline,
            now_ms: run.now_ms,
            seed: run.seed,
            log: Arc::clone(&self.chunk.logs[slot_number]),
        }
    }

    /// Calls for all places at once; after a fault for each half, until the poison items stand alone.
    ///
    /// A part gets a share of the deadline by its length, a lone item the whole. k poison items among n cost at most
    /// k·(2·log2 n + 2) further calls. One result per place, same order.
    fn halve<T>(
        &mut self,
        slot: usize,
        places: &[usize],
        call: Call,
        mut ask: impl FnMut(&mut Self, &Call, &[Item<'_>], bool) -> Result<Vec<T>, Fault>,
    ) -> Vec<Result<T, Fault>> {
        let whole = places.len();
        let mut results = Vec::with_capacity(whole);
        // Parts still to do, the first on top, so that results come in order.
        let mut parts = vec![(places, false)];
        while let Some((part, halved)) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let items: Vec<Item<'_>> = part.iter().map(|place| self.item(*place)).collect();
            let call = Call { deadline: share(call.deadline, part.len(), whole), ..call.clone() };
            match self.timed(slot, &call, &items, halved && part.len() == 1, &mut ask) {
                Ok(list) => results.extend(list.into_iter().map(Ok)),
                Err(_) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push((second, true));
                    parts.push((first, true));
                }
                // State left in a warm sandbox may be to blame: a lone item gets one more chance in a fresh one.
                Err(fault) if !halved && fault.code != Code::GuestDeadline => {
                    results.extend(
                        self.timed(slot, &call, &items, true, &mut ask)
                            .map_or_else(|fault| vec![Err(fault)], |list| list.into_iter().map(Ok).collect()),
                    );
                }
                Err(fault) => results.push(Err(fault)),
            }
        }
        results
    }

    fn timed<T>(
        &mut self,
        slot: usize,
        call: &Call,
        items: &[Item<'_>],
        fresh: bool,
        ask: &mut impl FnMut(&mut Self, &Call, &[Item<'_>], bool) -> Result<Vec<T>, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let begin = Instant::now();
        let result = ask(self, call, items, fresh);
        let time_ns = begin.elapsed().as_nanos() as u64;
        let per_item = time_ns / items.len().max(1) as u64;
        self.metrics.calls += 1;
        let metrics = self.metrics.slot(slot);
        metrics.calls += 1;
        metrics.items += items.len() as u64;
        metrics.faults += u64::from(result.is_err());
        metrics.time_ns += time_ns;
        self.metrics.item_ns.push((per_item, items.len() as u32));
        result
    }
}

fn share(deadline: Duration, part: usize, whole: usize) -> Duration {
    if part == 1 || part == whole {
        return deadline;
    }
    deadline.mul_f64(part as f64 / whole as f64).max(limits::DEADLINE_SHARE_MIN.min(deadline))
}

/// Verdicts of all validators into one result per item. An item that one validator refuses is rejected with the problems of
/// all; an item without a verdict is never accepted.
pub(super) fn merge(slots: &[Arc<Slot>], judged: Vec<Vec<Judged>>, items: usize, attempt: u32) -> Vec<ItemResult> {
    let mut results = vec![ItemResult::Accepted; items];
    for (slot, list) in slots.iter().zip(judged) {
        for (result, verdict) in results.iter_mut().zip(list) {
            let (fate, problems) = match verdict {
                Ok(Verdict::Accept) => continue,
                Ok(Verdict::Reject(problems)) if problems.is_empty() => {
                    let why = format!("validator {} refused it without a reason", slot.name());
                    (Fate::Rejected, vec![Problem::of_host(Code::ValidationRefused, why)])
                }
                Ok(Verdict::Reject(problems)) => (Fate::Rejected, problems.into_iter().map(judge::foreign).collect()),
                Err(fault) => (Fate::DeadLettered, vec![no_verdict(slot, &fault)]),
            };
            add_refusal(result, fate, problems, attempt, slot.name());
        }
    }
    results
}

fn add_refusal(result: &mut ItemResult, fate: Fate, problems: Vec<Problem>, attempt: u32, slot: &Name) {
    match result {
        ItemResult::Decided(Decision::Refuse(refusal)) => {
            // A verdict outweighs the lack of one: then the item is rejected, and its first problem is the rule's.
            if fate == Fate::Rejected && refusal.fate == Fate::DeadLettered {
                refusal.fate = fate;
                refusal.slot = Some(slot.clone());
                refusal.problems.splice(0..0, problems);
            } else {
                refusal.problems.extend(problems);
            }
            refusal.problems.truncate(limits::PROBLEMS_PER_ITEM_MAX);
        }
        _ => *result = refusal(fate, Phase::Validate, problems, attempt, Some(slot)),
    }
}

fn no_verdict(slot: &Slot, fault: &Fault) -> Problem {
    let message = format!("validator {} gave no verdict: {fault}", slot.name());
    let mut problem = Problem::of_host(Code::NoVerdict, message);
    problem.details = vec![("fault".to_owned(), fault.code.as_str().to_owned())];
    problem
}

fn fault_problem(fault: &Fault) -> Problem {
    Problem::of_host(fault.code, fault.to_string())
}

/// A refusal as a result.
pub(super) fn refusal(
    fate: Fate,
    phase: Phase,
    problems: Vec<Problem>,
    attempts: u32,
    slot: Option<&Name>,
) -> ItemResult {
    ItemResult::Decided(Decision::Refuse(Box::new(Refusal { fate, phase, problems, attempts, slot: slot.cloned() })))
}
