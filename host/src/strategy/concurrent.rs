//! Everything the bounds allow.

use super::{Last, Planned, Signals, Strategy, batches_in_flight};
use crate::model::Plan;

/// All lanes, the largest size, and enough batches under way that neither the lanes nor the writer wait for input.
#[derive(Debug, Default)]
pub struct Concurrent(Last);

impl Strategy for Concurrent {
    fn name(&self) -> &'static str {
        "concurrent"
    }

    fn plan(&mut self, signals: &Signals) -> Planned {
        let wanted = signals.bounds.batch_size.max();
        let lanes = signals.bounds.lanes.max();
        let plan = Plan {
            batch_size: signals.fit(wanted),
            lanes,
            // From the size wanted, so that the last, smaller batch changes nothing else.
            batches_in_flight: batches_in_flight(lanes, wanted, true),
        };
        self.0.fixed(plan, wanted, "all that the bounds allow")
    }
}
