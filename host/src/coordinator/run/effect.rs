//! How a plugin that has passed its trial comes into the chain, and what the store is told of it.
//!
//! Invariant: what no batch was cut with was never in force. It is told as skipped, and replaces nothing.

use std::sync::Arc;

use super::Run;
use super::steps::{IN_FORCE, Meta, Step, Words};
use super::swapping::Probation;
use crate::coordinator::chain::Chain;
use crate::coordinator::resume;
use crate::coordinator::serial::guard;
use crate::model::BatchNumber;
use crate::plugin::Slot;
use crate::store::{ChainWrite, SwapRow};

impl Run<'_> {
    /// From the next cut on.
    pub(super) fn take_effect(&mut self, meta: Meta, slot: Arc<Slot>) {
        let old = self.chain.find(&meta.slot).map(|(_, slot)| Arc::clone(slot));
        let old = old.expect("BUG: the slot of a candidate is gone");
        // Since it came, what was in force may have been put back.
        let mut meta = Meta { old_digest: old.digest(), ..meta };
        if old.digest() == slot.digest() {
            self.tell_swap(Step::Skipped, &meta, Words::of(IN_FORCE));
            return;
        }
        let swapper = &mut self.swapper;
        let untold = swapper.taken.iter().position(|taken| taken.slot == meta.slot);
        let untold = untold.map(|at| swapper.taken.remove(at));
        let before = swapper.probations.iter().position(|probation| probation.meta.slot == meta.slot);
        let before = before.map(|at| swapper.probations.swap_remove(at));
        let (fallback, base) = match &before {
            // What has not proved itself is nothing to fall back on.
            Some(probation) => (Arc::clone(&probation.fallback), probation.base.clone()),
            None => (old, swapper.history.get(&meta.slot).cloned().unwrap_or_default()),
        };
        match (untold, before) {
            (Some(untold), _) => {
                meta.old_digest = untold.old_digest;
                self.tell_swap(Step::Skipped, &untold, Words::of("a newer candidate came"));
            }
            (None, Some(probation)) => {
                let reason = format!("{} took its place before its probation was over", meta.name);
                self.tell_swap(Step::Skipped, &probation.meta, Words::of(reason));
                self.swapper.superseded.push(probation);
            }
            (None, None) => {}
        }
        // What would come back comes at once, and has nothing to prove.
        let proven = fallback.digest() == slot.digest();
        let slot = if proven { Arc::clone(&fallback) } else { slot };
        self.chain = Arc::new(self.chain.with(&slot));
        if proven && meta.old_digest == Some(meta.new_digest) {
            self.tell_swap(Step::Skipped, &meta, Words::of(IN_FORCE));
            return;
        }
        self.swapper.taken.push(meta.clone());
        if !proven {
            self.swapper.probations.push(Probation { meta, slot, fallback, base, seen: Vec::new() });
        }
    }

    /// A batch is cut with the chain in force: what took effect with it is told.
    pub(super) fn chain_cut(&mut self, number: BatchNumber) {
        self.worked = Arc::clone(&self.chain);
        let in_chain =
            |meta: &Meta| self.chain.find(&meta.slot).is_some_and(|(_, slot)| slot.digest() == Some(meta.new_digest));
        // A run that goes on with plugins of its own leaves the others to the next one.
        let taken = std::mem::take(&mut self.swapper.taken);
        let (told, later): (Vec<Meta>, Vec<Meta>) = taken.into_iter().partition(in_chain);
        self.swapper.taken = later;
        let (generation, settings) = (Some(self.chain.generation), self.parts.swapping.settings);
        let at = |reason: String| Words { batch: Some(number), generation, ..Words::of(reason) };
        for meta in told {
            let probation = self.swapper.probations.iter().find(|probation| probation.meta.is(&meta));
            let on_probation = probation.is_some();
            let figures = probation.and_then(|probation| probation.known(settings));
            self.tell_swap(Step::TookEffect, &meta, Words { figures, ..at(format!("from batch {number} on")) });
            if !on_probation {
                self.tell_swap(Step::Settled, &meta, at("it was in force before, and has proved itself".to_owned()));
            }
        }
    }

    /// What the store has to know of the chain with this batch, if anything is new.
    pub(super) fn chain_write(&mut self, chain: &Arc<Chain>) -> Option<Box<ChainWrite>> {
        let swapper = &mut self.swapper;
        let due = |(generation, _): &(u64, SwapRow)| *generation <= chain.generation;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut swapper.rows).into_iter().partition(due);
        swapper.rows = later;
        let mut swaps = std::mem::take(&mut *guard(&swapper.unkept));
        swaps.extend(due.into_iter().map(|(_, row)| row));
        let changed = swapper.noted.digests != chain.digests;
        if swaps.is_empty() && !changed {
            return None;
        }
        let mut write = ChainWrite { swaps, ..ChainWrite::default() };
        if changed {
            swapper.noted = Arc::clone(chain);
            write.plugins = chain.plugin_rows();
            write.identity = resume::with_chain(&self.parts.swapping.identity, chain);
        }
        Some(Box::new(write))
    }
}
