//! Smaller plans while memory is short, errors rise, the write-ahead log grows or the host is unhealthy, and their recovery.

use crate::strategy::optimum::{ERRORS_MANY, MEMORY_SHORT, Pressure, optimal_batch_size};
use crate::strategy::{BatchSample, Interval, Signals, WAL_BYTES_MAX};

/// Memory counts as free again this far below the share at which it counts as short, so that plans do not flap.
const MEMORY_CALM: f64 = MEMORY_SHORT - 0.05;
/// From this share on memory may shrink batches down to their bound; below, other processes may be the reason, and
/// batches keep a quarter of their size.
const MEMORY_CRITICAL: f64 = 0.90;
/// The log counts as short again below this part of its bound.
const WAL_CALM: f64 = 0.75;
const FLOOR: f64 = 0.25;
/// An unhealthy host may have reasons that no size of batches cures, so that half of it is kept.
const FLOOR_UNHEALTHY: f64 = 0.5;
/// Plans after which being unhealthy counts as usual: by then smaller batches have not cured it.
const UNHEALTHY_USUAL: u32 = 32;
/// One step down takes away at least a fifth, else it would be lost in rounding.
const STEP_DOWN_MIN: f64 = 0.8;
/// One step of recovery.
const STEP_UP: f64 = 1.5;
/// Committed batches between two steps, so that each step can show its effect before the next.
const BATCHES_BETWEEN: u32 = 2;
/// Committed batches between a step down and the first step of recovery: the cool-down.
const COOL_DOWN: u32 = 4;
/// Weight of a batch in the recent share of errors, and in the usual one.
const RECENT: f64 = 0.3;
const USUAL: f64 = 0.03;

/// How much of the size is given, by each of the reasons to give less. 1 is all of it.
#[derive(Debug)]
pub(super) struct Brake {
    memory: f64,
    errors: f64,
    wal: f64,
    health: f64,
    /// Recent and usual share of errors. Many errors that are usual are no reason for small batches: these would not
    /// lessen them. So only a share that rises clearly above the usual one counts.
    recent: f64,
    usual: f64,
    /// Committed batches since the last step.
    batches: u32,
    /// The last step was one down.
    pressed: bool,
    /// Readings that the last steps answered; an unchanged reading is not a new one.
    memory_answered: Option<f64>,
    wal_answered: Option<f64>,
    /// Plans since the host became unhealthy.
    unhealthy: u32,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            memory: 1.0,
            errors: 1.0,
            wal: 1.0,
            health: 1.0,
            recent: 0.0,
            usual: 0.0,
            batches: COOL_DOWN,
            pressed: false,
            memory_answered: None,
            wal_answered: None,
            unhealthy: 0,
        }
    }
}

impl Brake {
    /// True if plans are not held back.
    pub fn released(&self) -> bool {
        [self.memory, self.errors, self.wal, self.health].iter().all(|given| *given >= 1.0)
    }

    /// Size under the brake, before the bounds.
    pub fn size(&self, size: usize) -> usize {
        let given = self.memory * self.errors * self.wal * self.health;
        ((size as f64 * given).round() as usize).max(1)
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
        self.unhealthy = if signals.unhealthy { self.unhealthy.saturating_add(1) } else { 0 };
        let memory = signals.memory();
        if self.batches < BATCHES_BETWEEN && !(memory >= Some(MEMORY_CRITICAL) && memory != self.memory_answered) {
            return None;
        }
        if let Some(why) = self.press(memory, signals.wal()) {
            (self.batches, self.pressed) = (0, true);
            return Some(why);
        }
        if self.pressed && self.batches < COOL_DOWN {
            return None;
        }
        let why = self.release(memory, signals.wal())?;
        (self.batches, self.pressed) = (0, false);
        Some(why)
    }

    fn press(&mut self, memory: Option<f64>, wal: Option<f64>) -> Option<String> {
        if let Some(share) = memory.filter(|m| *m >= MEMORY_SHORT && Some(*m) != self.memory_answered) {
            self.memory_answered = memory;
            let floor = if share >= MEMORY_CRITICAL { 1e-6 } else { FLOOR.min(self.memory) };
            if shrink(&mut self.memory, Pressure { memory, ..Pressure::default() }, floor) {
                let (share, wanted) = (share * 100.0, MEMORY_SHORT * 100.0);
                return Some(format!("memory is {share:.0} % in use, {wanted:.0} % wanted: smaller"));
            }
        }
        if let Some(share) = wal.filter(|w| *w >= 1.0 && Some(*w) != self.wal_answered) {
            self.wal_answered = wal;
            if shrink(&mut self.wal, Pressure { wal, ..Pressure::default() }, FLOOR) {
                let (has, wanted) = (share * WAL_BYTES_MAX as f64 / 1e6, WAL_BYTES_MAX as f64 / 1e6);
                return Some(format!("the write-ahead log has {has:.0} MB, {wanted:.0} MB wanted: smaller"));
            }
        }
        if self.errors_rise() {
            let pressure = Pressure { errors: Some(self.recent), ..Pressure::default() };
            if shrink(&mut self.errors, pressure, FLOOR) {
                let (recent, usual) = (self.recent * 100.0, self.usual * 100.0);
                return Some(format!("{recent:.0} % of the items fail, {usual:.0} % are usual: smaller"));
            }
        }
        let unhealthy = (1..UNHEALTHY_USUAL).contains(&self.unhealthy);
        if unhealthy && shrink(&mut self.health, Pressure::default(), FLOOR_UNHEALTHY) {
            return Some("the host is unhealthy: smaller".to_owned());
        }
        None
    }

    fn release(&mut self, memory: Option<f64>, wal: Option<f64>) -> Option<String> {
        if self.memory < 1.0 && memory.is_none_or(|m| m < MEMORY_CALM) {
            self.memory = recovered(self.memory);
            self.memory_answered = None;
            return Some(match memory {
                Some(share) => format!("memory is {:.0} % in use again: larger", share * 100.0),
                None => "how much memory is in use is no longer known: larger".to_owned(),
            });
        }
        if self.wal < 1.0 && wal.is_none_or(|w| w < WAL_CALM) {
            self.wal = recovered(self.wal);
            self.wal_answered = None;
            return Some("the write-ahead log is short again: larger".to_owned());
        }
        if self.errors < 1.0 && !self.errors_rise() {
            self.errors = recovered(self.errors);
            return Some(format!("{:.0} % of the items fail, no longer rising: larger", self.recent * 100.0));
        }
        if self.health < 1.0 && !(1..UNHEALTHY_USUAL).contains(&self.unhealthy) {
            self.health = recovered(self.health);
            let why = if self.unhealthy > 0 { "the host stays unhealthy, as usual" } else { "the host is well again" };
            return Some(format!("{why}: larger"));
        }
        None
    }

    fn errors_rise(&self) -> bool {
        self.recent >= ERRORS_MANY && self.recent >= 2.0 * self.usual
    }
}

/// One step down, by the formula for the size; false where the floor is reached.
fn shrink(given: &mut f64, pressure: Pressure, floor: f64) -> bool {
    const SCALE: usize = 1_000_000;
    let all = Interval::new(1, SCALE).expect("1 is at most the scale");
    let factor = (optimal_batch_size(SCALE, all, pressure) as f64 / SCALE as f64).min(STEP_DOWN_MIN);
    let next = (*given * factor).max(floor);
    let smaller = next < *given;
    if smaller {
        *given = next;
    }
    smaller
}

fn recovered(given: f64) -> f64 {
    let next = given.max(0.01) * STEP_UP;
    // Not a last tiny step.
    if next > 0.9 { 1.0 } else { next }
}
