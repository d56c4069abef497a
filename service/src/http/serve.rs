//! The loop of a function behind API Gateway: it turns every event into an explicit response.

use std::sync::Arc;

use http::header::HeaderValue;
use lambda_http::lambda_runtime::run;
use lambda_http::request::LambdaRequest;
use lambda_http::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::handler::{Handler, Scheduled};
use super::outgoing::Outgoing;
use super::respond::respond;
use crate::ledger::Ledger;
use crate::runtime::capacity::measured;
use crate::runtime::config::MeterConfig;
use crate::runtime::log::{self, Entry, Measured};
use crate::runtime::{self, Exit, Started, lifecycle};
use crate::store::Store;

/// Serves requests until Lambda ends the execution environment.
pub async fn serve(handler: impl Handler, cors_allowed_origin: Option<&str>) -> Exit {
    serve_with(handler, None, cors_allowed_origin).await
}

/// Runs a function whose requests each cost a unit of the tenant's quota, as its whole `main`. `name` stands in every log
/// line.
pub fn run_metered<H: Handler>(name: &'static str, new: impl FnOnce(Store) -> H) -> Exit {
    runtime::run(serve_metered(name, new))
}

async fn serve_metered<H: Handler>(name: &'static str, new: impl FnOnce(Store) -> H) -> Exit {
    let Started { config, dynamodb, .. } = runtime::start(name)?;
    let store = Store::new(dynamodb, config.table);
    let ledger = Arc::new(Ledger::new(store.clone(), MeterConfig::from_env()?));
    let closing = Arc::clone(&ledger);
    lifecycle::on_shutdown(move || closing.close()).await;
    serve_with(new(store), Some(&ledger), config.cors_allowed_origin.as_deref()).await
}

async fn serve_with(handler: impl Handler, ledger: Option<&Ledger>, cors_allowed_origin: Option<&str>) -> Exit {
    let cors = cors_allowed_origin.and_then(|origin| HeaderValue::from_str(origin).ok());
    let (handler, cors) = (&handler, cors.as_ref());
    run(service_fn(move |event: LambdaEvent<LambdaRequest>| async move {
        Ok::<_, Error>(respond_to(handler, ledger, cors, event.payload).await)
    }))
    .await
}

/// Serves requests and scheduled events until Lambda ends the execution environment.
pub async fn serve_scheduled(handler: impl Scheduled, cors_allowed_origin: Option<&str>) -> Exit {
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
    // On the heap: a scheduled run nests many futures.
    let ((), units) = measured(Box::pin(handler.run())).await;
    let measured = Measured { status: 200, units, elapsed: started.elapsed(), bytes_in: 0, bytes_out: 0 };
    log::write(&Entry { route: "schedule", ..Entry::default() }, &measured);
}

/// Whether an event comes from a schedule of `EventBridge`.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html>
fn is_scheduled(event: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "detail-type")]
        detail_type: String,
    }
    serde_json::from_str(event.get()).is_ok_and(|event: Event| event.detail_type == "Scheduled Event")
}

/// Preserves every line of a header that was sent in several lines, as `If-None-Match` may be.
///
/// API Gateway sends all lines of a header, and the last line once more in another member. By default `lambda_http` lets the
/// last line replace the others.
fn keep_header_lines(mut request: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV1(request) = &mut request
        && !request.multi_value_headers.is_empty()
    {
        request.headers.clear();
    }
    request
}
