//! Drawings compared with those kept under `tests/data/golden`, and what holds for each of them.

use std::path::Path;

use maud::Markup;

use super::*;
use crate::report::testing::report;

/// Compares with the file `report-NAME.svg`; `UPDATE=1` writes it. Each shape is a line of it.
#[track_caller]
fn golden(name: &str, drawing: &Markup) {
    let text = drawing.0.replace("><", ">\n<") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/data/golden/report-{name}.svg"));
    if std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty()) {
        std::fs::write(&path, &text).expect("a golden file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let different = wanted.lines().zip(text.lines()).find(|(wanted, found)| wanted != found);
    assert!(wanted == text, "{} is another; UPDATE=1 writes it. First difference: {different:?}", path.display());
}

/// A part of each texture.
fn every_texture() -> Vec<Piece> {
    let textures = [Texture::Plain, Texture::Lines, Texture::Cross, Texture::Bars, Texture::Dots];
    let classes = ["read", "g1", "commit", "write", "wait"];
    let piece = |(i, (texture, class))| Piece {
        name: format!("part {i}"),
        value: (i + 1) as f64,
        told: format!("{i} s"),
        class,
        texture,
    };
    textures.into_iter().zip(classes).enumerate().map(piece).collect()
}

#[test]
fn drawings_are_as_they_were() {
    let report = report(7, "because");
    golden("fates", &fates(&report.run.counts).1);
    golden("throughput", &throughput(&report.run, &report.throughput).expect("a chart"));
    golden("controller", &controller(&report.controller, &report.throughput).expect("a chart"));
    golden("timeline", &timeline(&report.timeline.parts[0], &report.timeline.abandoned, true));
    let many = super::timeline(&report.timeline.parts[0], &report.timeline.abandoned, false);
    golden("timeline-many", &many);
    golden("stack", &stack("Where the time went", &every_texture()));
    let end = report.throughput.end_us;
    golden("heat", &heat("batches", "batches", &report.latency.batches, end, micros).expect("a chart"));
    let multiples = multiples(5, &report.history.runs, &report.history.departures);
    golden("multiples", &multiples[1]);
}

#[test]
fn every_drawing_says_in_words_what_it_shows() {
    let report = report(7, "because");
    let charts = [
        fates(&report.run.counts).1,
        throughput(&report.run, &report.throughput).expect("a chart"),
        controller(&report.controller, &report.throughput).expect("a chart"),
        timeline(&report.timeline.parts[0], &report.timeline.abandoned, true),
    ];
    for chart in charts {
        let (text, name) = (&chart.0, chart.0.split("aria-label=\"").nth(1).unwrap_or_default());
        assert!(text.contains("role=\"img\"") && !name.starts_with('"'), "{text}");
        assert!(text.split("<desc>").nth(1).is_some_and(|desc| desc.len() > 30), "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}

#[test]
fn where_nothing_happened_nothing_is_drawn() {
    let report = report(0, "");
    assert!(throughput(&report.run, &report.throughput).is_none());
    assert!(controller(&report.controller, &report.throughput).is_none());
    assert!(heat("none", "items", &report.latency.items, 0, nanos).is_none());
    assert!(fates(&report.run.counts).1.0.contains("nothing"));
    assert!(multiples(5, &report.history.runs[..1], &[]).is_empty());
}

#[test]
fn the_parts_of_a_bar_fill_it_and_the_smallest_can_be_seen() {
    let piece = |value: f64| Piece {
        name: "part".to_owned(),
        value,
        told: "some".to_owned(),
        class: "read",
        texture: Texture::Plain,
    };
    let bar = stack("bar", &[piece(1e9), piece(1.0), piece(0.0), piece(5e8)]).0;
    let bars = bar.split("class=\"f-read\"").skip(1);
    let number = |text: &str, name: &str| -> f64 {
        let value = text.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.and_then(|value| value.parse().ok()).expect("a number")
    };
    let places: Vec<(f64, f64)> = bars.map(|text| (number(text, "x"), number(text, "width"))).collect();
    assert_eq!(places.len(), 3, "what is 0 is left out");
    assert!(places.iter().all(|(_, width)| *width >= 3.0), "{places:?}");
    let end = places.last().map(|(x, width)| x + width).expect("a part");
    assert!((end - WIDTH).abs() < 0.3, "{places:?}");
}

#[test]
fn shares_are_told_to_a_tenth() {
    assert_eq!([0.0, 0.0001, 0.969, 0.9999, 1.0].map(percent), ["0 %", "<0.1 %", "96.9 %", "99.9 %", "100 %"]);
    assert_eq!([17, 1700, 250_000, 3_000_000].map(nanos), ["17 ns", "1.7 µs", "250 µs", "3.0 ms"]);
}
