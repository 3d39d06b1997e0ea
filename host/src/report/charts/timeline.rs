//! Who did what when: the reader, each lane and the writer in a row of its own, and above them how many batches were under way.

use std::collections::BTreeMap;

use maud::Markup;

use super::scale::Scale;
use super::stack::{Texture, textured};
use super::svg::{Svg, hatching, n};
use super::throughput::time_axis;
use super::{LEFT, RIGHT, WIDTH, micros};
use crate::model::ChunkSpan;
use crate::monitor::words;
use crate::report::timeline::{Abandoned, Part, Placed, rows};

/// Narrowest bar in a range of few batches, so that each can be pointed at; of many, so that each can be seen.
const NARROWEST: (f64, f64) = (6.0, 1.0);
/// The strip of what is under way.
const STRIP: (f64, f64) = (8.0, 52.0);
const FIRST_ROW: f64 = 62.0;
/// Lanes that get a row; those beyond share the last one.
const LANES_DRAWN: u64 = 32;

/// A phase with its signs: class of its colour, part of the row's height, texture.
#[derive(Debug, Clone, Copy)]
pub struct PhaseSign {
    pub name: &'static str,
    pub class: &'static str,
    pub height: f64,
    pub texture: Texture,
}

/// The phases as they are drawn here and in the legend.
pub const PHASE_SIGNS: [PhaseSign; 5] = [
    PhaseSign { name: "reading", class: "read", height: 0.6, texture: Texture::Plain },
    PhaseSign { name: "validators", class: "validate", height: 0.7, texture: Texture::Lines },
    PhaseSign { name: "operations", class: "compute", height: 1.0, texture: Texture::Plain },
    PhaseSign { name: "writing", class: "write", height: 0.6, texture: Texture::Bars },
    PhaseSign { name: "commit of its transaction", class: "commit", height: 1.0, texture: Texture::Cross },
];
const READ: PhaseSign = PHASE_SIGNS[0];
const VALIDATE: PhaseSign = PHASE_SIGNS[1];
const OPERATE: PhaseSign = PHASE_SIGNS[2];
const WRITE: PhaseSign = PHASE_SIGNS[3];
const COMMIT: PhaseSign = PHASE_SIGNS[4];

/// Where bars go: one by one with all their signs, or those of a phase together where there are many.
struct Canvas {
    svg: Svg,
    x: Scale,
    /// Height of a row.
    row: f64,
    one_by_one: bool,
    together: BTreeMap<&'static str, String>,
}

impl Canvas {
    fn at(&self, us: u64) -> f64 {
        self.x.at(us as f64)
    }

    fn bar(&mut self, row: usize, (from_us, to_us): (u64, u64), sign: PhaseSign) {
        let narrowest = if self.one_by_one { NARROWEST.0 } else { NARROWEST.1 };
        let from = self.at(from_us);
        let width = (self.at(to_us) - from).max(narrowest).min((WIDTH - RIGHT - from).max(narrowest));
        let full = thickness(self.row);
        let height = full * sign.height;
        let y = self.y(row) + full - height;
        if self.one_by_one {
            self.svg.rect(from, y, width, height, &format!("f-{}", sign.class));
            textured(&mut self.svg, (from, y, width, height), sign.texture);
        } else {
            let path = self.together.entry(sign.class).or_default();
            *path += &format!("M{} {}h{}v{}h-{}z", n(from), n(y), n(width), n(height), n(width));
        }
    }

    /// Top of a row's bars.
    fn y(&self, row: usize) -> f64 {
        FIRST_ROW + row as f64 * self.row + 1.5
    }

    fn flush(&mut self) {
        for (class, path) in std::mem::take(&mut self.together) {
            self.svg.path(&path, &format!("f-{class}"));
        }
    }
}

/// A part of the run. `one_by_one` draws each bar with its texture, its number and what it was; for few batches.
pub fn timeline(part: &Part, abandoned: &[Abandoned], one_by_one: bool) -> Markup {
    let begun = part.batches.iter().map(|batch| batch.from_us).chain(abandoned.iter().map(|batch| batch.from_us));
    let from = begun.min().unwrap_or(0);
    let ends = part.batches.iter().map(Placed::end_us).chain(abandoned.iter().map(|batch| batch.to_us));
    let to = ends.max().unwrap_or(1).max(from + 1);
    let x = Scale { from: from as f64, to: to as f64, start: LEFT, end: WIDTH - RIGHT };
    let lane_of = |chunk: &ChunkSpan| chunk.lane.min(LANES_DRAWN - 1);
    let chunks = part.batches.iter().flat_map(|batch| &batch.chunks);
    let lanes = chunks.map(lane_of).max().map_or(0, |lane| lane as usize + 1);
    let (places, lost) = rows(abandoned.iter().map(|batch| (batch.from_us, batch.to_us)));
    // Reader, lanes, writer, and what was not committed.
    let count = 1 + lanes + 1 + lost;
    let row = match count {
        0..=12 => 22.0,
        13..=24 => 15.0,
        _ => 10.0,
    };
    let bottom = FIRST_ROW + count as f64 * row + 2.0;
    let mut canvas = Canvas { svg: Svg::new(WIDTH, bottom + 26.0), x, row, one_by_one, together: BTreeMap::new() };
    time_axis(&mut canvas.svg, &x, (from, to), STRIP.0, bottom);
    let most = under_way(&mut canvas.svg, &x, &part.batches, abandoned);
    names(&mut canvas, lanes, lost);
    for batch in &part.batches {
        batch_read(&mut canvas, batch);
        for (i, chunk) in batch.chunks.iter().enumerate() {
            computed(&mut canvas, batch, chunk, (1 + lane_of(chunk) as usize, i == 0));
        }
        written(&mut canvas, batch, 1 + lanes);
    }
    canvas.flush();
    for (batch, place) in abandoned.iter().zip(places) {
        given_up(&mut canvas, batch, 2 + lanes + place);
    }
    let signs = match one_by_one {
        true => {
            "reading plain at 60 % of the row, validators with lines at 70 %, operations plain at full height, writing with bars at 60 %, commit crossed at full height"
        }
        false => {
            "reading at 60 % of the row, validators at 70 %, operations at full height, writing at 60 %, commit at full height; textures stand in the ranges"
        }
    };
    let description = format!(
        "{} from {} to {} of the run on {}, up to {most} under way at the same time. Rows: the reader, each lane, the writer. Bars: {signs}. What was not committed is hatched.",
        words::counted(part.batches.len() as u64, "batch").replace("batchs", "batches"),
        micros(from),
        micros(to),
        words::counted(lanes as u64, "lane"),
    );
    canvas.svg.finish(&part.title, &description)
}

fn names(canvas: &mut Canvas, lanes: usize, lost: usize) {
    let fits = canvas.row > 12.0;
    let lane = |lane: usize| match lane as u64 + 1 {
        LANES_DRAWN => format!("lane {LANES_DRAWN} …"),
        number => format!("lane {number}"),
    };
    let mut all = vec!["reader".to_owned()];
    all.extend((0..lanes).map(lane));
    all.push("writer".to_owned());
    for (row, name) in all.into_iter().enumerate() {
        if fits || row % 4 == 0 || row > lanes {
            let y = canvas.y(row) + canvas.row / 2.0 + 2.5;
            canvas.svg.text(LEFT - 8.0, y, "t dim e", &name);
        }
    }
    if lost > 0 {
        let y = canvas.y(2 + lanes) + canvas.row / 2.0 + 2.5;
        canvas.svg.text(LEFT - 8.0, y, "t dim e", "given up");
    }
}

/// How many batches were under way, from the cut to the commit, and beneath how many of them waited for the writer.
fn under_way(svg: &mut Svg, x: &Scale, batches: &[Placed], abandoned: &[Abandoned]) -> i64 {
    let of_batches = batches.iter().map(|batch| (batch.cut_us, batch.end_us()));
    let all = steps(of_batches.chain(abandoned.iter().map(|batch| (batch.from_us, batch.to_us))));
    let waiting = steps(batches.iter().map(|batch| (batch.computed_us, batch.write_us.0.max(batch.computed_us))));
    let most = all.iter().map(|step| step.1).max().unwrap_or(0);
    let y = Scale { from: 0.0, to: most.max(1) as f64, start: STRIP.1, end: STRIP.0 };
    svg.text(LEFT - 8.0, STRIP.0 + 10.0, "t dim e", &most.to_string());
    svg.text(LEFT - 8.0, STRIP.1 - 8.0, "t dim e", "under way");
    for (steps, class) in [(&all, "area"), (&waiting, "f-wait")] {
        let Some(first) = steps.first() else { continue };
        let mut d = format!("M{} {}", n(x.at(first.0 as f64)), n(STRIP.1));
        for (at, number) in steps {
            d += &format!("H{}V{}", n(x.at(*at as f64)), n(y.at(*number as f64)));
        }
        svg.path(&format!("{d}V{}Z", n(STRIP.1)), class);
    }
    svg.line((LEFT, STRIP.1), (WIDTH - RIGHT, STRIP.1), "grid");
    most
}

/// How many spans hold each moment: times at which that changes, and the number from then on.
fn steps(spans: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, i64)> {
    let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
    for (from, to) in spans.filter(|(from, to)| to > from) {
        *changes.entry(from).or_default() += 1;
        *changes.entry(to).or_default() -= 1;
    }
    let mut number = 0;
    let sum = |(at, change): (u64, i64)| {
        number += change;
        (at, number)
    };
    changes.into_iter().filter(|(_, change)| *change != 0).map(sum).collect()
}

fn batch_read(canvas: &mut Canvas, batch: &Placed) {
    if batch.cut_us > batch.from_us {
        canvas.bar(0, (batch.from_us, batch.cut_us), READ);
    }
}

fn computed(canvas: &mut Canvas, batch: &Placed, chunk: &ChunkSpan, (row, first): (usize, bool)) {
    let to = chunk.to_us.max(chunk.from_us);
    let validated = (chunk.from_us + chunk.validate_us).min(to);
    if !canvas.one_by_one {
        if chunk.validate_us > 0 {
            canvas.bar(row, (chunk.from_us, validated), VALIDATE);
        }
        if chunk.operate_us > 0 || chunk.validate_us == 0 {
            canvas.bar(row, (validated, to), OPERATE);
        }
        return;
    }
    let title = format!(
        "batch {}, {} on lane {}, attempt {}: {}, of which validators {}, operations {}; in the batch {} failed, {} retries",
        batch.batch,
        words::counted(chunk.items, "item"),
        chunk.lane + 1,
        chunk.attempt,
        micros(to - chunk.from_us),
        micros(chunk.validate_us),
        micros(chunk.operate_us),
        words::count(batch.failed),
        words::count(batch.retries),
    );
    canvas.svg.open(&title);
    // Both parts as wide as they are told to be, within what the chunk took.
    if chunk.validate_us > 0 {
        canvas.bar(row, (chunk.from_us, validated), VALIDATE);
    }
    if chunk.operate_us > 0 || chunk.validate_us == 0 {
        canvas.bar(row, (validated, to), OPERATE);
    }
    let (left, y, full) = (canvas.at(chunk.from_us), canvas.y(row), thickness(canvas.row));
    if chunk.attempt > 1 {
        let width = (canvas.at(to) - left).max(NARROWEST.0);
        canvas.svg.rect(left, y, width, full, "again");
    }
    if batch.failed > 0 && first {
        canvas.svg.path(&format!("M{} {}h7l-7 7z", n(left), n(y)), "f-dead edged");
    }
    let room = canvas.at(to) - canvas.at(validated);
    let label = match chunk.attempt {
        0 | 1 => batch.batch.to_string(),
        attempt => format!("{} ↻{attempt}", batch.batch),
    };
    if full > 12.0 && room > label.chars().count() as f64 * 7.0 + 8.0 {
        let middle = (canvas.at(to) + canvas.at(validated)) / 2.0;
        canvas.svg.text(middle, y + full / 2.0 + 4.0, "t m on", &label);
    }
    canvas.svg.close();
}

fn written(canvas: &mut Canvas, batch: &Placed, row: usize) {
    let waited =
        batch.write_us.0.saturating_sub(batch.computed_us) + batch.commit_us.0.saturating_sub(batch.write_us.1);
    if canvas.one_by_one {
        let title = format!(
            "batch {}: {}, waited {} for the writer, write {}, commit {}; {} from the cut to the commit",
            batch.batch,
            words::counted(batch.items, "item"),
            micros(waited),
            micros(batch.write_us.1 - batch.write_us.0),
            micros(batch.commit_us.1 - batch.commit_us.0),
            micros(batch.lasted_us()),
        );
        canvas.svg.open(&title);
    }
    if batch.write_us.1 > batch.write_us.0 {
        canvas.bar(row, batch.write_us, WRITE);
    }
    if batch.commit_us.1 > batch.commit_us.0 {
        canvas.bar(row, batch.commit_us, COMMIT);
    }
    if canvas.one_by_one {
        canvas.svg.close();
    }
}

/// Of a bar, in a row of this height.
fn thickness(height: f64) -> f64 {
    if height > 8.0 { height - 3.0 } else { height - 1.5 }
}

fn given_up(canvas: &mut Canvas, batch: &Abandoned, row: usize) {
    let (from, to) = (canvas.at(batch.from_us), canvas.at(batch.to_us));
    let (width, full, y) = ((to - from).max(NARROWEST.0), thickness(canvas.row), canvas.y(row));
    canvas.svg.told(&format!("batch {} was not committed: {}", batch.batch, batch.reason), |svg| {
        svg.rect(from, y, width, full, "given-up");
        svg.path(&hatching(from, y, width, full, false), "hatch alarm");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_counted_at_each_change() {
        assert_eq!(steps([(0, 10), (5, 20), (5, 5)].into_iter()), [(0, 1), (5, 2), (10, 1), (20, 0)]);
        // One ends when the next begins: nothing changes.
        assert_eq!(steps([(0, 10), (10, 20)].into_iter()), [(0, 1), (20, 0)]);
    }

    #[test]
    fn no_two_phases_have_the_same_signs_beside_their_colour() {
        for (i, one) in PHASE_SIGNS.iter().enumerate() {
            for other in &PHASE_SIGNS[i + 1..] {
                assert!(one.texture != other.texture || one.height != other.height, "{one:?} {other:?}");
            }
        }
    }
}
