//! The lanes of a process: threads that compute chunks, shared by all its runs.
//!
//! Invariant: no more chunks are computed at a time than there are lanes, whatever the runs ask for together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::error::{Code, Error, Result};
use crate::plugin::CallRuntime;

/// When which lane was at work on something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Its number, from 0.
    pub lane: usize,
    pub from: Instant,
    pub to: Instant,
}

/// What a lane does with its timers, told its number.
type Work = Box<dyn FnOnce(&CallRuntime, usize) + Send>;

/// Work for a lane, which tells it its number. It reports by channels of its own; a panic in it is caught, and `on_panic` tells its run.
pub(super) struct LaneJob {
    pub work: Work,
    pub on_panic: Box<dyn FnOnce(String) + Send>,
}

/// The lanes. Dropping them waits for the jobs at work and ends the threads.
pub(super) struct Lanes {
    // Taken at drop, so that the threads see the channel's end. The queue is bounded by the runs: each hands over at most
    // as many chunks as its plan has lanes.
    sender: Option<Sender<LaneJob>>,
    threads: Vec<JoinHandle<()>>,
    gauge: Arc<Gauge>,
}

#[derive(Default)]
struct Gauge {
    busy: AtomicUsize,
    peak: AtomicUsize,
}

impl Lanes {
    /// Starts `count` lanes; fewer if the system gives no more threads, at least one.
    pub fn start(count: usize) -> Result<Self> {
        let (sender, receiver) = unbounded::<LaneJob>();
        let gauge = Arc::new(Gauge::default());
        let mut threads = Vec::with_capacity(count);
        for number in 0..count.max(1) {
            match lane(number, receiver.clone(), Arc::clone(&gauge)) {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => {
                    return Err(Error::new(Code::Internal, format!("no lane can be started: {error}"))
                        .hint("raise the limit of threads or descriptors"));
                }
                Err(error) => {
                    tracing::warn!("Only {number} of {count} lanes could be started: {error}.");
                    break;
                }
            }
        }
        Ok(Self { sender: Some(sender), threads, gauge })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// The most that were ever at work at the same time.
    pub fn peak(&self) -> usize {
        self.gauge.peak.load(Ordering::Relaxed)
    }

    /// Hands over a job.
    pub fn submit(&self, job: LaneJob) {
        if let Some(sender) = &self.sender {
            // The receivers live as long as the threads, and these as long as the sender.
            let _ = sender.send(job);
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.sender = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn lane(number: usize, jobs: Receiver<LaneJob>, gauge: Arc<Gauge>) -> std::io::Result<JoinHandle<()>> {
    let runtime = CallRuntime::new()?;
    std::thread::Builder::new().name(format!("atlas-lane-{number}")).spawn(move || {
        for job in jobs {
            let busy = gauge.busy.fetch_add(1, Ordering::Relaxed) + 1;
            gauge.peak.fetch_max(busy, Ordering::Relaxed);
            let LaneJob { work, on_panic } = job;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(&runtime, number))) {
                on_panic(panic_text(panic.as_ref()));
            }
            gauge.busy.fetch_sub(1, Ordering::Relaxed);
        }
    })
}

/// The message of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
