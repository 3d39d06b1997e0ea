//! The yardstick of the benchmark: the job of `ticket-rules` and `ticket-tidy` by hand, without sandbox, history or resume.
//!
//! `native_loader INPUT STORE ROWS [sorted]`: reads tickets as NDJSON, judges and tidies them, and puts them with three
//! indexes into SQLite, ROWS to a transaction. `sorted` adds what the host does too and few would think of: rows in the order of
//! their keys within a transaction, and a checkpoint of the log every 16,000 pages instead of every 1,000.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "blocked"];

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -65536;
    CREATE TABLE items (
        id TEXT PRIMARY KEY NOT NULL,
        body TEXT NOT NULL,
        status AS (body ->> '$.status'),
        path AS (body ->> '$.path'),
        priority AS (body ->> '$.priority')
    );
    CREATE INDEX items_status ON items (status);
    CREATE INDEX items_path ON items (path);
    CREATE INDEX items_priority ON items (priority);
    CREATE TABLE refused (line TEXT, reason TEXT);";

#[derive(Serialize, Deserialize)]
struct Ticket {
    id: String,
    path: String,
    title: String,
    status: String,
    priority: u32,
    tags: Vec<String>,
    created: u64,
    notes: String,
    #[serde(default)]
    slug: String,
    #[serde(default)]
    score: f64,
}

/// What becomes of one line.
enum Row {
    Item { id: String, body: String },
    Refused { line: String, reason: String },
}

impl Row {
    fn key(&self) -> &str {
        match self {
            Row::Item { id, .. } => id,
            Row::Refused { .. } => "",
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (input, store, rows, sorted) = match &arguments[..] {
        [input, store, rows] => (input, store, rows, false),
        [input, store, rows, sorted] if sorted == "sorted" => (input, store, rows, true),
        _ => bail!("usage: native_loader INPUT STORE ROWS [sorted]"),
    };
    let rows: usize = rows.parse().ok().filter(|rows| *rows > 0).context("ROWS is a number from 1")?;
    let mut lines = BufReader::with_capacity(1 << 20, File::open(input).with_context(|| input.clone())?).lines();

    let mut connection = Connection::open(store).with_context(|| store.clone())?;
    connection.execute_batch(SCHEMA).context("the store is not a new file")?;
    if sorted {
        connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
    }
    loop {
        let mut batch = Vec::with_capacity(rows);
        for line in lines.by_ref().take(rows) {
            batch.push(judged(line.with_context(|| input.clone())?)?);
        }
        if batch.is_empty() {
            return Ok(());
        }
        if sorted {
            // Stable, so that of two rows with one key the last still wins.
            batch.sort_by(|a, b| a.key().cmp(b.key()));
        }
        write(&mut connection, &batch)?;
    }
}

fn judged(line: String) -> Result<Row> {
    let mut ticket: Ticket = match serde_json::from_str(&line) {
        Ok(ticket) => ticket,
        Err(error) => return Ok(Row::Refused { line, reason: error.to_string() }),
    };
    if let Some(rule) = broken_rule(&ticket) {
        return Ok(Row::Refused { line, reason: rule.to_owned() });
    }
    tidy(&mut ticket);
    let body = serde_json::to_string(&ticket)?;
    Ok(Row::Item { id: ticket.id, body })
}

fn broken_rule(ticket: &Ticket) -> Option<&'static str> {
    let rules = [
        ("title", (1..=200).contains(&ticket.title.len())),
        ("status", STATUSES.contains(&ticket.status.as_str())),
        ("priority", ticket.priority <= 9),
        ("tags", ticket.tags.len() <= 10),
    ];
    rules.into_iter().find(|(_, kept)| !kept).map(|(rule, _)| rule)
}

/// Slug, score, and tags in lower case, sorted, each once.
fn tidy(ticket: &mut Ticket) {
    let mut slug = String::with_capacity(ticket.title.len());
    for c in ticket.title.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    ticket.slug = slug;
    ticket.tags.iter_mut().for_each(|tag| tag.make_ascii_lowercase());
    ticket.tags.sort();
    ticket.tags.dedup();
    ticket.score = f64::from(ticket.priority) / (1.0 + ticket.tags.len() as f64);
}

fn write(connection: &mut Connection, batch: &[Row]) -> Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut put = transaction.prepare_cached(
            "INSERT INTO items (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        )?;
        let mut refuse = transaction.prepare_cached("INSERT INTO refused VALUES (?1, ?2)")?;
        for row in batch {
            match row {
                Row::Item { id, body } => put.execute(params![id, body])?,
                Row::Refused { line, reason } => refuse.execute(params![line, reason])?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}
