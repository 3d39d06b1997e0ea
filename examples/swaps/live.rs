//! A run under load whose operation can be exchanged: tickets without end, and the events as they come.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use anyhow::{Context, Result, bail, ensure};
use atlas_host::coordinator::{Command, Control, Host, HostOptions, Job, SwapRequest, SwapSource};
use atlas_host::event::{Envelope, Event, SwapStep};
use atlas_host::model::Name;
use atlas_host::monitor::subscription;
use atlas_host::plugin::{Cache, Compiler};
use atlas_host::store::Durability;
use atlas_host::strategy::{Bounds, Interval};

/// Events that may wait for this program before the run waits for it.
const EVENTS: usize = 1024;
/// Slot of the only operation of a job that was given none by name.
pub const SLOT: &str = "operation";

/// A plugin.
pub struct Component {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Component {
    /// The same plugin with another digest: a custom section tells nothing to anybody.
    pub fn twin(&self) -> Self {
        const SECTION: &[u8] = b"\0\x05\x04twin";
        Self { name: format!("{} (twin)", self.name), bytes: [&self.bytes, SECTION].concat() }
    }
}

/// A host that keeps what it compiles in this folder.
pub fn host(cache: &Path, compiler: Option<PathBuf>) -> Result<Host> {
    Ok(Host::new(HostOptions {
        lanes: 2,
        cache: Cache::at(cache.to_owned()),
        compiler: compiler.map_or(Compiler::InProcess, Compiler::Child),
        ..HostOptions::default()
    })?)
}

/// Tickets until it is stopped, then how many there were.
#[derive(Clone, Default)]
pub struct Tickets {
    stop: Arc<AtomicBool>,
    pub given: Arc<AtomicU64>,
}

impl Tickets {
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Iterator for Tickets {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let next = || ticket(self.given.fetch_add(1, Ordering::Relaxed));
        (!self.stop.load(Ordering::Relaxed)).then(next)
    }
}

/// A ticket that breaks no rule, like those that `examples/generate` makes.
pub fn ticket(n: u64) -> String {
    format!(
        r#"{{"id":"t-{n:09}","path":"project-{}/epic-{}/task-{n}","title":"Implement Feature #{n}: the Quick brown Fox","status":"{}","priority":{},"tags":["Backend","URGENT","Team{}"],"created":{},"notes":"lorem ipsum dolor sit amet"}}"#,
        n % 50,
        n % 977,
        ["pending", "in_progress", "completed", "failed", "blocked"][(n % 5) as usize],
        n % 9,
        n % 13,
        1_700_000_000 + n
    )
}

/// The run to be, with the component in its slot.
pub fn job(host: &Host, component: &Component, tickets: &Tickets, store: &Path, batch: usize) -> Result<(Job, Events)> {
    let (monitor, events) = subscription(EVENTS);
    let plugin = host.load_plugin_bytes(component.bytes.clone().into(), &component.name)?;
    let mut job = Job::of_items(tickets.clone(), store, "items")?.id("id")?.operation_plugin(plugin).monitor(monitor);
    let only = |number| Interval::new(number, number).context("an interval");
    job.strategy = "concurrent".to_owned();
    job.bounds = Bounds { batch_size: only(batch)?, lanes: only(2)?, start: None };
    job.durability = Durability::Normal;
    let control = job.control.clone();
    Ok((job, Events { events, control, newest: String::new(), seen: Vec::new() }))
}

/// What a run tells.
pub struct Events {
    events: Receiver<Envelope>,
    control: Control,
    /// Digest of the candidate that came last.
    newest: String,
    /// Events of batches and of the run since they were last taken.
    seen: Vec<Envelope>,
}

impl Events {
    /// Wants this component in the slot.
    pub fn swap(&self, component: &Component) -> Result<()> {
        let slot = Name::parse(SLOT).context("a slot")?;
        let (name, bytes) = (component.name.clone(), component.bytes.clone().into());
        Ok(self.control.tell(Command::Swap(SwapRequest { slot, name, bytes, source: SwapSource::Library }))?)
    }

    /// Waits for one of these steps; gives when it was told, in microseconds since the run began.
    pub fn until(&mut self, wanted: &[&str]) -> Result<(u64, &'static str, SwapStep)> {
        loop {
            let envelope = self.events.recv().context("the run has ended")?;
            let at = envelope.elapsed_us;
            if let Some(("requested", step)) = step(&envelope.event) {
                self.newest.clone_from(&step.new_digest);
            }
            match step(&envelope.event) {
                Some((name, step)) if wanted.contains(&name) => return Ok((at, name, step.clone())),
                // The one before, whose place it has taken.
                Some(("skipped", step)) if step.new_digest != self.newest => {}
                Some((name @ ("refused" | "put-back" | "skipped"), step)) => bail!("{name}: {}", step.reason),
                Some(_) => {}
                None => self.seen.push(envelope),
            }
        }
    }

    /// Waits until so many batches are committed.
    pub fn batches(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let envelope = self.events.recv().context("the run has ended")?;
            if let Event::BatchCommitted(done) = &envelope.event {
                ensure!(done.counts.failed() == 0, "{} items of batch {} failed", done.counts.failed(), done.batch);
                left -= 1;
            }
            ensure!(step(&envelope.event).is_none_or(|(name, _)| name == "settled"), "a swap nobody asked for");
            self.seen.push(envelope);
        }
        Ok(())
    }

    /// What was told of batches since it was last taken.
    pub fn take(&mut self) -> Vec<Envelope> {
        std::mem::take(&mut self.seen)
    }

    /// All that is still to come.
    pub fn rest(self) -> Vec<Envelope> {
        self.seen.into_iter().chain(self.events.iter()).collect()
    }
}

fn step(event: &Event) -> Option<(&'static str, &SwapStep)> {
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
