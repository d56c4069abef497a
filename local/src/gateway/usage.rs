//! The metering of API keys by their usage plans, with a token bucket and a monthly quota.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html>
//!
//! AWS applies these limits on a best-effort basis, because many hosts share them. Here they are exact.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use time::{Date, Month};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::error_response::ErrorResponse;
use super::keys::ApiKeys;
use crate::template::Plan;

/// The meters of all API keys, which record what each has used of its plan.
#[derive(Debug)]
pub(super) struct Meters {
    plans: HashMap<String, Plan>,
    keys: ApiKeys,
    used: Mutex<HashMap<(String, String), Used>>,
}

#[derive(Debug)]
struct Used {
    bucket: Bucket,
    month: (i32, Month),
    requests: u64,
}

impl Meters {
    pub(super) fn new(plans: Vec<Plan>, keys: ApiKeys) -> Self {
        let plans = plans.into_iter().map(|plan| (plan.name.clone(), plan)).collect();
        Self { plans, keys, used: Mutex::default() }
    }

    /// Counts a request with the API key `key`, or returns the response that rejects it. A throttled request does not count
    /// against the quota.
    pub(super) fn admit(&self, key: Option<&str>, now: Instant, today: Date) -> Result<(), ErrorResponse> {
        let key = key.ok_or(ErrorResponse::INVALID_API_KEY)?;
        let plan =
            self.keys.enabled_plan(key).and_then(|name| self.plans.get(&name)).ok_or(ErrorResponse::INVALID_API_KEY)?;
        let month = (today.year(), today.month());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry((plan.name.clone(), key.to_owned())).or_insert_with(|| Used {
            bucket: Bucket::full(plan.rate, plan.burst.into(), now),
            month,
            requests: 0,
        });
        if used.month != month {
            (used.month, used.requests) = (month, 0);
        }
        if !used.bucket.take(now) {
            return Err(ErrorResponse::THROTTLED);
        }
        if plan.quota.is_some_and(|quota| used.requests >= quota) {
            return Err(ErrorResponse::QUOTA_EXCEEDED);
        }
        used.requests += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TODAY: Date = time::macros::date!(2026 - 11 - 30);
    const TOMORROW: Date = time::macros::date!(2026 - 12 - 01);

    fn plan(rate: f64, burst: u32, quota: Option<u64>) -> Plan {
        Plan { name: "plan".to_owned(), rate, burst, quota, ..Plan::default() }
    }

    fn meters(plan: Plan) -> (Meters, ApiKeys) {
        let keys = ApiKeys::default();
        keys.put("key", "plan");
        (Meters::new(vec![plan], keys.clone()), keys)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (meters, keys) = meters(plan(5.0, 10, None));
        keys.put("other", "plan");
        let start = Instant::now();
        let admit = |key, after| meters.admit(Some(key), start + Duration::from_millis(after), TODAY);
        for _ in 0..10 {
            assert_eq!(admit("key", 0), Ok(()));
        }
        assert_eq!(admit("key", 0), Err(ErrorResponse::THROTTLED));
        assert_eq!(admit("key", 199), Err(ErrorResponse::THROTTLED));
        assert_eq!(admit("other", 199), Ok(()), "each API key has a bucket of its own");
        assert_eq!(admit("key", 201), Ok(()));
        assert_eq!(admit("key", 201), Err(ErrorResponse::THROTTLED));
    }

    #[test]
    fn a_quota_lasts_for_a_calendar_month() {
        let (meters, _) = meters(plan(1.0, 100, Some(2)));
        let now = Instant::now();
        assert_eq!(meters.admit(Some("key"), now, TODAY), Ok(()));
        assert_eq!(meters.admit(Some("key"), now, TODAY), Ok(()));
        assert_eq!(meters.admit(Some("key"), now, TODAY), Err(ErrorResponse::QUOTA_EXCEEDED));
        assert_eq!(meters.admit(Some("key"), now, TOMORROW), Ok(()));
    }

    #[test]
    fn only_an_enabled_api_key_with_a_plan_passes() {
        let (meters, keys) = meters(plan(100.0, 100, None));
        let admit = |key| meters.admit(key, Instant::now(), TODAY);
        assert_eq!(admit(None), Err(ErrorResponse::INVALID_API_KEY));
        assert_eq!(admit(Some("unknown")), Err(ErrorResponse::INVALID_API_KEY));
        keys.set_enabled("key", false);
        assert_eq!(admit(Some("key")), Err(ErrorResponse::INVALID_API_KEY));
        keys.set_enabled("key", true);
        assert_eq!(admit(Some("key")), Ok(()));
        keys.put("key", "no such plan");
        assert_eq!(admit(Some("key")), Err(ErrorResponse::INVALID_API_KEY));
        keys.remove("key");
        keys.set_enabled("key", true);
        assert_eq!(admit(Some("key")), Err(ErrorResponse::INVALID_API_KEY));
    }
}
