//! A request as API Gateway hands it to a function.

use lambda_http::RequestExt;
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;
use lambda_http::request::RequestContext;

use super::{Code, Problem, Query};
use crate::caller::{Caller, Operator};
use crate::precondition::Precondition;

/// A request of the REST API.
#[derive(Debug)]
pub struct Inbound<'a> {
    request: &'a lambda_http::Request,
    context: &'a ApiGatewayProxyRequestContext,
}

impl<'a> Inbound<'a> {
    /// `None` for an event of another kind.
    pub(super) fn of(request: &'a lambda_http::Request) -> Option<Self> {
        match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV1(context)) => Some(Self { request, context }),
            _ => None,
        }
    }

    /// Method and route, as the contract writes them: `("GET", "/collections/{collection}/records")`.
    #[must_use]
    pub fn route(&self) -> (&str, &str) {
        (self.request.method().as_str(), self.context.resource_path.as_deref().unwrap_or_default())
    }

    /// The path as the client wrote it, with the stage or the custom domain's base path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.context.path.as_deref().unwrap_or_default()
    }

    /// API Gateway's id of the request.
    #[must_use]
    pub fn id(&self) -> &str {
        self.context.request_id.as_deref().unwrap_or_default()
    }

    /// Who calls, as the authorizer says.
    pub fn caller(&self) -> Result<Caller, Problem> {
        Ok(Caller::from_context(&self.context.authorizer.fields)?)
    }

    /// The operator who calls.
    pub fn operator(&self) -> Result<Operator, Problem> {
        Ok(Operator::from_context(&self.context.authorizer.fields)?)
    }

    /// A parameter of the path. The route's template has it, so it is there.
    pub fn path_parameter(&self, name: &str) -> Result<&str, Problem> {
        self.request
            .path_parameters_ref()
            .and_then(|parameters| parameters.first(name))
            .ok_or_else(|| Problem::internal(format!("the event has no path parameter `{name}`")))
    }

    /// The query parameters, of which only these may be given.
    pub fn query(&self, allowed: &[&str]) -> Result<Query, Problem> {
        Query::of(self.request, allowed)
    }

    /// `If-Match` and `If-None-Match`.
    pub fn precondition(&self) -> Result<Precondition, Problem> {
        super::conditional::precondition(self.request.headers())
    }

    /// The body, of one of these media types, with only these members.
    pub fn body(&self, media_types: &[&str], allowed: &[&str]) -> Result<super::Body<'a>, Problem> {
        super::Body::of(self.request, media_types, allowed)
    }

    /// The answer to a route that the function does not serve: the template sends it one that the code does not know.
    #[must_use]
    pub fn unknown_route(&self) -> Problem {
        Problem::new(Code::RouteNotFound, "There is no such route.")
    }
}
