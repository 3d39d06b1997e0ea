//! The parts after the figures, in their order.

use maud::{Markup, html};

use super::super::charts::{self, Piece, Texture, micros, nanos, percent};
use super::super::data::{PlanStep, Problem, Report};
use super::super::history::MEASURES;
use super::super::swaps::Swap;
use super::{Section, numbers, table, timeline};
use crate::limits::{ALERTS_KEPT_MAX, REPORT_TEXT_MAX};
use crate::monitor::{Evidence, words};

/// All of them.
pub fn all(report: &Report) -> Vec<Section> {
    let section = |anchor, heading, says, body| Section { anchor, heading, says, body };
    let mut sections = vec![
        section(
            "throughput",
            "Throughput",
            "Items committed per second, those of a transaction spread over the time since the one before. Ticks beneath are retries, numbered flags are alerts, lettered diamonds are plugins that were exchanged or were to be.",
            throughput(report),
        ),
        section(
            "controller",
            "What was planned, and why",
            "Each number is a change of plan; the list says why. Beneath, what the plans rested on.",
            controller(report),
        ),
        section("timeline", "Batches", "", timeline::section(report)),
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
    ];
    let there: Vec<&str> = sections.iter().filter(|one| one.body.is_some()).map(|one| one.anchor).collect();
    let body = recommendations(report, &there);
    sections.push(section(
        "recommendations",
        "For the next run",
        "What the runs of the same plugins into the same collection suggest; the flag --recommended of run takes it over.",
        body,
    ));
    sections
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
        @if !data.swaps.is_empty() {
            h3 { "Plugins exchanged" }
            ol.reasons.one { @for (i, swap) in data.swaps.iter().enumerate() { li { span.no.swap { (charts::letter(i)) } span { (swapped(swap)) } } } }
        }
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

/// What became of a candidate, and why.
fn swapped(swap: &Swap) -> Markup {
    let what = match swap.step.as_str() {
        "took-effect" => "took effect",
        "settled" => "stays: its probation is over",
        "put-back" => "failed its probation: the one before is back",
        "refused" => "was refused: the one before goes on",
        "skipped" => "was skipped",
        other => other,
    };
    let digest = |digest: &str| words::one_line(&digest.chars().take(19).collect::<String>(), 24);
    html! {
        b { "slot " (words::one_line(&swap.slot, 80)) ": " (file_name(&swap.name)) " " (what) }
        @if !swap.reason.is_empty() { ": " (words::one_line(&swap.reason, REPORT_TEXT_MAX)) }
        @if let Some(code) = &swap.code { " (" (words::one_line(code, 80)) ")" }
        span.dim {
            @if let Some(at) = swap.at_us { (micros(at)) ", " }
            @if let Some(batch) = swap.batch { "batch " (batch) ", " }
            "by " (swap.source) " · "
            @if let Some(old) = &swap.old_digest { code { (digest(old)) "…" } " → " }
            code { (digest(&swap.new_digest)) "…" }
        }
    }
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
        @if let Some(best) = data.best_fixed {
            p.dim { "Dashed: the fixed setting that the history of these plugins speaks for, batches of " (best.batch_size) " on " (words::counted(best.lanes, "lane")) "; see " a href="#recommendations" { "For the next run" } "." }
        }
        @if let Some(bound) = data.batch_time_max_us {
            p.dim { "95 of 100 batches were to take no longer than " (micros(bound)) " from cut to commit: the dashed line in the last panel." }
        }
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
        "wait" => "for its turn to be written, and for others of its transaction",
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
                "host" => ("host", Texture::Lines),
                "idle" => ("idle", Texture::Plain),
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
        dl { @for (name, value) in facts(report) { dt { (name) } dd { (value) } } }
    })
}

/// What stands beside the bar: who waited for whom, memory, indexes.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(idle) = &report.idle {
        let lanes = idle.lanes_us + idle.lanes_busy_us;
        let share = if lanes > 0 { percent(idle.lanes_us as f64 / lanes as f64) } else { "–".to_owned() };
        facts.extend([
            ("reader idle", format!("{}, since enough was under way (back-pressure)", micros(idle.reader_us))),
            ("lanes idle", format!("{} of {} planned ({share})", micros(idle.lanes_us), micros(lanes))),
            ("writer idle", micros(idle.writer_us)),
        ]);
    }
    if let Some(bytes) = report.process_bytes_peak {
        facts.push(("memory", format!("{} of the process at the most, when it was sampled", words::bytes(bytes))));
    }
    if report.indexes_built > 0 {
        let time = micros(report.index_build_us);
        facts.push(("indexes", format!("{} built at the end of the load, in {time}", report.indexes_built)));
    }
    facts
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

/// Codes of faults that the table of plugins names.
const FAULT_CODES_SHOWN: usize = 6;

fn plugins(report: &Report) -> Option<Markup> {
    if report.plugins.is_empty() {
        return None;
    }
    let headers =
        ["plugin", "role", "calls", "items", "per item", "time in all", "of it CPU", "memory", "faults", "made ready"];
    let known = report.plugins.iter().any(|plugin| plugin.did.is_some());
    Some(html! {
        @if !known { p.says { "What each plugin did is known once batches are committed." } }
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
                                td.n { (micros(did.time_us)) }
                                td.n { (micros(did.cpu_us)) }
                                td.n { @if did.memory_peak_bytes > 0 { (words::bytes(did.memory_peak_bytes)) } @else { "–" } }
                                td.n {
                                    (words::count(did.faults))
                                    @for (code, faults) in did.faults_by_code.iter().take(FAULT_CODES_SHOWN) { div.dim { (faults) " × " (words::one_line(code, 40)) } }
                                }
                            } @else { @for _ in 0..7 { td.n { "–" } } }
                            td.n {
                                @match plugin.prepare_us { Some(us) if us > 0 => { (micros(us)) } _ => { "–" } }
                                @match plugin.from_cache { Some(true) => { div.dim { "from the cache" } } Some(false) if plugin.digest.is_some() => { div.dim { "compiled" } } _ => {} }
                            }
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
        @if let Some(times) = &data.item_times {
            p { "In plugins an item took " b { (nanos(times.p50_ns)) } " (p50), " b { (nanos(times.p95_ns)) } " (p95), " b { (nanos(times.p99_ns)) } " (p99), over all " (words::counted(times.items, "item")) " of the " (words::counted(times.runs, "run")) " that kept it." }
        }
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

/// The parts of the page that show what a recommendation rests on.
fn evidence_of(setting: &str) -> &'static [(&'static str, &'static str)] {
    match setting {
        "batch-size" => &[("controller", "the plans"), ("latency", "the time of batches"), ("history", "other runs")],
        "lanes" => &[("controller", "the plans"), ("timeline", "the lanes"), ("time", "where the time went")],
        _ => &[("throughput", "retries over time"), ("problems", "the problems"), ("history", "other runs")],
    }
}

fn evidence_links(setting: &str, there: &[&str]) -> Markup {
    let links: Vec<_> = evidence_of(setting).iter().filter(|(anchor, _)| there.contains(anchor)).collect();
    html! {
        @if !links.is_empty() {
            div.dim {
                "See "
                @for (i, (anchor, what)) in links.into_iter().enumerate() {
                    @if i > 0 { ", " } a href={ "#" (anchor) } { (what) }
                }
            }
        }
    }
}

/// `there`: the other parts of the page.
fn recommendations(report: &Report, there: &[&str]) -> Option<Markup> {
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
                                (evidence_links(one.setting, there))
                            }
                        }
                    }
                }
            }
        }
    })
}
