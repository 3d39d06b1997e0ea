//! The samples of a section, and the figures that the host is held to.

use super::measure::Sample;
use super::sections::Contestant;
use super::statistics::median;

/// The samples of each contestant, in the order of the section.
pub struct Results(Vec<Timed>);

/// A contestant's samples.
pub struct Timed {
    pub name: &'static str,
    pub items: u64,
    pub samples: Vec<Sample>,
}

/// A figure, and what it is held to.
pub struct Goal {
    pub what: String,
    pub measured: f64,
    /// Empty for a ratio.
    pub unit: &'static str,
    /// None for a figure that only informs.
    pub target: Option<Target>,
}

#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub fn new(what: &str, measured: f64, unit: &'static str, target: Target) -> Self {
        Self { what: what.to_owned(), measured, unit, target: Some(target) }
    }

    pub fn ratio(what: &str, measured: f64, target: Target) -> Self {
        Self::new(what, measured, "", target)
    }

    pub fn met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(bound) => self.measured <= bound,
            Target::AtLeast(bound) => self.measured >= bound,
        })
    }
}

impl Results {
    pub fn new(contestants: &[Contestant<'_>]) -> Self {
        let timed = |one: &Contestant<'_>| Timed { name: one.name, items: one.items, samples: Vec::new() };
        Self(contestants.iter().map(timed).collect())
    }

    pub fn add(&mut self, contestant: usize, sample: Sample) {
        self.0[contestant].samples.push(sample);
    }

    pub fn all(&self) -> &[Timed] {
        &self.0
    }

    /// None if it did not take part.
    pub fn of(&self, name: &str) -> Option<&Timed> {
        self.0.iter().find(|timed| timed.name == name)
    }
}

impl Timed {
    /// Seconds.
    pub fn wall(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.wall).collect()
    }

    /// Seconds; empty for brief commands.
    pub fn cpu(&self) -> Vec<f64> {
        self.samples.iter().filter_map(|sample| sample.cpu).collect()
    }

    /// MB; empty for brief commands.
    pub fn peak(&self) -> Vec<f64> {
        self.samples.iter().filter_map(|sample| sample.peak).collect()
    }

    pub fn median_wall(&self) -> f64 {
        median(&self.wall())
    }

    /// Median of the CPU time per item, in microseconds.
    pub fn cpu_us_per_item(&self) -> f64 {
        median(&self.cpu()) * 1e6 / self.items as f64
    }
}
