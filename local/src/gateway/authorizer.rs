//! A Lambda authorizer of type `TOKEN`: who may go on, asked of a function and kept by token.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>
//!
//! Requests with the same token that come before the first answer wait for it together. AWS may ask once for each: it
//! costs nothing there, but starts a process for each here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::policy::{Policy, PolicyError};
use super::responses::Refusal;
use crate::runtime::{Invoke, InvokeError};
use crate::template;

/// The authorizer with the answers that it keeps.
#[derive(Debug)]
pub(super) struct Authorizer {
    settings: template::Authorizer,
    expression: Option<Regex>,
    kept: Mutex<HashMap<String, Arc<OnceCell<Outcome>>>>,
}

/// What the function answered for a token: good for every route, as the policy says.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) principal_id: String,
    pub(super) policy: Policy,
    /// As strings, which is how the functions get them.
    pub(super) context: BTreeMap<String, String>,
    pub(super) usage_identifier_key: Option<String>,
}

type Outcome = Result<Kept, Refusal>;

#[derive(Debug)]
struct Kept {
    grant: Arc<Grant>,
    until: Instant,
}

impl Authorizer {
    pub(super) fn new(settings: template::Authorizer) -> Result<Self, regex::Error> {
        let whole = |expression: &String| Regex::new(&format!("^(?:{expression})$"));
        let expression = settings.validation_expression.as_ref().map(whole).transpose()?;
        Ok(Self { settings, expression, kept: Mutex::default() })
    }

    /// What the function says of the token in `headers`, now or within the time to live before `now`.
    pub(super) async fn grant<F: Invoke>(
        &self,
        functions: &F,
        headers: &HeaderMap,
        method_arn: &str,
        now: Instant,
    ) -> Result<Arc<Grant>, Refusal> {
        let token = headers.get(&self.settings.header).and_then(|value| value.to_str().ok());
        let token = token.filter(|token| !token.is_empty()).ok_or(Refusal::UNAUTHORIZED)?;
        if self.expression.as_ref().is_some_and(|expression| !expression.is_match(token)) {
            return Err(Refusal::UNAUTHORIZED);
        }
        if self.settings.ttl.is_zero() {
            return self.ask(functions, token, method_arn).await;
        }
        let ask = async || {
            let grant = self.ask(functions, token, method_arn).await?;
            Ok(Kept { grant, until: now + self.settings.ttl })
        };
        match self.cell(token, now).get_or_init(ask).await {
            Ok(kept) => Ok(Arc::clone(&kept.grant)),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    /// The place of the answer for `token`. Answers that are too old go, and so do errors, which only those get who
    /// waited for them.
    fn cell(&self, token: &str, now: Instant) -> Arc<OnceCell<Outcome>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, cell| match cell.get() {
            None => true,
            Some(Ok(kept)) => kept.until > now,
            Some(Err(_)) => false,
        });
        Arc::clone(kept.entry(token.to_owned()).or_default())
    }

    async fn ask<F: Invoke>(&self, functions: &F, token: &str, method_arn: &str) -> Result<Arc<Grant>, Refusal> {
        let event = json!({ "type": "TOKEN", "authorizationToken": token, "methodArn": method_arn });
        match functions.invoke(&self.settings.function, event.to_string().into_bytes()).await {
            Ok(bytes) => Grant::parse(&bytes).map(Arc::new).map_err(|error| {
                tracing::warn!(function = self.settings.function, %error, "the authorizer's response is not valid");
                Refusal::AUTHORIZER_CONFIGURATION
            }),
            Err(InvokeError::Function { message, .. }) if message == "Unauthorized" => Err(Refusal::UNAUTHORIZED),
            Err(error @ InvokeError::Unknown(_)) => {
                tracing::warn!(%error, "the authorizer cannot be reached");
                Err(Refusal::AUTHORIZER_CONFIGURATION)
            }
            Err(
                error @ (InvokeError::Timeout
                | InvokeError::Crashed(_)
                | InvokeError::Throttled
                | InvokeError::EventTooLarge
                | InvokeError::Function { .. }),
            ) => {
                tracing::warn!(function = self.settings.function, %error, "the authorizer failed");
                Err(Refusal::AUTHORIZER_FAILURE)
            }
        }
    }
}

/// Why an answer is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrantError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Policy(#[from] PolicyError),
    #[error("the context's `{0}` is not a string, number or boolean")]
    Context(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    principal_id: String,
    policy_document: Value,
    #[serde(default)]
    context: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    usage_identifier_key: Option<String>,
}

impl Grant {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, GrantError> {
        let Output { principal_id, policy_document, context, usage_identifier_key } = serde_json::from_slice(bytes)?;
        let text = |(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            Value::Number(number) => Ok((key, number.to_string())),
            Value::Bool(truth) => Ok((key, truth.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(GrantError::Context(key)),
        };
        Ok(Self {
            principal_id,
            policy: Policy::parse(&policy_document)?,
            context: context.unwrap_or_default().into_iter().map(text).collect::<Result<_, _>>()?,
            usage_identifier_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use tokio::sync::Notify;

    use super::super::tests::{Answers, function_error};
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
    async fn a_token_against_the_expression_is_refused_without_an_invocation() {
        let functions = Answers::new(|_, _| panic!("invoked"));
        let authorizer = authorizer(TTL);
        let now = Instant::now();
        let refused = [HeaderMap::new(), bearer(""), bearer("Bearer a1"), bearer("xBearer a"), bearer("Token ab ")];
        for headers in refused {
            let refusal = authorizer.grant(&functions, &headers, "arn", now).await.unwrap_err();
            assert_eq!(refusal, Refusal::UNAUTHORIZED, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn the_event_is_that_of_a_token_authorizer() {
        let functions = Answers::new(|function, event| {
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
    async fn an_answer_is_kept_by_token_for_its_time() {
        let functions = Answers::new(|_, _| Ok(output(("usageIdentifierKey", json!("k")))));
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
    async fn without_a_time_to_live_nothing_is_kept() {
        let functions = Answers::new(|_, _| Ok(output(("context", Value::Null))));
        let authorizer = authorizer(Duration::ZERO);
        for _ in 0..2 {
            authorizer.grant(&functions, &bearer("Bearer a"), "arn", Instant::now()).await.unwrap();
        }
        assert_eq!(functions.invocations(), 2);
    }

    #[tokio::test]
    async fn concurrent_requests_share_an_invocation_and_its_error_but_later_ones_do_not() {
        #[derive(Clone)]
        struct Slow(Arc<Notify>, Answers);
        impl Invoke for Slow {
            async fn invoke(&self, function: &str, event: Vec<u8>) -> Result<Vec<u8>, InvokeError> {
                self.0.notified().await;
                self.1.invoke(function, event).await
            }
        }
        let slow = Slow(Arc::default(), Answers::new(|_, _| Err(InvokeError::Timeout)));
        let authorizer = authorizer(TTL);
        let (headers, now) = (bearer("Bearer a"), Instant::now());
        let ask = || authorizer.grant(&slow, &headers, "arn", now);
        let release = async { slow.0.notify_one() };
        let (first, second, ()) = tokio::join!(ask(), ask(), release);
        assert_eq!(first.unwrap_err(), Refusal::AUTHORIZER_FAILURE);
        assert_eq!(second.unwrap_err(), Refusal::AUTHORIZER_FAILURE);
        assert_eq!(slow.1.invocations(), 1);
        slow.0.notify_one();
        ask().await.unwrap_err();
        assert_eq!(slow.1.invocations(), 2);
    }

    #[tokio::test]
    async fn errors_are_told_apart() {
        let refusal = async |answer: fn() -> Result<Value, InvokeError>| {
            let functions = Answers::new(move |_, _| answer());
            let authorizer = authorizer(TTL);
            authorizer.grant(&functions, &bearer("Bearer a"), "arn", Instant::now()).await.unwrap_err()
        };
        assert_eq!(refusal(|| Err(function_error("Unauthorized"))).await, Refusal::UNAUTHORIZED);
        assert_eq!(refusal(|| Err(function_error("unauthorized"))).await, Refusal::AUTHORIZER_FAILURE);
        assert_eq!(refusal(|| Err(InvokeError::Crashed(String::new()))).await, Refusal::AUTHORIZER_FAILURE);
        let unknown = || Err(InvokeError::Unknown(String::new()));
        assert_eq!(refusal(unknown).await, Refusal::AUTHORIZER_CONFIGURATION);
        for bad in [
            || Ok(json!({})),
            || Ok(json!("allow")),
            || Ok(output(("principalId", json!(null)))),
            || Ok(output(("policyDocument", json!({ "Statement": [{ "Effect": "Allow" }] })))),
            || Ok(output(("context", json!({ "nested": { "a": 1 } })))),
            || Ok(output(("usageIdentifierKey", json!(1)))),
        ] as [fn() -> Result<Value, InvokeError>; 6]
        {
            assert_eq!(refusal(bad).await, Refusal::AUTHORIZER_CONFIGURATION);
        }
    }
}
