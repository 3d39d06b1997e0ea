//! The tools of other languages: found, asked for their version, and run within bounds of time and output.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::limits;

/// A tool that a language needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tool {
    /// Name of its program.
    pub name: &'static str,
    /// Arguments that make it print its version; none if it has none to tell.
    pub version: &'static [&'static str],
    /// The command that installs it.
    pub install: &'static str,
}

/// A tool that was found.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Name of the tool.
    pub name: String,
    /// Its version, as it said; empty if it has none to tell.
    pub version: String,
}

impl Program {
    /// A command that starts it, still without arguments.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }

    /// Name and version, as `Produced` wants them.
    pub fn made(&self) -> (String, String) {
        (self.name.clone(), self.version.clone())
    }
}

/// Finds and runs tools, and says what takes long.
pub struct Tools<'a> {
    say: &'a dyn Fn(&str),
    cache: Option<PathBuf>,
}

impl<'a> Tools<'a> {
    /// `say` hears what is done that takes long; `cache` is a folder where things may be kept that projects share.
    pub fn new(say: &'a dyn Fn(&str), cache: Option<PathBuf>) -> Self {
        Self { say, cache: cache.map(from_anywhere) }
    }

    /// Tells the user of something that takes long, such as an installation.
    pub(super) fn say(&self, text: &str) {
        (self.say)(text);
    }

    /// A folder in the host's cache for things that projects share; none where no cache can be had.
    pub(super) fn shared(&self, name: &str) -> Option<PathBuf> {
        Some(self.cache.as_ref()?.join(name))
    }

    /// Finds a tool on the `PATH`.
    ///
    /// Errors: AUTHOR_11002 with the command that installs it; AUTHOR_11003 if it does not tell its version.
    pub(super) fn find(&self, tool: &Tool) -> Result<Program> {
        self.asked(tool, on_path(tool)?, Path::new("."))
    }

    /// Finds a tool on the `PATH` that is another one in every folder: which it is in this one.
    ///
    /// Errors: as [`Tools::find`].
    pub(super) fn find_for(&self, folder: &Path, tool: &Tool) -> Result<Program> {
        self.asked(tool, on_path(tool)?, folder)
    }

    /// Finds a tool in a folder of the project, where its language installs it.
    ///
    /// Errors: as [`Tools::find`].
    pub(super) fn find_in(&self, folder: &Path, tool: &Tool) -> Result<Program> {
        let place = folder.join(tool.name);
        match is_program(&place) {
            true => self.asked(tool, place, Path::new(".")),
            false => Err(missing(tool, &format!("is not in {}", folder.display()))),
        }
    }

    fn asked(&self, tool: &Tool, path: PathBuf, folder: &Path) -> Result<Program> {
        let version = match tool.version {
            [] => String::new(),
            arguments => version_in(&self.run(Command::new(&path).args(arguments).current_dir(folder))?).to_owned(),
        };
        Ok(Program { path, name: tool.name.to_owned(), version })
    }

    /// Runs a command to its end and gives what it wrote to standard output. It reads nothing.
    ///
    /// Errors: AUTHOR_11003 if it cannot be started, fails, or takes longer than [`limits::TOOL_TIME_MAX`], with all that it
    /// said as it said it.
    pub(super) fn run(&self, command: &mut Command) -> Result<String> {
        run(command, limits::TOOL_TIME_MAX)
    }
}

/// The same place for the host and for tools, which work in the folder of a project.
pub(super) fn from_anywhere(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn on_path(tool: &Tool) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|folder| from_anywhere(folder.join(tool.name)));
    places.into_iter().find(|place| is_program(place)).ok_or_else(|| missing(tool, "is not on the PATH"))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn missing(tool: &Tool, why: &str) -> Error {
    Error::new(Code::ToolMissing, format!("{} {why}", tool.name)).hint(format!("install it: {}", tool.install))
}

/// The first word of a text that looks like a version: `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn version_in(text: &str) -> &str {
    let words = text.split_whitespace().map(|word| word.trim_start_matches(['v', '(']).trim_end_matches([',', ')']));
    let starts = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    let go = |word: &str| word.strip_prefix("go").is_some_and(|rest| starts(&rest));
    words
        .map(|word| if go(word) { &word["go".len()..] } else { word })
        .find(starts)
        .unwrap_or_else(|| text.lines().next().unwrap_or_default().trim())
}

fn run(command: &mut Command, limit: Duration) -> Result<String> {
    let shown = shown(command);
    let failed = |why: String| Error::new(Code::ToolFailed, format!("`{shown}` {why}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let out = kept(child.stdout.take());
    let talk = kept(child.stderr.take());
    let ended = wait(&mut child, limit);
    let (out, talk) = (text(&out), text(&talk));
    match ended {
        Ok(Some(status)) if status.success() => Ok(out),
        Ok(Some(status)) => Err(failed(format!("failed ({status}):\n{}", said(&talk, &out)))),
        Ok(None) => Err(failed(format!("took longer than {} s:\n{}", limit.as_secs(), said(&talk, &out)))),
        Err(error) => Err(failed(format!("cannot be waited for: {error}"))),
    }
}

/// The command as a user would type it, the program by its name alone.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Compilers complain on stderr, some on stdout.
fn said(talk: &str, out: &str) -> String {
    match [talk.trim_end(), out.trim_end()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>() {
        texts if texts.is_empty() => "it said nothing".to_owned(),
        texts => texts.join("\n"),
    }
}

/// Reads a pipe to its end on a thread of its own, and keeps the first and the last part of it.
fn kept(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let (mut head, mut tail) = (Vec::new(), VecDeque::<u8>::new());
        let mut left_out = 0u64;
        let mut buffer = [0; 8 << 10];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let room = (limits::TOOL_OUTPUT_BYTES_MAX / 2).saturating_sub(head.len()).min(length);
            head.extend_from_slice(&buffer[..room]);
            tail.extend(&buffer[room..length]);
            let over = tail.len().saturating_sub(limits::TOOL_OUTPUT_BYTES_MAX / 2);
            tail.drain(..over);
            left_out += over as u64;
        }
        if left_out > 0 {
            head.extend_from_slice(format!("\n… {left_out} bytes left out …\n").as_bytes());
        }
        head.extend(tail);
        // Nobody waits any more where the tool took too long.
        let _ = sender.send(head);
    });
    receiver
}

/// A process that a killed tool leaves behind may hold its pipe open: then nothing of it is shown.
fn text(kept: &Receiver<Vec<u8>>) -> String {
    String::from_utf8_lossy(&kept.recv_timeout(limits::TOOL_PIPE_GRACE).unwrap_or_default()).into_owned()
}

/// How it ended; none if it was killed for taking too long.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const SECOND: Duration = Duration::from_secs(60);

    #[test]
    fn a_tool_that_is_not_there_is_named_with_what_installs_it() {
        let tool = Tool { name: "no-such-tool-here", version: &["--version"], install: "apt-get install it" };
        let tools = Tools::new(&|_| {}, None);
        for error in [tools.find(&tool).unwrap_err(), tools.find_in(Path::new("/nowhere"), &tool).unwrap_err()] {
            assert_eq!(error.code(), Code::ToolMissing);
            assert!(error.to_string().contains("no-such-tool-here"), "{error}");
            assert!(error.hint_text().contains("apt-get install it"), "{}", error.hint_text());
        }
    }

    #[test]
    fn a_shared_folder_is_the_same_one_in_every_folder() {
        let tools = Tools::new(&|_| {}, Some(PathBuf::from("cache")));
        assert_eq!(tools.shared("rust"), Some(std::env::current_dir().unwrap().join("cache/rust")));
    }

    #[test]
    fn what_a_tool_prints_is_what_it_made() {
        assert_eq!(run(&mut shell("echo made; echo talk >&2"), SECOND).unwrap(), "made\n");
    }

    #[test]
    fn a_tool_that_fails_is_shown_as_it_spoke() {
        let error = run(&mut shell("echo 'a.c:3:1: no' >&2; echo also; exit 7"), SECOND).unwrap_err();
        assert_eq!(error.code(), Code::ToolFailed);
        assert!(error.to_string().contains("7):\na.c:3:1: no\nalso"), "{error}");
    }

    #[test]
    fn a_tool_that_does_not_end_is_ended() {
        let error = run(&mut shell("exec sleep 600"), Duration::ZERO).unwrap_err();
        assert_eq!(error.code(), Code::ToolFailed);
        assert!(error.to_string().contains("took longer than 0 s"), "{error}");
    }

    #[test]
    fn of_long_output_the_beginning_and_the_end_are_kept() {
        let out = run(&mut shell("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo last"), SECOND).unwrap();
        assert!(out.len() < limits::TOOL_OUTPUT_BYTES_MAX + 100, "{}", out.len());
        assert!(out.starts_with("first\n") && out.ends_with("last\n") && out.contains("bytes left out"));
    }

    #[test]
    fn versions_are_found_in_what_tools_say() {
        for (said, version) in [
            ("rustc 1.95.0 (59807616e 2026-04-14)", "1.95.0"),
            ("v20.19.2\n", "20.19.2"),
            ("go version go1.27.3 linux/amd64", "1.27.3"),
            ("Python 3.13.1", "3.13.1"),
            ("Debian clang version 19.1.4 (1~deb12u1)\nTarget: x", "19.1.4"),
            ("nightly", "nightly"),
        ] {
            assert_eq!(version_in(said), version);
        }
    }
}
