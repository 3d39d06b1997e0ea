//! Bytes to compiled component, within bounds of time and memory.
//!
//! Compiling is outside wasmtime's promise of safety against hostile input, so the command line does it in a process of
//! its own that can be killed. An embedding program, whose executable is not ours, compiles in its own process.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmtime::component::Component;

use super::cache::{Cache, load_artefact};
use super::engine::{PluginEngine, compiling_engine};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::Digest;

/// Where plugins are compiled.
#[derive(Debug, Clone, Default)]
pub enum Compiler {
    /// In this process, without bounds on time and memory.
    #[default]
    InProcess,
    /// By this executable, called with [`COMPILE_VERB`] and the arguments of [`compile_from_stdin`].
    Child(PathBuf),
}

/// The hidden subcommand by which the executable compiles for itself.
pub const COMPILE_VERB: &str = "compile-component";

/// What a compiling process is told where it works beside a run: it gives way to it.
const BESIDE: &str = "beside";
/// How far it gives way.
const BESIDE_NICE: i32 = 10;

/// The component, from the cache or compiled now. Says whether the cache had it. With `stop` it is compiled beside a run that
/// goes on, and given up when that is set.
pub(super) fn component(
    engine: &PluginEngine,
    compiler: &Compiler,
    cache: &Cache,
    bytes: &[u8],
    digest: &Digest,
    file: &str,
    stop: Option<&AtomicBool>,
) -> Result<(Component, bool)> {
    if let Some(component) = cache.load(digest, engine.engine()) {
        return Ok((component, true));
    }
    let begin = Instant::now();
    let artefact = match compiler {
        Compiler::InProcess => {
            engine.engine().precompile_component(bytes).map_err(|error| refused(file, &format!("{error:#}")))?
        }
        Compiler::Child(executable) => in_child(engine, executable, bytes, file, stop)?,
    };
    let component = load_artefact(engine.engine(), &artefact).map_err(|error| {
        let why = crate::model::printable(&format!("{error:#}")).into_owned();
        Error::new(Code::PluginCompile, format!("{file} is compiled, but does not fit into its sandbox: {why}"))
            .hint("raise --memory, or build the plugin with less memory at its start")
    })?;
    tracing::info!(plugin = file, bytes = bytes.len(), "Compiled in {} ms.", begin.elapsed().as_millis());
    cache.keep(digest, engine.engine(), &artefact);
    Ok((component, false))
}

fn refused(file: &str, why: &str) -> Error {
    let why = crate::model::printable(&why[..why.floor_char_boundary(limits::GUEST_TEXT_BYTES_MAX)]).into_owned();
    Error::new(Code::PluginCompile, format!("{file} does not compile: {why}"))
        .hint("check it with `wasm-tools validate`; it must be a complete component")
}

fn in_child(
    engine: &PluginEngine,
    executable: &PathBuf,
    bytes: &[u8],
    file: &str,
    stop: Option<&AtomicBool>,
) -> Result<Vec<u8>> {
    let start = |why: std::io::Error| refused(file, &format!("the compiling process cannot be started: {why}"));
    let mut child = Command::new(executable)
        .arg(COMPILE_VERB)
        .arg(if engine.pooled() { "full" } else { "limited" })
        .arg(engine.memory_bytes_max().to_string())
        .args(stop.map(|_| BESIDE))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_clear()
        .spawn()
        .map_err(start)?;
    let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(refused(file, "the compiling process has no pipes"));
    };
    let (artefact, talk) = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that ended early has closed the pipe; its exit status tells the reason.
            let _ = stdin.write_all(bytes);
        });
        let out = scope.spawn(move || {
            let mut artefact = Vec::new();
            stdout.read_to_end(&mut artefact).map(|_| artefact)
        });
        let talk = scope.spawn(move || {
            let mut text = String::new();
            let _ = stderr.by_ref().take(64 << 10).read_to_string(&mut text);
            text
        });
        let late = !wait_until(&mut child, limits::COMPILE_TIME_MAX, stop);
        if late {
            let _ = child.kill();
        }
        let talk = talk.join().unwrap_or_default();
        let artefact = out.join().ok().and_then(|read| read.ok()).unwrap_or_default();
        (artefact, if late { format!("took longer than {} s", limits::COMPILE_TIME_MAX.as_secs()) } else { talk })
    });
    match child.wait() {
        Ok(status) if status.success() => Ok(artefact),
        Ok(status) if talk.trim().is_empty() => Err(refused(
            file,
            &format!(
                "the compiling process ended with {status}; it may use {} MiB",
                limits::COMPILE_MEMORY_BYTES_MAX >> 20
            ),
        )),
        Ok(_) => Err(refused(file, talk.trim())),
        Err(error) => Err(refused(file, &error.to_string())),
    }
}

/// True if the child ended in time, and before `stop` was set.
fn wait_until(child: &mut Child, limit: Duration, stop: Option<&AtomicBool>) -> bool {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(1);
    while begin.elapsed() < limit && !stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
        match child.try_wait() {
            Ok(Some(_)) | Err(_) => return true,
            Ok(None) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    false
}

/// The compiling process: bytes from stdin, artefact to stdout. `arguments` are those that [`Compiler::Child`] passes.
///
/// Errors: a message for stderr; the process then ends with 4.
pub fn compile_from_stdin(arguments: &[String]) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let [layout, memory, beside @ ..] = arguments else { return Err("wrong arguments".into()) };
    if beside.iter().any(|word| word == BESIDE) {
        // Where the system does not allow it, the run is slowed down a little more.
        let _ = rustix::process::nice(BESIDE_NICE);
    }
    let memory_bytes_max: usize = memory.parse().map_err(|_| "wrong arguments".to_owned())?;
    let bound = Some(limits::COMPILE_MEMORY_BYTES_MAX);
    setrlimit(Resource::As, Rlimit { current: bound, maximum: bound }).map_err(|error| error.to_string())?;
    let engine = compiling_engine(layout == "limited", memory_bytes_max).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    std::io::stdin().take(limits::PLUGIN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let artefact = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().write_all(&artefact).map_err(|error| error.to_string())
}
