//! The report as one HTML page. Every text goes through maud, which escapes it.

mod opening;
mod sections;
mod timeline;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::data::Report;

/// Colours for light, dark and paper, and everything else that is looks.
const STYLE: &str = include_str!("page/style.css");

/// A part of the page: the word that leads to it, its heading, what it shows, and itself; none where there is nothing to say.
struct Section {
    anchor: &'static str,
    heading: &'static str,
    /// How to read it.
    says: &'static str,
    body: Option<Markup>,
}

/// The page: complete in itself, without scripts.
pub fn page(report: &Report) -> String {
    let sections: Vec<Section> = sections::all(report).into_iter().filter(|section| section.body.is_some()).collect();
    let title = format!("Run {} · {}", report.run.run, report.run.collection);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "atlas-host " (report.version) };
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        (opening::title(report))
                        nav aria-label="Parts of this report" {
                            @for section in &sections { a href={ "#" (section.anchor) } { (section.heading) } }
                        }
                    }
                    section { (opening::body(report)) }
                    @for section in &sections {
                        section id=(section.anchor) {
                            h2 { (section.heading) }
                            @if !section.says.is_empty() { p.says { (section.says) } }
                            @if let Some(body) = &section.body { (body) }
                        }
                    }
                    footer {
                        "Made by atlas-host " (report.version) " at " (report.made) ". "
                        @if report.events { "From the history of the store and recorded events." }
                        @else { "From the history of the store; recorded events (--events) would add samples of the host, lanes at work, and batches that were given up." }
                        @if report.unreadable_events > 0 {
                            " " (report.unreadable_events) " lines of the recording could not be read."
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// A table whose columns from `numbers_from` on are numbers.
fn table(headers: &[&str], numbers_from: usize, rows: impl IntoIterator<Item = Vec<String>>) -> Markup {
    let class = |column: usize| (column >= numbers_from).then_some("n");
    html! {
        div.scroll {
            table {
                thead { tr { @for (i, header) in headers.iter().enumerate() { th class=[class(i)] { (header) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (i, cell) in row.iter().enumerate() { td class=[class(i)] { (cell) } } }
                    }
                }
            }
        }
    }
}

/// Numbers behind a chart, folded away.
fn numbers(summary: &str, table: Markup) -> Markup {
    html! { details { summary { (summary) } (table) } }
}

/// `1 batch`, `2 batches`.
fn batches(number: u64) -> String {
    crate::monitor::words::counted(number, "batch").replace("batchs", "batches")
}

#[cfg(test)]
mod tests;
