//! The search for the setting with most items per second: try a neighbour, keep it or go back, settle.

use super::meter::{Measured, Meter};
use super::{BATCH_TIME_US, Setting};
use crate::strategy::cost::Fit;
use crate::strategy::optimum::{CPU_SHORT, Pressure, optimal_batch_size, optimal_lanes};
use crate::strategy::{Interval, Phase, Signals, lanes_in_words, signals};

/// Smallest gain or loss that counts. Doubling the size where a batch costs `a + b·n` gains less than this only where
/// at least 90 % of the best throughput is reached already: the gain is `a / (a + 2bn)`.
const GAIN_MIN: f64 = 0.05;
/// Largest loss that counts as none, where giving something back is the aim.
const LOSS_MAX: f64 = 0.02;
/// A measurement shorter than this says little, in microseconds, unless it covers [`BATCHES_ENOUGH`].
const TIME_MIN_US: u64 = 20_000;
/// See [`TIME_MIN_US`].
const BATCHES_ENOUGH: u64 = 16;
/// Measurements without a look around, after the first search; doubled after each search in vain.
const PATIENCE: u32 = 16;
/// See [`PATIENCE`].
const PATIENCE_MAX: u32 = 256;
/// Throughput that differs this much from what it was, twice running, means that the work has changed.
const DRIFT: f64 = 0.25;
/// Largest factor of one step in size.
const STEP_MAX: f64 = 4.0;
/// Smallest one. Half of it away from the best size a batch costing `a + b·n + c·n²` still has 94 % of the throughput.
const STEP_MIN: f64 = 2.0;
/// Batches that share a COMMIT from which on their size does not matter to it.
const GROUP_OF_MANY: f64 = 8.0;
/// A size whose batches so far cost less than this part of the present ones, per item, is tried before others.
const CHEAPER: f64 = 0.95;
/// A larger size on trial whose batches cost less than this part is kept if it loses no throughput.
const CHEAPER_CLEAR: f64 = 0.97;
/// One whose batches cost more than this is not tried.
const DEAR: f64 = 1.1;
/// Guest time per item that differs less than by this factor from what was learned earlier means the same work.
const SAME_WORK: f64 = 1.5;
/// A difference in time per item, in microseconds, that is no other work either.
const SAME_WORK_US: f64 = 2.0;

/// Hill climbing over [`Setting`]s.
#[derive(Debug, Default)]
pub(super) struct Climb {
    state: Option<State>,
}

/// What a step may depend on beside measurements.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub signals: &'a Signals,
    /// Sizes that may be tried: the bounds, or less of them where the time of a batch is bounded.
    pub sizes: Interval,
    /// What batches cost so far.
    pub fit: &'a Fit,
    /// The slowest stage by that.
    pub slowest: Option<Phase>,
}

#[derive(Debug)]
struct State {
    setting: Setting,
    /// Throughput of the setting that is kept.
    kept: Option<Measured>,
    probe: Option<Probe>,
    search: Search,
    /// Measurements until the next look around, once no neighbour is better.
    rest: u32,
    patience: u32,
    drifts: u32,
    /// The work has become another, since last asked.
    drifted: Option<String>,
    /// Measurements until lanes may be tried again, and until giving way to CPU may be tried again.
    lanes_wait: u32,
    cpu_wait: u32,
    cpu_patience: u32,
    gave_way: bool,
    /// Guest time per item that an earlier run had with this very setting, in microseconds, if its sample was good.
    trusted_us: Option<f64>,
    /// Sizes measured in this search, with their rates, at these lanes.
    sizes: Vec<(usize, f64)>,
}

/// A neighbour on trial.
#[derive(Debug, Clone, Copy)]
struct Probe {
    from: Setting,
    of: Measured,
    trial: Trial,
}

/// What a probe has to show to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// More throughput, with larger or smaller batches.
    Size { up: bool },
    /// More throughput, between sizes that were measured.
    Between,
    /// More throughput.
    MoreLanes,
    /// No less throughput: the lanes stood idle.
    FewerLanes,
    /// No less throughput: the CPUs are saturated.
    GiveWay,
}

/// Which neighbours in size are still to be tried.
#[derive(Debug, Clone, Copy)]
struct Search {
    step: f64,
    up: bool,
    /// Neighbours known to be no better: below, above.
    closed: [bool; 2],
    /// It has gone past the best with a long step, and takes a short one at the end.
    last: bool,
}

impl Search {
    fn new() -> Self {
        Self { step: STEP_MIN, up: true, closed: [false, false], last: false }
    }

    /// No neighbour is worth a try any more.
    fn ended() -> Self {
        Self { step: 0.0, up: true, closed: [true, true], last: true }
    }
}

impl Climb {
    /// The setting to plan with; none before the start.
    pub fn setting(&self) -> Option<Setting> {
        self.state.as_ref().map(|s| s.setting)
    }

    /// Begins anew from here.
    pub fn restart(&mut self, setting: Setting) {
        self.state = Some(State {
            setting,
            kept: None,
            probe: None,
            search: Search::new(),
            rest: 0,
            patience: PATIENCE,
            drifts: 0,
            drifted: None,
            lanes_wait: 0,
            cpu_wait: 0,
            cpu_patience: PATIENCE,
            gave_way: false,
            trusted_us: None,
            sizes: Vec::new(),
        });
    }

    /// Takes the setting for good without a search, if an item still costs what it did when it was found.
    pub fn trust(&mut self, guest_us_per_item: f64) {
        if let Some(state) = &mut self.state {
            state.trusted_us = Some(guest_us_per_item);
        }
    }

    /// The setting that is kept, and what it was measured at.
    pub fn kept(&self) -> Option<(Setting, Measured)> {
        let state = self.state.as_ref()?;
        Some((state.probe.map_or(state.setting, |probe| probe.from), state.kept?))
    }

    /// Once after the throughput was found to have changed for good: how.
    pub fn drifted(&mut self) -> Option<String> {
        self.state.as_mut()?.drifted.take()
    }

    /// The setting, if nothing is searched for.
    pub fn settled(&self) -> Option<Setting> {
        self.state.as_ref().filter(|state| state.rest > 0).map(|state| state.setting)
    }

    /// Keeps the setting for a while; its throughput is measured anew.
    pub fn settle(&mut self) {
        self.cancel();
        if let Some(state) = &mut self.state {
            state.search = Search::ended();
            state.rest = 0;
        }
    }

    /// Moves to this size and looks around again from there: the sizes that may be tried have changed.
    pub fn resize(&mut self, size: usize) {
        self.cancel();
        if let Some(state) = &mut self.state {
            state.setting.size = size;
            state.begin_search();
            state.rest = 0;
        }
    }

    /// Ends a probe without a verdict, and measures the kept setting anew before the next.
    pub fn cancel(&mut self) {
        if let Some(state) = &mut self.state {
            if let Some(probe) = state.probe.take() {
                state.setting = probe.from;
            }
            state.kept = None;
        }
    }

    /// Gives up a size whose batches take far too long.
    pub fn shorten(&mut self, view: View<'_>) -> Option<String> {
        self.state.as_mut()?.shorten(view)
    }

    /// Looks at what was measured; the reason if the setting changes.
    pub fn step(&mut self, meter: &mut Meter, view: View<'_>) -> Option<String> {
        let state = self.state.as_mut()?;
        let measured = meter.measured()?;
        match state.probe {
            Some(probe) => state.judge(probe, measured, view),
            None => {
                let (batches, rounds) = if state.rest > 0 { (6, 1) } else { (3, 2) };
                if !enough(&measured, batches) || measured.rounds < rounds {
                    return None;
                }
                meter.next();
                state.look(measured, view)
            }
        }
    }
}

impl State {
    /// Keeps what is on trial or goes back, as soon as the difference is clear.
    fn judge(&mut self, probe: Probe, now: Measured, view: View<'_>) -> Option<String> {
        let gain = if probe.of.rate > 0.0 { now.rate / probe.of.rate - 1.0 } else { 0.0 };
        let (batches, rounds) = match gain.abs() {
            g if g > 0.30 => (2, 1),
            g if g > 0.15 => (3, 2),
            _ => (6, 3),
        };
        if !enough(&now, batches) || now.rounds < rounds {
            return None;
        }
        let noise = probe.of.noise.hypot(now.noise);
        let margin = GAIN_MIN.max(1.5 * noise);
        let keep = match probe.trial {
            // What batches cost scatters less than when they are committed.
            Trial::Size { up: true }
                if self.compared(probe.from.size, view).is_some_and(|r| r * CHEAPER_CLEAR > 1.0) =>
            {
                gain > -LOSS_MAX
            }
            Trial::Size { .. } | Trial::MoreLanes => gain > margin,
            // Where the others say that the best is; a small gain is all there can be.
            Trial::Between => gain > 0.0,
            Trial::FewerLanes | Trial::GiveWay => gain > -LOSS_MAX.max(noise.min(GAIN_MIN)),
        };
        if self.setting.lanes == probe.from.lanes {
            self.sizes.push((self.setting.size, now.rate));
        } else if keep {
            // Other lanes, other rates.
            self.sizes = vec![(self.setting.size, now.rate)];
        }
        self.probe = None;
        let tried = self.setting;
        if keep {
            self.kept = Some(now);
        } else {
            self.setting = probe.from;
        }
        self.learn(probe.trial, keep);
        let verdict = format!(
            "{} gave {:.0} items/s, {} than {:.0} with {}",
            words(tried, probe.from),
            now.rate,
            compared(gain),
            probe.of.rate,
            words(probe.from, tried)
        );
        let next = self.propose(self.kept?, view);
        Some(match (next, keep) {
            (Some(next), _) => format!("{verdict}: {next}"),
            (None, true) => format!("{verdict}: kept"),
            (None, false) => format!("{verdict}: back"),
        })
    }

    /// What a verdict means for later probes.
    fn learn(&mut self, trial: Trial, kept: bool) {
        match trial {
            Trial::Size { .. } if kept && self.search.last => self.search = Search::ended(),
            Trial::Size { up } if kept => {
                // Where it came from is worse; ahead it may stride out.
                self.search = Search { step: STEP_MAX, up, closed: [up, !up], last: false };
                self.patience = PATIENCE;
            }
            Trial::Size { up } => self.search.closed[usize::from(up)] = true,
            Trial::Between => {}
            Trial::MoreLanes | Trial::FewerLanes => self.lanes_wait = if kept { 2 } else { self.patience },
            Trial::GiveWay if kept => {
                self.gave_way = true;
                self.cpu_wait = 2;
                self.cpu_patience = PATIENCE;
            }
            Trial::GiveWay => {
                self.cpu_wait = self.cpu_patience;
                self.cpu_patience = (self.cpu_patience * 2).min(PATIENCE_MAX);
            }
        }
    }

    /// A measurement of the kept setting: notices drift, counts down, and tries the next neighbour.
    fn look(&mut self, now: Measured, view: View<'_>) -> Option<String> {
        let signals = view.signals;
        self.lanes_wait = self.lanes_wait.saturating_sub(1);
        self.cpu_wait = self.cpu_wait.saturating_sub(1);
        let mut why = None;
        if let (Some(kept), true) = (self.kept, self.rest > 0) {
            let drifted = (now.rate / kept.rate - 1.0).abs() > DRIFT;
            self.drifts = if drifted { self.drifts + 1 } else { 0 };
            self.rest -= 1;
            if self.drifts >= 2 {
                // Where to look now is told by batches of other sizes, sent ahead.
                self.drifted = Some(format!("throughput went from {:.0} to {:.0} items/s", kept.rate, now.rate));
                self.patience = PATIENCE;
                (self.drifts, self.rest) = (0, self.patience);
                self.kept = Some(now);
                return None;
            } else if self.gave_way && signals.cpu().is_some_and(|cpu| cpu < CPU_SHORT - 0.10) {
                why = Some("CPU is free again".to_owned());
                self.gave_way = false;
            } else if self.rest == 0 {
                why = Some(format!("{:.0} items/s for a while, looking again", now.rate));
                self.patience = (self.patience * 2).min(PATIENCE_MAX);
            }
            if why.is_some() {
                self.drifts = 0;
                self.rest = 0;
                self.begin_search();
            } else if drifted {
                return None;
            } else {
                let rate = 0.7 * kept.rate + 0.3 * now.rate;
                self.kept = Some(Measured { rate, ..now });
                return self
                    .propose_more_lanes(now, signals)
                    .or_else(|| self.propose_fewer_lanes(now, signals))
                    .or_else(|| self.give_way(now, view));
            }
        }
        self.kept = Some(now);
        self.sizes.push((self.setting.size, now.rate));
        if let Some(us) = self.trusted_us.take()
            && same_work(us, now.guest_us_per_item)
        {
            self.search = Search::ended();
        }
        let next = self.propose(now, view)?;
        let why = why.unwrap_or_else(|| format!("{:.0} items/s so far", now.rate));
        Some(match view.slowest {
            Some(slowest) => format!("{why}, {} takes longest: {next}", slowest.words()),
            None => format!("{why}: {next}"),
        })
    }

    fn begin_search(&mut self) {
        self.search = Search::new();
        self.sizes.clear();
    }

    /// Puts the next neighbour on trial; none if there is none, and then it settles.
    fn propose(&mut self, now: Measured, view: View<'_>) -> Option<String> {
        if let Some(next) = self.propose_more_lanes(now, view.signals) {
            return Some(next);
        }
        if view.slowest == Some(Phase::Commit) && view.fit.batches_per_group(self.setting.size) >= GROUP_OF_MANY {
            // One COMMIT serves many batches, whatever their size.
            self.search = Search::ended();
        }
        while self.search.step >= STEP_MIN {
            let down = self.neighbour(false, now, view.sizes);
            let cheaper = self.compared(down, view).is_some_and(|ratio| ratio < CHEAPER);
            let tries = if self.search.up && !cheaper { [true, false] } else { [false, true] };
            for up in tries {
                if self.search.closed[usize::from(up)] {
                    continue;
                }
                let size = self.neighbour(up, now, view.sizes);
                // What is known to be dear is tried only once in a long while: it may have become cheap unseen.
                let dear = self.patience < PATIENCE_MAX && self.compared(size, view).is_some_and(|ratio| ratio > DEAR);
                if size != self.setting.size && !dear {
                    self.search.up = up;
                    return Some(self.try_out(Setting { size, ..self.setting }, now, Trial::Size { up }));
                }
                self.search.closed[usize::from(up)] = true;
            }
            // After a long step a short one ahead is still open; behind, where it came from, is known to be worse.
            let up = self.search.up;
            self.search = match self.search.step > STEP_MIN {
                true => Search { step: STEP_MIN, up, closed: [up, !up], last: true },
                false => Search::ended(),
            };
        }
        if let Some(size) = self.between() {
            return Some(self.try_out(Setting { size, ..self.setting }, now, Trial::Between));
        }
        self.rest = self.patience;
        None
    }

    /// Where the top of a parabola through this size and its neighbours on both sides lies, on a logarithmic scale; once
    /// per search. Between sizes that are a factor of two apart, up to 6 % of the throughput may be left.
    fn between(&mut self) -> Option<usize> {
        let sizes = std::mem::take(&mut self.sizes);
        let own = self.setting.size;
        let latest = |(size, _): (usize, f64)| sizes.iter().rev().find(|(other, _)| *other == size).copied();
        let below =
            sizes.iter().copied().filter(|(size, _)| *size < own).max_by_key(|(size, _)| *size).and_then(latest)?;
        let above =
            sizes.iter().copied().filter(|(size, _)| *size > own).min_by_key(|(size, _)| *size).and_then(latest)?;
        let (_, rate) = latest((own, 0.0))?;
        let at = |size: usize| (size as f64 / own as f64).ln();
        let (left, right) = (at(below.0), at(above.0));
        // Slopes on both sides; the top lies where the slope that changes evenly between their middles is 0.
        let (rise, fall) = ((rate - below.1) / -left, (above.1 - rate) / right);
        if rise <= fall || !(rise - fall).is_finite() {
            return None;
        }
        let top = left / 2.0 + rise * (right - left) / 2.0 / (rise - fall);
        let gain = (rise - fall) / (right - left) * top * top / rate;
        let size = (own as f64 * top.clamp(left, right).exp()).round() as usize;
        (gain > LOSS_MAX && size != own && size > below.0 && size < above.0).then_some(size)
    }

    /// Time per item at this size, of that at the present one.
    fn compared(&self, size: usize, view: View<'_>) -> Option<f64> {
        view.fit.compared(size, self.setting.size, self.setting.lanes)
    }

    /// Batches that take far too long shrink at once: waiting for a measurement would take even longer.
    fn shorten(&mut self, view: View<'_>) -> Option<String> {
        let size = self.setting.size as f64;
        let time_us = view.fit.guest_us(size)? / self.setting.lanes as f64;
        if time_us <= 1.5 * BATCH_TIME_US {
            return None;
        }
        let size = view.sizes.clamp((self.setting.size as f64 * BATCH_TIME_US / time_us) as usize);
        if size >= self.setting.size {
            return None;
        }
        self.setting.size = size;
        (self.probe, self.kept, self.search) = (None, None, Search::ended());
        Some(format!(
            "a batch keeps its lanes busy for {:.1} s, {:.1} s wanted: batches of {size}",
            time_us / 1e6,
            BATCH_TIME_US / 1e6
        ))
    }

    /// The size one step away, within the bounds and below what would take too long.
    fn neighbour(&self, up: bool, now: Measured, sizes: Interval) -> usize {
        let current = self.setting.size;
        if up && now.filled < 0.9 {
            // Batches close before they are full (bytes, or a slow pipe): a larger size would change nothing.
            return current;
        }
        let factor = if up { self.search.step } else { 1.0 / self.search.step };
        let mut size = (current as f64 * factor).round() as usize;
        if up && now.guest_us_per_item > 0.0 {
            let roof = BATCH_TIME_US * self.setting.lanes as f64 / now.guest_us_per_item;
            size = size.min((roof as usize).max(current));
        }
        let size = sizes.clamp(size);
        // A step too small to be measured is none.
        if (size as f64 / current as f64).max(current as f64 / size as f64) < 1.1 { current } else { size }
    }

    /// More lanes where all are busy and neither CPU, memory nor the writer is the limit.
    fn propose_more_lanes(&mut self, now: Measured, signals: &Signals) -> Option<String> {
        let (lanes, bounds) = (self.setting.lanes, signals.bounds.lanes);
        let busy = signals::share(signals.lanes_busy).unwrap_or(now.busy);
        let writer = signals::share(signals.writer_busy).unwrap_or(0.0);
        if self.lanes_wait > 0 || lanes >= bounds.max() || busy < 0.9 || writer >= 0.9 {
            return None;
        }
        let pressure = Pressure { memory: signals.memory(), cpu: signals.cpu(), ..Pressure::default() };
        if optimal_lanes(lanes, bounds, None, pressure) < lanes {
            return None;
        }
        let more = bounds.clamp(lanes * 2);
        let next = self.try_out(Setting { lanes: more, ..self.setting }, now, Trial::MoreLanes);
        Some(format!("lanes are busy {:.0} % of the time, {next}", busy * 100.0))
    }

    /// Fewer lanes where they stand idle. Comes after the search for the size, which may give them work.
    fn propose_fewer_lanes(&mut self, now: Measured, signals: &Signals) -> Option<String> {
        let busy = signals::share(signals.lanes_busy).unwrap_or(now.busy);
        let needed = optimal_lanes(self.setting.lanes, signals.bounds.lanes, Some(busy), Pressure::default());
        if self.lanes_wait > 0 || needed >= self.setting.lanes {
            return None;
        }
        let next = self.try_out(Setting { lanes: needed, ..self.setting }, now, Trial::FewerLanes);
        Some(format!("lanes are busy only {:.0} % of the time, {next}", busy * 100.0))
    }

    /// Saturated CPUs: fewer lanes, else smaller batches, if that costs no throughput.
    fn give_way(&mut self, now: Measured, view: View<'_>) -> Option<String> {
        let signals = view.signals;
        let cpu = signals.cpu().filter(|cpu| *cpu >= CPU_SHORT)?;
        if self.cpu_wait > 0 {
            return None;
        }
        // As if the CPUs were fully used: a step that is too small cannot be told from noise.
        let pressure = Pressure { cpu: Some(1.0), ..Pressure::default() };
        let lanes = optimal_lanes(self.setting.lanes, signals.bounds.lanes, None, pressure);
        let size = match lanes < self.setting.lanes {
            true => self.setting.size,
            false => optimal_batch_size(self.setting.size, view.sizes, pressure),
        };
        let less = Setting { size, lanes };
        if less == self.setting {
            return None;
        }
        let next = self.try_out(less, now, Trial::GiveWay);
        Some(format!("CPU is {:.0} % in use, {next}", cpu * 100.0))
    }

    fn try_out(&mut self, setting: Setting, of: Measured, trial: Trial) -> String {
        let words = words(setting, self.setting);
        self.probe = Some(Probe { from: self.setting, of, trial });
        self.setting = setting;
        format!("trying {words}")
    }
}

fn same_work(us: f64, now_us: f64) -> bool {
    (us - now_us).abs() <= SAME_WORK_US || (us <= SAME_WORK * now_us && now_us <= SAME_WORK * us)
}

/// Is a measurement long enough to rest on?
fn enough(measured: &Measured, batches: u64) -> bool {
    measured.batches >= batches && (measured.time_us >= TIME_MIN_US || measured.batches >= BATCHES_ENOUGH)
}

/// The part of a setting that differs from another.
fn words(setting: Setting, from: Setting) -> String {
    let lanes = lanes_in_words(setting.lanes);
    match (setting.size == from.size, setting.lanes == from.lanes) {
        (true, false) => lanes,
        (false, true) => format!("batches of {}", setting.size),
        _ => format!("batches of {}, {lanes}", setting.size),
    }
}

fn compared(gain: f64) -> String {
    match gain * 100.0 {
        percent if percent >= 0.5 => format!("{percent:.0} % more"),
        percent if percent <= -0.5 => format!("{:.0} % less", -percent),
        _ => "no more".to_owned(),
    }
}
