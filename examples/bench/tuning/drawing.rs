//! A panel for each workload: the grid as shaded cells with their figures, and over it the plans of a cold and of a warm
//! start. Readable on light and dark ground; without colours the figures and the shape of the marks tell the same.
//!
//! Size goes to the right on a logarithmic scale, lanes go down by rows. Within a row a plan stands the lower the later it
//! was chosen, so that those of the same size do not cover each other.

use super::super::statistics::grouped;
use super::plans::Plan;
use super::setting::{BATCH_SIZES, LANES, Setting};
use super::{Tuned, of};

const WIDTH: f64 = 760.0;
/// Where cells begin; lanes stand before.
const LEFT: f64 = 70.0;
const CELL_WIDTH: f64 = (WIDTH - LEFT) / BATCH_SIZES.len() as f64;
const CELL_HEIGHT: f64 = 92.0;
/// Plans lie below the figure of a cell.
const FIGURE: f64 = 26.0;
const TITLE: f64 = 32.0;
/// Sizes stand below the cells.
const AXIS: f64 = 24.0;
const GAP: f64 = 22.0;
const LEGEND: f64 = 46.0;
/// Of the best cell; figures have to be readable on it.
const SHADE_MAX: f64 = 0.55;

const STYLE: &str = "
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title, .best-text { font-weight: 600 }
    .cell { fill: #2f6fdf; stroke: #8c959f; stroke-width: 0.5 }
    .best { fill: none; stroke: #1f2328; stroke-width: 2 }
    .path { fill: none; stroke: #b35900; stroke-width: 1.5 }
    .warm { stroke-dasharray: 5 3; stroke: #116329 }
    .dot { fill: #b35900 }
    .ring { fill: #ffffff; stroke: #116329; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .cell { fill: #4c8dff; stroke: #59636e }
      .best { stroke: #e6edf3 }
      .path { stroke: #ffb454 }
      .warm { stroke: #7ee787 }
      .dot { fill: #ffb454 }
      .ring { fill: #0d1117; stroke: #7ee787 }
    }
  ";

pub fn svg(tuned: &[Tuned]) -> String {
    let panel = TITLE + LANES.len() as f64 * CELL_HEIGHT + AXIS + GAP;
    let height = LEGEND + tuned.len() as f64 * panel;
    let mut body = legend();
    for (at, one) in tuned.iter().enumerate() {
        body.push_str(&cells(one, LEGEND + at as f64 * panel));
        let top = LEGEND + at as f64 * panel + TITLE;
        body.push_str(&path(&one.cold().typical().plans, top, false));
        body.push_str(&path(&one.warm().typical().plans, top, true));
    }
    let label = "Items per second for each batch size and number of lanes, and the plans of the adaptive strategy";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" \
         aria-label=\"{label}\">\n  <style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn legend() -> String {
    let mut text = "  <text x=\"0\" y=\"14\">Items per second for each batch size and number of lanes, and over them, \
         the first one uppermost:</text>\n"
        .to_owned();
    for (x, class, mark, words) in [
        (LEFT, "path", "dot", "plans of a cold start"),
        (LEFT + 220.0, "path warm", "ring", "plans of a warm start, in the second run"),
    ] {
        text.push_str(&format!(
            "  <path class=\"{class}\" d=\"M{x:.0} 32h30\"/>\n  \
             <circle class=\"{mark}\" cx=\"{:.0}\" cy=\"32\" r=\"4\"/>\n  \
             <text x=\"{:.0}\" y=\"36\">{words}</text>\n",
            x + 15.0,
            x + 38.0,
        ));
    }
    text
}

/// The grid of one workload under its title.
fn cells(one: &Tuned, top: f64) -> String {
    let (title, items) = (&one.workload.title, grouped(one.items));
    let mut text = format!("  <text class=\"title\" x=\"0\" y=\"{:.0}\">{items} {title}</text>\n", top + 20.0);
    let best = one.best().setting;
    let most = one.items_per_s(one.best());
    let mut outline = String::new();
    for (row, lanes) in LANES.into_iter().enumerate() {
        let y = top + TITLE + row as f64 * CELL_HEIGHT;
        let words = if lanes == 1 { "1 lane".to_owned() } else { format!("{lanes} lanes") };
        let middle = y + CELL_HEIGHT / 2.0;
        text.push_str(&format!(
            "  <text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{words}</text>\n",
            LEFT - 10.0
        ));
        for (column, batch_size) in BATCH_SIZES.into_iter().enumerate() {
            let setting = Setting::Fixed { batch_size, lanes };
            let rate = one.items_per_s(of(&one.grid, setting));
            let (x, figure) = (LEFT + column as f64 * CELL_WIDTH, grouped(rate as u64));
            let shade = SHADE_MAX * rate / most;
            let area = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{CELL_WIDTH:.1}\" height=\"{CELL_HEIGHT:.1}\"");
            let class = if setting == best { " class=\"best-text\"" } else { "" };
            text.push_str(&format!(
                "  <rect class=\"cell\" fill-opacity=\"{shade:.2}\" {area}/>\n  \
                 <text{class} x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{figure}</text>\n",
                x + CELL_WIDTH / 2.0,
                y + 18.0,
            ));
            if setting == best {
                outline = format!("  <rect class=\"best\" {area}/>\n");
            }
        }
    }
    text.push_str(&outline);
    let y = top + TITLE + LANES.len() as f64 * CELL_HEIGHT + 17.0;
    text.push_str(&format!("  <text x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\">size</text>\n", LEFT - 10.0));
    for size in BATCH_SIZES {
        text.push_str(&format!(
            "  <text x=\"{:.1}\" y=\"{y:.0}\" text-anchor=\"middle\">{size}</text>\n",
            across(size)
        ));
    }
    text
}

/// Plans over the cells that begin at `top`, joined by a line.
fn path(plans: &[Plan], top: f64, warm: bool) -> String {
    let (line, mark) = if warm { ("path warm", "ring") } else { ("path", "dot") };
    let room = CELL_HEIGHT - FIGURE - 14.0;
    let step = room / plans.len().saturating_sub(1).max(1) as f64;
    // A lonely plan of each start would cover the other.
    let shift = if warm { 3.0 } else { -3.0 };
    let (mut d, mut marks) = (String::new(), String::new());
    for (at, plan) in plans.iter().enumerate() {
        let row = LANES.iter().rposition(|lanes| *lanes <= plan.lanes).unwrap_or(0) as f64;
        let (x, y) = (across(plan.batch_size) + shift, top + row * CELL_HEIGHT + FIGURE + 7.0 + at as f64 * step);
        d.push_str(&format!("{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' }));
        let words = format!("plan {} from batch {}: {} × {}", at + 1, plan.batch, plan.batch_size, plan.lanes);
        marks.push_str(&format!(
            "  <circle class=\"{mark}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\"><title>{words}</title></circle>\n",
            // The first one is the largest.
            if at == 0 { 5 } else { 3 },
        ));
    }
    format!("  <path class=\"{line}\" d=\"{d}\"/>\n{marks}")
}

/// Where a size stands: those of the grid in the middle of their cells.
fn across(size: u64) -> f64 {
    let (least, most) = (BATCH_SIZES[0] as f64, BATCH_SIZES[BATCH_SIZES.len() - 1] as f64);
    let way = (size as f64 / least).ln() / (most / least).ln();
    LEFT + CELL_WIDTH / 2.0 + way.clamp(0.0, 1.0) * (WIDTH - LEFT - CELL_WIDTH)
}
