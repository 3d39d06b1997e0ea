//! `why --run --ordinal`: what became of a record that is known by its place in the input, as one that was dropped is.

use serde_json::json;

use super::{SOME_UNKNOWN, WhyArgs, about, input_told, line_told, record, told, unknown};
use crate::cli::print::{Printer, talk};
use crate::cli::runs::{self, BatchView, PluginView, RunView};
use crate::cli::spec::{counted, fields};
use crate::error::Result;
use crate::model::Fate;
use crate::store::{DeadLetter, Origin, Reader};

/// Exit code 0, or 3 if the run has no such record, or has not come to it.
///
/// Errors: CONFIG_3001 if there is no such run.
pub(super) fn tell(args: &WhyArgs, ordinal: u64, reader: &Reader, printer: &mut Printer) -> Result<u8> {
    let run = runs::found(reader, args.run)?;
    let Some((origin, letter)) = reader.record(run.run, ordinal)? else {
        let read = counted(run.counts.read, "record");
        talk(&format!("run {} has accounted for {read} of its input; none of them has ordinal {ordinal}", run.run));
        return Ok(SOME_UNKNOWN);
    };
    let fate = fate(&origin, letter.as_ref(), ordinal);
    match args.output.json() {
        true => printer.json(&document(&origin, letter.as_ref(), ordinal, fate, reader))?,
        false => {
            let fate = in_words(&origin, ordinal, fate, reader);
            let mut lines = vec![("record", record(&origin, ordinal)), ("fate", fate)];
            lines.extend(letter.as_ref().map(|letter| ("dead letter", told(letter))));
            lines.extend(about(&origin, reader));
            printer.line(&fields(&lines))?;
        }
    }
    Ok(0)
}

/// None where it is not kept whether it was stored or dropped.
fn fate(origin: &Origin, letter: Option<&DeadLetter>, ordinal: u64) -> Option<Fate> {
    match (letter, origin.batch.was_dropped(ordinal)) {
        (Some(letter), _) => Some(letter.fate),
        (None, dropped) => dropped.map(|dropped| if dropped { Fate::Dropped } else { Fate::Stored }),
    }
}

fn in_words(origin: &Origin, ordinal: u64, fate: Option<Fate>, reader: &Reader) -> String {
    let (batch, run) = (&origin.batch, &origin.run);
    match fate {
        None => format!(
            "stored or dropped: {} of {} of its batch were dropped, which of them is not kept",
            batch.counts.dropped,
            counted(batch.counts.read, "record")
        ),
        Some(Fate::Dropped) => format!("dropped{}", unknown::by(&origin.plugins)),
        Some(Fate::Stored) => format!(
            "stored; what nothing has changed since is found by\natlas-host query --store {} --into {} --where 'batch = {} AND ordinal = {ordinal}'",
            reader.path().display(),
            run.collection,
            batch.id
        ),
        Some(refused) => refused.as_str().to_owned(),
    }
}

fn document(
    origin: &Origin,
    letter: Option<&DeadLetter>,
    ordinal: u64,
    fate: Option<Fate>,
    reader: &Reader,
) -> serde_json::Value {
    json!({
        "schema": runs::SCHEMA,
        "collection": origin.run.collection.as_str(),
        "ordinal": ordinal,
        "fate": fate.map(Fate::as_str),
        "input": input_told(origin),
        "line": line_told(origin, ordinal),
        "dead_letter": origin.letter.as_ref().map(|letter| letter.id),
        "batch": BatchView::of(&origin.batch),
        "run": RunView::of(&origin.run, runs::held(reader.path())),
        "plugins": origin.plugins.iter().map(PluginView::of).collect::<Vec<_>>(),
        "dead_letters": letter.iter().map(|letter| crate::cli::dead_letters::document(letter, false)).collect::<Vec<_>>(),
    })
}
