//! Pauses between the attempts of a request.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The first pause is up to this; each may be twice the one before.
const FIRST: Duration = Duration::from_millis(25);
/// No pause is longer.
const LONGEST: Duration = Duration::from_millis(400);
/// No try starts later: the last one still has time for an answer before the request's deadline (`http::serve`), unless
/// the request had to wait before.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many pauses there are for a request that others get in the way of one after the other.
const MANY: u32 = 10;
/// How many there are for any other.
const FEW: u32 = 3;

/// The pauses of one request. They grow, and are random, so that rivals do not meet again.
#[derive(Debug)]
pub(in crate::store) struct Backoff {
    started: Instant,
    pauses: u32,
    most: u32,
}

impl Backoff {
    pub(in crate::store) fn brief() -> Self {
        Self { started: Instant::now(), pauses: 0, most: FEW }
    }

    pub(in crate::store) fn patient() -> Self {
        Self { most: MANY, ..Self::brief() }
    }

    /// Waits before another try. `false`: there have been enough.
    pub(in crate::store) async fn pause(&mut self) -> bool {
        let most = LONGEST.min(FIRST * 2_u32.saturating_pow(self.pauses));
        let pause = most.mul_f64(rand::random_range(0.25..1.0));
        if self.pauses == self.most || self.started.elapsed() + pause > PATIENCE {
            return false;
        }
        self.pauses += 1;
        sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_end_after_so_many() {
        let (mut backoff, mut pauses) = (Backoff::patient(), 0);
        while backoff.pause().await {
            pauses += 1;
        }
        assert_eq!(pauses, MANY);
        assert!(backoff.started.elapsed() < PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_end_after_so_long() {
        let (mut backoff, mut pauses) = (Backoff::patient(), 0);
        while backoff.pause().await {
            pauses += 1;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(pauses, 3, "none of them is longer than the rest of the second before the fourth");
    }
}
