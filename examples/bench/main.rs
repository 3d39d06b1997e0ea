//! The benchmark: loads the same items with every contestant in turn, and tells what that took as tables, as JSON and
//! as a drawing.
//!
//! `run` beside this file sets up what it needs and starts it. Invariant: it writes below `target/bench` and nowhere
//! else, but for `--publish`.

mod drawing;
mod hardware;
mod measure;
mod peers;
mod report;
mod results;
mod rows;
mod sections;
mod statistics;
mod tuning;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};

use peers::{Machine, Peers};
use report::Region;
use results::Results;
use rows::Rows;
use sections::{Contestant, Section};

/// Measure the host beside other loaders of SQLite
#[derive(Parser)]
struct Arguments {
    /// Numbers of tickets of the main job; the other sections take the largest or the smallest
    #[arg(long, value_delimiter = ',', default_value = "300000,1000000", value_parser = clap::value_parser!(u64).range(100..))]
    items: Vec<u64>,
    /// Rounds; each runs every contestant of a section once
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Sections to measure; default: all
    #[arg(long, value_enum, value_delimiter = ',')]
    sections: Vec<Kind>,
    /// Measure the section tuning alone
    #[arg(long, conflicts_with = "sections")]
    tuning: bool,
    /// What a fast run of the section tuning takes, about, in seconds; its workloads are made that large
    #[arg(long, default_value = "2", value_parser = seconds)]
    tuning_seconds: f64,
    /// Run the slow peers at every size, not at the smallest alone
    #[arg(long)]
    all_peers: bool,
    /// Put tables and drawing into the page beside this program as well
    #[arg(long)]
    publish: bool,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The main job: judge, tidy, store with three indexes
    Main,
    /// Memory and time at a tenth of the items and at all of them
    Memory,
    /// One item, whole process
    One,
    /// Items stored as they are, without plugin and index
    Plain,
    /// A plugin that computes for a millisecond, on one lane and on two
    Lanes,
    /// CPU time of a call and of everything around it, nothing stored
    Call,
    /// The adaptive strategy beside a grid of fixed batch sizes and lanes
    Tuning,
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|seconds| (0.1..=60.0).contains(seconds)).ok_or("wanted 0.1 to 60".to_owned())
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.tuning {
        arguments.sections = vec![Kind::Tuning];
    }
    let wanted = |kind: &Kind| arguments.sections.is_empty() || arguments.sections.contains(kind);
    let peers = Peers::find(wanted(&Kind::Main) || wanted(&Kind::Plain))?;
    let (smallest, largest) = (arguments.items.iter().min(), arguments.items.iter().max());
    let (smallest, largest) = (*smallest.context("no size")?, *largest.context("no size")?);

    let mut sections = Vec::new();
    for kind in Kind::value_variants().iter().filter(|kind| wanted(kind)) {
        match kind {
            Kind::Main => {
                for &items in &arguments.items {
                    sections.push(sections::main_job(&peers, items, arguments.all_peers || items == smallest)?);
                }
            }
            Kind::Memory => sections.push(sections::memory(&peers, largest)?),
            Kind::One => sections.push(sections::one_item(&peers)?),
            Kind::Plain => sections.push(sections::plain(&peers, smallest)?),
            Kind::Lanes => sections.push(sections::lanes(&peers, smallest / 100)?),
            Kind::Call => sections.push(sections::call(&peers, largest)?),
            // Its contestants are settings of the host, and have a report of their own.
            Kind::Tuning => {}
        }
    }
    // Before there is any load of its own.
    let machine = peers.machine()?;
    peers.warm()?;
    let mut measured = Vec::new();
    for section in sections {
        let results = race(&section, &peers, arguments.runs)?;
        measured.push((section, results));
    }
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bench"));
    let page = arguments.publish.then(|| folder.join("README.md"));
    // What was not measured keeps its place in the page.
    if !measured.is_empty() {
        publish(&peers, &machine, &measured, page.as_deref())?;
    }
    if wanted(&Kind::Tuning) {
        let tuned = tuning::measure(&peers, arguments.runs, arguments.tuning_seconds)?;
        tuning::publish(&peers, &machine, &tuned, page.as_deref())?;
    }
    Ok(())
}

/// Runs every contestant of a section once per round. Who begins changes from round to round, so that nobody always
/// meets the disk as the same other has left it.
fn race(section: &Section<'_>, peers: &Peers, runs: u32) -> Result<Results> {
    let count = section.contestants.len();
    let mut results = Results::new(&section.contestants);
    let mut stored: Vec<Option<Rows>> = vec![None; count];
    let rounds = runs * section.rounds_per_run;
    for round in 0..rounds as usize {
        for turn in 0..count {
            let place = (turn + round) % count;
            let contestant = &section.contestants[place];
            let folder = peers.fresh_folder()?;
            let store = folder.join("measured.db");
            let sample = measure::run((contestant.command)(&store), section.brief, &peers.work)?;
            if round == 0 && contestant.compared {
                stored[place] =
                    Some(rows::read(&store).with_context(|| format!("{} stored no rows", contestant.name))?);
            }
            if rounds == runs {
                let seconds = statistics::seconds(sample.wall);
                eprintln!("{}: round {} of {rounds}: {} {seconds}", section.key, round + 1, contestant.name);
            }
            results.add(place, sample);
        }
        if round == 0 {
            same_rows(&section.contestants, &stored)?;
        }
    }
    peers.fresh_folder()?;
    Ok(results)
}

/// Who did other work than the others has no place in a comparison.
fn same_rows(contestants: &[Contestant<'_>], stored: &[Option<Rows>]) -> Result<()> {
    let mut first: Option<(&Contestant<'_>, &Rows)> = None;
    for (contestant, rows) in contestants.iter().zip(stored) {
        let Some(rows) = rows else { continue };
        ensure!(
            rows.count == contestant.items,
            "{} stored {} rows of {} items. hint: it is another job than that of the others",
            contestant.name,
            rows.count,
            contestant.items
        );
        match first {
            Some((other, wanted)) if other.items == contestant.items && wanted != rows => bail!(
                "{} stored other rows than {}: their digests are {} and {}. hint: it is another job than that of the others",
                contestant.name,
                other.name,
                rows.digest,
                wanted.digest
            ),
            _ => first = Some((contestant, rows)),
        }
    }
    Ok(())
}

fn publish(peers: &Peers, machine: &Machine, measured: &[(Section<'_>, Results)], page: Option<&Path>) -> Result<()> {
    let text = report::markdown(machine, measured);
    let drawing = drawing::svg(measured);
    write(&peers.work.join("report.md"), &text)?;
    write(&peers.work.join("report.json"), &report::json(machine, measured)?)?;
    if let Some(drawing) = &drawing {
        write(&peers.work.join("figures.svg"), drawing)?;
    }
    if let Some(page) = page {
        replace(page, Region::SECTIONS, &text)?;
        if let Some(drawing) = &drawing {
            write(&page.with_file_name("figures.svg"), drawing)?;
        }
    }
    print!("{text}");
    Ok(())
}

/// Puts a report into its place in the page.
fn replace(page: &Path, region: Region, report: &str) -> Result<()> {
    let old = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    write(page, &report::replaced(&old, region, report)?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
