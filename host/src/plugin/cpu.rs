//! CPU time of calls, beside the time that passes.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Items from which on each call is measured. Asking the system takes about as long as a call with one item.
const ITEMS_MIN: usize = 8;
/// Of calls with fewer items one in so many is measured; the others count by the share that it had. A prime number, so that
/// it keeps in step with nothing.
const ONE_IN: u32 = 17;
/// Parts that a share is kept in.
const PARTS: u64 = 1 << 20;

/// Measures the calls of one slot, on any lane.
#[derive(Debug)]
pub struct CpuMeter {
    small_calls: AtomicU32,
    /// CPU time of the newest call that was measured, as a part of the time that passed.
    share: AtomicU32,
}

/// A call under way.
pub struct CpuWatch(Option<u64>);

impl Default for CpuMeter {
    fn default() -> Self {
        Self { small_calls: AtomicU32::new(0), share: AtomicU32::new(PARTS as u32) }
    }
}

impl CpuMeter {
    /// A call with so many items begins on this thread.
    pub fn start(&self, items: usize) -> CpuWatch {
        let measured = items >= ITEMS_MIN || self.small_calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN);
        CpuWatch(measured.then(thread_ns))
    }

    /// It has ended on the same thread, after `time_ns`. Gives its CPU time in nanoseconds, never more than that.
    pub fn stop(&self, watch: CpuWatch, time_ns: u64) -> u64 {
        let Some(begun) = watch.0 else {
            let share = u64::from(self.share.load(Ordering::Relaxed));
            return (u128::from(time_ns) * u128::from(share) / u128::from(PARTS)) as u64;
        };
        let cpu_ns = thread_ns().saturating_sub(begun).min(time_ns);
        if let Some(share) = (u128::from(cpu_ns) * u128::from(PARTS)).checked_div(u128::from(time_ns)) {
            self.share.store(share as u32, Ordering::Relaxed);
        }
        cpu_ns
    }
}

fn thread_ns() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(tv_sec).saturating_mul(1_000_000_000).saturating_add(part(tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn measured(meter: &CpuMeter, items: usize, work: impl FnOnce()) -> (u64, u64) {
        let (begin, watch) = (Instant::now(), meter.start(items));
        work();
        let time_ns = begin.elapsed().as_nanos() as u64;
        (meter.stop(watch, time_ns), time_ns)
    }

    #[test]
    fn waiting_takes_no_cpu_time_and_computing_does() {
        let meter = CpuMeter::default();
        let (waited, time) = measured(&meter, 100, || std::thread::park_timeout(Duration::from_millis(50)));
        assert!(waited < time / 2, "{waited} of {time} ns");
        let (computed, time) = measured(&meter, 100, || {
            let (begin, mut x) = (Instant::now(), 1_u64);
            while begin.elapsed() < Duration::from_millis(50) {
                x = std::hint::black_box(x.wrapping_mul(3));
            }
        });
        assert!(waited < computed && computed <= time, "{computed} of {time} ns");
    }

    #[test]
    fn small_calls_that_are_not_measured_count_by_the_share_of_one_that_was() {
        let meter = CpuMeter::default();
        measured(&meter, 1, || std::thread::park_timeout(Duration::from_millis(20)));
        for _ in 1..ONE_IN {
            let watch = meter.start(1);
            assert!(watch.0.is_none());
            assert!(meter.stop(watch, 1_000_000) < 500_000, "it waited as the first did");
        }
        assert!(meter.start(1).0.is_some(), "then one is measured again");
    }
}
