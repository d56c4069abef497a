//! The token authorizer: a tenant's token in, an IAM policy with the tenant's API key out.
//!
//! `token` verifies a JWT with the keys of its issuer (`keys`), which is the stack's or one tenant's (`issuers`), and
//! `machine` a machine token by its digest. `tenants` looks up whom it names, `verdict` decides who is let in, and
//! `policy` says to which routes of the contract. API Gateway caches the response by token for five minutes and applies
//! it to every route, so the response is about the token and not about the request.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>

mod contract;
mod issuers;
mod json;
mod keys;
mod machine;
mod policy;
mod rows;
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

use issuers::TenantIssuers;
use keys::Keys;
use machine::Machines;
use tenants::Tenants;
use token::{Party, Rejection, Verified};
use verdict::{Judged, NoVerdict, Verdict};

/// The response to API Gateway: policy, context and API key.
pub type Answer = ApiGatewayCustomAuthorizerResponse<BTreeMap<String, String>>;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The token is not valid. API Gateway makes a 401 of an error with just this message.
    #[error("Unauthorized")]
    Unauthorized,
    /// The token cannot be checked now. API Gateway makes an `AUTHORIZER_FAILURE` of any other message.
    #[error("Unavailable")]
    Unavailable,
}

impl From<Refusal> for Diagnostic {
    fn from(refusal: Refusal) -> Self {
        Self { error_type: "Refusal".into(), error_message: refusal.to_string() }
    }
}

/// The function's state: what it is configured with, and what it keeps between events.
#[derive(Debug)]
pub struct Authorizer {
    keys: Keys,
    tenant_issuers: TenantIssuers,
    machines: Machines,
    tenants: Tenants,
}

impl Authorizer {
    /// An authorizer for the tokens of these issuers, and for this store's tenants and their own issuers.
    #[must_use]
    pub fn new(config: IssuersConfig, store: Store, connector: SharedHttpConnector) -> Self {
        let IssuersConfig { issuers, plain_http } = config;
        Self {
            keys: Keys::new(issuers, connector, plain_http),
            tenant_issuers: TenantIssuers::new(store.clone(), plain_http),
            machines: Machines::new(store.clone()),
            tenants: Tenants::new(store),
        }
    }

    /// Fetches the keys of the stack's issuers, so that the first token finds them. A failure is left to the first token.
    pub async fn fetch_keys(&self) {
        self.keys.fetch_all().await;
    }

    /// Judges the token of a `TOKEN` event, and writes the event's line.
    pub async fn authorize(&self, event: ApiGatewayCustomAuthorizerRequest) -> Result<Answer, Refusal> {
        let started = Instant::now();
        let (result, units) = measured(self.judge(&event)).await;
        verdict::write(&result, units, started.elapsed());
        result.map(|judged| judged.response()).map_err(|none| none.refusal)
    }

    async fn judge<'a>(&self, event: &'a ApiGatewayCustomAuthorizerRequest) -> Result<Judged<'a>, NoVerdict> {
        let api = event.method_arn.as_deref().and_then(policy::api_of).ok_or(NoVerdict::NO_API)?;
        let verified = self.verify(event.authorization_token.as_deref().unwrap_or_default()).await?;
        let tenant = match &verified.party {
            Party::Operator => return Ok(Judged { api, verified, verdict: Verdict::Operator }),
            Party::Tenant(None) => Ok(None),
            Party::Tenant(Some(id)) => self.tenants.get(id).await,
            Party::Key(digest) => self.tenants.of_key(digest).await,
        };
        let tenant = tenant.map_err(|fault| NoVerdict::fault(&verified, &fault))?;
        let verdict = Verdict::on_tenant(&verified, tenant);
        if let (Verdict::Tenant(_), Some(digest)) = (&verdict, &verified.machine) {
            self.machines.record_use(digest).await;
        }
        Ok(Judged { api, verified, verdict })
    }

    /// Checks the value of an `Authorization` header.
    async fn verify(&self, authorization: &str) -> Result<Verified, Rejection> {
        let token = token::bearer(authorization).ok_or(Rejection::NoBearer)?;
        if machine::is_one(token) {
            self.machines.verify(token).await
        } else {
            token::verify(token, &self.keys, &self.tenant_issuers).await
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
