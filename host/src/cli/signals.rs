//! Signals: the first stops the intake and commits what is under way, the second leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::print;
use crate::coordinator::Control;

/// Remembers which signal came first.
#[derive(Clone, Default)]
pub struct Watch(Arc<AtomicI32>);

impl Watch {
    /// Watches SIGINT, SIGTERM and SIGHUP for the rest of the process.
    pub fn start(control: Control) -> Self {
        let watch = Self::default();
        let first = Arc::clone(&watch.0);
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else {
            tracing::warn!(
                "Signals cannot be watched; a signal ends the run at once, and the same command continues it."
            );
            return watch;
        };
        let spawned = std::thread::Builder::new().name("atlas-signals".into()).spawn(move || {
            for signal in signals.forever() {
                if first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    print::talk("Stopping: what is under way is finished first. A second signal leaves at once.");
                    control.stop();
                } else {
                    // The open transaction is undone when the store is opened next; nothing acknowledged is lost.
                    std::process::exit(i32::from(exit_of(first.load(Ordering::SeqCst))));
                }
            }
        });
        if spawned.is_err() {
            tracing::warn!("Signals cannot be watched: no thread.");
        }
        watch
    }

    /// Exit code of a run that a signal stopped; none if there was no signal.
    pub fn exit(&self) -> Option<u8> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(exit_of(signal)),
        }
    }
}

/// 130 for SIGINT, 143 for the others: SIGHUP counts as SIGTERM.
fn exit_of(signal: i32) -> u8 {
    if signal == SIGINT { 130 } else { 143 }
}
