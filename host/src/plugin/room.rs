//! Room in the pool of an engine: where it is full, sandboxes that wait for a call make way for those that are needed now.
//!
//! Only who found the pool full looks into it. Other calls take a warm sandbox of their slot and put it back, and no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::call::Fault;
use super::sandbox::Sandbox;
use crate::limits;

/// The warm sandboxes of one slot.
#[derive(Default)]
pub(super) struct Warm(Mutex<Vec<Sandbox>>);

impl Warm {
    /// The one that was put back last.
    pub fn take(&self) -> Option<Sandbox> {
        lock(&self.0).pop()
    }

    pub fn put(&self, sandbox: Sandbox) {
        lock(&self.0).push(sandbox);
    }

    fn count(&self) -> usize {
        lock(&self.0).len()
    }
}

/// The warm sandboxes of all slots of an engine. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Room(Arc<Mutex<Vec<Weak<Warm>>>>);

impl Room {
    /// A place for the warm sandboxes of one more slot, which goes with it.
    pub fn warm(&self) -> Arc<Warm> {
        let warm = Arc::new(Warm::default());
        let mut slots = lock(&self.0);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(&warm));
        warm
    }

    /// Does `work`, which takes a sandbox of `own` or starts one; and does it again while there is no room for that, but for no
    /// longer than calls may take: by then those that were at work have ended.
    pub fn find<T>(
        &self,
        own: Option<&Warm>,
        deadline: Duration,
        mut work: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let most = deadline.max(limits::DEADLINE);
        let mut since: Option<Instant> = None;
        loop {
            match work() {
                Err(fault) if fault.no_room && since.get_or_insert_with(Instant::now).elapsed() < most => {
                    self.make(own);
                }
                result => return result,
            }
        }
    }

    /// Returns when there may be room: `own` has a sandbox again, or another slot gave one up. Also after a while, since
    /// sandboxes that end make room without a word; a start that fails is dear, so it is not tried more often.
    fn make(&self, own: Option<&Warm>) {
        let begin = Instant::now();
        while begin.elapsed() < limits::ROOM_RETRY {
            if own.is_some_and(|own| own.count() > 0) || self.give_up_one() {
                return;
            }
            std::thread::sleep(limits::ROOM_LOOK);
        }
    }

    /// Drops a sandbox of the slot that has most of them, the oldest of equal ones; false if all are at work.
    fn give_up_one(&self) -> bool {
        let slots: Vec<Arc<Warm>> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let given_up = slots.iter().rev().max_by_key(|slot| slot.count()).and_then(|slot| slot.take());
        given_up.is_some()
    }
}

/// A poisoned lock only means that a lane panicked between two calls; the sandboxes behind it are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// What work that fails like this at first comes to, and how often it was done.
    fn found(first: &Fault) -> (Result<u32, Fault>, u32) {
        let mut done = 0;
        let result = Room::default().find(None, Duration::ZERO, || {
            done += 1;
            if done == 1 { Err(first.clone()) } else { Ok(7) }
        });
        (result, done)
    }

    #[test]
    fn a_full_pool_is_tried_again_and_no_other_fault_is() {
        assert_eq!(found(&Fault::no_room("all are in use")), (Ok(7), 2));
        let trap = Fault::new(Code::GuestTrap, "unreachable");
        assert_eq!(found(&trap), (Err(trap.clone()), 1));
    }

    #[test]
    fn slots_that_are_gone_are_forgotten() {
        let room = Room::default();
        let kept = room.warm();
        drop(room.warm());
        let last = room.warm();
        assert_eq!(lock(&room.0).len(), 2);
        assert!(!room.give_up_one() && kept.take().is_none() && last.take().is_none());
    }
}
