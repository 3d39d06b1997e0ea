//! A candidate beside the old plugin on live batches: it sees the same items, and what it says is compared and forgotten.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::Refused;
use super::ask::{Kind, ask, compare, kind, why};
use super::trial::too_different;
use crate::coordinator::chunk::ItemResult;
use crate::coordinator::serial::guard;
use crate::coordinator::shared::RunShared;
use crate::error::Code;
use crate::event::SwapFigures;
use crate::model::Item;
use crate::plugin::{Call, CallRuntime, Lookup, Slot};

/// See the module. Shared by the lanes.
pub(in crate::coordinator) struct Shadow {
    /// Of the candidate; tells shadows apart.
    pub number: u64,
    /// Place of its slot in the chain.
    pub place: usize,
    pub candidate: Arc<Slot>,
    closed: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    figures: SwapFigures,
    failed: Option<String>,
}

impl Shadow {
    pub fn new(number: u64, place: usize, candidate: Arc<Slot>) -> Self {
        Self { number, place, candidate, closed: AtomicBool::new(false), seen: Mutex::default() }
    }

    /// Lanes leave it alone from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Gives the candidate what the old one has answered; the lookup comes back.
    pub fn look(
        &self,
        run: &RunShared,
        runtime: &CallRuntime,
        call: &Call,
        items: &[Item<'_>],
        old: &[ItemResult],
        lookup: Option<Box<dyn Lookup>>,
    ) -> Option<Box<dyn Lookup>> {
        // Items on which the old one fails prove nothing against the new one.
        let (items, old): (Vec<Item<'_>>, Vec<&ItemResult>) =
            items.iter().zip(old).filter(|(_, result)| kind(result) != Kind::Failed).unzip();
        if self.closed.load(Ordering::Relaxed) || items.is_empty() {
            return lookup;
        }
        let (said, lookup) = ask(&self.candidate, run, runtime, call, &items, lookup);
        let mut seen = guard(&self.seen);
        match said {
            Ok(results) => {
                for ((item, old), new) in items.iter().zip(old).zip(&results) {
                    compare(&mut seen.figures, *item, old, new);
                    if kind(new) == Kind::Failed {
                        seen.failed.get_or_insert_with(|| format!("item {:?}: {}", item.id, why(new)));
                    }
                }
            }
            Err(fault) => {
                seen.figures.faults_new += 1;
                let first = items.first().map_or("", |item| item.id);
                seen.failed
                    .get_or_insert_with(|| format!("a call of {} items from {first:?} on: {fault}", items.len()));
            }
        }
        if seen.failed.is_some() {
            self.close();
        }
        lookup
    }

    /// What was found in so many batches.
    ///
    /// Errors: why the candidate does not pass. Any other output counts, not only another fate.
    pub fn judge(&self, batches: u64, percent: u64) -> (SwapFigures, Result<(), Refused>) {
        let seen = guard(&self.seen);
        let figures = SwapFigures { batches, ..seen.figures.clone() };
        if let Some(why) = &seen.failed {
            let reason = format!("beside live batches it fails on {why}, on which the old one does not");
            return (figures, Err(Refused::new(Code::SwapProbe, reason)));
        }
        let any =
            SwapFigures { fates_differing: figures.fates_differing + figures.bodies_differing, ..figures.clone() };
        let judged = match too_different(&any, percent) {
            Some(reason) => Err(Refused::new(Code::SwapProbe, format!("beside live batches {reason}"))),
            None => Ok(()),
        };
        (figures, judged)
    }

    /// True if it is known already that the candidate fails.
    pub fn failed(&self) -> bool {
        guard(&self.seen).failed.is_some()
    }
}
