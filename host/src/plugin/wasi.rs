//! WASI 0.2, linked so that guests which import it can start, with nothing behind it but what was granted.
//!
//! Clocks stand still at the run's clock and randomness is seeded, so that a repeated call repeats its answer.
//! Waiting on a clock really waits, and ends with the call's deadline.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::grants::Grants;
use super::hosts::Hosts;
use super::sandbox::{GuestState, LogSink};
use crate::limits;

/// Adds all of WASI 0.2 to the linker.
pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

/// The seed of the guest's randomness, set anew for every call.
#[derive(Clone, Default)]
pub(super) struct Seed(Arc<AtomicU64>);

impl Seed {
    pub fn set(&self, seed: u64) {
        self.0.store(seed, Ordering::Relaxed);
    }
}

/// The clock that a guest reads, set anew for every call. It stands still within a run.
#[derive(Clone, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub fn set(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }
}

/// One step of splitmix64 (Steele, Lea, Flood, 2014).
pub(super) fn splitmix64(state: u64) -> (u64, u64) {
    let next = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = next;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (next, z ^ (z >> 31))
}

impl rand_core::TryRng for Seed {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|n| (n >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let (next, value) = splitmix64(self.0.load(Ordering::Relaxed));
        self.0.store(next, Ordering::Relaxed);
        Ok(value)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for part in bytes.chunks_mut(8) {
            let value = self.try_next_u64()?.to_le_bytes();
            part.copy_from_slice(&value[..part.len()]);
        }
        Ok(())
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1_000_000
    }
    fn now(&self) -> u64 {
        0
    }
}

/// Standard output or error of a guest: lines for the log, dropped and counted beyond their bound.
struct GuestOutput {
    sink: Arc<LogSink>,
    level: tracing::Level,
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(GuestStream { sink: Arc::clone(&self.sink), level: self.level })
    }
}

struct GuestStream {
    sink: Arc<LogSink>,
    level: tracing::Level,
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.is_empty()) {
            self.sink.line(self.level, line);
        }
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A context with these grants and nothing else.
///
/// Errors: a granted directory that cannot be opened, a granted host that cannot be found.
pub(super) fn context(
    grants: &Grants,
    hosts: &Hosts,
    clock: &Clock,
    seed: &Seed,
    sink: &Arc<LogSink>,
) -> Result<WasiCtx, String> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(GuestOutput { sink: Arc::clone(sink), level: tracing::Level::INFO })
        .stderr(GuestOutput { sink: Arc::clone(sink), level: tracing::Level::WARN })
        .wall_clock(clock.clone())
        .monotonic_clock(clock.clone())
        .secure_random(seed.clone())
        .insecure_random(seed.clone())
        .insecure_random_seed(1)
        .max_random_size(limits::RANDOM_BYTES_MAX)
        .allow_tcp(!grants.hosts.is_empty())
        .allow_udp(false)
        // An address needs no look-up, and a look-up can tell somebody a secret by the name that it asks for.
        .allow_ip_name_lookup(grants.hosts.iter().any(|host| host.parse::<SocketAddr>().is_err()));
    for (key, value) in &grants.env {
        builder.env(key, value);
    }
    for dir in &grants.dirs {
        let perms = if dir.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        builder
            .preopened_dir(&dir.host, &dir.guest, perms)
            .map_err(|error| format!("granted directory {} cannot be opened: {error}", dir.host.display()))?;
    }
    if !grants.hosts.is_empty() {
        let (allowed, sink) = (hosts.addresses()?, Arc::clone(sink));
        builder.socket_addr_check(move |address, use_| {
            let granted = match use_ {
                // What connecting does by itself: any port of its own.
                SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
                SocketAddrUse::TcpConnect => allowed.contains(&address),
                _ => false,
            };
            if !granted {
                // A guest may ask as often as it likes, so this counts as a line of its own.
                sink.line(tracing::Level::WARN, &format!("asked for {address}, which is not granted"));
            }
            Box::pin(async move { granted })
        });
    }
    Ok(builder.build())
}
