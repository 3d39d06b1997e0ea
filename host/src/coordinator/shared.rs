//! What the lanes need to know of a run. Fixed for the run's life.

use std::sync::Arc;
use std::time::Duration;

use super::chunk::SlotMetrics;
use super::serial::StoreView;
use crate::model::PluginMetrics;
use crate::plugin::Slot;
use crate::source::Decoder;

/// See the module.
pub(super) struct RunShared {
    pub uuid: Arc<str>,
    pub validators: Vec<Arc<Slot>>,
    pub operation: Option<Arc<Slot>>,
    pub deadline: Duration,
    pub now_ms: u64,
    pub seed: u64,
    /// Judges bodies that plugins return; knows where the id stands, if the run does.
    pub body_decoder: Decoder,
    /// Present where a plugin reads the store: then batches are computed one at a time.
    pub view: Option<StoreView>,
}

impl RunShared {
    /// All slots: validators in order, then the operation.
    pub fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.validators.iter().chain(self.operation.iter())
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
            })
            .collect()
    }
}
