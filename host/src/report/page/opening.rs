//! What stands first: how the run ended, and its figures.

use maud::{Markup, html};

use super::super::charts;
use super::super::data::{Head, Report};
use super::batches;
use crate::limits::REPORT_TEXT_MAX;
use crate::model::RunStatus;
use crate::monitor::words;

/// The headline.
pub fn title(report: &Report) -> Markup {
    let run = &report.run;
    let (sign, word) = status(run.status);
    html! {
        h1 { "Run " (run.run) " " span class={ "pill " (word) } { (sign) " " (word) } }
        p.lead {
            "Into " b { (run.collection) } " of " (run.store)
            @if !run.strategy.is_empty() { " · strategy " (run.strategy) }
            " · started " (run.started)
            @if let Some(ended) = &run.ended { " · ended " (ended) }
        }
    }
}

/// The figures.
pub fn body(report: &Report) -> Markup {
    let run = &report.run;
    let (pieces, bar) = charts::fates(&run.counts);
    html! {
        (notes(report))
        div.tiles { @for (name, value) in tiles(run) { div.tile { b { (value) } span { (name) } } } }
        div.chart { (bar) }
        ul.legend {
            @for piece in &pieces { li { (charts::swatch(piece.class, piece.texture)) (piece.name) " " b { (piece.told) } } }
        }
        dl {
            dt { "rows" }
            dd {
                (words::count(run.counts.inserted)) " inserted, " (words::count(run.counts.replaced)) " replaced, "
                (words::count(run.counts.unchanged)) " unchanged, " (words::count(run.counts.ignored)) " ignored, "
                (words::count(run.counts.deleted)) " deleted"
            }
            dt { "retries" } dd { (words::count(run.counts.retries)) }
            @if run.blank_lines > 0 { dt { "blank lines" } dd { (words::count(run.blank_lines)) } }
            dt { "inputs" }
            dd { @for input in run.inputs.iter().take(INPUTS_SHOWN) { div { (words::one_line(input, 300)) } } (more(run.inputs.len())) }
            @for plugin in &report.plugins {
                dt { (plugin.role) " " (plugin.slot) }
                dd {
                    code { (plugin.digest.as_deref().unwrap_or("no digest: a closure")) }
                    @if plugin.from_batch > 0 { " from batch " (plugin.from_batch) " on" }
                }
            }
            dt { "uuid" } dd { code { (run.uuid) } }
        }
    }
}

/// Inputs that are listed.
const INPUTS_SHOWN: usize = 8;

fn more(inputs: usize) -> Markup {
    html! { @if inputs > INPUTS_SHOWN { div.dim { "and " (words::count((inputs - INPUTS_SHOWN) as u64)) " more" } } }
}

/// A sign and the word: colour alone says nothing.
fn status(status: RunStatus) -> (&'static str, &'static str) {
    let sign = match status {
        RunStatus::Running => "▶",
        RunStatus::Succeeded => "✓",
        RunStatus::Partial => "◐",
        RunStatus::Failed => "✕",
        RunStatus::RolledBack => "↶",
        RunStatus::Interrupted => "❚❚",
    };
    (sign, status.as_str())
}

fn tiles(run: &Head) -> Vec<(&'static str, String)> {
    let known = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let duration = |ms: u64| words::duration(std::time::Duration::from_millis(ms));
    let mut tiles = vec![
        ("items read", words::count(run.counts.read)),
        ("rejected or dead-lettered", words::count(run.counts.failed())),
        ("duration", known(run.duration_ms.map(duration))),
        ("items per second", known(run.items_per_s.map(words::rate))),
        ("batches", words::count(run.batches)),
    ];
    let time = |ns: u64| if ns > 0 { charts::nanos(ns) } else { "–".to_owned() };
    tiles.extend([
        ("p50, in plugins per item", time(run.item_p50_ns)),
        ("p95, in plugins per item", time(run.item_p95_ns)),
        ("p99, in plugins per item", time(run.item_p99_ns)),
    ]);
    tiles
}

/// What a reader has to know before the figures.
fn notes(report: &Report) -> Markup {
    let run = &report.run;
    let mut mild: Vec<String> = Vec::new();
    match run.status {
        RunStatus::Running => {
            mild.push(format!("The run is at work. This is what it had committed at {}.", report.made));
        }
        RunStatus::Interrupted if run.error.is_none() => {
            mild.push("The run was interrupted; what was committed stays.".to_owned());
        }
        RunStatus::RolledBack => mild.push("Nothing of the run was kept.".to_owned()),
        _ => {}
    }
    if run.counts.read == 0 && run.status != RunStatus::Running {
        mild.push("No item was read, so there is little to draw.".to_owned());
    }
    if run.executions > 1 {
        mild.push(format!(
            "The run was executed {} times. Counts, charts and times are of all executions, which stand one after the other; duration and alerts are of the last.",
            run.executions
        ));
    }
    if run.batches_without_times > 0 {
        mild.push(format!(
            "The history no longer keeps the times of {}: these are in the counts and in no chart.",
            batches(run.batches_without_times)
        ));
    }
    html! {
        @if let Some(error) = &run.error {
            div.box {
                p { b { (error.code) } " " (words::one_line(&error.message, REPORT_TEXT_MAX)) }
                @for cause in error.causes.iter().take(5) { p.dim { "caused by: " (words::one_line(cause, REPORT_TEXT_MAX)) } }
                @if !error.hint.is_empty() { p { "What to do: " (words::one_line(&error.hint, REPORT_TEXT_MAX)) } }
            }
        }
        @for note in &mild { div.box.mild { p { (note) } } }
    }
}
