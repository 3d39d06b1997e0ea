//! The one module that prints. stdout is data, stderr is talk.
//!
//! A closed stdout is no error: whoever reads it has seen enough.

use std::io::{self, IsTerminal, Write};

use crate::error::{Code, Error, Result};
use crate::event::ErrorReport;
use crate::model::printable;

/// Where a command prints to.
pub struct Printer {
    out: io::BufWriter<io::Stdout>,
    closed: bool,
}

impl Default for Printer {
    fn default() -> Self {
        Self { out: io::BufWriter::with_capacity(64 << 10, io::stdout()), closed: false }
    }
}

impl Printer {
    /// One line of data.
    ///
    /// Errors: STORAGE_2002 if stdout cannot be written for another reason than being closed.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    /// A value as one line of JSON.
    ///
    /// Errors: as [`Printer::line`].
    pub fn json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::new(Code::Internal, format!("a result cannot be written as JSON: {error}")))?;
        self.line(&text)
    }

    /// A value as indented JSON.
    ///
    /// Errors: as [`Printer::line`].
    pub fn json_pretty(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Error::new(Code::Internal, format!("a result cannot be written as JSON: {error}")))?;
        self.line(&text)
    }

    /// Bytes of data as they are.
    ///
    /// Errors: as [`Printer::line`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.out.write_all(bytes);
        self.judge(result)
    }

    /// True if nobody reads any more; long listings may stop.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Hands everything over.
    ///
    /// Errors: as [`Printer::line`].
    pub fn flush(&mut self) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.out.flush();
        self.judge(result)
    }

    fn judge(&mut self, result: io::Result<()>) -> Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(Error::new(Code::StorageWrite, format!("stdout cannot be written: {error}"))),
            Ok(()) => Ok(()),
        }
    }
}

/// Talk on stderr. What files and plugins say in it cannot steer the terminal.
pub fn talk(text: &str) {
    // Nothing is left to tell it to if stderr is gone.
    let _ = writeln!(io::stderr(), "{}", safe(text));
}

/// An error on stderr: code, message, causes, hint.
pub fn error(error: &Error) {
    let mut text = format!("error[{}]: {}", error.code(), safe(&error.to_string()));
    let mut last = String::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let told = safe(&cause.to_string());
        // Many errors repeat their cause in their own text.
        if !text.contains(&told) && (last.is_empty() || !told.contains(&last)) {
            text.push_str(&format!("\n  caused by: {told}"));
        }
        last = told;
        next = cause.source();
    }
    text.push_str(&format!("\nhint: {}", safe(error.hint_text())));
    talk(&text);
}

/// Why a run stopped, in the form of an error.
pub fn stop(stop: &ErrorReport) {
    talk(&format!("error[{}]: {}\nhint: {}", stop.code, safe(&stop.message), safe(&stop.hint)));
}

/// Each line made safe for a terminal.
fn safe(text: &str) -> String {
    text.lines().map(|line| printable(line).into_owned()).collect::<Vec<_>>().join("\n")
}

/// Columns of the terminal behind stdout; none if it is no terminal.
pub fn width() -> Option<u16> {
    columns(io::stdout())
}

/// Columns of the terminal behind stderr; none if it is no terminal.
pub fn stderr_width() -> Option<u16> {
    columns(io::stderr())
}

fn columns(stream: impl IsTerminal + std::os::fd::AsFd) -> Option<u16> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_col > 0);
    Some(size.map_or(80, |size| size.ws_col))
}

/// A table whose columns are as wide as their content, cut to the terminal where there is one.
pub fn table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    use comfy_table::{ContentArrangement, Table, presets};
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(headers.iter().map(|header| printable(&header.to_uppercase()).into_owned()));
    match width() {
        Some(columns) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for row in rows {
        table.add_row(row.into_iter().map(|cell| printable(&cell).into_owned()));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talk_and_tables_cannot_steer_the_terminal() {
        assert_eq!(safe("\u{1b}[2Ja\nb\u{9b}2J\r"), "\\u{1b}[2Ja\nb\\u{9b}2J\\r");
        let table = table(&["a\u{1b}"], vec![vec!["b\u{7}".to_owned()]]);
        assert!(table.contains("A\\u{1b}") && table.contains("b\\u{7}"), "{table:?}");
    }
}
