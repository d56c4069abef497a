//! The way of functions to DynamoDB: an endpoint on local's port, which forwards what their roles allow.
//!
//! People and tools use DynamoDB's own endpoint. Requests are forwarded with the access key id of the administrator, because
//! Amazon's DynamoDB Local accepts only letters and digits there, and keeps the data of each access key id apart.

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::dynamodb::{self, Unclear};
use super::keys::Tables;
use super::{ADMINISTRATOR, Guard, signer};
use crate::template::{Role, Table};

/// The path of the endpoint on local's port.
const PATH: &str = "/_local/dynamodb";

/// The largest request of DynamoDB, in bytes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const REQUEST_LIMIT: usize = 16 * 1024 * 1024;

/// Returns the URL of the endpoint of a local at `base_url`.
#[must_use]
pub fn endpoint(base_url: &str) -> String {
    format!("{base_url}{PATH}")
}

#[derive(Debug, Clone)]
struct Proxy {
    guard: Guard,
    tables: Tables,
    upstream: String,
    client: reqwest::Client,
}

/// Returns the route of the endpoint, before the DynamoDB at `upstream` with these tables.
pub(crate) fn router(guard: Guard, tables: &[Table], upstream: &str) -> Router {
    let proxy =
        Proxy { guard, tables: Tables::new(tables), upstream: upstream.to_owned(), client: reqwest::Client::new() };
    // The SDK adds a slash to the path of an endpoint.
    Router::new()
        .route(PATH, post(handle))
        .route(&format!("{PATH}/"), post(handle))
        .layer(DefaultBodyLimit::max(REQUEST_LIMIT))
        .with_state(proxy)
}

async fn handle(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let rejection = proxy.guard.role(&headers).and_then(|role| rejection(&proxy, role, &headers, &body));
    match rejection {
        Some(rejection) => rejection,
        None => forward(&proxy, headers, body).await,
    }
}

/// Returns the response to a call that the role of a function does not allow.
fn rejection(proxy: &Proxy, role: &Role, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Some(error("com.amazon.coral.service#SerializationException", "the body is not JSON"));
    };
    match dynamodb::operations(operation, &body, &proxy.tables) {
        Ok(operations) => {
            let denial = proxy.guard.check(role, operations).err()?;
            Some(error("com.amazon.coral.service#AccessDeniedException", &denial.message()))
        }
        Err(Unclear { kind, message }) => Some(error(&format!("com.amazonaws.dynamodb.v20120810#{kind}"), &message)),
    }
}

/// Returns an error of DynamoDB.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
fn error(kind: &str, message: &str) -> Response {
    let body = Json(json!({ "__type": kind, "message": message }));
    (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response()
}

/// Sends the request on, and the response back as it arrives: if it breaks off, it does so for the function as well.
async fn forward(proxy: &Proxy, mut headers: HeaderMap, body: Bytes) -> Response {
    as_administrator(&mut headers);
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    match proxy.client.post(&proxy.upstream).headers(headers).body(body).send().await {
        Ok(response) => {
            let mut response = http::Response::<reqwest::Body>::from(response).map(Body::new);
            response.headers_mut().remove(CONNECTION);
            response.headers_mut().remove(TRANSFER_ENCODING);
            response
        }
        Err(source) => {
            let message = format!("DynamoDB cannot be reached: {source}");
            let kind = "com.amazonaws.dynamodb.v20120810#InternalServerError";
            (StatusCode::BAD_GATEWAY, Json(json!({ "__type": kind, "message": message }))).into_response()
        }
    }
}

/// Replaces a function's access key id.
fn as_administrator(headers: &mut HeaderMap) {
    let Some(own) = signer(headers).map(|id| format!("Credential={id}/")) else { return };
    let replaced = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| HeaderValue::try_from(value.replacen(&own, &format!("Credential={ADMINISTRATOR}/"), 1)).ok());
    if let Some(replaced) = replaced {
        headers.insert(AUTHORIZATION, replaced);
    }
}
