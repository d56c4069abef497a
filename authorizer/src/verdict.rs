//! The verdict on a token, from which the response to API Gateway and the log line are derived.

use std::collections::BTreeMap;
use std::time::Duration;

use service::domain::caller::context;
use service::domain::tenant::{Status, Tenant};
use service::domain::units::Units;
use service::runtime::log::{self, Entry, Measured};
use service::store::Fault;

use crate::policy::{deny_all, policy};
use crate::token::{Rejection, Verified};
use crate::{AuthorizeError, Response};

/// The party that gets access with a valid token, or the reason why access is denied.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A tenant gets access to the routes of the token's scopes.
    Tenant(Tenant),
    /// The operator gets access, without a tenant and without an API key, because plans do not apply to operators.
    Operator,
    /// Every request is denied.
    Denied(Reason),
}

/// The reason for a denial, which becomes the code of API Gateway's problem document (`docs/reference/problems.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    InsufficientScope,
    TenantSuspended,
    /// The tenant does not exist, or does not list the issuer: an issuer learns nothing about other tenants.
    TenantUnknown,
}

/// A valid token with its verdict.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    /// The API and the stage to which the policy applies.
    pub(crate) api: &'a str,
    pub(crate) verified: Verified,
    pub(crate) verdict: Verdict,
}

/// An error that prevents a decision about a token. Its details appear only in the log.
#[derive(Debug)]
pub(crate) struct VerdictError {
    pub(crate) error: AuthorizeError,
    /// The token's issuer, if it is verified.
    issuer: Option<String>,
    cause: Option<String>,
}

impl Reason {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::InsufficientScope => "insufficient_scope",
            Self::TenantSuspended => "tenant_suspended",
            Self::TenantUnknown => "tenant_unknown",
        }
    }

    /// The `WWW-Authenticate` header for the reason (RFC 6750, section 3.1). The RFC defines no error code for a valid
    /// token of a tenant without access.
    fn challenge(self) -> &'static str {
        match self {
            Self::InsufficientScope => "Bearer error=\"insufficient_scope\"",
            Self::TenantSuspended | Self::TenantUnknown => "Bearer",
        }
    }
}

impl Verdict {
    /// Returns the verdict on a tenant's token. `tenant` is the tenant that the token names, if it exists.
    pub(crate) fn on_tenant(verified: &Verified, tenant: Option<Tenant>) -> Self {
        match tenant.filter(|tenant| accepts_issuer(tenant, verified)) {
            None => Self::Denied(Reason::TenantUnknown),
            Some(tenant) => match tenant.status {
                Status::Active => Self::Tenant(tenant),
                Status::Suspended => Self::Denied(Reason::TenantSuspended),
                Status::Onboarding | Status::Offboarding | Status::Offboarded => Self::Denied(Reason::TenantUnknown),
            },
        }
    }
}

/// Whether the tenant accepts the token's issuer. A machine token is the tenant's own. An issuer of a single tenant is
/// accepted by this tenant alone, as long as it is listed. An issuer of the stack is accepted if it is listed. Tenants
/// that list none accept it only if its settings allow that, because its tokens could name any of these tenants.
fn accepts_issuer(tenant: &Tenant, verified: &Verified) -> bool {
    let listed = tenant.issuers.contains(&verified.issuer);
    match (&verified.machine_token, &verified.owner) {
        (Some(_), _) => true,
        (None, Some(owner)) => *owner == tenant.id && listed,
        (None, None) => listed || (tenant.issuers.is_empty() && verified.by_default),
    }
}

impl Judged<'_> {
    /// Returns the response to API Gateway.
    pub(crate) fn response(&self) -> Response {
        let Self { api, verified, verdict } = self;
        let mut response = Response::default();
        response.principal_id = Some(verified.subject.clone());
        (response.policy_document, response.usage_identifier_key) = match verdict {
            Verdict::Tenant(tenant) => (policy(api, &verified.scopes), Some(tenant.api_key.clone())),
            Verdict::Operator => (policy(api, &verified.scopes), None),
            Verdict::Denied(_) => (deny_all(api), None),
        };
        response.context = self.context();
        response
    }

    /// The context, which functions and gateway responses read. A denial's context does not identify the caller.
    fn context(&self) -> BTreeMap<String, String> {
        let caller = || {
            let Verified { subject, scopes, issuer, certificate, .. } = &self.verified;
            [
                (context::SUBJECT, Some(subject.clone())),
                (context::SCOPES, Some(scopes.join(" "))),
                (context::ISSUER, Some(issuer.clone())),
                // Functions compare it with the request's client certificate.
                (context::CERTIFICATE, certificate.as_ref().map(ToString::to_string)),
            ]
        };
        let tenant = |tenant: &Tenant| {
            [
                (context::TENANT, Some(tenant.id.to_string())),
                (context::PLAN, Some(tenant.plan.clone())),
                (context::QUOTA, tenant.quota.map(|quota| quota.to_string())),
            ]
        };
        // If the token has access, its policy denies a request only for a missing scope.
        let (reason, values) = match &self.verdict {
            Verdict::Tenant(row) => (Reason::InsufficientScope, [&caller()[..], &tenant(row)].concat()),
            Verdict::Operator => (Reason::InsufficientScope, caller().to_vec()),
            Verdict::Denied(reason) => (*reason, Vec::new()),
        };
        let denial = [(context::REASON, reason.code()), (context::CHALLENGE, reason.challenge())];
        let denial = denial.map(|(name, value)| (name, Some(value.to_owned())));
        values.into_iter().chain(denial).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl VerdictError {
    /// The event has no valid method ARN.
    pub(crate) const NO_API: Self = Self { error: AuthorizeError::Unauthorized, issuer: None, cause: None };

    /// The tenant of a valid token cannot be looked up.
    pub(crate) fn fault(verified: &Verified, fault: &Fault) -> Self {
        let issuer = Some(verified.issuer.clone());
        Self { error: AuthorizeError::Unavailable, issuer, cause: Some(fault.to_string()) }
    }
}

impl From<Rejection> for VerdictError {
    fn from(rejection: Rejection) -> Self {
        let error = match rejection {
            Rejection::KeysUnavailable | Rejection::TokensUnavailable | Rejection::IssuersUnavailable => {
                AuthorizeError::Unavailable
            }
            _ => AuthorizeError::Unauthorized,
        };
        Self { error, issuer: None, cause: Some(rejection.to_string()) }
    }
}

/// Writes the log line of an event.
pub(crate) fn write(result: &Result<Judged<'_>, VerdictError>, units: Units, elapsed: Duration) {
    let (status, entry) = line(result);
    log::write(&entry, &Measured { status, units, elapsed, bytes_in: 0, bytes_out: 0 });
}

/// The status and the log line of a result.
pub(crate) fn line<'a>(result: &'a Result<Judged<'_>, VerdictError>) -> (u16, Entry<'a>) {
    let entry = Entry { route: "authorize", ..Entry::default() };
    match result {
        Ok(Judged { verified, verdict, .. }) => {
            let entry = Entry { issuer: Some(&verified.issuer), ..entry };
            match verdict {
                Verdict::Tenant(tenant) => {
                    (200, Entry { tenant: Some(tenant.id.as_str()), plan: Some(&tenant.plan), ..entry })
                }
                Verdict::Operator => (200, entry),
                Verdict::Denied(reason) => (403, Entry { code: Some(reason.code()), ..entry }),
            }
        }
        Err(VerdictError { error, issuer, cause }) => {
            let (status, code) = match error {
                AuthorizeError::Unauthorized => (401, "unauthorized"),
                AuthorizeError::Unavailable => (503, "unavailable"),
            };
            (status, Entry { code: Some(code), issuer: issuer.as_deref(), cause: cause.as_deref(), ..entry })
        }
    }
}
