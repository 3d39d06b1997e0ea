//! How well the adaptive strategy finds its batch size and lanes: beside the best cell of a grid of fixed ones.
//!
//! A *cold* start knows nothing: its store is new. A *warm* one begins with what a run before it has learned in the same
//! store. That store holds rows already, so a warm start is compared with the best cell and with the sequential
//! strategy in their second run: everybody's second input goes into the store of their own first.

mod drawing;
mod plans;
mod report;
mod setting;
mod waiting;
mod workload;

use std::path::Path;

use anyhow::Result;

use super::measure;
use super::peers::{Machine, Peers};
use super::report::Region;
use super::statistics::{median, seconds};
use plans::Plan;
use setting::Setting;
use workload::{Inputs, Workload};

/// Rounds of the grid, which only say which cell is the best: more of them would take longer than they tell.
const GRID_ROUNDS_MAX: u32 = 3;
/// See [`race`].
const HOPELESS: f64 = 2.0;
/// What the number of items is found with: a cell in the middle of the good ones.
const PROBE: Setting = Setting::Fixed { batch_size: 316, lanes: 2 };
const PROBES: u32 = 3;
/// Items of the first of them.
const PROBE_ITEMS: u64 = 200;

/// What was measured of one workload.
pub struct Tuned {
    workload: Workload,
    /// Of one run.
    items: u64,
    /// Into a new store: every cell of the grid.
    grid: Vec<Measured>,
    /// Into a new store, after that: the best cell, the sequential strategy, a cold start. The best of many medians is good by
    /// luck as well, and so is measured anew.
    first: Vec<Measured>,
    /// Into the store of a run before it: the best cell, the sequential strategy, a warm start.
    second: Vec<Measured>,
}

/// The runs of one setting.
struct Measured {
    setting: Setting,
    runs: Vec<Run>,
}

struct Run {
    /// Seconds.
    wall: f64,
    /// Empty unless the strategy looks for its plans.
    plans: Vec<Plan>,
}

/// Measures every workload. One run of it takes about so many seconds where it is fast.
pub fn measure(peers: &Peers, rounds: u32, seconds: f64) -> Result<Vec<Tuned>> {
    let (grid_rounds, rounds) = (rounds.min(GRID_ROUNDS_MAX) as usize, rounds as usize);
    let mut all = Vec::new();
    for workload in Workload::all(peers)? {
        let items = suitable_items(peers, &workload, seconds)?;
        let inputs = workload.write_inputs(peers, items)?;
        let into_new_store = |setting| run(peers, &workload, setting, &inputs.first, &peers.fresh_folder()?);
        let grid: Vec<Setting> = Setting::grid().collect();
        let grid = race(&workload, "grid", &grid, grid_rounds, into_new_store)?;
        let finalists = [best(&grid).setting, Setting::Sequential, Setting::Adaptive];
        let first = race(&workload, "first run", &finalists, rounds, into_new_store)?;
        let second = race(&workload, "second run", &finalists, rounds, |setting| {
            let folder = peers.fresh_folder()?;
            run(peers, &workload, setting, &inputs.first, &folder)?;
            run(peers, &workload, setting, &inputs.second, &folder)
        })?;
        all.push(Tuned { workload, items, grid, first, second });
    }
    peers.fresh_folder()?;
    Inputs::remove(peers)?;
    Ok(all)
}

/// Writes tables, samples and the drawing beside those of the other sections, and into the page if `page` is one.
pub fn publish(peers: &Peers, machine: &Machine, tuned: &[Tuned], page: Option<&Path>) -> Result<()> {
    let (text, drawing) = (report::markdown(machine, tuned), drawing::svg(tuned));
    super::write(&peers.work.join("tuning.md"), &text)?;
    super::write(&peers.work.join("tuning.json"), &report::json(machine, tuned)?)?;
    super::write(&peers.work.join("tuning.svg"), &drawing)?;
    if let Some(page) = page {
        super::replace(page, Region::TUNING, &text)?;
        super::write(&page.with_file_name("tuning.svg"), &drawing)?;
    }
    print!("{text}");
    Ok(())
}

/// So many items that a run takes about so long, in two digits, and has batches enough. Machines differ too much for fixed
/// numbers.
fn suitable_items(peers: &Peers, workload: &Workload, seconds: f64) -> Result<u64> {
    let mut items = PROBE_ITEMS;
    loop {
        let inputs = workload.write_inputs(peers, items)?;
        // The fastest of several: the first one compiles the plugins, and whatever else the machine does only slows down.
        let mut took = f64::INFINITY;
        for _ in 0..PROBES {
            took = took.min(run(peers, workload, PROBE, &inputs.first, &peers.fresh_folder()?)?.wall);
        }
        let wanted = items as f64 * seconds / took;
        // What a process takes to start must not count for much.
        if took >= seconds / 2.0 {
            let wanted = wanted.max(workload.items_min() as f64);
            let digits = 10f64.powf(wanted.log10().floor() - 1.0).max(1.0);
            return Ok(((wanted / digits).round() * digits) as u64);
        }
        items = wanted.min(items as f64 * 10.0).ceil() as u64;
    }
}

/// Runs every setting once per round. Rounds begin at settings that lie far apart, so that none always comes late. A cell
/// that took more than twice as long as the best one in the first round is not run again: no median makes it the best, and
/// the slowest cells would take most of the time.
fn race(
    workload: &Workload,
    which: &str,
    settings: &[Setting],
    rounds: usize,
    mut run: impl FnMut(Setting) -> Result<Run>,
) -> Result<Vec<Measured>> {
    let count = settings.len();
    let mut all: Vec<Measured> =
        settings.iter().map(|setting| Measured { setting: *setting, runs: Vec::new() }).collect();
    let mut fastest = f64::INFINITY;
    for round in 0..rounds {
        for turn in 0..count {
            let hopeless = |one: &Measured| one.is_cell() && one.wall() > HOPELESS * fastest;
            let one = &mut all[(turn + round * count / rounds) % count];
            if round > 0 && hopeless(one) {
                continue;
            }
            let taken = run(one.setting)?;
            let (key, setting, wall) = (workload.key, one.setting, seconds(taken.wall));
            eprintln!("tuning, {key}: {which}, round {} of {rounds}: {setting} {wall}", round + 1);
            one.runs.push(taken);
        }
        if round == 0 {
            fastest = all.iter().filter(|one| one.is_cell()).map(Measured::wall).fold(f64::INFINITY, f64::min);
        }
    }
    Ok(all)
}

/// One run into the store in this folder. Its exit code tells that every item was stored, since they are all good.
fn run(peers: &Peers, workload: &Workload, setting: Setting, input: &Path, folder: &Path) -> Result<Run> {
    let events = folder.join("events.ndjson");
    let mut command = workload.command(peers, input);
    command.arg("--store").arg(folder.join("measured.db")).args(setting.arguments());
    let looks = setting == Setting::Adaptive;
    if looks {
        // A few hundred lines: if they cost anything, then at the expense of this strategy alone.
        command.arg("--events").arg(&events);
    }
    let wall = measure::run(command, false, &peers.work)?.wall;
    Ok(Run { wall, plans: if looks { plans::read(&events)? } else { Vec::new() } })
}

/// The cell with most items per second.
fn best(grid: &[Measured]) -> &Measured {
    grid.iter().min_by(|a, b| a.wall().total_cmp(&b.wall())).expect("BUG: a grid has a cell")
}

impl Measured {
    /// One of the grid.
    fn is_cell(&self) -> bool {
        matches!(self.setting, Setting::Fixed { .. })
    }

    fn walls(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.wall).collect()
    }

    /// Median, in seconds.
    fn wall(&self) -> f64 {
        median(&self.walls())
    }

    /// The run that took the median, or was nearest to it.
    fn typical(&self) -> &Run {
        let away = |run: &Run| (run.wall - self.wall()).abs();
        self.runs.iter().min_by(|a, b| away(a).total_cmp(&away(b))).expect("BUG: every setting ran")
    }
}

impl Tuned {
    /// The best cell of the grid, in its first run of the final rounds.
    fn best(&self) -> &Measured {
        of(&self.first, best(&self.grid).setting)
    }

    fn cold(&self) -> &Measured {
        of(&self.first, Setting::Adaptive)
    }

    fn warm(&self) -> &Measured {
        of(&self.second, Setting::Adaptive)
    }

    fn items_per_s(&self, measured: &Measured) -> f64 {
        self.items as f64 / measured.wall()
    }

    /// Throughput of a cold start, that of the best cell being 1.
    fn cold_by_best(&self) -> f64 {
        self.best().wall() / self.cold().wall()
    }

    /// Throughput of a warm start, that of the best cell in its second run being 1.
    fn warm_by_best(&self) -> f64 {
        of(&self.second, self.best().setting).wall() / self.warm().wall()
    }

    /// Throughput of a cold or a warm start, whichever is worse, that of the sequential strategy being 1.
    fn worse_by_sequential(&self) -> f64 {
        let sequential = |measured| of(measured, Setting::Sequential).wall();
        (sequential(&self.first) / self.cold().wall()).min(sequential(&self.second) / self.warm().wall())
    }
}

fn of(measured: &[Measured], setting: Setting) -> &Measured {
    measured.iter().find(|one| one.setting == setting).expect("BUG: every race has this setting")
}
