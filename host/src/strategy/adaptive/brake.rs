//! Smaller plans while memory is short or errors rise, and their recovery.

use crate::strategy::optimum::{ERRORS_MANY, MEMORY_SHORT, Pressure, optimal_batch_size};
use crate::strategy::{BatchSample, Interval, Signals};

/// Memory counts as free again this far below the share at which it counts as short, so that plans do not flap.
const MEMORY_CALM: f64 = MEMORY_SHORT - 0.05;
/// From this share on memory may shrink batches down to their bound; below, other processes may be the reason, and
/// batches keep a quarter of their size.
const MEMORY_CRITICAL: f64 = 0.90;
const FLOOR: f64 = 0.25;
/// One step down takes away at least a fifth, else it would be lost in rounding.
const STEP_DOWN_MIN: f64 = 0.8;
/// One step of recovery.
const STEP_UP: f64 = 1.5;
/// Committed batches between two steps, so that each step can show its effect before the next.
const BATCHES_BETWEEN: u32 = 2;
/// Weight of a batch in the recent share of errors, and in the usual one.
const RECENT: f64 = 0.3;
const USUAL: f64 = 0.03;

/// How much of the size is given. 1 is all of it.
#[derive(Debug)]
pub(super) struct Brake {
    memory: f64,
    errors: f64,
    /// Recent and usual share of errors. Many errors that are usual are no reason for small batches: these would not
    /// lessen them. So only a share that rises clearly above the usual one counts.
    recent: f64,
    usual: f64,
    batches: u32,
    /// Reading of memory that the last step answered; an unchanged reading is not a new one.
    answered: Option<f64>,
}

impl Default for Brake {
    fn default() -> Self {
        Self { memory: 1.0, errors: 1.0, recent: 0.0, usual: 0.0, batches: BATCHES_BETWEEN, answered: None }
    }
}

impl Brake {
    /// True if plans are not held back.
    pub fn released(&self) -> bool {
        self.memory >= 1.0 && self.errors >= 1.0
    }

    /// Size under the brake, before the bounds.
    pub fn size(&self, size: usize) -> usize {
        ((size as f64 * self.memory * self.errors).round() as usize).max(1)
    }

    /// Lanes under the brake: short memory takes up to half of them, since every lane has sandboxes of its own.
    pub fn lanes(&self, lanes: usize) -> usize {
        (lanes as f64 * self.memory.max(0.5)).ceil() as usize
    }

    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        self.batches = self.batches.saturating_add(1);
        if sample.items > 0 {
            let share = (sample.failed as f64 / sample.items as f64).min(1.0);
            self.recent += RECENT * (share - self.recent);
            self.usual += USUAL * (share - self.usual);
        }
    }

    /// One step down or up, if it is time for one; the reason if there was one.
    pub fn update(&mut self, signals: &Signals) -> Option<String> {
        let memory = signals.memory();
        if self.batches < BATCHES_BETWEEN && !(memory >= Some(MEMORY_CRITICAL) && memory != self.answered) {
            return None;
        }
        let why = self.press(memory).or_else(|| self.release(memory));
        if why.is_some() {
            self.batches = 0;
        }
        why
    }

    fn press(&mut self, memory: Option<f64>) -> Option<String> {
        if let Some(share) = memory.filter(|m| *m >= MEMORY_SHORT && Some(*m) != self.answered) {
            self.answered = memory;
            let floor = if share >= MEMORY_CRITICAL { 1e-6 } else { FLOOR.min(self.memory) };
            let next = (self.memory * step_down(Pressure { memory, ..Pressure::default() })).max(floor);
            if next < self.memory {
                self.memory = next;
                return Some(format!(
                    "memory is {:.0} % in use, {:.0} % wanted: smaller",
                    share * 100.0,
                    MEMORY_SHORT * 100.0
                ));
            }
        }
        if self.errors_rise() {
            let pressure = Pressure { errors: Some(self.recent), ..Pressure::default() };
            let next = (self.errors * step_down(pressure)).max(FLOOR);
            if next < self.errors {
                self.errors = next;
                let (recent, usual) = (self.recent * 100.0, self.usual * 100.0);
                return Some(format!("{recent:.0} % of the items fail, {usual:.0} % are usual: smaller"));
            }
        }
        None
    }

    fn release(&mut self, memory: Option<f64>) -> Option<String> {
        if self.memory < 1.0 && memory.is_none_or(|m| m < MEMORY_CALM) {
            self.memory = recovered(self.memory);
            self.answered = None;
            return Some(match memory {
                Some(share) => format!("memory is {:.0} % in use again: larger", share * 100.0),
                None => "how much memory is in use is no longer known: larger".to_owned(),
            });
        }
        if self.errors < 1.0 && !self.errors_rise() {
            self.errors = recovered(self.errors);
            return Some(format!("{:.0} % of the items fail, no longer rising: larger", self.recent * 100.0));
        }
        None
    }

    fn errors_rise(&self) -> bool {
        self.recent >= ERRORS_MANY && self.recent >= 2.0 * self.usual
    }
}

/// Factor of one step down, from the formula for the size.
fn step_down(pressure: Pressure) -> f64 {
    const SCALE: usize = 1_000_000;
    let all = Interval::new(1, SCALE).expect("1 is at most the scale");
    (optimal_batch_size(SCALE, all, pressure) as f64 / SCALE as f64).min(STEP_DOWN_MIN)
}

fn recovered(brake: f64) -> f64 {
    let next = brake.max(0.01) * STEP_UP;
    // Not a last tiny step.
    if next > 0.9 { 1.0 } else { next }
}
