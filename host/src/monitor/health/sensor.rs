//! The sensor of the machine that the program runs on.

use std::time::Instant;

use sysinfo::{
    CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System,
};

use super::{Sample, Sensor};

/// Reads memory, CPU use and the memory of this process, and nothing else.
///
/// The first sample has no CPU share, since that is a difference between two readings.
pub struct SystemSensor(Option<Readings>);

struct Readings {
    system: System,
    process: Option<Pid>,
    /// When CPU use was last read, and what it was. Read more often than the system counts, it would be noise.
    cpu: Option<(Instant, Option<f64>)>,
}

impl SystemSensor {
    /// Nothing is read yet. On a system that cannot be read, every sample is empty.
    pub fn new() -> Self {
        let process = sysinfo::get_current_pid().ok();
        Self(System::new().ok().map(|system| Readings { system, process, cpu: None }))
    }
}

impl Default for SystemSensor {
    fn default() -> Self {
        Self::new()
    }
}

impl Sensor for SystemSensor {
    fn sample(&mut self) -> Sample {
        self.0.as_mut().map(Readings::sample).unwrap_or_default().usable()
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
        }
    }

    fn cpu_share(&mut self) -> Option<f64> {
        let now = Instant::now();
        match self.cpu {
            Some((read, share)) if now.duration_since(read) < MINIMUM_CPU_UPDATE_INTERVAL => share,
            before => {
                self.system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
                let share = before.map(|_| f64::from(self.system.global_cpu_usage()) / 100.0);
                self.cpu = Some((now, share));
                share
            }
        }
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
}
