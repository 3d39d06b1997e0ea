//! From values to places, and the round values in between.

/// Maps values to coordinates; both may run either way.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub from: f64,
    pub to: f64,
    pub start: f64,
    pub end: f64,
}

impl Scale {
    /// The place of a value.
    pub fn at(&self, value: f64) -> f64 {
        if self.to <= self.from {
            return self.start;
        }
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }
}

/// About `wanted` round values from 0 to the first that is not below `max`.
pub fn ticks(max: f64, wanted: f64) -> Vec<f64> {
    if !max.is_finite() || max <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = max / wanted;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|f| f * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    let last = (max / step - 1e-9).ceil().max(1.0) as u64;
    (0..=last).map(|i| i as f64 * step).collect()
}

/// Steps of a time axis, in microseconds, beyond those of ten.
const LONG_STEPS_S: [u64; 16] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 43_200];

/// Round times from `from` to `to`, and their step; all in microseconds.
pub fn time_ticks(from: u64, to: u64) -> (Vec<u64>, u64) {
    let span = to.saturating_sub(from).max(1);
    let wanted = span / 8;
    let short = (0..6).flat_map(|power| [1, 2, 5].map(|f| f * 10u64.pow(power)));
    let long = LONG_STEPS_S.map(|s| s * 1_000_000);
    let days = (1..).map(|n| n * 86_400_000_000);
    let step = short.chain(long).chain(days).find(|step| *step > wanted).unwrap_or(span);
    let first = from.div_ceil(step);
    let ticks = (first..).map(|i| i * step).take_while(|tick| *tick <= to).collect();
    (ticks, step)
}

/// A time on an axis of this step: `12 ms`, `1.5 s`, `2:05`, `1:00:00`.
pub fn time_label(us: u64, step: u64) -> String {
    let s = us / 1_000_000;
    match step {
        _ if us == 0 => "0".to_owned(),
        ..1_000 if us < 1_000 => format!("{us} µs"),
        ..1_000 => format!("{} ms", us as f64 / 1e3),
        1_000..100_000 if us < 1_000_000 => format!("{} ms", us / 1000),
        1_000..1_000_000 => format!("{} s", (us / 1000) as f64 / 1e3),
        _ if s < 60 => format!("{s} s"),
        _ if s < 3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60),
    }
}

/// `0`, `250`, `1.5k`, `80k`, `2M`.
pub fn short(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e9 => (v / 1e9, "G"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_top() {
        assert_eq!(ticks(87_209.0, 4.0), [0.0, 25_000.0, 50_000.0, 75_000.0, 100_000.0]);
        assert_eq!(ticks(2.0, 4.0), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(ticks(0.0, 4.0), [0.0, 1.0]);
        assert_eq!(ticks(f64::NAN, 4.0), [0.0, 1.0]);
        for max in [1e-9, 0.03, 7.0, 123.0, 1e15] {
            let ticks = ticks(max, 4.0);
            assert!(ticks.len() < 9 && ticks.last().is_some_and(|last| *last >= max * 0.999), "{max}: {ticks:?}");
        }
    }

    #[test]
    fn times_on_an_axis_are_round_and_few() {
        assert_eq!(time_ticks(0, 700_000).1, 100_000);
        for span in [1, 17, 4000, 700_000, 59_000_000, 4_000_000_000, 400_000_000_000, u64::MAX / 4] {
            let (ticks, step) = time_ticks(span / 3, span);
            assert!(ticks.len() <= 9 && step > 0, "{span}: {}", ticks.len());
        }
        let labels = [(0, 1), (20, 10), (1500, 100), (50_000, 10_000), (1_500_000, 500_000), (7_000_000, 1_000_000)];
        let texts = labels.map(|(us, step)| time_label(us, step));
        assert_eq!(texts, ["0", "20 µs", "1.5 ms", "50 ms", "1.5 s", "7 s"]);
        assert_eq!(time_label(125_000_000, 5_000_000), "2:05");
        assert_eq!(time_label(3_725_000_000, 60_000_000), "1:02:05");
    }

    #[test]
    fn values_on_an_axis_are_short() {
        assert_eq!([0.0, 250.0, 1500.0, 80_000.0, 2e6].map(short), ["0", "250", "1.5k", "80k", "2M"]);
    }
}
