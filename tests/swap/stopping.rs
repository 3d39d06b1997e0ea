//! A run that is told to stop while a candidate is on its way.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use atlas_host::coordinator::{Filling, SlotSpec};
use atlas_host::model::{Item, RunStatus, Verdict};
use atlas_host::plugin::Call;

use super::{Live, SIZE, kept, stamp};
use crate::harness::Folder;
use crate::library::host;

#[test]
fn a_candidate_that_fails_while_the_run_stops_is_left_and_not_refused() {
    let folder = Folder::new();
    let host = host(2);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    // The last batch is under way until it is let go.
    let (came, has_come) = channel();
    let (let_go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let waits = move |_: &Call, item: Item<'_>| {
        if item.id == "00000050" {
            let _ = came.send(());
            // Until the other end is dropped.
            let _ = gate.lock().expect("no panic").recv();
        }
        Verdict::Accept
    };
    job.validators.push(SlotSpec::new("gate", Filling::Validator(Arc::new(waits))));
    let report = live.through(&host, job, |live| {
        live.batches(5);
        live.feed(SIZE);
        has_come.recv().expect("it comes to the gate");
        live.control.stop();
        live.swap(b"no component".to_vec());
        let (step, left) = live.until(&["refused", "skipped"]);
        drop(let_go);
        assert_eq!(step, "skipped", "{left:?}");
        // Given up with the others that were on their way, or found to be no good just before.
        let known = ["the run ended before it took effect", "the run is being stopped: candidate.wasm: found "];
        assert!(known.iter().any(|reason| left.reason.starts_with(reason)), "{}", left.reason);
    });
    assert_eq!((report.status, report.counts.stored), (RunStatus::Interrupted, 60));
    let steps = kept(&folder.at("out.db"));
    assert_eq!(steps, [("requested".to_owned(), true), ("skipped".to_owned(), true)]);
}
