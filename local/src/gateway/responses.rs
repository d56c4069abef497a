//! Gateway responses: the errors that API Gateway returns itself, as the template customizes them.
//!
//! A response of the type `THROTTLED`, with the status 429, takes its status, headers and body from the template's
//! `THROTTLED`. Without one, it takes them from `DEFAULT_4XX`, and without that one, it is AWS's default:
//! `{"message":"Too Many Requests"}`.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html>

use std::collections::BTreeMap;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::context::Context;
use super::error_response::{ErrorResponse, ResponseType};
use crate::template::{GatewayResponse, HeaderSource};

/// The gateway responses of a template.
#[derive(Debug)]
pub(super) struct Responses {
    custom: BTreeMap<String, GatewayResponse>,
}

impl Responses {
    pub(super) fn new(custom: BTreeMap<String, GatewayResponse>) -> Self {
        Self { custom }
    }

    /// Returns the response to the client: the customization of its type, or else of its class, or else AWS's default.
    pub(super) fn render(&self, error: &ErrorResponse, context: &Context) -> Response<Body> {
        let fallback = if error.status.is_client_error() { ResponseType::Default4xx } else { ResponseType::Default5xx };
        let custom = self.custom.get(error.kind.name()).or_else(|| self.custom.get(fallback.name()));

        let template = custom.and_then(|custom| custom.body.as_deref());
        let body = substitute(template.unwrap_or(r#"{"message":$context.error.messageString}"#), |name| {
            match name.strip_prefix("error.") {
                Some(name) => error.variable(name),
                None => context.variable(name),
            }
        });
        let mut response = Response::new(Body::from(body));
        let status = custom.and_then(|custom| custom.status).and_then(|status| StatusCode::from_u16(status).ok());
        *response.status_mut() = status.unwrap_or(error.status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, source) in custom.map(|custom| &custom.headers).into_iter().flatten() {
            let value = match source {
                HeaderSource::Static(value) => Some(value.clone()),
                HeaderSource::Context(name) => context.variable(name),
            };
            let Some(value) = value else { continue };
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// Replaces `$context.<name>` in a body's template by its value, or by nothing where it has none. Like AWS, this escapes
/// nothing.
fn substitute(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    const MARK: &str = "$context.";
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find(MARK) {
        let (before, after) = (&rest[..start], &rest[start + MARK.len()..]);
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(after.len());
        let name = after[..end].trim_end_matches('.');
        text.push_str(before);
        text.push_str(&value(name).unwrap_or_default());
        rest = &after[name.len()..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::super::grant::Grant;
    use super::*;
    use crate::template::Template;

    fn context() -> Context {
        let (head, ()) = http::Request::get("/v1/a").body(()).unwrap().into_parts();
        Context::new(&head, ([127, 0, 0, 1], 1).into(), "v1")
    }

    fn custom(status: Option<u16>, body: Option<&str>, headers: &[(&str, &str)]) -> GatewayResponse {
        let source = |value: &str| match value.strip_prefix("context.") {
            Some(name) => HeaderSource::Context(name.to_owned()),
            None => HeaderSource::Static(value.to_owned()),
        };
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), source(value))).collect();
        GatewayResponse { status, headers, body: body.map(str::to_owned) }
    }

    async fn render(custom: &[(&str, GatewayResponse)], error: &ErrorResponse) -> (u16, String, String) {
        let custom = custom.iter().map(|(name, custom)| ((*name).to_owned(), custom.clone())).collect();
        let response = Responses::new(custom).render(error, &context());
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_default_is_a_message() {
        let (status, content_type, body) = render(&[], &ErrorResponse::UNAUTHORIZED).await;
        assert_eq!((status, content_type.as_str()), (401, "application/json"));
        assert_eq!(body, r#"{"message":"Unauthorized"}"#);
    }

    #[tokio::test]
    async fn a_type_is_customized_by_itself_or_by_its_class() {
        let responses = [
            ("THROTTLED", custom(None, Some("slow"), &[("Content-Type", "text/plain")])),
            ("DEFAULT_4XX", custom(Some(418), Some("4xx"), &[])),
            ("DEFAULT_5XX", custom(None, Some("$context.error.responseType"), &[])),
        ];
        let json = "application/json".to_owned();
        assert_eq!(render(&responses, &ErrorResponse::THROTTLED).await, (429, "text/plain".into(), "slow".into()));
        assert_eq!(render(&responses, &ErrorResponse::UNAUTHORIZED).await, (418, json.clone(), "4xx".into()));
        assert_eq!(
            render(&responses, &ErrorResponse::TIMEOUT).await,
            (504, json.clone(), "INTEGRATION_TIMEOUT".into())
        );
        assert_eq!(render(&responses, &ErrorResponse::BAD_GATEWAY).await, (502, json, "DEFAULT_5XX".into()));
    }

    #[test]
    fn a_header_may_be_a_variable_and_is_left_out_without_a_value() {
        let mapped = [("x-id", "context.requestId"), ("x-none", "context.authorizer.challenge")];
        let responses = Responses::new([("THROTTLED".to_owned(), custom(None, None, &mapped))].into());
        let context = context();
        let response = responses.render(&ErrorResponse::THROTTLED, &context);
        assert_eq!(response.headers()["x-id"], context.request_id.as_str());
        assert!(!response.headers().contains_key("x-none"));
    }

    #[test]
    fn variables_are_replaced_and_unknown_ones_vanish() {
        let value = |name: &str| (name == "a.b").then(|| "X".to_owned());
        assert_eq!(substitute("<$context.a.b>$context.a.b.$context.c|$contex$", value), "<X>X.|$contex$");
        assert_eq!(substitute("$context.a.b", value), "X");
    }

    #[test]
    fn the_request_and_the_error_are_variables() {
        let mut context = context();
        context.request_id = "id".to_owned();
        assert_eq!(context.variable("requestId").unwrap(), "id");
        assert_eq!(context.variable("path").unwrap(), "/v1/a");
        assert_eq!(context.variable("identity.sourceIp").unwrap(), "127.0.0.1");
        assert_eq!(context.variable("authorizer.reason"), None);
        assert_eq!(ErrorResponse::THROTTLED.variable("messageString").unwrap(), "\"Too Many Requests\"");
    }

    #[tokio::test]
    async fn the_templates_own_responses_are_problem_documents() {
        let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml"));
        let responses = Responses::new(Template::read(path, &BTreeMap::new()).unwrap().api.gateway_responses);
        let mut context = context();
        let grant = br#"{"principalId":"p","policyDocument":{"Statement":[]},"context":{"reason":"told_so"}}"#;
        context.authorizer = Some(Grant::parse(grant).unwrap().into());
        for error in [
            ErrorResponse::ARN_TOO_LONG,
            ErrorResponse::AUTHORIZER_CONFIGURATION,
            ErrorResponse::AUTHORIZER_FAILURE,
            ErrorResponse::BAD_GATEWAY,
            ErrorResponse::BODY_TOO_LARGE,
            ErrorResponse::EXPLICIT_DENY,
            ErrorResponse::HEAD_TOO_LARGE,
            ErrorResponse::IMPLICIT_DENY,
            ErrorResponse::INTEGRATION_FAILURE,
            ErrorResponse::INVALID_API_KEY,
            ErrorResponse::QUOTA_EXCEEDED,
            ErrorResponse::ROUTE,
            ErrorResponse::SIGNATURE,
            ErrorResponse::THROTTLED,
            ErrorResponse::TIMEOUT,
            ErrorResponse::UNAUTHORIZED,
            ErrorResponse::UNSUPPORTED_MEDIA_TYPE,
        ] {
            let response = responses.render(&error, &context);
            let status = response.status().as_u16();
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json", "{error:?}");
            assert_eq!(response.headers().contains_key("retry-after"), [429, 503].contains(&status), "{error:?}");
            assert_eq!([ErrorResponse::ROUTE, ErrorResponse::SIGNATURE].contains(&error), status == 404, "{error:?}");
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["requestId"], context.request_id.as_str());
            assert_eq!(problem["type"], format!("urn:tenantry:problem:{}", problem["code"].as_str().unwrap()));
            // A type that stands for several statuses has no such member.
            assert!(problem.get("status").is_none_or(|member| *member == status), "{error:?}");
        }
    }
}
