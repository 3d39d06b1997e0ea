//! What is to be seen, in words and numbers: made from what rows and events tell, drawn by [`super::draw`].

use std::collections::BTreeSet;
use std::time::Duration;

use super::rows::Rows;
use super::series::{Column, Series};
use super::told::{Health, Told};
use crate::event::HealthStatus;
use crate::model::{Counts, PluginMetrics, RunStatus, printable};
use crate::monitor::words::{count, counted, duration, percent, rate};

/// Time over which the present rate is taken.
const LATE_MS: i64 = 5000;

/// How something is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
}

/// A plan that differed from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub batch: u64,
    pub batch_size: u64,
    pub lanes: u64,
    pub old_batch_size: Option<u64>,
    pub old_lanes: Option<u64>,
    pub reason: String,
}

/// Failed items of one code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    pub code: String,
    /// Empty where no plugin refused or failed them.
    pub slot: String,
    pub items: u64,
    /// The newest of them; empty where its bytes are no item.
    pub id: String,
    pub message: String,
}

/// A figure with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    pub name: &'static str,
    pub value: String,
    pub tone: Tone,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLine {
    pub slot: String,
    pub role: String,
    /// None while nobody tells.
    pub did: Option<PluginMetrics>,
}

impl PluginLine {
    fn us_per_item(&self) -> f64 {
        self.did.as_ref().filter(|did| did.items > 0).map_or(0.0, |did| did.time_us as f64 / did.items as f64)
    }

    /// Its cells: plugin, role, calls, items, microseconds per item, faults.
    pub fn cells(&self) -> [String; 6] {
        let figure =
            |value: fn(&PluginMetrics) -> u64| self.did.as_ref().map_or("-".to_owned(), |did| count(value(did)));
        let us = match self.us_per_item() {
            us if us > 0.0 => rate(us),
            _ => "-".to_owned(),
        };
        [self.slot.clone(), self.role.clone(), figure(|d| d.calls), figure(|d| d.items), us, figure(|d| d.faults)]
    }

    /// True if a call of it ended in a fault.
    pub fn faulty(&self) -> bool {
        self.did.as_ref().is_some_and(|did| did.faults > 0)
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertLine {
    /// When, since the run began.
    pub at: String,
    /// It was raised, and is not cleared yet.
    pub lasts: bool,
    pub text: String,
}

/// By what the table of plugins is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// As they work on an item.
    #[default]
    Chain,
    Time,
    Calls,
    Faults,
    Name,
}

impl Sort {
    /// The one that the key leads to.
    pub fn next(self) -> Self {
        match self {
            Sort::Chain => Sort::Time,
            Sort::Time => Sort::Calls,
            Sort::Calls => Sort::Faults,
            Sort::Faults => Sort::Name,
            Sort::Name => Sort::Chain,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Sort::Chain => "in order of work",
            Sort::Time => "by time per item",
            Sort::Calls => "by calls",
            Sort::Faults => "by faults",
            Sort::Name => "by name",
        }
    }
}

/// What the keys have chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    pub sort: Sort,
    /// Show what failed in place of the plans, and of the plugins those with faults.
    pub failed_only: bool,
    pub help: bool,
}

/// All that is to be seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picture {
    /// What run this is, or why there is none.
    pub title: String,
    /// There is a run.
    pub run: bool,
    /// It has ended, or its process is gone.
    pub over: bool,
    pub tiles: Vec<Tile>,
    /// Part of the input that is done, 0..1.
    pub share: Option<f64>,
    /// What the charts show, and its time.
    pub columns: Vec<Column>,
    pub span: String,
    /// Newest first.
    pub steps: Vec<Step>,
    pub failures: Vec<Failure>,
    pub plugins: Vec<PluginLine>,
    /// Why figures are missing, if they are.
    pub plugins_note: Option<&'static str>,
    /// Newest first.
    pub alerts: Vec<AlertLine>,
    pub alerts_note: Option<&'static str>,
    pub health: String,
    pub health_tone: Tone,
    /// Something about the sources themselves.
    pub notice: Option<String>,
}

/// What there is to make a picture from.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    pub rows: Option<&'a Rows>,
    pub told: Option<&'a Told>,
    /// Why the store shows no run.
    pub nothing: Option<&'a str>,
    /// Events are asked for.
    pub follows: bool,
}

impl<'a> Sources<'a> {
    /// Those that are about the newest run. Events of an older run than that of the store, or of one that stores
    /// nothing and began later, stand against its rows: the newer wins.
    fn newest(&self) -> (Option<&'a Rows>, Option<&'a Told>) {
        match (self.rows, self.told) {
            (Some(rows), Some(told)) if rows.run.uuid != told.started.uuid => {
                if told.started_ms > rows.run.started_ms {
                    (None, Some(told))
                } else {
                    (Some(rows), None)
                }
            }
            // A run that was continued has its old row, and events that begin anew.
            both => both,
        }
    }

    /// True if the run that is shown has ended, or its process is gone.
    pub fn over(&self) -> bool {
        let (rows, told) = self.newest();
        status(rows, told).is_some_and(|status| status != RunStatus::Running)
    }

    /// The picture of this moment, with charts of at most `width` columns.
    pub fn picture(&self, choice: Choice, now_ms: i64, width: usize) -> Picture {
        let (rows, told) = self.newest();
        let Some(status) = status(rows, told) else {
            let why = self.nothing.unwrap_or("the store was not read yet");
            return Picture { title: format!("no run yet: {why}"), ..Picture::default() };
        };
        let over = status != RunStatus::Running;
        let until_ms = match (over, told, rows) {
            (false, ..) => now_ms,
            (true, Some(told), _) => told.newest_ms,
            (true, None, Some(rows)) => rows.run.ended_ms.or(rows.written_ms).unwrap_or(now_ms),
            (true, None, None) => now_ms,
        };
        let series = match (told, rows) {
            (Some(told), _) => Some(&told.series),
            (None, rows) => rows.and_then(|rows| rows.series.as_ref()),
        };
        let columns = series.map(|series| series.columns(until_ms, width, over)).unwrap_or_default();
        let elapsed_ms = elapsed_ms(rows, told, now_ms);
        let (mut plugins, plugins_note) = plugins(rows, told);
        sort(&mut plugins, choice);
        let health = told.and_then(|told| told.health).or(rows.and_then(|rows| rows.health));
        let alerts = told.map(|told| told.alerts.clone()).or(rows.map(Rows::alerts)).unwrap_or_default();
        let (health, health_tone) = health_line(health, over);
        Picture {
            title: title(rows, told),
            run: true,
            over,
            tiles: tiles(rows, told, status, series, until_ms, elapsed_ms),
            share: share(rows, told, status),
            columns,
            span: elapsed_ms.map_or(String::new(), |ms| duration(Duration::from_millis(ms))),
            steps: told
                .map(|told| &told.steps)
                .or(rows.map(|rows| &rows.steps))
                .into_iter()
                .flatten()
                .rev()
                .cloned()
                .collect(),
            failures: match (rows, told) {
                (Some(rows), _) => rows.failures.clone(),
                (None, told) => told.map(Told::failures).unwrap_or_default(),
            },
            plugins,
            plugins_note,
            alerts: alert_lines(&alerts),
            alerts_note: (told.is_none() && !over).then_some("by --events, and at the end"),
            health,
            health_tone,
            notice: self.notice(told),
        }
    }

    fn notice(&self, used: Option<&Told>) -> Option<String> {
        match (self.follows, self.told, used) {
            (true, None, _) => Some("no events yet".to_owned()),
            (true, Some(_), None) => Some("the events are of an older run and left out".to_owned()),
            _ => None,
        }
    }
}

fn status(rows: Option<&Rows>, told: Option<&Told>) -> Option<RunStatus> {
    match (rows, told.and_then(|told| told.ended.as_ref())) {
        (_, Some(ended)) => Some(ended.status),
        (Some(rows), None) => Some(rows.status()),
        (None, None) => told.map(|_| RunStatus::Running),
    }
}

fn title(rows: Option<&Rows>, told: Option<&Told>) -> String {
    let run = rows.map(|rows| rows.run.run.0).or(told.map(|told| told.run)).filter(|run| *run > 0);
    let run = run.map_or("a run that stores nothing".to_owned(), |run| format!("run {run}"));
    let collection = match (rows, told) {
        (Some(rows), _) => rows.run.collection.as_str(),
        (None, Some(told)) => &told.started.collection,
        (None, None) => "",
    };
    let inputs = match (rows, told) {
        (Some(rows), _) => crate::cli::runs::inputs(&rows.run),
        (None, told) => told.map(|told| told.started.inputs.clone()).unwrap_or_default(),
    };
    let file = |path: &String| std::path::Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let input = match inputs.as_slice() {
        [] => String::new(),
        [one] if one == "-" => ", from standard input".to_owned(),
        [one] => format!(", from {}", file(one).unwrap_or_else(|| one.clone())),
        several => format!(", from {}", counted(several.len() as u64, "file")),
    };
    printable(&format!("{run}, into {collection}{input}")).into_owned()
}

fn elapsed_ms(rows: Option<&Rows>, told: Option<&Told>, now_ms: i64) -> Option<u64> {
    match told {
        Some(told) => match &told.ended {
            Some(ended) => Some(ended.duration_ms),
            None if rows.is_some_and(|rows| rows.gone) => Some(told.progress().elapsed_us / 1000),
            None => u64::try_from(now_ms - told.started_ms).ok(),
        },
        None => rows.and_then(|rows| rows.elapsed_ms(now_ms)),
    }
}

fn share(rows: Option<&Rows>, told: Option<&Told>, status: RunStatus) -> Option<f64> {
    if status.finished() {
        return Some(1.0);
    }
    told.and_then(|told| told.progress().share).or(rows.and_then(Rows::share))
}

fn tiles(
    rows: Option<&Rows>,
    told: Option<&Told>,
    status: RunStatus,
    series: Option<&Series>,
    until_ms: i64,
    elapsed_ms: Option<u64>,
) -> Vec<Tile> {
    let over = status != RunStatus::Running;
    // While a run goes on its events know more than its row, which one transaction of the whole run leaves at 0 to the end.
    let going = told.filter(|told| told.ended.is_none() && !over);
    let counts = match (rows, told) {
        (Some(rows), _) if going.is_none() => rows.run.counts,
        (_, Some(told)) => told.ended.as_ref().map_or(told.progress().counts, |ended| ended.counts),
        _ => Counts::default(),
    };
    let items = going.map_or(counts.read, |told| told.progress().items);
    // The rate of the whole is that of this execution, whose items a continued run's row does not tell.
    let done = told.map(|told| told.progress().counts.read).or(rows.filter(|r| r.run.epoch == 1).map(|_| counts.read));
    let per_s = match (over, done, elapsed_ms.filter(|ms| *ms > 0)) {
        (true, Some(items), Some(ms)) => items as f64 * 1e3 / ms as f64,
        (true, ..) => 0.0,
        (false, ..) => series.map_or(0.0, |series| series.rate(until_ms, LATE_MS)),
    };
    let failed = if counts.read == 0 { 0.0 } else { counts.failed() as f64 / counts.read as f64 };
    let plan = told.map(|told| &told.steps).or(rows.map(|rows| &rows.steps)).and_then(|steps| steps.last());
    let lanes = match (plan, told.filter(|_| !over)) {
        (Some(plan), Some(told)) => format!("{} of {}", told.lanes_in_use, plan.lanes),
        (Some(plan), None) => plan.lanes.to_string(),
        (None, _) => "-".to_owned(),
    };
    let time = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| duration(Duration::from_millis(ms)));
    let left_ms = share(rows, told, status).filter(|share| *share > 0.0 && per_s > 0.0).map(|share| {
        let items = going.map_or(rows.map_or(items, |rows| rows.run.next), |told| told.progress().items);
        (items as f64 * (1.0 - share) / share / per_s * 1e3) as u64
    });
    let status_tone = match status {
        RunStatus::Running | RunStatus::Succeeded => Tone::Good,
        RunStatus::Partial | RunStatus::Interrupted => Tone::Warn,
        RunStatus::Failed | RunStatus::RolledBack => Tone::Bad,
    };
    let failed_tone = match failed {
        f if f > 0.10 => Tone::Bad,
        f if f > 0.0 => Tone::Warn,
        _ => Tone::Plain,
    };
    let tile = |name, value, tone| Tile { name, value, tone };
    vec![
        tile("STATUS", status.as_str().to_owned(), status_tone),
        tile("ITEMS", count(items), Tone::Plain),
        tile("ITEMS/S", rate(per_s), Tone::Plain),
        tile("FAILED", percent(failed), failed_tone),
        tile("ELAPSED", time(elapsed_ms), Tone::Plain),
        tile("LEFT", if over { "-".to_owned() } else { time(left_ms) }, Tone::Plain),
        tile("BATCH SIZE", plan.map_or("-".to_owned(), |plan| count(plan.batch_size)), Tone::Plain),
        tile("LANES", lanes, Tone::Plain),
    ]
}

fn plugins(rows: Option<&Rows>, told: Option<&Told>) -> (Vec<PluginLine>, Option<&'static str>) {
    let mut named: Vec<(String, String)> = match (rows, told) {
        (_, Some(told)) => told.started.plugins.iter().map(|p| (p.slot.clone(), p.role.clone())).collect(),
        (Some(rows), None) => rows.plugins.iter().map(|p| (p.slot.clone(), p.role.clone())).collect(),
        (None, None) => Vec::new(),
    };
    // The rows of a run note all slots with each exchange; figures are of a slot, whatever fills it.
    let mut slots = BTreeSet::new();
    named.retain(|(slot, _)| slots.insert(slot.clone()));
    let did = match (told, rows) {
        (Some(told), _) => Some(told.plugins.clone()),
        (None, rows) => rows.and_then(Rows::report).map(|report| report.plugins),
    };
    let note = (did.is_none() && !named.is_empty()).then_some("figures: by --events, and at the end");
    let did_by = |slot: &str| did.as_ref()?.iter().find(|did| did.slot == slot).cloned();
    let lines = named.into_iter().map(|(slot, role)| PluginLine { did: did_by(&slot), slot, role }).collect();
    (lines, note)
}

fn sort(plugins: &mut Vec<PluginLine>, choice: Choice) {
    let figure = |line: &PluginLine, value: fn(&PluginMetrics) -> u64| line.did.as_ref().map_or(0, value);
    match choice.sort {
        Sort::Chain => {}
        Sort::Time => plugins.sort_by(|a, b| b.us_per_item().total_cmp(&a.us_per_item())),
        Sort::Calls => plugins.sort_by_key(|line| std::cmp::Reverse(figure(line, |did| did.calls))),
        Sort::Faults => plugins.sort_by_key(|line| std::cmp::Reverse(figure(line, |did| did.faults))),
        Sort::Name => plugins.sort_by(|a, b| a.slot.cmp(&b.slot)),
    }
    if choice.failed_only {
        plugins.retain(PluginLine::faulty);
    }
}

fn alert_lines(alerts: &[crate::monitor::AlertRecord]) -> Vec<AlertLine> {
    let cleared_later =
        |at: usize| alerts[at + 1..].iter().any(|later| later.alert == alerts[at].alert && !later.raised);
    let mut lines: Vec<AlertLine> = alerts
        .iter()
        .enumerate()
        .map(|(at, record)| AlertLine {
            at: duration(Duration::from_micros(record.elapsed_us)),
            lasts: record.raised && !cleared_later(at),
            text: match record.raised {
                true => printable(&format!("{}: {}", record.alert, record.message)).into_owned(),
                false => format!("{} is over", record.alert),
            },
        })
        .collect();
    lines.reverse();
    lines
}

fn health_line(health: Option<Health>, over: bool) -> (String, Tone) {
    // A plan made before the first sample knows nothing.
    let Some(health) = health.filter(|health| *health != Health::default()) else {
        return ("unknown".to_owned(), Tone::Plain);
    };
    let (status, tone) = match health.status {
        Some(HealthStatus::Healthy) => ("healthy", Tone::Good),
        Some(HealthStatus::Degraded) => ("degraded", Tone::Warn),
        Some(HealthStatus::Unhealthy) => ("unhealthy", Tone::Bad),
        None => ("at the newest plan", Tone::Plain),
    };
    let past = over && health.status.is_some();
    let mut parts = vec![if past { format!("{status} when last sampled") } else { status.to_owned() }];
    parts.extend(health.cpu_share.map(|share| format!("CPU {}", percent(share))));
    parts.extend(health.memory_share.map(|share| format!("memory {}", percent(share))));
    parts.extend(health.process_bytes.map(|bytes| format!("process {} MB", bytes / 1_000_000)));
    (parts.join(", "), tone)
}
