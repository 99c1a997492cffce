//! A histogram with buckets that grow with what they hold.

/// Each power of two has so many buckets, so that a bucket is at most this part of its lower bound wide.
const PARTS: u64 = 32;
const PARTS_BITS: u32 = PARTS.trailing_zeros();

/// Counts of durations in nanoseconds. Knows them to about 3 %.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one.
    #[inline]
    pub fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// Counts all of another's.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest; none if there was none.
    pub fn max(&self) -> Option<u64> {
        (self.total > 0).then_some(self.max)
    }

    /// What this part of all stay below or reach; none if there was none.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let wanted = (part * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let within = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        let at = self.counts.iter().position(within)?;
        (self.total > 0).then(|| upper(at).min(self.max))
    }
}

/// Where a number is counted. Small ones have a bucket each.
#[inline]
fn bucket(ns: u64) -> usize {
    if ns < PARTS {
        return ns as usize;
    }
    let shift = 63 - ns.leading_zeros() - PARTS_BITS;
    ((u64::from(shift) + 1) * PARTS + (ns >> shift) - PARTS) as usize
}

/// The largest number that is counted there.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PARTS {
        return bucket;
    }
    let shift = bucket / PARTS - 1;
    let lower = (bucket % PARTS + PARTS) << shift;
    lower + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_its_bucket() {
        for ns in (0..5_000).chain([123_456, 1 << 40, u64::MAX - 1, u64::MAX]) {
            let at = bucket(ns);
            assert!(upper(at) >= ns, "{ns}");
            assert!(at == 0 || upper(at - 1) < ns, "{ns}");
            assert!((upper(at) - ns) as f64 <= ns as f64 / PARTS as f64, "{ns}");
        }
    }

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut histogram = Histogram::default();
        (1..=100_000).for_each(|ns| histogram.add(ns));
        for part in [0.5, 0.99, 0.999] {
            let found = histogram.quantile(part).expect("it has numbers") as f64;
            assert!((found / (part * 100_000.0) - 1.0).abs() < 0.04, "{part}: {found}");
        }
        assert_eq!((histogram.quantile(1.0), histogram.max()), (Some(100_000), Some(100_000)));
    }

    #[test]
    fn merging_adds_up() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        assert_eq!((a.quantile(0.5), a.max()), (None, None));
        a.add(10);
        b.add(30);
        b.add(20);
        a.merge(&b);
        assert_eq!((a.total(), a.quantile(0.5), a.max()), (3, Some(20), Some(30)));
    }
}
