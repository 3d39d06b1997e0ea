//! How often which time was needed, over time: larger and darker cells say more often.

use std::collections::BTreeMap;

use maud::Markup;

use super::scale::{Scale, time_label, time_ticks};
use super::svg::{Svg, n};
use crate::monitor::words;
use crate::report::data::Heat;

const WIDTH: f64 = 490.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 26.0;
/// Height of all rows together, within what a row needs and can use.
const ROWS: f64 = 240.0;
/// Levels from light and small to dark and large.
const LEVELS: usize = 5;

/// A map; none where nothing was counted. `told` says a time of the map.
pub fn heat(title: &str, counted: &str, data: &Heat, end_us: u64, told: fn(u64) -> String) -> Option<Markup> {
    let rows = data.bounds.len().checked_sub(1).filter(|rows| *rows > 0)?;
    let height = (ROWS / rows as f64).clamp(12.0, 30.0);
    // Bounds that are told, so that their texts have room.
    let every = (22.0 / height).ceil() as usize;
    let bottom = TOP + rows as f64 * height;
    let mut svg = Svg::new(WIDTH, bottom + 48.0);
    let end = (data.column_us * data.columns as u64).max(end_us).max(1);
    let x = Scale { from: 0.0, to: end as f64, start: LEFT, end: WIDTH - RIGHT };
    svg.text(LEFT, TOP - 9.0, "t b", title);
    for (row, bound) in data.bounds.iter().enumerate() {
        let y = bottom - row as f64 * height;
        if row.is_multiple_of(every) {
            svg.line((LEFT, y), (WIDTH - RIGHT, y), "grid");
            svg.text(LEFT - 7.0, y + 4.0, "t dim e", &told(*bound));
        }
    }
    let (times, step) = time_ticks(0, end);
    for time in times.iter().step_by(2) {
        svg.text(x.at(*time as f64), bottom + 16.0, "t dim m", &time_label(*time, step));
    }
    let most = data.cells.iter().map(|cell| cell.2).max().unwrap_or(1);
    let mut levels: BTreeMap<usize, String> = BTreeMap::new();
    for (column, row, count) in &data.cells {
        let level = level(*count, most);
        let size = size(level);
        let from = x.at((*column as u64 * data.column_us) as f64);
        let width = x.at(((*column as u64 + 1) * data.column_us) as f64).min(WIDTH - RIGHT) - from;
        let (drawn_width, drawn_height) = ((width - 0.6).max(0.6), (height - 1.0) * size);
        let y = bottom - (*row as f64 + 0.5) * height - drawn_height / 2.0;
        *levels.entry(level).or_default() +=
            &format!("M{} {}h{}v{}h-{}z", n(from), n(y), n(drawn_width), n(drawn_height), n(drawn_width));
    }
    for (level, d) in levels {
        svg.path(&d, &format!("heat{level}"));
    }
    legend(&mut svg, bottom + 30.0, most, counted);
    let total: u64 = data.cells.iter().map(|cell| cell.2).sum();
    let (lowest, highest) = (data.bounds[0], data.bounds[rows]);
    let description = format!("{} {counted} between {} and {}.", words::count(total), told(lowest), told(highest));
    Some(svg.finish(title, &description))
}

/// By orders of magnitude: the rare is what one looks for.
fn level(count: u64, most: u64) -> usize {
    let share = ((count.max(1) as f64).ln() + 1.0) / ((most.max(1) as f64).ln() + 1.0);
    ((share * LEVELS as f64).ceil() as usize).clamp(1, LEVELS)
}

fn size(level: usize) -> f64 {
    0.3 + 0.7 * (level - 1) as f64 / (LEVELS - 1) as f64
}

fn legend(svg: &mut Svg, y: f64, most: u64, counted: &str) {
    let mut x = LEFT;
    svg.text(x, y + 9.0, "t dim", "1");
    x += 12.0;
    for level in 1..=LEVELS {
        let height = 11.0 * size(level);
        svg.rect(x, y + 5.5 - height / 2.0, 12.0, height, &format!("heat{level}"));
        x += 15.0;
    }
    svg.text(x + 3.0, y + 9.0, "t dim", &format!("{} {counted} in a cell", words::count(most)));
}
