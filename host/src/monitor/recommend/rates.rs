//! Items per second of each setting, from the times of batches.

use super::{BATCHES_ENOUGH, Evidence, PastRun};
use crate::store::BatchRow;
use crate::strategy::Signals;

/// What was measured of one setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rate {
    pub size: u64,
    pub lanes: u64,
    pub items: u64,
    pub us: u64,
    pub batches: u64,
    /// Numbers of the runs that had it.
    pub runs: Vec<u64>,
}

impl Rate {
    /// Items per second.
    pub fn per_s(&self) -> f64 {
        self.items as f64 * 1e6 / self.us.max(1) as f64
    }
}

/// The setting of a batch, and the execution it was cut in.
fn setting(batch: &BatchRow) -> Option<(u64, u64, u64)> {
    batch.metrics.map(|m| (m.plan_size, m.plan_lanes, batch.epoch))
}

/// When it was written, since the execution began.
fn done_us(batch: &BatchRow) -> u64 {
    batch.metrics.map_or(0, |m| {
        [m.compute_us, m.wait_us, m.write_us, m.commit_us].iter().fold(m.cut_us, |sum, part| sum.saturating_add(*part))
    })
}

/// Every setting that a stretch of [`BATCHES_ENOUGH`] batches was cut by.
///
/// Batches are written in their order, so a stretch takes the time from the end of the batch before it to its own end; the
/// first of an execution takes it from its first cut. Where batches come in bursts, as groups commit, that may be too
/// little, and the time from its first cut to its last is another measure of the same: the longer of the two counts.
pub(super) fn rates(history: &[PastRun]) -> Vec<Rate> {
    let mut all: Vec<Rate> = Vec::new();
    for past in history {
        let mut before: Option<&BatchRow> = None;
        for stretch in past.batches.chunk_by(|a, b| setting(a) == setting(b)) {
            let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { continue };
            let before = before.replace(last).filter(|before| before.epoch == first.epoch);
            let (Some(metrics), true) = (first.metrics, stretch.len() as u64 >= BATCHES_ENOUGH) else { continue };
            let begin = before.map_or(metrics.cut_us, done_us);
            let cuts = last.metrics.map_or(0, |m| m.cut_us.saturating_sub(metrics.cut_us));
            // Batches of an early version have no time of their cut.
            if cuts == 0 {
                continue;
            }
            let (size, lanes) = (metrics.plan_size, metrics.plan_lanes);
            let at = all.iter().position(|rate| (rate.size, rate.lanes) == (size, lanes)).unwrap_or_else(|| {
                all.push(Rate { size, lanes, items: 0, us: 0, batches: 0, runs: Vec::new() });
                all.len() - 1
            });
            let rate = &mut all[at];
            rate.items += stretch.iter().map(|batch| batch.counts.read).sum::<u64>();
            rate.us = rate.us.saturating_add(done_us(last).saturating_sub(begin).max(cuts));
            rate.batches += stretch.len() as u64;
            if !rate.runs.contains(&past.run.run.0) {
                rate.runs.push(past.run.run.0);
            }
        }
    }
    all
}

/// How busy lanes, writer and CPU were when a plan with these lanes was replaced, on average: its own signals are those
/// of the plan before it.
pub(super) fn use_of_lanes(history: &[PastRun], chosen: &Rate) -> Vec<Evidence> {
    let replaced = history.iter().flat_map(|past| past.plans.windows(2));
    let seen: Vec<Signals> = replaced
        .filter(|pair| pair[0].lanes == chosen.lanes)
        .filter_map(|pair| serde_json::from_str(&pair[1].signals_json).ok())
        .collect();
    let mean = |what: &str, of: &dyn Fn(&Signals) -> Option<f64>| {
        let usable: Vec<f64> = seen.iter().filter_map(of).filter(|share| share.is_finite()).collect();
        let mean = usable.iter().sum::<f64>() / usable.len() as f64;
        (!usable.is_empty()).then(|| Evidence {
            what: format!("{what}, with these lanes"),
            value: (mean * 1000.0).round() / 10.0,
            unit: "%",
        })
    };
    [
        mean("lanes busy", &|signals| signals.lanes_busy),
        mean("writer busy", &|signals| signals.writer_busy),
        mean("CPU in use", &|signals| signals.cpu_share),
    ]
    .into_iter()
    .flatten()
    .collect()
}
