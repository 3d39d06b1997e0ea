//! Decisions of a recorded run, made again from its events alone.

use super::{Aim, BatchSample, Bounds, Interval, Planned, Signals, Start, Strategy, Tolerance};
use crate::event::{Envelope, Event, PlanInputs};
use crate::model::Plan;

/// Shares are told in steps of this part: as text they have few digits, and what is read is what was written.
const SHARE_STEPS: f64 = 1e4;

/// A share as strategies see it and events tell it: 0..1, to a hundredth of a percent.
pub fn told_share(share: f64) -> f64 {
    (share.clamp(0.0, 1.0) * SHARE_STEPS).round() / SHARE_STEPS
}

impl Signals {
    /// What an event tells of these signals. `first`: also where an earlier run said to begin.
    pub fn inputs(&self, first: bool) -> PlanInputs {
        // Named one by one, so that nothing a strategy sees is forgotten here.
        let Self {
            sequence: _,
            bounds: Bounds { batch_size, lanes, start },
            batches: _,
            items_left,
            cpu_share,
            memory_share,
            process_bytes,
            memory_budget_bytes,
            lanes_busy,
            writer_busy,
            wal_bytes,
            unhealthy,
            tolerance,
            aim,
            batch_time_max_us,
        } = self;
        let start = start.as_ref().filter(|_| first);
        PlanInputs {
            batch_size_min: batch_size.min() as u64,
            batch_size_max: batch_size.max() as u64,
            lanes_min: lanes.min() as u64,
            lanes_max: lanes.max() as u64,
            start: start.map(|start| serde_json::to_string(start).expect("a start is plain data")),
            aim: aim.as_str().to_owned(),
            batch_time_max_us: *batch_time_max_us,
            items_left: *items_left,
            items_per_s: self.items_per_s(),
            error_share: self.error_share(),
            batch_p95_us: self.batch_p95_us(),
            cpu_share: *cpu_share,
            memory_share: *memory_share,
            process_bytes: *process_bytes,
            memory_budget_bytes: *memory_budget_bytes,
            lanes_busy: *lanes_busy,
            writer_busy: *writer_busy,
            wal_bytes: *wal_bytes,
            unhealthy: *unhealthy,
            memory_share_max: tolerance.memory_share,
            error_share_max: tolerance.error_share,
            wal_bytes_max: tolerance.wal_bytes,
        }
    }

    /// Takes over what an event told; the committed batches stay. False where the bounds are none.
    fn told(&mut self, batch: u64, inputs: &PlanInputs) -> bool {
        let interval = |min: u64, max: u64| Interval::new(usize::try_from(min).ok()?, usize::try_from(max).ok()?);
        let sizes = interval(inputs.batch_size_min, inputs.batch_size_max);
        let (Some(batch_size), Some(lanes)) = (sizes, interval(inputs.lanes_min, inputs.lanes_max)) else {
            return false;
        };
        self.sequence = batch;
        (self.bounds.batch_size, self.bounds.lanes) = (batch_size, lanes);
        if let Some(start) = &inputs.start {
            self.bounds.start = serde_json::from_str::<Start>(start).ok();
        }
        self.aim = if inputs.aim == Aim::Latency.as_str() { Aim::Latency } else { Aim::Throughput };
        self.batch_time_max_us = inputs.batch_time_max_us;
        self.items_left = inputs.items_left;
        (self.cpu_share, self.memory_share) = (inputs.cpu_share, inputs.memory_share);
        (self.process_bytes, self.memory_budget_bytes) = (inputs.process_bytes, inputs.memory_budget_bytes);
        (self.lanes_busy, self.writer_busy) = (inputs.lanes_busy, inputs.writer_busy);
        (self.wal_bytes, self.unhealthy) = (inputs.wal_bytes, inputs.unhealthy);
        self.tolerance = Tolerance {
            memory_share: inputs.memory_share_max,
            error_share: inputs.error_share_max,
            wal_bytes: inputs.wal_bytes_max,
        };
        true
    }
}

impl Start {
    /// As whoever reads the events will see it: the last digit of a number may be another once it was text.
    pub fn as_told(self) -> Self {
        /// The text of a number that was text settles at once, or nearly so.
        const ROUNDS: usize = 8;
        let mut start = self;
        for _ in 0..ROUNDS {
            let text = serde_json::to_string(&start).expect("a start is plain data");
            match serde_json::from_str(&text) {
                Ok(read) if read != start => start = read,
                _ => break,
            }
        }
        start
    }
}

/// A decision of the recording, and what the strategy makes of the same inputs now.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Batch that it is about.
    pub batch: u64,
    /// The plan that the recording tells.
    pub told: Plan,
    /// Its reason; none where the plan was kept.
    pub reason: Option<String>,
    /// The plan made now.
    pub again: Planned,
}

/// Feeds a strategy the events of one execution of a run. The same strategy makes the same plans; another one, or another
/// version of it, shows what it would have made of these measurements, though not what would have been measured then.
pub struct Replay {
    strategy: Box<dyn Strategy>,
    signals: Signals,
    plan: Option<Plan>,
}

impl Replay {
    /// For a strategy that has planned nothing yet.
    pub fn new(strategy: Box<dyn Strategy>) -> Self {
        let one = Interval::fixed(std::num::NonZeroUsize::MIN);
        Self { strategy, signals: Signals::new(Bounds { batch_size: one, lanes: one, start: None }), plan: None }
    }

    /// Takes the next event; gives the decision if it tells of one. A recording of an earlier version, which does not hold
    /// what decisions rest on, gives none.
    pub fn observe(&mut self, envelope: &Envelope) -> Option<Replayed> {
        let (batch, inputs, chosen) = match &envelope.event {
            Event::BatchCommitted(done) | Event::BatchApplied(done) => {
                self.signals.committed(BatchSample::new(done.batch, &done.counts, &done.metrics, done.committed_us));
                return None;
            }
            Event::PlanChosen { batch, batch_size, lanes, batches_in_flight, reason, inputs, .. } => {
                let number = |number: &u64| usize::try_from(*number).unwrap_or(usize::MAX);
                let plan = Plan {
                    batch_size: number(batch_size),
                    lanes: number(lanes),
                    batches_in_flight: number(batches_in_flight),
                };
                self.plan = Some(plan);
                (*batch, inputs, Some(reason.clone()))
            }
            Event::PlanKept { batch, inputs } => (*batch, inputs, None),
            _ => return None,
        };
        if !self.signals.told(batch, inputs) {
            return None;
        }
        let again = self.strategy.plan(&self.signals);
        Some(Replayed { batch, told: self.plan?, reason: chosen, again })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_signals_is_all_of_them_but_the_batches() {
        let mut signals = Signals::new(Bounds {
            batch_size: Interval::new(10, 500).unwrap(),
            lanes: Interval::new(1, 3).unwrap(),
            start: Some(Start { batch_size: 40, lanes: 2, source: "run 7".to_owned(), costs: None }),
        });
        signals.sequence = 12;
        (signals.items_left, signals.wal_bytes, signals.unhealthy) = (Some(7), Some(1 << 30), true);
        (signals.cpu_share, signals.memory_share) = (Some(told_share(0.123_456)), Some(told_share(7.0)));
        (signals.process_bytes, signals.memory_budget_bytes) = (Some(1), Some(2));
        (signals.lanes_busy, signals.writer_busy) = (Some(1.0 / 8.0), Some(0.0));
        (signals.aim, signals.batch_time_max_us) = (Aim::Latency, Some(7000));
        let text = serde_json::to_string(&signals.inputs(true)).unwrap();
        let mut again = Signals::new(Bounds::of_cores(std::num::NonZeroUsize::MIN));
        assert!(again.told(12, &serde_json::from_str(&text).unwrap()));
        assert_eq!(again, signals);
        assert_eq!((signals.cpu_share, signals.memory_share), (Some(0.1235), Some(1.0)));
        assert!(!again.told(13, &PlanInputs::default()), "bounds of nothing");
        assert_eq!(signals.inputs(false).start, None);
    }

    #[test]
    fn shares_are_read_as_they_were_written() {
        for step in 0..=10_000 {
            let share = told_share(f64::from(step) / 10_000.0 + 1e-7);
            let text = serde_json::to_string(&share).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), share.to_bits(), "{text}");
        }
    }
}
