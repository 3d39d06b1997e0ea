//! The sensor of the machine that the program runs on.

use std::path::Path;
use std::time::{Duration, Instant};

use sysinfo::{
    CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System,
};

use super::disk::StoreFiles;
use super::{Sample, Sensor};

/// Reads memory, CPU use, the memory of this process and what a store has on disk, and nothing else.
///
/// The first sample has no CPU share, since that is a difference between two readings.
pub struct SystemSensor {
    readings: Option<Readings>,
    store: Option<StoreFiles>,
}

struct Readings {
    system: System,
    process: Option<Pid>,
    cpu: Option<CpuReading>,
}

/// When CPU use was read, and what part of it was in use since the reading before; none for the first.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CpuReading {
    at: Instant,
    share: Option<f64>,
}

impl CpuReading {
    /// The reading that follows `before` at `now`. `since_last` reads the CPU and gives the part in use since it did so last.
    ///
    /// Read more often than the system counts (`least`), it would be noise: then the last reading stays.
    fn after(before: Option<Self>, now: Instant, least: Duration, since_last: impl FnOnce() -> f64) -> Self {
        match before {
            Some(last) if now.saturating_duration_since(last.at) < least => last,
            Some(_) => Self { at: now, share: Some(since_last()) },
            // The first one has nothing to be a difference to; whatever it says is since some time unknown.
            None => {
                since_last();
                Self { at: now, share: None }
            }
        }
    }
}

impl SystemSensor {
    /// Nothing is read yet. On a system that cannot be read, every sample is empty.
    pub fn new() -> Self {
        let process = sysinfo::get_current_pid().ok();
        Self { readings: System::new().ok().map(|system| Readings { system, process, cpu: None }), store: None }
    }

    /// Reads the log of this store and the space that is left to it, too.
    pub fn of_store(store: &Path) -> Self {
        Self { store: Some(StoreFiles::of(store)), ..Self::new() }
    }
}

impl Default for SystemSensor {
    fn default() -> Self {
        Self::new()
    }
}

impl Sensor for SystemSensor {
    fn sample(&mut self) -> Sample {
        let machine = self.readings.as_mut().map(Readings::sample).unwrap_or_default();
        let store = self.store.as_ref();
        Sample {
            wal_bytes: store.and_then(StoreFiles::wal_bytes),
            disk_free_bytes: store.and_then(StoreFiles::free_bytes),
            ..machine.usable()
        }
    }
}

impl Readings {
    fn sample(&mut self) -> Sample {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        if let Some(pid) = self.process {
            let kind = ProcessRefreshKind::nothing().with_memory();
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
        }
        Sample {
            cpu_share: self.cpu_share(),
            memory_share: self.memory_share(),
            process_bytes: self.process.and_then(|pid| Some(self.system.process(pid)?.memory())),
            ..Sample::default()
        }
    }

    fn cpu_share(&mut self) -> Option<f64> {
        let system = &mut self.system;
        let reading = CpuReading::after(self.cpu, Instant::now(), MINIMUM_CPU_UPDATE_INTERVAL, || {
            system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
            f64::from(system.global_cpu_usage()) / 100.0
        });
        self.cpu = Some(reading);
        reading.share
    }

    /// The larger of two shares: the machine's memory that is not available, and what the processes of the memory group
    /// (a container, for example) hold of its limit. Page cache counts in neither, as the kernel gives it back.
    fn memory_share(&self) -> Option<f64> {
        let machine = share(self.system.used_memory(), self.system.total_memory());
        let group = self
            .process
            .and_then(|pid| self.system.process(pid)?.cgroup_limits())
            .filter(|limits| limits.total_memory < self.system.total_memory())
            .and_then(|limits| share(limits.rss, limits.total_memory));
        match (machine, group) {
            (Some(machine), Some(group)) => Some(machine.max(group)),
            (machine, group) => machine.or(group),
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Memory of the machine, or of the memory group of this process where that is smaller.
pub(crate) fn memory_bytes() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let machine = system.total_memory();
    let group = system.cgroup_limits().map_or(machine, |limits| limits.total_memory);
    Some(machine.min(group)).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_gives_plausible_numbers() {
        let mut sensor = SystemSensor::new();
        let sample = sensor.sample();
        assert_eq!(sample.cpu_share, None, "one reading is no difference");
        assert!(sample.memory_share.is_some_and(|s| (0.0..=1.0).contains(&s)), "{sample:?}");
        assert!(sample.process_bytes.is_some_and(|b| b > 100_000), "{sample:?}");
    }

    #[test]
    fn cpu_use_is_that_between_two_readings_and_not_since_the_beginning() {
        // A counter of busy time, as a system has it: it never falls. Busy until 300 ms, then idle.
        let start = Instant::now();
        let ms = |n: u64| start + Duration::from_millis(n);
        let busy = |at: u64| at.min(300) as f64;
        let mut counted = 0;
        let mut reading = None;
        let mut shares = Vec::new();
        for at in [0, 100, 250, 299, 450, 650, 651, 850] {
            let next = CpuReading::after(reading, ms(at), Duration::from_millis(150), || {
                let share = (busy(at) - busy(counted)) / (at - counted).max(1) as f64;
                counted = at;
                share
            });
            reading = Some(next);
            shares.push(next.share);
        }
        let third = Some(50.0 / 200.0);
        assert_eq!(shares, [None, None, Some(1.0), Some(1.0), third, Some(0.0), Some(0.0), Some(0.0)]);
    }

    #[test]
    fn a_clock_that_stands_still_or_runs_back_keeps_the_last_reading() {
        let now = Instant::now();
        let least = Duration::from_millis(200);
        let last = CpuReading { at: now + least, share: Some(0.5) };
        for at in [now, now + least] {
            assert_eq!(CpuReading::after(Some(last), at, least, || panic!("it was read")), last);
        }
    }
}
