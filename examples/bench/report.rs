//! The figures as Markdown and as JSON.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::peers::Machine;
use super::results::{Goal, Results, Target, Timed};
use super::sections::Section;
use super::statistics::{grouped, max, median, min, seconds};

/// What stands around a report in a page.
#[derive(Clone, Copy)]
pub struct Region {
    begin: &'static str,
    end: &'static str,
}

impl Region {
    /// The sections of contestants.
    pub const SECTIONS: Self = Self { begin: "<!-- report -->\n", end: "<!-- /report -->" };
    pub const TUNING: Self = Self { begin: "<!-- tuning -->\n", end: "<!-- /tuning -->" };
}

/// The targets first, then a table for each section.
pub fn markdown(machine: &Machine, measured: &[(Section<'_>, Results)]) -> String {
    let mut text = heading(machine);
    for (section, results) in measured {
        for goal in (section.goals)(results) {
            text.push_str(&goal_row(&section.title, &goal));
        }
    }
    for (section, results) in measured {
        text.push_str(&table(section, results));
    }
    text
}

/// Where the figures come from, and the head of the table of targets.
pub fn heading(machine: &Machine) -> String {
    let Machine { date, hardware, software } = machine;
    format!(
        "Taken on {date} on a machine with {hardware}.\nWith {software}.\n\n\
         | job | figure of atlas-host | measured | target | met |\n|---|---|---|---|---|\n"
    )
}

pub fn goal_row(title: &str, goal: &Goal) -> String {
    let (what, unit) = (&goal.what, goal.unit);
    let target = match goal.target {
        Some(Target::AtMost(bound)) => format!("at most {}{unit}", figure(bound)),
        Some(Target::AtLeast(bound)) => format!("at least {}{unit}", figure(bound)),
        None => "–".to_owned(),
    };
    let met = match goal.met() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "–",
    };
    format!("| {title} | {what} | {}{unit} | {target} | {met} |\n", figure(goal.measured))
}

/// Three digits say as much as such measurements can.
pub fn figure(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn table(section: &Section<'_>, results: &Results) -> String {
    let all = results.all();
    let first = all.first().map_or(1.0, Timed::median_wall);
    let (name, runs) = (all.first().map_or("", |one| one.name), all.first().map_or(0, |one| one.samples.len()));
    let mut text = format!("\n**{}**; {runs} runs each, in turn\n\n", section.title);
    text.push_str(&format!("| | wall: min | median | max | items/s | CPU | peak memory | wall, {name} = 1 |\n"));
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for one in all {
        let (wall, cpu, peak) = (one.wall(), one.cpu(), one.peak());
        let cells = [
            one.name.to_owned(),
            seconds(min(&wall)),
            seconds(median(&wall)),
            seconds(max(&wall)),
            grouped((one.items as f64 / median(&wall)) as u64),
            if cpu.is_empty() { "–".to_owned() } else { seconds(median(&cpu)) },
            if peak.is_empty() { "–".to_owned() } else { format!("{:.0} MB", max(&peak)) },
            figure(median(&wall) / first),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// Everything, each sample too.
pub fn json(machine: &Machine, measured: &[(Section<'_>, Results)]) -> Result<String> {
    let sections: Vec<Value> = measured
        .iter()
        .map(|(section, results)| {
            let contestants = results.all().iter();
            let goals = (section.goals)(results);
            json!({
                "section": section.key,
                "title": section.title,
                "contestants": contestants.map(contestant).collect::<Vec<_>>(),
                "figures": goals.iter().map(goal).collect::<Vec<_>>(),
            })
        })
        .collect();
    let report = json!({
        "date": machine.date,
        "hardware": machine.hardware,
        "software": machine.software,
        "sections": sections,
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn contestant(one: &Timed) -> Value {
    let summary = |samples: &[f64]| match samples.is_empty() {
        true => Value::Null,
        false => json!({ "min": min(samples), "median": median(samples), "max": max(samples), "samples": samples }),
    };
    json!({
        "name": one.name,
        "items": one.items,
        "wall_s": summary(&one.wall()),
        "cpu_s": summary(&one.cpu()),
        "peak_mb": summary(&one.peak()),
    })
}

pub fn goal(goal: &Goal) -> Value {
    let (bound, sense) = match goal.target {
        Some(Target::AtMost(bound)) => (Some(bound), Some("at most")),
        Some(Target::AtLeast(bound)) => (Some(bound), Some("at least")),
        None => (None, None),
    };
    json!({
        "figure": goal.what,
        "unit": goal.unit.trim(),
        "measured": goal.measured,
        "sense": sense,
        "target": bound,
        "met": goal.met(),
    })
}

/// A page with this report in place of the one it has there.
pub fn replaced(page: &str, region: Region, report: &str) -> Result<String> {
    let Region { begin, end } = region;
    let begin = page.find(begin).with_context(|| format!("the page has no {}", begin.trim()))? + begin.len();
    let end = page[begin..].find(end).with_context(|| format!("the page has no {end}"))? + begin;
    Ok(format!("{}{report}{}", &page[..begin], &page[end..]))
}
