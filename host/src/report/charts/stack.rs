//! One bar of several parts.

use maud::Markup;

use super::WIDTH;
use super::svg::{Svg, hatching};

/// What tells a part from the others where colours cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texture {
    Plain,
    /// Lines across.
    Lines,
    /// Lines both ways.
    Cross,
    /// Lines along.
    Bars,
    /// Dots.
    Dots,
}

/// A part of the bar.
#[derive(Debug, Clone)]
pub struct Piece {
    pub name: String,
    pub value: f64,
    /// In words.
    pub told: String,
    /// Class of its colour.
    pub class: &'static str,
    pub texture: Texture,
}

/// Narrowest part that is drawn: what is there can be seen.
const NARROWEST: f64 = 3.0;

/// The bar.
pub fn stack(title: &str, pieces: &[Piece]) -> Markup {
    let height = 46.0;
    let mut svg = Svg::new(WIDTH, height);
    let pieces: Vec<&Piece> = pieces.iter().filter(|piece| piece.value > 0.0).collect();
    let sum: f64 = pieces.iter().map(|piece| piece.value).sum();
    let gap = 2.0;
    let gaps = gap * pieces.len().saturating_sub(1) as f64;
    let narrow = |piece: &Piece| piece.value / sum * (WIDTH - gaps) < NARROWEST;
    let narrow_sum: f64 = pieces.iter().filter(|piece| narrow(piece)).map(|piece| piece.value).sum();
    let room = WIDTH - gaps - NARROWEST * pieces.iter().filter(|piece| narrow(piece)).count() as f64;
    let mut x = 0.0;
    for piece in &pieces {
        let width = if narrow(piece) { NARROWEST } else { piece.value / (sum - narrow_sum) * room };
        svg.told(&format!("{}: {}", piece.name, piece.told), |svg| {
            svg.rect(x, 0.0, width, height, &format!("f-{}", piece.class));
            textured(svg, (x, 0.0, width, height), piece.texture);
            let label = wide(&piece.name) + 12.0;
            if label + 14.0 < width {
                svg.rect(x + 7.0, height / 2.0 - 10.0, label, 20.0, "label");
                svg.text(x + 12.0, height / 2.0 + 4.5, "t b", &piece.name);
            }
        });
        x += width + gap;
    }
    if pieces.is_empty() {
        svg.rect(0.0, 0.0, WIDTH, height, "f-none");
        svg.text(WIDTH / 2.0, height / 2.0 + 4.5, "t m", "nothing");
    }
    let told: Vec<String> = pieces.iter().map(|piece| format!("{}: {}", piece.name, piece.told)).collect();
    svg.finish(title, &told.join("; "))
}

/// About how wide a text in bold letters is.
fn wide(text: &str) -> f64 {
    let letter = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ':' | ' ' | '-' => 5.0,
        'm' | 'w' | 'M' | 'W' => 12.0,
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => 8.2,
        _ => 9.2,
    };
    text.chars().map(letter).sum()
}

/// The sign of a part, for a legend.
pub fn swatch(class: &str, texture: Texture) -> Markup {
    swatch_of(class, texture, 1.0)
}

/// The sign of a part that is drawn at this part of the full height.
pub fn swatch_of(class: &str, texture: Texture, height: f64) -> Markup {
    let (mut svg, high) = (Svg::new(18.0, 14.0), 14.0 * height);
    svg.rect(0.0, 14.0 - high, 18.0, high, &format!("f-{class}"));
    textured(&mut svg, (0.0, 14.0 - high, 18.0, high), texture);
    svg.finish(class, "")
}

/// Draws a texture over a rectangle.
pub fn textured(svg: &mut Svg, (x, y, width, height): (f64, f64, f64, f64), texture: Texture) {
    /// More shapes than this make no texture better.
    const SHAPES: usize = 600;
    match texture {
        Texture::Plain => {}
        Texture::Lines => svg.path(&hatching(x, y, width, height, false), "hatch"),
        Texture::Cross => svg.path(&hatching(x, y, width, height, true), "hatch"),
        Texture::Bars => {
            let lines = (1..).map(|i| y + 5.0 * f64::from(i)).take_while(|at| *at < y + height);
            let d: String = lines.map(|at| format!("M{} {at}h{}", super::svg::n(x), super::svg::n(width))).collect();
            svg.path(&d, "hatch");
        }
        Texture::Dots => {
            let rows = ((height - 2.0) / 7.0).max(0.0) as usize;
            // Further apart in a wide part.
            let apart = (width * (rows + 1) as f64 / SHAPES as f64).max(7.0);
            let columns = ((width - 2.0) / apart).max(0.0) as usize;
            let places = (0..=columns).flat_map(|c| (0..=rows).map(move |r| (c, r))).take(SHAPES);
            let d: String = places
                .map(|(c, r)| {
                    let shift = if c % 2 == 0 { 0.0 } else { 3.5 };
                    let (at_x, at_y) = (x + 2.0 + c as f64 * apart, y + 2.5 + r as f64 * 7.0 + shift);
                    let inside = at_y + 2.0 < y + height && at_x + 2.0 < x + width;
                    if inside { format!("M{} {}h1.8", super::svg::n(at_x), super::svg::n(at_y)) } else { String::new() }
                })
                .collect();
            svg.path(&d, "dots");
        }
    }
}
