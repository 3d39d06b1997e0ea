//! Smaller plans while memory is short, errors rise, the write-ahead log grows or the host is unhealthy, and their recovery.

use crate::limits::SHARE_ITEMS_MIN;
use crate::strategy::optimum::{Pressure, optimal_batch_size};
use crate::strategy::{BatchSample, Interval, Signals, Tolerance};

/// Memory counts as free again this far below the share at which it counts as short, so that plans do not flap.
const MEMORY_CALM: f64 = 0.05;
/// Part of the size that is left where memory is about to be out. Up to the share tolerated other processes may be the
/// reason, and batches keep a quarter of their size; from there on they may shrink further, and lanes go too.
const FLOOR_CRITICAL: f64 = 0.05;
/// Memory counts as fuller than when it was last answered from this difference on.
const MEMORY_STEP: f64 = 0.01;
/// Committed batches in which an answer to short memory can show its effect: what was under way is done by then.
const MEMORY_WAIT: u32 = 8;
/// The log counts as short again below this part of its bound.
const WAL_CALM: f64 = 0.75;
const FLOOR: f64 = 0.25;
/// An unhealthy host may have reasons that no size of batches cures, so that half of it is kept.
const FLOOR_UNHEALTHY: f64 = 0.5;
/// Plans after which being unhealthy counts as usual: by then smaller batches have not cured it.
const UNHEALTHY_USUAL: u32 = 32;
/// One step down takes away at least a fifth, else it would be lost in rounding.
const STEP_DOWN_MIN: f64 = 0.8;
/// One step of recovery: geometric, so that the way back from a tenth takes four steps.
const STEP_UP: f64 = 2.0;
/// Committed batches between two steps, so that each step can show its effect before the next.
const BATCHES_BETWEEN: u32 = 2;
/// Committed batches between a step down and the first step of recovery: the cool-down.
const COOL_DOWN: u32 = 4;
/// Weight of a batch in the recent share of errors, and in the usual one.
const RECENT: f64 = 0.3;
const USUAL: f64 = 0.03;
/// A batch of fewer items weighs less: one failed item of a handful is no burst of errors.
const ITEMS_ENOUGH: f64 = SHARE_ITEMS_MIN as f64;

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
        ((size as f64 * given) as usize).max(1)
    }

    /// Lanes under the brake. Every lane has sandboxes of its own, but costs its whole share of the throughput, where a
    /// smaller size costs a few percent: only where a quarter of the size was not enough, up to half of the lanes go.
    pub fn lanes(&self, lanes: usize) -> usize {
        (lanes as f64 * (self.memory / FLOOR).clamp(0.5, 1.0)).ceil() as usize
    }

    /// True if memory does not hold plans back.
    pub fn memory_is_free(&self) -> bool {
        self.memory >= 1.0
    }

    /// Takes in one committed batch.
    pub fn add(&mut self, sample: &BatchSample) {
        self.batches = self.batches.saturating_add(1);
        if sample.items > 0 {
            let share = (sample.failed as f64 / sample.items as f64).min(1.0);
            let weight = (sample.items as f64 / ITEMS_ENOUGH).min(1.0);
            self.recent += RECENT * weight * (share - self.recent);
            self.usual += USUAL * weight * (share - self.usual);
        }
    }

    /// One step down or up, if it is time for one; the reason if there was one.
    pub fn update(&mut self, signals: &Signals) -> Option<String> {
        self.unhealthy = if signals.unhealthy { self.unhealthy.saturating_add(1) } else { 0 };
        let memory = signals.memory();
        let critical = memory >= Some(signals.tolerance.memory_share);
        if self.batches < BATCHES_BETWEEN && !(critical && memory != self.memory_answered) {
            return None;
        }
        if let Some(why) = self.press(signals) {
            (self.batches, self.pressed) = (0, true);
            return Some(why);
        }
        if self.pressed && self.batches < COOL_DOWN {
            return None;
        }
        let why = self.release(signals)?;
        (self.batches, self.pressed) = (0, false);
        Some(why)
    }

    fn press(&mut self, signals: &Signals) -> Option<String> {
        let (memory, wal, tolerance) = (signals.memory(), signals.wal(), signals.tolerance);
        let nothing = Pressure { tolerance, ..Pressure::default() };
        let fuller = |share: f64| match self.memory_answered {
            Some(answered) => {
                let effective = share >= tolerance.memory_share || self.batches >= MEMORY_WAIT;
                share >= answered + MEMORY_STEP || effective && share != answered
            }
            None => true,
        };
        if let Some(share) = memory.filter(|m| *m >= tolerance.memory_short() && fuller(*m)) {
            self.memory_answered = memory;
            let floor = memory_floor(share, &tolerance).min(self.memory);
            if shrink(&mut self.memory, Pressure { memory, ..nothing }, floor) {
                let (used, wanted) = (memory_in_words(signals, share), tolerance.memory_short() * 100.0);
                return Some(format!("memory is {used}, {wanted:.0} % wanted: smaller"));
            }
        }
        if let Some(share) = wal.filter(|w| *w >= 1.0 && Some(*w) != self.wal_answered) {
            self.wal_answered = wal;
            if shrink(&mut self.wal, Pressure { wal, ..nothing }, FLOOR) {
                let wanted = tolerance.wal_bytes as f64 / 1e6;
                let has = share * wanted;
                return Some(format!("the write-ahead log has {has:.0} MB, {wanted:.0} MB wanted: smaller"));
            }
        }
        if self.errors_rise(&tolerance) {
            let pressure = Pressure { errors: Some(self.recent), ..nothing };
            if shrink(&mut self.errors, pressure, FLOOR) {
                let (recent, usual) = (self.recent * 100.0, self.usual * 100.0);
                return Some(format!("{recent:.0} % of the items fail, {usual:.0} % are usual: smaller"));
            }
        }
        let unhealthy = (1..UNHEALTHY_USUAL).contains(&self.unhealthy);
        if unhealthy && shrink(&mut self.health, nothing, FLOOR_UNHEALTHY) {
            return Some("the host is unhealthy: smaller".to_owned());
        }
        None
    }

    fn release(&mut self, signals: &Signals) -> Option<String> {
        let (memory, wal, tolerance) = (signals.memory(), signals.wal(), signals.tolerance);
        if self.memory < 1.0 && memory.is_none_or(|m| m < tolerance.memory_short() - MEMORY_CALM) {
            self.memory = recovered(self.memory);
            self.memory_answered = None;
            return Some(match memory {
                Some(share) => format!("memory is {} again: larger", memory_in_words(signals, share)),
                None => "how much memory is in use is no longer known: larger".to_owned(),
            });
        }
        if self.wal < 1.0 && wal.is_none_or(|w| w < WAL_CALM) {
            self.wal = recovered(self.wal);
            self.wal_answered = None;
            return Some("the write-ahead log is short again: larger".to_owned());
        }
        if self.errors < 1.0 && !self.errors_rise(&tolerance) {
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

    fn errors_rise(&self, tolerance: &Tolerance) -> bool {
        self.recent > tolerance.error_share && self.recent >= 2.0 * self.usual
    }
}

/// The machine's memory, or this process' part of its budget, whichever is tighter.
fn memory_in_words(signals: &Signals, share: f64) -> String {
    let of = if signals.budget() == Some(share) { "of the budget" } else { "in use" };
    format!("{:.0} % {of}", share * 100.0)
}

/// The least part of the size that memory leaves. Between the share tolerated and out it sinks in whole steps, so that
/// memory that fills slowly does not change every plan.
fn memory_floor(share: f64, tolerance: &Tolerance) -> f64 {
    let (critical, out) = (tolerance.memory_share, tolerance.memory_out());
    match (share - critical) / (out - critical) {
        part if part < 0.0 => FLOOR,
        part if part < 1.0 => {
            let line = FLOOR + part * (FLOOR_CRITICAL - FLOOR);
            FLOOR * STEP_DOWN_MIN.powf(((line / FLOOR).ln() / STEP_DOWN_MIN.ln()).floor())
        }
        _ => 1e-6,
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::strategy::Bounds;

    fn signals() -> Signals {
        Signals::new(Bounds::of_cores(NonZeroUsize::MIN))
    }

    fn batch(items: u64, failed: u64) -> BatchSample {
        BatchSample { items, failed, ..BatchSample::default() }
    }

    /// Committed batches until the next step, with what it says.
    fn next_step(brake: &mut Brake, signals: &Signals) -> (u32, String) {
        for batches in 0..1000 {
            if let Some(why) = brake.update(signals) {
                return (batches, why);
            }
            brake.add(&batch(100, 0));
        }
        panic!("no step in 1000 batches: {brake:?}");
    }

    #[test]
    fn after_a_step_down_the_first_step_up_waits_and_the_others_wait_less() {
        let mut brake = Brake::default();
        let mut signals = signals();
        signals.memory_share = Some(0.95);
        assert_eq!(next_step(&mut brake, &signals).0, 0, "pressure acts at once");
        while brake.memory > FLOOR_CRITICAL {
            signals.memory_share = signals.memory_share.map(|share| share + 0.001);
            next_step(&mut brake, &signals);
        }
        signals.memory_share = Some(0.4);
        let (waited, why) = next_step(&mut brake, &signals);
        assert_eq!((waited, why.as_str()), (COOL_DOWN, "memory is 40 % in use again: larger"));
        while !brake.released() {
            let before = brake.memory;
            assert_eq!(next_step(&mut brake, &signals).0, BATCHES_BETWEEN);
            assert!(brake.memory <= (STEP_UP * before).max(0.02) + 1e-9 || brake.memory == 1.0, "{before} {brake:?}");
        }
    }

    #[test]
    fn a_failed_item_of_a_handful_is_no_burst_of_errors() {
        for (items, failed, burst) in [(1, 1, false), (5, 1, false), (5, 2, false), (20, 10, true), (1000, 500, true)] {
            let mut brake = Brake::default();
            brake.add(&batch(items, failed));
            let why = brake.update(&signals());
            assert_eq!(why.is_some(), burst, "{failed} of {items}: {why:?}");
        }
    }

    #[test]
    fn what_is_tolerated_decides_and_not_a_constant() {
        let tolerant = Tolerance { memory_share: 1.0, error_share: 0.9, wal_bytes: u64::MAX };
        let mut loaded = signals();
        (loaded.memory_share, loaded.wal_bytes) = (Some(0.85), Some(2 << 30));
        for (tolerance, steps) in [(Tolerance::default(), true), (tolerant, false)] {
            loaded.tolerance = tolerance;
            let mut brake = Brake::default();
            brake.add(&batch(100, 50));
            let mut whys = Vec::new();
            for _ in 0..20 {
                whys.extend(brake.update(&loaded));
                brake.add(&batch(100, 50));
            }
            for word in ["memory", "log", "fail"] {
                assert_eq!(whys.iter().any(|why| why.contains(word)), steps, "{word}: {whys:?}");
            }
        }
    }

    #[test]
    fn no_error_is_none_too_many_even_where_none_is_tolerated() {
        let mut strict = signals();
        strict.tolerance.error_share = 0.0;
        let mut brake = Brake::default();
        for _ in 0..50 {
            assert_eq!(brake.update(&strict), None);
            brake.add(&batch(100, 0));
        }
    }
}
