//! Quotas as clients see them: the `RateLimit` header fields, and the problem of a quota that is used up.
//!
//! The fields follow <https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11>: they are
//! structured fields (RFC 9651), with the name of the policy as a string and integers as its parameters.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::json;

use super::{Code, Problem};
use crate::ledger::{SpendError, Window};
use crate::store::Fault;

/// The name of the policy.
const POLICY: &str = "monthly";
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Adds the header fields. `q` is the quota in requests, `w` its window in seconds, `r` the remaining requests, and `t` the time in
/// seconds until the quota starts anew.
pub(super) fn insert_headers(window: &Window, headers: &mut HeaderMap) {
    let Window { limit, remaining, length, .. } = window;
    let fields = [
        (RATE_LIMIT_POLICY, format!("\"{POLICY}\";q={limit};w={}", length.as_secs())),
        (RATE_LIMIT, format!("\"{POLICY}\";r={remaining};t={}", wait(window))),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            headers.insert(name, value);
        }
    }
}

/// The seconds until the window ends, rounded up: a client that waits so long is in the next window.
fn wait(window: &Window) -> u64 {
    window.left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// The problem of a request for which no unit could be spent. The request had no effect.
pub(super) fn problem(error: SpendError) -> Problem {
    match error {
        SpendError::UsedUp(window) => {
            let limit = window.limit;
            let detail =
                format!("The monthly quota of {limit} requests is used up. Wait for the next month, or ask for more.");
            Problem::new(Code::QUOTA_EXCEEDED, detail)
                // The member is defined in section 5.1 of the draft.
                .with_member("violated-policies", json!([POLICY]))
                .with_header(RETRY_AFTER, HeaderValue::from(wait(&window)))
        }
        SpendError::Closed => {
            let detail = "The tenant is offboarded, which is final. Its data is being removed.";
            Problem::new(Code::TENANT_OFFBOARDED, detail)
        }
        SpendError::Fault(Fault::Unavailable(cause)) => {
            let detail =
                "The quota cannot be checked right now. Nothing was done: retry after the time in Retry-After.";
            Problem::new(Code::UNAVAILABLE, detail)
                .with_cause(cause)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
        }
        SpendError::Fault(fault) => fault.into(),
        SpendError::UnknownPlan(error) => Problem::internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    const WINDOW: Window = Window {
        limit: 10_000,
        remaining: 9_000,
        length: Duration::from_hours(720),
        left: Duration::from_millis(100_001),
    };

    #[test]
    fn the_fields_are_structured() {
        let mut headers = HeaderMap::new();
        insert_headers(&WINDOW, &mut headers);
        assert_eq!(headers["RateLimit-Policy"], r#""monthly";q=10000;w=2592000"#);
        assert_eq!(headers["RateLimit"], r#""monthly";r=9000;t=101"#);
    }

    #[test]
    fn a_used_up_quota_names_the_quota_and_the_time_to_wait() {
        let problem = problem(SpendError::UsedUp(Window { remaining: 0, ..WINDOW }));
        assert_eq!(problem.headers(), [(RETRY_AFTER, HeaderValue::from_static("101"))]);
        let document: Value = serde_json::from_str(&problem.document("id-1")).unwrap();
        assert_eq!(
            document["detail"],
            "The monthly quota of 10000 requests is used up. Wait for the next month, or ask for more."
        );
        assert_eq!((&document["code"], &document["status"]), (&json!("quota_exceeded"), &json!(429)));
        assert_eq!(document["violated-policies"], json!(["monthly"]));
    }

    #[test]
    fn an_unavailable_quota_is_distinguished_from_a_defect() {
        let code = |error| problem(error).code();
        assert_eq!(code(SpendError::Closed), Code::TENANT_OFFBOARDED);
        assert_eq!(code(SpendError::Fault(Fault::Unavailable("x".into()))), Code::UNAVAILABLE);
        assert_eq!(code(SpendError::Fault(Fault::Broken("x".into()))), Code::INTERNAL_ERROR);
        let unknown = crate::domain::quota::Quotas::default()
            .limit(&crate::domain::quota::Terms::default(), "gold", None)
            .unwrap_err();
        assert_eq!(code(SpendError::UnknownPlan(unknown)), Code::INTERNAL_ERROR);
    }
}
