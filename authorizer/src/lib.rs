//! The token authorizer: it gets a tenant's token, and returns an IAM policy with the tenant's API key.
//!
//! `token` verifies a JWT with the JWKS of its issuer (`keys`), which is the stack's or a single tenant's (`issuers`).
//! `machine_token` verifies a machine token by its digest. `tenants` looks up the tenant, `verdict` decides whether the
//! token has access, and `policy` lists the routes of the contract that it may use. API Gateway caches the response by
//! token for five minutes and applies it to every route, so the response depends on the token and not on the request.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>

mod cache;
mod contract;
mod issuers;
mod json;
mod keys;
mod machine_token;
mod policy;
mod start;
mod tenants;
mod token;
mod verdict;

use std::collections::BTreeMap;
use std::time::Instant;

use aws_lambda_events::apigw::{ApiGatewayCustomAuthorizerRequest, ApiGatewayCustomAuthorizerResponse};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use lambda_runtime::Diagnostic;
use service::runtime::capacity::measured;
use service::runtime::config::IssuersConfig;
use service::store::Store;

pub use contract::{ROUTES, Route};
pub use policy::policy;
pub use start::run;

use issuers::TenantIssuers;
use keys::Keys;
use machine_token::MachineTokens;
use tenants::Tenants;
use token::{Party, Rejection, Verified};
use verdict::{Judged, Verdict, VerdictError};

/// The response to API Gateway: policy, context and API key.
pub type Response = ApiGatewayCustomAuthorizerResponse<BTreeMap<String, String>>;

/// The error that API Gateway gets in place of a policy.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// The token is invalid. API Gateway responds with 401 to an error with exactly this message.
    #[error("Unauthorized")]
    Unauthorized,
    /// The token cannot be verified right now. API Gateway turns any other message into an `AUTHORIZER_FAILURE`.
    #[error("Unavailable")]
    Unavailable,
}

impl From<AuthorizeError> for Diagnostic {
    fn from(error: AuthorizeError) -> Self {
        // The type is part of the function's interface, and does not follow the name of the enum.
        Self { error_type: "Refusal".into(), error_message: error.to_string() }
    }
}

/// The state of the function: its configuration, and its caches.
#[derive(Debug)]
pub struct Authorizer {
    keys: Keys,
    tenant_issuers: TenantIssuers,
    machine_tokens: MachineTokens,
    tenants: Tenants,
}

impl Authorizer {
    /// Creates an authorizer for these issuers, and for the tenants in the store with their own issuers.
    #[must_use]
    pub fn new(config: IssuersConfig, store: Store, connector: SharedHttpConnector) -> Self {
        let IssuersConfig { issuers, plain_http } = config;
        Self {
            keys: Keys::new(issuers, connector, plain_http),
            tenant_issuers: TenantIssuers::new(store.clone(), plain_http),
            machine_tokens: MachineTokens::new(store.clone()),
            tenants: Tenants::new(store),
        }
    }

    /// Fetches the JWKS of the stack's issuers before the first token arrives. After a failure, the first token fetches
    /// it.
    pub async fn fetch_keys(&self) {
        self.keys.fetch_all().await;
    }

    /// Authorizes the token of a `TOKEN` event, and writes the event's log line.
    pub async fn authorize(&self, event: ApiGatewayCustomAuthorizerRequest) -> Result<Response, AuthorizeError> {
        let started = Instant::now();
        let (result, units) = measured(self.judge(&event)).await;
        verdict::write(&result, units, started.elapsed());
        result.map(|judged| judged.response()).map_err(|failed| failed.error)
    }

    async fn judge<'a>(&self, event: &'a ApiGatewayCustomAuthorizerRequest) -> Result<Judged<'a>, VerdictError> {
        let api = event.method_arn.as_deref().and_then(policy::api_of).ok_or(VerdictError::NO_API)?;
        let verified = self.verify(event.authorization_token.as_deref().unwrap_or_default()).await?;
        let tenant = match &verified.party {
            Party::Operator => return Ok(Judged { api, verified, verdict: Verdict::Operator }),
            Party::Tenant(None) => Ok(None),
            Party::Tenant(Some(id)) => self.tenants.get(id).await,
            Party::TenantKey(digest) => self.tenants.get_by_key(digest).await,
        };
        let tenant = tenant.map_err(|fault| VerdictError::fault(&verified, &fault))?;
        let verdict = Verdict::on_tenant(&verified, tenant);
        if let (Verdict::Tenant(_), Some(digest)) = (&verdict, &verified.machine_token) {
            self.machine_tokens.record_use(digest).await;
        }
        Ok(Judged { api, verified, verdict })
    }

    /// Verifies the value of an `Authorization` header.
    async fn verify(&self, authorization: &str) -> Result<Verified, Rejection> {
        let token = token::bearer(authorization).ok_or(Rejection::MissingBearer)?;
        if machine_token::has_prefix(token) {
            self.machine_tokens.verify(token).await
        } else {
            token::verify(token, &self.keys, &self.tenant_issuers).await
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
