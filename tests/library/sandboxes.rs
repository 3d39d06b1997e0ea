//! Sandboxes: never more than the lanes can use, and none that outlives its run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use atlas_host::coordinator::{Host, Job};
use atlas_host::event::{Envelope, Event};
use atlas_host::monitor::Monitor;

use super::{host, planned};
use crate::harness::{Folder, guest};

/// Notes the most sandboxes that there were at any event.
struct Counting {
    host: Weak<Host>,
    most: Arc<AtomicUsize>,
}

impl Monitor for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn observe(&mut self, event: &Envelope) {
        if !matches!(event.event, Event::RunEnded(_))
            && let Some(host) = self.host.upgrade()
        {
            self.most.fetch_max(host.sandboxes(), Ordering::SeqCst);
        }
    }
}

/// 400 items, of which one in fifty asks for this.
fn job(host: &Arc<Host>, folder: &Folder, fault: &str, most: &Arc<AtomicUsize>) -> Job {
    let fault = fault.to_owned();
    let bodies = (0..400).map(move |n| {
        let fault = if n % 50 == 17 { fault.as_str() } else { "null" };
        format!(r#"{{"id":"{n:03}","fault":{fault}}}"#)
    });
    let job = Job::of_items(bodies, folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    let faulty = || host.load_plugin(guest("faulty")).expect("a plugin");
    let counting = Counting { host: Arc::downgrade(host), most: Arc::clone(most) };
    let job = planned(job, "concurrent", 20, 2).monitor(counting);
    job.validator_plugin(faulty()).operation_plugin(faulty())
}

#[test]
fn no_sandbox_outlives_its_run_whatever_its_guests_do() {
    let host = Arc::new(host(2));
    assert_eq!(host.sandboxes(), 0, "before the engine is there");
    // A plugin that is loaded is code, no sandbox.
    let _loaded = host.load_plugin(guest("faulty")).expect("a plugin");
    assert_eq!(host.sandboxes(), 0, "after a plugin was loaded");
    let faults = ["null", "\"trap\"", "\"recurse\"", "\"validator-trap\""];
    for (fault, fresh) in faults.into_iter().flat_map(|fault| [(fault, false), (fault, true)]) {
        let folder = Folder::new();
        let most = Arc::default();
        let mut job = job(&host, &folder, fault, &most);
        job.fresh_sandboxes = fresh;
        let report = host.run(job).expect("a run");
        assert_eq!(report.counts.dead_lettered, if fault == "null" { 0 } else { 8 }, "{fault}");
        // For each of two slots one at work or warm per lane, and the one that was started to try the plugin.
        let most = most.load(Ordering::SeqCst);
        assert!(most <= 6, "{most} sandboxes with {fault}");
        assert!(fresh || most >= 2, "{most} sandboxes with {fault}, but each slot keeps a warm one");
        assert_eq!(host.sandboxes(), 0, "after a run with {fault}");
    }
}

#[test]
fn a_plugin_that_cannot_be_started_leaves_no_sandbox() {
    let folder = Folder::new();
    let host = Arc::new(host(1));
    let most = Arc::default();
    let mut job = job(&host, &folder, "null", &most);
    // The validator's slot is filled first; the operation's grant cannot be given.
    let operation = job.operations.first_mut().expect("an operation");
    operation.grants.dirs.push(atlas_host::plugin::DirGrant {
        host: folder.at("no such folder"),
        guest: "/data".into(),
        writable: false,
    });
    assert!(host.run(job).is_err());
    assert_eq!((host.sandboxes(), folder.at("out.db").exists()), (0, false));
}
