//! A request as API Gateway passes it to a function.

use std::borrow::Cow;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use lambda_http::RequestExt;
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::RequestContext;
use serde::Deserialize;
use serde_json::Value;

use super::{Code, Problem, Query, body, path};
use crate::domain::caller::{Caller, Operator, context};
use crate::domain::certificate::Thumbprint;
use crate::domain::data::{Data, Members};
use crate::domain::idempotency::{Essence, Fingerprint, IdempotencyKey, InvalidKey, KeyedRequest};
use crate::domain::precondition::Precondition;

/// The header field of draft-ietf-httpapi-idempotency-key-header, section 2.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request of the REST API.
#[derive(Debug)]
pub struct Inbound<'a> {
    request: &'a lambda_http::Request,
    context: &'a ApiGatewayProxyRequestContext,
}

impl<'a> Inbound<'a> {
    /// Reads an event. Returns `None` for an event that does not come from a REST API.
    pub(super) fn of(request: &'a lambda_http::Request) -> Option<Self> {
        match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV1(context)) => Some(Self { request, context }),
            _ => None,
        }
    }

    /// The method and the route, as the contract writes them: `("GET", "/collections/{collection}/records")`. A `HEAD` is handled
    /// as a `GET` (RFC 9110, section 9.3.2), and its response is sent without the body.
    #[must_use]
    pub fn route(&self) -> (&str, &str) {
        let method = if self.is_head() { "GET" } else { self.method() };
        (method, self.context.resource_path.as_deref().unwrap_or_default())
    }

    /// The method that was sent.
    pub(super) fn method(&self) -> &str {
        self.request.method().as_str()
    }

    pub(super) fn is_head(&self) -> bool {
        self.request.method() == Method::HEAD
    }

    /// The path, with the stage or the base path of the custom domain and without the query, in its canonical spelling.
    #[must_use]
    pub fn path(&self) -> String {
        let sent = self.context.path.as_deref().unwrap_or_default();
        path::canonical(self.route().1, sent, |name| self.raw_path_parameter(name))
    }

    /// The path of a resource directly below the request's own.
    #[must_use]
    pub fn child(&self, id: &str) -> String {
        format!("{}/{id}", self.path())
    }

    /// The request id of API Gateway.
    #[must_use]
    pub fn id(&self) -> &str {
        self.context.request_id.as_deref().unwrap_or_default()
    }

    /// The caller, from the authorizer's context.
    pub fn caller(&self) -> Result<Caller, Problem> {
        Ok(Caller::from_context(&self.context.authorizer.fields)?)
    }

    /// The calling operator, from the authorizer's context.
    pub fn operator(&self) -> Result<Operator, Problem> {
        Ok(Operator::from_context(&self.context.authorizer.fields)?)
    }

    /// Denies a token that is bound to a client certificate (RFC 8705, section 3) other than the request's.
    ///
    /// The function checks this, because a `TOKEN` authorizer does not see the certificate, and its cached policy serves requests
    /// with any certificate.
    pub(super) fn check_certificate(&self) -> Result<(), Problem> {
        let Some(bound) = self.context.authorizer.fields.get(context::CERTIFICATE) else { return Ok(()) };
        let bound = bound.as_str().and_then(|text| Thumbprint::parse(text).ok());
        match (bound, self.certificate()) {
            (Some(bound), Some(shown)) if bound == shown => Ok(()),
            _ => Err(Problem::certificate_mismatch()),
        }
    }

    /// The certificate that the client presented to API Gateway, which has verified that the client holds its private key.
    fn certificate(&self) -> Option<Thumbprint> {
        let pem = self.context.identity.other.get("clientCert")?.get("clientCertPem").and_then(Value::as_str)?;
        Thumbprint::of_pem(pem).ok()
    }

    /// A path parameter of the route, without its percent-encoding.
    pub fn path_parameter(&self, name: &str) -> Result<Cow<'_, str>, Problem> {
        self.raw_path_parameter(name)
            .map(path::decode)
            .ok_or_else(|| Problem::internal(format!("the event has no path parameter `{name}`")))
    }

    fn raw_path_parameter(&self, name: &str) -> Option<&'a str> {
        self.request.path_parameters_ref().and_then(|parameters| parameters.first(name))
    }

    /// The query parameters. All but these are rejected.
    pub fn query(&self, allowed: &[&str]) -> Result<Query, Problem> {
        Query::of(self.request, allowed)
    }

    /// `If-Match` and `If-None-Match`.
    pub fn precondition(&self) -> Result<Precondition, Problem> {
        super::conditional::precondition(self.request.headers())
    }

    /// The request with its `Idempotency-Key`, if it has one.
    pub(super) fn keyed(&self) -> Result<Option<KeyedRequest>, Problem> {
        let headers = self.request.headers();
        let invalid = |detail: String| Problem::invalid_parameter(detail);
        let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() {
            return Err(invalid("Send the header Idempotency-Key only once.".to_owned()));
        }
        let key = line.to_str().map_err(|_| InvalidKey).and_then(IdempotencyKey::parse);
        let key = key.map_err(|error| invalid(error.to_string()))?;
        let mut query: Vec<_> =
            self.request.query_string_parameters_ref().into_iter().flat_map(QueryMap::iter).collect();
        // The sort is stable, so the values of one name stay in their order.
        query.sort_by_key(|(name, _)| *name);
        let lines = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let essence = Essence {
            method: self.method(),
            path: &self.path(),
            query,
            if_match: lines(IF_MATCH),
            if_none_match: lines(IF_NONE_MATCH),
            media_type: body::media_type(headers.get(CONTENT_TYPE)).0,
            body: self.request.body(),
        };
        Ok(Some(KeyedRequest::new(key, self.route(), Fingerprint::of(&essence))))
    }

    /// The `data` of a body that was validated before, in the form in which a record stores it.
    pub(super) fn data(&self) -> Option<Data> {
        let members: Members<'_> = serde_json::from_slice(self.request.body()).ok()?;
        let (_, data) = members.0.into_iter().find(|(name, _)| name == "data")?;
        Data::new(data).ok()
    }

    /// The media type of the response: among these, the one that the client prefers.
    pub fn preferred<'o>(&self, offered: &[&'o str]) -> Result<&'o str, Problem> {
        let detail = || format!("This resource is available as {}.", offered.join(" or "));
        super::accept::preferred(self.request.headers(), offered)
            .ok_or_else(|| Problem::new(Code::NOT_ACCEPTABLE, detail()))
    }

    /// The JSON body as a value of a type, whose limits are in the types of its fields (`domain::limits`). The problem of an
    /// invalid body has the place of the first error as a JSON Pointer.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, Problem> {
        super::typed::parse(body::json(self.request, &["application/json"])?)
    }

    /// The body, which must have one of these media types and only these members.
    pub fn body(&self, media_types: &[&str], allowed: &[&str]) -> Result<super::Body<'a>, Problem> {
        super::Body::of(self.request, media_types, allowed)
    }

    /// The problem of a route that the template sends to the function, but that the code does not know.
    #[must_use]
    pub fn unknown_route(&self) -> Problem {
        Problem::new(Code::ROUTE_NOT_FOUND, "This path does not exist, or does not support this method.")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The path of an event of `PUT /collections/{collection}/records/{id}` after this change.
    fn path(change: impl FnOnce(&mut Value)) -> String {
        let mut event = serde_json::from_str(include_str!("../../../events/records-put.json")).unwrap();
        change(&mut event);
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        Inbound::of(&request).unwrap().path()
    }

    #[test]
    fn every_spelling_of_a_path_gives_the_same_path() {
        assert_eq!(path(|_| ()), "/v1/collections/notes/records/welcome");
        let other = path(|event| {
            event["requestContext"]["path"] = "/v1/collections/notes/records/%7Ea/".into();
            event["pathParameters"]["id"] = "%7Ea".into();
        });
        assert_eq!(other, "/v1/collections/notes/records/~a");
    }

    #[test]
    fn a_path_is_right_under_sam_local() {
        // SAM CLI passes the resource as the path of the context, and serves no stage.
        let path = path(|event| event["requestContext"]["path"] = event["resource"].clone());
        assert_eq!(path, "/collections/notes/records/welcome");
    }
}
