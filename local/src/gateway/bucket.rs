//! A token bucket: it is full at first, and is refilled at a constant rate.
//!
//! With a rate of 5 and a burst of 10, ten requests pass at once, an eleventh passes 200 ms later, and ten pass again after
//! two seconds without any.

use tokio::time::Instant;

/// A token bucket, which lets a burst pass and then the rate.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Returns a full bucket that gets `rate` tokens per second.
    pub(super) fn full(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    /// Takes a token. Returns false if there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
        self.at = self.at.max(now);
        let full = self.tokens >= 1.0;
        if full {
            self.tokens -= 1.0;
        }
        full
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A token bucket is defined by this: in any span of time, at most the burst and the rate's share of it pass, and a
        /// request always passes after a gap in which a token was added.
        #[test]
        fn no_span_of_time_passes_more_than_burst_and_rate(
            rate in 1_u32..50,
            burst in 1_u32..20,
            gaps in prop::collection::vec(0_u32..400, 1..120),
        ) {
            let (rate, burst) = (f64::from(rate), f64::from(burst));
            let start = Instant::now();
            let mut bucket = Bucket::full(rate, burst, start);
            let mut passed: Vec<f64> = Vec::new();
            let mut at = Duration::ZERO;
            for gap in gaps {
                at += Duration::from_millis(gap.into());
                let taken = bucket.take(start + at);
                let waited = f64::from(gap) / 1000.0 * rate >= 1.0 + 1e-6;
                prop_assert!(taken || !waited, "throttled after {gap} ms at {rate}/s");
                if taken {
                    passed.push(at.as_secs_f64());
                }
            }
            for (i, from) in passed.iter().enumerate() {
                for (j, to) in passed.iter().enumerate().skip(i) {
                    let most = burst + rate * (to - from) + 1e-6;
                    let count = f64::from(u32::try_from(j - i + 1).unwrap());
                    prop_assert!(count <= most, "{count} of {most} in {} s", to - from);
                }
            }
        }
    }
}
