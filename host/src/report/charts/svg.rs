//! The few shapes that charts are made of.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

/// A drawing under way.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty one.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// Something that is drawn already.
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.body.write_fmt(text).expect("writing to memory");
    }

    /// A rectangle; at least half a pixel of it can be seen.
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        let (width, height) = (width.max(0.5), height.max(0.5));
        self.put(format_args!(
            r#"<rect class="{class}" x="{}" y="{}" width="{}" height="{}"/>"#,
            n(x),
            n(y),
            n(width),
            n(height)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.put(format_args!(r#"<path class="{class}" d="M{} {}L{} {}"/>"#, n(from.0), n(from.1), n(to.0), n(to.1)));
    }

    /// A path; an empty one is left out.
    pub fn path(&mut self, d: &str, class: &str) {
        if !d.is_empty() {
            self.put(format_args!(r#"<path class="{class}" d="{d}"/>"#));
        }
    }

    /// A disc.
    pub fn circle(&mut self, x: f64, y: f64, radius: f64, class: &str) {
        self.put(format_args!(r#"<circle class="{class}" cx="{}" cy="{}" r="{}"/>"#, n(x), n(y), n(radius)));
    }

    /// A text, which is escaped. The classes `e` and `m` end or centre it at `x`.
    pub fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.put(format_args!(r#"<text class="{class}" x="{}" y="{}">{}</text>"#, n(x), n(y), escaped(text)));
    }

    /// What `draw` draws, with a text that shows when the pointer rests on it.
    pub fn told(&mut self, title: &str, draw: impl FnOnce(&mut Self)) {
        self.open(title);
        draw(self);
        self.close();
    }

    /// What is drawn from now on belongs together and has this text, until it is closed.
    pub fn open(&mut self, title: &str) {
        self.put(format_args!("<g><title>{}</title>", escaped(title)));
    }

    /// See [`Svg::open`].
    pub fn close(&mut self) {
        self.put(format_args!("</g>"));
    }

    /// The whole, with what it says in words.
    pub fn finish(self, title: &str, description: &str) -> Markup {
        let (width, height) = (n(self.width), n(self.height));
        html! {
            svg viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img" aria-label=(title) {
                desc { (description) }
                (PreEscaped(self.body))
            }
        }
    }
}

fn escaped(text: &str) -> String {
    html! { (text) }.into_string()
}

/// A coordinate, to a tenth.
pub fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// Lines at 45 degrees that fill a rectangle; with `cross` those of the other direction too.
pub fn hatching(x: f64, y: f64, width: f64, height: f64, cross: bool) -> String {
    const APART: f64 = 6.0;
    const LINES: usize = 400;
    let mut d = String::new();
    let mut offset = -height + APART / 2.0;
    for _ in 0..LINES {
        if offset >= width {
            break;
        }
        let (from, to) = ((-offset).max(0.0), height.min(width - offset));
        if to > from {
            let left = x + offset + from;
            let right = x + offset + to;
            d += &format!("M{} {}L{} {}", n(left), n(y + height - from), n(right), n(y + height - to));
            if cross {
                d += &format!("M{} {}L{} {}", n(left), n(y + from), n(right), n(y + to));
            }
        }
        offset += APART;
    }
    d
}
