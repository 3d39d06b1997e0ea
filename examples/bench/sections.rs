//! What is measured: for each section who takes part, and what the host is held to.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::peers::Peers;
use super::results::{Goal, Results, Target};
use super::statistics::{grouped, max, median};

pub const ATLAS: &str = "atlas-host";
const NATIVE: &str = "native";
const TUNED: &str = "native, tuned";
const NODE: &str = "Node.js";
const SQLITE_UTILS: &str = "sqlite-utils";
const SHELL: &str = "sqlite3";
const TENTH: &str = "atlas-host, a tenth";
const ONE_LANE: &str = "one lane";
const TWO_LANES: &str = "two lanes";
const NO_PLUGIN: &str = "no plugin";
const IDENTITY: &str = "identity";

/// Contestants that do the same job, and what becomes of their figures.
pub struct Section<'a> {
    /// For progress and the report as JSON.
    pub key: String,
    /// What the job is.
    pub title: String,
    /// The first one is what the others are compared with.
    pub contestants: Vec<Contestant<'a>>,
    /// More than one where a single run is too brief to tell.
    pub rounds_per_run: u32,
    /// Over in milliseconds: wall time is all that is taken.
    pub brief: bool,
    /// True if the drawing shows it.
    pub drawn: bool,
    /// The figures that are more than a row of the table.
    pub goals: fn(&Results) -> Vec<Goal>,
}

/// Somebody who does the job.
pub struct Contestant<'a> {
    pub name: &'static str,
    pub items: u64,
    /// The command that stores into this file, which is not there yet.
    pub command: Box<dyn Fn(&Path) -> Command + 'a>,
    /// All that are so must store the very same rows.
    pub compared: bool,
}

impl<'a> Contestant<'a> {
    fn new(name: &'static str, items: u64, command: impl Fn(&Path) -> Command + 'a) -> Self {
        Self { name, items, command: Box::new(command), compared: false }
    }

    fn compared(name: &'static str, items: u64, command: impl Fn(&Path) -> Command + 'a) -> Self {
        Self { compared: true, ..Self::new(name, items, command) }
    }
}

/// The main job. `all` adds the slow peers, which take minutes for a million items.
pub fn main_job(peers: &Peers, items: u64, all: bool) -> Result<Section<'_>> {
    let input = peers.tickets(items)?;
    let [to_native, to_tuned, to_node, to_utils, to_atlas] = std::array::from_fn(|_| input.clone());
    let mut contestants = vec![
        Contestant::compared(NATIVE, items, move |store| peers.native(&to_native, store, &["1000"])),
        Contestant::compared(TUNED, items, move |store| peers.native(&to_tuned, store, &["10000", "sorted"])),
        Contestant::compared(ATLAS, items, move |store| peers.atlas_main_job(&to_atlas, store)),
    ];
    if all {
        contestants.push(Contestant::compared(NODE, items, move |store| peers.node(&to_node, store)));
        let converting = move |store: &Path| peers.sqlite_utils_converting(&to_utils, store);
        contestants.push(Contestant::compared(SQLITE_UTILS, items, converting));
    }
    Ok(Section {
        key: format!("main-{items}"),
        title: format!("{} tickets judged, tidied and stored with three indexes", grouped(items)),
        contestants,
        rounds_per_run: 1,
        brief: false,
        drawn: true,
        goals: |results| {
            let against = |name: &str, bound| {
                let ratio = results.of(ATLAS)?.median_wall() / results.of(name)?.median_wall();
                Some(Goal::ratio(&format!("wall time, {name} = 1"), ratio, Target::AtMost(bound)))
            };
            let cpu = || {
                let ratio = median(&results.of(ATLAS)?.cpu()) / median(&results.of(NATIVE)?.cpu());
                Some(Goal::ratio("CPU time, native = 1", ratio, Target::AtMost(0.60)))
            };
            [against(NATIVE, 0.33), cpu(), against(TUNED, 1.10), against(NODE, 0.20), against(SQLITE_UTILS, 0.12)]
                .into_iter()
                .flatten()
                .collect()
        },
    })
}

/// Memory must not depend on the length of the input, and time not on what is stored already.
pub fn memory(peers: &Peers, items: u64) -> Result<Section<'_>> {
    let (tenth, all) = (peers.tickets(items / 10)?, peers.tickets(items)?);
    Ok(Section {
        key: "memory".to_owned(),
        title: format!("The main job with {} tickets and with {}", grouped(items / 10), grouped(items)),
        contestants: vec![
            Contestant::compared(TENTH, items / 10, move |store| peers.atlas_main_job(&tenth, store)),
            Contestant::compared(ATLAS, items, move |store| peers.atlas_main_job(&all, store)),
        ],
        rounds_per_run: 1,
        brief: false,
        drawn: false,
        goals: |results| {
            let (Some(tenth), Some(all)) = (results.of(TENTH), results.of(ATLAS)) else { return Vec::new() };
            let memory = median(&all.peak()) / median(&tenth.peak());
            vec![
                Goal::new("peak memory", max(&all.peak()), " MB", Target::AtMost(150.0)),
                Goal::ratio("peak memory, a tenth of the items = 1", memory, Target::AtMost(1.10)),
                Goal::ratio(
                    "wall time, a tenth of the items = 1",
                    all.median_wall() / tenth.median_wall(),
                    Target::AtMost(12.0),
                ),
            ]
        },
    })
}

/// What it takes to start: two plugins from the cache and a new store.
pub fn one_item(peers: &Peers) -> Result<Section<'_>> {
    let input = peers.tickets(1)?;
    let body = std::fs::read_to_string(&input)?.trim_end().to_owned();
    let ticket: serde_json::Value = serde_json::from_str(&body)?;
    let id = ticket["id"].as_str().context("a ticket has an id")?.to_owned();
    Ok(Section {
        key: "one".to_owned(),
        title: "One ticket into a new store, the whole process".to_owned(),
        contestants: vec![
            Contestant::new(SHELL, 1, move |store| peers.sqlite_shell(store, &id, &body)),
            Contestant::new(ATLAS, 1, move |store| peers.atlas_tickets(&input, store)),
        ],
        rounds_per_run: 20,
        brief: true,
        drawn: false,
        goals: |results| {
            let (Some(shell), Some(atlas)) = (results.of(SHELL), results.of(ATLAS)) else { return Vec::new() };
            let bound = shell.median_wall() * 3.0 * 1e3 + 20.0;
            let what = "wall time, to be three times that of sqlite3 and 20 ms";
            vec![Goal::new(what, atlas.median_wall() * 1e3, " ms", Target::AtMost(bound))]
        },
    })
}

/// What everybody can do: items as they are.
pub fn plain(peers: &Peers, items: u64) -> Result<Section<'_>> {
    let (to_utils, to_atlas) = (peers.tickets(items)?, peers.tickets(items)?);
    Ok(Section {
        key: "plain".to_owned(),
        title: format!("{} tickets stored as they are, without plugin and index", grouped(items)),
        contestants: vec![
            Contestant::compared(SQLITE_UTILS, items, move |store| peers.sqlite_utils_plain(&to_utils, store)),
            Contestant::compared(ATLAS, items, move |store| {
                let mut command = peers.atlas(&to_atlas, &[]);
                command.arg("--store").arg(store);
                command
            }),
        ],
        rounds_per_run: 1,
        brief: false,
        drawn: false,
        goals: |results| {
            let (Some(utils), Some(atlas)) = (results.of(SQLITE_UTILS), results.of(ATLAS)) else { return Vec::new() };
            let ratio = atlas.median_wall() / utils.median_wall();
            vec![Goal::ratio("wall time, sqlite-utils = 1", ratio, Target::AtMost(0.35))]
        },
    })
}

/// A plugin that needs a millisecond for an item: what a second core is worth.
pub fn lanes(peers: &Peers, items: u64) -> Result<Section<'_>> {
    let (to_one, to_two) = (peers.busy_items(items)?, peers.busy_items(items)?);
    let with = |lanes: &'static str, input: &Path, store: &Path| {
        let mut command = peers.atlas_with("faulty", input, &["--lanes", lanes]);
        command.arg("--store").arg(store);
        command
    };
    Ok(Section {
        key: "lanes".to_owned(),
        title: format!("{} items, each with a millisecond of computing in its plugin", grouped(items)),
        contestants: vec![
            Contestant::compared(ONE_LANE, items, move |store| with("1", &to_one, store)),
            Contestant::compared(TWO_LANES, items, move |store| with("2", &to_two, store)),
        ],
        rounds_per_run: 1,
        brief: false,
        drawn: false,
        goals: |results| {
            let (Some(one), Some(two)) = (results.of(ONE_LANE), results.of(TWO_LANES)) else { return Vec::new() };
            let throughput = one.median_wall() / two.median_wall();
            vec![Goal::ratio("throughput of two lanes, one lane = 1", throughput, Target::AtLeast(1.85))]
        },
    })
}

/// What the host adds to an item: read, judge, call, pass on.
pub fn call(peers: &Peers, items: u64) -> Result<Section<'_>> {
    let (to_none, to_identity) = (peers.tickets(items)?, peers.tickets(items)?);
    const UNSTORED: [&str; 4] = ["--processor", "memory", "--batch-size", "1000"];
    Ok(Section {
        key: "call".to_owned(),
        title: format!("{} tickets through a plugin that keeps them, printed to /dev/null", grouped(items)),
        contestants: vec![
            Contestant::new(NO_PLUGIN, items, move |_| peers.atlas(&to_none, &UNSTORED)),
            Contestant::new(IDENTITY, items, move |_| peers.atlas_with("identity", &to_identity, &UNSTORED)),
        ],
        rounds_per_run: 1,
        brief: false,
        drawn: false,
        goals: |results| {
            let (Some(none), Some(identity)) = (results.of(NO_PLUGIN), results.of(IDENTITY)) else {
                return Vec::new();
            };
            let (none, identity) = (none.cpu_us_per_item(), identity.cpu_us_per_item());
            vec![
                Goal::new("CPU time per item, with the plugin", identity, " µs", Target::AtMost(1.2)),
                Goal { what: "CPU time per item, without".to_owned(), measured: none, unit: " µs", target: None },
            ]
        },
    })
}
