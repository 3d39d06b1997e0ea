//! Turns a Debian package index into items: stanzas of control fields on standard input (`apt-cache dumpavail`, or a
//! `Packages` file), one JSON object of strings per stanza on standard output.
//!
//! The format is that of the Debian Policy Manual, chapter 5.1. Folded lines keep their line breaks and their indent.
//! Nothing is lost: a field that comes twice goes on as `Field#2`, bytes that are not UTF-8 are read as ISO 8859-1, and
//! a stanza with a line that is no field becomes one JSON string, which a run puts among its dead letters.

use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match convert(io::stdin().lock(), BufWriter::with_capacity(1 << 20, io::stdout().lock())) {
        Ok(counts) => {
            eprintln!("{counts}");
            ExitCode::SUCCESS
        }
        // Whoever reads the items has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "error: the index cannot be converted: {error}\nhint: is standard input readable, and space left?"
            );
            ExitCode::FAILURE
        }
    }
}

/// What was converted.
#[derive(Default)]
struct Counts {
    /// Stanzas, each one item.
    stanzas: u64,
    /// Those that are no stanza of fields.
    malformed: u64,
    /// Fields that their stanza had already.
    repeated: u64,
    /// Lines that are not UTF-8.
    foreign: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stanzas, malformed, repeated, foreign } = self;
        write!(
            f,
            "{stanzas} stanzas, {malformed} of them malformed; {repeated} repeated fields, {foreign} lines not in UTF-8"
        )
    }
}

/// Reads stanzas and writes one line of JSON for each, in the same order. Holds one stanza at a time.
///
/// Errors: those of reading and writing; whole lines only have been written.
fn convert(mut input: impl BufRead, mut output: impl Write) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut stanza = Stanza::default();
    let mut line = Vec::with_capacity(4096);
    loop {
        line.clear();
        let more = input.read_until(b'\n', &mut line)? > 0;
        let text = decoded(&line, &mut counts);
        let text = text.trim_end();
        // A line of spaces separates stanzas as an empty one does.
        if !text.is_empty() {
            stanza.line(text);
        } else if !stanza.is_empty() {
            std::mem::take(&mut stanza).write(&mut output, &mut counts)?;
        }
        if !more {
            output.flush()?;
            return Ok(counts);
        }
    }
}

fn decoded<'a>(line: &'a [u8], counts: &mut Counts) -> std::borrow::Cow<'a, str> {
    match std::str::from_utf8(line) {
        Ok(text) => text.into(),
        Err(_) => {
            counts.foreign += 1;
            line.iter().map(|byte| char::from(*byte)).collect::<String>().into()
        }
    }
}

/// The lines of one stanza.
#[derive(Default)]
struct Stanza {
    /// Name and value, in order.
    fields: Vec<(String, String)>,
    /// Every line, once one of them is no field.
    raw: Option<String>,
}

impl Stanza {
    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.raw.is_none()
    }

    fn line(&mut self, text: &str) {
        if let Some(raw) = &mut self.raw {
            *raw = format!("{raw}\n{text}");
        } else if text.starts_with([' ', '\t']) && !self.fields.is_empty() {
            let (_, value) = self.fields.last_mut().expect("there is a field, as was just seen");
            value.push('\n');
            value.push_str(text);
        } else if let Some((name, value)) = text.split_once(':').filter(|(name, _)| is_name(name)) {
            self.fields.push((name.to_owned(), value.trim_start().to_owned()));
        } else {
            let lines = self.fields.drain(..).map(|(name, value)| format!("{name}: {value}"));
            self.raw = Some(lines.chain([text.to_owned()]).collect::<Vec<_>>().join("\n"));
        }
    }

    fn write(self, output: &mut impl Write, counts: &mut Counts) -> io::Result<()> {
        counts.stanzas += 1;
        if let Some(raw) = &self.raw {
            counts.malformed += 1;
            return writeln!(output, "{}", serde_json::Value::from(raw.as_str()));
        }
        for (i, (name, value)) in self.fields.iter().enumerate() {
            // Names of fields are the same in upper and lower case.
            let earlier = self.fields[..i].iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count();
            let mark = if i == 0 { "{" } else { "," };
            if earlier == 0 {
                write!(output, "{mark}\"{name}\":")?;
            } else {
                counts.repeated += 1;
                write!(output, "{mark}\"{name}#{}\":", earlier + 1)?;
            }
            serde_json::to_writer(&mut *output, value)?;
        }
        output.write_all(b"}\n")
    }
}

/// US-ASCII without space and control characters, and not the beginning of a comment or a signature's line.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(['#', '-'])
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}
