//! How long an exchange takes, and what batches take meanwhile.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use atlas_host::coordinator::{SwapRequest, SwapSource, WatchedFile, swap};
use atlas_host::event::{Envelope, Event};
use atlas_host::model::Name;
use serde::Serialize;

use super::live::{self, Component, Events, SLOT, Tickets};

/// Items of a batch.
const BATCH: usize = 500;
/// Batches between two exchanges, which are the usual ones.
const BETWEEN: usize = 20;
/// How long another process waits for an answer.
const WAIT: Duration = Duration::from_secs(60);

/// Quantiles of some times, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Spread {
    pub samples: usize,
    pub median_ms: f64,
    pub p95_ms: f64,
    pub longest_ms: f64,
}

/// One way to exchange a plugin.
#[derive(Debug, Serialize)]
pub struct Way {
    pub way: &'static str,
    /// From the new plugin to the batch that was cut with it.
    pub to_effect: Spread,
    /// From cut to commit, of batches between the request and the end of the probation.
    pub batches_during: Spread,
    /// Of all others.
    pub batches_usual: Spread,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Times {
    pub component: String,
    pub swaps: u64,
    pub batch: usize,
    pub ways: Vec<Way>,
}

/// Exchanges the component and its twin for each other, both compiled before: by a file that is followed, and by the command.
pub fn times(component: &Component, swaps: u64, compiler: Option<PathBuf>) -> Result<Times> {
    let ways =
        vec![way("--watch", component, swaps, compiler.clone())?, way("plugins swap", component, swaps, compiler)?];
    Ok(Times { component: component.name.clone(), swaps, batch: BATCH, ways })
}

fn way(way: &'static str, component: &Component, swaps: u64, compiler: Option<PathBuf>) -> Result<Way> {
    let folder = tempfile::tempdir()?;
    let host = live::host(&folder.path().join("cache"), compiler)?;
    let both = [component.twin(), Component { name: component.name.clone(), bytes: component.bytes.clone() }];
    for one in &both {
        host.load_plugin_bytes(one.bytes.clone().into(), &one.name)?;
    }
    let (store, file) = (folder.path().join("out.db"), folder.path().join("work.wasm"));
    std::fs::write(&file, &component.bytes)?;
    let tickets = Tickets::default();
    let (mut job, mut events) = live::job(&host, component, &tickets, &store, BATCH)?;
    let slot = Name::parse(SLOT).context("a slot")?;
    let watches = way == "--watch";
    job.inbox = true;
    if watches {
        job.watch.push(WatchedFile { slot: slot.clone(), path: file.clone() });
    }
    let (mut to_effect, mut batches) = (Vec::new(), Batches::default());
    std::thread::scope(|scope| -> Result<()> {
        let run = scope.spawn(|| host.run(job));
        let measured = (|| -> Result<()> {
            events.batches(BETWEEN)?;
            let uuid = uuid_of(&mut events, &mut batches)?;
            for number in 0..swaps {
                let next = &both[(number % 2) as usize];
                let request = SwapRequest {
                    slot: slot.clone(),
                    name: next.name.clone(),
                    bytes: next.bytes.clone().into(),
                    source: SwapSource::Command,
                };
                // Writing a file waits for the disk, which the store keeps busy: what counts begins when it is written.
                if watches {
                    std::fs::write(&file, &next.bytes)?;
                }
                let begun = Instant::now();
                let asked = match watches {
                    true => None,
                    false => {
                        let (store, uuid) = (store.clone(), uuid.clone());
                        Some(scope.spawn(move || swap(&store, &uuid, &request, WAIT)))
                    }
                };
                let (from, ..) = events.until(&["requested"])?;
                events.until(&["took-effect"])?;
                to_effect.push(begun.elapsed().as_secs_f64() * 1e3);
                let (to, ..) = events.until(&["settled"])?;
                if let Some(asked) = asked {
                    asked.join().expect("no panic")?;
                }
                events.batches(BETWEEN)?;
                batches.look(&events.take(), Some((from, to)));
            }
            Ok(())
        })();
        tickets.stop();
        drop(events.rest());
        let report = run.join().expect("no panic");
        measured?;
        report.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        Ok(())
    })?;
    Ok(Way {
        way,
        to_effect: spread(to_effect),
        batches_during: spread(batches.during),
        batches_usual: spread(batches.usual),
    })
}

/// Of the run, once it has begun.
fn uuid_of(events: &mut Events, batches: &mut Batches) -> Result<String> {
    let seen = events.take();
    let uuid = seen.iter().find_map(|envelope| match &envelope.event {
        Event::RunStarted(started) => Some(started.uuid.clone()),
        _ => None,
    });
    batches.look(&seen, None);
    uuid.context("the run has not begun")
}

/// Times of batches, in milliseconds.
#[derive(Default)]
struct Batches {
    /// When those under way were cut.
    cut: HashMap<u64, u64>,
    during: Vec<f64>,
    usual: Vec<f64>,
}

impl Batches {
    /// Batches are of the exchange if any of their time is.
    fn look(&mut self, events: &[Envelope], exchange: Option<(u64, u64)>) {
        for envelope in events {
            match &envelope.event {
                Event::BatchStarted { batch, .. } => {
                    self.cut.insert(*batch, envelope.elapsed_us);
                }
                Event::BatchCommitted(done) => {
                    let Some(cut) = self.cut.remove(&done.batch) else { continue };
                    let ms = (envelope.elapsed_us - cut) as f64 / 1e3;
                    match exchange {
                        Some((from, to)) if envelope.elapsed_us >= from && cut <= to => self.during.push(ms),
                        _ => self.usual.push(ms),
                    }
                }
                _ => {}
            }
        }
    }
}

fn spread(mut samples: Vec<f64>) -> Spread {
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| samples.get(((samples.len() as f64 * share) as usize).min(samples.len().max(1) - 1)).copied();
    let at = |share| at(share).unwrap_or(f64::NAN);
    Spread { samples: samples.len(), median_ms: at(0.5), p95_ms: at(0.95), longest_ms: at(1.0) }
}

impl Times {
    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} swaps each of {}, compiled before, under load in batches of {}.\n\n\
             | way | to effect: median | p95 | longest | batches during it: p95 | usual p95 | ratio |\n|---|---|---|---|---|---|---|\n",
            self.swaps, self.component, self.batch
        );
        for Way { way, to_effect, batches_during, batches_usual } in &self.ways {
            text.push_str(&format!(
                "| `{way}` | {:.0} ms | {:.0} ms | {:.0} ms | {:.1} ms | {:.1} ms | {:.2} |\n",
                to_effect.median_ms,
                to_effect.p95_ms,
                to_effect.longest_ms,
                batches_during.p95_ms,
                batches_usual.p95_ms,
                batches_during.p95_ms / batches_usual.p95_ms
            ));
        }
        text
    }
}
