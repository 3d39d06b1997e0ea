//! A machine on virtual time, for tests: a reader, lanes and a writer that work side by side, as the coordinator's do.
//!
//! What a machine costs and how its load changes stands in `machines/*.toml`, with what is expected of the adaptive
//! strategy there. `cargo test --release --lib strategy::simulator -- --nocapture` prints a table of what it reaches.

mod tests;

use std::collections::VecDeque;

use serde::Deserialize;

use super::plant::Dice;
use super::{Aim, BatchSample, Bounds, Interval, Planned, Signals, Strategy};
use crate::limits::GROUP_ITEMS_MAX;
use crate::model::Plan;

/// A machine, as its file tells.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// What it stands for.
    pub about: String,
    pub batch_size: [usize; 2],
    pub lanes: [usize; 2],
    /// Lanes that can really work at the same time; more of them only take turns.
    pub cores: f64,
    #[serde(default)]
    pub read: Cost,
    #[serde(default)]
    pub guest: Cost,
    #[serde(default)]
    pub write: Cost,
    /// Of a group: fixed once, and for each item.
    #[serde(default)]
    pub commit: Cost,
    /// Each further lane at work slows all of them down by this part.
    #[serde(default)]
    pub contention: f64,
    /// Standard deviation of each time, relative to it.
    #[serde(default)]
    pub noise: f64,
    /// Share of the memory that an item under way takes.
    #[serde(default)]
    pub memory_per_item: f64,
    /// Items at which a batch closes before it is as large as planned (by its bytes, for example).
    pub closes_at: Option<usize>,
    #[serde(default)]
    pub aim: Aim,
    pub batch_time_max_us: Option<u64>,
    /// How the load changes; an empty list is a machine that stays the same.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// After the last phase comes the first again.
    #[serde(default)]
    pub repeat: bool,
    pub expect: Expect,
}

/// `fixed + item · n + square · n²` microseconds.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    fixed: f64,
    item: f64,
    square: f64,
}

impl Cost {
    fn us(self, items: f64) -> f64 {
        self.fixed + self.item * items + self.square * items * items
    }
}

/// A part of the time. What has two values goes from the first to the second in a straight line.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Phase {
    seconds: f64,
    /// Time of guests, of what it is else.
    slower: [f64; 2],
    /// Fixed cost of a guest call, of what it is else.
    fixed: [f64; 2],
    /// Time of COMMIT, of what it is else.
    commit: [f64; 2],
    /// Memory in use by others.
    memory: [f64; 2],
    /// Items that fail.
    errors: [f64; 2],
    wal_mb: [f64; 2],
    unhealthy: bool,
}

impl Default for Phase {
    fn default() -> Self {
        Self {
            seconds: f64::INFINITY,
            slower: [1.0; 2],
            fixed: [1.0; 2],
            commit: [1.0; 2],
            memory: [0.4; 2],
            errors: [0.0; 2],
            wal_mb: [0.0; 2],
            unhealthy: false,
        }
    }
}

/// What the adaptive strategy must do on this machine, beside staying within its bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Items after the first 30 batches, of those that the best fixed setting of the whole grid gives in the same time:
    /// of the 300 batches that follow, or of the whole schedule of phases. The least and the most: well above 1 the grid would
    /// be too coarse, or the machine not what its file says.
    pub reached: [f64; 2],
    /// The same of the last batches of a long run, on a machine that stays the same.
    pub settled: Option<[f64; 2]>,
    /// The same of the items of the strategy `sequential`, over the whole run.
    pub sequential_min: f64,
    /// Plans that reverse the direction of the one before, of all plans.
    pub reversals_max: f64,
    /// Batches after a change until 90 % of what the grid's best gives from then on.
    pub recovery_max: Option<usize>,
    /// The smallest size, of the largest, that was planned while the load was unusual.
    pub shrinks_to_max: Option<f64>,
    /// Batches later than this number must keep `batch_time_max_us`, 95 of 100.
    pub in_time_after: Option<usize>,
}

/// The load at one moment.
#[derive(Debug, Clone, Copy)]
struct Load {
    slower: f64,
    fixed: f64,
    commit: f64,
    memory: f64,
    errors: f64,
    wal_mb: f64,
    unhealthy: bool,
}

impl Phase {
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The same all the time.
    pub fn constant(&self) -> bool {
        [self.slower, self.fixed, self.commit, self.memory, self.errors, self.wal_mb].iter().all(|[a, b]| a == b)
    }

    /// Something is short or fails, so that plans are to be smaller than throughput alone would have them.
    pub fn troubled(&self) -> bool {
        self.memory != Self::default().memory || self.errors != [0.0; 2] || self.wal_mb != [0.0; 2] || self.unhealthy
    }

    fn load(&self, part: f64) -> Load {
        let at = |[from, to]: [f64; 2]| from + (to - from) * part;
        Load {
            slower: at(self.slower),
            fixed: at(self.fixed),
            commit: at(self.commit),
            memory: at(self.memory),
            errors: at(self.errors),
            wal_mb: at(self.wal_mb),
            unhealthy: self.unhealthy,
        }
    }
}

impl Machine {
    pub fn signals(&self) -> Signals {
        let interval = |[min, max]: [usize; 2]| Interval::new(min, max).unwrap();
        let mut signals =
            Signals::new(Bounds { batch_size: interval(self.batch_size), lanes: interval(self.lanes), start: None });
        (signals.aim, signals.batch_time_max_us) = (self.aim, self.batch_time_max_us);
        signals
    }

    /// When each phase begins, in microseconds.
    pub fn changes(&self) -> Vec<(f64, Phase)> {
        let mut at = 0.0;
        let begins = |phase: &Phase| {
            let begin = at;
            at += phase.seconds * 1e6;
            (begin, *phase)
        };
        self.phases.iter().map(begins).collect()
    }

    /// This machine staying as it is in one phase.
    pub fn frozen(&self, phase: Phase) -> Self {
        Self { phases: vec![Phase { seconds: f64::INFINITY, ..phase }], repeat: false, noise: 0.0, ..self.clone() }
    }

    fn load(&self, at_us: f64) -> Load {
        let whole: f64 = self.phases.iter().map(|phase| phase.seconds).sum();
        let mut left = if self.repeat { (at_us / 1e6) % whole } else { at_us / 1e6 };
        for phase in &self.phases {
            if left < phase.seconds {
                return phase.load(if phase.seconds.is_finite() { left / phase.seconds } else { 0.0 });
            }
            left -= phase.seconds;
        }
        self.phases.last().map_or(Phase::default().load(0.0), |phase| phase.load(1.0))
    }
}

/// A batch between its cut and the writer.
struct Computed {
    sample: BatchSample,
    cut_us: f64,
    ready_us: f64,
}

/// A run on a machine.
pub struct Run<'a> {
    machine: &'a Machine,
    dice: Dice,
    pub signals: Signals,
    pub plans: Vec<Planned>,
    /// Signals that each plan was made from, if they are to be kept.
    pub recorded: Option<Vec<Signals>>,
    /// Every committed batch: when, and what it was.
    pub committed: Vec<BatchSample>,
    /// Commits that the strategy has not seen yet.
    unseen: VecDeque<BatchSample>,
    reader_us: f64,
    writer_us: f64,
    /// Until when each of the latest computations goes on, and since when.
    lanes: VecDeque<(f64, f64)>,
    writes: VecDeque<(f64, f64)>,
    computed: VecDeque<Computed>,
    busy_since_us: f64,
    /// The strategy looks at no signals.
    pub blind: bool,
    pub sensors: Sensors,
}

/// What the sensors of the host say; batches and their times are told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Sensors {
    /// The truth.
    #[default]
    True,
    /// This, whatever the truth is; sizes are 0, or unknown where this is none.
    Stuck(Option<f64>),
}

impl<'a> Run<'a> {
    pub fn new(machine: &'a Machine, seed: u64) -> Self {
        Self {
            machine,
            dice: Dice(seed),
            signals: machine.signals(),
            plans: Vec::new(),
            recorded: None,
            committed: Vec::new(),
            unseen: VecDeque::new(),
            reader_us: 0.0,
            writer_us: 0.0,
            lanes: VecDeque::new(),
            writes: VecDeque::new(),
            computed: VecDeque::new(),
            busy_since_us: 0.0,
            blind: false,
            sensors: Sensors::default(),
        }
    }

    /// Plans and runs batches until so many are planned, or until this moment.
    pub fn run(mut self, strategy: &mut dyn Strategy, batches: usize, until_us: f64) -> Self {
        while self.plans.len() < batches && self.reader_us < until_us {
            self.wait_for_room();
            self.sense();
            if let Some(recorded) = &mut self.recorded {
                recorded.push(self.signals.clone());
            }
            let planned = strategy.plan(&self.signals);
            let plan = planned.plan;
            self.plans.push(planned);
            self.compute(plan);
        }
        self.write(f64::INFINITY);
        self
    }

    /// The reader waits while as many batches are under way as the last plan allows.
    fn wait_for_room(&mut self) {
        let window = self.plans.last().map_or(1, |planned| planned.plan.batches_in_flight);
        loop {
            self.write(self.reader_us);
            while self.unseen.front().is_some_and(|sample| sample.committed_us as f64 <= self.reader_us) {
                let sample = self.unseen.pop_front().unwrap();
                if !self.blind {
                    self.signals.committed(sample);
                }
            }
            let committed = self.committed.len() - self.unseen.len();
            if self.plans.len() - committed < window {
                return;
            }
            if self.unseen.is_empty() {
                let next = self.computed.front().map_or(0.0, |batch| batch.ready_us);
                self.write(next.max(self.writer_us));
            }
            let next = self.unseen.front().map_or(0.0, |sample| sample.committed_us as f64);
            self.reader_us = self.reader_us.max(next);
        }
    }

    /// What the sensors show now.
    fn sense(&mut self) {
        let now = self.reader_us;
        if self.blind {
            self.lanes.retain(|(_, to)| *to > now);
            self.writes.clear();
            return;
        }
        let load = self.machine.load(now);
        let under_way: u64 = self.unseen.iter().map(|sample| sample.items).sum::<u64>()
            + self.computed.iter().map(|batch| batch.sample.items).sum::<u64>();
        let memory = load.memory + under_way as f64 * self.machine.memory_per_item;
        self.signals.sequence = self.plans.len() as u64;
        self.signals.memory_share = Some(memory);
        self.signals.unhealthy = load.unhealthy;
        self.signals.wal_bytes = Some((load.wal_mb * 1e6) as u64);
        let since = self.busy_since_us;
        if now - since >= 50_000.0 {
            let busy = |spans: &VecDeque<(f64, f64)>| {
                spans.iter().map(|(from, to)| (to.min(now) - from.max(since)).max(0.0)).sum::<f64>() / (now - since)
            };
            let (lanes, writer) = (busy(&self.lanes), busy(&self.writes).min(1.0));
            let planned = self.plans.last().map_or(1, |planned| planned.plan.lanes);
            self.signals.lanes_busy = Some((lanes / planned as f64).min(1.0));
            self.signals.writer_busy = Some(writer);
            self.signals.cpu_share = Some((lanes / self.machine.cores).min(1.0));
            self.busy_since_us = now;
            self.lanes.retain(|(_, to)| *to > now);
            self.writes.retain(|(_, to)| *to > now);
        }
        if let Sensors::Stuck(share) = self.sensors {
            let signals = &mut self.signals;
            (signals.cpu_share, signals.memory_share) = (share, share);
            (signals.lanes_busy, signals.writer_busy) = (share, share);
            (signals.process_bytes, signals.wal_bytes) = (share.map(|_| 0), share.map(|_| 0));
        }
    }

    fn noisy(&mut self, us: f64) -> f64 {
        us * (1.0 + self.machine.noise * self.dice.bell()).max(0.05)
    }

    /// Reads a batch and computes it on the next free lane.
    fn compute(&mut self, plan: Plan) {
        let count = plan.batch_size.min(self.machine.closes_at.unwrap_or(usize::MAX));
        let items = count as f64;
        let read_us = self.noisy(self.machine.read.us(items));
        let cut_us = self.reader_us + read_us;
        self.reader_us = cut_us;
        let mut ends: Vec<f64> = self.lanes.iter().map(|(_, to)| *to).filter(|to| *to > cut_us).collect();
        ends.sort_by(|a, b| b.total_cmp(a));
        let begin_us = ends.get(plan.lanes - 1).copied().unwrap_or(cut_us);
        let at_work = 1.0 + ends.iter().filter(|to| **to > begin_us).count() as f64;
        let load = self.machine.load(begin_us);
        let machine = self.machine;
        let crowd = (at_work / machine.cores).max(1.0) * (1.0 + machine.contention * (at_work - 1.0));
        let guest = Cost { fixed: machine.guest.fixed * load.fixed, ..machine.guest };
        let guest_us = self.noisy(guest.us(items) * load.slower * crowd);
        let ready_us = begin_us + guest_us;
        self.lanes.push_back((begin_us, ready_us));
        let sample = BatchSample {
            batch: self.plans.len() as u64 - 1,
            plan_size: plan.batch_size as u64,
            plan_lanes: plan.lanes as u64,
            items: count as u64,
            failed: (items * load.errors) as u64,
            read_us: read_us as u64,
            operate_us: guest_us as u64,
            compute_us: (ready_us - cut_us) as u64,
            ..BatchSample::default()
        };
        self.computed.push_back(Computed { sample, cut_us, ready_us });
    }

    /// The writer takes what is ready, in order, whenever it is free before this moment.
    fn write(&mut self, until_us: f64) {
        while let Some(first) = self.computed.front() {
            let begin_us = self.writer_us.max(first.ready_us).max(first.cut_us);
            if begin_us > until_us {
                return;
            }
            let mut group = Vec::new();
            let mut items = 0;
            let mut at_us = begin_us;
            while let Some(next) = self.computed.front() {
                let size = next.sample.items as usize;
                if next.ready_us > begin_us || !group.is_empty() && items + size > GROUP_ITEMS_MAX {
                    break;
                }
                let write_us = self.noisy(self.machine.write.us(size as f64));
                let next = self.computed.pop_front().unwrap();
                group.push((next.ready_us, BatchSample { write_us: write_us as u64, ..next.sample }));
                items += size;
                at_us += write_us;
            }
            let load = self.machine.load(at_us);
            let written_us = at_us;
            let commit_us = self.noisy(self.machine.commit.us(items as f64) * load.commit);
            self.writer_us = at_us + commit_us;
            self.writes.push_back((begin_us, self.writer_us));
            for (ready_us, sample) in group {
                let committed_us = self.writer_us.ceil() as u64;
                let wait_us = ((written_us - ready_us) as u64).saturating_sub(sample.write_us);
                let sample = BatchSample { wait_us, commit_us: commit_us as u64, committed_us, ..sample };
                self.committed.push(sample);
                self.unseen.push_back(sample);
            }
        }
    }

    /// Items committed from one moment to another.
    pub fn items(&self, from_us: f64, to_us: f64) -> f64 {
        let within = |sample: &&BatchSample| (from_us..to_us).contains(&(sample.committed_us as f64));
        self.committed.iter().filter(within).map(|sample| sample.items as f64).sum()
    }
}

/// The same plan again and again.
pub struct Fixed(pub Plan);

impl Strategy for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn plan(&mut self, _: &Signals) -> Planned {
        Planned { plan: self.0, reason: None }
    }
}
