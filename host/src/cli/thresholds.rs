//! The flags that say from where on a host is unhealthy; `run` and `health` share them.

use std::time::Duration;

use clap::Args;

use super::units;
use crate::monitor::Thresholds;

/// See the module. Degraded begins before: at 8/9 of the memory, at half of the errors, the time and the log, and at twice
/// the space.
#[derive(Args, Debug, Clone)]
pub struct ThresholdArgs {
    /// Call the host unhealthy where more of the memory is in use
    #[arg(long, value_name = "SHARE", default_value = "90%", env = "ATLAS_MAX_MEMORY_SHARE", value_parser = units::share)]
    pub max_memory_share: f64,
    /// Call it unhealthy where more of the items of late were rejected or dead-lettered
    #[arg(long, value_name = "SHARE", default_value = "10%", env = "ATLAS_MAX_ERROR_SHARE", value_parser = units::share)]
    pub max_error_share: f64,
    /// Call it degraded where more of the CPUs is in use: to use them all is what they are there for
    #[arg(long, value_name = "SHARE", default_value = "95%", env = "ATLAS_MAX_CPU_SHARE", value_parser = units::share)]
    pub max_cpu_share: f64,
    /// Call it unhealthy where computing a batch takes longer, on average of late
    #[arg(long, value_name = "TIME", default_value = "5s", env = "ATLAS_MAX_RESPONSE", value_parser = units::duration)]
    pub max_response: Duration,
    /// Call it unhealthy where the store's write-ahead log is larger
    #[arg(long, value_name = "SIZE", default_value = "1GiB", env = "ATLAS_MAX_WAL", value_parser = units::bytes)]
    pub max_wal: usize,
    /// Call it unhealthy where less space is left for the store
    #[arg(long, value_name = "SIZE", default_value = "256MiB", env = "ATLAS_MIN_DISK_FREE", value_parser = units::bytes)]
    pub min_disk_free: usize,
}

impl ThresholdArgs {
    /// As monitors take them.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds {
            memory_share: self.max_memory_share,
            error_share: self.max_error_share,
            response: self.max_response,
            wal_bytes: self.max_wal as u64,
            disk_free_bytes: self.min_disk_free as u64,
            cpu_share: self.max_cpu_share,
        }
    }
}
