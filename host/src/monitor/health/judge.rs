//! From measured values to a judgement, with its reasons.

use std::time::Duration;

use serde::Serialize;

use super::Sample;
use crate::event::HealthStatus;
use crate::limits;
use crate::monitor::words;
use crate::strategy::{EARLY_MEMORY, Tolerance};

/// Above these values (of disk space: below) the host is unhealthy; above the stated part of them it is degraded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Memory in use, 0..1.
    pub memory_share: f64,
    /// Items rejected or dead-lettered, 0..1.
    pub error_share: f64,
    /// Time from the cut of a batch to its last decision.
    pub response: Duration,
    /// CPU in use, 0..1. Above it the host is degraded, never unhealthy: to use all CPUs is what a batch job is for.
    pub cpu_share: f64,
    /// Size of the store's write-ahead log.
    pub wal_bytes: u64,
    /// Space that is left where the store lies.
    pub disk_free_bytes: u64,
}

impl Default for Thresholds {
    /// 90 % of memory, 10 % of errors, 5 s of response time, 95 % of CPU, the log at which plans give way, 256 MiB of space.
    fn default() -> Self {
        let Tolerance { memory_share, error_share, wal_bytes } = Tolerance::default();
        Self {
            memory_share,
            error_share,
            response: Duration::from_secs(5),
            cpu_share: 0.95,
            wal_bytes,
            disk_free_bytes: limits::DISK_FREE_BYTES_MIN,
        }
    }
}

impl Thresholds {
    /// What of it plans heed themselves: smaller ones take less memory, and risk fewer items at a time.
    pub fn tolerance(&self) -> Tolerance {
        let Self { memory_share, error_share, wal_bytes, .. } = *self;
        Tolerance { memory_share, error_share, wal_bytes }
    }
}

/// Degraded begins at this part of the way to unhealthy: for memory at 80 % (of 90), for errors, response and log at half.
const DEGRADED_MEMORY: f64 = EARLY_MEMORY.0 / EARLY_MEMORY.1;
/// See [`DEGRADED_MEMORY`]. Of disk space it is twice the threshold.
const DEGRADED_OTHER: f64 = 0.5;

/// What a [`Reason`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Memory in use.
    Memory,
    /// CPU in use.
    Cpu,
    /// Items rejected or dead-lettered.
    Errors,
    /// Time of a batch from its cut to its last decision.
    Response,
    /// Size of the write-ahead log.
    Wal,
    /// Space that is left where the store lies.
    Disk,
    /// How the last run ended.
    LastRun,
}

/// Why the host is not healthy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// What it is about.
    pub condition: Condition,
    /// How bad it is.
    pub status: HealthStatus,
    /// What was measured: a share of 0..1, milliseconds or bytes.
    pub value: f64,
    /// What it was compared with.
    pub threshold: f64,
    /// In words.
    pub message: String,
}

/// Every reason for another judgement than healthy. A value exactly at a threshold is not beyond it; an unknown one
/// counts as well.
pub fn reasons(sample: Sample, error_share: f64, response: Option<Duration>, thresholds: &Thresholds) -> Vec<Reason> {
    let sample = sample.usable();
    let errors = if error_share.is_finite() { error_share } else { 0.0 };
    let response = response.unwrap_or_default();
    let t = thresholds;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    let bytes = |bytes: f64| words::bytes(bytes as u64);
    let time = |ms: f64| words::duration(Duration::from_secs_f64(ms / 1e3));
    let above = |condition, value: f64, threshold: f64, early: f64, what: &str, text: &dyn Fn(f64) -> String| {
        let (status, word) = match value {
            v if v > threshold => (HealthStatus::Unhealthy, "more than"),
            v if v > threshold * early => (HealthStatus::Degraded, "near"),
            _ => return None,
        };
        let message = format!("{what} {}, {word} the {} set", text(value), text(threshold));
        Some(Reason { condition, status, value, threshold, message })
    };
    let found = [
        above(
            Condition::Memory,
            sample.memory_share.unwrap_or(0.0),
            t.memory_share,
            DEGRADED_MEMORY,
            "memory in use is",
            &share,
        ),
        sample.cpu_share.filter(|cpu| *cpu > t.cpu_share).map(|cpu| Reason {
            condition: Condition::Cpu,
            status: HealthStatus::Degraded,
            value: cpu,
            threshold: t.cpu_share,
            message: format!("CPU in use is {}, more than {}", share(cpu), share(t.cpu_share)),
        }),
        above(
            Condition::Errors,
            errors,
            t.error_share,
            DEGRADED_OTHER,
            "the share of items rejected or failed is",
            &share,
        ),
        above(Condition::Response, ms(response), ms(t.response), DEGRADED_OTHER, "computing a batch takes", &time),
        above(
            Condition::Wal,
            sample.wal_bytes.unwrap_or(0) as f64,
            t.wal_bytes as f64,
            DEGRADED_OTHER,
            "the write-ahead log has",
            &bytes,
        ),
        sample.disk_free_bytes.and_then(|free| {
            let (status, word) = match free {
                free if free < t.disk_free_bytes => (HealthStatus::Unhealthy, "less than"),
                free if free < t.disk_free_bytes.saturating_mul(2) => (HealthStatus::Degraded, "near"),
                _ => return None,
            };
            let (value, threshold) = (free as f64, t.disk_free_bytes as f64);
            let message = format!("space left for the store is {}, {word} the {} set", bytes(value), bytes(threshold));
            Some(Reason { condition: Condition::Disk, status, value, threshold, message })
        }),
    ];
    found.into_iter().flatten().collect()
}

/// The worst of the reasons; healthy without any.
pub fn worst(reasons: &[Reason]) -> HealthStatus {
    let has = |status| reasons.iter().any(|reason| reason.status == status);
    match (has(HealthStatus::Unhealthy), has(HealthStatus::Degraded)) {
        (true, _) => HealthStatus::Unhealthy,
        (_, true) => HealthStatus::Degraded,
        _ => HealthStatus::Healthy,
    }
}

/// The status that these values mean. See [`reasons`].
pub fn judge(sample: Sample, error_share: f64, response: Option<Duration>, thresholds: &Thresholds) -> HealthStatus {
    worst(&reasons(sample, error_share, response, thresholds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(share: f64) -> Sample {
        Sample { memory_share: Some(share), ..Sample::default() }
    }

    #[test]
    fn the_defaults_are_ninety_percent_memory_ten_percent_errors_five_seconds() {
        use HealthStatus::*;
        let of = |sample, errors, ms| judge(sample, errors, Some(Duration::from_millis(ms)), &Thresholds::default());
        assert_eq!(
            [of(memory(0.79), 0.0, 0), of(memory(0.85), 0.0, 0), of(memory(0.90), 0.0, 0), of(memory(0.91), 0.0, 0)],
            [Healthy, Degraded, Degraded, Unhealthy]
        );
        assert_eq!(
            [of(memory(0.1), 0.05, 0), of(memory(0.1), 0.10, 0), of(memory(0.1), 0.11, 0)],
            [Healthy, Degraded, Unhealthy]
        );
        assert_eq!(
            [of(memory(0.1), 0.0, 2_500), of(memory(0.1), 0.0, 5_000), of(memory(0.1), 0.0, 5_001)],
            [Healthy, Degraded, Unhealthy]
        );
        let busy = Sample { cpu_share: Some(1.0), ..memory(0.1) };
        assert_eq!(of(busy, 0.0, 0), Degraded);
    }

    #[test]
    fn a_large_log_and_little_space_are_judged_at_their_thresholds() {
        use HealthStatus::*;
        let thresholds = Thresholds { wal_bytes: 1000, disk_free_bytes: 500, ..Thresholds::default() };
        let of = |wal_bytes, disk_free_bytes| {
            judge(Sample { wal_bytes, disk_free_bytes, ..Sample::default() }, 0.0, None, &thresholds)
        };
        assert_eq!(
            [of(Some(500), None), of(Some(501), None), of(Some(1000), None), of(Some(1001), None)],
            [Healthy, Degraded, Degraded, Unhealthy]
        );
        assert_eq!(
            [of(None, Some(1000)), of(None, Some(999)), of(None, Some(500)), of(None, Some(499))],
            [Healthy, Degraded, Degraded, Unhealthy]
        );
        assert_eq!(of(Some(0), Some(u64::MAX)), Healthy);
    }

    #[test]
    fn unusable_and_absent_sensors_count_as_well() {
        for nonsense in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)] {
            let sample = Sample { cpu_share: nonsense, memory_share: nonsense, ..Sample::default() };
            assert_eq!(judge(sample, f64::NAN, None, &Thresholds::default()), HealthStatus::Healthy);
            assert_eq!(sample.usable(), Sample::default());
        }
        assert_eq!(judge(memory(7.0), 0.0, None, &Thresholds::default()), HealthStatus::Unhealthy);
    }

    #[test]
    fn a_reason_says_what_was_found_and_what_is_set() {
        let sample = Sample { memory_share: Some(0.95), disk_free_bytes: Some(3 << 20), ..Sample::default() };
        let found = reasons(sample, 0.07, Some(Duration::from_secs(6)), &Thresholds::default());
        let told: Vec<&str> = found.iter().map(|reason| reason.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "memory in use is 95.0 %, more than the 90.0 % set",
                "the share of items rejected or failed is 7.0 %, near the 10.0 % set",
                "computing a batch takes 6.0 s, more than the 5.0 s set",
                "space left for the store is 3.0 MiB, less than the 256.0 MiB set",
            ]
        );
        assert_eq!(worst(&found), HealthStatus::Unhealthy);
    }
}
