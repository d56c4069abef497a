//! API Gateway on this machine: a REST API with a stage, a `TOKEN` authorizer, usage plans and Lambda proxy integrations.
//!
//! A request passes one module after the other, in the order in which they are declared here. What a step refuses is a
//! `Refusal`, and `responses` makes it an answer. The behaviour is that of AWS's documentation, which each module
//! names; where it is silent the module says what was chosen. Production is AWS: this is not a server for the open net.

mod limits;

mod coding;

mod router;

mod cors;

mod authorizer;
pub mod policy;

pub mod keys;
mod usage;

pub(crate) mod certificate;
mod event;

mod answer;

mod access;
mod context;
mod responses;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response};
use time::OffsetDateTime;
use tokio::time::Instant;

pub use self::access::Access;
pub use self::certificate::CERTIFICATE;
pub use self::keys::ApiKeys;

use self::authorizer::{Authorizer, Grant};
use self::context::Context;
use self::policy::Decision;
use self::responses::{Refusal, Responses};
use self::router::{Router, Target};
use self::usage::Meters;
use crate::runtime::{Invoke, InvokeError};
use crate::template::{Cors, Route, Template};

const ACTION: &str = "execute-api:Invoke";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-apigw-id");

/// Why a template cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The authorizer's validation expression is no regular expression.
    #[error("the authorizer's ValidationExpression is not a regular expression: {0}")]
    ValidationExpression(#[from] regex::Error),
    /// A route wants an authorizer, and the API has none.
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
pub struct Gateway<F> {
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
    /// Serves the API of `template` with `functions`, for the holders of `keys`.
    pub fn new(template: &Template, functions: F, keys: ApiKeys) -> Result<Self, GatewayError> {
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

    /// Answers one request of `peer`. Every answer carries the request's id, and in its extensions the [`Access`] that it
    /// was.
    pub async fn handle(&self, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let mut context = Context::new(&head, peer, self.router.stage());
        let mut response = match self.answer(&head, body, &mut context).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(request_id = context.request_id, refusal = refusal.kind.name(), "refused");
                self.responses.render(&refusal, &context)
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

    async fn answer(
        &self,
        head: &http::request::Parts,
        body: Body,
        context: &mut Context,
    ) -> Result<Response<Body>, Refusal> {
        // Read first, whatever comes of it: an answer before the end of the body reaches few clients.
        let body = limits::body(body).await;
        limits::head(head)?;
        let body = coding::decode(&head.headers, body?, self.minimum_compression_size)?;

        let not_routed = || Refusal::not_routed(&head.headers);
        let found = self.router.find(head.uri.path()).ok_or_else(not_routed)?;
        context.resource_path = Some(found.resource.path.clone());
        let route = match found.resource.target(&head.method, self.cors.is_some()).ok_or_else(not_routed)? {
            Target::Route(route) => route,
            Target::Preflight => return Ok(cors::preflight(self.cors.as_ref())),
        };

        if route.authorized {
            let method_arn = context.method_arn();
            let grant = self.authorize(head, &method_arn).await?;
            // Before the policy is applied: a refusal's body may want the authorizer's context.
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

    async fn authorize(&self, head: &http::request::Parts, method_arn: &str) -> Result<Arc<Grant>, Refusal> {
        limits::method_arn(method_arn)?;
        // `new` has seen to it that there is one.
        let authorizer = self.authorizer.as_ref().ok_or(Refusal::AUTHORIZER_CONFIGURATION)?;
        authorizer.grant(&self.functions, &head.headers, method_arn, Instant::now()).await
    }

    async fn integrate(
        &self,
        route: &Route,
        event: Vec<u8>,
        head: &http::request::Parts,
    ) -> Result<Response<Body>, Refusal> {
        let answer = tokio::time::timeout(self.integration_timeout, self.functions.invoke(&route.function, event));
        match answer.await.unwrap_or(Err(InvokeError::Timeout)) {
            Ok(bytes) => {
                let response = answer::response(&bytes, &head.headers, &self.binary_media_types).map_err(|error| {
                    tracing::warn!(function = route.function, %error, "malformed Lambda proxy response");
                    Refusal::BAD_GATEWAY
                })?;
                let compressed = coding::encode(response, &head.headers, self.minimum_compression_size).await;
                compressed.map_err(|error| {
                    tracing::warn!(function = route.function, %error, "the response cannot be compressed");
                    Refusal::BAD_GATEWAY
                })
            }
            Err(InvokeError::Timeout) => Err(Refusal::TIMEOUT),
            Err(InvokeError::EventTooLarge) => Err(Refusal::BODY_TOO_LARGE),
            Err(error @ InvokeError::Throttled) => {
                tracing::warn!(function = route.function, %error, "the function is throttled");
                Err(Refusal::INTEGRATION_FAILURE)
            }
            Err(error @ (InvokeError::Crashed(_) | InvokeError::Function { .. } | InvokeError::Unknown(_))) => {
                tracing::warn!(function = route.function, %error, "the function failed");
                Err(Refusal::BAD_GATEWAY)
            }
        }
    }
}

/// Applies the policy, whichever route it was first made for.
fn allow(grant: &Grant, method_arn: &str) -> Result<(), Refusal> {
    match grant.policy.evaluate(ACTION, method_arn) {
        Decision::Allow => Ok(()),
        Decision::ExplicitDeny => Err(Refusal::EXPLICIT_DENY),
        Decision::ImplicitDeny => Err(Refusal::IMPLICIT_DENY),
    }
}
