//! Computing one chunk on a lane: validators, then the operations on what they accepted; poison items are found by halving.
//!
//! Pure towards the run: plugins in, decisions out. Knows no store, no strategy, no other chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::shared::RunShared;
use super::swap::shadow::Shadow;
use super::{judge, pipeline};
use crate::error::{Code, Error};
use crate::limits;
use crate::model::{Batch, Decision, Fate, Item, Name, Outcome, Phase, Problem, Refusal, Verdict};
use crate::plugin::{Call, CallRuntime, Fault, LogBudget, Lookup, Slot, host_time_taken};
use crate::source::Decoder;

/// Where one item stands after a chunk was computed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ItemResult {
    /// All validators asked so far accept it. After the operations: none of them has answered, since those of the chunk have come
    /// to the bound on their bytes.
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
    /// By slot: validators in order, then the operations.
    pub slots: Vec<SlotMetrics>,
}

/// Calls of one slot.
#[derive(Debug, Clone, Default)]
pub(super) struct SlotMetrics {
    pub calls: u64,
    pub items: u64,
    pub faults: u64,
    /// Items or pieces that an operation dropped.
    pub drops: u64,
    pub time_ns: u64,
    /// CPU time of the lane within the calls.
    pub cpu_ns: u64,
    /// Part of the time that they spent in the host.
    pub host_ns: u64,
    /// Faults by their code; mostly none.
    pub codes: Vec<(Code, u64)>,
}

impl SlotMetrics {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.items += other.items;
        self.faults += other.faults;
        self.drops += other.drops;
        self.time_ns += other.time_ns;
        self.cpu_ns += other.cpu_ns;
        self.host_ns += other.host_ns;
        other.codes.iter().for_each(|(code, faults)| self.faulted(*code, *faults));
    }

    fn faulted(&mut self, code: Code, faults: u64) {
        match self.codes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, sum)) => *sum += faults,
            None => self.codes.push((code, faults)),
        }
    }
}

impl ChunkMetrics {
    pub fn add(&mut self, other: &ChunkMetrics) {
        self.validate_ns += other.validate_ns;
        self.operate_ns += other.operate_ns;
        self.calls += other.calls;
        self.item_ns.extend_from_slice(&other.item_ns);
        for (number, theirs) in other.slots.iter().enumerate() {
            self.slot(number).add(theirs);
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
    /// That of its batch.
    pub chain: Arc<Chain>,
    pub number: u64,
    pub batch: Arc<Batch>,
    pub indices: Vec<u32>,
    pub attempt: u32,
    /// Candidates that run beside the plugins in force; mostly none.
    pub shadows: Arc<[Arc<Shadow>]>,
    /// Log budgets of the batch, one per slot: validators in order, then the operations.
    pub logs: Arc<[Arc<LogBudget>]>,
    /// Set when the run has ended: what is still computed goes nowhere, and is left.
    pub over: Arc<AtomicBool>,
}

/// A chunk at work on a lane.
pub(super) struct ChunkWork<'a> {
    pub chunk: &'a Chunk,
    pub runtime: &'a CallRuntime,
    pub lookup: Option<Box<dyn Lookup>>,
    pub metrics: ChunkMetrics,
    /// What the plugin that is asked has answered so far.
    pub answer_bytes: usize,
    /// Set where a slot had no room for a sandbox. Then the results are none: the run ends.
    pub no_room: Option<Error>,
}

impl<'a> ChunkWork<'a> {
    pub fn new(chunk: &'a Chunk, runtime: &'a CallRuntime, lookup: Option<Box<dyn Lookup>>) -> Self {
        Self { chunk, runtime, lookup, metrics: ChunkMetrics::default(), answer_bytes: 0, no_room: None }
    }

    /// All validators one after another, then the operations. One result per item, same order; none of the last items where
    /// there was no room for verdicts.
    pub fn compute(&mut self) -> Vec<ItemResult> {
        let count = self.chunk.chain.validators.len();
        let judged: Vec<Vec<Judged>> = (0..count).map(|number| self.validate(number)).collect();
        let merged = merge(&self.chunk.chain.validators, judged, self.chunk.indices.len(), self.chunk.attempt);
        self.operate(merged)
    }

    /// One validator over the whole chunk, as far as its verdicts find room.
    pub fn validate(&mut self, number: usize) -> Vec<Judged> {
        let begin = Instant::now();
        let chunk = self.chunk;
        let slot = &chunk.chain.validators[number];
        let items: Vec<Item<'_>> = (0..chunk.indices.len()).map(|place| self.item(place)).collect();
        self.answer_bytes = 0;
        let judged = self.halve(number, &items, Verdict::held_bytes, |work, call, items, fresh| {
            let (result, lookup) = slot.validate(work.runtime, call, items, work.lookup.take(), fresh);
            work.lookup = lookup;
            result
        });
        self.metrics.validate_ns += begin.elapsed().as_nanos() as u64;
        let items = &items[..judged.len()];
        self.beside(number, items, || merge(std::slice::from_ref(slot), vec![judged.clone()], items.len(), 1));
        judged
    }

    /// The operations over the accepted items of the chunk; the other results pass through.
    pub fn operate(&mut self, mut results: Vec<ItemResult>) -> Vec<ItemResult> {
        let accepted: Vec<usize> = (0..results.len()).filter(|place| results[*place] == ItemResult::Accepted).collect();
        let begin = Instant::now();
        let chunk = self.chunk;
        match chunk.chain.operations.as_slice() {
            [] => {
                for place in accepted {
                    results[place] = ItemResult::Decided(Decision::Keep);
                }
                return results;
            }
            [slot] => {
                let items: Vec<Item<'_>> = accepted.iter().map(|place| self.item(*place)).collect();
                self.answer_bytes = 0;
                let outcomes = self.apply(0, &items);
                let asked = outcomes.len();
                for ((place, item), outcome) in accepted.iter().zip(&items).zip(outcomes) {
                    results[*place] = self.settle(slot, *item, outcome);
                }
                let old = || accepted[..asked].iter().map(|place| results[*place].clone()).collect();
                self.beside(chunk.chain.validators.len(), &items[..asked], old);
            }
            _ => {
                let items: Vec<Item<'_>> = accepted.iter().map(|place| self.item(*place)).collect();
                for (place, result) in accepted.into_iter().zip(pipeline::operate(self, &items)) {
                    results[place] = result;
                }
            }
        }
        for result in &mut results {
            if let ItemResult::Decided(Decision::Emit(changes)) = result {
                judge::last_puts(changes, &chunk.run.target);
            }
        }
        self.metrics.operate_ns += begin.elapsed().as_nanos() as u64;
        results
    }

    /// One operation over these items, as far as its answers find room.
    pub fn apply(&mut self, stage: usize, items: &[Item<'_>]) -> Vec<Result<Result<Outcome, String>, Fault>> {
        let slot = &self.chunk.chain.operations[stage];
        let number = self.chunk.chain.validators.len() + stage;
        let bytes = |outcome: &Result<Outcome, String>| outcome.as_ref().map_or(0, Outcome::held_bytes);
        let outcomes = self.halve(number, items, bytes, |work, call, items, fresh| {
            let (result, lookup) = slot.apply(work.runtime, call, items, work.lookup.take(), fresh);
            work.lookup = lookup;
            result
        });
        let drops = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Ok(Outcome::Drop)))).count();
        self.metrics.slot(number).drops += drops as u64;
        outcomes
    }

    /// What an operation's answer means for the item that it was given.
    pub fn settle(&self, slot: &Slot, item: Item<'_>, outcome: Result<Result<Outcome, String>, Fault>) -> ItemResult {
        settle(slot, item, outcome, self.chunk.attempt, &self.chunk.run.body_decoder)
    }

    /// Gives candidates for this slot what the plugin in force has answered.
    pub fn beside(&mut self, number: usize, items: &[Item<'_>], old: impl FnOnce() -> Vec<ItemResult>) {
        let chunk = self.chunk;
        if chunk.shadows.iter().all(|shadow| shadow.place != number) {
            return;
        }
        let old = old();
        for shadow in chunk.shadows.iter().filter(|shadow| shadow.place == number) {
            let call = Call { log: Arc::default(), ..self.call(number) };
            self.lookup = shadow.look(&chunk.run, self.runtime, &call, items, &old, self.lookup.take());
        }
    }

    /// The item at this place of the chunk.
    pub fn item(&self, place: usize) -> Item<'a> {
        let index = self.chunk.indices[place] as usize;
        self.chunk.batch.item(index).expect("BUG: a broken record was put into a chunk")
    }

    fn call(&self, slot_number: usize) -> Call {
        let run = &self.chunk.run;
        let slot = self.chunk.chain.slots().nth(slot_number).expect("BUG: a call of no slot");
        Call {
            run: Arc::clone(&run.uuid),
            batch: self.chunk.number,
            attempt: self.chunk.attempt,
            deadline: slot.deadline().unwrap_or(run.deadline),
            now_ms: run.now_ms,
            seed: run.seed,
            log: Arc::clone(&self.chunk.logs[slot_number]),
        }
    }

    /// Calls for all items at once; after a fault for each half, until the poison items stand alone.
    ///
    /// A part gets a share of the deadline by its length, a lone item the whole. k poison items among n cost at most
    /// k·(2·log2 n + 2) further calls. One result per item, same order; none of the last items where the answers to those before
    /// have come to their bound.
    fn halve<T>(
        &mut self,
        slot: usize,
        items: &[Item<'_>],
        bytes: impl Fn(&T) -> usize,
        mut ask: impl FnMut(&mut Self, &Call, &[Item<'_>], bool) -> Result<Vec<T>, Fault>,
    ) -> Vec<Result<T, Fault>> {
        let call = self.call(slot);
        let whole = items.len();
        let mut results = Vec::with_capacity(whole);
        // Parts still to do, the first on top, so that results come in order.
        let mut parts = vec![(items, false)];
        while let Some((part, halved)) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            if self.no_room.is_some() || self.chunk.over.load(Ordering::Relaxed) {
                let left = || Err(Fault::new(Code::GuestDeadline, "the run has ended"));
                results.resize_with(whole, left);
                break;
            }
            if self.answer_bytes > limits::ANSWER_BYTES_MAX {
                break;
            }
            let call = Call { deadline: share(call.deadline, part.len(), whole), ..call.clone() };
            match self.timed(slot, &call, part, halved && part.len() == 1, &mut ask) {
                Ok(list) => {
                    self.answer_bytes += list.iter().map(&bytes).sum::<usize>();
                    results.extend(list.into_iter().map(Ok));
                }
                // No item is to blame, and a part of them would need as much room.
                Err(fault) if fault.no_room => {
                    let full = self.chunk.chain.slots().nth(slot).expect("BUG: a call of no slot");
                    self.no_room = Some(full.no_room(fault));
                    parts.push((part, halved));
                }
                Err(_) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push((second, true));
                    parts.push((first, true));
                }
                // State left in a warm sandbox may be to blame: a lone item gets one more chance in a fresh one.
                Err(fault) if !halved && fault.code != Code::GuestDeadline => parts.push((part, true)),
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
        let meter = self.chunk.chain.slots().nth(slot).map(|slot| slot.cpu_meter());
        let (begin, watch) = (Instant::now(), meter.map(|meter| meter.start(items.len())));
        host_time_taken();
        let result = ask(self, call, items, fresh);
        let host_ns = host_time_taken().as_nanos() as u64;
        let time_ns = begin.elapsed().as_nanos() as u64;
        let cpu_ns = meter.zip(watch).map_or(0, |(meter, watch)| meter.stop(watch, time_ns));
        let per_item = time_ns / items.len().max(1) as u64;
        self.metrics.calls += 1;
        let metrics = self.metrics.slot(slot);
        metrics.calls += 1;
        metrics.items += items.len() as u64;
        metrics.time_ns += time_ns;
        metrics.cpu_ns += cpu_ns;
        metrics.host_ns += host_ns;
        if let Err(fault) = &result {
            metrics.faults += 1;
            metrics.faulted(fault.code, 1);
        }
        self.metrics.item_ns.push((per_item, items.len() as u32));
        result
    }
}

/// What an operation's answer means for the item that it was given.
pub(super) fn settle(
    slot: &Slot,
    item: Item<'_>,
    outcome: Result<Result<Outcome, String>, Fault>,
    attempt: u32,
    decoder: &Decoder,
) -> ItemResult {
    let refuse = |fate, problem| refusal(fate, Phase::Operate, vec![problem], attempt, Some(slot.name()));
    match outcome {
        Err(fault) => refuse(Fate::DeadLettered, fault_problem(&fault)),
        Ok(Err(why)) => refuse(Fate::DeadLettered, Problem::of_host(Code::GuestContract, why)),
        Ok(Ok(Outcome::Reject(problem))) => refuse(Fate::Rejected, judge::foreign(problem)),
        Ok(Ok(Outcome::Retry(problem, delay_ms))) => {
            ItemResult::Retry { problem: judge::foreign(problem), delay_ms, slot: Some(slot.name().clone()) }
        }
        Ok(Ok(outcome)) => match judge::decide(outcome, item, decoder) {
            Ok(decision) => ItemResult::Decided(decision),
            Err(problem) => refuse(Fate::DeadLettered, problem),
        },
    }
}

fn share(deadline: Duration, part: usize, whole: usize) -> Duration {
    if part == 1 || part == whole {
        return deadline;
    }
    deadline.mul_f64(part as f64 / whole as f64).max(limits::DEADLINE_SHARE_MIN.min(deadline))
}

/// Verdicts of all validators into one result per item, up to the first one that some of them was not asked about. An item that
/// one validator refuses is rejected with the problems of all; an item without a verdict is never accepted.
pub(super) fn merge(slots: &[Arc<Slot>], judged: Vec<Vec<Judged>>, items: usize, attempt: u32) -> Vec<ItemResult> {
    let items = judged.iter().map(Vec::len).fold(items, usize::min);
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

#[cfg(test)]
mod tests;
