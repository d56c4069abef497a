//! Gateway responses: what API Gateway answers itself, as the template customizes it.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html>

use std::collections::BTreeMap;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::context::Context;
use crate::template::{GatewayResponse, HeaderSource};

/// Why a request does not get a function's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: ResponseType,
    status: StatusCode,
    message: &'static str,
}

/// The types of gateway responses that occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseType {
    AccessDenied,
    AuthorizerConfigurationError,
    AuthorizerFailure,
    /// A status without a type of its own.
    Default4xx,
    /// A status without a type of its own.
    Default5xx,
    IntegrationFailure,
    IntegrationTimeout,
    InvalidApiKey,
    InvalidSignature,
    MissingAuthenticationToken,
    QuotaExceeded,
    RequestTooLarge,
    Throttled,
    Unauthorized,
    UnsupportedMediaType,
}

impl ResponseType {
    /// Its key in the template.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "ACCESS_DENIED",
            Self::AuthorizerConfigurationError => "AUTHORIZER_CONFIGURATION_ERROR",
            Self::AuthorizerFailure => "AUTHORIZER_FAILURE",
            Self::Default4xx => "DEFAULT_4XX",
            Self::Default5xx => "DEFAULT_5XX",
            Self::IntegrationFailure => "INTEGRATION_FAILURE",
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
            Self::InvalidApiKey => "INVALID_API_KEY",
            Self::InvalidSignature => "INVALID_SIGNATURE",
            Self::MissingAuthenticationToken => "MISSING_AUTHENTICATION_TOKEN",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::Throttled => "THROTTLED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
        }
    }
}

impl Refusal {
    pub(super) const ARN_TOO_LONG: Self =
        Self::new(ResponseType::Default4xx, StatusCode::URI_TOO_LONG, "Request URI too long");
    pub(super) const AUTHORIZER_CONFIGURATION: Self = Self::new(
        ResponseType::AuthorizerConfigurationError,
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal server error",
    );
    pub(super) const AUTHORIZER_FAILURE: Self =
        Self::new(ResponseType::AuthorizerFailure, StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
    /// A function that fails or answers something malformed.
    pub(super) const BAD_GATEWAY: Self =
        Self::new(ResponseType::Default5xx, StatusCode::BAD_GATEWAY, "Internal server error");
    /// A body beyond API Gateway's 10 MB, or an event beyond Lambda's 6 MB, which users report as a 413 with this message:
    /// <https://github.com/koki-develop/lgtm-generator/issues/10>.
    pub(super) const BODY_TOO_LARGE: Self =
        Self::new(ResponseType::RequestTooLarge, StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long");
    pub(super) const EXPLICIT_DENY: Self = Self::new(
        ResponseType::AccessDenied,
        StatusCode::FORBIDDEN,
        "User is not authorized to access this resource with an explicit deny",
    );
    pub(super) const HEAD_TOO_LARGE: Self = Self::new(
        ResponseType::Default4xx,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "Request header fields too large",
    );
    pub(super) const IMPLICIT_DENY: Self =
        Self::new(ResponseType::AccessDenied, StatusCode::FORBIDDEN, "User is not authorized to access this resource");
    /// Lambda has refused the invocation because of the function's concurrency. AWS's pages do not say which response
    /// that is; users of REST APIs report this type, with 500 as its status unless the response is customized:
    /// <https://repost.aws/questions/QUfI6bsdd0SOiPeyimzxSkfQ>.
    pub(super) const INTEGRATION_FAILURE: Self =
        Self::new(ResponseType::IntegrationFailure, StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
    pub(super) const INVALID_API_KEY: Self = Self::new(ResponseType::InvalidApiKey, StatusCode::FORBIDDEN, "Forbidden");
    pub(super) const QUOTA_EXCEEDED: Self =
        Self::new(ResponseType::QuotaExceeded, StatusCode::TOO_MANY_REQUESTS, "Limit Exceeded");
    /// A path or a method that is not routed, in a request without an `Authorization` header.
    const ROUTE: Self =
        Self::new(ResponseType::MissingAuthenticationToken, StatusCode::FORBIDDEN, "Missing Authentication Token");
    /// The same in a request with one, whatever it is: API Gateway takes it for a malformed AWS signature. Its type is not
    /// in AWS's pages, where no other fits. Reports: <https://github.com/aws/chalice/issues/828>,
    /// <https://github.com/amazon-archives/aws-cognito-angular-quickstart/issues/50>.
    const SIGNATURE: Self = Self::new(
        ResponseType::InvalidSignature,
        StatusCode::FORBIDDEN,
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header.",
    );
    pub(super) const THROTTLED: Self =
        Self::new(ResponseType::Throttled, StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    pub(super) const TIMEOUT: Self =
        Self::new(ResponseType::IntegrationTimeout, StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out");
    pub(super) const UNAUTHORIZED: Self =
        Self::new(ResponseType::Unauthorized, StatusCode::UNAUTHORIZED, "Unauthorized");

    /// A body whose `Content-Encoding` is not known, or not what the body is in.
    pub(super) const UNSUPPORTED_MEDIA_TYPE: Self =
        Self::new(ResponseType::UnsupportedMediaType, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type");

    /// Refuses a path or a method that is not routed.
    pub(super) fn not_routed(headers: &HeaderMap) -> Self {
        if headers.contains_key(AUTHORIZATION) { Self::SIGNATURE } else { Self::ROUTE }
    }

    const fn new(kind: ResponseType, status: StatusCode, message: &'static str) -> Self {
        Self { kind, status, message }
    }

    /// The value of `$context.error.<name>`.
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "message" => Some(self.message.to_owned()),
            "messageString" => Some(serde_json::Value::from(self.message).to_string()),
            "responseType" => Some(self.kind.name().to_owned()),
            _ => None,
        }
    }
}

/// The gateway responses of a template.
#[derive(Debug)]
pub(super) struct Responses {
    custom: BTreeMap<String, GatewayResponse>,
}

impl Responses {
    pub(super) fn new(custom: BTreeMap<String, GatewayResponse>) -> Self {
        Self { custom }
    }

    pub(super) fn render(&self, refusal: &Refusal, context: &Context) -> Response<Body> {
        let fallback =
            if refusal.status.is_client_error() { ResponseType::Default4xx } else { ResponseType::Default5xx };
        let custom = self.custom.get(refusal.kind.name()).or_else(|| self.custom.get(fallback.name()));

        let template = custom.and_then(|custom| custom.body.as_deref());
        let body = substitute(template.unwrap_or(r#"{"message":$context.error.messageString}"#), |name| {
            match name.strip_prefix("error.") {
                Some(name) => refusal.variable(name),
                None => context.variable(name),
            }
        });
        let mut response = Response::new(Body::from(body));
        let status = custom.and_then(|custom| custom.status).and_then(|status| StatusCode::from_u16(status).ok());
        *response.status_mut() = status.unwrap_or(refusal.status);
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

/// Replaces `$context.<name>` in a body's template; what has no value becomes nothing. AWS escapes nothing either.
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
    use super::super::authorizer::Grant;
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

    async fn render(custom: &[(&str, GatewayResponse)], refusal: &Refusal) -> (u16, String, String) {
        let custom = custom.iter().map(|(name, custom)| ((*name).to_owned(), custom.clone())).collect();
        let response = Responses::new(custom).render(refusal, &context());
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_default_is_a_message() {
        let (status, content_type, body) = render(&[], &Refusal::UNAUTHORIZED).await;
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
        assert_eq!(render(&responses, &Refusal::THROTTLED).await, (429, "text/plain".into(), "slow".into()));
        assert_eq!(render(&responses, &Refusal::UNAUTHORIZED).await, (418, json.clone(), "4xx".into()));
        assert_eq!(render(&responses, &Refusal::TIMEOUT).await, (504, json.clone(), "INTEGRATION_TIMEOUT".into()));
        assert_eq!(render(&responses, &Refusal::BAD_GATEWAY).await, (502, json, "DEFAULT_5XX".into()));
    }

    #[test]
    fn a_header_may_be_a_variable_and_is_left_out_without_a_value() {
        let mapped = [("x-id", "context.requestId"), ("x-none", "context.authorizer.challenge")];
        let responses = Responses::new([("THROTTLED".to_owned(), custom(None, None, &mapped))].into());
        let context = context();
        let response = responses.render(&Refusal::THROTTLED, &context);
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
        assert_eq!(Refusal::THROTTLED.variable("messageString").unwrap(), "\"Too Many Requests\"");
    }

    #[tokio::test]
    async fn the_templates_own_responses_are_problem_documents() {
        let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml"));
        let responses = Responses::new(Template::read(path, &BTreeMap::new()).unwrap().api.gateway_responses);
        let mut context = context();
        let grant = br#"{"principalId":"p","policyDocument":{"Statement":[]},"context":{"reason":"told_so"}}"#;
        context.authorizer = Some(Grant::parse(grant).unwrap().into());
        for refusal in [
            Refusal::ARN_TOO_LONG,
            Refusal::AUTHORIZER_CONFIGURATION,
            Refusal::AUTHORIZER_FAILURE,
            Refusal::BAD_GATEWAY,
            Refusal::BODY_TOO_LARGE,
            Refusal::EXPLICIT_DENY,
            Refusal::HEAD_TOO_LARGE,
            Refusal::IMPLICIT_DENY,
            Refusal::INTEGRATION_FAILURE,
            Refusal::INVALID_API_KEY,
            Refusal::QUOTA_EXCEEDED,
            Refusal::ROUTE,
            Refusal::SIGNATURE,
            Refusal::THROTTLED,
            Refusal::TIMEOUT,
            Refusal::UNAUTHORIZED,
            Refusal::UNSUPPORTED_MEDIA_TYPE,
        ] {
            let response = responses.render(&refusal, &context);
            let status = response.status().as_u16();
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json", "{refusal:?}");
            assert_eq!(response.headers().contains_key("retry-after"), [429, 503].contains(&status), "{refusal:?}");
            assert_eq!([Refusal::ROUTE, Refusal::SIGNATURE].contains(&refusal), status == 404, "{refusal:?}");
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["requestId"], context.request_id.as_str());
            assert_eq!(problem["type"], format!("urn:tenantry:problem:{}", problem["code"].as_str().unwrap()));
            // A type that stands for several statuses names none.
            assert!(problem.get("status").is_none_or(|said| *said == status), "{refusal:?}");
        }
    }
}
