//! The loop of a function behind API Gateway: every event ends in an explicit answer, and in one line (`log`).

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY,
};
use http::{HeaderMap, Response};
use lambda_http::lambda_runtime::run;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Error, LambdaEvent, Request, service_fn};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::outgoing::{self, Outgoing};
use super::{Code, Inbound, Problem, Reply, quota};
use crate::domain::caller::Caller;
use crate::domain::time::Timestamp;
use crate::domain::units::Units;
use crate::ledger::{Admission, Ledger, SpendError, Window};
use crate::runtime::capacity::measured;
use crate::runtime::lifecycle;
use crate::runtime::log::{self, Entry, Measured};

/// How long a request may take whose handler needs the table only: longer than a call of the table with its retries
/// (`aws`), and longer than a wait for a unit of the quota (`ledger`).
const DEADLINE: Duration = Duration::from_secs(5);

/// The headers that a page in a browser may read, beside the few that it always may. `template.yaml` has the same list
/// for the gateway's own answers.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Patch,ETag,Idempotent-Replayed,Link,Location,RateLimit,RateLimit-Policy,Retry-After,WWW-Authenticate,\
         x-amzn-RequestId",
);

/// What a function does with a request.
pub trait Handler: Sync {
    /// How long a request may take from its arrival, with the wait for a unit of the quota: shorter than the function's
    /// timeout (`template.yaml`), so that the answer is ours.
    const DEADLINE: Duration = DEADLINE;

    /// Answers one request.
    fn handle(&self, request: &Inbound<'_>) -> impl Future<Output = Result<Reply, Problem>> + Send;
}

/// Answers events until Lambda ends the environment.
pub async fn serve(handler: impl Handler, cors_allowed_origin: Option<&str>) -> Result<(), Error> {
    serve_with(handler, None, cors_allowed_origin).await
}

/// Answers events of tenants, each of which costs a unit of the tenant's quota, and tells the ledger what they took.
pub async fn serve_metered(
    handler: impl Handler,
    ledger: Ledger,
    cors_allowed_origin: Option<&str>,
) -> Result<(), Error> {
    let ledger = Arc::new(ledger);
    let closing = Arc::clone(&ledger);
    lifecycle::on_shutdown(move || closing.close()).await;
    serve_with(handler, Some(&ledger), cors_allowed_origin).await
}

async fn serve_with(
    handler: impl Handler,
    ledger: Option<&Ledger>,
    cors_allowed_origin: Option<&str>,
) -> Result<(), Error> {
    let cors = cors_allowed_origin.and_then(|origin| HeaderValue::from_str(origin).ok());
    let (handler, cors) = (&handler, cors.as_ref());
    run(service_fn(move |event: LambdaEvent<LambdaRequest>| async move {
        Ok::<_, Error>(respond_to(handler, ledger, cors, event.payload).await)
    }))
    .await
}

/// What a function does, beside requests, when a schedule says so.
pub trait Scheduled: Handler {
    /// Does it.
    fn run(&self) -> impl Future<Output = ()> + Send;
}

/// Answers requests, and events of a schedule, until Lambda ends the environment.
pub async fn serve_scheduled(handler: impl Scheduled, cors_allowed_origin: Option<&str>) -> Result<(), Error> {
    let cors = cors_allowed_origin.and_then(|origin| HeaderValue::from_str(origin).ok());
    let (handler, cors) = (&handler, cors.as_ref());
    run(service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        if is_scheduled(&event.payload) {
            run_scheduled(handler).await;
            return Ok::<_, Error>(None);
        }
        Ok(Some(respond_to(handler, None, cors, serde_json::from_str(event.payload.get())?).await))
    }))
    .await
}

async fn respond_to(
    handler: &impl Handler,
    ledger: Option<&Ledger>,
    cors: Option<&HeaderValue>,
    event: LambdaRequest,
) -> Outgoing {
    let request = keep_header_lines(event).into();
    // On the heap: the calls of the SDK make a future too large for what the runtime wraps around it.
    Outgoing(Box::pin(respond(handler, ledger, cors, &request)).await)
}

async fn run_scheduled(handler: &impl Scheduled) {
    let started = Instant::now();
    // On the heap: what a schedule does holds many futures, one in the other.
    let ((), units) = measured(Box::pin(handler.run())).await;
    let taken = Measured { status: 200, units, elapsed: started.elapsed(), bytes_in: 0, bytes_out: 0 };
    log::write(&Entry { route: "schedule", ..Entry::default() }, &taken);
}

/// Whether an event is one of `EventBridge`'s schedules.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html>
fn is_scheduled(event: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "detail-type")]
        detail_type: String,
    }
    serde_json::from_str(event.get()).is_ok_and(|event: Event| event.detail_type == "Scheduled Event")
}

/// Keeps every line of a header that was sent in several, as `If-None-Match` may be.
///
/// API Gateway gives all lines, and once more the last of each. `lambda_http`, left alone, puts the last over the others.
fn keep_header_lines(mut request: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV1(request) = &mut request
        && !request.multi_value_headers.is_empty()
    {
        request.headers.clear();
    }
    request
}

/// One answer. With a ledger, what it took is recorded.
pub async fn respond<H: Handler>(
    handler: &H,
    ledger: Option<&Ledger>,
    cors: Option<&HeaderValue>,
    request: &Request,
) -> Response<Body> {
    let arrived = Instant::now();
    let inbound = Inbound::of(request);
    let Answer { result, units, window, admission } = match &inbound {
        Some(inbound) => answer(handler, ledger, inbound, arrived + H::DEADLINE).await,
        None => Answer::refusal(Problem::internal("the event is not a proxy event of a REST API")),
    };
    let problem = result.as_ref().err().map(|problem| (problem.code(), problem.cause().map(ToOwned::to_owned)));
    let mut response = finish(result, inbound.as_ref(), cors);
    if let Some(window) = window {
        quota::tell(&window, response.headers_mut());
    }
    let taken = Measured {
        status: response.status().as_u16(),
        units,
        elapsed: arrived.elapsed(),
        bytes_in: request.body().len(),
        bytes_out: response.body().len(),
    };
    if let (Some(ledger), Some(admission)) = (ledger, admission) {
        ledger.record(admission, taken.usage(ledger.memory_mb())).await;
    }
    write(inbound.as_ref(), problem, &taken);
    response
}

/// What a handler answered, or what is answered in its place.
struct Answer {
    result: Result<Reply, Problem>,
    units: Units,
    /// The quota, where it is known.
    window: Option<Window>,
    /// Of a request that the handler has seen.
    admission: Option<Admission>,
}

impl Answer {
    fn refusal(problem: Problem) -> Self {
        Self { result: Err(problem), units: Units::default(), window: None, admission: None }
    }
}

/// Admits a request and has it handled, both before the deadline.
async fn answer(handler: &impl Handler, ledger: Option<&Ledger>, request: &Inbound<'_>, deadline: Instant) -> Answer {
    if let Err(problem) = request.check_certificate() {
        return Answer::refusal(problem);
    }
    let admission = match ledger {
        None => None,
        Some(ledger) => match admit(ledger, request, deadline).await {
            Ok(admission) => Some(admission),
            Err((problem, window)) => return Answer { window, ..Answer::refusal(problem) },
        },
    };
    let (result, units) = measured(timeout_at(deadline, handler.handle(request))).await;
    let result = result.unwrap_or_else(|_| Err(Problem::unavailable("the request's deadline passed")));
    Answer { result, units, window: admission.as_ref().map(|admission| admission.window), admission }
}

async fn admit(
    ledger: &Ledger,
    request: &Inbound<'_>,
    deadline: Instant,
) -> Result<Admission, (Problem, Option<Window>)> {
    let caller = request.caller().map_err(|problem| (problem, None))?;
    ledger.spend(&caller, Timestamp::now(), deadline).await.map_err(|refusal| {
        let window = if let SpendError::UsedUp(window) = &refusal { Some(*window) } else { None };
        (quota::problem(refusal), window)
    })
}

fn write(request: Option<&Inbound<'_>>, problem: Option<(Code, Option<String>)>, taken: &Measured) {
    let caller = request.and_then(|request| request.caller().ok());
    let route = request.map(|request| format!("{} {}", request.method(), request.route().1));
    let (code, cause) = problem.unzip();
    log::write(
        &Entry {
            route: route.as_deref().unwrap_or("unknown"),
            request_id: request.map(Inbound::id),
            tenant: caller.as_ref().map(|caller| caller.tenant().as_str()),
            plan: caller.as_ref().map(Caller::plan),
            code: code.map(Code::as_str),
            cause: cause.flatten().as_deref(),
            ..Entry::default()
        },
        taken,
    );
}

fn finish(result: Result<Reply, Problem>, request: Option<&Inbound<'_>>, cors: Option<&HeaderValue>) -> Response<Body> {
    let (status, mut headers, body) = match result {
        Ok(Reply { status, mut headers, body }) => {
            // The tenant's own, and outdated by the next write: a cache has to ask again, with the ETag.
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
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use http::StatusCode;
    use http::header::WWW_AUTHENTICATE;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::certificate::Thumbprint;
    use crate::domain::quota::WhenUnavailable;
    use crate::runtime::aws;
    use crate::runtime::config::{AwsConfig, MeterConfig};
    use crate::store::Store;

    struct Slow;

    impl Handler for Slow {
        async fn handle(&self, _: &Inbound<'_>) -> Result<Reply, Problem> {
            std::future::pending().await
        }
    }

    /// As above, with less time than a wait for a unit may take.
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
    async fn a_handler_that_hangs_is_answered_for() {
        let response = respond(&Slow, None, None, &event()).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(String::from_utf8_lossy(response.body()).contains(r#""code":"unavailable""#));
    }

    /// A connection to a table that never answers.
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

    /// How long a request takes, to the tenth of a second: a timer may be late by a millisecond.
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
                // As in AWS's documentation of a proxy integration's event.
                event["requestContext"]["identity"]["clientCert"] = json!({
                    "clientCertPem": pem, "subjectDN": "CN=client", "issuerDN": "CN=client", "serialNumber": "a1:a1",
                    "validity": {"notBefore": "May 28 12:30:02 2019 GMT", "notAfter": "Aug  5 09:36:04 2021 GMT"},
                });
            }
            let request = lambda_http::request::from_str(&event.to_string()).unwrap();
            let response = respond(&Fine, None, None, &request).await;
            let refused = String::from_utf8_lossy(response.body()).contains("certificate_mismatch");
            assert_eq!(refused, response.status() == 401);
            let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(challenge.as_deref(), refused.then_some(r#"Bearer error="invalid_token""#));
            response.status().as_u16()
        };
        let bound = || Some(json!(Thumbprint::of_pem(CLIENT).unwrap().to_string()));
        assert_eq!(status(bound(), Some(CLIENT)).await, 200);
        assert_eq!(status(None, Some(CLIENT)).await, 200);
        for pem in [None, Some(OTHER), Some(""), Some("junk")] {
            assert_eq!(status(bound(), pem).await, 401, "{pem:?}");
        }
        // No text that stands for "not bound", and none that a certificate which cannot be read would equal.
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
    async fn browsers_are_told_only_where_it_is_allowed() {
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
