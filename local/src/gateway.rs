//! API Gateway on this machine: a REST API with a stage, a `TOKEN` authorizer, usage plans and Lambda proxy integrations.
//!
//! A request passes these steps in order. A step that ends the request returns an `ErrorResponse`, which `responses` renders
//! as the template customizes its type:
//!
//! | step | module | types of error responses |
//! |---|---|---|
//! | the sizes of body and head are checked | `limits` | `REQUEST_TOO_LARGE`, `DEFAULT_4XX` |
//! | the body is decompressed | `coding` | `UNSUPPORTED_MEDIA_TYPE`, `REQUEST_TOO_LARGE` |
//! | path and method are routed; a CORS preflight gets its response | `router`, `cors` | `MISSING_AUTHENTICATION_TOKEN`, `INVALID_SIGNATURE` |
//! | the token is authorized | `authorizer` | `UNAUTHORIZED`, `AUTHORIZER_FAILURE`, `AUTHORIZER_CONFIGURATION_ERROR`, `DEFAULT_4XX` (the ARN is too long) |
//! | the authorizer's policy is applied to the route | [`iam`] | `ACCESS_DENIED` |
//! | the API key is metered by its usage plan | `usage`, [`keys`] | `INVALID_API_KEY`, `THROTTLED`, `QUOTA_EXCEEDED` |
//! | the function is invoked with the event | `event` | `REQUEST_TOO_LARGE`, `INTEGRATION_TIMEOUT`, `INTEGRATION_FAILURE`, `DEFAULT_5XX` |
//! | its response is converted and compressed | `proxy_response`, `coding` | `DEFAULT_5XX` |
//! | the request is logged | `access` | |
//!
//! Each module follows the pages of AWS's documentation that it names, and states its own choice where they are silent. This
//! is not a server for the internet: production is AWS.

mod access;
mod authorizer;
mod bucket;
pub(crate) mod certificate;
mod coding;
mod context;
mod cors;
mod error_response;
mod event;
mod grant;
pub mod keys;
mod limits;
mod proxy_response;
mod responses;
mod router;
mod usage;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response};
use time::OffsetDateTime;
use tokio::time::Instant;

pub(crate) use self::access::Access;
pub use self::certificate::CERTIFICATE;
pub use self::keys::ApiKeys;

use self::authorizer::Authorizer;
use self::context::Context;
use self::error_response::ErrorResponse;
use self::grant::Grant;
use self::responses::Responses;
use self::router::{Router, Target};
use self::usage::Meters;
use crate::iam::{self, Decision};
use crate::runtime::{Invoke, InvokeError};
use crate::template::{Cors, Route, Template};

const ACTION: &str = "execute-api:Invoke";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-apigw-id");

/// The reason why a template cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The authorizer's validation expression is not a regular expression.
    #[error("the authorizer's ValidationExpression is not a regular expression: {0}")]
    ValidationExpression(#[from] regex::Error),
    /// A route needs an authorizer, and the API has none.
    #[error("{method} {path} needs the default authorizer, which the template does not have")]
    NoAuthorizer {
        /// The route's method.
        method: String,
        /// The route's path.
        path: String,
    },
}

/// The REST API of a template.
#[derive(Debug)]
pub(crate) struct Gateway<F> {
    functions: F,
    router: Router,
    cors: Option<Cors>,
    authorizer: Option<Authorizer>,
    meters: Meters,
    binary_media_types: Vec<String>,
    minimum_compression_size: Option<usize>,
    integration_timeout: Duration,
    responses: Responses,
}

impl<F: Invoke> Gateway<F> {
    /// Serves the API of `template` with `functions`, and meters requests by the API keys in `keys`.
    pub(crate) fn new(template: &Template, functions: F, keys: ApiKeys) -> Result<Self, GatewayError> {
        let api = &template.api;
        if api.authorizer.is_none()
            && let Some(route) = api.routes.iter().find(|route| route.authorized)
        {
            return Err(GatewayError::NoAuthorizer { method: route.method.clone(), path: route.path.clone() });
        }
        Ok(Self {
            functions,
            router: Router::new(&api.stage, &api.routes),
            cors: api.cors.clone(),
            authorizer: api.authorizer.clone().map(Authorizer::new).transpose()?,
            meters: Meters::new(template.plans.clone(), keys),
            binary_media_types: api.binary_media_types.clone(),
            minimum_compression_size: api.minimum_compression_size,
            integration_timeout: limits::INTEGRATION_TIMEOUT,
            responses: Responses::new(api.gateway_responses.clone()),
        })
    }

    /// Handles one request of `peer`. Every response has the request's id in a header, and its [`Access`] in its
    /// extensions.
    pub(crate) async fn handle(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let mut context = Context::new(&head, peer, self.router.stage());
        let mut response = match self.respond(&head, body, &mut context).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(request_id = context.request_id, kind = error.kind.name(), "gateway response");
                self.responses.render(&error, &context)
            }
        };
        let ids = [(REQUEST_ID, &context.request_id), (EXTENDED_REQUEST_ID, &context.extended_request_id)];
        for (name, id) in ids {
            if let Ok(value) = HeaderValue::from_str(id) {
                response.headers_mut().insert(name, value);
            }
        }
        access::note(response, &context, started.elapsed()).await
    }

    async fn respond(
        &self,
        head: &http::request::Parts,
        body: Body,
        context: &mut Context,
    ) -> Result<Response<Body>, ErrorResponse> {
        // The body is read first, whatever its use: few clients see a response that arrives before they have sent it all.
        let body = limits::body(body).await;
        limits::head(head)?;
        let body = coding::decode(&head.headers, body?, self.minimum_compression_size)?;

        let not_routed = || ErrorResponse::not_routed(&head.headers);
        let found = self.router.find(head.uri.path()).ok_or_else(not_routed)?;
        context.resource_path = Some(found.resource.path.clone());
        let route = match found.resource.target(&head.method, self.cors.is_some()).ok_or_else(not_routed)? {
            Target::Route(route) => route,
            Target::Preflight => return Ok(cors::preflight(self.cors.as_ref())),
        };

        if route.authorized {
            let method_arn = context.method_arn();
            let grant = self.authorize(head, &method_arn).await?;
            // Set before the policy is applied, because the body of a denial may contain values of this context.
            context.authorizer = Some(Arc::clone(&grant));
            allow(&grant, &method_arn)?;
        }
        if route.api_key_required {
            let key = context.authorizer.as_ref().and_then(|grant| grant.usage_identifier_key.as_deref());
            self.meters.admit(key, Instant::now(), OffsetDateTime::now_utc().date())?;
        }

        let event = event::proxy(head, &body, &found, context, &self.binary_media_types);
        self.integrate(route, event.to_string().into_bytes(), head).await
    }

    async fn authorize(&self, head: &http::request::Parts, method_arn: &str) -> Result<Arc<Grant>, ErrorResponse> {
        limits::method_arn(method_arn)?;
        // `new` has made sure that there is one.
        let authorizer = self.authorizer.as_ref().ok_or(ErrorResponse::AUTHORIZER_CONFIGURATION)?;
        authorizer.grant(&self.functions, &head.headers, method_arn, Instant::now()).await
    }

    async fn integrate(
        &self,
        route: &Route,
        event: Vec<u8>,
        head: &http::request::Parts,
    ) -> Result<Response<Body>, ErrorResponse> {
        let result = tokio::time::timeout(self.integration_timeout, self.functions.invoke(&route.function, event));
        match result.await.unwrap_or(Err(InvokeError::Timeout)) {
            Ok(bytes) => {
                let response = proxy_response::to_http(&bytes, &head.headers, &self.binary_media_types);
                let response = response.map_err(|error| {
                    tracing::warn!(function = route.function, %error, "malformed Lambda proxy response");
                    ErrorResponse::BAD_GATEWAY
                })?;
                let compressed = coding::encode(response, &head.headers, self.minimum_compression_size).await;
                compressed.map_err(|error| {
                    tracing::warn!(function = route.function, %error, "the response cannot be compressed");
                    ErrorResponse::BAD_GATEWAY
                })
            }
            Err(InvokeError::Timeout) => Err(ErrorResponse::TIMEOUT),
            Err(InvokeError::EventTooLarge) => Err(ErrorResponse::BODY_TOO_LARGE),
            Err(error @ InvokeError::Throttled) => {
                tracing::warn!(function = route.function, %error, "the function is throttled");
                Err(ErrorResponse::INTEGRATION_FAILURE)
            }
            Err(error @ (InvokeError::Crashed(_) | InvokeError::Function { .. } | InvokeError::Unknown(_))) => {
                tracing::warn!(function = route.function, %error, "the function failed");
                Err(ErrorResponse::BAD_GATEWAY)
            }
        }
    }
}

/// Applies the policy, which may come from a request to another route.
fn allow(grant: &Grant, method_arn: &str) -> Result<(), ErrorResponse> {
    match grant.policy.evaluate(ACTION, method_arn, &iam::Context::default()) {
        Decision::Allow => Ok(()),
        Decision::ExplicitDeny => Err(ErrorResponse::EXPLICIT_DENY),
        Decision::ImplicitDeny => Err(ErrorResponse::IMPLICIT_DENY),
    }
}
