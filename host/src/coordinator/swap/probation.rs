//! Judging a new plugin by its first batches against the last ones of the old one. Pure.

use super::trial::{too_slow, us};
use super::{Refused, SwapSettings};
use crate::error::Code;
use crate::event::SwapFigures;
use crate::limits;

/// What one slot did in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::coordinator) struct SlotBatch {
    /// Items of the batch.
    pub items: u64,
    /// Items that it failed on.
    pub faults: u64,
    /// Items that it rejected.
    pub rejects: u64,
    /// Of what it was asked, what it dropped.
    pub drops: u64,
    /// Time of its calls.
    pub time_ns: u64,
    /// Items given to these: fewer where others had refused some, more where it was given pieces.
    pub asked: u64,
    /// What became of its outputs; none where that was not seen, as in a trial.
    pub later: Option<Later>,
}

/// Items that the operations after a slot did not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::coordinator) struct Later {
    pub faults: u64,
    pub rejects: u64,
}

impl SlotBatch {
    /// True if it tells something of its plugin. One of broken lines does not, nor one of which a validator accepts nothing.
    pub fn tells(&self) -> bool {
        self.asked > 0
    }
}

/// True if these are enough to know that a new plugin is as good as the old one, where none of them says otherwise.
pub(in crate::coordinator) fn is_over(new: &[SlotBatch]) -> bool {
    let asked: u64 = new.iter().map(|batch| batch.asked).sum();
    new.len() as u64 >= limits::SWAP_PROBATION_BATCHES && asked >= limits::SWAP_PROBATION_ITEMS
}

/// Compares the batches of the new plugin with those of the old one.
///
/// Errors: why the new one has to go.
pub(in crate::coordinator) fn judge<'a>(
    old: impl Iterator<Item = &'a SlotBatch> + Clone,
    new: &[SlotBatch],
    settings: SwapSettings,
) -> (SwapFigures, Result<(), Refused>) {
    let (was, is) = (sum(old.clone()), sum(new.iter()));
    let figures = SwapFigures {
        items: is.items,
        items_old: was.items,
        batches: new.len() as u64,
        faults_old: was.faults,
        faults_new: is.faults,
        rejects_old: was.rejects,
        rejects_new: is.rejects,
        drops_old: was.drops,
        drops_new: is.drops,
        later_faults_old: was.later.map(|later| later.faults),
        later_faults_new: is.later.map(|later| later.faults),
        later_rejects_old: was.later.map(|later| later.rejects),
        later_rejects_new: is.later.map(|later| later.rejects),
        item_ns_old: median_ns(old.clone()),
        item_ns_new: median_ns(new.iter()),
        ..SwapFigures::default()
    };
    let judged = within(&figures, (&was, &is), settings.difference_percent)
        .and_then(|()| in_time(old, new, &figures, settings.slowdown_max));
    (figures, judged)
}

fn put_back(reason: String) -> Result<(), Refused> {
    Err(Refused::new(Code::SwapBack, reason))
}

fn within(figures: &SwapFigures, (was, is): (&SlotBatch, &SlotBatch), difference_percent: u64) -> Result<(), Refused> {
    let (items, items_old) = (figures.items, figures.items_old);
    let share = |part: u64, of: u64| part as f64 * 100.0 / of.max(1) as f64;
    let more = |new: u64, old: u64, percent: u64| share(new, items) > share(old, items_old) + percent as f64;
    let (faults, faults_old) = (figures.faults_new, figures.faults_old);
    if faults >= limits::SWAP_FAULTS_MIN && more(faults, faults_old, limits::SWAP_FAULTS_PERCENT) {
        return put_back(format!(
            "it fails on {faults} of {items} items, the old one failed on {faults_old} of {items_old}"
        ));
    }
    let (rejects, rejects_old) = (figures.rejects_new, figures.rejects_old);
    if rejects >= limits::SWAP_REJECTS_MIN && more(rejects, rejects_old, difference_percent) {
        return put_back(format!(
            "it rejects {rejects} of {items} items, the old one rejected {rejects_old} of {items_old} (--swap-difference)"
        ));
    }
    let (drops, drops_old) = (is.drops, was.drops);
    let share_old = share(drops_old, was.asked) + difference_percent as f64;
    if drops >= limits::SWAP_REJECTS_MIN && share(drops, is.asked) > share_old {
        return put_back(format!(
            "it drops {drops} of {} items, the old one dropped {drops_old} of {} (--swap-difference)",
            is.asked, was.asked
        ));
    }
    // Of no item of the old one says nothing.
    let (Some(was), Some(is)) = (was.later.filter(|_| items_old > 0), is.later) else { return Ok(()) };
    if is.faults >= limits::SWAP_FAULTS_MIN && more(is.faults, was.faults, limits::SWAP_FAULTS_PERCENT) {
        return put_back(format!(
            "plugins after it fail on {} of {items} items, with the old one they failed on {} of {items_old}",
            is.faults, was.faults
        ));
    }
    if is.rejects >= limits::SWAP_REJECTS_MIN && more(is.rejects, was.rejects, difference_percent) {
        return put_back(format!(
            "plugins after it reject {} of {items} items, with the old one they rejected {} of {items_old} (--swap-difference)",
            is.rejects, was.rejects
        ));
    }
    Ok(())
}

/// A batch that had to wait for the machine says nothing of its plugin: the quicker ones of the new plugin are held against
/// the middle of the old one's, and only where what they took is well above what waiting takes.
fn in_time<'a>(
    old: impl Iterator<Item = &'a SlotBatch>,
    new: &[SlotBatch],
    figures: &SwapFigures,
    slowdown_max: u64,
) -> Result<(), Refused> {
    let (usual, quick) = (at_share_ns(old, 2), at_share_ns(new.iter(), 4));
    let asked: u64 = new.iter().map(|batch| batch.asked).sum();
    let comparable = new.len() >= limits::SWAP_TIME_BATCHES_MIN && usual > 0;
    let noise = limits::SWAP_PROBATION_NOISE;
    if comparable && too_slow(usual.saturating_mul(asked), quick.saturating_mul(asked), noise, slowdown_max) {
        let (new, old) = (us(figures.item_ns_new), us(figures.item_ns_old));
        return put_back(format!("it takes {new} per item, the old one took {old} (--swap-slowdown)"));
    }
    Ok(())
}

fn sum<'a>(batches: impl Iterator<Item = &'a SlotBatch>) -> SlotBatch {
    let none = SlotBatch { later: Some(Later::default()), ..SlotBatch::default() };
    batches.fold(none, |all, batch| SlotBatch {
        items: all.items + batch.items,
        faults: all.faults + batch.faults,
        rejects: all.rejects + batch.rejects,
        drops: all.drops + batch.drops,
        time_ns: all.time_ns + batch.time_ns,
        asked: all.asked + batch.asked,
        later: all
            .later
            .zip(batch.later)
            .map(|(all, later)| Later { faults: all.faults + later.faults, rejects: all.rejects + later.rejects }),
    })
}

/// The median over batches of the time per item.
fn median_ns<'a>(batches: impl Iterator<Item = &'a SlotBatch>) -> u64 {
    at_share_ns(batches, 2)
}

/// The time per item that one batch in `share` stays below.
fn at_share_ns<'a>(batches: impl Iterator<Item = &'a SlotBatch>, share: usize) -> u64 {
    let mut means: Vec<u64> = batches.filter(|b| b.asked > 0).map(|b| b.time_ns / b.asked).collect();
    means.sort_unstable();
    means.get(means.len() / share).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: SlotBatch =
        SlotBatch { items: 100, faults: 1, rejects: 10, drops: 5, time_ns: 500_000, asked: 100, later: None };

    fn put_back(new: &[SlotBatch]) -> Option<String> {
        judge([USUAL; 32].iter(), new, SwapSettings::default()).1.err().map(|refused| refused.reason)
    }

    #[test]
    fn a_plugin_that_does_as_the_old_one_did_stays() {
        assert_eq!(put_back(&[USUAL; 8]), None);
        assert_eq!(put_back(&[]), None);
        assert!(
            judge([].iter(), &[USUAL; 8], SwapSettings::default()).1.is_ok(),
            "one reject in ten, and nothing to compare with"
        );
    }

    #[test]
    fn a_probation_is_over_after_enough_batches_with_enough_items() {
        let few = |asked| SlotBatch { items: asked, asked, ..SlotBatch::default() };
        assert!(!is_over(&[USUAL; 7]));
        assert!(is_over(&[USUAL; 8]));
        assert!(!is_over(&[few(3); 8]), "24 items");
        assert!(is_over(&[few(4); 8]), "32 items");
        assert!(!is_over(&[few(1); 31]));
        assert!(is_over(&[few(1); 32]));
        assert!(few(1).tells() && !few(0).tells());
        assert!(!SlotBatch { items: 10, ..few(0) }.tells(), "a validator refused them all");
    }

    #[test]
    fn more_faults_put_it_back_but_a_bad_record_does_not() {
        let failing = |faults| SlotBatch { faults, ..USUAL };
        assert_eq!(put_back(&[failing(2)]), None, "two are no more than chance");
        assert!(put_back(&[failing(3)]).is_some_and(|why| why.contains("fails on 3 of 100 items")));
        assert_eq!(put_back(&[failing(2), failing(2), failing(1)]), None, "5 of 300 is within a percent of 1 of 100");
    }

    #[test]
    fn more_rejects_than_may_differ_put_it_back() {
        let rejecting = |rejects| SlotBatch { rejects, ..USUAL };
        assert_eq!(put_back(&[rejecting(35)]), None);
        assert!(put_back(&[rejecting(36)]).is_some_and(|why| why.contains("rejects 36 of 100 items")));
    }

    #[test]
    fn a_slow_plugin_is_put_back_once_enough_batches_say_so() {
        let slow = SlotBatch { time_ns: 6 * USUAL.time_ns, ..USUAL };
        assert_eq!(put_back(&[slow; 3]), None);
        assert!(put_back(&[slow; 4]).is_some_and(|why| why.contains("30.0 µs per item")));
        assert_eq!(put_back(&[slow, USUAL, USUAL, slow, USUAL]), None, "the machine was busy");
        assert_eq!(put_back(&[slow, slow, USUAL, slow, slow, USUAL, USUAL, slow]), None, "it was very busy");
    }

    #[test]
    fn a_fast_plugin_is_judged_by_its_ratio_where_the_sum_is_well_above_noise() {
        // 1.5 µs per item, then 15 µs.
        let quick = SlotBatch { items: 200, asked: 200, time_ns: 300_000, ..SlotBatch::default() };
        let slow = SlotBatch { time_ns: 3_000_000, ..quick };
        let judged = |new: &[SlotBatch]| {
            judge([quick; 32].iter(), new, SwapSettings::default()).1.err().map(|refused| refused.reason)
        };
        assert!(judged(&[slow; 8]).is_some_and(|why| why.contains("15.0 µs per item, the old one took 1.5 µs")));
        assert_eq!(judged(&[SlotBatch { time_ns: 1_400_000, ..quick }; 8]), None, "less than five times");
        let few = |time_ns| SlotBatch { items: 5, asked: 5, time_ns, ..SlotBatch::default() };
        let small = judge([few(7_500); 32].iter(), &[few(75_000); 8], SwapSettings::default()).1;
        assert!(small.is_ok(), "40 items in 0.6 ms: one wait for a processor takes longer");
    }

    #[test]
    fn what_plugins_after_it_refuse_counts_against_it_where_it_is_known_of_both() {
        let with = |faults, rejects| SlotBatch { later: Some(Later { faults, rejects }), ..USUAL };
        let judged = |old: SlotBatch, new: &[SlotBatch]| {
            judge([old; 32].iter(), new, SwapSettings::default()).1.err().map(|refused| refused.reason)
        };
        assert_eq!(judged(with(1, 0), &[with(2, 0)]), None, "two are no more than chance");
        assert_eq!(
            judged(with(1, 0), &[with(3, 0)]).as_deref(),
            Some("plugins after it fail on 3 of 100 items, with the old one they failed on 32 of 3200")
        );
        assert_eq!(judged(with(0, 10), &[with(0, 35)]), None);
        assert!(judged(with(0, 10), &[with(0, 36)]).is_some_and(|why| why.contains("reject 36 of 100 items")));
        assert_eq!(judged(USUAL, &[with(50, 50)]), None, "of the old one only its trial is known");
        let refused_later = SlotBatch { drops: 0, faults: 0, ..with(0, 50) };
        let alone = judge([].iter(), &[SlotBatch { rejects: 0, ..refused_later }], SwapSettings::default()).1;
        assert!(alone.is_ok(), "the old one was asked for nothing");
    }

    #[test]
    fn more_drops_than_may_differ_put_it_back() {
        let dropping = |drops| SlotBatch { drops, ..USUAL };
        assert_eq!(put_back(&[dropping(30)]), None);
        assert!(
            put_back(&[dropping(31)])
                .is_some_and(|why| why.contains("drops 31 of 100 items, the old one dropped 160 of"))
        );
    }
}
