//! Bytes to compiled component, within bounds of time and memory.
//!
//! Compiling is outside wasmtime's promise of safety against hostile input, so the command line does it in a process of
//! its own that can be killed. An embedding program, whose executable is not ours, compiles in its own process.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
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
/// Arenas of its allocator. Each takes address space beforehand, which is bounded.
const ARENAS: &str = "2";

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

/// The process that compiles was hindered: what became of the plugin nobody knows.
fn given_up(file: &str, why: &str, hint: &str) -> Error {
    Error::new(Code::Internal, format!("{file} is not compiled: {why}")).hint(hint)
}

fn in_child(
    engine: &PluginEngine,
    executable: &Path,
    bytes: &[u8],
    file: &str,
    stop: Option<&AtomicBool>,
) -> Result<Vec<u8>> {
    let mut command = Command::new(executable);
    command
        .arg(COMPILE_VERB)
        .arg(if engine.pooled() { "full" } else { "limited" })
        .arg(engine.memory_bytes_max().to_string())
        .args(stop.map(|_| BESIDE));
    answer_of(command, bytes, file, stop)
}

/// What the process makes of these bytes.
fn answer_of(mut command: Command, bytes: &[u8], file: &str, stop: Option<&AtomicBool>) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(limits::COMPILE_THREADS_MAX);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        .env("MALLOC_ARENA_MAX", ARENAS)
        // A terminal sends its signals to the host, which decides what becomes of this one.
        .process_group(0)
        .spawn()
        .map_err(|why| {
            given_up(
                file,
                &format!("the compiling process, {program}, cannot be started: {why}"),
                "see that it is there, and that the limit of processes (`ulimit -u`) leaves room",
            )
        })?;
    let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(refused(file, "the compiling process has no pipes"));
    };
    let (artefact, talk, waited) = std::thread::scope(|scope| {
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
        let waited = wait_until(&mut child, limits::COMPILE_TIME_MAX, stop);
        if waited.is_err() {
            let _ = child.kill();
        }
        let talk = talk.join().unwrap_or_default();
        let artefact = out.join().ok().and_then(|read| read.ok()).unwrap_or_default();
        (artefact, talk, waited)
    });
    let status = child.wait().map_err(|error| refused(file, &error.to_string()))?;
    match waited {
        Err(CutShort::Late) => {
            Err(refused(file, &format!("took longer than {} s", limits::COMPILE_TIME_MAX.as_secs())))
        }
        Err(CutShort::Stopped) => Err(given_up(file, "nobody waits for it any longer", "try it again")),
        Ok(()) if status.success() => Ok(artefact),
        Ok(()) if from_outside(status) => Err(given_up(
            file,
            &format!("the compiling process was ended by {status}"),
            "try it again; where the machine ran out of memory, leave it more",
        )),
        Ok(()) if talk.trim().is_empty() => Err(refused(
            file,
            &format!(
                "the compiling process ended with {status}; it may use {} MiB",
                limits::COMPILE_MEMORY_BYTES_MAX >> 20
            ),
        )),
        Ok(()) => Err(refused(file, talk.trim())),
    }
}

/// True where somebody else ended the process: what it runs into by itself ends it by other signals.
fn from_outside(status: ExitStatus) -> bool {
    let sent = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::KILL, Signal::TERM];
    sent.iter().any(|signal| status.signal() == Some(signal.as_raw()))
}

/// Why a child is not waited for until it ends.
enum CutShort {
    Late,
    Stopped,
}

/// Errors: the time was over before the child had ended, or `stop` was set.
fn wait_until(child: &mut Child, limit: Duration, stop: Option<&AtomicBool>) -> Result<(), CutShort> {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(_)) | Err(_) => return Ok(()),
            Ok(None) if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) => return Err(CutShort::Stopped),
            Ok(None) if begin.elapsed() >= limit => return Err(CutShort::Late),
            Ok(None) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The compiling process: bytes from stdin, artefact to stdout. `arguments` are those that [`Compiler::Child`] passes.
///
/// Errors: a message for stderr; the process then ends with 4.
pub fn compile_from_stdin(arguments: &[String]) -> Result<(), String> {
    let [layout, memory, beside @ ..] = arguments else { return Err("wrong arguments".into()) };
    // Once the host is gone nobody waits for the answer, and nobody looks at the time.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    if beside.iter().any(|word| word == BESIDE) {
        // Where the system does not allow it, the run is slowed down a little more.
        let _ = rustix::process::nice(BESIDE_NICE);
    }
    let memory_bytes_max: usize = memory.parse().map_err(|_| "wrong arguments".to_owned())?;
    bound(Resource::As, limits::COMPILE_MEMORY_BYTES_MAX)?;
    // As much as all threads together can have in the time that the host waits.
    bound(Resource::Cpu, limits::COMPILE_TIME_MAX.as_secs() * limits::COMPILE_THREADS_MAX as u64)?;
    let engine = compiling_engine(layout == "limited", memory_bytes_max).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    std::io::stdin().take(limits::PLUGIN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let artefact = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().write_all(&artefact).map_err(|error| error.to_string())
}

/// Gives this process no more than `most`; where it has less, that stays.
fn bound(resource: Resource, most: u64) -> Result<(), String> {
    let bound = Some(getrlimit(resource).maximum.map_or(most, |allowed| allowed.min(most)));
    setrlimit(resource, Rlimit { current: bound, maximum: bound }).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a process that does this.
    fn answer(script: &str, stop: Option<&AtomicBool>) -> Result<Vec<u8>> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        answer_of(command, b"bytes", "x.wasm", stop)
    }

    #[test]
    fn the_process_has_few_threads_and_arenas_and_is_in_no_group_of_the_terminal() {
        let script = "read -r pid name state parent group rest < /proc/$$/stat
            echo \"$RAYON_NUM_THREADS $MALLOC_ARENA_MAX $((pid - group))\"";
        let said = String::from_utf8(answer(script, None).unwrap()).unwrap();
        let numbers: Vec<usize> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [threads, arenas, distance] = numbers[..] else { panic!("{said}") };
        assert!((1..=limits::COMPILE_THREADS_MAX).contains(&threads), "{threads} threads");
        assert_eq!((arenas, distance), (2, 0));
    }

    #[test]
    fn what_hinders_the_process_says_nothing_of_the_plugin() {
        for signal in ["TERM", "KILL"] {
            let error = answer(&format!("kill -{signal} $$"), None).unwrap_err();
            assert_eq!(error.code(), Code::Internal, "{error}");
            assert!(error.to_string().starts_with("x.wasm is not compiled: ") && error.to_string().contains(signal));
        }
        let stopped = answer("exec sleep 60", Some(&AtomicBool::new(true))).unwrap_err();
        assert_eq!(stopped.code(), Code::Internal, "{stopped}");
        let nobody = answer_of(Command::new("/nowhere/atlas-host"), b"", "x.wasm", None).unwrap_err();
        assert_eq!(nobody.code(), Code::Internal, "{nobody}");
        assert!(nobody.to_string().contains("/nowhere/atlas-host, cannot be started"), "{nobody}");
        assert!(nobody.hint_text().contains("ulimit -u"), "{}", nobody.hint_text());
    }

    #[test]
    fn what_the_process_runs_into_is_the_plugins_own() {
        for (script, why) in [
            ("ulimit -c 0; kill -ABRT $$", "it may use 2048 MiB"),
            ("echo a type is missing >&2; exit 4", "x.wasm does not compile: a type is missing"),
        ] {
            let error = answer(script, None).unwrap_err();
            assert_eq!(error.code(), Code::PluginCompile, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
