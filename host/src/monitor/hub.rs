//! The way of an event from the coordinator to the monitors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Monitor;
use crate::error::{Code, Error, Result};
use crate::event::{EVENT_SCHEMA, Envelope, Event};
use crate::limits::EVENT_QUEUE_MAX;

/// After an event the thread looks for more so often, until none came, before it sleeps until it is woken: to wake it costs
/// the run more than most events do.
const LINGER: Duration = Duration::from_millis(1);
/// With so many events at once it does not pause: the queue shall not fill meanwhile.
const BURST_EVENTS: usize = EVENT_QUEUE_MAX / 16;

/// Where the times in envelopes come from.
pub trait Clock: Send + Sync {
    /// Wall clock, milliseconds since the Unix epoch.
    fn time_ms(&self) -> i64;
    /// Monotonic time since the run began, in microseconds.
    fn elapsed_us(&self) -> u64;
}

/// The clocks of the machine; the run begins when it is made.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A run begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn time_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Gives each event its place in the stream and hands it to the monitors on a thread of its own.
///
/// The queue is bounded: [`emit`](Self::emit) waits while it is full, and no event is lost.
/// Invariant: `elapsed_us` never falls from one event to the next.
pub struct EventHub {
    run: u64,
    clock: Box<dyn Clock>,
    // One lock around numbering and sending, so that the order of the numbers is the order of the queue.
    intake: Mutex<Intake>,
    thread: Mutex<Option<JoinHandle<Outlet>>>,
    delivery: Mutex<Delivery>,
}

struct Intake {
    /// None after the end.
    queue: Option<SyncSender<Envelope>>,
    emitted: u64,
    elapsed_us: u64,
}

/// What became of the events of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Events emitted.
    pub emitted: u64,
    /// Events that the monitors were given; equal to `emitted` once finished.
    pub delivered: u64,
    /// Monitors that panicked and were let go.
    pub detached: Vec<&'static str>,
}

impl EventHub {
    /// Starts the thread. `run` is the number of the run within its store, 0 where nothing is stored.
    ///
    /// # Errors
    /// `OPERATION_5003` if the system gives no thread.
    pub fn start(run: u64, clock: Box<dyn Clock>, monitors: Vec<Box<dyn Monitor>>) -> Result<Self> {
        let (sender, receiver) = sync_channel(EVENT_QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("atlas-events".to_owned())
            .spawn(move || Outlet { monitors, delivered: 0, detached: Vec::new() }.work(&receiver))
            .map_err(|e| {
                Error::new(Code::Internal, "no thread for the monitors can be started")
                    .hint("raise the limit of threads (`ulimit -u`), or end other programs")
                    .because(e)
            })?;
        Ok(Self {
            run,
            clock,
            intake: Mutex::new(Intake { queue: Some(sender), emitted: 0, elapsed_us: 0 }),
            thread: Mutex::new(Some(thread)),
            delivery: Mutex::new(Delivery::default()),
        })
    }

    /// Emits an event; waits while the queue is full. May be called from any thread; after [`finish`](Self::finish)
    /// nothing is emitted.
    pub fn emit(&self, event: Event) {
        self.emit_at(self.elapsed_us(), event);
    }

    /// Monotonic time since the run began.
    pub fn elapsed_us(&self) -> u64 {
        self.clock.elapsed_us()
    }

    /// Emits an event that happened at this time, as [`elapsed_us`](Self::elapsed_us) gave it: what was judged by it is judged
    /// alike by whoever plays the events back.
    pub fn emit_at(&self, elapsed_us: u64, event: Event) {
        let mut intake = locked(&self.intake);
        let intake = &mut *intake;
        let Some(queue) = &intake.queue else {
            tracing::error!(?event, "BUG: an event came after the end of its run.");
            return;
        };
        intake.elapsed_us = intake.elapsed_us.max(elapsed_us);
        let envelope = Envelope {
            schema: EVENT_SCHEMA,
            seq: intake.emitted,
            time_ms: self.clock.time_ms(),
            elapsed_us: intake.elapsed_us,
            run: self.run,
            event,
        };
        intake.emitted += 1;
        queue.send(envelope).expect("BUG: the thread of the monitors ends only after the queue is closed");
    }

    /// Delivers what is still queued, lets every monitor finish, and ends the thread. A second call changes nothing.
    pub fn finish(&self) -> Delivery {
        let emitted = {
            let mut intake = locked(&self.intake);
            intake.queue = None;
            intake.emitted
        };
        if let Some(thread) = locked(&self.thread).take() {
            thread.thread().unpark();
            let outlet = thread.join().expect("BUG: what a monitor does wrong is caught on its thread");
            *locked(&self.delivery) = Delivery { emitted, delivered: outlet.delivered, detached: outlet.detached };
        }
        locked(&self.delivery).clone()
    }
}

impl Drop for EventHub {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The other end of the queue.
struct Outlet {
    monitors: Vec<Box<dyn Monitor>>,
    delivered: u64,
    detached: Vec<&'static str>,
}

impl Outlet {
    fn work(mut self, queue: &Receiver<Envelope>) -> Self {
        while let Ok(first) = queue.recv() {
            self.deliver(&first);
            let mut taken = 1;
            while taken > 0 {
                if taken < BURST_EVENTS {
                    thread::park_timeout(LINGER);
                }
                taken = queue.try_iter().inspect(|envelope| self.deliver(envelope)).count();
            }
        }
        self.each(|monitor| monitor.finish());
        self
    }

    fn deliver(&mut self, envelope: &Envelope) {
        self.each(|monitor| monitor.observe(envelope));
        self.delivered += 1;
    }

    /// Lets each monitor do this; one that panics is let go.
    fn each(&mut self, mut act: impl FnMut(&mut dyn Monitor)) {
        let detached = &mut self.detached;
        // Not `retain_mut`: a monitor that panicked may panic again when it is dropped.
        let mut kept = Vec::with_capacity(self.monitors.len());
        for mut monitor in self.monitors.drain(..) {
            // A monitor that panicked is not used again, so its broken state is seen by nobody.
            match catch_unwind(AssertUnwindSafe(|| act(monitor.as_mut()))) {
                Ok(()) => kept.push(monitor),
                Err(cause) => {
                    let name = catch_unwind(AssertUnwindSafe(|| monitor.name())).unwrap_or("unnamed");
                    tracing::warn!(
                        monitor = name,
                        cause = said(cause.as_ref()),
                        "A monitor panicked and is let go; the run goes on."
                    );
                    detached.push(name);
                    let _ = catch_unwind(AssertUnwindSafe(move || drop(monitor)));
                }
            }
        }
        self.monitors = kept;
    }
}

/// What a panic said.
fn said(cause: &(dyn Any + Send)) -> &str {
    cause
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| cause.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// State that is built up from events. The same events give the same state.
pub trait Fold: Send {
    /// Its name as a monitor.
    const NAME: &'static str;

    /// Takes in the next event.
    fn observe(&mut self, event: &Envelope);
}

/// A fold as a monitor that others can look into, during the run and after it. Clones share the fold.
#[derive(Debug, Default)]
pub struct Watched<F>(Arc<Mutex<F>>);

impl<F> Watched<F> {
    /// Looks at the state of now. Events wait meanwhile: be brief.
    pub fn read<T>(&self, look: impl FnOnce(&F) -> T) -> T {
        look(&locked(&self.0))
    }
}

impl<F> From<F> for Watched<F> {
    fn from(fold: F) -> Self {
        Self(Arc::new(Mutex::new(fold)))
    }
}

impl<F> Clone for Watched<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Fold> Monitor for Watched<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn observe(&mut self, event: &Envelope) {
        locked(&self.0).observe(event);
    }
}

/// Keeps every event, in memory without bound: for tests and short runs.
#[derive(Debug, Default)]
pub struct Recording(pub Vec<Envelope>);

impl Fold for Recording {
    const NAME: &'static str = "recording";

    fn observe(&mut self, event: &Envelope) {
        self.0.push(event.clone());
    }
}

/// Passes events on to a receiver. See [`subscription`].
#[derive(Debug)]
pub struct Subscription(Option<SyncSender<Envelope>>);

/// A monitor and the receiver of its events. `capacity` events wait for the receiver before the run waits for it;
/// a receiver that is dropped is no longer served. The receiver ends after the last event.
pub fn subscription(capacity: usize) -> (Subscription, Receiver<Envelope>) {
    let (sender, receiver) = sync_channel(capacity);
    (Subscription(Some(sender)), receiver)
}

impl Monitor for Subscription {
    fn name(&self) -> &'static str {
        "subscription"
    }

    fn observe(&mut self, event: &Envelope) {
        if self.0.as_ref().is_some_and(|sender| sender.send(event.clone()).is_err()) {
            self.0 = None;
        }
    }

    fn finish(&mut self) {
        self.0 = None;
    }
}

/// A panic of a reader leaves the state usable: folds change it by plain assignments.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
