//! Batches under way, each in a row of its own while it lasts.

use maud::Markup;

use super::scale::Scale;
use super::svg::{Svg, hatching, n};
use super::throughput::time_axis;
use super::{LEFT, RIGHT, WIDTH, micros};
use crate::monitor::words;
use crate::report::timeline::{Abandoned, Part, Placed, rows};

/// Narrowest bar, so that a short batch can be seen.
const NARROWEST: f64 = 1.5;
const TOP: f64 = 6.0;

/// A span of the chart: a committed batch, or one that was not.
enum Span<'a> {
    Committed(&'a Placed),
    Abandoned(&'a Abandoned),
}

impl Span<'_> {
    fn begin_us(&self) -> u64 {
        match self {
            Span::Committed(batch) => batch.from_us,
            Span::Abandoned(batch) => batch.from_us,
        }
    }

    fn end_us(&self) -> u64 {
        match self {
            Span::Committed(batch) => batch.commit_us.1.max(batch.write_us.1),
            Span::Abandoned(batch) => batch.to_us,
        }
    }
}

/// A part of the run.
pub fn timeline(part: &Part, abandoned: &[Abandoned]) -> Markup {
    let begun = part.batches.iter().map(|batch| batch.from_us).chain(abandoned.iter().map(|batch| batch.from_us));
    let from = begun.min().unwrap_or(0);
    let last = part.batches.iter().map(|batch| batch.commit_us.1.max(batch.write_us.1)).max();
    let to = last.into_iter().chain(abandoned.iter().map(|batch| batch.to_us)).max().unwrap_or(1);
    let mut spans: Vec<Span<'_>> = part.batches.iter().map(Span::Committed).collect();
    spans.extend(abandoned.iter().map(Span::Abandoned));
    spans.sort_by_key(Span::begin_us);
    let x = Scale { from: from as f64, to: to.max(from + 1) as f64, start: LEFT, end: WIDTH - RIGHT };
    // A bar that is drawn wider than it is must not cover its neighbour.
    let wide = (NARROWEST / (x.end - x.start) * (x.to - x.from)) as u64;
    let (places, count) = rows(spans.iter().map(|span| (span.begin_us(), span.end_us().max(span.begin_us() + wide))));
    let height = match count {
        0..=10 => 22.0,
        11..=24 => 15.0,
        25..=40 => 11.0,
        41..=80 => 8.0,
        _ => 5.0,
    };
    let bottom = TOP + count as f64 * height + 2.0;
    let mut svg = Svg::new(WIDTH, bottom + 26.0);
    time_axis(&mut svg, &x, (from, to), TOP, bottom);
    for row in 0..count {
        if height > 12.0 || row % 5 == 0 {
            svg.text(LEFT - 8.0, TOP + (row as f64 + 0.5) * height + 4.0, "t dim e", &format!("slot {}", row + 1));
        }
    }
    for (span, row) in spans.iter().zip(places) {
        let y = TOP + row as f64 * height;
        match span {
            Span::Committed(batch) => committed(&mut svg, &x, batch, y, height),
            Span::Abandoned(batch) => given_up(&mut svg, &x, batch, y, height),
        }
    }
    let description = format!(
        "{} from {} to {} of the run, up to {count} under way at the same time. Bars: reading and computing full, waiting as a thin line, writing half as high, COMMIT outlined.",
        words::counted(part.batches.len() as u64, "batch").replace("batchs", "batches"),
        micros(from),
        micros(to),
    );
    svg.finish(&part.title, &description)
}

fn committed(svg: &mut Svg, x: &Scale, batch: &Placed, y: f64, height: f64) {
    let title = format!(
        "batch {}: {}, {} failed, {} retries; read {}, compute {}, wait {}, write {}, commit {}",
        batch.batch,
        words::counted(batch.items, "item"),
        words::count(batch.failed),
        words::count(batch.retries),
        micros(batch.cut_us - batch.from_us),
        micros(batch.computed_us - batch.cut_us),
        micros(batch.write_us.0.saturating_sub(batch.computed_us) + batch.commit_us.0.saturating_sub(batch.write_us.1)),
        micros(batch.write_us.1 - batch.write_us.0),
        micros(batch.commit_us.1 - batch.commit_us.0),
    );
    let full = thickness(height);
    let at = |us: u64| x.at(us as f64);
    svg.told(&title, |svg| {
        let mut bar = |(from, to): (u64, u64), share: f64, class: &str| {
            if to > from {
                let thick = full * share;
                let width = (at(to) - at(from)).max(0.5);
                svg.rect(at(from), y + 1.5 + (full - thick) / 2.0, width, thick, class);
            }
        };
        bar((batch.computed_us, batch.write_us.0), 0.14, "f-wait");
        bar((batch.write_us.1, batch.commit_us.0), 0.14, "f-wait");
        bar((batch.from_us, batch.cut_us), 0.6, "f-read");
        // However short it was.
        let narrowest = (NARROWEST / (x.end - x.start) * (x.to - x.from)) as u64;
        bar((batch.cut_us, batch.computed_us.max(batch.cut_us + narrowest)), 1.0, "f-compute");
        bar(batch.write_us, 0.6, "f-write");
        bar(batch.commit_us, 1.0, "f-commit");
        if batch.failed > 0 && height > 10.0 {
            svg.path(&format!("M{} {}h4l-4 4z", n(at(batch.cut_us)), n(y + 1.5)), "f-dead");
        }
        let room = at(batch.computed_us) - at(batch.cut_us);
        let label = batch.batch.to_string();
        if height > 12.0 && room > label.len() as f64 * 7.0 + 8.0 {
            svg.text((at(batch.computed_us) + at(batch.cut_us)) / 2.0, y + height / 2.0 + 4.0, "t m on", &label);
        }
    });
}

/// Of a bar, in a row of this height.
fn thickness(height: f64) -> f64 {
    if height > 8.0 { height - 3.0 } else { height - 1.5 }
}

fn given_up(svg: &mut Svg, x: &Scale, batch: &Abandoned, y: f64, height: f64) {
    let (from, to) = (x.at(batch.from_us as f64), x.at(batch.to_us as f64));
    let (width, full) = ((to - from).max(NARROWEST * 2.0), thickness(height));
    svg.told(&format!("batch {} was not committed: {}", batch.batch, batch.reason), |svg| {
        svg.rect(from, y + 1.5, width, full, "given-up");
        svg.path(&hatching(from, y + 1.5, width, full, false), "hatch alarm");
    });
}
