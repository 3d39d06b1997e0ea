//! The reader: a thread that cuts batches as the coordinator asks for them, so that reading goes on beside computing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Code, Error, Result};
use crate::limits;
use crate::source::{Cut, Cutter};

/// One batch, please.
pub(super) struct CutRequest {
    pub size: usize,
    pub bytes: usize,
    pub wait: Option<Duration>,
}

/// The answer to a request.
pub(super) struct Read {
    pub cut: Result<Cut>,
    /// How long the reader had nothing to do before it was asked.
    pub waited: Duration,
}

/// The coordinator's end of the reader. Dropping it ends the thread, once a read that blocks has returned.
pub(super) struct Intake {
    requests: Option<Sender<CutRequest>>,
    reads: Receiver<Read>,
    held: Option<Error>,
    thread: Option<JoinHandle<()>>,
}

impl Intake {
    /// Starts the thread over a cutter that stands at the first record wanted.
    pub fn start(mut cutter: Cutter, stop: Arc<AtomicBool>) -> Result<Self> {
        let (requests, asked) = bounded::<CutRequest>(limits::BATCHES_IN_FLIGHT_MAX);
        let (answers, reads) = bounded(limits::BATCHES_IN_FLIGHT_MAX);
        let thread = std::thread::Builder::new()
            .name("atlas-reader".into())
            .spawn(move || {
                // Before the first batch it waits for the run to begin, which is nobody's back-pressure.
                let mut idle_since: Option<Instant> = None;
                for CutRequest { size, bytes, wait } in asked {
                    let waited = idle_since.map_or(Duration::ZERO, |since| since.elapsed());
                    let cut = cutter.cut(size, bytes, wait, &stop);
                    let last = cut.as_ref().map_or(true, |cut| cut.end);
                    if answers.send(Read { cut, waited }).is_err() || last {
                        break;
                    }
                    idle_since = Some(Instant::now());
                }
            })
            .map_err(|error| Error::new(Code::Internal, format!("the reader thread cannot be started: {error}")))?;
        Ok(Self { requests: Some(requests), reads, held: None, thread: Some(thread) })
    }

    /// Asks for a batch; false if the reader is at its end.
    pub fn ask(&self, request: CutRequest) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }

    /// Where the answers come, in the order of the requests.
    pub fn reads(&self) -> &Receiver<Read> {
        &self.reads
    }

    /// Keeps an input error until what was read before it is written.
    pub fn hold(&mut self, error: Error) {
        self.held = Some(error);
    }

    /// The error kept back, if any.
    pub fn release(&mut self) -> Option<Error> {
        self.held.take()
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.requests = None;
        // Answers that nobody wants any more must not block the thread.
        while self.reads.try_recv().is_ok() {}
        let Some(thread) = self.thread.take() else { return };
        if thread.is_finished() {
            let _ = thread.join();
        }
        // Else it hangs in a read that only its writer can end; it stops at the next request, and owns nothing we need.
    }
}
