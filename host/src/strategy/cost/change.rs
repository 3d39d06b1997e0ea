//! Notices that the work has become another.

use super::classes::SCATTER_USUAL;

/// Deviations of the costs, in standard deviations: those below the first are usual, none counts more than the second, and
/// a sum above the third means that the work is another. See [`Change`].
const CHANGE_SLACK: f64 = 1.0;
const CHANGE_STEP_MAX: f64 = 3.0;
const CHANGE_SUM: f64 = 6.0;
/// Below this sum nothing points to a change.
const CHANGE_CALM: f64 = 1.0;

/// Notices that costs have become others: sums up how far they lie above what is usual, and how far below (Page, 1954,
/// "Continuous inspection schemes": CUSUM). A large step is seen within three batches, a small one a little later, and
/// scatter as large as usual next to never.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Change {
    above: f64,
    below: f64,
}

impl Change {
    /// A batch that cost so many times what is usual, where batches scatter so much.
    pub fn add(&mut self, times: f64, scatter: f64) {
        if !(times > 0.0 && times.is_finite()) {
            return;
        }
        let deviation = (times.ln() / scatter.max(SCATTER_USUAL)).clamp(-CHANGE_STEP_MAX, CHANGE_STEP_MAX);
        self.above = (self.above + deviation - CHANGE_SLACK).max(0.0);
        self.below = (self.below - deviation - CHANGE_SLACK).max(0.0);
    }

    pub fn found(self) -> bool {
        self.above.max(self.below) >= CHANGE_SUM
    }

    /// Nothing points to a change.
    pub fn calm(self) -> bool {
        self.above.max(self.below) < CHANGE_CALM
    }
}
