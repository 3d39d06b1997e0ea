//! Telling what happens: events in order, with the alerts, health and progress that follow from them.

use std::time::{Duration, Instant};

use super::chain::Chain;
use super::flight::Flight;
use super::job::Job;
use super::outcome::{fate_runs, join_runs};
use super::writer::Group;
use crate::error::Error;
use crate::event::{BatchCommitted, EVENT_SCHEMA, Envelope, Event, HealthStatus, RunStarted};
use crate::model::{BatchNumber, Counts, Decision, Fate, Name, RecordKind, Refusal};
use crate::monitor::{AlertRecord, Alerts, EventHub, Fold, Health, Progress, RunSummary, Sample, Summary, Thresholds};
use crate::processor::{PROCESSORS, ProcessorKind};
use crate::store::{BatchWrite, BuiltIndex, Receipt, RunHandle};

/// How often `progressed` is told while the run goes on.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Is what is written already committed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// Yes: each group by its own transaction.
    No,
    /// No: the run is one transaction, and its groups are no transactions of their own.
    Run,
    /// No, and it never will be.
    DryRun,
}

/// See the module. Also keeps what the report needs.
pub(super) struct Teller {
    hub: EventHub,
    alerts: Alerts,
    health: Health,
    progress: Progress,
    summary: Summary,
    raised: Vec<AlertRecord>,
    open: Open,
    run: u64,
    group: u64,
    lanes_told: u64,
    lanes_since: Instant,
    progressed: Instant,
    checkpoint: u64,
    /// Of this execution.
    pub counts: Counts,
    pub blank_lines: u64,
    pub batches: u64,
    /// None once there were too many.
    pub fates: Option<Vec<(Fate, u64, u64)>>,
}

impl Teller {
    pub fn new(hub: EventHub, run: u64, job: &Job) -> Self {
        let now = Instant::now();
        Self {
            hub,
            alerts: Alerts::new(job.slow_item, job.thresholds),
            health: Health::new(job.thresholds),
            progress: Progress::default(),
            summary: Summary::default(),
            raised: Vec::new(),
            open: Open::No,
            run,
            group: 0,
            lanes_told: 0,
            lanes_since: now,
            progressed: now,
            checkpoint: 0,
            counts: Counts::default(),
            blank_lines: 0,
            batches: 0,
            fates: Some(Vec::new()),
        }
    }

    /// What the run writes stays uncommitted. Told after `run-started`.
    pub fn stays_open(&mut self, open: Open) {
        self.open = open;
        if open == Open::Run {
            let group = self.next_group();
            self.emit(Event::TransactionBegan { group, first_batch: None, last_batch: None });
        }
    }

    /// The transaction of the run has ended: committed, or undone for this reason.
    pub fn closed(&mut self, undone: Option<String>) {
        let duration_us = self.elapsed_us();
        self.emit(match undone {
            None => Event::TransactionCommitted { group: 0, duration_us },
            Some(reason) => Event::TransactionRolledBack { group: 0, reason },
        });
    }

    /// An index that was put off is built.
    pub fn index_built(&mut self, collection: &Name, built: &BuiltIndex) {
        self.emit(Event::IndexBuilt {
            collection: collection.to_string(),
            index: built.name.to_string(),
            duration_us: built.duration.as_micros() as u64,
        });
    }

    /// Emits an event and what follows from it.
    pub fn emit(&mut self, event: Event) {
        let elapsed_us = self.elapsed_us();
        let follow = self.alerts.observe(&event, elapsed_us);
        self.health.observe(&event, elapsed_us);
        let envelope = Envelope { schema: EVENT_SCHEMA, seq: 0, time_ms: 0, elapsed_us, run: self.run, event };
        self.progress.observe(&envelope);
        self.summary.observe(&envelope);
        self.hub.emit_at(elapsed_us, envelope.event);
        for alert in follow {
            self.alert(alert);
        }
    }

    /// Tells of an alert that was raised or cleared.
    pub fn alert(&mut self, alert: Event) {
        if let Some(record) = AlertRecord::of(&alert, self.elapsed_us()) {
            record.keep(&mut self.raised);
        }
        self.hub.emit(alert);
    }

    /// Monotonic time since the run began.
    pub fn elapsed_us(&self) -> u64 {
        self.hub.elapsed_us()
    }

    pub fn batch_started(&mut self, flight: &Flight) {
        let first_ordinal = flight.batch.first_ordinal;
        self.emit(Event::BatchStarted {
            batch: flight.number.0,
            first_ordinal,
            last_ordinal: first_ordinal + flight.batch.len() as u64 - 1,
            items: flight.batch.len() as u64,
            batch_size: flight.plan.batch_size as u64,
            lanes: flight.plan.lanes as u64,
            slots: flight.chain.slots().map(|slot| slot.name().to_string()).collect(),
        });
    }

    /// Tells how many lanes are in use, if that changed.
    pub fn lanes_in_use(&mut self, lanes: u64) {
        if lanes != self.lanes_told {
            self.lanes_told = lanes;
            self.emit(Event::LanesInUse { lanes });
        }
    }

    /// Lane time since the last call, with so many lanes in use meanwhile.
    pub fn lane_time(&mut self, lanes: usize) -> Duration {
        let now = Instant::now();
        let time = now.duration_since(self.lanes_since) * lanes as u32;
        self.lanes_since = now;
        time
    }

    pub fn log_dropped(&mut self, flight: &Flight) {
        let dropped: Vec<(String, u64)> = flight
            .chain
            .slots()
            .zip(flight.logs.iter())
            .map(|(slot, budget)| (slot.name().to_string(), budget.dropped()))
            .filter(|(_, lines)| *lines > 0)
            .collect();
        for (slot, lines) in dropped {
            self.emit(Event::LogDropped { batch: flight.number.0, slot, lines });
        }
    }

    /// Tells of a sample; true if it means that the host is unhealthy in a way that plans may better.
    pub fn sampled(&mut self, sample: Sample) -> bool {
        let event = self.health.sampled(sample);
        let curable = Sample { wal_bytes: self.wal_of_plans(sample), ..sample };
        let unhealthy = self.health.status(curable) == HealthStatus::Unhealthy;
        self.emit(event);
        unhealthy
    }

    /// The write-ahead log as far as plans have to do with it. What one transaction of the whole run writes has to stay in
    /// it to the end, whatever the size of batches.
    pub fn wal_of_plans(&self, sample: Sample) -> Option<u64> {
        sample.wal_bytes.filter(|_| self.open == Open::No)
    }

    /// Batches whose mean time per item is above this are slow from now on. Gives what it was.
    pub fn slow_item(&mut self, slow_item: Duration) -> Duration {
        self.alerts.set_slow_item(slow_item)
    }

    /// Health is judged by these from now on. Gives what they were.
    pub fn thresholds(&mut self, thresholds: Thresholds) -> Thresholds {
        self.health.set(thresholds);
        self.alerts.set(thresholds)
    }

    pub fn rolled_back(&mut self, first: BatchNumber, last: BatchNumber, error: &Error) {
        if self.open != Open::No {
            // The transaction of the run ends with it.
            return;
        }
        let group = self.next_group();
        self.emit(Event::TransactionBegan { group, first_batch: Some(first.0), last_batch: Some(last.0) });
        self.emit(Event::TransactionRolledBack { group, reason: format!("{}: {error}", error.code()) });
    }

    /// What the run came to so far.
    pub fn summary(&self) -> RunSummary {
        self.summary.summary()
    }

    /// Alerts that were raised and cleared, in order, as far as they are kept.
    pub fn alerts(&self) -> &[AlertRecord] {
        &self.raised
    }

    fn next_group(&mut self) -> u64 {
        self.group += 1;
        self.group - 1
    }

    /// `committed_us`: when it was, since the run began.
    pub fn group_committed(&mut self, group: &Group, committed_us: u64, inputs: &[String]) {
        let (Some((first, _)), Some((last, _))) = (group.batches.first(), group.batches.last()) else { return };
        let number = if self.open == Open::No { self.next_group() } else { 0 };
        if self.open == Open::No {
            let (first_batch, last_batch) = (Some(first.number.0), Some(last.number.0));
            self.emit(Event::TransactionBegan { group: number, first_batch, last_batch });
            let duration_us = group.duration.as_micros() as u64;
            self.emit(Event::TransactionCommitted { group: number, duration_us });
        }
        for (write, receipt) in &group.batches {
            self.batch_committed(write, receipt, number, (group.commit, committed_us), inputs);
        }
        if self.progressed.elapsed() >= PROGRESS_INTERVAL {
            self.progressed = Instant::now();
            let event = self.progress.progressed();
            self.hub.emit(event);
        }
    }

    fn batch_committed(
        &mut self,
        write: &BatchWrite,
        receipt: &Receipt,
        group: u64,
        (commit, committed_us): (Duration, u64),
        inputs: &[String],
    ) {
        assert!(receipt.counts.balance(), "BUG: the counts of batch {} do not balance", write.number);
        let first_ordinal = write.batch.first_ordinal;
        let fates = fate_runs(first_ordinal, fates(write, receipt));
        if self.fates.as_mut().is_some_and(|all| !join_runs(all, &fates)) {
            self.fates = None;
        }
        self.counts.add(&receipt.counts);
        self.blank_lines += write.blank_lines;
        self.batches += 1;
        self.checkpoint = first_ordinal + write.batch.len() as u64;
        let commit_us = commit.as_micros() as u64;
        let metrics = write.metrics.committed(receipt.bytes_out, receipt.write_us, commit_us, committed_us);
        let committed = Box::new(BatchCommitted {
            batch: write.number.0,
            first_ordinal,
            last_ordinal: self.checkpoint - 1,
            group,
            counts: receipt.counts,
            fates,
            digests: write.digests.iter().map(|(slot, digest)| (slot.to_string(), digest.to_string())).collect(),
            checkpoint: self.checkpoint,
            committed_us,
            metrics,
            chunks: write.chunks.clone(),
            plugins: write.plugins.clone(),
        });
        self.emit(match self.open {
            Open::No => Event::BatchCommitted(committed),
            Open::Run | Open::DryRun => Event::BatchApplied(committed),
        });
        self.items_failed(write, receipt, inputs);
    }

    fn items_failed(&mut self, write: &BatchWrite, receipt: &Receipt, inputs: &[String]) {
        let refused = write.decisions.iter().enumerate().filter_map(|(index, decision)| match decision {
            Decision::Refuse(refusal) => Some((index, &**refusal)),
            _ => None,
        });
        let by_store = receipt.refused.iter().map(|(index, refusal)| (*index, refusal));
        let mut all: Vec<(usize, &Refusal)> = refused.chain(by_store).collect();
        all.sort_by_key(|(index, _)| *index);
        for (index, refusal) in all {
            let record = &write.batch.records[index];
            let problem = refusal.problems.first();
            self.emit(Event::ItemFailed {
                batch: write.number.0,
                ordinal: write.batch.ordinal(index).0,
                id: match &record.kind {
                    RecordKind::Item { .. } => write.batch.item(index).map_or("", |item| item.id).to_owned(),
                    RecordKind::Broken(_) => String::new(),
                },
                fate: refusal.fate,
                phase: refusal.phase,
                code: problem.map_or_else(String::new, |problem| problem.code.clone()),
                message: problem.map_or_else(String::new, |problem| problem.message.clone()),
                attempts: refusal.attempts,
                slot: refusal.slot.as_ref().map(ToString::to_string),
                input: inputs.get(record.position.input as usize).cloned().unwrap_or_default(),
                line: record.position.line,
                offset: record.position.offset,
            });
        }
    }

    /// Emits the last event and waits until every monitor has seen it. Gives what the run came to.
    pub fn finish(mut self, last: Event) -> RunSummary {
        if let Event::RunEnded(ended) = &last
            && ended.status.finished()
        {
            self.progress.complete();
        }
        let progressed = self.progress.progressed();
        self.hub.emit(progressed);
        self.emit(last);
        let delivery = self.hub.finish();
        if delivery.delivered < delivery.emitted && delivery.detached.is_empty() {
            tracing::error!("{} events were not delivered.", delivery.emitted - delivery.delivered);
        }
        self.summary.summary()
    }
}

/// One fate per record, in order.
fn fates<'a>(write: &'a BatchWrite, receipt: &'a Receipt) -> impl Iterator<Item = Fate> + 'a {
    let mut refused = receipt.refused.iter().peekable();
    write.decisions.iter().enumerate().map(move |(index, decision)| {
        if let Some((_, refusal)) = refused.next_if(|(at, _)| *at == index) {
            return refusal.fate;
        }
        match decision {
            Decision::Keep | Decision::Replace(_) | Decision::Emit(_) => Fate::Stored,
            Decision::Drop => Fate::Dropped,
            Decision::Refuse(refusal) => refusal.fate,
        }
    })
}

/// What is told of a run that begins.
pub(super) fn run_started(
    job: &Job,
    handle: &RunHandle,
    chain: &Chain,
    names: &[String],
    total_bytes: Option<u64>,
    total_items: Option<u64>,
    resumable: bool,
) -> RunStarted {
    RunStarted {
        uuid: handle.uuid.clone(),
        // A processor that keeps nothing uses no store, even if one is named.
        store: match job.processor {
            ProcessorKind::Storage => job.store.as_ref().map_or_else(String::new, |path| path.display().to_string()),
            _ => String::new(),
        },
        collection: job.collection.to_string(),
        inputs: names.to_vec(),
        strategy: job.strategy.clone(),
        processor: processor_name(job.processor).to_owned(),
        atomic: job.atomic.as_str().to_owned(),
        dry_run: job.dry_run,
        resumed_at: handle.next,
        resumable: resumable && job.processor == ProcessorKind::Storage,
        total_items,
        total_bytes,
        batch_size_min: job.bounds.batch_size.min() as u64,
        batch_size_max: job.bounds.batch_size.max() as u64,
        lanes_min: job.bounds.lanes.min() as u64,
        lanes_max: job.bounds.lanes.max() as u64,
        attempts: job.attempts,
        plugins: chain.plugins_used(),
    }
}

fn processor_name(kind: ProcessorKind) -> &'static str {
    PROCESSORS.iter().find(|row| row.kind == kind).map_or("storage", |row| row.name)
}
