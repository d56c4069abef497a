//! A Lambda authorizer of type `TOKEN`, which invokes a function for each token and caches the result by token.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html>
//!
//! Requests with the same token that arrive before the first result share one invocation. AWS may invoke the function
//! once for each of them: that costs nothing there, but it would start a process for each here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use regex::Regex;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::error_response::ErrorResponse;
use super::grant::Grant;
use crate::runtime::{Invoke, InvokeError};
use crate::template;

/// The authorizer, with its cache.
#[derive(Debug)]
pub(super) struct Authorizer {
    settings: template::Authorizer,
    expression: Option<Regex>,
    cache: Mutex<HashMap<String, Arc<OnceCell<Outcome>>>>,
}

type Outcome = Result<CachedGrant, ErrorResponse>;

#[derive(Debug)]
struct CachedGrant {
    grant: Arc<Grant>,
    expires_at: Instant,
}

impl Authorizer {
    pub(super) fn new(settings: template::Authorizer) -> Result<Self, regex::Error> {
        let whole = |expression: &String| Regex::new(&format!("^(?:{expression})$"));
        let expression = settings.validation_expression.as_ref().map(whole).transpose()?;
        Ok(Self { settings, expression, cache: Mutex::default() })
    }

    /// Returns the function's result for the token in `headers`: from the cache, if it is not older than the time to live
    /// at `now`, or from a new invocation.
    pub(super) async fn grant<F: Invoke>(
        &self,
        functions: &F,
        headers: &HeaderMap,
        method_arn: &str,
        now: Instant,
    ) -> Result<Arc<Grant>, ErrorResponse> {
        let token = headers.get(&self.settings.header).and_then(|value| value.to_str().ok());
        let token = token.filter(|token| !token.is_empty()).ok_or(ErrorResponse::UNAUTHORIZED)?;
        if self.expression.as_ref().is_some_and(|expression| !expression.is_match(token)) {
            return Err(ErrorResponse::UNAUTHORIZED);
        }
        if self.settings.ttl.is_zero() {
            return self.invoke(functions, token, method_arn).await;
        }
        let invoke = async || {
            let grant = self.invoke(functions, token, method_arn).await?;
            Ok(CachedGrant { grant, expires_at: now + self.settings.ttl })
        };
        match self.cell(token, now).get_or_init(invoke).await {
            Ok(cached) => Ok(Arc::clone(&cached.grant)),
            Err(error) => Err(error.clone()),
        }
    }

    /// Returns the place of the result for `token` in the cache. Expired results are removed, and so are errors, which
    /// only the requests get that waited for the same invocation.
    fn cell(&self, token: &str, now: Instant) -> Arc<OnceCell<Outcome>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, cell| match cell.get() {
            None => true,
            Some(Ok(cached)) => cached.expires_at > now,
            Some(Err(_)) => false,
        });
        Arc::clone(cache.entry(token.to_owned()).or_default())
    }

    async fn invoke<F: Invoke>(
        &self,
        functions: &F,
        token: &str,
        method_arn: &str,
    ) -> Result<Arc<Grant>, ErrorResponse> {
        let event = json!({ "type": "TOKEN", "authorizationToken": token, "methodArn": method_arn });
        match functions.invoke(&self.settings.function, event.to_string().into_bytes()).await {
            Ok(bytes) => Grant::parse(&bytes).map(Arc::new).map_err(|error| {
                tracing::warn!(function = self.settings.function, %error, "the authorizer's response is not valid");
                ErrorResponse::AUTHORIZER_CONFIGURATION
            }),
            Err(InvokeError::Function { message, .. }) if message == "Unauthorized" => Err(ErrorResponse::UNAUTHORIZED),
            Err(error @ InvokeError::Unknown(_)) => {
                tracing::warn!(%error, "the authorizer cannot be reached");
                Err(ErrorResponse::AUTHORIZER_CONFIGURATION)
            }
            Err(
                error @ (InvokeError::Timeout
                | InvokeError::Crashed(_)
                | InvokeError::Throttled
                | InvokeError::EventTooLarge
                | InvokeError::Function { .. }),
            ) => {
                tracing::warn!(function = self.settings.function, %error, "the authorizer failed");
                Err(ErrorResponse::AUTHORIZER_FAILURE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use http::HeaderValue;
    use serde_json::Value;
    use tokio::sync::Notify;

    use super::super::tests::{StubFunctions, function_error};
    use super::*;

    const TTL: Duration = Duration::from_mins(5);

    fn authorizer(ttl: Duration) -> Authorizer {
        Authorizer::new(template::Authorizer {
            function: "authorizer".to_owned(),
            header: "Authorization".to_owned(),
            validation_expression: Some("Bearer [a-z]+|Token [a-z]+".to_owned()),
            ttl,
        })
        .unwrap()
    }

    fn bearer(token: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_str(token).unwrap())])
    }

    fn output(extra: (&str, Value)) -> Value {
        let mut output = json!({ "principalId": "p", "policyDocument": { "Version": "2012-10-17", "Statement": [] } });
        output[extra.0] = extra.1;
        output
    }

    #[tokio::test]
    async fn a_token_that_does_not_match_the_expression_is_rejected_without_an_invocation() {
        let functions = StubFunctions::new(|_, _| panic!("invoked"));
        let authorizer = authorizer(TTL);
        let now = Instant::now();
        let rejected = [HeaderMap::new(), bearer(""), bearer("Bearer a1"), bearer("xBearer a"), bearer("Token ab ")];
        for headers in rejected {
            let error = authorizer.grant(&functions, &headers, "arn", now).await.unwrap_err();
            assert_eq!(error, ErrorResponse::UNAUTHORIZED, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn the_event_is_that_of_a_token_authorizer() {
        let functions = StubFunctions::new(|function, event| {
            assert_eq!(function, "authorizer");
            assert_eq!(event, json!({ "type": "TOKEN", "authorizationToken": "Bearer a", "methodArn": "arn:x" }));
            Ok(output(("context", json!({ "s": "v", "n": 1.5, "b": true }))))
        });
        let grant = authorizer(TTL).grant(&functions, &bearer("Bearer a"), "arn:x", Instant::now()).await.unwrap();
        let expected = [("b", "true"), ("n", "1.5"), ("s", "v")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(grant.context, BTreeMap::from(expected));
        assert_eq!(grant.principal_id, "p");
    }

    #[tokio::test]
    async fn a_result_is_cached_by_token_for_its_time_to_live() {
        let functions = StubFunctions::new(|_, _| Ok(output(("usageIdentifierKey", json!("k")))));
        let authorizer = authorizer(TTL);
        let start = Instant::now();
        let last = start + TTL.checked_sub(Duration::from_millis(1)).unwrap();
        for (token, at, invocations) in [
            ("Bearer a", start, 1),
            ("Bearer a", last, 1),
            ("Bearer b", last, 2),
            ("Bearer a", start + TTL, 3),
            ("Bearer b", start + TTL, 3),
        ] {
            let grant = authorizer.grant(&functions, &bearer(token), "arn", at).await.unwrap();
            assert_eq!(grant.usage_identifier_key.as_deref(), Some("k"));
            assert_eq!(functions.invocations(), invocations, "{token}");
        }
    }

    #[tokio::test]
    async fn without_a_time_to_live_nothing_is_cached() {
        let functions = StubFunctions::new(|_, _| Ok(output(("context", Value::Null))));
        let authorizer = authorizer(Duration::ZERO);
        for _ in 0..2 {
            authorizer.grant(&functions, &bearer("Bearer a"), "arn", Instant::now()).await.unwrap();
        }
        assert_eq!(functions.invocations(), 2);
    }

    #[tokio::test]
    async fn concurrent_requests_share_an_invocation_and_its_error_but_later_ones_do_not() {
        #[derive(Clone)]
        struct Slow(Arc<Notify>, StubFunctions);
        impl Invoke for Slow {
            async fn invoke(&self, function: &str, event: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
                self.0.notified().await;
                self.1.invoke(function, event).await
            }
        }
        let slow = Slow(Arc::default(), StubFunctions::new(|_, _| Err(InvokeError::Timeout)));
        let authorizer = authorizer(TTL);
        let (headers, now) = (bearer("Bearer a"), Instant::now());
        let authorize = || authorizer.grant(&slow, &headers, "arn", now);
        let release = async { slow.0.notify_one() };
        let (first, second, ()) = tokio::join!(authorize(), authorize(), release);
        assert_eq!(first.unwrap_err(), ErrorResponse::AUTHORIZER_FAILURE);
        assert_eq!(second.unwrap_err(), ErrorResponse::AUTHORIZER_FAILURE);
        assert_eq!(slow.1.invocations(), 1);
        slow.0.notify_one();
        authorize().await.unwrap_err();
        assert_eq!(slow.1.invocations(), 2);
    }

    #[tokio::test]
    async fn each_failure_of_the_function_has_its_response() {
        let error = async |result: fn() -> Result<Value, InvokeError>| {
            let functions = StubFunctions::new(move |_, _| result());
            let authorizer = authorizer(TTL);
            authorizer.grant(&functions, &bearer("Bearer a"), "arn", Instant::now()).await.unwrap_err()
        };
        assert_eq!(error(|| Err(function_error("Unauthorized"))).await, ErrorResponse::UNAUTHORIZED);
        assert_eq!(error(|| Err(function_error("unauthorized"))).await, ErrorResponse::AUTHORIZER_FAILURE);
        assert_eq!(error(|| Err(InvokeError::Crashed(String::new()))).await, ErrorResponse::AUTHORIZER_FAILURE);
        let unknown = || Err(InvokeError::Unknown(String::new()));
        assert_eq!(error(unknown).await, ErrorResponse::AUTHORIZER_CONFIGURATION);
        for bad in [
            || Ok(json!({})),
            || Ok(json!("allow")),
            || Ok(output(("principalId", json!(null)))),
            || Ok(output(("policyDocument", json!({ "Statement": [{ "Effect": "Allow" }] })))),
            || Ok(output(("context", json!({ "nested": { "a": 1 } })))),
            || Ok(output(("usageIdentifierKey", json!(1)))),
        ] as [fn() -> Result<Value, InvokeError>; 6]
        {
            assert_eq!(error(bad).await, ErrorResponse::AUTHORIZER_CONFIGURATION);
        }
    }
}
