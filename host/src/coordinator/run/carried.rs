//! What the runs of a process that stays up hand on to each other: the plugins in force, candidates under way, probations,
//! and the items of late that candidates are tried with.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::Run;
use super::steps::Meta;
use super::swapping::Swapper;
use crate::coordinator::chain::Chain;
use crate::coordinator::inbox::{Inbox, Listener};
use crate::coordinator::job::{Job, SlotSpec};
use crate::coordinator::serial::guard;
use crate::coordinator::swap::watch::Watcher;
use crate::limits;
use crate::plugin::Slot;

/// Hands the plugins of one run to the next: see [`Job::carried`]. For runs one after another, of the same slots, by one host.
///
/// The plugins of the first run are those of its job; after that it is those in force when the run before ended, however
/// they came into their slots; one that goes on with an interrupted run works with the plugins of that, and hands on those that
/// it was handed. A plugin that was refused is not tried again until its file is another one; one that is being
/// prepared, or is on probation, goes on being so. A run that is stopped hands on nothing.
#[derive(Clone, Default)]
pub struct Carried {
    kept: Arc<Mutex<Option<Kept>>>,
    /// Takes commands while there is no run.
    standing: Arc<Mutex<Option<Listener>>>,
}

/// Between two runs.
pub(in crate::coordinator) struct Kept {
    chain: Arc<Chain>,
    /// Plugins of that run could look things up: one that is under way, or may come back, may do so.
    pub(in crate::coordinator) reads_store: bool,
    pub(super) swapper: Swapper,
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Carried").field("kept", &guard(&self.kept).is_some()).finish_non_exhaustive()
    }
}

impl Carried {
    /// Takes requests for other plugins from other processes also while no run of this store is at work; the next run obeys.
    /// See [`waiting`](crate::coordinator::waiting).
    pub fn listen(&self, store: &Path) {
        *guard(&self.standing) = Inbox::standing(store).and_then(Listener::start);
    }

    /// The plugins that a run of this job begins with, if there was one before it.
    pub(in crate::coordinator) fn chain(&self, job: &Job) -> Option<Arc<Chain>> {
        let mut kept = guard(&self.kept);
        let same = |slots: &[Arc<Slot>], specs: &[SlotSpec]| {
            slots.len() == specs.len() && slots.iter().zip(specs).all(|(slot, spec)| *slot.name() == spec.name)
        };
        let fits = |kept: &mut Kept| {
            same(&kept.chain.validators, &job.validators) && same(&kept.chain.operations, &job.operations)
        };
        // Other slots than those before are another beginning.
        *kept = kept.take_if(fits);
        kept.as_ref().map(|kept| Arc::clone(&kept.chain))
    }

    pub(in crate::coordinator) fn take(&self) -> Option<Kept> {
        guard(&self.kept).take()
    }

    /// Calls `look` with the inbox for times without a run, if there is one.
    fn with_listener<T>(&self, look: impl FnOnce(&Listener) -> T) -> Option<T> {
        guard(&self.standing).as_ref().map(look)
    }
}

impl Run<'_> {
    /// What came between two runs is heard of before the first batch is cut.
    pub(super) fn begin_swaps(&mut self) {
        let Some(carried) = self.parts.carried.clone() else { return };
        while let Ok(news) = self.swapper.news().try_recv() {
            self.swap_news(news);
        }
        while let Ok(wish) = self.swapper.requests().try_recv() {
            self.swap_asked(wish, None);
        }
        let standing = carried.with_listener(|listener| (Arc::clone(listener.inbox()), listener.came().clone()));
        if let Some((inbox, came)) = standing {
            while let Ok(request) = came.try_recv() {
                self.told_by(&inbox, request);
            }
        }
        self.start_queued();
        self.swapper.hold = Some(Instant::now() + limits::SWAP_HANDOVER_WAIT);
    }

    /// True while candidates that came before this run are waited for.
    pub(super) fn held_by_candidates(&mut self) -> bool {
        let Some(until) = self.swapper.hold else { return false };
        let preparing = self.swapper.candidates.iter().any(|candidate| candidate.shadow.is_none());
        let about_to_come = self.swapper.watcher.as_ref().is_some_and(Watcher::unsettled);
        let asked = !self.swapper.requests().is_empty();
        if (preparing || about_to_come || asked) && Instant::now() < until {
            return true;
        }
        self.swapper.hold = None;
        false
    }

    /// The run is over, and another one is to follow.
    pub(super) fn carry_swaps(&mut self) {
        self.take_up_aside();
        let own = self.parts.inbox.as_ref().map(|listener| Arc::clone(listener.inbox()));
        // What they look up is gone with this run.
        if self.parts.uncommitted_reads {
            self.begin_candidates_anew();
        }
        let swapper = &mut self.swapper;
        for candidate in &mut swapper.candidates {
            if let Some((_, cut, done)) = &mut candidate.shadow {
                *cut = *done;
            }
        }
        let metas = swapper.candidates.iter_mut().map(|candidate| &mut candidate.meta);
        let metas = metas.chain(swapper.queued.iter_mut().map(|(_, meta)| meta)).chain(&mut swapper.taken);
        for meta in metas.chain(swapper.probations.iter_mut().map(|probation| &mut probation.meta)) {
            // The folder for the answer goes with this run.
            meta.tickets.retain(|ticket| own.as_ref().is_none_or(|own| !ticket.is_of(own)));
        }
        let rows = std::mem::take(&mut swapper.rows).into_iter().map(|(_, row)| row);
        swapper.loose.extend(rows);
        self.keep_loose();
    }

    fn begin_candidates_anew(&mut self) {
        let swapper = &mut self.swapper;
        swapper.end_threads(Instant::now());
        let again: Vec<(_, Meta)> = swapper.candidates.drain(..).map(|one| (one.wish, one.meta)).collect();
        swapper.queued.extend(again);
    }

    /// Puts the plugins of the run before back in the place of what was this run's own from its beginning.
    fn take_up_aside(&mut self) {
        let Some(aside) = &self.parts.aside else { return };
        for own in self.parts.chain.slots() {
            let Some((_, slot)) = aside.find(own.name()) else { continue };
            if self.chain.place_of(own).is_some() {
                self.chain = Arc::new(self.chain.with(slot));
            }
            for probation in self.swapper.probations.iter_mut().filter(|one| Arc::ptr_eq(&one.fallback, own)) {
                probation.fallback = Arc::clone(slot);
            }
        }
    }

    /// Gives what goes to the next run, if there is to be one.
    pub(super) fn hand_on(carried: Option<&Carried>, chain: &Arc<Chain>, reads_store: bool, swapper: Swapper) {
        if let Some(carried) = carried {
            *guard(&carried.kept) = Some(Kept { chain: Arc::clone(chain), reads_store, swapper });
        }
    }
}
