//! API keys and the usage plans that meter them, by token bucket and by monthly quota.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html>
//!
//! AWS does this with best effort, on many hosts at once. Here the limits are exact.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::{Date, Month};
use tokio::time::Instant;

use super::responses::Refusal;
use crate::template::Plan;

/// The API keys with their plans. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys {
    keys: Arc<Mutex<HashMap<String, Key>>>,
}

#[derive(Debug, Clone)]
struct Key {
    plan: String,
    enabled: bool,
}

impl ApiKeys {
    /// Gives the key of this value a place in a plan, enabled. A plan that it had before is left.
    pub fn put(&self, value: &str, plan: &str) {
        self.lock().insert(value.to_owned(), Key { plan: plan.to_owned(), enabled: true });
    }

    /// Enables or disables a key, if there is one.
    pub fn set_enabled(&self, value: &str, enabled: bool) {
        if let Some(key) = self.lock().get_mut(value) {
            key.enabled = enabled;
        }
    }

    /// Removes a key, if there is one.
    pub fn remove(&self, value: &str) {
        self.lock().remove(value);
    }

    fn enabled_plan(&self, value: &str) -> Option<String> {
        self.lock().get(value).filter(|key| key.enabled).map(|key| key.plan.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the keys have used of their plans.
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

/// A token bucket: full at first, filled at the plan's rate.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Meters {
    pub(super) fn new(plans: Vec<Plan>, keys: ApiKeys) -> Self {
        let plans = plans.into_iter().map(|plan| (plan.name.clone(), plan)).collect();
        Self { plans, keys, used: Mutex::default() }
    }

    /// Counts a request of `key`, or says why it cannot be taken. What is throttled does not count for the quota.
    pub(super) fn admit(&self, key: Option<&str>, now: Instant, today: Date) -> Result<(), Refusal> {
        let key = key.ok_or(Refusal::INVALID_API_KEY)?;
        let plan =
            self.keys.enabled_plan(key).and_then(|name| self.plans.get(&name)).ok_or(Refusal::INVALID_API_KEY)?;
        let month = (today.year(), today.month());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry((plan.name.clone(), key.to_owned())).or_insert_with(|| Used {
            bucket: Bucket { tokens: plan.burst, at: now },
            month,
            requests: 0,
        });
        if used.month != month {
            (used.month, used.requests) = (month, 0);
        }
        if !used.bucket.take(plan, now) {
            return Err(Refusal::THROTTLED);
        }
        if plan.quota.is_some_and(|quota| used.requests >= quota) {
            return Err(Refusal::QUOTA_EXCEEDED);
        }
        used.requests += 1;
        Ok(())
    }
}

impl Bucket {
    fn take(&mut self, plan: &Plan, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * plan.rate).min(plan.burst);
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

    const TODAY: Date = time::macros::date!(2026 - 11 - 30);
    const TOMORROW: Date = time::macros::date!(2026 - 12 - 01);

    fn plan(rate: f64, burst: f64, quota: Option<u64>) -> Plan {
        Plan { name: "plan".to_owned(), rate, burst, quota }
    }

    fn meters(plan: Plan) -> (Meters, ApiKeys) {
        let keys = ApiKeys::default();
        keys.put("key", "plan");
        (Meters::new(vec![plan], keys.clone()), keys)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (meters, keys) = meters(plan(5.0, 10.0, None));
        keys.put("other", "plan");
        let start = Instant::now();
        let admit = |key, after| meters.admit(Some(key), start + Duration::from_millis(after), TODAY);
        for _ in 0..10 {
            assert_eq!(admit("key", 0), Ok(()));
        }
        assert_eq!(admit("key", 0), Err(Refusal::THROTTLED));
        assert_eq!(admit("key", 199), Err(Refusal::THROTTLED));
        assert_eq!(admit("other", 199), Ok(()), "a key of its own is a bucket of its own");
        assert_eq!(admit("key", 201), Ok(()));
        assert_eq!(admit("key", 201), Err(Refusal::THROTTLED));
    }

    #[test]
    fn a_quota_lasts_for_a_calendar_month() {
        let (meters, _) = meters(plan(1.0, 100.0, Some(2)));
        let now = Instant::now();
        assert_eq!(meters.admit(Some("key"), now, TODAY), Ok(()));
        assert_eq!(meters.admit(Some("key"), now, TODAY), Ok(()));
        assert_eq!(meters.admit(Some("key"), now, TODAY), Err(Refusal::QUOTA_EXCEEDED));
        assert_eq!(meters.admit(Some("key"), now, TOMORROW), Ok(()));
    }

    #[test]
    fn only_an_enabled_key_with_a_plan_passes() {
        let (meters, keys) = meters(plan(100.0, 100.0, None));
        let admit = |key| meters.admit(key, Instant::now(), TODAY);
        assert_eq!(admit(None), Err(Refusal::INVALID_API_KEY));
        assert_eq!(admit(Some("unknown")), Err(Refusal::INVALID_API_KEY));
        keys.set_enabled("key", false);
        assert_eq!(admit(Some("key")), Err(Refusal::INVALID_API_KEY));
        keys.set_enabled("key", true);
        assert_eq!(admit(Some("key")), Ok(()));
        keys.put("key", "no such plan");
        assert_eq!(admit(Some("key")), Err(Refusal::INVALID_API_KEY));
        keys.remove("key");
        keys.set_enabled("key", true);
        assert_eq!(admit(Some("key")), Err(Refusal::INVALID_API_KEY));
    }

    proptest! {
        /// What defines a token bucket: in any span of time at most the burst and the rate's share of it pass, and a
        /// request after a gap in which a token came always does.
        #[test]
        fn no_span_of_time_passes_more_than_burst_and_rate(
            rate in 1_u32..50,
            burst in 1_u32..20,
            gaps in prop::collection::vec(0_u32..400, 1..120),
        ) {
            let (rate, burst) = (f64::from(rate), f64::from(burst));
            let plan = plan(rate, burst, None);
            let start = Instant::now();
            let mut bucket = Bucket { tokens: burst, at: start };
            let mut passed: Vec<f64> = Vec::new();
            let mut at = Duration::ZERO;
            for gap in gaps {
                at += Duration::from_millis(gap.into());
                let taken = bucket.take(&plan, start + at);
                let waited = f64::from(gap) / 1000.0 * rate >= 1.0 + 1e-6;
                prop_assert!(taken || !waited, "refused after {gap} ms at {rate}/s");
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
