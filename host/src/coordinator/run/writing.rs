//! Writing batches: settled ones to the writer in input order, and what it answers.

use std::sync::Arc;

use super::{Ended, Run, Sent};
use crate::coordinator::flight::Flight;
use crate::coordinator::writer::{Group, WriteRequest, Written};
use crate::limits;
use crate::model::BatchNumber;
use crate::store::{BatchWrite, PlanRow};
use crate::strategy::BatchSample;

impl Run<'_> {
    pub(super) fn send_computed(&mut self) {
        while self.flights.front().is_some_and(Flight::computed) && self.outcome.is_none() && !self.recovering {
            if !self.passes_probation() {
                continue;
            }
            let flight = self.flights.pop_front().expect("BUG: the front was just there");
            self.shadows_done(&flight);
            let (bytes, input_bytes) = (flight.held_bytes(), flight.input_held_bytes);
            self.answer_item_bytes = Some((bytes - input_bytes) / flight.batch.len());
            let write = self.batch_write(flight);
            self.sent.push_back(Sent { number: write.number, items: write.batch.len(), bytes, input_bytes });
            let request = WriteRequest {
                key: self.parts.key,
                handle: Arc::clone(&self.parts.handle),
                policy: Arc::clone(&self.parts.policy),
                write,
                budget: self.parts.budget.clone(),
                reply: self.written.0.clone(),
            };
            if let Err(error) = self.parts.writer.write(request) {
                self.outcome = Some(Ended::Failed(error));
            }
        }
    }

    pub(super) fn batch_write(&mut self, mut flight: Flight) -> BatchWrite {
        self.parts.teller.log_dropped(&flight);
        let (number, batch, retries) = (flight.number, Arc::clone(&flight.batch), flight.retries);
        let (blank_lines, input_digest) = (flight.blank_lines, flight.digest);
        let plan = self.plan_row(number);
        let chain = Arc::clone(&flight.chain);
        let chain_write = self.chain_write(&chain);
        let chunks = flight.take_chunks();
        let attempts = std::mem::take(&mut flight.attempts);
        let computed_at = flight.computed_at();
        let (decisions, metrics, slots) = flight.finish();
        let plugins = chain.plugin_metrics(&slots);
        let retried = match &self.parts.dead_letters {
            Some(ids) => {
                let first = batch.first_ordinal as usize;
                ids[first.min(ids.len())..(first + batch.len()).min(ids.len())].to_vec()
            }
            None => Vec::new(),
        };
        BatchWrite {
            number,
            batch,
            decisions,
            metrics,
            computed_at,
            chunks,
            plan,
            chain: chain_write,
            plugins,
            retries,
            attempts,
            blank_lines,
            input_names: Arc::clone(&self.parts.input_names),
            input_digest,
            digests: Arc::clone(&chain.digests),
            retried,
        }
    }

    /// The plan that a batch was the first to be cut by, if any. A plan whose batch was never cut leads to no row.
    fn plan_row(&mut self, number: BatchNumber) -> Option<Box<PlanRow>> {
        let at = self.plans.iter().rposition(|row| row.batch <= number)?;
        let row = self.plans.drain(..=at).next_back()?;
        (row.batch == number).then(|| Box::new(row))
    }

    pub(super) fn written(&mut self, written: Written) {
        match written {
            Written::Committed(group) => {
                self.recovering = false;
                self.committed(group);
            }
            Written::IndexesBuilt(built) => {
                self.building = false;
                let collection = self.parts.policy.target.clone();
                built.into_iter().for_each(|index| self.parts.teller.index_built(&collection, &index));
            }
            Written::InDoubt => self.recovering = true,
            Written::RolledBack { first, last, error } => {
                self.recovering = true;
                self.parts.teller.rolled_back(first, last, &error);
            }
            Written::Failed(error) => {
                self.recovering = false;
                self.writer_closed = true;
                if self.outcome.is_none() {
                    self.outcome = Some(Ended::Failed(error));
                }
            }
        }
    }

    /// Indexes are not put off for ever.
    fn build_indexes_after(&mut self, group: &Group) {
        let before = self.rows_inserted;
        self.rows_inserted += group.batches.iter().map(|(_, receipt)| receipt.counts.inserted).sum::<u64>();
        if before <= limits::INDEXES_PUT_OFF_ROWS_MAX && self.rows_inserted > limits::INDEXES_PUT_OFF_ROWS_MAX {
            let collection = self.parts.policy.target.clone();
            let reply = self.written.0.clone();
            self.building = true;
            self.parts.writer.leave(self.parts.key, move |processor| {
                // The end of the run tries again, and says so if it fails.
                let built = processor.build_indexes(&collection).unwrap_or_else(|error| {
                    tracing::warn!(code = error.code().as_str(), "Indexes cannot be built: {error}.");
                    Vec::new()
                });
                // A run that has failed meanwhile no longer listens.
                let _ = reply.send(Written::IndexesBuilt(built));
            });
        }
    }

    pub(super) fn committed(&mut self, group: Group) {
        self.writer_busy += group.duration;
        // One time for all of the group: by it the strategy knows that they were committed together.
        let committed_us = self.parts.teller.elapsed_us();
        self.parts.teller.group_committed(&group, committed_us, &self.parts.input_names);
        for (write, receipt) in &group.batches {
            let sent = self.sent.pop_front();
            assert!(
                sent.is_some_and(|sent| sent.number == write.number),
                "BUG: batch {} was committed out of order",
                write.number
            );
            let commit_us = group.commit.as_micros() as u64;
            let metrics = write.metrics.committed(receipt.bytes_out, receipt.write_us, commit_us, committed_us);
            let sample = BatchSample::new(write.number.0, &receipt.counts, &metrics, committed_us);
            self.parts.signals.committed(sample);
            self.swapper.committed(&write.batch);
            self.start_queued();
            if let Some(observer) = &mut self.parts.observer {
                observer(write.batch.first_ordinal, &write.decisions);
            }
        }
        self.build_indexes_after(&group);
        if group.crossed {
            self.writer_closed = true;
            self.outcome = Some(Ended::Crossed);
        } else if self.parts.shared.view.is_some() && !self.flights.is_empty() && self.sent.is_empty() {
            // Serial reads: the next batch sees this one's rows.
            self.compute(0);
        }
    }
}
