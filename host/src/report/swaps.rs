//! Plugins that were exchanged while the run went on, or were to be.

use serde::Serialize;

use super::fold::BatchFold;
use crate::limits::REPORT_MISHAPS_MAX;
use crate::store::{RunRow, SwapRow};

/// Steps after which it is still open what becomes of the candidate.
const ON_THE_WAY: [&str; 5] = ["requested", "compiled", "probed", "tried", "shadowed"];

/// What became of a candidate for a slot, at one point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Swap {
    pub slot: String,
    /// As events say it, without `swap-`.
    pub step: String,
    /// False where the candidate failed.
    pub ok: bool,
    /// Who asked for it.
    pub source: String,
    pub name: String,
    pub old_digest: Option<String>,
    pub new_digest: String,
    /// First batch that the step is about.
    pub batch: Option<u64>,
    /// None where it cannot be placed.
    pub at_us: Option<u64>,
    pub code: Option<String>,
    pub reason: String,
}

/// The steps with their places on the axis: that of their batch, else by the clock in the first execution.
pub fn swapped(swaps: Vec<SwapRow>, run: &RunRow, fold: &BatchFold, end_us: u64) -> Vec<Swap> {
    let by_clock = |at_ms: i64| {
        let since_ms = u64::try_from(at_ms.checked_sub(run.started_ms)?).ok()?;
        (run.epoch == 1).then(|| since_ms.saturating_mul(1000).min(end_us))
    };
    let placed = |step: SwapRow| Swap {
        at_us: step.batch.and_then(|batch| fold.cut_us.get(&batch.0).copied()).or_else(|| by_clock(step.at_ms)),
        slot: step.slot,
        step: step.step,
        ok: step.ok,
        source: step.source,
        name: step.name,
        old_digest: step.old_digest.map(|digest| digest.to_string()),
        new_digest: step.new_digest.to_string(),
        batch: step.batch.map(|batch| batch.0),
        code: step.code,
        reason: step.reason,
    };
    let decided = |step: &SwapRow| !ON_THE_WAY.contains(&step.step.as_str());
    let mut all: Vec<Swap> = swaps.into_iter().filter(decided).map(placed).collect();
    // The newest, where there are very many.
    all.drain(..all.len().saturating_sub(REPORT_MISHAPS_MAX));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BatchNumber, Digest};
    use crate::report::fold::tests::row;
    use crate::report::testing::sources;

    fn step(step: &str, batch: Option<u64>, at_ms: i64) -> SwapRow {
        SwapRow {
            slot: "tidy".to_owned(),
            step: step.to_owned(),
            source: "watch".to_owned(),
            name: "tidy.wasm".to_owned(),
            old_digest: None,
            new_digest: Digest::of(b"new"),
            batch: batch.map(BatchNumber),
            at_ms,
            ok: step == "took-effect",
            code: None,
            reason: String::new(),
            figures_json: None,
        }
    }

    #[test]
    fn steps_that_decide_are_placed_at_their_batch_or_by_the_clock() {
        let mut fold = BatchFold::new([3], false);
        (0..5).for_each(|n| fold.push(&row(n, 1, 500)));
        fold.end();
        let run = sources(5, "").run;
        let steps = vec![
            step("requested", None, 5),
            step("took-effect", Some(3), 7),
            step("refused", None, 12),
            step("refused", None, -5),
        ];
        let placed = swapped(steps.clone(), &run, &fold, 50_000);
        let found: Vec<_> = placed.iter().map(|swap| (swap.step.as_str(), swap.at_us)).collect();
        assert_eq!(found, [("took-effect", Some(30_000)), ("refused", Some(12_000)), ("refused", None)]);
        let many = vec![step("refused", None, 1); REPORT_MISHAPS_MAX + 7];
        assert_eq!(swapped(many, &run, &fold, 50_000).len(), REPORT_MISHAPS_MAX);
    }
}
