//! Offboarding: everything that a tenant owns is removed, and nothing is written afterwards.
//!
//! Requests of the tenant may be in progress when it is offboarded, and others may still arrive, because API Gateway caches
//! the authorizer's results. So it is not enough to remove what is found once. Three rules make the removal final:
//!
//! 1. The rows of the tenant's usage are closed in the transaction that makes the tenant `offboarding`. An execution
//!    environment reads such a row whenever it leases units, and may spend these for [`quota::LEASE`]. Once it has read
//!    that a row is closed, it spends no more, and rejects requests with `tenant_offboarded` before a handler sees them.
//! 2. Nothing is removed before the last request that may still be admitted has ended: see [`drain`]. So no write is
//!    confirmed to a client while items are being removed. Those that were confirmed before are removed like all others.
//! 3. A write may reach the table late, because AWS accepts a signed request for [`SIGNATURE_LIFETIME`]. So a second
//!    [`Look`] at everything follows when that time is over, and the tenant is `offboarded` only after a look that found
//!    nothing.
//!
//! Times of different clocks are compared, and each comparison allows for [`CLOCK_SKEW`].

use std::time::Duration;

use crate::domain::month::Month;
use crate::domain::quota::{self, WhenUnavailable};
use crate::domain::tenant;
use crate::domain::time::{CLOCK_SKEW, SIGNATURE_LIFETIME, Timestamp};

/// The time for which API Gateway caches a result of the authorizer (`ReauthorizeEvery` in `template.yaml`).
const AUTHORIZER_TTL: Duration = Duration::from_mins(5);

/// The timeout of a function that serves tenants (`Timeout` in `template.yaml`).
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The time between the end of one look and the start of the next. It allows for the clock skew twice: a write may be
/// signed by a clock that is ahead of AWS's, and the two looks may be timed by different clocks.
const APART: Duration = SIGNATURE_LIFETIME.saturating_add(CLOCK_SKEW).saturating_add(CLOCK_SKEW);

/// Returns how long after the closing of the usage rows requests may still be in progress.
#[must_use]
pub const fn drain(when_unavailable: WhenUnavailable) -> Duration {
    let admitted = match when_unavailable {
        // A request spends a unit that its execution environment holds.
        WhenUnavailable::Refuse => quota::LEASE,
        // While the table does not respond, a request needs only a policy. The authorizer makes it from a cached row that
        // it cannot read again, and API Gateway then caches the policy.
        WhenUnavailable::Allow => tenant::STALE.saturating_add(AUTHORIZER_TTL),
    };
    admitted.saturating_add(FUNCTION_TIMEOUT).saturating_add(CLOCK_SKEW)
}

/// Returns the months whose usage rows are closed: those from which execution environments may lease units until no policy
/// admits the tenant any more.
pub fn months(now: Timestamp) -> impl Iterator<Item = Month> {
    let by_a_slow_clock = Month::of(now.minus(CLOCK_SKEW));
    let this = Month::of(now);
    [Some(by_a_slow_clock), (this != by_a_slow_clock).then_some(this), Some(this.next())].into_iter().flatten()
}

/// The progress of a tenant's offboarding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offboarding {
    /// The time at which the tenant's usage rows were closed.
    pub closed_at: Timestamp,
    /// The time at which the last look ended.
    pub looked_at: Option<Timestamp>,
    /// The look in progress.
    pub look: Look,
}

/// One pass over everything that a tenant owns, which removes all that it finds. It may take several runs of the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The sort key of the last collection that is empty.
    pub after: Option<String>,
    /// Whether anything was found.
    pub found: bool,
}

impl Offboarding {
    /// Starts an offboarding whose usage rows are closed now.
    #[must_use]
    pub fn begin(now: Timestamp) -> Self {
        Self { closed_at: now, looked_at: None, look: Look::default() }
    }

    /// Returns the earliest time at which the next look may begin or continue.
    #[must_use]
    pub fn ready_at(&self, drain: Duration) -> Timestamp {
        match self.looked_at {
            None => self.closed_at.plus(drain),
            Some(then) => then.plus(APART),
        }
    }

    /// Ends a look that has been through everything. Returns whether it was the last one, which is one that found nothing
    /// and is not the first.
    #[must_use]
    pub fn end_look(&mut self, now: Timestamp) -> bool {
        let Look { found, after: _ } = std::mem::take(&mut self.look);
        let is_last = !found && self.looked_at.is_some();
        self.looked_at = Some(now);
        is_last
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_months_cover_clocks_that_differ() {
        let months = |moment| months(moment).map(|month| month.to_string()).collect::<Vec<_>>();
        let december = Month::parse("2026-12").unwrap();
        let minute = Duration::from_mins(1);
        assert_eq!(months(december.start().minus(minute)), ["2026-11", "2026-12"]);
        assert_eq!(months(december.start().plus(minute)), ["2026-11", "2026-12", "2027-01"]);
        assert_eq!(months(december.start().plus(11 * minute)), ["2026-12", "2027-01"]);
    }

    #[test]
    fn the_constants_match_the_template() {
        let template = include_str!("../../../template.yaml");
        assert!(template.contains(&format!("ReauthorizeEvery: {}\n", AUTHORIZER_TTL.as_secs())));
        let globals = template.split("\nResources:").next().unwrap();
        assert!(globals.contains(&format!("    Timeout: {}\n", FUNCTION_TIMEOUT.as_secs())));
    }
}
