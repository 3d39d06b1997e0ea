//! Time that a guest's call spends in the host: reads of the store, and lines for the log.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    /// Of the calls made on this thread since it was last asked. A lane makes one call at a time, all on its own thread.
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Counts the time of this work as the host's.
pub(super) fn counted<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    SPENT.set(SPENT.get() + begin.elapsed());
    done
}

/// Time counted on this thread since the last call of this.
pub fn taken() -> Duration {
    SPENT.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_once_and_for_its_own_thread() {
        taken();
        assert_eq!(counted(|| 7), 7);
        counted(|| std::thread::park_timeout(Duration::from_millis(5)));
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(taken(), Duration::ZERO));
        });
        assert!(taken() > Duration::ZERO);
        assert_eq!(taken(), Duration::ZERO);
    }
}
