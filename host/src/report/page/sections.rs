//! The parts after the figures, in their order.

use maud::{Markup, html};

use super::super::charts::{self, Piece, Texture, micros, nanos, percent};
use super::super::data::{PlanStep, Problem, Report};
use super::super::history::MEASURES;
use super::super::timeline::{Abandoned, Part};
use super::{Section, batches, numbers, table};
use crate::limits::{ALERTS_KEPT_MAX, REPORT_TEXT_MAX};
use crate::monitor::{Evidence, words};

/// All of them.
pub fn all(report: &Report) -> Vec<Section> {
    let section = |anchor, heading, says, body| Section { anchor, heading, says, body };
    vec![
        section(
            "throughput",
            "Throughput",
            "Items committed per second, those of a transaction spread over the time since the one before. Ticks beneath are retries, numbered flags are alerts.",
            throughput(report),
        ),
        section(
            "controller",
            "What was planned, and why",
            "Each number is a change of plan; the list says why. Beneath, what the plans rested on.",
            controller(report),
        ),
        section("timeline", "Batches", "", timeline(report)),
        section(
            "latency",
            "Latency",
            "The guest time per item is told by batch in four points (p50, p95, p99, longest), and each item counts at the point next above it.",
            latency(report),
        ),
        section(
            "time",
            "Where the time went",
            "Sums over batches and lanes, which work side by side: together they are more than the duration.",
            time(report),
        ),
        section("problems", "Problems", "", problems(report)),
        section("plugins", "Plugins", "", plugins(report)),
        section("history", "Beside other runs", "", history(report)),
        section(
            "recommendations",
            "For the next run",
            "What the runs of the same plugins into the same collection suggest; the flag --recommended of run takes it over.",
            recommendations(report),
        ),
    ]
}

fn throughput(report: &Report) -> Option<Markup> {
    let data = &report.throughput;
    let chart = charts::throughput(&report.run, data)?;
    let rows = data.steps.iter().map(|step| {
        vec![
            micros(step.from_us),
            words::rate(step.items_per_s),
            step.error_share.map_or("–".to_owned(), percent),
            words::count(step.retries),
            step.batch_p95_us.map_or("–".to_owned(), micros),
        ]
    });
    let headers = ["from", "items/s", "errors", "retries", "95 of 100 batches faster than"];
    Some(html! {
        div.chart { (chart) }
        @if !data.alerts.is_empty() {
            h3 { "Alerts" }
            ol.reasons.one {
                @for (i, alert) in data.alerts.iter().take(ALERTS_KEPT_MAX).enumerate() {
                    li {
                        span.no.alarm { (i + 1) }
                        span {
                            b { (alert.alert) } " at " (micros(alert.from_us)) ", batch " (alert.batch) ": " (words::one_line(&alert.message, REPORT_TEXT_MAX))
                            span.dim {
                                @match alert.to_us { Some(to) => { "cleared at " (micros(to)) } None => { "not cleared" } }
                            }
                        }
                    }
                }
            }
        }
        (numbers(&format!("Numbers, in steps of {}", micros(data.step_us)), table(&headers, 0, rows)))
    })
}

fn controller(report: &Report) -> Option<Markup> {
    let data = &report.controller;
    if data.plans.is_empty() {
        return None;
    }
    let chart = charts::controller(data, &report.throughput);
    let reasons = |plans: &[PlanStep]| {
        html! {
            ol.reasons class=[(plans.len() < 3).then_some("one")] {
                @for plan in plans { li { span.no { (plan.number) } span { (reason(plan)) } } }
            }
        }
    };
    let half = data.plans.len() / 2;
    Some(html! {
        @if let Some(chart) = chart { div.chart { (chart) } }
        @if data.plans_left_out == 0 { (reasons(&data.plans)) } @else {
            (reasons(&data.plans[..half]))
            p.dim { (words::count(data.plans_left_out as u64)) " changes of plan in between are left out: the list has the first and the last." }
            (reasons(&data.plans[half..]))
        }
    })
}

fn reason(plan: &PlanStep) -> Markup {
    let change = |name: &str, old: Option<u64>, new: u64| match old {
        Some(old) if old != new => format!("{name} {old} → {new}"),
        _ => format!("{name} {new}"),
    };
    let share = |name: &str, share: Option<f64>| share.map(|share| format!("{name} {:.0}\u{a0}%", share * 100.0));
    let seen: Vec<String> = [
        share("CPU", plan.seen.cpu_share),
        share("memory", plan.seen.memory_share),
        share("lanes busy", plan.seen.lanes_busy),
        share("writer busy", plan.seen.writer_busy),
    ]
    .into_iter()
    .flatten()
    .collect();
    html! {
        b {
            (change("size", plan.old_batch_size, plan.batch_size)) ", " (change("lanes", plan.old_lanes, plan.lanes))
            @if plan.old_batches_in_flight.is_some_and(|old| old != plan.batches_in_flight) {
                ", " (change("batches under way", plan.old_batches_in_flight, plan.batches_in_flight))
            }
        }
        ": " (words::one_line(&plan.reason, REPORT_TEXT_MAX))
        span.dim {
            @match plan.at_us { Some(at) => { (micros(at)) ", " } None => {} }
            "batch " (plan.batch)
            @if plan.at_us.is_none() { ", which has no times" }
            @if !seen.is_empty() { " · " (seen.join(", ")) }
        }
    }
}

fn timeline(report: &Report) -> Option<Markup> {
    let data = &report.timeline;
    if data.parts.is_empty() && data.abandoned.is_empty() {
        return None;
    }
    let parts = with_abandoned(&data.parts, &data.abandoned);
    let drawn: usize = data.parts.iter().map(|part| part.batches.len()).sum();
    let rows = data.parts.iter().flat_map(|part| &part.batches).map(|batch| {
        vec![
            batch.batch.to_string(),
            words::count(batch.items),
            words::count(batch.failed),
            micros(batch.cut_us),
            micros(batch.computed_us - batch.cut_us),
            micros(batch.write_us.1 - batch.write_us.0),
            micros(batch.commit_us.1 - batch.commit_us.0),
            micros(batch.lasted_us()),
        ]
    });
    let headers = ["batch", "items", "failed", "cut at", "computing", "writing", "commit", "cut to commit"];
    let sign = |class, name: &str| html! { li { (charts::swatch(class, Texture::Plain)) (name) } };
    Some(html! {
        p.says {
            "A row is a place for one batch under way, from reading to COMMIT. When it was written is worked out from the times of its transaction. "
            @if data.left_out > 0 {
                "Drawn are " (batches(drawn as u64)) "; the other " (batches(data.left_out as u64)) " are left out."
            }
        }
        ul.legend {
            (sign("read", "reading")) (sign("compute", "computing, full height")) (sign("wait", "waiting for its turn or its transaction, a thin line"))
            (sign("write", "writing, half height")) (sign("commit", "commit of its transaction"))
            @if !data.abandoned.is_empty() { li { b { "▨" } "hatched: not committed" } }
        }
        @for (part, abandoned) in &parts {
            @if parts.len() > 1 { h3 { (part.title) } }
            div.chart { (charts::timeline(part, abandoned)) }
        }
        @if !data.abandoned.is_empty() {
            h3 { "Not committed" }
            ul.reasons.one {
                @for (batches, reason) in by_reason(&data.abandoned) {
                    li { span { b { (batches) } ": " (words::one_line(&reason, REPORT_TEXT_MAX)) } }
                }
                @if data.abandoned_left_out > 0 { li { "and " (batches(data.abandoned_left_out)) " more" } }
            }
        }
        (numbers("Numbers of the batches drawn", table(&headers, 0, rows)))
    })
}

/// The batches of each reason, in words.
fn by_reason(abandoned: &[Abandoned]) -> Vec<(String, String)> {
    let mut reasons: Vec<(&str, Vec<u64>)> = Vec::new();
    for batch in abandoned {
        match reasons.iter_mut().find(|(reason, _)| *reason == batch.reason) {
            Some((_, numbers)) => numbers.push(batch.batch),
            None => reasons.push((&batch.reason, vec![batch.batch])),
        }
    }
    let told = |numbers: &[u64]| match (numbers.iter().min(), numbers.iter().max()) {
        (Some(one), Some(same)) if one == same => format!("batch {one}"),
        (Some(first), Some(last)) => format!("{} from {first} to {last}", batches(numbers.len() as u64)),
        _ => String::new(),
    };
    reasons.into_iter().map(|(reason, numbers)| (told(&numbers), reason.to_owned())).collect()
}

/// Each part with the batches that were given up in its time; those of other times stand alone.
fn with_abandoned(parts: &[Part], abandoned: &[Abandoned]) -> Vec<(Part, Vec<Abandoned>)> {
    let mut left: Vec<Abandoned> = abandoned.to_vec();
    let mut with: Vec<(Part, Vec<Abandoned>)> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let from = part.batches.first().map_or(0, |batch| batch.from_us);
        let to = part.batches.iter().map(|batch| batch.commit_us.1).max().unwrap_or(0);
        // Nothing follows the last part.
        let to = if i + 1 == parts.len() { u64::MAX } else { to };
        let inside = |batch: &Abandoned| (from..=to).contains(&batch.from_us);
        with.push((part.clone(), left.iter().filter(|batch| inside(batch)).cloned().collect()));
        left.retain(|batch| !inside(batch));
    }
    if !left.is_empty() {
        let alone = Part { title: "Batches that were not committed".to_owned(), batches: Vec::new() };
        with.push((alone, left));
    }
    with
}

fn latency(report: &Report) -> Option<Markup> {
    let data = &report.latency;
    if data.rows.is_empty() {
        return None;
    }
    let end = report.throughput.end_us;
    let maps = [
        charts::heat("guest time per item", "items", &data.items, end, nanos),
        charts::heat("batches, from cut to commit", "batches", &data.batches, end, micros),
    ];
    let headers = ["phase", "what it is", "of a", "counted", "p50", "p90", "p95", "p99", "longest"];
    let rows = data.rows.iter().map(|row| {
        let times = [row.p50_ns, row.p90_ns, row.p95_ns, row.p99_ns, row.max_ns].map(nanos);
        let mut cells =
            vec![row.name.to_owned(), what(row.name).to_owned(), row.per.to_owned(), words::count(row.count)];
        cells.extend(times);
        cells
    });
    Some(html! {
        div.pair { @for map in maps.into_iter().flatten() { div { (map) } } }
        (table(&headers, 3, rows))
    })
}

/// A phase in words.
fn what(phase: &str) -> &'static str {
    match phase {
        "guest time" => "in validators and operation",
        "cut to commit" => "all of its way",
        "read" => "reading and decoding",
        "validate" => "validators, summed over lanes",
        "operate" => "operation, summed over lanes",
        "compute" => "from the cut to the last decision, its turn at the lanes included",
        "wait" => "until it is its turn to be written",
        "write" => "SQL statements",
        "commit" => "of a transaction, once for all its batches",
        _ => "",
    }
}

fn time(report: &Report) -> Option<Markup> {
    let sum: u64 = report.time.iter().map(|share| share.us).sum();
    if sum == 0 {
        return None;
    }
    const GUESTS: [(&str, Texture); 5] = [
        ("g1", Texture::Plain),
        ("g2", Texture::Lines),
        ("g3", Texture::Bars),
        ("g4", Texture::Cross),
        ("g5", Texture::Dots),
    ];
    let mut guests = GUESTS.iter().cycle();
    let pieces: Vec<Piece> = report
        .time
        .iter()
        .map(|share| {
            let (class, texture) = match share.kind {
                "read" => ("read", Texture::Plain),
                "wait" => ("wait", Texture::Dots),
                "write" => ("write", Texture::Bars),
                "commit" => ("commit", Texture::Cross),
                _ => *guests.next().unwrap_or(&GUESTS[0]),
            };
            Piece {
                name: if share.kind == "guest" { format!("plugin {}", share.name) } else { share.name.clone() },
                value: share.us as f64,
                told: format!("{} ({})", micros(share.us), percent(share.us as f64 / sum as f64)),
                class,
                texture,
            }
        })
        .collect();
    Some(html! {
        div.chart { (charts::stack("Where the time went", &pieces)) }
        ul.legend {
            @for piece in &pieces { li { (charts::swatch(piece.class, piece.texture)) (piece.name) " " b { (piece.told) } } }
        }
    })
}

fn problems(report: &Report) -> Option<Markup> {
    if report.problems.is_empty() {
        return None;
    }
    let failed = report.run.counts.failed().max(1);
    Some(html! {
        div.scroll {
            table {
                thead { tr { th { "code" } th { "plugin" } th { "phase" } th.n { "items" } th.n { "share" } th { "for example" } } }
                tbody {
                    @for problem in &report.problems {
                        tr {
                            td { b { (words::one_line(&problem.code, 80)) } div.dim { (problem.fate) } }
                            td { (problem.slot.as_deref().map_or("–".to_owned(), |slot| words::one_line(slot, 60))) }
                            td { (problem.phase) }
                            td.n { (words::count(problem.items)) }
                            td.n { (percent(problem.items as f64 / failed as f64)) }
                            td.wide { (sample(problem)) }
                        }
                    }
                }
            }
        }
        @if report.other_problems > 0 { p.dim { "And " (words::counted(report.other_problems, "item")) " with other problems." } }
        p.dim { "All of them: " code { "atlas-host dead-letters list --run " (report.run.run) " --store " (report.run.store) } }
    })
}

fn sample(problem: &Problem) -> Markup {
    let Some(sample) = &problem.sample else { return html! { "–" } };
    html! {
        (words::one_line(&sample.message, 300))
        div.dim {
            @if let Some(id) = &sample.id { "item " (words::one_line(id, 100)) ", " }
            (words::one_line(&sample.input, 200)) " line " (sample.line) ", dead letter " (sample.dead_letter)
        }
        @if let Some(original) = &sample.original { code.sample { (words::one_line(original, 240)) } }
    }
}

fn plugins(report: &Report) -> Option<Markup> {
    if report.plugins.is_empty() {
        return None;
    }
    let headers = ["plugin", "role", "calls", "items", "per item", "faults", "time in all"];
    let known = report.plugins.iter().any(|plugin| plugin.did.is_some());
    Some(html! {
        @if !known { p.says { "What each plugin did is known once the run has ended, or from recorded events." } }
        div.scroll {
            table {
                thead { tr { @for (i, header) in headers.iter().enumerate() { th class=[(i > 1).then_some("n")] { (header) } } } }
                tbody {
                    @for plugin in &report.plugins {
                        tr {
                            td.wide {
                                b { (words::one_line(&plugin.slot, 80)) } " " span.dim { (file_name(&plugin.name)) }
                                div { code { (plugin.digest.as_deref().unwrap_or("no digest: a closure")) } }
                            }
                            td { (plugin.role) @if plugin.from_batch > 0 { div.dim { "from batch " (plugin.from_batch) " on" } } }
                            @if let Some(did) = &plugin.did {
                                td.n { (words::count(did.calls)) }
                                td.n { (words::count(did.items)) }
                                td.n { (did.time_us.saturating_mul(1000).checked_div(did.items).map_or("–".to_owned(), nanos)) }
                                td.n { (words::count(did.faults)) }
                                td.n { (micros(did.time_us)) }
                            } @else { @for _ in 0..5 { td.n { "–" } } }
                        }
                    }
                }
            }
        }
    })
}

fn file_name(path: &str) -> String {
    words::one_line(path.rsplit('/').next().unwrap_or(path), 120)
}

fn history(report: &Report) -> Option<Markup> {
    let data = &report.history;
    let charts = charts::multiples(report.run.run, &data.runs, &data.departures);
    if charts.is_empty() {
        return None;
    }
    let rows = data.runs.iter().rev().map(|past| {
        let mut cells =
            vec![past.run.to_string(), past.status.to_owned(), past.started.clone(), words::count(past.items)];
        cells.extend(
            MEASURES.map(|(measure, of)| of(past).map_or("–".to_owned(), |value| charts::told(measure, value))),
        );
        cells
    });
    let headers = ["run", "status", "started", "items", "duration", "items/s", "errors"];
    Some(html! {
        p.says { "The last " (words::counted(data.runs.len() as u64, "run")) " " (data.basis) "; this one is run " (report.run.run) ", in full colour." }
        div.three { @for chart in charts { div { (chart) } } }
        @if !data.departures.is_empty() {
            ul.reasons.one {
                @for departure in &data.departures {
                    li {
                        span { b { "◆ run " (departure.run) } ": " (departure.measure) " "
                        (charts::told(departure.measure, departure.value)) ", where the median is "
                        (charts::told(departure.measure, departure.median)) }
                    }
                }
            }
        }
        (numbers("Numbers", table(&headers, 3, rows)))
    })
}

fn measured(evidence: &Evidence) -> String {
    match evidence.unit {
        "" => words::count(evidence.value.max(0.0).round() as u64),
        unit => format!("{} {unit}", words::rate(evidence.value)),
    }
}

fn recommendations(report: &Report) -> Option<Markup> {
    let recommended = report.recommendations.as_ref()?;
    Some(html! {
        div.scroll {
            table {
                thead { tr { th { "setting" } th.n { "value" } th { "why" } } }
                tbody {
                    @for one in recommended.all() {
                        tr {
                            td.nowrap { code { "--" (one.setting) } }
                            td.n { b { (words::count(one.value)) } @if one.default { div.dim { "the default" } } }
                            td.wide {
                                (one.reason)
                                @for evidence in &one.evidence {
                                    div.dim { (evidence.what) ": " (measured(evidence)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}
