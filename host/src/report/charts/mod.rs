//! Charts as inline SVG, drawn without references, so that a page that holds them asks for nothing. Colours are classes,
//! which the page's style gives their values in light, dark and print; shape, texture or text says the same again.

mod controller;
mod fates;
mod heat;
mod multiples;
mod scale;
mod stack;
mod svg;
mod throughput;
mod timeline;

pub use controller::controller;
pub use fates::fates;
pub use heat::heat;
pub use multiples::{multiples, told};
pub use stack::{Piece, Texture, stack, swatch, swatch_of};
pub use throughput::{letter, throughput};
pub use timeline::{PHASE_SIGNS, timeline};

use crate::monitor::words;

/// Width of a chart in its own units, which are pixels where it has the room.
pub const WIDTH: f64 = 1000.0;
/// Room for the labels of the vertical axis.
const LEFT: f64 = 76.0;
/// Room on the other side.
const RIGHT: f64 = 14.0;

/// A duration in words.
pub fn micros(us: u64) -> String {
    words::duration(std::time::Duration::from_micros(us))
}

/// A share to a tenth of a percent; 0 and 100 only where it is exactly that.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.1 => "<0.1 %".to_owned(),
        p if p >= 100.0 => "100 %".to_owned(),
        p => format!("{:.1} %", p.min(99.9)),
    }
}

/// A duration in words, three digits where it is short.
pub fn nanos(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..100_000 => format!("{:.1} µs", ns as f64 / 1e3),
        _ => words::duration(std::time::Duration::from_nanos(ns)),
    }
}

#[cfg(test)]
mod tests;
