//! When a transient failure is tried again: exponential back-off with full jitter under a cap. Pure.
//!
//! Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").

use std::time::Duration;

use crate::limits;

/// Wait before attempt `attempt + 1`, where `attempt` (from 1) has failed: uniformly from 0 to
/// `min(cap, first · 2^(attempt-1))`, but at least what the plugin asked for (which is capped too).
pub(super) fn delay(attempt: u32, random: u64, asked_ms: Option<u32>) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let ceiling = limits::RETRY_DELAY_MIN.saturating_mul(1 << doublings).min(limits::RETRY_DELAY_MAX);
    // 53 bits make a fraction in 0..1 without rounding.
    let fraction = (random >> 11) as f64 / (1u64 << 53) as f64;
    let asked = Duration::from_millis(u64::from(asked_ms.unwrap_or(0))).min(limits::RETRY_DELAY_MAX);
    ceiling.mul_f64(fraction).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_exponentially_up_to_the_cap() {
        let full = |attempt| delay(attempt, u64::MAX, None);
        for attempt in 1..8 {
            let (this, next) = (full(attempt).as_secs_f64(), full(attempt + 1).as_secs_f64());
            assert!((next / this - 2.0).abs() < 0.01, "attempt {attempt}: {this} then {next}");
        }
        assert!(full(1000) <= limits::RETRY_DELAY_MAX);
    }

    #[test]
    fn jitter_covers_the_whole_range_and_respects_what_was_asked() {
        assert_eq!(delay(5, 0, None), Duration::ZERO);
        assert_eq!(delay(1, 0, Some(200)), Duration::from_millis(200));
        assert_eq!(delay(1, 0, Some(u32::MAX)), limits::RETRY_DELAY_MAX);
    }
}
