//! `dead-letters`: items that were rejected or failed.

use std::borrow::Cow;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::common::{OutputArg, StoreArg};
use super::job_args::JobArgs;
use super::print::{Printer, talk};
use super::retry::{self, RetryArgs};
use super::runs::SCHEMA;
use super::spec::{counted, cut, fields, print_table, time};
use super::{Layers, Talk};
use crate::error::{Code, Error, Result};
use crate::model::{Digest, Phase, RunNumber};
use crate::source::Format;
use crate::store::{DeadLetter, Durability, LetterFilter, LetterState, Reader, SqlValue, StoreOptions, Writer};

/// Letters fetched at a time; a longer list is printed as several tables.
const PAGE: usize = 500;
/// Exit code where an id has no letter: told apart from a store that failed.
const SOME_MISSING: u8 = 3;

/// Detail for the long help. Said here, since the list of verbs gives the first line.
const HELP: &str = "\
Every item that was read and not stored or dropped is here, with its original bytes and the reason.";

/// List, show, retry and discard items that were rejected or failed
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List dead letters, oldest first
    ///
    /// With `--output json` one letter per line, without its original bytes; `show` has these.
    ///
    /// Example: atlas-host dead-letters list --run 3 --code VALIDATION_4004
    List(ListArgs),
    /// Show everything about dead letters, with their original bytes
    ///
    /// With `--output json` one letter per line; bytes that are not UTF-8 are in `original_hex` instead of `original`.
    /// An id without a letter is told on stderr, and the exit code is 3.
    ///
    /// Example: atlas-host dead-letters show 17 --raw > item.json
    Show(ShowArgs),
    Retry(RetryArgs),
    /// Let dead letters go: their bytes are removed, the reasons stay
    ///
    /// Asks nothing, but wants to be told which: ids, a filter, or --all-open.
    ///
    /// Example: atlas-host dead-letters discard --run 3 --phase decode
    Discard(DiscardArgs),
}

impl DeadLettersArgs {
    /// The flags of the job that retries.
    pub fn job(self) -> Option<JobArgs> {
        match self.verb {
            Verb::Retry(args) => Some(*args.job),
            _ => None,
        }
    }
}

/// Which letters. Several filters all have to match.
#[derive(Args, Debug)]
struct FilterArgs {
    /// Only those of this run
    #[arg(long, value_name = "RUN")]
    run: Option<u64>,
    /// Only those with this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only those of this phase: decode, validate, operate, store
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    phase: Option<Phase>,
    /// Only those that the plugin in this slot refused or failed
    #[arg(long, value_name = "SLOT")]
    slot: Option<String>,
    /// Only those of the plugin with this digest; its first digits do
    #[arg(long, value_name = "DIGEST", value_parser = digits)]
    plugin: Option<String>,
}

#[derive(Args, Debug)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// List those too that were retried or discarded
    #[arg(long)]
    all: bool,
    /// List so many at the most; 0 for all
    #[arg(long, value_name = "N", default_value = "100")]
    limit: usize,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// Ids of the letters, as `list` tells them
    #[arg(value_name = "LETTER", required = true)]
    ids: Vec<i64>,
    /// Write the original bytes alone, whatever --output says; after each, where there are several ids, a line break
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Args, Debug)]
struct DiscardArgs {
    /// Ids of the letters, as `list` tells them
    #[arg(value_name = "LETTER")]
    ids: Vec<i64>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Discard every open letter
    #[arg(long, conflicts_with_all = ["ids", "run", "code", "phase", "slot", "plugin"])]
    all_open: bool,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Exit code 0; 3 if `show` misses a letter; that of the runs for `retry`.
pub fn run(args: DeadLettersArgs, layers: &Layers, talk: Talk, printer: &mut Printer) -> Result<u8> {
    match args.verb {
        Verb::List(args) => list(&args, printer),
        Verb::Show(args) => show(&args, printer),
        Verb::Retry(args) => retry::run(args, layers, talk, printer),
        Verb::Discard(args) => discard(&args, printer),
    }
}

fn list(args: &ListArgs, printer: &mut Printer) -> Result<u8> {
    let mut reader = Reader::open(&args.store.store)?;
    let mut filter = args.filter.resolved(&mut reader)?;
    filter.state = (!args.all).then_some(LetterState::Open);
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    let (mut after, mut printed) = (0, 0);
    while printed < limit && !printer.closed() {
        let letters = reader.dead_letter_heads(&filter, after, PAGE.min(limit - printed))?;
        let Some(last) = letters.last() else { break };
        (after, printed) = (last.id, printed + letters.len());
        if args.output.json() {
            letters.iter().try_for_each(|letter| printer.json(&document(letter, false)))?;
        } else {
            listed(&letters, args.all, printer)?;
        }
    }
    let matching = if printed < limit { printed as u64 } else { reader.dead_letter_count(&filter)? };
    printer.flush()?;
    if printed == 0 {
        talk(if args.all { "no dead letter matches" } else { "no open dead letter matches" });
    } else if matching > printed as u64 {
        talk(&format!("the first {printed} of {matching}; --limit 0 lists all"));
    }
    Ok(0)
}

fn listed(letters: &[DeadLetter], with_state: bool, printer: &mut Printer) -> Result<()> {
    let mut headers = vec!["id", "run", "item", "phase", "code", "slot", "where", "message"];
    if with_state {
        headers.insert(1, "state");
    }
    let rows = letters.iter().map(|letter| {
        let mut row = vec![
            letter.id.to_string(),
            letter.run.to_string(),
            letter.item_id.as_deref().map_or("-".to_owned(), |id| cut(id, 40)),
            letter.phase.as_str().to_owned(),
            letter.code.clone(),
            letter.slot.clone().unwrap_or("-".to_owned()),
            format!("{}:{}", file_name(&letter.input), letter.line),
            letter.message.clone(),
        ];
        if with_state {
            row.insert(1, letter.state.as_str().to_owned());
        }
        row
    });
    print_table(printer, &headers, rows.collect(), &["slot", "run", "where", "phase"])
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn show(args: &ShowArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    let mut missing = false;
    for (i, id) in args.ids.iter().enumerate() {
        if printer.closed() {
            break;
        }
        let filter = LetterFilter { ids: vec![*id], ..LetterFilter::default() };
        let Some(letter) = reader.dead_letters(&filter, i64::MIN, 1)?.pop() else {
            talk(&format!("no dead letter {id}"));
            missing = true;
            continue;
        };
        if args.raw {
            match &letter.original {
                Some(bytes) => printer.write(bytes)?,
                None => {
                    talk(&format!("dead letter {id} was discarded: its bytes are gone"));
                    missing = true;
                    continue;
                }
            }
            if args.ids.len() > 1 {
                printer.write(b"\n")?;
            }
        } else if args.output.json() {
            printer.json(&document(&letter, true))?;
        } else {
            if i > 0 {
                printer.line("")?;
            }
            printer.line(&shown(&letter))?;
        }
    }
    Ok(if missing { SOME_MISSING } else { 0 })
}

/// What the number of a letter's place counts, by the name of its input.
pub fn unit(letter: &DeadLetter) -> &'static str {
    Format::of_path(letter.input.as_ref()).map_or("line", Format::unit)
}

/// Everything about a letter, for people.
fn shown(letter: &DeadLetter) -> String {
    let problems: Vec<String> = letter
        .problems
        .iter()
        .map(|problem| {
            let at = if problem.pointer.is_empty() { String::new() } else { format!(" (at {})", problem.pointer) };
            let details: String = problem.details.iter().map(|(key, value)| format!("\n  {key} = {value}")).collect();
            format!("{}: {}{at}{details}", problem.code, problem.message)
        })
        .collect();
    let state = match (letter.state, letter.resolved_ms) {
        (LetterState::Open, _) | (_, None) => letter.state.as_str().to_owned(),
        (state, Some(ms)) => {
            let by = letter.resolved_run.map_or(String::new(), |run| format!(" by run {run}"));
            format!("{}{by}, {}", state.as_str(), time(ms))
        }
    };
    let plugin = match (&letter.slot, &letter.plugin) {
        (None, None) => "-".to_owned(),
        (slot, digest) => {
            let digest = digest.map_or("no digest".to_owned(), |digest| digest.to_string());
            format!("{} ({digest})", slot.as_deref().unwrap_or("?"))
        }
    };
    let kept = letter.original.as_ref().map_or(0, Vec::len) as u64;
    let size = match letter.original {
        Some(_) if kept < letter.total_bytes => format!("the first {kept} of {} bytes", letter.total_bytes),
        Some(_) => format!("{} bytes", letter.total_bytes),
        None => format!("discarded; it had {} bytes", letter.total_bytes),
    };
    let size = match letter.original_digest {
        Some(digest) => format!("{size}, {digest}"),
        None => size,
    };
    let unit = unit(letter);
    let head = fields(&[
        ("dead letter", letter.id.to_string()),
        ("state", state),
        ("item", letter.item_id.clone().unwrap_or("- (the bytes are no item)".to_owned())),
        (
            "fate",
            format!(
                "{} in phase {}, {}{}",
                letter.fate.as_str(),
                letter.phase.as_str(),
                counted(letter.attempts.into(), "attempt"),
                if letter.retry_of.is_some() { " with those of the letters before" } else { "" }
            ),
        ),
        ("problems", problems.join("\n")),
        ("plugin", plugin),
        ("from", format!("{}, {unit} {}, byte {}", letter.input, letter.line, letter.offset)),
        (
            "retry of",
            letter.retry_of.map_or("- (the first of its record)".to_owned(), |id| format!("dead letter {id}")),
        ),
        ("run", format!("{}, ordinal {}", letter.run, letter.ordinal)),
        ("when", time(letter.created_ms)),
        ("original", size),
    ]);
    match &letter.original {
        Some(bytes) => format!("{head}\n{}", fields(&[("", String::from_utf8_lossy(bytes).into_owned())])),
        None => head,
    }
}

/// A letter for programs.
pub(super) fn document(letter: &DeadLetter, with_original: bool) -> Value {
    let mut document = json!({
        "schema": SCHEMA,
        "id": letter.id,
        "state": letter.state.as_str(),
        "run": letter.run.0,
        "ordinal": letter.ordinal,
        "item": letter.item_id,
        "fate": letter.fate,
        "phase": letter.phase,
        "code": letter.code,
        "message": letter.message,
        "problems": letter.problems,
        "slot": letter.slot,
        "plugin": letter.plugin.map(|digest| digest.to_string()),
        "attempts": letter.attempts,
        "input": letter.input,
        "line": letter.line,
        "offset": letter.offset,
        "total_bytes": letter.total_bytes,
        "original_digest": letter.original_digest.map(|digest| digest.to_string()),
        "created_ms": letter.created_ms,
        "resolved_ms": letter.resolved_ms,
        "resolved_run": letter.resolved_run.map(|run| run.0),
        "resolved_ordinal": letter.resolved_ordinal,
        "retry_of": letter.retry_of,
    });
    if let (true, Some(bytes)) = (with_original, &letter.original) {
        let (name, text): (_, Cow<'_, str>) = match std::str::from_utf8(bytes) {
            Ok(text) => ("original", text.into()),
            Err(_) => ("original_hex", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()),
        };
        document[name] = text.into();
    }
    document
}

fn discard(args: &DiscardArgs, printer: &mut Printer) -> Result<u8> {
    if args.ids.is_empty() && args.filter.is_empty() && !args.all_open {
        return Err(Error::new(Code::ConfigMissing, "nothing says which dead letters to discard")
            .hint("name ids, a filter such as --run 3, or --all-open; `dead-letters list` takes the same filters"));
    }
    let mut filter = args.filter.resolved(&mut Reader::open(&args.store.store)?)?;
    filter.ids = args.ids.clone();
    let options = StoreOptions { path: args.store.store.clone(), durability: Durability::Full, create: false };
    let discarded = Writer::open(&options)?.discard_dead_letters(&filter)?;
    if args.output.json() {
        printer.json(&json!({ "schema": SCHEMA, "discarded": discarded }))?;
    } else if discarded > 0 {
        printer.line(&format!("discarded {}", counted(discarded, "dead letter")))?;
    } else {
        talk("no open dead letter matches; nothing was discarded");
    }
    Ok(0)
}

impl FilterArgs {
    fn is_empty(&self) -> bool {
        self.run.is_none()
            && self.code.is_none()
            && self.phase.is_none()
            && self.slot.is_none()
            && self.plugin.is_none()
    }

    /// The filter, its digest completed. Errors: CONFIG_3001 if the digits fit none or several plugins of dead letters.
    fn resolved(&self, reader: &mut Reader) -> Result<LetterFilter> {
        Ok(LetterFilter {
            run: self.run.map(RunNumber),
            code: self.code.clone(),
            phase: self.phase,
            slot: self.slot.clone(),
            plugin: self.plugin.as_deref().map(|digits| plugin(reader, digits)).transpose()?,
            ..LetterFilter::default()
        })
    }
}

/// The one plugin of dead letters whose digest begins with these digits. Errors: CONFIG_3001 if none does, or several do.
pub(super) fn plugin(reader: &mut Reader, digits: &str) -> Result<Digest> {
    let mut known: Vec<Digest> = Vec::new();
    let sql = "SELECT DISTINCT plugin FROM atlas_dead_letters WHERE plugin IS NOT NULL ORDER BY plugin";
    reader.sql(sql, None, |_, values| -> Result<()> {
        if let [SqlValue::Text(text)] = values {
            known.extend(Digest::parse(text));
        }
        Ok(())
    })?;
    let shorts = |digests: &[Digest]| digests.iter().map(|digest| digest.short()).collect::<Vec<_>>().join(", ");
    let fitting: Vec<Digest> =
        known.iter().filter(|digest| digest.to_string()["blake3:".len()..].starts_with(digits)).copied().collect();
    match fitting.as_slice() {
        [digest] => Ok(*digest),
        [] => Err(Error::new(Code::ConfigInvalid, format!("no dead letter is of a plugin with the digest {digits}…"))
            .hint(if known.is_empty() {
                "no dead letter is of a plugin".to_owned()
            } else {
                format!("there are: {}", shorts(&known))
            })),
        several => Err(Error::new(Code::ConfigInvalid, format!("the digest {digits}… fits {} plugins", several.len()))
            .hint(format!("write more digits: {}", shorts(several)))),
    }
}

pub(super) fn phase(text: &str) -> Result<Phase, String> {
    Phase::parse(text).ok_or_else(|| "the phases are decode, validate, operate, store".to_owned())
}

/// The first hex digits of a digest, without its prefix.
pub(super) fn digits(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("blake3:").unwrap_or(text).to_ascii_lowercase();
    let legal = (4..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if legal { Ok(digits) } else { Err("write 4 to 64 hex digits, with or without blake3: before them".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_may_be_written_short_and_without_its_prefix() {
        assert_eq!(digits("blake3:ABCD").unwrap(), "abcd");
        assert_eq!(digits("0123456789ab").unwrap(), "0123456789ab");
        for text in ["", "abc", "xyzw", "blake3:", "sha256:abcd"] {
            assert!(digits(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_input_is_shown_by_its_file_name() {
        assert_eq!(file_name("/data/in/items.ndjson"), "items.ndjson");
        assert_eq!(file_name("-"), "-");
    }
}
