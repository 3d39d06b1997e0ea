//! How a plugin that is to take a slot, or has taken it, does on live batches: beside the old one first, then on probation.
//!
//! Invariant: a batch that was not sent to the writer when its plugin is put back is computed again from its beginning.

use std::sync::Arc;

use super::Run;
use super::steps::{Step, Words};
use crate::coordinator::flight::Flight;
use crate::coordinator::swap::Refused;
use crate::coordinator::swap::probation;
use crate::coordinator::swap::shadow::Shadow;
use crate::event::SwapFigures;
use crate::limits;
use crate::model::BatchNumber;

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
        for shadow in flight.shadows.iter() {
            let Some(candidate) = self.swapper.candidate(shadow.number) else { continue };
            let Some((_, _, done)) = &mut candidate.shadow else { continue };
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
        for (slot, did) in chain.slots().zip(flight.slot_batches()) {
            let on_probation = self.swapper.probations.iter_mut().position(|one| Arc::ptr_eq(&one.slot, slot));
            let Some(at) = on_probation else {
                let history = self.swapper.history.entry(slot.name().clone()).or_default();
                history.push_back(did);
                if history.len() > limits::SWAP_BASE_BATCHES {
                    history.pop_front();
                }
                continue;
            };
            let probation = &mut self.swapper.probations[at];
            probation.seen.push(did);
            let (figures, judged) = probation::judge(probation.base.iter(), &probation.seen, settings);
            match judged {
                Err(refused) => {
                    self.put_back(at, number, refused, figures);
                    return false;
                }
                Ok(()) if probation.seen.len() as u64 >= limits::SWAP_PROBATION_BATCHES => {
                    let probation = self.swapper.probations.swap_remove(at);
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
                Ok(()) => {}
            }
        }
        true
    }

    /// The old plugin works again, also on what was computed and not yet sent.
    fn put_back(&mut self, at: usize, number: BatchNumber, refused: Refused, figures: SwapFigures) {
        let probation = self.swapper.probations.swap_remove(at);
        self.chain = Arc::new(self.chain.with(&probation.fallback));
        let bad = |flight: &Flight| flight.chain.place_of(&probation.slot).is_some();
        let again: Vec<usize> = (0..self.flights.len()).filter(|at| bad(&self.flights[*at])).collect();
        let reason = match again.len() {
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
        self.tell_swap(Step::PutBack, &probation.meta, words);
        let numbers: Vec<BatchNumber> = again.iter().map(|at| self.flights[*at].number).collect();
        self.work.retain(|work| !numbers.contains(&work.number()));
        for at in again {
            let flight = &mut self.flights[at];
            for shadow in flight.shadows.iter() {
                let candidate = self.swapper.candidate(shadow.number);
                if let Some((_, cut, _)) = candidate.and_then(|candidate| candidate.shadow.as_mut()) {
                    *cut -= 1;
                }
            }
            let begun = self.parts.shared.view.is_none() || at == 0;
            flight.restart(Arc::clone(&self.chain));
            if begun {
                self.compute(at);
            }
        }
    }
}
