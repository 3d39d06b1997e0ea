//! Mean cost of each class of sizes; a class is a power of two.

use super::Line;
use super::curve::{Curve, Point};

/// A class forgets: each batch weighs at least one part in so many.
const MEMORY: f64 = 32.0;
/// Sizes must differ by this part for `a` and `b` to be told apart.
const SPREAD_MIN: f64 = 0.05;
/// Groups that differ by less than this factor do not tell what an item of a COMMIT costs.
const ALIKE: f64 = 2.0;
/// Relative scatter of the cost of batches where it is not known yet, and the least that is believed when a change of the
/// work is looked for.
pub(super) const SCATTER_USUAL: f64 = 0.1;

/// The largest batches have fewer than two to the power of 20 items.
const CLASSES: usize = 20;

fn class(items: f64) -> usize {
    (items.log2() as usize).min(CLASSES - 1)
}

/// Mean cost of each class of sizes.
#[derive(Debug, Default)]
pub(super) struct Classes {
    means: [Mean; CLASSES],
    pub samples: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    weight: f64,
    items: f64,
    us: f64,
    /// Mean square of the relative deviations from the mean before each batch.
    variance: f64,
}

impl Classes {
    pub fn add(&mut self, items: f64, us: f64) {
        let mean = &mut self.means[class(items)];
        if mean.weight > 0.0 && mean.us > 0.0 {
            let off = us * mean.items / (items * mean.us) - 1.0;
            // The mean itself is uncertain by one part in its weight. A wild one must not spoil it for long.
            let square = off.powi(2).min(1.0) * mean.weight / (mean.weight + 1.0);
            mean.variance += (square - mean.variance) / mean.weight;
        }
        mean.weight = (mean.weight + 1.0).min(MEMORY);
        mean.items += (items - mean.items) / mean.weight;
        mean.us += (us - mean.us) / mean.weight;
        self.samples = self.samples.saturating_add(1);
    }

    pub fn weight(&self, items: f64) -> f64 {
        self.means[class(items)].weight
    }

    /// Mean cost of the class of this size, for this size.
    pub fn at(&self, items: f64) -> Option<f64> {
        let mean = self.means[class(items)];
        (mean.weight > 0.0).then(|| mean.us * items / mean.items)
    }

    /// Standard deviation of a batch, relative to its cost.
    pub fn scatter(&self) -> f64 {
        // One batch of a class says nothing. At first the usual is mixed in, as if two batches had told it.
        let known = self.means.iter().filter(|mean| mean.weight > 1.0);
        let (weight, sum) = known.fold((2.0, 2.0 * SCATTER_USUAL.powi(2)), |(weight, sum), mean| {
            (weight + mean.weight - 1.0, sum + (mean.weight - 1.0) * mean.variance)
        });
        (sum / weight).sqrt()
    }

    /// Smallest and largest size seen, by the means of their classes.
    pub fn seen(&self) -> Option<(f64, f64)> {
        let seen = || self.means.iter().filter(|mean| mean.weight > 0.0).map(|mean| mean.items);
        Some((seen().reduce(f64::min)?, seen().reduce(f64::max)?))
    }

    /// All costs are so many times as large; what was seen counts little.
    pub fn scale(&mut self, times: f64) {
        for mean in &mut self.means {
            mean.us *= times;
            mean.weight = mean.weight.min(2.0);
        }
    }

    /// Mean cost, where all were about as large.
    pub fn alike(&self) -> Option<f64> {
        let (least, most) = self.seen()?;
        let (weight, us) =
            self.means.iter().fold((0.0, 0.0), |(weight, us), mean| (weight + mean.weight, us + mean.weight * mean.us));
        (most < ALIKE * least).then(|| us / weight)
    }

    fn points(&self) -> Vec<Point> {
        let seen = self.means.iter().filter(|mean| mean.weight > 0.0 && mean.items > 0.0 && mean.us > 0.0);
        seen.map(|mean| Point { weight: mean.weight, items: mean.items, us: mean.us }).collect()
    }

    pub fn curve(&self) -> Curve {
        Curve::fit(&self.points(), self.scatter())
    }

    /// Neither part is negative. Where all sizes are about the same, all of the cost is taken for the items'.
    pub fn line(&self) -> Line {
        let (mut points, samples) = (self.points(), self.samples);
        let (least, most) = self.seen().unwrap_or((0.0, 0.0));
        if most - least <= SPREAD_MIN * most {
            points.truncate(1);
        }
        let curve = Curve::line(&points);
        Line { fixed_us: curve[0], item_us: curve[1], samples }
    }
}
