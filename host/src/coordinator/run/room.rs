//! How much may be under way: whether a further batch is asked for, and how large it may be.

use super::Run;
use crate::coordinator::flight::Flight;
use crate::limits;
use crate::model::Plan;
use crate::strategy::window;

impl Run<'_> {
    /// Items of the next batch. Where those of the newest one were answered with much, it is smaller than planned.
    pub(super) fn cut_size(&self, plan: Plan) -> usize {
        // Whatever bounds are told meanwhile.
        if self.parts.shared.one_by_one() {
            return 1;
        }
        let fits = self.answer_item_bytes.map_or(usize::MAX, |bytes| limits::ANSWER_BYTES_MAX / bytes.max(1));
        plan.batch_size.min(fits).max(1)
    }

    pub(super) fn room(&self) -> bool {
        let batches = self.requested.len() + self.flights.len() + self.sent.len();
        if batches == 0 {
            return true;
        }
        let most = window(self.plan, self.starved()).min(limits::BATCHES_IN_FLIGHT_MAX);
        let items: usize = self.requested.iter().map(|(_, size)| *size).sum::<usize>()
            + self.flights.iter().map(|flight| flight.batch.len()).sum::<usize>()
            + self.sent.iter().map(|sent| sent.items).sum::<usize>();
        batches < most
            && (batches < 2 || items + self.plan.batch_size <= limits::ITEMS_IN_FLIGHT_MAX)
            && self.input_bytes() < limits::INPUT_BYTES_IN_FLIGHT_MAX
            && self.held_bytes() < limits::BYTES_IN_FLIGHT_MAX
    }

    /// Bytes of the input and of answers that batches under way hold.
    pub(super) fn held_bytes(&self) -> usize {
        self.flights.iter().map(Flight::held_bytes).sum::<usize>()
            + self.sent.iter().map(|sent| sent.bytes).sum::<usize>()
    }

    /// Those of the input alone, also of batches asked for, if their items are like those of the newest one. Before there is
    /// any they are as large as may be.
    fn input_bytes(&self) -> usize {
        let most = self.parts.batch_bytes;
        let asked = |size: usize| self.item_bytes.map_or(most, |bytes| size.saturating_mul(bytes).min(most));
        self.requested.iter().map(|(_, size)| asked(*size)).sum::<usize>()
            + self.flights.iter().map(|flight| flight.input_held_bytes).sum::<usize>()
            + self.sent.iter().map(|sent| sent.input_bytes).sum::<usize>()
    }
}
