//! What became of the items, as one bar.

use maud::Markup;

use super::percent;
use super::stack::{Piece, Texture, stack};
use crate::model::Counts;
use crate::monitor::words;

/// The parts, and the bar that they make.
pub fn fates(counts: &Counts) -> (Vec<Piece>, Markup) {
    let piece = |name: &str, value: u64, class, texture| Piece {
        name: name.to_owned(),
        value: value as f64,
        told: match counts.read {
            0 => words::count(value),
            read => format!("{} ({})", words::count(value), percent(value as f64 / read as f64)),
        },
        class,
        texture,
    };
    let pieces = vec![
        piece("stored", counts.stored, "stored", Texture::Plain),
        piece("dropped", counts.dropped, "dropped", Texture::Dots),
        piece("rejected", counts.rejected, "rejected", Texture::Lines),
        piece("dead-lettered", counts.dead_lettered, "dead", Texture::Cross),
    ];
    let bar = stack("What became of the items", &pieces);
    (pieces, bar)
}
