//! What earlier runs of the same plugins and collection suggest for the next one: batch size, lanes, attempts.
//!
//! Pure: rows of the history in, recommendations out. Measured are *settings*, pairs of a batch size and a number of lanes,
//! by the items per second of unbroken stretches of batches cut by them.

mod rates;
mod retries;

pub(crate) use retries::attempts_of;

use serde::Serialize;

use super::words::{count, counted, rate};
use super::{ItemTimes, PerformanceReport};
use crate::limits;
use crate::store::{BatchRow, PlanRow, RunRow};
use rates::{Rate, rates};

/// Batches that a setting must rest on.
const BATCHES_ENOUGH: u64 = 8;
/// Settings within this part of the best count as good as it: the smallest of them loses least work and feeds back soonest.
const AS_GOOD: f64 = 0.05;
/// Other settings named as evidence.
const OTHERS_TOLD: usize = 4;

/// An earlier run, as far as it is looked at.
#[derive(Debug, Clone)]
pub struct PastRun {
    pub run: RunRow,
    /// The newest of its batches, in order.
    pub batches: Vec<BatchRow>,
    /// Its plans, in order.
    pub plans: Vec<PlanRow>,
    /// Its dead letters that had more than one attempt, so that all attempts were used up.
    pub exhausted: u64,
}

/// A figure that a recommendation rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    pub what: String,
    pub value: f64,
    /// Empty for a number of things.
    pub unit: &'static str,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommendation {
    /// Its flag, without the dashes.
    pub setting: &'static str,
    pub value: u64,
    /// True where nothing in the history speaks for another value than the default.
    pub default: bool,
    /// In words.
    pub reason: String,
    pub evidence: Vec<Evidence>,
    /// Batches (for attempts: retries) that it rests on.
    pub samples: u64,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommendations {
    /// Numbers of the runs looked at, newest first.
    pub runs: Vec<u64>,
    pub batch_size: Recommendation,
    pub lanes: Recommendation,
    pub attempts: Recommendation,
    /// What items took in plugins, over all runs looked at; none where no run has kept it.
    pub item_times: Option<ItemTimes>,
}

impl Recommendations {
    /// In the order in which they are told.
    pub fn all(&self) -> [&Recommendation; 3] {
        [&self.batch_size, &self.lanes, &self.attempts]
    }
}

/// Recommends from this history, newest run first; further runs than [`limits::RECOMMEND_RUNS_MAX`] are left out.
/// `cores` is the default of lanes.
pub fn recommend(history: &[PastRun], cores: usize) -> Recommendations {
    let history = &history[..history.len().min(limits::RECOMMEND_RUNS_MAX)];
    let (batch_size, lanes) = size_and_lanes(history, cores as u64);
    Recommendations {
        runs: history.iter().map(|past| past.run.run.0).collect(),
        batch_size,
        lanes,
        attempts: retries::attempts(history),
        item_times: item_times(history),
    }
}

fn item_times(history: &[PastRun]) -> Option<ItemTimes> {
    let kept = history.iter().filter_map(|past| past.run.performance_json.as_deref());
    let reports: Vec<PerformanceReport> = kept.filter_map(|text| serde_json::from_str(text).ok()).collect();
    ItemTimes::over(reports.iter().map(|report| report.item_ns_buckets.as_slice()))
}

fn size_and_lanes(history: &[PastRun], cores: u64) -> (Recommendation, Recommendation) {
    let mut measured = rates(history);
    measured.retain(|rate| rate.batches >= BATCHES_ENOUGH);
    measured.sort_by(|a, b| b.per_s().total_cmp(&a.per_s()));
    let Some(best) = measured.first() else {
        let why = match history.len() {
            0 => "there is no earlier run of these plugins and this collection".to_owned(),
            runs => format!(
                "no setting of {} was kept for {BATCHES_ENOUGH} batches in a row",
                counted(runs as u64, "earlier run")
            ),
        };
        let batches = history.iter().map(|past| past.batches.len() as u64).sum();
        let default = |setting, value, default: String| Recommendation {
            setting,
            value,
            default: true,
            reason: format!("{why}: the default, {default}"),
            evidence: Vec::new(),
            samples: batches,
        };
        let sizes = format!("{}..{}", limits::BATCH_SIZE_MIN, limits::BATCH_SIZE_MAX);
        return (
            default(
                "batch-size",
                limits::BATCH_SIZE_MAX as u64,
                format!("at most {} of {sizes}", limits::BATCH_SIZE_MAX),
            ),
            default("lanes", cores, "one per core".to_owned()),
        );
    };
    let good = |rate: &&Rate| rate.per_s() >= best.per_s() * (1.0 - AS_GOOD);
    let chosen = measured.iter().filter(good).min_by_key(|rate| (rate.lanes, rate.size)).unwrap_or(best);
    let fastest = match chosen == best {
        true => "the fastest of what was tried".to_owned(),
        false => format!(
            "within {:.0} % of the fastest ({} a batch, {}: {} items/s), and smaller",
            AS_GOOD * 100.0,
            counted(best.size, "item"),
            lanes_in_words(best.lanes),
            rate(best.per_s())
        ),
    };
    let tried = match measured.len() {
        1 => "no other setting was kept long enough to compare".to_owned(),
        n => format!("{n} settings compared"),
    };
    let reason = format!(
        "{} a batch with {} gave {} items/s over {} in {}: {fastest}; {tried}",
        counted(chosen.size, "item"),
        lanes_in_words(chosen.lanes),
        rate(chosen.per_s()),
        counted_batches(chosen.batches),
        counted(chosen.runs.len() as u64, "run"),
    );
    let mut evidence = vec![of(chosen)];
    evidence.extend(measured.iter().filter(|rate| *rate != chosen).take(OTHERS_TOLD).map(of));
    let size = Recommendation {
        setting: "batch-size",
        value: chosen.size,
        default: false,
        reason: reason.clone(),
        evidence: evidence.clone(),
        samples: chosen.batches,
    };
    evidence.extend(rates::use_of_lanes(history, chosen));
    let lanes = Recommendation { setting: "lanes", value: chosen.lanes, evidence, ..size.clone() };
    (size, lanes)
}

fn of(rate: &Rate) -> Evidence {
    let what =
        format!("batches of {}, {} ({})", count(rate.size), lanes_in_words(rate.lanes), counted_batches(rate.batches));
    Evidence { what, value: (rate.per_s() * 10.0).round() / 10.0, unit: "items/s" }
}

fn counted_batches(batches: u64) -> String {
    format!("{} {}", count(batches), if batches == 1 { "batch" } else { "batches" })
}

fn lanes_in_words(lanes: u64) -> String {
    counted(lanes, "lane")
}

#[cfg(test)]
mod tests;
