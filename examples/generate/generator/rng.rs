//! Random numbers that are the same on every machine.
//!
//! Owns the one generator that all inputs are drawn from. Invariant: integer
//! arithmetic only, so that no mathematical library can change a byte.
//! The step and the finalizer are SplitMix64 (Steele, Lea, Flood: "Fast
//! splittable pseudorandom number generators", OOPSLA 2014).

/// One million: rates are given in parts per million.
pub const MILLION: u64 = 1_000_000;

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A distribution as points of its quantile function: (parts per million,
/// value), both rising, the first at 0; values between points lie on a line.
pub type Quantiles = [(u64, u64)];

/// A stream of random numbers, fixed by the parts it was made from.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

/// Scramble one word: a bijection of `u64` in which every input bit reaches
/// every output bit.
pub fn scramble(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

impl Rng {
    /// The stream that belongs to these parts, in this order.
    pub fn new(parts: &[u64]) -> Self {
        let state = parts.iter().fold(GOLDEN_GAMMA, |state, &part| {
            scramble(state ^ scramble(part.wrapping_add(GOLDEN_GAMMA))).wrapping_add(GOLDEN_GAMMA)
        });
        Self { state }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        scramble(self.state)
    }

    /// A number from 0 to `bound - 1`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// An index into a list of `len` entries; 0 where the list is empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `ppm` of a million draws.
    pub fn chance(&mut self, ppm: u64) -> bool {
        self.below(MILLION) < ppm
    }

    /// One entry of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    /// The index of one of `weights`, drawn in proportion to them; 0 where
    /// all are 0.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// A number from 1 on, each larger one rarer by the same ratio, of the
    /// given mean, at most `cap`.
    pub fn geometric(&mut self, mean: u64, cap: u64) -> u64 {
        let mut value = 1;
        while value < cap && self.below(mean) != 0 {
            value += 1;
        }
        value
    }

    /// A value drawn from a distribution.
    pub fn quantile(&mut self, table: &Quantiles) -> u64 {
        let at = self.below(MILLION);
        for pair in table.windows(2) {
            let [(from, low), (to, high)] = [pair[0], pair[1]];
            if at < to {
                return low + (high - low) * (at - from) / (to - from);
            }
        }
        table.last().map_or(0, |&(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_every_part_and_its_place() {
        let first = |parts: &[u64]| Rng::new(parts).bits();
        assert_eq!(first(&[1, 2, 3]), first(&[1, 2, 3]));
        assert_ne!(first(&[1, 2, 3]), first(&[1, 3, 2]));
        assert_ne!(first(&[0]), first(&[0, 0]));
    }

    #[test]
    fn draws_stay_in_their_bounds_and_near_their_means() {
        let mut rng = Rng::new(&[7]);
        let draws = 20_000;
        let sum: u64 = (0..draws).map(|_| rng.geometric(6, 99)).sum();
        assert!((5 * draws..7 * draws).contains(&sum), "sum {sum}");
        let table = [(0, 10), (500_000, 20), (MILLION, 100)];
        let below_median = (0..draws).filter(|_| rng.quantile(&table) < 20).count();
        assert!((9_500..10_500).contains(&below_median), "{below_median}");
        assert!((0..draws).all(|_| (10..=100).contains(&rng.quantile(&table))));
        assert_eq!(rng.below(0), 0);
    }
}
