//! What recorded events tell that the history does not keep.

use std::collections::BTreeMap;

use super::thin::Thin;
use super::timeline::Abandoned;
use crate::event::{Envelope, Event};
use crate::limits::{REPORT_MISHAPS_MAX, REPORT_OPEN_BATCHES_MAX};
use crate::model::PluginMetrics;
use crate::monitor::AlertRecord;

/// A sample of the host's health. Shares are 0..1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Health {
    pub at_us: u64,
    pub cpu_share: Option<f64>,
    pub memory_share: Option<f64>,
    pub process_bytes: Option<u64>,
}

/// A transaction of which nothing was kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RolledBack {
    pub at_us: u64,
    /// In words.
    pub reason: String,
}

/// Folds the events of one execution of a run; those of other runs are passed over.
#[derive(Debug, Default)]
pub struct Recorded {
    uuid: String,
    /// True while the events are those of the run.
    ours: bool,
    found: bool,
    ended: bool,
    unreadable: u64,
    now_us: u64,
    open: BTreeMap<u64, (u64, u64)>,
    abandoned: Vec<Abandoned>,
    abandoned_left_out: u64,
    health: Thin<Health>,
    lanes: Thin<(u64, u64)>,
    rolled_back: Vec<RolledBack>,
    alerts: Vec<AlertRecord>,
    plugins: Vec<PluginMetrics>,
    first_batch: Option<u64>,
}

/// See [`Recorded`]. Times since the execution began.
#[derive(Debug, Default)]
pub struct Details {
    pub abandoned: Vec<Abandoned>,
    /// Abandoned batches that are not among them.
    pub abandoned_left_out: u64,
    pub health: Vec<Health>,
    /// Chunks at work, from this time on.
    pub lanes: Vec<(u64, u64)>,
    pub rolled_back: Vec<RolledBack>,
    pub alerts: Vec<AlertRecord>,
    pub plugins: Vec<PluginMetrics>,
    /// Lines that were no event; a recording that was cut short ends in one.
    pub unreadable: u64,
    /// First batch that was begun.
    pub first_batch: Option<u64>,
}

impl Recorded {
    /// For the run of this name.
    pub fn of(uuid: &str) -> Self {
        Self { uuid: uuid.to_owned(), ..Self::default() }
    }

    /// True if there were events of the run.
    pub fn found(&self) -> bool {
        self.found
    }

    /// Takes a line of a recording.
    pub fn line(&mut self, line: &str) {
        match serde_json::from_str::<Envelope>(line) {
            Ok(envelope) => self.observe(&envelope),
            Err(_) if line.trim().is_empty() => {}
            Err(_) => self.unreadable += 1,
        }
    }

    fn observe(&mut self, envelope: &Envelope) {
        if let Event::RunStarted(started) = &envelope.event {
            self.ours = started.uuid == self.uuid;
            if self.ours {
                // A second execution in the same file: the newest is shown.
                *self = Self { uuid: std::mem::take(&mut self.uuid), ours: true, found: true, ..Self::default() };
            }
        }
        if !self.ours {
            return;
        }
        let at_us = envelope.elapsed_us;
        self.now_us = self.now_us.max(at_us);
        match &envelope.event {
            Event::BatchStarted { batch, items, .. } => {
                self.first_batch.get_or_insert(*batch);
                if self.open.len() < REPORT_OPEN_BATCHES_MAX {
                    self.open.insert(*batch, (at_us, *items));
                }
            }
            Event::BatchCommitted(batch) | Event::BatchApplied(batch) => {
                self.open.remove(&batch.batch);
                for did in &batch.plugins {
                    match self.plugins.iter_mut().find(|known| known.slot == did.slot) {
                        Some(known) => known.add(did),
                        None => self.plugins.push(did.clone()),
                    }
                }
            }
            Event::BatchAbandoned { batch, reason } => self.abandon(*batch, at_us, reason),
            Event::LanesInUse { lanes } => self.lanes.push((at_us, *lanes)),
            Event::HealthSampled { cpu_share, memory_share, process_bytes, .. } => self.health.push(Health {
                at_us,
                cpu_share: *cpu_share,
                memory_share: *memory_share,
                process_bytes: *process_bytes,
            }),
            Event::TransactionRolledBack { reason, .. } if self.rolled_back.len() < REPORT_MISHAPS_MAX => {
                self.rolled_back.push(RolledBack { at_us, reason: reason.clone() });
            }
            Event::RunEnded(_) => self.ended = true,
            event => {
                if let Some(alert) = AlertRecord::of(event, at_us) {
                    alert.keep(&mut self.alerts);
                }
            }
        }
    }

    fn abandon(&mut self, batch: u64, to_us: u64, reason: &str) {
        let (from_us, items) = self.open.remove(&batch).unwrap_or((to_us, 0));
        self.keep(Abandoned { batch, items, from_us, to_us, reason: reason.to_owned() });
    }

    fn keep(&mut self, abandoned: Abandoned) {
        if self.abandoned.len() < REPORT_MISHAPS_MAX {
            self.abandoned.push(abandoned);
        } else {
            self.abandoned_left_out += 1;
        }
    }

    /// No line follows.
    pub(super) fn details(mut self) -> Details {
        if !self.ended {
            let (open, now) = (std::mem::take(&mut self.open), self.now_us);
            for (batch, (from_us, items)) in open {
                let reason = "not committed when the recording ends".to_owned();
                self.keep(Abandoned { batch, items, from_us, to_us: now, reason });
            }
        }
        // What is at work is known no longer.
        self.lanes.push((self.now_us, 0));
        self.abandoned.sort_by_key(|batch| batch.from_us);
        Details {
            abandoned: self.abandoned,
            abandoned_left_out: self.abandoned_left_out,
            health: self.health.into_vec(),
            lanes: self.lanes.into_vec(),
            rolled_back: self.rolled_back,
            alerts: self.alerts,
            plugins: self.plugins,
            unreadable: self.unreadable,
            first_batch: self.first_batch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_us: u64, event: &str) -> String {
        format!(r#"{{"schema":1,"seq":0,"time_ms":0,"elapsed_us":{at_us},"run":1,{event}}}"#)
    }

    fn started(batch: u64) -> String {
        format!(
            r#""event":"batch-started","batch":{batch},"first_ordinal":0,"last_ordinal":4,"items":5,"batch_size":5,"lanes":1,"slots":[]"#
        )
    }

    #[test]
    fn events_of_the_run_are_taken_and_others_passed_over() {
        let mut recorded = Recorded::of("mine");
        recorded.line(&line(0, r#""event":"run-started","uuid":"other""#));
        recorded.line(&line(5, r#""event":"lanes-in-use","lanes":9"#));
        assert!(!recorded.found());
        recorded.line(&line(0, r#""event":"run-started","uuid":"mine""#));
        recorded.line(&line(5, r#""event":"lanes-in-use","lanes":2"#));
        recorded.line(&line(10, &started(3)));
        recorded.line(&line(20, &started(4)));
        recorded.line(&line(30, r#""event":"batch-abandoned","batch":3,"reason":"stopped""#));
        recorded.line(&line(40, r#""event":"transaction-rolled-back","group":1,"reason":"disk full""#));
        recorded.line(&line(50, r#""event":"of-a-newer-host""#));
        recorded.line(&line(
            35,
            r#""event":"alert-raised","alert":"HIGH_MEMORY","batch":3,"value":0.95,"threshold":0.9,"message":"much""#,
        ));
        recorded.line("{\"half");
        assert!(recorded.found());
        let details = recorded.details();
        assert_eq!(details.lanes, [(5, 2), (40, 0)]);
        let abandoned: Vec<_> = details.abandoned.iter().map(|a| (a.batch, a.from_us, a.to_us, a.items)).collect();
        assert_eq!(abandoned, [(3, 10, 30, 5), (4, 20, 40, 5)]);
        assert_eq!((details.alerts.len(), details.alerts[0].elapsed_us), (1, 35));
        assert_eq!((details.rolled_back.len(), details.unreadable, details.first_batch), (1, 2, Some(3)));
    }
}
