//! How a plugin that is to take a slot, or has taken it, does on live batches: beside the old one first, then on probation.
//!
//! Invariant: a batch that was not sent to the writer when its plugin is put back is computed again from its beginning.

use std::sync::Arc;

use super::Run;
use super::steps::{Meta, Step, Words};
use super::swapping::Probation;
use crate::coordinator::flight::Flight;
use crate::coordinator::swap::Refused;
use crate::coordinator::swap::SwapSettings;
use crate::coordinator::swap::probation::{self, SlotBatch};
use crate::coordinator::swap::shadow::Shadow;
use crate::event::SwapFigures;
use crate::limits;
use crate::model::BatchNumber;
use crate::plugin::Slot;

impl Run<'_> {
    /// The candidates that the next batch runs beside its plugins.
    pub(super) fn shadows_of_cut(&mut self) -> Arc<[Arc<Shadow>]> {
        let wanted = self.parts.swapping.settings.shadow_batches;
        let mut shadows = Vec::new();
        for candidate in &mut self.swapper.candidates {
            if let Some((shadow, cut, _)) = &mut candidate.shadow
                && *cut < wanted
            {
                *cut += 1;
                shadows.push(Arc::clone(shadow));
            }
        }
        shadows.into()
    }

    /// A batch that candidates ran beside is on its way to the writer.
    pub(super) fn shadows_done(&mut self, flight: &Flight) {
        let settings = self.parts.swapping.settings;
        if flight.shadows.is_empty() {
            return;
        }
        let did = flight.slot_batches();
        for shadow in flight.shadows.iter() {
            let Some(candidate) = self.swapper.candidate(shadow.number) else { continue };
            let Some((_, cut, done)) = &mut candidate.shadow else { continue };
            // A batch in which there was nothing to ask is replaced by another one.
            if !did[shadow.place].tells() {
                *cut -= 1;
                continue;
            }
            *done += 1;
            if *done < settings.shadow_batches && !shadow.failed() {
                continue;
            }
            let (figures, judged) = shadow.judge(*done, settings.difference_percent);
            shadow.close();
            let Some(candidate) = self.swapper.take(shadow.number) else { continue };
            match judged {
                Ok(()) => {
                    let reason = format!(
                        "beside {} batches, {} of {} items have another outcome",
                        figures.batches,
                        figures.fates_differing + figures.bodies_differing,
                        figures.items
                    );
                    self.tell_swap(
                        Step::Shadowed,
                        &candidate.meta,
                        Words { figures: Some(figures), ..Words::of(reason) },
                    );
                    self.take_effect(candidate.meta, Arc::clone(&shadow.candidate));
                }
                Err(refused) => {
                    self.tell_swap(Step::Refused, &candidate.meta, Words::refused(refused, Some(figures)));
                }
            }
        }
    }

    /// Judges what is on probation by the oldest batch, before it is sent. False if a plugin was put back, and the batch
    /// is computed again.
    pub(super) fn passes_probation(&mut self) -> bool {
        let Some(flight) = self.flights.front() else { return true };
        if self.parts.swapping.loader.is_none() {
            return true;
        }
        let (number, chain) = (flight.number, Arc::clone(&flight.chain));
        let settings = self.parts.swapping.settings;
        let did = chain.slots().cloned().zip(flight.slot_batches());
        let did: Vec<_> = did.filter(|(_, did)| did.tells()).collect();
        // All are judged before anything is noted: a batch that is computed again is seen again. The last ones first, since what
        // fails by itself is held against nobody before it.
        for (slot, did) in did.iter().rev() {
            if let Some((at, refused, figures)) = fails(&self.swapper.probations, slot, did, settings) {
                self.put_back(at, number, refused, figures);
                return false;
            }
            if let Some((at, refused, _)) = fails(&self.swapper.superseded, slot, did, settings) {
                self.compute_with_newer(at, number, &refused);
                return false;
            }
        }
        for (slot, did) in did {
            let is = |one: &Probation| Arc::ptr_eq(&one.slot, &slot);
            if let Some(at) = self.swapper.superseded.iter().position(is) {
                self.swapper.superseded[at].seen.push(did);
                continue;
            }
            let Some(at) = self.swapper.probations.iter().position(is) else {
                let history = self.swapper.history.entry(slot.name().clone()).or_default();
                history.push_back(did);
                if history.len() > limits::SWAP_BASE_BATCHES {
                    history.pop_front();
                }
                continue;
            };
            let probation = &mut self.swapper.probations[at];
            probation.seen.push(did);
            if !probation::is_over(&probation.seen) {
                continue;
            }
            let probation = self.swapper.probations.swap_remove(at);
            let (figures, _) = probation::judge(probation.base.iter(), &probation.seen, settings);
            self.swapper.history.insert(probation.meta.slot.clone(), probation.seen.into());
            let reason = format!("after {} batches", figures.batches);
            let words = Words {
                batch: Some(number),
                figures: Some(figures),
                generation: Some(chain.generation),
                ..Words::of(reason)
            };
            self.tell_swap(Step::Settled, &probation.meta, words);
        }
        let under_way = |probation: &Probation| {
            self.flights.iter().skip(1).any(|flight| flight.chain.place_of(&probation.slot).is_some())
        };
        self.swapper.superseded.retain(under_way);
        true
    }

    /// A plugin that has made way for a newer one before it had proved itself fails on a batch that was cut with it.
    fn compute_with_newer(&mut self, at: usize, number: BatchNumber, refused: &Refused) {
        let probation = self.swapper.superseded.swap_remove(at);
        // The newer one, which may be in no batch yet, works on these from now on.
        self.chain_cut(number);
        let count = self.compute_again(&probation.slot);
        tracing::warn!(
            code = refused.code.as_str(),
            "Slot {}: {count} batches under way are computed again with the plugin in force, since {}, which it replaced, fails: {}.",
            probation.meta.slot,
            probation.meta.name,
            refused.reason
        );
    }

    /// The old plugin works again, also on what was computed and not yet sent.
    fn put_back(&mut self, at: usize, number: BatchNumber, refused: Refused, figures: SwapFigures) {
        let probation = self.swapper.probations.swap_remove(at);
        self.chain = Arc::new(self.chain.with(&probation.fallback));
        // What else has come into the chain works on these batches from now on.
        self.chain_cut(number);
        let bad = |flight: &&Flight| flight.chain.place_of(&probation.slot).is_some();
        let reason = match self.flights.iter().filter(bad).count() {
            1 => format!("{}; 1 batch is computed again", refused.reason),
            count => format!("{}; {count} batches are computed again", refused.reason),
        };
        let words = Words {
            batch: Some(number),
            code: Some(refused.code),
            reason,
            figures: Some(figures),
            generation: Some(self.chain.generation),
        };
        let meta = Meta { old_digest: probation.fallback.digest(), ..probation.meta };
        self.tell_swap(Step::PutBack, &meta, words);
        self.compute_again(&probation.slot);
    }

    /// Begins all batches anew that were cut with this plugin, with the chain in force. Gives how many these are.
    fn compute_again(&mut self, slot: &Arc<Slot>) -> usize {
        let bad = |flight: &Flight| flight.chain.place_of(slot).is_some();
        let again: Vec<usize> = (0..self.flights.len()).filter(|at| bad(&self.flights[*at])).collect();
        let numbers: Vec<BatchNumber> = again.iter().map(|at| self.flights[*at].number).collect();
        self.work.retain(|work| !numbers.contains(&work.number()));
        // What candidates have shown beside a plugin that fails is nothing to hold them against.
        for candidate in &mut self.swapper.candidates {
            if let Some((shadow, cut, done)) = &mut candidate.shadow {
                shadow.close();
                *shadow = Arc::new(Shadow::new(shadow.number, shadow.place, Arc::clone(&shadow.candidate)));
                (*cut, *done) = (0, 0);
            }
        }
        for flight in &mut self.flights {
            flight.shadows = Arc::from([]);
        }
        for at in &again {
            let begun = self.parts.shared.view.is_none() || *at == 0;
            self.flights[*at].restart(Arc::clone(&self.chain));
            if begun {
                self.compute(*at);
            }
        }
        again.len()
    }
}

/// Where the plugin of this slot is on probation there and fails it by this batch: its place, why, and what was measured.
fn fails(
    probations: &[Probation],
    slot: &Arc<Slot>,
    did: &SlotBatch,
    settings: SwapSettings,
) -> Option<(usize, Refused, SwapFigures)> {
    let at = probations.iter().position(|one| Arc::ptr_eq(&one.slot, slot))?;
    let seen: Vec<SlotBatch> = probations[at].seen.iter().chain([did]).cloned().collect();
    let (figures, judged) = probation::judge(probations[at].base.iter(), &seen, settings);
    judged.err().map(|refused| (at, refused, figures))
}
