//! What the strategy planned, and what it saw when it did.

use maud::Markup;

use super::scale::{Scale, short, ticks};
use super::svg::{Svg, n};
use super::throughput::{grid, heading, time_axis};
use super::{LEFT, RIGHT, WIDTH, micros};
use crate::report::data::{BestFixed, Controller, PlanStep, Step, Throughput};

/// Rows of numbers above the panels, so that neighbours do not cover each other.
const MARK_ROWS: usize = 3;
const MARK_APART: f64 = 21.0;
/// Room for one row of them, and for the heading of the first panel.
const FIRST_PANEL: f64 = 54.0;
const GAP: f64 = 34.0;

/// The chart; none where no plan was kept.
pub fn controller(data: &Controller, time: &Throughput) -> Option<Markup> {
    let placed: Vec<&PlanStep> = data.plans.iter().filter(|plan| plan.at_us.is_some()).collect();
    if placed.is_empty() {
        return None;
    }
    let cpu: Vec<(u64, f64)> = data.health.iter().filter_map(|h| Some((h.at_us, h.cpu_share? * 100.0))).collect();
    let memory: Vec<(u64, f64)> = data.health.iter().filter_map(|h| Some((h.at_us, h.memory_share? * 100.0))).collect();
    let of_step = |step: &Step| Some((step.from_us + time.step_us / 2, step.batch_p95_us? as f64 / 1000.0));
    let p95: Vec<(u64, f64)> = time.steps.iter().filter_map(of_step).collect();
    // In seconds where milliseconds would be many.
    let in_seconds = p95.iter().any(|(_, ms)| *ms >= 2000.0);
    let slow_title = match in_seconds {
        true => "from cut to commit, s: 95 of 100 batches are faster",
        false => "from cut to commit, ms: 95 of 100 batches are faster",
    };
    let shown_as = |ms: f64| if in_seconds { ms / 1000.0 } else { ms };
    let p95: Vec<(u64, f64)> = p95.into_iter().map(|(us, ms)| (us, shown_as(ms))).collect();
    let bound = data.batch_time_max_us.map(|us| shown_as(us as f64 / 1000.0));
    let best = |of: fn(&BestFixed) -> u64| data.best_fixed.as_ref().map(of);
    let panels = [
        ("batch size, items", 110.0, true),
        (if data.lanes_in_use.is_empty() { "lanes" } else { "lanes planned, and at work (shaded)" }, 64.0, true),
        ("CPU of the machine, %", 54.0, !cpu.is_empty()),
        ("memory of the machine, %", 54.0, !memory.is_empty()),
        (slow_title, 70.0, !p95.is_empty()),
    ];
    let shown = panels.iter().filter(|panel| panel.2);
    let x = Scale { from: 0.0, to: time.end_us.max(1) as f64, start: LEFT, end: WIDTH - RIGHT };
    let rows = mark_rows(&x, &placed);
    let most_rows = rows.iter().flatten().max().map_or(0, |row| *row);
    let first = FIRST_PANEL + most_rows as f64 * MARK_APART;
    let bottom = first + shown.map(|panel| panel.1 + GAP).sum::<f64>() - GAP;
    let mut svg = Svg::new(WIDTH, bottom + 26.0);
    time_axis(&mut svg, &x, (0, time.end_us), first, bottom);
    marks(&mut svg, &x, &placed, &rows, (first, bottom));
    let mut top = first;
    for (i, (title, height, there)) in panels.into_iter().enumerate() {
        if !there {
            continue;
        }
        heading(&mut svg, top, title);
        let range = (top, top + height);
        match i {
            0 => plan(&mut svg, &x, range, &placed, |plan| plan.batch_size, (best(|best| best.batch_size), None)),
            1 => {
                let in_use = Some((data.lanes_in_use.as_slice(), time.end_us));
                plan(&mut svg, &x, range, &placed, |plan| plan.lanes, (best(|best| best.lanes), in_use));
            }
            2 => share(&mut svg, &x, range, &cpu),
            3 => share(&mut svg, &x, range, &memory),
            _ => slow(&mut svg, &x, range, &p95, bound),
        }
        top += height + GAP;
    }
    let description = format!(
        "{} plans. Batches of {} to {} items, {} to {} lanes. The list below gives the reason of each.",
        data.plans.len() + data.plans_left_out,
        least(&placed, |plan| plan.batch_size),
        most(&placed, |plan| plan.batch_size),
        least(&placed, |plan| plan.lanes),
        most(&placed, |plan| plan.lanes),
    );
    let description = match data.best_fixed {
        Some(best) => format!(
            "{description} Dashed: the best fixed setting of the history, {} items on {} lanes.",
            best.batch_size, best.lanes
        ),
        None => description,
    };
    Some(svg.finish("What was planned, and what the plans rested on", &description))
}

fn least(plans: &[&PlanStep], of: fn(&PlanStep) -> u64) -> u64 {
    plans.iter().map(|plan| of(plan)).min().unwrap_or(0)
}

fn most(plans: &[&PlanStep], of: fn(&PlanStep) -> u64) -> u64 {
    plans.iter().map(|plan| of(plan)).max().unwrap_or(0)
}

/// A number for each plan, with a line down through the panels; a small sign where there is no room for the number.
fn marks(svg: &mut Svg, x: &Scale, plans: &[&PlanStep], rows: &[Option<usize>], (top, bottom): (f64, f64)) {
    for (plan, row) in plans.iter().zip(rows) {
        let at = x.at(plan.at_us.unwrap_or(0) as f64);
        let title = format!("plan {}, from batch {}: {}", plan.number, plan.batch, plan.reason);
        svg.told(&title, |svg| match row {
            Some(row) => {
                let y = top - 36.0 - *row as f64 * MARK_APART;
                svg.line((at, y), (at, bottom), "mark");
                svg.circle(at, y, 9.5, "number");
                svg.text(at, y + 4.0, "t m inv", &plan.number.to_string());
            }
            None => svg.path(&format!("M{} {}l-3 -6h6z", n(at), n(top - 18.0)), "tip"),
        });
    }
}

/// The lowest row that has room for the number of each plan; none where no row has.
fn mark_rows(x: &Scale, plans: &[&PlanStep]) -> Vec<Option<usize>> {
    let mut taken = [f64::NEG_INFINITY; MARK_ROWS];
    let place = |plan: &&PlanStep| {
        let at = x.at(plan.at_us.unwrap_or(0) as f64);
        let row = taken.iter().position(|last| at - last >= MARK_APART)?;
        taken[row] = at;
        Some(row)
    };
    plans.iter().map(place).collect()
}

/// How much was in use from which time on, and the end of the axis.
type InUse<'a> = (&'a [(u64, u64)], u64);

/// A planned number as steps; how much of it was in use behind it.
fn plan(
    svg: &mut Svg,
    x: &Scale,
    (top, bottom): (f64, f64),
    plans: &[&PlanStep],
    of: fn(&PlanStep) -> u64,
    (best, in_use): (Option<u64>, Option<InUse<'_>>),
) {
    let (in_use, end_us) = in_use.unwrap_or_default();
    let most = plans.iter().map(|plan| of(plan)).chain(best).chain(in_use.iter().map(|(_, n)| *n)).max().unwrap_or(1);
    let whole: Vec<f64> = ticks(most as f64, 3.0).into_iter().filter(|tick| tick.fract() == 0.0).collect();
    let y = Scale { from: 0.0, to: whole.last().map_or(1.0, |last| last.max(most as f64)), start: bottom, end: top };
    whole.iter().for_each(|tick| grid(svg, y.at(*tick), &short(*tick)));
    if !in_use.is_empty() {
        let ends = in_use.iter().skip(1).map(|(at, _)| *at).chain([end_us]);
        let used: String = in_use
            .iter()
            .zip(ends)
            .filter(|((_, lanes), _)| *lanes > 0)
            .map(|((at, lanes), end)| {
                let (from, to) = (x.at(*at as f64), x.at(end as f64));
                format!("M{} {}V{}H{}V{}Z", n(from), n(bottom), n(y.at(*lanes as f64)), n(to), n(bottom))
            })
            .collect();
        svg.path(&used, "area");
    }
    if let Some(best) = best {
        let level = y.at(best as f64);
        svg.told(&format!("best fixed setting of the history: {best}"), |svg| {
            svg.line((LEFT, level), (WIDTH - RIGHT, level), "dash");
            let at = if level < top + 14.0 { level + 13.0 } else { level - 4.0 };
            svg.text(WIDTH - RIGHT - 4.0, at, "t halo e", &format!("best fixed {best}"));
        });
    }
    let mut d = String::new();
    for step in plans {
        let (at, level) = (n(x.at(step.at_us.unwrap_or(0) as f64)), n(y.at(of(step) as f64)));
        d += &if d.is_empty() { format!("M{at} {level}") } else { format!("H{at}V{level}") };
    }
    d += &format!("H{}", n(x.end));
    svg.path(&d, "line thick");
    // A number where it lasts long enough to have room.
    let mut levels: Vec<(f64, u64)> =
        plans.iter().map(|plan| (x.at(plan.at_us.unwrap_or(0) as f64), of(plan))).collect();
    levels.dedup_by_key(|level| level.1);
    let ends = levels.iter().skip(1).map(|level| level.0).chain([x.end]).collect::<Vec<_>>();
    for ((at, value), end) in levels.into_iter().zip(ends) {
        let label = value.to_string();
        if end - at > label.len() as f64 * 8.0 + 6.0 {
            let level = y.at(value as f64);
            svg.text(at + 4.0, if level - 5.0 < top + 8.0 { level + 15.0 } else { level - 5.0 }, "t halo b", &label);
        }
    }
}

fn share(svg: &mut Svg, x: &Scale, (top, bottom): (f64, f64), samples: &[(u64, f64)]) {
    let y = Scale { from: 0.0, to: 100.0, start: bottom, end: top };
    [0.0, 50.0, 100.0].into_iter().for_each(|tick| grid(svg, y.at(tick), &short(tick)));
    let at = |(us, percent): &(u64, f64)| (x.at(*us as f64), y.at(percent.clamp(0.0, 100.0)));
    if samples.len() > 1 {
        svg.path(&joined(samples.iter().map(at)), "line second");
    }
    // So few that each can be seen.
    if samples.len() <= 60 {
        for sample in samples {
            let (x, y) = at(sample);
            svg.told(&format!("{:.0} % at {}", sample.1, micros(sample.0)), |svg| svg.circle(x, y, 2.6, "dot second"));
        }
    }
    if let Some(last) = samples.last() {
        let (x, y) = at(last);
        let beyond = x > WIDTH - RIGHT - 40.0;
        let above = if y < top + 16.0 { y + 15.0 } else { y - 6.0 };
        svg.text(
            if beyond { x - 5.0 } else { x + 6.0 },
            above,
            if beyond { "t halo b e" } else { "t halo b" },
            &format!("{:.0}", last.1),
        );
    }
}

fn slow(svg: &mut Svg, x: &Scale, (top, bottom): (f64, f64), steps: &[(u64, f64)], bound: Option<f64>) {
    let most = steps.iter().map(|step| step.1).chain(bound).fold(0.0, f64::max);
    let marks = ticks(most, 2.0);
    let y = Scale { from: 0.0, to: marks.last().copied().unwrap_or(1.0), start: bottom, end: top };
    marks.iter().for_each(|tick| grid(svg, y.at(*tick), &short(*tick)));
    if let Some(bound) = bound {
        svg.line((LEFT, y.at(bound)), (WIDTH - RIGHT, y.at(bound)), "dash");
        let at = if y.at(bound) < top + 14.0 { y.at(bound) + 13.0 } else { y.at(bound) - 4.0 };
        svg.text(WIDTH - RIGHT - 4.0, at, "t halo e", &format!("bound {}", short(bound)));
    }
    svg.path(&joined(steps.iter().map(|(us, ms)| (x.at(*us as f64), y.at(*ms)))), "line third");
    for (us, ms) in steps {
        svg.circle(x.at(*us as f64), y.at(*ms), 2.2, "dot plum");
    }
}

/// A line from point to point.
fn joined(points: impl Iterator<Item = (f64, f64)>) -> String {
    let step = |(i, (x, y)): (usize, (f64, f64))| format!("{}{} {}", if i == 0 { "M" } else { "L" }, n(x), n(y));
    points.enumerate().map(step).collect()
}
