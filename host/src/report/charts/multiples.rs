//! The last runs side by side, one small chart per measure.

use maud::Markup;

use super::percent;
use super::scale::{Scale, short, ticks};
use super::svg::{Svg, n};
use crate::monitor::words;
use crate::report::history::{Departure, EarlierRun, MEASURES, Measure};

const WIDTH: f64 = 326.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 124.0;

/// A chart per measure; none where there is no other run.
pub fn multiples(run: u64, runs: &[EarlierRun], departures: &[Departure]) -> Vec<Markup> {
    if runs.len() < 2 {
        return Vec::new();
    }
    MEASURES.into_iter().map(|(measure, of)| one(measure, of, run, runs, departures)).collect()
}

/// A value of a measure in words.
pub fn told(measure: &str, value: f64) -> String {
    match measure {
        "duration" => words::duration(std::time::Duration::from_secs_f64(value.clamp(0.0, 1e12))),
        "error share" => percent(value),
        _ => words::rate(value),
    }
}

fn one(measure: &'static str, of: Measure, run: u64, runs: &[EarlierRun], departures: &[Departure]) -> Markup {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    // A share is drawn in percent.
    let factor = if measure == "error share" { 100.0 } else { 1.0 };
    let title = match measure {
        "duration" => "duration, s",
        "error share" => "errors, % of items",
        other => other,
    };
    svg.text(LEFT, 14.0, "t b", title);
    let most = runs.iter().filter_map(of).fold(0.0, f64::max) * factor;
    let marks = ticks(most, 2.0);
    let y = Scale { from: 0.0, to: marks.last().copied().unwrap_or(1.0), start: BOTTOM, end: TOP };
    for tick in &marks {
        svg.line((LEFT, y.at(*tick)), (WIDTH - 4.0, y.at(*tick)), "grid");
        svg.text(LEFT - 6.0, y.at(*tick) + 4.0, "t dim e", &short(*tick));
    }
    let slot = ((WIDTH - 4.0 - LEFT) / runs.len() as f64).min(40.0);
    let mut free = 0.0;
    for (i, past) in runs.iter().enumerate() {
        let x = LEFT + i as f64 * slot;
        let middle = x + slot / 2.0;
        let departs = departures.iter().find(|d| d.run == past.run && d.measure == measure);
        let value = of(past);
        let words = value.map_or("unknown".to_owned(), |value| told(measure, value));
        let marked = if departs.is_some() { ", unlike the others" } else { "" };
        svg.told(&format!("run {} ({}), {}: {words}{marked}", past.run, past.status, past.started), |svg| {
            let width = (slot - 2.0).clamp(2.0, 24.0);
            match value {
                Some(value) => {
                    let level = y.at(value * factor);
                    let class = if past.run == run { "f-this" } else { "f-past" };
                    svg.rect(middle - width / 2.0, level.min(BOTTOM - 1.0), width, BOTTOM - level, class);
                    if departs.is_some() {
                        let d = format!("M{} {}l5 5l-5 5l-5 -5z", n(middle), n((level - 14.0).max(18.0)));
                        svg.path(&d, "departs");
                    }
                }
                None => svg.text(middle, BOTTOM - 4.0, "t dim m", "?"),
            }
        });
        let label = past.run.to_string();
        let needs = label.len() as f64 * 7.5;
        let wanted = i == 0 || past.run == run || departs.is_some() || slot > needs + 4.0;
        if wanted && middle - needs / 2.0 >= free {
            svg.text(middle, BOTTOM + 16.0, if past.run == run { "t b m" } else { "t dim m" }, &label);
            free = middle + needs / 2.0 + 4.0;
        }
    }
    let description: Vec<String> =
        runs.iter().filter_map(|past| Some(format!("run {}: {}", past.run, told(measure, of(past)?)))).collect();
    svg.finish(&format!("{measure} of the last runs"), &description.join("; "))
}
