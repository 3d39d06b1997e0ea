//! A slot: a named place that one plugin fills, with its warm sandboxes. Native closures fill a slot just as well.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::call::{Answer, Call, Fault};
use super::cpu::CpuMeter;
use super::grants::Grants;
use super::hosts::Hosts;
use super::load::Plugin;
use super::lookup::Lookup;
use super::room::{Room, Warm};
use super::sandbox::{CallRuntime, Sandbox, SandboxSetup};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Digest, Item, Name, Outcome, Verdict};

/// What a slot's plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Judges items.
    Validator,
    /// Transforms items.
    Operation,
}

impl Role {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Validator => "validator",
            Role::Operation => "operation",
        }
    }

    pub(super) fn with_article(self) -> &'static str {
        match self {
            Role::Validator => "a validator",
            Role::Operation => "an operation",
        }
    }
}

/// An operation in Rust. A closure from one item to its outcome is one.
pub trait Operation: Send + Sync {
    /// One outcome per item, same length and order. A panic is a fault, as a trap would be.
    fn apply(&self, call: &Call, items: &[Item<'_>]) -> Vec<Outcome>;
}

impl<F> Operation for F
where
    F: Fn(&Call, Item<'_>) -> Outcome + Send + Sync,
{
    fn apply(&self, call: &Call, items: &[Item<'_>]) -> Vec<Outcome> {
        items.iter().map(|item| self(call, *item)).collect()
    }
}

/// A validator in Rust. A closure from one item to its verdict is one.
pub trait Validator: Send + Sync {
    /// One verdict per item, same length and order. A panic is a fault, as a trap would be.
    fn validate(&self, call: &Call, items: &[Item<'_>]) -> Vec<Verdict>;
}

impl<F> Validator for F
where
    F: Fn(&Call, Item<'_>) -> Verdict + Send + Sync,
{
    fn validate(&self, call: &Call, items: &[Item<'_>]) -> Vec<Verdict> {
        items.iter().map(|item| self(call, *item)).collect()
    }
}

/// A filled slot of one run. Lanes share it; each call takes a sandbox out of the pool and puts it back if it stayed whole.
pub struct Slot {
    name: Name,
    role: Role,
    file: String,
    digest: Option<Digest>,
    bytes: Option<Arc<[u8]>>,
    grants: Grants,
    reads_store: bool,
    prepared: Prepared,
    /// Time of one call; none for native code, which nothing interrupts.
    deadline: Option<Duration>,
    /// Largest linear memory that one of its sandboxes had, in bytes.
    memory_peak: AtomicUsize,
    cpu: CpuMeter,
    body: Body,
}

/// How a plugin was made ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prepared {
    /// Reading, checking and compiling, or loading what was compiled before; 0 for native code.
    pub time: Duration,
    /// True if the cache had it.
    pub from_cache: bool,
}

enum Body {
    Component { setup: Box<SandboxSetup>, warm: Arc<Warm>, room: Room, fresh_per_call: bool },
    Operation(Arc<dyn Operation>),
    Validator(Arc<dyn Validator>),
}

/// How a component fills a slot.
#[derive(Debug, Clone, Default)]
pub struct SlotSettings {
    /// What it may reach.
    pub grants: Grants,
    /// Its own settings.
    pub config: BTreeMap<String, String>,
    /// Memory of one sandbox, in bytes; none for as much as the engine has room for.
    pub memory_bytes: Option<usize>,
    /// A fresh sandbox for each batch instead of warm ones.
    pub fresh: bool,
    /// Time that starting a sandbox may take.
    pub deadline: Duration,
    /// Time that one call may take, where the slot has a bound of its own; else that of the run.
    pub own_deadline: Option<Duration>,
}

impl Slot {
    /// Fills a slot with a component and starts one sandbox as a probe, which then is the first warm one.
    ///
    /// Errors: GUEST_10011, GUEST_10012 (the world), GUEST_10010 and the bounds (it cannot be started): exit 4.
    pub fn of_component(name: Name, role: Role, plugin: &Plugin, settings: SlotSettings) -> Result<Self> {
        plugin.check(role)?;
        let setup = SandboxSetup {
            slot: name.clone(),
            pre: plugin.prepare()?,
            grants: settings.grants.clone(),
            hosts: Hosts::new(&settings.grants.hosts),
            config: Arc::new(settings.config),
            memory_bytes_max: settings.memory_bytes.unwrap_or(plugin.engine().memory_bytes_max()),
            census: plugin.engine().census().clone(),
        };
        let runtime = CallRuntime::new()
            .map_err(|error| Error::new(Code::GuestStart, format!("no timers for plugins: {error}")))?;
        let room = plugin.engine().room().clone();
        let call = Call { deadline: settings.deadline, ..Call::idle() };
        let start = || Sandbox::start(&setup, &runtime, &call);
        let probe = room.find(None, settings.deadline, start).map_err(|fault| {
            let text = format!("plugin {} in slot {name} cannot be started: {}", plugin.file(), fault.message);
            let error = Error::new(Code::GuestStart, text);
            let error = if fault.no_room { error.hint(NO_ROOM_HINT) } else { error };
            error.because(fault)
        })?;
        let (memory_peak, warm) = (AtomicUsize::new(probe.memory_bytes()), room.warm());
        warm.put(probe);
        Ok(Self {
            name,
            role,
            file: plugin.file().to_owned(),
            digest: Some(plugin.digest()),
            bytes: Some(plugin.bytes()),
            grants: settings.grants,
            reads_store: plugin.imports_store(),
            prepared: Prepared { time: plugin.prepared(), from_cache: plugin.from_cache() },
            deadline: settings.own_deadline,
            memory_peak,
            cpu: CpuMeter::default(),
            body: Body::Component { setup: Box::new(setup), warm, room, fresh_per_call: settings.fresh },
        })
    }

    /// Fills a slot with an operation in Rust.
    pub fn of_operation(name: Name, operation: Arc<dyn Operation>) -> Self {
        Self::native(name, Role::Operation, Body::Operation(operation))
    }

    /// Fills a slot with a validator in Rust.
    pub fn of_validator(name: Name, validator: Arc<dyn Validator>) -> Self {
        Self::native(name, Role::Validator, Body::Validator(validator))
    }

    fn native(name: Name, role: Role, body: Body) -> Self {
        Self {
            name,
            role,
            file: "native".into(),
            digest: None,
            bytes: None,
            grants: Grants::default(),
            reads_store: false,
            prepared: Prepared::default(),
            deadline: None,
            memory_peak: AtomicUsize::new(0),
            cpu: CpuMeter::default(),
            body,
        }
    }

    /// The slot's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What its plugin does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// File the plugin came from, or `native`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Digest of the plugin; none for native code.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The plugin's bytes, exactly those that were hashed and compiled.
    pub fn bytes(&self) -> Option<Arc<[u8]>> {
        self.bytes.clone()
    }

    /// How it was made ready.
    pub fn prepared(&self) -> Prepared {
        self.prepared
    }

    /// Time that one of its calls may take, where that is not what the run says.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Largest linear memory that one of its sandboxes had so far, in bytes; 0 for native code.
    pub fn memory_peak(&self) -> usize {
        self.memory_peak.load(Ordering::Relaxed)
    }

    /// Measures the CPU time of its calls.
    pub fn cpu_meter(&self) -> &CpuMeter {
        &self.cpu
    }

    /// What it was granted.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// True if the plugin can read the store, so that batches are computed one at a time.
    pub fn reads_store(&self) -> bool {
        self.reads_store
    }

    /// Verdicts of one chunk; `fresh` asks for a sandbox that saw nothing before. The lookup comes back, whatever happened.
    pub fn validate(
        &self,
        runtime: &CallRuntime,
        call: &Call,
        items: &[Item<'_>],
        lookup: Option<Box<dyn Lookup>>,
        fresh: bool,
    ) -> Answer<Verdict> {
        match &self.body {
            Body::Component { .. } => self.in_sandbox(runtime, call, lookup, fresh, |sandbox, lookup| {
                sandbox.validate(runtime, call, items, lookup)
            }),
            Body::Validator(validator) => (guarded(items.len(), || validator.validate(call, items)), lookup),
            Body::Operation(_) => (Err(wrong_role("validator")), lookup),
        }
    }

    /// Outcomes of one chunk; `fresh` as for [`Slot::validate`]. An inner error is about that item alone. The lookup comes back, whatever happened.
    pub fn apply(
        &self,
        runtime: &CallRuntime,
        call: &Call,
        items: &[Item<'_>],
        lookup: Option<Box<dyn Lookup>>,
        fresh: bool,
    ) -> Answer<Result<Outcome, String>> {
        match &self.body {
            Body::Component { .. } => self.in_sandbox(runtime, call, lookup, fresh, |sandbox, lookup| {
                sandbox.apply(runtime, call, items, lookup)
            }),
            Body::Operation(operation) => {
                let outcomes = guarded(items.len(), || operation.apply(call, items));
                (outcomes.map(|list| list.into_iter().map(Ok).collect()), lookup)
            }
            Body::Validator(_) => (Err(wrong_role("operation")), lookup),
        }
    }

    fn in_sandbox<T>(
        &self,
        runtime: &CallRuntime,
        call: &Call,
        mut lookup: Option<Box<dyn Lookup>>,
        fresh: bool,
        work: impl Fn(&mut Sandbox, Option<Box<dyn Lookup>>) -> (Result<T, Fault>, Option<Box<dyn Lookup>>),
    ) -> (Result<T, Fault>, Option<Box<dyn Lookup>>) {
        let Body::Component { setup, warm, room, fresh_per_call } = &self.body else {
            return (Err(wrong_role("component")), lookup);
        };
        let own: Option<&Warm> = if fresh { None } else { Some(warm) };
        let result = room.find(own, call.deadline, || {
            let mut sandbox = match own.and_then(Warm::take) {
                Some(sandbox) => sandbox,
                None => Sandbox::start(setup, runtime, call)?,
            };
            let (result, back) = work(&mut sandbox, lookup.take());
            lookup = back;
            self.memory_peak.fetch_max(sandbox.memory_bytes(), Ordering::Relaxed);
            if result.is_ok() && !fresh_per_call && sandbox.calls() < limits::SANDBOX_CALLS_MAX {
                warm.put(sandbox);
            }
            result
        });
        (result, lookup)
    }

    /// What ends a run in which this slot has no room for a sandbox.
    pub fn no_room(&self, fault: Fault) -> Error {
        let text = format!("plugin {} in slot {}: {}", self.file, self.name, fault.message);
        Error::new(Code::GuestStart, text).hint(NO_ROOM_HINT).because(fault)
    }
}

const NO_ROOM_HINT: &str = "use fewer --lanes or fewer plugins, then run the same command again: it continues";

fn wrong_role(wanted: &str) -> Fault {
    Fault::new(Code::GuestContract, format!("is no {wanted}"))
}

/// Native code under the same rules as a guest: a panic is a fault, another length is a fault.
fn guarded<T>(items: usize, work: impl FnOnce() -> Vec<T>) -> Result<Vec<T>, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(list) if list.len() == items => Ok(list),
        Ok(list) => Err(Fault::length(list.len(), items)),
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "panic".to_owned());
            Err(Fault::new(Code::GuestTrap, format!("panicked: {text}")))
        }
    }
}
