//! What all tests share: folders, the command in a clean environment, guests, items.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A folder of its own for one test, removed at the end.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Path of a file in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::write(&path, content).expect("a file in the folder");
        path
    }

    /// Reads a file in it.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name)).expect("a readable file")
    }

    /// The command, at work in this folder.
    pub fn atlas<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Atlas {
        self.atlas_by(binary(), arguments)
    }

    /// As [`Folder::atlas`], by this program.
    pub fn atlas_by<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Atlas {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path()).env_clear().env("ATLAS_CACHE_DIR", cache());
        Atlas { command, input: Vec::new() }
    }
}

/// The program under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_atlas-host")
}

/// Compiled guests are shared by all tests, so that each is compiled once.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("atlas-cache")
}

/// Runs a script as an author of plugins does: `atlas-host` is on the `PATH` beside the tools of all languages, and what the
/// tools know of their user is there.
pub fn author(folder: &Path, script: &str) -> Ran {
    let program = Path::new(binary()).parent().expect("a program lies in a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(program.to_owned()).chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).stdin(Stdio::null());
    // What cargo set for these tests, and a caller for other builds, is none of the author's.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];
        let of_cargo = text.starts_with("CARGO") && !kept.iter().any(|kept| text.starts_with(kept));
        if of_cargo || text.starts_with("ATLAS_") || text.starts_with("RUSTFLAGS") {
            command.env_remove(&name);
        }
    }
    command.env("PATH", std::env::join_paths(places).expect("a PATH")).env("ATLAS_CACHE_DIR", cache());
    Ran::from(command.output().expect("bash"))
}

/// A command to be run in a clean environment.
pub struct Atlas {
    pub command: Command,
    input: Vec<u8>,
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Atlas {
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Bytes for standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Ran {
        let input = std::mem::take(&mut self.input);
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let feeder = std::thread::spawn(move || {
            // A command that does not read its input closes the pipe.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("the command ends");
        feeder.join().expect("the feeder ends");
        Ran::from(output)
    }

    /// Starts it; standard input stays open until the child is dropped or waited for.
    pub fn start(mut self) -> Child {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts")
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Asserts the exit code; shows everything if it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that stderr has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in stderr:\n{}", self.stderr);
        self
    }

    /// Lines of stdout as JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// A sample guest, built on first use by `guests/build`.
#[track_caller]
pub fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| run_build(&[]));
    if let Err(why) = built {
        panic!("{why}");
    }
    built_guest(name)
}

/// The same plugin in another language, `guests/LANGUAGE/NAME`, built on first use.
#[track_caller]
pub fn guest_of(language: &str, name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Result<(), String>>> = Mutex::new(BTreeMap::new());
    let project = format!("{language}/{name}");
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = built.entry(project.clone()).or_insert_with(|| run_build(&[&project]));
    if let Err(why) = outcome {
        panic!("{why}");
    }
    drop(built);
    built_guest(&format!("{language}-{name}"))
}

/// Runs `guests/build`; gives what it said if it fails.
fn run_build(names: &[&str]) -> Result<(), String> {
    let output = Command::new("bash")
        .arg(root().join("guests/build"))
        .args(names)
        .env("ATLAS_HOST", binary())
        .env("ATLAS_CACHE_DIR", cache())
        .current_dir(root())
        .output()
        .map_err(|error| format!("guests/build cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "guests/build {} failed; run it by hand to see why:\n{}{}",
        names.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[track_caller]
fn built_guest(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = target.join("guests").join(format!("{name}.wasm"));
    assert!(path.is_file(), "guests/build made no {}", path.display());
    path.canonicalize().expect("a path")
}

/// A guest as an argument.
#[track_caller]
pub fn guest_arg(name: &str) -> String {
    guest(name).to_str().expect("a path in UTF-8").to_owned()
}

/// Tickets as NDJSON; `invalid_percent` of them break one rule. Same arguments, same bytes.
pub fn tickets(count: u64, invalid_percent: u32) -> Vec<u8> {
    let options =
        crate::generator::tickets::Options { count, invalid_ppm: u64::from(invalid_percent) * 10_000, seed: 1 };
    let mut out = Vec::new();
    crate::generator::tickets::write(&options, &mut out).expect("writing to memory");
    out
}

/// Folder of further real data, where there is one.
pub fn real_data() -> Option<PathBuf> {
    std::env::var_os("ATLAS_REAL_DATA").map(PathBuf::from)
}
