//! The one wasmtime engine of a process: what is switched on, and how far it may go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::room::Room;
use super::sandbox::{Census, GuestState};
use super::{imports, wasi};
use crate::error::{Code, Error, Result};
use crate::limits;

/// Engine, linker and epoch ticker, shared by all plugins of a process. Cheap to clone.
#[derive(Clone)]
pub struct PluginEngine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<GuestState>,
    memory_bytes_max: usize,
    pooled: bool,
    census: Census,
    room: Room,
    _ticker: Ticker,
}

/// How many sandboxes the pool has room for.
const POOL_SANDBOXES: u32 = 512;
/// One for each sandbox, which keeps that of its last call until it is dropped; and some for those that are just being dropped.
const POOL_STACKS: u32 = POOL_SANDBOXES + limits::PLUGINS_MAX as u32;

impl PluginEngine {
    /// An engine whose sandboxes may use `memory_bytes_max` bytes of memory each.
    ///
    /// Errors: GUEST_10010 where the machine cannot give the address space that even the small layout needs, or no thread.
    pub fn new(memory_bytes_max: usize) -> Result<Self> {
        let (engine, pooled) = match address_space_is_limited() {
            false => match Engine::new(&pooled_config(memory_bytes_max)) {
                Ok(engine) => (engine, true),
                Err(error) => {
                    tracing::warn!(
                        "No pooled sandboxes on this machine ({error}); they are made on demand, which is slower."
                    );
                    (on_demand_engine(memory_bytes_max)?, false)
                }
            },
            true => {
                tracing::warn!("The address space is limited, so sandboxes are made on demand, which is slower.");
                (on_demand_engine(memory_bytes_max)?, false)
            }
        };
        let mut linker = Linker::new(&engine);
        wasi::link(&mut linker).map_err(engine_error)?;
        imports::link(&mut linker).map_err(engine_error)?;
        let ticker = Ticker::start(Builder::new(), engine.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linker,
                memory_bytes_max,
                pooled,
                census: Census::default(),
                room: Room::default(),
                _ticker: ticker,
            }),
        })
    }

    /// The wasmtime engine.
    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The linker with the contract's imports and deny-all WASI.
    pub(super) fn linker(&self) -> &Linker<GuestState> {
        &self.inner.linker
    }

    /// Memory of one sandbox, in bytes.
    pub fn memory_bytes_max(&self) -> usize {
        self.inner.memory_bytes_max
    }

    /// Counts the sandboxes of this engine.
    pub(super) fn census(&self) -> &Census {
        &self.inner.census
    }

    /// Where the warm sandboxes of its slots are, so that they can make way.
    pub(super) fn room(&self) -> &Room {
        &self.inner.room
    }

    /// Sandboxes that there are now, warm ones included.
    pub fn sandboxes(&self) -> usize {
        self.census().now()
    }

    /// False where sandboxes are allocated on demand.
    pub fn pooled(&self) -> bool {
        self.inner.pooled
    }
}

/// What every engine of this host shares, the compiling process included: all that decides what compiled code looks like.
fn base_config(limited: bool, memory_bytes_max: usize) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(limits::GUEST_STACK_BYTES)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8))
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .wasm_memory64(false)
        .wasm_stack_switching(false);
    if limited {
        config.memory_reservation(memory_bytes_max as u64).memory_guard_size(64 << 10);
    }
    config
}

fn pooled_config(memory_bytes_max: usize) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(POOL_SANDBOXES)
        .total_stacks(POOL_STACKS)
        .total_memories(POOL_SANDBOXES)
        .total_tables(POOL_SANDBOXES * 2)
        // They are only counted: a sandbox of Python has 38, and there may be as many of these as of any other.
        .total_core_instances(POOL_SANDBOXES * limits::INSTANCES_MAX as u32)
        .max_core_instances_per_component(limits::INSTANCES_MAX as u32)
        .max_memories_per_component(limits::MEMORIES_MAX as u32)
        .max_tables_per_component(limits::TABLES_MAX as u32)
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .max_memory_size(memory_bytes_max)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10);
    let mut config = base_config(false, memory_bytes_max);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn on_demand_engine(memory_bytes_max: usize) -> Result<Engine> {
    Engine::new(&base_config(true, memory_bytes_max)).map_err(engine_error)
}

/// An engine for the compiling process: same tunables as a running one, no pool.
pub(super) fn compiling_engine(limited: bool, memory_bytes_max: usize) -> Result<Engine> {
    Engine::new(&base_config(limited, memory_bytes_max)).map_err(engine_error)
}

fn engine_error(error: wasmtime::Error) -> Error {
    Error::new(Code::GuestStart, format!("the WebAssembly engine cannot be set up: {error:#}"))
        .hint("raise the address space limit (`ulimit -v`), or use a smaller --memory")
}

/// Pools reserve address space for every slot; under `ulimit -v` that fails late, so look first.
fn address_space_is_limited() -> bool {
    rustix::process::getrlimit(rustix::process::Resource::As).current.is_some()
}

/// Advances the epoch until it is dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
    wake: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Errors: GUEST_10010 where the system gives no thread: without one no call would ever run into its deadline.
    fn start(thread: Builder, engine: Engine) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let (wake, woken) = mpsc::channel();
        let thread = thread
            .name("atlas-epoch".into())
            .spawn(move || {
                while !seen.load(Ordering::Relaxed) {
                    // A timed-out wait is a tick; a closed channel is the end.
                    match woken.recv_timeout(limits::EPOCH_TICK) {
                        Err(mpsc::RecvTimeoutError::Timeout) => engine.increment_epoch(),
                        _ => break,
                    }
                }
            })
            .map_err(|error| {
                Error::new(Code::GuestStart, format!("the thread that keeps deadlines cannot be started: {error}"))
                    .hint("raise the limit of threads (`ulimit -u`), or run fewer at the same time")
            })?;
        Ok(Self { stop, wake, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wake.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_thread_that_keeps_deadlines_there_is_no_engine() {
        let engine = compiling_engine(false, limits::MEMORY_BYTES_MAX).unwrap();
        // No machine has room for such a stack.
        let started = Ticker::start(Builder::new().stack_size(1 << 60), engine);
        let error = started.err().expect("no thread");
        assert_eq!(error.code(), Code::GuestStart);
        assert!(error.to_string().contains("deadlines"), "{error}");
    }
}
