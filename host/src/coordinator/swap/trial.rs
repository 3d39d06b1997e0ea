//! The trial of a candidate: old and new version beside each other on the items of late, and the new one on dead letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ask::{Kind, ask, compare, kind, why};
use super::inputs::{Input, lookup};
use super::{Refused, SwapSettings};
use crate::coordinator::chunk::ItemResult;
use crate::coordinator::shared::RunShared;
use crate::error::Code;
use crate::event::{SwapDiffering, SwapFigures};
use crate::limits;
use crate::model::{Fate, Item};
use crate::plugin::{Call, CallRuntime, Fault, Slot};

/// See the module.
pub struct Trial<'a> {
    pub run: &'a RunShared,
    pub runtime: &'a CallRuntime,
    pub old: &'a Arc<Slot>,
    pub new: &'a Arc<Slot>,
    pub settings: SwapSettings,
    pub stop: &'a AtomicBool,
    /// When it must be over.
    pub until: Instant,
    pub figures: SwapFigures,
}

impl Trial<'_> {
    /// Runs both on these inputs, some at a time.
    ///
    /// Errors: why the candidate does not pass. What was measured by then is in the figures.
    pub fn compare(&mut self, inputs: &[Input]) -> Result<(), Refused> {
        let mut compared = Vec::new();
        for part in inputs.chunks(limits::SWAP_TRIAL_CALL_ITEMS) {
            let items: Vec<Item<'_>> = part.iter().map(Input::item).collect();
            self.compare_call(&items, &mut compared)?;
        }
        self.judge_extent(inputs.len() as u64)?;
        self.judge_time(&compared)?;
        self.judge_fates()
    }

    /// Runs both on these items, in one call each; where the old one does not get through with them in time, item by item.
    fn compare_call<'i>(&mut self, items: &[Item<'i>], compared: &mut Vec<Vec<Item<'i>>>) -> Result<(), Refused> {
        if self.over() {
            return Ok(());
        }
        let Some(answers) = self.old_answers(items) else {
            return items.iter().try_for_each(|item| self.compare_call(&[*item], compared));
        };
        // Items on which the old one fails prove nothing against the new one.
        let (items, was): (Vec<Item<'_>>, Vec<ItemResult>) = answers.into_iter().unzip();
        if items.is_empty() {
            return Ok(());
        }
        let is = self.ask(self.new, &items).map_err(|fault| self.culprit(&items, &fault))?;
        for ((item, old), new) in items.iter().zip(&was).zip(&is) {
            compare(&mut self.figures, *item, old, new);
            if kind(new) == Kind::Failed {
                let reason = format!("it fails on item {:?}, on which the old one does not: {}", item.id, why(new));
                return Err(Refused::new(Code::SwapProbe, reason));
            }
        }
        compared.push(items);
        Ok(())
    }

    /// What the old one says, for the items on which it does not fail; none if it takes too long for all of them in one call.
    fn old_answers<'i>(&mut self, items: &[Item<'i>]) -> Option<Vec<(Item<'i>, ItemResult)>> {
        let answers = match self.ask(self.old, items) {
            Ok(results) => items.iter().copied().zip(results).collect(),
            Err(fault) if fault.code == Code::GuestDeadline && items.len() > 1 => return None,
            Err(fault) if fault.code == Code::GuestDeadline => Vec::new(),
            Err(_) => {
                let alone = |item: &Item<'i>| Some((*item, self.ask(self.old, &[*item]).ok()?.pop()?));
                items.iter().filter_map(alone).collect::<Vec<_>>()
            }
        };
        let before = answers.len();
        let sound: Vec<_> = answers.into_iter().filter(|(_, result)| kind(result) != Kind::Failed).collect();
        self.figures.faults_old += (items.len() - before.min(items.len()) + before - sound.len()) as u64;
        Some(sound)
    }

    /// What nothing is known of does not pass. Where the old one has failed on every item that there was time for, such as one
    /// that hangs, there is nothing to know, and nothing to lose.
    fn judge_extent(&self, inputs: u64) -> Result<(), Refused> {
        if self.figures.items > 0 || self.figures.faults_old > 0 || inputs == 0 {
            return Ok(());
        }
        let reason = format!(
            "the old one takes so long that none of {inputs} items of late could be compared within {} s",
            limits::SWAP_TRIAL_TIME_MAX.as_secs()
        );
        Err(Refused::new(Code::SwapProbe, reason))
    }

    fn ask(&self, slot: &Arc<Slot>, items: &[Item<'_>]) -> Result<Vec<ItemResult>, Fault> {
        ask(slot, self.run, self.runtime, &self.call(slot), items, lookup(self.run)).0
    }

    fn call(&self, slot: &Slot) -> Call {
        Call {
            run: Arc::clone(&self.run.uuid),
            batch: 0,
            attempt: 1,
            deadline: slot.deadline().unwrap_or(self.run.deadline),
            now_ms: self.run.now_ms,
            seed: self.run.seed,
            log: Arc::default(),
        }
    }

    /// Names the item on which the candidate fails. After a deadline that would take too long.
    fn culprit(&mut self, items: &[Item<'_>], fault: &Fault) -> Refused {
        let mut part = items;
        while part.len() > 1 && fault.code != Code::GuestDeadline && !self.over() {
            let (first, second) = part.split_at(part.len() / 2);
            part = if self.ask(self.new, first).is_err() { first } else { second };
        }
        self.figures.faults_new += 1;
        let first = part.first().map_or("", |item| item.id);
        let place = match part.len() {
            1 => format!("item {first:?}"),
            count => format!("{count} items from {first:?} on"),
        };
        Refused::new(Code::SwapProbe, format!("it fails on {place}, on which the old one does not: {fault}"))
    }

    /// Times of both on the same items, call by call in turn: the best of each call counts, since the machine may be busy. As
    /// long as the new one seems to be too slow there are further rounds: one that is not needs a quiet moment for each call.
    fn judge_time(&mut self, calls: &[Vec<Item<'_>>]) -> Result<(), Refused> {
        if calls.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let mut best = vec![(Duration::MAX, Duration::MAX); calls.len()];
        let (mut old, mut new, mut slow) = (0, 0, false);
        for round in 1..=limits::SWAP_TRIAL_ROUNDS {
            for (best, call) in best.iter_mut().zip(calls) {
                best.0 = best.0.min(self.timed(self.old, call));
                best.1 = best.1.min(self.timed(self.new, call));
                if self.over() {
                    break;
                }
            }
            // Calls that the time did not suffice for are not compared.
            let timed = best.iter().filter(|(_, new)| *new < Duration::MAX);
            let sums = timed.fold((Duration::ZERO, Duration::ZERO), |sum, best| (sum.0 + best.0, sum.1 + best.1));
            (old, new) = (sums.0.as_nanos() as u64, sums.1.as_nanos() as u64);
            slow = too_slow(old, new, limits::SWAP_TRIAL_NOISE, self.settings.slowdown_max);
            // What takes long is not told apart by a pause or two of the machine; nor is there time for it.
            let (few, long) = (round < limits::SWAP_TRIAL_ROUNDS_MIN, begun.elapsed() > limits::SWAP_TRIAL_ROUNDS_TIME);
            let enough = if slow { long && !few } else { long || !few };
            if enough || self.over() {
                break;
            }
        }
        let timed = best.iter().zip(calls).filter(|((_, new), _)| *new < Duration::MAX);
        let items = timed.map(|(_, call)| call.len() as u64).sum::<u64>().max(1);
        let (old, new) = (old / items, new / items);
        (self.figures.item_ns_old, self.figures.item_ns_new) = (old, new);
        if slow {
            let most = self.settings.slowdown_max;
            let reason = format!(
                "it takes {} per item, the old one {}; up to {most} times as long is accepted (--swap-slowdown)",
                us(new),
                us(old)
            );
            return Err(Refused::new(Code::SwapProbe, reason));
        }
        Ok(())
    }

    fn timed(&self, slot: &Arc<Slot>, items: &[Item<'_>]) -> Duration {
        let begin = Instant::now();
        // Both have answered these items before; a fault now would come again in its probation.
        let _ = self.ask(slot, items);
        begin.elapsed()
    }

    fn judge_fates(&self) -> Result<(), Refused> {
        match too_different(&self.figures, self.settings.difference_percent) {
            Some(reason) => Err(Refused::new(Code::SwapProbe, reason)),
            None => Ok(()),
        }
    }

    /// Counts the dead letters that pass now. A letter of which several pieces come passes if all do.
    ///
    /// Errors: the candidate fails on one that was rejected in good order, and on which the old one does not fail now either.
    pub fn letters(&mut self, letters: &[Fate], inputs: &[Input]) -> Result<(), Refused> {
        self.figures.letters = letters.len() as u64;
        for (source, fate) in letters.iter().enumerate() {
            let mut passes = None;
            for input in inputs.iter().filter(|input| input.source == source) {
                if self.over() {
                    return Ok(());
                }
                let (is, why) = self.alone(self.new, input);
                if is == Kind::Failed && *fate == Fate::Rejected && self.alone(self.old, input).0 != Kind::Failed {
                    self.figures.faults_new += 1;
                    let reason = format!(
                        "it fails on the dead letter of item {:?}, on which the old one does not: {why}",
                        input.id
                    );
                    return Err(Refused::new(Code::SwapProbe, reason));
                }
                let lets_pass = matches!(is, Kind::Passes | Kind::Dropped);
                passes = Some(passes.unwrap_or(true) && lets_pass);
            }
            self.figures.letters_passing += u64::from(passes == Some(true));
        }
        Ok(())
    }

    /// What a version says of one item, and why if it fails on it.
    fn alone(&self, slot: &Arc<Slot>, input: &Input) -> (Kind, String) {
        match self.ask(slot, &[input.item()]) {
            Err(fault) => (Kind::Failed, fault.to_string()),
            Ok(results) => results.first().map_or((Kind::Failed, String::new()), |result| (kind(result), why(result))),
        }
    }

    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

/// True if this time for the same items, in nanoseconds, is beyond what a new version may take, and beyond what is noise.
pub fn too_slow(old_ns: u64, new_ns: u64, noise: Duration, times: u64) -> bool {
    new_ns > old_ns.saturating_mul(times) && u128::from(new_ns) > noise.as_nanos()
}

/// Why the fates differ too much, if they do. Beside live batches another body counts as well (`shadow`).
pub fn too_different(figures: &SwapFigures, percent: u64) -> Option<String> {
    let found = figures.fates_differing;
    (found * 100 > percent * figures.items).then(|| {
        let shown = figures.differing.iter().find(|one| one.at.is_none()).or(figures.differing.first());
        let first = shown.map_or_else(String::new, |one| format!("; {}", in_words(one)));
        format!(
            "it answers otherwise for {found} of {} items; up to {percent} of 100 are accepted (--swap-difference){first}",
            figures.items
        )
    })
}

/// An item that is answered differently.
pub fn in_words(one: &SwapDiffering) -> String {
    let SwapDiffering { id, old, new, at } = one;
    match at.as_deref() {
        None => format!("item {id:?} was {old}, is {new}"),
        Some("") => format!("item {id:?} has another body"),
        Some(at) => format!("item {id:?} differs at {at}"),
    }
}

/// Nanoseconds as microseconds with one digit.
pub fn us(ns: u64) -> String {
    format!("{:.1} µs", ns as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, Ordinal, Outcome};
    use crate::source::{Decoder, MissingId};

    /// What the trial says of two operations that keep every item, if it has so much time; and the items compared.
    fn tried(inputs: &[Input], time: Duration) -> (Result<(), String>, u64) {
        let keep = || {
            let operation = |_: &Call, _: Item<'_>| Outcome::Keep;
            Arc::new(Slot::of_operation(Name::parse("work").unwrap(), Arc::new(operation)))
        };
        let (old, new) = (keep(), keep());
        let run = RunShared {
            uuid: "run".into(),
            deadline: limits::DEADLINE,
            now_ms: 0,
            seed: 0,
            target: Name::parse("items").unwrap(),
            body_decoder: Decoder::new(None, MissingId::Ordinal),
            view: None,
        };
        let runtime = CallRuntime::new().unwrap();
        let mut trial = Trial {
            run: &run,
            runtime: &runtime,
            old: &old,
            new: &new,
            settings: SwapSettings::default(),
            stop: &AtomicBool::new(false),
            until: Instant::now() + time,
            figures: SwapFigures::default(),
        };
        let judged = trial.compare(inputs).map_err(|refused| refused.reason);
        (judged, trial.figures.items)
    }

    #[test]
    fn a_trial_that_has_no_time_to_compare_anything_does_not_pass() {
        let input = |n| Input { source: 0, ordinal: Ordinal(n), id: n.to_string(), body: "{}".to_owned() };
        let inputs: Vec<Input> = (0..20).map(input).collect();
        assert_eq!(tried(&inputs, Duration::from_secs(60)), (Ok(()), 20));
        let (judged, compared) = tried(&inputs, Duration::ZERO);
        assert!(judged.unwrap_err().contains("none of 20 items of late could be compared"));
        assert_eq!(compared, 0);
        assert_eq!(tried(&[], Duration::ZERO), (Ok(()), 0), "there were none");
    }
}
