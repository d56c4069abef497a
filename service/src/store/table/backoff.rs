//! Pauses between the attempts of a request.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The upper bound of the first pause. Each further bound is twice the one before.
const FIRST: Duration = Duration::from_millis(25);
/// The upper bound of any pause.
const LONGEST: Duration = Duration::from_millis(400);
/// The time after which no attempt starts. The last one can still get its response before the request's deadline
/// (`http::serve`), unless the request had to wait before.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most pauses of a request that competes with many others.
const MANY: u32 = 10;
/// The most pauses of any other request.
const FEW: u32 = 3;

/// The pauses of one request. They grow, and are random, so that competing requests do not meet again.
#[derive(Debug)]
pub(in crate::store) struct Backoff {
    started: Instant,
    pauses: u32,
    most: u32,
}

impl Backoff {
    /// Starts with few pauses.
    pub(in crate::store) fn brief() -> Self {
        Self { started: Instant::now(), pauses: 0, most: FEW }
    }

    /// Starts with many pauses, for a request that competes with many others.
    pub(in crate::store) fn patient() -> Self {
        Self { most: MANY, ..Self::brief() }
    }

    /// Waits before another attempt. Returns `false`, without waiting, if there should be none.
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
    async fn the_number_of_pauses_is_limited() {
        let (mut backoff, mut pauses) = (Backoff::patient(), 0);
        while backoff.pause().await {
            pauses += 1;
        }
        assert_eq!(pauses, MANY);
        assert!(backoff.started.elapsed() < PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_for_pauses_is_limited() {
        let (mut backoff, mut pauses) = (Backoff::patient(), 0);
        while backoff.pause().await {
            pauses += 1;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(pauses, 3, "none of them is longer than the rest of the second before the fourth");
    }
}
