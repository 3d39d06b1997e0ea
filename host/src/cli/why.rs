//! `why`: where an item comes from, and why one is not there.

mod place;
mod unknown;

use clap::Args;
use serde_json::json;

use super::common::{OutputArg, StoreArg};
use super::dead_letters;
use super::job_args::name;
use super::print::{Printer, talk};
use super::retry::format_of;
use super::runs::{self, PluginView, RunView};
use super::spec::{counted, fields, json_text, time};
use crate::error::Result;
use crate::model::Name;
use crate::source::Format;
use crate::store::{DeadLetter, LetterFilter, Origin, Provenance, Reader};

/// Exit code where nothing is known of an id.
const SOME_UNKNOWN: u8 = 3;
/// Dead letters told of one id: the newest ones.
const LETTERS_TOLD: usize = 20;

const HELP: &str = "\
Of a stored item: the record of the input that made it, with its line (of one that was a dead letter and tried again: \
that letter, and the line it came of), the batch and run that wrote its body last, and \
the plugins that worked on it, with their digests. Of an id among the dead letters: where it stood, which plugin refused \
it in which phase, and what has become of it since. Items that were dropped leave no id behind, and rows that were deleted \
none either: where nothing is known of an id, the runs are named in which that happened. Of a dropped item its place in the \
input is kept, and with --run and --ordinal that tells what became of any record. With `--output json` one line per id. The \
exit code is 3 if nothing is known of an id or a record.

Examples:
  atlas-host why task-17 --into tasks
  atlas-host why --run 3 --ordinal 41";

/// Tell where items come from, or why they are not stored
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct WhyArgs {
    /// Ids of the items
    #[arg(value_name = "ID", required_unless_present = "ordinal", conflicts_with = "ordinal")]
    pub ids: Vec<String>,
    /// Tell of the record at this position in the input of a run instead, from 0
    #[arg(long, value_name = "N", requires = "run")]
    pub ordinal: Option<u64>,
    /// Number of that run
    #[arg(long, value_name = "RUN", requires = "ordinal")]
    pub run: Option<u64>,
    /// Collection to look in
    #[arg(long, value_name = "COLLECTION", default_value = "items", value_parser = name)]
    pub into: Name,
    #[command(flatten)]
    pub store: StoreArg,
    #[command(flatten)]
    pub output: OutputArg,
}

/// Exit code 0, or 3 if nothing is known of an id or a record.
pub fn run(args: WhyArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    if let Some(ordinal) = args.ordinal {
        return place::tell(&args, ordinal, &reader, printer);
    }
    let mut unknown = false;
    for (i, id) in args.ids.iter().enumerate() {
        if printer.closed() {
            break;
        }
        let stored = reader.why(&args.into, id)?;
        let letters = letters(&reader, &args.into, id)?;
        if stored.is_none() && letters.is_empty() {
            printer.flush()?;
            talk(&format!("nothing is known of {} in `{}`", json_text(id), args.into));
            unknown = true;
        } else if args.output.json() {
            printer.json(&document(&args, id, stored.as_ref(), &letters, &reader))?;
        } else {
            if i > 0 {
                printer.line("")?;
            }
            printer.line(&text(&args, id, stored.as_ref(), &letters, &reader))?;
        }
    }
    if unknown {
        unknown::tell(&reader, &args.into)?;
    }
    Ok(if unknown { SOME_UNKNOWN } else { 0 })
}

/// The newest dead letters of the id, the newest first.
fn letters(reader: &Reader, collection: &Name, id: &str) -> Result<Vec<DeadLetter>> {
    let filter =
        LetterFilter { item: Some(id.to_owned()), collection: Some(collection.clone()), ..LetterFilter::default() };
    let mut newest: Vec<DeadLetter> = Vec::new();
    let mut after = 0;
    loop {
        let page = reader.dead_letter_heads(&filter, after, LETTERS_TOLD)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        newest.extend(page);
        newest.drain(..newest.len().saturating_sub(LETTERS_TOLD));
    }
    newest.reverse();
    Ok(newest)
}

fn text(args: &WhyArgs, id: &str, stored: Option<&Provenance>, letters: &[DeadLetter], reader: &Reader) -> String {
    let mut lines = vec![("id", id.to_owned()), ("collection", args.into.to_string())];
    match stored {
        None => lines.push(("stored", "no".to_owned())),
        Some(Provenance { origin: None, .. }) => {
            lines.push(("written by", "no run: something else wrote it".to_owned()));
        }
        Some(Provenance { origin: Some(origin), row }) => {
            lines.push(("record", row.ordinal.map_or_else(String::new, |ordinal| record(origin, ordinal))));
            lines.extend(about(origin, reader));
        }
    }
    for letter in letters {
        lines.push(("dead letter", told(letter)));
    }
    fields(&lines)
}

/// Which letter a record was, if it was one, its batch and run, and who worked on it.
fn about(origin: &Origin, reader: &Reader) -> Vec<(&'static str, String)> {
    let (batch, run) = (&origin.batch, &origin.run);
    let mut lines = Vec::new();
    if let Some(letter) = &origin.letter {
        lines.push(("tried again", came_from(letter)));
    }
    lines.push((
        "batch",
        format!(
            "{} of run {}, {} of the input from ordinal {}, written {}",
            batch.number,
            batch.run,
            counted(batch.counts.read, "record"),
            batch.first_ordinal,
            time(batch.written_ms)
        ),
    ));
    let status = runs::status(run, runs::held(reader.path()));
    lines.push(("run", format!("{} ({}), began {}, {status}", run.run, run.uuid, time(run.started_ms))));
    lines.push(("inputs", runs::inputs(run).join("\n")));
    let plugins: Vec<String> = origin.plugins.iter().map(runs::plugin_line).collect();
    lines.push(("plugins", if plugins.is_empty() { "none".to_owned() } else { plugins.join("\n") }));
    lines
}

/// Where the record stood: exactly, where the lines of its batch follow each other one by one.
fn record(origin: &Origin, ordinal: u64) -> String {
    let batch = &origin.batch;
    let inputs = runs::inputs(&origin.run);
    let name = |input: u64| inputs.get(input as usize).cloned().unwrap_or_else(|| format!("input {input}"));
    let format = |input: u64| inputs.get(input as usize).and_then(|input| format_of(&origin.run, input));
    let unit = |input: u64| format(input).map_or("line", Format::unit);
    let (first, last) = (batch.first, batch.last);
    let place = match line(origin, ordinal) {
        Some(line) => format!("{} {line} of {}", unit(first.input), name(first.input)),
        None if first.input == last.input => {
            format!("between {}s {} and {} of {}", unit(first.input), first.line, last.line, name(first.input))
        }
        None => format!(
            "between {} {} of {} and {} {} of {}",
            unit(first.input),
            first.line,
            name(first.input),
            unit(last.input),
            last.line,
            name(last.input)
        ),
    };
    format!("ordinal {ordinal}, {place}")
}

/// The line of a record, or its number, where nothing but records stands between the first and the last line of its batch.
fn line(origin: &Origin, ordinal: u64) -> Option<u64> {
    let (first, last) = (origin.batch.first, origin.batch.last);
    let dense =
        first.input == last.input && last.line.checked_sub(first.line) == origin.batch.counts.read.checked_sub(1);
    dense.then(|| first.line + (ordinal - origin.batch.first_ordinal))
}

/// Which letter a record was, and where its first record stood.
fn came_from(letter: &DeadLetter) -> String {
    format!(
        "dead letter {} of run {}, of {} {} (byte {}) of {}",
        letter.id,
        letter.run,
        dead_letters::unit(letter),
        letter.line,
        letter.offset,
        letter.input
    )
}

fn told(letter: &DeadLetter) -> String {
    let by = match (&letter.slot, &letter.plugin) {
        (Some(slot), Some(plugin)) => format!(" by {slot} ({})", plugin.short()),
        (Some(slot), None) => format!(" by {slot}"),
        (None, _) => String::new(),
    };
    let since = match letter.resolved_run {
        Some(run) => format!("{} by run {run}", letter.state.as_str()),
        None => letter.state.as_str().to_owned(),
    };
    format!(
        "{}, {}: {}{by} in {}, {} {} of {}, run {}\n{} {}",
        letter.id,
        since,
        letter.fate.as_str(),
        letter.phase.as_str(),
        dead_letters::unit(letter),
        letter.line,
        letter.input,
        letter.run,
        letter.code,
        letter.message
    )
}

fn document(
    args: &WhyArgs,
    id: &str,
    stored: Option<&Provenance>,
    letters: &[DeadLetter],
    reader: &Reader,
) -> serde_json::Value {
    let origin = stored.and_then(|stored| stored.origin.as_ref());
    let ordinal = stored.and_then(|stored| stored.row.ordinal);
    json!({
        "schema": runs::SCHEMA,
        "collection": args.into.as_str(),
        "id": id,
        "stored": stored.is_some(),
        "ordinal": ordinal,
        "input": origin.and_then(input_told),
        "line": origin.zip(ordinal).and_then(|(origin, ordinal)| line_told(origin, ordinal)),
        "dead_letter": origin.and_then(|o| o.letter.as_ref()).map(|letter| letter.id),
        "batch": origin.map(|o| runs::BatchView::of(&o.batch)),
        "run": origin.map(|o| RunView::of(&o.run, runs::held(reader.path()))),
        "plugins": origin.map(|o| o.plugins.iter().map(PluginView::of).collect::<Vec<_>>()),
        "dead_letters": letters.iter().map(|letter| super::dead_letters::document(letter, false)).collect::<Vec<_>>(),
    })
}

/// The input that a record stood in, where that is known.
fn input_told(origin: &Origin) -> Option<String> {
    match &origin.letter {
        Some(letter) => Some(letter.input.clone()),
        // A batch may span two inputs: then nobody knows which of them it was.
        None if origin.batch.first.input != origin.batch.last.input => None,
        None => runs::inputs(&origin.run).get(origin.batch.first.input as usize).cloned(),
    }
}

/// Its line there, where that is known.
fn line_told(origin: &Origin, ordinal: u64) -> Option<u64> {
    match &origin.letter {
        Some(letter) => Some(letter.line),
        None => line(origin, ordinal),
    }
}
