//! Checks of the rate limit from outside.

use std::time::{Duration, Instant};

use crate::clock::micros;

/// When a request was sent, and when its answer came. In between the server has let it in.
pub(super) type Span = (Instant, Instant);

/// Between any two requests that were let in, no more than a burst and what came in meanwhile: `n <= burst + time / step`. In one pass: with
/// the best begin so far for each end.
pub(super) fn excess(spans: &[Span], step: Duration, burst: u32) -> Option<String> {
    let start = spans.first()?.0;
    let at = |time: Instant| i128::from(micros(time - start));
    let step = i128::from(micros(step));
    let mut best = i128::MIN;
    let mut from = 0;
    for (n, (sent, received)) in spans.iter().enumerate() {
        // In microseconds: how many steps of time the requests before this one account for.
        let begin = at(*sent) - n as i128 * step;
        if begin > best {
            (best, from) = (begin, n);
        }
        // Clocks are read in whole microseconds, so one may be missing at each end.
        let allowed = i128::from(burst) * step + (at(*received) + 2 - at(spans[from].0));
        let used = (n - from + 1) as i128 * step;
        if used > allowed {
            let time = *received - spans[from].0;
            return Some(format!("{} requests were let in within {time:?}", n - from + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_too_many_is_found_wherever_it_is() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let excess = |times: &[u64]| {
            let spans: Vec<Span> = times.iter().map(|ms| (at(*ms), at(*ms))).collect();
            excess(&spans, Duration::from_millis(100), 3)
        };
        assert_eq!(excess(&[]), None);
        assert_eq!(excess(&[0, 0, 0, 100, 200, 300, 1000, 1000, 1000]), None);
        assert!(excess(&[0, 0, 0, 0]).is_some());
        assert!(excess(&[0, 1000, 1000, 1000, 1050]).is_some());
        assert!(excess(&[0, 500, 500, 500, 600, 699]).is_some());
        assert!(excess(&[0, 500, 500, 500, 600, 700]).is_none());
    }
}
