//! `query`: items by index or condition, or any SELECT.

use clap::{Args, ValueEnum};

use super::common::StoreArg;
use super::export::Stop;
use super::job_args::name;
use super::print::{Printer, table, talk, width};
use super::spec::{body_line, counted, cut, index_key, json_text};
use crate::error::{Code, Error, Result};
use crate::model::{Name, printable};
use crate::store::{IndexKey, Lookup, Reader, SqlValue};

/// Rows that share one table; a longer result is printed as several, so that its memory is bounded.
const TABLE_ROWS_MAX: usize = 1000;

/// Detail for the long help. Said here, since the list of verbs gives the first line.
const HELP: &str = "\
Reads only: whatever would write is refused. Without --index, --where or --sql every item of the collection \
matches. Items come sorted by id, with the columns id and body; in a condition each index is a column of its \
name, and members without an index are reached as body ->> '$.member'.

Examples:
  atlas-host query --index status --equals pending
  atlas-host query --where \"status = 'pending' AND body ->> '$.prio' > 3\" --limit 10
  atlas-host query --sql \"SELECT status, count(*) FROM items GROUP BY status\" --output csv";

/// Search a collection by index, condition or SQL
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct QueryArgs {
    /// Collection to search
    #[arg(long, value_name = "COLLECTION", default_value = "items", value_parser = name, conflicts_with = "sql")]
    pub into: Name,
    /// Search by this index
    #[arg(long, value_name = "NAME", value_parser = name, requires = "equals")]
    pub index: Option<Name>,
    /// Value that the index has
    ///
    /// A JSON number is a number, null is a missing member or null, true and false are 1 and 0; all else is text.
    #[arg(long, value_name = "VALUE", requires = "index", allow_hyphen_values = true)]
    pub equals: Option<String>,
    /// Take the value of --equals as text, whatever it looks like
    #[arg(long, requires = "equals")]
    pub text: bool,
    /// Search by this SQL condition
    #[arg(long = "where", value_name = "SQL-EXPR", conflicts_with_all = ["index", "sql"], allow_hyphen_values = true)]
    pub condition: Option<String>,
    /// Run this SELECT over the whole store
    #[arg(long, value_name = "SELECT", conflicts_with = "index", allow_hyphen_values = true)]
    pub sql: Option<String>,
    /// Print so many rows at the most; 0 for all
    #[arg(long, value_name = "N", default_value = "100")]
    pub limit: u64,
    /// Print only how many rows match
    #[arg(long)]
    pub count: bool,
    /// Print the plan of the query instead of running it; a line that says SEARCH uses an index
    #[arg(long, conflicts_with = "count")]
    pub explain: bool,
    #[command(flatten)]
    pub store: StoreArg,
    /// Form of the rows on stdout
    #[arg(long, value_name = "FORM", default_value = "table", env = "ATLAS_OUTPUT")]
    pub output: Form,
}

/// See [`QueryArgs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people: aligned columns; on a terminal long values are cut
    #[value(alias = "text")]
    Table,
    /// One array of objects
    Json,
    /// One object per line
    Ndjson,
    /// RFC 4180 with a line of column names; null is an empty field
    Csv,
}

/// Exit code 0, also if nothing matches.
pub fn run(args: QueryArgs, printer: &mut Printer) -> Result<u8> {
    let mut reader = Reader::open(&args.store.store)?;
    let select = select(&args, &reader)?;
    let (sql, limit) = match (args.count, args.explain) {
        (true, _) => (format!("SELECT count(*) AS count FROM (\n{select}\n)"), None),
        (_, true) => (format!("EXPLAIN QUERY PLAN {select}"), None),
        _ => (select, (args.limit > 0).then_some(args.limit)),
    };
    let columns = if args.explain {
        Columns::Plan
    } else if args.sql.is_none() && !args.count {
        Columns::Items
    } else {
        Columns::Any
    };
    let mut rows = Rows {
        form: args.output,
        columns,
        collection: &args.into,
        count: args.count,
        on_terminal: width().is_some(),
        page: Vec::new(),
        printed: 0,
        printer,
    };
    let done = reader.sql(&sql, limit, |names, values| rows.row(names, values));
    let done = match done {
        Ok(done) => done,
        Err(Stop::Closed) => return Ok(0),
        Err(Stop::Failed(error)) => return Err(explained(error, &args, &reader)),
    };
    rows.end(&done.columns)?;
    printer.flush()?;
    if done.rows == 0 {
        talk("no row matches");
    } else if done.cut {
        talk(&format!("the first {}; more match: --limit 0 prints all", counted(done.rows, "row")));
    }
    Ok(0)
}

/// The query without its limit. Errors: CONFIG_3001 or INDEX_7001 for unknown names.
fn select(args: &QueryArgs, reader: &Reader) -> Result<String> {
    if let Some(sql) = &args.sql {
        return Ok(sql.trim().trim_end_matches(';').to_owned());
    }
    let collection = &args.into;
    // A look-up that finds nothing: it is here for its error, which names the nearest collection.
    reader.get(collection, "")?;
    let condition = match (&args.index, &args.equals, &args.condition) {
        (Some(index), Some(value), _) => {
            reader.index_key(collection, index, "null")?;
            let key = if args.text { IndexKey::Text(value.clone()) } else { index_key(value) };
            match key {
                IndexKey::Null => format!("\"{index}\" IS NULL"),
                key => format!("\"{index}\" = {}", literal(&key)),
            }
        }
        // The line break keeps a comment at the condition's end from swallowing what follows.
        (_, _, Some(condition)) => {
            return Ok(format!("SELECT id, body FROM \"{collection}\" WHERE ({condition}\n) ORDER BY id"));
        }
        _ => return Ok(format!("SELECT id, body FROM \"{collection}\" ORDER BY id")),
    };
    // With a plain `id` SQLite may walk the key's index in order instead of using the one asked for.
    Ok(format!("SELECT id, body FROM \"{collection}\" WHERE {condition} ORDER BY +id"))
}

fn literal(key: &IndexKey) -> String {
    match key {
        IndexKey::Null => "NULL".to_owned(),
        IndexKey::Integer(n) => n.to_string(),
        IndexKey::Real(n) => format!("{n:?}"),
        IndexKey::Text(text) => format!("'{}'", text.replace('\'', "''")),
    }
}

/// An error of a condition with the columns there are; other errors as they are.
fn explained(error: Error, args: &QueryArgs, reader: &Reader) -> Error {
    let (Code::ConfigInvalid, Some(_)) = (error.code(), &args.condition) else { return error };
    let Ok(indexes) = reader.indexes(Some(&args.into)) else { return error };
    let names: String = indexes.iter().map(|index| format!(", {}", index.name)).collect();
    error.hint(format!(
        "the condition stands in SELECT id, body FROM {} WHERE (…); the columns are id, body, batch{names}; other members are body ->> '$.name'",
        args.into
    ))
}

/// What the columns of a result are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// `id` and `body`; the body is JSON.
    Items,
    /// SQLite's plan: id, parent, unused, detail.
    Plan,
    /// Anything.
    Any,
}

/// Prints rows as they come.
struct Rows<'a> {
    form: Form,
    columns: Columns,
    collection: &'a Name,
    count: bool,
    on_terminal: bool,
    page: Vec<Vec<String>>,
    printed: u64,
    printer: &'a mut Printer,
}

impl Rows<'_> {
    fn row(&mut self, names: &[String], values: &[SqlValue]) -> Result<(), Stop> {
        match self.form {
            Form::Table => self.table_row(names, values)?,
            Form::Ndjson => {
                let object = self.object(names, values)?;
                self.printer.line(&object)?;
            }
            Form::Json => {
                let object = self.object(names, values)?;
                let before = if self.printed == 0 { "[\n" } else { ",\n" };
                self.printer.write(format!("{before}{object}").as_bytes())?;
            }
            Form::Csv => {
                if self.printed == 0 {
                    self.csv_names(names)?;
                }
                self.csv_line(values.iter().map(shown))?;
            }
        }
        self.printed += 1;
        if self.printer.closed() { Err(Stop::Closed) } else { Ok(()) }
    }

    /// What a form needs after the last row.
    fn end(&mut self, names: &[String]) -> Result<()> {
        match self.form {
            Form::Table if self.page.is_empty() => Ok(()),
            Form::Table => self.print_page(names),
            Form::Ndjson => Ok(()),
            Form::Json => self.printer.line(if self.printed == 0 { "[]" } else { "\n]" }),
            Form::Csv if self.printed == 0 => self.csv_names(names),
            Form::Csv => Ok(()),
        }
    }

    fn table_row(&mut self, names: &[String], values: &[SqlValue]) -> Result<()> {
        if self.count {
            return self.printer.line(&values.iter().map(shown).collect::<String>());
        }
        if self.columns == Columns::Plan {
            return self.printer.line(&printable(&values.last().map(shown).unwrap_or_default()));
        }
        self.page.push(values.iter().map(shown).collect());
        if self.page.len() < TABLE_ROWS_MAX { Ok(()) } else { self.print_page(names) }
    }

    fn print_page(&mut self, names: &[String]) -> Result<()> {
        let mut page = std::mem::take(&mut self.page);
        if let Some(width) = width() {
            page.iter_mut().flatten().for_each(|cell| *cell = printable(cell).into_owned());
            fit(&mut page, names, usize::from(width));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.printer.line(&table(&names, page))
    }

    /// A row as one line of JSON; columns of the same name are numbered. A body keeps its own bytes.
    fn object(&self, names: &[String], values: &[SqlValue]) -> Result<String> {
        if let (Columns::Items, [SqlValue::Text(id), SqlValue::Text(body)]) = (self.columns, values) {
            return Ok(format!("{{\"id\":{},\"body\":{}}}", json_text(id), body_line(self.collection, id, body)?));
        }
        let mut members = Vec::with_capacity(values.len());
        for (i, (name, value)) in names.iter().zip(values).enumerate() {
            let earlier = names[..i].iter().filter(|n| *n == name).count();
            let name = if earlier == 0 { name.clone() } else { format!("{name}_{}", earlier + 1) };
            let value = match value {
                SqlValue::Null => serde_json::Value::Null,
                SqlValue::Integer(n) => (*n).into(),
                SqlValue::Real(n) => (*n).into(),
                SqlValue::Text(_) | SqlValue::Blob(_) => shown(value).into(),
            };
            members.push(format!("{}:{value}", json_text(&name)));
        }
        Ok(format!("{{{}}}", members.join(",")))
    }

    fn csv_names(&mut self, names: &[String]) -> Result<()> {
        self.csv_line(names.iter().cloned())
    }

    fn csv_line(&mut self, values: impl Iterator<Item = String>) -> Result<()> {
        let fields: Vec<String> = values.map(|value| csv_field(&value)).collect();
        let line = fields.join(",");
        // A terminal obeys control characters; elsewhere the bytes are kept.
        if self.on_terminal { self.printer.line(&printable(&line)) } else { self.printer.line(&line) }
    }
}

/// Cuts the values so that each row takes one line: the last column gives way first, then all of them.
fn fit(page: &mut [Vec<String>], names: &[String], width: usize) {
    // Each column has a space on both sides.
    let Some(last) = names.len().checked_sub(1) else { return };
    let free = width.saturating_sub(2 * names.len());
    let widest = |i: usize| page.iter().map(|row| row[i].chars().count()).chain([names[i].chars().count()]).max();
    let others: usize = (0..last).filter_map(widest).sum();
    let share = free / names.len();
    let least = share.clamp(1, 20);
    let (of_others, of_last) =
        if others + least <= free { (usize::MAX, free - others) } else { (share.max(1), share.max(1)) };
    for row in page {
        for (i, cell) in row.iter_mut().enumerate() {
            let most = if i == last { of_last } else { of_others };
            if most < usize::MAX {
                *cell = cut(cell, most);
            }
        }
    }
}

fn shown(value: &SqlValue) -> String {
    match value {
        SqlValue::Null => String::new(),
        SqlValue::Integer(n) => n.to_string(),
        SqlValue::Real(n) => format!("{n:?}"),
        SqlValue::Text(text) => text.clone(),
        SqlValue::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_field_is_quoted_where_it_must_be() {
        assert_eq!(csv_field("plain text"), "plain text");
        assert_eq!(csv_field("a,b"), "\"a,b\"");
        assert_eq!(csv_field("say \"a\"\n"), "\"say \"\"a\"\"\n\"");
    }

    #[test]
    fn a_text_value_cannot_leave_its_quotes() {
        assert_eq!(literal(&IndexKey::Text("' OR 1=1 --".to_owned())), "''' OR 1=1 --'");
        assert_eq!(literal(&IndexKey::Real(1e20)), "1e20");
    }

    #[test]
    fn the_last_column_gives_way_first() {
        let names = ["id".to_owned(), "body".to_owned()];
        let mut page = vec![vec!["task-1".to_owned(), "x".repeat(100)]];
        fit(&mut page, &names, 40);
        assert_eq!((page[0][0].as_str(), page[0][1].chars().count()), ("task-1", 30));
        let mut narrow = vec![vec!["i".repeat(100), "x".repeat(100)]];
        fit(&mut narrow, &names, 24);
        assert!(narrow[0].iter().all(|cell| cell.chars().count() == 10));
    }
}
