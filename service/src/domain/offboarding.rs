//! The end of a tenant: everything that it owns is removed, and nothing comes after.
//!
//! Requests of the tenant may be under way when it is offboarded, and others may still come in, because API Gateway caches
//! what the authorizer says. So it is not enough to remove what is found. Three things make an end of it:
//!
//! 1. The rows of the tenant's usage are closed in the transaction that makes the tenant `offboarding`. An execution
//!    environment reads such a row whenever it leases units, and may spend these for [`quota::LEASE`]. Once it has read
//!    that a row is closed, it spends no more, and rejects requests with `tenant_offboarded` before a handler sees them.
//! 2. Nothing is removed before the last request that may still be admitted has ended: see [`drain`]. So a write that a
//!    client was told of may be removed, as all others are, but none is confirmed while they are being removed.
//! 3. A write may reach the table late, because AWS accepts a signed request for [`SIGNATURE_LIFETIME`]. So everything is
//!    looked at again when that time is over, and the tenant is `offboarded` only after a look that found nothing.
//!
//! Moments of different clocks are compared, and each comparison allows for [`CLOCK_SKEW`].

use std::time::Duration;

use crate::domain::month::Month;
use crate::domain::quota::{self, WhenUnavailable};
use crate::domain::tenant;
use crate::domain::time::{CLOCK_SKEW, SIGNATURE_LIFETIME, Timestamp};

/// How long API Gateway caches a result of the authorizer (`ReauthorizeEvery` in `template.yaml`).
const AUTHORIZER_TTL: Duration = Duration::from_mins(5);

/// How long a function that serves tenants may run (`Timeout` in `template.yaml`).
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after one look the next one begins. A write may be signed by a clock that is ahead of AWS's, and two looks may
/// go by different clocks.
const APART: Duration = SIGNATURE_LIFETIME.saturating_add(CLOCK_SKEW).saturating_add(CLOCK_SKEW);

/// How long after the closing requests may still be at work.
#[must_use]
pub const fn drain(when_unavailable: WhenUnavailable) -> Duration {
    let admitted = match when_unavailable {
        // A request spends a unit that its environment holds.
        WhenUnavailable::Refuse => quota::LEASE,
        // While the table does not respond, a request needs only a policy: one that the authorizer makes from a row that
        // it cannot read again, and that API Gateway then caches.
        WhenUnavailable::Allow => tenant::STALE.saturating_add(AUTHORIZER_TTL),
    };
    admitted.saturating_add(FUNCTION_TIMEOUT).saturating_add(CLOCK_SKEW)
}

/// The months whose rows are closed: those from which execution environments may lease units until no policy lets the
/// tenant in any more.
pub fn months(now: Timestamp) -> impl Iterator<Item = Month> {
    let by_a_slow_clock = Month::of(now.minus(CLOCK_SKEW));
    let this = Month::of(now);
    [Some(by_a_slow_clock), (this != by_a_slow_clock).then_some(this), Some(this.next())].into_iter().flatten()
}

/// How far the offboarding of a tenant has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offboarding {
    /// When the rows of the tenant's usage were closed.
    pub closed_at: Timestamp,
    /// When the last look ended.
    pub looked_at: Option<Timestamp>,
    /// The look under way.
    pub look: Look,
}

/// A look at everything that a tenant owns, in which all that is found is removed. It may take several runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The sort key of the last collection in which nothing is left.
    pub after: Option<String>,
    /// Whether anything was found.
    pub found: bool,
}

impl Offboarding {
    /// The rows are closed now.
    #[must_use]
    pub fn begin(now: Timestamp) -> Self {
        Self { closed_at: now, looked_at: None, look: Look::default() }
    }

    /// From when on the next look may begin, or go on.
    #[must_use]
    pub fn ready_at(&self, drain: Duration) -> Timestamp {
        match self.looked_at {
            None => self.closed_at.plus(drain),
            Some(then) => then.plus(APART),
        }
    }

    /// A look has gone through everything. Says whether it was the last one: it found nothing, after another one.
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
    fn the_template_has_the_times_that_are_counted_on() {
        let template = include_str!("../../../template.yaml");
        assert!(template.contains(&format!("ReauthorizeEvery: {}\n", AUTHORIZER_TTL.as_secs())));
        let globals = template.split("\nResources:").next().unwrap();
        assert!(globals.contains(&format!("    Timeout: {}\n", FUNCTION_TIMEOUT.as_secs())));
    }
}
