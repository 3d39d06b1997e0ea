//! The one loop that executes plans: cuts batches, hands chunks to lanes, batches to the writer, and tells what happens.
//!
//! Invariants: batches are sent to the writer in input order; a batch is sent once and only when all its items are settled;
//! a committed batch is never computed again; batches and bytes under way are bounded.

mod carried;
mod computing;
mod effect;
mod proving;
mod resumed;
mod room;
mod steps;
mod swapping;
mod told;
mod writing;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};

use super::chain::Chain;
use super::control::Control;
use super::flight::Flight;
use super::inbox::Listener;
use super::intake::{CutRequest, Intake, Read};
use super::job::{Live, Observer};
use super::lanes::Lanes;
use super::shared::RunShared;
use super::tell::Teller;
use super::work::{LaneWork, Worked};
use super::writer::{Budget, WriterService, Written};
use crate::error::{Code, Error};
use crate::event::Event;
use crate::limits;
use crate::model::{BatchNumber, Plan};
use crate::monitor::Sensor;
use crate::store::{PlanRow, RunHandle, WritePolicy};
use crate::strategy::{Learned, Signals, Strategy, told_share};

pub use carried::Carried;
pub(super) use resumed::probations;
pub(super) use swapping::{Probation, Swapper, Swapping};

/// Everything a run needs, made ready by `start`.
pub(super) struct RunParts<'a> {
    pub key: u64,
    pub shared: Arc<RunShared>,
    pub chain: Arc<Chain>,
    pub swapping: Swapping,
    pub handle: Arc<RunHandle>,
    pub policy: Arc<WritePolicy>,
    pub lanes: &'a Lanes,
    pub writer: Arc<WriterService>,
    pub intake: Intake,
    pub strategy: Box<dyn Strategy>,
    pub signals: Signals,
    pub control: Control,
    pub inbox: Option<Listener>,
    /// From the run before and for the one after.
    pub carried: Option<Carried>,
    /// The plugins of the run before, where this one goes on with others, which are its own.
    pub aside: Option<Arc<Chain>>,
    /// Plugins read what this run alone can see.
    pub uncommitted_reads: bool,
    pub live: Option<Live>,
    /// Said with the first plan.
    pub plan_note: Option<String>,
    pub sensor: Box<dyn Sensor>,
    pub sample_interval: Duration,
    pub teller: Teller,
    /// Items of the whole input, where it tells.
    pub items_total: Option<u64>,
    pub batch_bytes: usize,
    pub batch_wait: Duration,
    pub attempts: u32,
    /// All settings in force, as the row of the run has them.
    pub settings_json: String,
    pub budget: Option<Arc<Budget>>,
    pub input_names: Arc<[String]>,
    pub dead_letters: Option<Arc<[i64]>>,
    pub observer: Option<Observer>,
}

/// Why the loop ended.
pub(super) enum Ended {
    /// Every record of the input has its fate.
    Complete,
    /// Asked to stop.
    Stopped,
    /// A batch crossed `--max-rejects`; it is the last one written.
    Crossed,
    /// An error of the input, the writer or the host.
    Failed(Error),
}

/// The loop's result, with what the report needs.
pub(super) struct Finished {
    pub ended: Ended,
    pub teller: Teller,
    pub peak_lanes: usize,
    /// Blank lines after the last record, which no batch carries.
    pub trailing_blank_lines: u64,
    /// What the strategy found to be good.
    pub learned: Option<Learned>,
    /// The plugins of its newest batch; those that it began with, where there was none.
    pub chain: Arc<Chain>,
}

impl Finished {
    /// A run that failed before its first batch.
    pub fn failed(error: Error, teller: Teller, chain: Arc<Chain>) -> Self {
        Self { ended: Ended::Failed(error), teller, peak_lanes: 0, trailing_blank_lines: 0, learned: None, chain }
    }
}

/// Items waiting for another attempt.
struct Waiting {
    due: Instant,
    number: BatchNumber,
    /// Of the chain that asked for it.
    generation: u64,
    attempt: u32,
    indices: Vec<u32>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

/// A batch at the writer.
struct Sent {
    number: BatchNumber,
    items: usize,
    bytes: usize,
    input_bytes: usize,
}

pub(super) struct Run<'a> {
    parts: RunParts<'a>,
    /// What the next batch that is cut will work with.
    chain: Arc<Chain>,
    /// What the newest batch works with.
    worked: Arc<Chain>,
    swapper: Swapper,
    plan: Plan,
    /// Plans of the cuts asked for and not yet received, oldest first, with the items that were asked for.
    requested: VecDeque<(Plan, usize)>,
    /// Plans that differ from the one before, until the first batch cut by them is written.
    plans: VecDeque<PlanRow>,
    flights: VecDeque<Flight>,
    sent: VecDeque<Sent>,
    next_number: BatchNumber,
    /// Where the next batch that is cut will begin, as a position in the input.
    next_ordinal: u64,
    /// Bytes that an item of the newest batch holds, on average.
    item_bytes: Option<usize>,
    /// The same of what plugins have answered for an item of the newest batch that they are done with.
    answer_item_bytes: Option<usize>,
    work: VecDeque<LaneWork>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The lanes of the plan are for the batches that it cuts, not for those before.
    trial: bool,
    /// Lanes leave what they have of this run.
    over: Arc<AtomicBool>,
    lanes_in_use: usize,
    peak_lanes: usize,
    input_ended: bool,
    trailing_blank_lines: u64,
    outcome: Option<Ended>,
    stop_begun: Option<Instant>,
    /// The writer takes no more batches of this run.
    writer_closed: bool,
    /// The store failed and is being opened anew: nothing more is read or sent until it is known what becomes of the group.
    recovering: bool,
    /// Serial reads: skip the first pass, since most items of the last batch had to run again anyway.
    skip_first_pass: bool,
    next_sample: Instant,
    lane_busy: Duration,
    lane_busy_since: Instant,
    writer_busy: Duration,
    /// By this execution.
    rows_inserted: u64,
    /// Indexes are being built that were put off; their end is still to be told.
    building: bool,
    done: (Sender<Worked>, Receiver<Worked>),
    written: (Sender<Written>, Receiver<Written>),
}

impl<'a> Run<'a> {
    pub fn new(parts: RunParts<'a>, swapper: Swapper) -> Self {
        let now = Instant::now();
        Self {
            chain: Arc::clone(&parts.chain),
            worked: Arc::clone(&parts.chain),
            swapper,
            plan: Plan { batch_size: 1, lanes: 1, batches_in_flight: 1 },
            requested: VecDeque::new(),
            plans: VecDeque::new(),
            flights: VecDeque::new(),
            sent: VecDeque::new(),
            next_number: parts.handle.next_batch,
            next_ordinal: parts.handle.next,
            item_bytes: None,
            answer_item_bytes: None,
            work: VecDeque::new(),
            waiting: BinaryHeap::new(),
            trial: false,
            over: Arc::default(),
            lanes_in_use: 0,
            peak_lanes: 0,
            input_ended: false,
            trailing_blank_lines: 0,
            outcome: None,
            stop_begun: None,
            writer_closed: false,
            recovering: false,
            skip_first_pass: false,
            next_sample: now + parts.sample_interval,
            lane_busy: Duration::ZERO,
            lane_busy_since: now,
            writer_busy: Duration::ZERO,
            rows_inserted: 0,
            building: false,
            // Bounded by the lanes in use and the batches at the writer.
            done: unbounded(),
            written: bounded(limits::BATCHES_IN_FLIGHT_MAX * 4),
            parts,
        }
    }

    /// Runs to the end.
    pub fn run(mut self) -> Finished {
        self.look_at_settings();
        self.begin_swaps();
        loop {
            if self.parts.control.stopped() && self.outcome.is_none() {
                self.begin_stop();
            }
            self.ask_for_batches();
            self.send_computed();
            self.dispatch();
            if let Some(ended) = self.ended() {
                self.abandon();
                if self.parts.carried.is_some() && matches!(ended, Ended::Complete | Ended::Crossed | Ended::Failed(_))
                {
                    self.carry_swaps();
                    let reads_store = self.parts.shared.view.is_some();
                    Self::hand_on(self.parts.carried.as_ref(), &self.chain, reads_store, self.swapper);
                } else {
                    self.end_swaps();
                }
                return Finished {
                    ended,
                    peak_lanes: self.peak_lanes,
                    trailing_blank_lines: self.trailing_blank_lines,
                    learned: self.parts.strategy.learned(),
                    teller: self.parts.teller,
                    chain: self.worked,
                };
            }
            self.wait();
            self.sample();
        }
    }

    fn begin_stop(&mut self) {
        if self.stop_begun.is_none() {
            self.stop_begun = Some(Instant::now());
            self.end_candidates();
        }
    }

    fn stopping(&self) -> bool {
        self.stop_begun.is_some() || self.outcome.is_some()
    }

    /// The end, if this is it.
    fn ended(&mut self) -> Option<Ended> {
        if let Some(Ended::Failed(_) | Ended::Crossed) = &self.outcome {
            // What the writer has is waited for: it may be committed. Lanes may go on; their answers go nowhere.
            return if self.writer_closed || self.sent.is_empty() { self.outcome.take() } else { None };
        }
        let under_way = !self.flights.is_empty() || !self.sent.is_empty() || self.building;
        if let Some(begun) = self.stop_begun {
            let late = begun.elapsed() > limits::STOP_GRACE && self.sent.is_empty();
            return (!under_way && self.requested.is_empty() || late).then_some(Ended::Stopped);
        }
        if self.input_ended && !under_way && self.requested.is_empty() {
            return Some(self.outcome.take().unwrap_or(Ended::Complete));
        }
        None
    }

    /// What is not committed is given up; the next run reads it again.
    fn abandon(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let reason = "the run ended before it was written";
        let numbers: Vec<u64> =
            self.sent.iter().map(|sent| sent.number.0).chain(self.flights.iter().map(|f| f.number.0)).collect();
        for batch in numbers {
            self.parts.teller.emit(Event::BatchAbandoned { batch, reason: reason.to_owned() });
        }
    }

    fn ask_for_batches(&mut self) {
        while !self.stopping() && !self.recovering && !self.input_ended && self.room() && !self.held_by_candidates() {
            let plan = self.plan_next();
            let (bytes, wait) = (self.parts.batch_bytes, Some(self.parts.batch_wait));
            let size = self.cut_size(plan);
            let request = CutRequest { size, bytes, wait };
            self.requested.push_back((plan, size));
            if !self.parts.intake.ask(request) {
                self.input_ended = true;
                self.requested.pop_back();
            }
        }
    }

    /// A lane has nothing to do and nothing is on its way to it, while the oldest batch is being computed.
    fn starved(&self) -> bool {
        self.lanes_in_use < self.plan.lanes
            && self.work.is_empty()
            && self.requested.is_empty()
            && self.parts.shared.view.is_none()
            && self.flights.front().is_some_and(|oldest| !oldest.computed())
    }

    fn plan_next(&mut self) -> Plan {
        let elapsed = self.lane_busy_since.elapsed();
        if elapsed > Duration::from_millis(50) {
            self.note_lane_time();
            let share = |busy: Duration, of: usize| told_share(busy.as_secs_f64() / elapsed.as_secs_f64() / of as f64);
            self.parts.signals.lanes_busy = Some(share(self.lane_busy, self.plan.lanes.max(1)));
            self.parts.signals.writer_busy = Some(share(self.writer_busy, 1));
            self.lane_busy = Duration::ZERO;
            self.writer_busy = Duration::ZERO;
            self.lane_busy_since = Instant::now();
        }
        let number = self.next_number.0 + self.requested.len() as u64;
        let first = number == self.parts.handle.next_batch.0;
        self.parts.signals.items_left = self.items_left();
        if self.parts.signals.items_left == Some(0) && !first {
            // Nothing is left to plan for; what asks once more is the search for the end.
            return self.plan;
        }
        self.parts.signals.sequence = number;
        let first = number == self.parts.handle.next_batch.0;
        let inputs = Box::new(self.parts.signals.inputs(first));
        let planned = self.parts.strategy.plan(&self.parts.signals);
        let plan = self.within_bounds(planned.plan);
        let old = std::mem::replace(&mut self.plan, plan);
        self.trial = self.parts.strategy.on_trial();
        if let Some(mut reason) = planned.reason {
            if let Some(note) = self.parts.plan_note.take() {
                reason = format!("{reason}; {note}");
            }
            let row = PlanRow {
                batch: BatchNumber(number),
                batch_size: self.plan.batch_size as u64,
                lanes: self.plan.lanes as u64,
                batches_in_flight: self.plan.batches_in_flight as u64,
                old_batch_size: (!first).then_some(old.batch_size as u64),
                old_lanes: (!first).then_some(old.lanes as u64),
                old_batches_in_flight: (!first).then_some(old.batches_in_flight as u64),
                reason,
                signals_json: serde_json::to_string(&self.parts.signals).expect("signals are plain data"),
            };
            self.parts.teller.emit(Event::PlanChosen {
                batch: number,
                batch_size: row.batch_size,
                lanes: row.lanes,
                batches_in_flight: row.batches_in_flight,
                old_batch_size: row.old_batch_size,
                old_lanes: row.old_lanes,
                old_batches_in_flight: row.old_batches_in_flight,
                reason: row.reason.clone(),
                inputs,
            });
            self.plans.push_back(row);
        } else {
            self.parts.teller.emit(Event::PlanKept { batch: number, inputs });
        }
        self.plan
    }

    /// Items that are neither cut nor asked for; none where the total is unknown, or was not the truth.
    fn items_left(&self) -> Option<u64> {
        let left = self.parts.items_total?.checked_sub(self.next_ordinal)?;
        let asked: u64 = self.requested.iter().map(|(_, size)| *size as u64).sum();
        Some(left.saturating_sub(asked))
    }

    /// A strategy of an embedding program may be mistaken.
    fn within_bounds(&self, plan: Plan) -> Plan {
        let bounds = &self.parts.signals.bounds;
        Plan {
            batch_size: plan.batch_size.clamp(1, bounds.batch_size.max()),
            lanes: plan.lanes.clamp(1, bounds.lanes.max()),
            batches_in_flight: plan.batches_in_flight.clamp(1, limits::BATCHES_IN_FLIGHT_MAX),
        }
    }

    fn received(&mut self, read: Read) {
        let (plan, _) = self.requested.pop_front().expect("BUG: a cut came that was not asked for");
        let cut = match read.cut {
            Ok(cut) => cut,
            Err(error) => {
                self.input_ended = true;
                self.requested.clear();
                // What was read before the error is committed first.
                if self.flights.is_empty() && self.sent.is_empty() {
                    self.outcome = Some(Ended::Failed(error));
                } else {
                    self.parts.intake.hold(error);
                }
                return;
            }
        };
        if cut.end {
            self.input_ended = true;
            self.requested.clear();
        }
        if cut.batch.is_empty() {
            self.trailing_blank_lines += cut.blank_lines;
            return;
        }
        let number = self.next_number;
        self.next_number = BatchNumber(number.0 + 1);
        self.next_ordinal = cut.batch.first_ordinal + cut.batch.len() as u64;
        let cut_us = self.parts.teller.elapsed_us();
        self.chain_cut(number);
        let mut flight = Flight::new(number, plan, cut, cut_us, Arc::clone(&self.chain));
        flight.reader_waited(read.waited);
        flight.shadows = self.shadows_of_cut();
        self.item_bytes = Some(flight.input_held_bytes / flight.batch.len());
        self.parts.teller.batch_started(&flight);
        self.flights.push_back(flight);
        if self.parts.shared.view.is_none() {
            self.compute(self.flights.len() - 1);
        } else if self.flights.len() == 1 && self.sent.is_empty() {
            self.compute(0);
        }
    }

    fn wait(&mut self) {
        let now = Instant::now();
        let due = self.waiting.peek().map(|Reverse(waiting)| waiting.due);
        let mut timeout = self.next_sample.saturating_duration_since(now);
        if let Some(due) = due {
            timeout = timeout.min(due.saturating_duration_since(now));
        }
        let others = self.parts.inbox.as_ref().map(|listener| (Arc::clone(listener.inbox()), listener.came().clone()));
        let (inbox, requests) = others.map_or_else(|| (None, never()), |(inbox, came)| (Some(inbox), came));
        let reads = if self.requested.is_empty() { never() } else { self.parts.intake.reads().clone() };
        select! {
            recv(reads) -> read => match read {
                Ok(read) => self.received(read),
                Err(_) => self.reader_gone(),
            },
            recv(self.done.1) -> done => if let Ok(done) = done { self.done(done) },
            recv(self.written.1) -> written => if let Ok(written) = written { self.written(written) },
            recv(self.swapper.news()) -> news => if let Ok(news) = news { self.swap_news(news) },
            recv(self.swapper.requests()) -> request => if let Ok(request) = request {
                self.swap_asked(request, None);
            },
            recv(requests) -> request => if let (Ok(request), Some(inbox)) = (request, inbox) {
                self.told_by(&inbox, request);
            },
            recv(self.parts.control.commands()) -> command => if let Ok(command) = command {
                self.told(&command);
            },
            default(timeout) => {}
        }
        if self.input_ended
            && self.flights.is_empty()
            && self.sent.is_empty()
            && let Some(error) = self.parts.intake.release()
        {
            self.outcome = Some(Ended::Failed(error));
        }
    }

    fn reader_gone(&mut self) {
        self.input_ended = true;
        self.requested.clear();
        if !self.stopping() {
            self.outcome = Some(Ended::Failed(Error::new(Code::Internal, "the reader has ended without a word")));
        }
    }
}
