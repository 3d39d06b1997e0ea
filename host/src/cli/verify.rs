//! `verify`: everything that must hold in a store.

use clap::Args;
use serde_json::{Value, json};

use super::common::{OutputArg, StoreArg};
use super::print::Printer;
use super::runs::SCHEMA;
use super::spec::counted;
use crate::error::{Code, Result};
use crate::model::printable;
use crate::store::{Level, Reader, SqlValue};

/// Detail for the long help. Said here, since the list of verbs gives the first line.
const HELP: &str = "\
Checks SQLite's pages, the schema, the books of every run and batch, the dead letters, the plugins against \
their digests, that every body is JSON with a batch in the history, and every index against its rows. Writes \
nothing, and looks at one consistent state, also while a run goes on. With `--output json` one document. The \
exit code is 0 if everything holds, and 5 if something does not.

Example: atlas-host verify --store atlas.db";

/// Check every invariant of a store
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct VerifyArgs {
    /// Leave out what takes long on a large store: comparing every index with its rows
    #[arg(long)]
    pub quick: bool,
    #[command(flatten)]
    pub store: StoreArg,
    #[command(flatten)]
    pub output: OutputArg,
}

/// How many there are of what was checked; none where damage keeps it from being counted.
struct Checked {
    collections: usize,
    rows: Option<u64>,
    indexes: Option<u64>,
    runs: Option<u64>,
    batches: Option<u64>,
    dead_letters: Option<u64>,
    plugins: Option<u64>,
}

/// Exit code 0, or 5 with findings.
pub fn run(args: VerifyArgs, printer: &mut Printer) -> Result<u8> {
    let mut reader = Reader::open(&args.store.store)?;
    let level = if args.quick { Level::Quick } else { Level::Full };
    let findings = reader.verify(level)?;
    let checked = Checked::of(&mut reader)?;
    if args.output.json() {
        let findings: Vec<Value> = findings
            .iter()
            .map(|f| json!({ "code": f.code.as_str(), "message": f.message, "hint": f.code.suggestion() }))
            .collect();
        printer.json(&json!({
            "schema": SCHEMA,
            "store": reader.path().display().to_string(),
            "level": if args.quick { "quick" } else { "full" },
            "sound": findings.is_empty(),
            "checked": checked.document(),
            "findings": findings,
        }))?;
    } else {
        for finding in &findings {
            printer.line(&format!("{}: {}", finding.code, printable(&finding.message)))?;
        }
        printer.line(&format!("checked {}", checked.sentence(args.quick)))?;
        printer.line(&match findings.len() as u64 {
            0 => "everything holds".to_owned(),
            n => counted(n, "finding"),
        })?;
    }
    Ok(if findings.is_empty() { 0 } else { Code::StorageGeneral.exit() })
}

impl Checked {
    fn of(reader: &mut Reader) -> Result<Self> {
        let names = reader.collections()?;
        let rows = names.iter().map(|name| reader.count(name).ok()).sum();
        let mut count = |table: &str| {
            let mut found = None;
            let read = reader.sql(&format!("SELECT count(*) FROM {table}"), Some(1), |_, values| -> Result<()> {
                if let [SqlValue::Integer(n)] = values {
                    found = u64::try_from(*n).ok();
                }
                Ok(())
            });
            read.ok().and(found)
        };
        Ok(Self {
            collections: names.len(),
            rows,
            indexes: count("atlas_indexes"),
            runs: count("atlas_runs"),
            batches: count("atlas_batches"),
            dead_letters: count("atlas_dead_letters"),
            plugins: count("atlas_plugins"),
        })
    }

    fn sentence(&self, quick: bool) -> String {
        let some = |number: Option<u64>, singular: &str| match number {
            Some(number) => counted(number, singular),
            None => format!("{singular}s that cannot be counted"),
        };
        let batches = match self.batches {
            Some(1) => "1 batch".to_owned(),
            Some(n) => format!("{n} batches"),
            None => "batches that cannot be counted".to_owned(),
        };
        let mut indexes = match self.indexes {
            Some(1) => "1 index".to_owned(),
            Some(n) => format!("{n} indexes"),
            None => "indexes that cannot be counted".to_owned(),
        };
        if quick {
            indexes.push_str(" (by their definition only)");
        }
        format!(
            "the pages, the schema, {} in {}, {indexes}, {}, {batches}, {}, {}",
            some(self.rows, "row"),
            counted(self.collections as u64, "collection"),
            some(self.runs, "run"),
            some(self.dead_letters, "dead letter"),
            some(self.plugins, "plugin"),
        )
    }

    fn document(&self) -> Value {
        json!({
            "collections": self.collections,
            "rows": self.rows,
            "indexes": self.indexes,
            "runs": self.runs,
            "batches": self.batches,
            "dead_letters": self.dead_letters,
            "plugins": self.plugins,
        })
    }
}
