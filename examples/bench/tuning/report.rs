//! The figures of the tuning as Markdown and as JSON.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::peers::Machine;
use super::super::report;
use super::super::results::{Goal, Target};
use super::super::statistics::{grouped, median};
use super::plans::{Plan, remembered};
use super::setting::Setting;
use super::{Measured, Tuned, of};

/// The targets first, then what they rest on.
pub fn markdown(machine: &Machine, tuned: &[Tuned]) -> String {
    let mut text = report::heading(machine);
    for one in tuned {
        let title = title(one);
        text.extend(goals(one).iter().map(|goal| report::goal_row(&title, goal)));
    }
    let rounds = tuned.first().map_or(0, |one| one.cold().runs.len());
    text.push_str(&format!(
        "\n**Items per second**; medians of {rounds} runs each, in turn, after the rounds of the grid\n\n"
    ));
    text.push_str(
        "| workload | best cell: batch size × lanes | its items/s | sequential | adaptive, cold | cold / best | \
         second run: best cell | sequential | adaptive, warm | warm / best | warm began at |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for one in tuned {
        text.push_str(&row(one));
    }
    text.push_str(
        "\n![For each workload the items per second of every cell of the grid, the deeper its colour the more, and the plans of a \
         cold and a warm start over it, the first one uppermost](tuning.svg)\n",
    );
    text
}

/// What a workload is held to.
fn goals(one: &Tuned) -> [Goal; 3] {
    [
        Goal::ratio("throughput of a cold start, best cell = 1", one.cold_by_best(), Target::AtLeast(0.90)),
        Goal::ratio("throughput of a warm start, best cell = 1", one.warm_by_best(), Target::AtLeast(0.97)),
        Goal::ratio("throughput of the worse of both, sequential = 1", one.worse_by_sequential(), Target::AtLeast(1.0)),
    ]
}

fn title(one: &Tuned) -> String {
    format!("{} {}", grouped(one.items), one.workload.title)
}

fn row(one: &Tuned) -> String {
    let rate = |measured: &Measured| grouped(one.items_per_s(measured) as u64);
    let begin = match one.warm().typical().plans.as_slice() {
        plans @ [first, ..] if remembered(plans) => format!("{} × {}", first.batch_size, first.lanes),
        // A run of too few batches leaves nothing.
        _ => "nothing learned".to_owned(),
    };
    let best = one.best();
    let cells = [
        title(one),
        best.setting.to_string(),
        rate(best),
        rate(of(&one.first, Setting::Sequential)),
        rate(one.cold()),
        report::figure(one.cold_by_best()),
        rate(of(&one.second, best.setting)),
        rate(of(&one.second, Setting::Sequential)),
        rate(one.warm()),
        report::figure(one.warm_by_best()),
        begin,
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Everything, each sample and each plan too.
pub fn json(machine: &Machine, tuned: &[Tuned]) -> Result<String> {
    let workloads: Vec<Value> = tuned
        .iter()
        .map(|one| {
            let list = |measured: &[Measured]| measured.iter().map(|each| setting(one, each)).collect::<Vec<_>>();
            json!({
                "workload": one.workload.key,
                "title": one.workload.title,
                "items": one.items,
                "best": one.best().setting.to_string(),
                "grid": list(&one.grid),
                "first_run": list(&one.first),
                "second_run": list(&one.second),
                "figures": goals(one).iter().map(report::goal).collect::<Vec<_>>(),
            })
        })
        .collect();
    let report = json!({
        "date": machine.date,
        "hardware": machine.hardware,
        "software": machine.software,
        "workloads": workloads,
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn setting(one: &Tuned, measured: &Measured) -> Value {
    let mut value = json!({
        "setting": measured.setting.to_string(),
        "items_per_s": one.items_per_s(measured),
        "wall_s": { "median": median(&measured.walls()), "samples": measured.walls() },
    });
    if let Setting::Fixed { batch_size, lanes } = measured.setting {
        value["batch_size"] = batch_size.into();
        value["lanes"] = lanes.into();
    }
    if measured.setting == Setting::Adaptive {
        let plans = |run: &super::Run| run.plans.iter().map(plan).collect::<Vec<_>>();
        value["plans"] = measured.runs.iter().map(plans).collect::<Vec<_>>().into();
    }
    value
}

fn plan(plan: &Plan) -> Value {
    json!({ "batch": plan.batch, "batch_size": plan.batch_size, "lanes": plan.lanes, "reason": plan.reason })
}
