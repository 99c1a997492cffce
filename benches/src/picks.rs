//! Random numbers that cost next to nothing and are the same in every run.

/// A small generator (xorshift64*): a few cycles a number, so that it does not hide what is measured.
#[derive(Clone, Debug)]
pub struct Picks(u64);

impl Picks {
    /// The same seed picks the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * n as u64) >> 32) as usize
    }

    /// Two different numbers below `n`, which is at least 2.
    pub fn two_below(&mut self, n: usize) -> (usize, usize) {
        let first = self.below(n);
        let second = (first + 1 + self.below(n - 1)) % n;
        (first, second)
    }
}

#[cfg(test)]
mod tests {
    use super::Picks;

    #[test]
    fn two_picks_differ_and_every_number_comes_up() {
        let (mut picks, mut seen) = (Picks::new(7), [false; 10]);
        for _ in 0..1_000 {
            let (a, b) = picks.two_below(10);
            assert_ne!(a, b);
            (seen[a], seen[b]) = (true, true);
        }
        assert_eq!(seen, [true; 10]);
    }
}
