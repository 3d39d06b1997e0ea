//! The batches: who did what when.

use maud::{Markup, html};

use super::super::charts::{self, PHASE_SIGNS, micros};
use super::super::data::Report;
use super::super::timeline::{Abandoned, Part};
use super::{batches, numbers, table};
use crate::limits::REPORT_TEXT_MAX;
use crate::monitor::words;

/// None where nothing was begun.
pub fn section(report: &Report) -> Option<Markup> {
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
            words::count(batch.retries),
            micros(batch.cut_us),
            micros(batch.computed_us - batch.cut_us),
            micros(batch.write_us.1 - batch.write_us.0),
            micros(batch.commit_us.1 - batch.commit_us.0),
            micros(batch.lasted_us()),
        ]
    });
    let headers = ["batch", "items", "failed", "retries", "cut at", "computing", "writing", "commit", "cut to commit"];
    Some(html! {
        p.says {
            "A row for the reader, for each lane and for the writer; a bar for each attempt of a part of a batch. Above them how many batches were under way, and in grey how many of these waited for the writer. When a batch was written is worked out from the times of its transaction. "
            @if data.left_out > 0 {
                "Drawn are " (batches(drawn as u64)) "; the other " (batches(data.left_out as u64)) " are left out."
            }
        }
        ul.legend {
            @for sign in PHASE_SIGNS { li { (charts::swatch_of(sign.class, sign.texture, sign.height)) (sign.name) } }
            li { b { "◤" } "items of it failed" }
            li { b { "↻2" } "framed: another attempt" }
            @if !data.abandoned.is_empty() { li { b { "▨" } "hatched: not committed" } }
        }
        @for (part, abandoned) in &parts {
            @if parts.len() > 1 { h3 { (part.title) } }
            div.chart { (charts::timeline(part, abandoned, part.is_short())) }
            @if !part.is_short() {
                p.dim { "Choose a range to see each bar with its number, its texture and what it was:" }
                @for range in part.ranges() {
                    details.range { summary { (range.title) } div.chart { (charts::timeline(&range, &[], true)) } }
                }
            }
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
