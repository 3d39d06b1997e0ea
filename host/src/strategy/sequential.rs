//! One batch at a time.

use super::{Last, Planned, Signals, Strategy};
use crate::model::Plan;

/// One batch under way, one lane, the largest size within the bounds (a fixed size gives exactly it).
#[derive(Debug, Default)]
pub struct Sequential(Last);

impl Strategy for Sequential {
    fn name(&self) -> &'static str {
        "sequential"
    }

    fn plan(&mut self, signals: &Signals) -> Planned {
        let wanted = signals.bounds.batch_size.max();
        let plan = Plan { batch_size: signals.fit(wanted), lanes: 1, batches_in_flight: 1 };
        self.0.fixed(plan, wanted, "one batch at a time")
    }
}
