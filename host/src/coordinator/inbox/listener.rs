//! The thread that looks for commands: the loop of a run is told of them, and neither looks nor reads nor hashes itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};

use super::{Inbox, Request};
use crate::limits::{INBOX_LOOK, TUNE_COMMANDS_MAX};

/// An inbox that is looked into. Dropping it ends the thread, and the folder goes once nobody is owed an answer.
#[derive(Debug)]
pub(in crate::coordinator) struct Listener {
    inbox: Arc<Inbox>,
    came: Receiver<Request>,
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Looks into this inbox from now on. Without it a run does as well: what hinders it is a warning.
    pub fn start(inbox: Inbox) -> Option<Self> {
        let inbox = Arc::new(inbox);
        let (wake, woken) = bounded(0);
        let (requests, came) = bounded(TUNE_COMMANDS_MAX);
        let looked_at = Arc::clone(&inbox);
        let thread = std::thread::Builder::new()
            .name("atlas-inbox".into())
            .spawn(move || look(&looked_at, &woken, &requests))
            .inspect_err(|error| tracing::warn!(%error, "The run takes no commands of other processes: no thread can be started."))
            .ok()?;
        Some(Self { inbox, came, wake: Some(wake), thread: Some(thread) })
    }

    /// What has come.
    pub fn came(&self) -> &Receiver<Request> {
        &self.came
    }

    /// Where answers go.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(inbox: &Inbox, woken: &Receiver<()>, requests: &Sender<Request>) {
    let mut known = HashSet::new();
    loop {
        for request in inbox.requests(&mut known) {
            // A run that has no room for more is waited for.
            select! {
                send(requests, request) -> sent => if sent.is_err() { return },
                recv(woken) -> _ => return,
            }
        }
        if woken.recv_timeout(INBOX_LOOK) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
