//! The event stream as JSON lines.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::Monitor;
use crate::error::{Code, Error, Result};
use crate::event::Envelope;

/// Writes each event as one line, with one `write` each, so that a reader who follows never sees half a line for long.
///
/// A write that fails ends the writing, with a warning; the run goes on. A reader that closed its pipe is no failure.
pub struct EventsFile {
    name: String,
    out: Option<Box<dyn Write + Send>>,
    /// What is to be emptied before the first event. A run that is refused, or complete already, has none, and leaves the
    /// stream of another one as it is.
    old: Option<File>,
    line: Vec<u8>,
}

impl EventsFile {
    /// Makes the file, or empties it when the first event comes.
    ///
    /// # Errors
    /// `CONFIG_3001` if it cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::options().append(true).create(true).open(path)?;
            // Pipes and devices have nothing to be emptied of.
            let old = if file.metadata()?.is_file() { Some(file.try_clone()?) } else { None };
            Ok((file, old))
        };
        let (file, old) = open().map_err(|e| unmade(path, e))?;
        Ok(Self { old, ..Self::to(path.display().to_string(), Box::new(file)) })
    }

    /// Goes on at the end of the file.
    ///
    /// # Errors
    /// `CONFIG_3001` if it cannot be opened.
    pub fn append(path: &Path) -> Result<Self> {
        let file = File::options().append(true).create(true).open(path).map_err(|e| unmade(path, e))?;
        Ok(Self::to(path.display().to_string(), Box::new(file)))
    }

    /// Writes to an open place, such as stdout, that warnings call by this name.
    pub fn to(name: String, out: Box<dyn Write + Send>) -> Self {
        Self { name, out: Some(out), old: None, line: Vec::new() }
    }

    fn write(&mut self, event: &Envelope) -> std::io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        if let Some(old) = self.old.take() {
            old.set_len(0)?;
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)?;
        self.line.push(b'\n');
        out.write_all(&self.line)
    }

    fn stop(&mut self, cause: &std::io::Error) {
        self.out = None;
        if cause.kind() != ErrorKind::BrokenPipe {
            tracing::warn!(file = self.name, %cause, "Events cannot be written any more; the run goes on.");
        }
    }
}

fn unmade(path: &Path, error: std::io::Error) -> Error {
    Error::new(Code::ConfigInvalid, format!("the file for events, {}, cannot be made", path.display()))
        .hint("choose a path in a folder that is there and can be written, or `--events -` for stdout")
        .because(error)
}

impl Monitor for EventsFile {
    fn name(&self) -> &'static str {
        "events"
    }

    fn observe(&mut self, event: &Envelope) {
        if let Err(cause) = self.write(event) {
            self.stop(&cause);
        }
    }

    fn finish(&mut self) {
        if let Some(out) = &mut self.out
            && let Err(cause) = out.flush()
        {
            self.stop(&cause);
        }
    }
}
