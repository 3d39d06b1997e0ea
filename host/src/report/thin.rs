//! A series of samples that stays short however many come.

use crate::limits::REPORT_SAMPLES_MAX;

/// Every sample at first, then every second, fourth, eighth: what is kept is spread evenly, and the newest is among it.
#[derive(Debug, Clone)]
pub struct Thin<T> {
    kept: Vec<T>,
    newest: Option<T>,
    step: u64,
    seen: u64,
}

impl<T> Default for Thin<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), newest: None, step: 1, seen: 0 }
    }
}

impl<T: Clone> Thin<T> {
    /// Takes the next sample.
    pub fn push(&mut self, sample: T) {
        self.newest = None;
        if self.seen.is_multiple_of(self.step) {
            self.kept.push(sample);
        } else {
            self.newest = Some(sample);
        }
        self.seen += 1;
        if self.kept.len() > REPORT_SAMPLES_MAX {
            let last = self.kept.last().cloned();
            let mut odd = false;
            self.kept.retain(|_| {
                odd = !odd;
                odd
            });
            self.step *= 2;
            if self.newest.is_none() && !(self.seen - 1).is_multiple_of(self.step) {
                self.newest = last;
            }
        }
    }

    /// What is left of them, in order.
    pub fn into_vec(mut self) -> Vec<T> {
        self.kept.extend(self.newest);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_series_stays_short_and_keeps_its_ends() {
        for length in [0, 1, 5, 400, 401, 402, 12_345] {
            let mut thin = Thin::default();
            (0..length).for_each(|n| thin.push(n));
            let kept = thin.into_vec();
            assert!(kept.len() <= REPORT_SAMPLES_MAX + 1 && kept.is_sorted(), "{length}");
            assert!(length > 400 || kept.len() == length, "{length}");
            assert_eq!(
                (kept.first(), kept.last()),
                ((length > 0).then_some(&0), (0..length).last().as_ref()),
                "{length}"
            );
        }
    }
}
