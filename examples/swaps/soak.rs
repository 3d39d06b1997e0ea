//! Many exchanges, one language for the other, and what is left of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use atlas_host::coordinator::{Host, Job, RunReport};
use atlas_host::event::{Envelope, Event};
use atlas_host::model::{Digest, RunNumber};
use atlas_host::store::{Durability, Reader};
use serde::Serialize;

use super::live::{self, Component, SLOT, Tickets, ticket};
use super::process::Held;

/// Items of a batch.
const BATCH: usize = 50;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Soak {
    pub components: Vec<String>,
    pub swaps: u64,
    pub took_effect: u64,
    /// Components that were cut off, and kept away.
    pub refused: u64,
    pub items: u64,
    pub batches: u64,
    /// Items that one plugin alone stores and this run did not, or otherwise.
    pub lost: u64,
    /// Rows that this run has and one plugin alone does not make.
    pub doubled: u64,
    /// Batches that name another plugin than the store says, or one that was not in force then.
    pub mixed: u64,
    pub seconds: f64,
    /// The most that the process held in each quarter of the swaps.
    pub quarters: Vec<Held>,
    /// Sandboxes after the run.
    pub sandboxes_left: usize,
}

/// Exchanges these components for each other, each once before any comes again. Every tenth time one comes that is cut off.
pub fn soak(components: &[Component], swaps: u64, compiler: Option<PathBuf>) -> Result<Soak> {
    let folder = tempfile::tempdir()?;
    let host = live::host(&folder.path().join("cache"), compiler)?;
    // One for the other needs two.
    let twin = components.first().map(Component::twin);
    let components: Vec<&Component> = match components {
        [one] => vec![one, twin.as_ref().context("a twin")?],
        more => more.iter().collect(),
    };
    for component in &components {
        host.load_plugin_bytes(component.bytes.clone().into(), &component.name)?;
    }
    let store = folder.path().join("out.db");
    let tickets = Tickets::default();
    let (mut job, mut events) = live::job(&host, components[0], &tickets, &store, BATCH)?;
    // One language takes a hundred times as long as the other; this is about something else.
    job.swap.slowdown_max = 1_000_000;
    let begun = Instant::now();
    let mut held = Vec::new();
    let (mut took_effect, mut refused, mut checks) = (0, 0, Checks::default());
    let report = std::thread::scope(|scope| -> Result<RunReport> {
        let run = scope.spawn(|| host.run(job));
        let swapped = (|| -> Result<()> {
            events.batches(5)?;
            for swap in 0..swaps {
                let next = components[((took_effect + 1) % components.len() as u64) as usize];
                if swap % 10 == 9 {
                    let half = next.bytes[..next.bytes.len() / 2].to_vec();
                    events.swap(&Component { name: "cut off".to_owned(), bytes: half })?;
                    events.until(&["refused"])?;
                    refused += 1;
                } else {
                    events.swap(next)?;
                    events.until(&["took-effect"]).with_context(|| format!("swap {swap}, {}", next.name))?;
                    took_effect += 1;
                    // Else the next one comes while this one is on probation.
                    if swap % 3 == 0 {
                        events.until(&["settled"])?;
                    }
                }
                checks.look(&events.take())?;
                held.push(Held::now());
            }
            Ok(())
        })();
        tickets.stop();
        checks.look(&events.rest())?;
        let report = run.join().expect("no panic");
        swapped?;
        report.map_err(|failure| anyhow::anyhow!("{failure:?}"))
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let known = components.iter().map(|component| Digest::of(&component.bytes).to_string()).collect();
    let mixed = checks.mixed(&store, report.run, &known)?;
    let alone = folder.path().join("alone.db");
    reference(&host, components[0], report.counts.read, &alone)?;
    let (lost, doubled) = differences(&store, &alone)?;
    let quarter = held.len().div_ceil(4).max(1);
    Ok(Soak {
        components: components.iter().map(|component| component.name.clone()).collect(),
        swaps,
        took_effect,
        refused,
        items: report.counts.read,
        batches: checks.batches,
        lost,
        doubled,
        mixed,
        seconds,
        quarters: held.chunks(quarter).map(Held::most).collect(),
        sandboxes_left: host.sandboxes(),
    })
}

/// What the events of batches say.
#[derive(Default)]
struct Checks {
    batches: u64,
    next: u64,
    /// Digest from a batch on, where it changed.
    borders: Vec<(u64, String)>,
}

impl Checks {
    fn look(&mut self, events: &[Envelope]) -> Result<()> {
        for envelope in events {
            let Event::BatchCommitted(done) = &envelope.event else { continue };
            ensure!(done.first_ordinal == self.next, "batch {} begins at {}", done.batch, done.first_ordinal);
            self.next = done.last_ordinal + 1;
            self.batches += 1;
            let mut digests = done.digests.iter().filter(|(slot, _)| slot == SLOT).map(|(_, digest)| digest);
            let (Some(digest), None) = (digests.next(), digests.next()) else {
                anyhow::bail!("batch {} has not one plugin in its slot", done.batch)
            };
            if self.borders.last().is_none_or(|(_, last)| last != digest) {
                self.borders.push((done.batch, digest.clone()));
            }
        }
        Ok(())
    }

    /// Borders that the store does not know as they are, or the other way round.
    fn mixed(&self, store: &Path, run: u64, known: &BTreeSet<String>) -> Result<u64> {
        let mut stored: Vec<(u64, String)> = Vec::new();
        for plugin in Reader::open(store)?.plugins(RunNumber(run))? {
            let digest = plugin.digest.context("a digest")?.to_string();
            stored.push((plugin.from_batch.0, digest));
        }
        stored.sort();
        let differing = self.borders.iter().filter(|border| !stored.contains(border) || !known.contains(&border.1));
        Ok(differing.count() as u64 + stored.len().abs_diff(self.borders.len()) as u64)
    }
}

/// The same tickets through one plugin that stays.
fn reference(host: &Host, component: &Component, items: u64, store: &Path) -> Result<()> {
    let plugin = host.load_plugin_bytes(component.bytes.clone().into(), &component.name)?;
    let mut job = Job::of_items((0..items).map(ticket), store, "items")?.id("id")?.operation_plugin(plugin);
    job.durability = Durability::Normal;
    host.run(job).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    Ok(())
}

/// Rows that the other file alone has, and rows that the first alone has.
fn differences(store: &Path, alone: &Path) -> Result<(u64, u64)> {
    let connection = rusqlite::Connection::open(store)?;
    connection.execute("ATTACH ?1 AS alone", [alone.to_string_lossy()])?;
    let count = |from: &str, but: &str| -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM (SELECT id, body FROM {from} EXCEPT SELECT id, body FROM {but})");
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(|count| count as u64)
    };
    Ok((count("alone.items", "main.items")?, count("main.items", "alone.items")?))
}

impl Soak {
    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} swaps of {} under load in {:.0} s: {} took effect, {} that were cut off were refused.\n{} items in {} batches: \
             {} lost, {} doubled, {} batches mixed.\n\n| quarter of the swaps | memory | threads | descriptors |\n|---|---|---|---|\n",
            self.swaps,
            self.components.join(", "),
            self.seconds,
            self.took_effect,
            self.refused,
            self.items,
            self.batches,
            self.lost,
            self.doubled,
            self.mixed
        );
        for (number, held) in self.quarters.iter().enumerate() {
            let Held { resident_kb, threads, descriptors } = held;
            text.push_str(&format!("| {} | {} MB | {threads} | {descriptors} |\n", number + 1, resident_kb / 1000));
        }
        text
    }
}
