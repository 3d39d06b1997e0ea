//! The metrics by HTTP, for the machine itself alone.
//!
//! So little of HTTP/1.1 is spoken here that no library is needed: one request per connection, `GET /metrics`, and everything
//! about it bounded. The run never waits for a client: texts are made under the fold's lock, and sent without it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Metrics;
use crate::error::{Code, Error, Result};
use crate::event::Envelope;
use crate::limits::{METRICS_CONNECTIONS_MAX, METRICS_REQUEST_BYTES_MAX, METRICS_REQUEST_TIME};
use crate::monitor::{Monitor, Watched};

/// Where the metrics are.
const PATH: &str = "/metrics";
/// Pause after a connection that could not be taken, so that a lack of file descriptors makes no busy loop.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for the thread's own wake-up call.
const WAKE_TIME: Duration = Duration::from_secs(1);

/// Reads an address that only this machine can reach. Errors: what is wrong, in words.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:9464 or [::1]:0".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(format!(
            "{} can be reached from other machines; only loopback addresses are served, such as 127.0.0.1:{}",
            address.ip(),
            address.port()
        )),
    }
}

/// Serves the metrics of a run until it ends.
pub struct MetricsServer {
    metrics: Watched<Metrics>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens at this address; port 0 takes a free one.
    ///
    /// # Errors
    /// `CONFIG_3001` if the address is no loopback address or cannot be had.
    pub fn listen(address: SocketAddr) -> Result<Self> {
        let address = loopback(&address.to_string()).map_err(|why| Error::new(Code::ConfigInvalid, why))?;
        let failed = |e: io::Error| {
            Error::new(Code::ConfigInvalid, format!("metrics cannot be served at {address}"))
                .hint("choose another port; port 0 takes a free one")
                .because(e)
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (metrics, stop) = (Watched::from(Metrics::here()), Arc::new(AtomicBool::new(false)));
        let (watched, stopped) = (metrics.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("atlas-metrics".to_owned())
            .spawn(move || serve(&listener, &watched, &stopped))
            .map_err(failed)?;
        Ok(Self { metrics, address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.store(true, Ordering::SeqCst);
        // The thread waits for a connection: give it one. Where that fails it is left to the end of the process.
        if TcpStream::connect_timeout(&self.address, WAKE_TIME).is_ok() {
            let _ = thread.join();
        }
    }
}

impl Monitor for MetricsServer {
    fn name(&self) -> &'static str {
        "metrics-server"
    }

    fn observe(&mut self, event: &Envelope) {
        self.metrics.observe(event);
    }

    fn finish(&mut self) {
        self.end();
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(listener: &TcpListener, metrics: &Watched<Metrics>, stop: &AtomicBool) {
    let busy = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else {
            std::thread::sleep(PAUSE);
            continue;
        };
        // One connection too many is closed without an answer: to write one could take time.
        if busy.fetch_add(1, Ordering::SeqCst) >= METRICS_CONNECTIONS_MAX {
            busy.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (metrics, served) = (metrics.clone(), Arc::clone(&busy));
        let spawned = std::thread::Builder::new().name("atlas-scrape".to_owned()).spawn(move || {
            // A client that went away has nobody to be told.
            let _ = answer(stream, &metrics);
            served.fetch_sub(1, Ordering::SeqCst);
        });
        if spawned.is_err() {
            busy.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Answers one request. All of it must be done within [`METRICS_REQUEST_TIME`].
fn answer(mut stream: TcpStream, metrics: &Watched<Metrics>) -> io::Result<()> {
    let until = Instant::now() + METRICS_REQUEST_TIME;
    let (status, body) = match head(&mut stream, until)? {
        Some(head) => respond(&head, metrics),
        None => ("431 Request Header Fields Too Large", "The request is too long.\n".to_owned()),
    };
    let kind = if status.starts_with("200") { "text/plain; version=0.0.4; charset=utf-8" } else { "text/plain" };
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        let written = stream.write(rest)?;
        rest = &rest[written..];
    }
    stream.shutdown(Shutdown::Write)
}

/// The request up to its empty line; none if it is too long.
fn head(stream: &mut TcpStream, until: Instant) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut part = [0; 1024];
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        if bytes.len() > METRICS_REQUEST_BYTES_MAX {
            return Ok(None);
        }
        // A time for all reads together, so that a client that sends a byte now and then gains nothing.
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend(&part[..read]),
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn respond(head: &str, metrics: &Watched<Metrics>) -> (&'static str, String) {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let path = target.map(|target| target.split('?').next().unwrap_or_default());
    match (method, path, version) {
        (Some("GET"), Some(PATH), Some("HTTP/1.1" | "HTTP/1.0")) => ("200 OK", metrics.read(Metrics::text)),
        (Some(_), Some(PATH), Some("HTTP/1.1" | "HTTP/1.0")) => {
            ("405 Method Not Allowed", "Metrics can be read only.\n".to_owned())
        }
        (Some(_), Some(_), Some("HTTP/1.1" | "HTTP/1.0")) => {
            ("404 Not Found", format!("There is nothing but {PATH}.\n"))
        }
        _ => ("400 Bad Request", "This is no request of HTTP/1.1.\n".to_owned()),
    }
}

/// Time that is left. Errors: `TimedOut` if none is.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
