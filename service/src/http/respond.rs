//! One request: admission, handler, response, and its log line.

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY,
};
use http::{HeaderMap, Response};
use lambda_http::{Body, Request};
use tokio::time::{Instant, timeout_at};

use super::handler::Handler;
use super::{Code, Inbound, Problem, Reply, outgoing, quota};
use crate::domain::caller::Caller;
use crate::domain::time::Timestamp;
use crate::domain::units::Units;
use crate::ledger::{Admission, Ledger, SpendError, Window};
use crate::runtime::capacity::measured;
use crate::runtime::log::{self, Entry, Measured};

/// The headers that a page in a browser may read, beside those that it always may. `template.yaml` has the same list for the
/// gateway responses.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Patch,ETag,Idempotent-Replayed,Link,Location,RateLimit,RateLimit-Policy,Retry-After,WWW-Authenticate,\
         x-amzn-RequestId",
);

/// Handles one request. With a ledger, what the request used is recorded.
pub(super) async fn respond<H: Handler>(
    handler: &H,
    ledger: Option<&Ledger>,
    cors: Option<&HeaderValue>,
    request: &Request,
) -> Response<Body> {
    let arrived = Instant::now();
    let inbound = Inbound::of(request);
    let Handled { result, units, window, admission } = match &inbound {
        Some(inbound) => handle(handler, ledger, inbound, arrived + H::DEADLINE).await,
        None => Handled::without_handler(Problem::internal("the event is not a proxy event of a REST API")),
    };
    let problem = result.as_ref().err().map(|problem| (problem.code(), problem.cause().map(ToOwned::to_owned)));
    let mut response = finish(result, inbound.as_ref(), cors);
    if let Some(window) = window {
        quota::insert_headers(&window, response.headers_mut());
    }
    let measured = Measured {
        status: response.status().as_u16(),
        units,
        elapsed: arrived.elapsed(),
        bytes_in: request.body().len(),
        bytes_out: response.body().len(),
    };
    if let (Some(ledger), Some(admission)) = (ledger, admission) {
        ledger.record(admission, measured.usage(ledger.memory_mb())).await;
    }
    write(inbound.as_ref(), problem, &measured);
    response
}

/// The result of a handler, or of what prevented the request from reaching it.
struct Handled {
    result: Result<Reply, Problem>,
    units: Units,
    /// The state of the quota, if it is known.
    window: Option<Window>,
    /// The admission of a request that reached the handler.
    admission: Option<Admission>,
}

impl Handled {
    fn without_handler(problem: Problem) -> Self {
        Self { result: Err(problem), units: Units::default(), window: None, admission: None }
    }
}

/// Admits a request and calls its handler, both before the deadline.
async fn handle(handler: &impl Handler, ledger: Option<&Ledger>, request: &Inbound<'_>, deadline: Instant) -> Handled {
    if let Err(problem) = request.check_certificate() {
        return Handled::without_handler(problem);
    }
    let admission = match ledger {
        None => None,
        Some(ledger) => match admit(ledger, request, deadline).await {
            Ok(admission) => Some(admission),
            Err((problem, window)) => return Handled { window, ..Handled::without_handler(problem) },
        },
    };
    let (result, units) = measured(timeout_at(deadline, handler.handle(request))).await;
    let result = result.unwrap_or_else(|_| Err(Problem::unavailable("the request's deadline passed")));
    Handled { result, units, window: admission.as_ref().map(|admission| admission.window), admission }
}

async fn admit(
    ledger: &Ledger,
    request: &Inbound<'_>,
    deadline: Instant,
) -> Result<Admission, (Problem, Option<Window>)> {
    let caller = request.caller().map_err(|problem| (problem, None))?;
    ledger.spend(&caller, Timestamp::now(), deadline).await.map_err(|error| {
        let window = if let SpendError::UsedUp(window) = &error { Some(*window) } else { None };
        (quota::problem(error), window)
    })
}

fn write(request: Option<&Inbound<'_>>, problem: Option<(Code, Option<String>)>, measured: &Measured) {
    let caller = request.and_then(|request| request.caller().ok());
    let route = request.map(|request| format!("{} {}", request.method(), request.route().1));
    let (code, cause) = problem.unzip();
    log::write(
        &Entry {
            route: route.as_deref().unwrap_or("unknown"),
            request_id: request.map(Inbound::id),
            tenant: caller.as_ref().map(|caller| caller.tenant().as_str()),
            plan: caller.as_ref().map(Caller::plan),
            code: code.map(Code::name),
            cause: cause.flatten().as_deref(),
            ..Entry::default()
        },
        measured,
    );
}

fn finish(result: Result<Reply, Problem>, request: Option<&Inbound<'_>>, cors: Option<&HeaderValue>) -> Response<Body> {
    let (status, mut headers, body) = match result {
        Ok(Reply { status, mut headers, body }) => {
            // The response belongs to the tenant, and the next write outdates it: a cache must revalidate it by its ETag.
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
            (status, headers, body)
        }
        Err(problem) => {
            let mut headers: HeaderMap = problem.headers().iter().cloned().collect();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            (problem.code().status(), headers, problem.document(request.map(Inbound::id).unwrap_or_default()))
        }
    };
    if let Some(origin) = cors {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if origin != "*" {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }
    let has_body = !outgoing::is_bare(status) && !request.is_some_and(Inbound::is_head);
    let body = if has_body { body.into() } else { Body::Empty };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use http::StatusCode;
    use http::header::WWW_AUTHENTICATE;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::certificate::Thumbprint;
    use crate::domain::quota::WhenUnavailable;
    use crate::http::handler::DEADLINE;
    use crate::runtime::aws;
    use crate::runtime::config::{AwsConfig, MeterConfig};
    use crate::store::Store;

    struct Slow;

    impl Handler for Slow {
        async fn handle(&self, _: &Inbound<'_>) -> Result<Reply, Problem> {
            std::future::pending().await
        }
    }

    /// The same, with a shorter deadline than the wait for a unit may take.
    struct SlowAndBrief;

    impl Handler for SlowAndBrief {
        const DEADLINE: Duration = Duration::from_secs(1);

        async fn handle(&self, _: &Inbound<'_>) -> Result<Reply, Problem> {
            std::future::pending().await
        }
    }

    struct Fine;

    impl Handler for Fine {
        async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
            assert_eq!(request.route(), ("GET", "/collections/{collection}/records/{id}"));
            Reply::json(StatusCode::OK, &1)
        }
    }

    fn event() -> Request {
        lambda_http::request::from_str(include_str!("../../../events/records-get.json")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_ends_in_a_503() {
        let response = respond(&Slow, None, None, &event()).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(String::from_utf8_lossy(response.body()).contains(r#""code":"unavailable""#));
    }

    /// A connection to a table that never responds.
    #[derive(Debug)]
    struct Silent;

    impl HttpConnector for Silent {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(std::future::pending())
        }
    }

    /// A ledger that waits for its table in vain.
    fn waiting_ledger(when_unavailable: WhenUnavailable) -> Ledger {
        let config = AwsConfig::local("http://127.0.0.1");
        let store = Store::new(aws::dynamodb(&config, SharedHttpConnector::new(Silent)), "Table");
        let quotas = serde_json::from_value(json!({"free": 100})).unwrap();
        Ledger::new(store, MeterConfig { quotas, when_unavailable, memory_mb: 256 })
    }

    /// The duration of a request in tenths of a second: a timer may be late by a millisecond.
    async fn tenths(handler: &impl Handler, when_unavailable: WhenUnavailable) -> u128 {
        let started = Instant::now();
        let response = respond(handler, Some(&waiting_ledger(when_unavailable)), None, &event()).await;
        assert_eq!(response.status(), 503);
        started.elapsed().as_millis() / 100
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_unit_and_the_handler_share_one_deadline() {
        assert_eq!(tenths(&Slow, WhenUnavailable::Refuse).await, 30, "no unit, so no handler");
        assert_eq!(tenths(&Slow, WhenUnavailable::Allow).await, DEADLINE.as_millis() / 100);
        for when_unavailable in [WhenUnavailable::Refuse, WhenUnavailable::Allow] {
            assert_eq!(tenths(&SlowAndBrief, when_unavailable).await, SlowAndBrief::DEADLINE.as_millis() / 100);
        }
    }

    #[tokio::test]
    async fn a_bound_token_needs_its_certificate() {
        const CLIENT: &str = include_str!("../../testdata/client.pem");
        const OTHER: &str = include_str!("../../testdata/other.pem");
        let event: Value = serde_json::from_str(include_str!("../../../events/records-get.json")).unwrap();
        let status = async |bound: Option<Value>, pem: Option<&str>| {
            let mut event = event.clone();
            if let Some(bound) = bound {
                event["requestContext"]["authorizer"]["certificate"] = bound;
            }
            if let Some(pem) = pem {
                // As in the AWS documentation of a proxy integration's event.
                event["requestContext"]["identity"]["clientCert"] = json!({
                    "clientCertPem": pem, "subjectDN": "CN=client", "issuerDN": "CN=client", "serialNumber": "a1:a1",
                    "validity": {"notBefore": "May 28 12:30:02 2019 GMT", "notAfter": "Aug  5 09:36:04 2021 GMT"},
                });
            }
            let request = lambda_http::request::from_str(&event.to_string()).unwrap();
            let response = respond(&Fine, None, None, &request).await;
            let mismatch = String::from_utf8_lossy(response.body()).contains("certificate_mismatch");
            assert_eq!(mismatch, response.status() == 401);
            let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(challenge.as_deref(), mismatch.then_some(r#"Bearer error="invalid_token""#));
            response.status().as_u16()
        };
        let bound = || Some(json!(Thumbprint::of_pem(CLIENT).unwrap().to_string()));
        assert_eq!(status(bound(), Some(CLIENT)).await, 200);
        assert_eq!(status(None, Some(CLIENT)).await, 200);
        for pem in [None, Some(OTHER), Some(""), Some("junk")] {
            assert_eq!(status(bound(), pem).await, 401, "{pem:?}");
        }
        // No value means "not bound", and none equals a certificate that cannot be read.
        for bound in [json!(""), json!(null), json!(7), json!("junk")] {
            for pem in [None, Some(CLIENT), Some("junk")] {
                assert_eq!(status(Some(bound.clone()), pem).await, 401, "{bound} {pem:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_head_is_a_get_without_the_body() {
        let mut event: Value = serde_json::from_str(include_str!("../../../events/records-get.json")).unwrap();
        event["httpMethod"] = "HEAD".into();
        let head: Request = lambda_http::request::from_str(&event.to_string()).unwrap();
        let (get, head) = (respond(&Fine, None, None, &self::event()).await, respond(&Fine, None, None, &head).await);
        assert_eq!((head.status(), head.headers()), (get.status(), get.headers()));
        assert!(get.body().len() == 1 && head.body().is_empty());
    }

    #[tokio::test]
    async fn cors_headers_are_sent_only_for_an_allowed_origin() {
        let response = respond(&Fine, None, None, &event()).await;
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));

        let origin = HeaderValue::from_static("https://app.example");
        let response = respond(&Fine, None, Some(&origin), &event()).await;
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(response.headers()[VARY], "Origin");
        let response = respond(&Slow, None, Some(&HeaderValue::from_static("*")), &Request::default()).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!response.headers().contains_key(VARY));
    }

    #[test]
    fn the_gateway_exposes_the_same_headers() {
        let template = include_str!("../../../template.yaml");
        assert!(template.contains(EXPOSED.to_str().unwrap()));
    }
}
