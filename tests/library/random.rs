//! Random numbers for random cases; the same parts give the same numbers.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub struct Random(u64);

impl Random {
    /// The numbers that belong to this seed and this case.
    pub fn new(seed: u64, case: u64) -> Self {
        let mut random = Self(seed.wrapping_add(case.wrapping_mul(0xD134_2543_DE82_EF95)));
        random.bits();
        random
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// From 0 to `bound - 1`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// A coin.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The seed of a test's random cases: `ATLAS_SEED`, or this one. Printed, so that a failure can be repeated.
pub fn seed(usual: u64) -> u64 {
    let seed = number("ATLAS_SEED", usual);
    println!("ATLAS_SEED={seed}");
    seed
}

/// A number from the environment, or the usual one.
pub fn number(key: &str, usual: u64) -> u64 {
    std::env::var(key).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
