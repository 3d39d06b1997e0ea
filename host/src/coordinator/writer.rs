//! The writer: one thread that owns the processor, and so the one writing connection, for all runs of this process.
//!
//! Batches that are ready together share one transaction (group commit). Invariant: an acknowledgement follows the commit,
//! never precedes it. Invariant: a group that failed leaves nothing behind, and its run ends, unless the group is written
//! once the store was opened anew (see `recovery`).

mod budget;
pub(super) mod recovery;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::lanes::panic_text;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{BatchNumber, Decision};
use crate::processor::Processor;
use crate::store::{BatchWrite, BuiltIndex, Receipt, RunHandle, WritePolicy};

pub use budget::{Budget, RejectLimit};

/// Something to be done with the processor, between two groups.
type Task = Box<dyn FnOnce(&mut dyn Processor) + Send>;

enum Message {
    /// By a run, or by a stranger (none).
    Task(Option<u64>, Task),
    /// From now on only this run is served, until the matching `Release`: it holds a transaction open.
    Hold(u64, Task),
    Release(u64, Task),
    /// The run is over: what is remembered of it can go.
    Forget(u64),
    Batch(Box<WriteRequest>),
}

/// One batch on its way into the store.
pub(super) struct WriteRequest {
    /// Tells runs apart within this process.
    pub key: u64,
    pub handle: Arc<RunHandle>,
    pub policy: Arc<WritePolicy>,
    pub write: BatchWrite,
    /// What the run may lose, as it stood when this execution began: the first batch brings it.
    pub budget: Option<Arc<Budget>>,
    pub reply: Sender<Written>,
}

/// What the writer tells a run.
pub(super) enum Written {
    /// A group is in the store, after its commit.
    Committed(Group),
    /// Indexes that were put off are built, or were tried.
    IndexesBuilt(Vec<BuiltIndex>),
    /// A commit failed; what is in the store is being looked for.
    InDoubt,
    /// A group was rolled back; nothing of it is kept. What becomes of it follows.
    RolledBack { first: BatchNumber, last: BatchNumber, error: Error },
    /// A group is not written, and no later batch of the run will be.
    Failed(Error),
}

/// A committed group.
pub(super) struct Group {
    /// With what became of each batch; in input order.
    pub batches: Vec<(BatchWrite, Receipt)>,
    /// Time of all statements and the commit.
    pub duration: Duration,
    pub commit: Duration,
    /// True if the last batch crossed the run's limit; what came after it was not written.
    pub crossed: bool,
}

/// The handle of the writer thread. Dropping the last one ends it and closes the store.
pub(super) struct WriterService {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterService {
    /// Starts the thread; `open` makes the processor on it, since a connection stays on its thread.
    ///
    /// Errors: whatever `open` says.
    pub fn start(open: impl FnOnce() -> Result<Box<dyn Processor>> + Send + 'static) -> Result<Self> {
        let (sender, receiver) = bounded(limits::BATCHES_IN_FLIGHT_MAX * 4);
        let (told, opened) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("atlas-writer".into())
            .spawn(move || match open() {
                Ok(processor) => {
                    let _ = told.send(Ok(()));
                    Loop { processor, receiver, waiting: VecDeque::new(), holder: None, runs: HashMap::new() }.run();
                }
                Err(error) => {
                    let _ = told.send(Err(error));
                }
            })
            .map_err(|error| Error::new(Code::Internal, format!("the writer thread cannot be started: {error}")))?;
        let mut service = Self { sender: Some(sender), thread: Some(thread) };
        match opened.recv() {
            Ok(Ok(())) => Ok(service),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(service.gone()),
        }
    }

    /// Runs something between two groups and waits for its result.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Processor) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ask_as(work, |task| Message::Task(None, task))
    }

    /// As [`WriterService::ask`], by a run: served also while that run is the holder.
    pub fn ask_for<T: Send + 'static>(
        &self,
        key: u64,
        work: impl FnOnce(&mut dyn Processor) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ask_as(work, |task| Message::Task(Some(key), task))
    }

    /// Has something done between two groups, for a run, and does not wait for it.
    pub fn leave(&self, key: u64, work: impl FnOnce(&mut dyn Processor) + Send + 'static) {
        // A writer that has ended is told by whatever is asked of it next.
        let _ = self.send(Message::Task(Some(key), Box::new(work)));
    }

    /// As [`WriterService::ask`]; afterwards only the run with this key is served.
    pub fn hold<T: Send + 'static>(
        &self,
        key: u64,
        work: impl FnOnce(&mut dyn Processor) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let held = self.ask_as(work, |task| Message::Hold(key, task));
        if held.is_err() {
            // There is nothing to hold: others must not wait for a run that gives up now.
            self.release(key, |_| Ok(()))?;
        }
        held
    }

    /// As [`WriterService::ask`], by the holder; afterwards all runs are served again.
    pub fn release<T: Send + 'static>(
        &self,
        key: u64,
        work: impl FnOnce(&mut dyn Processor) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ask_as(work, |task| Message::Release(key, task))
    }

    fn ask_as<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Processor) -> Result<T> + Send + 'static,
        message: impl FnOnce(Task) -> Message,
    ) -> Result<T> {
        let (reply, answer) = bounded(1);
        let task: Task = Box::new(move |processor| {
            let _ = reply.send(work(processor));
        });
        self.send(message(task))?;
        answer.recv().unwrap_or_else(|_| Err(writer_gone()))
    }

    /// Forgets a run that is over.
    pub fn forget(&self, key: u64) {
        // A writer that has ended has nothing to forget.
        let _ = self.send(Message::Forget(key));
    }

    /// Hands over a batch; the answer comes by its reply channel.
    pub fn write(&self, request: WriteRequest) -> Result<()> {
        self.send(Message::Batch(Box::new(request)))
    }

    fn send(&self, message: Message) -> Result<()> {
        let sender = self.sender.as_ref().ok_or_else(writer_gone)?;
        sender.send(message).map_err(|_| writer_gone())
    }

    fn gone(&mut self) -> Error {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => {
                Error::new(Code::Internal, format!("the writer panicked: {}", panic_text(panic.as_ref())))
            }
            _ => writer_gone(),
        }
    }
}

impl Drop for WriterService {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn writer_gone() -> Error {
    Error::new(Code::Internal, "the writer has ended")
}

struct Loop {
    processor: Box<dyn Processor>,
    receiver: Receiver<Message>,
    /// Taken from the channel but not yet served.
    waiting: VecDeque<Message>,
    holder: Option<u64>,
    runs: HashMap<u64, Tally>,
}

/// What the writer remembers of a run.
struct Tally {
    /// A group failed or crossed the limit: later batches are refused, since an earlier one is missing.
    closed: bool,
    /// What it may lose, with what it has lost up to the newest group.
    budget: Option<Budget>,
}

impl Loop {
    fn run(mut self) {
        while let Some(message) = self.next() {
            match message {
                Message::Task(_, task) => self.task(task),
                Message::Hold(key, task) => {
                    self.holder = Some(key);
                    self.task(task);
                }
                Message::Release(_, task) => {
                    self.task(task);
                    self.holder = None;
                }
                Message::Forget(key) => {
                    self.runs.remove(&key);
                }
                Message::Batch(request) => self.group(*request),
            }
        }
    }

    fn task(&mut self, task: Task) {
        if self.holder.is_none() {
            recovery::put_in_order(self.processor.as_mut());
        }
        // The asker sees its reply channel closed.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(self.processor.as_mut()))) {
            tracing::error!("A task of the writer panicked: {}.", panic_text(panic.as_ref()));
            if self.holder.is_none()
                && let Err(second) = self.processor.rollback()
            {
                tracing::error!(code = second.code().as_str(), "What it left open cannot be undone: {second}.");
            }
        }
    }

    /// True if the present holder, if any, lets this message pass.
    fn admitted(&self, message: &Message) -> bool {
        match (self.holder, message) {
            (None, _) => true,
            (Some(holder), Message::Release(key, _)) => holder == *key,
            (Some(holder), Message::Batch(request)) => holder == request.key,
            // A stranger's work would be undone with the holder's.
            (Some(holder), Message::Task(key, _)) => *key == Some(holder),
            (Some(_), Message::Forget(_)) => true,
            (Some(_), Message::Hold(..)) => false,
        }
    }

    fn next(&mut self) -> Option<Message> {
        if let Some(at) = self.waiting.iter().position(|message| self.admitted(message)) {
            return self.waiting.remove(at);
        }
        loop {
            let message = self.receiver.recv().ok()?;
            if self.admitted(&message) {
                return Some(message);
            }
            self.waiting.push_back(message);
        }
    }

    /// Collects the batches of the same run that are ready now, and writes them in one transaction.
    fn group(&mut self, first: WriteRequest) {
        if self.holder.is_none() {
            recovery::put_in_order(self.processor.as_mut());
        }
        let (key, handle, policy) = (first.key, Arc::clone(&first.handle), Arc::clone(&first.policy));
        let (reply, budget) = (first.reply.clone(), first.budget);
        let mut items = first.write.batch.len();
        let mut bytes = write_bytes(&first.write);
        let mut group = vec![first.write];
        while items < limits::GROUP_ITEMS_MAX && bytes < limits::GROUP_BYTES_MAX {
            let ready = match self.waiting.iter().position(|m| matches!(m, Message::Batch(r) if r.key == key)) {
                Some(at) => self.waiting.remove(at),
                None => self.receiver.try_recv().ok(),
            };
            match ready {
                Some(Message::Batch(request)) if request.key == key => {
                    items += request.write.batch.len();
                    bytes += write_bytes(&request.write);
                    group.push(request.write);
                }
                Some(other) => self.waiting.push_back(other),
                None => break,
            }
        }
        let tally =
            self.runs.entry(key).or_insert_with(|| Tally { closed: false, budget: budget.map(Arc::unwrap_or_clone) });
        let written = if tally.closed {
            Err(Error::new(Code::TransactionState, "an earlier batch of the run was not written"))
        } else {
            let order = recovery::Order {
                run: &handle,
                policy: &policy,
                budget: tally.budget.as_ref(),
                group: &group,
                // What an outer transaction holds would be lost with the connection.
                may_reopen: self.holder.is_none(),
                reply: &reply,
            };
            recovery::write(self.processor.as_mut(), &order)
        };
        let mut last = None;
        let answer = match written {
            Ok(mut done) => {
                last = done.last.take();
                tally.budget = done.budget.take();
                tally.closed = done.crossed || last.is_some();
                Written::Committed(Group {
                    batches: group.into_iter().zip(done.receipts).collect(),
                    duration: done.duration,
                    commit: done.commit,
                    crossed: done.crossed,
                })
            }
            Err(error) => {
                tally.closed = true;
                Written::Failed(error)
            }
        };
        // A run that is gone no longer needs the answer; the store has it.
        let _ = reply.send(answer);
        if let Some(error) = last {
            let _ = reply.send(Written::Failed(error));
        }
    }
}

/// Bytes of bodies and of what dead letters say, nearly: they are those that were read, or stand in their place.
fn write_bytes(write: &BatchWrite) -> usize {
    write.batch.held_bytes().max(write.decisions.iter().map(Decision::held_bytes).sum())
}

#[cfg(test)]
mod tests;
