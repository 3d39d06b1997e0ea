//! One sandbox: a wasmtime store with one instance of one plugin, its limits, and the sorting of what goes wrong in it.
//!
//! Invariant: after any fault the sandbox is dead and is dropped by its owner; it is never used again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::component::{Func, InstancePre, ResourceTable};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, Trap};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::abi::{ItemAbi, OutcomeAbi, VerdictAbi};
use super::call::{Answer, Call, Fault, LogBudget};
use super::grants::Grants;
use super::hosts::Hosts;
use super::lookup::Lookup;
use super::{OPERATION, VALIDATOR, wasi};
use crate::error::Code;
use crate::limits;
use crate::model::{Item, Name, Outcome, Verdict, printable};

/// What all sandboxes of one slot have in common.
pub(super) struct SandboxSetup {
    pub slot: Name,
    pub pre: InstancePre<GuestState>,
    pub grants: Grants,
    pub hosts: Hosts,
    pub config: Arc<BTreeMap<String, String>>,
    pub memory_bytes_max: usize,
    pub census: Census,
}

/// How many sandboxes of an engine there are.
#[derive(Clone, Default)]
pub(super) struct Census(Arc<AtomicUsize>);

impl Census {
    pub fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }
}

/// A sandbox's entry in the census, from its start to its end.
struct Counted(Census);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The timers that guest calls run under; one per lane.
pub struct CallRuntime(Option<tokio::runtime::Runtime>);

impl CallRuntime {
    /// Errors: the system gives no timer or poll descriptor.
    pub fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
        Ok(Self(Some(runtime)))
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("BUG: a runtime is there until it is dropped").block_on(work)
    }
}

impl Drop for CallRuntime {
    /// A guest's call into the file system that never returns, such as opening a pipe that nobody writes to, is not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The data of a sandbox's store.
pub struct GuestState {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) sink: Arc<LogSink>,
    pub(super) call: Call,
    pub(super) lookup: Option<Box<dyn Lookup>>,
    /// Collections that may be read by name.
    pub(super) readable: Arc<[Name]>,
    pub(super) host_calls: u64,
    pub(super) store_reads: u64,
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Sums memories and tables over the whole store; wasmtime's own limits count each by itself.
struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    refused: Option<String>,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes + desired.saturating_sub(current);
        if total > self.memory_bytes_max {
            self.refused = Some(format!("asked for {total} bytes of memory, the bound is {}", self.memory_bytes_max));
            return Ok(false);
        }
        // The memory itself does not grow so far: nothing is taken.
        if most.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements + desired.saturating_sub(current);
        if total > limits::TABLE_ELEMENTS_MAX {
            self.refused =
                Some(format!("asked for {total} table elements, the bound is {}", limits::TABLE_ELEMENTS_MAX));
            return Ok(false);
        }
        if most.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        limits::TABLES_MAX
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_MAX
    }
}

/// Where a guest's lines go: to the log, escaped, within the budget of the present batch.
#[derive(Default)]
pub struct LogSink {
    now: std::sync::Mutex<Option<LogPlace>>,
}

struct LogPlace {
    slot: Name,
    run: Arc<str>,
    batch: u64,
    budget: Arc<LogBudget>,
}

impl LogSink {
    fn place(&self, slot: &Name, call: &Call) {
        let place = LogPlace {
            slot: slot.clone(),
            run: Arc::clone(&call.run),
            batch: call.batch,
            budget: Arc::clone(&call.log),
        };
        *self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(place);
    }

    /// Logs one line, or counts it as dropped.
    pub(super) fn line(&self, level: tracing::Level, text: &str) {
        let now = self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(place) = now.as_ref() else { return };
        let cut = &text[..text.floor_char_boundary(limits::GUEST_TEXT_BYTES_MAX)];
        if !place.budget.admit(cut.len()) {
            return;
        }
        // While a plugin is probed there is no run and no batch to name.
        let in_run = !place.run.is_empty();
        let (run, batch) = (in_run.then_some(&*place.run), in_run.then_some(place.batch));
        let (slot, message) = (place.slot.as_str(), printable(cut));
        match level {
            tracing::Level::ERROR => tracing::error!(target: "guest", slot, run, batch, "{message}"),
            tracing::Level::WARN => tracing::warn!(target: "guest", slot, run, batch, "{message}"),
            tracing::Level::INFO => tracing::info!(target: "guest", slot, run, batch, "{message}"),
            tracing::Level::DEBUG => tracing::debug!(target: "guest", slot, run, batch, "{message}"),
            tracing::Level::TRACE => tracing::trace!(target: "guest", slot, run, batch, "{message}"),
        }
    }
}

/// A started instance.
pub struct Sandbox {
    store: Store<GuestState>,
    operation: Option<Func>,
    validator: Option<Func>,
    seed: wasi::Seed,
    clock: wasi::Clock,
    slot: Name,
    calls: u32,
    // Last, so that it is left when the store is gone.
    _counted: Counted,
}

impl Sandbox {
    /// Instantiates the plugin within the deadline of this call, whose budget its lines count in. It is told nothing of the
    /// call itself: what it keeps of its start serves other calls too.
    ///
    /// Errors: a fault with GUEST_10010, or with the bound that was hit. Where the pool is full, another try takes another store:
    /// this one keeps what it got of the pool until it is dropped.
    pub(super) fn start(setup: &SandboxSetup, runtime: &CallRuntime, call: &Call) -> Result<Self, Fault> {
        let deadline = call.deadline;
        let counted = setup.census.enter();
        let (seed, clock) = (wasi::Seed::default(), wasi::Clock::default());
        let sink = Arc::new(LogSink::default());
        sink.place(&setup.slot, call);
        let wasi = wasi::context(&setup.grants, &setup.hosts, &clock, &seed, &sink)
            .map_err(|why| Fault::new(Code::GuestStart, why))?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::HANDLES_MAX);
        let state = GuestState {
            wasi,
            table,
            limiter: Limiter {
                memory_bytes: 0,
                memory_bytes_max: setup.memory_bytes_max,
                table_elements: 0,
                refused: None,
            },
            config: Arc::clone(&setup.config),
            sink,
            call: Call::idle(),
            lookup: None,
            readable: setup.grants.collections.as_slice().into(),
            host_calls: 0,
            store_reads: 0,
        };
        let engine = setup.pre.engine();
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits::OUTPUT_CALL_BYTES_MAX);
        store.set_max_component_handles(limits::HANDLES_MAX);
        arm(&mut store, deadline);
        let instance = match within(runtime, deadline, setup.pre.instantiate_async(&mut store)) {
            Some(Ok(instance)) => instance,
            Some(Err(error)) => return Err(start_fault(error, store.data(), deadline)),
            None => return Err(deadline_fault(deadline)),
        };
        let mut find = |interface: &str, function: &str| {
            let outer = instance.get_export_index(&mut store, None, interface)?;
            let inner = instance.get_export_index(&mut store, Some(&outer), function)?;
            instance.get_func(&mut store, inner)
        };
        let operation = find(OPERATION, "apply");
        let validator = find(VALIDATOR, "validate");
        Ok(Self { store, operation, validator, seed, clock, slot: setup.slot.clone(), calls: 0, _counted: counted })
    }

    /// Calls made so far.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// Linear memory that it has, in bytes. It never shrinks.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes
    }

    /// `validator.validate`. The list has one verdict per item, or the call failed.
    pub(super) fn validate(
        &mut self,
        runtime: &CallRuntime,
        call: &Call,
        items: &[Item<'_>],
        lookup: Option<Box<dyn Lookup>>,
    ) -> Answer<Verdict> {
        let Some(function) = self.validator else { return (Err(not_exported("validator")), lookup) };
        let (result, lookup) = self.call::<VerdictAbi>(runtime, call, items, function, lookup);
        (result.map(|verdicts| verdicts.into_iter().map(VerdictAbi::into_model).collect()), lookup)
    }

    /// `operation.apply`. The list has one outcome per item, or the call failed.
    pub(super) fn apply(
        &mut self,
        runtime: &CallRuntime,
        call: &Call,
        items: &[Item<'_>],
        lookup: Option<Box<dyn Lookup>>,
    ) -> Answer<Result<Outcome, String>> {
        let Some(function) = self.operation else { return (Err(not_exported("operation")), lookup) };
        let (result, lookup) = self.call::<OutcomeAbi>(runtime, call, items, function, lookup);
        (result.map(|outcomes| outcomes.into_iter().map(OutcomeAbi::into_model).collect()), lookup)
    }

    fn call<T>(
        &mut self,
        runtime: &CallRuntime,
        call: &Call,
        items: &[Item<'_>],
        function: Func,
        lookup: Option<Box<dyn Lookup>>,
    ) -> Answer<T>
    where
        T: wasmtime::component::Lift + wasmtime::component::ComponentType + Send + Sync + 'static,
    {
        self.calls += 1;
        // What was refused in an earlier call, and borne, explains nothing of this one.
        self.store.data_mut().limiter.refused = None;
        self.seed.set(call.item_seed(items.first().map_or(0, |item| item.ordinal.0)));
        self.clock.set(call.now_ms);
        let state = self.store.data_mut();
        state.sink.place(&self.slot, call);
        state.call = call.clone();
        state.lookup = lookup;
        state.host_calls = 0;
        state.store_reads = 0;
        arm(&mut self.store, call.deadline);
        let rows: Vec<ItemAbi<'_>> = items.iter().map(|item| ItemAbi::from(*item)).collect();
        let store = &mut self.store;
        let answer = within(runtime, call.deadline, async move {
            let function = function.typed::<(&[ItemAbi<'_>],), (Vec<T>,)>(&mut *store)?;
            function.call_async(&mut *store, (&rows,)).await
        });
        let result = match answer {
            None => Err(deadline_fault(call.deadline)),
            Some(Err(error)) => Err(call_fault(error, self.store.data(), call.deadline)),
            Some(Ok((list,))) if list.len() != items.len() => Err(Fault::length(list.len(), items.len())),
            Some(Ok((list,))) => Ok(list),
        };
        (result, self.store.data_mut().lookup.take())
    }
}

/// Computing is bounded by epochs, waiting by the timer; both end at the deadline plus at most two ticks.
fn arm(store: &mut Store<GuestState>, deadline: Duration) {
    let ticks = deadline.as_nanos().div_ceil(limits::EPOCH_TICK.as_nanos()) as u64;
    store.set_epoch_deadline(ticks.saturating_add(1));
}

fn within<T>(runtime: &CallRuntime, deadline: Duration, work: impl Future<Output = T>) -> Option<T> {
    runtime.block_on(async { tokio::time::timeout(deadline.saturating_add(limits::EPOCH_TICK), work).await.ok() })
}

fn not_exported(interface: &str) -> Fault {
    Fault::new(Code::GuestContract, format!("does not export {interface}"))
}

fn deadline_fault(deadline: Duration) -> Fault {
    Fault::new(Code::GuestDeadline, format!("did not return within {} ms", deadline.as_millis()))
}

fn start_fault(error: wasmtime::Error, state: &GuestState, deadline: Duration) -> Fault {
    let fault = call_fault(error, state, deadline);
    match fault.code {
        Code::GuestTrap | Code::GuestValue => Fault { code: Code::GuestStart, ..fault },
        _ => fault,
    }
}

/// Sorts wasmtime's error into one of our codes. The only place that looks at its text: two of its errors have no public type.
fn call_fault(error: wasmtime::Error, state: &GuestState, deadline: Duration) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    let root = error.root_cause().to_string();
    // A full pool is back-pressure, not the plugin's fault. A call meets it before the guest runs, when it takes its stack.
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::no_room(&root);
    }
    // Growth that was refused, and borne, explains neither an endless loop nor a stack that is too deep.
    let other = matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt | Trap::StackOverflow | Trap::OutOfFuel));
    if let Some(refused) = state.limiter.refused.as_ref().filter(|_| !other) {
        let code = if refused.contains("table") || error.is::<Trap>() { Code::GuestMemory } else { Code::GuestStart };
        return Fault::new(code, format!("{refused}, then: {root}"));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::Interrupt => deadline_fault(deadline),
            Trap::StackOverflow => {
                Fault::new(Code::GuestStack, format!("the bound is {} bytes", limits::GUEST_STACK_BYTES))
            }
            Trap::AllocationTooLarge => Fault::new(Code::GuestMemory, root),
            Trap::OutOfFuel => Fault::new(Code::GuestFuel, root),
            _ => Fault::new(Code::GuestTrap, trap_message(&root, &error)),
        };
    }
    if root.contains("fuel allocated for hostcalls") {
        return Fault::new(
            Code::GuestOutput,
            format!("passed more than {} bytes to the host in one call", limits::OUTPUT_CALL_BYTES_MAX),
        );
    }
    if root.contains("too many component handles") || root.contains("handle limit") || root.contains("no free keys") {
        return Fault::new(Code::GuestQuota, root);
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return Fault::new(Code::GuestTrap, format!("called exit({})", exit.0));
    }
    Fault::new(Code::GuestValue, root)
}

fn trap_message(root: &str, error: &wasmtime::Error) -> String {
    let frame = error
        .downcast_ref::<wasmtime::WasmBacktrace>()
        .and_then(|trace| trace.frames().iter().find_map(|frame| frame.func_name().map(str::to_owned)));
    match frame {
        Some(name) => format!("{root} (in {})", printable(&name[..name.floor_char_boundary(200)])),
        None => root.to_owned(),
    }
}

impl LogBudget {
    /// Takes one line of `bytes` from the budget; false (and counted as dropped) when it is used up.
    pub(super) fn admit(&self, bytes: usize) -> bool {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        let used = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let admitted = lines < limits::LOG_LINES_MAX as u64 && used + (bytes as u64) <= limits::LOG_BYTES_MAX as u64;
        if !admitted {
            count(&self.dropped);
        }
        admitted
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// wasmtime asks before it looks at what the memory itself allows.
    #[test]
    fn growth_beyond_what_a_memory_allows_itself_takes_nothing_of_the_bound() {
        let mut limiter = Limiter { memory_bytes: 0, memory_bytes_max: 100, table_elements: 0, refused: None };
        for _ in 0..10 {
            assert!(!limiter.memory_growing(10, 60, Some(50)).unwrap());
            assert!(!limiter.table_growing(10, 60, Some(50)).unwrap());
        }
        assert_eq!((limiter.memory_bytes, limiter.table_elements, &limiter.refused), (0, 0, &None));
        assert!(limiter.memory_growing(0, 100, Some(100)).unwrap());
        assert!(!limiter.memory_growing(100, 101, None).unwrap() && limiter.refused.is_some());
    }
}
