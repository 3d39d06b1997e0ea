//! The chain of a run: which plugin fills which slot. Exchanged as a whole between two cuts, so that no batch mixes two
//! versions of one slot.

use std::sync::Arc;

use super::chunk::SlotMetrics;
use crate::event::PluginUsed;
use crate::model::{Digest, Name, PluginMetrics};
use crate::plugin::Slot;
use crate::store::PluginRow;

/// See the module. A batch takes the chain that is in force when it is cut, and keeps it to its end.
pub(super) struct Chain {
    /// Counts the exchanges of this execution, from 0.
    pub generation: u64,
    /// Side by side, before the operations.
    pub validators: Vec<Arc<Slot>>,
    /// In a row, each on the outputs of the one before.
    pub operations: Vec<Arc<Slot>>,
    /// Digest of the plugin in each slot that has one.
    pub digests: Arc<[(Name, Digest)]>,
}

impl Chain {
    pub fn new(validators: Vec<Arc<Slot>>, operations: Vec<Arc<Slot>>) -> Self {
        Self::of(0, validators, operations)
    }

    fn of(generation: u64, validators: Vec<Arc<Slot>>, operations: Vec<Arc<Slot>>) -> Self {
        let slots = validators.iter().chain(&operations);
        let digests = slots.filter_map(|slot| Some((slot.name().clone(), slot.digest()?))).collect();
        Self { generation, validators, operations, digests }
    }

    /// The next chain: the same but for the slot of this name.
    pub fn with(&self, slot: &Arc<Slot>) -> Self {
        let replaced = |slots: &[Arc<Slot>]| {
            slots.iter().map(|old| Arc::clone(if old.name() == slot.name() { slot } else { old })).collect()
        };
        Self::of(self.generation + 1, replaced(&self.validators), replaced(&self.operations))
    }

    /// All slots: validators in order, then the operations.
    pub fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.validators.iter().chain(&self.operations)
    }

    /// The slot of this name, with its place among all.
    pub fn find(&self, name: &Name) -> Option<(usize, &Arc<Slot>)> {
        self.slots().enumerate().find(|(_, slot)| slot.name() == name)
    }

    /// The place of this very slot, if it is in the chain.
    pub fn place_of(&self, wanted: &Arc<Slot>) -> Option<usize> {
        self.slots().position(|slot| Arc::ptr_eq(slot, wanted))
    }

    /// What the slots did, under their names.
    pub fn plugin_metrics(&self, slots: &[SlotMetrics]) -> Vec<PluginMetrics> {
        let named = self.slots().zip(slots);
        named
            .map(|(slot, did)| PluginMetrics {
                slot: slot.name().to_string(),
                calls: did.calls,
                items: did.items,
                faults: did.faults,
                time_us: did.time_ns / 1000,
                cpu_us: did.cpu_ns / 1000,
                host_us: did.host_ns / 1000,
                memory_peak_bytes: slot.memory_peak() as u64,
                faults_by_code: did.codes.iter().map(|(code, faults)| (code.as_str().to_owned(), *faults)).collect(),
            })
            .collect()
    }

    /// The plugins as events and reports name them.
    pub fn plugins_used(&self) -> Vec<PluginUsed> {
        self.slots()
            .map(|slot| PluginUsed {
                slot: slot.name().to_string(),
                role: slot.role().as_str().to_owned(),
                name: slot.file().to_owned(),
                digest: slot.digest().map_or_else(String::new, |digest| digest.to_string()),
                prepare_us: slot.prepared().time.as_micros() as u64,
                from_cache: slot.prepared().from_cache,
            })
            .collect()
    }

    /// The plugins as the store keeps them.
    pub fn plugin_rows(&self) -> Vec<PluginRow> {
        self.slots()
            .map(|slot| PluginRow {
                slot: slot.name().to_string(),
                role: slot.role().as_str().to_owned(),
                name: slot.file().to_owned(),
                digest: slot.digest(),
                bytes: slot.bytes(),
            })
            .collect()
    }
}
