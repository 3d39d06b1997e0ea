//! Figures from samples, and how they are written.

/// The middle of a list; of an even number of samples the mean of the two in the middle.
///
/// # Panics
/// If there is none: every contestant runs at least once.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

pub fn min(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, f64::min)
}

pub fn max(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// `1.23 s`, `45.6 ms`.
pub fn seconds(value: f64) -> String {
    if value < 0.9995 { format!("{:.1} ms", value * 1e3) } else { format!("{value:.2} s") }
}

/// `300,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
