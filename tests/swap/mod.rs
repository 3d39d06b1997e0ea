//! Slots: operations in a row, and plugins that are exchanged while a run goes on.

mod candidates;
mod commands;
mod effects;
mod handing_on;
mod killed;
mod locked;
mod pipelines;
mod replaced;
mod soak;
mod stopping;
mod watching;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use atlas_host::coordinator::{Command, Control, Filling, Host, Job, RunReport, SlotSpec, SwapRequest, SwapSource};
use atlas_host::event::{Envelope, Event, SwapStep};
use atlas_host::model::Digest;
use atlas_host::monitor::{Recording, Watched, subscription};
use serde_json::Value;

use crate::harness::{Folder, guest};
use crate::library::{events, events_of, letters, named, planned, recorded, rows, sound};

/// The guest `stamp` with these orders: another plugin for each, with another digest.
pub fn stamp(orders: &str) -> Vec<u8> {
    const MARK: &[u8] = b"STAMP-ORDERS:";
    const ROOM: usize = 64;
    let mut bytes = std::fs::read(guest("stamp")).expect("a guest");
    let at = bytes.windows(MARK.len() + 2).position(|part| part.starts_with(MARK) && part[MARK.len()..] == *b"v0");
    let from = at.expect("the orders stand in the component") + MARK.len();
    let room = &mut bytes[from..from + ROOM - MARK.len()];
    assert!(orders.len() <= room.len(), "{orders:?} is too long");
    room.fill(b' ');
    room[..orders.len()].copy_from_slice(orders.as_bytes());
    bytes
}

/// The same component with a note in it that changes nothing but the digest.
pub fn noted(mut component: Vec<u8>, note: &str) -> Vec<u8> {
    let content = [&[4u8], b"note".as_slice(), note.as_bytes()].concat();
    assert!(content.len() < 128);
    component.extend([0, content.len() as u8]);
    component.extend(content);
    component
}

/// The step of an event of a swap, with its name.
pub fn step(event: &Event) -> Option<(&'static str, &SwapStep)> {
    Some(match event {
        Event::SwapRequested(step) => ("requested", step),
        Event::SwapCompiled(step) => ("compiled", step),
        Event::SwapProbed(step) => ("probed", step),
        Event::SwapTried(step) => ("tried", step),
        Event::SwapShadowed(step) => ("shadowed", step),
        Event::SwapTookEffect(step) => ("took-effect", step),
        Event::SwapSettled(step) => ("settled", step),
        Event::SwapRefused(step) => ("refused", step),
        Event::SwapPutBack(step) => ("put-back", step),
        Event::SwapSkipped(step) => ("skipped", step),
        _ => return None,
    })
}

/// A run over items that the test sends, whose operation `work` is a version of `stamp`.
pub struct Live {
    items: Option<Sender<String>>,
    events: Receiver<Envelope>,
    pub recording: Watched<Recording>,
    pub control: Control,
    pub sent: u64,
    committed: u64,
    /// Told and not yet looked for.
    steps: VecDeque<(&'static str, SwapStep)>,
}

/// Items of a batch.
pub const SIZE: u64 = 10;

impl Live {
    /// The run to be: begins with this component in the slot `work`.
    pub fn job(host: &Host, folder: &Folder, component: Vec<u8>) -> (Self, Job) {
        let (items, fed) = channel();
        let job = Job::of_items(fed, folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
        let (monitor, events) = subscription(1_000_000);
        let mut job = planned(job, "sequential", SIZE as usize, 1).monitor(monitor);
        // No batch is closed early, however slow the test is.
        job.batch_wait = Duration::from_secs(600);
        let plugin = host.load_plugin_bytes(component.into(), "first.wasm").expect("a component");
        job.operations.push(SlotSpec::new("work", Filling::Component(plugin.into())));
        let (job, recording) = recorded(job);
        let control = job.control.clone();
        (Self { items: Some(items), events, recording, control, sent: 0, committed: 0, steps: VecDeque::new() }, job)
    }

    pub fn feed(&mut self, count: u64) {
        let items = self.items.as_ref().expect("it is not closed");
        for n in self.sent..self.sent + count {
            items.send(format!(r#"{{"id":"{n:08}","n":{n}}}"#)).expect("the run reads");
        }
        self.sent += count;
    }

    /// Sends so many batches of lines that are no items, and waits until they are committed.
    pub fn broken(&mut self, count: u64) {
        let items = self.items.as_ref().expect("it is not closed");
        for _ in 0..count * SIZE {
            items.send("no item".to_owned()).expect("the run reads");
        }
        self.sent += count * SIZE;
        self.batches(0);
    }

    /// The items go here from now on.
    pub fn feeds(&mut self, items: Sender<String>) {
        self.items = Some(items);
    }

    /// Runs the job to its end while the test acts on it; the items are over then.
    pub fn through(&mut self, host: &Host, job: Job, act: impl FnOnce(&mut Self)) -> RunReport {
        std::thread::scope(|scope| {
            let _guard = self.stop_on_panic();
            let run = scope.spawn(|| host.run(job));
            act(self);
            self.close();
            run.join().expect("no panic").expect("a run")
        })
    }

    /// Stops the run where the test fails: else it would wait for items for ever.
    pub fn stop_on_panic(&self) -> impl Drop + use<> {
        struct Guard(Control);
        impl Drop for Guard {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.stop();
                }
            }
        }
        Guard(self.control.clone())
    }

    /// No more items.
    pub fn close(&mut self) {
        self.items = None;
    }

    pub fn swap(&self, component: Vec<u8>) {
        self.swap_in("work", component);
    }

    pub fn swap_in(&self, slot: &str, component: Vec<u8>) {
        let request = SwapRequest {
            slot: named(slot),
            name: "candidate.wasm".to_owned(),
            bytes: component.into(),
            source: SwapSource::Library,
        };
        self.control.tell(Command::Swap(request)).expect("room in the queue");
    }

    /// Sends so many batches and waits until they are committed.
    pub fn batches(&mut self, count: u64) {
        self.feed(count * SIZE);
        while self.committed < self.sent {
            let envelope = self.events.recv().expect("the run goes on");
            self.note(&envelope.event);
        }
    }

    fn note(&mut self, event: &Event) {
        if let Event::BatchCommitted(done) = event {
            self.committed = done.last_ordinal + 1;
        }
        self.steps.extend(step(event).map(|(name, step)| (name, step.clone())));
    }

    /// The first of these steps that was told and not yet looked for; those before it are passed over.
    fn told(&mut self, wanted: &[&str]) -> Option<(&'static str, SwapStep)> {
        while let Some(step) = self.steps.pop_front() {
            if wanted.contains(&step.0) {
                return Some(step);
            }
        }
        None
    }

    /// Waits for this step; no items are sent meanwhile.
    #[track_caller]
    pub fn until(&mut self, wanted: &[&str]) -> (&'static str, SwapStep) {
        loop {
            if let Some(step) = self.told(wanted) {
                return step;
            }
            let envelope = self.events.recv().expect("the run goes on");
            self.note(&envelope.event);
        }
    }

    /// Sends batches one after another until this step is told.
    #[track_caller]
    pub fn feed_until(&mut self, wanted: &[&str]) -> (&'static str, SwapStep) {
        loop {
            if let Some(step) = self.told(wanted) {
                return step;
            }
            if self.committed == self.sent {
                self.feed(SIZE);
            }
            let envelope = self.events.recv().expect("the run goes on");
            self.note(&envelope.event);
        }
    }
}

/// Asserts that every item is in the store once, stamped by the plugin that its batch names, and that the store knows from
/// which batch on that was so. Gives the versions in the order of the batches, each once.
#[track_caller]
pub fn nothing_is_mixed(store: &Path, recording: &Watched<Recording>, items: u64, versions: &[&str]) -> Vec<String> {
    let told = events_of(recording);
    events::check(&told, 256);
    sound(store);
    assert_eq!(letters(store), [], "no item is refused");
    let stored = rows(store, "items");
    assert_eq!(stored.len() as u64, items, "nothing is lost and nothing is doubled");
    let by_digest: BTreeMap<String, &str> =
        versions.iter().map(|orders| (Digest::of(&stamp(orders)).to_string(), *orders)).collect();
    let reader = atlas_host::store::Reader::open(store).expect("a store");
    let mut order: Vec<String> = Vec::new();
    let committed = told.iter().filter_map(|envelope| match &envelope.event {
        Event::BatchCommitted(done) => Some((envelope.run, done)),
        _ => None,
    });
    for (run, done) in committed {
        let digest = &done.digests.iter().find(|(slot, _)| slot == "work").expect("the slot").1;
        let version = by_digest.get(digest).expect("a version of the test").split(' ').next().expect("a word");
        for (_, body) in &stored[done.first_ordinal as usize..=done.last_ordinal as usize] {
            let body: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(body["by"], version, "batch {} has items of another version", done.batch);
        }
        let used = reader.plugins(atlas_host::model::RunNumber(run)).expect("plugins");
        let in_force = used.iter().rfind(|plugin| plugin.from_batch.0 <= done.batch && plugin.slot == "work");
        let noted = in_force.and_then(|plugin| plugin.digest).map(|digest| digest.to_string());
        assert_eq!(noted.as_ref(), Some(digest), "batch {} as the store knows it", done.batch);
        if order.last().is_none_or(|last| last != version) {
            order.push(version.to_owned());
        }
    }
    order
}

/// Steps as the store keeps them: step, and whether it was well.
pub fn kept(store: &Path) -> Vec<(String, bool)> {
    let reader = atlas_host::store::Reader::open(store).expect("a store");
    let entries = reader.swaps(None, None).expect("a history");
    entries.into_iter().map(|entry| (entry.step.step, entry.step.ok)).collect()
}

/// Steps as events tell them.
pub fn told(recording: &Watched<Recording>) -> Vec<String> {
    events_of(recording).iter().filter_map(|e| Some(step(&e.event)?.0.to_owned())).collect()
}
