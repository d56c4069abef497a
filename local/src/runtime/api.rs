//! The [Lambda Runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), under a path for each process,
//! and the part of the [Extensions API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html) that an
//! extension without events needs.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use ulid::Ulid;

use super::pool::{Event, Pool, ProcessId};
use super::{ATTACHED, FunctionStats, Functions, InvokeError};
use crate::template::{ACCOUNT, REGION};

/// The largest response of a synchronous invocation, in bytes. AWS's page on quotas has 6 MB for requests and responses
/// alike; according to the runtime's own error message, a response may have 100 bytes more.
const RESPONSE_LIMIT: usize = super::REQUEST_LIMIT + 100;

/// The header with the id that an extension gets when it registers.
const EXTENSION: &str = "lambda-extension-identifier";

/// An error as a runtime reports it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error_message: String,
}

pub(super) fn router(functions: Functions) -> Router {
    let runtime = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{request}/response", post(response))
        .route("/invocation/{request}/error", post(error))
        .route("/init/error", post(init_error));
    let extension = Router::new().route("/register", post(register)).route("/event/next", get(next_of_extension));
    Router::new()
        .route("/_local/functions", get(stats))
        .nest("/_local/runtime/{function}/{process}/2020-01-01/extension", extension)
        .nest("/_local/runtime/{function}/{process}/2018-06-01/runtime", runtime)
        .with_state(functions)
}

async fn stats(State(functions): State<Functions>) -> Json<Vec<FunctionStats>> {
    Json(functions.stats())
}

async fn next(State(functions): State<Functions>, Path((function, process)): Path<(String, String)>) -> Response {
    let Some((pool, id)) = find(&functions, &function, &process) else { return unknown_process() };
    let Some(event) = pool.next(id) else { return unknown_process() };
    // The wait ends without an event if the process has to end, or has sent another request.
    let Ok(Event { request_id, body, deadline }) = event.await else { return unknown_process() };
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", request_id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", pool.function.logical_id),
        ),
        ("lambda-runtime-trace-id", trace_id()),
    ];
    (headers, body).into_response()
}

async fn response(
    State(functions): State<Functions>,
    Path((function, process, request)): Path<(String, String, String)>,
    body: Body,
) -> Response {
    if let Ok(body) = to_bytes(body, RESPONSE_LIMIT).await {
        return complete(&functions, &function, &process, &request, Ok(body.into()));
    }
    let error = InvokeError::Function {
        error_type: "Function.ResponseSizeTooLarge".to_owned(),
        message: format!("the response is larger than {RESPONSE_LIMIT} bytes, or was cut off"),
    };
    complete(&functions, &function, &process, &request, Err(error));
    rejection(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "the response is too large")
}

async fn error(
    State(functions): State<Functions>,
    Path((function, process, request)): Path<(String, String, String)>,
    body: Body,
) -> Response {
    let Report { error_type, error_message } = report(body).await;
    let error = InvokeError::Function { error_type, message: error_message };
    complete(&functions, &function, &process, &request, Err(error))
}

async fn init_error(
    State(functions): State<Functions>,
    Path((function, process)): Path<(String, String)>,
    body: Body,
) -> Response {
    let Report { error_type, error_message } = report(body).await;
    let Some((pool, id)) = find(&functions, &function, &process) else { return unknown_process() };
    pool.end(id, InvokeError::Crashed(format!("it could not start: {error_type}: {error_message}")));
    accepted()
}

async fn register(
    State(functions): State<Functions>,
    Path((function, process)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !headers.contains_key("lambda-extension-name") {
        return rejection(StatusCode::BAD_REQUEST, "Extension.MissingHeader", "the extension has no name");
    }
    match find(&functions, &function, &process) {
        Some((pool, id)) if pool.register(id) => {
            let body = json!({ "functionName": function, "functionVersion": "$LATEST", "handler": "bootstrap" });
            ([(EXTENSION, Ulid::generate().to_string())], Json(body)).into_response()
        }
        _ => unknown_process(),
    }
}

async fn next_of_extension(
    State(functions): State<Functions>,
    Path((function, process)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let waiting = headers
        .contains_key(EXTENSION)
        .then(|| find(&functions, &function, &process).and_then(|(pool, id)| pool.next_of_extension(id)))
        .flatten();
    if let Some(waiting) = waiting {
        // No event ever comes. The wait ends with the process.
        let _ended = waiting.await;
    }
    unknown_process()
}

/// Reads an error. One that is not valid JSON is an error all the same.
async fn report(body: Body) -> Report {
    let body = to_bytes(body, RESPONSE_LIMIT).await.unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_else(|_| Report {
        error_type: "Unknown".to_owned(),
        error_message: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn complete(
    functions: &Functions,
    function: &str,
    process: &str,
    request: &str,
    result: Result<Vec<u8>, InvokeError>,
) -> Response {
    let Some((pool, id)) = find(functions, function, process) else { return unknown_process() };
    if pool.complete(id, request, result) {
        accepted()
    } else {
        rejection(StatusCode::BAD_REQUEST, "InvalidRequestID", "the request is not, or no longer, this process's")
    }
}

fn find<'a>(functions: &'a Functions, function: &str, process: &str) -> Option<(&'a Arc<Pool>, ProcessId)> {
    let id = match process {
        ATTACHED => ProcessId::Attached,
        number => ProcessId::Started(number.parse().ok()?),
    };
    Some((functions.pools.get(function)?, id))
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}

fn unknown_process() -> Response {
    rejection(StatusCode::FORBIDDEN, "UnknownProcess", "this process gets no events (any more)")
}

fn rejection(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({ "errorType": kind, "errorMessage": message }))).into_response()
}

/// Returns the id of a new X-Ray trace. It is not sampled, because there is no X-Ray here.
fn trace_id() -> String {
    let digits = format!("{:032x}", u128::from(Ulid::generate()));
    let (time, unique) = digits.split_at(8);
    format!("Root=1-{time}-{unique};Parent={};Sampled=0", &digits[16..])
}
