//! Writing batches: settled ones to the writer in input order, and what it answers.

use std::sync::Arc;

use super::{Ended, Run, Sent};
use crate::coordinator::flight::Flight;
use crate::coordinator::writer::{Group, WriteRequest, Written};
use crate::model::BatchNumber;
use crate::store::{BatchWrite, PlanRow};
use crate::strategy::BatchSample;

impl Run<'_> {
    pub(super) fn send_computed(&mut self) {
        while self.flights.front().is_some_and(Flight::computed) && self.outcome.is_none() && !self.recovering {
            let flight = self.flights.pop_front().expect("BUG: the front was just there");
            let write = self.batch_write(flight);
            self.sent.push_back(Sent { number: write.number, items: write.batch.len(), bytes: write.batch.text.len() });
            let request = WriteRequest {
                key: self.parts.key,
                handle: Arc::clone(&self.parts.handle),
                policy: Arc::clone(&self.parts.policy),
                write,
                budget: self.parts.budget,
                reply: self.written.0.clone(),
            };
            if let Err(error) = self.parts.writer.write(request) {
                self.outcome = Some(Ended::Failed(error));
            }
        }
    }

    pub(super) fn batch_write(&mut self, flight: Flight) -> BatchWrite {
        self.parts.teller.log_dropped(&flight);
        let (number, batch, retries) = (flight.number, Arc::clone(&flight.batch), flight.retries);
        let (blank_lines, input_digest) = (flight.blank_lines, flight.digest);
        let plan = self.plan_row(number);
        let (decisions, metrics, slots) = flight.finish();
        let plugins = self.parts.shared.plugin_metrics(&slots);
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
            plan,
            plugins,
            retries,
            blank_lines,
            input_names: Arc::clone(&self.parts.input_names),
            input_digest,
            digests: Arc::clone(&self.parts.digests),
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

    pub(super) fn committed(&mut self, group: Group) {
        self.writer_busy += group.duration;
        self.parts.teller.group_committed(&group, &self.parts.digests, &self.parts.input_names);
        for (write, receipt) in &group.batches {
            let sent = self.sent.pop_front();
            assert!(
                sent.is_some_and(|sent| sent.number == write.number),
                "BUG: batch {} was committed out of order",
                write.number
            );
            let mut metrics = write.metrics;
            metrics.write_us = receipt.write_us;
            metrics.bytes_out = receipt.bytes_out;
            metrics.commit_us = group.commit.as_micros() as u64;
            let sample = BatchSample::new(write.number.0, &receipt.counts, &metrics, self.parts.teller.elapsed_us());
            self.parts.signals.committed(sample);
            if let Some(observer) = &mut self.parts.observer {
                observer(write.batch.first_ordinal, &write.decisions);
            }
        }
        if let Some(left) = self.parts.teller.items_left() {
            self.parts.signals.items_left = Some(left);
        }
        if group.crossed {
            self.writer_closed = true;
            self.outcome = Some(Ended::Crossed);
        } else if self.parts.shared.view.is_some() && !self.flights.is_empty() && self.sent.is_empty() {
            // Serial reads: the next batch sees this one's rows.
            self.compute(0);
        }
    }
}
