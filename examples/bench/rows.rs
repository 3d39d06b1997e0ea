//! What a contestant has stored, in a form that does not depend on how it stores it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Number, Value};

/// The rows of a table: how many, and a digest over their canonical JSON, sorted by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    pub count: u64,
    pub digest: String,
}

/// Reads the table `items`: rows with a column `body` are that JSON, others an object of their columns.
///
/// Errors: there is no such table, or a row is not what it should be.
pub fn read(store: &Path) -> Result<Rows> {
    let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // Not `*`: that would name the generated columns too.
    let columns: Vec<String> = connection
        .prepare("SELECT name FROM pragma_table_info('items')")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let has_body = columns.iter().any(|column| column == "body");
    let wanted = if has_body { "body".to_owned() } else { columns.join(", ") };
    let mut statement = connection.prepare(&format!("SELECT {wanted} FROM items ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let mut hasher = blake3::Hasher::new();
    let (mut count, mut text) = (0, String::new());
    while let Some(row) = rows.next()? {
        let item = if has_body { serde_json::from_str(row.get_ref(0)?.as_str()?)? } else { object(row, &columns)? };
        text.clear();
        canonical(&item, &mut text);
        text.push('\n');
        hasher.update(text.as_bytes());
        count += 1;
    }
    Ok(Rows { count, digest: hasher.finalize().to_hex()[..16].to_owned() })
}

/// A row of plain columns. The list of tags is in its column as JSON: SQLite has no lists.
fn object(row: &Row<'_>, columns: &[String]) -> Result<Value> {
    let mut members = serde_json::Map::new();
    for (at, column) in columns.iter().enumerate() {
        let value = match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => Number::from_f64(number).context("a number that JSON cannot hold")?.into(),
            ValueRef::Text(text) if column == "tags" => serde_json::from_slice(text)?,
            ValueRef::Text(text) => std::str::from_utf8(text)?.into(),
            ValueRef::Blob(_) => anyhow::bail!("column {column} holds a blob, wanted text or a number"),
        };
        members.insert(column.clone(), value);
    }
    Ok(Value::Object(members))
}

/// Members sorted by name, and numbers as what they are worth: one loader writes 2.0 where another writes 2.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            for (name, member) in sorted {
                let _ = write!(out, "{name:?}:");
                canonical(member, out);
                out.push(',');
            }
        }
        Value::Array(elements) => {
            out.push('[');
            for element in elements {
                canonical(element, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Number(number) => {
            let _ = write!(out, "{:?}", number.as_f64());
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}
