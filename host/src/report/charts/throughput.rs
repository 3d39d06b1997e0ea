//! Items per second over time, the share of errors beneath, and what happened when.

use maud::Markup;

use super::scale::{Scale, short, ticks, time_label, time_ticks};
use super::svg::{Svg, n};
use super::{LEFT, RIGHT, WIDTH, micros};
use crate::monitor::words;
use crate::report::data::{Head, Throughput};
use crate::report::swaps::Swap;

/// Heights and places of the panels.
const RATE: (f64, f64) = (50.0, 230.0);
/// Between the upper panel and its heading: where the flags of alerts stand.
const FLAGS: f64 = 20.0;
const MARKS: f64 = 248.0;
const ERRORS: (f64, f64) = (268.0, 338.0);
const HEIGHT: f64 = 364.0;

/// The chart; none where nothing was committed.
pub fn throughput(run: &Head, data: &Throughput) -> Option<Markup> {
    if data.steps.iter().all(|step| step.items_per_s <= 0.0) {
        return None;
    }
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let x = Scale { from: 0.0, to: data.end_us.max(1) as f64, start: LEFT, end: WIDTH - RIGHT };
    let peak = data.steps.iter().map(|step| step.items_per_s).fold(0.0, f64::max);
    let rates = ticks(peak, 4.0);
    let top = rates.last().copied().unwrap_or(1.0);
    let y = Scale { from: 0.0, to: top, start: RATE.1, end: RATE.0 };
    heading(&mut svg, RATE.0 - FLAGS, "items per second");
    for tick in rates {
        grid(&mut svg, y.at(tick), &short(tick));
    }
    time_axis(&mut svg, &x, (0, data.end_us), RATE.0, ERRORS.1);
    let points: Vec<(f64, f64, f64)> = data
        .steps
        .iter()
        .map(|step| {
            let to = (step.from_us + data.step_us).min(data.end_us.max(step.from_us + 1));
            (x.at(step.from_us as f64), x.at(to as f64), y.at(step.items_per_s))
        })
        .collect();
    let outline: String = points
        .iter()
        .enumerate()
        .map(|(i, (from, to, y))| format!("{}{} {}H{}", if i == 0 { "M" } else { "L" }, n(*from), n(*y), n(*to)))
        .collect();
    let (first, last) = (points.first().map_or(LEFT, |p| p.0), points.last().map_or(LEFT, |p| p.1));
    svg.path(&format!("{outline}L{} {}H{}Z", n(last), n(RATE.1), n(first)), "area");
    svg.path(&outline, "line");
    if let Some(mean) = run.items_per_s.filter(|mean| *mean <= top) {
        svg.line((LEFT, y.at(mean)), (WIDTH - RIGHT, y.at(mean)), "dash");
        let label = format!("mean {}", words::rate(mean));
        let at = if y.at(mean) < RATE.0 + 26.0 { y.at(mean) + 15.0 } else { y.at(mean) - 6.0 };
        svg.text(WIDTH - RIGHT - 4.0, at, "t halo b e", &label);
    }
    errors(&mut svg, &x, data);
    happened(&mut svg, &x, data);
    let description = format!(
        "Items per second in {} steps of {}: {} at the most; {} mean. Beneath it the share of rejected and dead-lettered items.",
        data.steps.len(),
        micros(data.step_us),
        words::rate(peak),
        run.items_per_s.map_or("unknown".to_owned(), words::rate),
    );
    Some(svg.finish("Throughput and errors over time", &description))
}

fn errors(svg: &mut Svg, x: &Scale, data: &Throughput) {
    let worst = data.steps.iter().filter_map(|step| step.error_share).fold(0.0, f64::max);
    let shares = ticks((worst * 100.0).max(0.1), 2.0);
    let top = shares.last().copied().unwrap_or(1.0);
    let y = Scale { from: 0.0, to: top, start: ERRORS.1, end: ERRORS.0 };
    heading(svg, ERRORS.0, "errors, % of items");
    for tick in shares {
        grid(svg, y.at(tick), &short(tick));
    }
    let mut d = String::new();
    for step in &data.steps {
        let Some(share) = step.error_share.filter(|share| *share > 0.0) else { continue };
        let to = (step.from_us + data.step_us).min(data.end_us.max(step.from_us + 1));
        let (from, to) = (x.at(step.from_us as f64), x.at(to as f64));
        d += &format!("M{} {}V{}H{}V{}Z", n(from), n(ERRORS.1), n(y.at(share * 100.0)), n(to), n(ERRORS.1));
    }
    svg.path(&d, "f-dead soft");
    if worst <= 0.0 {
        svg.text((LEFT + WIDTH - RIGHT) / 2.0, (ERRORS.0 + ERRORS.1) / 2.0 + 4.0, "t dim m", "no item failed");
    }
}

/// Alerts as numbered flags, retries and rolled-back transactions as signs, executions as lines.
fn happened(svg: &mut Svg, x: &Scale, data: &Throughput) {
    let retries: String = data
        .steps
        .iter()
        .filter(|step| step.retries > 0)
        .map(|step| format!("M{} {}v7", n(x.at(step.from_us as f64 + data.step_us as f64 / 2.0)), n(MARKS - 9.0)))
        .collect();
    svg.path(&retries, "retry");
    for one in &data.rolled_back {
        let at = x.at(one.at_us as f64);
        svg.told(&format!("rolled back at {}: {}", micros(one.at_us), one.reason), |svg| {
            svg.path(&format!("M{} {}l7 7m0 -7l-7 7", n(at - 3.5), n(MARKS - 9.0)), "cross");
        });
    }
    for execution in data.executions.iter().skip(1) {
        let at = x.at(execution.from_us as f64);
        svg.line((at, RATE.0), (at, ERRORS.1), "border");
        svg.text(at + 5.0, RATE.0 + 12.0, "t halo", &format!("execution {}", execution.number));
    }
    exchanged(svg, x, &data.swaps);
    let mut free = 0.0;
    for (i, alert) in data.alerts.iter().enumerate() {
        let at = x.at(alert.from_us as f64);
        let flag = at.min(WIDTH - 20.0);
        svg.told(&format!("{} at {}: {}", alert.alert, micros(alert.from_us), alert.message), |svg| {
            svg.line((at, RATE.0 - 6.0), (at, ERRORS.1), "alert");
            let to = alert.to_us.unwrap_or(data.end_us);
            svg.rect(at, RATE.0 - 8.0, x.at(to as f64) - at, 3.0, "f-dead");
            // Where many come at once, the first of them has its number.
            if flag >= free {
                svg.path(&format!("M{} {}h20v13h-20z", n(flag), n(RATE.0 - FLAGS)), "flag");
                svg.text(flag + 10.0, RATE.0 - 9.5, "t m inv", &(i + 1).to_string());
                free = flag + 22.0;
            }
        });
    }
}

/// Plugins that were exchanged, or were to be: diamonds with letters between the panels, hollow where it came to nothing.
fn exchanged(svg: &mut Svg, x: &Scale, swaps: &[Swap]) {
    let mut free = 0.0;
    for (i, swap) in swaps.iter().enumerate() {
        let Some(at_us) = swap.at_us else { continue };
        let at = x.at(at_us as f64).min(WIDTH - RIGHT - 10.0);
        let title = format!("{} at {}: slot {} {}, {}", letter(i), micros(at_us), swap.slot, swap.step, swap.reason);
        svg.told(&title, |svg| {
            svg.line((at, RATE.0), (at, ERRORS.1), "swap");
            let sign = if swap.ok { "swap-sign" } else { "swap-sign hollow" };
            svg.path(&format!("M{} {}l9 9l-9 9l-9 -9Z", n(at), n(MARKS - 14.0)), sign);
            // Where many come at once, the first of them has its letter.
            if at >= free {
                svg.text(at, MARKS - 1.0, if swap.ok { "t m inv" } else { "t m small" }, &letter(i));
                free = at + 20.0;
            }
        });
    }
}

/// `A`, `B`, … `Z`, `AA`: the name of a mark that is explained below its chart.
pub fn letter(number: usize) -> String {
    let one = |n: usize| char::from(b'A' + (n % 26) as u8);
    match number {
        0..26 => one(number).to_string(),
        _ => format!("{}{}", letter(number / 26 - 1), one(number)),
    }
}

/// What a panel shows, above it.
pub fn heading(svg: &mut Svg, top: f64, text: &str) {
    svg.text(LEFT, top - 7.0, "t b halo", text);
}

/// A line across with its value.
pub fn grid(svg: &mut Svg, y: f64, label: &str) {
    svg.line((LEFT, y), (WIDTH - RIGHT, y), "grid");
    svg.text(LEFT - 8.0, y + 4.0, "t dim e", label);
}

/// Round times along the bottom, with lines through the panels.
pub fn time_axis(svg: &mut Svg, x: &Scale, (from, to): (u64, u64), top: f64, bottom: f64) {
    let (times, step) = time_ticks(from, to);
    for time in times {
        let at = x.at(time as f64);
        svg.line((at, top), (at, bottom), "grid faint");
        svg.text(
            at,
            bottom + 17.0,
            if at > WIDTH - RIGHT - 16.0 { "t dim e" } else { "t dim m" },
            &time_label(time, step),
        );
    }
}
