//! The main job as a drawing: a bar for each contestant, as long as its median, with a line from its fastest to its
//! slowest run. Readable on light and dark ground, and without colours.

use super::results::{Results, Timed};
use super::sections::{ATLAS, Section};
use super::statistics::{max, median, min, seconds};

const WIDTH: f64 = 760.0;
/// Where bars begin; names stand before.
const LEFT: f64 = 130.0;
/// Room behind the longest line, for figures.
const RIGHT: f64 = 150.0;
const ROW: f64 = 30.0;
const BAR: f64 = 18.0;
const TITLE: f64 = 34.0;

const STYLE: &str = "
    text { font: 14px system-ui, sans-serif; fill: #1f2328 }
    .title, .own-text { font-weight: 600 }
    .peer { fill: #aab4c0 }
    .own { fill: #2f6fdf }
    .range { stroke: #1f2328; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .peer { fill: #59636e }
      .own { fill: #4c8dff }
      .range { stroke: #e6edf3 }
    }
  ";

/// None if nothing that was measured is drawn.
pub fn svg(measured: &[(Section<'_>, Results)]) -> Option<String> {
    let drawn: Vec<_> = measured.iter().filter(|(section, _)| section.drawn).collect();
    let rows: usize = drawn.iter().map(|(_, results)| results.all().len()).sum();
    if rows == 0 {
        return None;
    }
    let height = rows as f64 * ROW + drawn.len() as f64 * (TITLE + 12.0);
    let mut body = String::new();
    let mut y = 0.0;
    for (section, results) in drawn {
        let title = &section.title;
        body.push_str(&format!("  <text class=\"title\" x=\"0\" y=\"{:.0}\">{title}</text>\n", y + 18.0));
        y += TITLE;
        let longest = results.all().iter().map(|one| max(&one.wall())).fold(0.0, f64::max);
        let scale = (WIDTH - LEFT - RIGHT) / longest;
        let mut fastest_first: Vec<&Timed> = results.all().iter().collect();
        fastest_first.sort_by(|a, b| a.median_wall().total_cmp(&b.median_wall()));
        let own = results.of(ATLAS).map(Timed::median_wall);
        for one in fastest_first {
            body.push_str(&row(one, y, scale, own));
            y += ROW;
        }
        y += 12.0;
    }
    let label =
        "Time of each loader for the same job: bars are medians, lines reach from the fastest to the slowest run";
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" \
         aria-label=\"{label}\">\n  <style>{STYLE}</style>\n{body}</svg>\n"
    ))
}

fn row(one: &Timed, y: f64, scale: f64, own: Option<f64>) -> String {
    let wall = one.wall();
    let middle = median(&wall);
    let (bar_class, text_class) = if one.name == ATLAS { ("own", " class=\"own-text\"") } else { ("peer", "") };
    let (from, to) = (LEFT + min(&wall) * scale, LEFT + max(&wall) * scale);
    let (center, baseline, width) = (y + BAR / 2.0, y + BAR / 2.0 + 5.0, middle * scale);
    let times = match own {
        Some(own) if one.name != ATLAS => format!(" ({:.1} ×)", middle / own),
        _ => String::new(),
    };
    let (name, figure, end) = (one.name, seconds(middle), to.max(LEFT + width) + 10.0);
    format!(
        "  <text{text_class} x=\"{:.0}\" y=\"{baseline:.1}\" text-anchor=\"end\">{name}</text>\n  \
         <rect class=\"{bar_class}\" x=\"{LEFT:.0}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR:.0}\" rx=\"2\"/>\n  \
         <path class=\"range\" d=\"M{from:.1} {center:.1}H{to:.1}M{from:.1} {:.1}v8M{to:.1} {:.1}v8\"/>\n  \
         <text{text_class} x=\"{end:.1}\" y=\"{baseline:.1}\">{figure}{times}</text>\n",
        LEFT - 10.0,
        center - 4.0,
        center - 4.0,
    )
}
