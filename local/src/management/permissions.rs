//! The permissions that a management call needs: the method on the path, with the tags of the request and of the resource.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-create-and-manage-api.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-iam-policy.html>
//!
//! To create something with tags also needs `PUT` on `/tags/...`. According to reports of users, the ARN of the resource that does
//! not exist yet ends in `*` there.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::Management;
use super::error::ApiError;
use crate::guard::{Operation, SIGNED};
use crate::iam::Context;
use crate::template::REGION;

/// The maximum size of a request in bytes, which is that of API Gateway's payloads.
const REQUEST_LIMIT: usize = 10 * 1024 * 1024;

/// The tags in the body of a request.
#[derive(Debug, Default, Deserialize)]
struct Tagged {
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// Rejects a request that is not signed, or that the role of a function does not allow. A browser adds no signature unasked,
/// so no page can change API keys by a request to this machine.
pub(super) async fn require(
    State(management): State<Management>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let signed =
        request.headers().get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(SIGNED.as_bytes()));
    if !signed {
        return Err(ApiError::Unauthorized);
    }
    let Some(role) = management.guard.role(request.headers()) else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let too_large = |_| ApiError::BadRequest("The request cannot be read".to_owned());
    let body = axum::body::to_bytes(body, REQUEST_LIMIT).await.map_err(too_large)?;
    // A body that cannot be read has no effect, because the call rejects it.
    let Tagged { tags } = serde_json::from_slice(&body).unwrap_or_default();
    let operations = operations(&parts.method, parts.uri.path(), &tags, &management);
    management.guard.check(role, operations).map_err(|denial| ApiError::AccessDenied(denial.message()))?;
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

fn operations(method: &Method, path: &str, tags: &BTreeMap<String, String>, management: &Management) -> Vec<Operation> {
    let requested = || {
        let context = tags.iter().fold(Context::default(), |context, (name, value)| {
            context.with(&format!("aws:RequestTag/{name}"), [value])
        });
        if tags.is_empty() { context } else { context.with("aws:TagKeys", tags.keys()) }
    };
    let existing = resource_tags(path, management);
    let context = existing
        .iter()
        .fold(requested(), |context, (name, value)| context.with(&format!("aws:ResourceTag/{name}"), [value]));
    let resource = |path: &str| format!("arn:aws:apigateway:{REGION}::{path}");
    let own = Operation { action: format!("apigateway:{method}"), resource: resource(path), context };
    if tags.is_empty() {
        return vec![own];
    }
    let tagged = resource(&format!("{path}/*"));
    let encoded: String = form_urlencoded::byte_serialize(tagged.as_bytes()).collect();
    let tagging = Operation {
        action: "apigateway:PUT".to_owned(),
        resource: resource(&format!("/tags/{encoded}")),
        context: requested(),
    };
    vec![own, tagging]
}

/// Returns the tags of the API key or the usage plan at a path. What is below it has no tags.
fn resource_tags(path: &str, Management { keys, plans, .. }: &Management) -> BTreeMap<String, String> {
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["apikeys", id] => keys.get(id).map(|key| key.tags).unwrap_or_default(),
        ["usageplans", id] => {
            plans.iter().find(|plan| plan.id == *id).map(|plan| plan.tags.clone()).unwrap_or_default()
        }
        _ => BTreeMap::new(),
    }
}
