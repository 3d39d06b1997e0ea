//! Whether the host is well: memory, CPU, errors, response time.

mod sensor;

use std::collections::VecDeque;
use std::time::Duration;

pub use sensor::SystemSensor;

use crate::event::{Event, HealthStatus};

/// Committed batches over which errors and response times are counted.
const RECENT_BATCHES: usize = 32;

/// Reads the state of the machine.
pub trait Sensor: Send {
    /// The state since the last sample. Cheap enough for a few calls a second.
    fn sample(&mut self) -> Sample;
}

/// What a sensor gives. Shares are 0..1; none where nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// CPU of the machine in use since the last sample.
    pub cpu_share: Option<f64>,
    /// Memory in use: of the machine, or of the memory group of the process where that is tighter.
    pub memory_share: Option<f64>,
    /// Memory of this process.
    pub process_bytes: Option<u64>,
}

impl Sample {
    /// Without what cannot be used: NaN, infinite and negative shares become none, those above 1 become 1.
    pub fn usable(self) -> Self {
        let share = |v: Option<f64>| v.filter(|v| v.is_finite() && *v >= 0.0).map(|v| v.min(1.0));
        Self { cpu_share: share(self.cpu_share), memory_share: share(self.memory_share), ..self }
    }
}

/// Above these values the host is unhealthy; above the stated part of them it is degraded.
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
}

impl Default for Thresholds {
    /// 90 % of memory, 10 % of errors, 5 s of response time, 95 % of CPU.
    fn default() -> Self {
        Self { memory_share: 0.90, error_share: 0.10, response: Duration::from_secs(5), cpu_share: 0.95 }
    }
}

/// Degraded begins at this part of the way to unhealthy: for memory at 80 % (of 90), for errors and response at half.
const DEGRADED_MEMORY: f64 = 8.0 / 9.0;
/// See [`DEGRADED_MEMORY`].
const DEGRADED_OTHER: f64 = 0.5;

/// The status that these values mean. A value exactly at a threshold is not above it; an unknown one counts as well.
pub fn judge(sample: Sample, error_share: f64, response: Option<Duration>, thresholds: &Thresholds) -> HealthStatus {
    let sample = sample.usable();
    let memory = sample.memory_share.unwrap_or(0.0);
    let errors = if error_share.is_finite() { error_share } else { 0.0 };
    let response_s = response.unwrap_or_default().as_secs_f64();
    let limit_s = thresholds.response.as_secs_f64();
    if memory > thresholds.memory_share || errors > thresholds.error_share || response_s > limit_s {
        return HealthStatus::Unhealthy;
    }
    let degraded = memory > thresholds.memory_share * DEGRADED_MEMORY
        || errors > thresholds.error_share * DEGRADED_OTHER
        || response_s > limit_s * DEGRADED_OTHER
        || sample.cpu_share.unwrap_or(0.0) > thresholds.cpu_share;
    if degraded { HealthStatus::Degraded } else { HealthStatus::Healthy }
}

/// Joins samples with what recent batches show. A pure fold; it recovers as the values do.
#[derive(Debug, Default)]
pub struct Health {
    thresholds: Thresholds,
    /// Items, failed items and response time of recent batches.
    recent: VecDeque<(u64, u64, u64)>,
}

impl Health {
    /// With these thresholds.
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, recent: VecDeque::new() }
    }

    /// Takes in the next event of the run.
    pub fn observe(&mut self, event: &Event) {
        if let Event::BatchCommitted(batch) | Event::BatchApplied(batch) = event {
            if self.recent.len() == RECENT_BATCHES {
                self.recent.pop_front();
            }
            self.recent.push_back((batch.counts.read, batch.counts.failed(), batch.metrics.compute_us));
        }
    }

    /// Share of failed items over recent batches, 0..1; 0 before the first.
    pub fn error_share(&self) -> f64 {
        let items: u64 = self.recent.iter().map(|r| r.0).sum();
        let failed: u64 = self.recent.iter().map(|r| r.1).sum();
        if items == 0 { 0.0 } else { failed as f64 / items as f64 }
    }

    /// Mean response time over recent batches.
    pub fn response(&self) -> Option<Duration> {
        let sum: u64 = self.recent.iter().map(|r| r.2).fold(0, u64::saturating_add);
        sum.checked_div(self.recent.len() as u64).map(Duration::from_micros)
    }

    /// The event that tells of a sample.
    pub fn sampled(&self, sample: Sample) -> Event {
        let Sample { cpu_share, memory_share, process_bytes } = sample.usable();
        let error_share = self.error_share();
        let status = judge(sample, error_share, self.response(), &self.thresholds);
        Event::HealthSampled { status, cpu_share, memory_share, process_bytes, error_share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing;

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
    fn unusable_and_absent_sensors_count_as_well() {
        for nonsense in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)] {
            let sample = Sample { cpu_share: nonsense, memory_share: nonsense, process_bytes: None };
            assert_eq!(judge(sample, f64::NAN, None, &Thresholds::default()), HealthStatus::Healthy);
            assert_eq!(sample.usable(), Sample::default());
        }
        assert_eq!(judge(memory(7.0), 0.0, None, &Thresholds::default()), HealthStatus::Unhealthy);
    }

    /// A sensor whose samples are given.
    struct Given(std::vec::IntoIter<Sample>);

    impl Sensor for Given {
        fn sample(&mut self) -> Sample {
            self.0.next().unwrap_or_default()
        }
    }

    #[test]
    fn an_idle_host_stays_healthy_for_an_hour_and_an_unhealthy_one_recovers() {
        let status = |event| match event {
            Event::HealthSampled { status, .. } => status,
            other => panic!("{other:?}"),
        };
        let health = Health::default();
        let mut idle: Box<dyn Sensor> = Box::new(Given(vec![memory(0.3); 3600].into_iter()));
        assert!((0..3600).all(|_| status(health.sampled(idle.sample())) == HealthStatus::Healthy));

        let mut sensor = Given(vec![memory(0.5), memory(0.95), memory(0.5)].into_iter());
        let seen: Vec<_> = (0..3).map(|_| status(health.sampled(sensor.sample()))).collect();
        assert_eq!(seen, [HealthStatus::Healthy, HealthStatus::Unhealthy, HealthStatus::Healthy]);
    }

    #[test]
    fn errors_of_recent_batches_make_it_unhealthy_and_are_forgotten() {
        let mut health = Health::default();
        health.observe(&testing::batch(0, 100, 50));
        assert_eq!(health.error_share(), 0.5);
        assert!(matches!(health.sampled(memory(0.1)), Event::HealthSampled { status: HealthStatus::Unhealthy, .. }));
        for number in 1..=RECENT_BATCHES as u64 {
            health.observe(&testing::batch(number, 100, 0));
        }
        assert!(matches!(health.sampled(memory(0.1)), Event::HealthSampled { status: HealthStatus::Healthy, .. }));
    }
}
