//! Is a run like those of its kind before it? Asked once, when it has come to its end. Pure: figures in, alerts out.
//!
//! What is usual is the median of the earlier runs and what lies around it: up to [`USUAL_DEVIATIONS`] times their deviation,
//! but a part of the median in any case ([`USUAL_PERCENT`]), since runs that were all alike do not deviate at all. The deviation
//! is 1.4826 times the median of the distances from the median (the MAD), which is the standard deviation where values are
//! normally distributed; unlike that one it is not moved by the single run that went wrong.
//! Volumes and the times between runs are skewed: their distance from the median is that of the logarithms, so that twice as
//! much is as far from it as half as much. Shares of failed items have their difference as distance.

use std::time::Duration;

use super::words;
use crate::event::Event;
use crate::limits::{
    SHARE_ITEMS_MIN, USUAL_AGE_MIN, USUAL_DEVIATIONS, USUAL_ERRORS_PERCENT, USUAL_ITEMS, USUAL_PERCENT, USUAL_RUNS_MIN,
    USUAL_SCHEDULE_FACTOR,
};

/// A run has read fewer or more items than those of its kind before it.
pub const UNUSUAL_VOLUME: &str = "UNUSUAL_VOLUME";
/// A larger share of its items was rejected or dead-lettered than of theirs.
pub const UNUSUAL_ERROR_RATE: &str = "UNUSUAL_ERROR_RATE";
/// It ended longer after the one before it than they did.
pub const UNUSUAL_AGE: &str = "UNUSUAL_AGE";

/// From the MAD to the standard deviation of a normal distribution.
const OF_MAD: f64 = 1.4826;

/// A run that came to its end, as far as it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub ended_ms: i64,
    pub read: u64,
    /// Rejected and dead-lettered items.
    pub failed: u64,
}

/// What a run has that those before it have not.
struct Found {
    alert: &'static str,
    value: f64,
    threshold: f64,
    message: String,
}

/// The alerts that a run raises beside those of its kind before it, in a fixed order. `batch`: its last one. A run that was
/// `followed` took as long, and read as much, as somebody let it: only its failed items say something.
pub(crate) fn unusual(run: Ended, before: &[Ended], batch: u64, followed: bool) -> Vec<Event> {
    let found = match followed {
        true => [None, error_rate(run, before), None],
        false => [volume(run, before), error_rate(run, before), age(run, before)],
    };
    let raised = found.into_iter().flatten();
    raised
        .map(|Found { alert, value, threshold, message }| Event::AlertRaised {
            alert: alert.to_owned(),
            batch,
            value,
            threshold,
            message,
        })
        .collect()
}

fn volume(run: Ended, before: &[Ended]) -> Option<Found> {
    let usual = Usual::of(before.iter().map(|run| run.read as f64))?;
    let (factor, few) = (usual.factor(), USUAL_ITEMS as f64);
    // In whole numbers, as items are. One more makes a ratio of nothing, too.
    let low = ((usual.median + 1.0) / factor - 1.0).min(usual.median - few).ceil();
    let high = ((usual.median + 1.0) * factor - 1.0).max(usual.median + few).floor();
    let read = run.read as f64;
    let threshold = if read < low { low } else { high };
    (read < low || read > high).then(|| Found {
        alert: UNUSUAL_VOLUME,
        value: read,
        threshold,
        message: format!(
            "read {}; the {} before it read {}",
            words::counted(run.read, "item"),
            runs(before),
            usual.told(|read| words::count(read as u64))
        ),
    })
}

fn error_rate(run: Ended, before: &[Ended]) -> Option<Found> {
    let share = |run: &Ended| run.failed as f64 / run.read as f64;
    let enough: Vec<Ended> = before.iter().filter(|run| run.read >= SHARE_ITEMS_MIN).copied().collect();
    let usual = Usual::of(enough.iter().map(share)).filter(|_| run.read >= SHARE_ITEMS_MIN)?;
    let beyond = usual
        .deviation(|value, median| (value - median).abs())
        .max(usual.median * USUAL_PERCENT as f64 / 100.0)
        .max(USUAL_ERRORS_PERCENT as f64 / 100.0)
        .max(USUAL_ITEMS as f64 / run.read as f64);
    let (value, threshold) = (share(&run), usual.median + beyond);
    (value > threshold).then(|| Found {
        alert: UNUSUAL_ERROR_RATE,
        value,
        threshold,
        message: format!(
            "{} of {} were rejected or failed; of those of the {} before it {}",
            words::percent(value),
            words::counted(run.read, "item"),
            runs(&enough),
            usual.told(words::percent)
        ),
    })
}

fn age(run: Ended, before: &[Ended]) -> Option<Found> {
    let mut ends: Vec<i64> = before.iter().map(|run| run.ended_ms).collect();
    ends.sort_unstable();
    let usual = Usual::of(ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64))?;
    let factor = usual.factor();
    // Runs that come in bursts, or as it happens, have no schedule that one could be behind.
    let scheduled = usual.median >= USUAL_AGE_MIN.as_millis() as f64 && factor <= USUAL_SCHEDULE_FACTOR as f64;
    let (value, threshold) = (run.ended_ms.saturating_sub(*ends.last()?) as f64, usual.median * factor);
    (scheduled && value > threshold).then(|| {
        let time = |ms: f64| words::duration(Duration::from_millis(ms as u64));
        let message = format!(
            "ended {} after the run before it; the {} before it followed each other after {}",
            time(value),
            runs(before),
            usual.told(time)
        );
        Found { alert: UNUSUAL_AGE, value, threshold, message }
    })
}

fn runs(before: &[Ended]) -> String {
    words::counted(before.len() as u64, "run")
}

/// What earlier runs had.
struct Usual {
    /// Ascending, at least [`USUAL_RUNS_MIN`].
    values: Vec<f64>,
    median: f64,
}

impl Usual {
    /// None where too few say what is usual.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        (values.len() >= USUAL_RUNS_MIN).then(|| Self { median: middle(&values), values })
    }

    /// How far from the median a value may lie by what these do.
    fn deviation(&self, distance: impl Fn(f64, f64) -> f64) -> f64 {
        let mut distances: Vec<f64> = self.values.iter().map(|value| distance(*value, self.median)).collect();
        distances.sort_by(f64::total_cmp);
        USUAL_DEVIATIONS as f64 * OF_MAD * middle(&distances)
    }

    /// How many times as large as the median, or as small, a value may be.
    fn factor(&self) -> f64 {
        let deviation = self.deviation(|value, median| (value.ln_1p() - median.ln_1p()).abs());
        deviation.exp().max(1.0 + USUAL_PERCENT as f64 / 100.0)
    }

    /// From where to where they lie, and around what.
    fn told(&self, text: impl Fn(f64) -> String) -> String {
        let (least, most) = (text(self.values[0]), text(self.values[self.values.len() - 1]));
        match least == most {
            true => least,
            false => format!("{least} to {most} (median {})", text(self.median)),
        }
    }
}

/// The median of what is sorted and not empty.
fn middle(sorted: &[f64]) -> f64 {
    let (upper, lower) = (sorted.len() / 2, (sorted.len() - 1) / 2);
    (sorted[lower] + sorted[upper]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Runs of so many items, of which so many failed, one each hour.
    fn hourly(runs: &[(u64, u64)]) -> Vec<Ended> {
        let ended = |at: usize| (at as i64 + 1) * HOUR_MS;
        runs.iter()
            .enumerate()
            .map(|(at, (read, failed))| Ended { ended_ms: ended(at), read: *read, failed: *failed })
            .collect()
    }

    /// The alerts of the last of these runs, beside the others: name, threshold and message.
    fn told(runs: &[Ended]) -> Vec<(String, f64, String)> {
        let (run, before) = runs.split_last().unwrap();
        let told = unusual(*run, before, 7, false).into_iter().map(|event| match event {
            Event::AlertRaised { alert, batch: 7, threshold, message, .. } => (alert, threshold, message),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    fn names(runs: &[Ended]) -> Vec<String> {
        told(runs).into_iter().map(|(alert, ..)| alert).collect()
    }

    /// Runs that read as many items, of which none failed, and a last one.
    fn volumes(before: &[u64], last: u64) -> Vec<Ended> {
        let runs: Vec<(u64, u64)> = before.iter().chain([&last]).map(|read| (*read, 0)).collect();
        hourly(&runs)
    }

    #[test]
    fn a_volume_is_told_with_those_before_it_and_the_border_that_it_is_beyond() {
        let before = [9_800, 10_000, 10_050, 10_100, 10_300];
        let told_of = |read| told(&volumes(&before, read));
        let alerts = told_of(120);
        let [(alert, threshold, message)] = &alerts[..] else { panic!("{alerts:?}") };
        assert_eq!(alert, UNUSUAL_VOLUME);
        assert_eq!(message, "read 120 items; the 5 runs before it read 9,800 to 10,300 (median 10,050)");
        // A fourth above the median is as far from it as a fifth below.
        assert_eq!(*threshold, 8_040.0);
        for (read, raised) in [(8_039, true), (8_040, false), (10_050, false), (12_562, false), (12_563, true)] {
            assert_eq!(!told_of(read).is_empty(), raised, "{read}");
        }
        let same = told(&volumes(&[500; 20], 0));
        assert_eq!(same[0].2, "read 0 items; the 20 runs before it read 500");
    }

    #[test]
    fn fewer_than_five_runs_and_a_few_items_say_nothing() {
        assert_eq!(names(&volumes(&[1000; 4], 10)), [""; 0]);
        assert_eq!(names(&volumes(&[1000; 5], 10)), [UNUSUAL_VOLUME]);
        for (read, raised) in [(0, true), (3, true), (4, true), (5, false), (15, false), (16, true)] {
            assert_eq!(!told(&volumes(&[10; 8], read)).is_empty(), raised, "{read}");
        }
        assert_eq!(names(&volumes(&[3; 8], 0)), [""; 0]);
    }

    #[test]
    fn runs_that_differ_much_make_much_usual_and_one_that_went_wrong_does_not() {
        let skewed = [50, 80, 120, 200, 300, 450, 900, 1500, 4000];
        assert_eq!(names(&volumes(&skewed, 9_000)), [""; 0]);
        assert_eq!(names(&volumes(&skewed, 1)), [UNUSUAL_VOLUME]);
        let one_failed = [1000, 1010, 0, 990, 1005, 995, 1002];
        assert_eq!(
            names(&volumes(&one_failed, 0)),
            [UNUSUAL_VOLUME],
            "it happened before, and is unusual all the same"
        );
    }

    #[test]
    fn a_share_of_failed_items_is_unusual_upwards_alone() {
        let before = [(1000, 10), (1000, 12), (1000, 8), (1000, 10), (1000, 11), (1000, 9)];
        let with = |last| hourly(&before.into_iter().chain([last]).collect::<Vec<_>>());
        let alerts = told(&with((1000, 52)));
        let [(alert, threshold, message)] = &alerts[..] else { panic!("{alerts:?}") };
        assert_eq!((alert.as_str(), *threshold), (UNUSUAL_ERROR_RATE, 0.02));
        assert_eq!(
            message,
            "5.2 % of 1,000 items were rejected or failed; of those of the 6 runs before it 0.8 % to 1.2 % (median 1.0 %)"
        );
        assert_eq!(names(&with((1000, 20))), [""; 0], "one more of a hundred");
        assert_eq!(names(&with((1000, 0))), [""; 0]);
    }

    #[test]
    fn few_items_and_few_failed_ones_say_nothing_about_a_share() {
        let runs = |before: (u64, u64), last: (u64, u64)| {
            names(&hourly(&[before; 6].into_iter().chain([last]).collect::<Vec<_>>()))
        };
        assert_eq!(runs((19, 0), (19, 19)), [""; 0]);
        assert_eq!(runs((20, 0), (20, 5)), [""; 0]);
        assert_eq!(runs((20, 0), (20, 6)), [UNUSUAL_ERROR_RATE]);
        assert_eq!(runs((0, 0), (0, 0)), [""; 0]);
    }

    /// Runs of 100 items, so many minutes after one another.
    fn distances(minutes: &[i64]) -> Vec<Ended> {
        let ends = minutes.iter().scan(0, |at, minutes| {
            *at += minutes * 60_000;
            Some(*at)
        });
        [0].into_iter().chain(ends).map(|ended_ms| Ended { ended_ms, read: 100, failed: 0 }).collect()
    }

    #[test]
    fn a_run_that_comes_late_is_told_with_the_distances_before_it() {
        let alerts = told(&distances(&[60, 58, 62, 61, 59, 180]));
        let [(alert, threshold, message)] = &alerts[..] else { panic!("{alerts:?}") };
        assert_eq!((alert.as_str(), *threshold), (UNUSUAL_AGE, 4_500_000.0));
        assert_eq!(
            message,
            "ended 3 h 00 min after the run before it; the 6 runs before it followed each other after 58 min 00 s to 1 h 02 min (median 1 h 00 min)"
        );
        assert_eq!(names(&distances(&[60, 58, 62, 61, 59, 74])), [""; 0]);
        assert_eq!(names(&distances(&[60, 58, 62, 61, 59, 0])), [""; 0], "none comes too soon");
        assert_eq!(names(&distances(&[60, 60, 60, 60, 500])), [""; 0], "four distances say nothing");
    }

    #[test]
    fn runs_without_a_schedule_are_never_late() {
        assert_eq!(names(&distances(&[5, 90, 12, 300, 44, 7, 20_000])), [""; 0], "they come as it happens");
        let burst: Vec<Ended> = (0..8).map(|n| Ended { ended_ms: n * 2_000, read: 100, failed: 0 }).collect();
        let later = Ended { ended_ms: 24 * HOUR_MS, read: 100, failed: 0 };
        assert_eq!(names(&burst.into_iter().chain([later]).collect::<Vec<_>>()), [""; 0], "they come in bursts");
    }

    #[test]
    fn of_a_followed_file_only_the_failed_items_count() {
        let mut runs = hourly(&[(1000, 0); 8]);
        runs.push(Ended { ended_ms: 900 * HOUR_MS, read: 100, failed: 50 });
        assert_eq!(names(&runs), [UNUSUAL_VOLUME, UNUSUAL_ERROR_RATE, UNUSUAL_AGE]);
        let (run, before) = runs.split_last().unwrap();
        let followed = unusual(*run, before, 0, true);
        assert!(
            matches!(&followed[..], [Event::AlertRaised { alert, .. }] if alert == UNUSUAL_ERROR_RATE),
            "{followed:?}"
        );
    }

    #[test]
    fn no_figures_bring_it_to_fall() {
        let wild = [i64::MIN, -1, 0, 1, i64::MAX, i64::MAX, 5];
        let runs: Vec<Ended> =
            wild.iter().map(|ms| Ended { ended_ms: *ms, read: u64::MAX, failed: u64::MAX }).collect();
        names(&runs);
    }
}
