//! The workloads: plugins, and items for them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::super::peers::Peers;
use super::waiting;

/// A large ticket, in bytes.
const LARGE_BYTES: usize = 64 << 10;

/// Batches of a run at the least: what looks for the best plan needs some twenty of them.
const BATCHES_MIN: u64 = 30;
/// Size that an adaptive run within the bounds of the grid begins with.
const START_SIZE: u64 = 316;
/// A batch is closed at 8 MiB.
const LARGE_BATCH: u64 = (8 << 20) / LARGE_BYTES as u64;

/// A chain of plugins, and what its items are like.
pub struct Workload {
    /// For progress and the report as JSON.
    pub key: &'static str,
    /// What the job is.
    pub title: String,
    validator: Option<PathBuf>,
    operation: PathBuf,
    items: Items,
}

#[derive(Clone, Copy)]
enum Items {
    /// Tickets, as the generator makes them.
    Tickets,
    /// Tickets with long notes.
    LargeTickets,
    /// What keeps `faulty` busy for about a quarter of a millisecond, see `Peers::busy_item`.
    Busy,
    /// An id and nothing else.
    Bare,
}

/// Files with as many items of one workload, no id in both of them.
pub struct Inputs {
    pub first: PathBuf,
    pub second: PathBuf,
}

impl Workload {
    /// Each is short of something else: the writer, the CPU, nothing but patience, bytes.
    ///
    /// Errors: a plugin of our own cannot be made.
    pub fn all(peers: &Peers) -> Result<Vec<Self>> {
        let waits = peers.work.join("waiting.wasm");
        waiting::write(&waits)?;
        let (call_ms, item_ms) = (waiting::CALL_US as f64 / 1e3, waiting::ITEM_US as f64 / 1e3);
        Ok(vec![
            Self {
                key: "light",
                title: "tickets, judged and tidied".to_owned(),
                validator: Some(peers.guest("ticket-rules")),
                operation: peers.guest("ticket-tidy"),
                items: Items::Tickets,
            },
            Self {
                key: "busy",
                title: "items of a quarter of a millisecond of computing each".to_owned(),
                validator: None,
                operation: peers.guest("faulty"),
                items: Items::Busy,
            },
            Self {
                key: "waiting",
                title: format!("items of {item_ms} ms of waiting each, and {call_ms} ms for each call"),
                validator: None,
                operation: waits,
                items: Items::Bare,
            },
            Self {
                key: "large",
                title: "tickets of 64 KiB, tidied".to_owned(),
                validator: None,
                operation: peers.guest("ticket-tidy"),
                items: Items::LargeTickets,
            },
        ])
    }

    /// Items that a run must have so that there is something to find out in it: batches enough, whatever it takes.
    pub fn items_min(&self) -> u64 {
        let batch = match self.items {
            Items::LargeTickets => LARGE_BATCH,
            _ => START_SIZE,
        };
        BATCHES_MIN * batch
    }

    /// Without store and strategy.
    pub fn command(&self, peers: &Peers, input: &Path) -> Command {
        let mut command = peers.atlas(input, &[]);
        command.arg("--plugin").arg(&self.operation);
        if let Some(validator) = &self.validator {
            command.arg("--validator").arg(validator);
        }
        command
    }

    /// So many items for a first run and so many for a second one, in place of those before.
    pub fn write_inputs(&self, peers: &Peers, count: u64) -> Result<Inputs> {
        let inputs = Inputs::at(peers);
        let mut first = BufWriter::new(File::create(&inputs.first)?);
        let mut second = BufWriter::new(File::create(&inputs.second)?);
        let mut number = 0;
        let mut put = |line: &str| {
            let out = if number < count { &mut first } else { &mut second };
            number += 1;
            writeln!(out, "{line}")
        };
        match self.items {
            Items::Busy => (0..2 * count).try_for_each(|id| put(&Peers::busy_item(id, 1)))?,
            Items::Bare => (0..2 * count).try_for_each(|id| put(&format!(r#"{{"id":"{id}"}}"#)))?,
            Items::Tickets | Items::LargeTickets => {
                let tickets = peers.work.join("tuning-tickets.ndjson");
                peers.generate_tickets(2 * count, &tickets)?;
                for line in BufReader::new(File::open(&tickets)?).lines() {
                    let line = line?;
                    match self.items {
                        Items::LargeTickets => put(&lengthened(&line)?)?,
                        _ => put(&line)?,
                    }
                }
                fs::remove_file(tickets)?;
            }
        }
        ensure!(number == 2 * count, "there are {number} items for two runs of {count}");
        first.flush()?;
        second.flush()?;
        Ok(inputs)
    }
}

impl Inputs {
    fn at(peers: &Peers) -> Self {
        let file = |name: &str| peers.work.join(name);
        Self { first: file("tuning-first.ndjson"), second: file("tuning-second.ndjson") }
    }

    /// They take hundreds of megabytes, and another time may need other ones.
    pub fn remove(peers: &Peers) -> Result<()> {
        let inputs = Self::at(peers);
        fs::remove_file(inputs.first)?;
        Ok(fs::remove_file(inputs.second)?)
    }
}

/// The ticket with its notes, the last member, said again and again.
fn lengthened(ticket: &str) -> Result<String> {
    let (before, notes) = ticket
        .strip_suffix("\"}")
        .and_then(|ticket| ticket.rsplit_once("\"notes\":\""))
        .context("a ticket ends with its notes")?;
    let mut line = format!("{before}\"notes\":\"{notes}");
    while line.len() + notes.len() + 3 <= LARGE_BYTES {
        line.push(' ');
        line.push_str(notes);
    }
    Ok(line + "\"}")
}
