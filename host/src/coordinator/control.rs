//! The handle by which others stop a run or change its bounds while it is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::check;
use super::swap::SwapRequest;
use crate::error::{Code, Error, Result};
use crate::monitor::Thresholds;
use crate::strategy::{Aim, Interval};

/// What a run can be told. Bounds are in force from the next plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Items per batch.
    BatchSize(Interval),
    /// Lanes.
    Lanes(Interval),
    /// What the adaptive strategy aims at.
    Aim(Aim),
    /// Time that 95 of 100 batches should stay below; none lifts the bound.
    BatchTimeMax(Option<Duration>),
    /// Memory that this process should stay below, in bytes; none lifts the bound.
    MemoryBudget(Option<u64>),
    /// Attempts per item.
    Attempts(u32),
    /// Bytes at which a batch closes.
    BatchBytes(usize),
    /// Time after which a batch of a slow pipe closes.
    BatchWait(Duration),
    /// Mean time per item above which a batch is slow.
    SlowItem(Duration),
    /// What the host's health is judged by.
    Thresholds(Thresholds),
    /// Another plugin for a slot, at the next border of a batch if it passes its trial. Events tell what becomes of it.
    Swap(SwapRequest),
    /// No more input; what is under way is committed.
    Stop,
}

impl Command {
    /// Errors: CONFIG_3001 for a value that no run can have.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Command::BatchSize(size) => check::batch_size(*size),
            Command::Lanes(lanes) => check::lanes(*lanes),
            Command::BatchTimeMax(time) => check::batch_time_max(*time),
            Command::MemoryBudget(bytes) => check::memory_budget(*bytes),
            Command::Attempts(attempts) => check::attempts(*attempts),
            Command::BatchBytes(bytes) => check::batch_bytes(*bytes),
            Command::BatchWait(time) => check::batch_wait(*time),
            Command::Aim(_) | Command::SlowItem(_) | Command::Thresholds(_) | Command::Stop => Ok(()),
            Command::Swap(request) => check::plugin_bytes(&request.name, request.bytes.len()),
        }
    }
}

/// Cheap to clone; outlives its run harmlessly.
#[derive(Debug, Clone)]
pub struct Control {
    stop: Arc<AtomicBool>,
    sender: Sender<Command>,
    receiver: Receiver<Command>,
}

/// Commands that may wait for a run.
const COMMANDS_MAX: usize = 64;

impl Default for Control {
    fn default() -> Self {
        let (sender, receiver) = bounded(COMMANDS_MAX);
        Self { stop: Arc::default(), sender, receiver }
    }
}

impl Control {
    /// Stops the intake: what is under way is committed, the rest is left for the same command to continue.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        // A full queue wakes the run just as well.
        let _ = self.sender.try_send(Command::Stop);
    }

    /// Changes a bound.
    ///
    /// Errors: CONFIG_3001 for a value that no run can have, and if too many commands wait already.
    pub fn tell(&self, command: Command) -> Result<()> {
        command.check()?;
        self.sender
            .try_send(command)
            .map_err(|_| Error::new(Code::ConfigInvalid, "too many changes are waiting for the run"))
    }

    /// True once the intake was stopped.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(super) fn commands(&self) -> &Receiver<Command> {
        &self.receiver
    }
}
