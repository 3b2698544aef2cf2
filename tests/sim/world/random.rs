//! Chance from a seed: the same seed, the same run, on every machine.

/// A stream of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each list of numbers.
    pub fn of(parts: &[u64]) -> Self {
        let mut random = Self(0);
        for part in parts {
            random.0 = random.next() ^ *part;
        }
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, 1 excluded.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below that one.
    pub fn below(&mut self, end: usize) -> usize {
        (self.share() * end as f64) as usize
    }

    /// Waiting time until something that happens every `mean` or so.
    pub fn wait(&mut self, mean: f64) -> u64 {
        (-mean * (1.0 - self.share()).ln()) as u64
    }
}
