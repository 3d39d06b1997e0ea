//! Earlier runs beside this one, and what departs from the usual.

use serde::Serialize;

/// Fewer runs than this have nothing usual.
const RUNS_ENOUGH: usize = 4;
/// A value departs that is so many times further from the median than half of the others are,
const SPREADS: f64 = 4.0;
/// and by this part of the median at the least.
const DEPARTURE_SHARE_MIN: f64 = 0.3;
/// An error share departs by this at the least, however small the usual one is.
const ERROR_SHARE_MIN: f64 = 0.005;

/// A run as the history shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EarlierRun {
    pub run: u64,
    pub status: &'static str,
    /// As people read it.
    pub started: String,
    pub items: u64,
    pub duration_ms: Option<u64>,
    pub items_per_s: Option<f64>,
    /// Rejected and dead-lettered, 0..1.
    pub error_share: Option<f64>,
}

/// A value that is unlike those of the other runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Departure {
    pub run: u64,
    /// `duration`, `items/s` or `error share`.
    pub measure: &'static str,
    pub value: f64,
    pub median: f64,
}

/// Takes what is compared from a run; none where it is not known.
pub type Measure = fn(&EarlierRun) -> Option<f64>;

/// The measures that are compared, with the part of a run that each looks at.
pub const MEASURES: [(&str, Measure); 3] = [
    ("duration", |run| run.duration_ms.map(|ms| ms as f64 / 1000.0)),
    ("items/s", |run| run.items_per_s),
    ("error share", |run| run.error_share),
];

/// What departs among these runs, by measure and run.
pub fn departures(runs: &[EarlierRun]) -> Vec<Departure> {
    let mut found = Vec::new();
    for (measure, of) in MEASURES {
        let values: Vec<(u64, f64)> = runs.iter().filter_map(|run| Some((run.run, of(run)?))).collect();
        if values.len() < RUNS_ENOUGH {
            continue;
        }
        let middle = median(values.iter().map(|(_, value)| *value).collect());
        let spread = median(values.iter().map(|(_, value)| (value - middle).abs()).collect());
        let least = if measure == "error share" { ERROR_SHARE_MIN } else { middle * DEPARTURE_SHARE_MIN };
        let bound = (spread * SPREADS).max(least);
        let departs = values.into_iter().filter(|(_, value)| (value - middle).abs() > bound);
        found.extend(departs.map(|(run, value)| Departure { run, measure, value, median: middle }));
    }
    found
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u64, items_per_s: f64, error_share: f64) -> EarlierRun {
        EarlierRun {
            run: number,
            status: "partial",
            started: String::new(),
            items: 1000,
            duration_ms: Some(1000),
            items_per_s: Some(items_per_s),
            error_share: Some(error_share),
        }
    }

    #[test]
    fn what_is_far_from_the_others_departs() {
        let runs =
            [run(1, 100.0, 0.01), run(2, 110.0, 0.01), run(3, 95.0, 0.01), run(4, 105.0, 0.2), run(5, 40.0, 0.01)];
        let found: Vec<_> = departures(&runs).iter().map(|d| (d.run, d.measure)).collect();
        assert_eq!(found, [(5, "items/s"), (4, "error share")]);
    }

    #[test]
    fn a_few_runs_and_small_differences_are_nothing() {
        assert_eq!(departures(&[run(1, 100.0, 0.0), run(2, 1.0, 0.9), run(3, 50.0, 0.0)]), []);
        assert_eq!(departures(&[run(1, 100.0, 0.0), run(2, 100.0, 0.001), run(3, 100.0, 0.0), run(4, 101.0, 0.0)]), []);
        assert_eq!(departures(&[]), []);
    }
}
