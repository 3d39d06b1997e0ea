//! The order in which rows stand in the file.
//!
//! Invariant: both directions are computed from the count and the seed alone,
//! no list of rows is kept. `Shuffled` is a Feistel network over the next
//! power of four, walked until it lands below the count (Black and Rogaway:
//! "Ciphers with arbitrary finite domains", CT-RSA 2002).

use super::super::rng::scramble;

const ROUNDS: u64 = 4;

/// The orders that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every parent and dependency stands before what refers to it.
    Topo,
    /// The same rows, each at a place of its own drawn by the seed.
    Shuffled,
    /// The same rows, last one first.
    Reverse,
}

impl Order {
    /// The name on the command line and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Topo => "topo",
            Self::Shuffled => "shuffled",
            Self::Reverse => "reverse",
        }
    }
}

/// One order over one number of rows: a bijection of 0..count.
#[derive(Clone, Debug)]
pub struct Sequence {
    order: Order,
    count: u64,
    half_bits: u32,
    keys: [u64; ROUNDS as usize],
}

impl Sequence {
    /// The bijection that belongs to these three.
    pub fn new(order: Order, count: u64, seed: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let keys = std::array::from_fn(|round| scramble(seed ^ scramble(round as u64 + 1)));
        Self { order, count, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// Which row, counted in topological order, stands at `position` of the
    /// file. Both count from 0 and are below the count.
    pub fn row_at(&self, position: u64) -> u64 {
        self.map(position, [0, 1, 2, 3])
    }

    /// Where in the file a row stands: the inverse of `row_at`.
    pub fn position_of(&self, row: u64) -> u64 {
        self.map(row, [3, 2, 1, 0])
    }

    fn map(&self, from: u64, rounds: [usize; ROUNDS as usize]) -> u64 {
        match self.order {
            Order::Topo => from,
            Order::Reverse => self.count - 1 - from,
            Order::Shuffled => {
                let mut at = from;
                loop {
                    at = self.permute(at, rounds);
                    if at < self.count {
                        return at;
                    }
                }
            }
        }
    }

    /// Swapped halves on the way in and out make the inverse the same walk
    /// with the keys turned round.
    fn permute(&self, word: u64, rounds: [usize; ROUNDS as usize]) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (word >> self.half_bits, word & mask);
        for round in rounds {
            (left, right) = (right, left ^ (scramble(right ^ self.keys[round]) & mask));
        }
        (right << self.half_bits) | left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_a_bijection_and_its_inverse_leads_back() {
        for order in [Order::Topo, Order::Shuffled, Order::Reverse] {
            for count in [1, 2, 3, 10, 255, 256, 257, 1000] {
                let sequence = Sequence::new(order, count, 9);
                let mut seen = vec![false; count as usize];
                for position in 0..count {
                    let row = sequence.row_at(position);
                    assert_eq!(sequence.position_of(row), position, "{order:?} of {count}");
                    assert!(!std::mem::replace(&mut seen[row as usize], true));
                }
            }
        }
    }

    #[test]
    fn shuffled_depends_on_the_seed_and_moves_most_rows() {
        let rows = |seed| {
            let sequence = Sequence::new(Order::Shuffled, 1000, seed);
            (0..1000).map(|at| sequence.row_at(at)).collect::<Vec<_>>()
        };
        assert_ne!(rows(1), rows(2));
        let still = rows(1).iter().enumerate().filter(|&(at, &row)| at as u64 == row).count();
        assert!(still < 20, "{still} rows stayed");
    }
}
