//! The sensor of the machine that the program runs on.

use std::num::NonZeroUsize;
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
    /// CPU time of this process at the reading before, in milliseconds.
    cpu_ms: u64,
    /// Cores of the machine, and those that this process may use: fewer where it has a quota or is pinned.
    cores: Option<usize>,
    allowed: Option<usize>,
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
        let allowed = std::thread::available_parallelism().ok().map(NonZeroUsize::get);
        let readings = |system| Readings { system, process, cpu: None, cpu_ms: 0, cores: None, allowed };
        Self { readings: System::new().ok().map(readings), store: None }
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
            let kind = ProcessRefreshKind::nothing().with_memory().with_cpu();
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
        let (system, now) = (&mut self.system, Instant::now());
        let own_ms = self.process.and_then(|pid| Some(system.process(pid)?.accumulated_cpu_time()));
        let since = self.cpu.map(|last| now.saturating_duration_since(last.at));
        let (before_ms, cores, allowed) = (&mut self.cpu_ms, &mut self.cores, self.allowed);
        let reading = CpuReading::after(self.cpu, now, MINIMUM_CPU_UPDATE_INTERVAL, || {
            system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
            let machine = f64::from(system.global_cpu_usage()) / 100.0;
            let cores = *cores.get_or_insert(system.cpus().len());
            let used_ms = own_ms.map(|own_ms| own_ms.saturating_sub(std::mem::replace(before_ms, own_ms)));
            let used = used_ms.zip(since).map(|(used_ms, since)| used_ms as f64 / (since.as_secs_f64() * 1e3));
            cpu_share(machine, used, cores, allowed.unwrap_or(cores))
        });
        self.cpu = Some(reading);
        reading.share
    }

    fn memory_share(&self) -> Option<f64> {
        let machine = (self.system.used_memory(), self.system.total_memory());
        let group = self.process.and_then(|pid| self.system.process(pid)?.cgroup_limits());
        memory_share(machine, group.map(|limits| (limits.rss, limits.total_memory)))
    }
}

/// The larger of two shares: the machine's memory that is not available, and what the processes of the memory group (a
/// container, for example) hold of its limit. Page cache counts in neither, as the kernel gives it back. A group without a
/// limit is told with that of the machine, or with more.
///
/// Both as bytes in use and bytes in all.
fn memory_share((used, total): (u64, u64), group: Option<(u64, u64)>) -> Option<f64> {
    let machine = share(used, total);
    let group = group.filter(|(_, limit)| total == 0 || *limit < total).and_then(|(held, limit)| share(held, limit));
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.max(group)),
        (machine, group) => machine.or(group),
    }
}

/// The larger of two shares: the machine's CPU in use, and what this process uses (in cores) of the cores that it may.
/// Where it may use all of them, the machine's is the whole truth.
fn cpu_share(machine: f64, used: Option<f64>, cores: usize, allowed: usize) -> f64 {
    match used {
        Some(used) if 0 < allowed && allowed < cores => machine.max(used / allowed as f64),
        _ => machine,
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
    fn memory_in_use_is_that_of_the_machine_or_of_the_group_where_that_is_tighter() {
        const GIB: u64 = 1 << 30;
        let cases = [
            ((4 * GIB, 16 * GIB), None, Some(0.25)),
            // A container of 2 GiB.
            ((4 * GIB, 16 * GIB), Some((GIB, 2 * GIB)), Some(0.5)),
            ((12 * GIB, 16 * GIB), Some((GIB, 2 * GIB)), Some(0.75)),
            ((4 * GIB, 16 * GIB), Some((3 * GIB, 2 * GIB)), Some(1.5)),
            // A group without a limit of its own.
            ((4 * GIB, 16 * GIB), Some((15 * GIB, 16 * GIB)), Some(0.25)),
            ((4 * GIB, 16 * GIB), Some((15 * GIB, u64::MAX)), Some(0.25)),
            // Sensors that say nothing.
            ((0, 0), None, None),
            ((0, 0), Some((GIB, 2 * GIB)), Some(0.5)),
            ((4 * GIB, 16 * GIB), Some((GIB, 0)), Some(0.25)),
        ];
        for (machine, group, wanted) in cases {
            assert_eq!(memory_share(machine, group), wanted, "{machine:?}, {group:?}");
        }
    }

    #[test]
    fn cpu_in_use_is_that_of_the_machine_or_of_the_quota_where_that_is_tighter() {
        for (machine, used, cores, allowed, wanted) in [
            (0.5, Some(4.0), 8, 8, 0.5),
            // Two of 64 cores, both at work, on an idle machine; and one of them, on a busy one.
            (0.03, Some(2.0), 64, 2, 1.0),
            (0.9, Some(1.0), 64, 2, 0.9),
            (0.1, None, 64, 2, 0.1),
            (0.1, Some(1.0), 0, 2, 0.1),
            (0.1, Some(1.0), 2, 0, 0.1),
        ] {
            assert_eq!(cpu_share(machine, used, cores, allowed), wanted, "{used:?} of {allowed}, {cores} cores");
        }
    }

    #[test]
    fn the_machine_tells_cpu_use_from_the_second_reading_on() {
        let mut sensor = SystemSensor::new();
        sensor.sample();
        let until = Instant::now() + MINIMUM_CPU_UPDATE_INTERVAL + Duration::from_millis(20);
        while Instant::now() < until {
            std::hint::black_box(0);
        }
        let sample = sensor.sample();
        assert!(sample.cpu_share.is_some_and(|share| share > 0.0 && share <= 1.0), "{sample:?}");
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
