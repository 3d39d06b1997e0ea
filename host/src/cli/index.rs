//! `index`: the indexes of collections.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::json;

use super::common::{OutputArg, StoreArg};
use super::job_args::name;
use super::print::{Printer, talk};
use super::runs::SCHEMA;
use super::spec::{counted, index_name, index_spec, print_table, time};
use crate::error::{Code, Result};
use crate::model::{IndexSpec, Name, printable};
use crate::store::{Durability, IndexRow, Lookup, Reader, SqlValue, StoreOptions, Writer};

/// Detail for the long help. Said here, since the list of verbs gives the first line.
const HELP: &str = "\
An index finds items by a value inside their bodies; a unique one refuses a second item with the same value. \
The store keeps it with every row that is written; adding or dropping one never touches the rows.";

/// Add, drop, list, verify and rebuild indexes
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct IndexArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Add an index and fill it from the items that are there
    ///
    /// The POINTER is a member name such as status, or a JSON pointer such as /meta/status; NAME is its last part if left out.
    /// A member whose name has : or = in it is written with a slash: /dc:title.
    ///
    /// Example: atlas-host index add tasks:state=/meta/status
    Add(AddArgs),
    /// Drop an index; items stay as they are
    Drop(DropArgs),
    /// List the indexes with their size and when each was last found to be right
    ///
    /// With `--output json` one index per line; entries and bytes are null where damaged pages keep it from being read.
    List(ListArgs),
    /// Compare indexes with their items
    ///
    /// Without names all are compared. The exit code is 0 if they agree, and 5 if one does not; `index rebuild` mends it.
    /// With `--output json` one index per line.
    Verify(VerifyArgs),
    /// Build indexes anew from the items
    ///
    /// Without names all are built anew; items stay as they are. Mends indexes that are out of step and those with damaged pages.
    Rebuild(Which),
}

#[derive(Args, Debug)]
struct AddArgs {
    /// What to index
    #[arg(value_name = "[COLLECTION:][NAME=]POINTER", required = true, value_parser = any_spec)]
    specs: Vec<IndexSpec>,
    /// Refuse a second item with the same value
    #[arg(long)]
    unique: bool,
    #[command(flatten)]
    into: IntoArg,
    #[command(flatten)]
    store: StoreArg,
}

#[derive(Args, Debug)]
struct DropArgs {
    /// Indexes to drop
    #[arg(value_name = "[COLLECTION:]NAME", required = true, value_parser = index_name)]
    names: Vec<Named>,
    #[command(flatten)]
    into: IntoArg,
    #[command(flatten)]
    store: StoreArg,
}

#[derive(Args, Debug)]
struct ListArgs {
    /// List those of this collection only
    #[arg(long, value_name = "COLLECTION", value_parser = name)]
    into: Option<Name>,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Args, Debug)]
struct VerifyArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Args, Debug)]
struct Which {
    /// Indexes; all if none is named
    #[arg(value_name = "[COLLECTION:]NAME", value_parser = index_name)]
    names: Vec<Named>,
    /// Collection of names without one (default items); without names, the only collection meant
    #[arg(long, value_name = "COLLECTION", value_parser = name)]
    into: Option<Name>,
    #[command(flatten)]
    store: StoreArg,
}

#[derive(Args, Debug)]
struct IntoArg {
    /// Collection of names without one
    #[arg(long, value_name = "COLLECTION", default_value = "items", value_parser = name)]
    into: Name,
}

/// An index, and its collection if that was named.
type Named = (Option<Name>, Name);

/// Exit code 0; 5 if `verify` finds something.
pub fn run(args: IndexArgs, printer: &mut Printer) -> Result<u8> {
    match args.verb {
        Verb::Add(args) => add(&args),
        Verb::Drop(args) => drop_some(&args),
        Verb::List(args) => list(&args, printer),
        Verb::Verify(args) => verify(&args, printer),
        Verb::Rebuild(args) => rebuild(&args),
    }
}

fn add(args: &AddArgs) -> Result<u8> {
    let mut writer = writer(&args.store)?;
    for spec in &args.specs {
        let collection = spec.collection.clone().unwrap_or_else(|| args.into.into.clone());
        let spec = IndexSpec { unique: args.unique, ..spec.clone() };
        let added = writer.index_add(&collection, &spec)?;
        let unique = if spec.unique { "unique index" } else { "index" };
        talk(&if added {
            let rows = writer.reader()?.count(&collection)?;
            format!(
                "added {unique} `{}` over {} of `{collection}`: {}",
                spec.name,
                printable(spec.pointer.as_str()),
                counted(rows, "item")
            )
        } else {
            format!("{unique} `{}` of `{collection}` is there already", spec.name)
        });
    }
    Ok(0)
}

fn drop_some(args: &DropArgs) -> Result<u8> {
    let mut writer = writer(&args.store)?;
    for (collection, name) in &args.names {
        let collection = collection.as_ref().unwrap_or(&args.into.into);
        writer.index_drop(collection, name)?;
        talk(&format!("dropped index `{name}` of `{collection}`"));
    }
    Ok(0)
}

fn list(args: &ListArgs, printer: &mut Printer) -> Result<u8> {
    let reader = Reader::open(&args.store.store)?;
    let indexes = reader.indexes(args.into.as_ref())?;
    if indexes.is_empty() {
        talk("no index yet; `atlas-host index add POINTER` adds one");
    } else if args.output.json() {
        for index in &indexes {
            printer.json(&json!({
                "schema": SCHEMA,
                "collection": index.collection.as_str(),
                "name": index.name.as_str(),
                "pointer": index.pointer.as_str(),
                "unique": index.unique,
                "built": index.built,
                "entries": index.readable.then_some(index.entries),
                "bytes": index.readable.then_some(index.bytes),
                "created_ms": index.created_ms,
                "verified_ms": index.verified_ms,
            }))?;
        }
    } else {
        let headers = ["collection", "name", "pointer", "unique", "entries", "bytes", "last verified"];
        let give_way = ["bytes", "last verified", "entries"];
        print_table(printer, &headers, indexes.iter().map(row).collect(), &give_way)?;
    }
    if indexes.iter().any(|index| !index.built) {
        printer.flush()?;
        talk(
            "an index is built when the run that fills its collection ends; after one that was cut off, the next run or `atlas-host index verify` does it",
        );
    }
    if indexes.iter().any(|index| !index.readable) {
        printer.flush()?;
        talk("an index has damaged pages; `atlas-host index rebuild` builds it anew from its rows");
    }
    Ok(0)
}

fn row(index: &IndexRow) -> Vec<String> {
    vec![
        index.collection.to_string(),
        index.name.to_string(),
        index.pointer.to_string(),
        if index.unique { "yes" } else { "no" }.to_owned(),
        match (index.readable, index.built) {
            (false, _) => "cannot be read".to_owned(),
            (true, false) => "not built".to_owned(),
            (true, true) => index.entries.to_string(),
        },
        if index.readable { index.bytes.to_string() } else { "–".to_owned() },
        index.verified_ms.map_or("never".to_owned(), time),
    ]
}

fn verify(args: &VerifyArgs, printer: &mut Printer) -> Result<u8> {
    let mut writer = writer(&args.which.store)?;
    let mut sound = true;
    let meant = meant(&writer, &args.which)?;
    let mut late: Vec<String> = Vec::new();
    for collection in meant.iter().map(|(collection, _)| collection).collect::<BTreeSet<_>>() {
        late.extend(writer.build_indexes(collection)?.iter().map(|built| format!("{collection}:{}", built.name)));
    }
    if !late.is_empty() {
        talk(&format!(
            "the run that filled their collection was cut off before it built these indexes, which is done now: {}",
            late.join(", ")
        ));
    }
    for (collection, index) in &meant {
        let findings = writer.index_verify(collection, index)?;
        sound &= findings.is_empty();
        if args.output.json() {
            let findings: Vec<_> =
                findings.iter().map(|f| json!({ "code": f.code.as_str(), "message": f.message })).collect();
            printer.json(&json!({
                "schema": SCHEMA,
                "collection": collection.as_str(),
                "name": index.as_str(),
                "sound": findings.is_empty(),
                "findings": findings,
            }))?;
        } else if findings.is_empty() {
            printer.line(&format!("{collection}:{index} agrees with its rows"))?;
        } else {
            for finding in &findings {
                printer.line(&format!("{}: {}", finding.code, printable(&finding.message)))?;
            }
        }
    }
    if !sound {
        printer.flush()?;
        talk("`atlas-host index rebuild` builds an index anew from its rows");
    }
    Ok(if sound { 0 } else { Code::IndexOutOfStep.exit() })
}

fn rebuild(which: &Which) -> Result<u8> {
    let mut writer = writer(&which.store)?;
    for (collection, index) in &meant(&writer, which)? {
        writer.index_rebuild(collection, index)?;
        talk(&format!("rebuilt index `{index}` of `{collection}`"));
    }
    Ok(0)
}

/// The indexes named, or all of the collection, or all. Says so if there are none.
fn meant(writer: &Writer, which: &Which) -> Result<Vec<(Name, Name)>> {
    if !which.names.is_empty() {
        let items = Name::parse("items").expect("it is a legal name");
        let default = which.into.as_ref().unwrap_or(&items);
        return Ok(which.names.iter().map(|(c, n)| (c.as_ref().unwrap_or(default).clone(), n.clone())).collect());
    }
    let mut reader = writer.reader()?;
    if let Some(collection) = &which.into {
        // A look-up that finds nothing: it is here for its error, which names the nearest collection.
        reader.get(collection, "")?;
    }
    let mut all = Vec::new();
    // Not `Reader::indexes`: that reads the indexes themselves, which may be damaged.
    reader.sql(
        "SELECT collection, name FROM atlas_indexes ORDER BY collection, name",
        None,
        |_, values| -> Result<()> {
            if let [SqlValue::Text(collection), SqlValue::Text(name)] = values {
                all.extend(Name::parse(collection).zip(Name::parse(name)));
            }
            Ok(())
        },
    )?;
    all.retain(|(collection, _)| which.into.as_ref().is_none_or(|into| into == collection));
    if all.is_empty() {
        talk("no index yet; `atlas-host index add POINTER` adds one");
    }
    Ok(all)
}

fn writer(store: &StoreArg) -> Result<Writer> {
    Writer::open(&StoreOptions { path: store.store.clone(), durability: Durability::Full, create: false })
}

/// Whether it is unique is a flag of its own here.
fn any_spec(text: &str) -> Result<IndexSpec, String> {
    index_spec(text, false)
}
