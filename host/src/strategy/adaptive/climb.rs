//! The search for the setting with most items per second: try a neighbour, keep it or go back, settle.
//!
//! Where batches of several sizes were seen, and the throughput is what their costs say, the costs choose the size, and
//! no neighbour is tried: the measurement of one takes dozens of batches.

mod neighbours;
mod verdict;

use super::meter::{Measured, Meter};
use super::{BATCH_TIME_US, Setting};
use crate::strategy::cost::Fit;
use crate::strategy::optimum::CPU_SHORT;
use crate::strategy::{Interval, Phase, Signals};
use verdict::Trial;

/// Smallest gain or loss that counts. Doubling the size where a batch costs `a + b·n` gains less than this only where
/// at least 90 % of the best throughput is reached already: the gain is `a / (a + 2bn)`.
const GAIN_MIN: f64 = 0.05;
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
/// Measurements without a look around where the costs agree with the throughput. Then a few batches of other sizes do.
const PATIENCE_AGREED: u32 = 24;
/// The throughput agrees with the costs if it is lower by no more than this part, and its noise.
const AGREE: f64 = 0.10;
/// Batches after which a throughput that does not agree is believed.
const AGREE_BATCHES: u64 = 24;
/// Part of the cost of an item that another size must save, by the costs, right after batches of several sizes were sent
/// ahead, and later on; and of how many standard errors of it.
const SAVES_AT_FIRST: (f64, f64) = (0.015, 1.0);
const SAVES_LATER: (f64, f64) = (0.03, 2.0);
/// A size that may save this part, but not surely, is worth sending batches of other sizes again; so many times.
const WORTH_A_SURVEY: f64 = 0.04;
const SURVEYS_MAX: u32 = 3;
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
    /// Batches of several sizes have told what a batch costs; the throughput has turned out as these costs say; they are
    /// to be looked at again.
    surveyed: bool,
    agreed: bool,
    survey_due: bool,
    /// Times that they may be sent again because what they told was not sure.
    surveys_left: u32,
    /// Measurements until lanes may be tried again.
    lanes_wait: u32,
    /// Lanes were given back because the CPUs are saturated.
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
            gave_way: false,
            surveyed: false,
            agreed: false,
            survey_due: false,
            surveys_left: SURVEYS_MAX,
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

    /// The setting that is kept, measured or not.
    pub fn kept_setting(&self) -> Option<Setting> {
        self.state.as_ref().map(|state| state.probe.map_or(state.setting, |probe| probe.from))
    }

    /// Once after the throughput was found to have changed for good: how.
    pub fn drifted(&mut self) -> Option<String> {
        self.state.as_mut()?.drifted.take()
    }

    /// The setting, if nothing is searched for.
    pub fn settled(&self) -> Option<Setting> {
        self.state.as_ref().filter(|state| state.rest > 0).map(|state| state.setting)
    }

    /// Batches of several sizes are known now: goes to the size that is best by their costs, and says so if it is another.
    /// Whether the throughput agrees is seen next.
    pub fn surveyed(&mut self, view: View<'_>) -> Option<String> {
        self.cancel();
        let state = self.state.as_mut().filter(|_| view.fit.knows_sizes())?;
        let known = state.agreed || state.rest > 0;
        state.begin_search();
        (state.surveyed, state.agreed, state.rest) = (true, false, 0);
        let why = state.go_by_costs(view, SAVES_AT_FIRST);
        if why.is_none() && known && view.fit.pace(state.setting.size, state.setting.lanes).is_none() {
            state.search = Search::ended();
        }
        why
    }

    /// Batches of other sizes are wanted again; once each time.
    pub fn survey_due(&mut self) -> bool {
        self.state.as_mut().is_some_and(|state| std::mem::take(&mut state.survey_due))
    }

    /// Goes to this number of lanes, which were found to be enough.
    pub fn thin_out(&mut self, lanes: usize) {
        self.cancel();
        if let Some(state) = &mut self.state {
            state.gave_way |= lanes < state.setting.lanes;
            state.setting.lanes = lanes;
            (state.rest, state.lanes_wait) = (0, PATIENCE_AGREED);
            state.sizes.clear();
            // What other sizes cost there is not known.
            state.survey_due = true;
        }
    }

    /// The setting, while no other is on trial.
    pub fn at_rest(&self) -> Option<Setting> {
        self.state.as_ref().filter(|state| state.probe.is_none()).map(|state| state.setting)
    }

    /// Measurements since nothing is searched for.
    pub fn settled_for(&self) -> u32 {
        self.state.as_ref().filter(|state| state.rest > 0).map_or(0, |state| state.patience.saturating_sub(state.rest))
    }

    /// Moves to this size and looks around again from there: the sizes that may be tried have changed.
    pub fn resize(&mut self, size: usize) {
        self.cancel();
        if let Some(state) = &mut self.state {
            state.setting.size = size;
            state.begin_search();
            (state.surveyed, state.agreed, state.rest) = (state.surveyed || state.agreed, false, 0);
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
                if state.rest == 0 && state.surveyed && !state.agrees(&measured, view) {
                    if measured.batches < AGREE_BATCHES {
                        return None;
                    }
                    state.surveyed = false;
                }
                meter.next();
                state.look(measured, view)
            }
        }
    }
}

impl State {
    /// A measurement of the kept setting: notices drift, counts down, and tries the next neighbour.
    fn look(&mut self, now: Measured, view: View<'_>) -> Option<String> {
        let signals = view.signals;
        self.lanes_wait = self.lanes_wait.saturating_sub(1);
        let mut why = None;
        if let (Some(kept), true) = (self.kept, self.rest > 0) {
            let drifted = (now.rate / kept.rate - 1.0).abs() > DRIFT;
            self.drifts = if drifted { self.drifts + 1 } else { 0 };
            self.rest -= 1;
            if self.drifts >= 2 {
                // Where to look now is told by batches of other sizes, sent ahead.
                self.drifted = Some(format!("throughput went from {:.0} to {:.0} items/s", kept.rate, now.rate));
                (self.patience, self.surveys_left) = (PATIENCE, SURVEYS_MAX);
                (self.drifts, self.rest) = (0, self.patience);
                self.kept = Some(now);
                return None;
            } else if self.gave_way && signals.cpu().is_some_and(|cpu| cpu < CPU_SHORT - 0.10) {
                why = Some("CPU is free again".to_owned());
                self.gave_way = false;
            } else if self.rest == 0 && self.agreed {
                self.survey_due = true;
                self.patience = (self.patience * 2).min(PATIENCE_MAX);
                self.rest = self.patience;
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
                let cheaper = if self.agreed && view.fit.calm() { self.go_by_costs(view, SAVES_LATER) } else { None };
                return cheaper
                    .or_else(|| self.propose_more_lanes(now, signals))
                    .or_else(|| self.propose_fewer_lanes(now, signals));
            }
        }
        self.kept = Some(now);
        self.sizes.push((self.setting.size, now.rate));
        if let Some(us) = self.trusted_us.take()
            && same_work(us, now.guest_us_per_item)
        {
            self.search = Search::ended();
        }
        if std::mem::take(&mut self.surveyed) {
            self.agreed = true;
            self.search = Search::ended();
            self.patience = self.patience.max(PATIENCE_AGREED);
        }
        let next = self.propose(now, view)?;
        let why = why.unwrap_or_else(|| format!("{:.0} items/s so far", now.rate));
        Some(match view.slowest {
            Some(slowest) => format!("{why}, {} takes longest: {next}", slowest.words()),
            None => format!("{why}: {next}"),
        })
    }

    /// Is the throughput what the costs say, or more? More is what happens where commits come in bursts.
    fn agrees(&self, measured: &Measured, view: View<'_>) -> bool {
        let Some(pace_us) = view.fit.pace(self.setting.size, self.setting.lanes) else { return false };
        measured.rate * pace_us / 1e6 >= 1.0 - AGREE - measured.noise
    }

    /// Goes to the size that is best by the costs, if it saves that part of the cost of an item, and so many standard errors.
    fn go_by_costs(&mut self, view: View<'_>, (part, errors): (f64, f64)) -> Option<String> {
        let now = self.setting;
        let us = view.fit.guest_us(now.size as f64)? / now.size as f64;
        let roof = if us > 0.0 { (BATCH_TIME_US * now.lanes as f64 / us) as usize } else { usize::MAX };
        let sizes = Interval::new(view.sizes.min(), view.sizes.clamp(roof.max(now.size)))?;
        let better = view.fit.better(now.size, now.lanes, sizes)?;
        if better.gain > WORTH_A_SURVEY && better.gain <= errors * better.doubt && self.surveys_left > 0 {
            self.surveys_left -= 1;
            self.survey_due = true;
        }
        if better.size == now.size || better.gain <= part.max(errors * better.doubt) {
            return None;
        }
        self.setting.size = better.size;
        self.survey_due = better.edge;
        self.begin_search();
        (self.surveyed, self.agreed, self.kept, self.rest) = (true, false, None, 0);
        let slowest = view.slowest.map_or("nothing", Phase::words);
        Some(format!(
            "by what the batches cost so far, most of it {slowest}, an item costs {:.0} % less in batches of {}",
            better.gain * 100.0,
            better.size
        ))
    }

    fn begin_search(&mut self) {
        self.search = Search::new();
        self.sizes.clear();
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
}

fn same_work(us: f64, now_us: f64) -> bool {
    (us - now_us).abs() <= SAME_WORK_US || (us <= SAME_WORK * now_us && now_us <= SAME_WORK * us)
}

/// Is a measurement long enough to rest on?
fn enough(measured: &Measured, batches: u64) -> bool {
    measured.batches >= batches && (measured.time_us >= TIME_MIN_US || measured.batches >= BATCHES_ENOUGH)
}
