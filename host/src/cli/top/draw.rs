//! Draws a [`Picture`], on any terminal: what finds no room gives way, the least important first.

mod panes;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, LineGauge, Paragraph, Widget};

use super::picture::{Choice, Picture, Tone};
use crate::cli::spec::cut;
use crate::monitor::words::percent;

/// Below these the picture is a few lines of text.
const WIDTH_MIN: u16 = 30;
/// See [`WIDTH_MIN`].
const HEIGHT_MIN: u16 = 7;
/// Width of one figure with its name.
const TILE_WIDTH: u16 = 12;

const KEYS: [(&str, &str); 4] = [("q", "quit"), ("s", "sort"), ("f", "failed only"), ("?", "help")];

const HELP: &[&str] = &[
    "q, Esc, Ctrl-C  leave; the run goes on",
    "s               sort the plugins by another column",
    "f               failed items in place of plans",
    "?               this help, and back",
    "",
    "The figures are those of the newest run of the",
    "store. With --events FILE, written by the same",
    "option of `run`, they are finer.",
];

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Colours as well as bold and dim.
    pub color: bool,
}

impl Theme {
    /// Colour is never the only sign: words say the same.
    fn tone(self, tone: Tone) -> Style {
        let (color, modifier) = match tone {
            Tone::Plain => return Style::new().add_modifier(Modifier::BOLD),
            Tone::Good => (Color::Green, Modifier::BOLD),
            Tone::Warn => (Color::Yellow, Modifier::BOLD),
            Tone::Bad => (Color::Red, Modifier::BOLD),
        };
        self.fore(color).add_modifier(modifier)
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn fore(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }
}

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, picture: &Picture, choice: Choice, theme: Theme) {
    let area = frame.area();
    paint(picture, choice, theme, area, frame.buffer_mut());
}

/// The picture as lines of text, without what only a living one needs.
pub fn text(picture: &Picture, choice: Choice, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    paint(picture, Choice { help: false, ..choice }, Theme { color: false }, area, &mut buffer);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    // The keys at the foot mean nothing any more.
    let foot = if is_small(area) { 0 } else { 1 };
    let mut lines: Vec<String> = (0..height.saturating_sub(foot)).map(line).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n")
}

fn paint(picture: &Picture, choice: Choice, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if is_small(area) {
        return few_lines(picture, theme, area, buffer);
    }
    let row = |y: u16, height: u16| Rect::new(area.x, area.y + y, area.width, height.min(area.height - y));
    header(picture, theme, row(0, 1), buffer);
    footer(picture, theme, row(area.height - 1, 1), buffer);
    let body = row(1, area.height - 2);
    if picture.run {
        let body = tiles(picture, theme, body, buffer);
        panes::paint(picture, choice, theme, body, buffer);
    } else {
        let text = "Begin one by `atlas-host run`; it will be shown here.";
        Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }).render(row(2, 2), buffer);
    }
    if choice.help {
        help(theme, area, buffer);
    }
}

fn is_small(area: Rect) -> bool {
    area.width < WIDTH_MIN || area.height < HEIGHT_MIN
}

fn header(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let name = "atlas-host top";
    let title = cut(&picture.title, width.saturating_sub(name.len() + 3));
    Line::from(vec![Span::styled(name, theme.tone(Tone::Plain)), Span::raw("  "), Span::raw(title)])
        .render(area, buffer);
}

fn footer(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut spans = Vec::new();
    for (key, what) in KEYS {
        spans.push(Span::styled(key, theme.tone(Tone::Plain)));
        spans.push(Span::styled(format!(" {what}  "), theme.dim()));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    if let Some(notice) = &picture.notice {
        spans.push(Span::styled(cut(notice, usize::from(area.width).saturating_sub(used)), theme.tone(Tone::Warn)));
    }
    Line::from(spans).render(area, buffer);
}

/// Names above figures, in as many rows as there is room for, and how far the run is. Gives what is left of the area.
fn tiles(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    let per_row = (area.width / TILE_WIDTH).clamp(1, 8);
    // Evenly spread; on one row if they fit.
    let rows_wanted = (picture.tiles.len() as u16).div_ceil(per_row);
    let rows = rows_wanted.min(((area.height - 1) / 2).min(if area.height < 12 { 1 } else { 2 }).max(1));
    let per_row = (picture.tiles.len() as u16).div_ceil(rows).min(per_row);
    let width = area.width / per_row;
    for (i, tile) in picture.tiles.iter().take(usize::from(per_row * rows)).enumerate() {
        let (x, y) = (area.x + (i as u16 % per_row) * width, area.y + (i as u16 / per_row) * 2);
        let room = usize::from(width.saturating_sub(1));
        buffer.set_stringn(x, y, tile.name, room, theme.dim());
        buffer.set_stringn(x, y + 1, &tile.value, room, theme.tone(tile.tone));
    }
    let mut used = rows * 2;
    if let Some(share) = picture.share.filter(|_| used < area.height) {
        LineGauge::default()
            .ratio(share.clamp(0.0, 1.0))
            .label(format!("{:>5}", percent(share)))
            .filled_symbol("━")
            .unfilled_symbol("─")
            .filled_style(theme.fore(Color::Green))
            .unfilled_style(theme.dim())
            .render(Rect { y: area.y + used, height: 1, ..area }, buffer);
        used += 1;
    }
    Rect { y: area.y + used, height: area.height - used, ..area }
}

/// For a terminal on which nothing else fits.
fn few_lines(picture: &Picture, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let figures = picture.tiles.iter().map(|tile| (tile.name.to_lowercase(), &tile.value, tile.tone));
    let mut lines = vec![Line::raw(picture.title.clone())];
    lines.extend(figures.map(|(name, value, tone)| {
        Line::from(vec![Span::styled(value.clone(), theme.tone(tone)), Span::styled(format!(" {name}"), theme.dim())])
    }));
    if picture.run {
        // The status first: the title may take all the room there is.
        lines.swap(0, 1);
    }
    for (y, line) in lines.into_iter().take(usize::from(area.height)).enumerate() {
        line.render(Rect { y: area.y + y as u16, height: 1, ..area }, buffer);
    }
}

fn help(theme: Theme, area: Rect, buffer: &mut Buffer) {
    let (width, height) = (area.width.min(54), area.height.min(HELP.len() as u16 + 2));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let area = Rect::new(x, y, width, height);
    Clear.render(area, buffer);
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::raw(format!(" {line}"))).collect();
    Paragraph::new(lines).block(Block::bordered().title(" keys ").border_style(theme.dim())).render(area, buffer);
}
