//! The text format: a HELP and a TYPE line for each family, then its samples.

use std::fmt::Write;

/// What kind of family.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Only grows, while its process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations by size.
    Histogram,
}

/// A text under way.
#[derive(Debug)]
pub(super) struct Text {
    out: String,
    /// Labels of every sample, as they are written.
    common: Vec<String>,
}

/// One family of it, whose samples follow.
pub(super) struct Family<'a> {
    text: &'a mut String,
    common: &'a [String],
    name: &'static str,
}

impl Text {
    /// A text whose samples all have these labels.
    pub fn new(common: &[(&str, &str)]) -> Self {
        Self { out: String::new(), common: common.iter().map(label).collect() }
    }

    /// Begins a family; `help` is one line.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.out.push_str(&format!("# HELP {name} {}\n# TYPE {name} {kind}\n", escaped(help, false)));
        Family { text: &mut self.out, common: &self.common, name }
    }

    /// A family of one sample without labels of its own.
    pub fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// All of it.
    pub fn into_string(self) -> String {
        self.out
    }
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, value);
    }

    /// The samples of a histogram. `cumulative` has the number of observations up to each bound, in seconds.
    pub fn histogram(&mut self, cumulative: &[(f64, u64)], count: u64, sum: f64) {
        for (bound, up_to) in cumulative {
            self.line("_bucket", &[("le", &number(*bound))], *up_to as f64);
        }
        self.line("_bucket", &[("le", "+Inf")], count as f64);
        self.line("_sum", &[], sum);
        self.line("_count", &[], count as f64);
    }

    fn line(&mut self, ending: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(ending);
        let labels: Vec<String> = self.common.iter().cloned().chain(labels.iter().map(label)).collect();
        if !labels.is_empty() {
            // Writing to a text cannot fail.
            let _ = write!(self.text, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(self.text, " {}", number(value));
    }
}

fn label((name, value): &(&str, &str)) -> String {
    format!("{name}=\"{}\"", escaped(value, true))
}

/// As the format wants numbers: never with an exponent, and with names for what is no number.
fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

/// Backslashes and line ends, and in labels quotes too.
fn escaped(text: &str, label: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if label => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out
}
