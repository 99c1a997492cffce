//! The built-in sample: CSV of a small town, made up the same way every time.
//!
//! Skewed as real accounts are. A few shops take most purchases and pay wages from them, a few
//! people spend much more often than the rest, and people settle among themselves. Wages come
//! back in larger, rarer lines than purchases, so that some purchases find no cover and wait.

use std::io::{self, Read, Write};

const SHOPS: u64 = 40;
const PEOPLE: u64 = 2_000;

/// Reads as the CSV text of the sample, header included.
pub(crate) struct Sample {
    random: SplitMix64,
    lines_left: u64,
    line: Vec<u8>,
    given: usize,
}

impl Sample {
    pub(crate) fn new(lines: u64) -> Self {
        Self {
            random: SplitMix64(0x7061_7964_6179),
            lines_left: lines,
            line: b"from,to,amount,memo\n".to_vec(),
            given: 0,
        }
    }

    fn next_line(&mut self) -> io::Result<()> {
        self.line.clear();
        self.given = 0;
        if self.lines_left == 0 {
            return Ok(());
        }
        self.lines_left -= 1;
        let random = &mut self.random;
        let shop = random.skewed(SHOPS);
        let person = random.skewed(PEOPLE);
        let line = &mut self.line;
        match random.below(100) {
            0..60 => {
                let (euros, cents) = (1 + random.skewed(240), random.below(100));
                writeln!(line, "person-{person:04},shop-{shop:02},{euros}.{cents:02},purchase")
            }
            60..72 => {
                let euros = 50 + random.below(200);
                writeln!(line, "shop-{shop:02},person-{person:04},{euros}.00,wages")
            }
            _ => {
                let other = (person + 1 + random.skewed(PEOPLE - 1)) % PEOPLE;
                let euros = 1 + random.skewed(120);
                writeln!(line, "person-{person:04},person-{other:04},{euros}.00,settled")
            }
        }
    }
}

impl Read for Sample {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.given == self.line.len() {
            self.next_line()?;
        }
        let rest = &self.line[self.given..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.given += n;
        Ok(n)
    }
}

/// Written out here because the sample must not change when a crate of generators does.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`, for `n` that fits in 32 bits.
    fn below(&mut self, n: u64) -> u64 {
        ((self.next() >> 32) * n) >> 32
    }

    /// In `0..n`, small numbers much more often than large ones.
    fn skewed(&mut self, n: u64) -> u64 {
        let limit = self.below(n) + 1;
        let limit = self.below(limit) + 1;
        self.below(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: u64) -> String {
        let mut text = String::new();
        Sample::new(lines).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn is_the_same_every_time() {
        let text = text(1000);
        assert_eq!(text.lines().count(), 1001);
        assert!(self::text(2000).starts_with(&text));
    }

    #[test]
    fn holds_no_bad_line() {
        let header = crate::args::Header::Auto;
        let mut transfers = crate::input::Transfers::new(Sample::new(5000), None, header).unwrap();
        let mut good = 0;
        while let Some((line, result)) = transfers.next_line().unwrap() {
            assert!(result.is_ok(), "line {line}: {result:?}");
            good += 1;
        }
        assert_eq!(good, 5000);
    }
}
