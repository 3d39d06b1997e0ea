//! From where on plans give way: the thresholds of health, as far as smaller plans can help.

use serde::{Deserialize, Serialize};

use super::signals::WAL_BYTES_MAX;

/// Memory is short, and the host degraded, from this part of the tolerated share on: so plans give way before the host is
/// unhealthy. Eight ninths of 90 % are 80 %.
pub const EARLY_MEMORY: (f64, f64) = (8.0, 9.0);
/// Part of the way from the tolerated share of errors to all of them at which relief is at its strongest: 50 %, where 10 %
/// are tolerated.
const ERRORS_FULL: f64 = 4.0 / 9.0;

/// What is tolerated before plans give way. The same numbers decide when the host counts as unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tolerance {
    /// Memory in use, 0..1.
    pub memory_share: f64,
    /// Items rejected or dead-lettered, 0..1.
    pub error_share: f64,
    /// Size of the store's write-ahead log.
    pub wal_bytes: u64,
}

impl Default for Tolerance {
    /// 90 % of memory, 10 % of errors, four times the log after which a checkpoint is made.
    fn default() -> Self {
        Self { memory_share: 0.90, error_share: 0.10, wal_bytes: WAL_BYTES_MAX }
    }
}

impl Tolerance {
    /// From here on memory is short.
    pub fn memory_short(&self) -> f64 {
        self.memory_share * EARLY_MEMORY.0 / EARLY_MEMORY.1
    }

    /// Half-way from what is tolerated to all of it: there is next to nothing left.
    pub fn memory_out(&self) -> f64 {
        self.memory_share + (1.0 - self.memory_share) / 2.0
    }

    /// At this share of errors relief is at its strongest.
    pub fn errors_full(&self) -> f64 {
        self.error_share + (1.0 - self.error_share) * ERRORS_FULL
    }

    /// A log of this size, as a multiple of what is tolerated.
    pub fn wal(&self, bytes: u64) -> f64 {
        bytes as f64 / self.wal_bytes.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tolerated_says_where_relief_begins_and_is_strongest() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} and {b}");
        let usual = Tolerance::default();
        near(usual.memory_short(), 0.80);
        near(usual.memory_out(), 0.95);
        near(usual.errors_full(), 0.50);
        near(usual.wal(WAL_BYTES_MAX / 2), 0.5);
        let strict = Tolerance { memory_share: 0.45, error_share: 1.0, wal_bytes: 0 };
        near(strict.memory_short(), 0.40);
        near(strict.memory_out(), 0.725);
        near(strict.errors_full(), 1.0);
        near(strict.wal(0), 0.0);
        assert!(strict.wal(1) >= 1.0);
    }
}
