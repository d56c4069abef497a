//! The verdict on a token, from which the response to API Gateway and the log line are made.

use std::collections::BTreeMap;
use std::time::Duration;

use service::domain::caller::context;
use service::domain::tenant::{Status, Tenant};
use service::domain::units::Units;
use service::runtime::log::{self, Entry, Measured};
use service::store::Fault;

use crate::policy::{deny_all, policy};
use crate::token::{Rejection, Verified};
use crate::{Answer, Refusal};

/// Who is let in by a valid token, or why nobody is.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A tenant, to the routes that the token's scopes allow.
    Tenant(Tenant),
    /// The operator. There is no tenant, and no API key, because no plan limits an operator.
    Operator,
    /// Nobody.
    Denied(Reason),
}

/// Why a request is denied: the code of the problem that API Gateway responds with (`docs/reference/problems.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    InsufficientScope,
    TenantSuspended,
    /// Also for a tenant that the issuer does not serve: an issuer learns nothing about the tenants of others.
    TenantUnknown,
}

/// A valid token with its verdict.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    /// The API and the stage that the policy is for.
    pub(crate) api: &'a str,
    pub(crate) verified: Verified,
    pub(crate) verdict: Verdict,
}

/// Why there is no verdict on a token. Only the log sees more than the refusal.
#[derive(Debug)]
pub(crate) struct NoVerdict {
    pub(crate) refusal: Refusal,
    /// Who made the token, if that was verified.
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

    /// The `WWW-Authenticate` that goes with the code (RFC 6750, section 3.1). No error is defined for a valid token of a
    /// tenant that is denied.
    fn challenge(self) -> &'static str {
        match self {
            Self::InsufficientScope => "Bearer error=\"insufficient_scope\"",
            Self::TenantSuspended | Self::TenantUnknown => "Bearer",
        }
    }
}

impl Verdict {
    /// The verdict on a tenant's token. `tenant` is the one that the token names, if there is one.
    pub(crate) fn on_tenant(verified: &Verified, tenant: Option<Tenant>) -> Self {
        match tenant.filter(|tenant| may_speak_for(verified, tenant)) {
            None => Self::Denied(Reason::TenantUnknown),
            Some(tenant) => match tenant.status {
                Status::Active => Self::Tenant(tenant),
                Status::Suspended => Self::Denied(Reason::TenantSuspended),
                Status::Onboarding | Status::Offboarding | Status::Offboarded => Self::Denied(Reason::TenantUnknown),
            },
        }
    }
}

/// Whether the token's issuer may speak for the tenant. A machine token is the tenant's own, whoever its issuers are. An
/// issuer of one tenant speaks for this tenant alone, as long as the tenant lists it. An issuer of the stack speaks for
/// tenants that list it, and for those that list none only if its entry says so: its tokens could name every one of these.
fn may_speak_for(verified: &Verified, tenant: &Tenant) -> bool {
    let listed = tenant.issuers.contains(&verified.issuer);
    match (&verified.machine, &verified.owner) {
        (Some(_), _) => true,
        (None, Some(owner)) => *owner == tenant.id && listed,
        (None, None) => listed || (tenant.issuers.is_empty() && verified.by_default),
    }
}

impl Judged<'_> {
    /// The response to API Gateway.
    pub(crate) fn response(&self) -> Answer {
        let Self { api, verified, verdict } = self;
        let mut response = Answer::default();
        response.principal_id = Some(verified.subject.clone());
        (response.policy_document, response.usage_identifier_key) = match verdict {
            Verdict::Tenant(tenant) => (policy(api, &verified.scopes), Some(tenant.api_key.clone())),
            Verdict::Operator => (policy(api, &verified.scopes), None),
            Verdict::Denied(_) => (deny_all(api), None),
        };
        response.context = self.context();
        response
    }

    /// What functions and gateway responses are told. A denial tells nobody whom it is for.
    fn context(&self) -> BTreeMap<String, String> {
        let caller = || {
            let Verified { subject, scopes, issuer, certificate, .. } = &self.verified;
            [
                (context::SUBJECT, Some(subject.clone())),
                (context::SCOPES, Some(scopes.join(" "))),
                (context::ISSUER, Some(issuer.clone())),
                // Functions see the request's client certificate, and compare.
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
        // A policy that lets somebody in denies requests only for a missing scope.
        let (reason, told) = match &self.verdict {
            Verdict::Tenant(row) => (Reason::InsufficientScope, [&caller()[..], &tenant(row)].concat()),
            Verdict::Operator => (Reason::InsufficientScope, caller().to_vec()),
            Verdict::Denied(reason) => (*reason, Vec::new()),
        };
        let denial = [(context::REASON, reason.code()), (context::CHALLENGE, reason.challenge())];
        let denial = denial.map(|(name, value)| (name, Some(value.to_owned())));
        told.into_iter().chain(denial).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl NoVerdict {
    /// The event names no API.
    pub(crate) const NO_API: Self = Self { refusal: Refusal::Unauthorized, issuer: None, cause: None };

    /// The tenant of a valid token cannot be looked up.
    pub(crate) fn fault(verified: &Verified, fault: &Fault) -> Self {
        let issuer = Some(verified.issuer.clone());
        Self { refusal: Refusal::Unavailable, issuer, cause: Some(fault.to_string()) }
    }
}

impl From<Rejection> for NoVerdict {
    fn from(rejection: Rejection) -> Self {
        let refusal = match rejection {
            Rejection::KeysUnavailable | Rejection::TokensUnavailable | Rejection::IssuersUnavailable => {
                Refusal::Unavailable
            }
            _ => Refusal::Unauthorized,
        };
        Self { refusal, issuer: None, cause: Some(rejection.to_string()) }
    }
}

/// Writes the line of an event.
pub(crate) fn write(result: &Result<Judged<'_>, NoVerdict>, units: Units, elapsed: Duration) {
    let (status, entry) = line(result);
    log::write(&entry, &Measured { status, units, elapsed, bytes_in: 0, bytes_out: 0 });
}

/// The status that stands for the result, and what the line says about it.
pub(crate) fn line<'a>(result: &'a Result<Judged<'_>, NoVerdict>) -> (u16, Entry<'a>) {
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
        Err(NoVerdict { refusal, issuer, cause }) => {
            let (status, code) = match refusal {
                Refusal::Unauthorized => (401, "unauthorized"),
                Refusal::Unavailable => (503, "unavailable"),
            };
            (status, Entry { code: Some(code), issuer: issuer.as_deref(), cause: cause.as_deref(), ..entry })
        }
    }
}
