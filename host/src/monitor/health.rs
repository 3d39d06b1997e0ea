//! Whether the host is well: memory, CPU, errors, response time, the store's log and the space that is left to it.

mod disk;
mod judge;
mod sensor;

use std::time::Duration;

pub use judge::{Condition, Reason, Thresholds, judge, reasons, worst};
pub use sensor::SystemSensor;
pub(crate) use sensor::memory_bytes;

use super::recent::Recent;
use crate::event::{Event, HealthStatus};

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
    /// Size of the store's write-ahead log.
    pub wal_bytes: Option<u64>,
    /// Space that is left where the store lies.
    pub disk_free_bytes: Option<u64>,
}

impl Sample {
    /// Without what cannot be used: NaN, infinite and negative shares become none, those above 1 become 1.
    pub fn usable(self) -> Self {
        let share = |v: Option<f64>| v.filter(|v| v.is_finite() && *v >= 0.0).map(|v| v.min(1.0));
        Self { cpu_share: share(self.cpu_share), memory_share: share(self.memory_share), ..self }
    }
}

/// Joins samples with what recent batches show. A pure fold; it recovers as the values do.
#[derive(Debug, Default)]
pub struct Health {
    thresholds: Thresholds,
    recent: Recent,
}

impl Health {
    /// With these thresholds.
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, recent: Recent::default() }
    }

    /// Other thresholds from the next sample on.
    pub fn set(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Takes in the next event of the run, which came at this time since the run began.
    pub fn observe(&mut self, event: &Event, elapsed_us: u64) {
        self.recent.pass(elapsed_us);
        if let Event::BatchCommitted(batch) | Event::BatchApplied(batch) = event {
            self.recent.add(batch, elapsed_us);
        }
    }

    /// Share of failed items over recent batches, 0..1; 0 while there are too few items to say
    /// ([`SHARE_ITEMS_MIN`](crate::limits::SHARE_ITEMS_MIN)).
    pub fn error_share(&self) -> f64 {
        self.recent.items().map_or(0.0, |(items, failed)| failed as f64 / items as f64)
    }

    /// Mean response time over recent batches.
    pub fn response(&self) -> Option<Duration> {
        self.recent.response()
    }

    /// How the host is judged to be by this sample and the recent batches.
    pub fn status(&self, sample: Sample) -> HealthStatus {
        judge(sample.usable(), self.error_share(), self.response(), &self.thresholds)
    }

    /// The event that tells of a sample.
    pub fn sampled(&self, sample: Sample) -> Event {
        let Sample { cpu_share, memory_share, process_bytes, wal_bytes, disk_free_bytes } = sample.usable();
        let (error_share, response) = (self.error_share(), self.response());
        Event::HealthSampled {
            status: judge(sample, error_share, response, &self.thresholds),
            cpu_share,
            memory_share,
            process_bytes,
            error_share,
            response_us: response.map(|time| time.as_micros() as u64),
            wal_bytes,
            disk_free_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::recent::RECENT_BATCHES;
    use crate::monitor::testing;

    fn memory(share: f64) -> Sample {
        Sample { memory_share: Some(share), ..Sample::default() }
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
        health.observe(&testing::batch(0, 100, 50), 0);
        assert_eq!(health.error_share(), 0.5);
        let mut early = Health::default();
        early.observe(&testing::batch(0, 5, 1), 0);
        assert_eq!(early.error_share(), 0.0, "five items say nothing");
        assert_eq!(early.status(memory(0.1)), HealthStatus::Healthy);
        assert!(matches!(health.sampled(memory(0.1)), Event::HealthSampled { status: HealthStatus::Unhealthy, .. }));
        for number in 1..=RECENT_BATCHES as u64 {
            health.observe(&testing::batch(number, 100, 0), number);
        }
        assert!(matches!(health.sampled(memory(0.1)), Event::HealthSampled { status: HealthStatus::Healthy, .. }));
    }

    #[test]
    fn errors_are_forgotten_while_the_input_pauses() {
        let mut health = Health::default();
        health.observe(&testing::batch(0, 100, 50), 1_000_000);
        let mut unhealthy = Vec::new();
        for second in 2..120 {
            let sampled = health.sampled(memory(0.1));
            if matches!(sampled, Event::HealthSampled { status: HealthStatus::Unhealthy, .. }) {
                unhealthy.push(second);
            }
            health.observe(&sampled, second * 1_000_000);
        }
        assert_eq!((unhealthy.first(), unhealthy.last()), (Some(&2), Some(&62)), "a minute, and no more");
    }
}
