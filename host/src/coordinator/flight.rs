//! A batch under way: which items are settled, what is still out, and how its history row will look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::Chain;
use super::chunk::{ChunkMetrics, ItemResult, Judged, SlotMetrics};
use super::lanes::Span;
use super::swap::probation::{Later, SlotBatch};
use super::swap::shadow::Shadow;
use crate::limits;
use crate::model::{
    Batch, BatchMetrics, BatchNumber, ChunkSpan, Decision, Digest, Fate, Name, Phase, Plan, Problem, Record,
    RecordKind, Refusal,
};
use crate::plugin::LogBudget;
use crate::source::Cut;

/// See the module.
pub(super) struct Flight {
    pub number: BatchNumber,
    /// In force when it was cut, and for all that is done with it.
    pub chain: Arc<Chain>,
    pub batch: Arc<Batch>,
    /// Of the input, as long as it is under way.
    pub input_held_bytes: usize,
    /// Of what plugins have answered so far.
    answer_bytes: usize,
    pub plan: Plan,
    pub blank_lines: u64,
    pub digest: Digest,
    pub logs: Arc<[Arc<LogBudget>]>,
    /// Candidates that run beside its plugins.
    pub shadows: Arc<[Arc<Shadow>]>,
    decisions: Vec<Option<Decision>>,
    unsettled: usize,
    /// Chunks whose validators run as jobs of their own: verdicts so far.
    merging: HashMap<u32, Merging>,
    pub retries: u64,
    /// The number of the last attempt of each record that had more than one, by index.
    pub attempts: HashMap<usize, u32>,
    metrics: ChunkMetrics,
    read_us: u64,
    /// The reader stood idle before it.
    reader_wait_us: u64,
    chunks: Vec<ChunkSpan>,
    record_bytes: u64,
    input_bytes: u64,
    /// When it was cut, since the beginning of the run.
    cut_us: u64,
    begun: Instant,
    computed: Option<Instant>,
    /// Serial reads: results of the first pass, by record; they are settled by the walk.
    pub first_pass: Vec<Option<super::walk::FirstPass>>,
}

/// Verdicts of one chunk, one list per validator, until all are in.
pub(super) struct Merging {
    pub indices: Vec<u32>,
    pub attempt: u32,
    pub judged: Vec<Option<Vec<Judged>>>,
}

/// An item that is to be tried again.
pub(super) struct RetryItem {
    pub index: u32,
    pub problem: Problem,
    pub delay_ms: Option<u32>,
}

impl Flight {
    /// A batch just cut. Records that are no items are settled at once.
    pub fn new(number: BatchNumber, plan: Plan, cut: Cut, cut_us: u64, chain: Arc<Chain>) -> Self {
        let mut unsettled = 0;
        let decisions: Vec<Option<Decision>> = cut
            .batch
            .records
            .iter()
            .map(|record| match &record.kind {
                RecordKind::Item { .. } => {
                    unsettled += 1;
                    None
                }
                RecordKind::Broken(broken) => Some(Decision::Refuse(Box::new(Refusal {
                    fate: Fate::DeadLettered,
                    phase: Phase::Decode,
                    problems: vec![broken.problem.clone()],
                    attempts: 0,
                    slot: None,
                }))),
            })
            .collect();
        let mut flight = Self {
            number,
            plan,
            blank_lines: cut.blank_lines,
            digest: cut.digest,
            input_held_bytes: cut.batch.held_bytes(),
            answer_bytes: 0,
            shadows: Arc::from([]),
            logs: chain.slots().map(|_| Arc::default()).collect(),
            decisions,
            unsettled,
            merging: HashMap::new(),
            retries: 0,
            attempts: HashMap::new(),
            metrics: ChunkMetrics::default(),
            read_us: cut.read_time.as_micros() as u64,
            reader_wait_us: 0,
            chunks: Vec::new(),
            record_bytes: cut.record_bytes,
            input_bytes: cut.input_bytes,
            cut_us,
            begun: Instant::now(),
            computed: None,
            first_pass: Vec::new(),
            batch: Arc::new(cut.batch),
            chain,
        };
        flight.note_if_computed();
        flight
    }

    /// Forgets all that was computed: another chain begins anew.
    pub fn restart(&mut self, chain: Arc<Chain>) {
        let records = self.batch.records.iter().zip(&mut self.decisions);
        for (_, decision) in records.filter(|(record, _)| matches!(record.kind, RecordKind::Item { .. })) {
            self.unsettled += usize::from(decision.take().is_some());
        }
        self.answer_bytes = 0;
        self.logs = chain.slots().map(|_| Arc::default()).collect();
        self.chain = chain;
        self.shadows = Arc::from([]);
        self.merging.clear();
        self.retries = 0;
        self.attempts.clear();
        self.metrics = ChunkMetrics::default();
        self.chunks.clear();
        self.computed = None;
        self.first_pass.clear();
        self.note_if_computed();
    }

    /// Bytes that it holds: of the input, and of answers.
    pub fn held_bytes(&self) -> usize {
        self.input_held_bytes + self.answer_bytes
    }

    /// What each slot of its chain did, how many items it refused, and how many of those that it let pass others refused.
    pub fn slot_batches(&self) -> Vec<SlotBatch> {
        let names: Vec<&Name> = self.chain.slots().map(|slot| slot.name()).collect();
        let did = |place: usize| self.metrics.slots.get(place).cloned().unwrap_or_default();
        let is_item = |record: &&Record| matches!(record.kind, RecordKind::Item { .. });
        let items = self.batch.records.iter().filter(is_item).count() as u64;
        let of = |did: SlotMetrics| SlotBatch {
            items,
            drops: did.drops,
            time_ns: did.time_ns,
            asked: did.items,
            later: Some(Later::default()),
            ..SlotBatch::default()
        };
        let mut all: Vec<SlotBatch> = (0..names.len()).map(|place| of(did(place))).collect();
        for decision in &self.decisions {
            let Some(Decision::Refuse(refusal)) = decision else { continue };
            let Some(place) = names.iter().position(|name| refusal.slot.as_ref() == Some(*name)) else { continue };
            let rejected = refusal.fate == Fate::Rejected;
            let count = if rejected { &mut all[place].rejects } else { &mut all[place].faults };
            *count += 1;
            // Validators are given the items as they are, whatever stands before them.
            let before = if place < self.chain.validators.len() { 0 } else { place };
            for later in all[..before].iter_mut().filter_map(|slot| slot.later.as_mut()) {
                *(if rejected { &mut later.rejects } else { &mut later.faults }) += 1;
            }
        }
        all
    }

    /// Indices of the records that are items, in input order.
    pub fn items(&self) -> Vec<u32> {
        (0..self.decisions.len() as u32).filter(|index| self.decisions[*index as usize].is_none()).collect()
    }

    /// The items as chunks: at most [`limits::CHUNK_ITEMS_MAX`] items and [`limits::CHUNK_BYTES_MAX`] bytes each, and small
    /// enough that every lane of the plan gets a share, without making calls tiny.
    pub fn chunks(&self) -> Vec<Vec<u32>> {
        const WORTH_A_CALL: usize = 64;
        let items = self.items();
        let share = items.len().div_ceil(self.plan.lanes.max(1));
        let most = share.clamp(WORTH_A_CALL, limits::CHUNK_ITEMS_MAX);
        let mut chunks = Vec::new();
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for index in items {
            let size = match &self.batch.records[index as usize].kind {
                RecordKind::Item { body, .. } => body.len(),
                RecordKind::Broken(_) => 0,
            };
            if !chunk.is_empty() && (chunk.len() >= most || bytes + size > limits::CHUNK_BYTES_MAX) {
                chunks.push(std::mem::take(&mut chunk));
                bytes = 0;
            }
            chunk.push(index);
            bytes += size;
        }
        if !chunk.is_empty() {
            chunks.push(chunk);
        }
        chunks
    }

    /// Notes that a chunk's validators run as `jobs` separate jobs.
    pub fn begin_merge(&mut self, indices: Vec<u32>, attempt: u32, jobs: usize) {
        let first = indices[0];
        self.merging.insert(first, Merging { indices, attempt, judged: (0..jobs).map(|_| None).collect() });
    }

    /// Takes one validator's verdicts; gives the whole when it was the last.
    pub fn merge(&mut self, first: u32, validator: usize, judged: Vec<Judged>) -> Option<Merging> {
        let merging = self.merging.get_mut(&first)?;
        merging.judged[validator] = Some(judged);
        if merging.judged.iter().any(Option::is_none) {
            return None;
        }
        self.merging.remove(&first)
    }

    /// Adds what computing took.
    pub fn add_metrics(&mut self, metrics: &ChunkMetrics) {
        self.metrics.add(metrics);
    }

    /// Notes that the reader stood idle for so long before it was asked for this batch.
    pub fn reader_waited(&mut self, time: Duration) {
        self.reader_wait_us = time.as_micros() as u64;
    }

    /// Notes which lane computed a part of it when.
    pub fn add_span(&mut self, span: &Span, attempt: u32, items: usize, metrics: &ChunkMetrics) {
        if self.chunks.len() == limits::CHUNKS_KEPT_MAX {
            return;
        }
        let since = |time: Instant| self.cut_us + time.saturating_duration_since(self.begun).as_micros() as u64;
        self.chunks.push(ChunkSpan {
            lane: span.lane as u64,
            attempt: u64::from(attempt),
            items: items as u64,
            from_us: since(span.from),
            to_us: since(span.to),
            validate_us: metrics.validate_ns / 1000,
            operate_us: metrics.operate_ns / 1000,
        });
    }

    /// What was noted of its chunks.
    pub fn take_chunks(&mut self) -> Vec<ChunkSpan> {
        std::mem::take(&mut self.chunks)
    }

    /// Settles items; gives back those that want another attempt.
    pub fn settle(&mut self, indices: &[u32], results: Vec<ItemResult>, attempt: u32, attempts: u32) -> Vec<RetryItem> {
        let mut again = Vec::new();
        for (index, result) in indices.iter().zip(results) {
            match result {
                ItemResult::Decided(decision) => self.decide(*index, decision),
                ItemResult::Accepted => self.decide(*index, Decision::Keep),
                ItemResult::Retry { problem, delay_ms, slot } => {
                    if attempt >= attempts {
                        self.decide(*index, used_up(problem, attempt, slot));
                    } else {
                        self.tries_again(*index, attempt + 1);
                        again.push(RetryItem { index: *index, problem, delay_ms });
                    }
                }
            }
        }
        self.note_if_computed();
        again
    }

    /// Notes one more attempt of an item, and which one it is.
    pub fn tries_again(&mut self, index: u32, attempt: u32) {
        self.retries += 1;
        self.attempts.insert(index as usize, attempt);
    }

    fn decide(&mut self, index: u32, decision: Decision) {
        let place = &mut self.decisions[index as usize];
        assert!(place.is_none(), "BUG: record {index} of batch {} was decided twice", self.number);
        self.answer_bytes += decision.held_bytes();
        *place = Some(decision);
        self.unsettled -= 1;
    }

    fn note_if_computed(&mut self) {
        if self.unsettled == 0 && self.computed.is_none() {
            self.computed = Some(Instant::now());
        }
    }

    /// When the last decision was made; now, where one is still open.
    pub fn computed_at(&self) -> Instant {
        self.computed.unwrap_or_else(Instant::now)
    }

    /// True if every record has its decision.
    pub fn computed(&self) -> bool {
        self.unsettled == 0
    }

    /// All decisions, the metrics as far as they are known before writing, and what each slot did.
    pub fn finish(self) -> (Vec<Decision>, BatchMetrics, Vec<SlotMetrics>) {
        let metrics = self.batch_metrics();
        let decisions = self
            .decisions
            .into_iter()
            .map(|decision| decision.expect("BUG: a batch was finished before all its items"))
            .collect();
        (decisions, metrics, self.metrics.slots)
    }

    fn batch_metrics(&self) -> BatchMetrics {
        let micros = |time: Duration| time.as_micros() as u64;
        let item_ns = percentiles(&self.metrics.item_ns);
        BatchMetrics {
            cut_us: self.cut_us,
            plan_size: self.plan.batch_size as u64,
            plan_lanes: self.plan.lanes as u64,
            bytes_in: self.record_bytes,
            input_bytes: self.input_bytes,
            guest_calls: self.metrics.calls,
            read_us: self.read_us,
            reader_wait_us: self.reader_wait_us,
            validate_us: self.metrics.validate_ns / 1000,
            operate_us: self.metrics.operate_ns / 1000,
            compute_us: micros(self.computed_at().duration_since(self.begun)),
            item_mean_ns: mean(&self.metrics.item_ns),
            item_p50_ns: item_ns[0],
            item_p95_ns: item_ns[1],
            item_p99_ns: item_ns[2],
            item_max_ns: item_ns[3],
            ..BatchMetrics::default()
        }
    }
}

/// The decision of an item whose attempts are used up.
pub(super) fn used_up(problem: Problem, attempts: u32, slot: Option<Name>) -> Decision {
    Decision::Refuse(Box::new(Refusal {
        fate: Fate::DeadLettered,
        phase: Phase::Operate,
        problems: vec![problem],
        attempts,
        slot,
    }))
}

/// Mean time per item over the calls.
fn mean(calls: &[(u64, u32)]) -> u64 {
    let (time, items) = calls.iter().fold((0u128, 0u128), |(time, items), (ns, count)| {
        (time + u128::from(*ns) * u128::from(*count), items + u128::from(*count))
    });
    time.checked_div(items).map_or(0, |mean| mean as u64)
}

/// Median, 95th, 99th percentile and maximum of the time per item, each call's mean weighted by its items.
fn percentiles(calls: &[(u64, u32)]) -> [u64; 4] {
    let mut calls = calls.to_vec();
    calls.sort_unstable();
    let total: u64 = calls.iter().map(|(_, items)| u64::from(*items)).sum();
    let at = |share: f64| {
        let rank = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        calls
            .iter()
            .find(|(_, items)| {
                seen += u64::from(*items);
                seen >= rank
            })
            .map_or(0, |(ns, _)| *ns)
    };
    [at(0.5), at(0.95), at(0.99), calls.last().map_or(0, |(ns, _)| *ns)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_percentiles_weigh_calls_by_their_items() {
        assert_eq!(mean(&[]), 0);
        assert_eq!(mean(&[(10, 98), (510, 2)]), 20);
        assert_eq!(percentiles(&[]), [0, 0, 0, 0]);
        assert_eq!(percentiles(&[(10, 98), (500, 2)]), [10, 10, 500, 500]);
        assert_eq!(percentiles(&[(7, 1)]), [7, 7, 7, 7]);
    }
}
