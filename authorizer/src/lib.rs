//! The token authorizer: a tenant's token in, an IAM policy with the tenant's API key out.
//!
//! `token` verifies a JWT with the keys of its issuer (`keys`), which is the stack's or one tenant's (`issuers`), and
//! `machine` a machine token by its digest. `tenants` looks up whom it names, and `policy` says which routes of the
//! contract it may use. API Gateway keeps the answer by token for five minutes and applies it to every route, so the
//! answer is about the token and not about the request.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>

mod contract;
mod issuers;
mod json;
mod keys;
mod machine;
mod notes;
mod policy;
mod rows;
mod tenants;
mod token;

use std::collections::BTreeMap;
use std::time::Instant;

use aws_lambda_events::apigw::{ApiGatewayCustomAuthorizerRequest, ApiGatewayCustomAuthorizerResponse};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use lambda_runtime::Diagnostic;
use service::domain::caller::context;
use service::domain::tenant::{Status, Tenant};
use service::runtime::capacity::measured;
use service::runtime::config::IssuersConfig;
use service::store::Store;

pub use contract::{ROUTES, Route};
pub use policy::policy;

use issuers::TenantIssuers;
use keys::Keys;
use machine::Machines;
use notes::Notes;
use tenants::Tenants;
use token::{Party, Rejection, Verified};

/// What API Gateway is answered: policy, context and API key.
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

/// Codes of the problems that a refusal under a policy is answered with (`docs/problems.md`).
mod reason {
    pub(crate) const INSUFFICIENT_SCOPE: &str = "insufficient_scope";
    pub(crate) const TENANT_SUSPENDED: &str = "tenant_suspended";
    /// Also for a tenant that the issuer does not serve: an issuer learns nothing about the tenants of others.
    pub(crate) const TENANT_UNKNOWN: &str = "tenant_unknown";

    /// The `WWW-Authenticate` that goes with a code (RFC 6750, section 3.1). No error is defined for a valid token of a
    /// tenant that may not come in.
    pub(crate) fn challenge(reason: &str) -> &'static str {
        if reason == INSUFFICIENT_SCOPE { "Bearer error=\"insufficient_scope\"" } else { "Bearer" }
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

    /// Answers a `TOKEN` event, and leaves its line.
    pub async fn authorize(&self, event: ApiGatewayCustomAuthorizerRequest) -> Result<Answer, Refusal> {
        let started = Instant::now();
        let mut notes = Notes::default();
        let (result, units) = measured(self.judge(event, &mut notes)).await;
        notes.write(&result, units, started.elapsed());
        result
    }

    async fn judge(&self, event: ApiGatewayCustomAuthorizerRequest, notes: &mut Notes) -> Result<Answer, Refusal> {
        let token = event.authorization_token.unwrap_or_default();
        let api = event.method_arn.as_deref().and_then(policy::api_of).ok_or(Refusal::Unauthorized)?;
        let verified = self.verify(&token).await.map_err(|rejection| {
            notes.cause = Some(rejection.to_string());
            match rejection {
                Rejection::KeysUnavailable | Rejection::TokensUnavailable | Rejection::IssuersUnavailable => {
                    Refusal::Unavailable
                }
                _ => Refusal::Unauthorized,
            }
        })?;
        notes.issuer = Some(verified.issuer.clone());
        let tenant = match &verified.party {
            Party::Operator => return Ok(operator(api, &verified)),
            Party::Tenant(None) => Ok(None),
            Party::Tenant(Some(id)) => self.tenants.get(id).await,
            Party::Key(digest) => self.tenants.of_key(digest).await,
        };
        let tenant = tenant.map_err(|fault| {
            notes.cause = Some(fault.to_string());
            Refusal::Unavailable
        })?;
        let answer = decide(api, &verified, tenant.as_ref());
        // An answer with a key is one that lets the tenant in.
        if let (Some(digest), Some(_)) = (&verified.machine, &answer.usage_identifier_key) {
            self.machines.record_use(digest).await;
        }
        Ok(answer)
    }

    /// Checks the value of an `Authorization` header.
    async fn verify(&self, authorization: &str) -> Result<Verified, Rejection> {
        match token::bearer(authorization).filter(|token| machine::is_one(token)) {
            Some(token) => self.machines.verify(token).await,
            None => token::verify(authorization, &self.keys, &self.tenant_issuers).await,
        }
    }
}

/// The answer to a valid token of an operator: no tenant, and no API key, because no plan holds an operator.
fn operator(api: &str, verified: &Verified) -> Answer {
    let mut answer = Answer::default();
    answer.principal_id = Some(verified.subject.clone());
    answer.policy_document = policy::policy(api, &verified.scopes);
    answer.context = [
        (context::SUBJECT, verified.subject.clone()),
        (context::SCOPES, verified.scopes.join(" ")),
        (context::ISSUER, verified.issuer.clone()),
        (context::REASON, reason::INSUFFICIENT_SCOPE.to_owned()),
        (context::CHALLENGE, reason::challenge(reason::INSUFFICIENT_SCOPE).to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    bind(&mut answer, verified);
    answer
}

/// Says which client certificate the token is bound to: functions see the request's, and compare.
fn bind(answer: &mut Answer, verified: &Verified) {
    if let Some(certificate) = &verified.certificate {
        answer.context.insert(context::CERTIFICATE.to_owned(), certificate.to_string());
    }
}

/// The answer to a valid token of that tenant, if it names one.
fn decide(api: &str, verified: &Verified, tenant: Option<&Tenant>) -> Answer {
    let denied = match tenant {
        None => Some(reason::TENANT_UNKNOWN),
        Some(tenant) if !may_speak_for(verified, tenant) => Some(reason::TENANT_UNKNOWN),
        Some(tenant) => match tenant.status {
            Status::Active => None,
            Status::Suspended => Some(reason::TENANT_SUSPENDED),
            Status::Onboarding | Status::Offboarding | Status::Offboarded => Some(reason::TENANT_UNKNOWN),
        },
    };
    let mut answer = Answer::default();
    answer.principal_id = Some(verified.subject.clone());
    if let (Some(tenant), None) = (tenant, denied) {
        answer.policy_document = policy::policy(api, &verified.scopes);
        answer.usage_identifier_key = Some(tenant.api_key.clone());
        answer.context = [
            (context::TENANT, tenant.id.as_str()),
            (context::PLAN, &tenant.plan),
            (context::SUBJECT, &verified.subject),
            (context::SCOPES, &verified.scopes.join(" ")),
            (context::ISSUER, &verified.issuer),
            // What a refusal by this policy means: the tenant is fine, the token's scopes fall short.
            (context::REASON, reason::INSUFFICIENT_SCOPE),
            (context::CHALLENGE, reason::challenge(reason::INSUFFICIENT_SCOPE)),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some(quota) = tenant.quota {
            answer.context.insert(context::QUOTA.to_owned(), quota.to_string());
        }
        bind(&mut answer, verified);
    } else {
        let reason = denied.unwrap_or(reason::TENANT_UNKNOWN);
        answer.policy_document = policy::deny_all(api);
        answer.context = [(context::REASON, reason), (context::CHALLENGE, reason::challenge(reason))]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    }
    answer
}

/// Whether who made the token may speak for the tenant. A machine token is the tenant's own, whoever its issuers are; an
/// issuer of one tenant is this tenant's alone, as long as the tenant lists it. An issuer of the stack speaks for tenants
/// that list it, and for those that list none only if its entry says so: its tokens could name every one of these.
fn may_speak_for(verified: &Verified, tenant: &Tenant) -> bool {
    let listed = tenant.issuers.contains(&verified.issuer);
    match (&verified.machine, &verified.owner) {
        (Some(_), _) => true,
        (None, Some(owner)) => *owner == tenant.id && listed,
        (None, None) => listed || (tenant.issuers.is_empty() && verified.by_default),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
