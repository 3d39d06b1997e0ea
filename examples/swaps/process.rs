//! What this process holds of the machine.

use serde::Serialize;

/// Memory, threads and file descriptors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    pub resident_kb: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Held {
    /// Now.
    pub fn now() -> Self {
        let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).map_or(0, |all| all.count() as u64);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Self {
            resident_kb: resident.and_then(|kb| kb.parse().ok()).unwrap_or(0),
            threads: count("task"),
            // The one by which they are counted is none of them.
            descriptors: count("fd").saturating_sub(1),
        }
    }

    /// The most of each.
    pub fn most(samples: &[Held]) -> Self {
        samples.iter().fold(Self::default(), |most, held| Self {
            resident_kb: most.resident_kb.max(held.resident_kb),
            threads: most.threads.max(held.threads),
            descriptors: most.descriptors.max(held.descriptors),
        })
    }
}
