//! The panes below the figures: charts, plans or failures, plugins, alerts, health.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Sparkline, Widget};

use super::Theme;
use crate::cli::spec::cut;
use crate::cli::top::picture::{Choice, Picture, Step, Tone};
use crate::cli::top::series::Column;
use crate::model::printable;
use crate::monitor::words::{count, percent, rate};

/// Alerts shown at the most.
const ALERTS_SHOWN: u16 = 4;
/// Rows of a chart at the most, its title included.
const CHART_ROWS: u16 = 12;
/// Rows of plans or failures that are worth more than a higher chart.
const LIST_ROWS: u16 = 14;
/// A column of a chart is drawn so wide at the most.
const WIDEST_COLUMN: usize = 8;
/// Narrower than this, there is one chart and not two.
const TWO_CHARTS_WIDTH: u16 = 50;

/// Rows for each pane.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    chart: u16,
    /// Plans or failures.
    list: u16,
    plugins: u16,
    alerts: u16,
    health: u16,
}

/// Shares out the rows: first the least that each pane needs, in the order of their weight, then what is left.
fn rows(height: u16, picture: &Picture) -> Rows {
    let mut left = height;
    let mut take = |least: u16| {
        let taken = if least <= left { least } else { 0 };
        left -= taken;
        taken
    };
    let plugins_wanted = if picture.plugins.is_empty() { 0 } else { picture.plugins.len() as u16 + 2 };
    let alerts_wanted = if picture.alerts.is_empty() { 0 } else { (picture.alerts.len() as u16).min(ALERTS_SHOWN) + 1 };
    let list = take(3);
    let chart = take(4);
    let health = take(1);
    let plugins = take(plugins_wanted.min(3));
    let alerts = take(alerts_wanted.min(2));
    let mut rows = Rows { chart, list, plugins, alerts, health };
    let mut more = |rows: &mut u16, wanted: u16| {
        let added = if *rows == 0 { 0 } else { wanted.saturating_sub(*rows).min(left) };
        *rows += added;
        left -= added;
    };
    more(&mut rows.plugins, plugins_wanted);
    more(&mut rows.alerts, alerts_wanted);
    more(&mut rows.list, 5);
    more(&mut rows.chart, 6);
    more(&mut rows.list, LIST_ROWS);
    more(&mut rows.chart, CHART_ROWS);
    more(&mut rows.list, u16::MAX);
    rows
}

/// Paints them from the top down.
pub fn paint(picture: &Picture, choice: Choice, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let rows = rows(area.height, picture);
    let mut y = area.y;
    let mut next = |height: u16| {
        let part = Rect { y, height, ..area };
        y += height;
        part
    };
    charts(picture, theme, next(rows.chart), buffer);
    match choice.failed_only {
        false => steps(picture, theme, next(rows.list), buffer),
        true => failures(picture, theme, next(rows.list), buffer),
    }
    plugins(picture, choice, theme, next(rows.plugins), buffer);
    alerts(picture, theme, next(rows.alerts), buffer);
    health(picture, theme, next(rows.health), buffer);
}

/// A pane's title and rule; gives the area below. None where there is no room.
fn titled(title: &str, theme: Theme, area: Rect, buffer: &mut Buffer) -> Option<Rect> {
    if area.height < 2 {
        return None;
    }
    let title = cut(title, usize::from(area.width).saturating_sub(4));
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(theme.dim())
        .title(Span::styled(format!(" {title} "), theme.tone(Tone::Plain)));
    let inner = block.inner(area);
    block.render(area, buffer);
    Some(inner)
}

fn charts(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let peak = picture.columns.iter().map(|column| column.rate).fold(0.0, f64::max);
    let worst = picture.columns.iter().map(|column| column.failed).fold(0.0, f64::max);
    let two = area.width >= TWO_CHARTS_WIDTH;
    let (left, right) = match two {
        true => {
            let width = area.width * 3 / 5;
            (Rect { width: width - 1, ..area }, Rect { x: area.x + width, width: area.width - width, ..area })
        }
        false => (area, Rect::default()),
    };
    let over = if picture.span.is_empty() { String::new() } else { format!(" in {}", picture.span) };
    if let Some(inner) = titled(&format!("items/s{over}, up to {}", rate(peak)), theme, left, buffer) {
        let values = scaled(picture, inner.width, |column| (column.rate * 100.0) as u64);
        Sparkline::default().data(values).style(theme.fore(Color::Cyan)).render(inner, buffer);
    }
    if two && let Some(inner) = titled(&format!("failed, up to {}", percent(worst)), theme, right, buffer) {
        // A hundredth fills a tenth of the height at the least, so that little looks like little.
        let values = scaled(picture, inner.width, |column| (column.failed * 1e6) as u64);
        let most = ((worst * 1e6) as u64).max(100_000);
        Sparkline::default().data(values).max(most).style(theme.fore(Color::Red)).render(inner, buffer);
    }
}

/// The columns of the picture for a chart of this width: of too many the largest of each group, of few each several times,
/// so that a short run is no speck at the edge.
fn scaled(picture: &Picture, width: u16, value: impl Fn(&Column) -> u64) -> Vec<u64> {
    let (columns, width) = (picture.columns.len().max(1), usize::from(width));
    let each = columns.div_ceil(width.max(1));
    let times = (width / columns).clamp(1, WIDEST_COLUMN);
    let values = picture.columns.chunks(each).map(|group| group.iter().map(&value).max().unwrap_or(0));
    values.flat_map(|value| std::iter::repeat_n(value, times)).collect()
}

fn steps(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let Some(inner) = titled("plans, the newest first", theme, area, buffer) else { return };
    let mut lines = Vec::new();
    for step in &picture.steps {
        let head = step_head(step);
        // Where the reason has little room beside, it stands below.
        let beside = usize::from(inner.width).saturating_sub(head.chars().count() + 2);
        let (room, indent) = if beside >= 30 {
            (beside, head.chars().count() + 2)
        } else {
            (usize::from(inner.width).saturating_sub(2), 2)
        };
        let mut parts = wrapped(&printable(&step.reason), room).into_iter();
        let first = if beside >= 30 { parts.next().unwrap_or_default() } else { String::new() };
        lines.push(Line::from(vec![Span::styled(head, theme.tone(Tone::Plain)), Span::raw(format!("  {first}"))]));
        lines.extend(parts.map(|part| Line::raw(format!("{:indent$}{part}", ""))));
        if lines.len() >= usize::from(inner.height) {
            break;
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled("none committed yet", theme.dim()));
    }
    list(lines, inner, buffer);
}

/// `batch 120: 10 → 25 items, 1 → 2 lanes`.
fn step_head(step: &Step) -> String {
    let change = |old: Option<u64>, new: u64| match old {
        Some(old) if old != new => format!("{} → {}", count(old), count(new)),
        _ => count(new),
    };
    let lanes = change(step.old_lanes, step.lanes);
    let lanes = if lanes == "1" { "1 lane".to_owned() } else { format!("{lanes} lanes") };
    format!("batch {}: {} items, {lanes}", step.batch, change(step.old_batch_size, step.batch_size))
}

fn failures(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let Some(inner) = titled("failed items by code, the newest of each", theme, area, buffer) else { return };
    let mut lines: Vec<Line<'_>> = picture
        .failures
        .iter()
        .map(|failure| {
            let slot = if failure.slot.is_empty() { String::new() } else { format!(" {}", failure.slot) };
            let id = if failure.id.is_empty() { "no item".to_owned() } else { cut(&failure.id, 24) };
            Line::from(vec![
                Span::styled(
                    format!("{:>7} × {}", count(failure.items), printable(&failure.code)),
                    theme.tone(Tone::Bad),
                ),
                Span::styled(printable(&slot).into_owned(), theme.dim()),
                Span::raw(format!("  {id}: {}", printable(&failure.message))),
            ])
        })
        .collect();
    if lines.is_empty() {
        lines.push(Line::styled("none", theme.dim()));
    }
    list(lines, inner, buffer);
}

fn plugins(picture: &Picture, choice: Choice, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let which = if choice.failed_only { "plugins with faults" } else { "plugins" };
    let note = picture.plugins_note.map_or(String::new(), |note| format!(" ({note})"));
    let title = format!("{which}, {}{note}", choice.sort.words());
    let Some(inner) = titled(&title, theme, area, buffer) else { return };
    let heads = ["PLUGIN", "ROLE", "CALLS", "ITEMS", "µs/ITEM", "FAULTS"];
    let cells: Vec<[String; 6]> = picture.plugins.iter().map(|plugin| plugin.cells()).collect();
    let widest =
        |i: usize| cells.iter().map(|row| row[i].chars().count()).chain([heads[i].chars().count()]).max().unwrap_or(0);
    // The role gives way first, then the calls and the items.
    let mut shown = vec![0, 1, 2, 3, 4, 5];
    for way in [1, 2, 3] {
        if shown.iter().map(|i| widest(*i) + 2).sum::<usize>() > usize::from(inner.width) {
            shown.retain(|i| *i != way);
        }
    }
    let line = |row: &[String; 6]| {
        let cells = shown.iter().map(|i| match i {
            0 | 1 => format!("{:width$}", printable(&row[*i]), width = widest(*i)),
            _ => format!("{:>width$}", row[*i], width = widest(*i)),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    let mut lines = vec![Line::styled(line(&heads.map(str::to_owned)), theme.dim())];
    lines.extend(cells.iter().zip(&picture.plugins).map(|(row, plugin)| match plugin.faulty() {
        true => Line::styled(line(row), theme.tone(Tone::Warn)),
        false => Line::raw(line(row)),
    }));
    if cells.is_empty() {
        lines = vec![Line::styled("none", theme.dim())];
    }
    list(lines, inner, buffer);
}

fn alerts(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let lasting = picture.alerts.iter().filter(|alert| alert.lasts).count();
    let title = if lasting == 0 { "alerts".to_owned() } else { format!("alerts, {lasting} lasting") };
    let Some(inner) = titled(&title, theme, area, buffer) else { return };
    let lines = picture.alerts.iter().map(|alert| {
        let (mark, style) =
            if alert.lasts { ("!", theme.tone(Tone::Warn)) } else { (" ", ratatui::style::Style::new()) };
        Line::styled(format!("{mark} {:>8}  {}", alert.at, alert.text), style)
    });
    list(lines.collect(), inner, buffer);
}

fn health(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let mut spans = vec![
        Span::styled("health ", theme.dim()),
        Span::styled(picture.health.clone(), theme.tone(picture.health_tone)),
    ];
    if picture.alerts.is_empty() {
        let none = picture.alerts_note.map_or("no alerts".to_owned(), |note| format!("alerts: {note}"));
        spans.push(Span::styled(format!("; {none}"), theme.dim()));
    }
    Line::from(spans).render(area, buffer);
}

fn list(lines: Vec<Line<'_>>, area: Rect, buffer: &mut Buffer) {
    for (y, line) in lines.into_iter().take(usize::from(area.height)).enumerate() {
        line.render(Rect { y: area.y + y as u16, height: 1, ..area }, buffer);
    }
}

/// Words on lines of at most `width` characters; a longer word is cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, width);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}
