//! How far a run is.

use super::Fold;
use crate::event::{Envelope, Event, RunStarted};
use crate::model::Counts;

/// The rate follows what happened over about this time, in microseconds.
const SMOOTHING_US: f64 = 5e6;
/// A rate that has faded to this part of what it was is none.
const FADED: f64 = 0.01;
/// Where only bytes are known, their share is an estimate: the end is not claimed before it is there.
const SHARE_ESTIMATED_MAX: f64 = 0.999;

/// Progress as a fold.
///
/// Invariant: items, bytes and share never go backwards; the share is 1 at the end of a finished run.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    state: ProgressState,
    /// Newest batch counted.
    newest: Option<u64>,
    /// When rates were last brought up to date, and items committed since.
    rated_us: Option<u64>,
    /// Time between the two newest rates.
    between_us: f64,
    pending_items: f64,
    /// Sum of weights, so that the first figures are not drawn towards 0.
    weight: f64,
    smoothed: f64,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProgressState {
    /// Items with a fate, those of the earlier runs that this one continues included.
    pub items: u64,
    /// Bytes of the input, as it lies on disk, read for them.
    pub bytes: u64,
    /// Where there is a limit, not more than it.
    pub total_items: Option<u64>,
    pub total_bytes: Option<u64>,
    /// 0..1 where a total is known or the run is finished.
    pub share: Option<f64>,
    /// Items per second, smoothed over some seconds.
    pub items_per_s: f64,
    /// Time left at that rate.
    pub remaining_ms: Option<u64>,
    /// Of this execution of the run.
    pub counts: Counts,
    /// Of the newest plan.
    pub batch_size: u64,
    /// Of the newest plan.
    pub lanes: u64,
    /// When the newest event happened, since the run began.
    pub elapsed_us: u64,
    /// The run is over.
    pub ended: bool,
}

impl Fold for Progress {
    const NAME: &'static str = "progress";

    fn observe(&mut self, envelope: &Envelope) {
        self.state.elapsed_us = self.state.elapsed_us.max(envelope.elapsed_us);
        match &envelope.event {
            Event::RunStarted(started) => self.start(started),
            Event::PlanChosen { batch_size, lanes, .. } => {
                (self.state.batch_size, self.state.lanes) = (*batch_size, *lanes);
            }
            Event::BatchStarted { .. } => {
                self.rated_us.get_or_insert(envelope.elapsed_us);
            }
            // Batches are committed in order: a number that is not new is a repeat.
            Event::BatchCommitted(batch) | Event::BatchApplied(batch)
                if self.newest.is_none_or(|newest| batch.batch > newest) =>
            {
                self.newest = Some(batch.batch);
                self.state.items = self.state.items.saturating_add(batch.counts.read);
                self.state.bytes = self.state.bytes.max(batch.metrics.input_bytes);
                self.state.counts.add(&batch.counts);
                self.rate(batch.counts.read);
                self.estimate();
            }
            Event::HealthSampled { .. } => {
                self.fade();
                self.estimate();
            }
            Event::RunEnded(ended) => {
                self.state.ended = true;
                if ended.status.finished() {
                    self.complete();
                }
            }
            _ => {}
        }
    }
}

impl Progress {
    /// How far the run is now.
    pub fn state(&self) -> &ProgressState {
        &self.state
    }

    /// All of the input has its fate: the total is known now and the share is 1.
    pub fn complete(&mut self) {
        self.state.total_items = Some(self.state.items);
        self.state.share = Some(1.0);
        self.state.remaining_ms = Some(0);
    }

    /// The event that tells of now.
    pub fn progressed(&self) -> Event {
        let s = &self.state;
        Event::Progressed {
            items: s.items,
            stored: s.counts.stored,
            rejected: s.counts.rejected,
            dead_lettered: s.counts.dead_lettered,
            dropped: s.counts.dropped,
            bytes: s.bytes,
            total_items: s.total_items,
            total_bytes: s.total_bytes,
            share: s.share,
            items_per_s: s.items_per_s,
            remaining_ms: s.remaining_ms,
        }
    }

    fn start(&mut self, started: &RunStarted) {
        self.state.items = self.state.items.max(started.resumed_at);
        self.state.total_items = started.total_items;
        self.state.total_bytes = started.total_bytes;
        self.estimate();
    }

    /// Exponentially weighted by time, so that bursts of commits and long batches weigh by how long they took.
    fn rate(&mut self, items: u64) {
        let now = self.state.elapsed_us;
        let since = *self.rated_us.get_or_insert(0);
        self.pending_items += items as f64;
        let time = now.saturating_sub(since) as f64;
        if time <= 0.0 {
            // A group: the same moment for several batches.
            return;
        }
        let keep = (-time / SMOOTHING_US).exp();
        self.smoothed = self.smoothed * keep + self.pending_items * 1e6 / time * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
        self.state.items_per_s = self.smoothed / self.weight;
        self.pending_items = 0.0;
        self.between_us = time;
        self.rated_us = Some(now);
    }

    /// Where no batch comes for longer than batches take, the rate of those before is that of late no more.
    fn fade(&mut self) {
        let since = self.rated_us.unwrap_or(self.state.elapsed_us);
        let silent = self.state.elapsed_us.saturating_sub(since) as f64;
        let expected = SMOOTHING_US.max(2.0 * self.between_us);
        if silent > expected && self.weight > 0.0 {
            let part = Some(((expected - silent) / SMOOTHING_US).exp()).filter(|part| *part > FADED);
            self.state.items_per_s = self.smoothed / self.weight * part.unwrap_or(0.0);
        }
    }

    fn estimate(&mut self) {
        let s = &mut self.state;
        let part = |done: u64, total: Option<u64>| Some(done as f64 / total.filter(|total| *total > 0)? as f64);
        let of_items = part(s.items, s.total_items).map(|share| share.min(1.0));
        let of_bytes = part(s.bytes, s.total_bytes).map(|share| share.min(SHARE_ESTIMATED_MAX));
        // Both are known where there is a limit: what is nearer to its end ends the run.
        s.share = [s.share, of_items, of_bytes].into_iter().flatten().reduce(f64::max);
        let by_items = s.total_items.map(|total| total.saturating_sub(s.items) as f64);
        let by_bytes = of_bytes.and(s.share).filter(|share| *share > 0.0);
        let by_bytes = by_bytes.map(|share| s.items as f64 * (1.0 - share) / share);
        let left = [by_items, by_bytes].into_iter().flatten().reduce(f64::min);
        s.remaining_ms = left.filter(|_| s.items_per_s > 0.0).map(|left| (left * 1e3 / s.items_per_s) as u64);
    }
}
